"""What the page asks for: one pure function per view, called by the routes, the tests and the command line alike.

Each gives the header and the arrays of an answer, as ``http_api.md`` describes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb import lifelines, packing, schema
from torchvitals_tb.diagnosis import examine
from torchvitals_tb.errors import quoted, unknown
from torchvitals_tb.packing import Units
from torchvitals_tb.reader import Run
from torchvitals_tb.schema import ACTIVATIONS, Layer, Parameter
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
    """One statistic, all rows, all sampled steps or those after ``since``.

    Raises:
        UnknownNameError: not recorded.
    """
    series = run[name]
    start = 0 if since is None else int(np.searchsorted(series.steps, since, side="right"))
    header = {"run": run.name, "name": name, "version": run.version, "rows": schema.rows_of(name)}
    return header, {"steps": series.steps[start:].astype(np.float64), "values": series.values[start:]}


def dead(run: Run) -> tuple[Header, Arrays]:
    """What is dead now, since when, and how it went, for every layer. Without units recorded there are no steps."""
    steps, records = _unit_records(run)
    window = lifelines.window(run.layers)
    lives = lifelines.follow(records, window)
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
    steps, records = _unit_records(run)
    records = [lifelines.only(record, row) for record in records]
    window = lifelines.window(run.layers[row : row + 1])
    lives = lifelines.follow(records, window)
    shape = (len(records), len(lives.row))
    firing, magnitude = np.zeros((2, *shape), dtype=np.uint8)
    for r, record in enumerate(records):
        if lives.observations[r, 0]:
            firing[r], magnitude[r] = record.firing, record.magnitude
    header = {
        "run": run.name,
        "layer": layer,
        "version": run.version,
        "window_observations": int(window[0]),
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


def _unit_records(run: Run) -> tuple[NDArray[np.float64], list[Units]]:
    records = list(run.units)
    return np.array([step for step, _ in records], dtype=np.float64), [record for _, record in records]


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
