"""Which units are dead, and since when, from the records of what fired.

A unit that has been silent for N observations fires on fewer than 3 / N of them (the rule of three, 95 % confident),
so how long a silence must be before a unit is called dead is a choice of how rarely a living unit may fire.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb.packing import MAGNITUDE_LEVELS, Fired, Units
from torchvitals_tb.schema import DORMANT_TAU, Layer

if TYPE_CHECKING:
    from torchvitals_tb.reader import Run

Levels = NDArray[np.uint8]
Starts = NDArray[np.int64]

MIN_OBSERVATIONS: Final = 2000
"""A dead unit was silent for at least as many values: it fires on fewer than 0.15 % of them."""
MIN_EXAMPLES: Final = 200
"""And for as many examples: the positions of one image say much the same, and a channel may look for a rare thing."""

_LOW: Final = MAGNITUDE_LEVELS <= DORMANT_TAU


class Lives(NamedTuple):
    """The units of some rows over R records; U units in all, row after row."""

    units: NDArray[np.int64]
    """[rows]"""
    row: NDArray[np.intp]
    """[U] whose unit it is."""
    observations: NDArray[np.float64]
    """[R, rows] values seen of each unit; 0: the layer did not run."""
    silent: NDArray[np.float32]
    """[R, rows] share of units that did not fire; NaN: the layer did not run."""
    last_fired: NDArray[np.intp]
    """[U] the last record it fired in, -1: none."""
    dead: NDArray[np.bool_]
    """[U] silent ever since, for long enough to say so."""
    low: NDArray[np.bool_]
    """[U] with hardly any of its layer's magnitude in the last record in which that ran."""


def follow(
    records: Sequence[Fired], window: NDArray[np.float64], magnitude: Callable[[int], tuple[Levels, Starts]]
) -> Lives:
    """The units of the last record through all records.

    Args:
        records: in order, with the same rows each. Where a row has another number of units than in the last record,
            its model was another one: it then counts as not run.
        window: [rows] observations a unit must have been silent for to be dead.
        magnitude: of a record, by its place, the levels of magnitude and where in them each row starts.
    """
    rows = len(window)
    starts = records[-1].starts if records else np.zeros(rows + 1, dtype=np.int64)
    units = np.diff(starts)
    row = np.repeat(np.arange(rows), units)
    observations = np.zeros((len(records), rows))
    silent = np.full((len(records), rows), np.nan, dtype=np.float32)
    last_fired = np.full(len(row), -1, dtype=np.intp)
    quiet = np.arange(len(row))  # units not seen to fire yet; backwards in time there are soon only a few
    for r, record in reversed(list(enumerate(records))):
        ran = (np.diff(record.starts) == units) & (units > 0) & (record.observations > 0)
        observations[r, ran] = record.observations[ran]
        silent[r, ran] = record.silent[ran] / units[ran]
        if len(quiet):
            fired = _aligned(record.flags(), record.starts, starts)[quiet]
            last_fired[quiet[fired]] = r
            quiet = quiet[~fired]
    seen = np.concatenate([np.zeros((1, rows)), np.cumsum(observations, axis=0)])
    silence = seen[-1, row] - seen[last_fired + 1, row]
    low = np.zeros(len(row), dtype=bool)
    for r, of_row in _last_ran(observations):
        low |= of_row[row] & _LOW[_aligned(*magnitude(r), starts)]
    return Lives(units, row, observations, silent, last_fired, silence >= window[row], low)


def of_run(run: Run, since: int | None = None) -> tuple[NDArray[np.int64], Lives]:
    """The units of all layers.

    Args:
        run: the run.
        since: look only at records closed on this step or later.

    Returns:
        The steps [R] on which records were closed, and what became of the units over them.
    """
    found = [(step, record) for step, record in run.fired if since is None or step >= since]
    steps = np.array([step for step, _ in found], dtype=np.int64)

    def magnitude(r: int) -> tuple[Levels, Starts]:
        record = run.units[int(np.searchsorted(run.units.steps, steps[r]))]
        return record.magnitude, record.starts

    return steps, follow([record for _, record in found], window(run.layers), magnitude)


def of_layer(records: Sequence[Units], layer: Layer) -> Lives:
    """The units of one layer, from the records of its row alone."""
    fired = [Fired(r.starts, r.observations, r.silent, np.packbits(r.firing > 0)) for r in records]
    return follow(fired, window([layer]), lambda r: (records[r].magnitude, records[r].starts))


def window(layers: Sequence[Layer]) -> NDArray[np.float64]:
    """[rows] observations in which a unit of each layer must be silent to be dead."""
    return np.array([max(MIN_OBSERVATIONS, MIN_EXAMPLES * _positions(layer)) for layer in layers], dtype=np.float64)


def _positions(layer: Layer) -> float:
    """Values of a unit that come from one example, by the shape of the output."""
    examples = layer.shape[0] if len(layer.shape) > 1 and layer.unit_axis != 0 else 1
    return min(math.prod(layer.shape) // max(1, examples * (layer.units or 1)), 10**12)


def _aligned(levels: NDArray[Any], starts: Starts, wanted: Starts) -> NDArray[Any]:
    """The levels of a record in the layout of another one; 0 for rows whose number of units differs."""
    if np.array_equal(starts, wanted):
        return levels
    lengths, widths = np.diff(starts), np.diff(wanted)
    same = lengths == widths
    out = np.zeros(wanted[-1], dtype=levels.dtype)
    out[np.repeat(same, widths)] = levels[np.repeat(same, lengths)]
    return out


def _last_ran(observations: NDArray[np.float64]) -> list[tuple[int, NDArray[np.bool_]]]:
    """Records in which rows ran last, and which rows."""
    ran = observations > 0
    last = np.where(ran.any(axis=0), len(ran) - 1 - np.argmax(ran[::-1], axis=0), -1) if len(ran) else np.zeros(0)
    return [(int(r), last == r) for r in np.unique(last[last >= 0])]
