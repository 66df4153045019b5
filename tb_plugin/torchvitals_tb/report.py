"""One HTML file with the page and the data of some runs inside: ``torchvitals report LOGDIR -o report.html``.

The file holds the answers that the routes of ``http_api.md`` would give, each compressed on its own, and a script that
hands them to the page in place of a server (`report_page`). What does not fit is left out as a whole, never thinned
out, and the file says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from tensorboard.backend import json_util

from torchvitals_tb import query, schema
from torchvitals_tb.choice import Choice, Skipped, choose
from torchvitals_tb.errors import TorchvitalsError, listing, quoted
from torchvitals_tb.packing import pack
from torchvitals_tb.reader import Run
from torchvitals_tb.report_page import Answer, assemble
from torchvitals_tb.words import counted

LIMIT: Final = 64 << 20
"""Bytes of data in one file; browsers take more, mail and issue trackers do not."""

# What tells most comes first; then the life lines of the units, then all other statistics, then the histograms.
_FIRST: Final = (
    "gradient/rms",
    "gradient/nonfinite_fraction",
    "activation/rms",
    "activation/nonfinite_fraction",
    "parameter/update_ratio",
    "parameter/grad_rms",
    "parameter/grad_nonfinite_fraction",
    "activation/zero_fraction",
)

_KINDS: Final[tuple[str, ...]] = (
    "gradient",
    "activation",
    "weight_gradient",
    "weight",
)  # of histograms, in the same order


class Report(NamedTuple):
    """What was written."""

    path: Path
    size: int
    runs: tuple[str, ...]
    left_out: tuple[str, ...]
    """What did not fit, in sentences."""
    skipped: tuple[Skipped, ...]
    """Runs that could not be read."""


def write_report(
    logdir: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    run: str | None = None,
    limit: int = LIMIT,
) -> Report:
    """Writes a report that opens in a browser, without TensorBoard and without a network.

    Args:
        logdir: directory of a run, or one that holds runs, or an event file.
        path: the HTML file; one that is there is written over.
        run: only runs of this name, or whose name matches this shell pattern.
        limit: bytes of data in it, about. Several runs share them evenly. Manifests and diagnoses are always in it.

    Raises:
        TorchvitalsError: no run can be read, or the file cannot be written.
    """
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():  # found out before the work, not after
        raise TorchvitalsError(f"cannot write {quoted(str(path))}: it is not a file in a directory that exists")
    choice = choose(logdir, run)
    answers: list[Answer] = []
    entries: list[query.Header] = []
    left_out: list[str] = []
    for name, embedded in _embedded(choice, limit):
        answers += embedded.answers
        entries.append(embedded.entry)
        left_out += [f"run {quoted(name)}: {what}" for what in embedded.left_out]
    if not entries:
        raise TorchvitalsError("; ".join(map(str, choice.skipped)))
    answers.insert(0, _json("runs", {}, {"runs": entries, "samples_kept": 0, "experiment": ""}))
    names = tuple(entry["name"] for entry in entries)
    page = assemble(answers, title=f"torchvitals: {listing(list(names), most=3)}", left_out=left_out)
    try:
        path.write_bytes(page)
    except OSError as error:
        raise TorchvitalsError(f"cannot write {quoted(str(path))}: {error.strerror}") from error
    return Report(path, len(page), names, tuple(left_out), tuple(choice.skipped))


class _Embedded(NamedTuple):
    """One run in the report."""

    entry: query.Header
    """In the answer of the route ``runs``."""
    answers: list[Answer]
    left_out: list[str]


def _embedded(choice: Choice, limit: int) -> Iterator[tuple[str, _Embedded]]:
    """One run after the other, so that no more than one is in memory; what one does not need the next ones have."""
    used, waiting = 0, len(choice.runs)

    def embed(run: Run) -> _Embedded:
        nonlocal used, waiting
        share = (limit - used) // waiting
        waiting -= 1  # also when this one cannot be read
        embedded = _embed(run, share)
        used += sum(len(answer.data) for answer in embedded.answers)
        return embedded

    yield from choice.each(embed)


def _embed(run: Run, budget: int) -> _Embedded:
    header = query.manifest(run)
    answers: list[Answer] = []
    left_out = []
    try:
        answers.append(_json("diagnosis", {"run": run.name}, query.diagnosis(run)))
    except Exception as error:  # the pictures are worth having without it
        left_out.append(f"diagnosis, which failed ({type(error).__name__}: {error})")
    room = _Room(budget, answers)
    dead, lives = query.dead(run)
    room.add("dead", {"run": run.name}, lambda: pack(dead, lives))
    first = [name for name in _FIRST if name in run]
    lost = _statistics(run, first, room)
    scalars = [name for name in run.scalars if room.add("scalars", {"run": run.name, "name": name}, _scalar(run, name))]
    # The page offers what this names; of what did not fit it names nothing.
    listed = pack(*query.scalars(run, offered=scalars))
    answers.append(Answer.of("scalars", {"run": run.name}, listed, "application/octet-stream"))
    # Of the layer with most dead units first: the page opens that one.
    worst = np.argsort(-(lives["dead"] / np.maximum(lives["units"], 1)), kind="stable").tolist()
    units = [run.layers[row].name for row in worst if run.layers[row].units and run.has_units]
    layers = [name for name in units if not room.add("units", {"run": run.name, "layer": name}, _units(run, name))]
    lost += _statistics(run, [name for name in run.statistics if name not in first], room)
    kinds, few = _histograms(run, room)
    # The page offers what the manifest names.
    header["statistics"] = [name for name in run.statistics if name not in lost]
    header["histograms"] = [kind for kind in run.histogram_kinds if kind in kinds]
    answers.append(_json("manifest", {"run": run.name}, header))
    if lost:
        left_out.append(listing(lost, most=4))
    if len(scalars) < len(run.scalars):
        left_out.append(counted(len(run.scalars) - len(scalars), "scalar"))
    if layers:
        left_out.append(f"life lines of the units of {counted(len(layers), 'layer')}")
    left_out += few
    last = header["steps"]["last"]
    return _Embedded({"name": run.name, "version": run.version, "last_step": last or 0}, answers, left_out)


def _statistics(run: Run, names: list[str], room: _Room) -> list[str]:
    """Adds statistics; gives the names of those that do not fit."""
    return [name for name in names if not room.add("statistic", {"run": run.name, "name": name}, _series(run, name))]


def _series(run: Run, name: str) -> Callable[[], bytes]:
    return lambda: pack(*query.statistic(run, name))


def _scalar(run: Run, name: str) -> Callable[[], bytes]:
    return lambda: pack(*query.scalars(run, name))


def _units(run: Run, layer: str) -> Callable[[], bytes]:
    return lambda: pack(*query.units(run, layer))


def _histograms(run: Run, room: _Room) -> tuple[list[str], list[str]]:
    """Adds histograms; gives the kinds that can be shown, and in sentences what does not fit."""

    def add(kind: str, make: Callable[[], tuple[query.Header, query.Arrays]], **which: str) -> bool:
        return room.add("histograms", {"run": run.name, "kind": kind} | which, lambda: pack(*make()))

    # The newest record is what the picture of a kind starts from.
    recorded = [kind for kind in _KINDS if kind in run.histogram_kinds]
    kinds = [kind for kind in recorded if add(kind, partial(query.histograms_at_step, run, kind))]
    rows = records = 0
    for kind in kinds:
        for row in run.layers if schema.rows_of(kind) == "layers" else run.parameters:
            rows += not add(kind, partial(query.histograms_of_row, run, kind, row.name), row=row.name)
    for kind in kinds:
        for step in run.histograms(kind).steps[::-1].tolist():
            records += not add(kind, partial(query.histograms_at_step, run, kind, step), step=str(step))
    few = [f"histograms of {listing([kind for kind in recorded if kind not in kinds])}"] if kinds != recorded else []
    if rows:
        few.append(f"histograms over steps of {counted(rows, 'row')}")
    if records:
        few.append(f"histograms over depth of {counted(records, 'record')}")
    return kinds, few


class _Room:
    """What is left of the budget."""

    def __init__(self, budget: int, answers: list[Answer]) -> None:
        self._left, self._full, self._answers = budget, budget // 100, answers

    def add(self, route: str, parameters: dict[str, str], make: Callable[[], bytes]) -> bool:
        """Adds an answer if it fits."""
        if self._left <= self._full:  # not even looked at: compressing all of a large run takes minutes
            return False
        answer = Answer.of(route, parameters, make(), "application/octet-stream")
        if len(answer.data) > self._left:
            return False
        self._left -= len(answer.data)
        self._answers.append(answer)
        return True


def _json(route: str, parameters: dict[str, str], payload: Any) -> Answer:
    try:
        text = json.dumps(payload, allow_nan=False)
    except ValueError:  # an option that is not finite
        text = json.dumps(json_util.Cleanse(payload))
    return Answer.of(route, parameters, text.encode(), "application/json")
