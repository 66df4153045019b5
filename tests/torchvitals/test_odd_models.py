"""Models of every make against a twin: bare, hooked by the test, its numbers in float64."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import OrderedDict, namedtuple
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from tests.torchvitals import twin
from torchvitals import attach_hooks
from torchvitals_tb import load_run
from torchvitals_tb.schema import ACTIVATIONS


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# The twin ------------------------------------------------------------------------------------------------------------

_taps: dict[str, list[Tensor]] | None = None


def tap(name: str, x: Tensor) -> Tensor:
    """Hands a function's output through; where a twin is running, keeps what it is now and its gradient later."""
    if _taps is not None:
        seen = _taps.setdefault(name, [x.detach().clone()])
        if x.requires_grad:
            x.register_hook(lambda gradient: seen.append(gradient.detach().clone()))
    return x


@contextlib.contextmanager
def observed(
    model: nn.Module, rows: list[str], inputs: Mapping[str, str] | None = None
) -> Iterator[dict[str, list[Tensor]]]:
    """Output and gradient of each row of one forward and backward: of modules by their path, of functions by their tap.

    ``inputs``: functions that no tap sees -> the module that gets what they give.
    """
    global _taps
    _taps = seen = {}
    calls: dict[str, int] = {}
    handles = []

    def keep(path: str, x: Tensor | None) -> None:
        if x is not None:
            call = calls[path] = calls.get(path, -1) + 1
            tap(f"{path}@{call}" if call else path, x)

    for path, module in model.named_modules():
        title = path or type(model).__name__
        if any(row.partition("@")[0] == title for row in rows):
            hook = lambda module, args, output, title=title: keep(title, first_tensor(output))  # noqa: E731
            handles.append(module.register_forward_hook(hook))
        for row, after in (inputs or {}).items():
            if after == path:
                hook = lambda module, args, row=row: keep(row, args[0])  # noqa: E731
                handles.append(module.register_forward_pre_hook(hook))
    try:
        yield seen
    finally:
        _taps = None
        for handle in handles:
            handle.remove()


def first_tensor(value: Any) -> Tensor | None:
    return next((x for x in every_tensor(value) if x.is_floating_point() or x.is_complex()), None)


def every_tensor(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif dataclasses.is_dataclass(value):
        for entry in dataclasses.fields(value):
            yield from every_tensor(getattr(value, entry.name))
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from every_tensor(item)


def squares(output: Any) -> Tensor:
    return sum(x.abs().square().mean() for x in every_tensor(output) if x.is_floating_point() or x.is_complex())


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)


def train(model: nn.Module, batches: list[Any], loss: Any, step: Any = contextlib.nullcontext) -> list[float]:
    optimizer, losses = None, []
    for batch in batches:
        with step():
            out = model(*batch)
            optimizer = optimizer or optimizer_of(model)  # lazy parameters are there only now
            optimizer.zero_grad()
            value = loss(out)
            value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def check(
    build: Any,
    batches: list[Any],
    rows: list[str],
    tmp_path: Any,
    loss: Any = squares,
    inputs: Mapping[str, str] | None = None,
    then: Any = lambda model: None,
    every: int = 1,
) -> Any:
    """Trains a bare twin and a recorded one: the same bits, these rows, and on every step the twin's numbers.

    ``then`` is done to the model once the hooks are attached.
    """
    torch.manual_seed(0)
    bare = build()
    then(bare)
    steps = []

    @contextlib.contextmanager
    def one_step() -> Iterator[None]:
        before = {name: p for name, p in bare.named_parameters() if not nn.parameter.is_lazy(p)}
        weights = {name: p.detach().clone() for name, p in before.items()}
        with observed(bare, rows, inputs) as seen:
            yield
        weights = weights or {name: p.detach().clone() for name, p in bare.named_parameters()}
        gradients = {name: p.grad.clone() for name, p in bare.named_parameters() if p.grad is not None}
        steps.append((seen, weights, gradients))

    expected = train(bare, batches, loss, one_step)
    torch.manual_seed(0)
    model = build()
    with attach_hooks(model, tmp_path, every=every, on_error="raise") as vitals:
        then(model)
        assert train(model, batches, loss) == expected
        assert vitals.step == len(batches)
    for (name, a), b in zip(bare.state_dict().items(), model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == rows
    assert run.steps.tolist() == list(range(0, len(batches), every))
    assert not run.manifest.not_observed
    for t, (seen, weights, gradients) in enumerate(steps[::every]):
        for i, layer in enumerate(run.layers):
            compare_layer(run, t, i, layer, seen.get(layer.name))
        for i, parameter in enumerate(run.parameters):
            compare_parameter(run, t, i, weights[parameter.name], gradients.get(parameter.name))
    return run


def close(run: Any, t: int, i: int, kind: str, expected: dict[str, float]) -> None:
    for statistic, value in expected.items():
        got = run[f"{kind}/{statistic}"].values[t, i]
        near = pytest.approx(value, rel=2e-4, abs=1e-6 * max(expected.get("rms", 0), 1e-30), nan_ok=True)
        assert got == near, (statistic, i, t)


def compare_layer(run: Any, t: int, i: int, layer: Any, seen: list[Tensor] | None) -> None:
    if seen is None:
        assert np.isnan(run["activation/rms"].values[t, i]) and np.isnan(run["gradient/rms"].values[t, i])
        return
    x, *gradients = [torch.view_as_real(s) if s.is_complex() else s for s in seen]
    close(run, t, i, "activation", twin.activation_statistics(x))
    if layer.units is not None:
        close(run, t, i, "activation", twin.unit_statistics(x, layer.unit_axis))
    if layer.type != "Hardtanh":
        close(run, t, i, "activation", {"saturated_fraction": saturated(x, ACTIVATIONS.get(layer.function or ""))})
    if gradients:
        close(run, t, i, "gradient", twin.gradient_statistics(gradients[0]))
    else:
        assert np.isnan(run["gradient/rms"].values[t, i]), layer.name


def saturated(x: Tensor, kind: Any) -> float:
    if kind is None or kind.low is kind.high is None:
        return np.nan
    low, high = (bound if bound is not None else sign * np.inf for bound, sign in ((kind.low, -1), (kind.high, 1)))
    return float(((twin.f64(x) <= low) | (twin.f64(x) >= high)).mean())


def compare_parameter(run: Any, t: int, i: int, weight: Tensor, gradient: Tensor | None) -> None:
    weight, gradient = (torch.view_as_real(x) if x is not None and x.is_complex() else x for x in (weight, gradient))
    a = twin.f64(weight)
    expected = {"rms": np.sqrt((a**2).mean()), "abs_max": np.abs(a).max(), "grad_rms": np.nan, "update_rms": np.nan}
    if gradient is not None:
        g = twin.f64(gradient)
        rms = np.sqrt((g**2).mean())
        expected |= {"grad_rms": rms, "grad_rms_before_clip": rms, "grad_abs_max": np.abs(g).max()}
        del expected["update_rms"]
        # What the update came to is rounded to the weights' own precision.
        update = run["parameter/update_rms"].values[t, i]
        assert update == pytest.approx(0.1 * rms, rel=1e-3, abs=1e-6 * np.abs(a).max())
    close(run, t, i, "parameter", expected)


# Recurrent -----------------------------------------------------------------------------------------------------------


class Packed(nn.Module):
    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 4)
        self.rnn = getattr(nn, kind)(4, 6, **options)
        self.head = nn.Linear(self.rnn(torch.zeros(1, 1, 4))[0].shape[-1], 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embed(x), lengths, batch_first=True, enforce_sorted=False)
        out, hidden = self.rnn(packed)
        last = hidden[0] if isinstance(hidden, tuple) else hidden
        padded, _ = pad_packed_sequence(out, batch_first=True)
        return self.head(padded).sum(1) + last.mean()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {}),
        ("LSTM", {"bidirectional": True, "num_layers": 2, "batch_first": True}),
        ("LSTM", {"proj_size": 3, "bidirectional": True}),
        ("GRU", {"num_layers": 2, "dropout": 0.3, "batch_first": True}),
        ("GRU", {"bidirectional": True}),
        ("RNN", {"nonlinearity": "relu", "bidirectional": True, "num_layers": 2}),
    ],
)
def test_packed_sequences(kind, options, tmp_path):
    batches = [(torch.randn(3, 6, 5), torch.tensor(lengths)) for lengths in ([4, 6, 2], [1, 3, 3])]
    run = check(lambda: Packed(kind, **options), batches, ["embed", "rnn", "head"], tmp_path)
    width = (options.get("proj_size") or 6) * (2 if options.get("bidirectional") else 1)
    assert run.layers[1].shape == (12, width)  # twelve time steps, no padding among them
    assert (run.layers[1].units, run.layers[1].unit_axis) == (width, 1)


def test_sequence_packed_outside(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(4, 6)

        def forward(self, packed):
            return self.gru(packed)[0].data

    batches = [(pack_sequence([torch.randn(n, 4) for n in (5, 2, 2)]),) for _ in range(2)]
    check(Net, batches, ["gru"], tmp_path)


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_cells_have_a_row_for_every_call(kind, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = getattr(nn, kind)(4, 6)

        def forward(self, x):
            state = None
            for part in x:
                state = self.cell(part, state)
            return state[0] if isinstance(state, tuple) else state

    check(Net, [(torch.randn(3, 2, 4),)] * 2, ["cell", "cell@1", "cell@2"], tmp_path)


# Attention -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("options", [{}, {"kdim": 5, "vdim": 7}, {"add_bias_kv": True, "bias": False}])
def test_multihead_attention(options, need_weights, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = nn.Linear(8, 8)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)
            self.head = nn.Linear(8, 3)

        def forward(self, x, key, value):
            out, weights = self.attention(self.q(x), key, value, need_weights=need_weights)
            assert (weights is not None) == need_weights
            return self.head(out)

    key, value = torch.randn(2, 6, options.get("kdim", 8)), torch.randn(2, 6, options.get("vdim", 8))
    run = check(Net, [(torch.randn(2, 4, 8), key, value)] * 2, ["q", "attention", "head"], tmp_path)
    assert (run.layers[1].units, run.layers[1].unit_axis) == (8, 2)


def encoder_rows(prefix: str, act: str) -> list[str]:
    parts = ("self_attn", "dropout1", "norm1", "linear1", f"linear1/{act}", "dropout", "linear2", "dropout2", "norm2")
    return [f"{prefix}.{part}" for part in parts]


class Encoder(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **({"dropout": 0.1} | options))
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not options.get("norm_first", False))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.head(self.encoder(x, src_key_padding_mask=mask))


@pytest.mark.parametrize("options", [{}, {"norm_first": True, "activation": "gelu"}, {"activation": F.silu}])
def test_transformer_encoder_in_training(options, tmp_path):
    act = options.get("activation", "relu")
    act = act if isinstance(act, str) else "silu"
    layers = [f"encoder.layers.{i}" for i in range(2)]
    order = [0, 1, 2, 3, 4, 5, 6, 7, 8] if "norm_first" not in options else [2, 0, 1, 8, 3, 4, 5, 6, 7]
    rows = [row for prefix in layers for row in np.array(encoder_rows(prefix, act))[order].tolist()]
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    inputs = {f"{prefix}.linear1/{act}": f"{prefix}.dropout" for prefix in layers}
    batches = [(torch.randn(2, 5, 8), mask), (torch.randn(3, 4, 8),)]
    run = check(lambda: Encoder(**options), batches, [*rows, "head"], tmp_path, inputs=inputs)
    functions = [layer for layer in run.layers if layer.kind == "function"]
    assert [(layer.units, layer.unit_axis, layer.function) for layer in functions] == [(16, 2, act)] * 2


def test_transformer_decoder_in_training(tmp_path):
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 1)

        def forward(self, x, memory):
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return self.decoder(x, memory, tgt_mask=mask, tgt_is_causal=True)

    parts = "self_attn dropout1 norm1 multihead_attn dropout2 norm2 linear1 linear1/relu dropout linear2 dropout3 norm3"
    rows = [f"decoder.layers.0.{part}" for part in parts.split()]
    inputs = {"decoder.layers.0.linear1/relu": "decoder.layers.0.dropout"}
    check(Decoder, [(torch.randn(2, 4, 8), torch.randn(2, 6, 8))] * 2, rows, tmp_path, inputs=inputs)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_encoder_in_eval_between_steps_gives_the_same_bits(mode, masked, every, tmp_path):
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2]) if masked else None
    x = torch.randn(2, 5, 8)

    def outcome(run):
        torch.manual_seed(0)
        model = Encoder(dropout=0.0, activation="gelu")
        optimizer = optimizer_of(model)
        vitals = attach_hooks(model, run, every=every, on_error="raise") if run else None
        outputs = []
        for _ in range(4):
            optimizer.zero_grad()
            model(x, mask).square().mean().backward()
            optimizer.step()
            model.eval()
            with mode():
                outputs.append(model(x, mask).clone())
            model.train()
        if vitals:
            vitals.remove()
        return outputs, [p.detach().clone() for p in model.parameters()]

    for a, b in zip(outcome(None), outcome(tmp_path), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# Containers, calls, outputs ------------------------------------------------------------------------------------------


def test_one_sequential_under_two_names(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
            self.second = self.first

        def forward(self, x):
            return self.second(self.first(x))

    run = check(Net, [(torch.randn(6, 4),)] * 2, ["first.0", "first.1", "first.0@1", "first.1@1"], tmp_path)
    assert [(layer.call, layer.parent) for layer in run.layers] == [(0, "first")] * 2 + [(1, "first")] * 2


def test_containers_in_containers(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            block = lambda: nn.ModuleDict({"up": nn.Linear(4, 6), "down": nn.Linear(6, 4)})  # noqa: E731
            self.blocks = nn.ModuleList([block(), nn.ModuleDict({"inner": nn.ModuleList([block()])})])
            self.scale = nn.ParameterList([torch.ones(4), torch.full((4,), 2.0)])

        def forward(self, x):
            for i, block in enumerate((self.blocks[0], self.blocks[1]["inner"][0])):
                title = ("blocks.0", "blocks.1.inner.0")[i]
                x = x + block["down"](tap(f"{title}.up/relu", F.relu(block["up"](x)))) * self.scale[i]
            return x

    rows = [f"{title}.{part}" for title in ("blocks.0", "blocks.1.inner.0") for part in ("up", "up/relu", "down")]
    run = check(Net, [(torch.randn(6, 4),)] * 2, rows, tmp_path)
    assert [p.name for p in run.parameters if "scale" in p.name] == ["scale.0", "scale.1"]


class Recursive(nn.Module):
    """Calls itself, like the networks over trees."""

    def __init__(self, path: str = "") -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.out = nn.Linear(4, 4)
        self.path = path

    def forward(self, x: Tensor, depth: int = 2) -> Tensor:
        call = f"@{2 - depth}" if depth < 2 else ""
        x = tap(f"{self.path}fc/relu{call}", F.relu(self.fc(x)))
        if depth:
            x = self(x, depth - 1)
        return self.out(x)


@pytest.mark.parametrize("root", [False, True])
def test_module_that_calls_itself(root, tmp_path):
    prefix = "" if root else "0."
    parts = ["fc", "fc/relu", "fc@1", "fc/relu@1", "fc@2", "fc/relu@2", "out", "out@1", "out@2"]
    build = Recursive if root else lambda: nn.Sequential(Recursive("0."))
    check(build, [(torch.randn(6, 4),)] * 2, [prefix + part for part in parts], tmp_path)


def test_siamese_branches_of_the_whole_model_add_up(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    a, b = torch.randn(6, 4), torch.randn(6, 4) * 3
    with observed(model, ["0", "1"]) as seen:
        (model(a) - model(b)).square().mean().backward()
    model.zero_grad()
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        (model(a) - model(b)).square().mean().backward()
        optimizer_of(model).step()
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == ["0", "1"]
    for i in range(2):
        outputs, gradients = zip(seen[str(i)], seen[f"{i}@1"], strict=True)
        close(run, 0, i, "activation", twin.activation_statistics(torch.cat(outputs)))
        close(run, 0, i, "gradient", twin.gradient_statistics(torch.cat(gradients)))


Pair = namedtuple("Pair", ["ids", "values"])


@dataclasses.dataclass
class Result:
    label: str
    logits: Tensor
    extra: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    logits: Tensor


class ModelOutput(OrderedDict):
    """Like the outputs of transformers: keys are attributes, whole numbers are places."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else tuple(self.values())[key]


OUTPUTS = {
    "tuple": (lambda y: (None, y.argmax(), y), lambda out: out[2]),
    "list": (lambda y: [[y], "text", 3], lambda out: out[0][0]),
    "dict": (lambda y: {"ids": y.argmax(), "values": {"y": y}}, lambda out: out["values"]["y"]),
    "namedtuple": (lambda y: Pair(y.argmax(), y), lambda out: out.values),
    "dataclass": (lambda y: Result("a", y), lambda out: out.logits),
    "slotted": (lambda y: (Slotted(y),), lambda out: out[0].logits),
    "nested": (lambda y: Result("a", y, [Pair(0, (y * 2,))]), lambda out: out.logits + out.extra[0].values[0]),
    "model output": (lambda y: ModelOutput(loss=None, logits=y, hidden=(y,)), lambda out: out.logits + out[2][0]),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_of_every_kind(kind, tmp_path):
    pack, unpack = OUTPUTS[kind]

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 6))

        def forward(self, x):
            return pack(x @ self.weight)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = Layer(), nn.Linear(6, 2)

        def forward(self, x):
            return pack(self.head(tap("layer/relu", F.relu(unpack(self.layer(x))))))

    run = check(Net, [(torch.randn(5, 4),)] * 2, ["layer", "layer/relu", "head"], tmp_path)
    assert [(layer.units, layer.unit_axis) for layer in run.layers] == [(6, 1), (6, 1), (2, 1)]


def test_the_same_tensor_out_of_several_layers(tmp_path):
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 4))

        def forward(self):
            return self.weight

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.skip, self.fc, self.act = Table(), nn.Identity(), nn.Linear(4, 4), nn.ReLU(inplace=True)

        def forward(self, x):
            return self.act(self.skip(self.fc(x))) + self.skip(self.table())

    rows = ["fc", "skip", "act", "table", "skip@1"]
    check(Net, [(torch.randn(6, 4),)] * 3, rows, tmp_path)


# Frozen, tied, low rank ----------------------------------------------------------------------------------------------


class LoraOfParameters(nn.Linear):
    def __init__(self) -> None:
        super().__init__(6, 5)
        self.weight.requires_grad_(False)
        self.bias.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.zeros(5, 2))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.a.T @ self.b.T


class LoraAround(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(6, 5).requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.zeros(5, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.a.T @ self.b.T


class LoraOfModules(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(6, 5).requires_grad_(False)
        self.a, self.b = nn.Linear(6, 2, bias=False), nn.Linear(2, 5, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.b(self.a(x))


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (LoraOfParameters, ["0", "1", "2"]),
        (LoraAround, ["0.base", "0", "1", "2"]),
        (LoraOfModules, ["0.base", "0.a", "0.b", "1", "2"]),
    ],
)
def test_low_rank_adapters(kind, rows, tmp_path):
    def build():
        return nn.Sequential(kind(), nn.ReLU(), nn.Linear(5, 2).requires_grad_(False))

    run = check(build, [(torch.randn(7, 6),) for _ in range(3)], rows, tmp_path)
    gradient = run["gradient/rms"].values
    assert np.isnan(gradient[:, rows.index("0.base")]).all() if "0.base" in rows else np.isfinite(gradient).all()
    assert {p.name: p.trainable for p in run.parameters if p.layer == "2"} == {"2.weight": False, "2.bias": False}
    assert (run["parameter/grad_rms"].values[0, [p.name.startswith("0.a") for p in run.parameters]] == 0).all()


def test_partly_frozen(tmp_path):
    def build():
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        model[0].requires_grad_(False)
        model[2].bias.requires_grad_(False)
        model[3].weight.requires_grad_(False)
        return model

    run = check(build, [(torch.randn(7, 4),) for _ in range(2)], [str(i) for i in range(5)], tmp_path)
    assert [p.name for p in run.parameters if not p.trainable] == ["0.weight", "0.bias", "2.bias", "3.weight"]
    assert np.isnan(run["gradient/rms"].values).tolist() == [[True, True, False, False, False]] * 2


def test_weights_tied_across_modules(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(5, 3), nn.Linear(3, 5)
            self.again = nn.Linear(5, 3)
            self.again.weight = self.encode.weight
            self.bias = self.decode.bias

        def forward(self, x):
            x = self.decode(tap("encode/tanh", torch.tanh(self.encode(x))))
            return self.again(x) + (x + self.bias).mean()

    rows = ["encode", "encode/tanh", "decode", "again"]
    run = check(Net, [(torch.randn(7, 5),) for _ in range(2)], rows, tmp_path)
    assert len(run.parameters) == 5


# Channels last -------------------------------------------------------------------------------------------------------


class ChannelsNorm(nn.Module):
    """The layer norm of ConvNeXt's own code: not a module of PyTorch's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


class ConvNextBlock(nn.Module):
    def __init__(self, path: str, norm: type[nn.Module], act: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm, self.up, self.down = norm(6), nn.Linear(6, 24), nn.Linear(24, 6)
        self.gamma = nn.Parameter(torch.full((6,), 0.1))
        self.path, self.act = path, act
        with torch.no_grad():
            self.up.bias[::5] = -100

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        y = tap(f"{self.path}.up/{self.act.__name__}", self.act(self.up(y)))
        return x + (self.gamma * self.down(y)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("act", [F.gelu, F.relu], ids=["gelu", "relu"])
@pytest.mark.parametrize("norm", [nn.LayerNorm, ChannelsNorm])
def test_convnext(norm, act, tmp_path):
    def build():
        return nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), ConvNextBlock("1", norm, act), ConvNextBlock("2", norm, act))

    parts = ("conv", "norm", "up", f"up/{act.__name__}", "down")
    rows = ["0", *(f"{i}.{part}" for i in (1, 2) for part in parts)]
    rows[6:6], rows[12:] = ["1"], ["2"]
    run = check(build, [(torch.randn(2, 3, 10, 8),) for _ in range(2)], rows, tmp_path)
    axes = {layer.name: (layer.units, layer.unit_axis) for layer in run.layers}
    assert {axes[f"{i}.{part}"] for i in (1, 2) for part in ("up", f"up/{act.__name__}")} == {(24, 3)}
    assert {axes[row] for row in ("0", "1.conv", "1", "2.conv", "2")} == {(6, 1)}
    assert {axes[row] for row in ("1.norm", "1.down", "2.norm", "2.down")} == {(6, 3)}
    act_row = rows.index(f"1.up/{act.__name__}")
    assert run["activation/dormant_fraction"].values[0, act_row] >= np.float32(5 / 24)
    assert run["activation/dead_fraction"].values[0, act_row] >= np.float32(5 / 24)


class WindowBlock(nn.Module):
    """As Swin does it: windows cut out by views and permutations, features always last."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm2, self.fc1, self.fc2 = nn.LayerNorm(8), nn.Linear(8, 20), nn.Linear(20, 8)
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        y = torch.roll(self.norm1(x), (-1, -1), (1, 2))
        y = y.view(n, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        y, _ = self.attention(y, y, y, need_weights=False)
        y = y.view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        x = x + torch.roll(y, (1, 1), (1, 2))
        return x + self.fc2(tap(f"{self.path}.fc1/gelu", F.gelu(self.fc1(self.norm2(x)))))


def test_swin(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch, self.block = nn.Conv2d(3, 8, 2, stride=2), WindowBlock("block")
            self.merge, self.norm, self.head = nn.Linear(32, 16, bias=False), nn.LayerNorm(16), nn.Linear(16, 3)

        def forward(self, x):
            x = self.block(self.patch(x).permute(0, 2, 3, 1))
            x = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
            x = tap("merge/relu", F.relu(self.merge(x)))
            return self.head(self.norm(x).flatten(1, 2).transpose(1, 2).mean(2))

    parts = ("norm1", "attention", "norm2", "fc1", "fc1/gelu", "fc2")
    rows = ["patch", *(f"block.{part}" for part in parts), "merge", "merge/relu", "norm", "head"]
    run = check(Net, [(torch.randn(2, 3, 16, 16),) for _ in range(2)], rows, tmp_path)  # eight by eight patches
    axes = [(layer.units, layer.unit_axis) for layer in run.layers]
    assert axes == [(8, 1), (8, 3), (8, 2), (8, 3), (20, 3), (20, 3), (8, 3), (16, 3), (16, 3), (16, 3), (3, 1)]


# Functions -----------------------------------------------------------------------------------------------------------

# One line each: the line is what is recorded as the source.
SPELLINGS = [
    ("relu", lambda x: F.relu(x)),
    ("relu", lambda x: F.relu(x, inplace=True)),
    ("relu", lambda x: F.relu_(x)),
    ("relu", lambda x: torch.relu(x)),
    ("relu", lambda x: torch.relu_(x)),
    ("relu", lambda x: x.relu()),
    ("relu", lambda x: x.relu_()),
    ("relu6", lambda x: F.relu6(x * 4)),
    ("relu6", lambda x: F.relu6(x * 4, inplace=True)),
    ("rrelu", lambda x: F.rrelu(x, training=True)),
    ("rrelu", lambda x: F.rrelu_(x)),
    ("rrelu", lambda x: torch.rrelu(x)),
    ("leaky_relu", lambda x: F.leaky_relu(x)),
    ("leaky_relu", lambda x: F.leaky_relu(x, 0.2, inplace=True)),
    ("leaky_relu", lambda x: F.leaky_relu_(x, 0.2)),
    ("prelu", lambda x: F.prelu(x, torch.tensor(0.25))),
    ("prelu", lambda x: torch.prelu(x, torch.tensor(0.25))),
    ("prelu", lambda x: x.prelu(torch.tensor(0.25))),
    ("threshold", lambda x: F.threshold(x, 0.1, 0.0)),
    ("threshold", lambda x: F.threshold(x, 0.1, 0.0, inplace=True)),
    ("threshold", lambda x: F.threshold_(x, 0.1, 0.0)),
    ("threshold", lambda x: torch.threshold(x, 0.1, 0.0)),
    ("clamp", lambda x: x.clamp(min=0)),
    ("clamp", lambda x: x.clamp(0)),
    ("clamp", lambda x: x.clamp(0, None)),
    ("clamp", lambda x: torch.clamp(x, min=0)),
    ("clamp", lambda x: torch.clamp(x, min=0.0)),
    ("clamp", lambda x: torch.clamp(input=x, min=0)),
    ("clamp", lambda x: x.clamp_(min=0)),
    ("clamp", lambda x: torch.clamp_(x, min=0)),
    ("clamp", lambda x: x.clamp_min(0)),
    ("clamp", lambda x: x.clamp_min_(0)),
    ("clamp", lambda x: torch.clamp_min(x, 0)),
    ("clamp", lambda x: torch.clamp_min(x, min=0.0)),
    ("clamp", lambda x: x.clip(min=0)),
    ("clamp", lambda x: x.clip_(0)),
    ("clamp", lambda x: torch.clip(x, min=0)),
    ("hardtanh", lambda x: F.hardtanh(x)),
    ("hardtanh", lambda x: F.hardtanh(x, inplace=True)),
    ("hardtanh", lambda x: F.hardtanh_(x)),
    ("hardsigmoid", lambda x: F.hardsigmoid(x * 4)),
    ("hardsigmoid", lambda x: F.hardsigmoid(x * 4, inplace=True)),
    ("hardswish", lambda x: F.hardswish(x * 4)),
    ("hardswish", lambda x: F.hardswish(x * 4, inplace=True)),
    ("hardshrink", lambda x: F.hardshrink(x)),
    ("hardshrink", lambda x: torch.hardshrink(x)),
    ("hardshrink", lambda x: x.hardshrink()),
    ("softshrink", lambda x: F.softshrink(x)),
    ("sigmoid", lambda x: F.sigmoid(x)),
    ("sigmoid", lambda x: torch.sigmoid(x * 4)),
    ("sigmoid", lambda x: torch.sigmoid_(x)),
    ("sigmoid", lambda x: x.sigmoid()),
    ("sigmoid", lambda x: x.sigmoid_()),
    ("sigmoid", lambda x: torch.special.expit(x)),
    ("tanh", lambda x: F.tanh(x)),
    ("tanh", lambda x: torch.tanh(x * 4)),
    ("tanh", lambda x: torch.tanh_(x)),
    ("tanh", lambda x: x.tanh()),
    ("tanh", lambda x: x.tanh_()),
    ("softsign", lambda x: F.softsign(x)),
    ("elu", lambda x: F.elu(x)),
    ("elu", lambda x: F.elu(x, inplace=True)),
    ("elu", lambda x: F.elu_(x)),
    ("selu", lambda x: F.selu(x)),
    ("selu", lambda x: torch.selu(x)),
    ("selu", lambda x: torch.selu_(x)),
    ("celu", lambda x: F.celu(x)),
    ("celu", lambda x: torch.celu(x, 2.0)),
    ("gelu", lambda x: F.gelu(x)),
    ("gelu", lambda x: F.gelu(x, approximate="tanh")),
    ("silu", lambda x: F.silu(x)),
    ("silu", lambda x: F.silu(x, inplace=True)),
    ("mish", lambda x: F.mish(x)),
    ("softplus", lambda x: F.softplus(x)),
    ("logsigmoid", lambda x: F.logsigmoid(x)),
    ("tanhshrink", lambda x: F.tanhshrink(x)),
]


class Spelled(nn.Module):
    def __init__(self, name: str, function: Any) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.name, self.function = name, function

    def forward(self, x: Tensor) -> Tensor:
        return self.head(tap(f"fc/{self.name}", self.function(self.fc(x))))


@pytest.mark.parametrize(
    ("name", "function"), SPELLINGS, ids=lambda v: v if isinstance(v, str) else str(v.__code__.co_firstlineno)
)
def test_activations_called_as_functions(name, function, tmp_path):
    build = lambda: Spelled(name, function)  # noqa: E731
    run = check(build, [(torch.randn(9, 4),)], ["fc", f"fc/{name}", "head"], tmp_path)
    layer = run.layers[1]
    assert (layer.kind, layer.type, layer.function, layer.parent) == ("function", name, name, "")
    assert layer.source == f"test_odd_models.py:{function.__code__.co_firstlineno}"
    assert (layer.units, layer.unit_axis) == (8, 1)


def test_every_activation_is_spelled():
    assert {name for name, _ in SPELLINGS} == set(ACTIVATIONS)


@pytest.mark.parametrize("spelling", ["positional", "keywords", "in place", "module"])
def test_limits_of_a_hardtanh_are_its_own(spelling, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.act = nn.Linear(4, 8), nn.Hardtanh(-0.5, 0.25)

        def forward(self, x):
            x = self.fc(x)
            if spelling == "positional":
                return F.hardtanh(x, -0.5, 0.25)
            if spelling == "keywords":
                return F.hardtanh(x, min_val=-0.5, max_val=0.25)
            return F.hardtanh_(x, -0.5, 0.25) if spelling == "in place" else self.act(x)

    torch.manual_seed(0)
    model, x = Net(), torch.randn(50, 4)
    out = model(x)
    expected = ((out <= -0.5) | (out >= 0.25)).double().mean().item()
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(x).sum().backward()
        optimizer_of(model).step()
    assert load_run(tmp_path)["activation/saturated_fraction"].values[0, 1] == pytest.approx(expected)


def test_the_source_is_the_nearest_line_that_is_not_pytorch(tmp_path):
    """Packages beside PyTorch whose names begin like its own are not PyTorch."""
    code = "import torch\n\n\ndef act(x):\n    return torch.relu(x)\n"
    namespace: dict[str, Any] = {}
    exec(compile(code, torch.__file__.replace("torch/__init__.py", "torchvision/ops/act.py"), "exec"), namespace)
    run = check(lambda: Spelled("relu", namespace["act"]), [(torch.randn(9, 4),)], ["fc", "fc/relu", "head"], tmp_path)
    assert run.layers[1].source == "act.py:5"


# Layers of PyTorch's -------------------------------------------------------------------------------------------------

CHAINS = {
    "one dimension": (
        lambda: [nn.Conv1d(3, 6, 2), nn.BatchNorm1d(6), nn.PReLU(6), nn.MaxPool1d(2), nn.ConvTranspose1d(6, 4, 2),
                 nn.GroupNorm(2, 4), nn.Dropout1d(0.2), nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(8, 2)],
        (5, 3, 12),
        [(6, 1)] * 4 + [(4, 1)] * 4 + [(8, 1), (2, 1)],
    ),
    "as long as wide": (
        lambda: [nn.Conv1d(6, 6, 3, padding=1), nn.ReLU(), nn.InstanceNorm1d(6, affine=True), nn.Tanh()],
        (6, 6, 6),
        [(6, 1)] * 4,
    ),
    "images": (
        lambda: [nn.Conv2d(3, 8, 3), nn.LeakyReLU(), nn.InstanceNorm2d(8), nn.PixelShuffle(2), nn.Conv2d(2, 4, 3),
                 nn.GLU(1), nn.Upsample(scale_factor=2), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Softmax(1)],
        (2, 3, 6, 7),
        [(8, 1)] * 3 + [(2, 1), (4, 1), (2, 1), (2, 1), (2, 1), (2, 1), (2, 1)],
    ),
    "volumes": (
        lambda: [nn.Conv3d(2, 4, 2), nn.BatchNorm3d(4), nn.Hardswish(), nn.AvgPool3d(2), nn.ConvTranspose3d(4, 3, 2)],
        (2, 2, 5, 6, 7),
        [(4, 1)] * 4 + [(3, 1)],
    ),
    "one image": (lambda: [nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(0), nn.Linear(60, 2)], (3, 5, 6),
                  [(5, 0), (5, 0), (60, 0), (2, 0)]),
    "one vector": (lambda: [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2), nn.Sigmoid()], (4,),
                   [(6, 0), (6, 0), (2, 0), (2, 0)]),
    "features last": (
        lambda: [nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.RMSNorm(6), nn.Unflatten(2, (2, 3)), nn.Softsign()],
        (2, 5, 4),
        [(6, 2)] * 4 + [(2, 1), (2, 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHAINS)
def test_chains_of_layers(kind, tmp_path):
    build, shape, axes = CHAINS[kind]
    rows = [str(i) for i in range(len(axes))]
    run = check(lambda: nn.Sequential(*build()), [(torch.randn(shape),) for _ in range(2)], rows, tmp_path)
    if kind != "features last":
        assert [(layer.units, layer.unit_axis) for layer in run.layers] == axes


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_layers(dtype, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 6, dtype=dtype), nn.Linear(6, 2, dtype=dtype)
            with torch.no_grad():
                self.a.weight[2], self.a.bias[2] = 0, 0

        def forward(self, x):
            x = self.a(x)
            return self.b(tap("a/tanh", torch.tanh(x)).conj())

    batches = [(torch.randn(5, 4, dtype=dtype),) for _ in range(2)]
    run = check(Net, batches, ["a", "a/tanh", "b"], tmp_path)
    assert [(layer.units, layer.unit_axis) for layer in run.layers] == [(6, 1), (6, 1), (2, 1)]
    assert run["activation/dead_fraction"].values[0, 0] == pytest.approx(1 / 6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_parts_take_no_hooks_and_the_rest_is_recorded(tmp_path, caplog):
    def outcome(run):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 2))
        vitals = attach_hooks(model, run, every=1) if run else None
        losses = train(model, [(torch.full((5, 4), i),) for i in (1.0, 2.0)], squares)
        if vitals:
            vitals.remove()
        return losses

    assert outcome(None) == outcome(tmp_path)
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == ["0", "2", "3"]
    assert [p.layer for p in run.parameters] == ["0", "0", "1", "1", "3", "3"]
    assert np.isfinite(run["gradient/rms"].values).all() and np.isfinite(run["parameter/grad_rms"].values).all()
    assert list(run.manifest.not_observed) == ["1"]
    assert sum("does not observe" in message for message in caplog.messages) == 1


# Parameters that come or change --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dry", [False, True])
def test_lazy_layers(dry, tmp_path):
    def build():
        torch.manual_seed(1)
        return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))

    x = torch.randn(2, 3, 4, 4)
    if not dry:
        check(build, [(x,)] * 3, ["0", "1", "2", "3", "4"], tmp_path)
        return
    model = build()
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        with torch.no_grad():
            model(x)
        optimizer = optimizer_of(model)
        weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        model(x).square().mean().backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        optimizer.step()
    run = load_run(tmp_path)
    assert run.steps.tolist() == [0]
    assert [p.name for p in run.parameters] == list(weights)
    for i, parameter in enumerate(run.parameters):
        compare_parameter(run, 0, i, weights[parameter.name], gradients[parameter.name])


@pytest.mark.parametrize("every", [1, 2])
def test_meta_model_materialised_while_attached(every, tmp_path):
    kept = []

    def build():
        with torch.device("meta"):
            return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

    def materialise(model):
        kept.extend(model.parameters())  # so that none of the new ones gets the address of an old one
        model.to_empty(device="cpu")
        for module in (model[0], model[2]):
            module.reset_parameters()

    batches = [(torch.randn(5, 4),) for _ in range(4)]
    run = check(build, batches, ["0", "1", "2"], tmp_path, then=materialise, every=every)
    assert [p.name for p in run.parameters] == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("kind", ["weight", "spectral", "orthogonal", "old weight", "own"])
def test_parametrizations(kind, tmp_path):
    class Symmetric(nn.Module):
        def forward(self, w):
            return torch.relu(w.triu() + w.triu(1).mT)

    def wrap(layer):
        if kind == "own":
            return nn.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
        if kind == "old weight":
            with pytest.warns(FutureWarning):
                return nn.utils.weight_norm(layer)
        return {"weight": weight_norm, "spectral": spectral_norm, "orthogonal": orthogonal}[kind](layer)

    def build():
        return nn.Sequential(wrap(nn.Linear(4, 4)), nn.ReLU(), wrap(nn.Linear(4, 4)), nn.Linear(4, 2))

    run = check(build, [(torch.randn(7, 4),) for _ in range(3)], ["0", "1", "2", "3"], tmp_path)
    assert {p.layer for p in run.parameters} == {"0", "2", "3"}
    assert [layer.units for layer in run.layers] == [4, 4, 4, 2]


# Hooks of others -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["backward", "forward", "forward pre"])
def test_hooks_on_all_modules_by_the_user(kind, tmp_path):
    seen = []
    register = {
        "backward": nn.modules.module.register_module_full_backward_hook,
        "forward": nn.modules.module.register_module_forward_hook,
        "forward pre": nn.modules.module.register_module_forward_pre_hook,
    }[kind]
    handle = register(lambda module, *rest: seen.append(type(module).__name__))
    try:
        build = lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))  # noqa: E731
        check(build, [(torch.randn(7, 4, requires_grad=True),) for _ in range(2)], ["0", "1", "2"], tmp_path)
    finally:
        handle.remove()
    assert seen and seen[: len(seen) // 2] == seen[len(seen) // 2 :]


# Tensors of every make ------------------------------------------------------------------------------------------------


class Image(Tensor):
    """A subclass that stays one through every function, like the tensors of fastai."""


def test_tensors_of_a_subclass(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 5, 3), nn.Linear(5, 2)

        def forward(self, x):
            x = tap("conv/relu", F.relu(self.conv(x)))
            assert type(x) is Image
            return self.head(x.mean((2, 3)))

    batches = [(torch.randn(2, 3, 6, 6).as_subclass(Image),) for _ in range(2)]
    plain = lambda out: squares(out).as_subclass(Tensor)  # noqa: E731
    check(Net, batches, ["conv", "conv/relu", "head"], tmp_path, loss=plain)


def test_nested_tensors_are_left_alone(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.b(torch.cat([row.mean(0, keepdim=True) for row in F.relu(self.a(x)).unbind()]))

    parts = [torch.randn(n, 4) for n in (3, 5)]
    batches = [(torch.nested.nested_tensor(parts, layout=torch.jagged),) for _ in range(2)]
    check(Net, batches, ["b"], tmp_path)


def test_parts_that_got_nothing_to_do(tmp_path):
    """Experts without a token, detectors without a box: empty batches."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.expert = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x, chosen):
            x = self.a(x)
            y = torch.zeros_like(x)
            y[chosen] = F.relu(self.expert(x[chosen]))
            return x + y

    def build():
        return Net()

    x, none, some = torch.randn(5, 4), torch.zeros(5, dtype=torch.bool), torch.arange(5) < 2
    torch.manual_seed(0)
    losses = train(bare := build(), [(x, none), (x, some), (x, none)], squares)
    torch.manual_seed(0)
    model = build()
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        assert train(model, [(x, none), (x, some), (x, none)], squares) == losses
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == ["a", "expert", "expert/relu"]
    missing = np.isnan(run["activation/rms"].values)
    assert missing.tolist() == [[False, True, True], [False, False, False], [False, True, True]]
    assert np.isnan(run["gradient/rms"].values).tolist() == missing.tolist()
    assert all(torch.equal(a, b) for a, b in zip(bare.parameters(), model.parameters(), strict=True))


def test_parameters_of_every_shape(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 6)
            self.scalar, self.empty = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.zeros(0, 3))
            self.turned = nn.Parameter(torch.randn(6, 3, 2).permute(2, 0, 1))
            self.zero = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            x = torch.einsum("nu,kuv->nkv", self.fc(x), self.turned) + self.zero
            return x * self.scalar + self.empty.sum()

    model, x = Net(), torch.randn(5, 4)
    squares(model(x)).backward()
    before = {name: (p.detach().clone(), p.grad.clone()) for name, p in model.named_parameters()}
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        train(model, [(x,)], squares)
    run = load_run(tmp_path)
    assert {p.name: p.shape for p in run.parameters} == {name: tuple(w.shape) for name, (w, _) in before.items()}
    for i, parameter in enumerate(run.parameters):
        if parameter.name != "empty":
            compare_parameter(run, 0, i, *before[parameter.name])
        else:
            measured = [s for s in run.statistics if s.startswith("parameter") and s != "parameter/learning_rate"]
            assert all(np.isnan(run[s].values[0, i]) for s in measured)
    assert np.isnan(run["parameter/update_ratio"].values[0, [p.name == "zero" for p in run.parameters]]).all()


def test_the_loss_is_a_module_of_the_model(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.criterion = nn.Linear(4, 3), nn.CrossEntropyLoss()

        def forward(self, x, y):
            out = self.body(x)
            return {"loss": self.criterion(out, y), "logits": out}

    batches = [(torch.randn(5, 4), torch.randint(0, 3, (5,))) for _ in range(2)]
    run = check(Net, batches, ["body", "criterion"], tmp_path, loss=lambda out: out["loss"])
    assert (run.layers[1].shape, run.layers[1].units) == ((), None)
    np.testing.assert_allclose(run["gradient/rms"].values[:, 1], 1)


def test_calls_that_come_and_go(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRUCell(4, 6)

        def forward(self, x):
            state = None
            for i, part in enumerate(x):
                state = self.cell(part, state)
                state = tap(f"cell/tanh@{i}" if i else "cell/tanh", torch.tanh(state))
            return state

    batches = [(torch.randn(n, 2, 4),) for n in (1, 3, 2)]
    rows = ["cell", "cell/tanh", "cell@1", "cell/tanh@1", "cell@2", "cell/tanh@2"]
    check(Net, batches, rows, tmp_path)


def test_names_that_look_like_ours(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("a", "a/relu", "a@1")})

        def forward(self, x):
            for name in ("a", "a/relu", "a", "a@1"):
                x = F.relu(self.parts[name](x))
            return x

    model = Net()
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        train(model, [(torch.randn(5, 4),)], squares)
    names = [layer.name for layer in load_run(tmp_path).layers]
    assert len(names) == 8 and len(set(names)) == 8
