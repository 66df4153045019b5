"""Ill: initialisation, saturation, raw inputs, dead units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.pathologies.case import at, faulty, proofs, stage
from tests.pathologies.models import Cnn, Mlp, ResidualMlp, Transformer
from tests.pathologies.proofs import alike, dead, saturated, starved, worse
from tests.pathologies.sequences import language
from tests.pathologies.training import Training, adam, classify, digits, images, raw_digits, sgd

DEEP = (64, *[64] * 10, 10)
HIDDEN_10 = stage(*range(1, 11))


def kaiming(model: nn.Module, gain: float = 1.0, kind: str = "relu") -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity=kind)
            nn.init.zeros_(module.bias)
            with torch.no_grad():
                module.weight.mul_(gain)


# Initialisation -------------------------------------------------------------------------------------------------------


@faulty(
    "init-too-small-everywhere",
    prove=proofs(worse(), starved("act1", "act10", 1e3)),
    expect={"poor-initialization", "vanishing-gradient"},
    root=HIDDEN_10,
    tolerated={"collapsed-output", "dead-units"},
)
def small(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, DEEP)
    kaiming(model)
    if fault:
        for i in range(1, 11):
            nn.init.normal_(getattr(model, f"fc{i}").weight, std=0.02)
    return classify(model, adam(model), steps=40)


@faulty(
    "init-too-large-everywhere",
    prove=proofs(worse(3), starved("act10", "act1", 1e3)),
    expect={"poor-initialization", "exploding-gradient"},
    root=(*HIDDEN_10, *at("out")),
    tolerated={"dead-units", "update-too-small"},
)
def large(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, DEEP)
    kaiming(model)
    if fault:
        for i in range(1, 11):
            nn.init.normal_(getattr(model, f"fc{i}").weight, std=1.0)
    return classify(model, adam(model))


@faulty(
    "init-too-small-in-one-layer",
    prove=proofs(worse(1.2), starved("act2", "act3", 300)),
    expect={"poor-initialization", "vanishing-gradient"},
    root=stage(3),
    tolerated={"collapsed-output"},
)
def one_small(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, (64, *[64] * 6, 10), "tanh")
    if fault:
        with torch.no_grad():
            model.fc3.weight.mul_(1e-3)
    return classify(model, sgd(model, 0.1, momentum=0.8), steps=80, every=None)


@faulty(
    "init-too-large-in-one-layer",
    prove=proofs(worse(1.2), saturated("act3", 0.8)),
    expect={"poor-initialization", "saturated-units"},
    root=stage(3),
    tolerated={"vanishing-gradient"},
)
def one_large(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, (64, 64, 64, 12, 64, 10), "tanh")
    if fault:
        with torch.no_grad():
            model.fc3.weight.mul_(100)
    return classify(model, adam(model, 2e-3), steps=100, every=None)


@faulty(
    "init-constant",
    prove=worse(2),
    expect={"poor-initialization"},
    root=(*stage(1, 2, 3), *at("out")),
    tolerated={"dead-units", "collapsed-output"},
)
def constant(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    if fault:
        for layer in (model.fc1, model.fc2, model.fc3):
            nn.init.constant_(layer.weight, 0.03)
            nn.init.constant_(layer.bias, 0.0)
    return classify(model, adam(model, 2e-3))


@faulty(
    "init-constant-in-one-convolution",
    prove=proofs(worse(1.2), alike("act2")),
    expect={"poor-initialization"},
    root=(*stage(2), *at("out")),
    tolerated={"dead-units"},
)
def constant_convolution(functional: bool, fault: bool) -> Training:
    model = Cnn(functional, (8, 16))
    if fault:
        nn.init.constant_(model.conv2.weight, 0.05)
        nn.init.zeros_(model.conv2.bias)
        # A head that treats all channels alike: nothing ever tells them apart.
        nn.init.constant_(model.out.weight, 0.05)
    x, y = images()
    return classify(model, adam(model, 2e-3), x=x, y=y, steps=100, every=None)


@faulty(
    "init-zero",
    prove=worse(2),
    expect={"poor-initialization", "dead-units", "collapsed-output", "no-gradient", "vanishing-gradient"},
    root=(*stage(1, 2, 3), *at("out")),
)
def zero(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    if fault:
        for layer in (model.fc1, model.fc2, model.fc3, model.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    return classify(model, adam(model, 2e-3), every=None)


@faulty(
    "init-too-small-convolutions",
    prove=proofs(worse(), starved("act1", "act6", 1e3)),
    expect={"poor-initialization", "vanishing-gradient"},
    root=stage(*range(1, 7)),
    tolerated={"collapsed-output"},
)
def small_convolutions(functional: bool, fault: bool) -> Training:
    model = Cnn(functional, (8,) * 6)
    kaiming(model)
    if fault:
        for i in range(1, 7):
            nn.init.normal_(getattr(model, f"conv{i}").weight, std=0.01)
    x, y = images()
    return classify(model, adam(model, 2e-3), x=x, y=y, every=None)


@faulty(
    "init-residual-branches-too-large",
    prove=worse(2),
    expect={"poor-initialization", "exploding-gradient"},
    root=(*at("up", "down"), *(f"act{i}" for i in range(8)), "stem", "out"),
    tolerated={"update-too-large"},
)
def residual_large(functional: bool, fault: bool) -> Training:
    model = ResidualMlp(functional, scale=20.0 if fault else 0.5)
    return classify(model, adam(model), every=None)


@faulty(
    "init-transformer-too-large",
    prove=worse(1.3),
    expect={"poor-initialization", "exploding-gradient"},
    root=("*",),
    tolerated={"saturated-units", "update-too-small", "dormant-units"},
)
def transformer_large(functional: bool, fault: bool) -> Training:
    model = Transformer(functional, pre_norm=False)
    if fault:
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=3.0)
    return language(model, adam(model, 3e-3), every=None, steps=45)


# Saturation -----------------------------------------------------------------------------------------------------------


@faulty(
    "vanishing-sigmoid-depth",
    prove=proofs(worse(), starved("act1", "act10", 1e3)),
    expect={"vanishing-gradient", "poor-initialization"},
    root=HIDDEN_10,
    tolerated={"collapsed-output"},
)
def sigmoid_depth(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, DEEP, "sigmoid" if fault else "relu")
    if not fault:
        kaiming(model)
    return classify(model, adam(model))


@faulty(
    "vanishing-tanh-depth-sgd",
    prove=proofs(worse(), starved("act1", "act10", 1e3)),
    expect={"vanishing-gradient", "poor-initialization"},
    root=HIDDEN_10,
    tolerated={"update-too-small", "collapsed-output"},
)
def tanh_depth(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, DEEP, "tanh")
    for i in range(1, 11):
        nn.init.xavier_normal_(getattr(model, f"fc{i}").weight, gain=0.3 if fault else 5 / 3)
    return classify(model, sgd(model, 0.05, momentum=0.9), steps=100, every=None)


@faulty(
    "saturated-by-raw-pixels",
    prove=proofs(worse(1.2), saturated("act1", 0.6)),
    expect={"saturated-units", "poor-initialization"},
    root=stage(1),
    tolerated={"vanishing-gradient"},
)
def raw_tanh(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, kind="tanh")
    return classify(model, adam(model), x=raw_digits() * (255 / 16) if fault else None)


@faulty(
    "saturated-by-a-large-bias",
    prove=proofs(worse(1.3), starved("act1", "act3", 1e4)),
    expect={"saturated-units", "poor-initialization"},
    root=stage(2),
    tolerated={"vanishing-gradient", "collapsed-output", "no-gradient"},
)
def sigmoid_bias(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, kind="sigmoid")
    if fault:
        nn.init.constant_(model.fc2.bias, 25.0)
    return classify(model, adam(model, 3e-3), steps=100, every=None)


@faulty(
    "saturated-by-the-learning-rate",
    prove=proofs(worse(2), saturated("act1", 0.7)),
    expect={"saturated-units", "update-too-large"},
    root=(*stage(1, 2, 3), *at("out")),
    tolerated={"vanishing-gradient", "collapsed-output"},
)
def tanh_rate(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, kind="tanh")
    return classify(model, adam(model, 0.5 if fault else 1e-3))


# Inputs ---------------------------------------------------------------------------------------------------------------


@faulty(
    "raw-pixels-diverge",
    prove=worse(2),
    expect={"update-too-large", "exploding-gradient", "non-finite", "poor-initialization", "dead-units"},
    root=(*stage(1, 2, 3), *at("out")),
    tolerated={"collapsed-output"},
)
def raw_relu(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    return classify(model, sgd(model, 0.05, momentum=0.9), x=raw_digits() * (255 / 16) if fault else None)


@faulty(
    "raw-inputs-with-an-offset",
    prove=worse(1.5),
    expect={"saturated-units", "poor-initialization", "collapsed-output"},
    root=stage(1),
    tolerated={"vanishing-gradient"},
)
def offset(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, kind="tanh")
    return classify(model, adam(model), x=digits()[0] + 1000 if fault else None, every=None)


# Dead units -----------------------------------------------------------------------------------------------------------


@faulty(
    "born-dead-layer",
    prove=proofs(worse(2), dead("act2", 0.95)),
    expect={"dead-units"},
    root=stage(2),
    tolerated={"poor-initialization"},
)
def dead_layer(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    if fault:
        nn.init.constant_(model.fc2.bias, -20.0)
    return classify(model, adam(model, 2e-3))


@faulty(
    "born-dead-half-layer",
    prove=dead("act1", 0.5),
    expect={"dead-units"},
    root=stage(1),
    tolerated={"poor-initialization"},
)
def dead_half(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    if fault:
        with torch.no_grad():
            model.fc1.bias[::2] = -30.0
    return classify(model, sgd(model, 0.05, momentum=0.9), every=None)


@faulty(
    "born-dead-channels",
    prove=dead("act2", 0.6),
    expect={"dead-units"},
    root=stage(2),
    tolerated={"poor-initialization"},
)
def dead_channels(functional: bool, fault: bool) -> Training:
    model = Cnn(functional)
    if fault:
        with torch.no_grad():
            model.conv2.bias[:11] = -30.0
    x, y = images()
    return classify(model, adam(model, 2e-3), x=x, y=y, every=None)


@faulty(
    "born-dead-network",
    prove=proofs(worse(2), dead("act1", 0.95)),
    expect={"dead-units", "collapsed-output"},
    root=stage(1),
    tolerated={"poor-initialization"},
)
def dead_network(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    if fault:
        for layer in (model.fc1, model.fc2, model.fc3):
            nn.init.constant_(layer.bias, -15.0)
    return classify(model, adam(model, 2e-3), every=None)


@faulty(
    "killed-by-the-learning-rate",
    prove=proofs(worse(2), dead("act*", 0.6)),
    expect={"dead-units", "update-too-large"},
    root=(*stage(1, 2, 3, 4), *at("out")),
    tolerated={"collapsed-output", "exploding-gradient"},
)
def killed(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, (64, 64, 64, 64, 64, 10))
    return classify(model, sgd(model, 2.0) if fault else sgd(model, 0.1, momentum=0.9))


@faulty(
    "killed-convolutions-by-adam",
    prove=proofs(worse(2), dead("act*", 0.6)),
    expect={"dead-units", "update-too-large"},
    root=(*stage(1, 2, 3), *at("out")),
    tolerated={"collapsed-output", "exploding-gradient"},
)
def killed_convolutions(functional: bool, fault: bool) -> Training:
    model = Cnn(functional, (8, 8, 8))
    x, y = images()
    return classify(model, adam(model, 0.5 if fault else 2e-3), x=x, y=y, every=None)


SPIKE = 30


@faulty(
    "killed-by-one-step",
    prove=proofs(worse(2), dead("act*", 0.6)),
    expect={"dead-units", "update-too-large"},
    root=(*stage(1, 2, 3), *at("out")),
    since=SPIKE,
    tolerated={"collapsed-output", "exploding-gradient"},
)
def spike(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)
    return classify(
        model,
        sgd(model, 0.05, momentum=0.9),
        schedule=lambda step: 100.0 if fault and step == SPIKE else 1.0,
        steps=70,
    )


@faulty(
    "killed-by-a-bad-batch",
    prove=proofs(worse(2), dead("act*", 0.6)),
    expect={"dead-units", "update-too-large"},
    root=(*stage(1, 2, 3), *at("out")),
    since=SPIKE,
    tolerated={"collapsed-output", "exploding-gradient"},
)
def huge_batch(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)

    def change(step: int, x: Tensor) -> Tensor:
        return x * 300 if fault and step == SPIKE else x

    return classify(model, sgd(model, 0.05, momentum=0.9), change=change, steps=70)


@faulty(
    "killed-slowly-by-a-drifting-bias",
    prove=proofs(dead("act2", 0.6)),
    expect={"dead-units"},
    root=stage(2),
    since=20,
    tolerated={"collapsed-output", "update-too-large"},
)
def drift(functional: bool, fault: bool) -> Training:
    model = Mlp(functional)

    def push(step: int) -> None:
        # A penalty with the wrong sign: it rewards small pre-activations without bound.
        if fault and step >= 20:
            assert model.fc2.bias.grad is not None
            model.fc2.bias.grad.add_(1.0)

    return classify(model, sgd(model, 0.05, momentum=0.9), before_step=push, steps=100)
