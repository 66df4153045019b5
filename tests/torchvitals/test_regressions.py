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
from torchvitals import attach_hooks, statistics
from torchvitals.scratch import Scratch
from torchvitals.sums import COMPARED, SPREAD, empty_row
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


class Custom(nn.Module):
    """A layer of the user's own."""

    def __init__(self, after):
        super().__init__()
        self.weight, self.after = nn.Parameter(torch.randn(4, 4)), after

    def forward(self, x):
        return self.after(F.linear(x, self.weight))


class Through(nn.Module):
    def __init__(self, after):
        super().__init__()
        self.after = after

    def forward(self, weight):
        return self.after(weight)


def choose(x):
    return torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y * 3, (x,))


def inside_torch(kind, after):
    """A layer of PyTorch's by its type, or nearly, in whose call a function of the user's runs."""
    from torch.nn.utils import parametrizations, parametrize

    if kind == "parametrized type":
        return parametrizations.weight_norm(Custom(after))
    layer = nn.Linear(4, 4)
    if kind == "parametrization":
        parametrize.register_parametrization(layer, "weight", Through(after))
    elif kind == "hook":
        layer.register_forward_hook(lambda module, args, output: after(output))
    elif kind == "pre-hook":
        layer.register_forward_pre_hook(lambda module, args: (after(args[0]),))
    elif kind == "forward of its own":
        real = layer.forward
        layer.forward = lambda x: after(real(x))
    return layer


KINDS = ["parametrized type", "parametrization", "hook", "pre-hook", "forward of its own", "hook for all"]


@pytest.mark.parametrize("kind", KINDS)
def test_functions_of_users_that_run_inside_of_pytorchs_layers(kind, tmp_path):
    def outcome(run):
        torch.manual_seed(0)
        model = nn.Sequential(inside_torch(kind, choose), nn.Linear(4, 4))
        return train(model, [torch.randn(8, 4) for _ in range(3)], run)

    handle = None
    if kind == "hook for all":
        handle = nn.modules.module.register_module_forward_hook(
            lambda module, args, output: choose(output) if type(module) is nn.Linear else None
        )
    try:
        bare, recorded = outcome(None), outcome(tmp_path)
    finally:
        if handle:
            handle.remove()
    assert bare[0] == recorded[0]
    assert all(torch.equal(a, b) for a, b in zip(bare[1], recorded[1], strict=True))
    assert names(recorded[2]) == ["0", "1"]


@pytest.mark.parametrize("kind", ["parametrized type", "hook", "forward of its own"])
def test_a_layer_whose_output_is_an_activation_is_known_as_one(kind, tmp_path):
    _, _, run = train(nn.Sequential(inside_torch(kind, F.relu), nn.Linear(4, 4)), [torch.randn(8, 4)], tmp_path)
    assert next(layer.function for layer in run.layers if layer.name.startswith("0")) == "relu"


def test_functions_are_seen_after_an_argument_that_cannot_be_searched(tmp_path):
    class Odd(dict):
        def values(self):
            raise KeyError("odd")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.same, self.b = nn.Linear(4, 4), nn.Identity(), nn.Linear(4, 4)

        def forward(self, x):
            x = self.a(x)
            self.same(Odd(x=x))
            return self.b(F.relu(x))

    _, _, run = train(Net(), [torch.randn(8, 4)], tmp_path, on_error="warn")
    assert "a/relu" in names(run)


def test_long_graphs_are_freed_as_without_hooks(tmp_path):
    """Nothing may be put on the nodes of the graph: PyTorch then frees them by recursion, which overflows the stack."""
    script = f"""
import torch
from torch import nn
from torchvitals import attach_hooks

class Unrolled(nn.Module):
    def __init__(self):
        super().__init__()
        self.w, self.head = nn.Parameter(torch.eye(4) * 0.9), nn.Linear(4, 1)
    def forward(self, x):
        h = x
        for _ in range(30_000):
            h = h @ self.w + x
        return self.head(h).mean()

model = Unrolled()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
with attach_hooks(model, {str(tmp_path)!r}, every=1):
    for _ in range(2):
        optimizer.zero_grad()
        loss = model(torch.ones(1, 4) * 1e-3)
        loss.backward()
        optimizer.step()
        del loss
"""
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_hooks_that_somebody_cleared(tmp_path):
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for module in model.modules():
            module._forward_hooks.clear()
        one_step(model, batch, "mlp", optimizer)
        model[0].register_forward_hook(lambda *_: None)
        one_step(model, batch, "mlp", optimizer)
    assert load_run(tmp_path).steps.tolist()[-1] == 1


def test_functions_after_functions_have_short_names(tmp_path):
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x):
            x = self.a(x)
            for _ in range(30):
                x = torch.tanh(x)
            return x

    _, _, run = train(Chain(), [torch.randn(8, 4)], tmp_path)
    assert len(run.layers) == 31 == len(set(names(run))) and max(map(len, names(run))) < 30


def test_a_parameter_handed_through_counts_once_in_an_accumulated_step(tmp_path):
    class Position(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 8))

        def forward(self):
            return self.weight

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.position, self.a = Position(), nn.Linear(8, 8)

        def forward(self, x):
            return self.a(x * self.position())

    torch.manual_seed(0)
    model, parts, squares = Net(), torch.randn(3, 4, 8), []
    for part in parts:
        weight = model.position.weight
        squares.append(torch.autograd.grad(model(part).square().mean(), weight)[0].double().square())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for part in parts:
            model(part).square().mean().backward()
        optimizer.step()
    expected = torch.stack(squares).mean().sqrt().item()
    assert load_run(tmp_path)["gradient/rms"].values[0, 0] == pytest.approx(expected, rel=1e-4)


def test_unscaling_by_hand(tmp_path):
    def outcome(scale, run):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        with attach_hooks(model, run, every=1, on_error="raise"):
            for _ in range(3):
                optimizer.zero_grad()
                scaler.scale(model(torch.randn(8, 4)).square().mean()).backward()
                scaler.unscale_(optimizer)
                optimizer.step()
                scaler.update()
        return load_run(run)

    scaled, plain = outcome(1024.0, tmp_path / "scaled"), outcome(1.0, tmp_path / "plain")
    for statistic in ("gradient/rms", "parameter/grad_rms", "parameter/grad_rms_before_clip"):
        np.testing.assert_allclose(scaled[statistic].values, plain[statistic].values, rtol=1e-5)


def test_a_hook_of_the_users_that_raises_on_the_root(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    x = torch.randn(8, 4)
    expected = model[0](x).double().square().mean().sqrt().item()
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):

        def fails(*_):
            raise RuntimeError("mine")

        handle = model.register_forward_hook(fails)
        with pytest.raises(RuntimeError, match="mine"):
            model(x * 1e3)
        handle.remove()
        model(x).mean().backward()
        optimizer.step()
    assert load_run(tmp_path)["activation/rms"].values[0, 0] == pytest.approx(expected, rel=1e-5)


def test_optimizers_inside_backward_are_not_looked_up_again_and_again(tmp_path, monkeypatch):
    from torchvitals.parameters import Parameters

    calls = []
    for name in ("trainable", "trainable_outside", "are_current", "look_up"):
        real = getattr(Parameters, name)
        monkeypatch.setattr(Parameters, name, lambda self, *a, real=real: (calls.append(1), real(self, *a))[1])
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(30)))
    for p in model.parameters():
        own = torch.optim.SGD([p], lr=0.01)
        p.register_post_accumulate_grad_hook(lambda p, own=own: own.step())
    with attach_hooks(model, tmp_path, every=1000) as vitals:
        for _ in range(2):
            model(torch.randn(2, 4)).mean().backward()
        calls.clear()
        for _ in range(5):
            model(torch.randn(2, 4)).mean().backward()
        assert vitals.step == 7
    assert len(calls) <= 5


def test_two_threads_each_with_its_scaler(tmp_path):
    def work(name, enabled, seen):
        torch.manual_seed(0)
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, enabled=enabled)
        with attach_hooks(model, tmp_path / name, every=1, on_error="raise") as vitals:
            for _ in range(30):
                optimizer.zero_grad()
                scaler.scale(model(torch.ones(3, 4)).mean()).backward()
                scaler.step(optimizer)
                scaler.update()
            seen.append(vitals.step)

    steps: list[int] = []
    threads = [threading.Thread(target=work, args=(n, n == "a", steps)) for n in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert steps == [30, 30]
    for name in "ab":
        np.testing.assert_allclose(load_run(tmp_path / name)["gradient/rms"].values, 1 / 6, rtol=1e-5)


class Sparse(nn.Module):
    """Between two layers, in a layout that stores only some values."""

    def __init__(self, keep):
        super().__init__()
        self.keep = keep

    def forward(self, x):
        return (x * self.keep).to_sparse()


class Dense(nn.Module):
    def forward(self, x):
        return x.to_dense()


@pytest.mark.parametrize("keep", [1.0, 0.0])  # all values are stored, or none
def test_a_sparse_output_and_the_layers_beside_it(keep, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), Sparse(keep), Dense(), nn.Linear(6, 3))
    batch = torch.randn(8, 4)
    first = model[0](batch).detach()
    expected = [first, first * keep, first * keep, model[3](first * keep).detach()]
    _, _, run = train(model, [batch], tmp_path)
    assert run.steps.tolist() == [0] and run.manifest.not_observed == {}
    at = [names(run).index(str(i)) for i in (0, 1, 3)]
    for statistic, of in (("rms", lambda x: x.square().mean().sqrt()), ("abs_max", lambda x: x.abs().max())):
        values = run[f"activation/{statistic}"].values[0, at]
        np.testing.assert_allclose(values, [of(expected[i].double()).item() for i in (0, 1, 3)], rtol=1e-5)
    assert (run["activation/dead_fraction"].values[0, [at[0], at[2]]] == 0).all()


def test_what_cannot_be_reduced_costs_its_own_layer_only(tmp_path, monkeypatch, caplog):
    real = statistics._add_activation

    def fails(row, x, shape_AUB, *rest):
        if shape_AUB[1] == 6:
            raise ArithmeticError("broken here")
        real(row, x, shape_AUB, *rest)

    monkeypatch.setattr(statistics, "_add_activation", fails)
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 3))
    with caplog.at_level("WARNING", "torchvitals"):
        _, _, run = train(model, [torch.randn(8, 4)] * 2, tmp_path, on_error="warn")
    assert [m for m in caplog.messages if "0: ArithmeticError: broken here" in m] == caplog.messages[:1]
    assert run.manifest.not_observed == {"0": "ArithmeticError: broken here"}
    for statistic in ("activation/rms", "activation/zero_fraction", "activation/dead_fraction", "gradient/rms"):
        assert np.isnan(run[statistic].values).tolist() == [[True, False, False]] * 2, statistic
    for statistic in ("parameter/rms", "parameter/update_rms", "parameter/grad_rms"):
        assert np.isfinite(run[statistic].values).all()


@pytest.mark.parametrize("shape", [(8, 6), (64, 512)])
@pytest.mark.parametrize("transposed", [False, True])
def test_examples_that_differ_by_more_than_float32_can_square(shape, transposed):
    torch.manual_seed(0)
    x = torch.randn(shape) * 1e20
    x = x.t().contiguous().t() if transposed else x
    for host in (True, False):
        scratch = Scratch(torch.device("cpu"), host=host)
        row = empty_row(scratch)
        statistics.add_activation(row, x, None, scratch, None, (None, None))
        half, pairs = shape[0] // 2, min(shape[0] // 2, statistics.PAIRS)
        wide = x.double()
        expected = (wide[:pairs] - wide[half : half + pairs]).square().sum().item() / 2
        assert float(row[SPREAD]) == pytest.approx(expected, rel=1e-5)
        assert float(row[COMPARED]) == pairs * shape[1]
    x[0, 0] = torch.inf
    row = empty_row(scratch := Scratch(torch.device("cpu")))
    statistics.add_activation(row, x, None, scratch, None, (None, None))
    assert row[SPREAD] == np.inf


@pytest.mark.parametrize(("shape", "strides"), [((8, 1, 4, 3), (12, 96, 1, 4)), ((64, 3, 130, 1), (390, 1, 3, 24960))])
def test_an_axis_of_one_that_seems_to_be_the_outermost(shape, strides):
    torch.manual_seed(0)
    x = torch.randn(24960).as_strided(shape, strides)
    row = empty_row(scratch := Scratch(torch.device("cpu")))
    statistics.add_activation(row, x, None, scratch, None, (None, None))
    half = shape[0] // 2
    differences = (x[:half] - x[half:]).double()[: statistics.PAIRS].reshape(-1)
    every = -(-differences.numel() // statistics.COMPARISONS)
    compared = float(row[COMPARED])
    assert compared == len(differences[::every])
    assert float(row[SPREAD]) / compared == pytest.approx(differences.square().mean().item() / 2, rel=0.1)


@pytest.mark.parametrize("place", [0, 1])
def test_an_output_with_nothing_stored_is_first_or_last(place, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.nothing = nn.Linear(4, 6), Sparse(0.0)

        def forward(self, x):
            if place == 0:
                self.nothing(x)
            x = self.a(x)
            if place == 1:
                self.nothing(x)
            return x

    torch.manual_seed(0)
    model, batch = Net(), torch.randn(8, 4)
    expected = model(batch).double()
    _, _, run = train(model, [batch], tmp_path)
    row = names(run).index("a")
    assert run["activation/abs_max"].values[0, row] == pytest.approx(expected.abs().max().item(), rel=1e-6)
    assert run["activation/mean"].values[0, row] == pytest.approx(expected.mean().item(), rel=1e-4)
    assert run["activation/zero_fraction"].values[0, 1 - row] == 1
