"""The training loop of all labelled runs, their data, and what is measured of them without any hook of ours."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from tests.pathologies.models import Net
from torchvitals import attach_hooks

SEED = 0


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """Standardised pixels float32 [1797, 64] (a pixel that never changes is 0) and labels int64 [1797]."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels, dtype=torch.float32)
    return (x - x.mean(0)) / x.std(0).clamp(min=1e-3), torch.tensor(labels)


@functools.cache
def raw_digits() -> Tensor:
    """Pixels from 0 to 16."""
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().data, dtype=torch.float32)


def images() -> tuple[Tensor, Tensor]:
    x, y = digits()
    return x.view(-1, 1, 8, 8), y


def batches(*tensors: Tensor, size: int = 64, seed: int = SEED) -> Iterator[tuple[Tensor, ...]]:
    """Shuffled batches without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(tensors[0]), generator=generator)
        for start in range(0, len(order) - size + 1, size):
            yield tuple(t[order[start : start + size]] for t in tensors)


@dataclass
class Outcome:
    """What came out of a training."""

    model: nn.Module
    losses: list[float]
    on_all: Callable[[], Tensor]
    """The loss on all data (or many), with gradients."""

    start: dict[str, Tensor] = field(default_factory=dict)
    """The model's state before the first step."""

    def at_start(self) -> Outcome:
        """The same before training; puts the model back to where it was."""
        self.model.load_state_dict(self.start)
        return self

    @property
    def final(self) -> float:
        """Mean of the last ten losses, infinite once one of them was not finite."""
        last = self.losses[-10:]
        return sum(last) / len(last) if all(map(math.isfinite, last)) else math.inf

    @property
    def initial(self) -> float:
        return self.losses[0]

    def activations(self) -> dict[str, Tensor]:
        """Output of every activation on all data, by the name of the place where it is called, with ``.grad``."""
        names = {id(module): path for path, module in self.model.named_modules()}
        found: dict[str, Tensor] = {}

        def tap(net: Net, name: str, output: Tensor) -> None:
            path = ".".join(filter(None, (names.get(id(net), ""), name)))
            while path in found:
                path += "+"
            if output.requires_grad:
                output.retain_grad()
            found[path] = output

        self.model.zero_grad()
        Net.tap = tap
        try:
            loss = self.on_all()
            if loss.requires_grad:
                loss.backward()
        finally:
            Net.tap = None
        return found

    def dead(self) -> dict[str, float]:
        """Per activation that can be zero, the share of units that are zero on all data."""
        shares = {}
        for name, out in self.activations().items():
            axis = 1 if out.dim() == 4 else -1
            units = out.detach().transpose(0, axis).flatten(1)
            if units.numel() and (out == 0).any():
                shares[name] = (units == 0).all(1).float().mean().item()
        return shares

    def gradients(self) -> dict[str, float]:
        """Per activation the rms of the gradient with respect to its output."""
        return {
            name: 0.0 if out.grad is None else out.grad.double().square().mean().sqrt().item()
            for name, out in self.activations().items()
        }


class Observer:
    """What another tool does in the loop."""

    def before_forward(self, step: int) -> None: ...

    def after_backward(self, loss: float) -> None: ...

    def after_step(self, loss: float) -> None: ...


@dataclass
class Training:
    """A model, how it is trained, and for how long."""

    model: nn.Module
    optimizers: Sequence[Optimizer]
    loss: Callable[[int], Tensor]
    """Of the step's batch."""
    on_all: Callable[[], Tensor]
    steps: int = 50
    every: int | None = 1
    accumulate: int = 1
    zero_grad: bool = True
    before_step: Callable[[int], Any] = lambda step: None
    """Between backward and the optimizer: clipping and the like."""
    schedule: Callable[[int], float] = lambda step: 1.0
    """Factor of the learning rate."""
    scaler: torch.amp.GradScaler | None = None
    logs_loss: bool = False
    observer: Observer = field(default_factory=Observer)
    initial_rates: list[list[float]] = field(default_factory=list)

    def run(self, run_dir: Path | None) -> Outcome:
        self.initial_rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        start = copy.deepcopy(self.model.state_dict())
        losses: list[float] = []
        with contextlib.ExitStack() as stack:
            writer: Any = None if run_dir is None else str(run_dir)
            if writer and self.logs_loss:
                writer = stack.enter_context(SummaryWriter(writer))
            if writer:
                stack.enter_context(attach_hooks(self.model, writer, every=self.every, mirror=False))
            for step in range(self.steps):
                losses.append(self._step(step))
                if writer and self.logs_loss:
                    writer.add_scalar("loss", losses[-1], step)
        return Outcome(self.model, losses, self.on_all, start)

    def _step(self, step: int) -> float:
        for optimizer, rates in zip(self.optimizers, self.initial_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * self.schedule(step)
        total = 0.0
        self.observer.before_forward(step)
        for _ in range(self.accumulate):
            loss = self.loss(step) / self.accumulate
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            total += loss.item()
        self.observer.after_backward(total)
        for optimizer in self.optimizers:
            if self.scaler is not None:
                self.scaler.unscale_(optimizer)
        self.before_step(step)
        for optimizer in self.optimizers:
            if self.scaler is None:
                optimizer.step()
            else:
                self.scaler.step(optimizer)
        if self.scaler is not None:
            self.scaler.update()
        self.observer.after_step(total)
        if self.zero_grad:
            for optimizer in self.optimizers:
                optimizer.zero_grad()
        return total


def classify(
    model: nn.Module,
    optimizer: Optimizer,
    *,
    x: Tensor | None = None,
    y: Tensor | None = None,
    size: int = 64,
    change: Callable[[int, Tensor], Tensor] = lambda step, x: x,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    **options: Any,
) -> Training:
    """Digits (or ``x`` and ``y``) by a model; ``change`` alters the inputs of a step."""
    data, labels = digits()
    data, labels = data if x is None else x, labels if y is None else y
    stream = batches(data, labels, size=size)

    def on_batch(step: int) -> Tensor:
        x, y = next(stream)
        return loss(model(change(step, x)), y)

    return Training(model, [optimizer], on_batch, lambda: loss(model(data), labels), **options)


def adam(model: nn.Module, lr: float = 1e-3, **options: Any) -> Optimizer:
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr, **options)


def sgd(model: nn.Module, lr: float, **options: Any) -> Optimizer:
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr, **options)
