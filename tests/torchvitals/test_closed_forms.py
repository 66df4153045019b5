"""Real training steps whose numbers theory gives: propagation at initialisation, births and deaths, updates, moments.

Nothing here is compared with another measurement. Where a network is random, a tolerance is a number of standard
errors: of the mean of n independent values, of a binomial share, or of what a layer of 1,024 units varies by from one
seed to the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchvitals import attach_hooks
from torchvitals_tb import load_run
from torchvitals_tb.schema import ACTIVATIONS, DORMANT_TAU


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def train(model, x, run, optimizer=None, loss=torch.sum, steps=1):
    """The run of a few steps, each of them recorded."""
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.0)
    with attach_hooks(model, run, every=1, on_error="raise"):
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(x)).backward()
            optimizer.step()
    return load_run(run)


def projected(out):
    """A loss whose gradient with respect to the output is standard normal, and knows nothing of the output."""
    return (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(7))).sum()


def rows(run, statistic, kind, step=0):
    """A statistic of the layers of one type, in order."""
    return run[statistic].values[step, [layer.type == kind for layer in run.layers]].astype(np.float64)


# Expectations under a standard normal -----------------------------------------------------------------------------


EDGES = np.arange(-12 * 2**11, 12 * 2**11 + 1) / 2**11  # the kinks of all activations are multiples of 1/2
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
WEIGHTS = np.exp(-(MIDDLES**2) / 2) / math.sqrt(2 * math.pi) / 2**11


def expected(values):
    """E f(z), with f given at the middles of cells that contain no kink."""
    return float(np.sum(WEIGHTS * values))


NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(101)


def hermite(f):
    """E f(z) of a smooth f."""
    return float(np.sum(NODE_WEIGHTS * f(NODES)) / math.sqrt(2 * math.pi))


def test_the_two_quadratures_agree():
    assert expected(MIDDLES**2) == pytest.approx(1, rel=1e-6)
    assert expected(np.tanh(MIDDLES) ** 2) == pytest.approx(hermite(lambda z: np.tanh(z) ** 2), rel=1e-6)


# Propagation at initialisation ------------------------------------------------------------------------------------


def deep(depth, width, activation, initialise):
    linear = [nn.Linear(width, width) for _ in range(depth)]
    for layer in linear:
        initialise(layer)
    return nn.Sequential(*(m for layer in linear for m in (layer, activation())))


def normal(weight_variance, bias_variance=0.0):
    def initialise(layer):
        nn.init.normal_(layer.weight, std=math.sqrt(weight_variance / layer.in_features))
        nn.init.normal_(layer.bias, std=math.sqrt(bias_variance))

    return initialise


def per_layer(values):
    """The factor by which a row differs from the next one, as the geometric mean over all layers."""
    return (values[0] / values[-1]) ** (1 / (len(values) - 1))


@pytest.mark.parametrize(
    ("initialise", "weight_variance"),
    [(lambda layer: None, 1 / 3), (normal(2.0), 2.0), (normal(1.0), 1.0), (normal(3.0, 0.1), 3.0)],
    ids=["default", "He", "LeCun", "too large"],
)
def test_gradient_through_relu_layers(initialise, weight_variance, tmp_path):
    """Half of the units let it through: the mean square shrinks by weight variance * fan_in / 2 per layer."""
    depth, width = 12, 1024
    model = deep(depth, width, nn.ReLU, initialise)
    run = train(model, torch.randn(32, width), tmp_path, loss=projected)
    gradients = rows(run, "gradient/rms", "Linear")
    factor = math.sqrt(weight_variance / 2)
    # From seed to seed a layer varies by 1.5 %, the geometric mean over eleven by 0.5 %.
    np.testing.assert_allclose(gradients[:-1] / gradients[1:], factor, rtol=5 * 0.015)
    assert per_layer(gradients) == pytest.approx(factor, rel=5 * 0.005)
    # Through an activation the gradient loses half of its squares.
    outputs = rows(run, "gradient/rms", "ReLU")
    np.testing.assert_allclose(gradients / outputs, math.sqrt(0.5), rtol=5 * 0.015)


def test_signal_through_relu_layers_of_he(tmp_path):
    depth, width = 12, 1024
    x = torch.randn(32, width)
    run = train(deep(depth, width, nn.ReLU, normal(2.0)), x, tmp_path)
    signal = rows(run, "activation/rms", "Linear")
    # A mean over 1,024 units and 32 inputs for the first layer; for the depth see above.
    first = math.sqrt(2) * x.square().mean().sqrt().item()
    assert signal[0] == pytest.approx(first, rel=5 * math.sqrt(2 / width) / 2)
    assert per_layer(signal) == pytest.approx(1, rel=5 * 0.005)
    # The mean of a rectified Gaussian is its rms / sqrt(pi); depth makes the inputs alike, so only units count.
    active = rows(run, "activation/rms", "ReLU")
    np.testing.assert_allclose(rows(run, "activation/mean", "ReLU") / active, 1 / math.sqrt(math.pi), rtol=0.15)
    np.testing.assert_allclose(rows(run, "activation/zero_fraction", "ReLU"), 0.5, atol=5 * 0.5 / math.sqrt(width))


class MeanField:
    """The fixed point of a deep tanh network of infinite width (Poole et al. 2016, Schoenholz et al. 2017)."""

    def __init__(self, weight_variance, bias_variance):
        self.weight_variance = weight_variance
        q = 1.0
        for _ in range(500):
            q = weight_variance * hermite(lambda z, q=q: np.tanh(math.sqrt(q) * z) ** 2) + bias_variance
        self.q = q
        self.signal = (q - bias_variance) / weight_variance
        self.chi = weight_variance * hermite(lambda z: np.cosh(math.sqrt(q) * z) ** -4.0)


def critical(bias_variance):
    """The weight variance at which the gradient neither vanishes nor explodes."""
    low, high = 1.0, 3.0
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if MeanField(middle, bias_variance).chi < 1 else (low, middle)
    return (low + high) / 2


@pytest.mark.parametrize(
    ("weight_variance", "bias_variance", "initialise"),
    [
        (1.0, 0.05, None),
        (1.3, 0.05, None),
        ("critical", 0.05, None),
        (2.5, 0.05, None),
        (4.0, 0.05, None),
        (1 / 3, 1 / 3, lambda layer: nn.init.normal_(layer.bias, std=math.sqrt(1 / 3))),
    ],
    ids=["ordered", "nearly critical", "critical", "chaotic", "very chaotic", "default weights"],
)
def test_mean_field_of_tanh(weight_variance, bias_variance, initialise, tmp_path):
    depth, width = 16, 1024
    if weight_variance == "critical":
        weight_variance = critical(bias_variance)
        assert MeanField(weight_variance, bias_variance).chi == pytest.approx(1, abs=1e-4)
    theory = MeanField(weight_variance, bias_variance)
    initialise = initialise or normal(weight_variance, bias_variance)
    model = deep(depth, width, nn.Tanh, initialise)
    # Inputs that are at the fixed point already, so that every layer is.
    run = train(model, math.sqrt(theory.signal) * torch.randn(32, width), tmp_path, loss=projected)
    # In the ordered phase all inputs become one, so that a layer's mean square is a mean over its units alone, and what
    # it is off by lives on for a few layers: 1 % from seed to seed.
    signal = rows(run, "activation/rms", "Linear")
    assert np.sqrt(np.mean(signal**2)) == pytest.approx(math.sqrt(theory.q), rel=5 * 0.01)
    squashed = rows(run, "activation/rms", "Tanh")
    assert np.sqrt(np.mean(squashed**2)) == pytest.approx(math.sqrt(theory.signal), rel=5 * 0.01)
    # One layer varies by less than 1.5 % here too, the mean over fifteen by less than 0.3 %.
    gradients = rows(run, "gradient/rms", "Linear")
    np.testing.assert_allclose(gradients[:-1] / gradients[1:], math.sqrt(theory.chi), rtol=5 * 0.015)
    assert per_layer(gradients) == pytest.approx(math.sqrt(theory.chi), rel=5 * 0.003)


def test_default_tanh_layers_are_nearly_linear_and_shrink_by_the_root_of_a_third(tmp_path):
    depth, width = 12, 1024
    run = train(
        deep(depth, width, nn.Tanh, lambda layer: None), 0.01 * torch.randn(32, width), tmp_path, loss=projected
    )
    for kind in ("Linear", "Tanh"):
        assert per_layer(rows(run, "gradient/rms", kind)) == pytest.approx(math.sqrt(1 / 3), rel=5 * 0.003)


def test_tanh_with_the_gain_of_five_thirds(tmp_path):
    """Karpathy's lecture: the standard deviation settles near 0.65, and about 5 % of the outputs saturate."""
    depth, width = 12, 512
    theory = MeanField((5 / 3) ** 2, 0.0)

    def xavier(layer):
        nn.init.xavier_uniform_(layer.weight, gain=5 / 3)
        nn.init.zeros_(layer.bias)

    x = math.sqrt(theory.signal) * torch.randn(64, width)
    run = train(deep(depth, width, nn.Tanh, xavier), x, tmp_path, loss=projected)
    std = math.sqrt(theory.signal)
    assert std == pytest.approx(0.6513, abs=5e-5)
    saturated = math.erfc(math.atanh(0.97) / math.sqrt(2 * theory.q))
    # The inputs stay apart in this phase: a layer is a mean over 32,768 nearly independent values, with the width's
    # 512 the pessimistic count for the weights they share.
    np.testing.assert_allclose(rows(run, "activation/std", "Tanh"), std, rtol=5 * math.sqrt(2 / width / 12))
    shares = rows(run, "activation/saturated_fraction", "Tanh")
    error = math.sqrt(saturated * (1 - saturated) / width)
    np.testing.assert_allclose(shares, saturated, atol=4 * error)
    assert shares.mean() == pytest.approx(saturated, abs=4 * error / math.sqrt(depth))
    assert np.isnan(rows(run, "activation/saturated_fraction", "Linear")).all()


@pytest.mark.parametrize("gain", [0.7, 1.0, 1.5])
def test_orthogonal_layers_change_nothing_but_the_scale(gain, tmp_path):
    """Exact at any width: every row is the gain times its neighbour."""
    depth, width = 20, 24
    model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(depth)))
    for layer in model:
        nn.init.orthogonal_(layer.weight, gain=gain)
    x = torch.randn(8, width)
    run = train(model, x, tmp_path, loss=projected)
    power = gain ** np.arange(1, depth + 1)
    np.testing.assert_allclose(rows(run, "activation/rms", "Linear") / power, x.square().mean().sqrt(), rtol=1e-5)
    gradients = rows(run, "gradient/rms", "Linear")
    np.testing.assert_allclose(gradients[:-1] / gradients[1:], gain, rtol=1e-5)
    np.testing.assert_allclose(rows(run, "gradient/rms", "Linear") * power, gradients[-1] * power[-1], rtol=1e-4)
    np.testing.assert_allclose(run["parameter/rms"].values[0], gain / math.sqrt(width), rtol=1e-5)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.last = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x):
        return x + self.last(F.relu(self.first(x)))


def test_residual_branches_born_as_zero_let_the_gradient_pass(tmp_path):
    model = nn.Sequential(nn.Linear(16, 16), *(Block(16) for _ in range(5)))
    run = train(model, torch.randn(32, 16), tmp_path, loss=projected)
    names = [layer.name for layer in run.layers]
    got = {name: run["gradient/rms"].values[0, i] for i, name in enumerate(names)}
    for i in range(1, 6):
        assert got[f"{i}.last"] == got["0"]  # one and the same tensor
        assert got[f"{i}.first"] == got[f"{i}.first/relu"] == 0
        assert run["gradient/zero_fraction"].values[0, names.index(f"{i}.first")] == 1
        assert run["activation/zero_fraction"].values[0, names.index(f"{i}.last")] == 1


@pytest.mark.parametrize(
    ("module", "rms"),
    [
        (lambda: nn.Linear(300, 500), math.sqrt(1 / (3 * 300))),
        (lambda: nn.Conv2d(16, 80, 5), math.sqrt(1 / (3 * 16 * 25))),
        (lambda: nn.Conv1d(32, 90, 7, groups=2), math.sqrt(1 / (3 * 16 * 7))),
        (lambda: nn.Embedding(900, 64), 1.0),
        (lambda: nn.LSTM(64, 100), math.sqrt(1 / (3 * 100))),
        (lambda: nn.Bilinear(20, 30, 40), math.sqrt(1 / (3 * 20))),
    ],
    ids=["Linear", "Conv2d", "Conv1d", "Embedding", "LSTM", "Bilinear"],
)
def test_default_initialisation(module, rms, tmp_path):
    model = module()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        optimizer.step()
    run = load_run(tmp_path)
    for parameter, got in zip(run.parameters, run["parameter/rms"].values[0], strict=True):
        if "weight" in parameter.name:
            # Squares of a uniform (normal) variable vary by 0.9 (1.4) of their mean, and the root by half of that.
            assert got == pytest.approx(rms, rel=5 * 0.71 / math.sqrt(math.prod(parameter.shape)))


# Born dead ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "depth"), [(2, 5), (3, 10), (5, 20), (8, 20)])
def test_deep_narrow_relu_networks_born_dead(width, depth, tmp_path):
    """Lu et al. 2020: without biases layer l of a width-N network is zero on an input with 1 - (1 - 2^-N)^l.

    Many networks lie side by side as the groups of one convolution, all with the same input.
    """
    nets = 2000
    layers = [
        m for _ in range(depth) for m in (nn.Conv1d(nets * width, nets * width, 1, groups=nets, bias=False), nn.ReLU())
    ]
    run = train(nn.Sequential(*layers), torch.randn(width).repeat(nets)[None, :, None], tmp_path)
    units = run.units[0]
    relus = [i for i, layer in enumerate(run.layers) if layer.type == "ReLU"]
    for position, i in enumerate(relus):
        silent = (units.firing[units.starts[i] : units.starts[i + 1]] == 0).reshape(nets, width)
        dead = 1 - (1 - 2.0**-width) ** (position + 1)
        # Networks are independent, so the share of dead ones is binomial: 4.5 standard errors, eighty comparisons.
        assert silent.all(1).mean() == pytest.approx(dead, abs=4.5 * math.sqrt(dead * (1 - dead) / nets) + 1e-12)
        # A network that was dead before has no unit that fires, half of the units of all others do.
        before = 1 - (1 - 2.0**-width) ** position
        mean = before + (1 - before) / 2
        variance = before + (1 - before) * (0.25 + 0.25 / width) - mean**2
        got = {s: run[f"activation/{s}"].values[0, i] for s in ("dead_fraction", "zero_fraction")}
        assert got["dead_fraction"] == pytest.approx(mean, abs=4.5 * math.sqrt(variance / nets))
        assert got["dead_fraction"] == got["zero_fraction"] == pytest.approx(silent.mean(), rel=1e-6)
        assert units.silent[i] == silent.sum()
    # A dead network has no gradient anywhere; in a living one all of the gradient goes through units that fire.
    last = relus[-1]
    gradient_zeros = rows(run, "gradient/zero_fraction", "Conv1d")
    assert gradient_zeros[-1] == run["activation/zero_fraction"].values[0, last]
    zeros = run["parameter/grad_zero_fraction"].values[0]
    survivors = 1 - silent.all(1).mean()
    assert (1 - zeros <= survivors + 1e-6).all() and (1 - gradient_zeros <= survivors + 1e-6).all()


@pytest.mark.parametrize("examples", [1, 2, 4, 7])
def test_units_without_a_bias_are_dead_on_orthogonal_inputs_with_two_to_the_minus_n(examples, tmp_path):
    units = 8192
    model = nn.Sequential(nn.Linear(examples, units), nn.ReLU())
    nn.init.zeros_(model[0].bias)
    run = train(model, torch.eye(examples), tmp_path)
    dead = 2.0**-examples
    error = math.sqrt(dead * (1 - dead) / units)
    assert rows(run, "activation/dead_fraction", "ReLU")[0] == pytest.approx(dead, abs=4.5 * error)
    zero = rows(run, "activation/zero_fraction", "ReLU")[0]
    assert zero == pytest.approx(0.5, abs=4.5 * 0.5 / math.sqrt(units * examples))
    # Where the unit is off its gradient is off too, and the weights of a dead one get none on any input.
    assert rows(run, "gradient/zero_fraction", "Linear")[0] == pytest.approx(zero, rel=1e-6)
    assert run["parameter/grad_zero_fraction"].values[0, 0] == pytest.approx(zero, rel=1e-6)
    assert run.units[0].silent[1] == round(rows(run, "activation/dead_fraction", "ReLU")[0] * units)


def test_biases_decide_how_many_units_fire(tmp_path):
    """With bias b and unit weights over a Gaussian input a unit fires with the normal distribution's value at b."""
    biases = torch.tensor([-40.0, -2.0, -1.0, 0.0, 1.0, 2.0, 40.0])
    model = nn.Sequential(nn.Linear(16, 7), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(F.normalize(torch.randn(7, 16)))
        model[0].bias.copy_(biases)
    n = 40000
    run = train(model, torch.randn(n, 16), tmp_path)
    share = np.array([NormalDist().cdf(b) for b in biases.tolist()])
    zero = rows(run, "activation/zero_fraction", "ReLU")[0]
    assert zero == pytest.approx(np.mean(1 - share), abs=4.5 * 0.5 / math.sqrt(n))
    assert rows(run, "activation/dead_fraction", "ReLU")[0] == pytest.approx(1 / 7)
    # Its mean is b Phi(b) + phi(b); the unit with a bias of 40 outshines some of the others.
    means = np.array([b * NormalDist().cdf(b) + NormalDist().pdf(b) for b in biases.tolist()])
    dormant = np.mean(means <= DORMANT_TAU * means.mean())
    assert rows(run, "activation/dormant_fraction", "ReLU")[0] == pytest.approx(dormant) and 0 < dormant < 1
    units = run.units[0]
    levels = units.firing[units.starts[1] : units.starts[2]]
    assert levels.tolist() == sorted(levels.tolist()) and levels[0] == 0 and levels[-1] == 15


# Updates ----------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    make: Callable
    factors: tuple[float, ...]
    """What each step changes, as a multiple of the learning rate times a gradient that never changes."""


MU = 0.9
SGD = {
    "plain": Case(lambda p, lr: torch.optim.SGD(p, lr), (1, 1, 1)),
    "momentum": Case(lambda p, lr: torch.optim.SGD(p, lr, momentum=MU), (1, 1 + MU, 1 + MU + MU**2)),
    "dampening": Case(
        lambda p, lr: torch.optim.SGD(p, lr, momentum=MU, dampening=0.5), (1, MU + 0.5, MU**2 + 0.5 * MU + 0.5)
    ),
    "nesterov": Case(
        lambda p, lr: torch.optim.SGD(p, lr, momentum=MU, nesterov=True),
        (1 + MU, 1 + MU * (1 + MU), 1 + MU * (1 + MU + MU**2)),
    ),
    "maximize": Case(lambda p, lr: torch.optim.SGD(p, lr, momentum=MU, maximize=True), (1, 1 + MU, 1 + MU + MU**2)),
    "fused": Case(lambda p, lr: torch.optim.SGD(p, lr, momentum=MU, fused=True), (1, 1 + MU, 1 + MU + MU**2)),
}


@pytest.mark.parametrize("name", SGD)
def test_sgd_on_a_gradient_that_never_changes(name, tmp_path):
    model = nn.Linear(100, 80)
    optimizer = SGD[name].make(model.parameters(), 0.01)
    run = train(model, torch.randn(8, 100), tmp_path, optimizer, steps=3)
    gradient, weight = (run[f"parameter/{s}"].values for s in ("grad_rms", "rms"))
    change = 0.01 * np.array(SGD[name].factors)[:, None] * gradient
    np.testing.assert_allclose(gradient, gradient[:1].repeat(3, 0), rtol=1e-5)
    np.testing.assert_allclose(run["parameter/update_rms"].values, change, rtol=1e-4)
    np.testing.assert_allclose(run["parameter/update_ratio"].values, change / weight, rtol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.03),
        lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.03, momentum=MU),
        lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.03),
    ],
    ids=["SGD", "momentum", "AdamW"],
)
def test_without_a_gradient_the_ratio_is_rate_times_decay(make, tmp_path):
    model = nn.Linear(100, 80)
    run = train(model, torch.randn(8, 100), tmp_path, make(model.parameters()), loss=lambda out: 0 * out.sum())
    np.testing.assert_allclose(run["parameter/update_ratio"].values, 0.1 * 0.03, rtol=1e-5)
    assert (run["parameter/grad_rms"].values == 0).all()
    assert (run["parameter/grad_zero_fraction"].values == 1).all()


def before_batch_norm():
    model = nn.Sequential(nn.Linear(64, 100, bias=False), nn.BatchNorm1d(100, eps=1e-12, affine=False), nn.Tanh())
    return model, torch.randn(256, 64)


def test_decay_is_perpendicular_to_the_gradient_of_a_scale_invariant_weight(tmp_path):
    """So Pythagoras adds the two parts of the update, all read from the record."""
    model, x = before_batch_norm()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.02)
    run = train(model, x, tmp_path, optimizer, loss=projected, steps=4)
    gradient, weight = (run[f"parameter/{s}"].values.astype(float) for s in ("grad_rms", "rms"))
    both = np.hypot(0.5 * gradient / weight, 0.5 * 0.02)
    np.testing.assert_allclose(run["parameter/update_ratio"].values, both, rtol=1e-4)


def test_a_scale_invariant_weight_grows_by_pythagoras(tmp_path):
    model, x = before_batch_norm()
    run = train(model, x, tmp_path, torch.optim.SGD(model.parameters(), lr=0.5), loss=projected, steps=6)
    weight, update = (run[f"parameter/{s}"].values.astype(float) for s in ("rms", "update_rms"))
    np.testing.assert_allclose(weight[1:] ** 2, weight[:-1] ** 2 + update[:-1] ** 2, rtol=1e-5)


ADAPTIVE = {
    "Adam": (torch.optim.Adam, {}, 1.0),
    "Adam, fused": (torch.optim.Adam, {"fused": True}, 1.0),
    "Adam, foreach": (torch.optim.Adam, {"foreach": True}, 1.0),
    "Adam, amsgrad": (torch.optim.Adam, {"amsgrad": True}, 1.0),
    "AdamW": (torch.optim.AdamW, {}, 1.0),
    "Adamax": (torch.optim.Adamax, {}, 1.0),
    "Adagrad": (torch.optim.Adagrad, {}, 1.0),
    "Rprop": (torch.optim.Rprop, {}, 1.0),
    "RMSprop": (torch.optim.RMSprop, {"alpha": 0.99}, 10.0),
}


@pytest.mark.parametrize("name", ADAPTIVE)
@pytest.mark.parametrize("layer", ["Linear", "wide Linear", "Conv2d"])
def test_first_adaptive_step_from_the_default_initialisation(name, layer, tmp_path):
    """Every weight moves by the rate (times 1 / sqrt(1 - alpha) for RMSprop), and their rms is 1 / sqrt(3 fan_in)."""
    model, x, fan_in = {
        "Linear": lambda: (nn.Linear(144, 100), torch.randn(8, 144), 144),
        "wide Linear": lambda: (nn.Linear(1500, 40), torch.randn(8, 1500), 1500),
        "Conv2d": lambda: (nn.Conv2d(16, 64, 3), torch.randn(2, 16, 6, 6), 144),
    }[layer]()
    kind, options, factor = ADAPTIVE[name]
    run = train(model, x, tmp_path, kind(model.parameters(), lr=1e-3, **options), loss=projected)
    # The rms of n uniform weights varies by 0.45 / sqrt(n): 0.5 %. AdamW's own decay of 0.01 adds less than 1e-4.
    error = 5 * 0.45 / math.sqrt(model.weight.numel())
    ratio = run["parameter/update_ratio"].values[0, 0]
    assert ratio == pytest.approx(factor * 1e-3 * math.sqrt(3 * fan_in), rel=error)
    assert run["parameter/update_rms"].values[0, 0] == pytest.approx(factor * 1e-3, rel=1e-3)


def test_adam_moves_by_its_rate_while_the_gradient_stays(tmp_path):
    model = nn.Linear(50, 40)
    run = train(model, torch.randn(8, 50), tmp_path, torch.optim.Adam(model.parameters(), lr=1e-3), steps=8)
    np.testing.assert_allclose(run["parameter/update_rms"].values, 1e-3, rtol=1e-3)


# Moments of activations -------------------------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softplus(z):
    return np.logaddexp(0, z)


def erf(z):
    return torch.erf(torch.from_numpy(z)).numpy()


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
FORMULAS = {
    "relu": (nn.ReLU, lambda z: np.maximum(z, 0)),
    "relu6": (nn.ReLU6, lambda z: np.clip(z, 0, 6)),
    "leaky_relu": (nn.LeakyReLU, lambda z: np.where(z > 0, z, 0.01 * z)),
    "hardtanh": (nn.Hardtanh, lambda z: np.clip(z, -1, 1)),
    "hardsigmoid": (nn.Hardsigmoid, lambda z: np.clip(z / 6 + 0.5, 0, 1)),
    "hardswish": (nn.Hardswish, lambda z: z * np.clip(z / 6 + 0.5, 0, 1)),
    "hardshrink": (nn.Hardshrink, lambda z: np.where(np.abs(z) > 0.5, z, 0)),
    "softshrink": (nn.Softshrink, lambda z: np.sign(z) * np.maximum(np.abs(z) - 0.5, 0)),
    "tanh": (nn.Tanh, np.tanh),
    "sigmoid": (nn.Sigmoid, sigmoid),
    "softsign": (nn.Softsign, lambda z: z / (1 + np.abs(z))),
    "gelu": (nn.GELU, lambda z: z * 0.5 * (1 + erf(z / math.sqrt(2)))),
    "silu": (nn.SiLU, lambda z: z * sigmoid(z)),
    "mish": (nn.Mish, lambda z: z * np.tanh(softplus(z))),
    "elu": (nn.ELU, lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0)))),
    "celu": (nn.CELU, lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0)))),
    "selu": (nn.SELU, lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0)))),
    "softplus": (nn.Softplus, softplus),
    "logsigmoid": (nn.LogSigmoid, lambda z: -softplus(-z)),
    "tanhshrink": (nn.Tanhshrink, lambda z: z - np.tanh(z)),
}


class Gain(nn.Module):
    """A layer that changes nothing."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.gain * x


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.source, self.function = Gain(), function

    def forward(self, x):
        return self.function(self.source(x))


def spellings():
    found = []
    for name, (module, _) in FORMULAS.items():
        found.append(
            pytest.param(name, lambda module=module: nn.Sequential(Gain(), module()), id=f"nn.{module.__name__}")
        )
        found.append(pytest.param(name, lambda name=name: Calls(getattr(F, name)), id=f"F.{name}"))
        if name not in ("relu6", "softplus", "leaky_relu") and hasattr(torch, name) and hasattr(torch.Tensor, name):
            found.append(pytest.param(name, lambda name=name: Calls(getattr(torch, name)), id=f"torch.{name}"))
            found.append(pytest.param(name, lambda name=name: Calls(lambda x: getattr(x, name)()), id=f"Tensor.{name}"))
    return found


@pytest.fixture(scope="module")
def gaussian():
    """The quantiles of the standard normal in random order: no sampling error to speak of."""
    n = 1 << 16
    quantiles = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n).float()
    return quantiles[torch.randperm(n, generator=torch.Generator().manual_seed(0))].view(-1, 64)


@pytest.mark.parametrize(("name", "build"), spellings())
def test_moments_of_activations(name, build, gaussian, tmp_path):
    run = train(build(), gaussian, tmp_path)
    source, row = run.layers
    assert source.function is None and row.function == name
    formula = FORMULAS[name][1]
    y = formula(MIDDLES)
    got = {s: run[f"activation/{s}"].values[0, 1] for s in ("mean", "std", "rms", "zero_fraction", "dead_fraction")}
    mean, square = expected(y), expected(y**2)
    # The quantiles leave out what lies beyond the last of them: 2e-4 of a mean square.
    assert got["mean"] == pytest.approx(mean, abs=1e-4)
    assert got["rms"] == pytest.approx(math.sqrt(square), rel=2e-4)
    assert got["std"] == pytest.approx(math.sqrt(square - mean**2), rel=2e-4)
    # In float32 z - tanh(z) is zero already where |z| is below 3e-4.
    assert got["zero_fraction"] == pytest.approx(expected(y == 0), abs=5e-4)
    assert got["dead_fraction"] == 0
    low, high = ACTIVATIONS[name].low, ACTIVATIONS[name].high
    saturated = run["activation/saturated_fraction"].values[0, 1]
    if low is None and high is None:
        assert np.isnan(saturated)
    else:
        beyond = (y <= (-np.inf if low is None else low)) | (y >= (np.inf if high is None else high))
        assert saturated == pytest.approx(expected(beyond), abs=2e-4)
    # The gradient with respect to the activation's input has the rms of its slope.
    slope = np.diff(formula(EDGES)) * 2**11
    if name == "hardshrink":  # a step, not a slope
        slope = (np.abs(MIDDLES) > 0.5).astype(float)
    assert run["gradient/rms"].values[0, 1] == pytest.approx(1, rel=1e-4)
    assert run["gradient/rms"].values[0, 0] == pytest.approx(math.sqrt(expected(slope**2)), rel=1e-3)
    assert run["gradient/zero_fraction"].values[0, 0] == pytest.approx(expected(np.abs(slope) < 1e-9), abs=2e-4)


def test_known_moments(gaussian, tmp_path):
    run = train(nn.Sequential(Gain(), nn.ReLU(), nn.Tanh()), gaussian, tmp_path)
    assert rows(run, "activation/mean", "ReLU")[0] == pytest.approx(1 / math.sqrt(2 * math.pi), rel=1e-4)
    assert rows(run, "activation/std", "ReLU")[0] == pytest.approx(math.sqrt(0.5 - 0.5 / math.pi), rel=2e-4)
    run = train(nn.Sequential(Gain(), nn.Tanh()), gaussian, tmp_path / "tanh")
    saturated = rows(run, "activation/saturated_fraction", "Tanh")[0]
    assert saturated == pytest.approx(math.erfc(math.atanh(0.97) / math.sqrt(2)), abs=5e-5)


# Invariants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [3.0, 0.2, 4.0])
@pytest.mark.parametrize("kind", ["Linear", "Conv2d"])
def test_a_weight_before_batch_norm_has_a_gradient_inverse_to_its_scale(kind, factor, tmp_path):
    def record(scale):
        torch.manual_seed(1)
        layer, norm = {
            "Linear": lambda: (nn.Linear(32, 20), nn.BatchNorm1d(20, eps=1e-12)),
            "Conv2d": lambda: (nn.Conv2d(3, 20, 3), nn.BatchNorm2d(20, eps=1e-12)),
        }[kind]()
        x = torch.randn(64, 32) if kind == "Linear" else torch.randn(8, 3, 7, 7)
        with torch.no_grad():
            layer.weight.mul_(scale)
            layer.bias.mul_(scale)
        model = nn.Sequential(layer, norm, nn.Softplus())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        return train(model, x, tmp_path / str(scale), optimizer, loss=projected)

    one, other = record(1.0), record(factor)

    def ratio(statistic, row):
        return other[statistic].values[0, row] / one[statistic].values[0, row]

    for statistic in ("rms", "abs_max"):
        assert ratio(f"activation/{statistic}", 0) == pytest.approx(factor, rel=1e-5)
    for statistic in ("gradient/rms", "gradient/abs_max"):
        assert ratio(statistic, 0) == pytest.approx(1 / factor, rel=1e-4)
        assert ratio(statistic, 1) == pytest.approx(1, rel=1e-4)
    assert ratio("parameter/rms", 0) == pytest.approx(factor, rel=1e-5)
    for statistic in ("grad_rms", "grad_abs_max", "grad_rms_before_clip", "update_rms"):
        assert ratio(f"parameter/{statistic}", 0) == pytest.approx(1 / factor, rel=1e-3)
    assert ratio("parameter/update_ratio", 0) == pytest.approx(1 / factor**2, rel=1e-3)
    # After the normalisation nothing is left of it.
    for statistic in ("mean", "std", "rms", "abs_max"):
        assert ratio(f"activation/{statistic}", 2) == pytest.approx(1, rel=1e-4)


def test_scale_moved_from_one_relu_layer_to_the_next_moves_their_gradients_back(tmp_path):
    def record(scale):
        torch.manual_seed(1)
        model = nn.Sequential(*(m for _ in range(3) for m in (nn.Linear(20, 20, bias=False), nn.ReLU())))
        with torch.no_grad():
            model[0].weight.mul_(scale)
            model[2].weight.div_(scale)
        return train(model, torch.randn(16, 20), tmp_path / str(scale), loss=projected)

    one, other = record(1.0), record(4.0)
    # A power of two is exact in every operation.
    ratio = other["parameter/grad_rms"].values / one["parameter/grad_rms"].values
    assert ratio.tolist() == [[0.25, 4.0, 1.0]]
    ratio = other["gradient/rms"].values / one["gradient/rms"].values
    assert ratio.tolist() == [[0.25, 0.25, 1.0, 1.0, 1.0, 1.0]]
    ratio = other["activation/rms"].values / one["activation/rms"].values
    assert ratio.tolist() == [[4.0, 4.0, 1.0, 1.0, 1.0, 1.0]]


def test_weight_times_gradient_is_the_same_in_every_layer_of_a_chain(tmp_path):
    """With one unit per layer and no bias, value times gradient is the loss, layer by layer and weight by weight."""
    model = nn.Sequential(*(m for _ in range(9) for m in (nn.Linear(1, 1, bias=False), nn.LeakyReLU())))
    x = torch.tensor([[1.7]])
    loss = abs(model(x).item())
    run = train(model, x, tmp_path)
    layers = run["activation/rms"].values[0].astype(float) * run["gradient/rms"].values[0]
    np.testing.assert_allclose(layers, loss, rtol=1e-5)
    parameters = run["parameter/rms"].values[0].astype(float) * run["parameter/grad_rms"].values[0]
    np.testing.assert_allclose(parameters, loss, rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_cross_entropy_of_a_head_born_as_zero(classes, tmp_path):
    """Every class has probability 1/K: the gradient is (1/K - 1) / B at the label and 1/K / B elsewhere."""
    examples = 25
    model = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, classes))
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    labels = torch.randint(0, classes, (examples,))
    run = train(model, torch.randn(examples, 8), tmp_path, loss=lambda out: F.cross_entropy(out, labels))
    assert run["gradient/rms"].values[0, 2] == pytest.approx(math.sqrt(classes - 1) / classes / examples, rel=1e-5)
    assert run["gradient/abs_max"].values[0, 2] == pytest.approx((1 - 1 / classes) / examples, rel=1e-5)
    assert run["gradient/rms"].values[0, :2].tolist() == [0, 0]  # the head passes nothing back
    assert run["activation/rms"].values[0, 2] == 0 and run["activation/dead_fraction"].values[0, 2] == 1


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout(p, tmp_path):
    n = 1 << 16
    run = train(nn.Sequential(Gain(), nn.Dropout(p)), torch.ones(n // 64, 64), tmp_path)
    zero = run["activation/zero_fraction"].values[0, 1]
    assert zero == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / n))
    assert run["activation/mean"].values[0, 1] == pytest.approx((1 - zero) / (1 - p), rel=1e-5)
    # The squares of values that are all the same are rounded in the same direction.
    assert run["activation/rms"].values[0, 1] == pytest.approx(math.sqrt(1 - zero) / (1 - p), rel=1e-4)
    assert run["activation/abs_max"].values[0, 1] == pytest.approx(1 / (1 - p), rel=1e-6)
    # The same mask and the same scale on the way back.
    assert run["gradient/zero_fraction"].values[0, 0] == pytest.approx(zero)
    assert run["gradient/rms"].values[0, 0] == pytest.approx(run["activation/rms"].values[0, 1], rel=1e-4)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (lambda: nn.BatchNorm1d(30), (64, 30)),
        (lambda: nn.BatchNorm2d(30), (8, 30, 5, 5)),
        (lambda: nn.LayerNorm(30), (64, 30)),
        (lambda: nn.GroupNorm(5, 30), (8, 30, 5, 5)),
        (lambda: nn.InstanceNorm2d(30, affine=True), (8, 30, 5, 5)),
        (lambda: nn.RMSNorm(30), (64, 30)),
    ],
    ids=["BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm", "InstanceNorm2d", "RMSNorm"],
)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_normalisation_layers_give_mean_zero_and_rms_one(norm, shape, offset, tmp_path):
    model = nn.Sequential(Gain(), norm())
    run = train(model, 5 * torch.randn(shape) + offset, tmp_path)
    # eps = 1e-5 beside a variance of 25, or, far from zero, float32's own error in the normalisation.
    assert run["activation/rms"].values[0, 1] == pytest.approx(1, abs=1e-4)
    if not isinstance(model[1], nn.RMSNorm):
        assert run["activation/mean"].values[0, 1] == pytest.approx(0, abs=1e-4)
        assert run["activation/std"].values[0, 1] == pytest.approx(1, abs=1e-4)
        # Adding a constant to all inputs changes nothing, so the gradients of a group of inputs cancel.
        assert run["gradient/rms"].values[0, 0] <= 1e-5
    assert run["activation/mean"].values[0, 0] == pytest.approx(offset, abs=5 * 5 / math.sqrt(math.prod(shape)))
    assert run["activation/std"].values[0, 0] == pytest.approx(5, rel=5 * 0.71 / math.sqrt(math.prod(shape)))
