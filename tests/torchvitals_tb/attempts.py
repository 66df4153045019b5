"""Small runs with names and numbers that tell where a value came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.synthetic import START, EventFile
from torchvitals_tb import packing, schema
from torchvitals_tb.schema import Layer, Manifest, Parameter


def layer(name: str, *, units: int | None = 4, shape: tuple[int, ...] = (8, 4), function: str | None = "relu") -> Layer:
    return Layer(name, "module", "ReLU", function, "", 0, shape, units, 1)


def manifest(*layers: str | Layer, parameters: tuple[str, ...] = ()) -> Manifest:
    rows = tuple(layer(row) if isinstance(row, str) else row for row in layers)
    return Manifest(layers=rows, parameters=tuple(Parameter(name, "", (2,), True) for name in parameters))


class Attempt:
    """One training that writes to a run directory: its number is in every value.

    Row r of ``gradient/rms`` at step s is ``1000 * number + s + r / 16``; of ``parameter/rms`` the negative of that.
    """

    def __init__(self, folder: Path, number: int, described: Manifest, file: EventFile | None = None) -> None:
        self.file = file or EventFile(folder, stamp=int(START) + 10_000 * number)
        self.number, self.manifest, self.count = number, described, 0
        self.announced = False

    def value(self, step: int, rows: int) -> np.ndarray:
        return (1000 * self.number + step + np.arange(rows) / 16).astype(np.float32)

    def frame(self, step: int, *, wall: float | None = None, records: bool = False, **segments: int) -> None:
        """One sampled step; ``records``: with a histogram and a record of units."""
        values: dict[str, Any] = {} if self.announced else {schema.MANIFEST_TAG: self.manifest.to_json()}
        self.announced = True
        self.count += 1
        rows = len(self.manifest.layers)
        suffix = f"@{segments['segment']}" if segments.get("segment") else ""
        values[schema.tag_of("gradient/rms") + suffix] = self.value(step, rows)
        values[schema.tag_of("parameter/rms") + suffix] = -self.value(step, len(self.manifest.parameters))
        values[schema.RUN_TAG] = np.array([self.count, step, 0.5 * self.count, float(step)])
        if records:
            values[schema.histogram_tag("activation") + suffix] = self.histogram(step, rows)
            values[schema.UNITS_TAG + suffix] = self.units(step)
        self.file.write(step, values, wall)

    def histogram(self, step: int, rows: int) -> bytes:
        counts = np.zeros((rows, packing.BINS), dtype=np.int64)
        counts[np.arange(rows), 100 + np.arange(rows)] = 1000 * self.number + step
        return packing.encode_histograms(counts)

    def units(self, step: int) -> bytes:
        units = np.array([la.units or 0 for la in self.manifest.layers])
        fired = np.full(units.sum(), 500.0)
        return packing.encode_units(units, np.full(len(units), 1000.0 * self.number + step), fired, fired)

    def announce(self, described: Manifest) -> None:
        """The manifest changes with the next frame."""
        self.manifest, self.announced = described, False
