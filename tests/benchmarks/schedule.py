"""The default schedule over a long training: what it costs in all, and whether the run's own account of it is right."""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tests.benchmarks.models import Observer, Training, mlp
from tests.benchmarks.options import Options
from tests.benchmarks.tables import Table, size, spread
from tests.benchmarks.worker import wait
from torchvitals import attach_hooks
from torchvitals_tb import load_run

_TURN = 10  # steps: so few that the machine is the same for both


def tables(options: Options) -> list[Table]:
    """The same training twice, in turns of ten steps, bare and watched."""
    torch.set_num_threads(options.threads)
    steps, depth = (100, 2) if options.quick else (10_000, 20)
    width, batch = (512, 256) if options.large else (128, 64)
    sizes = {"depth": depth, "width": width, "batch": batch}
    torch.manual_seed(0)
    bare, watched = mlp(options.device, **sizes), mlp(options.device, **sizes)
    nothing = Observer()
    for training in (bare, watched):
        for _ in range(20):
            training.step(nothing)
    plain, spent = (np.empty((steps // _TURN, _TURN)) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        vitals = attach_hooks(watched.model, folder, on_error="raise")
        ends = time.perf_counter() - start
        for turn in range(len(plain)):
            plain[turn] = _seconds(bare, options.device)
            spent[turn] = _seconds(watched, options.device)
        start = time.perf_counter()
        vitals.remove()
        ends += time.perf_counter() - start
        run = load_run(folder)
        account = run.total("measuring_seconds")
        written = sum(path.stat().st_size for path in Path(folder).iterdir())
    found, error = _more(plain, spent, run.steps)
    found += ends
    later = (spent.sum(1) / plain.sum(1))[len(plain) // 2 :].tolist()
    table = Table(
        f"Default schedule over {steps:,} steps (MLP, {depth} layers of {width}, batch {batch})",
        ("steps", "sampled", "in all", "second half", "more, by the stopwatch", "by the run's own account", "on disk"),
    )
    table.rows.append((
        f"{steps:,}", f"{len(run.steps):,}", f"{(spent.sum() + ends) / plain.sum():.3f}", spread(later, 3),
        f"{found:.2f} ± {error:.2f} s", f"{account:.2f} s ({account / found:.2f} of it)", size(written),
    ))  # fmt: skip
    table.notes.append(
        f"A bare step takes {1e3 * plain.mean():.2f} ms. The stopwatch compares sampled steps, and those right after, "
        "to all others: the difference of the totals would be mostly noise."
    )
    return [table]


def _more(plain: NDArray[np.float64], spent: NDArray[np.float64], sampled: NDArray[np.int64]) -> tuple[float, float]:
    """Seconds that sampling took, and their standard error.

    Args:
        plain: seconds of bare steps, turns by steps.
        spent: of watched ones.
        sampled: which of the watched steps, counted through all turns, were measured.
    """
    around = np.hstack([plain, np.vstack([plain[1:], plain[-1:]])])  # the turns before and after
    excess = (spent - np.median(around, axis=1, keepdims=True)).ravel()  # the machine is not the same all the time
    concerned = np.zeros(excess.size, bool)
    concerned[sampled] = True
    concerned[1:] |= concerned[:-1]  # a step is written during the one that follows
    usual = excess[~concerned]
    found = (excess[concerned] - usual.mean()).sum()
    return float(found), float(usual.std() * np.sqrt(concerned.sum() * (1 + concerned.sum() / usual.size)))


def _seconds(training: Training, device: str) -> list[float]:
    """Of each step of a turn."""
    nothing = Observer()
    wait(device)
    times = [time.perf_counter()]
    for _ in range(_TURN):
        training.step(nothing)
        wait(device)
        times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]
