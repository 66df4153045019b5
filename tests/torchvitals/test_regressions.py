"""One test per bug that was found once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.tensorboard import SummaryWriter

from tests.torchvitals.training import fresh, one_step
from torchvitals import attach_hooks
from torchvitals_tb import load_run


def train(model, batches, run=None, parameters=None, **options):
    """Losses and weights after a few steps; recorded when there is a run."""
    optimizer = torch.optim.SGD(parameters or [p for p in model.parameters() if p.requires_grad], lr=0.1)
    vitals = attach_hooks(model, run, **({"every": 1, "on_error": "raise"} | options)) if run else None
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if vitals:
        vitals.remove()
    return losses, [p.detach().clone() for p in model.parameters()], load_run(run) if run else None


def names(run):
    return [layer.name for layer in run.layers]


@pytest.mark.parametrize("no_grad", [False, True])
def test_fused_attention_of_a_frozen_encoder_gives_the_same_bits(no_grad, tmp_path):
    class Student(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.teacher = nn.TransformerEncoder(layer, 2).requires_grad_(False).eval()
            self.head = nn.Linear(16, 3)

        def forward(self, x):
            with torch.set_grad_enabled(not no_grad):
                x = self.teacher(x)
            return F.relu(self.head(x))

    def outcome(run):
        torch.manual_seed(0)
        return train(Student(), [torch.randn(4, 5, 16) for _ in range(3)], run)

    bare, recorded = outcome(None), outcome(tmp_path)
    assert bare[0] == recorded[0]
    assert all(torch.equal(a, b) for a, b in zip(bare[1], recorded[1], strict=True))
    assert names(recorded[2])[-2:] == ["head", "head/relu"]


def test_writer_that_fails_inside_a_step_beside_other_hooks(tmp_path):
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    writer = SummaryWriter(str(tmp_path))
    attach_hooks(model, writer, every=1)
    after_ours = register_optimizer_step_post_hook(lambda *_: None)
    try:
        writer.close()
        one_step(model, batch, "mlp", optimizer)
        one_step(model, batch, "mlp", optimizer)
    finally:
        after_ours.remove()


def test_interrupt_in_the_forward_leaves_nothing_behind(tmp_path):
    class Stops(nn.Module):
        stop = False

        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x):
            x = F.relu(self.a(x))
            if self.stop:
                raise KeyboardInterrupt
            return x

    torch.manual_seed(0)
    model = Stops()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model.stop = True
        with pytest.raises(KeyboardInterrupt):
            model(torch.randn(2, 3))
        model.stop = False
        with torch.no_grad():
            for _ in range(5):
                model(torch.randn(2, 3) * 1e6)
        assert torch._C._len_torch_function_stack() == 0
        model(torch.randn(2, 3)).mean().backward()
        optimizer.step()
    run = load_run(tmp_path)
    assert names(run) == ["a", "a/relu"]


def test_a_mode_of_the_users_own_is_never_taken_for_ours(tmp_path):
    class Removes(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x):
            with torch.device("meta"):
                vitals.remove()
                assert torch.empty(1).device.type == "meta"
            return self.a(x)

    model = Removes()
    vitals = attach_hooks(model, tmp_path, every=1, on_error="raise")
    model(torch.randn(2, 3))
    assert torch.empty(1).device.type == "cpu" and torch._C._len_torch_function_stack() == 0


def test_the_users_compile_stance_stays(tmp_path):
    stance = torch._dynamo.eval_frame._stance.stance
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    try:
        with attach_hooks(model, tmp_path, every=100):
            torch.compiler.set_stance("eager_on_recompile")
            one_step(model, batch, "mlp", optimizer)
            assert torch._dynamo.eval_frame._stance.stance == "eager_on_recompile"
    finally:
        torch.compiler.set_stance(stance)


def test_parametrized_layers_are_layers(tmp_path):
    from torch.nn.utils.parametrizations import spectral_norm, weight_norm

    model = nn.Sequential(weight_norm(nn.Linear(4, 6)), nn.ReLU(), spectral_norm(nn.Linear(6, 4)))
    _, _, run = train(model, [torch.randn(8, 4)], tmp_path / "three")
    assert names(run) == ["0", "1", "2"]
    assert {p.layer for p in run.parameters} == {"0", "2"}
    _, _, alone = train(weight_norm(nn.Linear(4, 6)), [torch.randn(8, 4)], tmp_path / "alone")
    assert {p.layer for p in alone.parameters} == {""}
    assert [layer.units for layer in run.layers] == [6, 6, 4]


def test_the_batch_is_never_taken_for_units(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.Flatten(), nn.ReLU(), nn.Linear(16 * 4, 2))
    _, _, run = train(model, [torch.randn(16, 1, 4, 4), torch.randn(4, 1, 4, 4)], tmp_path)
    assert [(layer.units, layer.unit_axis) for layer in run.layers] == [(16, 1), (64, 1), (64, 1), (2, 1)]
    assert np.isfinite(run["activation/dead_fraction"].values).all()


def test_time_is_never_taken_for_units(tmp_path):
    class Projection(nn.Module):
        """Like the Conv1D of GPT-2: not a module of PyTorch's."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8, 24) * 0.1)

        def forward(self, x):
            return x @ self.weight

    model = nn.Sequential(nn.LayerNorm(8), Projection(), nn.GELU())
    _, _, run = train(model, [torch.randn(3, 8, 8)], tmp_path)  # as many steps in time as features
    assert [(layer.units, layer.unit_axis) for layer in run.layers] == [(8, 2), (24, 2), (24, 2)]


def test_layer_norm_over_channels_in_front(tmp_path):
    class LayerNorm2d(nn.LayerNorm):
        def forward(self, x):
            return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias).permute(
                0, 3, 1, 2
            )

    model = nn.Sequential(nn.Conv2d(3, 5, 3), LayerNorm2d(5), nn.ReLU())
    _, _, run = train(model, [torch.randn(4, 3, 8, 8)], tmp_path)
    assert [(layer.units, layer.unit_axis) for layer in run.layers] == [(5, 1)] * 3


def test_units_without_histograms(tmp_path):
    _, _, run = train(nn.Sequential(nn.Linear(4, 6), nn.ReLU()), [torch.randn(8, 4)] * 2, tmp_path, histograms=False)
    assert run.has_units and not run.histogram_kinds


@pytest.mark.parametrize("every", [1, 10])
def test_the_step_count_does_not_depend_on_what_is_sampled(every, tmp_path):
    class Gan(nn.Module):
        def __init__(self):
            super().__init__()
            self.g, self.d = nn.Linear(3, 4), nn.Linear(4, 1)

    model = Gan()
    og, od = (torch.optim.SGD(m.parameters(), lr=0.1) for m in (model.g, model.d))
    with attach_hooks(model, tmp_path, every=every, on_error="raise") as vitals:
        for _ in range(20):
            for optimizer in (od, og):
                model.zero_grad()
                model.d(model.g(torch.randn(5, 3))).mean().backward()
                optimizer.step()
        assert vitals.step == 20


def test_functions_in_a_block_with_a_parameter_of_its_own(tmp_path):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(4))
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return F.relu(self.b(F.relu(self.a(x)))) * self.gamma

    _, _, run = train(nn.Sequential(Block()), [torch.randn(8, 4)], tmp_path)
    assert names(run) == ["0.a", "0.a/relu", "0.b", "0.b/relu", "0"]


def test_row_names_are_unique(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()
            self.d = nn.ModuleDict({"u@v": nn.Linear(4, 4), "u": nn.Linear(4, 4)})

        def forward(self, x):
            x = self.relu(F.relu(x))
            return F.relu(self.d["u"](F.relu(self.d["u@v"](x))))

    _, _, run = train(Net(), [torch.randn(8, 4)], tmp_path)
    assert names(run) == ["Net/relu", "relu", "d.u@v", "d.u@v/relu", "d.u", "d.u/relu"]


def test_another_thread_is_not_recorded(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            x = self.a(x)
            if torch.is_grad_enabled():
                other = threading.Thread(target=validate)
                other.start()
                other.join()
            return self.b(x)

    model = Net()

    def validate():
        with torch.no_grad():
            model(torch.full((2, 4), 1e6))

    _, _, run = train(model, [torch.randn(8, 4)], tmp_path)
    assert names(run) == ["a", "b"]
    assert run["activation/abs_max"].values.max() < 100


def test_pause_in_the_middle_of_a_step(tmp_path):
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        loss = model(*batch).square().mean()
        with vitals.paused():
            pass
        loss.backward()
        optimizer.step()
        with vitals.paused(), torch.no_grad():
            model(*batch)
        one_step(model, batch, "mlp", optimizer)
    run = load_run(tmp_path)
    assert run.steps.tolist() == [1] and np.isfinite(run["gradient/rms"].values).all()


def test_complex_layers_have_the_units_they_have(tmp_path):
    class Complex(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 5, dtype=torch.complex64)

        def forward(self, x):
            return self.a(x).abs()

    _, _, run = train(Complex(), [torch.randn(2, 4, dtype=torch.complex64)], tmp_path)
    assert (run.layers[0].shape, run.layers[0].units, run.layers[0].unit_axis) == ((2, 5), 5, 1)


def test_only_containers_are_searched_for_tensors(tmp_path):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x):
            return range(10**12), self.a(x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.odd = Odd()

        def forward(self, x):
            return self.odd(x)[1]

    _, _, run = train(Net(), [torch.randn(8, 4)], tmp_path)
    assert names(run) == ["odd.a"]


def test_a_bad_second_attach_leaves_the_first(tmp_path):
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=np.int64(1), on_error="raise"):
        with pytest.raises(TypeError):
            attach_hooks(model, 42)
        one_step(model, batch, "mlp", optimizer)
    assert load_run(tmp_path).steps.tolist() == [0]


def test_before_clip_is_there_where_gradients_are_gone_at_the_end(tmp_path):
    model = nn.Linear(3, 3)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        model(torch.ones(1, 3)).sum().backward()
        model.zero_grad(set_to_none=True)
        vitals.advance()
    np.testing.assert_allclose(load_run(tmp_path)["parameter/grad_rms_before_clip"].values, 1.0)


@pytest.mark.parametrize("wrap", ["compile", "DataParallel"])
def test_names_do_not_tell_how_the_model_was_wrapped(wrap, tmp_path):
    model, batch = fresh("residual")
    outer = torch.compile(model, backend="eager") if wrap == "compile" else nn.DataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(outer, tmp_path, every=1, on_error="raise", include=["conv*", "bn1"]):
        one_step(outer, batch, "residual", optimizer)
    run = load_run(tmp_path)
    assert names(run) == ["conv1", "bn1", "bn1/relu", "conv2"]
    assert run.parameters[0].name == "conv1.weight"
    assert np.isfinite(run["gradient/rms"].values).all()


def test_higher_order_operators_run_on_sampled_steps(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            x = self.a(x)
            return torch.cond(x.sum() > 0, lambda y: self.b(y) * 2, lambda y: self.b(y), (x,))

    def outcome(run):
        torch.manual_seed(0)
        return train(Net(), [torch.randn(8, 4) for _ in range(4)], run, every=2)

    bare, recorded = outcome(None), outcome(tmp_path)
    assert bare[0] == recorded[0]
    assert all(torch.equal(a, b) for a, b in zip(bare[1], recorded[1], strict=True))
    assert names(recorded[2]) == ["a"] and np.isfinite(recorded[2]["gradient/rms"].values).all()
    assert torch._dynamo.eval_frame._stance.stance == "default"
