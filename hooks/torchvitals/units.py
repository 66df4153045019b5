"""What single units did.

The vectors of all layers lie end to end, so that a model of a thousand layers costs no more calls than one of ten.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchvitals.statistics import Vector
from torchvitals_tb import packing
from torchvitals_tb.schema import DORMANT_TAU


class UnitCounts(NamedTuple):
    """Of all layers, those without units included. Units of the k-th: ``starts[k]:starts[k + 1]``."""

    starts: NDArray[np.int64]
    """[R + 1]."""
    observations: Vector
    """[R] values seen of each unit; 0 where the layer did not run."""
    fired: Vector
    """[units] how many of them were not exactly zero."""
    magnitude: Vector
    """[units] sum of their absolute values."""

    def dead_and_dormant(self) -> tuple[Vector, Vector]:
        """Shares [R] of the units that never fired, and of those that hardly do; NaN where none were seen.

        Dormant is whose mean magnitude is at most `DORMANT_TAU` times the layer's (Sokar et al. 2023, which scores
        units by that quotient).
        """
        units = number = np.diff(self.starts)
        magnitude, finite = self.magnitude, np.isfinite(self.magnitude)
        if not finite.all():
            magnitude, number = np.where(finite, magnitude, 0), self._numbers(finite)
        limits = DORMANT_TAU * packing.sums_of(units, magnitude) / np.maximum(number, 1)
        dormant = finite & (magnitude <= np.repeat(limits, units))
        seen = np.where((units > 0) & (self.observations > 0), units, np.nan)
        return self._numbers(self.fired == 0) / seen, self._numbers(dormant) / seen

    def _numbers(self, flags: NDArray[np.bool_]) -> NDArray[np.int64]:
        """[R] how many of each layer's units."""
        return np.diff(np.searchsorted(np.flatnonzero(flags), self.starts))


class UnitRecord:
    """What the units did since the last unit record, added up over sampled steps on the host."""

    def __init__(self) -> None:
        self._counts: UnitCounts | None = None

    def add(self, counts: UnitCounts) -> None:
        """Takes over what one step brought."""
        before, self._counts = self._counts, counts
        if before is not None:
            self._counts = UnitCounts(counts.starts, *map(_added, before[1:], counts[1:]))

    def take(self) -> bytes | None:
        """The record, packed, and start anew; ``None`` when no layer has units."""
        counts, self._counts = self._counts, None
        if counts is None or not counts.starts[-1]:
            return None
        return packing.encode_units(np.diff(counts.starts), *counts[1:])


def _added(before: Vector, now: Vector) -> Vector:
    """Their sum, in the memory of one of them."""
    if len(before) < len(now):  # layers are only ever added, behind the others
        before, now = now, before
    before[: len(now)] += now
    return before
