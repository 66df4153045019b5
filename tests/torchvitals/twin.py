"""The slow, obvious way to every statistic: clones of the tensors, float64, NumPy. Knows nothing of the writer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def first_floating(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, Mapping):
        value = list(value.values())
    elif dataclasses.is_dataclass(value):
        value = [getattr(value, f.name) for f in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        for item in value:
            found = first_floating(item)
            if found is not None:
                return found
    return None


class Recording:
    """Clones of every leaf module's outputs and of the gradients with respect to them, by module and call."""

    def __init__(self, model: nn.Module) -> None:
        self.activations: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self._handles = []
        for name, module in model.named_modules():
            if not list(module.children()) or isinstance(module, nn.MultiheadAttention):
                self._handles.append(module.register_forward_hook(self._hook(name or type(module).__name__)))

    def _hook(self, name: str) -> Any:
        def record(module: nn.Module, args: Any, output: Any) -> None:
            x = first_floating(output)
            if x is None:
                return
            call = sum(1 for key in self.activations if key.partition("@")[0] == name)
            key = f"{name}@{call}" if call else name
            self.activations[key] = x.detach().clone()
            if x.requires_grad:
                x.register_hook(lambda g: self.gradients.__setitem__(key, g.detach().clone()))

        return record

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


def f64(x: Tensor) -> np.ndarray:
    return x.detach().double().numpy()


def activation_statistics(x: Tensor) -> dict[str, float]:
    a = f64(x)
    return {
        "mean": a.mean(),
        "std": a.std(),
        "rms": np.sqrt((a**2).mean()),
        "abs_max": np.abs(a).max(),
        "zero_fraction": (a == 0).mean(),
        "nonfinite_fraction": (~np.isfinite(a)).mean(),
    }


def gradient_statistics(x: Tensor) -> dict[str, float]:
    a = f64(x)
    tiny = torch.finfo(x.dtype).tiny
    return {
        "rms": np.sqrt((a**2).mean()),
        "abs_max": np.abs(a).max(),
        "zero_fraction": (a == 0).mean(),
        "nonfinite_fraction": (~np.isfinite(a)).mean(),
        "underflow_fraction": ((a != 0) & (np.abs(a) < tiny)).mean(),
    }


def unit_statistics(x: Tensor, axis: int) -> dict[str, float]:
    a = np.moveaxis(f64(x), axis, -1).reshape(-1, x.shape[axis])
    magnitude = np.abs(a).mean(0)
    return {
        "dead_fraction": (a == 0).all(0).mean(),
        "dormant_fraction": (magnitude <= 0.025 * magnitude.mean()).mean(),
    }


def histogram(x: Tensor) -> dict[tuple[bool, int, bool], int]:
    """Counts by (negative, octave, upper half of it) of finite normal values, from frexp alone."""
    counts: dict[tuple[bool, int, bool], int] = {}
    for value in f64(x.float()).ravel():
        mantissa, exponent = np.frexp(abs(value))
        key = (bool(np.signbit(value)), int(exponent) if value else -999, bool(mantissa >= 0.75))
        counts[key] = counts.get(key, 0) + 1
    return counts
