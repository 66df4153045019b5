"""From sampled steps to the file: what waits for its copy to the host, what was written, what the manifest says."""

from __future__ import annotations

import contextlib
import logging
import platform
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from torchvitals.emit import Emitter
from torchvitals.frames import Snapshot
from torchvitals.units import UnitRecord
from torchvitals_tb.schema import Manifest
from torchvitals_tb.version import __version__

logger: Final = logging.getLogger("torchvitals")

_IN_FLIGHT = 3  # frames on their way to the host before one is waited for


class Recorder:
    """Writes the sampled steps of one model in order."""

    def __init__(self, emitter: Emitter, options: dict[str, Any]) -> None:
        self.options = options
        self.samples = 0
        """Sampled steps written."""
        self.failure: Exception | None = None
        """What the writer failed with; nothing is written after it."""
        self._emitter = emitter
        self._units = UnitRecord()
        self._pending: deque[Snapshot] = deque()
        self._described: Any = None
        """What the last manifest said, to write one only when it changes."""
        self._begun = time.perf_counter()

    def works(self) -> bool:
        """Whether the writer has not failed."""
        return self.failure is None

    @property
    def directory(self) -> str:
        """Where the run's event files are."""
        return self._emitter.directory

    def size(self) -> int:
        """Bytes of the run's event files so far."""
        return sum(path.stat().st_size for path in Path(self.directory).glob("*tfevents*"))

    def training_seconds(self) -> float:
        """Since the recorder was made."""
        return time.perf_counter() - self._begun

    def add(self, snapshot: Snapshot) -> None:
        if snapshot.layers or snapshot.parameters:
            self._pending.append(snapshot)

    def write(self, seconds: float, *, wait: bool = False) -> None:
        """Writes what has arrived on the host.

        Args:
            seconds: spent measuring so far.
            wait: for all that is pending.
        """
        while self._pending and (wait or len(self._pending) > _IN_FLIGHT or self._pending[0].ready()):
            self._write(self._pending.popleft(), seconds)

    def flush(self) -> None:
        self._emitter.flush()

    def drop(self) -> None:
        """Forgets what is pending."""
        self._pending.clear()

    def close(self) -> None:
        """Flushes the writer, and closes it if it was made from a path."""
        if self.failure is None:
            self._emitter.flush()
        with contextlib.suppress(Exception) if self.failure else contextlib.nullcontext():
            self._emitter.close()  # after a failure for its thread's sake

    def _write(self, snapshot: Snapshot, seconds: float) -> None:
        self.samples += 1
        run = np.array([self.samples, snapshot.step, seconds, self.training_seconds()])
        described = (
            snapshot.layers, snapshot.parameters, snapshot.edges, snapshot.optimizers, snapshot.not_observed,
            snapshot.self_check,
        )  # fmt: skip
        manifest = self._describe(snapshot) if described != self._described else None
        frame = snapshot.frame(self._units, run, manifest)
        if not self.options["units"]:
            frame.units = None
        try:
            self._emitter.write(frame, tuple(snapshot.layers), tuple(snapshot.parameters))
        except Exception as error:
            self.failure = error
            self.drop()
        self._described = described

    def _describe(self, snapshot: Snapshot) -> str:
        return Manifest(
            layers=tuple(snapshot.layers),
            parameters=tuple(snapshot.parameters),
            edges=tuple(sorted(snapshot.edges)),
            options=self.options,
            versions={"torchvitals": __version__, "torch": torch.__version__, "python": platform.python_version()},
            optimizers=snapshot.optimizers,
            not_observed=snapshot.not_observed,
            self_check=snapshot.self_check,
        ).to_json()
