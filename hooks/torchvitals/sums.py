"""What a row sums up.

A row is a vector of additive float64 sums (and one maximum), so that rows add up over the calls of a layer, over the
micro-batches of a step and over processes.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from torchvitals.scratch import Scratch

SUM, SUMSQ, ZEROS, NONFINITE, SATURATED, SUBNORMAL, ABS_MAX, SPREAD, COMPARED, COLUMNS = range(10)
"""Columns of a row: sum, sum of squares; counts of exact zeros, of NaN and infinities, of values at the limits of a
bounded activation; share of subnormal values times elements; largest magnitude; half the squared differences between
pairs of examples, and how many elements were compared for it."""
BINS: Final = 1024
HISTOGRAM_SAMPLE: Final = 1 << 12
"""Elements a histogram, and on a device the share of subnormal values, is counted from; a tensor with no more is whole.
With k bins in use the total variation to the histogram of all elements is about sqrt(k / (2 pi n)): 3.5 % for the usual
30 bins, 6 % for 100. The standard error of a share is at most 0.008."""

LARGEST: Final = 1e300  # what a finite sum of squares becomes that float64 cannot hold; a record holds float32 anyway

Limits = tuple[float | None, float | None]


@dataclass(slots=True)
class UnitSums:
    """What each unit of one layer did; float64, in arrays of C's on the host, else tensors on the scratch's device."""

    fired: Any
    """[U] counts of values that were not exactly zero."""
    magnitude: Any
    """[U] sums of magnitudes."""
    observations: int = 0


_Row: Final = ctypes.c_double * COLUMNS


def empty_row(scratch: Scratch) -> Any:
    """Nothing summed up yet: [K], an array of C's on the host, else a tensor on the device."""
    return _Row() if scratch.host else scratch.zeros(COLUMNS)


class HostSums:
    """The sums of all rows on the host side by side, so that they are cleared and copied as one."""

    def __init__(self, rows: int = 0, units: int = 0) -> None:
        self.rows: NDArray[np.float64] = np.zeros((rows, 2, COLUMNS))
        """[R, 2, K] of outputs, and of their gradients."""
        self.units: NDArray[np.float64] = np.zeros((2, units))
        """[2, units] of all rows one behind the other: what fired, then the magnitudes."""

    def row(self, index: int) -> tuple[Any, Any]:
        """One row as arrays of C's, which hooks and kernels take the quickest."""
        at = self.rows[index].nbytes * index
        return _Row.from_buffer(self.rows.data, at), _Row.from_buffer(self.rows.data, at + self.rows[index, 0].nbytes)

    def units_of(self, start: int, units: int) -> UnitSums:
        """Those of one row."""
        vector, apart = ctypes.c_double * units, self.units[0].nbytes
        fired, magnitude = (vector.from_buffer(self.units.data, 8 * start + at) for at in (0, apart))
        return UnitSums(fired, magnitude)

    def clear(self) -> None:
        self.rows.fill(0)
        self.units.fill(0)

    def grown(self, rows: int, units: int) -> HostSums:
        """A copy with room for so many at least; it is twice as large, so that growing row by row takes no time."""
        have, wide = len(self.rows), self.units.shape[1]
        larger = HostSums(max(rows, 2 * have), max(units, 2 * wide))
        larger.rows[:have] = self.rows
        larger.units[:, :wide] = self.units
        return larger


def workable(piece: Tensor, scratch: Scratch) -> Tensor:
    """float32 or float64: narrower formats are slow to reduce and overflow in their own type."""
    if piece.dtype in (torch.float32, torch.float64):
        return piece
    return scratch.like(piece, slot=1, dtype=torch.float32).copy_(piece)
