"""Arrays as bytes: the container of the histogram and unit records on disk, and of every payload to the page.

Container, little-endian::

    uint32   length H of the header
    H bytes  JSON object, padded with spaces so that the data begin on a multiple of 8;
             "arrays" lists {"name", "dtype", "shape", "offset"}, offsets counted from the first byte of the data
    data     the arrays, C order, each on a multiple of 8

On disk the container is compressed with zlib. Integers wider than a byte are stored there as byte planes (all low
bytes, then all second bytes, …), which compress to about half.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BINS: Final = 1024
_DTYPES: Final = ("u1", "u2", "u4", "i4", "f4", "f8")
_LEVEL: Final = 4  # half the time of the usual 6, for 1 to 6 % more bytes
_MAX_RECORD: Final = 1 << 26  # a compressed record that claims more than this is broken or hostile


def pack(header: dict[str, Any], arrays: dict[str, Array]) -> bytes:
    """Writes the container. Arrays must be of one of the types u1, u2, u4, i4, f4, f8."""
    parts: list[bytes] = []
    listed: list[dict[str, Any]] = []
    offset = 0
    for name, array in arrays.items():
        dtype = array.dtype.str[1:]
        if dtype not in _DTYPES:
            raise TypeError(f"array {name!r} is {array.dtype}, expected one of {', '.join(_DTYPES)}")
        raw = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        listed.append({"name": name, "dtype": dtype, "shape": list(array.shape), "offset": offset})
        padding = -len(raw) % 8
        parts += (raw, b"\0" * padding)
        offset += len(raw) + padding
    text = json.dumps(header | {"arrays": listed}, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(4 + len(text)) % 8)
    return b"".join((len(text).to_bytes(4, "little"), text, *parts))


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Reads the container; the arrays are read-only views of ``data``.

    Raises:
        ValueError: ``data`` is not such a container or is cut short.
    """
    try:
        start = 4 + int.from_bytes(data[:4], "little")
        header = json.loads(data[4:start].decode())
        arrays = {}
        for entry in header.pop("arrays"):
            if entry["dtype"] not in _DTYPES:
                raise ValueError(f"unknown dtype {entry['dtype']!r}")
            shape = tuple(int(n) for n in entry["shape"])
            count = int(np.prod(shape, dtype=object))
            if count < 0 or entry["offset"] < 0:
                raise ValueError("negative size")
            flat = np.frombuffer(data, dtype="<" + entry["dtype"], count=count, offset=start + entry["offset"])
            arrays[entry["name"]] = flat.reshape(shape)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"broken torchvitals record: {error}") from error
    return header, arrays


def _store(arrays: dict[str, Array]) -> bytes:
    return zlib.compress(pack({}, arrays), _LEVEL)


def _load(blob: bytes) -> dict[str, Array]:
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(blob, _MAX_RECORD)
        if not inflate.eof:
            raise ValueError("cut short, or larger than any record may be")
    except zlib.error as error:
        raise ValueError(f"broken torchvitals record: {error}") from error
    return unpack(data)[1]


def _planes(values: Array, width: int) -> Array:
    planes: Array = np.ascontiguousarray(values, dtype=f"<u{width}").view(np.uint8).reshape(-1, width).T
    return planes


def _from_planes(planes: Array, width: int) -> Array:
    if planes.dtype != np.uint8 or planes.ndim != 2 or len(planes) != width:
        raise ValueError(f"broken torchvitals record: not {width} byte planes")
    return np.ascontiguousarray(planes.T).view(f"<u{width}").reshape(-1)


def _flat(array: Array, dtype: type[np.generic]) -> Array:
    if array.dtype != dtype or array.ndim != 1:
        raise ValueError(f"broken torchvitals record: not a row of {dtype.__name__}")
    return array


# Histograms ---------------------------------------------------------------------------------------------------------


def bin_of(values: Array) -> NDArray[np.uint16]:
    """Bin of each float32: its top 10 bits (sign, 8 bits of exponent, 1 of mantissa), so two bins an octave.

    Bins 0-511 hold the positive values upwards from zero, 512-1023 the negative ones downwards; 510 and 1022 are the
    infinities, 511 and 1023 NaN; zero shares bin 0 (-0: 512) with the subnormals below 2^-127.
    """
    return (np.ascontiguousarray(values, dtype=np.float32).view(np.uint32) >> 22).astype(np.uint16)


def rescaled(counts: Array, factor: Array) -> Array:
    """Histograms of values divided by a factor: their bins move along by the factor's powers of two.

    Args:
        counts: [R, 1024].
        factor: [R], above 0. Loss scales are powers of two, for which this is exact; else it is to the nearest half
            octave, which is the width of a bin.

    Returns:
        [R, 1024]. Zero, subnormal, infinite and NaN stay what they are; what becomes subnormal counts as such.
    """
    moved = np.array(counts)
    half = BINS // 2
    index = np.arange(2, half - 2)  # of finite normal numbers, without their sign
    for row in np.flatnonzero(np.asarray(factor) != 1):
        shift = round(2 * np.log2(factor[row]))
        for sign in (0, half):
            source = np.array(counts[row, sign : sign + half])
            moved[row, sign + 2 : sign + half - 2] = 0
            np.add.at(moved[row], sign + np.clip(index - shift, 0, half - 3), source[2:-2])
    return moved


def bin_limits() -> NDArray[np.float32]:
    """[1024, 2]: of each bin the bound nearer to zero (in it) and the farther one (not in it)."""
    near = (np.arange(BINS, dtype=np.uint32) << 22).view(np.float32)
    far = np.concatenate([near[1:512], [np.nan], near[513:], [np.nan]]).astype(np.float32)
    return np.stack([near, far], axis=1)


class Histograms(NamedTuple):
    """Counts of one sampled step, sparse: row r has ``counts[starts[r]:starts[r + 1]]`` in ``bins[…]``."""

    starts: NDArray[np.int64]
    bins: NDArray[np.uint16]
    counts: NDArray[np.uint32]

    def dense(self, row: int) -> NDArray[np.uint32]:
        """Counts of one row over all 1024 bins."""
        out = np.zeros(BINS, dtype=np.uint32)
        span = slice(self.starts[row], self.starts[row + 1])
        out[self.bins[span]] = self.counts[span]
        return out

    @property
    def rows(self) -> int:
        return len(self.starts) - 1


def sparse(counts: Array) -> Histograms:
    """Counts [rows, 1024] without their zeros."""
    row, bins = np.nonzero(counts)
    starts = np.searchsorted(row, np.arange(len(counts) + 1))
    return Histograms(starts, bins.astype(np.uint16), counts[row, bins].astype(np.uint32))


def encode_histograms(counts: Array | Histograms) -> bytes:
    """Counts, sparse or [rows, 1024] -> one record."""
    rows = counts if isinstance(counts, Histograms) else sparse(counts)
    return _store(
        {
            "entries": np.diff(rows.starts).astype(np.uint16),
            "bins": _planes(rows.bins, 2),
            "counts": _planes(rows.counts, 4),
        }
    )


def decode_histograms(blob: bytes) -> Histograms:
    """Inverse of `encode_histograms`. Raises ValueError on a broken record."""
    try:
        arrays = _load(blob)
        starts = np.concatenate([[0], np.cumsum(_flat(arrays["entries"], np.uint16), dtype=np.int64)])
        bins, counts = _from_planes(arrays["bins"], 2), _from_planes(arrays["counts"], 4)
    except KeyError as error:
        raise ValueError(f"broken torchvitals record: {error!r}") from error
    if not len(bins) == len(counts) == starts[-1] or (len(bins) and bins.max() >= BINS):
        raise ValueError("broken torchvitals record: histogram rows do not add up")
    return Histograms(starts, bins.astype(np.uint16), counts.astype(np.uint32))


# Units --------------------------------------------------------------------------------------------------------------

# Few levels on purpose: a record then compresses to about half a byte a unit. 0 is exactly zero and nothing else.
_FIRING_EDGES: Final = np.array([1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.999])
FIRING_LEVELS: Final = np.array(
    [0, 3e-5, 3e-4, 3e-3, 0.02, 0.06, 0.15, 0.28, 0.42, 0.58, 0.72, 0.85, 0.94, 0.985, 0.9995, 1], dtype=np.float32
)
"""Share of observations a level stands for; level 0 never fired, level 15 always did."""
MAGNITUDE_LEVELS: Final = np.concatenate([[0], 2.0 ** np.arange(-10, 5)]).astype(np.float32)
"""Mean magnitude a level stands for, as a multiple of the layer's mean; nearest power of two, the ends clipped."""


class Units(NamedTuple):
    """What the units of all layers did since the record before. Units of layer r: ``starts[r]:starts[r + 1]``."""

    starts: NDArray[np.int64]
    observations: NDArray[np.float64]
    """[rows] values seen of each unit (batch times positions); 0: the layer did not run."""
    scale: NDArray[np.float32]
    """[rows] mean magnitude over the layer."""
    firing: NDArray[np.uint8]
    """[units] level in `FIRING_LEVELS`: share of observations that were not exactly zero."""
    magnitude: NDArray[np.uint8]
    """[units] level in `MAGNITUDE_LEVELS`."""
    silent: NDArray[np.int64]
    """[rows] how many units never fired. Not stored: counted once, when the record is read."""

    def row(self, row: int) -> Units:
        """One row alone, in memory of its own; without units where the record has no such row."""
        if row >= len(self.scale):
            none = np.zeros(0, dtype=np.uint8)
            zero = np.zeros(1, dtype=np.int64)
            return Units(np.zeros(2, dtype=np.int64), np.zeros(1), np.zeros(1, dtype=np.float32), none, none, zero)
        start, stop = self.starts[row : row + 2]
        one, units = slice(row, row + 1), slice(start, stop)
        return Units(
            np.array([0, stop - start]),
            self.observations[one].copy(),
            self.scale[one].copy(),
            self.firing[units].copy(),
            self.magnitude[units].copy(),
            self.silent[one].copy(),
        )


class Fired(NamedTuple):
    """Of `Units` what says which are dead, in a tenth of the memory: a long training has hundreds of records."""

    starts: NDArray[np.int64]
    observations: NDArray[np.float64]
    silent: NDArray[np.int64]
    bits: NDArray[np.uint8]
    """A bit a unit: whether it fired."""

    def flags(self) -> NDArray[np.bool_]:
        """[units] whether it fired."""
        return np.unpackbits(self.bits, count=int(self.starts[-1])).view(np.bool_)


def sums_of(row_units: Array, values: Array) -> NDArray[np.float64]:
    """[rows] sums over the units of each layer, 0 where it has none, of values [units] one layer after the other."""
    totals, some = np.zeros(len(row_units)), np.flatnonzero(row_units)
    if len(some):
        totals[some] = np.add.reduceat(values, (np.cumsum(row_units) - row_units)[some])
    return totals


def encode_units(row_units: Array, observations: Array, fired: Array, magnitude: Array) -> bytes:
    """One record.

    Args:
        row_units: [rows] units of each layer, 0 where it has none.
        observations: [rows] values seen of each unit.
        fired: [units] how many of them were not exactly zero.
        magnitude: [units] sum of their absolute values.
    """
    units, seen = np.asarray(row_units, dtype=np.int64), np.asarray(observations, dtype=np.float64)
    per_unit = np.repeat(np.where(seen > 0, seen, np.inf), units)
    share = fired / per_unit
    level = (share > 0).view(np.uint8)
    for edge in (*_FIRING_EDGES, 1):  # the last one makes level 15; a seventh of the time of a search
        level = level + (share >= edge).view(np.uint8)
    mean = np.divide(magnitude, per_unit, out=per_unit)  # new memory for each of these takes longer than they do
    finite = np.isfinite(mean)
    mean[~finite] = 0
    scale = sums_of(units, mean) / np.maximum(units, 1)
    relative = np.divide(mean, np.repeat(np.where(scale > 0, scale, 1), units), out=share)
    relative *= math.sqrt(2)
    nearest = (relative.astype(np.float32).view(np.int32) >> 23) - 127  # the exponent is the logarithm, rounded down
    octave = (np.minimum(np.maximum(nearest, -10), 4) + 11).astype(np.uint8)
    octave[mean == 0] = 0
    octave[~finite] = 15
    return _store(
        {
            "units": _planes(units, 4),
            "observations": np.asarray(observations, dtype=np.float64),
            "scale": np.minimum(scale, np.finfo(np.float32).max).astype(np.float32),
            # In one byte: what a unit fires says much of its magnitude, which saves a fifth of the compressed size.
            "levels": level << 4 | octave,
        }
    )


def decode_units(blob: bytes) -> Units:
    """Inverse of `encode_units`. Raises ValueError on a broken record."""
    try:
        arrays = _load(blob)
        starts = np.concatenate([[0], np.cumsum(_from_planes(arrays["units"], 4), dtype=np.int64)])
        if "levels" in arrays:
            levels = _flat(arrays["levels"], np.uint8)
            firing, magnitude = (levels >> 4).astype(np.uint8), (levels & 15).astype(np.uint8)
        else:  # older records
            firing, magnitude = _flat(arrays["firing"], np.uint8), _flat(arrays["magnitude"], np.uint8)
        units = Units(
            starts,
            _flat(arrays["observations"], np.float64),
            _flat(arrays["scale"], np.float32),
            firing,
            magnitude,
            np.diff(np.searchsorted(np.flatnonzero(firing == 0), starts)),
        )
    except KeyError as error:
        raise ValueError(f"broken torchvitals record: {error!r}") from error
    sizes = {len(units.observations), len(units.scale)}
    if sizes != {len(units.starts) - 1} or {len(units.firing), len(units.magnitude)} != {int(units.starts[-1])}:
        raise ValueError("broken torchvitals record: unit rows do not add up")
    if max(units.firing.max(initial=0), units.magnitude.max(initial=0)) > 15:
        raise ValueError("broken torchvitals record: no such level")
    return units


def decode_fired(blob: bytes) -> Fired:
    """`decode_units`, and of that what fired."""
    units = decode_units(blob)
    return Fired(units.starts, units.observations.copy(), units.silent, np.packbits(units.firing > 0))


@dataclass(frozen=True)
class OneRow:
    """`decode_units`, and of that one row."""

    row: int

    def __call__(self, blob: bytes) -> Units:
        return decode_units(blob).row(self.row)
