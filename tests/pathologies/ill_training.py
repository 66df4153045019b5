"""Ill: learning rates, clipping, gradients that are not cleared, cut off or never there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.pathologies.case import at, faulty, proofs, stage
from tests.pathologies.generative import autoencoder, gan
from tests.pathologies.models import Cnn, Lora, Mixture, Mlp, ResNet, Stock, Transformer
from tests.pathologies.proofs import dead, no_gradient, worse
from tests.pathologies.sequences import language, rows
from tests.pathologies.training import Training, adam, batches, classify, digits, images, sgd

# Learning rates -------------------------------------------------------------------------------------------------------


@faulty(
    "rate-too-high-diverges",
    prove=worse(2),
    expect={"update-too-large", "exploding-gradient"},
    tolerated={"non-finite", "dead-units", "collapsed-output"},
)
def diverges(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, kind="gelu")
    return classify(model, sgd(model, 30.0 if fault else 0.05, momentum=0.9))


@faulty(
    "rate-too-high-transformer",
    prove=worse(1.5),
    expect={"update-too-large"},
    tolerated={"saturated-units", "dormant-units", "exploding-gradient", "collapsed-output", "vanishing-gradient"},
)
def high_transformer(functional: bool, fault: bool) -> Training:
    model = Transformer(functional, depth=1)
    return language(model, adam(model, 1.0 if fault else 5e-3), every=None, steps=45)


@faulty(
    "rate-too-high-lstm",
    prove=worse(1.5),
    expect={"update-too-large"},
    tolerated={"dead-units", "saturated-units", "collapsed-output", "vanishing-gradient", "exploding-gradient"},
)
def high_lstm(functional: bool, fault: bool) -> Training:
    model = Stock(functional, nn.LSTM(8, 32, batch_first=True), 32, 10)
    return rows(model, adam(model, 2.0 if fault else 5e-3))


@faulty(
    "rate-too-high-resnet",
    prove=worse(1.5),
    expect={"update-too-large", "exploding-gradient"},
    tolerated={"dead-units", "collapsed-output", "non-finite"},
)
def high_resnet(functional: bool, fault: bool) -> Training:
    model = ResNet(functional, 2)
    x, y = images()
    return classify(model, sgd(model, 100.0 if fault else 0.1, momentum=0.9), x=x, y=y, steps=40, every=None)


@faulty(
    "rate-too-high-fine-tuning",
    prove=worse(2),
    expect={"update-too-large"},
    tolerated={"dead-units", "collapsed-output", "exploding-gradient"},
)
def high_fine_tuning(functional: bool, fault: bool) -> Training:
    model = pretrained(functional)
    return classify(model, adam(model, 0.5 if fault else 1e-3), x=shifted())


@faulty("rate-too-low-sgd", prove=worse(2), expect={"update-too-small"})
def low_sgd(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    return classify(model, sgd(model, 1e-8 if fault else 0.05, momentum=0.9))


@faulty("rate-too-low-transformer", prove=worse(1.5), expect={"update-too-small"})
def low_transformer(functional: bool, fault: bool) -> Training:
    model = Transformer(functional, depth=1)
    return language(model, adam(model, 1e-9 if fault else 5e-3), every=None, steps=45)


@faulty("rate-too-low-convolutions", prove=worse(2), expect={"update-too-small"})
def low_convolutions(functional: bool, fault: bool) -> Training:
    model = Cnn(functional)
    x, y = images()
    return classify(model, adam(model, 1e-10 if fault else 2e-3), x=x, y=y, every=None)


# Clipping and clearing ------------------------------------------------------------------------------------------------


@faulty(
    "clipped-to-nothing-by-norm",
    prove=worse(2),
    expect={"gradient-clipping", "update-too-small"},
)
def clipped(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    return classify(
        model,
        sgd(model, 0.05, momentum=0.9),
        before_step=lambda step: nn.utils.clip_grad_norm_(model.parameters(), 1e-5 if fault else 10.0),
    )


@faulty(
    "clipped-to-nothing-by-value",
    prove=worse(2),
    expect={"gradient-clipping", "update-too-small"},
)
def clipped_by_value(functional: bool, fault: bool) -> Training:
    model = Cnn(functional)
    x, y = images()
    return classify(
        model,
        sgd(model, 0.05, momentum=0.9),
        x=x,
        y=y,
        before_step=lambda step: nn.utils.clip_grad_value_(model.parameters(), 1e-7 if fault else 1.0),
        every=None,
    )


@faulty(
    "zero-grad-forgotten",
    prove=worse(2),
    expect={"exploding-gradient", "update-too-large"},
    tolerated={"dead-units", "non-finite", "collapsed-output"},
)
def forgotten(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    return classify(model, sgd(model, 0.1, momentum=0.9), zero_grad=not fault)


@faulty(
    "zero-grad-forgotten-convolutions",
    prove=worse(2),
    expect={"exploding-gradient", "update-too-large"},
    tolerated={"dead-units", "non-finite", "collapsed-output"},
)
def forgotten_convolutions(functional: bool, fault: bool) -> Training:
    model = Cnn(functional)
    x, y = images()
    return classify(model, sgd(model, 0.5), x=x, y=y, zero_grad=not fault)


@faulty(
    "weight-decay-shrinks-everything",
    prove=worse(2),
    expect={"vanishing-gradient", "update-too-large", "collapsed-output"},
    tolerated={"dead-units", "poor-initialization"},
)
def decay(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, kind="tanh")
    return classify(model, sgd(model, 0.05, momentum=0.9, weight_decay=2.0 if fault else 1e-4), steps=120)


# Cut off --------------------------------------------------------------------------------------------------------------


class Detached(Mlp):
    """Cuts the graph after the second layer, as ``.detach()`` or a stray ``no_grad`` does."""

    how = "none"

    def forward(self, x: Tensor) -> Tensor:
        x = self.activate("act1", self.fc1(x))
        if self.how == "no_grad":
            with torch.no_grad():
                x = self.activate("act2", self.fc2(x))
        else:
            x = self.activate("act2", self.fc2(x))
        if self.how == "detach":
            x = x.detach()
        return self.out(self.activate("act3", self.fc3(x)))


@faulty("detached", prove=no_gradient("fc[12].*"), expect={"no-gradient"}, root=stage(1, 2))
def detached(functional: bool, fault: bool) -> Training:
    model = Detached(functional)
    model.how = "detach" if fault else "none"
    return classify(model, adam(model))


@faulty("under-no-grad", prove=no_gradient("fc[12].*"), expect={"no-gradient"}, root=stage(1, 2))
def under_no_grad(functional: bool, fault: bool) -> Training:
    model = Detached(functional)
    model.how = "no_grad" if fault else "none"
    return classify(model, adam(model), every=None)


class TwoHeads(Mlp):
    """A second head that is forgotten in the forward, or whose output no loss uses."""

    how = "used"

    def __init__(self, functional: bool) -> None:
        super().__init__(functional)
        self.aux = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.hidden(x)
        if self.how == "never called":
            return self.out(x)
        aux = self.aux(x)
        return self.out(x) + (aux if self.how == "used" else 0)


@faulty("unused-branch-never-called", prove=no_gradient("aux.*"), expect={"no-gradient"}, root=at("aux"))
def never_called(functional: bool, fault: bool) -> Training:
    model = TwoHeads(functional)
    model.how = "never called" if fault else "used"
    return classify(model, adam(model), every=None)


@faulty("unused-branch-called", prove=no_gradient("aux.*"), expect={"no-gradient"}, root=at("aux"))
def called(functional: bool, fault: bool) -> Training:
    model = TwoHeads(functional)
    model.how = "not used" if fault else "used"
    return classify(model, adam(model))


@faulty(
    "experts-without-a-token",
    prove=no_gradient("experts.[23].*"),
    expect={"no-gradient"},
    root=at("experts.2", "experts.3"),
    tolerated={"dead-units"},
)
def experts(functional: bool, fault: bool) -> Training:
    model = Mixture(functional)
    if fault:
        with torch.no_grad():
            model.gate.bias[2:] = -50.0
    return classify(model, adam(model), every=None)


@faulty(
    "experts-never-called",
    prove=no_gradient("experts.3.*"),
    expect={"no-gradient"},
    root=at("experts.3"),
    tolerated={"dead-units"},
)
def expert_never_called(functional: bool, fault: bool) -> Training:
    model = Mixture(functional, skip_empty=True)
    if fault:
        with torch.no_grad():
            model.gate.bias[3] = -50.0
    return classify(model, adam(model), every=None)


@faulty(
    "generator-detached",
    prove=no_gradient("generator.*"),
    expect={"no-gradient"},
    root=at("generator"),
    tolerated={"update-too-large"},
)
def generator_detached(functional: bool, fault: bool) -> Training:
    return gan(functional, detached=fault)


@faulty(
    "lora-both-halves-zero",
    prove=no_gradient("fc*.down.*"),
    expect={"no-gradient", "poor-initialization", "vanishing-gradient", "collapsed-output"},
    root=at(*(f"fc{i}.{half}" for i in (1, 2, 3) for half in ("down", "up")), "fc1", "fc2", "fc3"),
)
def lora_zero(functional: bool, fault: bool) -> Training:
    model = lora(functional)
    if fault:
        for i in (1, 2, 3):
            nn.init.zeros_(getattr(model, f"fc{i}").down.weight)
    return classify(model, adam(model, 5e-3), x=shifted())


@faulty(
    "autoencoder-code-penalised-to-death",
    prove=proofs(worse(2), dead("act", 0.8)),
    expect={"dead-units", "collapsed-output"},
    root=at("code", "act"),
    tolerated={"poor-initialization"},
)
def dead_code(functional: bool, fault: bool) -> Training:
    return autoencoder(functional, penalty=300.0 if fault else 1e-3, rate=1e-2, steps=200, every=None)


# Fine-tuning ----------------------------------------------------------------------------------------------------------


def shifted() -> Tensor:
    """The digits, seen upside down."""
    return digits()[0].flip(1)


def pretrained(functional: bool) -> Mlp:
    """Trained on the digits as they are."""
    model = Mlp(functional)
    optimizer = adam(model, 3e-3)
    for _, (x, y) in zip(range(80), batches(*digits()), strict=False):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


def lora(functional: bool) -> Mlp:
    """A pretrained model, frozen but for low-rank additions to its hidden layers."""
    model = pretrained(functional).requires_grad_(False)
    for i in (1, 2, 3):
        setattr(model, f"fc{i}", Lora(getattr(model, f"fc{i}")))
    return model
