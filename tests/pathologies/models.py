"""Small networks, each with its activations as modules or as functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "selu": nn.SELU,
    "leaky_relu": nn.LeakyReLU,
}
# Several spellings, taken in turn.
_FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = {
    "relu": (F.relu, torch.relu, Tensor.relu),
    "tanh": (torch.tanh, Tensor.tanh, F.tanh),
    "sigmoid": (torch.sigmoid, Tensor.sigmoid),
    "gelu": (F.gelu,),
    "silu": (F.silu,),
    "selu": (F.selu,),
    "leaky_relu": (F.leaky_relu,),
}


class Net(nn.Module):
    """A module whose activations are submodules, or functions under the same names."""

    tap: ClassVar[Callable[[Net, str, Tensor], None] | None] = None
    """Is told of every activation's output: how the labels are proved."""

    def __init__(self, functional: bool) -> None:
        super().__init__()
        self.functional = functional
        self._functions: dict[str, Callable[[Tensor], Tensor]] = {}

    def activation(self, name: str, kind: str) -> None:
        if self.functional:
            spellings = _FUNCTIONS[kind]
            self._functions[name] = spellings[len(self._functions) % len(spellings)]
        else:
            self.add_module(name, _MODULES[kind]())

    def activate(self, name: str, x: Tensor) -> Tensor:
        out: Tensor = self._functions[name](x) if self.functional else getattr(self, name)(x)
        if Net.tap is not None:
            Net.tap(self, name, out)
        return out


class Mlp(Net):
    """``fc1``, ``norm1``, ``act1``, ``drop1``, …, ``out``."""

    def __init__(
        self,
        functional: bool,
        widths: Sequence[int] = (64, 64, 64, 64, 10),
        kind: str = "relu",
        *,
        norm: Callable[[int], nn.Module] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(functional)
        self.depth = len(widths) - 2
        for i, (a, b) in enumerate(itertools.pairwise(widths[:-1]), 1):
            self.add_module(f"fc{i}", nn.Linear(a, b))
            if norm is not None:
                self.add_module(f"norm{i}", norm(b))
            self.activation(f"act{i}", kind)
            if dropout:
                self.add_module(f"drop{i}", nn.Dropout(dropout))
        self.out = nn.Linear(widths[-2], widths[-1])

    def hidden(self, x: Tensor) -> Tensor:
        for i in range(1, self.depth + 1):
            x = getattr(self, f"fc{i}")(x)
            if hasattr(self, f"norm{i}"):
                x = getattr(self, f"norm{i}")(x)
            x = self.activate(f"act{i}", x)
            if hasattr(self, f"drop{i}"):
                x = getattr(self, f"drop{i}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(x))


class Cnn(Net):
    """``conv1``, ``norm1``, ``act1``, …, ``out`` on 8 x 8 images; the second convolution halves the size."""

    def __init__(
        self,
        functional: bool,
        channels: Sequence[int] = (8, 16, 16),
        kind: str = "relu",
        *,
        norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__(functional)
        self.depth = len(channels)
        for i, (a, b) in enumerate(itertools.pairwise((1, *channels)), 1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, 3, padding=1, stride=2 if i == 2 else 1))
            if norm is not None:
                self.add_module(f"norm{i}", norm(b))
            self.activation(f"act{i}", kind)
        self.out = nn.Linear(channels[-1] * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        for i in range(1, self.depth + 1):
            x = getattr(self, f"conv{i}")(x)
            if hasattr(self, f"norm{i}"):
                x = getattr(self, f"norm{i}")(x)
            x = self.activate(f"act{i}", x)
        return self.out(x.flatten(1))


class Block(Net):
    def __init__(self, functional: bool, channels: int, zero_last: bool) -> None:
        super().__init__(functional)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.activation("act1", "relu")
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.activation("act2", "relu")
        if zero_last:
            nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(self.activate("act1", self.norm1(self.conv1(x)))))
        return self.activate("act2", x + y)


class ResNet(Net):
    def __init__(self, functional: bool, blocks: int = 3, channels: int = 8, *, zero_last: bool = False) -> None:
        super().__init__(functional)
        self.stem = nn.Conv2d(1, channels, 3, padding=1, stride=2)
        self.blocks = nn.Sequential(*(Block(functional, channels, zero_last) for _ in range(blocks)))
        self.out = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.blocks(self.stem(x)).mean((2, 3)))


class ResidualMlp(Net):
    """``x + down(act(up(x)))``, without any normalisation; ``scale`` is of the last weights of a branch."""

    def __init__(self, functional: bool, depth: int = 8, width: int = 64, *, scale: float = 1.0) -> None:
        super().__init__(functional)
        self.stem = nn.Linear(64, width)
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        for i in range(depth):
            self.activation(f"act{i}", "relu")
        with torch.no_grad():
            for layer in self.down:
                layer.weight.mul_(scale)
        self.out = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            x = x + down(self.activate(f"act{i}", up(x)))
        return self.out(x)


class Recurrent(Net):
    """A recurrent network of one cell called once per time step, which reads off the last state."""

    def __init__(
        self, functional: bool, inputs: int, width: int = 32, outputs: int = 2, kind: str = "tanh", gain: float = 1.0
    ) -> None:
        super().__init__(functional)
        self.into = nn.Linear(inputs, width)
        self.cell = nn.Linear(width, width, bias=False)
        self.activation("act", kind)
        self.out = nn.Linear(width, outputs)
        nn.init.orthogonal_(self.cell.weight, gain)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        drive = self.into(x)
        state = x.new_zeros(len(x), self.width)
        for t in range(x.shape[1]):
            state = self.activate("act", drive[:, t] + self.cell(state))
        return self.out(state)


class Stock(Net):
    """PyTorch's own recurrent layer over (embedded) sequences, then a small head."""

    def __init__(self, functional: bool, body: nn.Module, width: int, outputs: int, tokens: int | None = None) -> None:
        super().__init__(functional)
        if tokens is not None:
            self.embed = nn.Embedding(tokens, 16)
        self.body = body
        self.fc1 = nn.Linear(width, width)
        self.activation("act1", "relu")
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "embed"):
            x = self.embed(x)
        states, _ = self.body(x)
        return self.out(self.activate("act1", self.fc1(states[:, -1])))


class Layer(Net):
    """A transformer's block."""

    def __init__(self, functional: bool, width: int, *, pre_norm: bool, kind: str = "gelu") -> None:
        super().__init__(functional)
        self.pre_norm = pre_norm
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.up = nn.Linear(width, 2 * width)
        self.activation("act", kind)
        self.down = nn.Linear(2 * width, width)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))

    def feed(self, x: Tensor) -> Tensor:
        return self.down(self.activate("act", self.up(x)))

    def forward(self, x: Tensor) -> Tensor:
        if self.pre_norm:
            x = x + self.attend(self.norm1(x))
            return x + self.feed(self.norm2(x))
        x = self.norm1(x + self.attend(x))
        return self.norm2(x + self.feed(x))


class Transformer(Net):
    """A language model of a few tokens."""

    def __init__(
        self,
        functional: bool,
        tokens: int = 12,
        width: int = 32,
        depth: int = 2,
        length: int = 16,
        *,
        pre_norm: bool = True,
        tied: bool = False,
        kind: str = "gelu",
    ) -> None:
        super().__init__(functional)
        self.embed = nn.Embedding(tokens, width)
        self.position = nn.Embedding(length, width)
        nn.init.normal_(self.embed.weight, std=0.3)
        nn.init.normal_(self.position.weight, std=0.3)
        self.layers = nn.ModuleList(Layer(functional, width, pre_norm=pre_norm, kind=kind) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, tokens)
        if tied:
            self.out.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.position(torch.arange(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.out(self.norm(x))


class Expert(Net):
    def __init__(self, functional: bool, width: int) -> None:
        super().__init__(functional)
        self.up = nn.Linear(width, 32)
        self.activation("act", "relu")
        self.down = nn.Linear(32, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activate("act", self.up(x)))


class Mixture(Net):
    """Every sample goes to its ``top`` experts; an expert that gets none is called with none, or not at all."""

    def __init__(self, functional: bool, experts: int = 4, top: int = 2, *, skip_empty: bool = False) -> None:
        super().__init__(functional)
        self.stem = nn.Linear(64, 32)
        self.activation("act", "relu")
        self.gate = nn.Linear(32, experts)
        self.experts = nn.ModuleList(Expert(functional, 32) for _ in range(experts))
        self.out = nn.Linear(32, 10)
        self.top, self.skip_empty = top, skip_empty
        self.balance = torch.zeros(())
        """Of the last batch: 1 when all experts get the same, more when they do not."""
        self.loads: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        x = self.activate("act", self.stem(x))
        chances = self.gate(x).softmax(-1)
        weights, chosen = chances.topk(self.top, -1)
        loads = torch.stack([(chosen == i).float().mean() for i in range(len(self.experts))])
        self.balance = len(self.experts) * (loads * chances.mean(0)).sum()
        self.loads = loads.tolist()
        y = x
        for i, expert in enumerate(self.experts):
            sample, slot = (chosen == i).nonzero(as_tuple=True)
            if len(sample) or not self.skip_empty:
                y = y.index_add(0, sample, weights[sample, slot, None] * expert(x[sample]))
        return self.out(y)


class Lora(nn.Module):
    """A frozen linear layer and a trained low-rank addition to it."""

    def __init__(self, base: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


class Between(nn.Module):
    """A function as a layer of its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)
