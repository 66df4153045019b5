"""Reductions on any device with PyTorch's own operations, none of which reads a number: that would stop its queue."""

from __future__ import annotations

import torch
from torch import Tensor

from torchvitals.scratch import Scratch
from torchvitals.sums import ABS_MAX, LARGEST, NONFINITE, SATURATED, SUM, SUMSQ, ZEROS, Limits, UnitSums


def add_activation(
    sums: tuple[Tensor, UnitSums | None], piece: Tensor, of_units: slice, scratch: Scratch, limits: Limits
) -> None:
    """Adds a piece [A, U, B] of an output to its row, and to what its units did (see `statistics.add_activation`).

    Args:
        sums: the row [K], and of the units.
        piece: float32 or float64, contiguous.
        of_units: which units it holds.
        scratch: buffers of its device.
        limits: outputs at or beyond these are saturated.
    """
    row, units = sums
    add_moments(row, piece.reshape(-1), scratch, centred=True)
    if units is None:
        row[ZEROS] += piece.numel() - scratch.nonzero(piece).sum()
    else:
        fired = scratch.nonzero(piece).sum((0, 2))
        units.fired[of_units] += fired
        row[ZEROS] += piece.numel() - fired.sum()
        # A sum of large numbers may be too large for float32.
        units.magnitude[of_units] += torch.abs(piece, out=scratch.like(piece)).sum((0, 2), dtype=scratch.wide)
    low, high = limits
    if low is not None:
        row[SATURATED] += torch.le(piece, low, out=scratch.like(piece)).sum()
    if high is not None:
        row[SATURATED] += torch.ge(piece, high, out=scratch.like(piece)).sum()


def add_moments(row: Tensor, piece: Tensor, scratch: Scratch, centred: bool) -> None:
    """Adds squares, largest magnitude and non-finite values of a flat piece; where ``centred`` also its sum.

    What is squared is scaled by the largest magnitude first, so that nothing overflows or vanishes.
    """
    n = piece.numel()
    low, high = torch.aminmax(piece)
    largest = torch.maximum(low.abs(), high.abs())
    usable = torch.isfinite(largest) & (largest > 0)
    # The reciprocal of a subnormal number is infinite.
    scale = torch.where(usable, largest.clamp(min=torch.finfo(piece.dtype).tiny), 1.0).to(scratch.wide)
    scaled = torch.mul(piece, (1.0 / scale).to(piece.dtype), out=scratch.like(piece))
    if centred:
        variance, mean = (v.to(scratch.wide) for v in torch.var_mean(scaled, correction=0))
        total = n * mean * scale
        row[SUM] += torch.where(torch.isfinite(largest), total.clamp(-LARGEST, LARGEST), total)
        squares = n * (variance + mean * mean) * scale * scale
    else:
        squares = torch.dot(scaled, scaled).to(scratch.wide) * scale * scale
    row[SUMSQ] += torch.where(torch.isfinite(largest), squares.clamp(max=LARGEST), squares)
    row[NONFINITE] += n - torch.isfinite(piece).sum()
    row[ABS_MAX] = torch.maximum(row[ABS_MAX], largest.to(scratch.wide))
