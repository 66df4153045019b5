"""Runs made up: event files as the hooks write them, without torch and without a training.

``python tests/synthetic.py OUTDIR --layers 1000 --steps 2000 --units 4096 --kind vanishing`` writes one run;
`write_run` does so from a test and gives back what was written; `EventFile` writes any records, good and bad.
"""

from __future__ import annotations

import argparse
import math
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.pop(0)  # beside this script lie test folders with the names of the packages

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import (
    DATA_CLASS_BLOB_SEQUENCE,
    DATA_CLASS_TENSOR,
    Summary,
    SummaryMetadata,
)
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING

from torchvitals_tb import packing, schema
from torchvitals_tb.schema import Layer, Manifest, Parameter

START = 1_763_680_000.0
KINDS = ("healthy", "vanishing", "dead", "nan")


# Event files --------------------------------------------------------------------------------------------------------


class EventFile:
    """An event file in a run directory.

    ``write`` takes values by tag: arrays become tensors, ``str`` a string, ``bytes`` a blob, a ``Summary.Value`` is
    taken as it is.
    """

    def __init__(self, folder: Path | str, stamp: int = int(START), suffix: str = "host.1.0") -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{stamp}.{suffix}"
        self._file = self.path.open("ab")
        self._wall = float(stamp)
        if not self.path.stat().st_size:
            self.record(Event(wall_time=self._wall, file_version="brain.Event:2").SerializeToString())

    def write(self, step: int, values: dict[str, Any], wall: float | None = None) -> None:
        """One event. Without ``wall``: ten seconds after the one before."""
        self._wall = self._wall + 10 if wall is None else wall
        summary = Summary(value=[_value(tag, value) for tag, value in values.items()])
        self.record(Event(wall_time=self._wall, step=step, summary=summary).SerializeToString())

    def record(self, payload: bytes) -> None:
        length = struct.pack("<Q", len(payload))
        self.raw(length + struct.pack("<I", _masked(length)) + payload + struct.pack("<I", _masked(payload)))

    def raw(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def metadata(data_class: Any = DATA_CLASS_TENSOR, content: bytes = schema.PLUGIN_CONTENT) -> SummaryMetadata:
    plugin = SummaryMetadata.PluginData(plugin_name=schema.PLUGIN_NAME, content=content)
    return SummaryMetadata(plugin_data=plugin, data_class=data_class)


def tensor(array: np.ndarray) -> TensorProto:
    dtype = {"f4": DT_FLOAT, "f8": DT_DOUBLE}[array.dtype.str[1:]]
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in array.shape])
    return TensorProto(dtype=dtype, tensor_shape=shape, tensor_content=np.ascontiguousarray(array).tobytes())


def _value(tag: str, value: Any) -> Summary.Value:
    if isinstance(value, Summary.Value):
        return value
    if isinstance(value, bytes):
        proto = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]))
        proto.string_val.append(value)
        return Summary.Value(tag=tag, tensor=proto, metadata=metadata(DATA_CLASS_BLOB_SEQUENCE))
    if isinstance(value, str):
        proto = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto())
        proto.string_val.append(value.encode())
        return Summary.Value(tag=tag, tensor=proto, metadata=metadata())
    return Summary.Value(tag=tag, tensor=tensor(value), metadata=metadata())


_BLOCK = 512


def _crc_tables() -> np.ndarray:
    """[512, 256] remainder of each byte when so many zero bytes follow."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> 1 ^ np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0))
    tables = [table]
    for _ in range(_BLOCK - 1):
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & 255])
    return np.stack(tables[::-1])


_CRC = _crc_tables()


def _masked(data: bytes) -> int:
    """TFRecord's masked CRC-32C; TensorBoard's own takes 20 s for a run of 200 MB."""
    flat = np.frombuffer(data, dtype=np.uint8)
    head = len(flat) % _BLOCK
    crc = 0xFFFFFFFF
    for byte in flat[:head].tolist():
        crc = int(_CRC[-1, (crc ^ byte) & 255]) ^ crc >> 8
    blocks = flat[head:].reshape(-1, _BLOCK)
    for remainder in np.bitwise_xor.reduce(_CRC[np.arange(_BLOCK), blocks], axis=1).tolist():
        for i in range(4):
            remainder ^= int(_CRC[i, crc >> 8 * i & 255])
        crc = remainder
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# A model ------------------------------------------------------------------------------------------------------------

_BLOCK_LAYERS = (
    ("self_attn.qkv", "Linear", None),
    ("self_attn.out_proj", "Linear", None),
    ("self_attn.gate", "Sigmoid", "sigmoid"),
    ("norm1", "LayerNorm", None),
    ("mlp.fc1", "Linear", None),
    ("mlp.act", "ReLU", "relu"),
    ("mlp.fc2", "Linear", None),
    ("norm2", "LayerNorm", None),
)


def model(layers: int = 12, units: int = 32) -> Manifest:
    """A convolutional stem and a transformer encoder, cut to ``layers`` rows, the last one a head.

    Every tenth block has an MLP of ``units`` units, all else a sixteenth of that, at least 4.
    """
    narrow = max(4, units // 16)
    rows = [
        _layer("stem.conv", "Conv2d", None, (32, narrow, 8, 8), 1),
        _layer("stem.act", "ReLU", "relu", (32, narrow, 8, 8), 1),
    ]
    block = 0
    while len(rows) < layers:
        width = units if block % 10 == 0 else narrow
        for name, kind, function in _BLOCK_LAYERS:
            path = f"encoder.layers.{block}.{name}"
            wide = width if name in ("mlp.fc1", "mlp.act") else narrow
            if name == "mlp.act" and block % 2:  # every other block calls F.relu in forward
                path, kind = f"encoder.layers.{block}.mlp.fc1/relu", "relu"
            rows.append(_layer(path, kind, function, (32, 16, wide), 2))
        block += 1
    rows = [*rows[: layers - 1], _layer("head", "Linear", None, (32, 10), 1)]
    parameters = []
    for row in rows:
        if row.type in ("Linear", "Conv2d", "LayerNorm"):
            fan_in = {"Linear": (narrow,), "Conv2d": (3, 3, 3), "LayerNorm": ()}[row.type]
            parameters.append(Parameter(f"{row.name}.weight", row.name, (row.units or 1, *fan_in), True))
            parameters.append(Parameter(f"{row.name}.bias", row.name, (row.units or 1,), True))
    edges = [(i, i + 1) for i in range(len(rows) - 1)] + [(i, i + 4) for i in range(1, len(rows) - 4, 4)]
    return Manifest(
        layers=tuple(rows),
        parameters=tuple(parameters),
        edges=tuple(sorted(edges)),
        options={"every": None, "histograms": True, "units": True},
        versions={"torchvitals": "0.1.0", "torch": "2.13.0"},
    )


def _layer(name: str, kind: str, function: str | None, shape: tuple[int, ...], axis: int) -> Layer:
    called = "/" in name
    parent = name.rpartition("/")[0].rpartition(".")[0] if called else name.rpartition(".")[0]
    return Layer(
        name=name,
        kind="function" if called else "module",
        type=kind,
        function=function,
        parent=parent,
        call=0,
        shape=shape,
        units=shape[axis],
        unit_axis=axis,
        source="model.py:41" if called else None,
    )


# A training ---------------------------------------------------------------------------------------------------------


@dataclass
class Written:
    """What a run holds."""

    manifest: Manifest
    steps: np.ndarray
    statistics: dict[str, np.ndarray]
    histograms: dict[str, dict[int, bytes]] = field(default_factory=dict)
    units: dict[int, bytes] = field(default_factory=dict)


def write_run(
    folder: Path | str,
    *,
    layers: int = 12,
    steps: int = 50,
    units: int = 32,
    kind: str = "healthy",
    records: int = 5,
    every: int = 1,
    seed: int = 0,
) -> Written:
    """Writes one run.

    Args:
        folder: of the run.
        layers: rows.
        steps: sampled steps.
        units: of the widest layer.
        kind: one of `KINDS`.
        records: how many of the steps also get histograms and units.
        every: optimizer steps from one sampled step to the next.
        seed: of all that is random.
    """
    rng = np.random.default_rng(seed)
    manifest = model(layers, units)
    sampled = 1 + every * np.arange(steps)
    written = Written(manifest, sampled, statistics(manifest, steps, kind, rng))
    recorded = set(np.unique(np.linspace(steps - 1, 0, records).round().astype(int)).tolist()) if records else set()
    lives = _Lives(manifest, kind, rng)
    with EventFile(folder) as file:
        for t, step in enumerate(sampled.tolist()):
            values: dict[str, Any] = {schema.MANIFEST_TAG: manifest.to_json()} if t == 0 else {}
            values |= {schema.tag_of(name): series[t] for name, series in written.statistics.items()}
            if t in recorded:
                for histogram in schema.HISTOGRAMS:
                    blob = _histograms(manifest, histogram, written.statistics, t)
                    values[schema.histogram_tag(histogram)] = written.histograms.setdefault(histogram, {})[step] = blob
                values[schema.UNITS_TAG] = written.units[step] = lives.record(t / steps)
            values[schema.RUN_TAG] = np.array([t + 1, step, 0.004 * (t + 1), 0.2 * step])
            file.write(step, values, START + 0.2 * step)
    return written


def statistics(manifest: Manifest, steps: int, kind: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every statistic [steps, rows]: plausible, and with the one thing wrong that ``kind`` names."""
    rows, progress = len(manifest.layers), np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    depth = np.linspace(0, 1, rows, dtype=np.float32)

    def noisy(level: Any, spread: float = 0.15) -> np.ndarray:
        out = rng.standard_normal((steps, np.shape(level)[-1]), dtype=np.float32)
        return (np.exp(out * np.float32(spread)) * level).astype(np.float32)

    relu = np.array([layer.function == "relu" for layer in manifest.layers])
    bounded = np.array([layer.function == "sigmoid" for layer in manifest.layers])
    gradient = 1e-3 * (1 - 0.8 * progress) * np.ones(rows, dtype=np.float32)
    if kind == "vanishing":
        gradient = gradient * 10.0 ** (-9 * (1 - depth) * (0.5 + 0.5 * progress))
    dead = np.where(relu, 0.02 + (0.75 * progress * (0.3 + depth) if kind == "dead" else 0), 0.0)
    zero = np.where(relu, 0.5 + 0.5 * dead, 0.0)
    rms = noisy(np.where(relu, 0.7, 1.0))
    share = np.float32(0.02)
    out = {
        "activation/mean": noisy(np.where(relu, 0.4, 0.01)),
        "activation/std": rms * np.float32(0.9),
        "activation/rms": rms,
        "activation/example_std": rms * np.float32(0.8),
        "activation/abs_max": rms * np.float32(4.5),
        "activation/zero_fraction": np.minimum(noisy(zero, 0.02), 1),
        "activation/nonfinite_fraction": np.zeros((steps, rows)),
        "activation/saturated_fraction": np.where(bounded, noisy(np.full(rows, share)), np.nan),
        "activation/dead_fraction": np.minimum(noisy(dead, 0.02), 1),
        "activation/dormant_fraction": noisy(np.full(rows, share)),
        "gradient/rms": noisy(gradient),
        "gradient/abs_max": noisy(gradient * 6),
        "gradient/zero_fraction": np.minimum(noisy(zero, 0.02), 1),
        "gradient/nonfinite_fraction": np.zeros((steps, rows)),
        "gradient/underflow_fraction": np.clip(noisy(np.where(gradient < 1e-7, 0.3, 1e-4)), 0, 1),
    }
    of_layer = {layer.name: i for i, layer in enumerate(manifest.layers)}
    owner = np.array([of_layer[p.layer] for p in manifest.parameters], dtype=int)
    weight = noisy(np.full(len(owner), 0.05), 0.02)
    grad = noisy(gradient[:, owner])
    out |= {
        "parameter/rms": weight,
        "parameter/abs_max": weight * 5,
        "parameter/grad_rms": grad,
        "parameter/grad_rms_before_clip": grad * np.float32(1.3),
        "parameter/grad_abs_max": grad * 6,
        "parameter/grad_zero_fraction": np.zeros_like(grad),
        "parameter/grad_nonfinite_fraction": np.zeros_like(grad),
        "parameter/update_rms": weight * np.float32(1e-3),
        "parameter/update_ratio": noisy(np.full(len(owner), 1e-3)),
        "parameter/learning_rate": np.full_like(grad, 1e-3),
    }
    if kind == "nan":
        _break(out, int(steps * 0.6), rows // 2, int(np.searchsorted(owner, rows // 2)))
    return {name: np.ascontiguousarray(out[name], dtype=np.float32) for name in schema.STATISTICS}


def _break(out: dict[str, np.ndarray], step: int, row: int, parameter: int) -> None:
    """An infinity in one layer, NaN behind it, and one step later in every gradient and weight."""
    out["activation/abs_max"][step, row] = np.inf
    for name, series in out.items():
        if name.endswith("nonfinite_fraction"):
            series[step + 1 :] = 1
            series[step, parameter if name.startswith("parameter") else row :] = 0.25
        elif not name.endswith("fraction"):
            series[step + 1 :] = np.nan
            series[step, (parameter if name.startswith("parameter") else row) + 1 :] = np.nan


class _Lives:
    """Firing rates of all units; with ``kind="dead"`` the units of ReLU rows die one after the other."""

    def __init__(self, manifest: Manifest, kind: str, rng: np.random.Generator) -> None:
        self._rng = rng
        self._units = np.array([layer.units or 0 for layer in manifest.layers])
        self._observations = np.array([20.0 * math.prod(la.shape) / (la.units or 1) for la in manifest.layers])
        total = int(self._units.sum())
        relu = np.repeat([layer.function == "relu" for layer in manifest.layers], self._units)
        self._rate = np.where(relu, rng.uniform(0.05, 0.95, total), 1.0)
        doomed = rng.uniform(size=total) < (0.7 if kind == "dead" else 0.01)
        death = np.where(rng.uniform(size=total) < 0.1, -1.0, rng.uniform(0.1, 1.0, total))
        self._death = np.where(relu & doomed, death, 2.0)

    def record(self, progress: float) -> bytes:
        seen = np.repeat(self._observations, self._units)
        noise = self._rng.standard_normal(len(seen), dtype=np.float32)
        rate = np.where(self._rate == 1, 1, np.minimum(self._rate * (1 + 0.02 * noise), 1))
        fired = np.where(self._death <= progress, 0, np.ceil(seen * rate))
        magnitude = fired * np.exp(0.5 * noise)
        return packing.encode_units(self._units, self._observations, fired, magnitude)


def _bells() -> np.ndarray:
    """[shift, bins] counts of 20,000 normal values; bins are half octaves, so twice as wide is a shift by two."""
    near, far = packing.bin_limits().T.astype(np.float64)
    share = [0.5 * abs(math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2))) for a, b in zip(near, far, strict=True)]
    counts = np.rint(20_000 * np.nan_to_num(share)).astype(np.int64)
    bins = np.arange(packing.BINS)
    source = bins % 512 - np.arange(-_WIDEST, _WIDEST + 1)[:, None]
    return np.where((source >= 0) & (source < 510), counts[np.clip(source, 0, 511) + 512 * (bins >= 512)], 0)


_WIDEST = 100
_BELLS = _bells()
_SCALED_BY = {"activation": "activation/rms", "gradient": "gradient/rms"} | {
    "weight": "parameter/rms",
    "weight_gradient": "parameter/grad_rms",
}


def _histograms(manifest: Manifest, kind: str, values: dict[str, np.ndarray], t: int) -> bytes:
    """Normal distributions as wide as the statistics say."""
    scale = values[_SCALED_BY[kind]][t]
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.nan_to_num(np.rint(2 * np.log2(scale)), posinf=0, neginf=-_WIDEST)
    counts = _BELLS[_WIDEST + np.clip(shift, -_WIDEST, _WIDEST).astype(int)]
    if kind == "activation":
        relu = np.array([layer.function == "relu" for layer in manifest.layers])
        counts[relu, 512:] = 0
        counts[relu, 0] += 10_000
    broken = ~np.isfinite(scale)
    counts[broken] = 0
    counts[broken, 511] = 20_000
    return packing.encode_histograms(counts)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Writes a made-up run.")
    parser.add_argument("outdir", type=Path, metavar="OUTDIR")
    parser.add_argument("--layers", type=int, default=60)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--kind", choices=KINDS, default="healthy")
    parser.add_argument("--records", type=int, default=40, help="of histograms and units")
    parser.add_argument("--every", type=int, default=1, help="optimizer steps between two sampled ones")
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args(argv))
    start = time.perf_counter()
    written = write_run(options.pop("outdir"), **options)
    size = sum(series.nbytes for series in written.statistics.values())
    print(f"{len(written.manifest.layers)} layers x {len(written.steps)} steps, {size / 1e6:.0f} MB of statistics, "
          f"in {time.perf_counter() - start:.1f} s")  # fmt: skip


if __name__ == "__main__":
    main()
