"""Activations called as functions: which calls they are, and the mode that sees them while a forward is recorded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode, _pop_mode, _push_mode

from torchvitals_tb.schema import ACTIVATIONS

_OWN_FOLDERS: Final = tuple(str(Path(file).parent) + os.sep for file in (torch.__file__, __file__))


_FURTHER_NAMES: Final = {"clamp": ("clip", "clamp_min"), "sigmoid": ("expit",)}


def _functions() -> dict[Any, str]:
    """Every spelling of an activation called as a function -> its name."""
    found: dict[Any, str] = {}
    for name in ACTIVATIONS:
        for spelling in (name, *_FURTHER_NAMES.get(name, ())):
            for space in (F, torch, Tensor, torch._C._nn, torch.special):
                for function in (getattr(space, spelling, None), getattr(space, spelling + "_", None)):
                    if callable(function):
                        found[function] = name
    return found


_FUNCTIONS: Final = _functions()


def is_activation(function: Any) -> bool:
    """Whether a function is one, or may be."""
    return function in _FUNCTIONS


def activation_called(function: Any, args: Any, kwargs: Any) -> str | None:
    """The key in ``ACTIVATIONS`` of a function that was called, or ``None``. A clamp is one when it is a ReLU."""
    name = _FUNCTIONS.get(function)
    if name != "clamp":
        return name
    low, high = _given(args, kwargs, "min", "max")
    return name if high is None and isinstance(low, int | float) and low == 0 else None


def limits_called(name: str, args: Any, kwargs: Any) -> tuple[float | None, float | None]:
    """Outputs at or beyond which an activation, called as a function, counts as saturated."""
    low, high = ACTIVATIONS[name].low, ACTIVATIONS[name].high
    if name == "hardtanh":
        given_low, given_high = _given(args, kwargs, "min_val", "max_val")
        return low if given_low is None else float(given_low), high if given_high is None else float(given_high)
    return low, high


def _given(args: Any, kwargs: Any, *names: str) -> list[Any]:
    """Arguments after the first one, by position or by name."""
    given = dict(zip(("input", *names), args, strict=False)) | (kwargs or {})
    return [given.get(name) for name in names]


class Functions(TorchFunctionMode):
    """Tells of every function called in a recorded forward."""

    def __init__(self, called: Callable[[Any, Any, Any, Any], None]) -> None:
        super().__init__()
        self._called = called
        self.is_on = False

    def start(self) -> None:
        if not self.is_on:
            self.is_on = True
            self.__enter__()  # type: ignore[no-untyped-call]

    def pause(self) -> bool:
        """Leaves the mode where nothing is to be seen, if it is the innermost one; whether it was left.

        A module whose functions it sees takes some 12 us more.
        """
        depth = torch._C._len_torch_function_stack()
        if not self.is_on or not depth or torch._C._get_function_stack_at(depth - 1) is not self:
            return False
        self.is_on = False
        _pop_mode()
        return True

    def stop(self) -> None:
        """Leaves the mode, also from below others that were entered since and not left."""
        if self.is_on:
            self.is_on = False
            above = []
            while torch._C._len_torch_function_stack() and (mode := _pop_mode()) is not self:
                above.append(mode)
            for mode in reversed(above):
                _push_mode(mode)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.is_on or torch.compiler.is_compiling():
            return func(*args, **(kwargs or {}))
        if isinstance(func, HigherOrderOperator):
            return _compiled(func, args, kwargs or {})
        output = func(*args, **(kwargs or {}))
        self._called(func, args, kwargs, output)
        return output


def _compiled(func: Any, args: Any, kwargs: Any) -> Any:
    """``torch.cond``, ``flex_attention`` and their like run compiled also in eager mode, and cannot run otherwise."""
    with torch.compiler.set_stance("default"):
        return torch.compile(lambda *a, **k: func(*a, **k), backend="eager", fullgraph=True)(*args, **kwargs)


def caller() -> str | None:
    """``file.py:12`` of the nearest frame that is neither PyTorch's nor ours."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN_FOLDERS):
        frame = frame.f_back
    return None if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
