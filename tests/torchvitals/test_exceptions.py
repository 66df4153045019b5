"""The user's exceptions in the middle of a sampled step: nothing stays armed, and what is recorded next is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.torchvitals.test_training_unchanged import hook_counts
from torchvitals import attach_hooks
from torchvitals_tb import load_run


class Fails(nn.Module):
    """Raises in its forward or in its backward when told to."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)
        self.where = None

    def forward(self, x):
        x = F.relu(self.a(x))
        if self.where == "forward":
            raise RuntimeError("mine")
        if self.where == "interrupt":
            raise KeyboardInterrupt
        if self.where == "backward":
            x.register_hook(self.fail)
        return self.b(x)

    def fail(self, gradient):
        raise RuntimeError("mine")


def step(model, optimizer, x, micro_batches=1):
    optimizer.zero_grad()
    for part in x.chunk(micro_batches):
        model(part).square().mean().backward()
    optimizer.step()


def nothing_is_armed(model):
    stance = torch._dynamo.eval_frame._stance.stance
    return not any(hook_counts(model)) and not torch._C._len_torch_function_stack() and stance == "default"


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("users_hook", [False, True])
def test_an_exception_leaves_nothing_armed_and_the_next_step_fine(where, users_hook, tmp_path):
    torch.manual_seed(0)
    model = Fails()
    if users_hook:
        model.register_forward_hook(lambda *_: None)
    bare = sum(map(sum, zip(hook_counts(model), strict=True)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    good, bad = torch.randn(16, 4), torch.full((16, 4), 1e6)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        for number in range(4):
            if number in (0, 2):
                model.where = where
                with pytest.raises(RuntimeError, match="mine"):
                    step(model, optimizer, bad)
                model.where = None
                assert sum(map(sum, zip(hook_counts(model), strict=True))) == bare
                assert torch._C._len_torch_function_stack() == 0
                assert torch._dynamo.eval_frame._stance.stance == "default"
            step(model, optimizer, good)
        assert vitals.step == 4
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 1, 2, 3]
    assert [layer.name for layer in run.layers] == ["a", "a/relu", "b"]
    # Nothing of the failed forwards is in the numbers: every step saw the same batch and the same weights.
    for name in run.statistics:
        values = run[name].values
        assert np.array_equal(values, np.broadcast_to(values[:1], values.shape), equal_nan=True), name
    assert np.isfinite(run["gradient/rms"].values).all()
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_hooks_of_the_users_own_after_ours_survive_an_exception(tmp_path):
    model = Fails()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        handle = model.register_forward_hook(lambda *_: seen.append(1))
        model.where = "forward"
        with pytest.raises(RuntimeError, match="mine"):
            model(torch.randn(2, 4))
        model.where = None
        step(model, optimizer, torch.randn(2, 4))
        assert seen == [1]
        handle.remove()
        step(model, optimizer, torch.randn(2, 4))
        assert seen == [1]
    assert load_run(tmp_path).steps.tolist() == [0, 1] and not any(hook_counts(model))


def test_an_exception_that_the_model_catches_is_its_own_affair(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = Fails(), nn.Linear(4, 2)
            self.a.where = "forward"

        def forward(self, x):
            try:
                return self.a(x)
            except RuntimeError:
                return self.b(x)

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(2):
            step(model, optimizer, torch.randn(8, 4))
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 1]
    assert [layer.name for layer in run.layers] == ["a.a", "a.a/relu", "b"]


def test_training_inside_an_exception_handler(tmp_path):
    class Silent(nn.Module):
        """A model that returns nothing and keeps its loss is not one that failed."""

        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 2)

        def forward(self, x):
            losses.append(self.a(x).square().mean())

    losses: list[torch.Tensor] = []
    model = Silent()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        try:
            raise RuntimeError("out of memory")
        except RuntimeError:
            for _ in range(2):
                model(torch.randn(8, 4))
                losses[-1].backward()
                optimizer.step()
    assert np.isfinite(load_run(tmp_path)["gradient/rms"].values).all()


def test_removing_while_the_next_forward_is_awaited(tmp_path):
    model = Fails()
    vitals = attach_hooks(model, tmp_path, every=1, on_error="raise")
    model.where = "forward"
    with pytest.raises(RuntimeError):
        model(torch.randn(2, 4))
    vitals.remove()
    assert nothing_is_armed(model) and not torch.nn.modules.module._global_forward_pre_hooks


def test_accumulation_goes_on_after_a_failed_micro_batch(tmp_path):
    torch.manual_seed(0)
    model = Fails()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    parts = torch.randn(16, 4).chunk(2)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(parts[0]).square().mean().backward()
        model.where = "backward"
        with pytest.raises(RuntimeError):
            model(parts[1] * 1e6).square().mean().backward()
        model.where = None
        model.zero_grad()
        for part in parts:
            model(part).square().mean().backward()
        optimizer.step()
    run = load_run(tmp_path)
    expected = torch.cat([model.a(part) for part in parts]).double().square().mean().sqrt().item()
    assert run["activation/rms"].values[0, 0] == pytest.approx(expected, rel=1e-5)


def test_recursion_is_not_taken_for_an_interrupt(tmp_path):
    class Recursive(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x, depth=2):
            x = torch.tanh(self.a(x))
            return self(x, depth - 1) if depth else x

    model = Recursive()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(2):
            step(model, optimizer, torch.randn(8, 4))
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == ["a", "a/tanh", "a@1", "a/tanh@1", "a@2", "a/tanh@2"]
    assert np.isfinite(run["gradient/rms"].values).all()
