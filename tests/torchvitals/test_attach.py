"""The call and its handle: input, life time, failure."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from tests.torchvitals.test_training_unchanged import hook_counts
from tests.torchvitals.training import fresh, one_step
from torchvitals import Vitals, attach_hooks, process
from torchvitals_tb import load_run


def train(model, batch, optimizer, steps, name="mlp"):
    for _ in range(steps):
        one_step(model, batch, name, optimizer)


@pytest.fixture
def mlp():
    model, batch = fresh("mlp")
    return model, batch, torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("model", "writer", "options", "error", "says"),
    [
        (nn.Linear, "run", {}, TypeError, r"model is the class Linear, not an instance: write Linear\(...\)"),
        ("net", "run", {}, TypeError, "model is a str, expected a torch.nn.Module"),
        (nn.ReLU(), "run", {}, ValueError, r"the model \(ReLU\) has no parameters"),
        (nn.Linear(1, 1), SummaryWriter, {}, TypeError, r"writer is the class SummaryWriter.*SummaryWriter\('runs"),
        (nn.Linear(1, 1), object(), {}, TypeError, "writer is a object: give a SummaryWriter"),
        (nn.Linear(1, 1), None, {}, TypeError, "writer is a NoneType"),
        (nn.Linear(1, 1), "", {}, ValueError, "writer=''"),
        (nn.Linear(1, 1), "run", {"every": 0}, ValueError, "every=0: must be at least 1"),
        (nn.Linear(1, 1), "run", {"start_step": -1}, ValueError, "start_step=-1"),
        (nn.Linear(1, 1), "run", {"start_step": 1.5}, TypeError, "start_step must be a whole number"),
        (nn.Linear(1, 1), "run", {"mirror": "no"}, ValueError, "mirror='no'"),
        (nn.Linear(1, 1), "run", {"on_error": "ignore"}, ValueError, "on_error='ignore'"),
        (nn.Linear(1, 1), "run", {"include": [3]}, TypeError, "include must be a pattern"),
        (nn.Linear(1, 1), "run", {"exclude": "wieght"}, ValueError, "exclude='wieght' matches no.*'weight'"),
    ],
)
def test_bad_input_gets_one_sentence(model, writer, options, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says) as caught:
        attach_hooks(model, writer, **options)
    assert "\n" not in str(caught.value)
    assert not isinstance(model, nn.Module) or not any(hook_counts(model))


def test_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot write a run there"):
        attach_hooks(nn.Linear(1, 1), tmp_path / "file" / "run")


def tags(run):
    return [v.tag for f in sorted(run.iterdir()) for e in EventFileLoader(str(f)).Load() for v in e.summary.value]


@pytest.mark.parametrize("kind", ["torch", "tensorboardX", "path", "str"])
def test_every_kind_of_writer(kind, mlp, tmp_path):
    model, batch, optimizer = mlp
    if kind == "torch":
        writer = SummaryWriter(str(tmp_path))
    elif kind == "tensorboardX":
        from tensorboardX import SummaryWriter as Other

        writer = Other(str(tmp_path))
    else:
        writer = str(tmp_path) if kind == "str" else tmp_path
    vitals = attach_hooks(model, writer, every=1, on_error="raise")
    train(model, batch, optimizer, 3)
    vitals.remove()
    if kind in ("torch", "tensorboardX"):
        writer.add_scalar("mine", 1.0, 3)  # the user's writer stays open
        writer.close()
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 1, 2]
    assert [layer.name for layer in run.layers] == ["0", "1", "2", "3"]
    assert np.isfinite(run["gradient/rms"].values).all()
    assert len(list(tmp_path.iterdir())) == 1
    assert ("mine" in tags(tmp_path)) == (kind in ("torch", "tensorboardX"))


def test_mirror(mlp, tmp_path):
    model, batch, optimizer = mlp
    for mirror in (True, False, "auto"):
        run = tmp_path / str(mirror)
        with attach_hooks(model, run, every=1, mirror=mirror):
            train(model, batch, optimizer, 1)
        stock = {tag for tag in tags(run) if tag.startswith("vitals/")}
        assert ("vitals/grad_norm" in stock) == (mirror is not False)
        assert ("vitals/activation/1" in stock) == (mirror is not False)


def test_stock_histogram_holds_the_counts(mlp, tmp_path):
    from tensorboard.util import tensor_util

    model, batch, optimizer = mlp
    with attach_hooks(model, tmp_path, every=1):
        train(model, batch, optimizer, 1)
    (file,) = tmp_path.iterdir()
    (table,) = [
        tensor_util.make_ndarray(v.tensor)
        for e in EventFileLoader(str(file)).Load()
        for v in e.summary.value
        if v.tag == "vitals/weight/0.weight"
    ]
    expected, _ = fresh("mlp")
    weights = expected[0].weight.detach().numpy().ravel()
    assert table[:, 2].sum() == len(weights)
    assert (np.diff(table[:, 0]) > 0).all() and (table[:, 0] < table[:, 1]).all()
    for left, right, count in table:
        inside = (weights > left) & (weights <= right) if right <= 0 else (weights >= left) & (weights < right)
        assert inside.sum() == count


def test_large_models_get_no_stock_histograms(tmp_path):
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(65)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1):
        model(torch.randn(2, 2)).mean().backward()
        optimizer.step()
    stock = {tag for tag in tags(tmp_path) if tag.startswith("vitals/")}
    assert stock == {"vitals/grad_norm", "vitals/weight_norm", "vitals/update_ratio"}


def test_steps_and_start_step(mlp, tmp_path):
    model, batch, optimizer = mlp
    with attach_hooks(model, tmp_path, every=2, start_step=100) as vitals:
        assert vitals.step == 100
        train(model, batch, optimizer, 5)
        assert vitals.step == 105
    run = load_run(tmp_path)
    assert run.steps.tolist() == [100, 102, 104]
    assert run.counters["samples"].tolist() == [1, 2, 3]
    assert run.counters["step"].tolist() == [100, 102, 104]
    assert (run.counters["measuring_seconds"] < run.counters["training_seconds"]).all()


def test_handle_can_be_dropped(mlp, tmp_path):
    model, batch, optimizer = mlp
    writer = SummaryWriter(str(tmp_path))
    attach_hooks(model, writer, every=1)
    gc.collect()
    train(model, batch, optimizer, 2)
    writer.flush()
    assert load_run(tmp_path).steps.tolist() == [0, 1]
    assert any(hook_counts(model))


def test_the_model_is_not_kept_alive(tmp_path):
    gc.collect()
    gc.disable()
    try:
        model, batch = fresh("residual")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        recorder = attach_hooks(model, tmp_path, every=1)._recorder
        train(model, batch, optimizer, 2, "residual")
        gone = weakref.ref(model)
        del model, optimizer
        assert gone() is None
    finally:
        gc.enable()
    assert not process._handles and not process.monitors
    recorder.wait()  # the rest is written where nobody waits for it
    assert load_run(tmp_path).steps.tolist() == [0, 1]


def test_nothing_is_kept_between_steps(mlp, tmp_path):
    model, _, optimizer = mlp
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        outputs = []
        model[0].register_forward_hook(lambda m, a, out: outputs.append(weakref.ref(out)))
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 8)).mean().backward()
            optimizer.step()
        assert all(ref() is None for ref in outputs)


def test_attaching_again_replaces(mlp, tmp_path):
    model, batch, optimizer = mlp
    first = attach_hooks(model, tmp_path / "a", every=1)
    train(model, batch, optimizer, 1)
    with attach_hooks(model, tmp_path / "b", every=1):
        train(model, batch, optimizer, 2)
    first.remove()
    assert load_run(tmp_path / "a").steps.tolist() == [0]
    assert load_run(tmp_path / "b").steps.tolist() == [0, 1]


def test_paused(mlp, tmp_path):
    model, batch, optimizer = mlp
    with attach_hooks(model, tmp_path, every=1) as vitals:
        train(model, batch, optimizer, 1)
        with vitals.paused():
            assert not any(hook_counts(model))
            train(model, batch, optimizer, 2)
        train(model, batch, optimizer, 1)
    assert load_run(tmp_path).steps.tolist() == [0, 3]


def test_two_models_each_with_its_handle(tmp_path):
    torch.manual_seed(0)
    g, d = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    og, od = (torch.optim.SGD(m.parameters(), lr=0.1) for m in (g, d))
    with attach_hooks(g, tmp_path / "g", every=1), attach_hooks(d, tmp_path / "d", every=1):
        for _ in range(3):
            od.zero_grad()
            d(g(torch.randn(5, 3)).detach()).mean().backward()
            od.step()
            og.zero_grad()
            (-d(g(torch.randn(5, 3))).mean()).backward()
            og.step()
    for name in "gd":
        run = load_run(tmp_path / name)
        assert run.steps.tolist() == [0, 1, 2]
        assert (run["parameter/grad_rms"].values > 0).all()


def test_failure_in_measuring_is_said_once_and_training_goes_on(mlp, tmp_path, monkeypatch, caplog):
    from torchvitals.capture import Capture

    model, batch, optimizer = mlp
    real = Capture._add_activation

    def fails(capture, row, x, *rest, **options):
        if x.shape[1] == 12:
            raise ArithmeticError("broken here")
        real(capture, row, x, *rest, **options)

    monkeypatch.setattr(Capture, "_add_activation", fails)
    with caplog.at_level(logging.WARNING, "torchvitals"), attach_hooks(model, tmp_path, every=1):
        train(model, batch, optimizer, 3)
    assert sum("does not observe 0: ArithmeticError: broken here" in m for m in caplog.messages) == 1
    run = load_run(tmp_path)
    assert run.manifest.not_observed["0"] == "ArithmeticError: broken here"
    assert np.isfinite(run["activation/rms"].values[:, 2]).all()
    monkeypatch.setattr(Capture, "_add_activation", fails)
    with (
        pytest.raises(ArithmeticError, match="broken here"),
        attach_hooks(model, tmp_path / "raise", every=1, on_error="raise"),
    ):
        train(model, batch, optimizer, 1)
    assert not any(hook_counts(model)) and not process.monitors


def test_closed_writer_ends_the_recording_with_a_word(mlp, tmp_path, caplog):
    model, batch, optimizer = mlp
    writer = SummaryWriter(str(tmp_path))
    attach_hooks(model, writer, every=1)
    train(model, batch, optimizer, 2)
    writer.close()
    with caplog.at_level(logging.WARNING, "torchvitals"):
        train(model, batch, optimizer, 2)
    assert [m for m in caplog.messages if "the SummaryWriter was closed" in m] and len(caplog.messages) == 1
    assert len(list(tmp_path.iterdir())) == 1 and not any(hook_counts(model))
    with pytest.raises(ValueError, match="is closed"):
        attach_hooks(model, writer)


def test_switched_off_by_the_environment(mlp, tmp_path, monkeypatch, caplog):
    model, batch, optimizer = mlp
    monkeypatch.setenv("TORCHVITALS", "0")
    with caplog.at_level(logging.WARNING, "torchvitals"):
        handles = [attach_hooks(model, tmp_path / "run") for _ in range(2)]
    assert sum("TORCHVITALS=0" in m for m in caplog.messages) <= 1
    with handles[0] as vitals, vitals.paused():
        train(model, batch, optimizer, 1)
        vitals.advance()
        vitals.flush()
    assert isinstance(vitals, Vitals) and not (tmp_path / "run").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_records_nothing(tmp_path):
    script = f"""
import os, torch
from torchvitals import attach_hooks
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=.1)
def step():
    model(torch.randn(2, 2)).mean().backward(); optimizer.step()
vitals = attach_hooks(model, {str(tmp_path)!r}, every=1)
step()
child = os.fork()
if not child:
    for _ in range(30): step()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
step()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    assert load_run(tmp_path).steps.tolist() == [0, 1]  # and the run from a path is closed at exit


def test_segments(mlp, tmp_path, monkeypatch):
    from torchvitals_tb import schema

    monkeypatch.setattr(schema, "SEGMENT_BYTES", 100)
    model, batch, optimizer = mlp
    with attach_hooks(model, tmp_path, every=1):
        train(model, batch, optimizer, 12)
    assert {"torchvitals/gradient/rms", "torchvitals/gradient/rms@1"} <= set(tags(tmp_path))
    run = load_run(tmp_path)
    assert run["gradient/rms"].steps.tolist() == list(range(12))


def test_histograms_and_units_can_be_left_out(mlp, tmp_path):
    model, batch, optimizer = mlp
    with attach_hooks(model, tmp_path, every=1, histograms=False, units=False):
        train(model, batch, optimizer, 2)
    assert not any("histogram" in tag or "units" in tag for tag in tags(tmp_path))


def test_importing_the_writer_is_light():
    script = (
        "import sys, torchvitals; "
        "print([m for m in ('tensorboard.plugins', 'werkzeug', 'torch.utils.tensorboard', 'sklearn', 'rich')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("first", ["compile", "attach"])
def test_compiled_model_is_not_compiled_again_for_us(first, tmp_path):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if first == "compile":
        compiled = torch.compile(model, backend=backend)
    with attach_hooks(model, tmp_path, every=3, on_error="raise"):
        if first == "attach":
            compiled = torch.compile(model, backend=backend)
        train(compiled, batch, optimizer, 7)
    train(compiled, batch, optimizer, 1)
    assert len(graphs) == 1
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 3, 6]
    assert np.isfinite(run["gradient/rms"].values).all()
