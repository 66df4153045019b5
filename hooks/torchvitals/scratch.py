"""Buffers that reductions write into: measuring allocates next to nothing."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchvitals import kernels

CHUNK: Final = 1 << 18
"""Elements reduced at a time: the scratch (1 MiB) then stays in the cache and never page-faults."""

_MOST_SPREADS: Final = 64
_MOST_VIEWS: Final = 4096


@lru_cache(_MOST_SPREADS)
def spread(total: int, wanted: int) -> NDArray[np.int64]:
    """Positions of about ``wanted`` elements, evenly spread over a larger number."""
    number = kernels.sample_size(total, wanted)
    return np.arange(number) * total // number


class Scratch:
    """Reusable buffers of one device: reductions write into them instead of allocating."""

    def __init__(self, device: torch.device, *, host: bool | None = None) -> None:
        self.device = device
        self.host = (device.type == "cpu" and kernels.available) if host is None else host
        """Whether tensors are measured by `torchvitals.kernels`."""
        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self._buffers: dict[tuple[torch.dtype, int], Tensor] = {}
        self._views: dict[tuple[torch.dtype, int, torch.Size], Tensor] = {}
        self._zero: dict[torch.dtype, Tensor] = {}
        self._spread: dict[tuple[int, int], Tensor] = {}

    def like(self, x: Tensor, slot: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """A buffer of the shape of ``x``; its contents last until the next call with the same slot."""
        key = (dtype or x.dtype, slot, x.shape)
        view = self._views.get(key)
        if view is None:
            if len(self._views) >= _MOST_VIEWS:  # batches of every size
                self._views.clear()
            buffer = self._buffers.get(key[:2])
            with torch.inference_mode(False):  # born in inference mode, it could not be written to later
                if buffer is None or buffer.numel() < x.numel():
                    buffer = torch.empty(max(CHUNK, x.numel()), dtype=key[0], device=self.device)
                    self._buffers[key[:2]] = buffer
                    self._views = {known: v for known, v in self._views.items() if known[:2] != key[:2]}
                view = self._views[key] = buffer[: x.numel()].view(x.shape)
        return view

    def nonzero(self, x: Tensor) -> Tensor:
        """1 where ``x`` is not exactly zero (so also for NaN), else 0, in a buffer of slot 0."""
        zero = self._zero.get(x.dtype)
        if zero is None:
            with torch.inference_mode(False):
                zero = self._zero[x.dtype] = torch.zeros((), dtype=x.dtype, device=self.device)
        return torch.ne(x, zero, out=self.like(x))  # a number instead of the tensor takes three times as long

    def spread(self, total: int, wanted: int) -> Tensor:
        """The positions of `spread`, on the device."""
        if (total, wanted) not in self._spread:
            if len(self._spread) >= _MOST_SPREADS:  # batches of every size
                self._spread.clear()
            with torch.inference_mode(False):
                self._spread[total, wanted] = torch.from_numpy(spread(total, wanted)).to(self.device)
        return self._spread[total, wanted]

    def zeros(self, *shape: int) -> Tensor:
        """Accumulators, in the widest floating type of the device."""
        with torch.inference_mode(False):
            return torch.zeros(shape, dtype=self.wide, device=self.device)


class Pool:
    """The scratch of every device in use."""

    def __init__(self) -> None:
        self._scratch: dict[torch.device, Scratch] = {}

    def __call__(self, device: torch.device) -> Scratch:
        if device not in self._scratch:
            self._scratch[device] = Scratch(device)
        return self._scratch[device]
