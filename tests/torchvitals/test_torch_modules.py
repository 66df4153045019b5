"""Every module of ``torch.nn``, built and called as in PyTorch's own table, trains the same with hooks.

The table has up to 857 inputs of one module; of many, some are taken, evenly spread (see `SOME`).
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import inspect
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from tests.torchvitals.training import bits, differing
from tests.torchvitals.twin import Recording, activation_statistics, gradient_statistics
from torchvitals import attach_hooks
from torchvitals_tb import load_run

# PyTorch's own, about inputs of the table; with hooks they point at another line.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
SOME = 10
"""Inputs tried of one module in one mode."""
STEPS = 3


def table() -> types.ModuleType:
    """PyTorch's table of modules. Importing it would freeze flags for all other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends, "disable_global_flags", lambda: None)
        return importlib.import_module("torch.testing._internal.common_modules")


TABLE = table()
Given = TABLE.FunctionInput
Input = TABLE.ModuleInput


def entry(kind: type[nn.Module], *inputs: tuple[Any, Any]) -> Any:
    """An entry like the table's, of pairs: what the module is built from, and how it is called."""

    def made(module_info, device, dtype, requires_grad, training, **kwargs):
        def tensor(x):
            x = x() if inspect.isfunction(x) else x
            return x.to(dtype).requires_grad_(requires_grad) if isinstance(x, Tensor) and x.is_floating_point() else x

        return [Input(built, Given(*map(tensor, called.args), **called.kwargs)) for built, called in inputs]

    return TABLE.ModuleInfo(kind, module_inputs_func=made)


def normal(*shape: int) -> Any:
    return lambda: torch.randn(shape)


def unpooled(dims: int) -> Any:
    """An input of ``MaxUnpool``: values and the places they come from."""
    kind = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[dims - 1]
    values, places = kind(2, return_indices=True)(torch.randn(2, 3, *[4] * dims))
    return Given(lambda: values.clone(), places)


def not_in_the_table() -> list[Any]:
    vectors, images, volumes = normal(4, 6), normal(4, 6, 4, 4), normal(4, 6, 4, 4, 4)
    nested = nn.TransformerDecoderLayer(4, 2, 8)
    return [
        entry(
            nn.AdaptiveLogSoftmaxWithLoss,
            (Given(6, 9, [3, 6]), Given(vectors, torch.tensor([0, 4, 8, 2]))),
            (Given(6, 9, [3], div_value=2.0, head_bias=True), Given(normal(6), torch.tensor(5))),
        ),
        *(
            entry(kind, (Given(), Given(shape)), (Given(0.9), Given(shape)), (Given(0.0), Given(shape)))
            for kind, shape in (
                (nn.Dropout, vectors),
                (nn.Dropout1d, normal(4, 6, 5)),
                (nn.Dropout2d, images),
                (nn.Dropout3d, volumes),
                (nn.AlphaDropout, vectors),
                (nn.FeatureAlphaDropout, images),
            )
        ),
        entry(nn.ChannelShuffle, (Given(3), Given(images))),
        entry(nn.CosineSimilarity, (Given(), Given(vectors, vectors))),
        entry(nn.CrossMapLRN2d, (Given(3), Given(images))),
        entry(
            nn.EmbeddingBag,
            (Given(9, 4), Given(torch.tensor([[0, 3, 3], [8, 1, 2]]))),
            (Given(9, 4, mode="max"), Given(torch.tensor([0, 3, 3, 8]), torch.tensor([0, 3]))),
            (Given(9, 4, mode="sum", sparse=True), Given(torch.tensor([[0, 3, 3], [8, 1, 2]]))),
        ),
        entry(nn.Flatten, (Given(), Given(images)), (Given(2), Given(images))),
        entry(nn.Fold, (Given((4, 4), 2), Given(normal(2, 12, 9)))),
        entry(nn.Hardsigmoid, (Given(), Given(vectors)), (Given(), Given(normal()))),
        entry(nn.Identity, (Given(), Given(vectors)), (Given(3, unused=True), Given(images))),
        *(
            entry(kind, (Given(), Given(shape)))
            for kind, shape in (
                (nn.LazyBatchNorm1d, vectors),
                (nn.LazyBatchNorm2d, images),
                (nn.LazyBatchNorm3d, volumes),
                (nn.LazyInstanceNorm1d, normal(4, 6, 5)),
                (nn.LazyInstanceNorm2d, images),
                (nn.LazyInstanceNorm3d, volumes),
            )
        ),
        entry(nn.LazyLinear, (Given(3), Given(vectors))),
        entry(nn.MaxUnpool1d, (Given(2), unpooled(1))),
        entry(nn.MaxUnpool2d, (Given(2), unpooled(2))),
        entry(nn.MaxUnpool3d, (Given(2), unpooled(3))),
        entry(nn.NLLLoss2d, (Given(), Given(images, torch.zeros(4, 4, 4, dtype=torch.long)))),
        entry(nn.PairwiseDistance, (Given(), Given(vectors, vectors))),
        entry(nn.PixelShuffle, (Given(2), Given(normal(2, 8, 3, 3)))),
        entry(nn.PixelUnshuffle, (Given(2), Given(images))),
        entry(nn.RReLU, (Given(), Given(vectors))),
        entry(nn.Sequential, (Given(nn.Linear(6, 4), nn.ReLU(inplace=True)), Given(vectors))),
        entry(nn.SyncBatchNorm, (Given(6), Given(images))),
        entry(nn.TransformerDecoder, (Given(nested, 2), Given(normal(3, 2, 4), normal(5, 2, 4)))),
        entry(nn.TripletMarginLoss, (Given(), Given(vectors, vectors, vectors))),
        entry(nn.TripletMarginWithDistanceLoss, (Given(swap=True), Given(vectors, vectors, vectors))),
        entry(nn.Unflatten, (Given(1, (2, 3)), Given(vectors))),
        entry(nn.Unfold, (Given(2), Given(images))),
        entry(nn.Upsample, (Given(scale_factor=2.0), Given(images)), (Given(7, mode="bilinear"), Given(images))),
        entry(nn.UpsamplingBilinear2d, (Given(scale_factor=2), Given(images))),
        entry(nn.UpsamplingNearest2d, (Given(7), Given(images))),
    ]


ENTRIES = {info.name: info for info in (*TABLE.module_db, *not_in_the_table())}
# Base classes and containers: nothing of their own to call. The options of a loss are no module at all.
NO_FORWARD = {
    "Container",
    "LinearCrossEntropyOptions",
    "Module",
    "ModuleDict",
    "ModuleList",
    "ParameterDict",
    "ParameterList",
    "RNNBase",
    "RNNCellBase",
}


class Holder(nn.Module):
    """A module under a trainable factor, so that modules without parameters train as well."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.factor = nn.Parameter(torch.tensor(1.5))

    def forward(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        return [x * self.factor for x in floating(self.inner(*args, **kwargs))]


def floating(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point() or value.is_complex():
            yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from floating(item)


def mapped(function: Any, value: Any) -> Any:
    """The same nested tuples, lists and so on, of what a function makes of the tensors."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: mapped(function, item) for key, item in value.items()}
    if isinstance(value, PackedSequence):
        return PackedSequence(*(mapped(function, item) for item in value))
    return type(value)(mapped(function, item) for item in value) if isinstance(value, list | tuple) else value


def as_leaf(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_(x.requires_grad)


class Twin(Recording):
    """Also of complex outputs, as their real and imaginary parts."""

    def _hook(self, name: str) -> Any:
        plain = super()._hook(name)

        def record(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_complex():
                self.activations[name] = parts(output)
                output.register_hook(lambda g: self.gradients.__setitem__(name, parts(g)))
            else:
                plain(module, args, output)

        return record


def parts(x: Tensor) -> Tensor:
    return torch.view_as_real(x.detach().resolve_conj()).clone()


class Case:
    """One input of a module, in one mode: as often trained from the start as asked for."""

    def __init__(self, info: Any, given: Any, *, training: bool, dtype=torch.float32, frozen=False, inplace=False):
        self.info = info
        self.given = given
        self.training = training
        self.dtype = dtype
        self.frozen = frozen
        self.inplace = inplace

    def build(self) -> tuple[Holder, torch.optim.Optimizer, Any]:
        called = self.given.forward_input
        built = copy.deepcopy(self.given.constructor_input)
        torch.manual_seed(1)
        options = built.kwargs | ({"inplace": True} if self.inplace else {})
        inner = self.info.module_cls(*built.args, **options).to(self.dtype)
        if self.frozen:
            for parameter in inner.parameters():
                parameter.requires_grad = False
        model = Holder(inner).train(self.training)
        trainable = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trainable, lr=0.01, momentum=0.9)
        return model, optimizer, Given(*mapped(as_leaf, called.args), **mapped(as_leaf, called.kwargs))

    def call(self, model: Holder, given: Any) -> list[Tensor]:
        passed = torch.clone if self.inplace else lambda x: x  # nothing in place on a leaf
        return model(*mapped(passed, given.args), **mapped(passed, given.kwargs))

    def step(self, model: Holder, optimizer: torch.optim.Optimizer, given: Any) -> Tensor:
        optimizer.zero_grad()
        for x in floating((given.args, given.kwargs)):
            x.grad = None
        # Through float32, since squares of narrower numbers overflow.
        loss = sum((x.abs().float() - 1).square().mean() for x in self.call(model, given))
        loss.backward()
        optimizer.step()
        return loss

    def train(self, run: Path | None = None) -> dict[str, Any]:
        """All that training has produced, bit by bit."""
        model, optimizer, given = self.build()
        found: dict[str, Any] = {}
        with attach_hooks(model, run, every=1, mirror=False, on_error="raise") if run else contextlib.nullcontext():
            for step in range(STEPS):
                found[f"loss {step}"] = self.step(model, optimizer, given)
                inputs = list(floating((given.args, given.kwargs)))
                found |= {f"gradient {step} of input {i}": x.grad for i, x in enumerate(inputs)}
                found |= {f"gradient {step} of {name}": p.grad for name, p in model.named_parameters()}
                with (torch.no_grad, torch.inference_mode)[step % 2]():
                    found |= {f"validation {step}, output {i}": x for i, x in enumerate(self.call(model, given))}
        assert not any(x._backward_hooks for x in inputs)
        found |= {f"{name} of the state": x for name, x in model.state_dict().items()}
        found |= {f"{name} of the module": x for name, x in model.named_buffers()}
        found |= {f"momentum {i}": s["momentum_buffer"] for i, s in optimizer.state_dict()["state"].items()}
        found["random state"] = torch.get_rng_state()
        return {name: bits(x) for name, x in found.items()}

    def record(self) -> Twin:
        """What the first step computes, cloned as it goes by."""
        model, optimizer, given = self.build()
        recording = Twin(model)
        self.step(model, optimizer, given)
        return recording


def spread(found: Sequence[Any], most: int) -> list[Any]:
    return [found[i * len(found) // most] for i in range(most)] if len(found) > most else list(found)


@functools.cache
def inputs_of(name: str, *, training: bool, dtype: torch.dtype = torch.float32, requires_grad: bool = True):
    torch.manual_seed(0)
    info = ENTRIES[name]
    return list(info.module_inputs_func(info, "cpu", dtype, requires_grad, training))


def cases(name: str, most: int = SOME, *, training: bool, frozen: bool = False, dtype=torch.float32, **options):
    found = inputs_of(name, training=training, dtype=dtype, requires_grad=not frozen)
    options |= {"training": training, "frozen": frozen, "dtype": dtype}
    return [Case(ENTRIES[name], given, **options) for given in spread(found, most)]


def check(case: Case, run: Path) -> None:
    """Trains the same with and without hooks, and the run says what was computed."""
    assert differing(case.train(), case.train(run)) == []
    # What needs no gradient may run fused, and then nothing inside is called.
    check_numbers(case.record(), run, only="inner" if case.frozen else None)


def check_numbers(recording: Twin, directory: Path, only: str | None) -> None:
    run = load_run(directory)
    rows = {layer.name: i for i, layer in enumerate(run.layers) if layer.kind == "module"}
    computed = {name for name, x in recording.activations.items() if x.numel() and not x.is_nested}
    assert ({only} & computed if only else computed) <= rows.keys() <= recording.activations.keys()
    for name in computed & rows.keys():
        close(run, "activation", rows[name], activation_statistics(recording.activations[name]))
        gradient = recording.gradients.get(name)
        nothing = dict.fromkeys(("rms", "abs_max", "zero_fraction"), np.nan)
        close(run, "gradient", rows[name], nothing if gradient is None else gradient_statistics(gradient))


def close(run: Any, kind: str, row: int, expected: dict[str, float]) -> None:
    for statistic in ("rms", "abs_max", "zero_fraction"):
        value = run[f"{kind}/{statistic}"].values[0, row]
        # Below the smallest float32 there is nothing to tell apart.
        np.testing.assert_allclose(value, expected[statistic], rtol=1e-5, atol=1e-38, err_msg=f"{kind}/{statistic}")


def test_every_module_of_torch_is_tried():
    assert {f"nn.{name}" for name in nn.modules.__all__ if name not in NO_FORWARD} <= ENTRIES.keys()


@pytest.mark.parametrize("name", sorted(NO_FORWARD))
def test_base_class_has_nothing_to_call(name):
    kind = getattr(nn.modules, name, None)  # not every version has them all
    assert getattr(kind, "forward", None) in (None, nn.Module.forward)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", ENTRIES)
def test_module(name, training, tmp_path):
    for i, case in enumerate(cases(name, training=training)):
        check(case, tmp_path / str(i))


@pytest.mark.parametrize("name", ENTRIES)
def test_frozen_module(name, tmp_path):
    """Nothing in it needs a gradient, so PyTorch may take shorter ways."""
    for i, case in enumerate(cases(name, 3, training=False, frozen=True)):
        check(case, tmp_path / str(i))


INPLACE = [name for name, info in ENTRIES.items() if "inplace" in inspect.signature(info.module_cls).parameters]


@pytest.mark.parametrize("name", INPLACE)
def test_module_in_place(name, tmp_path):
    for i, case in enumerate(cases(name, training=True, inplace=True)):
        check(case, tmp_path / str(i))


OTHER_TYPES = [(name, dtype) for name, info in ENTRIES.items() for dtype in info.dtypes if dtype != torch.float32]


@pytest.mark.parametrize(("name", "dtype"), OTHER_TYPES, ids=str)
def test_module_of_another_type(name, dtype, tmp_path):
    for i, case in enumerate(cases(name, 1, training=True, dtype=dtype)):
        check(case, tmp_path / str(i))


def padded(norm_first: bool) -> Any:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first)
    options = {"enable_nested_tensor": False}
    mask = torch.arange(17) >= torch.tensor([[17], [9], [3]])
    return entry(
        nn.TransformerEncoder, (Given(layer, 2, **options), Given(normal(3, 17, 16), src_key_padding_mask=mask))
    )


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "trained"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_fused_attention_over_padding(norm_first, frozen, tmp_path):
    """The fused kernel rounds differently than the layers one by one, and is left alone only where no hook is."""
    info = padded(norm_first)
    torch.manual_seed(0)
    given = info.module_inputs_func(info, "cpu", torch.float32, not frozen, False)
    for i, each in enumerate(given):
        check(Case(info, each, training=False, frozen=frozen), tmp_path / str(i))
