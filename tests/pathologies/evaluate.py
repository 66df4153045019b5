"""``python -m tests.pathologies.evaluate``: trains the labelled runs, diagnoses them from their files, and counts."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

# Before torch is imported: matrices this small are slower on two threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.pathologies.cases import CASES, Case

VARIANTS = ("modules", "functions")


@dataclass(frozen=True)
class Verdict:
    """How a diagnosis compares with the label."""

    case: str
    variant: str
    healthy: bool
    found: str | None = None
    """The code that names the fault."""
    layer: str | None = None
    root: bool = False
    delay: int | None = None
    """Steps from the fault to the finding's first step."""
    false: tuple[str, ...] = ()
    """Findings that are neither expected nor tolerated."""
    error: str | None = None

    @property
    def right(self) -> bool:
        return not self.false and self.error is None and (self.healthy or (self.found is not None and self.root))


def judge(case: Case, variant: str, findings: Iterable[Any]) -> Verdict:
    """Compares findings (of severity warning or above) with a label."""
    findings = [f for f in findings if f.severity != "info"]
    false = tuple(f"{f.code} {f.layers[0] if f.layers else ''}".strip() for f in findings if not _allowed(case, f.code))
    expected = next((f for f in findings if f.code in case.expect), None)
    if expected is None:
        return Verdict(case.name, variant, case.healthy, false=false)
    layer = expected.layers[0] if expected.layers else ""
    return Verdict(
        case.name,
        variant,
        case.healthy,
        found=expected.code,
        layer=layer,
        root=case.is_root(layer),
        delay=expected.first_step - case.since,
        false=false,
    )


def _allowed(case: Case, code: str) -> bool:
    return code in case.expect or code in case.tolerated


def train(case: Case, variant: str, run_dir: Path, *, reuse: bool) -> float:
    """Returns the seconds it took."""
    start = time.perf_counter()
    if not (reuse and any(run_dir.glob("*tfevents*"))):
        shutil.rmtree(run_dir, ignore_errors=True)
        case.train(run_dir, variant == "functions")
    return time.perf_counter() - start


def _work(name: str, variant: str, runs: Path, reuse: bool, train_only: bool) -> tuple[Verdict, float]:
    case = CASES[name]
    try:
        seconds = train(case, variant, runs / name / variant, reuse=reuse)
        if train_only:
            return Verdict(name, variant, case.healthy), seconds
        from torchvitals_tb import diagnose

        return judge(case, variant, diagnose(runs / name / variant)), seconds
    except Exception as error:
        return Verdict(name, variant, case.healthy, error=f"{type(error).__name__}: {error}"), 0.0


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@dataclass(frozen=True)
class Score:
    """The row of a tool in the table."""

    tool: str
    verdicts: Sequence[Verdict]
    knows_layers: bool = True
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        ill = [v for v in self.verdicts if not v.healthy and v.error is None]
        well = [v for v in self.verdicts if v.healthy and v.error is None]
        found = [v for v in ill if v.found]
        flagged = [v for v in well if v.false]
        delays = [v.delay for v in found if v.delay is not None]
        return (
            self.tool,
            _share(len(found), len(ill)),
            _share(len(flagged), len(well)),
            _share(sum(bool(v.false) for v in ill), len(ill)),
            _share(sum(v.root for v in found), len(found)) if self.knows_layers else "-",
            f"{statistics.median(delays):g} (at most {max(delays)})" if delays else "-",
            str(sum(v.error is not None for v in self.verdicts)),
        )


HEADER = (
    "",
    "faults found",
    "healthy runs flagged",
    "ill runs with a wrong finding",
    "root cause right",
    "steps from fault to finding, median",
    "failed",
)


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})" if whole else "-"


def table(scores: Sequence[Score]) -> str:
    """For the README."""
    cases = {v.case: v.healthy for v in scores[0].verdicts}
    well = sum(cases.values())
    lines = [
        f"{len(cases) - well} ill and {well} healthy trainings, each with activations as modules and as functions:",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + " --- |" * len(HEADER),
    ]
    lines += ["| " + " | ".join(score.cells()) + " |" for score in scores]
    notes = [f"{score.tool}: {score.note}" for score in scores if score.note]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def evaluate(
    names: Sequence[str], runs: Path, *, reuse: bool, train_only: bool, show: Callable[[Verdict, float], None]
) -> list[Verdict]:
    jobs = [(name, variant) for name in names for variant in VARIANTS]
    verdicts = []
    with ProcessPoolExecutor(2, initializer=_one_thread) as pool:
        results = [pool.submit(_work, name, variant, runs, reuse, train_only) for name, variant in jobs]
        for result in results:
            verdict, seconds = result.result()
            verdicts.append(verdict)
            show(verdict, seconds)
    return verdicts


def _line(verdict: Verdict, seconds: float) -> str:
    if verdict.error is not None:
        said = f"FAILED  {verdict.error}"
    elif verdict.healthy:
        said = f"FALSE ALARM  {', '.join(verdict.false)}" if verdict.false else "silent"
    else:
        said = f"found {verdict.found} at {verdict.layer}" if verdict.found else "MISSED"
        said += f", {verdict.delay} steps after" if verdict.delay is not None else ""
        said += ", WRONG ROOT" if verdict.found and not verdict.root else ""
        said += f", WRONG: {', '.join(verdict.false)}" if verdict.false else ""
    return f"{verdict.case:40} {verdict.variant:9} {seconds:5.2f} s  {said}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pathologies.evaluate", description=__doc__)
    parser.add_argument("--only", default="*", help="shell pattern of case names")
    parser.add_argument("--runs", type=Path, default=Path("runs/pathologies"), help="where runs are kept (%(default)s)")
    parser.add_argument("--reuse", action="store_true", help="do not train what is there already")
    parser.add_argument("--train-only", action="store_true", help="no diagnosis")
    parser.add_argument("--wrong", action="store_true", help="show only what is not as it should be")
    parser.add_argument("--markdown", action="store_true", help="print only the table for the README")
    parser.add_argument("--peers", action="store_true", help="other tools on the same runs, where they are installed")
    options = parser.parse_args(arguments)
    names = [name for name in CASES if fnmatchcase(name, options.only)]
    if not names:
        parser.error(f"--only {options.only}: no such case")

    def show(verdict: Verdict, seconds: float) -> None:
        if not options.markdown and not (options.wrong and verdict.right):
            print(_line(verdict, seconds), flush=True)

    start = time.perf_counter()
    verdicts = evaluate(names, options.runs, reuse=options.reuse, train_only=options.train_only, show=show)
    failed = any(v.error for v in verdicts)
    if options.train_only:
        print(f"{len(verdicts)} runs in {time.perf_counter() - start:.0f} s")
        return int(failed)
    scores = [Score("torchvitals", verdicts)]
    if options.peers:
        from tests.pathologies.peers import compare

        scores += compare(names, show)
    print(table(scores))
    return int(not all(v.right for v in verdicts))


if __name__ == "__main__":
    sys.exit(main())
