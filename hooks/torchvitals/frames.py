"""From the rows of a step to one frame: one copy to the host, then statistics, histograms and units as vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchvitals import statistics
from torchvitals.capture import Capture
from torchvitals.emit import Frame
from torchvitals.parameters import GRADIENT, WEIGHT, Parameters
from torchvitals.statistics import Vector, to_float32
from torchvitals.sums import ABS_MAX, COMPARED, NONFINITE, SATURATED, SPREAD, SUBNORMAL, ZEROS
from torchvitals.units import UnitCounts, UnitRecord
from torchvitals_tb import packing, schema
from torchvitals_tb.schema import ACTIVATIONS

Host = Any
"""A vector of float64, in whatever holds it on the host, or ``None``."""
_PLAIN = frozenset((type(None), list, tuple, float, int, bool, np.ndarray))  # quicker to tell than what is a tensor


class Fetch:
    """Host copies of many small tensors, with one copy per device that nobody waits for in the training thread.

    On CUDA the copy goes into pinned memory, behind the work that is queued already, and an event after it tells when
    it has arrived. Pinned buffers come from PyTorch's cache of them: as many are in use as frames wait to be written.
    """

    def __init__(self, items: list[Any]) -> None:
        # What belongs to the training changes on: a loss scale, a learning rate.
        tensors = [(i, x) for i, x in enumerate(items) if type(x) not in _PLAIN and isinstance(x, Tensor)]
        self._items = items
        for i, x in tensors:
            if x.numel() == 1 and not _is_far(x):
                items[i] = x.detach().clone()
        self._copies: list[tuple[list[int], Tensor, Any]] = []
        groups: dict[torch.device, dict[torch.dtype, list[int]]] = {}
        for i, item in tensors:
            if _is_far(item):
                groups.setdefault(item.device, {}).setdefault(item.dtype, []).append(i)
        for device, by_dtype in groups.items():
            wide = torch.float32 if device.type == "mps" else torch.float64
            flat = torch.cat([torch.cat([items[i].reshape(-1) for i in some]).to(wide) for some in by_dtype.values()])
            event = None
            if device.type == "cuda":
                packed, flat = flat, torch.empty(flat.shape, dtype=wide, pin_memory=True)
                flat.copy_(packed, non_blocking=True)
                event = torch.cuda.Event()
                event.record(torch.cuda.current_stream(device))
            self._copies.append(([i for some in by_dtype.values() for i in some], flat, event))

    def arrays(self) -> list[Host]:
        """The items on the host, in order; waits for what has not arrived."""
        out: list[Any] = [
            item.numpy()
            if type(item) not in _PLAIN and isinstance(item, Tensor) and item.device.type == "cpu"
            else item
            for item in self._items
        ]
        for indices, copy, event in self._copies:
            if event is not None:
                event.synchronize()
            flat = copy.cpu().double().numpy()
            start = 0
            for i in indices:
                shape = self._items[i].shape
                out[i] = flat[start : start + shape.numel()].reshape(tuple(shape))
                start += shape.numel()
        return out


def _is_far(x: Tensor) -> bool:
    """Whether reading a number of it would wait for a device."""
    return x.device.type != "cpu"


@dataclass
class StepNotes:
    """What is known of a step beside the numbers of its rows."""

    step: int
    heavy: bool
    """It carries histograms and units."""
    loss_scale: Tensor | None = None
    """[] what the loss was multiplied with."""
    skipped: list[Tensor | bool] = field(default_factory=list)
    """Of each optimizer whose step a ``GradScaler`` decided over: whether (above 0) it was skipped."""
    not_observed: dict[str, str] = field(default_factory=dict)
    self_check: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Snapshot:
    """One sampled step as measured, on its way to the host."""

    def __init__(self, notes: StepNotes, capture: Capture, parameters: Parameters) -> None:
        self.step = notes.step
        self.layers = [row.layer for row in capture.rows]
        self.parameters = [row.parameter for row in parameters.rows]
        self.edges = capture.edges
        self.optimizers = parameters.optimizers
        self.not_observed = dict(notes.not_observed)
        self.self_check = notes.self_check
        self._heavy = notes.heavy
        # What is far comes later, each to its place here.
        self._places: list[Any] = []
        far: list[Any] = []
        sums, starts = capture.table.sums, capture.table.starts
        self._sums, self._units = sums.rows[: len(self.layers)].copy(), sums.units[:, : starts[-1]].copy()
        self._starts = np.array(starts)
        counts = [[0] * len(self.layers) for _ in range(3)]
        self._bins: list[list[Any]] = [[None] * len(self.layers) for _ in range(2)]
        for i, row in enumerate(capture.rows):
            if not capture.ran(i):
                continue
            gradient, units = row.used_gradient(), row.units
            counts[0][i], counts[1][i] = row.elements, gradient.elements
            if units is not None:
                counts[2][i] = units.observations
            if capture.histograms:
                self._bins[0][i], self._bins[1][i] = row.activation_bins, gradient.bins
            if gradient is not row.gradient or not row.scratch.host:
                self._bring(far, self._sums[i, 1], gradient.sums)
            if not row.scratch.host:
                self._bring(far, self._sums[i, 0], row.activation)
                for mine, its in zip(self._units, (units.fired, units.magnitude) if units else (), strict=False):
                    self._bring(far, mine[starts[i] : starts[i + 1]], its)
        self._elements = np.array(counts[:2])
        self._observations = np.array(counts[2], dtype=np.float64)
        self._parameters = now = parameters.take()
        for (what, i), its in now.far.items():
            self._bring(far, now.sums[what, i], its)
        scales = {id(scale): scale for scale in now.scales if scale is not None}
        self._scaled = [list(scales).index(id(scale)) if scale is not None else -1 for scale in now.scales]
        scalars: list[Any] = [notes.loss_scale, *notes.skipped, *scales.values()]
        self._skips, self._scalars = len(notes.skipped), len(scalars)
        bins = (column for columns in (self._bins, now.bins) for column in columns) if capture.histograms else ()
        self._fetch = Fetch([*scalars, *far, *now.learning_rates, *chain(*bins)])

    def _bring(self, far: list[Any], place: NDArray[np.float64], sums: Any) -> None:
        """Has sums that are far, or elsewhere on the host, come to their place."""
        if isinstance(sums, Tensor):
            far.append(sums)
            self._places.append(place)
        else:
            place[:] = sums

    def frame(self, units: UnitRecord, counters: NDArray[np.float64], manifest: str | None) -> Frame:
        """The vectors to write.

        Args:
            units: what single units did since the last record; this step is added.
            counters: the first of `schema.RUN_FIELDS`; those of the step itself are added.
            manifest: to write with it.
        """
        arrays = iter(self._fetch.arrays())
        loss_scale, *rest = islice(arrays, self._scalars)
        scale = 1.0 if loss_scale is None else float(loss_scale)
        skipped = any(bool(flag) for flag in rest[: self._skips])
        scales = [*(float(s) for s in rest[self._skips :] if s is not None), 1.0]  # the last, -1, is of most rows
        parameter_scale = np.array([scales[i] for i in self._scaled])
        for place, array in zip(self._places, arrays, strict=False):
            place[:] = array
        rates = list(islice(arrays, len(self.parameters)))
        counts = UnitCounts(self._starts, self._observations, *self._units)
        values = self._layer_statistics(counts, scale)
        values |= self._parameter_statistics(rates, scale, parameter_scale)
        frame = Frame(
            step=self.step,
            manifest=manifest,
            statistics=_to_float32(values, schema.LAYER_STATISTICS) | _to_float32(values, schema.PARAMETER_STATISTICS),
            run=np.concatenate([counters, [float(skipped), np.nan if loss_scale is None else scale]]),
            scalars=self._scalars_of(values),
        )
        units.add(counts)
        if self._heavy:
            sizes = (len(self.layers),) * 2 + (len(self.parameters),) * 2
            factors = (None, np.full(len(self.layers), scale), None, parameter_scale)
            for kind, size, factor in zip(schema.HISTOGRAMS, sizes, factors, strict=True):
                rows = _histograms(list(islice(arrays, size)), factor)
                if len(rows.bins):
                    frame.histograms[kind] = rows
            frame.units = units.take()
        return frame

    def _layer_statistics(self, counts: UnitCounts, scale: float) -> dict[str, Vector]:
        activation, gradient = self._sums[:, 0], self._sums[:, 1]
        n, m = self._elements.astype(np.float64)
        mean, std, rms = statistics.moments(activation, n)
        bounded = np.array([_is_bounded(layer) for layer in self.layers], dtype=bool)
        dead, dormant = counts.dead_and_dormant()
        return {
            "activation/mean": mean,
            "activation/std": std,
            "activation/rms": rms,
            "activation/example_std": np.sqrt(statistics.share(activation, SPREAD, activation[:, COMPARED])),
            "activation/abs_max": np.where(n > 0, activation[:, ABS_MAX], np.nan),
            "activation/zero_fraction": statistics.share(activation, ZEROS, n),
            "activation/nonfinite_fraction": statistics.share(activation, NONFINITE, n),
            "activation/saturated_fraction": np.where(bounded, statistics.share(activation, SATURATED, n), np.nan),
            "activation/dead_fraction": dead,
            "activation/dormant_fraction": dormant,
            "gradient/rms": statistics.rms(gradient, m) / scale,
            "gradient/abs_max": np.where(m > 0, gradient[:, ABS_MAX], np.nan) / scale,
            "gradient/zero_fraction": statistics.share(gradient, ZEROS, m),
            "gradient/nonfinite_fraction": statistics.share(gradient, NONFINITE, m),
            "gradient/underflow_fraction": statistics.share(gradient, SUBNORMAL, m),
        }

    def _parameter_statistics(self, rates: list[Any], scale: float, parameter_scale: Vector) -> dict[str, Vector]:
        sums, n = self._parameters.sums, self._parameters.elements.astype(np.float64)
        rms, gradient_rms, unclipped_rms, update_rms = statistics.rms(sums, n)
        largest = np.where(n > 0, sums[..., ABS_MAX], np.nan)
        with np.errstate(all="ignore"):
            ratio = np.where(rms > 0, update_rms / rms, np.nan)
        return {
            "parameter/rms": rms,
            "parameter/abs_max": largest[WEIGHT],
            "parameter/grad_rms": gradient_rms / parameter_scale,
            "parameter/grad_rms_before_clip": unclipped_rms / scale,
            "parameter/grad_abs_max": largest[GRADIENT] / parameter_scale,
            "parameter/grad_zero_fraction": statistics.share(sums[GRADIENT], ZEROS, n[GRADIENT]),
            "parameter/grad_nonfinite_fraction": statistics.share(sums[GRADIENT], NONFINITE, n[GRADIENT]),
            "parameter/update_rms": update_rms,
            "parameter/update_ratio": ratio,
            "parameter/learning_rate": np.array([np.nan if lr is None else np.asarray(lr).item() for lr in rates]),
        }

    def _scalars_of(self, values: dict[str, Vector]) -> dict[str, float]:
        out: dict[str, float] = {}
        n = np.array([math.prod(p.shape) for p in self.parameters], dtype=np.float64)
        gradients, weights = values["parameter/grad_rms"], values["parameter/rms"]
        for tag, rms, seen in (
            ("vitals/grad_norm", gradients, self._parameters.elements[GRADIENT] > 0),
            ("vitals/weight_norm", weights, ~np.isnan(weights)),
        ):
            if seen.any():
                out[tag] = math.sqrt((rms[seen] ** 2 * n[seen]).sum())
        ratios = values["parameter/update_ratio"]
        ratios = ratios[~np.isnan(ratios)]
        if len(ratios):
            out["vitals/update_ratio"] = float(np.median(ratios))
        units = np.array([layer.units or 0 for layer in self.layers], dtype=np.float64)
        mortal = np.array([_can_die(layer) for layer in self.layers], dtype=bool)
        dead = values["activation/dead_fraction"]
        counted = mortal & ~np.isnan(dead)
        if counted.any():
            out["vitals/dead_fraction"] = float(dead[counted] @ units[counted] / units[counted].sum())
        return out


def _to_float32(values: dict[str, Vector], names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Those of one kind of rows, converted together."""
    return dict(zip(names, to_float32(np.stack([values[name] for name in names])), strict=True))


def _histograms(column: list[Any], factor: Vector | None) -> packing.Histograms:
    """Rows of bins in use and their counts, or of all counts; of values divided by a factor each."""
    bins: list[NDArray[Any]] = [np.empty(0, dtype=np.int64)]
    counts: list[NDArray[Any]] = [np.empty(0, dtype=np.int64)]
    lengths = np.zeros(len(column), dtype=np.int64)
    for i, row in enumerate(column):
        if row is None:
            continue
        used, numbers = row if isinstance(row, tuple) else (row.nonzero()[0], row[row.nonzero()])
        if factor is not None and factor[i] != 1:
            dense = np.zeros((1, packing.BINS), dtype=np.int64)
            dense[0, used] = numbers
            moved = packing.rescaled(dense, factor[i : i + 1])[0]
            used, numbers = moved.nonzero()[0], moved[moved > 0]
        bins.append(used)
        counts.append(numbers)
        lengths[i] = len(used)
    return packing.Histograms(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate(bins).astype(np.uint16),
        np.concatenate(counts).astype(np.uint32),
    )


def _is_bounded(layer: schema.Layer) -> bool:
    kind = ACTIVATIONS.get(layer.function or "")
    return kind is not None and (kind.low is not None or kind.high is not None)


def _can_die(layer: schema.Layer) -> bool:
    kind = ACTIVATIONS.get(layer.function or "")
    return kind is not None and kind.reaches_zero
