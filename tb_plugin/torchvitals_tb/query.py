"""What the page asks for: one pure function per view, called by the routes, the tests and the command line alike.

Each gives the header and the arrays of an answer, as ``http_api.md`` describes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb import lifelines, packing, schema
from torchvitals_tb.diagnosis import examine
from torchvitals_tb.errors import quoted, unknown
from torchvitals_tb.reader import Run
from torchvitals_tb.scalars import kind_of, place
from torchvitals_tb.schema import ACTIVATIONS, Layer, Parameter
from torchvitals_tb.series import Series
from torchvitals_tb.sources import Tag

Header = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


def runs(tags: Mapping[str, Tag], *, samples_kept: int = 0, experiment: str = "") -> Header:
    """Every run, and whether it has something new.

    Args:
        tags: of each run, what is known of its last record.
        samples_kept: how many samples TensorBoard keeps per tag, 0: all.
        experiment: TensorBoard's experiment id.
    """
    listed = [{"name": name, "version": tags[name].version, "last_step": tags[name].last_step} for name in sorted(tags)]
    return {"runs": listed, "samples_kept": samples_kept, "experiment": experiment}


def manifest(run: Run) -> Header:
    """What the rows of a run are, and what was recorded of them."""
    return {
        "run": run.name,
        "version": run.version,
        "layers": [_plain(layer) | _nature(layer) for layer in run.layers],
        "parameters": [_plain(parameter) for parameter in run.parameters],
        "edges": run.manifest.edges,
        "options": run.manifest.options,
        "versions": run.manifest.versions,
        "not_observed": run.manifest.not_observed,
        "self_check": run.manifest.self_check,
        "statistics": run.statistics,
        "histograms": run.histogram_kinds,
        "units": run.has_units,
        "steps": {
            "first": int(run.steps[0]) if len(run.steps) else None,
            "last": int(run.steps[-1]) if len(run.steps) else None,
            "samples": len(run.steps),
            "skipped": run.steps[run.counters["skipped"] > 0].tolist(),
        },
        "gaps": run.gaps._asdict(),
        "schema": {"run": run.schema_version, "reader": schema.SCHEMA_VERSION},
        "measuring_seconds": run.total("measuring_seconds"),
        "training_seconds": run.total("training_seconds"),
    }


def diagnosis(run: Run) -> Header:
    """What is wrong with a run, where, since when and what to try, and all that was checked. May take seconds."""
    return examine(run).to_dict() | {"version": run.version}


def statistic(run: Run, name: str, since: int | None = None) -> tuple[Header, Arrays]:
    """One statistic, all rows, all sampled steps or those after ``since``; no steps of one that was not recorded.

    The page asks before it knows what there is, and a run without gradients is no mistake of anybody's.

    Raises:
        UnknownNameError: there is no such statistic.
    """
    if name in schema.STATISTICS and name not in run:
        rows = run.layers if schema.rows_of(name) == "layers" else run.parameters
        series = Series(np.zeros(0, dtype=np.int64), np.zeros((0, len(rows)), dtype=np.float32))
    else:
        series = run[name]
    start = 0 if since is None else int(np.searchsorted(series.steps, since, side="right"))
    header = {"run": run.name, "name": name, "version": run.version, "rows": schema.rows_of(name)}
    return header, {"steps": series.steps[start:].astype(np.float64), "values": series.values[start:]}


def scalars(run: Run, name: str | None = None, offered: Iterable[str] | None = None) -> tuple[Header, Arrays]:
    """Scalars that the training loop wrote itself, placed on our axis of steps.

    Args:
        run: the run.
        name: the one to give; without it those that tell most, a loss and a learning rate.
        offered: the names to list, all if not given.

    Raises:
        UnknownNameError: there is no scalar ``name``.
    """
    found = run.scalars
    if name is not None and name not in found:
        raise unknown("scalar", name, found, f"run {quoted(run.name)}")
    names = list(found if offered is None else offered)
    shown = [key for key in found.telling if key in names] if name is None else [name]
    placed = {key: place(found[key], run.timeline) for key in shown}
    header = {
        "run": run.name,
        "version": run.version,
        "scalars": [{"name": key, "kind": kind_of(key)} for key in names],
        "shown": [{"name": key, "by": series.by, "count": len(series.at)} for key, series in placed.items()],
    }
    return header, {
        column: np.concatenate([np.zeros(0), *(getattr(series, column) for series in placed.values())])
        for column in ("steps", "at", "values")
    }


def dead(run: Run) -> tuple[Header, Arrays]:
    """What is dead now, since when, and how it went, for every layer. Without units recorded there are no steps."""
    closed, lives = lifelines.of_run(run)
    steps, window = closed.astype(np.float64), lifelines.window(run.layers)
    rows = len(run.layers)
    first_ran = steps[np.argmax(lives.observations > 0, axis=0)] if len(steps) else np.zeros(rows)
    onset = np.where(lives.last_fired < 0, first_ran[lives.row], np.append(steps, np.nan)[lives.last_fired])
    first_dead = np.full(rows, np.inf)
    np.minimum.at(first_dead, lives.row[lives.dead], onset[lives.dead])

    def count(which: NDArray[np.bool_]) -> NDArray[np.uint32]:
        return np.bincount(lives.row[which], minlength=rows).astype(np.uint32)

    return {"run": run.name, "version": run.version, "window_observations": lifelines.MIN_OBSERVATIONS}, {
        "steps": steps,
        "units": lives.units.astype(np.uint32),
        "dead": count(lives.dead),
        "first_dead": np.where(np.isinf(first_dead), np.nan, first_dead),
        "born_dead": count(lives.dead & (lives.last_fired < 0)),
        "dormant": count(lives.low & ~lives.dead),
        "observations": lives.observations.sum(axis=0),
        "window": window,
        "silent": lives.silent,
    }


def units(run: Run, layer: str) -> tuple[Header, Arrays]:
    """Life lines of one layer's units.

    Raises:
        UnknownNameError: no such layer.
    """
    names = [row.name for row in run.layers]
    if layer not in names:
        raise unknown("layer", layer, names, f"run {quoted(run.name)}")
    row = names.index(layer)
    found = list(run.units_of(row))
    steps, records = np.array([step for step, _ in found], dtype=np.float64), [record for _, record in found]
    lives = lifelines.of_layer(records, run.layers[row])
    shape = (len(records), len(lives.row))
    firing, magnitude = np.zeros((2, *shape), dtype=np.uint8)
    for r, record in enumerate(records):
        if lives.observations[r, 0]:
            firing[r], magnitude[r] = record.firing, record.magnitude
    header = {
        "run": run.name,
        "layer": layer,
        "version": run.version,
        "window_observations": int(lifelines.window(run.layers[row : row + 1])[0]),
        "firing_levels": packing.FIRING_LEVELS.tolist(),
        "magnitude_levels": packing.MAGNITUDE_LEVELS.tolist(),
    }
    return header, {
        "steps": steps,
        "observations": lives.observations[:, 0],
        "scale": np.array([record.scale[0] for record in records], dtype=np.float32),
        "firing": firing,
        "magnitude": magnitude,
        "last_fired": np.append(steps, np.nan)[lives.last_fired],
        "dead": lives.dead.astype(np.uint8),
    }


def histograms_of_row(run: Run, kind: str, row: str, most: int | None = None) -> tuple[Header, Arrays]:
    """Histograms of one layer or parameter over all steps they were recorded on.

    Args:
        run: where from.
        kind: of `schema.HISTOGRAMS`.
        row: name of the layer or parameter.
        most: about how many records to give at most, one more at the end: then every second, fourth, eighth … from
            the first on, and the last. Few are there at once where hundreds have to be read for the first time.

    Raises:
        UnknownNameError: no such kind in this run, or no such row.
    """
    records = run.histograms(kind)
    names = [entry.name for entry in (run.layers if schema.rows_of(kind) == "layers" else run.parameters)]
    if row not in names:
        noun = schema.rows_of(kind).removesuffix("s")
        raise unknown(noun, row, names, f"run {quoted(run.name)}")
    index = names.index(row)
    if most is not None:
        stride = 1
        while len(records) > stride * most:
            stride *= 2
        records = records.every(stride)
    found = list(records)
    spans = [slice(record.starts[index], record.starts[index + 1]) for _, record in found]
    starts = np.cumsum([0, *(span.stop - span.start for span in spans)])
    bins = [record.bins[span] for (_, record), span in zip(found, spans, strict=True)]
    counts = [record.counts[span] for (_, record), span in zip(found, spans, strict=True)]
    header = {"run": run.name, "kind": kind, "row": row, "version": run.version}
    return header, _histograms(
        [step for step, _ in found], starts, np.concatenate([*bins, []]), np.concatenate([*counts, []])
    )


def histograms_at_step(run: Run, kind: str, step: int | None = None) -> tuple[Header, Arrays]:
    """Histograms of all layers or parameters in the last readable record at or before a step.

    Args:
        run: where from.
        kind: of `schema.HISTOGRAMS`.
        step: ``None``: the newest record; before the first record: that one.

    Raises:
        UnknownNameError: no such kind in this run.
    """
    records = run.histograms(kind)
    end = len(records) if step is None else int(np.searchsorted(records.steps, step, side="right"))
    found = records.last(max(end, min(1, len(records))))
    header = {"run": run.name, "kind": kind, "rows": schema.rows_of(kind), "version": run.version}
    if found is None:
        return header, _histograms([], np.zeros(1), np.zeros(0), np.zeros(0))
    at, record = found
    return header, _histograms([at], record.starts, record.bins, record.counts)


def _histograms(steps: list[int], starts: NDArray[Any], bins: NDArray[Any], counts: NDArray[Any]) -> Arrays:
    """The i-th histogram has ``counts[starts[i]:starts[i + 1]]`` in ``bins[…]``."""
    return {
        "steps": np.array(steps, dtype=np.float64),
        "starts": starts.astype(np.uint32),
        "bins": bins.astype(np.uint16),
        "counts": counts.astype(np.uint32),
    }


def _plain(row: Layer | Parameter) -> Header:
    # dataclasses.asdict copies deeply, which for 1,000 layers takes longer than all the rest.
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _nature(layer: Layer) -> dict[str, bool]:
    """What the page must know of the row's activation function."""
    activation = ACTIVATIONS.get(layer.function or "")
    if activation is None:
        return {"reaches_zero": False, "bounded": False}
    bounded = activation.low is not None or activation.high is not None
    return {"reaches_zero": activation.reaches_zero, "bounded": bounded}
