"""What is put on modules and tensors while armed: small callables that hold no tensor and no module."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from torchvitals.structure import activation_of, canonical, fixed_axis, hides_functions, is_layer, limits_of

if TYPE_CHECKING:
    from torchvitals.capture import Capture


class Scope:
    """What is known of one module while armed. Decided once, so that the hooks have nothing left to ask."""

    __slots__ = (
        "capture",
        "fixed_axis",
        "function",
        "generation",
        "hides",
        "inner",
        "layer",
        "leaf",
        "limits",
        "may_be_fused",
        "module_id",
        "module_type",
        "name",
        "path",
        "root",
        "selected",
        "title",
    )

    def __init__(self, capture: Capture, path: str, module: nn.Module, *, root: bool) -> None:
        self.capture = capture
        self.generation = capture.generation
        self.path = path
        self.name = canonical(path)
        self.root = root
        self.module_id = id(module)
        self.module_type = type(module).__name__
        self.leaf = not any(True for _ in module.children())
        self.layer = is_layer(module) and not (root and not self.leaf)
        self.title = self.name or self.module_type
        self.hides = hides_functions(module)
        self.function = activation_of(module)
        self.limits = limits_of(self.function, module)
        self.fixed_axis = fixed_axis(module)
        self.selected = capture.selection(self.title)
        # These run as one fused kernel where nothing needs a gradient, unless a function mode is on.
        fusing = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
        self.may_be_fused = isinstance(module, fusing)
        self.inner: tuple[weakref.ref[Tensor], str] | None = None
        """The last activation called inside, of a module that hides those, and what it gave."""

    def inner_function(self, output: Tensor) -> str | None:
        """The activation a module of the user's own is made of, where its output is that function's."""
        return self.inner[1] if self.inner is not None and self.inner[0]() is output else None


class _Hook:
    """A copy of a hooked model, or a file of one, holds a do-nothing from the standard library in the hook's place."""

    __slots__ = ("scope",)

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __reduce__(self) -> Any:
        return getattr, (contextlib.nullcontext(), "__exit__")

    def is_live(self, module: nn.Module) -> bool:
        scope = self.scope
        # Replicas of DataParallel share the dictionary of hooks, in other threads.
        return id(module) == scope.module_id and scope.capture.armed and scope.generation == scope.capture.generation


class Enter(_Hook):
    """Forward pre-hook."""

    __slots__ = ()

    def __call__(self, module: nn.Module, args: Any) -> None:
        if not torch.compiler.is_compiling() and self.is_live(module):
            scope = self.scope
            fused = scope.may_be_fused and not module.training and not _needs_gradient(module)
            scope.capture.guarded(scope.title, scope.capture.enter, scope, args, fused)


class Exit(_Hook):
    """Forward hook, also called when the forward raised (``output`` is then ``None``)."""

    __slots__ = ()

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        if not torch.compiler.is_compiling() and self.is_live(module):
            scope = self.scope
            scope.capture.guarded(scope.title, scope.capture.leave, scope, output)


class Gradient:
    """Tensor hook on a layer's output."""

    __slots__ = ("capture", "generation", "index")

    def __init__(self, capture: Capture, index: int) -> None:
        self.capture = capture
        self.index = index
        self.generation = capture.generation

    def __call__(self, gradient: Tensor) -> None:
        capture = self.capture
        if capture.armed and capture.generation == self.generation:
            capture.guarded(capture.rows[self.index].layer.name, capture.after_gradient, self.index, gradient)


class AfterBackward:
    """Callback at the end of a backward pass."""

    __slots__ = ("again", "capture", "generation")

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.generation = capture.generation
        self.again = True

    def queue(self) -> None:
        torch.autograd.Variable._execution_engine.queue_callback(self)

    def __call__(self) -> None:
        if self.again:  # DistributedDataParallel hands over the averaged gradients in a callback queued after this one
            self.again = False
            self.queue()
        elif self.capture.armed and self.capture.generation == self.generation:
            self.capture.guarded("backward", self.capture.on_backward)


def _needs_gradient(module: nn.Module) -> bool:
    return torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters())
