"""Small parameters side by side: thousands of biases and norms are measured in a few operations.

A tensor of some thousand values costs less to reduce than to ask for. One by one, each takes a dozen calls of some
microseconds; those of one shape, copied one behind the other, take about one each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchvitals import host
from torchvitals.scratch import CHUNK, Pool, Scratch

if TYPE_CHECKING:
    from torchvitals.parameters import ParameterRow

Pairs = list[tuple[Any, "ParameterRow"]]
"""Parameters, or their gradients, and what they are measured into."""

_SMALL: Final = 1 << 14
_DTYPES: Final = frozenset((torch.float32, torch.float16, torch.bfloat16))
_TYPES: Final = frozenset((Tensor, nn.Parameter))


class Pile(NamedTuple):
    """The values of some small tensors of one shape."""

    rows: list[ParameterRow]
    trainable: list[bool]
    shape: torch.Size
    values_RN: Tensor
    """float32."""


def piled(pairs: Pairs, pool: Pool) -> tuple[list[Pile], Pairs]:
    """Piles of the small tensors on the host, of at most `CHUNK` values each, and what is in none of them."""
    by_kind: dict[tuple[torch.dtype, torch.Size], Pairs] = {}
    others: Pairs = []
    host_is_plain = pool(torch.device("cpu")).host
    for pair in pairs:
        x = pair[0]
        if host_is_plain and type(x) in _TYPES and x.dtype in _DTYPES and x.device.type == "cpu" and _is_small(x):
            by_kind.setdefault((x.dtype, x.shape), []).append(pair)
        else:
            others.append(pair)
    piles = []
    for (_, shape), found in by_kind.items():
        most = CHUNK // shape.numel()
        piles += [_pile(found[start : start + most]) for start in range(0, len(found), most)]
    return piles, others


def changes(pile: Pile, parameters: dict[int, Any], scratch: Scratch) -> NDArray[np.float64] | None:
    """Sum of the squared changes of each tensor since it was piled.

    Args:
        pile: what they were.
        parameters: what they are, by the identity of their row.
        scratch: buffers of the host.

    Returns:
        [tensors], or ``None`` where some are gone or have become something else.
    """
    now: list[Any] = [parameters.get(id(row)) for row in pile.rows]
    if not all(type(x) in _TYPES and _is_small(x) and x.shape == pile.shape for x in now):
        return None
    if len({x.dtype for x in now}) != 1 or now[0].dtype not in _DTYPES:
        return None
    return host.squares_of_rows(_values(now).sub_(pile.values_RN), scratch)


def _is_small(x: Tensor) -> bool:
    # Others are sampled in the order in which they lie, which is not that of a pile.
    return x.layout == torch.strided and 0 < x.numel() <= _SMALL and x.is_contiguous()


def _pile(pairs: Pairs) -> Pile:
    tensors = [x for x, _ in pairs]
    return Pile([row for _, row in pairs], [x.requires_grad for x in tensors], tensors[0].shape, _values(tensors))


def _values(tensors: list[Tensor]) -> Tensor:
    """[R, N], a copy."""
    with torch.no_grad():
        together = torch.stack(tensors) if tensors[0].ndim == 0 else torch.cat(tensors)
        return together.float().reshape(len(tensors), -1)
