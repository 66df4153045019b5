"""The armed step of one model: every layer's output and its gradient, reduced at once into the layer's row."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from torchvitals import statistics
from torchvitals.checkpoint import Regions
from torchvitals.dataflow import Graph, Origins, Rows
from torchvitals.functional import Functions, activation_called, caller, is_activation, limits_called
from torchvitals.hooks import AfterBackward, Enter, Gradient, Scope, frame_of_call, made_of, put_on, runs_alone
from torchvitals.parameters import Parameters
from torchvitals.process import is_capturing, is_running
from torchvitals.rows import GradientSums, Row, Table
from torchvitals.scratch import Pool, Scratch
from torchvitals.structure import Selection, outputs_of
from torchvitals.sums import ZEROS, Limits, empty_row
from torchvitals.wiring import Wiring

_MOST_ROWS: Final = 20_000


class _Call(NamedTuple):
    """One module call that has not ended."""

    scope: Scope
    fed_by: Rows
    blind: bool
    """No function is looked at in it, but would be after it."""


class Capture:
    """Rows of one model, and what its hooks do while armed.

    Nothing here outlives the step on the model's side: `disarm` leaves every hook dictionary as it was.
    """

    def __init__(
        self, selection: Selection, pool: Pool, parameters: Parameters, fail: Callable[[str, BaseException], None]
    ) -> None:
        self.selection = selection
        self.rows = (table := Table()).rows
        self.table = table
        self._edges: set[tuple[int, int]] = set()
        self._known_edges: frozenset[tuple[int, int]] = frozenset()
        self.seconds = 0.0
        """Time spent in hooks since the capture was made."""
        self.on_backward: Callable[[], None] = lambda: None
        """Called once at the end of every backward pass of an armed step."""
        self.on_forward: Callable[[], None] = lambda: None
        """Called before every recorded forward of an armed step; it may end the step and arm the next one."""
        self.on_exception: Callable[[Any], None] = lambda iterated: None
        """Called when an exception ended a forward or a backward pass: what was summed up is not a whole step. Gets
        the dictionary of hooks that PyTorch is going through, if any."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when modules were replaced since the step was armed."""
        self.generation = 0
        self.armed = False
        self.histograms = False
        self._fail = fail
        self._pool = pool
        self._host = pool(torch.device("cpu"))
        self._parameters = parameters
        self._origins = Origins()
        self._graph = Graph()
        self._regions = Regions()
        self._edges_wanted = False
        self._grew = False  # rows were added in a step whose edges were not wanted
        self._wiring = Wiring(self, fail)
        self._scopes: list[_Call] = []
        self._recording = False
        self._recomputing = False
        self._backward_seen = False
        self._passes: dict[int, bool] = {}
        """Backward passes of the step: whether they reach the model's parameters."""
        self._running_passes = 0
        self._calls: dict[tuple[str, str], int] = {}
        self._functions: Functions | None = None
        self._hidden = 0
        self._thread = 0
        self._frame = 0
        self._handled: int | None = None
        self._active: set[int] = set()
        self._leaves: set[tuple[int, int]] = set()
        self._beginning = threading.Lock()

    # Arming -----------------------------------------------------------------------------------------------------------

    def arm(self, model: nn.Module, *, histograms: bool, edges: bool) -> bool:
        """Installs the hooks for one step and clears the rows.

        Args:
            model: the module whose calls are recorded.
            histograms: also count histograms.
            edges: also find out which rows feed which.

        Returns:
            Whether the model has the same modules, with the same parameters, as when it was armed before.
        """
        self.disarm()
        self.armed = True
        self.generation += 1
        self.histograms = histograms
        self._edges_wanted = edges or self._grew
        self._grew = False
        self._clear_rows()
        return self._wiring.put_in(model)

    def _clear_rows(self) -> None:
        self.table.sums.clear()
        self._active.clear()
        self._leaves.clear()
        self._calls.clear()
        self._graph.clear()
        self._passes.clear()
        self._running_passes = 0
        self._backward_seen = False

    def enter_now(self, module: nn.Module, args: Any) -> None:
        """For a call that had begun before the hooks went in."""
        scope = self._wiring.scope_of(module)
        if scope is not None:
            Enter(scope)(module, args)

    def disarm(self, iterated: Any = None) -> None:
        """Takes every hook out again; ``iterated`` as in `Wiring.take_out`."""
        self.armed = False
        self._wiring.take_out(iterated)
        self._origins.clear()
        self._end_outermost()

    @property
    def begun(self) -> bool:
        """Whether the current step has numbers already."""
        return bool(self._active)

    @property
    def edges(self) -> frozenset[tuple[int, int]]:
        """Dataflow between rows found so far: (producer, consumer). The same object until there are more."""
        if len(self._known_edges) != len(self._edges):
            self._known_edges = frozenset(self._edges)
        return self._known_edges

    def never_called(self) -> set[str]:
        """Layers that no call of the current step ran."""
        scopes = self._wiring.known.values()
        return {s.title for s in scopes if s.layer and s.selected and s.expected and s.handles and not s.called}

    def without_gradient(self) -> set[str]:
        """Names of rows of the current step whose output needs a gradient and got none."""
        rows = (self.rows[i] for i in self._active)
        return {r.layer.name for r in rows if r.expects_gradient and not r.used_gradient().elements}

    def ran(self, row: int) -> bool:
        """Whether the row has numbers of the current step."""
        return row in self._active

    # One module call ------------------------------------------------------------------------------------------------

    def enter(self, scope: Scope, module: nn.Module, args: Any, fused: bool) -> None:
        if self._scopes:
            if threading.get_ident() != self._thread:
                return
            again = scope.root or self._scopes[0].scope is scope
            if again and not is_running(self._frame, frame_of_call().f_back):
                # The forward before ended without a word: an interrupt from the keyboard calls no hook.
                self._end_outermost()
                self._clear_rows()
        if self._scopes:
            self._enter(scope, module, args, fused)
        elif self._wiring.holds(scope, module) and self._beginning.acquire(blocking=False):  # else another thread is
            try:
                self._begin_outermost(scope)
                if self.armed:
                    self._enter(self._wiring.known[scope.path], module, args, fused)
            finally:
                self._beginning.release()

    def _enter(self, scope: Scope, module: nn.Module, args: Any, fused: bool) -> None:
        if self._recording and scope.module_id == id(module) and scope.made_of != made_of(module):
            self._wiring.install(module, scope.path)
            self.on_change()
        scope.called = True
        fed_by = self._origins.of(args) if scope.layer else ()
        functions, blind = self._functions, False
        if functions is not None:
            if fused:  # in one kernel
                blind = functions.is_on
                functions.stop()
            elif scope.quiet and runs_alone(module):
                blind = functions.pause()
        self._scopes.append(_Call(scope, fed_by, blind))
        self._hidden += scope.hides
        if fused:
            self._wiring.step_aside(scope, module)

    def step_back(self, scope: Scope, module: nn.Module, output: Any) -> None:
        """A call has ended that the hooks were taken out for."""
        self._wiring.step_back(module)
        self.leave(scope, output, None)

    def leave(self, scope: Scope, output: Any, hooks: Any) -> None:
        if not self._scopes or threading.get_ident() != self._thread:
            return
        if self._scopes[-1].scope is not scope and not any(call.scope is scope for call in self._scopes):
            return
        fed_by: Rows = ()
        while self._scopes:
            call = self._scopes.pop()
            fed_by = call.fed_by
            self._hidden -= call.scope.hides
            if call.blind and self._functions is not None:
                self._functions.start()
            if call.scope is scope:
                break
        if output is not None and scope.layer and scope.selected and self._recomputing:
            self._record_again(output, lambda row: row.title == scope.title)
        elif output is not None and scope.layer and self._recording:
            if scope.selected:
                self._record(scope.title, "", scope, output, fed_by, scope.limits)
            else:
                self._origins.set(output, ())  # not by what came before: a function after it is not fed by that
        if self._scopes or self._recomputing:  # a region may go on, with functions or other modules
            return
        self._end_outermost()
        # In a backward pass it may be checkpointing that has computed enough; that pass tells if it fails.
        if _exception() != self._handled and torch._C._current_graph_task_id() == -1:
            self.on_exception(hooks)

    def _begin_outermost(self, scope: Scope) -> None:
        self._thread = threading.get_ident()
        in_backward = torch._C._current_graph_task_id() != -1
        usable = torch.is_grad_enabled() and not _transformed() and not is_capturing()
        if self._recomputing and not (usable and in_backward and self._regions.goes_on()):
            self._end_outermost()
        if self._recomputing:
            return
        if usable and not in_backward:
            self.on_forward()
            if not self.armed:
                return
        self._recording = usable and not in_backward
        self._recomputing = usable and in_backward and self._regions.begin_again()
        self._handled = _exception()
        if self._recording and (scope.root or self._backward_seen):
            self._calls.clear()
            self._origins.clear()
            self._backward_seen = False
        if self._recording or self._recomputing:
            self._frame = id(frame_of_call())
            self._functions = Functions(self._function_called)
            self._functions.start()

    def _end_outermost(self) -> None:
        self._recording = self._recomputing = False
        self._scopes.clear()
        self._graph.release()
        self._hidden = 0
        mode, self._functions = self._functions, None
        if mode is not None:
            mode.stop()

    # One row ----------------------------------------------------------------------------------------------------------

    def _record(
        self,
        title: str,
        function: str,
        scope: Scope,
        output: Any,
        fed_by: Rows,
        limits: Limits,
    ) -> None:
        if _transformed():
            return
        call = self._calls.get((title, function), 0)
        self._calls[title, function] = call + 1
        scratch, missing = self._host, 0
        others: list[Tensor] = []
        if scratch.host and statistics.is_plain(output):  # most are
            out = x = output
        else:
            out, *others = outputs_of(output) or (None,)
            if out is None or not statistics.measurable(out):
                self._origins.set(output, fed_by)
                return
            x, missing = statistics.dense(statistics.local(out))
            scratch = self._pool(x.device)
        index = self.table.find(title, function, call)
        if index is None:
            if len(self.rows) >= _MOST_ROWS:
                raise OverflowError(f"the model has more than {_MOST_ROWS} layers, counting every call")
            index = self.table.add(title, function, call, scope, caller(), out, fed_by, limits)
            self._grew = not self._edges_wanted
        row = self.rows[index]
        if self._edges_wanted:
            self._edges.update((before, index) for before in self._graph.feeding(out, fed_by) if before != index)
            self._graph.mark(index, output)
        self._origins.set(output, (index,))
        if not torch.is_grad_enabled():
            self._regions.add(index)
        if index not in self._active:
            self._active.add(index)
            row.begin(scratch)
        self._add_activation(row, x, out.shape, scope, fed_by, plain=x is output)
        if missing:
            row.activation[ZEROS] += missing
            row.elements += missing
        self._expect_gradients(index, out, others)

    def _record_again(self, output: Any, fits: Callable[[Row], bool]) -> None:
        """The part of a row that a recomputation in the backward pass brings: the gradient."""
        index = self._regions.next(lambda i: fits(self.rows[i]))
        if index is not None:
            out, *others = outputs_of(output) or (None,)
            if out is not None and statistics.measurable(out):
                self._expect_gradients(index, out, others)

    def _expect_gradients(self, index: int, out: Tensor, others: Iterable[Tensor]) -> None:
        if not torch.is_grad_enabled():
            return
        if out.requires_grad:
            self.rows[index].expects_gradient = True
            if not out.is_leaf:
                put_on(out, Gradient(self, index, side=False))
            elif (index, id(out)) not in self._leaves:
                # A parameter or an input handed through: it outlives the step, and comes again in it.
                self._leaves.add((index, id(out)))
                self._wiring.loose.append(out.register_hook(Gradient(self, index, side=False)))
        for other in others:
            if other.requires_grad and not other.is_leaf and statistics.measurable(other):
                put_on(other, Gradient(self, index, side=True))

    def _add_activation(
        self, row: Row, x: Tensor, shape: torch.Size, scope: Scope, fed_by: Rows, *, plain: bool
    ) -> None:
        units = row.units
        axis = None
        if units is not None:
            axis = self.table.axis_again(row, scope, shape, fed_by)
            if axis is None or x.ndim <= axis or x.shape[axis] != row.layer.units:  # a sparse one has other axes
                axis = units = None
        if x.numel() == 0:  # nothing stored, or nothing in this process
            return
        bins = self.histograms and row.activation_bins is None
        with _NOTHING if plain else _undisturbed(row.scratch):
            found = statistics.add_activation(row.activation, x, axis, row.scratch, units, row.limits, bins=bins)
        row.elements += x.numel()  # only now: what could not be reduced is not all zero
        row.activation_bins = found if bins else row.activation_bins

    # One function -----------------------------------------------------------------------------------------------------

    def _function_called(self, function: Any, args: Any, kwargs: Any, output: Any) -> None:
        if not self._hidden or is_activation(function):  # else part of a module, whose output comes from the module
            self.guarded("functions", self._after_function, function, args, kwargs, output)

    def _after_function(self, function: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Names an activation called as a function, and carries on where tensors come from."""
        if not isinstance(output, Tensor | tuple | list) or threading.get_ident() != self._thread:
            return
        name = activation_called(function, args, kwargs)
        if self._recomputing:
            if name is not None and not self._hidden:
                self._record_again(output, lambda row: row.layer.kind == "function" and row.layer.type == name)
            return
        if self._hidden:
            if name is not None and self._scopes and isinstance(output, Tensor):
                self._scopes[-1].scope.inner = (weakref.ref(output), name)
            return
        fed_by = self._origins.of((args, tuple(kwargs.values())) if kwargs else args)
        if name is None or not self._recording or not self._scopes:
            if fed_by:
                self._origins.set(output, fed_by)
            return
        scope = self._scopes[-1].scope
        # A layer that computes with its own parameters, and not through modules, feeds its functions itself.
        itself = not fed_by or (scope.layer and scope.leaf)
        title = scope.title if itself else self.table.title_of(fed_by[-1])
        if self.selection(title):
            self._record(title, name, scope, output, fed_by, limits_called(name, args, kwargs))

    # Gradients --------------------------------------------------------------------------------------------------------

    def after_gradient(self, index: int, gradient: Tensor, side: bool) -> None:
        task = torch._C._current_graph_task_id()
        if self._recomputing:
            self._end_outermost()
        if task not in self._passes:
            self._passes[task] = self._parameters.in_backward()
            if self._passes[task] and not self._running_passes:  # else one inside another: reentrant checkpointing
                self._running_passes += 1
                AfterBackward(self).queue()
        if not self._passes[task]:  # not the loss's gradient: autograd.grad with respect to something else
            return
        self._backward_seen = True
        row = self.rows[index]
        x, missing, plain = gradient, 0, row.scratch.host and statistics.is_plain(gradient)
        if not plain:
            if not statistics.measurable(gradient):
                return
            x, missing = statistics.dense(statistics.local(gradient))
        if side and row.side_gradient is None:
            row.side_gradient = GradientSums()
            row.side_gradient.begin(empty_row(row.scratch))
        sums = row.side_gradient if side and row.side_gradient is not None else row.gradient
        with _NOTHING if plain else _undisturbed(row.scratch):
            sums.add(x, missing, gradient.dtype, row.scratch, histograms=self.histograms)

    def after_backward(self) -> None:
        self._running_passes -= 1
        self.on_backward()

    def guarded(self, where: str, call: Callable[..., None], *args: Any) -> None:
        """Runs one of our hooks: times it, and keeps what goes wrong in it away from the training."""
        start = time.perf_counter()
        try:
            with torch._C.DisableTorchFunction():  # our own operations are nobody's to see, least of all ours
                call(*args)
        except RecursionError:
            raise  # nothing more can be called from here
        except Exception as error:
            self._fail(where, error)
        self.seconds += time.perf_counter() - start


def _transformed() -> bool:
    """Whether the forward is being traced or transformed rather than run for training."""
    if torch._C._is_tracing() or torch._C._functorch.maybe_current_level() is not None:
        return True
    return torch._C._len_torch_dispatch_stack() > 0 and any(torch._C._get_dispatch_mode(key) for key in _KEYS)


_KEYS: Final = tuple(getattr(torch._C._TorchDispatchModeKey, name) for name in ("FAKE", "PROXY", "FUNCTIONAL"))


def _exception() -> int | None:
    """Identity of the exception that is being handled."""
    error = sys.exc_info()[1]
    return None if error is None else id(error)


_NOTHING: Final = contextlib.nullcontext()


@contextlib.contextmanager
def _undisturbed(scratch: Scratch) -> Iterator[None]:
    """Operations of PyTorch in the formats of their tensors, and without a graph."""
    device = scratch.device.type
    with torch.no_grad():
        if not torch.is_autocast_enabled(device):
            yield
        else:
            with torch.autocast(device, enabled=False):
                yield
