"""What else is done to a model while hooks are attached: transforms, copies, workers, replicas, hooks, surgery."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call, stack_module_state
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils import prune
from torch.optim import swa_utils
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from torchvitals import attach_hooks
from torchvitals_tb import load_run


class Net(nn.Module):
    """Modules, functions, a container and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 6)
        self.body = nn.Sequential(nn.LayerNorm(6), nn.Tanh())
        self.head = nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.head(self.body(F.relu(self.a(x)))) * self.scale


ROWS = ["a", "a/relu", "body.0", "body.1", "head"]


@pytest.fixture(autouse=True)
def nothing_went_wrong(caplog):
    """These tests attach with ``on_error="warn"``: whatever goes wrong in measuring is logged."""
    torch.manual_seed(0)
    with caplog.at_level(logging.WARNING, "torchvitals"):
        yield
    # What a model was found to lack in its first step is no failure.
    assert [message for message in caplog.messages if "in its first step" not in message] == []


def sgd(model):
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)


def outcome(run=None, before=None, middle=None, after=None, build=Net, steps=3, every=1):
    """Losses, weights and what was done besides: before the forward, after it, and after the backward of each step."""
    torch.manual_seed(0)
    model = build()
    optimizer = sgd(model)
    vitals = attach_hooks(model, run, every=every) if run else None
    losses, results = [], []

    def do(what, x):
        if what is not None:
            results.append(what(model, x))

    for _ in range(steps):
        x = torch.randn(5, 4)
        do(before, x)
        optimizer.zero_grad()
        loss = model(x).square().mean()
        do(middle, x)
        loss.backward()
        do(after, x)
        optimizer.step()
        losses.append(loss.item())
    if vitals:
        vitals.remove()
        assert vitals.step == steps
    return losses, [p.detach().clone() for p in model.parameters()], results


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and (a.is_meta or torch.equal(a.detach(), b.detach()))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def same_run(a, b):
    a, b = load_run(a), load_run(b)
    assert a.layers == b.layers and a.parameters == b.parameters
    assert a.manifest.edges == b.manifest.edges and not b.manifest.not_observed
    assert a.steps.tolist() == b.steps.tolist()
    for statistic in a.statistics:
        np.testing.assert_array_equal(a[statistic].values, b[statistic].values, err_msg=statistic)
    return b


# Transforms ----------------------------------------------------------------------------------------------------------


def detached(model):
    return {name: p.detach() for name, p in model.named_parameters()}


def loss_of(model):
    return lambda parameters, x: functional_call(model, parameters, (x,)).square().mean()


def call_without_grad(model, x):
    with torch.no_grad():
        return functional_call(model, {name: p * 2 for name, p in model.named_parameters()}, (x,))


def ensemble(model, x, *, base=None):
    others = [model, copy.deepcopy(model)]
    parameters, buffers = stack_module_state(others)
    base = model if base is None else base
    call = torch.vmap(lambda p, b: functional_call(base, (p, b), (x,)))
    return call({name: p.detach() for name, p in parameters.items()}, buffers)


def meta_ensemble(model, x):
    return ensemble(model, x, base=copy.deepcopy(model).to("meta"))


def gradient(model, x):
    return torch.func.grad(loss_of(model))(detached(model), x)


def gradients_of_samples(model, x):
    return torch.vmap(torch.func.grad(loss_of(model)), in_dims=(None, 0))(detached(model), x)


def exported(model, x, **options):
    program = torch.export.export(model, (x,), **options)
    with torch.no_grad():
        return program.module()(x)


def traced(model, x):
    with torch.no_grad():
        return torch.jit.trace(model, (x,))(x)


def faked(model, x):
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        out = model(mode.from_tensor(x))
    return tuple(out.shape), str(out.device)


def faked_copy(model, x):
    """How memory is estimated before it is used: everything is fake, with gradients."""
    clone, parameters = copy.deepcopy(model), detached(model)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = {name: mode.from_tensor(p).requires_grad_() for name, p in parameters.items()}
        outputs = [functional_call(m, fake, (mode.from_tensor(x),)) for m in (clone, model)]
        sum(outputs).sum().backward()
        return [tuple(p.grad.shape) for p in fake.values()]


def symbolic(model, x):
    graph = torch.fx.symbolic_trace(model)
    with torch.no_grad():
        return graph(x), [node.op for node in graph.graph.nodes]


def proxied(model, x):
    graph = make_fx(lambda p, x: functional_call(model, p, (x,)), tracing_mode="fake")(detached(model), x)
    return [str(node.target) for node in graph.graph.nodes]


def proxied_for_real(model, x):
    graph = make_fx(model)(x)
    return [str(node.target) for node in graph.graph.nodes]


def on_meta(model, x):
    out = copy.deepcopy(model).to("meta")(x.to("meta"))
    return out.shape, str(out.device)


def flops(model, x):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    return counter.get_total_flops()


def forward_mode(model, x):
    with torch.no_grad(), forward_ad.dual_level():
        return tuple(forward_ad.unpack_dual(model(forward_ad.make_dual(x, torch.ones_like(x)))))


@torch.inference_mode()
def inference(model, x):
    return model(x).clone(), model.body(torch.ones(2, 6)).clone()


TRANSFORMS = {
    "functional_call": call_without_grad,
    "vmap": lambda model, x: torch.vmap(model)(x.unsqueeze(1)).detach(),
    "vmap over chunks": lambda model, x: torch.vmap(model, chunk_size=2)(x).detach(),
    "ensemble": ensemble,
    "ensemble on meta": meta_ensemble,
    "grad": gradient,
    "grad of samples": gradients_of_samples,
    "grad and value": lambda model, x: torch.func.grad_and_value(loss_of(model))(detached(model), x),
    "vjp": lambda model, x: torch.func.vjp(lambda x: model(x).detach() * x.sum(), x)[1](torch.ones(5, 3)),
    "jvp": lambda model, x: torch.func.jvp(lambda x: model(x), (x,), (torch.ones_like(x),)),
    "jacrev": lambda model, x: torch.func.jacrev(lambda x: model(x).sum(0))(x),
    "jacfwd": lambda model, x: torch.func.jacfwd(lambda x: model(x).sum(0))(x),
    "hessian": lambda model, x: torch.func.hessian(lambda x: model(x).sum())(x),
    "linearize": lambda model, x: torch.func.linearize(lambda x: model(x), x)[1](x),
    "functionalize": lambda model, x: torch.func.functionalize(lambda x: model(x))(x).detach(),
    "forward mode": forward_mode,
    "export": exported,
    "strict export": lambda model, x: exported(model, x, strict=True),
    "trace": traced,
    "fake": faked,
    "fake copy": faked_copy,
    "symbolic trace": symbolic,
    "make_fx": proxied,
    "make_fx for real": proxied_for_real,
    "meta": on_meta,
    "flops": flops,
    "inference mode": inference,
    "no grad": lambda model, x: torch.no_grad()(model)(x),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_leave_no_trace(name, tmp_path):
    transform = TRANSFORMS[name]
    bare = outcome(before=transform, middle=transform, after=transform)
    recorded = outcome(tmp_path / "with", transform, transform, transform)
    assert same(bare, recorded)
    assert same(outcome(tmp_path / "without")[:2], recorded[:2])
    run = same_run(tmp_path / "without", tmp_path / "with")
    assert [layer.name for layer in run.layers] == ROWS
    assert np.isfinite(run["gradient/rms"].values).all()


def test_training_through_functional_call(tmp_path):
    """With gradients on it is a forward like any other, of whatever parameters."""

    def outcome_of(run, call):
        torch.manual_seed(0)
        model = Net()
        optimizer = sgd(model)
        with attach_hooks(model, run, every=1):
            for _ in range(3):
                optimizer.zero_grad()
                call(model, torch.randn(5, 4)).square().mean().backward()
                optimizer.step()

    outcome_of(tmp_path / "plain", lambda model, x: model(x))
    by_name = lambda model, x: functional_call(model, dict(model.named_parameters()), (x,))  # noqa: E731
    outcome_of(tmp_path / "functional", by_name)
    same_run(tmp_path / "plain", tmp_path / "functional")


def test_forward_mode_of_the_training_forward(tmp_path):
    """Gradients of both modes from one forward."""

    def outcome_of(run):
        torch.manual_seed(0)
        model = Net()
        optimizer = sgd(model)
        vitals = attach_hooks(model, run, every=1) if run else None
        tangents = []
        for _ in range(2):
            x = torch.randn(5, 4)
            with forward_ad.dual_level():
                out, tangent = forward_ad.unpack_dual(model(forward_ad.make_dual(x, torch.ones_like(x))))
                tangents.append(tangent.detach().clone())
                optimizer.zero_grad()
                out.square().mean().backward()
            optimizer.step()
        if vitals:
            vitals.remove()
        return tangents, [p.detach().clone() for p in model.parameters()]

    assert same(outcome_of(None), outcome_of(tmp_path))
    assert np.isfinite(load_run(tmp_path)["gradient/rms"].values).all()


class Inside(nn.Module):
    """Transforms of its own parts within the forward."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.a, self.part, self.head = nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 6), nn.Tanh()), nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.a(x))
        if self.how == "vmap":
            x = torch.vmap(lambda row: F.silu(self.part(row)))(x)
        elif self.how == "jvp":
            x = torch.func.jvp(self.part, (x,), (torch.ones_like(x),))[1]
        elif self.how == "grad":
            x = torch.vmap(torch.func.grad(lambda row: self.part(row).square().sum()))(x)
        elif self.how == "jacrev":
            x = torch.vmap(torch.func.jacrev(self.part))(x).sum(-1)
        elif self.how == "forward mode":
            with forward_ad.dual_level():
                x = forward_ad.unpack_dual(self.part(forward_ad.make_dual(x, torch.ones_like(x))))[1]
        elif self.how == "autograd.grad":
            (x,) = torch.autograd.grad(self.part(x).square().sum(), x, create_graph=True)
        return self.head(F.gelu(x))


@pytest.mark.parametrize("how", ["vmap", "jvp", "grad", "jacrev", "forward mode", "autograd.grad"])
def test_transforms_inside_of_the_forward(how, tmp_path):
    build = lambda: Inside(how)  # noqa: E731
    assert same(outcome(build=build), outcome(tmp_path, build=build))
    run = load_run(tmp_path)
    names = [layer.name for layer in run.layers]
    assert [name for name in names if name in ("a", "a/relu", "head")] == ["a", "a/relu", "head"]
    assert not run.manifest.not_observed
    outside = [names.index(name) for name in ("a", "a/relu", "head")]
    assert np.isfinite(run["gradient/rms"].values[:, outside]).all()

    torch.manual_seed(0)
    model, seen = build(), {}
    for name in ("a", "head"):
        getattr(model, name).register_forward_hook(lambda m, a, out, name=name: keep(seen, name, out))
    model(torch.randn(5, 4)).square().mean().backward()
    for name, (x, gradient_) in seen.items():
        assert run["activation/rms"].values[0, names.index(name)] == pytest.approx(rms(x), rel=1e-5)
        assert run["gradient/rms"].values[0, names.index(name)] == pytest.approx(rms(gradient_), rel=1e-4)


def rms(x):
    return x.detach().double().square().mean().sqrt().item()


def keep(seen, name, x):
    seen[name] = [x.detach().clone()]
    if x.requires_grad:
        x.register_hook(lambda g: seen[name].append(g.detach().clone()))


# Copies --------------------------------------------------------------------------------------------------------------


def through_a_file(model):
    torch.save(model, file := io.BytesIO())
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "file": through_a_file,
    "copy in a dictionary": lambda model: copy.deepcopy({"model": model, "again": model})["again"],
    "part": lambda model: nn.Sequential(copy.deepcopy(model.a), nn.ReLU(), copy.deepcopy(model.body), model.head),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_compute_the_same_and_are_not_recorded(kind, tmp_path):
    def use(model, x):
        clone = COPIES[kind](model)
        with torch.set_grad_enabled(kind != "part"):  # the last layer of this one is the model's own
            out = clone(x)
        if out.requires_grad:
            optimizer = sgd(clone)
            out.sum().backward()
            optimizer.step()
        return out.detach(), [p.detach().clone() for p in clone.parameters()]

    assert same(outcome(before=use, middle=use), recorded := outcome(tmp_path / "with", use, use))
    assert same(outcome(tmp_path / "without")[:2], recorded[:2])
    same_run(tmp_path / "without", tmp_path / "with")


@pytest.mark.parametrize("kind", ["mean", "ema", "swa buffers"])
def test_averaged_models(kind, tmp_path):
    def build():
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))

    averaged = []

    def update(model, x):
        if not averaged:
            how = swa_utils.get_ema_multi_avg_fn(0.9) if kind == "ema" else None
            averaged.append(swa_utils.AveragedModel(model, use_buffers=kind == "swa buffers", multi_avg_fn=how))
        averaged[0].update_parameters(model)
        with torch.no_grad():
            averaged[0].module(x)
        if kind == "mean":
            swa_utils.update_bn([x, x + 1], averaged[0])
        return {name: value.clone() for name, value in averaged[0].state_dict().items()}

    bare = outcome(after=update, build=build)
    averaged.clear()
    recorded = outcome(tmp_path / "with", after=update, build=build)
    assert same(bare, recorded)
    outcome(tmp_path / "without", build=build)
    same_run(tmp_path / "without", tmp_path / "with")


@pytest.mark.parametrize("how", ["model", "state", "file"])
def test_weights_loaded_back_while_attached(how, tmp_path):
    """As early stopping and checkpoints do it, also with ``assign``: the parameters are others then."""

    def load(model, x):
        state = {name: value.clone() * 0.5 for name, value in model.state_dict().items()}
        if how == "file":
            torch.save(state, file := io.BytesIO())
            state = torch.load(io.BytesIO(file.getvalue()))
        model.load_state_dict(state)
        return list(state)

    bare = outcome(before=load)
    assert same(bare, outcome(tmp_path, load))
    run = load_run(tmp_path)
    torch.manual_seed(0)
    assert run["parameter/rms"].values[0, 0] == pytest.approx(rms(next(Net().parameters())) * 0.5, rel=1e-5)


@pytest.mark.parametrize("attach_at", ["float", "swapped"])
def test_parameters_that_are_swapped(attach_at, tmp_path):
    """How PyTorch replaces parameters of tensor subclasses, and all when it is told to."""

    def outcome_of(run):
        torch.manual_seed(0)
        model = Net()
        if attach_at == "swapped":
            model.double()
        vitals = attach_hooks(model, run, every=1) if run else None
        model.double()
        optimizer = sgd(model)
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.randn(5, 4, dtype=torch.float64)).square().mean()
            loss.backward()
            optimizer.step()
            model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()})
            losses.append(loss.item())
        if vitals:
            vitals.remove()
        return losses

    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        assert outcome_of(None) == outcome_of(tmp_path)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert np.isfinite(load_run(tmp_path)["parameter/grad_rms"].values).all()


@pytest.mark.parametrize("how", ["convert", "load"])
def test_parameters_of_a_wrapper_subclass(how, tmp_path):
    """Such are distributed and quantised ones; a conversion always swaps them."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].weight = nn.Parameter(TwoTensor(torch.ones(4, 4), torch.ones(4, 4)))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    vitals = attach_hooks(model, tmp_path, every=1)
    if how == "convert":
        assert model.double()[0].weight.dtype == torch.float64
    else:
        assert not model.load_state_dict(state).missing_keys
    vitals.remove()


# Workers and replicas ------------------------------------------------------------------------------------------------


class Features(Dataset):
    """Holds the model that is trained, and runs it where the data are made."""

    def __init__(self, model, grad):
        self.model, self.grad = model, grad

    def __len__(self):
        return 6

    def __getitem__(self, i):
        with torch.set_grad_enabled(self.grad):
            return self.model(torch.full((1, 4), float(i))).detach()


@pytest.mark.parametrize("grad", [False, True])
def test_workers_that_run_the_model(grad, tmp_path):
    def load(model, x):
        # A generator of its own: the loader draws a seed.
        options = {"num_workers": 2, "multiprocessing_context": "fork", "generator": torch.Generator()}
        return list(DataLoader(Features(model, grad), batch_size=2, **options))

    assert same(outcome(before=load, middle=load, steps=2), recorded := outcome(tmp_path / "with", load, load, steps=2))
    assert same(outcome(tmp_path / "without", steps=2)[:2], recorded[:2])
    same_run(tmp_path / "without", tmp_path / "with")


def test_workers_that_live_through_the_loop(tmp_path):
    def outcome_of(run):
        torch.manual_seed(0)
        model = Net()
        optimizer = sgd(model)
        vitals = attach_hooks(model, run, every=1) if run else None
        loader = DataLoader(Features(model, True), batch_size=2, num_workers=2, persistent_workers=True)
        losses = []
        for _ in range(2):
            for batch in loader:
                optimizer.zero_grad()
                loss = model(torch.cat([batch.flatten(), torch.ones(2)]).reshape(2, 4)).square().mean()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        if vitals:
            vitals.remove()
        return losses

    assert outcome_of(None) == outcome_of(tmp_path)
    run = load_run(tmp_path)
    assert run.steps.tolist() == list(range(6))
    assert [layer.shape[0] for layer in run.layers] == [2] * len(ROWS)
    assert np.isfinite(run["gradient/rms"].values).all()


def replica(module, parameters, prefix=""):
    """As ``nn.parallel.replicate`` makes them, which needs several GPUs."""
    copied = module._replicate_for_data_parallel()
    for name, p in module._parameters.items():
        if p is not None:
            setattr(copied, name, parameters[prefix + name])
    for name, child in module._modules.items():
        copied._modules[name] = replica(child, parameters, f"{prefix}{name}.")
    return copied


class Meeting(Net):
    """Stops in the middle of the forward for ``meet``, where it has one."""

    meet = None

    def forward(self, x):
        x = F.relu(self.a(x))
        if self.meet is not None:
            self.meet()
        return self.head(self.body(x)) * self.scale


class Parallel(nn.Module):
    """Two replicas in threads; of overlapping ones the first ends while the second is in the middle."""

    def __init__(self, module, overlapping):
        super().__init__()
        self.module, self.overlapping = module, overlapping

    def forward(self, x):
        replicas, outputs = [], [None, None]
        for _ in range(2):
            replicas.append(replica(self.module, {name: p * 1 for name, p in self.module.named_parameters()}))
        inside = [threading.Event(), threading.Event()]
        ended = threading.Event()
        if self.overlapping:
            replicas[0].meet = lambda: (inside[0].set(), inside[1].wait(30))
            replicas[1].meet = lambda: (inside[1].set(), ended.wait(30))

        def call(i, part):
            outputs[i] = replicas[i](part)

        threads = [threading.Thread(target=call, args=(i, part)) for i, part in enumerate(x.chunk(2))]
        threads[0].start()
        if self.overlapping:
            assert inside[0].wait(30)
            threads[1].start()
        threads[0].join()
        ended.set()
        if not self.overlapping:
            threads[1].start()
        threads[1].join()
        return torch.cat(outputs)


@pytest.mark.parametrize("overlapping", [False, True])
def test_replicas_in_threads(overlapping, tmp_path):
    def outcome_of(run, parallel):
        torch.manual_seed(0)
        model = Meeting()
        optimizer = sgd(model)
        vitals = attach_hooks(model, run, every=1) if run else None
        outer = Parallel(model, overlapping) if parallel else model
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = outer(torch.randn(6, 4)).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if vitals:
            vitals.remove()
        return losses, [p.detach().clone() for p in model.parameters()]

    assert same(outcome_of(None, True), outcome_of(tmp_path / "parallel", True))
    outcome_of(tmp_path / "single", False)
    parallel, single = load_run(tmp_path / "parallel"), load_run(tmp_path / "single")
    assert parallel.steps.tolist() == list(range(5)) and parallel.parameters == single.parameters
    assert [layer.name for layer in parallel.layers] == ROWS
    for statistic in single.statistics:
        # Of replicas at the same time one is recorded.
        if statistic == "activation/example_std":  # other pairs of examples are compared
            np.testing.assert_allclose(parallel[statistic].values, single[statistic].values, rtol=1)
        elif statistic.startswith("parameter/") or not overlapping:
            near = {"rtol": 1e-3, "atol": 1e-6}
            np.testing.assert_allclose(parallel[statistic].values, single[statistic].values, **near, err_msg=statistic)
        elif "underflow" not in statistic and "saturated" not in statistic:
            assert np.isfinite(parallel[statistic].values).all(), statistic


def test_data_parallel_on_a_cpu(tmp_path):
    def outcome_of(run, wrap):
        torch.manual_seed(0)
        model = Net()
        optimizer = sgd(model)
        outer = wrap(model)
        with attach_hooks(outer, run, every=1):
            for _ in range(2):
                optimizer.zero_grad()
                outer(torch.randn(6, 4)).square().mean().backward()
                optimizer.step()

    outcome_of(tmp_path / "plain", lambda model: model)
    outcome_of(tmp_path / "wrapped", nn.DataParallel)
    same_run(tmp_path / "plain", tmp_path / "wrapped")


# Hooks of the user's -------------------------------------------------------------------------------------------------

HOOKS = {
    "output": lambda m: m.register_forward_hook(lambda module, args, out: out * 2 + 1),
    "input": lambda m: m.register_forward_pre_hook(lambda module, args: (args[0] * 2 + 1,)),
    "keywords": lambda m: m.register_forward_pre_hook(lambda module, args, kw: (tuple(-a for a in args), kw),
                                                      with_kwargs=True),
    "gradient": lambda m: m.register_full_backward_hook(lambda module, gi, go: tuple(g * 3 for g in gi)),
    "gradient of the output": lambda m: m.register_full_backward_pre_hook(lambda module, go: tuple(g * 5 for g in go)),
    "first": lambda m: m.register_forward_hook(lambda module, args, out: out * 2 + 1, prepend=True),
}  # fmt: skip


class Chain(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Softplus(), nn.Linear(6, 3))


def chain_of(model, x):
    """Output of each layer as the next one gets it, the user's hooks included; and its gradient."""
    seen = {}
    handles = []
    for name, module in list(model.named_children())[1:]:
        before = str(int(name) - 1)
        # In front of the user's own: what the layer before has handed over.
        hook = lambda m, args, before=before: keep(seen, before, args[0])  # noqa: E731
        handles.append(module.register_forward_pre_hook(hook, prepend=True))
    out = model(x)
    keep(seen, "4", out)
    for handle in handles:
        handle.remove()
    return out, seen


@pytest.mark.parametrize("when", ["before attaching", "between steps", "during steps"])
@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_of_the_user_that_change_values(kind, when, tmp_path):
    """Recorded is what a layer hands on: its output after the user's forward hooks, whenever they were added."""

    def run_through(run):
        torch.manual_seed(0)
        model = Chain()
        optimizer = sgd(model)
        handles, records, losses = [], [], []
        if when == "before attaching":
            handles.append(HOOKS[kind](model[2]))
        vitals = attach_hooks(model, run, every=1) if run else None
        for step in range(5):
            if when == "between steps" and step == 1:
                handles.append(HOOKS[kind](model[2]))
            if step == 3 and handles:
                handles.pop().remove()
            x = torch.randn(5, 4)
            if when == "during steps" and step == 1:
                adds = model[0].register_forward_pre_hook(lambda *_: handles.append(HOOKS[kind](model[2])))
            optimizer.zero_grad()
            out, seen = chain_of(model, x) if run is None else (model(x), None)
            if when == "during steps" and step == 1:
                adds.remove()
            loss = out.square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            records.append(seen)
        if vitals:
            vitals.remove()
        return losses, records

    losses, expected = run_through(None)
    assert losses == run_through(tmp_path)[0]
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == list("01234")
    for step, seen in enumerate(expected):
        for i, name in enumerate("01234"):
            x, gradient_ = seen[name]
            where = (step, name)
            mean = x.double().mean().item()
            assert run["activation/mean"].values[step, i] == pytest.approx(mean, rel=1e-4, abs=1e-6), where
            assert run["activation/rms"].values[step, i] == pytest.approx(rms(x), rel=1e-4), where
            got = run["gradient/rms"].values[step, i]
            # A hook on the gradient of an output stands between the layer and what it hands on: the layer gets this.
            hooked = name == "2" and (0 if when == "before attaching" else 1) <= step < 3
            factor = 5 if hooked and kind == "gradient of the output" else 1
            assert got == pytest.approx(rms(gradient_) * factor, rel=1e-4), where


# Surgery -------------------------------------------------------------------------------------------------------------


def parts_of(model, x):
    """One forward: outputs of all layers by name, with room for their gradients."""
    seen = {}
    handles = []
    for name, module in model.named_modules():
        if name and not list(module.children()):
            handles.append(module.register_forward_hook(lambda m, a, out, name=name: keep(seen, name, out)))
    out = model(x)
    for handle in handles:
        handle.remove()
    return out, seen


def recorded_steps(change, run=None, build=Chain, steps=4, every=1, optimizer_of=sgd, **options):
    """Trains; ``change(model, optimizer, step)`` may do anything, and gives the optimizer to go on with."""
    torch.manual_seed(0)
    model = build()
    optimizer = optimizer_of(model)
    vitals = attach_hooks(model, run, every=every, **options) if run else None
    records, losses = [], []
    for step in range(steps):
        optimizer = change(model, optimizer, step) or optimizer
        optimizers = optimizer if isinstance(optimizer, list) else [optimizer]
        x = torch.randn(5, 4)
        model.zero_grad()
        out, seen = parts_of(model, x) if run is None else (model(x), {})
        loss = out.square().mean()
        loss.backward()
        weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        for one in optimizers:
            one.step()
        changed = {name: p.detach() - weights[name] for name, p in model.named_parameters()}
        records.append((seen, weights, gradients, changed))
        losses.append(loss.item())
    if vitals:
        vitals.remove()
        assert vitals.step == steps
    return losses, records


def check(change, run_path, every=1, selected=lambda name: True, held=lambda name: True, **options):
    """Trains a bare twin and a recorded model: same losses, and every sampled step has the twin's numbers."""
    given = {key: value for key, value in options.items() if key in ("build", "steps", "optimizer_of")}
    losses, expected = recorded_steps(change, **given)
    assert losses == recorded_steps(change, run_path, every=every, **options)[0]
    run = load_run(run_path)
    assert run.steps.tolist() == list(range(0, len(losses), every))
    rows = [layer.name for layer in run.layers]
    names = [p.name for p in run.parameters]
    for t, (seen, weights, gradients, changed) in enumerate(expected[::every]):
        assert {name for name in seen if selected(name)} <= set(rows)
        for i, name in enumerate(rows):
            got = [run[s].values[t, i] for s in ("activation/rms", "gradient/rms")]
            wanted = [rms(x) for x in seen.get(name, [])] + [np.nan] * 2
            assert got == pytest.approx(wanted[:2], rel=1e-4, nan_ok=True), (t, name)
        assert {name for name in weights if selected(name)} <= set(names)
        for i, name in enumerate(names):
            got = [run[f"parameter/{s}"].values[t, i] for s in ("rms", "grad_rms", "update_rms")]
            wanted = [rms(part[name]) if name in part else np.nan for part in (weights, gradients)]
            assert got[:2] == pytest.approx(wanted, rel=1e-4, nan_ok=True), (t, name)
            if name in gradients and got[2] == got[2]:
                assert got[2] == pytest.approx(rms(changed[name]), rel=1e-2, abs=1e-9), (t, name)
            elif name in gradients:
                assert not held(name), (t, name)
    return run


@pytest.mark.parametrize("how", ["attribute", "new optimizer", "group"])
@pytest.mark.parametrize("every", [1, 2])
def test_last_layer_replaced(every, how, tmp_path):
    def change(model, optimizer, step):
        if step == 1:
            model[4] = nn.Linear(6, 3)
            if how == "new optimizer":
                return sgd(model)
            if how == "group":
                optimizer.add_param_group({"params": list(model[4].parameters())})
        return None

    run = check(change, tmp_path, every, held=lambda name: how != "attribute" or not name.startswith("4."))
    assert [layer.name for layer in run.layers] == list("01234")


@pytest.mark.parametrize("when", ["after attaching", "between steps"])
def test_only_the_new_last_layer_is_trained(when, tmp_path):
    """Transfer: the optimizer knows of nothing that was there when the hooks were attached."""

    def change(model, optimizer, step):
        if step == (0 if when == "after attaching" else 2):
            model.requires_grad_(False)
            model[4] = nn.Linear(6, 7)
            return torch.optim.SGD(model[4].parameters(), lr=0.1)
        return None

    run = check(change, tmp_path)
    assert {p.name: p.trainable for p in run.parameters} == {
        "0.weight": False, "0.bias": False, "2.weight": False, "2.bias": False, "4.weight": True, "4.bias": True
    }  # fmt: skip
    assert [p.shape for p in run.parameters if p.name.startswith("4")] == [(7, 6), (7,)]


@pytest.mark.parametrize("how", ["layers", "assigned", "emptied"])
def test_all_parameters_replaced_after_attaching(how, tmp_path):
    kept = []

    def change(model, optimizer, step):
        if step != 0:
            return None
        kept.extend(model.parameters())  # so that none of the new ones gets the address of an old one
        if how == "assigned":
            model.load_state_dict({name: p.detach() * 2 for name, p in model.state_dict().items()}, assign=True)
        else:
            for i in (0, 2, 4):
                if how == "layers":
                    model[i] = nn.Linear(model[i].in_features, model[i].out_features)
                else:
                    for name in ("weight", "bias"):
                        setattr(model[i], name, nn.Parameter(torch.randn_like(getattr(model[i], name))))
        return sgd(model)

    check(change, tmp_path, every=1)


@pytest.mark.parametrize("every", [1, 2])
def test_layers_added_and_removed(every, tmp_path):
    def change(model, optimizer, step):
        if step == 1:
            model.append(nn.Linear(3, 2))
            optimizer.add_param_group({"params": list(model[5].parameters())})
        if step == 3:
            model[2] = nn.Identity()
        if step == 5:
            del model[5]

    run = check(change, tmp_path, every, steps=8)
    assert [layer.name for layer in run.layers] == list("012345")


def test_module_given_away_while_attached(tmp_path):
    """What was taken out of the model and lives on elsewhere is not recorded, and carries no hook for long."""
    taken = []

    def change(model, optimizer, step):
        if step == 1:
            taken.append(model[4])
            del model[4]
        if taken:
            taken[0](torch.full((2, 6), 1e6)).sum().backward()
        if step == 3:
            assert not taken[0]._forward_hooks and not taken[0]._forward_pre_hooks
            taken.clear()

    check(change, tmp_path)


def test_pruning_while_attached(tmp_path):
    def change(model, optimizer, step):
        if step == 1:
            prune.l1_unstructured(model[2], "weight", amount=0.5)
        if step == 3:
            prune.remove(model[2], "weight")
            return sgd(model)
        return None

    run = check(change, tmp_path, every=2, steps=6)
    assert [p.name for p in run.parameters if p.layer == "2"] == ["2.weight", "2.bias", "2.weight_orig"]


@pytest.mark.parametrize(
    ("options", "selected"),
    [
        ({"include": ["0", "4"]}, "04"),
        ({"exclude": "4"}, "01235"),
        ({"include": "*", "exclude": ["0", "2.weight"]}, "12345"),
    ],
)
def test_selection_of_what_comes_later(options, selected, tmp_path):
    def change(model, optimizer, step):
        if step == 1:
            model[4] = nn.Linear(6, 3)
            model.append(nn.Linear(3, 4))
            for i in (4, 5):
                optimizer.add_param_group({"params": list(model[i].parameters())})

    chosen = lambda name: name[0] in selected and name not in options.get("exclude", ())  # noqa: E731
    run = check(change, tmp_path, every=2, selected=chosen, **options)
    assert {layer.name for layer in run.layers} == set(selected)
    assert {p.layer for p in run.parameters} <= set(selected)
    assert ("2.weight" in [p.name for p in run.parameters]) == (options.get("exclude") == "4")


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("how", ["one optimizer", "group", "new optimizer", "second before", "second after"])
def test_unfreezing(how, every, tmp_path):
    def build():
        model = Chain()
        model[0].requires_grad_(False)
        model[2].requires_grad_(False)
        return model

    def every_parameter(model):
        return torch.optim.SGD(model.parameters(), lr=0.1)

    def change(model, optimizer, step):
        if step not in (2, 4):
            return None
        part = model[2] if step == 2 else model[0]
        part.requires_grad_(True)
        if how == "group":
            optimizer.add_param_group({"params": list(part.parameters())})
        elif how == "new optimizer":
            return sgd(model)
        elif how.startswith("second"):
            second, first = torch.optim.SGD(part.parameters(), lr=0.1), optimizer
            first = first if isinstance(first, list) else [first]
            return [second, *first] if how == "second before" else [*first, second]
        return None

    options = {"build": build, "steps": 8, "optimizer_of": every_parameter if how == "one optimizer" else sgd}
    # What an optimizer changes that nobody knew of, after the others have ended the step, is missed once.
    run = check(change, tmp_path, every, held=lambda name: how != "second after" or name[0] == "4", **options)
    assert all(p.trainable for p in run.parameters)
    assert np.isfinite(run["parameter/update_rms"].values[-1]).all()


@pytest.mark.parametrize("every", [1, 3])
def test_halves_trained_in_turn(every, tmp_path):
    def change(model, optimizer, step):
        for i in (0, 2, 4):
            model[i].requires_grad_(i == (4 if step % 2 else 0))

    options = {"steps": 7, "optimizer_of": lambda model: torch.optim.SGD(model.parameters(), lr=0.1)}
    run = check(change, tmp_path, every, **options)
    assert np.isfinite(run["gradient/rms"].values[:, 4]).all()


def test_freezing_again(tmp_path):
    def change(model, optimizer, step):
        model[0].requires_grad_(step % 2 == 1)

    run = check(change, tmp_path, steps=5)
    assert np.isnan(run["gradient/rms"].values[:, 0]).tolist() == [True, False, True, False, True]


def test_forwards_in_inference_mode_first(tmp_path):
    """Buffers that are made in inference mode could not be written to later."""

    def outcome_of(run, first):
        torch.manual_seed(0)
        model = Net()
        optimizer = sgd(model)
        with attach_hooks(model, run, every=1):
            if first:
                with torch.inference_mode():
                    model(torch.ones(5, 4))
            for _ in range(2):
                optimizer.zero_grad()
                model(torch.randn(5, 4)).square().mean().backward()
                optimizer.step()

    outcome_of(tmp_path / "with", True)
    outcome_of(tmp_path / "without", False)
    same_run(tmp_path / "without", tmp_path / "with")
