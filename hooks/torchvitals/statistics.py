"""Tensor reductions: what one tensor adds to its row.

Shape suffixes: A positions before the unit axis, U units, B positions after it; K columns of a row.

A row is a float64 vector of additive sums (and one maximum), so that rows add up over the calls of a layer, over the
micro-batches of a step and over processes; `moments` and `share` turn them into the statistics of the schema. Every
element counts, except where this says "sample".

Two ways to the same numbers. On a CPU the intermediate results are read through NumPy views of the cells they were
reduced into (no operation is dispatched for that), so that the careful pass over extreme values runs only where it is
needed. On any other device reading a number would stop its queue, so there the careful pass always runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SUM, SUMSQ, ZEROS, NONFINITE, SATURATED, SUBNORMAL, ABS_MAX, SPREAD, COMPARED, COLUMNS = range(10)
"""Columns of a row: sum, sum of squares; counts of exact zeros, of NaN and infinities, of values at the limits of a
bounded activation; share of subnormal values times elements; largest magnitude; half the squared differences between
pairs of examples, and how many elements were compared for it."""

CHUNK: Final = 1 << 18
"""Elements reduced at a time: the scratch (1 MiB) then stays in the cache and never page-faults."""
HISTOGRAM_SAMPLE: Final = 1 << 12
"""Elements a histogram, and the share of subnormal values, is counted from; a tensor with no more is counted whole.
With k bins in use the total variation to the histogram of all elements is about sqrt(k / (2 pi n)): 3.5 % for the usual
30 bins, 6 % for 100. The standard error of a share is at most 0.008."""
SAMPLE: Final = 1 << 14
"""Elements a parameter's update is measured from. The standard error of its rms is 0.6 to 0.8 % under SGD (up to 1.5 %
for a batch of one example) and at most 0.3 % under Adam. It is larger where few rows of a table are used, since few of
them are in the sample: 2 % with 1,000 of 20,000 rows, 13 % with 64; with a handful it may miss them and say 0."""
BINS: Final = 1024

_SQUARES_SAFE: Final = (1e-12, 1e15)  # largest magnitudes whose float32 squares neither vanish nor overflow in a sum
_PAIRS: Final = 4
_MOST_SPREADS: Final = 64
_MOST_VIEWS: Final = 4096
_LARGEST: Final = 1e300  # what a finite sum of squares becomes that float64 cannot hold; a record holds float32 anyway
_SUM_SAFE: Final = 1e30  # largest magnitude of which a piece can be summed in float32
_CANCELS: Final = 64.0  # mean^2 / variance above which a one-pass variance in float32 loses digits

Limits = tuple[float | None, float | None]


class Scratch:
    """Reusable buffers of one device: reductions write into them instead of allocating."""

    def __init__(self, device: torch.device, *, host: bool | None = None) -> None:
        self.device = device
        self.host = device.type == "cpu" if host is None else host
        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self._buffers: dict[tuple[torch.dtype, int], Tensor] = {}
        self._views: dict[tuple[torch.dtype, int, torch.Size], Tensor] = {}
        self._zero: dict[torch.dtype, Tensor] = {}
        self._cells: dict[torch.dtype, tuple[Tensor, tuple[Tensor, ...], NDArray[Any]]] = {}
        self._spread: dict[tuple[int, int], Tensor] = {}

    def like(self, x: Tensor, slot: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """A buffer of the shape of ``x``; its contents last until the next call with the same slot."""
        key = (dtype or x.dtype, slot, x.shape)
        view = self._views.get(key)
        if view is None:
            if len(self._views) >= _MOST_VIEWS:  # batches of every size
                self._views.clear()
            buffer = self._buffers.get(key[:2])
            with torch.inference_mode(False):  # born in inference mode, it could not be written to later
                if buffer is None or buffer.numel() < x.numel():
                    buffer = torch.empty(max(CHUNK, x.numel()), dtype=key[0], device=self.device)
                    self._buffers[key[:2]] = buffer
                    self._views = {known: v for known, v in self._views.items() if known[:2] != key[:2]}
                view = self._views[key] = buffer[: x.numel()].view(x.shape)
        return view

    def nonzero(self, x: Tensor) -> Tensor:
        """1 where ``x`` is not exactly zero (so also for NaN), else 0, in a buffer of slot 0."""
        zero = self._zero.get(x.dtype)
        if zero is None:
            with torch.inference_mode(False):
                zero = self._zero[x.dtype] = torch.zeros((), dtype=x.dtype, device=self.device)
        return torch.ne(x, zero, out=self.like(x))  # a number instead of the tensor takes three times as long

    def cells(self, dtype: torch.dtype) -> tuple[tuple[Tensor, ...], NDArray[Any]]:
        """Four single-number tensors to reduce into, and the NumPy array that shares their memory (host only)."""
        if dtype not in self._cells:
            with torch.inference_mode(False):
                block = torch.zeros(4, dtype=dtype)
            self._cells[dtype] = (block, tuple(block[i] for i in range(4)), block.numpy())
        return self._cells[dtype][1:]

    def spread(self, total: int, wanted: int) -> Tensor:
        """Positions of about ``wanted`` elements, evenly spread over a larger number."""
        if (total, wanted) not in self._spread:
            number = wanted - 3  # a prime for the sizes in use
            while total % number == 0:
                number -= 2
            if len(self._spread) >= _MOST_SPREADS:  # batches of every size
                self._spread.clear()
            with torch.inference_mode(False):
                positions = torch.arange(number, device=self.device) * total // number
            self._spread[total, wanted] = positions
        return self._spread[total, wanted]

    def zeros(self, *shape: int) -> Tensor:
        """Accumulators, in the widest floating type of the device."""
        with torch.inference_mode(False):
            return torch.zeros(shape, dtype=self.wide, device=self.device)

    def sums(self) -> Any:
        """An empty row: a NumPy vector on the host, else a tensor."""
        return np.zeros(COLUMNS) if self.host else self.zeros(COLUMNS)


class Pool:
    """The scratch of every device in use."""

    def __init__(self) -> None:
        self._scratch: dict[torch.device, Scratch] = {}

    def __call__(self, device: torch.device) -> Scratch:
        if device not in self._scratch:
            self._scratch[device] = Scratch(device)
        return self._scratch[device]


@dataclass(slots=True)
class UnitSums:
    """What each unit of one layer did: counts of values that were not exactly zero, sums of magnitudes."""

    fired: Tensor
    magnitude: Tensor
    observations: int = 0


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
    return flat.clone() if flat.numel() <= wanted else flat.index_select(0, scratch.spread(flat.numel(), wanted))


def _workable(piece: Tensor, scratch: Scratch) -> Tensor:
    """float32 or float64: narrower formats are slow to reduce and overflow in their own type."""
    if piece.dtype in (torch.float32, torch.float64):
        return piece
    return scratch.like(piece, slot=1, dtype=torch.float32).copy_(piece)


# One tensor into its row --------------------------------------------------------------------------------------------


def add_values(
    row: Any, x: Tensor, scratch: Scratch, *, zeros: bool = True, subnormal: torch.dtype | None = None
) -> None:
    """Adds a gradient or a parameter to its row: squares, largest magnitude, zeros, non-finite and subnormal values.

    Args:
        row: [K], a NumPy vector on the host, else a tensor on the scratch's device; changed in place.
        x: strided floating tensor (see `dense`).
        scratch: buffers of the tensor's device.
        zeros: count exact zeros.
        subnormal: estimate from a sample the nonzero values below the smallest normal number of this format.
    """
    y, _ = in_storage_order(x)
    flat = y.view(-1)
    for start in range(0, flat.numel(), CHUNK):
        piece = _workable(flat[start : start + CHUNK], scratch)
        _add_moments(row, piece, scratch, centred=False)
        if zeros:
            row[ZEROS] += piece.numel() - _number(scratch.nonzero(piece).sum(), scratch)
    if subnormal is not None:
        sample = strided_sample(x, HISTOGRAM_SAMPLE, scratch)
        magnitude = (sample.float() if sample.element_size() < 4 else sample).abs()
        tiny = torch.finfo(subnormal).tiny
        if scratch.host:
            array = magnitude.numpy()
            small: Any = np.count_nonzero(array < tiny) - np.count_nonzero(array == 0)
        else:
            small = ((magnitude > 0) & (magnitude < tiny)).sum()
        row[SUBNORMAL] += small * (flat.numel() / sample.numel())


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
    others: tuple[int, ...] = (0,)  # the axes that are not units
    if axis is None:
        x_AUB = y.view(1, -1)
    elif axis == y.ndim - 1:
        x_AUB = y.view(-1, y.shape[axis])
    else:
        x_AUB, others = y.view(math.prod(y.shape[:axis]), y.shape[axis], -1), (0, 2)
    for narrow, of_units in _pieces(x_AUB):
        piece = _workable(narrow, scratch)
        _add_moments(row, piece.reshape(-1), scratch, centred=True)
        if units is None:
            row[ZEROS] += piece.numel() - _number(scratch.nonzero(piece).sum(), scratch)
        else:
            fired = scratch.nonzero(piece).sum(others)
            units.fired[of_units] += fired
            row[ZEROS] += piece.numel() - (float(fired.numpy().sum()) if scratch.host else fired.sum())
            magnitude = torch.abs(piece, out=scratch.like(piece))
            # A sum of large numbers may be too large for float32.
            large = not scratch.host or row[ABS_MAX] > _SUM_SAFE
            units.magnitude[of_units] += magnitude.sum(others, dtype=scratch.wide if large else None)
        low, high = limits
        if low is not None:
            row[SATURATED] += _number(torch.le(piece, low, out=scratch.like(piece)).sum(), scratch)
        if high is not None:
            row[SATURATED] += _number(torch.ge(piece, high, out=scratch.like(piece)).sum(), scratch)
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
    pairs = min(half, _PAIRS, max(1, CHUNK // x.shape[1:].numel()))
    first, second = (part.reshape(-1) for part in (x[:pairs], x[half : half + pairs]))
    if first.numel() > CHUNK:
        distance = -(-first.numel() // CHUNK)
        first, second = first[::distance], second[::distance]
    wide = x.dtype if x.dtype == torch.float64 else torch.float32
    difference = first.to(wide) - second.to(wide)
    row[SPREAD] += _number(torch.dot(difference, difference), scratch) / 2
    row[COMPARED] += difference.numel()


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


def _number(x: Tensor, scratch: Scratch) -> Any:
    """A single-number tensor as something to add to a row: a float on the host, else itself."""
    return float(x.numpy()) if scratch.host else x


def _add_moments(row: Any, piece: Tensor, scratch: Scratch, *, centred: bool) -> None:
    if scratch.host:
        _add_moments_on_host(row, piece, scratch, centred)
    else:
        _add_moments_on_device(row, piece, scratch, centred)


def _add_moments_on_host(row: NDArray[np.float64], piece: Tensor, scratch: Scratch, centred: bool) -> None:
    n = piece.numel()
    cells, numbers = scratch.cells(piece.dtype)
    torch.aminmax(piece, out=(cells[0], cells[1]))
    torch.dot(piece, piece, out=cells[2])
    if centred:
        torch.sum(piece, 0, out=cells[3])
    low, high, squares, total = (float(v) for v in numbers)
    largest = max(abs(low), abs(high)) if low == low else math.nan
    mean = total / n if centred else 0.0
    if not math.isfinite(largest):
        row[NONFINITE] += n - float(torch.isfinite(piece).sum().numpy())
    elif largest and not _SQUARES_SAFE[0] < largest < _SQUARES_SAFE[1]:
        # Scaling by a power of two is exact; the squares are put together again in double precision.
        power = min(max(math.frexp(largest)[1], -126), 1023)
        scaled = torch.mul(piece, 2.0**-power, out=scratch.like(piece))
        back = 2.0**power
        if centred:
            mean = float(torch.sum(scaled, 0).numpy()) / n * back
        scaled.sub_(mean / back)
        squares = min(float(torch.dot(scaled, scaled).numpy()) * back * back + n * mean * mean, _LARGEST)
    elif centred and mean * mean * n > _CANCELS * max(squares - n * mean * mean, 0.0):
        away = torch.sub(piece, mean, out=scratch.like(piece))
        offset = float(torch.sum(away, 0).numpy()) / n
        squares = float(torch.dot(away, away).numpy()) - n * offset * offset
        mean += offset
        squares += n * mean * mean
    row[SUM] += min(max(n * mean, -_LARGEST), _LARGEST) if math.isfinite(largest) else n * mean
    row[SUMSQ] += squares
    row[ABS_MAX] = np.maximum(row[ABS_MAX], largest)


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
        row[SUM] += torch.where(torch.isfinite(largest), total.clamp(-_LARGEST, _LARGEST), total)
        squares = n * (variance + mean * mean) * scale * scale
    else:
        squares = torch.dot(scaled, scaled).to(scratch.wide) * scale * scale
    row[SUMSQ] += torch.where(torch.isfinite(largest), squares.clamp(max=_LARGEST), squares)
    row[NONFINITE] += n - torch.isfinite(piece).sum()
    row[ABS_MAX] = torch.maximum(row[ABS_MAX], largest.to(scratch.wide))


def count_bins(x: Tensor, scratch: Scratch, missing: int = 0) -> Any:
    """Histogram of a strided sample over the 1,024 fixed bins (`torchvitals_tb.packing.bin_of`).

    Args:
        x: strided floating tensor.
        scratch: buffers of its device.
        missing: zeros that a sparse layout left out; they count in the same proportion.
    """
    sample = strided_sample(x, HISTOGRAM_SAMPLE, scratch).float()
    if scratch.host:
        bits = sample.contiguous().numpy().view(np.uint32)
        counts: Any = np.bincount(bits >> 22, minlength=BINS)
    else:
        bins = ((sample.contiguous().view(torch.int32) >> 22) & (BINS - 1)).long()
        counts = torch.zeros(BINS, dtype=torch.int32, device=x.device)
        counts.scatter_add_(0, bins, torch.ones_like(bins, dtype=torch.int32))
    if missing:
        counts[0] += round(missing * sample.numel() / x.numel())
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


def share(sums_RK: Vector, column: int, n: Vector) -> Vector:
    """A counted column as a share of the elements; NaN where nothing was seen."""
    return sums_RK[:, column] / np.where(n > 0, n, np.nan)


def to_float32(values: Vector) -> NDArray[np.float32]:
    """float32 for the record. Finite stays finite: what float32 cannot hold becomes its largest number."""
    bound = float(np.finfo(np.float32).max)
    clipped = np.where(np.isfinite(values), np.clip(values, -bound, bound), values)
    return clipped.astype(np.float32)
