"""Calls that wait for the device in a sampled forward and backward. There must be none of ours. Needs a GPU."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn import functional as F

from tests.benchmarks.models import Observer, Training, references
from tests.benchmarks.options import Options
from tests.benchmarks.tables import Table
from torchvitals import attach_hooks


def tables(options: Options) -> list[Table]:
    if not options.device.startswith("cuda"):
        return []
    table = Table("Calls that wait for the device between two optimizer steps", ("model", "bare", "sampled"))
    for reference in references(device=options.device, quick=options.quick).values():
        for title, cast, scaler in (
            (reference.title, nullcontext, None),
            (f"{reference.title}, autocast to float16", _half, torch.amp.GradScaler("cuda")),
        ):
            training = reference.training(options.device)
            bare = _waits(training, cast, scaler)
            with tempfile.TemporaryDirectory() as folder, attach_hooks(training.model, folder, every=1):
                training.step(Observer())
                table.rows.append((title, bare, _waits(training, cast, scaler)))
    return [table]


def _half() -> AbstractContextManager[object]:
    return torch.autocast("cuda", torch.float16)


def _waits(
    training: Training, cast: Callable[[], AbstractContextManager[object]], scaler: torch.amp.GradScaler | None
) -> str:
    """What PyTorch says of calls that synchronise, each once."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with cast():
                output = training.model(training.batch)
                loss = F.cross_entropy(output.flatten(0, -2), training.target.flatten())
            (loss if scaler is None else scaler.scale(loss)).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    if scaler is None:
        training.optimizer.step()
    else:
        scaler.step(training.optimizer)
        scaler.update()
    training.optimizer.zero_grad()
    found = {f"{w.filename.rpartition('/')[2]}:{w.lineno}" for w in said if "synchroniz" in str(w.message)}
    return ", ".join(sorted(found)) or "none"
