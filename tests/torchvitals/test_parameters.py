"""Weights, gradients as the optimizer gets them, updates: against autograd, closed forms and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.torchvitals.training import fresh, one_step
from tests.zoo import ZOO
from torchvitals import attach_hooks
from torchvitals_tb import load_run


def rms(x):
    return x.detach().double().square().mean().sqrt().item()


def row(run, name):
    return [p.name for p in run.parameters].index(name)


@pytest.mark.parametrize("name", ZOO)
def test_parameters_equal_their_twin(name, tmp_path):
    model, batch = fresh(name)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    ZOO[name].loss(model(*batch)).backward()
    expected = {}
    for key, p in model.named_parameters():
        before = p.detach().clone()
        expected[key] = [before, p.grad, None]
    optimizer.step()
    for key, p in model.named_parameters():
        expected[key][2] = p.detach() - expected[key][0]

    model, batch = fresh(name)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        one_step(model, batch, name, optimizer)
    run = load_run(tmp_path)
    assert [p.name for p in run.parameters] == list(expected)
    got = {s: run[s].values[0] for s in run.statistics if s.startswith("parameter/")}
    for i, parameter in enumerate(run.parameters):
        weight, gradient, update = expected[parameter.name]
        assert parameter.shape == tuple(weight.shape)
        assert got["parameter/rms"][i] == pytest.approx(rms(weight), rel=1e-5)
        assert got["parameter/abs_max"][i] == pytest.approx(weight.double().abs().max().item(), rel=1e-5)
        if gradient is None:
            assert np.isnan(got["parameter/grad_rms"][i]) and np.isnan(got["parameter/grad_zero_fraction"][i])
        else:
            assert got["parameter/grad_rms"][i] == pytest.approx(rms(gradient), rel=1e-4)
            assert got["parameter/grad_rms_before_clip"][i] == pytest.approx(rms(gradient), rel=1e-4)
            assert got["parameter/grad_abs_max"][i] == pytest.approx(gradient.double().abs().max().item(), rel=1e-5)
            assert got["parameter/grad_zero_fraction"][i] == pytest.approx((gradient == 0).double().mean().item())
            assert got["parameter/update_rms"][i] == pytest.approx(rms(update), rel=2e-2, abs=1e-12)
            if rms(weight):
                assert got["parameter/update_ratio"][i] == pytest.approx(rms(update) / rms(weight), rel=2e-2, abs=1e-9)


def linear_regression(tmp_path, make_optimizer, steps=1, n=1024, closure=False, **options):
    torch.manual_seed(0)
    model = nn.Linear(n, n)
    optimizer = make_optimizer(model.parameters())
    x, y = torch.randn(8, n), torch.randn(8, n)

    def loss():
        optimizer.zero_grad()
        value = (model(x) - y).square().mean()
        value.backward()
        return value

    with attach_hooks(model, tmp_path, every=1, on_error="raise", **options):
        for _ in range(steps):
            if closure:
                optimizer.step(loss)
            else:
                loss()
                optimizer.step()
    return model, load_run(tmp_path)


def test_sgd_updates_by_rate_times_gradient(tmp_path):
    _, run = linear_regression(tmp_path, lambda p: torch.optim.SGD(p, lr=0.5), n=64)
    expected = 0.5 * run["parameter/grad_rms"].values / run["parameter/rms"].values
    np.testing.assert_allclose(run["parameter/update_ratio"].values, expected, rtol=1e-4)


def test_first_adam_step_of_a_default_layer(tmp_path):
    """Every weight moves by lr, and the default initialisation has rms 1 / sqrt(3 fan_in)."""
    _, run = linear_regression(tmp_path, lambda p: torch.optim.Adam(p, lr=1e-3))
    assert run["parameter/update_ratio"].values[0, 0] == pytest.approx(1e-3 * math.sqrt(3 * 1024), rel=5e-3)


def test_clipping_shows_as_a_ratio(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        (model(torch.randn(4, 8)) * 100).square().mean().backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    run = load_run(tmp_path)
    ratio = run["parameter/grad_rms"].values / run["parameter/grad_rms_before_clip"].values
    np.testing.assert_allclose(ratio, 0.5 / norm.item(), rtol=1e-4)


def test_gradients_are_what_accumulation_ends_with(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(8, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(3):
            (model(torch.randn(4, 8)).square().mean() / 3).backward()
        total = model.weight.grad.clone()
        optimizer.step()
    assert load_run(tmp_path)["parameter/grad_rms"].values[0, 0] == pytest.approx(rms(total), rel=1e-5)


def test_a_gradient_at_a_recycled_address_is_read_anew(tmp_path):
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for scale in (1.0, 7.0):
            optimizer.zero_grad(set_to_none=True)
            (model(torch.ones(1, 4)).sum() * scale).backward()
        optimizer.step()
    np.testing.assert_allclose(load_run(tmp_path)["parameter/grad_rms"].values, 7.0, rtol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3), lambda p: torch.optim.SGD(p, lr=0.1)]
)
def test_closure(make, tmp_path):
    _, run = linear_regression(tmp_path, make, steps=2, n=16, closure=True)
    assert run.steps.tolist() == [0, 1]
    assert (run["parameter/grad_rms"].values > 0).all()
    assert (run["parameter/update_rms"].values > 0).all()
    assert [layer.name for layer in run.layers] == ["Linear"]


def test_loss_scale_is_taken_out(tmp_path):
    plain, run = linear_regression(tmp_path / "plain", lambda p: torch.optim.SGD(p, lr=0.1), n=16)
    torch.manual_seed(0)
    model = nn.Linear(16, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(8, 16), torch.randn(8, 16)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with attach_hooks(model, tmp_path / "scaled", every=1, on_error="raise"):
        scaler.scale((model(x) - y).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
    scaled = load_run(tmp_path / "scaled")
    assert torch.equal(plain.weight, model.weight)
    for statistic in ("gradient/rms", "gradient/abs_max", "parameter/grad_rms", "parameter/grad_rms_before_clip"):
        np.testing.assert_allclose(scaled[statistic].values, run[statistic].values, rtol=1e-5, err_msg=statistic)


def test_two_optimizers_over_one_model_make_one_step(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    first, second = (torch.optim.SGD(part.parameters(), lr=0.1) for part in (model[0], model[2]))
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        for _ in range(3):
            model.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            first.step()
            second.step()
        assert vitals.step == 3
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 1, 2]
    assert (run["parameter/update_rms"].values > 0).all() and (run["gradient/rms"].values > 0).all()


def test_optimizer_over_a_part_of_the_model(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        for _ in range(3):
            model.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
    assert vitals.step == 3
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 1, 2]
    assert np.isnan(run["parameter/update_rms"].values).tolist() == [[True, True, False, False]] * 3
    assert np.isfinite(run["activation/rms"].values).all()


def test_optimizers_inside_backward(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    for p in model.parameters():
        inner = torch.optim.SGD([p], lr=0.1)

        def step(_, inner=inner):
            inner.step()
            inner.zero_grad()

        p.register_post_accumulate_grad_hook(step)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        for _ in range(3):
            model(torch.randn(8, 4)).square().mean().backward()
        assert vitals.step == 3
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 1, 2]
    assert (run["parameter/grad_rms"].values > 0).all() and (run["parameter/update_rms"].values > 0).all()
    assert (run["gradient/rms"].values > 0).all()


def test_step_inside_a_step_counts_once(tmp_path):
    class Twice(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    _, run = linear_regression(tmp_path, lambda p: Twice(p, lr=0.1), steps=3, n=8)
    assert run.steps.tolist() == [0, 1, 2]


def test_step_that_raises_does_not_stop_the_count(tmp_path):
    class Fails(torch.optim.SGD):
        fail = False

        def step(self, closure=None):
            if self.fail:
                raise RuntimeError("user's own")
            return super().step(closure)

    model = nn.Linear(3, 3)
    optimizer = Fails(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        for fail in (False, True, False, False):
            optimizer.fail = fail
            optimizer.zero_grad()
            model(torch.randn(2, 3)).mean().backward()
            try:
                optimizer.step()
            except RuntimeError:
                assert fail
        assert vitals.step == 3


def test_loop_without_an_optimizer(tmp_path):
    model = nn.Linear(3, 3)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        for _ in range(3):
            model.zero_grad()
            model(torch.randn(2, 3)).mean().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
            vitals.advance()
        assert vitals.step == 3
    run = load_run(tmp_path)
    assert (run["parameter/grad_rms"].values > 0).all() and run.steps.tolist() == [0, 1, 2]


def test_sparse_gradients(tmp_path):
    model = nn.Embedding(20, 4, sparse=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(torch.tensor([1, 1, 7])).sum().backward()
        optimizer.step()
    run = load_run(tmp_path)
    assert run["parameter/grad_zero_fraction"].values[0, 0] == pytest.approx(18 / 20)
    assert run["parameter/grad_rms"].values[0, 0] == pytest.approx(math.sqrt((4 * 4 + 4) / 80))


def test_tiny_gradients_do_not_underflow(tmp_path):
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        (model(torch.ones(1, 4)).sum() * 1e-30).backward()
        optimizer.step()
    run = load_run(tmp_path)
    np.testing.assert_allclose(run["parameter/grad_rms"].values, 1e-30, rtol=1e-5)
    np.testing.assert_allclose(run["gradient/rms"].values, 1e-30, rtol=1e-5)


def test_optimizers_and_learning_rates_are_recorded(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1), nn.Linear(1, 1).requires_grad_(False))
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": [model[2].weight]}]
    first = torch.optim.SGD(groups, lr=0.25, momentum=0.9, weight_decay=0.01)
    second = torch.optim.AdamW([model[2].bias], lr=0.125, betas=(0.8, 0.9))
    schedule = torch.optim.lr_scheduler.StepLR(first, 1, gamma=0.5)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(2):
            model(torch.randn(8, 4)).mean().backward()
            first.step()
            second.step()
            schedule.step()
    run = load_run(tmp_path)
    rates = run["parameter/learning_rate"].values
    np.testing.assert_array_equal(rates[:, :4], [[0.5, 0.5, 0.25, 0.125], [0.25, 0.25, 0.125, 0.125]])
    assert np.isnan(rates[:, 4:]).all()
    kinds = {entry["type"]: entry for entry in run.manifest.optimizers}
    assert kinds.keys() == {"SGD", "AdamW"}
    assert kinds["SGD"]["momentum"] == 0.9 and kinds["SGD"]["weight_decay"] == 0.01
    assert kinds["AdamW"]["betas"] == [0.8, 0.9]


CHANGES = {
    "nothing": lambda g: None,
    "halved": lambda g: g.mul_(0.5),
    "halved, unnoticed by PyTorch": lambda g: g.data.mul_(0.5),
    "clamped, unnoticed by PyTorch": lambda g: g.data.clamp_(-0.9 * g.abs().max().item(), 0.9 * g.abs().max().item()),
    "one value": lambda g: g[0, 0].add_(3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_gradients_are_those_that_the_optimizer_gets(change, tmp_path, monkeypatch):
    """They are measured when they leave the backward pass, and again only where something was done to them since."""
    from torchvitals.kernels import Many

    measured = []
    real = Many.measure
    monkeypatch.setattr(Many, "measure", lambda many, **k: measured.append(list(many.sizes)) or real(many, **k))
    torch.manual_seed(0)
    model = nn.Linear(300, 200, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(2):
            measured.clear()
            optimizer.zero_grad()
            model(torch.randn(16, 300)).square().mean().backward()
            left = model.weight.grad.double().square().mean().sqrt().item()
            with torch.no_grad():
                CHANGES[change](model.weight.grad)
            used = model.weight.grad.double()
            optimizer.step()
            # The weight, the gradient as it left, and as it was used.
            assert measured.count([60_000]) == (2 if change == "nothing" else 3)
    run = load_run(tmp_path)
    expected = {
        "grad_rms": used.square().mean().sqrt().item(),
        "grad_abs_max": used.abs().max().item(),
        "grad_rms_before_clip": left,
    }
    for name, value in expected.items():
        assert run[f"parameter/{name}"].values[1, 0] == pytest.approx(value, rel=1e-5), name
