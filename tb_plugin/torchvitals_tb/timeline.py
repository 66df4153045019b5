"""Which records still count when training was resumed or started over in the same directory.

Steps of one attempt only rise. A step that repeats or goes back starts a new attempt: what lies at or after it belongs
to the abandoned one. TensorBoard's two ingesters each keep a part of that (the one in Rust drops it per tag, the one
in Python keeps all of it and orders blobs by step), so the reader decides by one series that both hand over whole:
``torchvitals/run`` has a record on every sampled step, in the same event as all others of that step.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.int64]
Walls = NDArray[np.float64]
Indices = NDArray[np.intp]

_SAME_EVENT: Final = 1.0  # seconds; records of one event share one time, others would have to be rewritten this fast


class Timeline(NamedTuple):
    """The sampled steps that count, rising, and when each was written."""

    steps: Steps
    walls: Walls


def preempt(steps: Steps) -> Indices:
    """Of records in order of arrival, those that no later one repeats or goes back before."""
    if not len(steps):
        return np.zeros(0, dtype=np.intp)
    lowest_after = np.minimum.accumulate(steps[:0:-1])[::-1]
    return np.flatnonzero(np.append(steps[:-1] < lowest_after, True))


def current(steps: Steps, walls: Walls, timeline: Timeline | None) -> Indices:
    """Of the records of a tag, whatever their order, those that count, by rising step.

    Without a timeline the times alone tell the order of arrival.
    """
    if timeline is None or not len(timeline.steps):
        order = np.argsort(walls, kind="stable")
        arrived: Indices = order[preempt(steps[order])]
        return arrived
    at = np.searchsorted(timeline.steps, steps, side="right") - 1
    same = (at >= 0) & (timeline.steps[at] == steps)
    before = at - same
    newest = np.maximum.accumulate(timeline.walls)
    overtaken = (before >= 0) & (newest[before] > walls)
    stale = np.where(same, timeline.walls[at] - walls > _SAME_EVENT, overtaken)
    kept = np.flatnonzero(~stale)
    kept = kept[np.lexsort((walls[kept], steps[kept]))]
    last: Indices = kept[np.append(steps[kept][1:] != steps[kept][:-1], True)[: len(kept)]]
    return last
