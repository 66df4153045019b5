"""Small outputs and gradients side by side, reduced together when there are enough of them.

Asking PyTorch or NumPy for anything takes a microsecond or more, a dozen times a tensor; so in a deep and narrow model
asking is all that measuring costs. Here a small tensor is copied, which is two such calls, and some hundred are reduced
at once. Tensors of the same shape that follow each other, as they do in deep models, share even the sums per unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchvitals import host
from torchvitals.scratch import CHUNK
from torchvitals.statistics import PAIRS
from torchvitals.sums import ABS_MAX, COMPARED, SPREAD, UnitSums

_SMALL: Final = 1 << 11
_MOST: Final = CHUNK // 2
"""Values held at most: they stay in the cache."""


class Goal(NamedTuple):
    """What one tensor is reduced into."""

    sums: Any
    """[K] list."""
    shape: torch.Size
    axis: int | None
    """That counts units."""
    units: UnitSums | None
    examples: bool
    """Whether it also counts how far examples differ."""
    histogram: tuple[Any, str] | None
    """The object and its attribute that gets the bins in use, unless it has some."""


class Stage:
    """Values that wait to be reduced.

    Args:
        fail: told of an output whose units and examples could not be reduced, and why.
    """

    def __init__(self, fail: Callable[[Goal, Exception], None]) -> None:
        self._fail = fail
        self._values: NDArray[np.float32] = np.empty(_MOST, dtype=np.float32)
        self._goals: list[Goal] = []
        self._starts: list[int] = []
        self._end = 0

    @staticmethod
    def takes(x: Tensor) -> bool:
        """Whether a tensor on the host is small and plain enough."""
        return 0 < x.numel() <= _SMALL and x.dtype == torch.float32 and x.is_contiguous()

    def put(self, x: Tensor, goal: Goal) -> None:
        """Copies a tensor that it `takes`; the numbers come into the goal later."""
        n = x.numel()
        if self._end + n > _MOST:
            self.reduce()
        self._values[self._end : self._end + n] = x.numpy().reshape(-1)
        self._starts.append(self._end)
        self._goals.append(goal)
        self._end += n

    def clear(self) -> None:
        """Forgets what waits."""
        self._goals = []
        self._starts = []
        self._end = 0

    def reduce(self) -> None:
        """Reduces all that waits."""
        if not self._goals:
            return
        goals, starts, values = self._goals, np.array(self._starts), self._values[: self._end]
        self.clear()
        _add_sums(goals, values, starts)
        first = 0
        for (shape, axis, examples, counts_units), run in groupby(goals, _kind):
            some = list(run)
            part = values[starts[first] : starts[first] + len(some) * shape.numel()]
            first += len(some)
            try:
                with np.errstate(all="ignore"):
                    if counts_units and axis is not None:
                        _add_units(some, part, shape, axis)
                    if examples and len(shape) > 1 and shape[0] > 1:
                        _add_spread(some, part, shape)
            except Exception as error:  # what is wrong with some is no matter of the others
                for goal in some:
                    self._fail(goal, error)


def _add_sums(goals: list[Goal], values: NDArray[Any], starts: NDArray[Any]) -> None:
    sums_RK = host.segment_sums(values, starts)
    for goal, largest in zip(goals, sums_RK[:, ABS_MAX].tolist(), strict=True):
        if largest != largest or largest > goal.sums[ABS_MAX]:
            goal.sums[ABS_MAX] = largest
    for column in np.flatnonzero(sums_RK.any(axis=0)).tolist():  # most count what is rare
        if column != ABS_MAX:
            for goal, number in zip(goals, sums_RK[:, column].tolist(), strict=True):
                goal.sums[column] += number
    if any(goal.histogram for goal in goals):
        for goal, bins in zip(goals, host.segment_bins(values, starts), strict=True):
            if goal.histogram and getattr(*goal.histogram) is None:
                setattr(*goal.histogram, bins)


def _kind(goal: Goal) -> tuple[torch.Size, int | None, bool, bool]:
    return goal.shape, goal.axis, goal.examples, goal.units is not None


def _add_units(goals: list[Goal], values: NDArray[Any], shape: torch.Size, axis: int) -> None:
    x_RAUB = values.reshape(len(goals), math.prod(shape[:axis]), shape[axis], -1)
    fired_RU = np.count_nonzero(x_RAUB, axis=(1, 3)).astype(np.float64)
    magnitude_RU = np.abs(x_RAUB).sum((1, 3), dtype=np.float64)
    each = values.size // fired_RU.size
    for goal, fired, magnitude in zip(goals, fired_RU, magnitude_RU, strict=True):
        units: Any = goal.units
        units.fired += fired
        units.magnitude += magnitude
        units.observations += each


def _add_spread(goals: list[Goal], values: NDArray[Any], shape: torch.Size) -> None:
    half = shape[0] // 2
    pairs = min(half, PAIRS)
    x_REB = values.reshape(len(goals), shape[0], -1)
    difference = x_REB[:, :pairs].astype(np.float64) - x_REB[:, half : half + pairs]
    squares = np.square(difference).sum((1, 2)).tolist()
    for goal, square in zip(goals, squares, strict=True):
        goal.sums[SPREAD] += square / 2
        goal.sums[COMPARED] += difference[0].size
