"""Tensor reductions: what one tensor adds to its row.

Shape suffixes: A positions before the unit axis, U units, B positions after it; K columns of a row.

`moments` and `share` turn the sums of a row (`torchvitals.sums`) into the statistics of the schema. Every element
counts, except where this says "sample".

Two ways to the same numbers: on the host one pass of compiled code (`torchvitals.kernels`); on any other device
PyTorch's own operations (`torchvitals.device`). float64 on the host goes the second way too.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Parameter

from torchvitals import device, kernels
from torchvitals.scratch import CHUNK, Scratch
from torchvitals.sums import (
    BINS,
    COMPARED,
    HISTOGRAM_SAMPLE,
    SPREAD,
    SUBNORMAL,
    SUM,
    SUMSQ,
    ZEROS,
    Limits,
    UnitSums,
    empty_row,
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


_PLAIN: Final = frozenset((Tensor, Parameter))
_FLOAT: Final = torch.float32
_STRIDED: Final = torch.strided


# From any tensor to dense values ------------------------------------------------------------------------------------


def measurable(x: Tensor) -> bool:
    """Whether the numbers of a tensor can be read: data of a floating or complex type, not empty, and not freed."""
    if not (x.is_floating_point() or x.is_complex()) or x.numel() == 0 or x.is_meta or x.is_quantized or x.is_nested:
        return False
    # Sharding frees the memory of whole parameters, and leaves the tensors.
    return type(x) not in _PLAIN or x.layout != torch.strided or x._is_zerotensor() or x.untyped_storage().nbytes() > 0


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
    if x.is_neg():  # a view of complex numbers
        x = x.resolve_neg()
    if x._is_zerotensor():  # which has no memory
        x = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
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
    return flat.index_select(0, scratch.spread(flat.numel(), wanted))


# One tensor into its row --------------------------------------------------------------------------------------------


def is_plain(x: Tensor) -> bool:
    """Whether the kernels take a tensor as it lies, looking at nothing more."""
    return (
        type(x) in _PLAIN
        and x.dtype is _FLOAT
        and x.is_cpu
        and x.layout is _STRIDED
        and not x.is_nested
        and x.is_contiguous()
        and not x.is_neg()
        and x.data_ptr() > 4 * x.storage_offset()  # else it is empty, or its memory is not there
    )


def add_values(
    row: Any,
    x: Tensor,
    scratch: Scratch,
    *,
    zeros: bool = True,
    subnormal: torch.dtype | None = None,
    bins: bool = False,
    missing: int = 0,
) -> Any:
    """Adds a gradient or a parameter to its row: squares, largest magnitude, zeros, non-finite and subnormal values.

    Args:
        row: [K], see `torchvitals.sums.empty_row`; changed in place.
        x: strided floating tensor (see `dense`).
        scratch: buffers of the tensor's device.
        zeros: count exact zeros.
        subnormal: count the nonzero values below the smallest normal number of this format; on a device estimated from
            a sample.
        bins: also count a histogram.
        missing: zeros that a sparse layout left out; they count in the histogram.

    Returns:
        The histogram, as of `bins_in_use`.
    """
    x, _ = in_storage_order(x)
    if scratch.host and x.dtype == torch.float32 and not missing:
        return kernels.add_values(x, _tiny(subnormal), row, HISTOGRAM_SAMPLE if bins else 0)
    sample = None
    pieces = (workable(piece, scratch) for piece in x.view(-1).split(CHUNK))
    if scratch.host and x.dtype != torch.float64:
        for piece in pieces:
            kernels.add_values(piece, _tiny(subnormal), row)
    else:
        row = _as_tensor(row)
        for piece in pieces:
            device.add_moments(row, piece, scratch, centred=False)
            if zeros:
                row[ZEROS] += piece.numel() - scratch.nonzero(piece).sum()
        if subnormal is not None:
            sample = strided_sample(x, HISTOGRAM_SAMPLE, scratch)  # now that the tensor is in the cache
            sample = sample.float() if sample.element_size() < 4 else sample
            magnitude = sample.abs()
            small = ((magnitude > 0) & (magnitude < torch.finfo(subnormal).tiny)).sum()
            row[SUBNORMAL] += small * (x.numel() / sample.numel())
    return bins_in_use(x, scratch, missing, sample) if bins else None


@functools.cache
def _tiny(dtype: torch.dtype | None) -> float:
    return 0.0 if dtype is None or dtype == torch.float64 else torch.finfo(dtype).tiny


def _as_tensor(sums: Any) -> Tensor:
    """What is on the host, for PyTorch to add to."""
    return sums if isinstance(sums, Tensor) else torch.frombuffer(sums, dtype=torch.float64)


class _Geometry(NamedTuple):
    """How a contiguous output is taken apart."""

    shape: tuple[int, int, int]
    """Positions before the unit axis, units, positions after it."""
    pairs: tuple[int, int, int]
    """The elements of examples that are compared: how far apart they lie, how many there are, of which every so manyth
    is looked at."""


@functools.lru_cache(1 << 14)
def _geometry(shape: torch.Size, axis: int | None) -> _Geometry:
    half = shape[0] // 2 if len(shape) > 1 else 0
    size = math.prod(shape[1:])
    compared = min(half, PAIRS, max(1, COMPARISONS // max(size, 1))) * size
    of_units = (1, 1, math.prod(shape))
    if axis is not None:
        of_units = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    return _Geometry(of_units, (half * size, compared, -(-compared // COMPARISONS)))


def add_activation(
    row: Any,
    x: Tensor,
    axis: int | None,
    scratch: Scratch,
    units: UnitSums | None,
    limits: Limits,
    *,
    bins: bool = False,
) -> Any:
    """Adds a layer's output to its row, what its units did, and how it varies from example to example.

    Examples are positions of the first axis. Half the mean squared difference of two of them is an unbiased estimate of
    the variance over examples of a unit, at a position; its mean over the elements tells an output that depends on the
    input from one that does not. A few pairs are compared.

    Args:
        row: [K], as in `add_values`.
        x: strided floating tensor, any shape.
        axis: the axis of ``x`` that counts units; ``None`` where it has none.
        scratch: buffers of the tensor's device.
        units: sums per unit [U], changed in place; ``None`` where there is no unit axis.
        limits: outputs at or beyond these are saturated.
        bins: also count a histogram.

    Returns:
        The histogram, as of `bins_in_use`.
    """
    y, unit_axis = in_storage_order(x, axis)
    found = None
    if scratch.host and y.dtype == torch.float32:
        shape, pairs = _geometry(y.shape, unit_axis)
        if y is not x and not _examples_first(x, y):
            _add_spread(row, x, scratch)
            pairs = (0, 0, 1)
        found = _add_activation(row, y, shape, units, 0, limits, pairs, HISTOGRAM_SAMPLE if bins else 0)
    else:
        x_AUB = y.view(_geometry(y.shape, unit_axis).shape)
        if scratch.host and y.dtype != torch.float64:
            for piece, part in _pieces(x_AUB):
                _add_activation(row, workable(piece, scratch), piece.shape, units, part.start or 0, limits)
        else:
            sums = _as_tensor(row), units and UnitSums(_as_tensor(units.fired), _as_tensor(units.magnitude))
            for piece, part in _pieces(x_AUB):
                device.add_activation(sums, workable(piece, scratch), part, scratch, limits)
        _add_spread(row, x, scratch)
        found = bins_in_use(x, scratch) if bins else None
    if units is not None:
        units.observations += x.numel() // len(units.fired)
    return found


def _examples_first(x: Tensor, y: Tensor) -> bool:
    """Whether the first axis is the outermost in memory, and came first also in storage order."""
    return x.ndim < 2 or (x.stride(0) * x.shape[0] == x.numel() and x.shape[0] == y.shape[0])


def _add_activation(
    row: Any,
    x: Tensor,
    shape: Any,
    units: UnitSums | None,
    first: int,
    limits: Limits,
    pairs: tuple[int, int, int] = (0, 0, 1),
    bins: int = 0,
) -> kernels.Bins | None:
    places: tuple[Any, Any] = None, None
    if units is not None:
        places = ctypes.addressof(units.fired) + 8 * first, ctypes.addressof(units.magnitude) + 8 * first
    low, high = limits
    ends = math.nan if low is None else low, math.nan if high is None else high
    return kernels.add_activation(x, shape, places, pairs, ends, row, bins)


def _add_spread(row: Any, x: Tensor, scratch: Scratch) -> None:
    apart, compared, every = _geometry(x.shape, None).pairs
    if not compared:
        return
    size = apart // (x.shape[0] // 2)
    first, second = (x[at : at + compared // size].reshape(-1)[::every] for at in (0, x.shape[0] // 2))
    row = _as_tensor(row)
    row[COMPARED] += first.numel()
    difference = first.to(scratch.wide) - second
    row[SPREAD] += torch.dot(difference, difference) / 2


def _pieces(x_AUB: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """Contiguous parts of at most `CHUNK` elements, and the units they hold."""
    every = slice(None)
    if x_AUB.numel() <= CHUNK:
        yield x_AUB, every
    elif x_AUB.shape[1:].numel() <= CHUNK:
        for piece in x_AUB.split(CHUNK // x_AUB.shape[1:].numel()):
            yield piece, every
    else:
        at_once = max(1, CHUNK // x_AUB.shape[2])
        for x_UB in x_AUB.split(1):
            for start in range(0, x_UB.shape[1], at_once):
                units = slice(start, start + at_once)
                for piece in x_UB[:, units].split(CHUNK, dim=2):
                    yield piece, units


def bins_in_use(x: Tensor, scratch: Scratch, missing: int = 0, sample: Tensor | None = None) -> Any:
    """Histogram of a strided sample over the 1,024 fixed bins (`torchvitals_tb.packing.bin_of`).

    Args:
        x: strided floating tensor.
        scratch: buffers of its device.
        missing: zeros that a sparse layout left out; they count in the same proportion.
        sample: of `HISTOGRAM_SAMPLE` elements, where there is one already.

    Returns:
        On the host `kernels.Bins`, a fortieth of the memory of all counts. Those [1024] on other devices, where it
        would take waiting to know which bins are in use.
    """
    sample = strided_sample(x, HISTOGRAM_SAMPLE, scratch) if sample is None else sample
    if sample.dtype != torch.float32:
        sample = sample.float()
    zeros = round(missing * sample.numel() / x.numel())
    if scratch.host:
        found = kernels.add_values(sample, 0.0, empty_row(scratch), sample.numel())
        if not zeros or found is None:
            return found
        used, numbers = found
        dense = np.zeros(BINS, dtype=np.int64)
        dense[used] = numbers
        dense[0] += zeros
        return dense.nonzero()[0], dense[dense > 0]
    bins = ((sample.view(torch.int32) >> 22) & (BINS - 1)).long()
    counts = torch.zeros(BINS, dtype=torch.int32, device=x.device)
    counts.scatter_add_(0, bins, torch.ones_like(bins, dtype=torch.int32))
    counts[0] += zeros
    return counts


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


def rms(sums: Vector, n: Vector) -> Vector:
    """The last of `moments` alone, of rows [..., K] and their numbers of elements [...]."""
    with np.errstate(all="ignore"):
        return np.asarray(np.sqrt(sums[..., SUMSQ] / np.where(n > 0, n, np.nan)))


def share(sums: Vector, column: int, n: Vector) -> Vector:
    """A counted column of rows [..., K] as a share of the elements [...]; NaN where nothing was seen."""
    return np.asarray(sums[..., column] / np.where(n > 0, n, np.nan))


def to_float32(values: Vector) -> NDArray[np.float32]:
    """float32 for the record. Finite stays finite: what float32 cannot hold becomes its largest number."""
    bound = float(np.finfo(np.float32).max)
    clipped = np.where(np.isfinite(values), np.clip(values, -bound, bound), values)
    return clipped.astype(np.float32)
