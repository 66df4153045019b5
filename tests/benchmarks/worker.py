"""One contestant on one model, in a process of its own: ``python -m tests.benchmarks.worker JOB`` prints a `Result`.

Two copies of the model are trained in turns, one bare and one watched, so that whatever else the machine does meets
both. A block of steps is timed as a whole, with what is pending at its end: work that a contestant puts off to another
thread counts. Its ratio is to the mean of the bare blocks before and after it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from tests.benchmarks import memory
from tests.benchmarks.contestants import CONTESTANTS, Contestant, offline
from tests.benchmarks.models import Observer, Reference, Training, references

RARELY = 1_000_000
"""``every`` for a training of which no further step is sampled after the first."""
_LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Job:
    model: str
    contestant: str
    device: str
    threads: int
    quick: bool
    seconds: float
    """How long each of the three comparisons may take, about."""


@dataclass
class Result:
    sampled: list[float] = field(default_factory=list)
    """Ratios of a sampled step to a bare one."""
    unsampled: list[float] = field(default_factory=list)
    """Ratios of a step that is not sampled, the contestant being attached."""
    tenth: list[float] = field(default_factory=list)
    """Ratios of all steps where every tenth is sampled."""
    milliseconds: list[float] = field(default_factory=list)
    """Of a bare step."""
    bytes: float | None = None
    """Written on a sampled step."""
    memory: int | None = None
    """Bytes: the peak of sampled steps over that of bare ones."""


def measure(job: Job) -> Result:
    """Everything about one contestant on one model."""
    torch.set_num_threads(job.threads)
    contestant, reference = CONTESTANTS[job.contestant], references(device=job.device, quick=job.quick)[job.model]
    if contestant.module is not None:
        importlib.import_module(contestant.module)  # its memory is not that of its measuring
    result = Result()
    for every, steps, ratios in (
        (1, reference.steps, result.sampled),
        (RARELY, 2 * reference.steps, result.unsampled),
        (10, 10, result.tenth),
    ):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            _compare(job, reference, contestant, Path(folder), every, steps, ratios, result)
    return result


def _compare(
    job: Job, reference: Reference, contestant: Contestant, folder: Path, every: int, steps: int,
    ratios: list[float], result: Result,
) -> None:  # fmt: skip
    bare, watched = reference.training(job.device), reference.training(job.device)
    nothing = Observer()
    for training in (bare, watched):
        timed(training, nothing, 2, job.device)
    memory.forget_peak(job.device)
    timed(watched, nothing, steps, job.device)
    before = memory.peak(job.device)
    watched.steps = 0
    with contestant.attach(watched, folder, every) as observer:
        timed(watched, observer, 10 if every == 10 else 1, job.device)
        written, first = _written(folder), watched.steps
        memory.forget_peak(job.device)
        bare_times = [timed(bare, nothing, steps, job.device)]
        watched_times: list[float] = []
        end = time.perf_counter() + job.seconds
        while len(watched_times) < _LEAST_ROUNDS or time.perf_counter() < end:
            watched_times.append(timed(watched, observer, steps, job.device))
            bare_times.append(timed(bare, nothing, steps, job.device))
        peak = memory.peak(job.device)
        count = watched.steps - first
    for i, seconds in enumerate(watched_times):
        ratios.append(2 * seconds / (bare_times[i] + bare_times[i + 1]))
    result.milliseconds.append(1e3 * statistics.median(bare_times))
    if every == 1:
        grown = _written(folder) - written
        result.bytes = grown / count if grown else None
        result.memory = None if peak is None or before is None else max(0, peak - before)


def timed(training: Training, observer: Observer, steps: int, device: str) -> float:
    """Seconds per step."""
    wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        training.step(observer)
    observer.flush()
    wait(device)
    return (time.perf_counter() - start) / steps


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _written(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    os.environ.setdefault("OMP_NUM_THREADS", str(job.threads))
    offline()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    said = io.StringIO()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, contextlib.redirect_stdout(said):
        os.chdir(folder)  # some contestants write into the working directory
        result = measure(job)
    print(json.dumps(asdict(result)), flush=True)
    os._exit(0)  # a contestant's server or thread must not keep the process


if __name__ == "__main__":
    main()
