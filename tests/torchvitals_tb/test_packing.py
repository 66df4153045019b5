"""The container and the packed records: what goes in comes out, and broken bytes are a ValueError."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from torchvitals_tb import packing
from torchvitals_tb.packing import BINS, FIRING_LEVELS, MAGNITUDE_LEVELS

DTYPES = ("u1", "u2", "u4", "i4", "f4", "f8")


def random_arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    arrays = {}
    for i in range(rng.integers(0, 5)):
        shape = tuple(rng.integers(0, 7, rng.integers(0, 4)).tolist())
        dtype = np.dtype(rng.choice(DTYPES))
        raw = rng.integers(0, 256, int(np.prod(shape)) * dtype.itemsize, dtype=np.uint8).tobytes()
        arrays[f"ä {i}"] = np.frombuffer(raw, dtype=dtype).reshape(shape)
    return arrays


def test_container_round_trip() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        header, arrays = {"run": "größer\n", "n": [1, 2.5, None, {"x": True}]}, random_arrays(rng)
        data = packing.pack(header, arrays)
        read_header, read = packing.unpack(data)
        assert read_header == header
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            assert read[name].shape == array.shape
            assert read[name].tobytes() == array.tobytes()


def test_container_layout() -> None:
    data = packing.pack({"run": "r"}, {"a": np.array([1, 2, 3], dtype=np.uint8), "b": np.array([[1.5]], dtype=">f4")})
    start = 4 + int.from_bytes(data[:4], "little")
    header = json.loads(data[4:start])
    assert start % 8 == 0
    assert header["arrays"] == [
        {"name": "a", "dtype": "u1", "shape": [3], "offset": 0},
        {"name": "b", "dtype": "f4", "shape": [1, 1], "offset": 8},
    ]
    assert data[start : start + 3] == b"\1\2\3"
    assert data[start + 8 : start + 12] == np.array(1.5, dtype="<f4").tobytes()
    assert len(data) % 8 == 0


def test_container_refuses_other_types() -> None:
    with pytest.raises(TypeError, match="array 'a' is int64"):
        packing.pack({}, {"a": np.zeros(1, dtype=np.int64)})


def test_bins() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 1 << 32, 20_000, dtype=np.uint32).view(np.float32)
    values = np.concatenate([values, np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1.5, 1e-45], dtype=np.float32)])
    bins, limits = packing.bin_of(values), packing.bin_limits()
    near, far = limits[bins].T
    finite = np.isfinite(values) & np.isfinite(far)
    assert (abs(values[finite]) >= abs(near[finite])).all()
    assert (abs(values[finite]) < abs(far[finite])).all()
    assert bins[-9:].tolist() == [0, 512, 510, 1022, 511, 254, 766, 255, 0]


def test_histograms_round_trip() -> None:
    rng = np.random.default_rng(2)
    for rows in (0, 1, 7, 40):
        counts = np.where(rng.uniform(size=(rows, BINS)) < 0.03, rng.integers(0, 1 << 32, (rows, BINS)), 0)
        read = packing.decode_histograms(packing.encode_histograms(counts))
        assert read.rows == rows
        assert all(np.array_equal(read.dense(row), counts[row]) for row in range(rows))


def random_units(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    units = rng.integers(0, 20, rng.integers(1, 9))
    observations = rng.choice([0, 1, 64, 1e9], len(units))
    seen = np.repeat(observations, units)
    fired = np.minimum(np.rint(seen * rng.uniform(0, 1.2, len(seen))), seen)
    fired *= rng.uniform(size=len(seen)) < 0.8
    magnitude = fired * np.exp(3 * rng.standard_normal(len(seen)))
    return units, observations, fired, magnitude


def test_units_round_trip() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        units, observations, fired, magnitude = random_units(rng)
        read = packing.decode_units(packing.encode_units(units, observations, fired, magnitude))
        assert np.diff(read.starts).tolist() == units.tolist()
        assert read.observations.tolist() == observations.tolist()
        seen = np.repeat(observations, units)
        assert ((read.firing == 0) == (fired == 0)).all()  # 0 is exactly zero and nothing else
        assert read.silent.tolist() == [np.sum(row == 0) for row in np.split(fired, read.starts[1:-1])]
        always = (fired == seen) & (seen > 0)
        assert ((read.firing == 15) == always).all()
        share = np.divide(fired, seen, out=np.zeros(len(seen)), where=seen > 0)
        assert (abs(FIRING_LEVELS[read.firing] - share) < 0.08).all()
        scale = np.repeat(read.scale, units)
        mean = np.divide(magnitude, seen, out=np.zeros(len(seen)), where=seen > 0)
        inner = (read.magnitude > 1) & (read.magnitude < 15)
        octaves = np.log2(MAGNITUDE_LEVELS[read.magnitude[inner]] * scale[inner] / mean[inner])
        assert (abs(octaves) < 0.51).all()
        assert ((read.magnitude == 0) == (mean == 0)).all()


def test_units_with_magnitudes_that_are_not_finite() -> None:
    blob = packing.encode_units([3], [10], [10, 10, 0], [np.inf, 10, 0])
    assert packing.decode_units(blob).magnitude.tolist() == [15, 13, 0]


def test_broken_records_are_value_errors() -> None:
    rng = np.random.default_rng(4)
    good = {
        packing.decode_histograms: packing.encode_histograms(rng.integers(0, 3, (4, BINS))),
        packing.decode_units: packing.encode_units(*random_units(rng)),
    }
    for decode, blob in good.items():
        inflated = bytearray(zlib.decompress(blob))
        for _ in range(600):
            broken = bytearray(inflated)
            for _ in range(rng.integers(1, 4)):
                broken[rng.integers(0, min(len(broken), 400))] = rng.integers(0, 256)
            try:
                record = decode(zlib.compress(bytes(broken)))
            except ValueError:
                continue
            assert record.starts[-1] == len(record[1] if decode is packing.decode_histograms else record.firing)
        for cut in (0, 1, 5, len(blob) // 2, len(blob) - 1):
            with pytest.raises(ValueError, match=r"torchvitals record|cut short"):
                decode(blob[:cut])


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b"null",
        b'{"arrays":[{}]}',
        b'{"arrays":[{"name":"a","dtype":"O","shape":[1],"offset":0}]}',
        b'{"arrays":[{"name":"a","dtype":"u1","shape":[-1],"offset":0}]}',
        b'{"arrays":[{"name":"a","dtype":"u1","shape":[1e999],"offset":0}]}',
        b'{"arrays":[{"name":"a","dtype":"u1","shape":[99999999999999999999],"offset":0}]}',
        b'{"arrays":[{"name":"a","dtype":"f8","shape":[1152921504606846976],"offset":0}]}',
        b'{"arrays":[{"name":"a","dtype":"u1","shape":[1],"offset":-1}]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_hostile_headers(header: bytes) -> None:
    with pytest.raises(ValueError, match="broken torchvitals record"):
        packing.unpack(len(header).to_bytes(4, "little") + header + b"\0" * 16)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(b"\0" * (packing._MAX_RECORD + 1))
    assert len(bomb) < 100_000
    with pytest.raises(ValueError, match="larger than any record"):
        packing.decode_units(bomb)


def old_units(**levels: list[int]) -> dict[str, np.ndarray]:
    """A record as written before both levels of a unit went into one byte."""
    arrays = packing._load(packing.encode_units([2], [10], [5, 0], [5, 0]))
    del arrays["levels"]
    return arrays | {name: np.array(level, dtype=np.uint8) for name, level in levels.items()}


def test_older_unit_records_are_read() -> None:
    read = packing.decode_units(packing._store(old_units(firing=[9, 0], magnitude=[12, 0])))
    now = packing.decode_units(packing.encode_units([2], [10], [5, 0], [5, 0]))
    assert read.firing.tolist() == now.firing.tolist() == [9, 0]
    assert read.magnitude.tolist() == now.magnitude.tolist() == [12, 0]
    assert read.silent.tolist() == now.silent.tolist() == [1]


def test_sparse_histograms_are_the_same_record() -> None:
    counts = np.random.default_rng(0).integers(0, 3, (5, BINS)) * (np.arange(5) != 2)[:, None]
    assert packing.encode_histograms(packing.sparse(counts)) == packing.encode_histograms(counts)


def test_levels_out_of_range_are_refused() -> None:
    arrays = old_units(firing=[1, 16], magnitude=[1, 1])
    with pytest.raises(ValueError, match="no such level"):
        packing.decode_units(packing._store(arrays))


@pytest.mark.parametrize("factor", [2.0, 1024.0, 65536.0, 2.0**-7])
def test_histograms_of_scaled_values(factor: float) -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal(4000) * 10.0 ** rng.integers(-30, 30, 4000)).astype(np.float32)
    values = np.append(values, np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-45], dtype=np.float32))
    with np.errstate(over="ignore"):
        scaled = values[np.isfinite(values * factor) | ~np.isfinite(values)]
    counts = np.bincount(packing.bin_of(scaled * np.float32(factor)), minlength=BINS)[None]
    expected = np.bincount(packing.bin_of(scaled), minlength=BINS)
    got = packing.rescaled(counts, np.array([factor]))[0]
    assert got.sum() == expected.sum()
    # Subnormal numbers do not move, whatever they were before they were scaled.
    normal = np.r_[4:506, 516:1018]
    assert got[normal].tolist() == expected[normal].tolist()
    assert packing.rescaled(counts, np.ones(1)).tolist() == counts.tolist()


# The page's side of the bins -----------------------------------------------------------------------------------------

GOLDEN = Path(__file__).parents[2] / "frontend" / "src" / "data" / "bins.golden.json"


def golden_bins() -> dict[str, object]:
    """Float32 values as bits, their bins, and how many of them a cast to a narrower format loses."""
    rng = np.random.default_rng(5)
    special = [0.0, -0.0, 1, -1, 1.5, 2**-127, 2**-126, 1e-45, -1e-45, np.inf, -np.inf, np.nan, 65504, 65520, 448, 464]
    spread = np.exp2(rng.uniform(-45, 21, 600)) * rng.choice([-1, 1], 600)
    values = np.concatenate([special, spread]).astype(np.float32)
    finite = torch.tensor(values[np.isfinite(values)])
    lost = {}
    for name, (dtype, largest) in NARROW.items():
        narrow = finite.to(dtype).double()
        vanished = (narrow == 0) & (finite.abs() >= 2**-127)  # smaller ones share the bin of zero
        # Beyond its largest number a cast gives infinity, or that number, as the format will have it.
        beyond = ~torch.isfinite(narrow) | ((narrow.abs() == largest) & (finite.double().abs() >= 1.03 * largest))
        lost[name] = [int(vanished.sum()), int(beyond.sum())]
    return {"bits": values.view(np.uint32).tolist(), "bins": packing.bin_of(values).tolist(), "lost": lost}


NARROW = {
    "float16": (torch.float16, 65504),
    "bfloat16": (torch.bfloat16, 3.3895313892515355e38),
    "e4m3": (torch.float8_e4m3fn, 448),
    "e5m2": (torch.float8_e5m2, 57344),
}


def test_the_page_has_the_same_bins() -> None:
    assert json.loads(GOLDEN.read_text()) == golden_bins()
