"""Toy sequences and how they are learnt."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.pathologies.training import SEED, Training, batches, classify, digits


def markov(tokens: int = 12, length: int = 16, count: int = 512, *, rare: bool = False) -> Tensor:
    """Sequences int64 [count, length] whose next token is, nine times of ten, a fixed one."""
    generator = torch.Generator().manual_seed(SEED)
    following = torch.randperm(tokens, generator=generator)
    weights = 1 / torch.arange(1, tokens + 1) ** 2.0 if rare else torch.ones(tokens)
    draws = torch.multinomial(weights, count * length, replacement=True, generator=generator).view(count, length)
    # Rare tokens stay rare only if nothing common leads to them.
    chance = torch.rand(count, length, generator=generator) < (0.5 if rare else 0.1)
    common = torch.arange(tokens) % 8
    sequence = draws
    for t in range(1, length):
        after = (common if rare else following)[sequence[:, t - 1]]
        sequence[:, t] = torch.where(chance[:, t], draws[:, t], after)
    return sequence


def language(
    model: nn.Module,
    optimizer: Optimizer,
    *,
    sequences: Tensor | None = None,
    size: int = 32,
    **options: Any,
) -> Training:
    """Predicts every next token."""
    sequences = markov() if sequences is None else sequences
    stream = batches(sequences, size=size)

    def loss(x: Tensor) -> Tensor:
        logits = model(x[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten())

    return Training(model, [optimizer], lambda step: loss(*next(stream)), lambda: loss(sequences), **options)


def memory(model: nn.Module, optimizer: Optimizer, *, length: int = 20, size: int = 64, **options: Any) -> Training:
    """Classifies a noisy sequence by the sign of its first value."""
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(512, length, 2, generator=generator) * 0.3
    x[:, :, 0] = 0
    x[:, 0, 0] = torch.randint(0, 2, (512,), generator=generator) * 2.0 - 1
    return classify(model, optimizer, x=x, y=(x[:, 0, 0] > 0).long(), size=size, **options)


def rows(model: nn.Module, optimizer: Optimizer, **options: Any) -> Training:
    """Reads a digit row by row: sequences of eight steps of eight pixels."""
    x, y = digits()
    return classify(model, optimizer, x=x.view(-1, 8, 8), y=y, **options)
