"""Where a step ends: which optimizers hold the model's parameters, and which of them have stepped."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch.optim.optimizer import Optimizer

from torchvitals import process
from torchvitals.parameters import Parameters, held_by


class Boundary:
    """The optimizers of one model's steps.

    A step has ended when every trainable parameter's optimizer has stepped, or every optimizer that stepped in the
    step before.
    """

    def __init__(self, parameters: Parameters, look_up: Callable[[], None]) -> None:
        self._parameters = parameters
        self._look_up = look_up
        self._held: weakref.WeakKeyDictionary[Optimizer, tuple[Any, frozenset[int]]] = weakref.WeakKeyDictionary()
        self._stepped: dict[int, frozenset[int]] = {}
        self._required: frozenset[int] = frozenset()
        self._awaited: set[int] = set()
        """Of the required ones those that have not stepped yet."""
        self._missing: set[int] | None = None
        """Trainable parameters whose optimizer has not stepped yet; found out when it is needed."""
        self._open: tuple[int, int] | None = None
        """The optimizer that is stepping, and the frame it does it in."""
        self._fresh = False
        """The parameters were looked up since the step began."""
        self._ids: frozenset[int] = frozenset()
        """Of what that one holds, or the last one that has stepped."""

    def forget(self) -> None:
        """What optimizers hold is looked up anew; the parameters just were."""
        self._held.clear()
        self._fresh = True

    @property
    def begun(self) -> bool:
        """Whether an optimizer has stepped and others are waited for."""
        return bool(self._stepped)

    @property
    def known(self) -> bool:
        """Whether it is known from the step before which optimizers there are."""
        return bool(self._required)

    def parameters(self) -> set[int]:
        """Identities of what the optimizers hold that have stepped."""
        return set().union(*self._stepped.values())

    def holds(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer is one of the model's."""
        return bool(self._ids_of(optimizer))

    def enters(self, optimizer: Optimizer) -> bool:
        """An optimizer begins to step. Whether it is one of the model's, and not inside another's step."""
        ids = self._ids_of(optimizer)
        if not ids:
            return False
        if self._open is not None and process.is_running(self._open[1]):
            return False  # super().step(), or an optimizer wrapped in another
        self._open, self._ids = (id(optimizer), process.step_frame()), ids
        return True

    def leaves(self, optimizer: Optimizer) -> bool:
        """An optimizer has stepped. Whether it is the one that entered."""
        if self._open is None or self._open[0] != id(optimizer):
            return False
        if self._open[1] != process.step_frame() and process.is_running(self._open[1]):
            return False
        self._open = None
        return True

    def has_stepped(self, optimizer: Optimizer) -> bool:
        """Whether it did in this step already."""
        return id(optimizer) in self._stepped

    def add(self, optimizer: Optimizer, *, new_forward: bool) -> bool:
        """Counts the step of the optimizer that has just left. Whether the model's step has ended with it.

        Args:
            optimizer: which has stepped.
            new_forward: a forward is known to have run since the last step ended.
        """
        ids = self._ids
        new = self._required and id(optimizer) not in self._required
        if new and not self._stepped and not new_forward and self._parameters.trainable_outside(ids):
            # As after unfreezing: it has stepped beside the one that ended the step before.
            self._required |= {id(optimizer)}
            self._awaited.add(id(optimizer))
            return False
        self._stepped[id(optimizer)] = ids
        self._awaited.discard(id(optimizer))
        if self._required and not self._awaited:
            return True
        if self._missing is None:
            self._missing = self._parameters.trainable()
        self._missing -= ids
        return not self._missing

    def next(self) -> None:
        """The step has ended; those that stepped in it are waited for in the next."""
        self._required = frozenset(self._stepped)
        self._awaited = set(self._required)
        self._missing = None
        self._fresh = False
        self._stepped.clear()

    def _ids_of(self, optimizer: Optimizer) -> frozenset[int]:
        """Identities of what an optimizer holds; empty where it holds nothing of the model."""
        groups = optimizer.param_groups
        last: Any = groups[-1]["params"] if groups else ()
        seen = (len(groups), len(last), id(last[-1]) if last else 0)
        before, ids = self._held.get(optimizer, (None, frozenset()))
        if before != seen:
            held = held_by(optimizer)
            # What is not known may have become a part of the model since.
            if not (self._fresh and self._required and self._parameters.know(held) and self._parameters.are_current()):
                self._look_up()
            ids = frozenset(map(id, held)) if self._parameters.any_of(held) else frozenset()
            self._held[optimizer] = seen, ids
        return ids
