"""A run as the rules see it: statistics on common steps, what belongs to what, and what theory expects."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb import lifelines
from torchvitals_tb.findings import Evidence
from torchvitals_tb.reader import Run
from torchvitals_tb.schema import ACTIVATIONS, Layer, Parameter

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SHOWN_STEPS: Final = 60  # of an evidence
_SHOWN_ROWS: Final = 40
_KEPT: Final = 10  # statistics at a time, more than a rule looks at: all of them take twice what the files do

_RECTIFIERS: Final = frozenset(
    ("relu", "relu6", "leaky_relu", "prelu", "rrelu", "clamp", "elu", "gelu", "silu", "mish", "hardswish", "softplus")
)
ADAPTIVE: Final = frozenset(
    ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "RMSprop", "Adadelta", "Adafactor", "SparseAdam", "Rprop",
     "Lion", "LAMB", "Muon")
)  # fmt: skip
"""Optimizers whose step hardly depends on the size of the gradient."""


class View:
    """Statistics as float64 [T, rows] on the sampled steps; NaN where nothing was measured.

    Args:
        run: the run.
        since: look only at sampled steps from this one on.
    """

    def __init__(self, run: Run, since: int | None = None) -> None:
        self.run = run
        self._start = 0 if since is None else int(np.searchsorted(run.steps, since))
        self.steps: NDArray[np.int64] = run.steps[self._start :]
        self.layers: tuple[Layer, ...] = run.layers
        self.parameters: tuple[Parameter, ...] = run.parameters
        self.from_start = self._start == 0
        """The first sampled steps are among those looked at."""
        self._statistics: OrderedDict[str, Floats] = OrderedDict()
        self._remark = ""

    def remark(self, text: str) -> None:
        """Says what a rule could not check in an otherwise checked run."""
        self._remark = text

    def take_remark(self) -> str:
        """The remark, once."""
        text, self._remark = self._remark, ""
        return text

    # Statistics -----------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Floats:
        """A statistic, [T, rows]; all NaN where it is not recorded."""
        if name not in self._statistics:
            self._statistics[name] = self._read(name)
            if len(self._statistics) > _KEPT:
                self._statistics.popitem(last=False)
        self._statistics.move_to_end(name)
        return self._statistics[name]

    def _read(self, name: str) -> Floats:
        rows = len(self.parameters) if name.startswith("parameter/") else len(self.layers)
        shape = len(self.steps), rows
        if name not in self.run or not len(self.steps):
            return np.full(shape, np.nan)
        series = self.run[name]
        if np.array_equal(series.steps, self.steps):
            return series.values.astype(np.float64)
        values = np.full(shape, np.nan)
        at = np.searchsorted(self.steps, series.steps)
        known = (at < len(self.steps)) & (self.steps[np.minimum(at, len(self.steps) - 1)] == series.steps)
        values[at[known]] = series.values[known]
        return values

    @cached_property
    def broken(self) -> Mask:
        """[T] steps with NaN or Inf that spread: in gradients or weights. Their numbers tell nothing else."""
        bad = np.zeros(len(self.steps), dtype=bool)
        bad |= (self["gradient/nonfinite_fraction"] > 0).any(axis=1)
        bad |= (self["parameter/grad_nonfinite_fraction"] > 0).any(axis=1)
        bad |= np.isinf(self["parameter/rms"]).any(axis=1)
        return bad

    def sound(self, name: str) -> Floats:
        """A statistic without the broken steps."""
        return self.without_broken(self[name])

    def without_broken(self, values: Floats) -> Floats:
        """Numbers [T, rows] with NaN on the broken steps."""
        return np.where(self.broken[:, None], np.nan, values) if self.broken.any() else values

    @cached_property
    def skipped(self) -> Mask:
        """[T] steps that a loss scaler skipped."""
        return self.run.counters["skipped"][self._start :] > 0

    # What belongs to what -------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @cached_property
    def activation_rows(self) -> NDArray[np.intp]:
        """Rows that are activation functions."""
        return np.array([i for i, layer in enumerate(self.layers) if layer.function in ACTIVATIONS], dtype=np.intp)

    @cached_property
    def weight_of(self) -> dict[int, int]:
        """Row of a layer -> row of its weight: the parameter of two dimensions or more; only of first calls."""
        by_layer: dict[str, int] = {}
        for i, parameter in enumerate(self.parameters):
            if len(parameter.shape) >= 2 and parameter.layer not in by_layer:
                by_layer[parameter.layer] = i
        return {
            i: by_layer[layer.name]
            for i, layer in enumerate(self.layers)
            if layer.kind == "module" and not layer.call and layer.name in by_layer
        }

    @cached_property
    def weighted_rows(self) -> NDArray[np.intp]:
        """Rows of linear and convolution layers and their like, embeddings left out."""
        rows = [i for i in self.weight_of if "Embedding" not in self.layers[i].type]
        return np.array(rows, dtype=np.intp)

    @cached_property
    def feeders(self) -> list[list[int]]:
        """Of each row the rows that feed it."""
        found: list[list[int]] = [[] for _ in self.layers]
        for before, afters in enumerate(self.fed):
            for after in afters:
                found[after].append(before)
        return found

    @cached_property
    def fed(self) -> list[list[int]]:
        """Of each row the rows that it feeds."""
        found: list[list[int]] = [[] for _ in self.layers]
        for before, after in self.run.manifest.edges:
            if before < after:
                found[before].append(after)
        return found

    @cached_property
    def optimizers(self) -> tuple[str, ...]:
        """Types of the optimizers, as far as recorded."""
        return tuple(str(o.get("type", "")) for o in self.run.manifest.optimizers)

    @property
    def adaptive(self) -> bool:
        """Whether the optimizer hardly cares how large a gradient is."""
        return bool(self.optimizers) and all(name in ADAPTIVE for name in self.optimizers)

    def behind_norm(self, row: int) -> bool:
        """Whether a normalisation takes the scale of this row's output away."""
        return any("Norm" in self.layers[after].type for after in self.fed[row])

    def elements(self, row: int) -> float:
        """Elements of a row's output per example."""
        shape = self.layers[row].shape
        return float(max(1, math.prod(shape[1:]) if len(shape) > 1 else math.prod(shape)))

    @cached_property
    def gradient_norms(self) -> Floats:
        """[T, rows] norm of the gradient with respect to an example's output.

        Unlike the rms of its elements it can be compared between layers of different size.
        """
        size = np.sqrt([self.elements(i) for i in range(len(self.layers))])
        return self["gradient/rms"] * size

    # Theory ---------------------------------------------------------------------------------------------------------

    @cached_property
    def gain(self) -> float:
        """What the network's activations need of the variance of weights, times fan_in: 2 for rectifiers, else 1."""
        functions = {self.layers[r].function for r in self.activation_rows}
        return 2.0 if functions & _RECTIFIERS else 1.0

    def kept(self, parameter: int) -> float:
        """The rms of a weight that keeps the scale of what goes through it: sqrt(gain / fan_in), He et al. 2015."""
        return math.sqrt(self.gain / max(1, math.prod(self.parameters[parameter].shape[1:])))

    # Units ----------------------------------------------------------------------------------------------------------

    @property
    def unit_steps(self) -> NDArray[np.int64]:
        """Steps of the records of what the units did."""
        return self._units[0]

    @property
    def lives(self) -> lifelines.Lives:
        """The units over those records."""
        return self._units[1]

    @cached_property
    def _units(self) -> tuple[NDArray[np.int64], lifelines.Lives]:
        return lifelines.of_run(self.run, int(self.steps[0]) if len(self.steps) else None)

    # Evidence -------------------------------------------------------------------------------------------------------

    def evidence(
        self,
        statistic: str,
        caption: str,
        rows: list[int] | NDArray[Any],
        steps: NDArray[Any] | slice | None = None,
        expected: Any = None,
    ) -> Evidence:
        """What a finding shows: a statistic of some rows, thinned to what can be drawn.

        Args:
            statistic: its name.
            caption: what it shows.
            rows: which.
            steps: indices into ``steps``, all if not given.
            expected: of each row, what a healthy network has.
        """
        chosen = [int(r) for r in rows][:_SHOWN_ROWS]
        index = np.arange(len(self.steps))[slice(None) if steps is None else steps]
        if len(index) > _SHOWN_STEPS and chosen:
            # Of every few steps the one with the largest value of the first row: a peak must not be lost.
            size = np.nan_to_num(np.abs(self[statistic][index, chosen[0]]), nan=-1, posinf=np.inf)
            parts = np.array_split(np.arange(len(index)), _SHOWN_STEPS)
            index = index[[int(part[np.argmax(size[part])]) for part in parts]]
        table = self[statistic][index][:, chosen]
        of = self.parameters if statistic.startswith("parameter/") else self.layers
        return Evidence(
            statistic=statistic,
            caption=caption,
            rows=tuple(of[r].name for r in chosen),
            steps=tuple(int(s) for s in self.steps[index]),
            values=tuple(tuple(float(x) for x in row) for row in table),
            expected=None if expected is None else tuple(float(x) for x in list(expected)[:_SHOWN_ROWS]),
        )


def persistent(mask: Mask, share: float = 0.5, least: int = 3) -> bool:
    """Whether something holds on enough steps: a share of them, and more than an odd one or two."""
    return bool(mask.sum() >= min(least, len(mask)) and mask.mean() >= share) if len(mask) else False


def first_lasting(mask: Mask, least: int = 3) -> int | None:
    """Index of the first step from which something holds on at least ``least`` steps in a row (or to the end)."""
    run = 0
    for i, holds in enumerate(mask):
        run = run + 1 if holds else 0
        if run >= min(least, len(mask)):
            return i - run + 1
    return None


def median(values: Any, axis: int | None = None) -> Any:
    """Without what was not measured; NaN where nothing was."""
    values = np.asarray(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        if values.ndim != 2 or axis is None:
            return np.nanmedian(values, axis=axis)
        # NumPy goes through columns with NaN one by one, in Python: only those that have any.
        columns = np.moveaxis(values, axis, 0)
        holed = np.isnan(columns).any(axis=0)
        out = np.empty(columns.shape[1], dtype=np.result_type(columns, np.float32))
        out[~holed] = np.median(columns[:, ~holed], axis=0)
        out[holed] = np.nanmedian(columns[:, holed], axis=0)
        return out


def largest(values: Any, axis: int | None = None) -> Any:
    """Without what was not measured; NaN where nothing was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmax(values, axis=axis)
