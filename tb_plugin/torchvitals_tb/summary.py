"""The layer table in the terminal: ``torchvitals summary LOGDIR``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from torchvitals_tb import query
from torchvitals_tb.errors import printable
from torchvitals_tb.reader import Run
from torchvitals_tb.schema import ACTIVATIONS, Layer, Parameter
from torchvitals_tb.words import end_of, listed

_SHOWN: Final = 5  # names of what stayed silent
_WIDEST_TEXT: Final = 80  # of a layer's name, type or output, however wide the terminal is
_CUT: Final = ((0, 26), (1, 10), (2, 16), (0, 16), (1, 6), (2, 7), (0, 12))  # column and how far it is cut, in turn


class Weights(NamedTuple):
    """How many parameters there are, and how many of them are trained."""

    total: int
    trainable: int


class Vitals(NamedTuple):
    """One line of the table: a layer and its vital signs; ``None`` where nothing was measured."""

    layer: Layer
    weights: Weights | None
    """Of its module, on the row of the first call; ``None`` on other rows, and where there are none."""
    activation: float | None
    """Last rms of the output."""
    gradient: float | None
    """Last rms of the gradient with respect to it."""
    dead: float | None
    """Share of units dead now; ``None`` also where units cannot be dead, or too little was seen of them to say."""


def vitals(run: Run) -> list[Vitals]:
    """The vital signs of every layer, as last measured."""
    _, units = query.dead(run)
    known = (units["units"] > 0) & (units["observations"] >= units["window"])
    known &= np.array([_can_die(layer) for layer in run.layers], dtype=bool)
    dead = [float(d / u) if k else None for k, d, u in zip(known, units["dead"], units["units"], strict=True)]
    weights = _weights_by_row(run)
    return list(map(Vitals, run.layers, weights, _last(run, "activation"), _last(run, "gradient"), dead))


def render(run: Run, width: int = 80) -> RenderableType:
    """The table, with what must be known to read it above and below."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    lines = vitals(run)
    names = [line.layer.name or "(the model)" for line in lines]
    shapes = ["x".join(map(str, line.layer.shape)) for line in lines]
    texts = list(zip(names, (line.layer.type for line in lines), shapes, strict=True))
    numbers = [
        (
            Text(_count(line.weights.total) if line.weights else "-"),
            Text(_trained(line.weights) if line.weights else "-"),
            _number(line.activation),
            _number(line.gradient),
            _share(line.dead),
        )
        for line in lines
    ]
    heads = ("params", "train", "act rms", "grad rms", "dead")
    taken = sum(1 + max(map(len, column)) for column in zip(heads, *numbers, strict=True))
    widths = _widths([("layer", "type", "output"), *texts], width - taken - 2)
    for name, wide in zip(("layer", "type", "output"), widths, strict=True):
        table.add_column(name, no_wrap=True, width=wide)
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
    for (name, kind, shape), row in zip(texts, numbers, strict=True):
        cells = (end_of(name, widths[0]), _start(kind, widths[1]), _start(shape, widths[2]))
        table.add_row(*(Text(printable(cell)) for cell in cells), *row)
    total = Text(_total(run.parameters))
    return Group(_head(run), table, total, *(Text(note, style="yellow") for note in _notes(run)))


def _weights_by_row(run: Run) -> list[Weights | None]:
    owned: dict[str | None, list[Parameter]] = {}
    for parameter in run.parameters:
        owned.setdefault(parameter.layer, []).append(parameter)
    # The row of a module's first call has the module's path for its name.
    owners = [layer.name if layer.kind == "module" and layer.call == 0 else None for layer in run.layers]
    return [_weights(owned[owner]) if owner in owned else None for owner in owners]


def _weights(parameters: Iterable[Parameter]) -> Weights:
    sizes = [(math.prod(parameter.shape), parameter.trainable) for parameter in parameters]
    return Weights(sum(n for n, _ in sizes), sum(n for n, trainable in sizes if trainable))


def _total(parameters: tuple[Parameter, ...]) -> str:
    weights = _weights(parameters)
    if not weights.total:
        return "no parameters"
    return f"{weights.total:,} parameters, {_trained(weights)} trainable"


def _trained(weights: Weights) -> str:
    """The trainable share; 0% and 100% only where it is exactly that."""
    share = weights.trainable / weights.total if weights.total else 0.0
    if 0 < share < 0.01:
        return "<1%"
    return f"{min(round(share * 100), 99) if share < 1 else 100}%"


def _count(number: int) -> str:
    """1234 -> 1.2k, 86567656 -> 87M."""
    if number < 1000:
        return str(number)
    power = min(max(i for i in range(1, 5) if number >= 999.5 * 1000 ** (i - 1)), 4)
    value = number / 1000**power
    return f"{value:.{1 if value < 9.95 else 0}f}{' kMBT'[power]}"


def _widths(rows: list[tuple[str, str, str]], room: int) -> list[int]:
    """Widths of the three columns of text: what they need, or what there is room for, the least useful cut first."""
    widths = [min(max(map(len, column)), _WIDEST_TEXT) for column in zip(*rows, strict=True)]
    for column, least in _CUT:
        widths[column] = max(min(widths[column], least), widths[column] - max(0, sum(widths) - room))
    return widths


def _can_die(layer: Layer) -> bool:
    activation = ACTIVATIONS.get(layer.function or "")
    return activation is not None and activation.reaches_zero


def _last(run: Run, group: str) -> list[float | None]:
    """Of each row the last rms measured; NaN only where the values themselves were not finite."""
    name, nonfinite = f"{group}/rms", f"{group}/nonfinite_fraction"
    if name not in run:
        return [None] * len(run.layers)
    values = run[name].values
    seen = ~np.isnan(values)
    if nonfinite in run and len(run[nonfinite].values) == len(values):
        seen |= run[nonfinite].values > 0
    last = [np.flatnonzero(column)[-1:] for column in seen.T]
    return [float(values[t[0], row]) if len(t) else None for row, t in enumerate(last)]


def _head(run: Run) -> Text:
    text = Text(printable(run.name), style="bold")
    if len(run.steps):
        sampled = f"{len(run.steps)} sampled, {len(run.layers)} layers"
        text.append(f"  steps {run.steps[0]} to {run.steps[-1]}, {sampled}", style="not bold")
    return text


def _notes(run: Run) -> list[str]:
    notes = [printable(note) for note in run.notes]
    if run.gaps.read < run.gaps.written:
        notes.append(f"{run.gaps.read} of {run.gaps.written} sampled steps are there to be read")
    skipped = run.steps[run.counters["skipped"] > 0]
    if len(skipped):
        notes.append(f"the loss scaler skipped {len(skipped)} of them, last step {skipped[-1]}")
    for what, names in run.manifest.self_check.items():
        notes.append(printable(f"{what.replace('_', ' ')}: {listed(names, _SHOWN)}"))
    return notes


def _start(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _number(value: float | None) -> Text:
    if value is None:
        return Text("-")
    return Text(f"{value:.2g}", style="" if np.isfinite(value) else "red")


def _share(share: float | None) -> Text:
    if share is None:
        return Text("-")
    return Text(f"{share:.0%}", style="red" if share >= 0.5 else "yellow" if share >= 0.1 else "")
