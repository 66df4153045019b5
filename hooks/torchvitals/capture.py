"""The rows of one model, and the armed step that fills them: every layer's output and its gradient, reduced at once."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from torchvitals import statistics
from torchvitals.functional import Functions, activation_called, caller
from torchvitals.hooks import AfterBackward, Enter, Exit, Gradient, Scope
from torchvitals.statistics import Pool, Scratch, UnitSums
from torchvitals.structure import Origins, Selection, limits_of, output_of, tensors, unit_axis
from torchvitals_tb.schema import Layer


class Row:
    """What was summed up for one layer in the current step."""

    __slots__ = (
        "activation",
        "activation_bins",
        "elements",
        "gradient",
        "gradient_bins",
        "gradient_elements",
        "layer",
        "limits",
        "scratch",
        "title",
        "units",
    )

    def __init__(self, layer: Layer, title: str, limits: statistics.Limits) -> None:
        self.layer = layer
        self.title = title
        """The name of all calls of the layer."""
        self.limits = limits

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


class _Call(NamedTuple):
    """One module call that has not ended."""

    scope: Scope
    fed_by: tuple[int, ...]
    fused: bool
    """Runs as one kernel, in which no function is seen."""


class Capture:
    """Rows of one model, and the hooks that fill them while armed.

    Nothing here outlives the step on the model's side: `disarm` leaves every hook dictionary as it was. Modules are
    known by name and by the identity they had when armed, never held.
    """

    def __init__(self, selection: Selection, pool: Pool, fail: Callable[[str, BaseException], None]) -> None:
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
        self._pool = pool
        self._origins = Origins()
        self._known: dict[str, Scope] = {}
        self._handles: list[Any] = []
        self._leaf_handles: list[Any] = []
        self._scopes: list[_Call] = []
        self._recording = False
        self._recomputing = False
        self._backward_seen = False
        self._tasks: set[int] = set()
        self._calls: dict[tuple[str, str], int] = {}
        self._recalls: dict[tuple[str, str], int] = {}
        self._functions: Functions | None = None
        self._hidden = 0
        self._thread = 0
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
        for path, module in model.named_modules():
            if ".parametrizations." in f".{path}.":  # part of the module whose tensor they compute
                continue
            try:
                scope = Scope(self, path, module, root=module is model)
                self._known[path] = scope
                self._handles.append(module.register_forward_pre_hook(Enter(scope)))
                self._handles.append(module.register_forward_hook(Exit(scope), always_call=True))
            except Exception as error:  # a module that takes no hooks is not observed, and the rest is
                self._fail(path or type(module).__name__, error)

    def disarm(self) -> None:
        """Takes every hook out again."""
        self.armed = False
        for handle in (*self._handles, *self._leaf_handles):
            handle.remove()
        self._handles.clear()
        self._known.clear()
        self._leaf_handles.clear()
        self._origins.clear()
        self._end_outermost()

    @property
    def begun(self) -> bool:
        """Whether the current step has numbers already."""
        return bool(self._active)

    def ran(self, row: int) -> bool:
        """Whether the row has numbers of the current step."""
        return row in self._active

    # One module call ------------------------------------------------------------------------------------------------

    def enter(self, scope: Scope, args: Any, fused: bool) -> None:
        if self._scopes:
            if threading.get_ident() != self._thread:
                return
            if scope.root or self._scopes[0].scope is scope:
                # The forward before ended without a word: an interrupt from the keyboard calls no hook.
                self._end_outermost()
        if not self._scopes:
            self._begin_outermost(scope)
            if not self.armed:
                return
            scope = self._known[scope.path]
        call = _Call(scope, self._origins.of(args) if scope.layer else (), fused and self._functions is not None)
        self._scopes.append(call)
        self._hidden += scope.hides
        if call.fused and self._functions is not None:
            self._functions.stop()

    def leave(self, scope: Scope, output: Any) -> None:
        if not self._scopes or threading.get_ident() != self._thread:
            return
        fed_by: tuple[int, ...] = ()
        while self._scopes:
            call = self._scopes.pop()
            fed_by = call.fed_by
            self._hidden -= call.scope.hides
            if call.fused and self._functions is not None and not any(outer.fused for outer in self._scopes):
                self._functions.start()
            if call.scope is scope:
                break
        if output is not None and scope.layer and (self._recording or self._recomputing):
            if scope.selected:
                self._record(scope.title, "", scope, None, output, fed_by)
            else:
                self._set_origin(output, ())  # not by what came before: a function after it is not fed by that
        if not self._scopes:
            self._end_outermost()

    def _begin_outermost(self, scope: Scope) -> None:
        self._thread = threading.get_ident()
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
            self._functions = Functions(self._function_called)
            self._functions.start()

    def _end_outermost(self) -> None:
        self._recording = self._recomputing = False
        self._scopes.clear()
        self._hidden = 0
        mode, self._functions = self._functions, None
        if mode is not None:
            mode.stop()

    # One row ----------------------------------------------------------------------------------------------------------

    def _record(
        self, title: str, function: str, scope: Scope, source: str | None, output: Any, fed_by: tuple[int, ...]
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
        scratch = self._pool(x.device)
        if index is None:
            index = self._new_row(title, function, call, scope, source, out, fed_by)
        row = self.rows[index]
        for before in fed_by:
            if before != index:
                self.edges.add((before, index))
        self._set_origin(output, (index,))
        if index not in self._active:
            self._active.add(index)
            row.begin(scratch)
        if self._recording:
            self._add_activation(row, x, out.shape, scope, fed_by)
            row.activation[statistics.ZEROS] += missing
            row.elements += missing
        if out.requires_grad and torch.is_grad_enabled():
            handle = out.register_hook(Gradient(self, index))
            if out.is_leaf:  # a parameter or an input handed through: it outlives the step
                self._leaf_handles.append(handle)

    def _add_activation(self, row: Row, x: Tensor, shape: torch.Size, scope: Scope, fed_by: tuple[int, ...]) -> None:
        units = row.units
        axis = None
        if units is not None:
            axis = self._axis(scope, row.layer.kind, shape, fed_by)
            if axis is None or shape[axis] != row.layer.units:
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
        scope: Scope,
        source: str | None,
        output: Tensor,
        fed_by: tuple[int, ...],
    ) -> int:
        kind: Literal["module", "function"] = "function" if function else "module"
        shape = statistics.local(output).shape
        name = title + ("/" + function if function else "") + (f"@{call}" if call else "")
        axis = self._axis(scope, kind, shape, fed_by)
        activation = function or scope.function or scope.inner_function(output)
        layer = Layer(
            name=name,
            kind=kind,
            type=function or scope.module_type,
            function=activation or None,
            parent=scope.name if function else scope.name.rpartition(".")[0],
            call=call,
            shape=tuple(shape),
            units=None if axis is None else shape[axis],
            unit_axis=axis,
            source=source,
        )
        limits = scope.limits if scope.function and not function else limits_of(activation, None)
        self.rows.append(Row(layer, title + ("/" + function if function else ""), limits))
        index = self._index[title, function, call] = len(self.rows) - 1
        return index

    def _set_origin(self, output: Any, rows: tuple[int, ...]) -> None:
        for x in tensors(output):
            self._origins.set(x, rows)

    def _axis(self, scope: Scope, kind: str, shape: torch.Size, fed_by: tuple[int, ...]) -> int | None:
        feeder = None
        for index in reversed(fed_by):
            layer = self.rows[index].layer
            if layer.units is not None and layer.unit_axis is not None:
                feeder = (len(layer.shape) - layer.unit_axis, layer.units)
                break
        pointwise = kind == "function" or scope.function is not None
        return unit_axis(None if kind == "function" else scope.fixed_axis, shape, feeder, pointwise=pointwise)

    # One function -----------------------------------------------------------------------------------------------------

    def _function_called(self, function: Any, args: Any, kwargs: Any, output: Any) -> None:
        self.guarded("functions", self._after_function, function, args, kwargs, output)

    def _after_function(self, function: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Names an activation called as a function, and carries on where tensors come from."""
        if not isinstance(output, Tensor | tuple | list) or threading.get_ident() != self._thread:
            return
        fed_by = self._origins.of((args, tuple(kwargs.values())) if kwargs else args)
        name = activation_called(function, args, kwargs)
        if name is not None and self._hidden and self._scopes and isinstance(output, Tensor):
            self._scopes[-1].scope.inner = (weakref.ref(output), name)
        if name is None or self._hidden or not self._recording or not self._scopes:
            if fed_by:
                self._set_origin(output, fed_by)
            return
        scope = self._scopes[-1].scope
        # A layer that computes with its own parameters, and not through modules, feeds its functions itself.
        itself = not fed_by or (scope.layer and scope.leaf)
        title = scope.title if itself else self.rows[fed_by[-1]].title
        if self.selection(title):
            known = (title, name, self._calls.get((title, name), 0)) in self._index
            self._record(title, name, scope, None if known else caller(), output, fed_by)

    # Gradients --------------------------------------------------------------------------------------------------------

    def after_gradient(self, index: int, gradient: Tensor) -> None:
        self._backward_seen = True
        task = torch._C._current_graph_task_id()
        if task not in self._tasks and task != -1:
            self._tasks.add(task)
            AfterBackward(self).queue()
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


def _transformed() -> bool:
    """Whether the forward is being traced or transformed rather than run for training."""
    return torch._C._is_tracing() or torch._C._functorch.maybe_current_level() is not None


def _no_autocast(device: str) -> contextlib.AbstractContextManager[Any]:
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()
