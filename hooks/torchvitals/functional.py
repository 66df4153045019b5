"""Activations called as functions: which calls they are, and the mode that sees them while a forward is recorded."""

from __future__ import annotations

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

_OWN_FOLDERS: Final = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


def _functions() -> dict[Any, str]:
    """Every spelling of an activation called as a function -> its name."""
    found: dict[Any, str] = {}
    for name in ACTIVATIONS:
        for space in (F, torch, Tensor, torch._C._nn):
            for spelling in (name, name + "_"):
                function = getattr(space, spelling, None)
                if callable(function):
                    found[function] = name
    return found


_FUNCTIONS: Final = _functions()


def activation_called(function: Any, args: Any, kwargs: Any) -> str | None:
    """The key in ``ACTIVATIONS`` of a function that was called, or ``None``. A clamp is one when it is a ReLU."""
    name = _FUNCTIONS.get(function)
    if name != "clamp":
        return name
    given = dict(zip(("input", "min", "max"), args, strict=False)) | (kwargs or {})
    low = given.get("min")
    return name if given.get("max") is None and isinstance(low, int | float) and low == 0 else None


class Functions(TorchFunctionMode):
    """Tells of every function called in a recorded forward."""

    def __init__(self, called: Callable[[Any, Any, Any, Any], None]) -> None:
        super().__init__()
        self._called = called
        self._on = False

    def start(self) -> None:
        if not self._on:
            self._on = True
            self.__enter__()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Leaves the mode, also from below others that were entered since and not left."""
        if self._on:
            self._on = False
            above = []
            while torch._C._len_torch_function_stack() and (mode := _pop_mode()) is not self:
                above.append(mode)
            for mode in reversed(above):
                _push_mode(mode)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self._on or torch.compiler.is_compiling():
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
