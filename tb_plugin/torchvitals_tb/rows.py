"""Which row is whose: records name no rows, the manifest in force when they were written does.

Within one training rows are only appended, so an older record is a beginning of a newer one. A changed model that goes
on in the same directory may have other rows; they are then matched by name, and rows that are gone are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb.packing import Fired, Histograms, Units

Array = NDArray[Any]
Indices = NDArray[np.intp]


class Rows:
    """The rows of a run, and where each is in a record of a given step.

    Args:
        steps: from which each manifest was in force, rising.
        names: of its rows. The last manifest gives the rows of the run.
    """

    def __init__(self, steps: Sequence[int], names: Sequence[tuple[str, ...]]) -> None:
        self.names = names[-1]
        self._steps = np.array(steps, dtype=np.int64)
        self._sources = [_sources(earlier, self.names) for earlier in names]

    def sources(self, step: int, width: int) -> Indices | None:
        """Of each row of the run, its place in a record of ``width`` rows, -1: not in it. ``None``: all in place."""
        manifest = max(0, int(np.searchsorted(self._steps, step, side="right")) - 1)
        sources = self._sources[manifest]
        if sources is None and width == len(self.names):
            return None
        sources = np.arange(len(self.names)) if sources is None else sources
        return np.where(sources < width, sources, -1)

    @property
    def in_place(self) -> bool:
        """Whether no row ever moved: every record is a beginning of the run's rows."""
        return all(sources is None for sources in self._sources)

    def matrix(self, steps: Array, vectors: Sequence[Array] | Array) -> NDArray[np.float32]:
        """[steps, rows] from one vector a step; NaN where the record has no such row."""
        width = len(self.names)
        with np.errstate(over="ignore"):  # float64 beyond float32 is infinite there
            if isinstance(vectors, np.ndarray) and self.in_place and vectors.shape[1] == width:
                return vectors.astype(np.float32, copy=False)
            out = np.full((len(vectors), width), np.nan, dtype=np.float32)
            for row, step, vector in zip(out, steps, vectors, strict=True):
                sources = self.sources(step, len(vector))
                row[:] = vector if sources is None else np.append(vector, np.nan)[sources]
        return out

    def histograms(self, step: int, record: Histograms) -> Histograms:
        """The record with the rows of the run; a row it lacks is empty."""
        sources = self.sources(step, record.rows)
        if sources is None:
            return record
        starts, entries = _take(record.starts, sources)
        return Histograms(starts, record.bins[entries], record.counts[entries])

    def units(self, step: int, record: Units) -> Units:
        """The record with the rows of the run; a row it lacks has no units and no observations."""
        sources = self.sources(step, len(record.scale))
        if sources is None:
            return record
        starts, units = _take(record.starts, sources)
        return Units(
            starts,
            np.append(record.observations, 0)[sources],
            np.append(record.scale, np.float32(0))[sources],
            record.firing[units],
            record.magnitude[units],
            np.append(record.silent, 0)[sources],
        )

    def fired(self, step: int, record: Fired) -> Fired:
        """The same for what fired alone."""
        sources = self.sources(step, len(record.observations))
        if sources is None:
            return record
        starts, units = _take(record.starts, sources)
        return Fired(
            starts,
            np.append(record.observations, 0)[sources],
            np.append(record.silent, 0)[sources],
            np.packbits(record.flags()[units]),
        )


def _sources(earlier: tuple[str, ...], names: tuple[str, ...]) -> Indices | None:
    if names[: len(earlier)] == earlier:
        return None
    place = {name: i for i, name in reversed(list(enumerate(earlier)))}  # of equal names the first counts
    return np.array([place.get(name, -1) for name in names], dtype=np.intp)


def _take(starts: NDArray[np.int64], sources: Indices) -> tuple[NDArray[np.int64], Indices]:
    """Rows of varying length in a new order: their starts, and the entries they consist of."""
    lengths = np.append(np.diff(starts), 0)[sources]
    taken = np.concatenate([[0], np.cumsum(lengths)])
    first = np.append(starts[:-1], 0)[sources]
    return taken, np.repeat(first - taken[:-1], lengths) + np.arange(taken[-1])
