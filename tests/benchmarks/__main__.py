"""``python -m tests.benchmarks``: what watching costs, and how fast what was recorded is read, as tables."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_PEERS = Path(".venv-peers/bin/python")
SECTIONS = ("training", "waiting", "scaling", "schedule", "reading")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all if none is given"
    )
    parser.add_argument("--markdown", action="store_true", help="print only the tables")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda with larger models (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of PyTorch (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=1, help="processes for each contestant (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each comparison, about (%(default)s)")
    parser.add_argument("--peers", default="", help="only these contestants, comma separated")
    parser.add_argument("--peers-python", default=str(_PEERS) if _PEERS.exists() else sys.executable,
                        help="the interpreter that has the alternatives (%(default)s)")  # fmt: skip
    parser.add_argument(
        "--large",
        action="store_true",
        help="reading: runs up to 1 GB too; schedule: the MLP of the training table, which takes a quarter of an hour",
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it works, not how fast")
    given = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # before torch is imported, here and in every process

    from tests.benchmarks import reading, scaling, schedule, training, waiting
    from tests.benchmarks.contestants import CONTESTANTS
    from tests.benchmarks.options import Options
    from tests.benchmarks.tables import environment

    peers = given.peers.split(",") if given.peers else list(CONTESTANTS)
    for what, known in ((given.sections, SECTIONS), (peers, tuple(CONTESTANTS))):
        if wrong := [name for name in what if name not in known]:
            parser.error(f"{', '.join(wrong)}: there is {', '.join(known)}")
    start = time.perf_counter()

    def say(text: str) -> None:
        if not given.markdown:
            print(f"{time.perf_counter() - start:6.0f} s  {text}", file=sys.stderr, flush=True)

    options = Options(
        device=given.device, threads=given.threads, repetitions=given.repetitions,
        seconds=0.0 if given.quick else given.seconds, quick=given.quick, large=given.large, peers=peers,
        peers_python=given.peers_python, say=say,
    )  # fmt: skip
    print(environment(options.device, options.threads), end="\n\n", flush=True)
    rooms = {"training": training, "waiting": waiting, "scaling": scaling, "schedule": schedule, "reading": reading}
    for section in given.sections or SECTIONS:
        for table in rooms[section].tables(options):
            print(table, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
