"""What is said and kept of what stayed silent."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from torchvitals import attach_hooks
from torchvitals_tb import load_run
from torchvitals_tb.schema import Manifest


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.lost, self.idle = (nn.Linear(4, 4) for _ in range(3))
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.frozen(self.used(x))
        self.lost(x)
        x = self.attention(x, x, x)[0]
        return self.head(x)


def train(model, run, optimizers, steps=2, caplog=None, **options):
    with (
        caplog.at_level(logging.INFO, "torchvitals"),
        attach_hooks(model, run, every=1, on_error="raise", **options),
    ):
        for _ in range(steps):
            for optimizer in optimizers:
                optimizer.zero_grad()
                model(torch.randn(2, 3, 4)).mean().backward()
                optimizer.step()
    return load_run(run), [(r.levelno, r.getMessage()) for r in caplog.records if r.name == "torchvitals"]


def test_what_is_silent_is_in_the_manifest_and_said_once(tmp_path, caplog):
    model = Net()
    optimizer = torch.optim.SGD([*model.used.parameters(), *model.attention.parameters()], lr=0.1)
    run, said = train(model, tmp_path, [optimizer], steps=3, caplog=caplog)
    assert run.manifest.self_check == {
        "modules_never_called": ("idle",),
        "layers_without_gradient": ("lost",),
        "parameters_without_optimizer": (
            "head.bias", "head.weight", "idle.bias", "idle.weight", "lost.bias", "lost.weight",
        ),
    }  # fmt: skip
    assert len(said) == 1 and said[0][0] == logging.WARNING
    assert "modules never called: idle; layers without gradient: lost; parameters without optimizer: " in said[0][1]
    assert said[0][1].endswith("head.bias, head.weight, idle.bias, idle.weight, lost.bias and 1 more")


def test_all_is_well(tmp_path, caplog):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    run, said = train(model, tmp_path, [torch.optim.SGD(model.parameters(), lr=0.1)], caplog=caplog)
    assert run.manifest.self_check == {}
    assert said == [
        (
            logging.INFO,
            "torchvitals measured 3 layers and 4 parameters in its first step; nothing expected was missing",
        )
    ]


def test_what_has_no_parameters_is_no_reason_to_warn(tmp_path, caplog):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.drop = nn.Linear(4, 4), nn.Dropout()

        def forward(self, x):
            return self.a(x)

    model = Idle()
    run, said = train(model, tmp_path, [torch.optim.SGD(model.parameters(), lr=0.1)], caplog=caplog)
    assert run.manifest.self_check == {"modules_never_called": ("drop",)}
    assert [level for level, _ in said] == [logging.INFO]


def test_optimizers_that_take_turns_are_waited_for(tmp_path, caplog):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    turns = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (model[0], model[2])]
    run, said = train(model, tmp_path, turns, steps=3, caplog=caplog)
    assert run.manifest.self_check == {}
    assert [level for level, _ in said] == [logging.INFO]


def test_a_module_called_later_is_not_silent_any_more(tmp_path, caplog):
    class Later(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.steps = 0

        def forward(self, x):
            self.steps += 1
            return self.b(self.a(x)) if self.steps > 2 else self.a(x)

    model = Later()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    early, _ = train(model, tmp_path / "early", [optimizer], caplog=caplog)
    assert early.manifest.self_check == {"modules_never_called": ("b",)}
    model.steps = 0
    caplog.clear()
    run, said = train(model, tmp_path / "late", [optimizer], steps=4, caplog=caplog)
    assert run.manifest.self_check == {} and len(said) == 1


def test_a_loop_without_an_optimizer_misses_none(tmp_path, caplog):
    model = nn.Linear(4, 2)
    with caplog.at_level(logging.INFO, "torchvitals"), attach_hooks(model, tmp_path, every=1) as vitals:
        model(torch.randn(2, 4)).mean().backward()
        vitals.advance()
    assert load_run(tmp_path).manifest.self_check == {}
    assert "nothing expected was missing" in caplog.text


def test_what_is_not_selected_is_not_expected(tmp_path, caplog):
    model = Net()
    rest = [p for name, p in model.named_parameters() if not name.startswith(("idle", "lost"))]
    run, _ = train(model, tmp_path, [torch.optim.SGD(rest, lr=0.1)], caplog=caplog, exclude=["idle", "lost"])
    assert run.manifest.self_check == {}


@pytest.mark.parametrize("broken", [{"a": 3}, [], {"a": [1]}])
def test_a_manifest_with_a_broken_self_check_is_read_or_refused(broken):
    import json

    text = json.loads(Manifest().to_json()) | {"self_check": broken}
    try:
        read = Manifest.from_json(json.dumps(text)).self_check
    except ValueError as error:
        assert "not a torchvitals manifest" in str(error)
    else:
        assert all(isinstance(name, str) for names in read.values() for name in names)
