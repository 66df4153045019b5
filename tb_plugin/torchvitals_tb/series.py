"""What a run is asked for: a statistic as one array, packed records as a sequence read on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb.errors import TorchvitalsError
from torchvitals_tb.sources import Blobs, Source, T
from torchvitals_tb.words import counted

_CHUNK: Final = 64  # blobs decoded at a time: enough to keep all readers busy, few enough for memory


class Series(NamedTuple):
    """One statistic over the sampled steps."""

    steps: NDArray[np.int64]
    """[T], strictly increasing."""
    values: NDArray[np.float32]
    """[T, rows]; NaN: not measured on that step."""


class Gaps(NamedTuple):
    """How many sampled steps were written, and how many are there to be read."""

    written: int
    read: int


class BlobSeries(Generic[T]):
    """Packed records over the steps they were closed on; each is read when it is asked for.

    Iterating gives ``(step, record)``, reads ahead, and leaves out broken records with a note in ``run.notes``.
    """

    def __init__(
        self, source: Source, parts: Blobs, decode: Callable[[bytes], T], fit: Callable[[int, T], T], what: str
    ) -> None:
        self.steps: NDArray[np.int64] = parts.steps
        self._source, self._blobs, self._decode, self._fit, self._what = source, parts, decode, fit, what

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> T:
        """The record at a position in ``steps``.

        Raises:
            TorchvitalsError: it is broken.
        """
        step = int(self.steps[index])
        (record,) = self._source.load([self._blobs.keys[index]], self._decode)
        if record is None:
            raise TorchvitalsError(f"the record of {self._what} at step {step} is broken")
        return self._fit(step, record)

    def last(self, end: int) -> tuple[int, T] | None:
        """The last readable record before a position in ``steps``, and its step; ``None``: there is none."""
        for index in reversed(range(end)):
            (record,) = self._source.load([self._blobs.keys[index]], self._decode)
            if record is not None:
                step = int(self.steps[index])
                return step, self._fit(step, record)
        return None

    def every(self, stride: int) -> BlobSeries[T]:
        """Every ``stride``-th record from the first on, and the last. Reads none."""
        kept = np.union1d(np.arange(0, len(self), stride), np.arange(len(self))[-1:])
        steps, walls, keys = self._blobs
        blobs = Blobs(steps[kept], walls[kept], [keys[i] for i in kept])
        return BlobSeries(self._source, blobs, self._decode, self._fit, self._what)

    def __iter__(self) -> Iterator[tuple[int, T]]:
        broken = 0
        for start in range(0, len(self), _CHUNK):
            records = self._source.load(self._blobs.keys[start : start + _CHUNK], self._decode)
            for step, record in zip(self.steps[start : start + _CHUNK].tolist(), records, strict=True):
                if record is None:
                    broken += 1
                else:
                    yield step, self._fit(step, record)
        if broken:
            self._source.notes.append(f"{counted(broken, 'broken record')} of {self._what} left out")
