"""Buffers that reductions write into: measuring allocates next to nothing."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK: Final = 1 << 18
"""Elements reduced at a time: the scratch (1 MiB) then stays in the cache and never page-faults."""

_MOST_SPREADS: Final = 64
_MOST_VIEWS: Final = 4096


@lru_cache(_MOST_SPREADS)
def spread(total: int, wanted: int) -> NDArray[np.int64]:
    """Positions of about ``wanted`` elements, evenly spread over a larger number."""
    number = wanted - 3  # a prime for the sizes in use
    while total % number == 0:
        number -= 2
    return np.arange(number) * total // number


class Scratch:
    """Reusable buffers of one device: reductions write into them instead of allocating."""

    def __init__(self, device: torch.device, *, host: bool | None = None) -> None:
        self.device = device
        self.host = device.type == "cpu" if host is None else host
        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self._buffers: dict[tuple[torch.dtype, int], Tensor] = {}
        self._views: dict[tuple[torch.dtype, int, torch.Size], Tensor] = {}
        self._zero: dict[torch.dtype, Tensor] = {}
        self._cells: dict[torch.dtype, tuple[Tensor, tuple[Tensor, ...], NDArray[Any]]] = {}
        self._spread: dict[tuple[int, int], Tensor] = {}
        self._flags = np.empty(0, dtype=bool)

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

    def cells(self, dtype: torch.dtype) -> tuple[tuple[Tensor, ...], NDArray[Any]]:
        """Four single-number tensors to reduce into, and the NumPy array that shares their memory (host only)."""
        if dtype not in self._cells:
            with torch.inference_mode(False):
                block = torch.zeros(4, dtype=dtype)
            self._cells[dtype] = (block, tuple(block[i] for i in range(4)), block.numpy())
        return self._cells[dtype][1:]

    def flags(self, number: int) -> NDArray[Any]:
        """So many truth values, which last until the next call (host only)."""
        if self._flags.size < number:
            self._flags = np.empty(max(CHUNK, number), dtype=bool)
        return self._flags[:number]

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
