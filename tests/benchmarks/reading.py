"""How fast a run is read: by `load_run`, and by the plugin in a TensorBoard of each ingester."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.data import server_ingester

from tests.benchmarks import memory
from tests.benchmarks.options import Options
from tests.benchmarks.tables import Table, seconds, size
from tests.synthetic import write_run
from torchvitals_tb import diagnose, load_run

_ROUNDS = 5
_INGESTERS = {"Python": "false", "Rust": "true"}


@dataclass(frozen=True)
class Made:
    """A made-up run: layers, sampled steps, units of the widest layer, records of units and histograms."""

    layers: int
    steps: int
    units: int
    records: int

    @property
    def title(self) -> str:
        return f"{self.layers:,} layers x {self.steps:,} steps, {self.records} records of units"


def sizes(options: Options) -> list[Made]:
    if options.quick:
        return [Made(20, 40, 64, 8)]
    found = [Made(250, 330, 512, 80), Made(1000, 700, 1024, 175), Made(1000, 2000, 4096, 40)]
    return [*found, Made(1000, 2000, 4096, 500), Made(2000, 3400, 2048, 850)] if options.large else found


def tables(options: Options) -> list[Table]:
    files = Table(
        "Reading event files, without TensorBoard",
        ("run", "on disk", "load_run and every statistic", "one statistic", "all units", "diagnose"),
    )
    board = Table(
        "TensorBoard with the plugin",
        ("run", "ingester", "loads in", "memory", "in use", "peak", "runs", "manifest", "a statistic", "dead units",
         "life lines of a layer", "diagnosis"),
        notes=[
            "Routes over HTTP: the first call, then the median of five more. Memory: what it holds more than on an "
            "empty directory, as a multiple of what is on disk: loaded, after every route and statistic, and at most."
        ],
    )  # fmt: skip
    for made in sizes(options):
        with tempfile.TemporaryDirectory() as folder:
            logdir = Path(folder)
            write_run(logdir / "run", layers=made.layers, steps=made.steps, units=made.units, kind="dead",
                      records=made.records)  # fmt: skip
            held = sum(path.stat().st_size for path in (logdir / "run").iterdir())
            files.rows.append(_from_files(made, logdir / "run", held))
            options.say(" ".join(files.rows[-1]))
            for name, fast in _INGESTERS.items():
                if fast == "true" and not _has_data_server():
                    board.notes.append("The data server in Rust is not available here.")
                    continue
                board.rows.append((made.title, name, *_from_tensorboard(made, logdir, fast, held)))
                options.say(" ".join(board.rows[-1]))
    return [files, board]


def _from_files(made: Made, run: Path, held: int) -> tuple[str, ...]:
    def everything() -> None:
        found = load_run(run)
        for name in found.statistics:
            _ = found[name]

    opened = load_run(run)
    all_of_it = _median(everything)
    return (
        made.title,
        size(held),
        f"{seconds(all_of_it)}, {held / all_of_it / 1e6:.0f} MB/s",
        seconds(_median(lambda: load_run(run)["gradient/rms"])),
        seconds(_median(lambda: list(opened.units), 2)),
        seconds(_median(lambda: diagnose(run), 2)),
    )


def _median(call: Any, rounds: int = _ROUNDS) -> float:
    return statistics.median(_timed(call) for _ in range(rounds))


def _timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Server:
    """A TensorBoard of its own process, on a free port."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self._url = process, url

    def get(self, route: str, **parameters: str) -> bytes:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}data/plugin/torchvitals/{route}?{query}", timeout=300) as response:
            return response.read()

    def wait_for(self, step: int) -> None:
        while not any(run["last_step"] >= step for run in json.loads(self.get("runs"))["runs"]):
            time.sleep(0.05)

    def resident(self) -> int:
        return memory.resident(self.process.pid) or 0


@contextmanager
def server(logdir: Path, fast: str) -> Iterator[Server]:
    flags = ["--load_fast", fast, "--port", "0", "--reload_interval", "3600"]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), *flags]
    process = subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://[^ ]+", line):
                yield Server(process, found.group().rstrip("/") + "/")
                break
        else:
            raise RuntimeError("TensorBoard did not start:\n" + "".join(said))
    finally:
        process.terminate()
        process.wait(30)


def _from_tensorboard(made: Made, logdir: Path, fast: str, held: int) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as empty, server(Path(empty), fast) as board:
        board.get("runs")
        nothing = board.resident()
    start = time.perf_counter()
    with server(logdir, fast) as board:
        board.wait_for(made.steps)
        loaded, loads = board.resident(), time.perf_counter() - start
        widest = "encoder.layers.0.mlp.act"
        routes = [("runs", {}), ("manifest", {"run": "run"}), ("statistic", {"run": "run", "name": "gradient/rms"}),
                  ("dead", {"run": "run"}), ("units", {"run": "run", "layer": widest}),
                  ("diagnosis", {"run": "run"})]  # fmt: skip
        latencies = []
        for route, parameters in routes:
            first = _timed(lambda r=route, p=parameters: board.get(r, **p))
            again = _median(lambda r=route, p=parameters: board.get(r, **p))
            latencies.append(f"{seconds(first)}, {seconds(again)}")
        for name in json.loads(board.get("manifest", run="run"))["statistics"]:
            board.get("statistic", run="run", name=name)
        used, peak = board.resident(), memory.highest(board.process.pid) or 0
    shares = [f"{(bytes_ - nothing) / held:.2f}" for bytes_ in (loaded, used, peak)]
    return (seconds(loads), *shares, *latencies)


def _has_data_server() -> bool:
    try:
        server_ingester.get_server_binary()
    except server_ingester.NoDataServerError:
        return False
    return True
