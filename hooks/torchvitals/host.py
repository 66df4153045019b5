"""Reductions on the CPU: as few passes over a tensor as its values allow.

What a pass finds decides whether the next one is needed. Values that are nowhere negative are their own magnitudes, and
where nothing is zero nobody needs counting unit by unit; the careful pass over extreme values runs only where there are
some. Results are read through the cells they were reduced into, which dispatches no operation; flags are counted by
NumPy, which does that in a third of the time PyTorch takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchvitals.scratch import Scratch
from torchvitals.sums import (
    ABS_MAX,
    BINS,
    COLUMNS,
    LARGEST,
    NONFINITE,
    SATURATED,
    SUBNORMAL,
    SUM,
    SUM_SAFE,
    SUMSQ,
    ZEROS,
    Limits,
    UnitSums,
)

_VANISHES: Final = 1e-31  # mean square below which float32 squares that underflowed may have counted
_CANCELS: Final = 64.0  # mean^2 / variance above which a one-pass variance in float32 loses digits
_BYTE: Final = 255  # as many flags as a byte can count
_TINY: Final = float(np.finfo(np.float32).tiny)
_FOLD: Final = 512  # bytes added side by side; NumPy adds short rows slowly

Array = NDArray[Any]


def add_values(row: Any, pieces: Iterable[Tensor], scratch: Scratch, *, zeros: bool) -> None:
    """Adds flat float32 or float64 pieces of one tensor to its row; see `torchvitals.statistics.add_values`."""
    for piece in pieces:
        values = piece.numpy()
        low, high = _extremes(piece, scratch)
        _add_moments(row, piece, values, low, high, None, scratch)
        if zeros and not (low > 0 or high < 0):
            row[ZEROS] += values.size - int(np.count_nonzero(_nonzero(values, scratch)))


def add_squares(row: Any, pieces: Iterable[Tensor], scratch: Scratch) -> None:
    """Adds the sum of squares alone: one pass instead of two, where nothing is too large or too small for that."""
    for piece in pieces:
        squares = _dot(piece, scratch)
        if piece.numel() * _VANISHES < squares < math.inf:
            row[SUMSQ] += squares
        else:
            _add_moments(row, piece, piece.numpy(), *_extremes(piece, scratch), None, scratch)


def add_activation(
    row: Any, pieces: Iterable[tuple[Tensor, slice]], scratch: Scratch, units: UnitSums | None, limits: Limits
) -> None:
    """Adds float32 or float64 pieces [A, U] or [A, U, B]; see `torchvitals.statistics.add_activation`."""
    for piece, of_units in pieces:
        flat = piece.view(-1)
        values = flat.numpy()
        low, high = _extremes(flat, scratch)
        if units is None:
            total = _sum(flat, scratch)
            row[ZEROS] += values.size - int(np.count_nonzero(_nonzero(values, scratch)))
        else:
            # A sum of large numbers may be too large for float32.
            wide = None if low > -SUM_SAFE and high < SUM_SAFE else torch.float64
            if low >= 0:
                magnitude = _per_unit(piece, wide)
                total = float(np.add.reduce(magnitude, dtype=np.float64))
            else:
                magnitude = _per_unit(torch.abs(piece, out=scratch.like(piece)), wide)
                total = _sum(flat, scratch)
            units.magnitude[of_units] += magnitude
            each = values.size // piece.shape[1]
            if low > 0 or high < 0:
                units.fired[of_units] += each
            else:
                flags = _nonzero(values, scratch)
                silent = values.size - int(np.count_nonzero(flags))
                row[ZEROS] += silent
                units.fired[of_units] += _columns(flags, piece.shape) if silent else each
        _add_moments(row, flat, values, low, high, total, scratch)
        at_low, at_high = limits
        if at_low is not None and not low > at_low:
            row[SATURATED] += int(np.count_nonzero(np.less_equal(values, at_low, out=scratch.flags(values.size))))
        if at_high is not None and not high < at_high:
            row[SATURATED] += int(np.count_nonzero(np.greater_equal(values, at_high, out=scratch.flags(values.size))))


def squared_differences(x: Tensor, apart: int, number: int, distance: int) -> tuple[float, int]:
    """Sum of squared differences between elements of a contiguous tensor and those so far behind them.

    Args:
        x: float32.
        apart: how far.
        number: of the elements from the first on.
        distance: between those that are looked at.

    Returns:
        The sum, and how many there were.
    """
    values = x.view(-1).numpy()
    with np.errstate(all="ignore"):
        first, second = values[:number:distance], values[apart : apart + number : distance]
        difference = first - second
        squares = float(torch.dot(*(torch.from_numpy(difference),) * 2))
        if not math.isfinite(squares):
            squares = float(np.square(np.subtract(first, second, dtype=np.float64)).sum())
        return squares, difference.size


def count_bins(sample: Array) -> Array:
    """Counts [1024] of float32 values over the fixed bins."""
    counts: Array = np.bincount(sample.view(np.uint32) >> 22, minlength=BINS)
    return counts


def count_subnormal(sample: Array, tiny: float) -> int:
    """How many values are smaller than the smallest normal number, and not zero."""
    magnitude = np.abs(sample)
    small = int(np.count_nonzero(magnitude < tiny))
    return small - int(np.count_nonzero(magnitude == 0)) if small else 0


# Many small tensors at once -----------------------------------------------------------------------------------------


def segment_sums(values: Array, starts: Array) -> Array:
    """Rows of many tensors that lie one behind the other: one pass for all of them.

    A tensor of a few hundred values costs less to reduce than to ask for, so this makes a model of thousands of small
    parameters several times cheaper. float64 throughout needs no care for extreme float32 values.

    Args:
        values: float32 [N].
        starts: where each tensor begins, ascending; none is empty.

    Returns:
        float64 [tensors, K].
    """
    sums = np.zeros((len(starts), COLUMNS))
    with np.errstate(all="ignore"):
        wide = values.astype(np.float64)
        sums[:, SUM] = np.add.reduceat(wide, starts)
        np.abs(wide, out=wide)
        sums[:, ABS_MAX] = np.maximum.reduceat(wide, starts)
        small = wide < _TINY
        if small.any():
            zero = wide == 0
            sums[:, ZEROS] = np.add.reduceat(zero, starts, dtype=np.float64)
            sums[:, SUBNORMAL] = np.add.reduceat(small, starts, dtype=np.float64) - sums[:, ZEROS]
        if not np.isfinite(sums[:, ABS_MAX]).all():
            sums[:, NONFINITE] = np.add.reduceat(~np.isfinite(wide), starts, dtype=np.float64)
        sums[:, SUMSQ] = np.add.reduceat(np.square(wide, out=wide), starts)
    return sums


def segment_bins(values: Array, starts: Array) -> list[tuple[Array, Array]]:
    """Sparse counts of the same tensors, every value counted: bins in use and how often."""
    out: list[tuple[Array, Array]] = []
    bins = values.view(np.uint32) >> 22
    stops = [*starts[1:], len(values)]
    for first in range(0, len(starts), 64):
        span = slice(starts[first], stops[min(first + 64, len(starts)) - 1])
        lengths = np.diff([*starts[first : first + 64], span.stop])
        number = len(lengths)
        keys = bins[span] + np.repeat(np.arange(number, dtype=np.uint32) * BINS, lengths)
        counts = np.bincount(keys, minlength=number * BINS)
        used = np.flatnonzero(counts)
        edges = np.searchsorted(used, np.arange(number + 1) * BINS).tolist()
        indices, numbers = used % BINS, counts[used]
        out += [(indices[a:b], numbers[a:b]) for a, b in pairwise(edges)]
    return out


# One piece ----------------------------------------------------------------------------------------------------------


def _extremes(flat: Tensor, scratch: Scratch) -> tuple[float, float]:
    """Smallest and largest value; NaN where one is."""
    (low, high, *_), numbers = scratch.cells(flat.dtype)
    torch.aminmax(flat, out=(low, high))
    return float(numbers[0]), float(numbers[1])


def _dot(flat: Tensor, scratch: Scratch) -> float:
    cells, numbers = scratch.cells(flat.dtype)
    torch.dot(flat, flat, out=cells[2])
    return float(numbers[2])


def _sum(flat: Tensor, scratch: Scratch) -> float:
    cells, numbers = scratch.cells(flat.dtype)
    torch.sum(flat, 0, out=cells[3])
    return float(numbers[3])


def _nonzero(values: Array, scratch: Scratch) -> Array:
    flags: Array = np.not_equal(values, 0, out=scratch.flags(values.size))
    return flags


def _per_unit(piece: Tensor, wide: torch.dtype | None) -> Array:
    sums: Array = piece.sum((0, 2) if piece.ndim > 2 else (0,), dtype=wide).numpy()
    return sums


def _columns(flags: Array, shape: torch.Size) -> Array:
    """How many flags [A, U] or [A, U, B] are set of each unit: summed as bytes, 32 to an instruction."""
    width = shape[1:].numel()
    fold = max(1, _FOLD // width) if shape[0] > 1 else 1
    rows = flags.view(np.uint8)
    body = rows.size // (width * fold) * (width * fold)
    wide_rows = rows[:body].reshape(-1, width * fold)
    counts: Array = np.zeros(width * fold, dtype=np.int64)
    for start in range(0, len(wide_rows), _BYTE):
        counts += np.add.reduce(wide_rows[start : start + _BYTE], axis=0, dtype=np.uint8)
    if fold > 1:
        counts = counts.reshape(fold, width).sum(0)
        counts += np.add.reduce(rows[body:].reshape(-1, width), axis=0, dtype=np.int64)
    if len(shape) > 2:
        counts = counts.reshape(shape[1], -1).sum(1)
    return counts


def _add_moments(
    row: Any, piece: Tensor, values: Array, low: float, high: float, total: float | None, scratch: Scratch
) -> None:
    """Adds sum (where the total is given), squares, largest magnitude, and how many values are not finite."""
    n = values.size
    squares = _dot(piece, scratch)
    largest = max(-low, high) if low == low else math.nan
    mean = total / n if total is not None else 0.0
    if not math.isfinite(largest):
        row[NONFINITE] += n - int(np.count_nonzero(np.isfinite(values, out=scratch.flags(n))))
    elif largest and not n * _VANISHES < squares < math.inf:
        # Scaling by a power of two is exact; the squares are put together again in double precision.
        power = min(max(math.frexp(largest)[1], -126), 1023)
        scaled = torch.mul(piece, 2.0**-power, out=scratch.like(piece))
        back = 2.0**power
        if total is not None:
            mean = _sum(scaled, scratch) / n * back
        scaled.sub_(mean / back)
        squares = min(_dot(scaled, scratch) * back * back + n * mean * mean, LARGEST)
    elif total is not None and mean * mean * n > _CANCELS * max(squares - n * mean * mean, 0.0):
        away = torch.sub(piece, mean, out=scratch.like(piece))
        offset = _sum(away, scratch) / n
        squares = _dot(away, scratch) - n * offset * offset
        mean += offset
        squares += n * mean * mean
    row[SUM] += min(max(n * mean, -LARGEST), LARGEST) if math.isfinite(largest) else n * mean
    row[SUMSQ] += squares
    if largest != largest or largest > row[ABS_MAX]:
        row[ABS_MAX] = largest
