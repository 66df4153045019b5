"""A few steps of training a zoo model, with or without hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

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


def bits(x: Tensor | None) -> Any:
    """All of a tensor, such that equal means the same to the last bit, of NaN too."""
    if x is None:
        return None
    if x.is_sparse:
        return bits(x._indices()), bits(x._values())
    x = x.detach().resolve_conj()
    return x.dtype, x.shape, x.stride(), x.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    return [name for name in {**a, **b} if name not in a or name not in b or a[name] != b[name]]


def state(model: nn.Module, optimizer: torch.optim.Optimizer, losses: list[torch.Tensor]) -> dict[str, Any]:
    """All that training has produced, to compare bit for bit."""
    entries = {f"loss {i}": loss for i, loss in enumerate(losses)} | model.state_dict()
    for i, values in optimizer.state_dict()["state"].items():
        entries |= {f"{name} {i}": x for name, x in values.items() if isinstance(x, torch.Tensor)}
    return {name: bits(x) for name, x in entries.items()} | {"random state": bits(torch.get_rng_state())}
