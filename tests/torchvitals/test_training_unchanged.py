"""With hooks attached, training is the same to the last bit."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch

from tests.torchvitals.training import fresh, one_step, state
from tests.zoo import ZOO
from torchvitals import attach_hooks

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.AdamW(p, lr=1e-2),
}


def train(name, optimizer_name, run=None):
    model, batch = fresh(name)
    optimizer = OPTIMIZERS[optimizer_name]([p for p in model.parameters() if p.requires_grad])
    vitals = attach_hooks(model, run, every=1, on_error="raise") if run else None
    losses = [one_step(model, batch, name, optimizer) for _ in range(4)]
    if vitals:
        vitals.remove()
    return state(model, optimizer, losses)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ZOO)
def test_same_bits(name, optimizer, tmp_path):
    assert train(name, optimizer) == train(name, optimizer, tmp_path)


def hook_counts(model):
    return [
        sum(len(d) for d in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._forward_hooks_always_called))
        for m in model.modules()
    ]


def test_no_hook_on_unsampled_steps(tmp_path):
    model, batch = fresh("residual")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=3, on_error="raise"):
        for step in range(7):
            assert any(hook_counts(model)) == (step % 3 == 0)
            attributes = [set(vars(m)) for m in model.modules()]
            one_step(model, batch, "residual", optimizer)
            assert attributes == [set(vars(m)) for m in model.modules()]
    assert not any(hook_counts(model))


def test_copies_and_files_of_an_armed_model_carry_no_live_hook(tmp_path):
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    keys = list(model.state_dict())
    with attach_hooks(model, tmp_path / "run", every=1, on_error="raise") as vitals:
        assert any(hook_counts(model))
        twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        torch.save(model, file := io.BytesIO())
        twins.append(torch.load(io.BytesIO(file.getvalue()), weights_only=False))
        twins.append(torch.optim.swa_utils.AveragedModel(model))
        assert list(model.state_dict()) == keys
        for twin in twins:
            twin(*batch).sum().backward()
        one_step(model, batch, "mlp", optimizer)
        assert vitals.step == 1
        assert vitals._capture.rows[0].layer.name == "0"
        assert len(vitals._capture.rows) == 4
