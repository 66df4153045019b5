"""Findings while training goes on: in the handle, as a callback, in the log."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from tests.torchvitals.training import fresh, one_step
from torchvitals import attach_hooks
from torchvitals_tb import TorchvitalsError, diagnose


def born_dead():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    return model


def train(model, steps, batch=256):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(batch, 8)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", ["path", "torch", "tensorboardX"])
def test_the_handle_says_what_the_files_say(kind, tmp_path):
    if kind == "path":
        writer = tmp_path
    elif kind == "torch":
        writer = SummaryWriter(str(tmp_path))
    else:
        from tensorboardX import SummaryWriter as Other

        writer = Other(str(tmp_path))
    model = born_dead()
    with attach_hooks(model, writer, every=1, on_error="raise") as vitals:
        with pytest.raises(TorchvitalsError, match=r"no records|no event files"):
            vitals.findings()
        train(model, 12)
        live = vitals.findings()
    assert {f.code for f in live} >= {"dead-units"} and live[0].layers[0] == "1"
    if kind != "path":
        writer.close()
    assert diagnose(tmp_path).findings[0].code == live[0].code


def test_each_kind_is_told_once(tmp_path, caplog):
    model, told = born_dead(), []
    with (
        caplog.at_level(logging.WARNING, "torchvitals"),
        attach_hooks(model, tmp_path, every=1, on_error="raise", on_finding=told.append),
    ):
        train(model, 15)
        assert not told
        train(model, 60)
    codes = [finding.code for finding in told]
    assert "dead-units" in codes and len(codes) == len(set(codes))
    lines = [m for m in caplog.messages if m.startswith("torchvitals finds")]
    assert len(lines) == len(codes) and "dead-units" in lines[0] and "Try: " in lines[0]


def test_a_healthy_run_is_silent(tmp_path, caplog):
    model, batch = fresh("residual")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with caplog.at_level(logging.WARNING, "torchvitals"), attach_hooks(model, tmp_path, every=1):
        for _ in range(40):
            one_step(model, batch, "residual", optimizer)
    assert not caplog.messages


def test_a_callback_that_fails_is_said_and_training_goes_on(tmp_path, caplog):
    def fails(finding):
        raise RuntimeError("mine")

    model = born_dead()
    with caplog.at_level(logging.WARNING, "torchvitals"), attach_hooks(model, tmp_path, every=1, on_finding=fails):
        train(model, 40)
    assert sum("does not observe findings: RuntimeError: mine" in m for m in caplog.messages) == 1


def test_bad_callback(tmp_path):
    with pytest.raises(TypeError, match="on_finding must be a function"):
        attach_hooks(nn.Linear(1, 1), tmp_path, on_finding="print")


def test_switched_off(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHVITALS", "0")
    with pytest.raises(TorchvitalsError, match="switched off"):
        attach_hooks(nn.Linear(1, 1), tmp_path).findings()
