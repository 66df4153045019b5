"""Compiled models, blocks, optimizers and steps: what is compiled, and how often, is as without hooks."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.utils import counters

from torchvitals import attach_hooks
from torchvitals_tb import load_run


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.manual_seed(0)
    torch._dynamo.reset()
    counters.clear()
    before = stance()
    yield
    assert stance() == before
    torch._dynamo.reset()


def stance():
    return torch._dynamo.eval_frame._stance.stance


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(4), nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x):
        return x + self.down(F.relu(self.up(self.norm(x))))


class Net(nn.Module):
    def __init__(self, breaks: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(4, 3)
        self.breaks = breaks

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        if self.breaks:
            torch._dynamo.graph_break()
        return self.head(x).tanh()


ROWS = [f"blocks.{i}.{part}" for i in range(2) for part in ("norm", "up", "up/relu", "down")] + ["head", "head/tanh"]


class Backend:
    """Counts the graphs it is given and what is in them, and runs them as they are."""

    def __init__(self, kind: str) -> None:
        self.sizes: list[int] = []
        self.inner = torch._dynamo.lookup_backend(kind)

    @property
    def graphs(self) -> int:
        return len(self.sizes)

    def __call__(self, graph, inputs):
        self.sizes.append(len(graph.graph.nodes))
        return self.inner(graph, inputs)


class Compiled(NamedTuple):
    """What was compiled in a training."""

    sizes: list[int]
    """Nodes of each graph, in order."""
    breaks: Counter[str]
    """Times the graph was broken, by reason."""
    limits: list[str]

    def as_much_as(self, bare: Compiled) -> bool:
        """The same graphs, none more, and no break more. (Where an optimizer breaks anyway, its hooks do so before.)"""
        return (self.sizes, self.limits) == (bare.sizes, bare.limits) and self.breaks.total() <= bare.breaks.total()


def compile_whole(model, optimizer, backend, **options):
    return torch.compile(model, backend=backend, **options), optimizer.step


def compile_in_place(model, optimizer, backend):
    model.compile(backend=backend)
    return model, optimizer.step


def compile_fully(model, optimizer, backend):
    return compile_whole(model, optimizer, backend, fullgraph=True)


def compile_dynamically(model, optimizer, backend):
    return compile_whole(model, optimizer, backend, dynamic=True)


def compile_blocks(model, optimizer, backend):
    for block in model.blocks:
        block.compile(backend=backend, fullgraph=True)
    return model, optimizer.step


def wrap_blocks(model, optimizer, backend):
    for i, block in enumerate(model.blocks):
        model.blocks[i] = torch.compile(block, backend=backend)
    return model, optimizer.step


def compile_step_of_optimizer(model, optimizer, backend):
    return model, torch.compile(optimizer.step, backend=backend)


def compile_both(model, optimizer, backend):
    return torch.compile(model, backend=backend), torch.compile(optimizer.step, backend=backend)


def nothing(model, optimizer, backend):
    return model, optimizer.step


WAYS = {
    "whole": compile_whole,
    "in place": compile_in_place,
    "full graph": compile_fully,
    "dynamic": compile_dynamically,
    "blocks": compile_blocks,
    "wrapped blocks": wrap_blocks,
    "optimizer": compile_step_of_optimizer,
    "both": compile_both,
}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.AdamW(p, lr=0.01, capturable=False),
}


def outcome(
    compile_, run=None, order="compile first", every=3, kind="eager", build=Net, sizes=(5,) * 8, optimizer="sgd"
):
    """Trains; gives losses, weights, and what was compiled. Without hooks the same steps run eagerly as with them."""
    torch._dynamo.reset()
    counters.clear()
    torch.manual_seed(0)
    model = build()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    backend = Backend(kind)
    vitals = None
    if order == "attach first" and run:
        vitals = attach_hooks(model, run, every=every, on_error="raise")
    outer, step_of_optimizer = compile_(model, optimizer, backend)
    if order != "attach first" and run:
        vitals = attach_hooks(outer if order == "attach outer" else model, run, every=every, on_error="raise")
    losses = []
    for step, size in enumerate(sizes):
        x = torch.randn(size, 4)
        with by_hand(step % every == 0 and not run):
            optimizer.zero_grad()
            loss = outer(x).square().mean()
            loss.backward()
            step_of_optimizer()
        losses.append(loss.item())
    if vitals:
        assert vitals.step == len(sizes)
        vitals.remove()
    return losses, [p.detach().clone() for p in model.parameters()], compiled_by(backend)


def compiled_by(backend):
    return Compiled(backend.sizes, Counter(counters["graph_break"]), list(counters["recompile_limit"]))


def by_hand(eagerly):
    return torch.compiler.set_stance("force_eager") if eagerly else contextlib.nullcontext()


def near(a, b, exactly=True):
    return len(a) == len(b) and all(torch.equal(x, y) if exactly else torch.allclose(x, y) for x, y in zip(a, b))  # noqa: B905


def same_numbers(a, b, exactly=True):
    """Of two runs: rows and every number."""
    a, b = load_run(a), load_run(b)
    assert [layer.name for layer in a.layers] == [layer.name for layer in b.layers]
    assert a.parameters == b.parameters and a.steps.tolist() == b.steps.tolist()
    for statistic in a.statistics:
        x, y = a[statistic].values, b[statistic].values
        tolerance = {"rtol": 0, "atol": 0} if exactly else {"rtol": 1e-3, "atol": 1e-7}
        np.testing.assert_allclose(x, y, **tolerance, err_msg=statistic)
    return b


@pytest.mark.parametrize("order", ["compile first", "attach first", "attach outer"])
@pytest.mark.parametrize("way", WAYS)
def test_compiled_as_without_hooks(way, order, tmp_path):
    bare = outcome(WAYS[way])
    hooked = outcome(WAYS[way], tmp_path / "compiled", order)
    assert hooked[2].as_much_as(bare[2]) and bare[2].sizes
    assert hooked[0] == bare[0] and near(hooked[1], bare[1])
    outcome(nothing, tmp_path / "eager")
    run = same_numbers(tmp_path / "eager", tmp_path / "compiled")
    assert run.steps.tolist() == [0, 3, 6]
    assert [layer.name for layer in run.layers] == ROWS
    assert not any("_orig_mod" in row.name for row in (*run.layers, *run.parameters))
    assert not any("_orig_mod" in row.parent for row in run.layers)


@pytest.mark.parametrize("way", ["whole", "blocks", "both"])
def test_with_gradients_compiled_too(way, tmp_path):
    bare = outcome(WAYS[way], kind="aot_eager", optimizer="adam")
    hooked = outcome(WAYS[way], tmp_path / "compiled", kind="aot_eager", optimizer="adam")
    assert hooked[2].as_much_as(bare[2])
    np.testing.assert_allclose(hooked[0], bare[0], rtol=1e-5)
    outcome(nothing, tmp_path / "eager", optimizer="adam")
    same_numbers(tmp_path / "eager", tmp_path / "compiled", exactly=False)


@pytest.mark.parametrize("way", ["whole", "in place", "both"])
def test_sizes_and_breaks_of_the_users_own(way, tmp_path):
    """The last batch is smaller, and the forward breaks the graph by itself."""
    options = {"build": lambda: Net(breaks=True), "sizes": (5, 5, 5, 3, 5, 5, 3, 4)}
    bare, hooked = outcome(WAYS[way], **options), outcome(WAYS[way], tmp_path, **options)
    assert hooked[2].as_much_as(bare[2]) and bare[2].breaks
    assert bare[0] == hooked[0] and near(bare[1], hooked[1])


@torch._dynamo.config.patch(skip_nnmodule_hook_guards=False)
def test_guards_on_the_hooks_of_modules(tmp_path):
    """Off by default in PyTorch: with them, a hook that was left would compile everything anew."""
    bare, hooked = outcome(compile_whole), outcome(compile_whole, tmp_path)
    assert hooked[2].as_much_as(bare[2]) and len(bare[2].sizes) == 1


@pytest.mark.parametrize("every", [1, 1000])
def test_all_steps_sampled_and_only_the_first(every, tmp_path):
    bare, hooked = outcome(compile_whole, every=every), outcome(compile_whole, tmp_path, every=every)
    assert hooked[2].as_much_as(bare[2]) and len(hooked[2].sizes) == (0 if every == 1 else 1)
    assert hooked[0] == bare[0]
    assert [layer.name for layer in load_run(tmp_path).layers] == ROWS


def step_compiled(run=None, every=3, order="compile first", compiled=True):
    """Forward, backward and optimizer step in one compiled function."""
    torch._dynamo.reset()
    counters.clear()
    torch.manual_seed(0)
    model = Net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    backend = Backend("eager")
    vitals = attach_hooks(model, run, every=every, on_error="raise") if run and order == "attach first" else None

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    if compiled:
        step = torch.compile(step, backend=backend)
    if run and vitals is None:
        vitals = attach_hooks(model, run, every=every, on_error="raise")
    losses = []
    for i in range(8):
        x = torch.randn(5, 4)
        with by_hand(i % every == 0 and not run):
            losses.append(step(x).item())
    if vitals:
        assert vitals.step == 8
        vitals.remove()
    return losses, [p.detach().clone() for p in model.parameters()], compiled_by(backend)


@pytest.mark.parametrize("order", ["compile first", "attach first"])
def test_the_whole_training_step_compiled(order, tmp_path):
    bare, hooked = step_compiled(), step_compiled(tmp_path / "compiled", order=order)
    assert hooked[0] == bare[0] and near(hooked[1], bare[1])
    step_compiled(tmp_path / "eager", compiled=False)
    run = same_numbers(tmp_path / "eager", tmp_path / "compiled")
    assert [layer.name for layer in run.layers] == ROWS
    assert hooked[2].as_much_as(bare[2]) and bare[2].sizes


def test_attached_and_removed_in_the_middle(tmp_path):
    """What was compiled before is used on, while attached and afterwards."""
    torch.manual_seed(0)
    model, backend = Net(), Backend("eager")
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    compiled = torch.compile(model, backend=backend)

    def steps(n):
        for _ in range(n):
            optimizer.zero_grad()
            compiled(torch.randn(5, 4)).square().mean().backward()
            optimizer.step()

    steps(2)
    graphs = backend.graphs
    for i in range(2):
        vitals = attach_hooks(compiled, tmp_path / str(i), every=2, on_error="raise")
        assert stance() == "force_eager"
        steps(1)
        assert stance() == "default"
        steps(2)
        with vitals.paused():
            assert stance() == "default"
        vitals.remove()
        assert stance() == "default"
        steps(2)
    assert backend.graphs == graphs


@pytest.mark.parametrize("name", ["eager_on_recompile", "fail_on_recompile", "force_eager"])
def test_a_stance_set_before_comes_back(name, tmp_path):
    model, backend = Net(), Backend("eager")
    compiled = torch.compile(model, backend=backend)
    x = torch.randn(5, 4)
    compiled(x)
    with torch.compiler.set_stance(name):
        with attach_hooks(model, tmp_path, every=2, on_error="raise"):
            optimizer = OPTIMIZERS["sgd"](model.parameters())
            for step in range(5):
                assert stance() == (name if step % 2 else "force_eager")
                compiled(x).square().mean().backward()
                optimizer.step()
        assert stance() == name
        compiled(x)
    assert load_run(tmp_path).steps.tolist() == [0, 2, 4]
    assert backend.graphs == 1


def test_a_stance_around_some_steps(tmp_path):
    """Entered on a sampled step, left on another one."""

    def outcome_of(run):
        torch._dynamo.reset()
        torch.manual_seed(0)
        model, backend = Net(), Backend("eager")
        compiled = torch.compile(model, backend=backend)
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        vitals = attach_hooks(model, run, every=3, on_error="raise") if run else None

        def step():
            optimizer.zero_grad()
            compiled(torch.ones(5, 4)).square().mean().backward()
            optimizer.step()
            return backend.graphs

        graphs = [step(), step()]
        with torch.compiler.set_stance("force_eager"):
            graphs += [step() for _ in range(5)]
        after = stance()
        graphs += [step() for _ in range(3)]
        if vitals:
            vitals.remove()
        return graphs[-1], after if not run else "default", [p.detach().clone() for p in model.parameters()]

    bare, hooked = outcome_of(None), outcome_of(tmp_path)
    assert bare[:2] == hooked[:2] and near(bare[2], hooked[2])
    assert stance() == "default"
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0, 3, 6, 9]
    assert np.isfinite(run["gradient/rms"].values).all()


def test_two_compiled_models(tmp_path):
    """Sampled on steps of their own, removed one after the other."""
    models = [Net(), Net()]
    backends = [Backend("eager"), Backend("eager")]
    compiled = [torch.compile(m, backend=b) for m, b in zip(models, backends, strict=True)]
    optimizers = [OPTIMIZERS["sgd"](m.parameters()) for m in models]
    handles = [attach_hooks(m, tmp_path / str(i), every=i + 2, on_error="raise") for i, m in enumerate(models)]
    for step in range(12):
        for i in range(2):
            compiled[i](torch.randn(5, 4)).square().mean().backward()
            optimizers[i].step()
        if step == 8:
            handles[0].remove()
    handles[1].remove()
    assert stance() == "default"
    assert [b.graphs for b in backends] == [1, 1]
    for i, steps in enumerate(([0, 2, 4, 6, 8], [0, 3, 6, 9])):
        run = load_run(tmp_path / str(i))
        assert run.steps.tolist() == steps
        assert np.isfinite(run["gradient/rms"].values).all()


def test_a_function_compiled_that_has_nothing_to_do_with_the_model(tmp_path):
    backend = Backend("eager")

    @torch.compile(backend=backend)
    def augment(x):
        return x.sin() + 1

    model = nn.Linear(4, 3)
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    with attach_hooks(model, tmp_path, every=2, on_error="raise"):
        for _ in range(5):
            x = torch.randn(5, 4)
            assert torch.equal(augment(x), x.sin() + 1)
            model(augment(x)).sum().backward()
            optimizer.step()
    assert backend.graphs == 1
