"""What a model is made of: which modules are layers, what activates, where the units are, what feeds what."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from torchvitals_tb.schema import ACTIVATIONS, Layer

_MODULE_FUNCTIONS: Final[dict[str, str]] = {
    "ReLU": "relu",
    "ReLU6": "relu6",
    "RReLU": "rrelu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "Threshold": "threshold",
    "Hardtanh": "hardtanh",
    "Hardsigmoid": "hardsigmoid",
    "Hardswish": "hardswish",
    "Hardshrink": "hardshrink",
    "Softshrink": "softshrink",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softsign": "softsign",
    "ELU": "elu",
    "SELU": "selu",
    "CELU": "celu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Mish": "mish",
    "Softplus": "softplus",
    "LogSigmoid": "logsigmoid",
    "Tanhshrink": "tanhshrink",
}
_MOST_OUTPUTS: Final = 16
_CHANNELS_FIRST: Final = ("_NormBase", "GroupNorm", "LocalResponseNorm")
_FEATURES_LAST: Final = (
    "Linear",
    "Bilinear",
    "LayerNorm",
    "RMSNorm",
    "RNNBase",
    "MultiheadAttention",
    "Embedding",
    "EmbeddingBag",
)


def activation_of(module: nn.Module) -> str | None:
    """The key in ``ACTIVATIONS`` of an activation module (or a subclass of one), else ``None``."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith("torch.nn.modules") and kind.__name__ in _MODULE_FUNCTIONS:
            return _MODULE_FUNCTIONS[kind.__name__]
    return None


def limits_of(function: str | None, module: nn.Module | None) -> tuple[float | None, float | None]:
    """Outputs at or beyond which an activation counts as saturated."""
    if function is None:
        return None, None
    if isinstance(module, nn.Hardtanh) and function == "hardtanh":
        return float(module.min_val), float(module.max_val)
    return ACTIVATIONS[function].low, ACTIVATIONS[function].high


def is_layer(module: nn.Module) -> bool:
    """Whether calls of a module are rows: it has no modules inside, or holds parameters of its own.

    Parametrizations (weight norm and the like) belong to the module they compute a tensor for, and are none.
    """
    if isinstance(module, _CONTAINERS):
        return False
    return is_leaf(module) or any(p is not None for p in module._parameters.values())


def is_leaf(module: nn.Module) -> bool:
    """Whether there are no modules inside."""
    return all(child is None or name in _NOT_CALLED for name, child in module._modules.items())


_NOT_CALLED: Final = frozenset(("parametrizations", "_packed_params"))  # they only hold, or compute, a weight
_WRAPPERS: Final = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
_CONTAINERS: Final = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict, nn.Sequential)


def hides_functions(module: nn.Module) -> bool:
    """Whether activations called inside a module are part of it: PyTorch's own layers, and plain activations."""
    if type(module).__module__.startswith("torch."):
        return not isinstance(module, _CONTAINERS) and is_leaf(module)
    return is_layer(module) and not any(True for _ in module.parameters(recurse=False))


def tensors(value: Any, depth: int = 4) -> Iterator[Tensor]:
    """The tensors in a module's output (or among its arguments): nested tuples, lists, mappings, dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif depth == 0 or value is None or isinstance(value, str | bytes | int | float):
        return
    elif isinstance(value, tuple | list | set | frozenset):
        for item in value:
            if type(item) is Tensor:  # as nearly always
                yield item
            else:
                yield from tensors(item, depth - 1)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item, depth - 1)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for entry in dataclasses.fields(value):
            yield from tensors(getattr(value, entry.name, None), depth - 1)


def outputs_of(value: Any) -> list[Tensor]:
    """The floating tensors in a layer's output; it is measured by the first."""
    if type(value) is Tensor:
        return [value] if value.is_floating_point() or value.is_complex() else []
    return [x for x in islice(tensors(value), _MOST_OUTPUTS) if x.is_floating_point() or x.is_complex()]


def fixed_axis(module: nn.Module) -> int | None:
    """The axis of a module's output that counts its units (negative: from the end), where its type decides that.

    A subclass with a forward of its own decides nothing: there are layer norms over channels in front.
    """
    for kind in type(module).__mro__:
        if kind.__module__.startswith("torch.nn.") and "forward" in vars(kind):
            names = {base.__name__ for base in kind.__mro__}
            if names.intersection(_FEATURES_LAST):
                return -1
            if "_ConvNd" in names:
                return -1 - len(module.kernel_size)  # type: ignore[arg-type]
            return 1 if names.intersection(_CHANNELS_FIRST) else None
        if "forward" in vars(kind):
            return None
    return None


def widths(module: nn.Module) -> frozenset[int]:
    """Sizes of a module's own vectors and matrices: one of them is most likely its number of units."""
    own = (p for p in module._parameters.values() if p is not None and not is_lazy(p) and 0 < p.ndim < 3)
    return frozenset(n for p in own for n in p.shape)


def unit_axis(
    fixed: int | None,
    shape: torch.Size,
    feeder: Layer | None,
    *,
    pointwise: bool = False,
    sizes: frozenset[int] = frozenset(),
) -> int | None:
    """The axis of a layer's output that counts units.

    It is never the first, which counts examples, unless the layer's type or what feeds it says so.

    Args:
        fixed: what `fixed_axis` says of the module; ``None`` for a function.
        shape: of the output.
        feeder: the layer whose output it got, if that has units.
        pointwise: it is an activation: wherever the units of the layer before went, they still are.
        sizes: the `widths` of a module.

    Returns:
        An axis, or ``None`` where the output is one number per example.
    """
    dims = len(shape)
    if fixed is not None and -dims <= fixed < dims:
        return fixed % dims
    if feeder is not None and feeder.unit_axis is not None:
        if feeder.unit_axis == 0 and dims <= len(feeder.shape):  # a single example, without a batch
            return 0
        if pointwise and dims == len(feeder.shape) and shape[feeder.unit_axis] == feeder.units:
            return feeder.unit_axis
        from_end = len(feeder.shape) - feeder.unit_axis
        if from_end < dims and shape[dims - from_end] == feeder.units:
            return dims - from_end
        same = [axis for axis in range(1, dims) if shape[axis] == feeder.units]
        if pointwise and len(same) == 1:
            return same[0]
    if dims < 2:
        return None
    usual = 1 if dims >= 4 else dims - 1
    if shape[usual] not in sizes and shape[-1] in sizes:
        return dims - 1
    return usual


def canonical(path: str) -> str:
    """The path of a module or parameter without the wrappers around it, so that rows match between wrapped and not."""
    return ".".join(part for part in path.split(".") if part not in _WRAPPERS)


def wrapped(model: nn.Module) -> nn.Module:
    """The model inside of what was wrapped around it for parallel or compiled running."""
    while type(model).__name__ in ("DistributedDataParallel", "DataParallel", "OptimizedModule"):
        model = next(model.children())
    return model


class Selection:
    """The user's ``include`` and ``exclude``: shell patterns on module and parameter paths, subtrees included."""

    def __init__(self, include: str | Sequence[str] | None, exclude: str | Sequence[str] | None) -> None:
        self.include = _patterns("include", include)
        self.exclude = _patterns("exclude", exclude)

    def __call__(self, name: str) -> bool:
        if any(_matches(name, p) for p in self.exclude):
            return False
        return not self.include or any(_matches(name, p) for p in self.include)

    def check(self, names: Sequence[str]) -> None:
        """Raises ValueError for a pattern that matches nothing: most likely a typing error."""
        for option, patterns in (("include", self.include), ("exclude", self.exclude)):
            for pattern in patterns:
                if not any(_matches(name, pattern) for name in names):
                    close = difflib.get_close_matches(pattern, names, n=3) or list(names[:3])
                    raise ValueError(
                        f"{option}={pattern!r} matches no module or parameter of the model; "
                        f"there are for example {', '.join(map(repr, close))}"
                    )


def _patterns(option: str, value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    patterns = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(p, str) and p for p in patterns):
        raise TypeError(f"{option} must be a pattern or a list of patterns on module paths, not {value!r}")
    return patterns


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, pattern + ".*")
