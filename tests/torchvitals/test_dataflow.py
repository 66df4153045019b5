"""The edges between layers, against what the model's own code says."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from torchvitals import attach_hooks
from torchvitals_tb import load_run


def linear():
    return nn.Linear(4, 4)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = (linear() for _ in range(4))
        self.frozen = linear().requires_grad_(False)
        self.weight = nn.Parameter(torch.randn(4, 4) * 0.5)


class Chain(Net):
    def forward(self, x):
        return self.d(self.c(self.b(self.a(x))))


class Joins(Net):
    def forward(self, x):
        a = self.a(x)
        b = F.gelu(self.b(a))
        b += a  # in place
        c = self.c(b)
        return self.d(torch.cat([c, a])[:4] * b[:4])


class Streams(Net):
    """A residual stream: everything before feeds it."""

    def forward(self, x):
        x = self.a(x)
        x = x + self.b(x)
        x = x + self.c(x)
        return self.d(x)


class Views(Net):
    def forward(self, x):
        a = self.a(x)
        a[:, 0] += self.b(x)[:, 0]
        first, second = a.view(2, -1, 4).unbind()
        return self.d(self.c(first) + second.t().reshape(-1, 4))


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x * 2 + y

    @staticmethod
    def backward(ctx, g):
        return 2 * g, g


class OwnFunctions(Net):
    """Operations of the user's own, which no function mode sees."""

    def forward(self, x):
        return self.c(Own.apply(self.a(x), self.b(x)))


class Matmul(Net):
    """Layers with functions of the root's own parameters between them."""

    def forward(self, x):
        return self.b(self.a(x) @ self.weight + torch.zeros_like(self.c(x)))


class Frozen(Net):
    """No gradient flows through the frozen part; its output joins one that has a gradient."""

    def forward(self, x):
        y = torch.tanh(self.frozen(x))
        return self.c(self.b(y) + self.frozen(y))


class Detached(Net):
    def forward(self, x):
        a = self.a(x)
        return self.b(a.detach() * 2) + self.c(a)


class Reentrant(Net):
    def forward(self, x):
        x = self.a(x)
        x = x + checkpoint(lambda y: self.c(self.b(y)), x, use_reentrant=True)
        return self.d(x)


class Shared(Net):
    def forward(self, x):
        return self.b(self.a(self.a(x)))


class Keywords(nn.Module):
    class Takes(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.eye(4))

        def forward(self, *, x):
            return {"y": x @ self.weight}

    def __init__(self):
        super().__init__()
        self.a, self.b = linear(), self.Takes()

    def forward(self, x):
        return self.b(x=self.a(x))["y"]


class Identical(nn.Module):
    """Layers that hand on what they get."""

    def __init__(self):
        super().__init__()
        self.a, self.same, self.drop, self.b = linear(), nn.Identity(), nn.Dropout(0.0), linear()

    def forward(self, x):
        x = self.a(x)
        return self.b(self.drop(self.same(x)) + x)


class State(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.b = nn.LSTM(4, 4), linear()

    def forward(self, x):
        return self.b(self.rnn(x)[1][1])


class Block(nn.Module):
    """A layer with layers inside."""

    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(4))
            self.a, self.b = linear(), linear()

        def forward(self, x):
            return x + self.gamma * F.relu(self.b(F.relu(self.a(x))))

    def __init__(self):
        super().__init__()
        self.first, self.block, self.last = linear(), self.Inner(), linear()

    def forward(self, x):
        return self.last(self.block(self.first(x)))


EDGES = {
    Chain: "a>b b>c c>d",
    Joins: "a>b b>b/gelu b/gelu>c a>c c>d a>d b/gelu>d",
    Streams: "a>b a>c b>c a>d b>d c>d",
    Views: "a>c b>c a>d b>d c>d",
    OwnFunctions: "a>c b>c",
    Matmul: "a>b",
    Frozen: "frozen>frozen/tanh frozen/tanh>b frozen/tanh>frozen@1 b>c frozen@1>c",
    Detached: "a>b a>c",
    Reentrant: "a>b b>c a>d c>d",
    Shared: "a>a@1 a@1>b",
    Keywords: "a>b",
    # An output that is the input cannot be told from it: the sum of both comes from the one that gave it last.
    Identical: "a>same same>drop drop>b",
    State: "rnn>b",
    Block: (
        "first>block.a block.a>block.a/relu block.a/relu>block.b block.b>block.b/relu "
        "block.b/relu>block first>block block>last"
    ),
}


def edges_of(run):
    names = [layer.name for layer in run.layers]
    return {f"{names[a]}>{names[b]}" for a, b in run.manifest.edges}


@pytest.mark.parametrize("model", EDGES, ids=lambda kind: kind.__name__)
def test_edges(model, tmp_path):
    torch.manual_seed(0)
    net = model()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.01)
    with attach_hooks(net, tmp_path, every=1, on_error="raise"):
        for _ in range(2):
            net(torch.randn(4, 4)).mean().backward()
            optimizer.step()
    assert edges_of(load_run(tmp_path)) == set(EDGES[model].split())


def test_between_submodules_that_are_called_directly(tmp_path):
    class Gan(nn.Module):
        def __init__(self):
            super().__init__()
            self.g, self.d = linear(), nn.Sequential(linear(), nn.Sigmoid())

    model = Gan()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        fake = model.g(torch.randn(3, 4))
        model.d(fake).mean().backward()
        optimizer.step()
    assert edges_of(load_run(tmp_path)) == {"g>d.0", "d.0>d.1"}


def test_no_graph_is_kept_for_it(tmp_path):
    """A forward whose result is thrown away, as in a validation without no_grad, is freed at once."""
    import weakref

    from torch.autograd.graph import saved_tensors_hooks

    class Saved:
        def __init__(self, x):
            self.x = x

    saved = []

    def pack(x):
        box = Saved(x)
        saved.append(weakref.ref(box))
        return box

    model = Joins()
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        with saved_tensors_hooks(pack, lambda box: box.x):
            out = model(torch.randn(4, 4))
        assert any(ref() is not None for ref in saved)
        del out
        assert all(ref() is None for ref in saved)


def test_a_deep_residual_stream_stays_small(tmp_path):
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(2, 2) for _ in range(300))

        def forward(self, x):
            for block in self.blocks:
                x = x + 0.01 * block(x)
            return x

    model = Deep()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(torch.randn(4, 2)).mean().backward()
        optimizer.step()
    run = load_run(tmp_path)
    edges = set(run.manifest.edges)
    assert {(i, i + 1) for i in range(299)} <= edges
    assert max(sum(b == i for _, b in edges) for i in range(300)) == 64


def test_a_branch_taken_later_has_its_edges(tmp_path):
    class Branches(Net):
        def forward(self, x, second):
            return self.c(self.b(self.a(x))) if second else self.c(self.a(x))

    model = Branches()
    optimizer = torch.optim.SGD([model.a.weight, model.c.weight], lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for second in (False, True):
            model(torch.randn(4, 4), second).mean().backward()
            optimizer.step()
    assert edges_of(load_run(tmp_path)) == {"a>c", "a>b", "b>c"}
