"""How the cost of a sampled step grows with layers and with tensors, and what is written of it."""

from __future__ import annotations

import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from torch import nn

from tests.benchmarks.models import Observer, Training, references
from tests.benchmarks.options import Options
from tests.benchmarks.tables import Table, seconds, size, spread
from tests.benchmarks.worker import timed
from torchvitals import attach_hooks
from torchvitals_tb import load_run, schema

_ROUNDS, _QUICK_ROUNDS = 5, 2
_FIRST = 4
_FRAME = 3  # bytes: that a value is one, and how long


def tables(options: Options) -> list[Table]:
    torch.set_num_threads(options.threads)
    return [_by_layers(options), _by_elements(options), _on_disk(options)]


def _by_layers(options: Options) -> Table:
    table = Table(
        "Cost of a sampled step by number of layers (Linear and ReLU in turns, 16 wide, batch 4)",
        ("layers", "bare step", "sampled step", "more, per layer", "the same without histograms and units"),
    )
    for layers in (10, 30) if options.quick else (10, 100, 1000, 10_000):
        modules = [nn.Linear(16, 16) if i % 2 == 0 else nn.ReLU() for i in range(layers)]
        training = _training(nn.Sequential(*modules), torch.randn(4, 16), options)
        bare, full = _cost(training, options)
        _, light = _cost(training, options, histograms=False, units=False)
        table.rows.append((
            f"{layers:,}", seconds(statistics.median(bare)), seconds(statistics.median(full)),
            f"{spread(_more(bare, full, layers), 0)} us", f"{spread(_more(bare, light, layers), 0)} us",
        ))  # fmt: skip
        options.say(f"{layers} layers: {table.rows[-1][3]}")
    return table


def _by_elements(options: Options) -> Table:
    table = Table(
        "Cost of a sampled step by size of the outputs (Linear, ReLU, Linear, 64 wide)",
        ("elements of an output", "bare step", "sampled step", "more, per element of all outputs and gradients"),
    )
    for batch in (64, 128) if options.quick else (64, 1024, 16_384, 262_144):
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
        training = _training(model, torch.randn(batch, 64), options)
        bare, full = _cost(training, options)
        more = [1e3 * m for m in _more(bare, full, 6 * 64 * batch)]
        table.rows.append((
            f"{64 * batch:,}", seconds(statistics.median(bare)), seconds(statistics.median(full)),
            f"{spread(more, 2)} ns",
        ))  # fmt: skip
        options.say(f"{64 * batch} elements: {table.rows[-1][3]}")
    return table


def _training(model: nn.Module, batch: torch.Tensor, options: Options) -> Training:
    model = model.to(options.device)
    target = torch.randint(batch.shape[1], batch.shape[:1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return Training(model, optimizer, batch.to(options.device), target.to(options.device))


def _cost(training: Training, options: Options, **what: Any) -> tuple[list[float], list[float]]:
    """Seconds of bare and of sampled steps, in turns.

    Attaching takes time of its own, which is not in them, and so do the first samples, which also find out which layers
    feed which. Of the four that follow one carries histograms and units, as ever after.
    """
    nothing, bare, sampled = Observer(), [], []
    timed(training, nothing, 2, options.device)
    for _ in range(_QUICK_ROUNDS if options.quick else _ROUNDS):
        bare.append(timed(training, nothing, 4, options.device))
        with (
            tempfile.TemporaryDirectory() as folder,
            attach_hooks(training.model, folder, every=1, mirror=False, on_error="raise", **what) as vitals,
        ):
            flushing = Observer()
            flushing.flush = vitals.flush  # type: ignore[method-assign]
            timed(training, flushing, _FIRST, options.device)
            sampled.append(timed(training, flushing, 4, options.device))
    return bare, sampled


def _more(bare: list[float], sampled: list[float], count: int) -> list[float]:
    """Microseconds more for each of ``count``, round by round."""
    return [1e6 * (s - b) / count for b, s in zip(bare, sampled, strict=True)]


def _on_disk(options: Options) -> Table:
    table = Table(
        "Written on a sampled step",
        ("", "statistics, per layer", "histograms, per row and kind", "units, per unit and record", "all, a step"),
    )
    models = references(device=options.device, quick=options.quick)
    for reference in list(models.values())[: 1 if options.quick else 3]:
        steps = 4 if options.quick else 20
        with tempfile.TemporaryDirectory() as folder:
            training = reference.training(options.device)
            with attach_hooks(training.model, folder, every=1, on_error="raise"):
                timed(training, Observer(), steps, options.device)
            table.rows.append((reference.title, *_sizes(Path(folder), steps)))
        options.say(f"{reference.title}: {', '.join(table.rows[-1][1:])}")
    return table


def _sizes(folder: Path, steps: int) -> tuple[str, ...]:
    run = load_run(folder)
    (path,) = folder.glob("*tfevents*")
    held: Counter[str] = Counter()
    for record in RawEventFileLoader(str(path)).Load():
        for value in Event.FromString(record).summary.value:
            if value.tag.startswith(f"{schema.PLUGIN_NAME}/"):  # and not for TensorBoard's own tabs
                held[value.tag.split("/")[1]] += value.ByteSize() + _FRAME
    rows = {"layers": len(run.layers), "parameters": len(run.parameters)}
    records = len(run.units)
    histograms = records * sum(rows[schema.rows_of(kind)] for kind in run.histogram_kinds)
    units = records * sum(layer.units or 0 for layer in run.layers)
    statistics_ = held["activation"] + held["gradient"] + held["parameter"] + held["run"]
    return (
        f"{statistics_ / steps / rows['layers']:.0f} B",
        f"{held['histogram'] / histograms:.0f} B",
        f"{held['units'] / units:.2f} B",
        size(path.stat().st_size / steps),
    )
