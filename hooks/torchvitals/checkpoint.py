"""Reentrant checkpointing: the forward runs without a graph, and again inside the backward pass, with one."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import BackwardCFunction


class Regions:
    """Rows that the checkpointed regions of one step gave in the forward, in order.

    A region is known by the context of its ``autograd.Function``, which is the same object in the forward and in the
    backward pass; its rows are kept there. So this holds for every checkpoint built like
    ``torch.utils.checkpoint(use_reentrant=True)``.
    """

    def __init__(self) -> None:
        self._key = f"torchvitals rows {id(self)}"
        self._waiting: deque[int] = deque()
        self._region = (0, 0)

    def add(self, row: int) -> None:
        """Tells of a row, recorded in a forward without a graph."""
        region = _running("forward")
        if region is not None:
            vars(region).setdefault(self._key, []).append(row)

    def begin_again(self) -> bool:
        """Inside a backward pass: whether rows of a region are being computed again."""
        region = _running("backward")
        self._region = (id(region), torch._C._current_graph_task_id())
        self._waiting = deque(vars(region).get(self._key, ()) if region is not None else ())
        return bool(self._waiting)

    def goes_on(self) -> bool:
        """Whether it is still the same region, in the same backward pass."""
        return self._region == (id(_running("backward")), torch._C._current_graph_task_id())

    def next(self, fits: Callable[[int], bool]) -> int | None:
        """The next row of the region that fits what was just computed again."""
        for position, row in enumerate(self._waiting):
            if fits(row):
                for _ in range(position + 1):
                    self._waiting.popleft()
                return row
        return None


def _running(direction: str) -> Any:
    """The innermost ``autograd.Function`` context that is in its forward or backward."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        # A method is none; looking into its variables would keep them alive until it returns.
        if code.co_name == direction and code.co_argcount and code.co_varnames[0] != "self":
            context = frame.f_locals.get(code.co_varnames[0])
            if isinstance(context, BackwardCFunction):
                return context
        frame = frame.f_back
    return None
