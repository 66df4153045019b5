"""How far what is measured from a sample is off: updates (16,384 elements), histograms and subnormal shares (4,096)."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import nn

from torchvitals import attach_hooks
from torchvitals import statistics as st
from torchvitals.scratch import Scratch
from torchvitals_tb import load_run
from torchvitals_tb.packing import bin_of

SCRATCH = Scratch(torch.device("cpu"))
OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-3),
}


def mean_square(out):
    return out.square().mean()


def record(model, x, run, optimizer="SGD", loss=mean_square, **options):
    """The run of one step, and what the step changed."""
    stepper = OPTIMIZERS[optimizer](model.parameters())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with attach_hooks(model, run, every=1, on_error="raise", **options):
        loss(model(x)).backward()
        stepper.step()
    return load_run(run), {name: p.detach() - before[name] for name, p in model.named_parameters()}


def update_error(name, *args, **options):
    """Relative error of the rms of one parameter's update."""
    run, changes = record(*args, histograms=False, units=False, **options)
    row = [p.name for p in run.parameters].index(name)
    exact = changes[name].double().square().mean().sqrt().item()
    return run["parameter/update_rms"].values[0, row] / exact - 1


# Updates --------------------------------------------------------------------------------------------------------------


class Middle(nn.Module):
    """A large layer with an activation before and after it."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, inputs), nn.ReLU(), nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, 10)
        )

    def forward(self, x):
        return self.layers(x)


LARGE = {
    "Linear": (lambda: nn.Linear(1024, 1100), lambda: torch.randn(16, 1024), "weight"),
    "Linear, odd sizes": (lambda: nn.Linear(1501, 701), lambda: torch.randn(16, 1501), "weight"),
    "between ReLUs": (lambda: Middle(1024, 1100), lambda: torch.randn(32, 64), "layers.2.weight"),
    "Conv2d": (lambda: nn.Conv2d(128, 1000, 3), lambda: torch.randn(2, 128, 5, 5), "weight"),
    "Conv2d, channels last": (
        lambda: nn.Conv2d(128, 1000, 3).to(memory_format=torch.channels_last),
        lambda: torch.randn(2, 128, 5, 5).contiguous(memory_format=torch.channels_last),
        "weight",
    ),
    "Conv3d": (lambda: nn.Conv3d(40, 1000, 3), lambda: torch.randn(2, 40, 4, 4, 4), "weight"),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", LARGE)
def test_update_of_a_layer_of_a_million_weights(name, optimizer, tmp_path):
    """The rms of 16,384 Gaussian values varies by 1 / sqrt(2 * 16,384) = 0.55 % of itself, behind a ReLU by 0.8 %.

    Adam's first step is of the same size everywhere, but where the gradient is zero.
    """
    build, batch, parameter = LARGE[name]
    errors = []
    for seed in range(8):
        torch.manual_seed(seed)
        model = build()
        assert dict(model.named_parameters())[parameter].numel() > 1_000_000
        errors.append(update_error(parameter, model, batch(), tmp_path / str(seed), optimizer=optimizer))
    limit = 0.003 if optimizer == "Adam" else 0.0125
    assert math.sqrt(np.mean(np.square(errors))) < limit
    assert np.abs(errors).max() < 2.5 * limit


@pytest.mark.parametrize(("optimizer", "sparse"), [("SGD", False), ("SGD", True), ("Adam", False)])
@pytest.mark.parametrize(("rows", "used"), [(20_000, 2_000), (20_000, 64)])
def test_update_of_an_embedding_of_which_few_rows_are_used(rows, used, optimizer, sparse, tmp_path):
    """What is sampled is mostly zeros: the fewer rows a batch uses, the larger the error, and it is no bias.

    Of m sampled elements that changed, the rms varies by sqrt(kurtosis / m) / 2 of itself.
    """
    errors = []
    seeds = 8
    for seed in range(seeds):
        torch.manual_seed(seed)
        model = nn.Embedding(rows, 64, sparse=sparse)
        tokens = torch.randperm(rows)[:used]
        errors.append(update_error("weight", model, tokens, tmp_path / str(seed), optimizer=optimizer))
    one = math.sqrt((3 if optimizer == "SGD" else 1) / (st.SAMPLE * used / rows)) / 2
    assert np.abs(errors).max() < 4 * one
    assert np.mean(errors) == pytest.approx(0, abs=4 * one / math.sqrt(seeds))


# Spread of the sample -------------------------------------------------------------------------------------------------


def unevenness(shape, wanted, memory_format=torch.contiguous_format):
    """The worst axis: by the share of a quarter of it in the sample, or by how many of its indices that leaves out."""
    x = torch.arange(math.prod(shape), dtype=torch.float64).view(shape).contiguous(memory_format=memory_format)
    sample = st.strided_sample(x, wanted, SCRATCH).long().numpy()
    assert len(np.unique(sample)) == len(sample) <= max(wanted, 1)
    found = []
    for axis, indices in enumerate(np.unravel_index(sample, shape)):
        size = shape[axis]
        counts = np.bincount(indices, minlength=size)
        if size >= 8:
            edges = np.linspace(0, size, 5).astype(int)
            share = np.add.reduceat(counts, edges[:-1]) / len(sample) * size / np.diff(edges)
            found.append(("quarter", axis, np.abs(share - 1).max()))
        if len(sample) >= 4 * size:
            found.append(("left out", axis, np.mean(counts == 0)))
    return max(found, key=lambda entry: entry[2], default=("none", 0, 0.0))


EVEN = [
    ((1024, 1024), st.SAMPLE), ((1000, 2048), st.SAMPLE), ((2304, 768), st.SAMPLE), ((50257, 128), st.SAMPLE),
    ((512, 512, 3, 3), st.SAMPLE), ((256, 64, 1, 1), st.SAMPLE), ((20000,), st.SAMPLE), ((96, 96), st.SAMPLE),
    ((8, 197, 192), st.HISTOGRAM_SAMPLE), ((64, 512, 7, 7), st.HISTOGRAM_SAMPLE), ((3, 4096), st.HISTOGRAM_SAMPLE),
    ((32, 64, 28, 28), st.HISTOGRAM_SAMPLE), ((7000,), st.HISTOGRAM_SAMPLE), ((300, 7), st.HISTOGRAM_SAMPLE),
    # A whole distance, prime to the last axis only or cut off at the end, leaves out much of these.
    ((1024, 1024, 1, 1), st.SAMPLE), ((512, 2048, 1, 1), st.SAMPLE), ((456, 512, 3, 3), st.SAMPLE),
    ((576, 192), st.SAMPLE), ((192, 768), st.SAMPLE), ((256, 256), st.SAMPLE), ((128, 200), st.SAMPLE),
    ((128, 128, 3, 3), st.SAMPLE), ((65536,), st.SAMPLE),
    ((256, 512, 1, 1), st.HISTOGRAM_SAMPLE), ((32, 512, 1, 1), st.HISTOGRAM_SAMPLE), ((64, 100), st.HISTOGRAM_SAMPLE),
    ((100, 96), st.HISTOGRAM_SAMPLE), ((128, 64), st.HISTOGRAM_SAMPLE), ((256, 128), st.HISTOGRAM_SAMPLE),
    ((16, 64, 50), st.HISTOGRAM_SAMPLE), ((64, 50, 2), st.HISTOGRAM_SAMPLE),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "wanted"), EVEN, ids=str)
def test_sample_is_even_along_every_axis(shape, wanted):
    assert unevenness(shape, wanted)[2] < 0.2, unevenness(shape, wanted)


@pytest.mark.parametrize("shape", [(512, 512, 3, 3), (1000, 128, 3, 3), (32, 64, 28, 28)], ids=str)
def test_sample_of_channels_last_is_even_along_every_axis(shape):
    assert unevenness(shape, st.SAMPLE, torch.channels_last)[2] < 0.2


@pytest.mark.parametrize("wanted", [st.SAMPLE, st.HISTOGRAM_SAMPLE])
def test_size_of_the_sample(wanted):
    for numel in (1, wanted - 1, wanted):
        assert st.strided_sample(torch.zeros(numel), wanted, SCRATCH).numel() == numel
    for numel in (wanted + 1, 2 * wanted - 1, 2 * wanted, 2 * wanted + 1, 3 * wanted + 7, 100 * wanted + 3):
        assert wanted / 2 <= st.strided_sample(torch.zeros(numel), wanted, SCRATCH).numel() <= wanted


# What an uneven sample does to the numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("shift", [0, 1])
def test_update_of_a_1x1_convolution_of_which_half_of_the_inputs_are_dead(shift, optimizer, tmp_path):
    torch.manual_seed(0)
    model = nn.Conv2d(1024, 512, 1)
    x = torch.randn(4, 1024, 3, 3)
    x[:, shift::2] = 0
    assert abs(update_error("weight", model, x, tmp_path, optimizer=optimizer)) < 0.03


def test_update_of_queries_keys_and_values(tmp_path):
    """At initialisation the values, the last third of the rows, get nearly all of the gradient."""
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(192, 3, 64, dropout=0.0, batch_first=True)
    assert abs(update_error("self_attn.in_proj_weight", model, torch.randn(8, 16, 192), tmp_path)) < 0.1


def test_update_of_the_last_quarter_of_the_units(tmp_path):
    torch.manual_seed(0)
    error = update_error(
        "weight", nn.Linear(256, 256), torch.randn(16, 256), tmp_path, loss=lambda out: out[:, 192:].sum()
    )
    assert abs(error) < 0.05


@pytest.mark.parametrize("shift", [0, 1])
def test_update_where_every_other_input_is_zero(shift, tmp_path):
    torch.manual_seed(0)
    x = torch.randn(16, 200)
    x[:, shift::2] = 0
    assert abs(update_error("weight", nn.Linear(200, 128), x, tmp_path)) < 0.05


# Histograms -----------------------------------------------------------------------------------------------------------


def distance(counts, x):
    """Total variation between the recorded histogram and that of all elements, and what chance makes of it."""
    exact = np.bincount(bin_of(x.detach().float().numpy().ravel()), minlength=1024)
    n, p = counts.sum(), exact / exact.sum()
    # A binomial share is off by sqrt(2 p (1 - p) / (pi n)) on average; their sum varies by at most 0.3 / sqrt(n).
    return (
        0.5 * np.abs(counts / n - p).sum(),
        0.5 * np.sum(np.sqrt(2 * p * (1 - p) / (math.pi * n))),
        0.3 / math.sqrt(n),
    )


class Taps(nn.Module):
    """Keeps what a layer gives, and the gradient with respect to it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        self.out = self.layer(x)
        self.out.retain_grad()
        return self.out


LAYERS = {
    "Linear": (lambda: nn.Linear(300, 500), lambda: torch.randn(200, 300)),
    "scales apart": (lambda: nn.Linear(300, 501), lambda: torch.randn(213, 300) * torch.logspace(-3, 3, 213)[:, None]),
    "Conv2d": (lambda: nn.Conv2d(30, 60, 3), lambda: torch.randn(8, 30, 20, 20)),
    "Conv2d, channels last": (
        lambda: nn.Conv2d(30, 60, 3).to(memory_format=torch.channels_last),
        lambda: torch.randn(8, 30, 20, 20).contiguous(memory_format=torch.channels_last),
    ),
    "Embedding": (lambda: nn.Embedding(3001, 65), lambda: torch.randint(0, 3001, (900,))),
    "bfloat16": (lambda: nn.Linear(300, 500).bfloat16(), lambda: torch.randn(200, 300).bfloat16()),
    "float64": (lambda: nn.Linear(300, 500).double(), lambda: torch.randn(200, 300).double()),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LAYERS)
def test_histograms_are_as_near_as_chance_allows(name, seed, tmp_path):
    torch.manual_seed(seed)
    build, batch = LAYERS[name]
    model = Taps(build())
    weight = model.layer.weight.detach().clone()
    run, _ = record(model, batch(), tmp_path, loss=lambda out: (out * torch.randn_like(out)).sum())
    tensors = {"activation": model.out, "gradient": model.out.grad, "weight": weight}
    if name != "Embedding":
        tensors["weight_gradient"] = model.layer.weight.grad
    for kind, x in tensors.items():
        counts = run.histograms(kind)[0].dense(0)
        assert st.HISTOGRAM_SAMPLE / 2 <= counts.sum() <= st.HISTOGRAM_SAMPLE < x.numel()
        got, mean, error = distance(counts, x)
        assert got < mean + 5 * error, kind
        # What the docstring promises is the upper bound of that mean for any distribution over as many bins.
        assert mean < math.sqrt(np.count_nonzero(counts) / (2 * math.pi * counts.sum())) * 1.05


@pytest.mark.parametrize("shape", [(256, 512, 1, 1), (64, 100)], ids=str)
def test_histogram_of_units_of_two_kinds(shape, tmp_path):
    """Half of the units give ones, the others thousands."""
    torch.manual_seed(0)
    units = shape[1]
    model = Taps(nn.BatchNorm2d(units) if len(shape) == 4 else nn.BatchNorm1d(units))
    model.eval()
    with torch.no_grad():
        model.layer.weight[::2] = 1000
    run, _ = record(model, torch.randn(shape), tmp_path)
    got, mean, error = distance(run.histograms("activation")[0].dense(0), model.out)
    assert got < mean + 5 * error


def test_histogram_of_complex_numbers_has_both_parts(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(50, 64, dtype=torch.complex64)
    with torch.no_grad():
        model.weight.imag.zero_()
    x = torch.randn(40, 50).to(torch.complex64)
    run, _ = record(model, x, tmp_path, loss=lambda out: out.abs().square().mean())
    counts = run.histograms("weight")[0].dense(0)
    assert (counts[0] + counts[512]) / counts.sum() == pytest.approx(0.5, abs=0.05)


# Subnormal shares -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=lambda d: str(d)[6:])
@pytest.mark.parametrize("shape", [(400, 500), (8, 60, 19, 19)], ids=str)
@pytest.mark.parametrize("wanted", [0.02, 0.5, 0.9])
def test_subnormal_share(wanted, shape, dtype, tmp_path):
    """The share p of 4,096 values varies by sqrt(p (1 - p) / 4,096), 0.8 % at most."""
    layer = nn.BatchNorm1d(shape[1]) if len(shape) == 2 else nn.BatchNorm2d(shape[1])
    errors = []
    for seed in range(4):
        torch.manual_seed(seed)
        magnitude = 2 * (torch.randn(shape, dtype=torch.float64) - NormalDist().inv_cdf(wanted))
        gradient = (torch.finfo(dtype).tiny * 2.0**magnitude).to(dtype)
        model = layer.to(dtype).eval()
        run, _ = record(
            model, torch.randn(shape, dtype=dtype), tmp_path / str(seed), loss=lambda out, g=gradient: (out * g).sum()
        )
        exact = ((gradient != 0) & (gradient.abs() < torch.finfo(dtype).tiny)).double().mean().item()
        assert exact == pytest.approx(wanted, abs=0.05)
        errors.append(run["gradient/underflow_fraction"].values[0, 0] - exact)
    assert math.sqrt(np.mean(np.square(errors))) < 0.015
    assert np.abs(errors).max() < 0.025


def test_subnormal_share_of_units_of_two_kinds(tmp_path):
    torch.manual_seed(0)
    gradient = torch.full((256, 512, 1, 1), 1e-3)
    gradient[:, ::2] = 1e-6
    model = nn.BatchNorm2d(512).half().eval()
    run, _ = record(model, torch.randn(gradient.shape).half(), tmp_path, loss=lambda out: (out * gradient.half()).sum())
    assert run["gradient/underflow_fraction"].values[0, 0] == pytest.approx(0.5, abs=0.05)
