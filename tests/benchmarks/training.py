"""What watching costs a training: ours and the alternatives, on three reference models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.contestants import CONTESTANTS
from tests.benchmarks.models import references
from tests.benchmarks.options import Options
from tests.benchmarks.tables import Table, size, spread
from tests.benchmarks.worker import Job, Result

HEADER = ("", "sampled step", "step not sampled", "one in ten sampled", "bytes", "memory", "what it records")
_PATIENCE = 300  # seconds for a process


def tables(options: Options) -> list[Table]:
    """One for each model. Repetitions are the outer loop: what the machine does meanwhile meets all contestants."""
    models = references(device=options.device, quick=options.quick)
    found: dict[tuple[str, str], list[Result]] = {}
    failed: dict[tuple[str, str], str] = {}
    present, missing = _versions(options)
    for repetition in range(options.repetitions):
        for model in models:
            for name in present:
                result = _run(model, name, options)
                if isinstance(result, str):
                    failed[model, name] = result
                else:
                    found.setdefault((model, name), []).append(result)
                options.say(f"{repetition + 1}  {model:8} {name:14} {_said(result)}")
    out = []
    for model, reference in models.items():
        table = Table(f"{reference.title}: time of a step, 1 is bare", HEADER)
        bare = [ms for name in present for result in found.get((model, name), []) for ms in result.milliseconds]
        table.rows.append(("bare", "1", "1", "1", "-", "-", f"a step takes {spread(bare, 1)} ms"))
        for name in present:
            if (model, name) in found:
                table.rows.append(_row(f"{CONTESTANTS[name].name} {present[name]}".strip(), name, found[model, name]))
            else:
                table.rows.append((CONTESTANTS[name].name, "failed", *["-"] * 4, failed[model, name]))
        out.append(table)
    out[-1].notes += [
        f"{CONTESTANTS[name].name} is left out: it cannot be imported ({why})." for name, why in missing.items()
    ]
    out[-1].notes.append(
        "Median (middle half) of blocks of steps timed in turns with bare ones in the same process, what is pending "
        "at the end of a block included. Bytes: written on a sampled step. Memory: the peak over that of bare steps."
    )
    return out


def _row(title: str, name: str, results: Sequence[Result]) -> tuple[str, ...]:
    def all_of(column: str) -> list[float]:
        return [ratio for result in results for ratio in getattr(result, column)]

    memories = [result.memory for result in results if result.memory is not None]
    return (
        title,
        spread(all_of("sampled")),
        spread(all_of("unsampled"), 3),
        spread(all_of("tenth")),
        size(results[0].bytes),
        size(max(memories, default=None)),
        CONTESTANTS[name].records,
    )


def _run(model: str, name: str, options: Options) -> Result | str:
    job = Job(model, name, options.device, options.threads, options.quick, options.seconds)
    try:
        done = _python(options, name, ["-m", "tests.benchmarks.worker", json.dumps(asdict(job))], _PATIENCE)
    except subprocess.TimeoutExpired:
        return f"not done within {_PATIENCE} s"
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        return (lines[-1] if lines else f"exit status {done.returncode}")[:200]
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def _versions(options: Options) -> tuple[dict[str, str], dict[str, str]]:
    """Of each contestant its version where it can be imported, else why not."""
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in options.peers:
        contestant = CONTESTANTS[name]
        if contestant.module is None:
            found[name] = ""
            continue
        ask = f"import {contestant.module}, importlib.metadata as m; print(m.version('{contestant.package}'))"
        done = _python(options, name, ["-c", ask], _PATIENCE)
        if done.returncode:
            missing[name] = (done.stderr.strip().splitlines() or ["?"])[-1][:120]
        else:
            found[name] = done.stdout.splitlines()[-1]
    return found, missing


def _python(options: Options, name: str, arguments: list[str], patience: float) -> subprocess.CompletedProcess[str]:
    contestant = CONTESTANTS[name]
    python = sys.executable if contestant.module is None else options.peers_python
    path = f"{Path(python).absolute().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": str(options.threads)} | contestant.environment
    return subprocess.run(
        [str(Path(python).absolute()), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience,
        stdin=subprocess.DEVNULL,
    )


def _said(result: Result | str) -> str:
    if isinstance(result, str):
        return f"FAILED  {result}"
    return f"{spread(result.sampled):20} {spread(result.unsampled, 3):24} {spread(result.tenth)}"
