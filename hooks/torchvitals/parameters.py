"""Weights, gradients as the optimizer gets them, and what the step changed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.parameter import is_lazy
from torch.optim.optimizer import Optimizer

from torchvitals import host, statistics
from torchvitals.piles import Pairs, Pile, changes, piled
from torchvitals.scratch import Pool
from torchvitals.structure import Selection, canonical
from torchvitals.sums import COLUMNS, SUMSQ, ZEROS, empty_row
from torchvitals_tb.schema import Parameter


class ParameterRow:
    """What was measured of one parameter in the current step."""

    __slots__ = (
        "before", "elements", "gradient", "gradient_bins", "gradient_elements", "learning_rate", "parameter", "scale",
        "unclipped", "unclipped_elements", "update", "update_elements", "weight", "weight_bins",
    )  # fmt: skip

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter
        self.begin()

    def begin(self) -> None:
        self.weight: Any = None
        self.gradient: Any = None
        self.unclipped: Any = None
        """The gradient's row at the end of the last backward, before anything was done to it."""
        self.learning_rate: Any = None
        self.scale: Tensor | None = None
        """What the gradient is still multiplied with when the optimizer gets it."""
        self.update: Any = None
        self.before: Tensor | None = None
        self.elements = self.gradient_elements = self.unclipped_elements = self.update_elements = 0
        self.weight_bins: Any = None
        self.gradient_bins: Any = None


def held_by(optimizer: Optimizer) -> list[Any]:
    """All parameters of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


class _Place:
    """Where a parameter is held. No reference to it, not even a weak one: PyTorch swaps no tensor that has one."""

    __slots__ = ("attribute", "module", "name", "row")

    def __init__(self, name: str, module: nn.Module, attribute: str, row: ParameterRow | None) -> None:
        self.name = name
        self.module = weakref.ref(module)
        self.attribute = attribute
        self.row = row
        """``None`` where the parameter is not measured."""

    def parameter(self) -> Any:
        """What is there now."""
        module = self.module()
        if module is None:
            return None
        held: Any = module._parameters
        # The attribute takes longer, but of a scripted module there is nothing else.
        return held.get(self.attribute) if isinstance(held, dict) else getattr(module, self.attribute, None)


class Parameters:
    """Rows of a model's parameters. Knows the parameters themselves only by their place, looked up at every arming."""

    def __init__(self, selection: Selection, pool: Pool) -> None:
        self.selection = selection
        self.rows: list[ParameterRow] = []
        self.histograms = False
        self.optimizers: tuple[dict[str, Any], ...] = ()
        """What is known of those that stepped, for the manifest."""
        self._lazy = False  # some were not materialised when they were looked up
        self._seen: list[Any] = []
        """What was found when the parameters were looked up: looking at it again is quick."""
        self._index: dict[str, int] = {}
        self._places: dict[int, _Place] = {}
        self._pool = pool
        self._host = pool(torch.device("cpu"))
        self._piles: list[Pile] = []
        """What small parameters were before the step that is being taken."""

    def look_up(self, model: nn.Module) -> None:
        """Finds the parameters the model has now: they are replaced by sharding, and lazy ones come later."""
        found = [
            (path, module, attribute, parameter)
            for path, module in model.named_modules()
            for attribute, parameter in module._parameters.items()
            if parameter is not None
        ]
        seen: list[Any] = []
        for path, holder, attribute, p in found:
            seen += (path, id(holder), attribute, id(p), p.requires_grad, None if is_lazy(p) else p.shape)
        if seen == self._seen and not self._lazy:
            return
        self._seen = seen
        self._places.clear()
        self._lazy = any(is_lazy(parameter) for _, _, _, parameter in found)
        for path, module, attribute, parameter in found:
            if id(parameter) not in self._places:
                name = canonical(f"{path}.{attribute}" if path else attribute)
                row = None if is_lazy(parameter) or not self.selection(name) else self._row(name, parameter)
                self._places[id(parameter)] = _Place(name, module, attribute, row)

    def _row(self, name: str, parameter: nn.Parameter) -> ParameterRow:
        outside, inside, _ = f".{name}".partition(".parametrizations.")
        owner = outside[1:] if inside else name.rpartition(".")[0]
        found = Parameter(name, owner, tuple(parameter.shape), parameter.requires_grad)
        index = self._index.setdefault(name, len(self.rows))
        if index == len(self.rows):
            self.rows.append(ParameterRow(found))
        elif self.rows[index].parameter != found:
            self.rows[index].parameter = found
        return self.rows[index]

    def arm(self, model: nn.Module, *, histograms: bool, same: bool) -> None:
        """A sampled step begins; ``same``: no module has another parameter than the last time."""
        if not (same and self.are_current()):
            self.look_up(model)
        self.histograms = histograms
        self._piles.clear()
        for row in self.rows:
            row.begin()

    def any_of(self, parameters: Iterable[Any]) -> bool:
        """Whether one of these belongs to the model."""
        return any(id(p) in self._places for p in parameters)

    def trainable(self) -> set[int]:
        """Identities of the parameters that need a gradient."""
        found = (place.parameter() for place in self._places.values())
        return {id(p) for p in found if p is not None and p.requires_grad}

    def trainable_outside(self, ids: Set[int]) -> set[str]:
        """Names of the parameters that need a gradient and are none of these."""
        found = ((place.name, place.parameter()) for place in self._places.values())
        return {name for name, p in found if p is not None and p.requires_grad and id(p) not in ids}

    def know(self, held: Iterable[Any]) -> bool:
        """Whether all parameters of an optimizer of the model are known. One that is not may be new in the model."""
        return not self._lazy and all(id(p) in self._places for p in held)

    def are_current(self) -> bool:
        """Whether the model still has the parameters that were looked up."""
        if self._lazy:
            return False
        for key, place in self._places.items():
            p = place.parameter()
            if id(p) != key:
                return False
            known = None if place.row is None else place.row.parameter
            if known is not None and (known.trainable != p.requires_grad or known.shape != p.shape):
                return False
        return True

    def in_backward(self) -> bool:
        """Whether the running backward pass computes gradients of parameters.

        It does in ``backward()`` and in ``autograd.grad`` with respect to parameters; it does not in
        ``autograd.grad`` with respect to something else (a gradient penalty, a saliency map).
        """
        for place in self._places.values():
            parameter = place.parameter()
            if parameter is not None and parameter.requires_grad:
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
        whatever goes through ``.data``, leaves those alone. So they are summed up here and measured again before the
        step; here only by their squares, which is one pass.
        """
        found = [(p.grad, row) for p, row in self._each() if p.grad is not None and statistics.measurable(p.grad)]
        piles, others = piled(found, self._pool)
        for pile in piles:
            for row, squares in zip(pile.rows, host.squares_of_rows(pile.values_RN, self._host).tolist(), strict=True):
                row.unclipped = [0.0] * COLUMNS
                row.unclipped[SUMSQ] = squares
                row.unclipped_elements = pile.values_RN.shape[1]
        for gradient, row in others:
            x, missing = statistics.dense(statistics.local(gradient))
            scratch = self._pool(x.device)
            row.unclipped = empty_row(scratch)
            row.unclipped_elements = x.numel() + missing
            if x.numel():
                statistics.add_squares(row.unclipped, x, scratch)

    def before_step(self, optimizer: Optimizer, *, gradients: bool, scale: Tensor | None = None) -> None:
        """Weights, and gradients as the optimizer is about to use them.

        Args:
            optimizer: which is about to step.
            gradients: they are there already; a closure computes them during the step.
            scale: factor in the gradients that the optimizer takes out itself, [] on their device.
        """
        self._note(optimizer)
        self._piles.clear()
        found = []
        for group in optimizer.param_groups:
            for parameter, row in self._each(group["params"]):
                row.learning_rate = group.get("lr")
                row.scale = scale
                found.append((parameter, row))
        self._measure_weights(found, samples=True)
        if gradients:
            self._measure_gradients(found)

    def after_step(self, optimizer: Optimizer, *, gradients: bool) -> None:
        """The change of each parameter: of all values of a small one, else of a strided sample kept across the step."""
        found = self._each(held_by(optimizer))
        if gradients:
            self._measure_gradients(found)
        now = {id(row): parameter for parameter, row in found}
        piles, self._piles = self._piles, []
        for pile in piles:
            squares = changes(pile, now, self._host)
            for i, row in enumerate(pile.rows):
                if not pile.trainable[i]:
                    continue
                if squares is None:
                    row.before = pile.values_RN[i]
                else:
                    row.update = [0.0] * COLUMNS
                    row.update[SUMSQ] = squares[i]
                    row.update_elements = pile.values_RN.shape[1]
        for parameter, row in found:
            before, row.before = row.before, None
            if before is None:
                continue
            values = statistics.dense(statistics.local(parameter))[0]
            scratch = self._pool(values.device)
            after = statistics.strided_sample(values, statistics.SAMPLE, scratch)
            if after.shape != before.shape or not len(after):
                continue
            wide = before.dtype if before.dtype == torch.float64 else torch.float32
            row.update = empty_row(scratch)
            statistics.add_squares(row.update, after.to(wide).sub_(before.to(wide)), scratch)
            row.update_elements = after.numel()

    def _note(self, optimizer: Optimizer) -> None:
        """What kind of optimizer it is; the learning rate may change, and is a statistic."""
        options = optimizer.param_groups[0] if optimizer.param_groups else {}
        numbers = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items() if k not in ("params", "lr")}
        kinds = (bool, int, float, str, list)
        described = {"type": type(optimizer).__name__} | {
            k: v for k, v in numbers.items() if isinstance(v, kinds) and not k.startswith("_")
        }
        if described not in self.optimizers:
            self.optimizers = (*self.optimizers, described)

    def rest(self) -> None:
        """Parameters that no optimizer stepped: frozen, forgotten, or updated by hand."""
        found = self._each()
        self._measure_weights([(p, row) for p, row in found if row.weight is None], samples=False)
        self._measure_gradients([(p, row) for p, row in found if row.gradient is None])

    def _measure_weights(self, found: Pairs, *, samples: bool) -> None:
        piles, others = piled(found, self._pool)
        for pile in piles:
            sums, bins = self._sums_of(pile)
            for row, one, counts in zip(pile.rows, sums, bins, strict=True):
                row.weight, row.weight_bins, row.elements = one, counts, pile.values_RN.shape[1]
        if samples:
            self._piles += piles
        for parameter, row in others:
            if not statistics.measurable(parameter):
                continue
            x, missing = statistics.dense(statistics.local(parameter))
            if x.numel() == 0:
                continue
            scratch = self._pool(x.device)
            row.weight = empty_row(scratch)
            statistics.add_values(row.weight, x, scratch, zeros=False)
            row.elements = x.numel() + missing
            if self.histograms:
                row.weight_bins = statistics.bins_in_use(x, scratch)
            if samples and parameter.requires_grad:
                row.before = statistics.strided_sample(x, statistics.SAMPLE, scratch)

    def _measure_gradients(self, found: Pairs) -> None:
        pairs = [(p.grad, row) for p, row in found if p.grad is not None and statistics.measurable(p.grad)]
        piles, others = piled(pairs, self._pool)
        for pile in piles:
            sums, bins = self._sums_of(pile)
            for row, one, counts in zip(pile.rows, sums, bins, strict=True):
                row.gradient, row.gradient_bins, row.gradient_elements = one, counts, pile.values_RN.shape[1]
        for gradient, row in others:
            x, missing = statistics.dense(statistics.local(gradient))
            if x.numel() == 0 and not missing:
                continue
            scratch = self._pool(x.device)
            row.gradient = empty_row(scratch)
            if x.numel():
                statistics.add_values(row.gradient, x, scratch)
                if self.histograms:
                    row.gradient_bins = statistics.bins_in_use(x, scratch, missing)
            row.gradient[ZEROS] += missing
            row.gradient_elements = x.numel() + missing

    def _sums_of(self, pile: Pile) -> tuple[Any, Any]:
        sums = host.sums_of_rows(pile.values_RN, self._host)
        if self.histograms:
            return sums, host.bins_of_rows(pile.values_RN)
        return sums, [None] * len(sums)

    def _each(self, parameters: Iterable[Any] | None = None) -> list[tuple[nn.Parameter, ParameterRow]]:
        found = []
        for key in self._places if parameters is None else map(id, parameters):
            place = self._places.get(key)
            if place is not None and place.row is not None:
                parameter = place.parameter()
                if id(parameter) == key:
                    found.append((parameter, place.row))
        return found
