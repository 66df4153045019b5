"""From the rows of a step to one frame: one copy to the host, then statistics, histograms and units as vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchvitals import statistics
from torchvitals.capture import Capture
from torchvitals.emit import Frame
from torchvitals.parameters import Parameters
from torchvitals.rows import Row
from torchvitals.statistics import Vector, to_float32
from torchvitals.sums import ABS_MAX, COLUMNS, COMPARED, NONFINITE, SATURATED, SPREAD, SUBNORMAL, ZEROS
from torchvitals.units import UnitCounts, UnitRecord
from torchvitals_tb import packing, schema
from torchvitals_tb.schema import ACTIVATIONS

Host = NDArray[Any] | None
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
            flat = copy.cpu().numpy()
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
        self._rows: list[Row | None] = [row if capture.ran(i) else None for i, row in enumerate(capture.rows)]
        gradients = [row.used_gradient() if row else None for row in self._rows]
        self._elements = np.array(
            [[r.elements, g.elements] if r and g else [0, 0] for r, g in zip(self._rows, gradients, strict=True)]
        ).T
        self._observations = [r.units.observations if r and r.units else 0 for r in self._rows]
        self._parameter_elements = np.array(
            [[r.elements, r.gradient_elements, r.unclipped_elements, r.update_elements] for r in parameters.rows]
        ).T
        scales = {id(row.scale): row.scale for row in parameters.rows if row.scale is not None}
        self._scaled = [list(scales).index(id(row.scale)) if row.scale is not None else -1 for row in parameters.rows]
        scalars: list[Any] = [notes.loss_scale, *notes.skipped, *scales.values()]
        self._skips, self._scalars = len(notes.skipped), len(scalars)
        items = scalars
        for row, gradient in zip(self._rows, gradients, strict=True):
            units = row.units if row else None
            if row and gradient:
                items += (row.activation, gradient.sums, row.activation_bins, gradient.bins)
            else:
                items += (None,) * 4
            items += (units.fired, units.magnitude) if units else (None, None)
        for parameter in parameters.rows:
            items += (parameter.weight, parameter.gradient, parameter.unclipped, parameter.update)
            items += (parameter.weight_bins, parameter.gradient_bins, parameter.learning_rate)
        self._fetch = Fetch(items)

    def frame(self, units: UnitRecord, counters: NDArray[np.float64], manifest: str | None) -> Frame:
        """The vectors to write.

        Args:
            units: what single units did since the last record; this step is added.
            counters: the first of `schema.RUN_FIELDS`; those of the step itself are added.
            manifest: to write with it.
        """
        arrays = self._fetch.arrays()
        loss_scale, *rest = arrays[: self._scalars]
        scale = 1.0 if loss_scale is None else float(loss_scale)
        skipped = any(bool(flag) for flag in rest[: self._skips])
        scales = [*(float(s) for s in rest[self._skips :] if s is not None), 1.0]  # the last, -1, is of most rows
        parameter_scale = np.array([scales[i] for i in self._scaled])
        arrays = arrays[self._scalars :]
        split = 6 * len(self.layers)
        layer_columns = [arrays[i:split:6] for i in range(6)]
        parameter_columns = [arrays[split + i :: 7] for i in range(7)]
        counts = UnitCounts.of(layer_columns[4], layer_columns[5], self._observations)
        units.add(counts)
        values = self._layer_statistics(layer_columns[:2], counts, scale)
        values |= self._parameter_statistics(parameter_columns, scale, parameter_scale)
        frame = Frame(
            step=self.step,
            manifest=manifest,
            statistics=_to_float32(values, schema.LAYER_STATISTICS) | _to_float32(values, schema.PARAMETER_STATISTICS),
            run=np.concatenate([counters, [float(skipped), np.nan if loss_scale is None else scale]]),
            scalars=self._scalars_of(values),
        )
        if self._heavy:
            columns = (layer_columns[2], layer_columns[3], parameter_columns[4], parameter_columns[5])
            factors = (None, np.full(len(self.layers), scale), None, parameter_scale)
            for kind, column, factor in zip(schema.HISTOGRAMS, columns, factors, strict=True):
                rows = _histograms(column, factor)
                if len(rows.bins):
                    frame.histograms[kind] = rows
            frame.units = units.take(self.layers)
        return frame

    def _layer_statistics(self, columns: list[list[Host]], counts: UnitCounts, scale: float) -> dict[str, Vector]:
        activation, gradient = _stack(columns[0]), _stack(columns[1])
        n, m = self._elements.astype(np.float64) if len(self.layers) else np.zeros((2, 0))
        mean, std, rms = statistics.moments(activation, n)
        bounded = np.array([_is_bounded(layer) for layer in self.layers], dtype=bool)
        dead, dormant = np.full((2, len(n)), np.nan)
        dead[counts.rows], dormant[counts.rows] = counts.dead_and_dormant()
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
            "gradient/rms": statistics.moments(gradient, m)[2] / scale,
            "gradient/abs_max": np.where(m > 0, gradient[:, ABS_MAX], np.nan) / scale,
            "gradient/zero_fraction": statistics.share(gradient, ZEROS, m),
            "gradient/nonfinite_fraction": statistics.share(gradient, NONFINITE, m),
            "gradient/underflow_fraction": statistics.share(gradient, SUBNORMAL, m),
        }

    def _parameter_statistics(
        self, columns: list[list[Host]], scale: float, parameter_scale: Vector
    ) -> dict[str, Vector]:
        weight, gradient, unclipped, update = (_stack(column) for column in columns[:4])
        n, m, c, u = self._parameter_elements.astype(np.float64) if len(self.parameters) else np.zeros((4, 0))
        rms = statistics.moments(weight, n)[2]
        update_rms = statistics.moments(update, u)[2]
        with np.errstate(all="ignore"):
            ratio = np.where(rms > 0, update_rms / rms, np.nan)
        return {
            "parameter/rms": rms,
            "parameter/abs_max": np.where(n > 0, weight[:, ABS_MAX], np.nan),
            "parameter/grad_rms": statistics.moments(gradient, m)[2] / parameter_scale,
            "parameter/grad_rms_before_clip": statistics.moments(unclipped, c)[2] / scale,
            "parameter/grad_abs_max": np.where(m > 0, gradient[:, ABS_MAX], np.nan) / parameter_scale,
            "parameter/grad_zero_fraction": statistics.share(gradient, ZEROS, m),
            "parameter/grad_nonfinite_fraction": statistics.share(gradient, NONFINITE, m),
            "parameter/update_rms": update_rms,
            "parameter/update_ratio": ratio,
            "parameter/learning_rate": np.array([np.nan if lr is None else np.asarray(lr).item() for lr in columns[6]]),
        }

    def _scalars_of(self, values: dict[str, Vector]) -> dict[str, float]:
        out: dict[str, float] = {}
        n = np.array([math.prod(p.shape) for p in self.parameters], dtype=np.float64)
        for tag, name in (("vitals/grad_norm", "parameter/grad_rms"), ("vitals/weight_norm", "parameter/rms")):
            seen = ~np.isnan(values[name]) if tag == "vitals/weight_norm" else self._parameter_elements[1:2].ravel() > 0
            if np.any(seen):
                out[tag] = float(np.sqrt(np.sum(values[name][seen] ** 2 * n[seen])))
        ratios = values["parameter/update_ratio"]
        if np.any(~np.isnan(ratios)):
            out["vitals/update_ratio"] = float(np.nanmedian(ratios))
        units = np.array([layer.units or 0 for layer in self.layers], dtype=np.float64)
        mortal = np.array([_can_die(layer) for layer in self.layers], dtype=bool)
        dead = values["activation/dead_fraction"]
        counted = mortal & ~np.isnan(dead)
        if counted.any():
            out["vitals/dead_fraction"] = float(np.average(dead[counted], weights=units[counted]))
        return out


def _to_float32(values: dict[str, Vector], names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Those of one kind of rows, converted together."""
    return dict(zip(names, to_float32(np.stack([values[name] for name in names])), strict=True))


def _stack(column: list[Host]) -> Vector:
    none = np.zeros(COLUMNS)
    return np.array([none if sums is None else sums for sums in column], dtype=np.float64).reshape(-1, COLUMNS)


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
