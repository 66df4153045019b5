"""What a row sums up.

A row is a vector of additive float64 sums (and one maximum), so that rows add up over the calls of a layer, over the
micro-batches of a step and over processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from torchvitals.scratch import Scratch

SUM, SUMSQ, ZEROS, NONFINITE, SATURATED, SUBNORMAL, ABS_MAX, SPREAD, COMPARED, COLUMNS = range(10)
"""Columns of a row: sum, sum of squares; counts of exact zeros, of NaN and infinities, of values at the limits of a
bounded activation; share of subnormal values times elements; largest magnitude; half the squared differences between
pairs of examples, and how many elements were compared for it."""
BINS: Final = 1024
HISTOGRAM_SAMPLE: Final = 1 << 12
"""Elements a histogram, and the share of subnormal values, is counted from; a tensor with no more is counted whole.
With k bins in use the total variation to the histogram of all elements is about sqrt(k / (2 pi n)): 3.5 % for the usual
30 bins, 6 % for 100. The standard error of a share is at most 0.008."""

LARGEST: Final = 1e300  # what a finite sum of squares becomes that float64 cannot hold; a record holds float32 anyway
SUM_SAFE: Final = 1e30  # largest magnitude of which a piece can be summed in float32

Limits = tuple[float | None, float | None]


@dataclass(slots=True)
class UnitSums:
    """What each unit of one layer did: counts of values that were not exactly zero, sums of magnitudes."""

    fired: Any
    """[U] float64, a NumPy vector on the host, else a tensor on the scratch's device; so is ``magnitude``."""
    magnitude: Any
    observations: int = 0


def empty_row(scratch: Scratch) -> Any:
    """Nothing summed up yet: [K], a list on the host (the quickest to add to), else a tensor on the device."""
    return [0.0] * COLUMNS if scratch.host else scratch.zeros(COLUMNS)


def empty_units(scratch: Scratch, units: int) -> UnitSums:
    """The same for the units of a layer."""
    if scratch.host:
        return UnitSums(np.zeros(units), np.zeros(units))
    return UnitSums(scratch.zeros(units), scratch.zeros(units))


def workable(piece: Tensor, scratch: Scratch) -> Tensor:
    """float32 or float64: narrower formats are slow to reduce and overflow in their own type."""
    if piece.dtype in (torch.float32, torch.float64):
        return piece
    return scratch.like(piece, slot=1, dtype=torch.float32).copy_(piece)
