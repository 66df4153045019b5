"""What one run looks like on disk: tags, statistics, rows.

The contract between the writer (``torchvitals``, which imports torch) and the reader (``torchvitals_tb``, which
never does). Every record is a ``Summary.Value`` with an own plugin name, a data class and a plain tensor, so that no
generated protobuf code is needed and any TensorBoard can load it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple

PLUGIN_NAME: Final = "torchvitals"
SCHEMA_VERSION: Final = 1
PLUGIN_CONTENT: Final = b'{"v":1}'

PREFIX: Final = "torchvitals/"
MANIFEST_TAG: Final = "torchvitals/manifest"
RUN_TAG: Final = "torchvitals/run"
UNITS_TAG: Final = "torchvitals/units"

LAYER_STATISTICS: Final = (
    "activation/mean",
    "activation/std",
    "activation/rms",
    "activation/example_std",
    "activation/abs_max",
    "activation/zero_fraction",
    "activation/nonfinite_fraction",
    "activation/saturated_fraction",
    "activation/dead_fraction",
    "activation/dormant_fraction",
    "gradient/rms",
    "gradient/abs_max",
    "gradient/zero_fraction",
    "gradient/nonfinite_fraction",
    "gradient/underflow_fraction",
)
PARAMETER_STATISTICS: Final = (
    "parameter/rms",
    "parameter/abs_max",
    "parameter/grad_rms",
    "parameter/grad_rms_before_clip",
    "parameter/grad_abs_max",
    "parameter/grad_zero_fraction",
    "parameter/grad_nonfinite_fraction",
    "parameter/update_rms",
    "parameter/update_ratio",
    "parameter/learning_rate",
)
STATISTICS: Final = LAYER_STATISTICS + PARAMETER_STATISTICS

HISTOGRAMS: Final = ("activation", "gradient", "weight", "weight_gradient")
"""Kinds of histogram. The first two have a row per layer, the last two a row per parameter."""

RUN_FIELDS: Final = ("samples", "step", "measuring_seconds", "training_seconds", "skipped", "loss_scale")
"""The float64 vector under ``torchvitals/run``: sampled steps written so far (this one included), optimizer step,
seconds spent measuring, seconds of training since the hooks were attached; 1 where a ``GradScaler`` skipped this step
because of gradients that were not finite, else 0; the factor it had multiplied the loss with (NaN: none), which is
taken out of every gradient here. Later versions only append."""

SEGMENT_BYTES: Final = 64 << 20
"""A series that passes this many payload bytes goes on under ``<tag>@1``, ``<tag>@2``, …"""

DORMANT_TAU: Final = 0.025
"""A unit is dormant when its mean magnitude is at most this share of its layer's mean (Sokar et al., ICML 2023)."""

Rows = Literal["layers", "parameters"]


def rows_of(name: str) -> Rows:
    """Whether a statistic (``gradient/rms``) or a histogram kind (``weight``) has a row per layer or per parameter."""
    return "parameters" if name.startswith(("parameter/", "weight")) else "layers"


def tag_of(statistic: str) -> str:
    """``gradient/rms`` -> ``torchvitals/gradient/rms``."""
    return PREFIX + statistic


def histogram_tag(kind: str) -> str:
    """``weight`` -> ``torchvitals/histogram/weight``."""
    return f"{PREFIX}histogram/{kind}"


def split_segment(tag: str) -> tuple[str, int]:
    """``torchvitals/run@2`` -> (``torchvitals/run``, 2); a tag without a suffix is segment 0."""
    base, at, number = tag.rpartition("@")
    return (base, int(number)) if at and number.isdecimal() and len(number) < 10 else (tag, 0)


class Activation(NamedTuple):
    """What the output of an activation function can be."""

    reaches_zero: bool
    """Exactly zero on a whole range of inputs: a unit of it can be dead."""
    low: float | None = None
    high: float | None = None
    """Outputs at or beyond these count as saturated; ``None`` where there is no such bound."""


# Smooth bounded functions count as saturated where the slope has fallen below 6 % of its maximum: |tanh| > 0.97
# (Karpathy, makemore part 3), and the same input range for the sigmoid, since sigmoid(2x) = (1 + tanh(x)) / 2.
ACTIVATIONS: Final[dict[str, Activation]] = {
    "relu": Activation(reaches_zero=True),
    "relu6": Activation(reaches_zero=True, high=6.0),
    "rrelu": Activation(reaches_zero=False),
    "leaky_relu": Activation(reaches_zero=False),
    "prelu": Activation(reaches_zero=False),
    "threshold": Activation(reaches_zero=True),
    "clamp": Activation(reaches_zero=True),
    "hardtanh": Activation(reaches_zero=False, low=-1.0, high=1.0),
    "hardsigmoid": Activation(reaches_zero=True, low=0.0, high=1.0),
    "hardswish": Activation(reaches_zero=True),
    "hardshrink": Activation(reaches_zero=True),
    "softshrink": Activation(reaches_zero=True),
    "sigmoid": Activation(reaches_zero=False, low=0.015, high=0.985),
    "tanh": Activation(reaches_zero=False, low=-0.97, high=0.97),
    "softsign": Activation(reaches_zero=False, low=-0.97, high=0.97),
    "elu": Activation(reaches_zero=False),
    "selu": Activation(reaches_zero=False),
    "celu": Activation(reaches_zero=False),
    "gelu": Activation(reaches_zero=False),
    "silu": Activation(reaches_zero=False),
    "mish": Activation(reaches_zero=False),
    "softplus": Activation(reaches_zero=False),
    "logsigmoid": Activation(reaches_zero=False),
    "tanhshrink": Activation(reaches_zero=False),
}
"""Activation functions by the name of their function in ``torch.nn.functional``."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of every picture: one call of a module, or one activation called as a function.

    Rows are in execution order. ``name`` is unique: the module's path, then ``/function`` for an activation called
    as a function (after the layer that feeds it), then ``@k`` for the k-th further call in one forward.
    """

    name: str
    kind: Literal["module", "function"]
    type: str
    """Class of the module (``Linear``), or the function's name."""
    function: str | None
    """Key in ``ACTIVATIONS`` where the row is an activation, called as a module or as a function."""
    parent: str
    """Path of the module that holds it; empty for the root."""
    call: int
    shape: tuple[int, ...]
    """Of the output, batch included, as first seen."""
    units: int | None
    unit_axis: int | None
    source: str | None = None
    """``file.py:12`` of the call: the nearest line that is not PyTorch's."""
    dtype: str | None = None
    """Number format of the output, as first seen: ``float16``."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of every picture of parameters."""

    name: str
    layer: str
    """Path of the module that owns it; empty for the root."""
    shape: tuple[int, ...]
    trainable: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the rows of a run's vectors are. Written again when a row is added; rows never move."""

    layers: tuple[Layer, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    edges: tuple[tuple[int, int], ...] = ()
    """Dataflow between rows of ``layers``: (producer, consumer)."""
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    not_observed: dict[str, str] = field(default_factory=dict)
    """Layer or parameter -> why nothing was measured there."""
    optimizers: tuple[dict[str, Any], ...] = ()
    """``type`` (class) and the numbers among the options of the first group of each optimizer that stepped."""
    self_check: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What was expected in the sampled steps so far and stayed silent: names under ``modules_never_called``,
    ``layers_without_gradient`` (their output needs one) and ``parameters_without_optimizer`` (trainable ones)."""

    def to_json(self) -> str:
        return json.dumps({"v": SCHEMA_VERSION} | asdict(self), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads what a writer of any version wrote: unknown keys are left out, missing ones get their default.

        Raises:
            ValueError: not a manifest.
        """
        try:
            data = json.loads(text)
            layers = tuple(_record(Layer, row) for row in data["layers"])
            return cls(
                layers=layers,
                parameters=tuple(_record(Parameter, row) for row in data["parameters"]),
                edges=tuple((a, b) for a, b in data.get("edges", ()) if _is_row(a, layers) and _is_row(b, layers)),
                options=dict(data.get("options", {})),
                versions=dict(data.get("versions", {})),
                not_observed=dict(data.get("not_observed", {})),
                optimizers=tuple(_optimizer(entry) for entry in data.get("optimizers", ())),
                self_check={str(k): tuple(map(str, v)) for k, v in data.get("self_check", {}).items()},
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a torchvitals manifest: {error!r}") from error


def _optimizer(entry: Any) -> dict[str, Any]:
    plain = (bool, int, float, str, list)
    return {"type": ""} | {str(k): v for k, v in entry.items() if isinstance(v, plain) or v is None}


def _is_row(index: Any, rows: tuple[Layer, ...]) -> bool:
    return isinstance(index, int) and 0 <= index < len(rows)


def _record(kind: Any, row: dict[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    record = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items() if k in known})
    # A log directory may come from anywhere: what is used as a name or a size later must be one.
    texts = (getattr(record, key, None) for key in ("kind", "type", "function", "parent", "layer", "source", "dtype"))
    sizes = (*record.shape, getattr(record, "units", None) or 0)
    plain = all(isinstance(t, str | None) for t in texts) and all(isinstance(n, int) for n in sizes)
    if not (isinstance(record.name, str) and plain):
        raise TypeError(f"{kind.__name__} {record.name!r} has a field of another type")
    return record
