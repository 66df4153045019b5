"""Every number of a record against plain float64 NumPy, for every number format a model can train in.

The expected numbers come from clones taken in a run of its own without hooks: training is the same to the last bit.
"""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tests.torchvitals import twin
from tests.torchvitals.training import fresh, one_step
from tests.zoo import ZOO
from torchvitals import attach_hooks, scratch
from torchvitals_tb import load_run
from torchvitals_tb.packing import FIRING_LEVELS, MAGNITUDE_LEVELS
from torchvitals_tb.schema import ACTIVATIONS, DORMANT_TAU, LAYER_STATISTICS, PARAMETER_STATISTICS

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))

CANNOT_RUN = {
    ("recurrent", "autocast", torch.float16): "oneDNN has no LSTM in float16 on most CPUs",
    ("recurrent", "autocast", torch.bfloat16): "oneDNN has no LSTM in bfloat16 on CPUs without AVX-512",
}
"""(zoo model, how it is cast, type) -> why PyTorch cannot train it even without hooks. It can all others."""


FLOAT32_MAX = float(np.finfo(np.float32).max)


@pytest.fixture(params=["host", "device"])
def way(request, monkeypatch):
    """Measures as on a CPU, and as on a device whose numbers cannot be looked at in between."""
    if request.param == "device":
        monkeypatch.setattr(scratch, "Scratch", functools.partial(scratch.Scratch, host=False))


both_ways = pytest.mark.usefixtures("way")


# The slow, obvious way ----------------------------------------------------------------------------------------------


class FunctionCalls(TorchFunctionMode):
    """Clones of what activations called as functions give, outside of PyTorch's own leaf modules, in order."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []
        self.gradients: dict[int, Tensor] = {}
        self._inside = 0
        for module in model.modules():
            if type(module).__module__.startswith("torch.nn") and not list(module.children()):
                module.register_forward_pre_hook(self._enter)
                module.register_forward_hook(self._leave)

    def _enter(self, *_: Any) -> None:
        self._inside += 1

    def _leave(self, *_: Any) -> None:
        self._inside -= 1

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        if not self._inside and getattr(function, "__name__", "").rstrip("_") in ACTIVATIONS:
            index = len(self.outputs)
            self.outputs.append(output.detach().clone())
            if output.requires_grad:
                output.register_hook(lambda g: self.gradients.__setitem__(index, g.detach().clone()))
        return output


class Expected(NamedTuple):
    layers: list[tuple[Tensor, Tensor | None]]
    """Output and gradient with respect to it, of every row."""
    parameters: dict[str, tuple[Tensor, Tensor | None, Tensor]]
    """Before the step, gradient, after the step."""


def bare(model, batch, loss, run, autocast=None) -> Expected:
    """One step without hooks of ours, in the order of the rows of ``run``."""
    modules, functions = twin.Recording(model), FunctionCalls(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = sgd(model)
    with functions, autocast or contextlib.nullcontext():
        out = model(*batch)
    loss(out).backward()
    gradients = {name: None if p.grad is None else p.grad.detach().clone() for name, p in model.named_parameters()}
    optimizer.step()
    layers = []
    called = iter(range(len(functions.outputs)))
    for layer in run.layers:
        if layer.kind == "function":
            i = next(called)
            layers.append((functions.outputs[i], functions.gradients.get(i)))
        else:
            layers.append((modules.activations[layer.name], modules.gradients.get(layer.name)))
    assert next(called, None) is None
    return Expected(layers, {n: (before[n], gradients[n], p.detach()) for n, p in model.named_parameters()})


def sgd(model):
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)


def wide(x: Tensor) -> np.ndarray:
    """Every element as float64; of complex ones both parts, of sparse ones the zeros too."""
    x = x.detach()
    if x.layout != torch.strided:
        x = x.to_dense()
    if x.is_complex():
        x = torch.view_as_real(x.resolve_conj())
    return x.float().double().numpy() if x.element_size() == 1 else x.double().numpy()


def rms(a: np.ndarray) -> float:
    return float(np.sqrt(np.mean(a**2)))


def spread(a: np.ndarray) -> float:
    """From the pairs of examples that are compared."""
    half = len(a) // 2 if a.ndim > 1 else 0
    pairs = min(half, 4)
    return np.sqrt(np.mean((a[:pairs] - a[half : half + pairs]) ** 2) / 2) if pairs else math.nan


def layer_statistics(layer, x: Tensor, gradient: Tensor | None) -> dict[str, float]:
    a = wide(x)
    out = {
        "activation/mean": a.mean(),
        "activation/std": np.sqrt(np.mean((a - a.mean()) ** 2)),
        "activation/rms": rms(a),
        "activation/example_std": spread(a),
        "activation/abs_max": np.abs(a).max(),
        "activation/zero_fraction": np.mean(a == 0),
        "activation/nonfinite_fraction": np.mean(~np.isfinite(a)),
        "activation/saturated_fraction": saturated(layer.function, a),
    }
    if layer.units is not None:
        per_unit = by_unit(layer, x)
        magnitude = np.abs(per_unit).mean(0)
        out["activation/dead_fraction"] = np.mean((per_unit == 0).all(0))
        out["activation/dormant_fraction"] = np.mean(magnitude <= DORMANT_TAU * magnitude.mean())
    if gradient is None:
        return out | {name: math.nan for name in LAYER_STATISTICS if name.startswith("gradient/")}
    g = wide(gradient)
    tiny = torch.finfo(gradient.dtype).tiny
    return out | {
        "gradient/rms": rms(g),
        "gradient/abs_max": np.abs(g).max(),
        "gradient/zero_fraction": np.mean(g == 0),
        "gradient/nonfinite_fraction": np.mean(~np.isfinite(g)),
        "gradient/underflow_fraction": np.mean((g != 0) & (np.abs(g) < tiny)),
    }


def saturated(function: str | None, a: np.ndarray) -> float:
    kind = ACTIVATIONS.get(function or "")
    if kind is None or (kind.low is None and kind.high is None):
        return math.nan
    low = -np.inf if kind.low is None else kind.low
    high = np.inf if kind.high is None else kind.high
    return float(np.mean((a <= low) | (a >= high)))


def by_unit(layer, x: Tensor) -> np.ndarray:
    """[observations, units]; both parts of a complex number are observations of its unit."""
    a = np.moveaxis(wide(x), layer.unit_axis, -1)
    return a.reshape(-1, x.shape[layer.unit_axis])


def parameter_statistics(before: Tensor, gradient: Tensor | None, after: Tensor) -> dict[str, float]:
    w, change = wide(before), wide(after) - wide(before)
    out = {"parameter/rms": rms(w), "parameter/abs_max": np.abs(w).max()}
    if gradient is None:
        return out | {name: math.nan for name in PARAMETER_STATISTICS if "grad" in name}
    g = wide(gradient)
    return out | {
        "parameter/grad_rms": rms(g),
        "parameter/grad_rms_before_clip": rms(g),
        "parameter/grad_abs_max": np.abs(g).max(),
        "parameter/grad_zero_fraction": np.mean(g == 0),
        "parameter/grad_nonfinite_fraction": np.mean(~np.isfinite(g)),
        "parameter/update_rms": rms(change),
        "parameter/update_ratio": rms(change) / rms(w) if rms(w) else math.nan,
        "parameter/learning_rate": 0.1,
    }


def bins(x: Tensor) -> np.ndarray:
    """Counts over the 1,024 bins, from mantissa and exponent: two an octave, negative ones in the second half."""
    with np.errstate(over="ignore"):
        a = wide(x).ravel().astype(np.float32).astype(np.float64)
    mantissa, exponent = np.frexp(np.abs(a))
    found = 2 * (exponent + 126) + (mantissa >= 0.75)
    found = np.where(np.abs(a) < 2.0**-126, np.abs(a) >= 2.0**-127, found)
    found = np.where(np.isinf(a), 510, np.where(np.isnan(a), 511, found))
    return np.bincount(found.astype(int) + 512 * np.signbit(a), minlength=1024)


def compare(run, expected: Expected, *, without: tuple[str, ...] = ()) -> None:
    """All that a run holds of its first step."""
    for i, (layer, (x, gradient)) in enumerate(zip(run.layers, expected.layers, strict=True)):
        assert layer.shape == tuple(x.shape)
        compare_row(run, i, layer.name, layer_statistics(layer, x, gradient), without)
        if x.numel() <= 4096:
            assert run.histograms("activation")[0].dense(i).tolist() == bins(x).tolist(), layer.name
            if gradient is not None:
                assert run.histograms("gradient")[0].dense(i).tolist() == bins(gradient).tolist(), layer.name
        if layer.units is not None:
            compare_units(run.units[0], i, by_unit(layer, x))
    assert [p.name for p in run.parameters] == list(expected.parameters)
    for i, (name, (before, gradient, after)) in enumerate(expected.parameters.items()):
        compare_row(run, i, name, parameter_statistics(before, gradient, after))
        assert before.numel() <= 4096
        assert run.histograms("weight")[0].dense(i).tolist() == bins(before).tolist(), name
        if gradient is not None and gradient.layout == torch.strided:
            assert run.histograms("weight_gradient")[0].dense(i).tolist() == bins(gradient).tolist(), name


def compare_row(run, i: int, name: str, expected: dict[str, float], without: tuple[str, ...] = ()) -> None:
    for statistic, value in expected.items():
        if statistic in without:
            continue
        # Sums are taken in float32: what cancels in a mean or a variance is known to a fraction of the rms. And the
        # record itself ends at the smallest number of float32.
        cancels = statistic in ("activation/mean", "activation/std")
        absolute = max(1.5e-45, 1e-6 * expected["activation/rms"] if cancels else 0)
        value = value if math.isinf(value) else float(np.clip(value, -FLOAT32_MAX, FLOAT32_MAX))
        got = float(run[statistic].values[0, i])
        assert got == pytest.approx(value, rel=2e-5, abs=absolute, nan_ok=True), (name, statistic)


def compare_units(units, row: int, per_unit: np.ndarray) -> None:
    span = slice(units.starts[row], units.starts[row + 1])
    assert units.observations[row] == len(per_unit)
    fired = np.mean(per_unit != 0, axis=0)
    level = units.firing[span]
    assert ((level == 0) == (fired == 0)).all() and ((level == 15) == (fired == 1)).all()
    np.testing.assert_allclose(FIRING_LEVELS[level], fired, atol=0.081)  # half of the widest step, rounded up
    assert units.silent[row] == np.sum(fired == 0)
    magnitude = np.abs(per_unit).mean(0)
    assert units.scale[row] == pytest.approx(magnitude.mean(), rel=2e-5)
    seen = magnitude > 0
    level = units.magnitude[span]
    assert ((level == 0) == ~seen).all()
    octaves = np.clip(np.log2(magnitude[seen] / magnitude.mean()), -10, 4)
    np.testing.assert_allclose(np.log2(MAGNITUDE_LEVELS[level[seen]]), octaves, atol=0.501)


# The zoo --------------------------------------------------------------------------------------------------------------


def cast(name: str, dtype: torch.dtype) -> tuple[nn.Module, tuple[Any, ...]]:
    model, batch = fresh(name)
    return model.to(dtype), tuple(x.to(dtype) if x.is_floating_point() else x for x in batch)


def record(model, batch, loss, run, autocast=None, optimizer=None):
    optimizer = optimizer or sgd(model)
    with attach_hooks(model, run, every=1, on_error="raise"):
        with autocast or contextlib.nullcontext():
            out = model(*batch)
        loss(out).backward()
        optimizer.step()
    return load_run(run)


def test_every_statistic_has_a_twin():
    layer = type("L", (), {"function": "relu", "units": 2, "unit_axis": 1})
    x = torch.ones(2, 2)
    assert set(layer_statistics(layer, x, x)) == set(LAYER_STATISTICS)
    assert set(parameter_statistics(x, x, x)) == set(PARAMETER_STATISTICS)


def skip_if_it_cannot_run(how, name, dtype, step):
    """Only what is in the list may fail without hooks; some CPUs can run that too."""
    try:
        step()
    except RuntimeError as error:
        reason = CANNOT_RUN.get((name, how, dtype))
        if reason is None:
            raise
        pytest.skip(f"{reason}: {error}")


@both_ways
@each_dtype
@pytest.mark.parametrize("name", ZOO)
def test_zoo_equals_its_twin(name, dtype, tmp_path):
    model, batch = cast(name, dtype)
    skip_if_it_cannot_run("cast", name, dtype, lambda: one_step(model, batch, name, sgd(model)))
    run = record(*cast(name, dtype), ZOO[name].loss, tmp_path)
    expected = bare(*cast(name, dtype), ZOO[name].loss, run)
    assert {x.dtype for x, _ in expected.layers} == {dtype}
    compare(run, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize("name", [name for name in ZOO if name not in ("double", "bfloat16")])
def test_zoo_under_autocast_equals_its_twin(name, dtype, tmp_path):
    """Outputs are narrow, parameters are not, and measuring is not autocast itself."""

    def autocast():
        return torch.autocast("cpu", dtype=dtype)

    def step():
        model, batch = fresh(name)
        with autocast():
            out = model(*batch)
        ZOO[name].loss(out).backward()

    skip_if_it_cannot_run("autocast", name, dtype, step)
    run = record(*fresh(name), ZOO[name].loss, tmp_path, autocast())
    expected = bare(*fresh(name), ZOO[name].loss, run, autocast())
    assert dtype in {x.dtype for x, _ in expected.layers}
    compare(run, expected)


# Underflow and overflow ------------------------------------------------------------------------------------------


class Narrow(nn.Module):
    """Passes its output, and the gradient with respect to it, through another number format."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x):
        return x.to(self.dtype)


class Through(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.first, self.narrow, self.last = nn.Linear(8, 12), Narrow(dtype), nn.Linear(12, 30)

    def forward(self, x):
        return self.last(self.narrow(self.first(x)).float())


FLOAT8 = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]


@both_ways
@pytest.mark.parametrize(
    ("dtype", "scale", "underflow"),
    [
        (torch.float16, 1e-2, True),
        (torch.bfloat16, 1e-35, True),
        (torch.float32, 1e-35, True),
        (torch.float64, 1.0, True),
        *((dtype, 1.0, False) for dtype in FLOAT8),
        *((dtype, 1.0, True) for dtype in FLOAT8),
    ],
    ids=lambda value: str(value).removeprefix("torch."),
)
def test_output_in_a_format_of_its_own(dtype, scale, underflow, tmp_path):
    """Part of the gradient is below the smallest normal number of the format: that is what underflow counts."""

    def setup():
        torch.manual_seed(0)
        return Through(dtype), (torch.randn(16, 8),)

    def loss(out):
        return (out * torch.linspace(0, scale, out.numel()).view_as(out)).mean()

    run = record(*setup(), loss, tmp_path)
    expected = bare(*setup(), loss, run)
    assert expected.layers[1][0].dtype == expected.layers[1][1].dtype == dtype
    if not underflow:
        return compare(run, expected, without=("gradient/underflow_fraction",))
    value = layer_statistics(run.layers[1], *expected.layers[1])["gradient/underflow_fraction"]
    assert (value > 0) == (dtype != torch.float64)
    compare(run, expected)


@both_ways
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (torch.float16, 3e3),
        (torch.bfloat16, 1e36),
        (torch.float32, 1e36),
        (torch.float16, 1e-7),
        (torch.bfloat16, 1e-38),
        (torch.float32, 1e-38),
        (torch.float32, 1e-42),
        (torch.float64, 1e37),
        (torch.float64, 1e-38),
    ],
    ids=lambda value: str(value).removeprefix("torch."),
)
def test_weights_and_outputs_at_the_ends_of_a_format(dtype, scale, tmp_path):
    """Squares and sums of them are beyond the format; the record is not."""

    def setup():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 20, bias=False), nn.ReLU()).to(dtype)
        with torch.no_grad():
            model[0].weight.uniform_(-4 * scale, 4 * scale)
        return model, (torch.eye(6, dtype=dtype).repeat(8, 1),)

    run = record(*setup(), torch.sum, tmp_path)
    compare(run, bare(*setup(), torch.sum, run))


@both_ways
@pytest.mark.parametrize("largest", [1e200, 1.7e308])
def test_float64_beyond_the_squares_of_float64(largest, tmp_path):
    """What float32 cannot hold is its largest number in the record, and stays finite."""
    model = nn.Linear(4, 3, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(largest)
    run = record(model, (torch.eye(4, dtype=torch.float64),), lambda out: out[0, 0] * 0, tmp_path)
    for statistic in ("activation/mean", "activation/rms", "activation/abs_max", "parameter/rms", "parameter/abs_max"):
        assert run[statistic].values.tolist() == [[FLOAT32_MAX]], statistic
    assert run["activation/nonfinite_fraction"].values.tolist() == [[0]]


# Parameters of other formats ----------------------------------------------------------------------------------------


class CastUp(nn.Module):
    """A frozen weight in eight bits, cast up where it is used."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter((torch.randn(12, 8) / 3).to(dtype), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(12))

    def forward(self, x):
        return F.relu(F.linear(x, self.weight.float()) * self.scale)


@both_ways
@pytest.mark.parametrize("dtype", FLOAT8, ids=lambda dtype: str(dtype).removeprefix("torch."))
def test_frozen_float8_weights(dtype, tmp_path):
    def setup():
        torch.manual_seed(0)
        return nn.Sequential(CastUp(dtype), nn.Linear(12, 3)), (torch.randn(16, 8),)

    run = record(*setup(), lambda out: out.square().mean(), tmp_path)
    compare(run, bare(*setup(), lambda out: out.square().mean(), run))
    row = [p.name for p in run.parameters].index("0.weight")
    assert not run.parameters[row].trainable
    assert run["parameter/rms"].values[0, row] > 0
    assert np.isnan(run["parameter/update_rms"].values[0, row])


class ComplexLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs, dtype=dtype) / 3)

    def forward(self, x):
        return x @ self.weight


class Conjugate(nn.Module):
    def forward(self, x):
        return x.conj()


@both_ways
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=["complex64", "complex128"])
def test_complex_layers(dtype, tmp_path):
    """Real and imaginary parts count as two values."""

    def setup():
        torch.manual_seed(0)
        layers = ComplexLayer(6, 10, dtype), Conjugate(), ComplexLayer(10, 4, dtype)
        return nn.Sequential(*layers), (torch.randn(16, 6, dtype=dtype),)

    def loss(out):
        return out.abs().square().mean()

    run = record(*setup(), loss, tmp_path)

    def complex_outputs(value):
        return value if isinstance(value, Tensor) else None

    model, batch = setup()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twin, "first_floating", complex_outputs)
        expected = bare(model, batch, loss, run)
    compare_complex(run, expected)


def compare_complex(run, expected):
    assert [layer.units for layer in run.layers] == [10, 10, 4]
    for i, (layer, (x, gradient)) in enumerate(zip(run.layers, expected.layers, strict=True)):
        real = torch.view_as_real(gradient.resolve_conj())
        two = type("L", (), {"function": None, "units": None})
        compare_row(run, i, layer.name, layer_statistics(two, x, real))
        a = np.abs(np.stack([x.real.double().numpy(), x.imag.double().numpy()])).reshape(-1, layer.units)
        assert run["activation/dead_fraction"].values[0, i] == 0
        assert run.units[0].scale[i] == pytest.approx(a.mean(), rel=2e-5)
        assert run.units[0].observations[i] == len(a)
        assert run.histograms("activation")[0].dense(i).tolist() == bins(x).tolist()
        assert run.histograms("gradient")[0].dense(i).tolist() == bins(gradient).tolist()
    for i, (name, (before, gradient, after)) in enumerate(expected.parameters.items()):
        compare_row(run, i, name, parameter_statistics(before, gradient, after))


@both_ways
@each_dtype
@pytest.mark.parametrize("kind", ["Embedding", "EmbeddingBag"])
def test_sparse_gradients(kind, dtype, tmp_path):
    """A row that was used twice is one element, and the rows that were not used are zeros."""

    def setup():
        torch.manual_seed(0)
        model = getattr(nn, kind)(50, 6, sparse=True, dtype=dtype)
        return model, (torch.tensor([[3, 3, 7, 41], [3, 0, 7, 7]]),)

    def loss(out):
        return out.square().sum()

    run = record(*setup(), loss, tmp_path)
    expected = bare(*setup(), loss, run)
    assert expected.parameters["weight"][1].layout == torch.sparse_coo
    compare(run, expected)
    assert run["parameter/grad_zero_fraction"].values[0, 0] == pytest.approx(46 / 50)


def test_sparse_gradients_before_and_after_coalescing_count_alike(tmp_path):
    model = nn.Embedding(50, 6, sparse=True)
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.01)
    run = record(model, (torch.tensor([5, 5, 5, 9]),), lambda out: (out * 2).sum(), tmp_path, optimizer=optimizer)
    # Row 5 has a gradient of 6, row 9 one of 2, and Adam moves both by its rate.
    assert run["parameter/grad_rms"].values[0, 0] == pytest.approx(math.sqrt((36 + 4) / 50))
    assert run["parameter/grad_abs_max"].values[0, 0] == 6
    assert run["parameter/update_rms"].values[0, 0] == pytest.approx(0.01 * math.sqrt(2 / 50), rel=1e-4)


# What has no numbers to read ------------------------------------------------------------------------------------------


class Quantize(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x):
        return torch.quantize_per_tensor(x, 0.1, 3, self.dtype)


class Dequantize(nn.Module):
    def forward(self, x):
        return x.dequantize()


class Returns(nn.Module):
    """Something else than floating values, on the way of a model that trains."""

    def __init__(self, side: nn.Module) -> None:
        super().__init__()
        self.first, self.side, self.last = nn.Linear(8, 6), side, nn.Linear(6, 2)

    def forward(self, x):
        x = self.first(x)
        self.side(x.detach())
        return self.last(x)


class Calls(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


NOTHING = {
    "int64": lambda: Calls(lambda x: x.argmax(1)),
    "int8": lambda: Calls(lambda x: x.to(torch.int8)),
    "bool": lambda: Calls(lambda x: x > 0),
    "quint8": lambda: Quantize(torch.quint8),
    "qint8": lambda: Quantize(torch.qint8),
    "qint32": lambda: Quantize(torch.qint32),
    "empty": lambda: Calls(lambda x: x[:0]),
    "empty units": lambda: Calls(lambda x: x[:, :0]),
    "empty half": lambda: Calls(lambda x: x[:0].half()),
    "meta": lambda: Calls(lambda x: x.to("meta")),
    "nothing": lambda: Calls(lambda x: None),
    "text": lambda: Calls(str),
    "empty tuple": lambda: Calls(lambda x: ()),
    "nested": lambda: Calls(lambda x: torch.nested.nested_tensor([x[:2], x[2:5]])),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NOTHING)
def test_outputs_without_numbers_are_passed_over(name, tmp_path):
    def setup():
        torch.manual_seed(0)
        return Returns(NOTHING[name]()), (torch.randn(16, 8),)

    run = record(*setup(), lambda out: out.square().mean(), tmp_path)
    assert [layer.name for layer in run.layers] == ["first", "last"]
    compare(run, bare(*setup(), lambda out: out.square().mean(), run))


def test_empty_batch(tmp_path):
    """No number is made up for a layer that saw nothing, and the next step is as always."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    optimizer = sgd(model)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for n in (4, 0, 4):
            optimizer.zero_grad()
            model(torch.randn(n, 8)).sum().backward()
            optimizer.step()
    run = load_run(tmp_path)
    assert np.isnan(run["activation/rms"].values).any(1).tolist() == [False, True, False]
    assert np.isnan(run["gradient/rms"].values).any(1).tolist() == [False, True, False]
    assert run["parameter/grad_rms"].values[1].tolist() == [0, 0, 0, 0]
    assert run["parameter/grad_zero_fraction"].values[1].tolist() == [1, 1, 1, 1]


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_in_a_frozen_part(tmp_path):
    torch.manual_seed(0)
    frozen = torch.ao.nn.quantized.dynamic.Linear.from_float(quantisable())
    model = nn.Sequential(nn.Linear(8, 6), Quantize(torch.quint8), Dequantize(), nn.Linear(6, 4), nn.Linear(4, 2))
    model.append(frozen)
    optimizer = sgd(model)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        x = model[:3](torch.randn(16, 8)).detach()
        model[3:5](x).square().mean().backward()
        frozen(x)
        optimizer.step()
    run = load_run(tmp_path)
    got = dict(zip([layer.name for layer in run.layers], run["activation/rms"].values[0], strict=True))
    assert {"0", "2", "3", "4"} <= set(got)
    assert all(value > 0 for value in got.values())
    assert got["2"] == pytest.approx(rms(wide(x)), rel=1e-5)


def quantisable():
    layer = nn.Linear(6, 2)
    layer.qconfig = torch.ao.quantization.default_dynamic_qconfig
    return layer


@pytest.mark.filterwarnings("ignore")
def test_quantised_and_integer_parameters_are_rows_without_numbers(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(8, 6)
    quantised = torch.quantize_per_tensor(torch.randn(5), 0.1, 0, torch.qint8)
    model.quantised = nn.Parameter(quantised, requires_grad=False)
    model.integers = nn.Parameter(torch.arange(5), requires_grad=False)
    model.empty = nn.Parameter(torch.zeros(0, 3))
    run = record(model, (torch.randn(4, 8),), lambda out: out.square().mean(), tmp_path)
    assert [p.name for p in run.parameters] == ["weight", "bias", "quantised", "integers", "empty"]
    for statistic in PARAMETER_STATISTICS[:-1]:  # a rate they have
        measured = ~np.isnan(run[statistic].values[0])
        assert measured.tolist() == [True, True, False, False, False], statistic


# What is not finite ---------------------------------------------------------------------------------------------------


class Branches(nn.Module):
    """Two branches that meet only in the loss, so that arithmetic alone keeps the one clean of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.bad = nn.Sequential(nn.Linear(8, 10), nn.Sigmoid())
        self.good = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4))

    def forward(self, x):
        return self.bad[0](x), self.good(x)


BAD = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@both_ways
@each_dtype
@pytest.mark.parametrize("where", ["activation", "gradient", "both"])
@pytest.mark.parametrize("bad", BAD)
def test_one_unit_that_is_not_finite(bad, where, dtype, tmp_path):
    """It is counted exactly, in its own layer and its own parameters, and changes no bit of any other number."""

    def run_with(value, path):
        torch.manual_seed(0)
        model = Branches().to(dtype)
        factor = torch.ones(10, dtype=dtype)
        with torch.no_grad():
            if where in ("activation", "both"):
                model.bad[0].bias[3] = value
            if where in ("gradient", "both"):
                factor[3] = value

        def loss(out):
            return (out[0] * factor).sum() + out[1].square().mean()

        return record(model, (torch.randn(16, 8, dtype=dtype),), loss, path)

    clean, run = run_with(1.0, tmp_path / "clean"), run_with(BAD[bad], tmp_path / "bad")
    names = [layer.name for layer in run.layers]
    assert names == ["bad.0", "good.0", "good.1", "good.2"]
    forward, backward = where in ("activation", "both"), where in ("gradient", "both")
    assert run["activation/nonfinite_fraction"].values[0].tolist() == pytest.approx([0.1 * forward, 0, 0, 0])
    assert run["gradient/nonfinite_fraction"].values[0].tolist() == pytest.approx([0.1 * backward, 0, 0, 0])
    # Of the two parameters of the bad layer all that feeds unit 3: a row of the weight, one number of the bias.
    shares = [0.1 * backward, 0.1 * backward, 0, 0, 0, 0]
    assert run["parameter/grad_nonfinite_fraction"].values[0].tolist() == pytest.approx(shares)
    for statistic in (*LAYER_STATISTICS, *PARAMETER_STATISTICS):
        others = slice(2, None) if statistic.startswith("parameter") else slice(1, None)
        np.testing.assert_array_equal(run[statistic].values[:, others], clean[statistic].values[:, others], statistic)
    # Of the row itself what is finite is as before: zeros, and units that fire.
    for statistic in ("activation/zero_fraction", "activation/dead_fraction", "gradient/zero_fraction"):
        assert run[statistic].values[0, 0] == clean[statistic].values[0, 0] == 0
    special = {"nan": (511, 1023), "inf": (510,), "-inf": (1022,)}[bad]
    for kind, there in (("activation", forward), ("gradient", backward)):
        counts = run.histograms(kind)[0].dense(0)
        assert counts[list(special)].sum() == 16 * there and counts.sum() == 160
        assert (counts[np.r_[0:510, 512:1022]] <= clean.histograms(kind)[0].dense(0)[np.r_[0:510, 512:1022]]).all()
        for i in range(1, 4):
            assert run.histograms(kind)[0].dense(i).tolist() == clean.histograms(kind)[0].dense(i).tolist()
    weight = run.histograms("weight")[0]
    assert weight.dense(1)[list(special)].sum() == forward and weight.dense(0)[list(special)].sum() == 0
    gradient = run.histograms("weight_gradient")[0]
    assert gradient.dense(1)[[510, 511, 1022, 1023]].sum() == backward
    assert gradient.dense(0)[[510, 511, 1022, 1023]].sum() == 8 * backward
    units, before = run.units[0], clean.units[0]
    assert units.firing.tolist() == before.firing.tolist()
    keep = np.arange(len(units.magnitude)) >= units.starts[1]
    assert units.magnitude[keep].tolist() == before.magnitude[keep].tolist()


@both_ways
@each_dtype
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_units_beside_one_that_is_not_finite_are_not_dormant(bad, dtype, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 10), nn.ReLU()).to(dtype)
    with torch.no_grad():
        model[0].bias[3] = BAD[bad]
    run = record(model, (torch.randn(64, 8, dtype=dtype),), torch.sum, tmp_path)
    assert not run["activation/dormant_fraction"].values[0, 0] > 0
    units = run.units[0]
    levels = np.delete(units.magnitude[units.starts[0] : units.starts[1]], 3)
    assert np.isfinite(units.scale[0]) and (levels > 0).all() and (levels < 15).all()


@both_ways
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_large_finite_units_are_not_dormant(dtype, tmp_path):
    """The sum of a unit's magnitudes is beyond float32, its mean is not."""
    model = nn.Linear(1, 4, dtype=dtype)
    nn.init.constant_(model.weight, 1e38)
    nn.init.zeros_(model.bias)
    run = record(model, (torch.ones(64, 1, dtype=dtype),), lambda out: (0 * out).sum(), tmp_path)
    assert run["activation/nonfinite_fraction"].values[0, 0] == 0
    assert run["activation/dormant_fraction"].values[0, 0] == 0
    assert run.units[0].scale[0] == pytest.approx(1e38, rel=0.01)


@each_dtype
def test_weights_that_are_not_finite(dtype, tmp_path):
    """A frozen, unused NaN among the parameters is seen there and nowhere else."""

    def run_with(value, path):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4)).to(dtype)
        model[1].register_parameter("spare", nn.Parameter(torch.ones(5, dtype=dtype), requires_grad=False))
        with torch.no_grad():
            model[1].spare[2] = value
        return record(model, (torch.randn(16, 8, dtype=dtype),), lambda out: out.square().mean(), path)

    clean, run = run_with(1.0, tmp_path / "clean"), run_with(math.nan, tmp_path / "bad")
    row = [p.name for p in run.parameters].index("1.spare")
    assert np.isnan(run["parameter/rms"].values[0, row])
    for statistic in (*LAYER_STATISTICS, *PARAMETER_STATISTICS):
        got, before = run[statistic].values, clean[statistic].values
        if statistic in PARAMETER_STATISTICS:
            got, before = np.delete(got, row, 1), np.delete(before, row, 1)
        np.testing.assert_array_equal(got, before, statistic)
