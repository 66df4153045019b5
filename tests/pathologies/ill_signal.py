"""Ill: recurrence, numbers that are not finite, number formats, normalisation."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.pathologies.case import at, faulty, proofs, stage
from tests.pathologies.generative import Variational, vae
from tests.pathologies.ill_scale import kaiming
from tests.pathologies.models import Between, Cnn, Mlp, Net, Recurrent, Stock
from tests.pathologies.proofs import alike_over_samples, broken_from, dead, starved, worse
from tests.pathologies.sequences import memory, rows
from tests.pathologies.training import Training, adam, classify, digits, images, sgd

BAD = 25
UNSTABLE = {"exploding-gradient", "poor-initialization", "update-too-large"}

# Recurrence -----------------------------------------------------------------------------------------------------------


@faulty(
    "recurrence-explodes",
    prove=worse(2),
    expect=UNSTABLE,
    root=at("into", "cell", "act", "out"),
    tolerated={"non-finite", "dead-units"},
)
def explodes(functional: bool, fault: bool) -> Training:
    model = Recurrent(functional, 8, outputs=10, kind="relu", gain=4.0 if fault else 1.0)
    return rows(model, sgd(model, 0.02, momentum=0.9), every=None)


@faulty(
    "recurrence-stock-explodes",
    prove=worse(2),
    expect=UNSTABLE | {"non-finite"},
    root=at("body", "fc1", "act1", "out"),
    tolerated={"dead-units"},
)
def stock_explodes(functional: bool, fault: bool) -> Training:
    body = nn.RNN(8, 32, nonlinearity="relu", batch_first=True)
    nn.init.orthogonal_(body.weight_hh_l0, 4.0 if fault else 1.0)
    model = Stock(functional, body, 32, 10)
    return rows(model, sgd(model, 0.05, momentum=0.9))


@faulty(
    "recurrence-forgets",
    prove=proofs(worse(1.5), starved("act", "act" + "+" * 15, 1e4)),
    expect={"vanishing-gradient", "poor-initialization"},
    root=at("into", "cell", "act"),
)
def forgets(functional: bool, fault: bool) -> Training:
    model = Recurrent(functional, 2, gain=0.3 if fault else 1.0)
    return memory(model, adam(model, 3e-3), length=16, steps=50, every=None)


# Not finite: forward --------------------------------------------------------------------------------------------------


class Through(Mlp):
    """A function between the second and the third layer."""

    def __init__(self, functional: bool, function: Callable[[Tensor], Tensor], kind: str = "relu") -> None:
        super().__init__(functional, kind=kind)
        self.between = Between(function)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activate("act1", self.fc1(x))
        x = self.between(self.activate("act2", self.fc2(x)))
        return self.out(self.activate("act3", self.fc3(x)))


@faulty("nan-from-forward", prove=broken_from(BAD), expect={"non-finite"}, root=at("between"), since=BAD)
def nan_forward(functional: bool, fault: bool) -> Training:
    offset = 0.0

    def logarithm(x: Tensor) -> Tensor:
        return (x + 2 - offset).log()

    def shift(step: int, x: Tensor) -> Tensor:
        nonlocal offset
        offset = 2.5 if fault and step >= BAD else 0.0
        return x

    model = Through(functional, logarithm, "tanh")
    return classify(model, adam(model), change=shift, steps=50)


@faulty("nan-from-constant-pixels", prove=broken_from(0), expect={"non-finite"}, root=at("scale"))
def constant_pixels(functional: bool, fault: bool) -> Training:
    class Scaled(Mlp):
        def __init__(self) -> None:
            super().__init__(functional)
            self.scale = Between(lambda x: (x - x.mean(0)) / (x.std(0) + (0 if fault else 1e-3)))

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.scale(x))

    model = Scaled()
    return classify(model, adam(model), steps=40)


@faulty(
    "inf-from-division",
    prove=broken_from(BAD),
    expect={"non-finite"},
    root=at("between"),
    since=BAD,
)
def division(functional: bool, fault: bool) -> Training:
    divisor = 1.0

    def shrink(step: int, x: Tensor) -> Tensor:
        nonlocal divisor
        divisor = 0.0 if fault and step >= BAD else 1.0
        return x

    model = Through(functional, lambda x: (x + 1) / divisor)
    return classify(model, adam(model), change=shrink, steps=50, every=None)


@faulty(
    "inf-from-exp-of-logvar",
    prove=broken_from(0),
    expect={"non-finite"},
    root=at("logvar", "dec"),
    tolerated={"poor-initialization"},
)
def logvar(functional: bool, fault: bool) -> Training:
    def change(model: Variational) -> None:
        if fault:
            nn.init.constant_(model.logvar.bias, 200.0)

    return vae(functional, change)


@faulty("nan-in-one-batch", prove=broken_from(BAD), expect={"non-finite"}, root=stage(1), since=BAD)
def nan_batch(functional: bool, fault: bool) -> Training:
    def spoil(step: int, x: Tensor) -> Tensor:
        if fault and step == BAD:
            x = x.clone()
            x[3, 20] = math.nan
        return x

    model = Mlp(functional)
    return classify(model, adam(model), change=spoil, steps=50)


@faulty("inf-in-one-batch", prove=broken_from(40), expect={"non-finite"}, root=stage(1), since=40)
def inf_batch(functional: bool, fault: bool) -> Training:
    def spoil(step: int, x: Tensor) -> Tensor:
        if fault and step == 40:
            x = x.clone()
            x[0, 0, 2, 2] = math.inf
        return x

    model = Cnn(functional, norm=nn.BatchNorm2d)
    x, y = images()
    return classify(model, adam(model), x=x, y=y, change=spoil, every=None)


# Not finite: loss and backward ----------------------------------------------------------------------------------------


def _with_loss(functional: bool, extra: Callable[[int, Tensor, Tensor], Tensor], steps: int = 50) -> Training:
    """A loss that gets the step, the logits and the labels."""
    model = Mlp(functional)
    training = classify(model, adam(model), steps=steps)
    now = 0

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return extra(now, logits, labels)

    def note(step: int, x: Tensor) -> Tensor:
        nonlocal now
        now = step
        return x

    training = classify(model, training.optimizers[0], loss=loss, change=note, steps=steps)
    training.on_all = lambda: F.cross_entropy(model(digits()[0]), digits()[1])
    return training


@faulty("nan-from-loss-over-an-empty-mask", prove=broken_from(BAD), expect={"non-finite"}, root=at("out"), since=BAD)
def empty_mask(functional: bool, fault: bool) -> Training:
    def masked(step: int, logits: Tensor, labels: Tensor) -> Tensor:
        mask = torch.full(labels.shape, 0.0 if fault and step == BAD else 1.0)
        return (F.cross_entropy(logits, labels, reduction="none") * mask).sum() / mask.sum()

    return _with_loss(functional, masked)


@faulty("nan-from-backward-of-the-loss", prove=broken_from(BAD + 1), expect={"non-finite"}, root=at("out"), since=BAD)
def root_of_zero(functional: bool, fault: bool) -> Training:
    def distance(step: int, logits: Tensor, labels: Tensor) -> Tensor:
        apart = logits - logits.detach() + (0 if fault and step >= BAD else 1)
        return F.cross_entropy(logits, labels) + 0.01 * apart.square().sum(1).sqrt().mean()

    return _with_loss(functional, distance)


@faulty("inf-from-loss", prove=broken_from(BAD), expect={"non-finite"}, root=at("out"), since=BAD)
def infinite_loss(functional: bool, fault: bool) -> Training:
    def reciprocal(step: int, logits: Tensor, labels: Tensor) -> Tensor:
        margin = logits.square().mean() * (0 if fault and step >= BAD else 1)
        return F.cross_entropy(logits, labels) + 1e-4 / (margin + (0 if fault else 1))

    return _with_loss(functional, reciprocal)


@faulty(
    "nan-from-magnitude-of-zero",
    prove=broken_from(1),
    expect={"non-finite"},
    root=(*at("between"), *stage(2)),
)
def magnitude(functional: bool, fault: bool) -> Training:
    model = Through(functional, lambda x: (F.dropout(x).square() + (0 if fault else 1e-4)).sqrt(), "tanh")
    return classify(model, adam(model), steps=40)


# Number formats -------------------------------------------------------------------------------------------------------


class Half(Net):
    """Runs a network under autocast to float16."""

    def __init__(self, functional: bool, body: nn.Module, *, on: bool) -> None:
        super().__init__(functional)
        self.body = body
        self.on = on

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.float16) if self.on else contextlib.nullcontext():
            return self.body(x).float()


@faulty(
    "float16-overflow",
    prove=broken_from(0),
    expect={"non-finite", "poor-initialization"},
    root=stage(2, prefix="body."),
    tolerated={"update-too-small"},
)
def overflow(functional: bool, fault: bool) -> Training:
    body = Mlp(functional, norm=None)
    with torch.no_grad():
        body.fc2.weight.mul_(2000)
        body.fc1.weight.mul_(200)
        body.out.weight.mul_(1e-4)
    model = Half(functional, body, on=fault)
    return classify(model, adam(model), steps=40)


@faulty(
    "float16-overflow-in-one-batch",
    prove=broken_from(BAD),
    expect={"non-finite"},
    root=stage(1, prefix="body."),
    since=BAD,
)
def overflow_once(functional: bool, fault: bool) -> Training:
    model = Half(functional, Mlp(functional), on=fault)
    return classify(
        model, adam(model), steps=50, change=lambda step, x: x * 1e5 if fault and step == BAD else x, every=None
    )


@faulty(
    "float16-underflow",
    prove=worse(1.5),
    expect={"gradient-underflow"},
    root=at("body"),
    tolerated={"vanishing-gradient", "update-too-small", "no-gradient"},
)
def underflow(functional: bool, fault: bool) -> Training:
    model = Half(functional, Mlp(functional, (64, *[64] * 5, 10)), on=True)
    kaiming(model)
    # The loss is a small term of many; only a scaled one keeps its gradient in range.
    return classify(
        model,
        adam(model, eps=1e-15),
        loss=lambda logits, labels: F.cross_entropy(logits, labels) * 1e-5,
        scaler=None if fault else torch.amp.GradScaler("cpu"),
    )


@faulty(
    "float16-underflow-whole-model",
    prove=worse(1.5),
    expect={"gradient-underflow"},
    root=stage(1, 2, 3, 4, 5) + at("out"),
    tolerated={"vanishing-gradient", "update-too-small", "no-gradient"},
)
def underflow_half(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, (64, *[64] * 5, 10), "tanh")
    x = digits()[0]
    if fault:
        model.half()
        x = x.half()
    return classify(
        model,
        sgd(model, 2e3, momentum=0.9),
        x=x,
        loss=lambda logits, labels: F.cross_entropy(logits.float(), labels) * 2e-5,
        every=None,
    )


# Normalisation --------------------------------------------------------------------------------------------------------


class Pooled(Cnn):
    """Normalises over the positions of an image of one pixel."""

    def __init__(self, functional: bool, *, fault: bool) -> None:
        super().__init__(functional)
        self.norm = nn.LayerNorm((1, 1)) if fault else nn.LayerNorm((16, 1, 1))
        self.fc = nn.Linear(16, 32)
        self.activation("act", "relu")
        self.out = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        for i in range(1, self.depth + 1):
            x = self.activate(f"act{i}", getattr(self, f"conv{i}")(x))
        x = self.norm(x.mean((2, 3), keepdim=True)).flatten(1)
        return self.out(self.activate("act", self.fc(x)))


@faulty(
    "normalised-over-one-value",
    prove=proofs(worse(1.3), alike_over_samples("act")),
    expect={"collapsed-output"},
    root=at("norm"),
    tolerated={"vanishing-gradient", "no-gradient", "dead-units"},
)
def one_value(functional: bool, fault: bool) -> Training:
    model = Pooled(functional, fault=fault)
    x, y = images()
    return classify(model, adam(model, 5e-3), x=x, y=y, every=None)


@faulty(
    "normalised-to-zero",
    prove=proofs(worse(2), dead("act2", 0.95)),
    expect={"dead-units", "collapsed-output", "poor-initialization"},
    root=stage(2),
    tolerated={"vanishing-gradient"},
)
def zero_scale(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, norm=nn.BatchNorm1d)
    if fault:
        nn.init.zeros_(model.norm2.weight)
    return classify(model, adam(model))


@faulty(
    "normalised-with-far-off-statistics",
    prove=proofs(worse(1.2), dead("act2", 0.9)),
    expect={"dead-units", "collapsed-output"},
    root=stage(2),
    tolerated={"vanishing-gradient", "poor-initialization"},
)
def frozen_statistics(functional: bool, fault: bool) -> Training:
    model = Mlp(functional, norm=nn.BatchNorm1d)
    if fault:  # frozen with the statistics of quite another network
        model.norm2.eval()
        nn.init.constant_(model.norm2.running_mean, 50.0)
    return classify(model, adam(model), every=None)


@faulty(
    "sequence-rows-saturate-lstm",
    prove=worse(1.2),
    expect={"saturated-units", "poor-initialization", "collapsed-output"},
    root=at("body"),
    tolerated={"vanishing-gradient"},
)
def lstm_saturated(functional: bool, fault: bool) -> Training:
    body = nn.LSTM(8, 32, batch_first=True)
    if fault:
        with torch.no_grad():
            body.weight_ih_l0.mul_(1000)
    return rows(model := Stock(functional, body, 32, 10), adam(model, 5e-3), every=None)
