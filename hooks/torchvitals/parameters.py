"""Weights, gradients as the optimizer gets them, and what the step changed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Set
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.parameter import is_lazy
from torch.optim.optimizer import Optimizer

from torchvitals import statistics
from torchvitals.kernels import Many, Measured
from torchvitals.scratch import Pool
from torchvitals.structure import Selection, canonical
from torchvitals.sums import COLUMNS, HISTOGRAM_SAMPLE, SUMSQ, ZEROS, empty_row
from torchvitals_tb.schema import Parameter

WEIGHT, GRADIENT, UNCLIPPED, UPDATE = range(4)
"""What is measured: the gradient as the optimizer gets it, and as it left the last backward, before anything was done
to it."""


class ParameterRow:
    """One parameter of the model."""

    __slots__ = ("index", "parameter")

    def __init__(self, parameter: Parameter, index: int) -> None:
        self.parameter = parameter
        self.index = index


class ParameterSums:
    """What was measured of all parameters in one step, side by side."""

    def __init__(self, rows: int) -> None:
        self.sums: NDArray[np.float64] = np.zeros((4, rows, COLUMNS))
        """Of what is measured on the host."""
        self.elements: NDArray[np.int64] = np.zeros((4, rows), dtype=np.int64)
        """0 where nothing was measured."""
        self.far: dict[tuple[int, int], Tensor] = {}
        """Rows [K] of what is measured elsewhere."""
        self.bins: list[list[Any]] = [[None] * rows, [None] * rows]
        """Histograms of weights and of gradients."""
        self.learning_rates: list[Any] = [None] * rows
        self.scales: list[Tensor | None] = [None] * rows
        """What the gradient is still multiplied with when the optimizer gets it."""

    def put(self, what: int, rows: list[ParameterRow], sums: NDArray[np.float64], elements: Any) -> None:
        """Rows [R, K] of several."""
        places = [row.index for row in rows]
        self.sums[what, places] = sums
        self.elements[what, places] = elements

    def put_one(self, what: int, row: ParameterRow, sums: Any, elements: int) -> None:
        """A row of one, as of `torchvitals.sums.empty_row`."""
        if isinstance(sums, Tensor):
            self.far[what, row.index] = sums
        else:
            self.sums[what, row.index] = sums
        self.elements[what, row.index] = elements

    def put_bins(self, what: int, rows: list[ParameterRow], bins: list[Any] | None) -> None:
        for row, one in zip(rows, bins or (), strict=False):
            self.bins[what][row.index] = one

    def grow(self, rows: int) -> None:
        """Makes room for parameters that were found in the middle of a step."""
        more = rows - len(self.learning_rates)
        if not more:
            return
        self.sums = np.pad(self.sums, ((0, 0), (0, more), (0, 0)))
        self.elements = np.pad(self.elements, ((0, 0), (0, more)))
        for column in (*self.bins, self.learning_rates, self.scales):
            column += [None] * more


Pairs = list[tuple[Any, ParameterRow]]
"""Parameters, or their gradients, and what they are measured into."""

_PROBE: Final = 1 << 10
"""Values of a gradient that are looked at to tell whether it is still what left the backward pass."""


class _Left(NamedTuple):
    """What left the last backward pass."""

    rows: list[ParameterRow]
    versions: list[int]
    pointers: NDArray[np.uint64]
    sizes: tuple[int, ...]
    measured: Measured

    def is_here(self, many: Many, rows: list[ParameterRow]) -> bool:
        """Whether these are the same gradients, and nothing was done to them.

        Version counters do not tell of what goes through ``.data``, nor of unscaling; so the values are looked at too.
        """
        return (
            self.rows == rows
            and self.versions == many.versions()
            and self.sizes == many.sizes
            and np.array_equal(self.pointers, many.pointers)
            and many.are_as(self.measured, _PROBE)
        )


class _Samples(NamedTuple):
    """What some parameters were before a step."""

    rows: list[ParameterRow]
    tensors: tuple[int, ...]
    """How many elements each has."""
    sizes: NDArray[np.int64]
    """How many values of each there are."""
    values: NDArray[np.float32]
    """One sample behind the other."""


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
        self.now = ParameterSums(0)
        """Of the current step."""
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
        self._left: _Left | None = None
        self._samples: list[_Samples] = []
        """Of the step that is being taken."""
        self._before: dict[ParameterRow, Tensor] = {}
        """The same of those that are not measured together."""

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
        self.now.grow(len(self.rows))

    def _row(self, name: str, parameter: nn.Parameter) -> ParameterRow:
        outside, inside, _ = f".{name}".partition(".parametrizations.")
        owner = outside[1:] if inside else name.rpartition(".")[0]
        found = Parameter(name, owner, tuple(parameter.shape), parameter.requires_grad)
        index = self._index.setdefault(name, len(self.rows))
        if index == len(self.rows):
            self.rows.append(ParameterRow(found, index))
        elif self.rows[index].parameter != found:
            self.rows[index].parameter = found
        return self.rows[index]

    def arm(self, model: nn.Module, *, histograms: bool, same: bool) -> None:
        """A sampled step begins; ``same``: no module has another parameter than the last time."""
        if not (same and self.are_current()):
            self.look_up(model)
        self.histograms = histograms
        self._left = None
        self._samples.clear()
        self._before.clear()
        self.now = ParameterSums(len(self.rows))

    def take(self) -> ParameterSums:
        """What was measured in the step that has ended."""
        now, self.now = self.now, ParameterSums(len(self.rows))
        return now

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
        whatever goes through ``.data``, leaves those alone. So they are measured here, and again before the step,
        unless their values tell that nothing was done.
        """
        many, rows, others = self._together([(p.grad, row) for p, row in self._each()])
        measured = self._measured(many, sample=_PROBE)
        self._left = _Left(rows, many.versions(), many.pointers, many.sizes, measured)
        self.now.put(UNCLIPPED, rows, measured.rows, many.sizes)
        for gradient, row in others:
            if not statistics.measurable(gradient):
                continue
            x, missing = statistics.dense(statistics.local(gradient))
            scratch = self._pool(x.device)
            sums = empty_row(scratch)
            if x.numel():
                statistics.add_values(sums, x, scratch, zeros=False)
            self.now.put_one(UNCLIPPED, row, sums, x.numel() + missing)

    def before_step(self, optimizer: Optimizer, *, gradients: bool, scale: Tensor | None = None) -> None:
        """Weights, and gradients as the optimizer is about to use them.

        Args:
            optimizer: which is about to step.
            gradients: they are there already; a closure computes them during the step.
            scale: factor in the gradients that the optimizer takes out itself, [] on their device.
        """
        self._note(optimizer)
        self._samples.clear()
        self._before.clear()
        found = []
        for group in optimizer.param_groups:
            for parameter, row in self._each(group["params"]):
                self.now.learning_rates[row.index] = group.get("lr")
                self.now.scales[row.index] = scale
                found.append((parameter, row))
        self._measure_weights(found, samples=True)
        if gradients:
            self._measure_gradients(found)

    def after_step(self, optimizer: Optimizer, *, gradients: bool) -> None:
        """The change of each parameter: of all values of a small one, else of a strided sample kept across the step."""
        found = self._each(held_by(optimizer))
        if gradients:
            self._measure_gradients(found)
        now = {row: parameter for parameter, row in found}
        samples, self._samples = self._samples, []
        for rows, tensors, sizes, kept in samples:
            pairs = [(now.get(row), row) for row in rows]
            many, same, _ = self._together(pairs)
            if len(same) == len(rows) and many.sizes == tensors:
                sums = np.zeros((len(rows), COLUMNS))
                sums[:, SUMSQ] = many.changes(kept, statistics.SAMPLE)
                self.now.put(UPDATE, rows, sums, sizes)
            else:  # some are gone, or have become something else
                for row, part in zip(rows, np.split(kept, np.cumsum(sizes)[:-1]), strict=True):
                    self._before[row] = torch.from_numpy(part)
        for parameter, row in found if self._before else ():
            before = self._before.pop(row, None)
            if before is None:
                continue
            values = statistics.dense(statistics.local(parameter))[0]
            scratch = self._pool(values.device)
            after = statistics.strided_sample(values, statistics.SAMPLE, scratch)
            if after.shape != before.shape or not len(after):
                continue
            wide = before.dtype if before.dtype == torch.float64 else torch.float32
            change = empty_row(scratch)
            statistics.add_values(change, after.to(wide).sub_(before.to(wide)), scratch, zeros=False)
            self.now.put_one(UPDATE, row, change, after.numel())

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
        weights, gradients = self.now.elements[[WEIGHT, GRADIENT]] == 0
        if weights.any() or gradients.any():
            found = self._each()
            self._measure_weights([(p, row) for p, row in found if weights[row.index]], samples=False)
            self._measure_gradients([(p, row) for p, row in found if gradients[row.index]])

    def _measure_weights(self, found: Pairs, *, samples: bool) -> None:
        changing: Pairs = []
        fixed: Pairs = []
        for pair in found:
            (changing if samples and pair[0].requires_grad else fixed).append(pair)
        others: Pairs = []
        for sample, pairs in ((statistics.SAMPLE, changing), (0, fixed)):
            many, rows, rest = self._together(pairs)
            others += rest
            measured = self._measured(many, sample=sample)
            self.now.put(WEIGHT, rows, measured.rows, many.sizes)
            self.now.put_bins(WEIGHT, rows, measured.bins)
            if sample:
                self._samples.append(_Samples(rows, many.sizes, many.sample_sizes(sample), measured.samples))
        for parameter, row in others:
            if not statistics.measurable(parameter):
                continue
            x, missing = statistics.dense(statistics.local(parameter))
            if x.numel() == 0:
                continue
            scratch = self._pool(x.device)
            sums = empty_row(scratch)
            bins = statistics.add_values(sums, x, scratch, zeros=False, bins=self.histograms)
            self.now.put_one(WEIGHT, row, sums, x.numel() + missing)
            self.now.put_bins(WEIGHT, [row], [bins])
            if samples and parameter.requires_grad:
                self._before[row] = statistics.strided_sample(x, statistics.SAMPLE, scratch)

    def _measure_gradients(self, found: Pairs) -> None:
        many, rows, others = self._together([(p.grad, row) for p, row in found])
        left, self._left = self._left, None
        same = left is not None and left.is_here(many, rows)
        measured = left.measured if left is not None and same else self._measured(many)
        self.now.put(GRADIENT, rows, measured.rows, many.sizes)
        self.now.put_bins(GRADIENT, rows, measured.bins)
        for gradient, row in others:
            if not statistics.measurable(gradient):
                continue
            x, missing = statistics.dense(statistics.local(gradient))
            if x.numel() == 0 and not missing:
                continue
            scratch = self._pool(x.device)
            sums = empty_row(scratch)
            if x.numel():
                bins = statistics.add_values(sums, x, scratch, bins=self.histograms, missing=missing)
                self.now.put_bins(GRADIENT, [row], [bins])
            sums[ZEROS] += missing
            self.now.put_one(GRADIENT, row, sums, x.numel() + missing)

    def _together(self, pairs: Pairs) -> tuple[Many, list[ParameterRow], Pairs]:
        """What the kernels take as it lies, and the rest; ``None`` is left out."""
        tensors: list[Tensor] = []
        rows: list[ParameterRow] = []
        others: Pairs = []
        for x, row in pairs:
            if x is None:
                continue
            if self._host.host and statistics.is_plain(x):
                tensors.append(x)
                rows.append(row)
            else:
                others.append((x, row))
        return Many(tensors), rows, others

    def _measured(self, many: Many, *, sample: int = 0) -> Measured:
        return many.measure(bins=HISTOGRAM_SAMPLE if self.histograms else 0, sample=sample)

    def _each(self, parameters: Iterable[Any] | None = None) -> list[tuple[nn.Parameter, ParameterRow]]:
        """Those that are measured, each with its row, and that are still where they were looked up."""
        places = self._places
        keys = places if parameters is None else [key for key in map(id, parameters) if key in places]
        pairs = [(places[key].parameter(), places[key].row) for key in keys]
        return [(p, row) for key, (p, row) in zip(keys, pairs, strict=True) if row is not None and id(p) == key]
