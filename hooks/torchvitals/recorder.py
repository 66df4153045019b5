"""From sampled steps to the file: what was written, what waits to be, what the manifest says.

The training thread only hands a snapshot over. A thread of the recorder's waits for its copy to the host, makes the
vectors, packs and writes them.
"""

from __future__ import annotations

import functools
import platform
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from torchvitals.emit import Emitter
from torchvitals.frames import Snapshot
from torchvitals.line import Line
from torchvitals.units import UnitRecord
from torchvitals_tb.schema import Manifest
from torchvitals_tb.version import __version__


class Recorder:
    """Writes the sampled steps of one model in order."""

    def __init__(self, emitter: Emitter, options: dict[str, Any]) -> None:
        self.options = options
        self.samples = 0
        """Sampled steps taken on."""
        self.failure: Exception | None = None
        """What the writer failed with; nothing is written after it."""
        self.errors: deque[Exception] = deque()
        """What went wrong in making records, for the training thread to tell."""
        self._emitter = emitter
        self._units = UnitRecord()
        self._line = Line("torchvitals")
        self._described: Any = None
        """What the last manifest said, to write one only when it changes."""
        self._begun = time.perf_counter()
        emitter.before_flush(self.wait)

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

    def add(self, snapshot: Snapshot, seconds: float, *, waits: bool) -> None:
        """Has a sampled step written.

        Args:
            snapshot: of the step.
            seconds: spent measuring so far.
            waits: where more of them are pending than may be.
        """
        if not (snapshot.layers or snapshot.parameters) or self.failure is not None:
            return
        try:
            self._emitter.check()
        except RuntimeError as error:
            self.failure = error
            return
        self.samples += 1
        run = np.array([self.samples, snapshot.step, seconds, self.training_seconds()])
        self._line.put(functools.partial(self._write, snapshot, run), waits=waits)

    def wait(self) -> None:
        """Until everything taken on is with the writer."""
        self._line.wait()

    def is_here(self) -> bool:
        """Whether this is the recorder's own thread, where nothing can be waited for."""
        return self._line.is_here()

    def later(self, job: Callable[[], None]) -> None:
        """Has something done in the recorder's thread, after what is being written. Never waits."""
        self._line.put(job, waits=False)

    def flush(self) -> None:
        self.wait()
        self._emitter.flush()

    def drop(self) -> None:
        """In a forked process, where the thread does not run: forgets what is pending."""
        self._line = Line("torchvitals")
        self._emitter.forget()

    def close(self) -> None:
        """Writes what is pending, flushes the writer, and closes it if it was made from a path."""
        self._line.end()
        try:
            if self.failure is None:
                self._emitter.flush()
        finally:
            try:
                self._emitter.close()  # after a failure for its thread's sake
            except Exception:
                if self.failure is None:
                    raise

    def _write(self, snapshot: Snapshot, run: NDArray[np.float64]) -> None:
        """Runs in the recorder's thread, and does not raise."""
        if self.failure is not None:
            return
        try:
            described = (
                snapshot.layers, snapshot.parameters, snapshot.edges, snapshot.optimizers, snapshot.not_observed,
                snapshot.self_check,
            )  # fmt: skip
            manifest = self._describe(snapshot) if described != self._described else None
            frame = snapshot.frame(self._units, run, manifest)
            if not self.options["units"]:
                frame.units = None
            self._described = described
        except Exception as error:
            self.errors.append(error)
            return
        try:
            self._emitter.write(frame, tuple(snapshot.layers), tuple(snapshot.parameters))
        except Exception as error:
            self.failure = error

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
