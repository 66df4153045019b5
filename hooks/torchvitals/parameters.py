"""Weights, gradients as the optimizer gets them, and what the step changed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.parameter import is_lazy

from torchvitals import statistics
from torchvitals.statistics import Pool
from torchvitals.structure import Selection, canonical
from torchvitals_tb.schema import Parameter


class ParameterRow:
    """What was measured of one parameter in the current step."""

    __slots__ = (
        "before", "elements", "gradient", "gradient_bins", "gradient_elements", "parameter", "scale", "unclipped",
        "unclipped_elements", "update", "update_elements", "weight", "weight_bins",
    )  # fmt: skip

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter
        self.begin()

    def begin(self) -> None:
        self.weight: Any = None
        self.gradient: Any = None
        self.unclipped: Any = None
        """The gradient's row at the end of the last backward, before anything was done to it."""
        self.scale: Tensor | None = None
        """What the gradient is still multiplied with when the optimizer gets it."""
        self.update: Any = None
        self.before: Tensor | None = None
        self.elements = self.gradient_elements = self.unclipped_elements = self.update_elements = 0
        self.weight_bins: Any = None
        self.gradient_bins: Any = None


class Parameters:
    """Rows of a model's parameters. Holds the parameters themselves only weakly, and looks them up at every arming."""

    def __init__(self, selection: Selection, pool: Pool) -> None:
        self.selection = selection
        self.rows: list[ParameterRow] = []
        self.histograms = False
        self._index: dict[str, int] = {}
        self._live: dict[int, tuple[weakref.ref[nn.Parameter], ParameterRow]] = {}
        self._pool = pool
        self._every: frozenset[int] = frozenset()
        self._trainable: dict[int, tuple[str, weakref.ref[nn.Parameter]]] = {}

    def look_up(self, model: nn.Module) -> None:
        """Finds the parameters the model has now: they are replaced by sharding, and lazy ones come later."""
        self._live.clear()
        every = set()
        self._trainable.clear()
        for path, parameter in model.named_parameters():
            name = canonical(path)
            every.add(id(parameter))
            if parameter.requires_grad:
                self._trainable[id(parameter)] = (name, weakref.ref(parameter))
            if not self.selection(name) or is_lazy(parameter):
                continue
            outside, inside, _ = f".{name}".partition(".parametrizations.")
            owner = outside[1:] if inside else name.rpartition(".")[0]
            found = Parameter(name, owner, tuple(parameter.shape), parameter.requires_grad)
            index = self._index.setdefault(name, len(self.rows))
            if index == len(self.rows):
                self.rows.append(ParameterRow(found))
            elif self.rows[index].parameter != found:
                self.rows[index].parameter = found
            self._live[id(parameter)] = (weakref.ref(parameter), self.rows[index])
        self._every = frozenset(every)

    def arm(self, model: nn.Module, *, histograms: bool) -> None:
        self.look_up(model)
        self.histograms = histograms
        for row in self.rows:
            row.begin()

    def any_of(self, parameters: Iterable[Any]) -> bool:
        """Whether one of these belongs to the model."""
        return any(id(p) in self._every for p in parameters)

    def trainable_outside(self, ids: Iterable[int]) -> set[str]:
        """Names of the parameters that need a gradient and are none of these."""
        return {self._trainable[key][0] for key in self._trainable.keys() - set(ids)}

    def in_backward(self) -> bool:
        """Whether the running backward pass computes gradients of parameters.

        It does in ``backward()`` and in ``autograd.grad`` with respect to parameters; it does not in
        ``autograd.grad`` with respect to something else (a gradient penalty, a saliency map).
        """
        for _, reference in self._trainable.values():
            parameter = reference()
            if parameter is not None:
                try:
                    if torch._C._will_engine_execute_node(get_gradient_edge(parameter).node):
                        return True
                except RuntimeError:  # it is asked for itself, by autograd.grad
                    return True
        return False

    # Measuring --------------------------------------------------------------------------------------------------------

    def after_backward(self) -> None:
        """Sizes of the gradients as they leave a backward pass, before unscaling, clipping or anything else.

        Whether something is done to them afterwards cannot be told from their version counters: unscaling, and
        whatever goes through ``.data``, leaves those alone.
        """
        for parameter, row in self._each():
            if parameter.grad is not None and statistics.measurable(parameter.grad):
                x, missing = statistics.dense(statistics.local(parameter.grad))
                scratch = self._pool(x.device)
                row.unclipped = scratch.sums()
                row.unclipped_elements = x.numel() + missing
                if x.numel():
                    statistics.add_values(row.unclipped, x, scratch, zeros=False)

    def before_step(self, parameters: Iterable[Any], *, gradients: bool, scale: Tensor | None = None) -> None:
        """Weights, and gradients as the optimizer is about to use them.

        Args:
            parameters: that it holds.
            gradients: they are there already; a closure computes them during the step.
            scale: factor in the gradients that the optimizer takes out itself, [] on their device.
        """
        for parameter, row in self._each(parameters):
            row.scale = scale
            self.measure_weight(parameter, row)
            if gradients and parameter.grad is not None:
                self._measure_gradient(parameter.grad, row)
            if parameter.requires_grad and statistics.measurable(parameter):
                values = statistics.dense(statistics.local(parameter))[0]
                row.before = statistics.strided_sample(values, statistics.SAMPLE).clone()

    def after_step(self, parameters: Iterable[Any], *, gradients: bool) -> None:
        """The change of each parameter, from a strided sample kept across the step."""
        for parameter, row in self._each(parameters):
            if gradients and parameter.grad is not None:
                self._measure_gradient(parameter.grad, row)
            before, row.before = row.before, None
            if before is None:
                continue
            values = statistics.dense(statistics.local(parameter))[0]
            after = statistics.strided_sample(values, statistics.SAMPLE)
            if after.shape != before.shape or not len(after):
                continue
            scratch = self._pool(values.device)
            wide = before.dtype if before.dtype == torch.float64 else torch.float32
            row.update = scratch.sums()
            statistics.add_values(row.update, after.to(wide) - before.to(wide), scratch, zeros=False)
            row.update_elements = after.numel()

    def rest(self) -> None:
        """Parameters that no optimizer stepped: frozen, forgotten, or updated by hand."""
        for parameter, row in self._each():
            if row.weight is None:
                self.measure_weight(parameter, row)
            if row.gradient is None and parameter.grad is not None:
                self._measure_gradient(parameter.grad, row)

    def measure_weight(self, parameter: nn.Parameter, row: ParameterRow) -> None:
        if not statistics.measurable(parameter):
            return
        x, missing = statistics.dense(statistics.local(parameter))
        if x.numel() == 0:
            return
        scratch = self._pool(x.device)
        row.weight = scratch.sums()
        statistics.add_values(row.weight, x, scratch, zeros=False)
        row.elements = x.numel() + missing
        if self.histograms:
            row.weight_bins = statistics.count_bins(x, scratch)

    def _measure_gradient(self, gradient: Tensor, row: ParameterRow) -> None:
        if not statistics.measurable(gradient):
            return
        x, missing = statistics.dense(statistics.local(gradient))
        if x.numel() == 0 and not missing:
            return
        scratch = self._pool(x.device)
        row.gradient = scratch.sums()
        if x.numel():
            statistics.add_values(row.gradient, x, scratch)
            if self.histograms:
                row.gradient_bins = statistics.count_bins(x, scratch)
        row.gradient[statistics.ZEROS] += missing
        row.gradient_elements = x.numel() + missing

    def _each(self, parameters: Iterable[Any] | None = None) -> list[tuple[nn.Parameter, ParameterRow]]:
        found = []
        for key in self._live if parameters is None else map(id, parameters):
            entry = self._live.get(key)
            parameter = entry[0]() if entry else None
            if entry is not None and parameter is not None:
                found.append((parameter, entry[1]))
        return found
