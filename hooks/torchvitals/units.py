"""What single units did.

The vectors of all layers lie end to end, so that a model of a thousand layers costs no more calls than one of ten.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchvitals.statistics import Vector
from torchvitals_tb import packing, schema
from torchvitals_tb.schema import DORMANT_TAU


class UnitCounts(NamedTuple):
    """Of the layers whose units were seen. Units of the k-th: ``starts[k]:starts[k + 1]``."""

    rows: NDArray[np.int64]
    """[S] rows of these layers, ascending."""
    starts: NDArray[np.int64]
    """[S + 1]."""
    observations: Vector
    """[S] values seen of each unit."""
    fired: Vector
    """[units] how many of them were not exactly zero."""
    magnitude: Vector
    """[units] sum of their absolute values."""

    @classmethod
    def of(cls, fired: list[Any], magnitude: list[Any], observations: list[int]) -> UnitCounts:
        """From a vector a row, ``None`` where there is none."""
        seen = [
            i
            for i, (f, m, n) in enumerate(zip(fired, magnitude, observations, strict=True))
            if f is not None and m is not None and n and len(f)
        ]
        none = np.zeros(0)
        return cls(
            np.array(seen, dtype=np.int64),
            np.cumsum([0, *(len(fired[i]) for i in seen)]),
            np.array([observations[i] for i in seen], dtype=np.float64),
            np.concatenate([none, *(fired[i] for i in seen)]),
            np.concatenate([none, *(magnitude[i] for i in seen)]),
        )

    def dead_and_dormant(self) -> tuple[Vector, Vector]:
        """Shares [S] of the units that never fired, and of those that hardly do.

        Dormant is whose mean magnitude is at most `DORMANT_TAU` times the layer's (Sokar et al. 2023, which scores
        units by that quotient).
        """
        if not len(self.rows):
            return np.zeros(0), np.zeros(0)
        first, units = self.starts[:-1], np.diff(self.starts)
        dead = np.add.reduceat(self.fired == 0, first, dtype=np.int64) / units
        finite = np.isfinite(self.magnitude)
        number = np.add.reduceat(finite, first, dtype=np.int64)
        mean = np.add.reduceat(np.where(finite, self.magnitude, 0), first) / np.maximum(number, 1)
        dormant = finite & (self.magnitude <= np.repeat(DORMANT_TAU * mean, units))
        return dead, np.add.reduceat(dormant, first, dtype=np.int64) / units


class UnitRecord:
    """What the units did since the last unit record, added up over sampled steps on the host."""

    def __init__(self) -> None:
        self._counts: UnitCounts | None = None

    def add(self, counts: UnitCounts) -> None:
        before = self._counts
        if before is None:
            self._counts = counts
        elif np.array_equal(before.rows, counts.rows) and np.array_equal(before.starts, counts.starts):
            self._counts = UnitCounts(
                before.rows,
                before.starts,
                before.observations + counts.observations,
                before.fired + counts.fired,
                before.magnitude + counts.magnitude,
            )
        else:  # another branch of the model ran
            self._counts = _merged(before, counts)

    def take(self, layers: list[schema.Layer]) -> bytes | None:
        """The record, packed, and start anew; ``None`` when no layer has units."""
        counts, self._counts = self._counts, None
        units = np.array([layer.units or 0 for layer in layers], dtype=np.int64)
        if not units.any():
            return None
        observations, fired, magnitude = np.zeros(len(units)), np.zeros(units.sum()), np.zeros(units.sum())
        if counts is not None:
            observations[counts.rows] = counts.observations
            starts = np.cumsum(units) - units
            places = np.arange(len(counts.fired)) + np.repeat(
                starts[counts.rows] - counts.starts[:-1], np.diff(counts.starts)
            )
            fired[places], magnitude[places] = counts.fired, counts.magnitude
        return packing.encode_units(units, observations, fired, magnitude)


def _merged(before: UnitCounts, after: UnitCounts) -> UnitCounts:
    number = 1 + max((int(rows[-1]) for rows in (before.rows, after.rows) if len(rows)), default=-1)
    fired: list[Any] = [None] * number
    magnitude: list[Any] = [None] * number
    observations: list[Any] = [0] * number
    for counts in (before, after):
        for k, row in enumerate(counts.rows.tolist()):
            span = slice(counts.starts[k], counts.starts[k + 1])
            old = fired[row]
            fired[row] = counts.fired[span] if old is None else old + counts.fired[span]
            magnitude[row] = counts.magnitude[span] if old is None else magnitude[row] + counts.magnitude[span]
            observations[row] += counts.observations[k]
    return UnitCounts.of(fired, magnitude, observations)
