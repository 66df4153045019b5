"""Models that hooks have broken on: one entry per way of being built or called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Entry:
    """A model, its input, and the rows it must give, in order."""

    build: Callable[[], nn.Module]
    batch: Callable[[], tuple[Any, ...]]
    rows: tuple[str, ...]
    loss: Callable[[Any], Tensor] = field(default=lambda out: out.square().mean())


def _images() -> tuple[Any, ...]:
    return (torch.randn(4, 3, 8, 8),)


def _vectors() -> tuple[Any, ...]:
    return (torch.randn(16, 8),)


class Residual(nn.Module):
    """In-place activations and additions: what breaks module backward hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(x))
        y += x
        y = torch.relu_(y)
        return self.head(y.mean((2, 3)))


class Reused(nn.Module):
    """One activation module and one layer called several times."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.act = nn.ReLU(inplace=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.fc(x))
        x = self.act(self.fc(x))
        return self.out(self.act(x.clone()))


class Functional(nn.Module):
    """Every activation is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.a(x))
        x = self.b(x).relu()
        x = torch.tanh(self.c(x))
        return F.silu(self.d(x)).clamp(min=0)


class Attention(nn.Module):
    """MultiheadAttention never calls its output projection as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.out = nn.Linear(8, 11)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.block(self.embed(tokens)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(x)
        return self.head(out[:, -1])


@dataclass
class Outputs:
    logits: Tensor
    label: str = "none"


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Nested(nn.Module):
    """Tuples, dicts, named tuples and dataclasses between modules."""

    class Inner(nn.Module):
        def __init__(self, kind: str) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8, 8) * 0.3)
            self.kind = kind

        def forward(self, x: Tensor) -> Any:
            y = x @ self.weight
            return {"dict": {"ids": x.argmax(), "y": y}, "pair": Pair(y, x), "data": Outputs(y), "list": [None, [y]]}[
                self.kind
            ]

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (self.Inner(k) for k in ("dict", "pair", "data", "list"))

    def forward(self, x: Tensor) -> Any:
        x = self.a(x)["y"]
        x = self.b(x).first
        x = self.c(x).logits
        return {"out": self.d(x)[1][0]}


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.out = nn.Linear(8, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.embed(tokens))


class Frozen(nn.Module):
    """A frozen part, and a branch that no loss reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(8, 8).requires_grad_(False)
        self.head = nn.Linear(8, 3)
        self.unused = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.sigmoid(self.base(x)))


ZOO: dict[str, Entry] = {
    "mlp": Entry(
        lambda: nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4), nn.Tanh()), _vectors, ("0", "1", "2", "3")
    ),
    "inplace mlp": Entry(
        lambda: nn.Sequential(nn.Linear(8, 12), nn.ReLU(inplace=True), nn.Linear(12, 4)), _vectors, ("0", "1", "2")
    ),
    "single layer": Entry(lambda: nn.Linear(8, 3), _vectors, ("Linear",)),
    "residual": Entry(Residual, _images, ("conv1", "bn1", "bn1/relu", "conv2", "bn2", "bn2/relu", "head")),
    "reused": Entry(Reused, _vectors, ("fc", "act", "fc@1", "act@1", "act@2", "out")),
    "functional": Entry(
        Functional, _vectors, ("a", "a/gelu", "b", "b/relu", "c", "c/tanh", "d", "d/silu", "d/silu/clamp")
    ),
    "attention": Entry(
        Attention,
        lambda: (torch.randint(0, 11, (3, 5)),),
        (
            "embed",
            "block.self_attn",
            "block.dropout1",
            "block.norm1",
            "block.linear1",
            "block.linear1/relu",
            "block.dropout",
            "block.linear2",
            "block.dropout2",
            "block.norm2",
            "out",
        ),
    ),
    "recurrent": Entry(Recurrent, lambda: (torch.randn(4, 5, 8),), ("lstm", "head")),
    "nested": Entry(Nested, _vectors, ("a", "b", "c", "d"), lambda out: out["out"].square().mean()),
    "tied": Entry(Tied, lambda: (torch.randint(0, 11, (7,)),), ("embed", "out")),
    "frozen": Entry(Frozen, _vectors, ("base", "base/sigmoid", "head")),
    "channels last": Entry(
        lambda: nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(45, 2)).to(
            memory_format=torch.channels_last  # type: ignore[call-overload]
        ),
        lambda: (torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last),),
        ("0", "1", "2", "3", "4"),
    ),
    "dropout": Entry(
        lambda: nn.Sequential(nn.Linear(8, 30), nn.Dropout(0.5), nn.BatchNorm1d(30), nn.ELU(), nn.Linear(30, 1)),
        _vectors,
        ("0", "1", "2", "3", "4"),
    ),
    "double": Entry(
        lambda: nn.Sequential(nn.Linear(8, 6), nn.Softplus(), nn.Linear(6, 1)).double(),
        lambda: (torch.randn(16, 8, dtype=torch.float64),),
        ("0", "1", "2"),
    ),
    "bfloat16": Entry(
        lambda: nn.Sequential(nn.Linear(8, 6), nn.ReLU6(), nn.Linear(6, 1)).bfloat16(),
        lambda: (torch.randn(16, 8).bfloat16(),),
        ("0", "1", "2"),
    ),
}
