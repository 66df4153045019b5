"""The forward and tensor hooks of an armed step: every layer's output and its gradient, reduced where they appear."""

from __future__ import annotations

import contextlib
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from torchvitals import statistics
from torchvitals.statistics import Scratch, UnitSums
from torchvitals.structure import (
    FUNCTIONS,
    Origins,
    Selection,
    activation_of,
    fixed_axis,
    hides_functions,
    is_layer,
    limits_of,
    output_of,
    tensors,
    unit_axis,
)
from torchvitals_tb.schema import Layer

_TORCH_FOLDERS: Final = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


class Row:
    """What was summed up for one layer in the current step."""

    __slots__ = (
        "activation", "activation_bins", "elements", "gradient", "gradient_bins", "gradient_elements", "layer",
        "limits", "scratch", "units",
    )  # fmt: skip

    def __init__(self, layer: Layer, limits: statistics.Limits, scratch: Scratch) -> None:
        self.layer = layer
        self.limits = limits
        self.begin(scratch)

    def begin(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.activation = scratch.sums()
        self.gradient = scratch.sums()
        self.elements = 0
        self.gradient_elements = 0
        self.activation_bins: Any = None
        self.gradient_bins: Any = None
        self.units = None
        if self.layer.units is not None:
            self.units = UnitSums(scratch.zeros(self.layer.units), scratch.zeros(self.layer.units))


class Capture:
    """Rows of one model, and the hooks that fill them while armed.

    Nothing here outlives the step on the model's side: `disarm` leaves every hook dictionary as it was. Modules are
    known by name and by the identity they had when armed, never held.
    """

    def __init__(self, selection: Selection, fail: Callable[[str, BaseException], None]) -> None:
        self.selection = selection
        self.rows: list[Row] = []
        self.edges: set[tuple[int, int]] = set()
        self.seconds = 0.0
        """Time spent in hooks since the capture was made."""
        self.on_backward: Callable[[], None] = lambda: None
        """Called once at the end of every backward pass of an armed step."""
        self.on_forward: Callable[[], None] = lambda: None
        """Called before every recorded forward of an armed step; it may end the step and arm the next one."""
        self.generation = 0
        self.armed = False
        self.histograms = False
        self._fail = fail
        self._index: dict[tuple[str, str, int], int] = {}
        self._scratch: dict[torch.device, Scratch] = {}
        self._origins = Origins()
        self._known: dict[str, _Scope] = {}
        self._handles: list[Any] = []
        self._leaf_handles: list[Any] = []
        self._scopes: list[tuple[_Scope, tuple[int, ...]]] = []
        self._recording = False
        self._recomputing = False
        self._backward_seen = False
        self._tasks: set[int] = set()
        self._calls: dict[tuple[str, str], int] = {}
        self._recalls: dict[tuple[str, str], int] = {}
        self._functions: _Functions | None = None
        self._active: set[int] = set()

    # Arming -----------------------------------------------------------------------------------------------------------

    def arm(self, model: nn.Module, *, histograms: bool) -> None:
        """Installs the hooks for one step and clears the rows."""
        self.disarm()
        self.armed = True
        self.generation += 1
        self.histograms = histograms
        self._active.clear()
        self._calls.clear()
        self._recalls.clear()
        self._backward_seen = False
        self._tasks.clear()
        for name, module in model.named_modules():
            if ".parametrizations." in f".{name}.":  # part of the module whose tensor they compute
                continue
            try:
                scope = _Scope(self, name, module, root=module is model)
                self._known[name] = scope
                self._handles.append(module.register_forward_pre_hook(_Enter(scope)))
                self._handles.append(module.register_forward_hook(_Exit(scope), always_call=True))
            except Exception as error:  # a module that takes no hooks is not observed, and the rest is
                self._fail(name or type(module).__name__, error)

    def disarm(self) -> None:
        """Takes every hook out again."""
        self.armed = False
        for handle in (*self._handles, *self._leaf_handles):
            handle.remove()
        self._handles.clear()
        self._known.clear()
        self._leaf_handles.clear()
        self._scopes.clear()
        self._origins.clear()
        self._leave_functions()

    def ran(self, row: int) -> bool:
        """Whether the row has numbers of the current step."""
        return row in self._active

    # One module call ------------------------------------------------------------------------------------------------

    def enter(self, scope: _Scope, args: Any) -> None:
        if not self._scopes:
            self._begin_outermost(scope)
            if not self.armed:
                return
            scope = self._known[scope.name]
        self._scopes.append((scope, self._origins.of(args) if scope.layer else ()))
        if scope.hides and self._functions is not None:
            self._functions.hidden += 1

    def leave(self, scope: _Scope, output: Any) -> None:
        fed_by: tuple[int, ...] = ()
        while self._scopes:
            last, fed_by = self._scopes.pop()
            if last.hides and self._functions is not None:
                self._functions.hidden -= 1
            if last is scope:
                break
        if output is not None and scope.layer and (self._recording or self._recomputing):
            if scope.selected:
                self._record(scope.title, "", scope, None, output, fed_by)
            else:
                self._set_origin(output, ())  # not by what came before: a function after it is not fed by that
        if not self._scopes:
            self._end_outermost()

    def _begin_outermost(self, scope: _Scope) -> None:
        in_backward = torch._C._current_graph_task_id() != -1
        usable = torch.is_grad_enabled() and not _transformed()
        if usable and not in_backward:
            self.on_forward()
            if not self.armed:
                return
        self._recording = usable and not in_backward
        self._recomputing = usable and in_backward
        if self._recording and (scope.root or self._backward_seen):
            self._calls.clear()
            self._recalls.clear()
            self._origins.clear()
            self._backward_seen = False
        if self._recording:
            self._functions = _Functions(self)
            self._functions.__enter__()  # type: ignore[no-untyped-call]

    def _end_outermost(self) -> None:
        self._recording = self._recomputing = False
        self._leave_functions()

    def _leave_functions(self) -> None:
        mode, self._functions = self._functions, None
        if mode is not None:
            mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    # One row ----------------------------------------------------------------------------------------------------------

    def _record(
        self, title: str, function: str, scope: _Scope, source: str | None, output: Any, fed_by: tuple[int, ...]
    ) -> None:
        out = output_of(output)
        counters = self._calls if self._recording else self._recalls
        call = counters.get((title, function), 0)
        counters[title, function] = call + 1
        if out is None or not statistics.measurable(out):
            self._set_origin(output, fed_by)
            return
        index = self._index.get((title, function, call))
        if index is None and not self._recording:  # a recomputation shows no layer that the forward did not
            return
        x, missing = statistics.dense(statistics.local(out))
        scratch = self._scratch_of(x.device)
        if index is None:
            index = self._new_row(title, function, call, scope, source, out, fed_by, scratch)
        row = self.rows[index]
        for before in fed_by:
            if before != index:
                self.edges.add((before, index))
        self._set_origin(output, (index,))
        if index not in self._active:
            self._active.add(index)
            row.begin(scratch)
        if self._recording:
            self._add_activation(row, x, scope, fed_by)
            row.activation[statistics.ZEROS] += missing
            row.elements += missing
        if out.requires_grad and torch.is_grad_enabled():
            handle = out.register_hook(_Gradient(self, index))
            if out.is_leaf:  # a parameter or an input handed through: it outlives the step
                self._leaf_handles.append(handle)

    def _add_activation(self, row: Row, x: Tensor, scope: _Scope, fed_by: tuple[int, ...]) -> None:
        units = row.units
        axis = None
        if units is not None:
            axis = self._axis(scope if row.layer.kind == "module" else None, x, fed_by)
            if axis is None or x.shape[axis] != row.layer.units:
                units, axis = None, None
        with _no_autocast(x.device.type):
            statistics.add_activation(row.activation, x, axis, row.scratch, units, row.limits)
            if self.histograms and row.activation_bins is None:
                row.activation_bins = statistics.count_bins(x, row.scratch)
        row.elements += x.numel()

    def _add_gradient(self, index: int, gradient: Tensor) -> None:
        row = self.rows[index]
        if not statistics.measurable(gradient):
            return
        x, missing = statistics.dense(statistics.local(gradient))
        with torch.no_grad(), _no_autocast(x.device.type):
            statistics.add_values(row.gradient, x, row.scratch, subnormal=True)
            if self.histograms and row.gradient_bins is None:
                row.gradient_bins = statistics.count_bins(x, row.scratch)
        row.gradient[statistics.ZEROS] += missing
        row.gradient_elements += x.numel() + missing

    def _new_row(
        self,
        title: str,
        function: str,
        call: int,
        scope: _Scope,
        source: str | None,
        output: Tensor,
        fed_by: tuple[int, ...],
        scratch: Scratch,
    ) -> int:
        x, _ = statistics.dense(statistics.local(output))
        module = None if function else scope.module_type
        name = title + ("/" if function and title else "") + function + (f"@{call}" if call else "")
        axis = self._axis(None if function else scope, x, fed_by)
        activation = function or scope.function or scope.inner_function(output)
        layer = Layer(
            name=name,
            kind="function" if function else "module",
            type=function or module or "",
            function=activation or None,
            parent=scope.name if function else scope.name.rpartition(".")[0],
            call=call,
            shape=tuple(x.shape),
            units=None if axis is None else x.shape[axis],
            unit_axis=axis,
            source=source,
        )
        limits = scope.limits if scope.function and not function else limits_of(activation, None)
        self.rows.append(Row(layer, limits, scratch))
        index = self._index[title, function, call] = len(self.rows) - 1
        return index

    def _set_origin(self, output: Any, rows: tuple[int, ...]) -> None:
        for x in tensors(output):
            self._origins.set(x, rows)

    def _axis(self, scope: _Scope | None, x: Tensor, fed_by: tuple[int, ...]) -> int | None:
        feeder = None
        for index in reversed(fed_by):
            layer = self.rows[index].layer
            if layer.units is not None and layer.unit_axis is not None:
                feeder = (len(layer.shape) - layer.unit_axis, layer.units)
                break
        return unit_axis(scope.fixed_axis if scope else None, x.shape, feeder)

    def _scratch_of(self, device: torch.device) -> Scratch:
        if device not in self._scratch:
            self._scratch[device] = Scratch(device)
        return self._scratch[device]

    # One function -----------------------------------------------------------------------------------------------------

    def after_function(self, function: Any, args: Any, kwargs: Any, output: Any, hidden: bool) -> None:
        """Names an activation called as a function, and carries on where tensors come from."""
        if not isinstance(output, Tensor) and not isinstance(output, tuple | list):
            return
        fed_by = self._origins.of((args, tuple(kwargs.values())) if kwargs else args)
        name = FUNCTIONS.get(function)
        if name == "clamp" and not _is_relu(args, kwargs):
            name = None
        if name is not None and hidden and self._scopes and isinstance(output, Tensor):
            self._scopes[-1][0].inner = (weakref.ref(output), name)
        if name is None or hidden or not self._recording or not self._scopes:
            if fed_by:
                self._set_origin(output, fed_by)
            return
        scope = self._scopes[-1][0]
        # A layer that computes with its own parameters, and not through modules, feeds its functions itself.
        title = scope.name if scope.layer or not fed_by else self.rows[fed_by[-1]].layer.name.partition("@")[0]
        if self.selection(title):
            known = (title, name, self._calls.get((title, name), 0)) in self._index
            self._record(title, name, scope, None if known else _caller(), output, fed_by)

    # Gradients --------------------------------------------------------------------------------------------------------

    def after_gradient(self, index: int, gradient: Tensor) -> None:
        self._backward_seen = True
        task = torch._C._current_graph_task_id()
        if task not in self._tasks and task != -1:
            self._tasks.add(task)
            torch.autograd.Variable._execution_engine.queue_callback(_AfterBackward(self))
        self._add_gradient(index, gradient)

    def guarded(self, where: str, call: Callable[..., None], *args: Any) -> None:
        """Runs one of our hooks: times it, and keeps what goes wrong in it away from the training."""
        start = time.perf_counter()
        try:
            with torch._C.DisableTorchFunction():  # our own operations are nobody's to see, least of all ours
                call(*args)
        except Exception as error:
            self._fail(where, error)
        self.seconds += time.perf_counter() - start


class _Scope:
    """What is known of one module while armed. Decided once, so that the hooks have nothing left to ask."""

    __slots__ = (
        "capture",
        "fixed_axis",
        "function",
        "generation",
        "hides",
        "inner",
        "layer",
        "limits",
        "module_id",
        "module_type",
        "name",
        "root",
        "selected",
        "title",
    )  # fmt: skip

    def __init__(self, capture: Capture, name: str, module: nn.Module, *, root: bool) -> None:
        self.capture = capture
        self.generation = capture.generation
        self.name = name
        self.root = root
        self.module_id = id(module)
        self.module_type = type(module).__name__
        self.layer = is_layer(module) and not (root and any(True for _ in module.children()))
        self.title = name or self.module_type
        self.hides = hides_functions(module)
        self.function = activation_of(module)
        self.limits = limits_of(self.function, module)
        self.fixed_axis = fixed_axis(module)
        self.inner: tuple[weakref.ref[Tensor], str] | None = None
        """The last activation called inside, of a module that hides those, and what it gave."""
        self.selected = capture.selection(name or self.module_type)

    def inner_function(self, output: Tensor) -> str | None:
        """The activation a module of the user's own is made of, where its output is that function's."""
        return self.inner[1] if self.inner is not None and self.inner[0]() is output else None


class _Hook:
    """A copy of a hooked model, or a file of one, holds a do-nothing from the standard library in the hook's place."""

    __slots__ = ("scope",)

    def __init__(self, scope: _Scope) -> None:
        self.scope = scope

    def __reduce__(self) -> Any:
        return getattr, (contextlib.nullcontext(), "__exit__")

    def is_live(self, module: nn.Module) -> bool:
        scope = self.scope
        # Replicas of DataParallel share the dictionary of hooks, in other threads.
        return id(module) == scope.module_id and scope.capture.armed and scope.generation == scope.capture.generation


class _Enter(_Hook):
    __slots__ = ()

    def __call__(self, module: nn.Module, args: Any) -> None:
        if torch.compiler.is_compiling():
            return
        if self.is_live(module):
            scope = self.scope
            scope.capture.guarded(scope.title, scope.capture.enter, scope, args)


class _Exit(_Hook):
    __slots__ = ()

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        if torch.compiler.is_compiling():
            return
        if self.is_live(module):
            scope = self.scope
            scope.capture.guarded(scope.title, scope.capture.leave, scope, output)


class _Gradient:
    """Tensor hook on a layer's output. Holds no tensor."""

    __slots__ = ("capture", "generation", "index")

    def __init__(self, capture: Capture, index: int) -> None:
        self.capture = capture
        self.index = index
        self.generation = capture.generation

    def __call__(self, gradient: Tensor) -> None:
        capture = self.capture
        if capture.armed and capture.generation == self.generation:
            capture.guarded(capture.rows[self.index].layer.name, capture.after_gradient, self.index, gradient)


class _AfterBackward:
    __slots__ = ("capture", "generation")

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.generation = capture.generation

    def __call__(self) -> None:
        capture = self.capture
        if capture.armed and capture.generation == self.generation:
            capture.guarded("backward", capture.on_backward)


class _Functions(TorchFunctionMode):
    """Sees every function call of a recorded forward; only activations become rows."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self.capture = capture
        self.hidden = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        self.capture.guarded("functions", self.capture.after_function, func, args, kwargs, output, self.hidden > 0)
        return output


def _transformed() -> bool:
    """Whether the forward is being traced or transformed rather than run for training."""
    return torch._C._is_tracing() or torch._C._functorch.maybe_current_level() is not None


def _no_autocast(device: str) -> contextlib.AbstractContextManager[Any]:
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()


def _is_relu(args: Any, kwargs: Any) -> bool:
    given = dict(zip(("input", "min", "max"), args, strict=False)) | (kwargs or {})
    return given.get("max") is None and isinstance(given.get("min"), int | float) and given["min"] == 0


def _caller() -> str | None:
    """``file.py:12`` of the nearest frame that is neither PyTorch's nor ours."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_TORCH_FOLDERS):
        frame = frame.f_back  # type: ignore[assignment]
    return None if frame is None else f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
