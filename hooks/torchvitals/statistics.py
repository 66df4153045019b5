"""Tensor reductions: what one tensor adds to its row.

Shape suffixes: A positions before the unit axis, U units, B positions after it; K columns of a row.

`moments` and `share` turn the sums of a row (`torchvitals.sums`) into the statistics of the schema. Every element
counts, except where this says "sample".

Two ways to the same numbers. On a CPU the intermediate results are looked at, so that passes over the tensor that would
find nothing are left out (`torchvitals.host`). On any other device reading a number would stop its queue, so there all
passes run, always.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchvitals import host
from torchvitals.scratch import CHUNK, Scratch, spread
from torchvitals.sums import (
    ABS_MAX,
    BINS,
    COMPARED,
    HISTOGRAM_SAMPLE,
    LARGEST,
    NONFINITE,
    SATURATED,
    SPREAD,
    SUBNORMAL,
    SUM,
    SUMSQ,
    ZEROS,
    Limits,
    UnitSums,
    workable,
)

SAMPLE: Final = 1 << 14
"""Elements a parameter's update is measured from. The standard error of its rms is 0.6 to 0.8 % under SGD (up to 1.5 %
for a batch of one example) and at most 0.3 % under Adam. It is larger where few rows of a table are used, since few of
them are in the sample: 2 % with 1,000 of 20,000 rows, 13 % with 64; with a handful it may miss them and say 0."""

PAIRS: Final = 4
"""Pairs of examples that are compared, as far as they have no more elements than the following."""
COMPARISONS: Final = 1 << 16
"""Elements compared at most: the standard error of their mean square is below 1 % then."""


# From any tensor to dense values ------------------------------------------------------------------------------------


def measurable(x: Tensor) -> bool:
    """Whether the numbers of a tensor can be read: data of a floating or complex type, not empty."""
    return (
        (x.is_floating_point() or x.is_complex()) and x.numel() > 0 and not (x.is_meta or x.is_quantized or x.is_nested)
    )


def local(x: Tensor) -> Tensor:
    """The plain tensor in a parameter or another subclass; the local part of a distributed one."""
    if type(x) is Tensor:
        return x
    if hasattr(x, "to_local"):
        x = x.to_local()
    return x.detach().as_subclass(Tensor)


def dense(x: Tensor) -> tuple[Tensor, int]:
    """The values of a measurable tensor as a strided real one, and how many zeros a sparse layout left out."""
    x = x.detach()
    missing = 0
    if x.layout != torch.strided:
        total = x.numel()
        x = x.coalesce().values() if x.layout == torch.sparse_coo else x.values()
        missing = total - x.numel()
    if x.is_complex():
        x = torch.view_as_real(x.resolve_conj())
    if x.element_size() == 1:  # reductions are not implemented for float8
        x = x.float()
    return x, missing


def in_storage_order(x: Tensor, axis: int | None = None) -> tuple[Tensor, int | None]:
    """The same elements as a contiguous tensor and where its axis went; no copy where they lie densely."""
    if x.is_contiguous():
        return x, axis
    strides = x.stride()
    order = sorted(range(x.ndim), key=lambda d: (-strides[d], d))
    y = x.permute(order)
    if not y.is_contiguous():
        return x.contiguous(), axis
    return y, None if axis is None else order.index(axis)


def strided_sample(x: Tensor, wanted: int, scratch: Scratch) -> Tensor:
    """At most ``wanted`` elements of a strided tensor, evenly spread in storage order over all of it; a copy.

    Their distance is not a whole number, so that they visit all units alike; blocks of neighbours would be off by up to
    100 %, and a whole distance that shares a factor with the length of an axis by nearly as much.
    """
    x, _ = in_storage_order(x)
    flat = x.view(-1)
    if flat.numel() <= wanted:
        return flat.clone()
    if scratch.host and flat.dtype in (torch.float32, torch.float64):
        places = spread(flat.numel(), wanted)
        return torch.from_numpy(flat.numpy().take(places, mode="clip"))  # half the time of index_select
    return flat.index_select(0, scratch.spread(flat.numel(), wanted))


# One tensor into its row --------------------------------------------------------------------------------------------


def add_values(
    row: Any,
    x: Tensor,
    scratch: Scratch,
    *,
    zeros: bool = True,
    subnormal: torch.dtype | None = None,
) -> Tensor | None:
    """Adds a gradient or a parameter to its row: squares, largest magnitude, zeros, non-finite and subnormal values.

    Args:
        row: [K], see `torchvitals.sums.empty_row`; changed in place.
        x: strided floating tensor (see `dense`).
        scratch: buffers of the tensor's device.
        zeros: count exact zeros.
        subnormal: estimate from a sample the nonzero values below the smallest normal number of this format.

    Returns:
        The sample of `HISTOGRAM_SAMPLE` elements that was taken for that, if any.
    """
    pieces = _flat_pieces(x, scratch)
    if scratch.host:
        host.add_values(row, pieces, scratch, zeros=zeros)
    else:
        for piece in pieces:
            _add_moments_on_device(row, piece, scratch, centred=False)
            if zeros:
                row[ZEROS] += piece.numel() - scratch.nonzero(piece).sum()
    if subnormal is None:
        return None
    sample = strided_sample(x, HISTOGRAM_SAMPLE, scratch)  # now that the tensor is in the cache
    sample = sample.float() if sample.element_size() < 4 else sample
    tiny = torch.finfo(subnormal).tiny
    if scratch.host:
        small: Any = host.count_subnormal(sample.numpy(), tiny)
    else:
        magnitude = sample.abs()
        small = ((magnitude > 0) & (magnitude < tiny)).sum()
    row[SUBNORMAL] += small * (x.numel() / sample.numel())
    return sample


def add_squares(row: Any, x: Tensor, scratch: Scratch) -> None:
    """Adds the sum of squares, and nothing else that may be relied upon; half the price of `add_values`."""
    if scratch.host:
        host.add_squares(row, _flat_pieces(x, scratch), scratch)
    else:
        add_values(row, x, scratch, zeros=False)


def add_activation(
    row: Any, x: Tensor, axis: int | None, scratch: Scratch, units: UnitSums | None, limits: Limits
) -> None:
    """Adds a layer's output to its row, and what its units did.

    Args:
        row: [K], as in `add_values`.
        x: strided floating tensor, any shape.
        axis: the axis of ``x`` that counts units; ``None`` where it has none.
        scratch: buffers of the tensor's device.
        units: sums per unit [U], changed in place; ``None`` where there is no unit axis.
        limits: outputs at or beyond these are saturated.
    """
    y, axis = in_storage_order(x, axis)
    if axis is None:
        x_AUB = y.view(1, -1)
    elif axis == y.ndim - 1:
        x_AUB = y.view(-1, y.shape[axis])
    else:
        x_AUB = y.view(math.prod(y.shape[:axis]), y.shape[axis], -1)
    pieces = ((workable(piece, scratch), of_units) for piece, of_units in _pieces(x_AUB))
    if scratch.host:
        host.add_activation(row, pieces, scratch, units, limits)
    else:
        for piece, of_units in pieces:
            _add_activation_on_device(row, piece, of_units, scratch, units, limits)
    if units is not None:
        units.observations += x.numel() // len(units.fired)


def add_spread(row: Any, x: Tensor, scratch: Scratch) -> None:
    """Adds how a layer's output varies from example to example (positions of the first axis), from a few pairs.

    Half the mean squared difference of two examples is an unbiased estimate of the variance over examples of a unit,
    at a position; its mean over the elements tells an output that depends on the input from one that does not.

    Args:
        row: [K], as in `add_values`.
        x: strided floating tensor; nothing is added where it has fewer than two examples.
        scratch: buffers of the tensor's device.
    """
    half = x.shape[0] // 2 if x.ndim > 1 else 0
    if half == 0:
        return
    size = x.shape[1:].numel()
    pairs = min(half, PAIRS, max(1, COMPARISONS // size))
    if scratch.host and x.dtype == torch.float32 and x.is_contiguous():
        every = -(-pairs * size // COMPARISONS)
        total, compared = host.squared_differences(x, half * size, pairs * size, every)
        row[SPREAD] += total / 2
        row[COMPARED] += compared
        return
    first, second = (part.reshape(-1) for part in (x[:pairs], x[half : half + pairs]))
    if first.numel() > COMPARISONS:
        distance = -(-first.numel() // COMPARISONS)
        first, second = first[::distance], second[::distance]
    row[COMPARED] += first.numel()
    if not scratch.host:
        row[SPREAD] += _squares(first, second, scratch.wide) / 2
        return
    total = float(_squares(first, second, x.dtype if x.dtype == torch.float64 else torch.float32).numpy())
    if not math.isfinite(total):
        total = float(_squares(first, second, torch.float64).numpy())
    row[SPREAD] += total / 2


def _squares(first: Tensor, second: Tensor, dtype: torch.dtype) -> Tensor:
    difference = first.to(dtype) - second
    return torch.dot(difference, difference)


def _pieces(x_AUB: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """Contiguous parts of at most `CHUNK` elements, and the units they hold. ``x_AUB`` may have no last axis."""
    every = slice(None)
    if x_AUB.numel() <= CHUNK:
        yield x_AUB, every
    elif x_AUB.shape[1:].numel() <= CHUNK:
        for piece in x_AUB.split(CHUNK // x_AUB.shape[1:].numel()):
            yield piece, every
    else:
        for x_UB in x_AUB.split(1):
            at_once = max(1, CHUNK // x_UB.shape[2:].numel())
            for start in range(0, x_UB.shape[1], at_once):
                units = slice(start, start + at_once)
                for piece in x_UB[:, units].split(CHUNK, dim=2) if x_UB.ndim > 2 else (x_UB[:, units],):
                    yield piece, units


def _flat_pieces(x: Tensor, scratch: Scratch) -> Iterable[Tensor]:
    flat = in_storage_order(x)[0].view(-1)
    if flat.numel() <= CHUNK:
        return (workable(flat, scratch),)
    return (workable(flat[start : start + CHUNK], scratch) for start in range(0, flat.numel(), CHUNK))


def _add_activation_on_device(
    row: Tensor, piece: Tensor, of_units: slice, scratch: Scratch, units: UnitSums | None, limits: Limits
) -> None:
    _add_moments_on_device(row, piece.reshape(-1), scratch, centred=True)
    if units is None:
        row[ZEROS] += piece.numel() - scratch.nonzero(piece).sum()
    else:
        others = (0, 2) if piece.ndim > 2 else (0,)
        fired = scratch.nonzero(piece).sum(others)
        units.fired[of_units] += fired
        row[ZEROS] += piece.numel() - fired.sum()
        # A sum of large numbers may be too large for float32.
        units.magnitude[of_units] += torch.abs(piece, out=scratch.like(piece)).sum(others, dtype=scratch.wide)
    low, high = limits
    if low is not None:
        row[SATURATED] += torch.le(piece, low, out=scratch.like(piece)).sum()
    if high is not None:
        row[SATURATED] += torch.ge(piece, high, out=scratch.like(piece)).sum()


def _add_moments_on_device(row: Tensor, piece: Tensor, scratch: Scratch, centred: bool) -> None:
    n = piece.numel()
    low, high = torch.aminmax(piece)
    largest = torch.maximum(low.abs(), high.abs())
    usable = torch.isfinite(largest) & (largest > 0)
    # The reciprocal of a subnormal number is infinite.
    scale = torch.where(usable, largest.clamp(min=torch.finfo(piece.dtype).tiny), 1.0).to(scratch.wide)
    scaled = torch.mul(piece, (1.0 / scale).to(piece.dtype), out=scratch.like(piece))
    if centred:
        variance, mean = (v.to(scratch.wide) for v in torch.var_mean(scaled, correction=0))
        total = n * mean * scale
        row[SUM] += torch.where(torch.isfinite(largest), total.clamp(-LARGEST, LARGEST), total)
        squares = n * (variance + mean * mean) * scale * scale
    else:
        squares = torch.dot(scaled, scaled).to(scratch.wide) * scale * scale
    row[SUMSQ] += torch.where(torch.isfinite(largest), squares.clamp(max=LARGEST), squares)
    row[NONFINITE] += n - torch.isfinite(piece).sum()
    row[ABS_MAX] = torch.maximum(row[ABS_MAX], largest.to(scratch.wide))


def count_bins(x: Tensor, scratch: Scratch, missing: int = 0, sample: Tensor | None = None) -> Any:
    """Histogram of a strided sample over the 1,024 fixed bins (`torchvitals_tb.packing.bin_of`).

    Args:
        x: strided floating tensor.
        scratch: buffers of its device.
        missing: zeros that a sparse layout left out; they count in the same proportion.
        sample: of `HISTOGRAM_SAMPLE` elements, where there is one already.
    """
    sample = strided_sample(x, HISTOGRAM_SAMPLE, scratch) if sample is None else sample
    if sample.dtype != torch.float32:
        sample = sample.float()
    if scratch.host:
        counts: Any = host.count_bins(sample.numpy())
    else:
        bins = ((sample.contiguous().view(torch.int32) >> 22) & (BINS - 1)).long()
        counts = torch.zeros(BINS, dtype=torch.int32, device=x.device)
        counts.scatter_add_(0, bins, torch.ones_like(bins, dtype=torch.int32))
    if missing:
        counts[0] += round(missing * sample.numel() / x.numel())
    return counts


def bins_in_use(x: Tensor, scratch: Scratch, missing: int = 0, sample: Tensor | None = None) -> Any:
    """`count_bins` as it is kept until it is written: on the host as the few bins in use and their counts.

    That is a fortieth of the memory. On other devices it would take waiting to know which those are.
    """
    counts = count_bins(x, scratch, missing, sample)
    if not scratch.host:
        return counts
    used = counts.nonzero()[0]
    return used, counts[used]


# From sums to statistics --------------------------------------------------------------------------------------------

Vector = NDArray[np.float64]


def moments(sums_RK: Vector, n: Vector) -> tuple[Vector, Vector, Vector]:
    """Mean, standard deviation (of the population) and root mean square per row; NaN where nothing was seen."""
    with np.errstate(all="ignore"):
        count = np.where(n > 0, n, np.nan)
        mean = sums_RK[:, SUM] / count
        square = sums_RK[:, SUMSQ] / count
        variance = square - mean * mean
        return mean, np.sqrt(np.where(variance < 0, 0, variance)), np.sqrt(square)


def share(sums_RK: Vector, column: int, n: Vector) -> Vector:
    """A counted column as a share of the elements; NaN where nothing was seen."""
    return sums_RK[:, column] / np.where(n > 0, n, np.nan)


def to_float32(values: Vector) -> NDArray[np.float32]:
    """float32 for the record. Finite stays finite: what float32 cannot hold becomes its largest number."""
    bound = float(np.finfo(np.float32).max)
    clipped = np.where(np.isfinite(values), np.clip(values, -bound, bound), values)
    return clipped.astype(np.float32)
