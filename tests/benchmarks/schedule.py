"""The default schedule over a long training: what it costs in all, and whether the run's own account of it is right."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from tests.benchmarks.models import Observer, Training, mlp
from tests.benchmarks.options import Options
from tests.benchmarks.tables import Table, size, spread
from tests.benchmarks.worker import wait
from torchvitals import attach_hooks
from torchvitals_tb import load_run

_TURN = 50  # steps: long enough to time, short enough for the machine to be the same for both


def tables(options: Options) -> list[Table]:
    """The same training twice, in turns of 50 steps, bare and watched."""
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
    spans: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        vitals = attach_hooks(watched.model, folder, on_error="raise")
        for _ in range(steps // _TURN):
            plain = _seconds(bare, options.device)
            spans.append((plain, _seconds(watched, options.device)))
        start = time.perf_counter()
        vitals.remove()
        extra = time.perf_counter() - start
        run = load_run(folder)
        account = run.total("measuring_seconds")
        written = sum(path.stat().st_size for path in Path(folder).iterdir())
        samples = len(run.steps)
    plain, spent = (sum(span[i] for span in spans) for i in (0, 1))
    found = spent - plain + extra
    later = [w / b for b, w in spans[len(spans) // 2 :]]
    table = Table(
        f"Default schedule over {steps:,} steps (MLP, {depth} layers of {width}, batch {batch})",
        ("steps", "sampled", "in all", "second half", "more, by the stopwatch", "by the run's own account", "on disk"),
    )
    table.rows.append((
        f"{steps:,}", f"{samples:,}", f"{(spent + extra) / plain:.3f}", spread(later, 3), f"{found:.2f} s",
        f"{account:.2f} s ({account / found:.2f} of it)" if found > 0 else f"{account:.2f} s", size(written),
    ))  # fmt: skip
    table.notes.append(
        f"A bare step takes {1e3 * plain / steps:.2f} ms. The stopwatch's figure holds the noise of both."
    )
    return [table]


def _seconds(training: Training, device: str) -> float:
    nothing = Observer()
    wait(device)
    start = time.perf_counter()
    for _ in range(_TURN):
        training.step(nothing)
    wait(device)
    return time.perf_counter() - start
