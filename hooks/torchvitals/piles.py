"""Small parameters side by side: thousands of biases and norms are measured in a few operations.

A tensor of a few hundred values costs less to reduce than to ask for. One by one, each takes a dozen calls of some
microseconds; copied one behind the other, each takes about one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchvitals.scratch import CHUNK, Pool

if TYPE_CHECKING:
    from torchvitals.parameters import ParameterRow

Pairs = list[tuple[Any, "ParameterRow"]]
"""Parameters, or their gradients, and what they are measured into."""

_SMALL: Final = 1 << 12
_DTYPES: Final = frozenset((torch.float32, torch.float16, torch.bfloat16))
_TYPES: Final = frozenset((Tensor, nn.Parameter))


class Pile(NamedTuple):
    """The values of some small tensors."""

    rows: list[ParameterRow]
    trainable: list[bool]
    values: NDArray[np.float32]
    starts: NDArray[np.int64]
    lengths: list[int]


def piled(pairs: Pairs, pool: Pool) -> tuple[list[Pile], Pairs]:
    """Piles of the small tensors on the host, of at most `CHUNK` values each, and what is in none of them."""
    by_dtype: dict[torch.dtype, Pairs] = {}
    others: Pairs = []
    host = pool(torch.device("cpu")).host
    for pair in pairs:
        x = pair[0]
        if host and type(x) in _TYPES and x.dtype in _DTYPES and x.device.type == "cpu" and _is_small(x):
            by_dtype.setdefault(x.dtype, []).append(pair)
        else:
            others.append(pair)
    return [_pile(part) for found in by_dtype.values() for part in _parts(found)], others


def changes(pile: Pile, parameters: dict[int, Any]) -> NDArray[np.float64] | None:
    """Sum of the squared changes of each tensor since it was piled.

    Args:
        pile: what they were.
        parameters: what they are, by the identity of their row.

    Returns:
        [tensors], or ``None`` where some are gone or have become something else.
    """
    now: list[Any] = [parameters.get(id(row)) for row in pile.rows]
    if not all(type(x) in _TYPES and _is_small(x) and x.numel() == n for x, n in zip(now, pile.lengths, strict=True)):
        return None
    if len({x.dtype for x in now}) != 1 or now[0].dtype not in _DTYPES:
        return None
    with np.errstate(all="ignore"):
        difference = _values(now).astype(np.float64) - pile.values
        sums: NDArray[np.float64] = np.add.reduceat(difference * difference, pile.starts)
    return sums


def _is_small(x: Tensor) -> bool:
    return x.layout == torch.strided and 0 < x.numel() <= _SMALL


def _parts(pairs: Pairs) -> Iterable[Pairs]:
    part: Pairs = []
    total = 0
    for pair in pairs:
        n = pair[0].numel()
        if total + n > CHUNK:
            yield part
            part, total = [], 0
        part.append(pair)
        total += n
    yield part


def _pile(pairs: Pairs) -> Pile:
    tensors = [x for x, _ in pairs]
    lengths = [x.numel() for x in tensors]
    starts = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)]).astype(np.int64)
    return Pile([row for _, row in pairs], [x.requires_grad for x in tensors], _values(tensors), starts, lengths)


def _values(tensors: list[Tensor]) -> NDArray[np.float32]:
    with torch.no_grad():
        flat = torch.cat([x.reshape(-1) for x in tensors])
        values: NDArray[np.float32] = flat.float().numpy()
    return values
