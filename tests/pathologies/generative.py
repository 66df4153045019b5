"""Autoencoders and adversarial networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.pathologies.models import Mlp, Net
from tests.pathologies.training import Training, adam, batches, digits


class SparseAutoencoder(Net):
    """A wide ReLU code; ``keep`` leaves only so many of its units per sample."""

    def __init__(self, functional: bool, width: int = 128, keep: int | None = None) -> None:
        super().__init__(functional)
        self.code = nn.Linear(64, width)
        self.activation("act", "relu")
        self.decode = nn.Linear(width, 64)
        self.keep = keep

    def encode(self, x: Tensor) -> Tensor:
        x = self.code(x)
        if self.keep is not None:
            least = x.topk(self.keep, -1).values[:, -1:]
            x = torch.where(x >= least, x, torch.zeros_like(x))
        return self.activate("act", x)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encode(x)
        return self.decode(code), code


def autoencoder(
    functional: bool,
    *,
    penalty: float,
    rate: float = 3e-3,
    keep: int | None = None,
    width: int = 128,
    steps: int = 80,
    every: int | None = 1,
) -> Training:
    model = SparseAutoencoder(functional, width, keep)
    stream = batches(digits()[0])

    def loss(x: Tensor) -> Tensor:
        restored, code = model(x)
        return F.mse_loss(restored, x) + penalty * code.abs().mean()

    return Training(
        model,
        [adam(model, rate)],
        lambda step: loss(*next(stream)),
        lambda: loss(digits()[0]),
        steps=steps,
        every=None if steps > 100 else 1,
    )


class Variational(Net):
    def __init__(self, functional: bool, latent: int = 8) -> None:
        super().__init__(functional)
        self.enc = nn.Linear(64, 64)
        self.activation("act1", "relu")
        self.mean = nn.Linear(64, latent)
        self.logvar = nn.Linear(64, latent)
        self.dec = nn.Linear(latent, 64)
        self.activation("act2", "relu")
        self.out = nn.Linear(64, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.activate("act1", self.enc(x))
        mean, logvar = self.mean(h), self.logvar(h)
        z = mean + (logvar / 2).exp() * torch.randn_like(mean)
        return self.out(self.activate("act2", self.dec(z))), mean, logvar


def vae(functional: bool, change: Callable[[Variational], object] = lambda model: None) -> Training:
    model = Variational(functional)
    change(model)
    stream = batches(digits()[0])

    def loss(x: Tensor) -> Tensor:
        restored, mean, logvar = model(x)
        divergence = (mean.square() + logvar.exp() - 1 - logvar).mean() / 2
        return F.mse_loss(restored, x) + 0.01 * divergence

    return Training(model, [adam(model, 3e-3)], lambda step: loss(*next(stream)), lambda: loss(digits()[0]), steps=80)


class Adversaries(nn.Module):
    """Both networks in one module, each with its optimizer."""

    def __init__(self, functional: bool) -> None:
        super().__init__()
        self.generator = Mlp(functional, (8, 32, 32, 2), "relu")
        self.discriminator = Mlp(functional, (2, 32, 32, 1), "leaky_relu")


def gan(functional: bool, *, detached: bool = False) -> Training:
    """Learns a ring of points."""
    model = Adversaries(functional)
    optimizers = [adam(part, 1e-3, betas=(0.5, 0.99)) for part in (model.generator, model.discriminator)]

    def loss(count: int) -> Tensor:
        angle = torch.rand(count) * 2 * torch.pi
        real = torch.stack([angle.cos(), angle.sin()], 1) * 2 + torch.randn(count, 2) * 0.05
        fake = model.generator(torch.randn(count, 8))
        judge = model.discriminator
        if detached:
            fake = fake.detach()
        # One backward for both: the discriminator's weights are held still in the generator's part.
        still = {n: p.detach() for n, p in judge.named_parameters()}
        against = F.softplus(-torch.func.functional_call(judge, still, (fake,))).mean()
        scores = judge(torch.cat([real, fake.detach()]))
        return F.softplus(-scores[:count]).mean() + F.softplus(scores[count:]).mean() + against

    return Training(model, optimizers, lambda step: loss(64), lambda: loss(1000), steps=80, every=None)
