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

from torchvitals.scratch import Scratch, spread
from torchvitals.sums import (
    ABS_MAX,
    BINS,
    COLUMNS,
    HISTOGRAM_SAMPLE,
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
_LOOK: Final = 16  # values that are looked at to guess what the others are like
_BYTE: Final = 255  # as many flags as a byte can count
_TINY: Final = float(np.finfo(np.float32).tiny)
_tiny: Final = torch.tensor(_TINY)
_FOLD: Final = 512  # bytes added side by side; NumPy adds short rows slowly

Array = NDArray[Any]


def add_values(row: Any, pieces: Iterable[Tensor], scratch: Scratch, *, zeros: bool) -> None:
    """Adds flat float32 or float64 pieces of one tensor to its row; see `torchvitals.statistics.add_values`."""
    for piece in pieces:
        values = piece.numpy()
        if not zeros or 0 in values[:_LOOK].tolist():
            low, high = _extremes(piece, scratch)
        else:  # mostly there is no zero at all
            low, high = _extremes(torch.abs(piece, out=scratch.like(piece)), scratch)
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
        # Where some are seen to be negative, magnitudes are needed anyway, and their extremes tell more.
        signed = units is not None and limits == (None, None) and min(values[:_LOOK].tolist()) < 0
        magnitudes = torch.abs(piece, out=scratch.like(piece)) if signed else piece
        low, high = _extremes(magnitudes, scratch)
        if units is None:
            total = _sum(flat, scratch)
            row[ZEROS] += values.size - int(np.count_nonzero(_nonzero(values, scratch)))
        else:
            if not (signed or low >= 0):
                magnitudes, signed = torch.abs(piece, out=scratch.like(piece)), True
            # A sum of large numbers may be too large for float32.
            magnitude = _per_unit(magnitudes, None if low > -SUM_SAFE and high < SUM_SAFE else torch.float64)
            total = _sum(flat, scratch) if signed else float(np.add.reduce(magnitude, dtype=np.float64))
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


def sums_of_rows(x_RN: Tensor, scratch: Scratch) -> Array:
    """The rows of many tensors of one size: a few operations for all of them.

    A tensor of some thousand values costs less to reduce than to ask for, so this makes small layers several times
    cheaper. Extreme values are reduced once more, in float64.

    Args:
        x_RN: float32, contiguous, a tensor a row.
        scratch: buffers of the host.

    Returns:
        float64 [R, K].
    """
    rows, n = x_RN.shape
    sums = np.zeros((rows, COLUMNS))
    magnitude = torch.abs(x_RN, out=scratch.like(x_RN))
    sums[:, ABS_MAX] = magnitude.amax(1).numpy()
    if not float(magnitude.amin()) >= _TINY:  # also where there is NaN
        sums[:, SUBNORMAL] = torch.lt(magnitude, _tiny, out=magnitude).sum(1).numpy()
        sums[:, ZEROS] = n - scratch.nonzero(x_RN).sum(1).numpy()
        sums[:, SUBNORMAL] -= sums[:, ZEROS]
    sums[:, SUM] = x_RN.sum(1).numpy()
    sums[:, SUMSQ] = torch.mul(x_RN, x_RN, out=magnitude).sum(1).numpy()
    with np.errstate(all="ignore"):
        means = sums[:, SUM] * sums[:, SUM] * ((1 + 1 / _CANCELS) / n)
        extreme = _are_extreme(sums[:, SUMSQ], n) | ~(means <= sums[:, SUMSQ])
        careful = np.flatnonzero(extreme & (sums[:, ABS_MAX] != 0))
        if careful.size:
            wide = x_RN.numpy()[careful].astype(np.float64)
            sums[careful, NONFINITE] = n - np.count_nonzero(np.isfinite(wide), axis=1)
            sums[careful, SUM], sums[careful, SUMSQ] = wide.sum(1), np.square(wide).sum(1)
    return sums


def squares_of_rows(x_RN: Tensor, scratch: Scratch) -> Array:
    """Their sums of squares alone: float64 [R]."""
    squares: Array = torch.mul(x_RN, x_RN, out=scratch.like(x_RN)).sum(1).numpy().astype(np.float64)
    with np.errstate(all="ignore"):
        careful = np.flatnonzero(_are_extreme(squares, x_RN.shape[1]))
        if careful.size:
            squares[careful] = np.square(x_RN.numpy()[careful].astype(np.float64)).sum(1)
    return squares


def _are_extreme(squares: Array, n: int) -> Array:
    """Whether sums of n squares are no numbers, or of numbers whose squares are too large or too small for float32."""
    extreme: Array = ~((squares > n * _VANISHES) & (squares < math.inf))
    return extreme


def bins_of_rows(x_RN: Tensor) -> list[tuple[Array, Array]]:
    """Sparse counts of the same tensors, or of a sample of long ones: bins in use and how often."""
    out: list[tuple[Array, Array]] = []
    values = x_RN.numpy()
    if values.shape[1] > HISTOGRAM_SAMPLE:
        values = values.take(spread(values.shape[1], HISTOGRAM_SAMPLE), axis=1)
    bins = values.view(np.uint32) >> 22
    for first in range(0, len(bins), 64):
        part = bins[first : first + 64]
        number = len(part)
        part += np.arange(number, dtype=np.uint32)[:, None] * BINS
        counts = np.bincount(part.ravel(), minlength=number * BINS)
        used = np.flatnonzero(counts)
        edges = np.searchsorted(used, np.arange(number + 1) * BINS).tolist()
        indices, numbers = used % BINS, counts[used]
        out += [(indices[a:b], numbers[a:b]) for a, b in pairwise(edges)]
    return out


# One piece ----------------------------------------------------------------------------------------------------------


def _extremes(x: Tensor, scratch: Scratch) -> tuple[float, float]:
    """Smallest and largest value; NaN where one is."""
    (low, high, *_), numbers = scratch.cells(x.dtype)
    torch.aminmax(x, out=(low, high))
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
