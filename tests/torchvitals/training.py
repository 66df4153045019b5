"""A few steps of training a zoo model, with or without hooks."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.zoo import ZOO
from torchvitals import attach_hooks
from torchvitals_tb import load_run


def fresh(name: str, seed: int = 0) -> tuple[nn.Module, tuple[Any, ...]]:
    """The model, and one batch."""
    torch.manual_seed(seed)
    return ZOO[name].build(), ZOO[name].batch()


def one_step(model: nn.Module, batch: tuple[Any, ...], name: str, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    optimizer.zero_grad()
    loss = ZOO[name].loss(model(*batch))
    loss.backward()
    optimizer.step()
    return loss.detach()


def record(run: Path, name: str, steps: int = 1, **options: Any):
    """Trains with hooks on every step; gives the run read back."""
    model, batch = fresh(name)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with attach_hooks(model, run, **({"every": 1, "on_error": "raise"} | options)):
        for _ in range(steps):
            one_step(model, batch, name, optimizer)
    return load_run(run)


def state(model: nn.Module, optimizer: torch.optim.Optimizer, losses: list[torch.Tensor]) -> list[Any]:
    """All that training has produced, to compare bit for bit."""
    return copy.deepcopy(
        [
            [loss.tolist() for loss in losses],
            [(k, v.float().tolist()) for k, v in model.state_dict().items()],
            str(optimizer.state_dict()),
            torch.get_rng_state().tolist(),
        ]
    )
