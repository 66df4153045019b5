"""The layer table in the terminal: ``torchvitals summary LOGDIR``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from torchvitals_tb import query
from torchvitals_tb.errors import printable
from torchvitals_tb.reader import Run
from torchvitals_tb.schema import ACTIVATIONS, Layer

_OTHER_COLUMNS = 54
"""Width of all but the layer's name."""


_SHOWN = 5  # names of what stayed silent


class Vitals(NamedTuple):
    """One line of the table: a layer and its vital signs; ``None`` where nothing was measured."""

    layer: Layer
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
    return list(map(Vitals, run.layers, _last(run, "activation"), _last(run, "gradient"), dead))


def render(run: Run, width: int = 80) -> RenderableType:
    """The table, with what must be known to read it above and below."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("layer", "type", "output"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in ("units", "act rms", "grad rms", "dead"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in vitals(run):
        shape = "x".join(map(str, line.layer.shape))
        units = "" if line.layer.units is None else str(line.layer.units)
        texts = (_end(line.layer.name, width - _OTHER_COLUMNS), line.layer.type, shape, units)
        numbers = (_number(line.activation), _number(line.gradient), _share(line.dead))
        table.add_row(*(Text(printable(text)) for text in texts), *numbers)
    return Group(_head(run), table, *(Text(note, style="yellow") for note in _notes(run)))


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
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
        notes.append(printable(f"{what.replace('_', ' ')}: {shown}"))
    return notes


def _end(name: str, width: int) -> str:
    """The end of a long name tells layers apart."""
    width = max(width, 26)
    return name if len(name) <= width else "…" + name[1 - width :]


def _number(value: float | None) -> Text:
    if value is None:
        return Text("-")
    return Text(f"{value:.2g}", style="" if np.isfinite(value) else "red")


def _share(share: float | None) -> Text:
    if share is None:
        return Text("-")
    return Text(f"{share:.0%}", style="red" if share >= 0.5 else "yellow" if share >= 0.1 else "")
