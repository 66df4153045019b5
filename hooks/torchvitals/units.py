"""What single units did, added up over sampled steps until the next record."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb import packing, schema


class UnitRecord:
    """What the units did since the last unit record, added up over sampled steps on the host."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[NDArray[np.float64], NDArray[np.float64], float]] = {}

    def add(self, row: int, fired: NDArray[Any], magnitude: NDArray[Any], observations: int) -> None:
        before = self._rows.get(row)
        if before is None or len(before[0]) != len(fired):
            self._rows[row] = (fired.astype(np.float64), magnitude.astype(np.float64), observations)
        else:
            self._rows[row] = (before[0] + fired, before[1] + magnitude, before[2] + observations)

    def take(self, layers: list[schema.Layer]) -> bytes | None:
        """The record, packed, and start anew; ``None`` when no layer has units."""
        rows, self._rows = self._rows, {}
        units = np.array([layer.units or 0 for layer in layers], dtype=np.int64)
        if not units.any():
            return None
        none = np.zeros(0)
        parts = [rows.get(i, (np.zeros(n), np.zeros(n), 0.0)) for i, n in enumerate(units)]
        return packing.encode_units(
            units,
            np.array([p[2] for p in parts], dtype=np.float64),
            np.concatenate([none, *(p[0] for p in parts)]),
            np.concatenate([none, *(p[1] for p in parts)]),
        )
