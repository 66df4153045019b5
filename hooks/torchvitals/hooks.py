"""What is put on modules and tensors while armed: small callables that hold no tensor and no module."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks

from torchvitals.structure import (
    activation_of,
    canonical,
    fixed_axis,
    hides_functions,
    is_layer,
    is_leaf,
    limits_of,
    tensors,
    widths,
)  # fmt: skip

if TYPE_CHECKING:
    from torchvitals.capture import Capture


class Scope:
    """What is known of one module while armed. Decided once, so that the hooks have nothing left to ask."""

    __slots__ = (
        "_enter",
        "_exit",
        "_used",
        "called",
        "calls_no_modules",
        "capture",
        "expected",
        "fixed_axis",
        "function",
        "generation",
        "handles",
        "hides",
        "inner",
        "known_by",
        "layer",
        "leaf",
        "limits",
        "made_of",
        "may_be_fused",
        "module_id",
        "module_type",
        "name",
        "path",
        "quiet",
        "root",
        "selected",
        "title",
        "widths",
    )

    def __init__(self, capture: Capture, path: str, module: nn.Module, *, root: bool) -> None:
        self.capture = capture
        self.generation = capture.generation
        self.path = path
        self.name = canonical(path)
        self.root = root
        self.module_id = id(module)
        self.module_type = type(module).__name__
        self.leaf = is_leaf(module)
        self.layer = is_layer(module) and not (root and not self.leaf)
        self.title = self.name or self.module_type
        self.hides = hides_functions(module)
        self.quiet = self.hides and type(module).__module__.startswith("torch.nn.modules.")
        """PyTorch's own: where it runs alone, nothing that is called inside is looked at."""
        self.function = activation_of(module)
        self.limits = limits_of(self.function, module)
        self.fixed_axis = fixed_axis(module)
        self.widths = widths(module)
        self.made_of = made_of(module)
        self.handles: tuple[Any, ...] = ()
        """Of the forward pre-hook and the forward hook."""
        self._used: tuple[Any, ...] = ()
        """The same once they were put in, also while they are out."""
        self._enter, self._exit = Enter(self), Exit(self)
        self.known_by = known_by(module)
        self.selected = capture.selection(self.title)
        # These run as one fused kernel where nothing needs a gradient, unless a function mode is on.
        fusing = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
        self.may_be_fused = isinstance(module, fusing)
        self.calls_no_modules = isinstance(module, nn.MultiheadAttention) or (self.may_be_fused and not module.training)
        self.expected = True
        """That it is called; inside of attention and of fused layers nothing is."""
        self.called = False
        self.inner: tuple[weakref.ref[Tensor], str] | None = None
        """The last activation called inside, of a module that hides those, and what it gave."""

    def install(self, module: nn.Module) -> None:
        """Puts the hooks on the module.

        Raises:
            Exception: it takes none; a scripted module does not.
        """
        if self._used and self._used[0].hooks_dict_ref() is module._forward_pre_hooks:
            # To put back what was there costs less than to register it anew, and makes no new objects.
            before, after = self._used
            module._forward_pre_hooks[before.id] = self._enter
            module._forward_hooks[after.id] = self._exit
            module._forward_hooks_always_called[after.id] = True
            self.handles = self._used
            return
        before = module.register_forward_pre_hook(self._enter)
        self.handles = (before,)
        self.handles = self._used = (before, module.register_forward_hook(self._exit, always_call=True))

    def begin(self, module: nn.Module) -> None:
        """A new step: forgets the one before."""
        self.generation = self.capture.generation
        self.limits = limits_of(self.function, module)
        self.calls_no_modules = isinstance(module, nn.MultiheadAttention) or (self.may_be_fused and not module.training)
        self.expected, self.called, self.inner = True, False, None

    def enter(self, module: nn.Module, args: Any) -> None:
        """A call begins."""
        fused = self.may_be_fused and not module.training and not _needs_gradient(module, args)
        hooks: Any = module._forward_hooks
        if self.handles and self.handles[1].id in hooks and next(reversed(hooks)) != self.handles[1].id:
            hooks.move_to_end(self.handles[1].id)  # the user's own may change the output: theirs is measured
        self.capture.enter(self, module, args, fused)

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
        if not (scope.capture.armed and scope.generation == scope.capture.generation):
            return False
        # Replicas of DataParallel share the dictionary of hooks. The model itself is not called then.
        return id(module) == scope.module_id or bool(getattr(module, "_is_replica", False))


class Enter(_Hook):
    """Forward pre-hook."""

    __slots__ = ()

    def __call__(self, module: nn.Module, args: Any) -> None:
        try:
            if not torch.compiler.is_compiling() and self.is_live(module):
                self.scope.capture.guarded(self.scope.title, self.scope.enter, module, args)
        except RecursionError:  # the model's own calls are deep enough without ours
            pass


class Exit(_Hook):
    """Forward hook, also called when the forward raised."""

    __slots__ = ()

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        try:
            if not torch.compiler.is_compiling() and self.is_live(module):
                scope = self.scope
                scope.module_type = type(module).__name__  # a lazy module has become another
                scope.capture.guarded(scope.title, scope.capture.leave, scope, output, module._forward_hooks)
        except RecursionError:
            pass


class Return(_Hook):
    """Forward hook of all modules, for the end of one call in which the module's own hooks are out."""

    __slots__ = ()

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        scope = self.scope
        if id(module) == scope.module_id and self.is_live(module):
            scope.capture.guarded(scope.title, scope.capture.step_back, scope, module, output)


class Gradient:
    """Tensor hook on a layer's output."""

    __slots__ = ("capture", "generation", "index", "side")

    def __init__(self, capture: Capture, index: int, *, side: bool) -> None:
        self.capture = capture
        self.index = index
        self.side = side
        """It is not the output the layer is measured by."""
        self.generation = capture.generation

    def __call__(self, gradient: Tensor) -> None:
        capture = self.capture
        if capture.armed and capture.generation == self.generation:
            name = capture.rows[self.index].layer.name
            capture.guarded(name, capture.after_gradient, self.index, gradient, self.side)


def put_on(x: Tensor, hook: Gradient) -> None:
    """Puts a hook on a tensor that has a graph. It stays there: there is no handle to take it out with.

    The handle, and importing its class at every call, are most of what ``Tensor.register_hook`` takes; apart from them
    this is what that does, by what PyTorch keeps for itself.
    """
    if type(x) is not Tensor:
        x.register_hook(hook)
        return
    held: Any = x._backward_hooks
    if held is None:
        held = x._backward_hooks = OrderedDict()
        node: Any = x.grad_fn
        node._register_hook_dict(x)
    held[hook] = hook  # handles have numbers for keys


class AfterBackward:
    """Callback at the end of a backward pass. PyTorch drops it uncalled when the pass raises."""

    __slots__ = ("again", "capture", "done", "generation")

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.generation = capture.generation
        self.again = True
        self.done = False

    def queue(self) -> None:
        torch.autograd.Variable._execution_engine.queue_callback(self)

    def __call__(self) -> None:
        if self.again:  # DistributedDataParallel hands over the averaged gradients in a callback queued after this one
            self.again = False
            self.queue()
            return
        self.done = True
        if self.is_live():
            self.capture.guarded("backward", self.capture.after_backward)

    def __del__(self) -> None:
        if not self.done and self.is_live():
            self.capture.guarded("backward", self.capture.on_exception, None)

    def is_live(self) -> bool:
        return self.capture.armed and self.capture.generation == self.generation


def frame_of_call() -> Any:
    """The frame of the module call whose hook is running (the outermost, where somebody has replaced that method)."""
    frame: Any = sys._getframe(1)
    while frame.f_code is not _CALL and frame.f_back is not None:
        frame = frame.f_back
    return frame


_CALL: Final = nn.Module._call_impl.__code__


def made_of(module: nn.Module) -> tuple[int, ...]:
    """Identities of the modules directly inside, to see when they are replaced."""
    return tuple(map(id, module._modules.values()))


def runs_alone(module: nn.Module) -> bool:
    """Whether a call of a module that carries our hooks runs the forward of its class, and nothing of others."""
    ours_only = len(module._forward_hooks) < 2 and len(module._forward_pre_hooks) < 2
    return ours_only and "forward" not in module.__dict__ and not _global_forward_hooks


def known_by(module: nn.Module) -> tuple[Any, ...]:
    """What a `Scope` was decided from: while this is the same, it holds."""
    return id(module), type(module), *map(id, module._modules.values()), *map(id, module._parameters.values())


def _needs_gradient(module: nn.Module, args: Any) -> bool:
    return torch.is_grad_enabled() and any(x.requires_grad for x in (*module.parameters(), *tensors(args)))
