"""The reference models, each with its batch and optimizer, and the training step that all contestants share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Observer:
    """What a contestant does in the loop. The hooks that it sets are its own affair."""

    def before_forward(self, step: int) -> None: ...

    def after_backward(self, step: int) -> None: ...

    def after_step(self, step: int, loss: Tensor) -> None: ...

    def flush(self) -> None:
        """Until all that was recorded is where it belongs."""


@dataclass
class Training:
    """A model in training, always on the same batch."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batch: Tensor
    target: Tensor
    steps: int = 0

    def step(self, observer: Observer) -> None:
        observer.before_forward(self.steps)
        output = self.model(self.batch)
        loss = F.cross_entropy(output.flatten(0, -2), self.target.flatten())
        loss.backward()
        observer.after_backward(self.steps)
        self.optimizer.step()
        observer.after_step(self.steps, loss)
        self.optimizer.zero_grad()
        self.steps += 1


def mlp(device: str, *, depth: int = 20, width: int = 512, batch: int = 256) -> Training:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    with torch.no_grad():  # PyTorch's own initialisation lets 20 layers of ReLU die out
        for layer in layers[::2]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return _training(model, torch.optim.SGD, torch.randn(batch, width), torch.randint(width, (batch,)), device, lr=1e-4)


class _Block(nn.Module):
    """Two 3x3 convolutions around a shortcut, ReLU in place, as in He et al. 2015."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.relu(y)


def resnet(device: str, *, size: int = 64, batch: int = 32, width: int = 64) -> Training:
    """ResNet-18 as for ImageNet."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    channels = width
    for stage in range(4):
        for block in range(2):
            out = width << stage
            layers.append(_Block(channels, out, 2 if stage and not block else 1))
            channels = out
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))
    images = torch.randn(batch, 3, size, size)
    return _training(model, torch.optim.SGD, images, torch.randint(1000, (batch,)), device, lr=0.01, momentum=0.9)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class _DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1, self.attn = nn.LayerNorm(width), _Attention(width, heads)
        self.ln2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class _Decoder(nn.Module):
    def __init__(self, depth: int, width: int, heads: int, length: int, words: int) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(words, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(_DecoderLayer(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.place(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def gpt(
    device: str, *, depth: int = 6, width: int = 256, heads: int = 8, length: int = 128, batch: int = 8,
    words: int = 1000,
) -> Training:  # fmt: skip
    """A decoder as GPT-2's, with a small vocabulary: its head would otherwise be most of the model."""
    model = _Decoder(depth, width, heads, length, words)
    tokens = torch.randint(words, (batch, length))
    return _training(model, torch.optim.AdamW, tokens, tokens.roll(-1, 1), device, lr=3e-4)


def _training(model: nn.Module, optimizer: Any, batch: Tensor, target: Tensor, device: str, **options: Any) -> Training:
    model = model.to(device)
    return Training(model, optimizer(model.parameters(), **options), batch.to(device), target.to(device))


@dataclass(frozen=True)
class Reference:
    """A model at the size in which it is measured."""

    title: str
    make: Callable[..., Training]
    sizes: dict[str, int]
    steps: int = 5
    """In a block: so many steps are timed together, and what is pending at their end."""

    def training(self, device: str) -> Training:
        torch.manual_seed(0)
        return self.make(device, **self.sizes)


REFERENCES: dict[str, Reference] = {
    "mlp": Reference("MLP, 20 layers of 512, batch 256", mlp, {}),
    "resnet": Reference("ResNet-18, ReLU in place, 64x64, batch 32", resnet, {}, steps=3),
    "gpt": Reference("GPT, 6 layers of 256, sequence 128, batch 8", gpt, {}, steps=4),
}

QUICK: dict[str, Reference] = {
    "mlp": Reference("MLP, 4 layers of 32, batch 16", mlp, {"depth": 4, "width": 32, "batch": 16}),
    "resnet": Reference("ResNet-18, an eighth as wide, 32x32, batch 2", resnet, {"size": 32, "batch": 2, "width": 8}),
    "gpt": Reference(
        "GPT, 2 layers of 32, sequence 16, batch 2",
        gpt,
        {"depth": 2, "width": 32, "heads": 2, "length": 16, "batch": 2},
    ),
}

ON_A_GPU: dict[str, Reference] = {
    "mlp": Reference("MLP, 20 layers of 4096, batch 4096", mlp, {"width": 4096, "batch": 4096}, steps=20),
    "resnet": Reference("ResNet-18, ReLU in place, 224x224, batch 256", resnet, {"size": 224, "batch": 256}, steps=20),
    "gpt": Reference(
        "GPT, 12 layers of 768, sequence 1024, batch 16",
        gpt,
        {"depth": 12, "width": 768, "heads": 12, "length": 1024, "batch": 16, "words": 50_304},
        steps=20,
    ),
    "billion": Reference(
        "GPT of a billion parameters, 18 layers of 2048, sequence 1024, batch 4",
        gpt,
        {"depth": 18, "width": 2048, "heads": 16, "length": 1024, "batch": 4, "words": 50_304},
    ),
}


def references(*, device: str, quick: bool) -> dict[str, Reference]:
    return QUICK if quick else ON_A_GPU if device.startswith("cuda") else REFERENCES
