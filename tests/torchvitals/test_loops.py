"""Training loops: what is recorded of them against a computation of its own."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.torchvitals import twin
from torchvitals import attach_hooks
from torchvitals_tb import load_run


def rms(x):
    return x.detach().double().square().mean().sqrt().item()


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def names(run):
    return [layer.name for layer in run.layers]


# Ways to step ---------------------------------------------------------------------------------------------------------


class Truth:
    """Plain hooks on a bare model: all outputs and gradients of a step, and the weights before and after it."""

    def __init__(self, model):
        self.model, self.steps = model, []
        for name, module in model.named_children():
            module.register_forward_hook(lambda m, a, out, name=name: self.keep(name, out))
        self.begin()

    def begin(self):
        self.outputs, self.gradients = {}, {}
        self.before = [p.detach().clone() for p in self.model.parameters()]

    def keep(self, name, out):
        if torch.is_grad_enabled():
            self.outputs.setdefault(name, []).append(out.detach().clone())
            out.register_hook(lambda g: self.gradients.setdefault(name, []).append(g.detach().clone()))

    def step_ended(self):
        parameters = list(self.model.parameters())
        grads = [None if p.grad is None else p.grad.clone() for p in parameters]
        changes = [p.detach() - b for p, b in zip(parameters, self.before, strict=True)]
        self.steps.append((self.outputs, self.gradients, grads, changes))
        self.begin()


def lbfgs(models, step_ended):
    (model,) = models
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    for x in torch.randn(3, 16, 8):

        def closure(x=x):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        step_ended(model)


def closure_of_adam(models, step_ended):
    (model,) = models
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for x in torch.randn(3, 16, 8):

        def closure(x=x):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        step_ended(model)


def inside_backward(models, step_ended):
    (model,) = models
    for p in model.parameters():
        own = torch.optim.SGD([p], lr=0.1)
        p.register_post_accumulate_grad_hook(lambda p, own=own: own.step())
    for x in torch.randn(3, 16, 8):
        model.zero_grad()
        model(x).square().mean().backward()
        step_ended(model)


def accumulation(models, step_ended):
    (model,) = models
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for i, x in enumerate(torch.randn(6, 16, 8)):
        (model(x).square().mean() / 2).backward()
        if i % 2:
            optimizer.step()
            step_ended(model)
            optimizer.zero_grad()


def several_forwards_one_backward(models, step_ended):
    (model,) = models
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in torch.randn(3, 2, 16, 8):
        optimizer.zero_grad()
        with torch.no_grad():
            model(x * 100)
        (model(x) - model(y)).square().mean().backward()
        optimizer.step()
        step_ended(model)


def clipping(models, step_ended):
    (model,) = models
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for x in torch.randn(3, 16, 8):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        nn.utils.clip_grad_value_(model.parameters(), 0.001)
        optimizer.step()
        step_ended(model)


def two_optimizers(models, step_ended):
    (model,) = models
    optimizers = [torch.optim.SGD(model[0].parameters(), lr=0.1), torch.optim.Adam(model[2].parameters(), lr=0.01)]
    for x in torch.randn(3, 16, 8):
        model.zero_grad()
        model(x).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
        step_ended(model)


def adversarial(models, step_ended):
    """Each of two models with its optimizer; the second is in the loss of the first."""
    g, d = models
    og, od = (torch.optim.SGD(m.parameters(), lr=0.1) for m in models)
    for x in torch.randn(3, 16, 8):
        od.zero_grad()
        (d(torch.randn(16, 8)).mean() - d(g(x).detach().repeat(1, 2)).mean()).backward()
        od.step()
        step_ended(d)
        og.zero_grad()
        d(g(x).repeat(1, 2)).mean().backward()
        og.step()
        step_ended(g)


LOOPS = {
    f.__name__: f
    for f in (
        lbfgs, closure_of_adam, inside_backward, accumulation, several_forwards_one_backward, clipping, two_optimizers,
        adversarial,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_loop_against_plain_hooks(name, tmp_path):
    number = 2 if name == "adversarial" else 1
    models = [mlp() for _ in range(number)]
    truths = {id(model): Truth(model) for model in models}
    torch.manual_seed(1)
    LOOPS[name](models, lambda model: truths[id(model)].step_ended())
    bare = models

    models = [mlp() for _ in range(number)]
    torch.manual_seed(1)
    handles = [attach_hooks(m, tmp_path / str(i), every=1, on_error="raise") for i, m in enumerate(models)]
    LOOPS[name](models, lambda model: None)
    for i, (handle, model, twin_) in enumerate(zip(handles, models, bare, strict=True)):
        handle.remove()
        assert handle.step == 3
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin_.parameters(), strict=True))
        run = load_run(tmp_path / str(i))
        assert run.steps.tolist() == [0, 1, 2]
        for t, (outputs, gradients, grads, changes) in enumerate(truths[id(twin_)].steps):
            if name == "adversarial" and i == 1 and t:
                continue  # what the other model's turn gave is counted into its next step
            for row, layer in enumerate(names(run)[:3]):
                got = [run[f"{kind}/rms"].values[t, row] for kind in ("activation", "gradient")]
                assert got == pytest.approx([rms(torch.cat(of[layer])) for of in (outputs, gradients)], rel=1e-4)
            for row, (grad, change) in enumerate(zip(grads, changes, strict=True)):
                assert run["parameter/grad_rms"].values[t, row] == pytest.approx(rms(grad), rel=1e-4)
                assert run["parameter/update_rms"].values[t, row] == pytest.approx(rms(change), rel=1e-3)


def test_a_loop_without_an_optimizer(tmp_path):
    model = mlp()
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        expected = []
        for x in torch.randn(3, 16, 8):
            model.zero_grad()
            model(x).square().mean().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
            expected.append([rms(p.grad) for p in model.parameters()])
            vitals.advance()
        assert vitals.step == 3
    np.testing.assert_allclose(load_run(tmp_path)["parameter/grad_rms"].values, expected, rtol=1e-4)


# Loss scaling ---------------------------------------------------------------------------------------------------------


def scaled_training(run, make, overflow=(), steps=4, clip=False, scale=1024.0, every=1):
    """A few steps under a GradScaler. Gives the steps' (unscaled) gradients, whether the weights moved, the handle."""
    model = mlp()
    optimizer = make(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
    x = torch.randn(32, 8)
    truth = []
    vitals = attach_hooks(model, run, every=every, on_error="raise") if run else None
    for step in range(steps):
        before = copy.deepcopy(model)
        bad = step in overflow
        optimizer.zero_grad()
        loss = model(x).square().mean() * (float("inf") if bad else 1.0)
        scaler.scale(loss).backward()
        if clip:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        scaler.step(optimizer)
        scaler.update()
        grads = torch.autograd.grad(before(x).square().mean(), before.parameters())
        moved = any(not torch.equal(p, q) for p, q in zip(model.parameters(), before.parameters(), strict=True))
        truth.append((grads, moved))
    if vitals:
        vitals.remove()
    return model, truth, vitals


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "foreach adam": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "fused adam": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "fused sgd": lambda p: torch.optim.SGD(p, lr=0.05, fused=True),
}


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_skipped_step_is_recorded_as_one(optimizer, clip, tmp_path):
    model, truth, vitals = scaled_training(tmp_path, OPTIMIZERS[optimizer], overflow=(0, 2), clip=clip)
    bare, _, _ = scaled_training(None, OPTIMIZERS[optimizer], overflow=(0, 2), clip=clip)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), bare.parameters(), strict=True))
    assert vitals.step == 4
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 1, 2, 3]
    assert run.counters["skipped"].tolist() == [1, 0, 1, 0]
    # The scaler halves its scale after a skipped step.
    assert run.counters["loss_scale"].tolist() == [1024, 512, 512, 256]
    for t, (grads, moved) in enumerate(truth):
        skipped = t in (0, 2)
        assert moved is not skipped
        for i, grad in enumerate(grads):
            if skipped:
                assert run["parameter/grad_nonfinite_fraction"].values[t, i] > 0
                assert run["parameter/update_rms"].values[t, i] == 0
            else:
                for name in ("grad_rms", "grad_rms_before_clip"):
                    assert run[f"parameter/{name}"].values[t, i] == pytest.approx(rms(grad), rel=1e-4)
                assert run["parameter/grad_abs_max"].values[t, i] == pytest.approx(grad.abs().max().item(), rel=1e-4)
                assert run["parameter/update_rms"].values[t, i] > 0


def test_histograms_of_gradients_are_unscaled(tmp_path):
    scaled_training(tmp_path / "plain", OPTIMIZERS["foreach adam"], steps=1, scale=1.0)
    for optimizer in ("foreach adam", "fused adam"):
        scaled_training(tmp_path / optimizer, OPTIMIZERS[optimizer], steps=1)
        run, plain = load_run(tmp_path / optimizer), load_run(tmp_path / "plain")
        for kind in ("gradient", "weight_gradient"):
            for row in range(2):
                a, b = (r.histograms(kind)[0].dense(row) for r in (run, plain))
                assert a.sum() and a.tolist() == b.tolist()


def test_skipped_steps_count_also_between_samples(tmp_path):
    _, _, vitals = scaled_training(tmp_path, OPTIMIZERS["sgd"], overflow=(1, 2), steps=8, every=3)
    assert vitals.step == 8
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 3, 6] and run.counters["skipped"].tolist() == [0, 0, 0]


def test_the_scaler_is_as_it_was_afterwards(tmp_path):
    before = torch.amp.GradScaler.step
    scaled_training(tmp_path, OPTIMIZERS["sgd"], steps=1)
    assert torch.amp.GradScaler.step is before
    assert torch.amp.GradScaler.__dict__["step"] is before


def test_a_disabled_scaler_scales_nothing(tmp_path):
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        scaler.scale(model(torch.randn(4, 8)).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
    run = load_run(tmp_path)
    assert run.counters["skipped"].tolist() == [0] and np.isnan(run.counters["loss_scale"]).all()
    assert run["parameter/grad_rms"].values[0, 0] == pytest.approx(rms(model[0].weight.grad), rel=1e-4)


def test_one_scaler_over_two_optimizers_of_which_one_overflows(tmp_path):
    model = mlp()
    first, second = (torch.optim.SGD(part.parameters(), lr=0.1) for part in (model[0], model[2]))
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        for step in range(3):
            model.zero_grad()
            scaler.scale(model(torch.randn(4, 8)).square().mean()).backward()
            if step == 1:
                model[0].weight.grad[0, 0] = float("nan")
            scaler.step(first)
            scaler.step(second)
            scaler.update()
        assert vitals.step == 3
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 1, 2] and run.counters["skipped"].tolist() == [0, 1, 0]
    assert (run["parameter/update_rms"].values[1] == 0).tolist() == [True, True, False, False]


def test_another_models_skipped_step_is_not_ours(tmp_path):
    models = {name: mlp() for name in "gd"}
    optimizers = {name: torch.optim.SGD(model.parameters(), lr=0.1) for name, model in models.items()}
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    handles = [attach_hooks(models[name], tmp_path / name, every=1, on_error="raise") for name in "gd"]
    for step in range(3):
        for name in "gd":
            optimizers[name].zero_grad()
            loss = models[name](torch.randn(4, 8)).square().mean()
            scaler.scale(loss * (float("inf") if name == "d" and step == 1 else 1.0)).backward()
            scaler.step(optimizers[name])
        scaler.update()
    for handle in handles:
        handle.remove()
    assert load_run(tmp_path / "g").counters["skipped"].tolist() == [0, 0, 0]
    assert load_run(tmp_path / "d").counters["skipped"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("optimizer", ["sgd", "foreach adam"])
def test_autocast(optimizer, tmp_path):
    def training(run):
        model = mlp()
        step = OPTIMIZERS[optimizer](model.parameters())
        expected = twin.Recording(model) if run is None else None
        vitals = attach_hooks(model, run, every=1, on_error="raise") if run else None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(torch.randn(32, 8)).float().square().mean()
        loss.backward()
        step.step()
        if vitals:
            vitals.remove()
        return model, expected

    recorded, _ = training(tmp_path)
    bare, expected = training(None)
    assert all(torch.equal(a, b) for a, b in zip(recorded.parameters(), bare.parameters(), strict=True))
    run = load_run(tmp_path)
    for i, layer in enumerate(run.layers):
        assert expected.activations[layer.name].dtype == torch.bfloat16
        for kind, tensors in (("activation", expected.activations), ("gradient", expected.gradients)):
            table = getattr(twin, f"{kind}_statistics")(tensors[layer.name])
            for name, value in table.items():
                assert run[f"{kind}/{name}"].values[0, i] == pytest.approx(value, rel=1e-4, abs=1e-7), name


# Several passes -------------------------------------------------------------------------------------------------------


def test_a_gradient_penalty_is_not_the_losss_gradient(tmp_path):
    def loss_of(model, x):
        x = x.clone().requires_grad_()
        out = model(x)
        penalty = torch.autograd.grad(out.sum(), x, create_graph=True)[0]
        return out, out.mean() + 10 * (penalty.norm(dim=1) - 1).square().mean()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(32, 8)
    hidden = []
    handle = model[0].register_forward_hook(lambda m, a, out: hidden.append(out))
    _, loss = loss_of(model, x)
    expected = torch.autograd.grad(loss, hidden[0])[0]
    handle.remove()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        loss_of(model, x)[1].backward()
        optimizer.step()
    assert load_run(tmp_path)["gradient/rms"].values[0, 0] == pytest.approx(rms(expected), rel=1e-4)


@pytest.mark.parametrize("how", ["grad", "inputs", "retain"])
def test_ways_to_call_backward(how, tmp_path):
    model = mlp()
    x = torch.randn(32, 8)
    out = model[0](x)
    expected = torch.autograd.grad(model[2](model[1](out)).square().mean(), out)[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        loss = model(x).square().mean()
        if how == "grad":
            parameters = list(model.parameters())
            for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                p.grad = g
        elif how == "inputs":
            loss.backward(inputs=[model[0].weight])
        else:
            torch.autograd.grad(loss, model[2].bias, retain_graph=True)
            torch.autograd.grad(model[0](x.requires_grad_()).sum(), x)  # with respect to something else
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
    run = load_run(tmp_path)
    assert run["gradient/rms"].values[0, 0] == pytest.approx(rms(expected), rel=1e-4)


def test_several_backward_calls_of_one_step(tmp_path):
    """Two losses over one forward: each pass brings a gradient, and both are in the row."""
    model = mlp()
    x = torch.randn(32, 8)
    out = model[0](x)
    y = model[2](model[1](out))
    parts = [torch.autograd.grad(loss, out, retain_graph=True)[0] for loss in (y.square().mean(), y.mean())]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        y = model(x)
        y.square().mean().backward(retain_graph=True)
        y.mean().backward()
        optimizer.step()
        total = model[0].weight.grad.clone()
    run = load_run(tmp_path)
    assert run["gradient/rms"].values[0, 0] == pytest.approx(rms(torch.cat(parts)), rel=1e-4)
    assert run["parameter/grad_rms"].values[0, 0] == pytest.approx(rms(total), rel=1e-4)
    assert run["parameter/grad_rms_before_clip"].values[0, 0] == pytest.approx(rms(total), rel=1e-4)


def test_second_order_optimisation_sees_the_gradient_once(tmp_path):
    model = mlp()
    x = torch.randn(32, 8)
    out = model[0](x)
    expected = torch.autograd.grad(model[2](model[1](out)).square().mean(), out)[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(x).square().mean().backward(create_graph=True)
        optimizer.step()
    run = load_run(tmp_path)
    assert run["gradient/rms"].values[0, 0] == pytest.approx(rms(expected), rel=1e-4)
    model.zero_grad(set_to_none=True)


def test_training_in_eval_mode_is_recorded(tmp_path):
    """Fine-tuning with frozen batch norm."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)).eval()
    x = torch.randn(32, 8)
    other = copy.deepcopy(model)
    expected = twin.Recording(other)
    other(x).square().mean().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(x).square().mean().backward()
        optimizer.step()
    run = load_run(tmp_path)
    assert names(run) == ["0", "1", "2", "3"]
    assert torch.equal(model[1].running_mean, torch.zeros(6))
    for i, name in enumerate(names(run)):
        assert run["activation/rms"].values[0, i] == pytest.approx(rms(expected.activations[name]), rel=1e-4)
        assert run["gradient/rms"].values[0, i] == pytest.approx(rms(expected.gradients[name]), rel=1e-4)


def test_the_state_of_a_recurrent_layer_has_a_gradient(tmp_path):
    """The usual classifier uses the last state and not the sequence, which is the first output."""

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 2)

        def forward(self, x):
            _, (h, _) = self.rnn(x)
            return self.head(h[-1])

    torch.manual_seed(0)
    model = Last()
    x = torch.randn(4, 5, 8)
    _, (h, _) = model.rnn(x)
    expected = torch.autograd.grad(model.head(h[-1]).square().mean(), h)[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(x).square().mean().backward()
        optimizer.step()
    run = load_run(tmp_path)
    assert run["gradient/rms"].values[0, 0] == pytest.approx(rms(expected), rel=1e-4)
    assert not run.manifest.self_check


# Checkpointing --------------------------------------------------------------------------------------------------------


class Checkpointed(nn.Module):
    """Blocks that share one activation module and one layer, with functions inside, each block checkpointed."""

    def __init__(self, reentrant):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.blocks = nn.ModuleList(self.Block() for _ in range(3))
        self.shared = nn.Linear(8, 8)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 2)
        self.reentrant = reentrant

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.drop = nn.Linear(8, 8), nn.Dropout(0.25)

        def forward(self, x, shared, act):
            x = x + F.gelu(self.fc(F.silu(x)))
            return act(shared(self.drop(x)))

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            if self.reentrant is None:
                x = block(x, self.shared, self.act)
            else:
                x = checkpoint(block, x, self.shared, self.act, use_reentrant=self.reentrant)
        return self.head(x)


@pytest.mark.parametrize("micro_batches", [1, 2])
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_changes_no_number(reentrant, micro_batches, tmp_path):
    runs = {}
    for mode in (None, reentrant):
        torch.manual_seed(0)
        model = Checkpointed(mode)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with attach_hooks(model, tmp_path / str(mode), every=1, on_error="raise"):
            for _ in range(2):
                optimizer.zero_grad()
                for part in torch.randn(16, 8).chunk(micro_batches):
                    model(part).square().mean().backward()
                optimizer.step()
        runs[mode] = load_run(tmp_path / str(mode))
    plain, run = runs[None], runs[reentrant]
    assert names(run) == names(plain)
    for name in run.statistics:
        np.testing.assert_allclose(run[name].values, plain[name].values, rtol=1e-5, atol=1e-12, err_msg=name)
    assert np.isfinite(run["gradient/rms"].values).all()
    assert run.manifest.edges == plain.manifest.edges
    for kind in ("activation", "gradient"):
        for row in range(len(run.layers)):
            assert run.histograms(kind)[0].dense(row).tolist() == plain.histograms(kind)[0].dense(row).tolist()
    assert run.manifest.self_check == plain.manifest.self_check == {}


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_training_is_the_same_to_the_last_bit(reentrant, tmp_path):
    def training(run):
        torch.manual_seed(0)
        model = Checkpointed(reentrant)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        vitals = attach_hooks(model, run, every=1, on_error="raise") if run else None
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.randn(16, 8)).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if vitals:
            vitals.remove()
        return losses, [p.detach().clone() for p in model.parameters()], torch.get_rng_state()

    a, b = training(tmp_path), training(None)
    assert a[0] == b[0] and torch.equal(a[2], b[2])
    assert all(torch.equal(p, q) for p, q in zip(a[1], b[1], strict=True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_a_function(reentrant, tmp_path):
    """The region is no module: nothing of ours begins and ends it."""

    class Net(nn.Module):
        def __init__(self, mode):
            super().__init__()
            self.first, self.a, self.b, self.drop = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Dropout(0.3)
            self.mode = mode

        def region(self, x):
            return torch.tanh(self.drop(self.b(F.relu(self.drop(self.a(x))))))

        def forward(self, x):
            x = self.first(x)
            for _ in range(2):
                x = self.region(x) if self.mode is None else checkpoint(self.region, x, use_reentrant=self.mode)
            return F.silu(x)

    runs = []
    for mode in (None, reentrant):
        torch.manual_seed(0)
        model = Net(mode)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with attach_hooks(model, tmp_path / str(mode), every=1, on_error="raise"):
            for _ in range(2):
                optimizer.zero_grad()
                model(torch.randn(16, 8)).square().mean().backward()
                optimizer.step()
        runs.append(load_run(tmp_path / str(mode)))
        assert torch._C._len_torch_function_stack() == 0
    assert names(runs[0]) == names(runs[1]) and len(names(runs[0])) == 14
    for name in runs[0].statistics:
        np.testing.assert_allclose(runs[1][name].values, runs[0][name].values, rtol=1e-5, atol=1e-12, err_msg=name)


def test_reentrant_regions_measure_the_parameters_once(tmp_path, monkeypatch):
    from torchvitals.parameters import Parameters

    calls = []
    real = Parameters.after_backward
    monkeypatch.setattr(Parameters, "after_backward", lambda self: (calls.append(1), real(self)))
    torch.manual_seed(0)
    model = Checkpointed(True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(torch.randn(16, 8)).square().mean().backward()
        optimizer.step()
    assert len(calls) == 1


def test_a_parameter_that_comes_after_attaching_is_waited_for_in_the_first_step(tmp_path):
    """Its optimizer steps after another one, all of whose parameters were known before."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 2)

        def forward(self, x):
            return self.inner(x) * self.scale

    model = Scaled()
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        model.scale = nn.Parameter(torch.ones(1))
        optimizers = [torch.optim.SGD(p, lr=0.1) for p in (model.inner.parameters(), [model.scale])]
        for step in range(3):
            model(torch.randn(5, 4)).sum().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            assert vitals.step == step + 1
    run = load_run(tmp_path)
    at = [p.name for p in run.parameters].index("scale")
    assert run.steps.tolist() == [0, 1, 2] and (run["parameter/update_rms"].values[:, at] > 0).all()
