"""Small outputs and gradients side by side, reduced together when there are enough of them.

Asking PyTorch or NumPy for anything takes a microsecond or more, a dozen times a tensor; so in a deep and narrow model
asking is all that measuring costs. Here a small tensor is copied, which is two such calls, into a block of those of its
size, and the whole block is reduced at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from torchvitals import host
from torchvitals.scratch import Scratch
from torchvitals.statistics import PAIRS
from torchvitals.sums import ABS_MAX, COMPARED, SPREAD, SUM_SAFE, UnitSums

_SMALL: Final = 1 << 15
_MOST: Final = 1 << 17
"""Values in a block: they stay in the cache."""
_MOST_BLOCKS: Final = 64


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


class _Block:
    """Tensors of one size."""

    def __init__(self, size: int) -> None:
        with torch.inference_mode(False):
            self.values = torch.empty((max(1, _MOST // size), size))
        self.rows = self.values.numpy()
        self.goals: list[Goal] = []


class Stage:
    """Values that wait to be reduced.

    Args:
        scratch: buffers of the host.
        fail: told of an output whose units and examples could not be reduced, and why.
    """

    def __init__(self, scratch: Scratch, fail: Callable[[Goal, Exception], None]) -> None:
        self._scratch = scratch
        self._fail = fail
        self._blocks: dict[int, _Block] = {}

    @staticmethod
    def takes(x: Tensor) -> bool:
        """Whether a tensor on the host is small and plain enough."""
        return 0 < x.numel() <= _SMALL and x.dtype == torch.float32 and x.is_contiguous()

    def put(self, x: Tensor, goal: Goal) -> None:
        """Copies a tensor that it `takes`; the numbers come into the goal later."""
        block = self._blocks.get(x.numel())
        if block is None:
            if len(self._blocks) >= _MOST_BLOCKS:  # batches of every size
                self.reduce()
                self._blocks.clear()
            block = self._blocks[x.numel()] = _Block(x.numel())
        elif len(block.goals) == len(block.rows):
            self._reduce(block)
        block.rows[len(block.goals)] = x.numpy().reshape(-1)
        block.goals.append(goal)

    def clear(self) -> None:
        """Forgets what waits."""
        for block in self._blocks.values():
            block.goals = []

    def reduce(self) -> None:
        """Reduces all that waits."""
        for block in self._blocks.values():
            self._reduce(block)

    def _reduce(self, block: _Block) -> None:
        goals, block.goals = block.goals, []
        if not goals:
            return
        x_RN = block.values[: len(goals)]
        with torch.no_grad():
            _add_sums(goals, x_RN, self._scratch)
            first = 0
            for (shape, axis, examples, counts_units), run in groupby(goals, _kind):
                some = list(run)
                part = x_RN[first : first + len(some)]
                first += len(some)
                try:
                    if counts_units and axis is not None:
                        _add_units(some, part, shape, axis, self._scratch)
                    if examples and len(shape) > 1 and shape[0] > 1:
                        _add_spread(some, part, shape)
                except Exception as error:  # what is wrong with some is no matter of the others
                    for goal in some:
                        self._fail(goal, error)


def _add_sums(goals: list[Goal], x_RN: Tensor, scratch: Scratch) -> None:
    sums_RK = host.sums_of_rows(x_RN, scratch)
    for goal, largest in zip(goals, sums_RK[:, ABS_MAX].tolist(), strict=True):
        if largest != largest or largest > goal.sums[ABS_MAX]:
            goal.sums[ABS_MAX] = largest
    for column in sums_RK.any(axis=0).nonzero()[0].tolist():  # most count what is rare
        if column != ABS_MAX:
            for goal, number in zip(goals, sums_RK[:, column].tolist(), strict=True):
                goal.sums[column] += number
    if any(goal.histogram for goal in goals):
        for goal, bins in zip(goals, host.bins_of_rows(x_RN), strict=True):
            if goal.histogram and getattr(*goal.histogram) is None:
                setattr(*goal.histogram, bins)


def _kind(goal: Goal) -> tuple[torch.Size, int | None, bool, bool]:
    return goal.shape, goal.axis, goal.examples, goal.units is not None


def _add_units(goals: list[Goal], x_RN: Tensor, shape: torch.Size, axis: int, scratch: Scratch) -> None:
    x_RAUB = x_RN.view(len(goals), math.prod(shape[:axis]), shape[axis], -1)
    fired_RU = scratch.nonzero(x_RAUB).sum((1, 3)).numpy()
    wide = None if all(goal.sums[ABS_MAX] < SUM_SAFE for goal in goals) else torch.float64
    magnitude_RU = torch.abs(x_RAUB, out=scratch.like(x_RAUB)).sum((1, 3), dtype=wide).numpy()
    each = x_RN.numel() // fired_RU.size
    for goal, fired, magnitude in zip(goals, fired_RU, magnitude_RU, strict=True):
        units: Any = goal.units
        units.fired += fired
        units.magnitude += magnitude
        units.observations += each


def _add_spread(goals: list[Goal], x_RN: Tensor, shape: torch.Size) -> None:
    half = shape[0] // 2
    pairs = min(half, PAIRS)
    x_REB = x_RN.view(len(goals), shape[0], -1)
    difference = x_REB[:, :pairs].double() - x_REB[:, half : half + pairs]
    squares = difference.square_().sum((1, 2)).tolist()
    for goal, square in zip(goals, squares, strict=True):
        goal.sums[SPREAD] += square / 2
        goal.sums[COMPARED] += difference[0].numel()
