"""The zoo against its twin: every row's numbers, its name, its units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.torchvitals import twin
from tests.torchvitals.training import fresh, one_step, record
from tests.zoo import ZOO
from torchvitals import attach_hooks
from torchvitals_tb import load_run


@pytest.mark.parametrize("name", ZOO)
def test_rows_in_execution_order(name, tmp_path):
    assert tuple(layer.name for layer in record(tmp_path, name).layers) == ZOO[name].rows


@pytest.mark.parametrize("name", ZOO)
def test_layers_equal_their_twin(name, tmp_path):
    run = record(tmp_path, name)
    model, batch = fresh(name)
    expected = twin.Recording(model)
    one_step(model, batch, name, torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1))
    modules = [layer.name for layer in run.layers if layer.kind == "module"]
    assert modules == [key for key in expected.activations if key in modules] and modules
    for i, layer in enumerate(run.layers):
        if layer.kind != "module":
            continue
        x = expected.activations[layer.name]
        compare(run, "activation", i, twin.activation_statistics(x))
        if layer.units is not None:
            compare(run, "activation", i, twin.unit_statistics(x, layer.unit_axis))
        assert layer.shape == tuple(x.shape)
        if layer.name in expected.gradients:
            compare(run, "gradient", i, twin.gradient_statistics(expected.gradients[layer.name]))
        else:
            assert np.isnan(run["gradient/rms"].values[0, i])


def compare(run, kind, row, expected):
    for statistic, value in expected.items():
        got = run[f"{kind}/{statistic}"].values[0, row]
        assert got == pytest.approx(value, rel=1e-4, abs=1e-6 * max(expected.get("rms", 0), 1e-30)), statistic


def test_functions_equal_their_twin(tmp_path):
    run = record(tmp_path, "functional")
    model, (x,) = fresh("functional")
    outputs = {}

    def keep(key, value):
        outputs[key] = value
        value.retain_grad()
        return value

    x = keep("a/gelu", F.gelu(model.a(x)))
    x = keep("b/relu", model.b(x).relu())
    x = keep("c/tanh", torch.tanh(model.c(x)))
    x = keep("d/silu", F.silu(model.d(x)))
    x = keep("d/silu/clamp", x.clamp(min=0))
    x.square().mean().backward()
    for i, layer in enumerate(run.layers):
        if layer.kind == "function":
            compare(run, "activation", i, twin.activation_statistics(outputs[layer.name]))
            compare(run, "gradient", i, twin.gradient_statistics(outputs[layer.name].grad))
            assert layer.function == layer.type == layer.name.rpartition("/")[2]
            assert layer.source.startswith("__init__.py:")
            assert layer.parent == ""


def test_source_is_where_a_layer_is_called(tmp_path):
    import inspect

    lines, start = inspect.getsourcelines(type(fresh("residual")[0]).forward)
    for layer in record(tmp_path, "residual").layers:
        name = layer.name.rpartition("/")[0] or layer.name
        file, _, line = layer.source.partition(":")
        assert file == "__init__.py"
        wanted = {"bn1/relu": "F.relu(", "bn2/relu": "torch.relu_("}.get(layer.name, f"self.{name}(")
        assert wanted in lines[int(line) - start]


def test_inplace_output_is_measured_before_it_is_overwritten(tmp_path):
    run = record(tmp_path, "inplace mlp")
    assert run["activation/zero_fraction"].values[0, 0] == 0
    assert run["activation/zero_fraction"].values[0, 1] > 0.2
    assert run["activation/mean"].values[0, 1] > 0.1


@pytest.mark.parametrize(
    ("name", "row", "units", "axis"),
    [
        ("residual", "conv1", 6, 1),
        ("residual", "bn2/relu", 6, 1),
        ("residual", "head", 5, 1),
        ("attention", "block.linear1/relu", 16, 2),
        ("attention", "block.norm1", 8, 2),
        ("recurrent", "lstm", 6, 2),
        ("channels last", "1", 5, 1),
        ("mlp", "1", 12, 1),
    ],
)
def test_unit_axis(name, row, units, axis, tmp_path):
    (layer,) = [layer for layer in record(tmp_path, name).layers if layer.name == row]
    assert (layer.units, layer.unit_axis) == (units, axis)


def test_saturated_only_where_there_are_bounds(tmp_path):
    run = record(tmp_path, "mlp")
    saturated = run["activation/saturated_fraction"].values[0]
    assert np.isnan(saturated[:3]).all() and saturated[3] >= 0
    model, (x,) = fresh("mlp")
    assert saturated[3] == pytest.approx((model(x).abs() >= 0.97).float().mean().item())


def test_edges_follow_the_data(tmp_path):
    run = record(tmp_path, "residual")
    names = [layer.name for layer in run.layers]
    edges = {(names[a], names[b]) for a, b in run.manifest.edges}
    assert edges == {
        ("conv1", "bn1"), ("bn1", "bn1/relu"), ("bn1/relu", "conv2"), ("conv2", "bn2"),
        ("bn2", "bn2/relu"), ("bn1/relu", "bn2/relu"), ("bn2/relu", "head"),
    }  # fmt: skip


def test_histograms_count_the_layer(tmp_path):
    run = record(tmp_path, "mlp")
    model, (x,) = fresh("mlp")
    expected = np.bincount(x_bins(model[0](x)), minlength=1024)
    assert run.histograms("activation")[0].dense(0).tolist() == expected.tolist()
    weights = np.bincount(x_bins(model[0].weight), minlength=1024)
    assert run.histograms("weight")[0].dense(0).tolist() == weights.tolist()
    assert run.histograms("gradient")[0].dense(1).sum() == 16 * 12


def x_bins(x):
    return x.detach().numpy().ravel().view(np.uint32) >> 22


def test_units_add_up_between_records(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    fired = []
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(9):
            out = model(torch.randn(10, 4))
            fired.append((out != 0).sum(0))
            optimizer.zero_grad()
            out.square().mean().backward()
            optimizer.step()
    units = load_run(tmp_path).units
    assert units.steps.tolist() == [0, 1, 2, 3, 4, 8]
    last = units[5]
    assert last.observations.tolist() == [40, 40]
    expected = torch.stack(fired[5:9]).sum(0) / 40
    from torchvitals_tb.packing import FIRING_LEVELS

    levels = FIRING_LEVELS[last.firing[last.starts[1] :]]
    assert ((levels == 0) == (expected == 0).numpy()).all()
    np.testing.assert_allclose(levels, expected, atol=0.1)


def test_dead_unit_is_exactly_the_one_that_never_fires(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1))
    with torch.no_grad():
        model[0].bias[2] = -100
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(5):
            model(torch.randn(64, 4)).mean().backward()
            optimizer.step()
    run = load_run(tmp_path)
    np.testing.assert_allclose(run["activation/dead_fraction"].values[:, 1], 1 / 6, rtol=1e-6)
    for _, record_ in run.units:
        assert (record_.firing[6:12] == 0).tolist() == [False, False, True, False, False, False]


def test_accumulated_micro_batches_add_up(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    parts = [torch.randn(5, 4), torch.randn(9, 4) * 3]
    outputs = [model[0](x) for x in parts]
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for x in parts:
            (model(x).square().mean() / 2).backward()
        optimizer.step()
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == ["0", "1"]
    compare(run, "activation", 0, twin.activation_statistics(torch.cat(outputs)))


def test_submodules_called_directly(tmp_path):
    class Gan(nn.Module):
        def __init__(self):
            super().__init__()
            self.g, self.d = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())

    model = Gan()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(2):
            (model.d(torch.randn(5, 4)).mean() - torch.relu(model.d(model.g(torch.randn(5, 3)))).mean()).backward()
            optimizer.step()
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == ["d.0", "d.1", "g", "d.0@1", "d.1@1"]
    assert not np.isnan(run["gradient/rms"].values).any()


def test_branch_taken_on_some_steps_only(tmp_path):
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x, second):
            return self.b(self.a(x)) if second else self.a(x)

    model = Branches()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for second in (False, True, False):
            optimizer.zero_grad()
            model(torch.randn(5, 3), second).mean().backward()
            optimizer.step()
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == ["a", "b"]
    assert np.isnan(run["activation/rms"].values).tolist() == [[False, True], [False, False], [False, True]]
    assert np.isnan(run["gradient/rms"].values).tolist() == [[False, True], [False, False], [False, True]]


def test_forwards_without_gradients_are_ignored(tmp_path):
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        with torch.no_grad():
            model(torch.full((3, 8), 1e6))
        one_step(model, batch, "mlp", optimizer)
        with torch.inference_mode():
            model(torch.full((3, 8), 1e6))
        one_step(model, batch, "mlp", optimizer)
    assert load_run(tmp_path)["activation/abs_max"].values.max() < 100


def test_non_finite_is_found_where_it_begins(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        model[2].weight[1, 1] = float("inf")
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(torch.randn(5, 3)).mean().backward()
        optimizer.step()
    run = load_run(tmp_path)
    fraction = run["activation/nonfinite_fraction"].values[0]
    assert fraction[0] == fraction[1] == 0 and fraction[2] > 0
    assert np.isfinite(run["activation/rms"].values[0, :2]).all()


def test_an_activation_of_the_users_own_is_known_by_what_it_calls(tmp_path):
    class Act(nn.Module):
        def forward(self, x):
            return F.relu(x)

    class Swish(nn.Module):
        def forward(self, x):
            return x * torch.sigmoid(x)

    model = nn.Sequential(nn.Linear(4, 4), Act(), nn.Linear(4, 4), Swish())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(torch.randn(8, 4)).mean().backward()
        optimizer.step()
    layers = load_run(tmp_path).layers
    assert [(layer.name, layer.function) for layer in layers] == [("0", None), ("1", "relu"), ("2", None), ("3", None)]


def test_include_and_exclude(tmp_path):
    run = record(tmp_path / "a", "residual", include=["conv*", "head"], exclude="conv2")
    assert [layer.name for layer in run.layers] == ["conv1", "head"]
    assert {p.layer for p in run.parameters} == {"conv1", "head"}
    with pytest.raises(ValueError, match=r"include='cnov1' matches no module.*'conv1'"):
        record(tmp_path / "b", "residual", include="cnov1")
