"""Which rows feed which: from the autograd graph and, where no gradient flows, from the functions that were called."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any, Final

from torch import Tensor
from torch.nn import Parameter

from torchvitals.structure import tensors

Rows = tuple[int, ...]
"""Indices of rows, ascending, which is their execution order."""

_MOST = 64  # rows that feed one: every layer before it feeds a residual stream, and the latest tell its way
_FAR = 1_000  # nodes looked at for one row: a graph from before the step may hang behind it
# Its graph is made anew in the backward pass; what hangs behind this node is only what went into the region.
_OPAQUE: Final = "CheckpointFunctionBackward"


class Origins:
    """Which rows the tensors of one forward come from, without keeping any of them alive."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[weakref.ref[Tensor] | None, Rows]] = {}

    def clear(self) -> None:
        self._of.clear()

    def set(self, value: Any, rows: Rows) -> None:
        """From now on the tensors in a value come from these rows."""
        for x in (value,) if type(value) is Tensor else tensors(value):
            # PyTorch swaps no parameter that has a weak reference; it lives longer than this anyway.
            self._of[id(x)] = (None if type(x) is not Tensor and isinstance(x, Parameter) else weakref.ref(x), rows)

    def of(self, value: Any) -> Rows:
        """Rows behind all tensors in a value; of many the latest."""
        if type(value) is tuple and len(value) == 1 and type(value[0]) is Tensor:  # as most modules are called
            entry = self._of.get(id(value[0]))
            return entry[1] if entry is not None and entry[0] is not None and entry[0]() is value[0] else ()
        rows: set[int] = set()
        for x in tensors(value, depth=3):
            entry = self._of.get(id(x))
            # The address of a tensor that is gone may be another's by now.
            if entry is not None and (entry[0] is None or entry[0]() is x):
                rows.update(entry[1])
        return tuple(rows) if len(rows) < 2 else tuple(sorted(rows))[-_MOST:]


class Graph:
    """Rows on the autograd graph of one forward.

    Nothing is traced or run for it. An in-place operation, a view or an operation of the user's own is on the graph
    like any other, and so is what happens between the calls of two modules. The nodes are held only until the forward
    ends; nothing is put on them, since PyTorch frees long chains of nodes that carry something by recursion.
    """

    def __init__(self) -> None:
        self._marks: dict[tuple[Any, int], int] = {}
        self._constant: set[int] = set()

    def clear(self) -> None:
        """A new step begins."""
        self._marks.clear()
        self._constant.clear()

    def release(self) -> None:
        """The forward has ended."""
        self._marks.clear()

    def mark(self, row: int, output: Any) -> None:
        """Remembers that the tensors of an output are this row's."""
        for x in tensors(output):
            node: Any = x.grad_fn
            if node is None:
                self._constant.add(row)
            else:
                self._marks[node, x.output_nr] = row

    def feeding(self, output: Tensor, called: Rows) -> Rows:
        """The nearest rows that an output was computed from.

        Args:
            output: of a layer that is not marked yet.
            called: what the functions called tell; it counts where the graph cannot know: for outputs without a
                gradient, beyond a ``detach`` or an integer, and between modules that are called one by one.
        """
        found = self._behind(output)
        if not found:
            return called
        return tuple(sorted(found.union(row for row in called if row in self._constant)))[-_MOST:]

    def _behind(self, output: Tensor) -> set[int]:
        rows: set[int] = set()
        seen: set[tuple[Any, int]] = set()
        waiting: deque[tuple[Any, int]] = deque([(output.grad_fn, output.output_nr)])
        while waiting and len(rows) < _MOST and len(seen) < _FAR:
            edge = waiting.popleft()
            if edge[0] is None or edge in seen:
                continue
            seen.add(edge)
            row = self._marks.get(edge)
            if row is not None:
                rows.add(row)
            elif edge[0].name() != _OPAQUE:
                waiting.extend(edge[0].next_functions)
        return rows
