"""The scalars a training loop writes itself (loss, learning rate, …), and where they belong on our axis of steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb.sources import Scalar, ScalarTag, Source
from torchvitals_tb.timeline import Timeline, current

MOST_BELOW: Final = 32
"""Runs below a run whose scalars are offered with its own."""

_CLOSE: Final = 0.05  # of the run: so far may the user's count lie from ours and be called the same

Kind = Literal["loss", "rate", "other", "ours"]
By = Literal["step", "time", "none"]

_LOSS: Final = re.compile(r"loss(?!.?scale)|(?:^|[^a-z])(?:nll|cost|perplexity|ppl|objective)(?:[^a-z]|$)", re.I)
_RATE: Final = re.compile(r"(?:^|[^a-z])lr(?:[^a-z]|$)|learning.?rate", re.I)
_HELD_OUT: Final = re.compile(r"(?:^|[^a-z])(?:val|valid|validation|eval|test|dev)(?:[^a-z]|$)", re.I)


def kind_of(name: str) -> Kind:
    """What a scalar most likely is, by its name; ``ours``: one of the hooks' own that mirror what is shown anyway."""
    if name.startswith("vitals/"):
        return "ours"
    if _RATE.search(name):
        return "rate"
    return "loss" if _LOSS.search(name) else "other"


class Scalars(Mapping[str, Scalar]):
    """Scalars by name, read when asked for. Losses come first, then learning rates; of these training before held-out.

    The name is the tag; of a run below, as ``add_scalars`` makes them, its path comes before it: ``loss_train/loss``.
    Records of an attempt that was started over are left out.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        named: dict[str, ScalarTag] = {}
        for which in sorted(source.scalars()):  # the run's own first: their names stay theirs
            named.setdefault(f"{which.below}/{which.tag}" if which.below else which.tag, which)
        self._named = {name: named[name] for name in sorted(named, key=lambda name: _rank(name, named[name]))}

    def __getitem__(self, name: str) -> Scalar:
        read = self._source.read_scalar(self._named[name])
        kept = current(read.steps, read.walls, None)
        return Scalar(read.steps[kept], read.walls[kept], read.values[kept])

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    @property
    def telling(self) -> list[str]:
        """Those to show unasked: a loss and a learning rate, or else the first there is."""
        found = {kind_of(name): name for name in reversed(self._named)}
        return [found[kind] for kind in ("loss", "rate") if kind in found] or list(self._named)[:1]


def _rank(name: str, which: ScalarTag) -> tuple[int, bool, bool, str]:
    kind = ("loss", "rate", "other", "ours").index(kind_of(name))
    return kind, bool(_HELD_OUT.search(name)), bool(which.below), name


class Placed(NamedTuple):
    """A scalar on the axis of our steps."""

    by: By
    """What placed it: its own steps; the time it was written at; nothing, and then it has no place."""
    steps: NDArray[np.float64]
    """[N] as the user counted."""
    at: NDArray[np.float64]
    """[N] optimizer steps, as we count; strictly increasing; NaN: no place."""
    values: NDArray[np.float64]
    """[N]"""


def place(scalar: Scalar, timeline: Timeline) -> Placed:
    """Finds where on our axis of steps a scalar's records belong.

    A user may count optimizer steps as we do, or batches, epochs, tokens, or go on from a checkpoint while we begin
    at 0. The times at which both were written tell: if the user's count lies within 5 % of the run, or one sampled
    step, of where ours was at those times (in the median), it is taken as it is, else the times alone place it.
    What was written before the first or after the last sampled step, such as the loss of the last epoch, then stands
    there; of several records in one place the last is kept. Where no times can be compared (records copied or
    written afterwards) the counts are taken as the same if they span about the same range, else there is no place.
    """
    steps, values = scalar.steps.astype(np.float64), scalar.values
    ours, walls = timeline.steps.astype(np.float64), timeline.walls
    if not len(ours):
        return Placed("step", steps, steps, values)
    during = (scalar.walls >= walls[0]) & (scalar.walls <= walls[-1])
    if walls[-1] > walls[0] and during.any():
        then = np.interp(scalar.walls, walls, ours)
        after = np.clip(np.searchsorted(ours, then[during], side="right"), 1, len(ours) - 1)
        slack = _CLOSE * (ours[-1] - ours[0]) + float(np.median(ours[after] - ours[after - 1]))
        if np.median(np.abs(steps - then)[during]) <= slack:
            return Placed("step", steps, steps, values)
        order = np.argsort(then, kind="stable")
        last = order[np.append(np.diff(then[order]) > 0, True)]
        return Placed("time", steps[last], then[last], values[last])
    if _same_range(steps, ours):
        return Placed("step", steps, steps, values)
    return Placed("none", steps, np.full(len(steps), np.nan), values)


def _same_range(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    if not len(a):
        return True
    shared = min(a[-1], b[-1]) - max(a[0], b[0])
    return bool(shared + 1 >= 0.5 * (max(a[-1], b[-1]) - min(a[0], b[0]) + 1))
