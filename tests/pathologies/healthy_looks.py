"""Healthy, and made to look ill."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.pathologies.case import healthy
from tests.pathologies.generative import autoencoder
from tests.pathologies.ill_scale import kaiming
from tests.pathologies.ill_signal import Half
from tests.pathologies.ill_training import lora, pretrained, shifted
from tests.pathologies.models import Between, Cnn, Mlp, Net, Recurrent, ResNet, Transformer
from tests.pathologies.proofs import learns, stays_good
from tests.pathologies.sequences import language, markov, memory
from tests.pathologies.training import Training, adam, batches, classify, digits, images, raw_digits, sgd

# Gradients that go to zero, and rightly -------------------------------------------------------------------------------


@healthy("converged-to-zero-loss", prove=learns(to=1e-3))
def converged(functional: bool) -> Training:
    model = Mlp(functional)
    x, y = digits()
    return classify(model, adam(model, 1e-2), x=x[:128], y=y[:128], steps=110)


@healthy("converged-exactly-by-margin", prove=learns(to=1e-3))
def margin(functional: bool) -> Training:
    model = Mlp(functional, (64, 128, 10))
    x, y = digits()
    return classify(model, adam(model, 1e-2), x=x[:128], y=y[:128], loss=F.multi_margin_loss, steps=120, every=None)


@healthy("started-from-a-converged-model", prove=stays_good(0.6))
def resumed(functional: bool) -> Training:
    model = pretrained(functional)
    return classify(model, sgd(model, 1e-2, momentum=0.9), every=None)


@healthy("learning-rate-decays-to-zero", prove=learns(to=0.3))
def cosine(functional: bool) -> Training:
    model = Mlp(functional)
    return classify(
        model,
        sgd(model, 0.1, momentum=0.9),
        schedule=lambda step: (1 + math.cos(math.pi * step / 99)) / 2,
        steps=100,
    )


@healthy("small-loss-scale-adam", prove=learns(to=0.4))
def small_loss(functional: bool) -> Training:
    model = Mlp(functional)
    loss = lambda logits, labels: F.cross_entropy(logits, labels) * 1e-3  # noqa: E731
    return classify(model, adam(model, 2e-3, eps=1e-12), loss=loss, every=None)


@healthy("large-loss-scale-adam", prove=learns(to=0.4))
def large_loss(functional: bool) -> Training:
    model = Mlp(functional)
    loss = lambda logits, labels: F.cross_entropy(logits, labels) * 1e5  # noqa: E731
    return classify(model, adam(model, 2e-3), loss=loss, every=None)


# Zeros ----------------------------------------------------------------------------------------------------------------


@healthy("sparse-code-alive", prove=learns(to=0.6))
def sparse(functional: bool) -> Training:
    return autoencoder(functional, penalty=0.0, keep=12, steps=100)


@healthy("sparse-by-penalty", prove=learns(to=0.6))
def penalised(functional: bool) -> Training:
    return autoencoder(functional, penalty=0.3, steps=100)


@healthy("sparse-by-bias-alive", prove=learns(to=0.5))
def negative_bias(functional: bool) -> Training:
    model = Mlp(functional, (64, 128, 64, 10))
    nn.init.normal_(model.fc1.weight, std=1 / 8)
    nn.init.constant_(model.fc1.bias, -1.3)
    return classify(model, adam(model, 3e-3), every=None)


@healthy("dropout-heavy", prove=learns(to=0.7))
def dropout(functional: bool) -> Training:
    model = Mlp(functional, (64, 128, 128, 10), dropout=0.7)
    return classify(model, adam(model, 3e-3), steps=80)


@healthy("a-few-dead-units", prove=learns(to=0.3, most_dead=0.1))
def few_dead(functional: bool) -> Training:
    model = Mlp(functional)
    with torch.no_grad():
        model.fc2.bias[:4] = -20.0
    return classify(model, adam(model, 2e-3), steps=80, every=None)


@healthy("inputs-mostly-zero", prove=learns(to=0.5))
def sparse_inputs(functional: bool) -> Training:
    x, y = digits()
    model = Mlp(functional, (640, 64, 64, 10))
    wide = torch.zeros(len(x), 640)
    wide.scatter_(1, torch.arange(64) * 10 + (x > 0.5).long() * 3, 1.0)
    return classify(model, adam(model, 1e-3), x=wide, y=y, steps=100, every=None)


@healthy("embedding-of-rare-tokens", prove=learns(to=0.8))
def rare(functional: bool) -> Training:
    model = Transformer(functional, tokens=300, depth=1)
    return language(model, adam(model, 3e-3), sequences=markov(300, rare=True), every=None)


@healthy("embedding-with-padding", prove=learns(to=0.6))
def padded(functional: bool) -> Training:
    class Bag(Net):
        def __init__(self) -> None:
            super().__init__(functional)
            self.embed = nn.Embedding(65, 32, padding_idx=0)
            self.fc1 = nn.Linear(32, 64)
            self.activation("act1", "relu")
            self.out = nn.Linear(64, 10)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.out(self.activate("act1", self.fc1(self.embed(tokens).sum(1) / 4)))

    x, y = digits()
    tokens = torch.where(x > 0.5, torch.arange(1, 65), 0)
    model = Bag()
    return classify(model, adam(model, 1e-2), x=tokens, y=y, every=None)


# Learning rates -------------------------------------------------------------------------------------------------------


@healthy("warm-up-from-zero", prove=learns(to=0.5))
def warm_up(functional: bool) -> Training:
    model = Mlp(functional)
    return classify(model, adam(model, 3e-3), schedule=lambda step: min(1, step / 40), steps=80)


@healthy("fine-tuning-tiny-rate", prove=stays_good(0.8))
def tiny(functional: bool) -> Training:
    model = pretrained(functional)
    return classify(model, torch.optim.AdamW(model.parameters(), lr=1e-6))


@healthy("fine-tuning-small-rate", prove=learns(to=0.7))
def fine_tuning(functional: bool) -> Training:
    model = pretrained(functional)
    return classify(model, adam(model, 3e-4), x=shifted(), steps=80, every=None)


@healthy("fine-tuning-frozen-backbone", prove=learns(to=0.7))
def frozen(functional: bool) -> Training:
    model = pretrained(functional).requires_grad_(False)
    model.out.requires_grad_(True)
    nn.init.zeros_(model.out.weight)
    return classify(model, adam(model, 1e-2))


@healthy("fine-tuning-head-of-zeros", prove=learns(to=0.3))
def zero_head(functional: bool) -> Training:
    model = pretrained(functional)
    nn.init.zeros_(model.out.weight)
    nn.init.zeros_(model.out.bias)
    return classify(model, adam(model, 1e-3), every=None)


@healthy("fine-tuning-discriminative-rates", prove=learns(to=0.5))
def discriminative(functional: bool) -> Training:
    model = pretrained(functional)
    groups = [
        {"params": list(layer.parameters()), "lr": 1e-2 * 0.02**depth}
        for depth, layer in enumerate((model.out, model.fc3, model.fc2, model.fc1))
    ]
    nn.init.xavier_normal_(model.out.weight)
    return classify(model, torch.optim.Adam(groups))


@healthy("lora", prove=learns(to=0.5))
def low_rank(functional: bool) -> Training:
    model = lora(functional)
    return classify(model, adam(model, 5e-3), x=shifted())


@healthy("first-adam-steps-large", prove=learns(to=0.3))
def first_steps(functional: bool) -> Training:
    model = Mlp(functional, (64, 256, 256, 10))
    return classify(model, adam(model, 1e-2), steps=40)


@healthy("zero-initialised-output", prove=learns(to=0.3))
def zero_output(functional: bool) -> Training:
    model = Mlp(functional)
    nn.init.zeros_(model.out.weight)
    nn.init.zeros_(model.out.bias)
    return classify(model, adam(model, 2e-3))


@healthy("restarts", prove=learns(to=0.3))
def restarts(functional: bool) -> Training:
    model = Cnn(functional, norm=nn.BatchNorm2d)
    x, y = images()
    return classify(
        model,
        sgd(model, 0.1, momentum=0.9),
        x=x,
        y=y,
        schedule=lambda step: 0.5 ** (step % 25 / 3),
        steps=80,
        every=None,
    )


# Steps that are not what they seem ------------------------------------------------------------------------------------


@healthy("accumulation", prove=learns(to=0.3))
def accumulation(functional: bool) -> Training:
    model = Mlp(functional)
    return classify(model, adam(model, 3e-3), accumulate=6, size=16, every=None)


@healthy("noisy-small-batches", prove=learns(to=0.6))
def noisy(functional: bool) -> Training:
    model = Mlp(functional)
    return classify(model, sgd(model, 0.02, momentum=0.8), size=4, steps=200, every=None)


@healthy("clipped-mildly-always", prove=learns(to=0.4))
def clipped(functional: bool) -> Training:
    model = Mlp(functional)
    return classify(
        model,
        sgd(model, 0.1, momentum=0.9),
        before_step=lambda step: nn.utils.clip_grad_norm_(model.parameters(), 0.3),
        steps=80,
    )


@healthy("clipped-adam", prove=learns(to=0.5))
def clipped_adam(functional: bool) -> Training:
    model = Recurrent(functional, 2)
    return memory(
        model,
        adam(model, 3e-3),
        length=12,
        steps=50,
        before_step=lambda step: nn.utils.clip_grad_norm_(model.parameters(), 0.1),
        every=None,
    )


@healthy("loss-scaler-skips-first-steps", prove=learns(to=0.4))
def scaled(functional: bool) -> Training:
    model = Half(functional, Mlp(functional), on=True)
    return classify(
        model, adam(model, 3e-3), scaler=torch.amp.GradScaler("cpu", init_scale=2.0**24), steps=80, every=None
    )


@healthy("bfloat16-autocast", prove=learns(to=0.4))
def bfloat16(functional: bool) -> Training:
    class Autocast(Half):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.body(x).float()

    model = Autocast(functional, Mlp(functional), on=True)
    return classify(model, adam(model, 3e-3), every=None)


class TwoTasks(Mlp):
    """Trains one head on even and another on odd steps."""

    def __init__(self, functional: bool) -> None:
        super().__init__(functional)
        self.other = nn.Linear(64, 2)
        self.even = True

    def forward(self, x: Tensor) -> Tensor:
        return (self.out if self.even else self.other)(self.hidden(x))


@healthy("heads-in-turn", prove=learns(to=0.5))
def heads(functional: bool) -> Training:
    model = TwoTasks(functional)
    x, y = digits()
    stream = batches(x, y)

    def loss(step: int) -> Tensor:
        model.even = step % 2 == 0
        inputs, labels = next(stream)
        return F.cross_entropy(model(inputs), labels if model.even else labels % 2)

    return Training(model, [adam(model, 3e-3)], loss, lambda: F.cross_entropy(model(x), y % 2), steps=100)


@healthy("layers-dropped-at-random", prove=learns(to=0.5))
def stochastic_depth(functional: bool) -> Training:
    class Dropped(ResNet):
        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            for block in self.blocks:
                if torch.rand(()) < 0.8:
                    x = block(x)
            return self.out(x.mean((2, 3)))

    model = Dropped(functional)
    x, y = images()
    return classify(model, adam(model, 1e-2), x=x, y=y, steps=100, every=None)


@healthy("a-change-of-data", prove=learns(to=0.5))
def change(functional: bool) -> Training:
    model = Mlp(functional)
    return classify(
        model, adam(model, 3e-3), change=lambda step, x: x.flip(1) if step >= 60 else x, steps=140, every=None
    )


@healthy("teacher-without-gradients", prove=learns(to=0.5))
def teacher(functional: bool) -> Training:
    class Distilled(Mlp):
        def __init__(self) -> None:
            super().__init__(functional)
            self.teacher = pretrained(functional).requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                target = self.teacher(x)
            return F.mse_loss(self.out(self.hidden(x)), target, reduction="none").mean(1)

    model = Distilled()
    return classify(model, adam(model, 3e-3), loss=lambda loss, labels: loss.mean(), steps=80, every=None)


# Scales that differ, and rightly --------------------------------------------------------------------------------------


@healthy("last-layer-larger-than-first", prove=learns(to=0.3))
def last_larger(functional: bool) -> Training:
    model = Mlp(functional, (64, 64, 64, 64, 64, 10))
    return classify(model, adam(model, 3e-3), every=None)


@healthy("many-classes", prove=learns(to=0.7))
def many_classes(functional: bool) -> Training:
    model = Mlp(functional, (64, 64, 1000))
    return classify(model, adam(model, 1e-2), every=None)


@healthy("pixels-from-zero-to-one", prove=learns(to=0.3))
def from_zero(functional: bool) -> Training:
    model = Mlp(functional, (64, 64, 64, 10))
    return classify(model, adam(model, 5e-3), x=raw_digits() / 16)


@healthy("gates-near-their-limits", prove=learns(to=0.4))
def gates(functional: bool) -> Training:
    class Highway(Net):
        def __init__(self) -> None:
            super().__init__(functional)
            self.stem = nn.Linear(64, 64)
            self.gates = nn.ModuleList(nn.Linear(64, 64) for _ in range(3))
            self.fcs = nn.ModuleList(nn.Linear(64, 64) for _ in range(3))
            for i in range(3):
                self.activation(f"gate{i}", "sigmoid")
                self.activation(f"act{i}", "relu")
                nn.init.constant_(self.gates[i].bias, -3.0)
            self.out = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            for i in range(3):
                gate = self.activate(f"gate{i}", self.gates[i](x))
                x = x + gate * (self.activate(f"act{i}", self.fcs[i](x)) - x)
            return self.out(x)

    model = Highway()
    return classify(model, adam(model, 3e-3), every=None)


@healthy("binary-output-confident", prove=learns(to=0.1))
def confident(functional: bool) -> Training:
    class Binary(Mlp):
        def __init__(self) -> None:
            super().__init__(functional, (64, 64, 64, 1), "tanh")
            self.activation("probability", "sigmoid")

        def forward(self, x: Tensor) -> Tensor:
            return self.activate("probability", super().forward(x))[:, 0]

    model = Binary()
    x, y = digits()
    return classify(
        model, adam(model, 5e-3), x=x, y=(y == 0).float(), loss=F.binary_cross_entropy, steps=100, every=None
    )


@healthy("tanh-at-work", prove=learns(to=0.3))
def some_saturation(functional: bool) -> Training:
    model = Mlp(functional, (64, 64, 64, 10), "tanh")
    nn.init.xavier_normal_(model.fc1.weight, gain=1.5)
    return classify(model, sgd(model, 0.05, momentum=0.9), steps=80, every=None)


@healthy("function-between-layers", prove=learns(to=0.5))
def function(functional: bool) -> Training:
    class Logged(Mlp):
        def __init__(self) -> None:
            super().__init__(functional)
            self.squash = Between(lambda x: x.sign() * x.abs().log1p())

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.squash(x))

    model = Logged()
    kaiming(model)
    return classify(model, adam(model, 2e-3), every=None)


@healthy("frozen-statistics", prove=learns(to=0.5))
def frozen_statistics(functional: bool) -> Training:
    model = Mlp(functional, norm=nn.BatchNorm1d)
    with torch.no_grad():
        for _ in range(20):
            model(digits()[0])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()
            module.requires_grad_(False)
    return classify(model, adam(model, 2e-3), every=None)
