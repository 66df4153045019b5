"""Runs that no training of the demo gives: of one layer, of one step, without gradients, all NaN, broken, newer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary

from tests import synthetic
from tests.synthetic import EventFile
from torchvitals_tb import schema

ODD_NAMES = (
    "<img src=x onerror=alert(1)>",
    "</script><b>bold</b>",
    "ü" * 300,
    "very_long." * 30 + "end",
    "層.注意力",
    "a&amp;b/relu@3",
    "\N{RIGHT-TO-LEFT OVERRIDE}reversed",
)
KEPT = 20
"""Samples of a tag that this TensorBoard keeps: ``--samples_per_plugin torchvitals=20``."""
STEPS = {
    "dropped": 99,
    "newer": 11,
    "no-gradients": 11,
    "forward-only": 11,
    "odd-names": 11,
    "one-layer": 11,
    "one-step": 0,
    "all-nan": 11,
    "broken-file": 4,
    "broken-records": 11,
}
"""Last step of each run."""


def write_odd_runs(logdir: Path) -> None:
    manifest = synthetic.model(6, 8)
    _write(logdir / "dropped", manifest, 100)
    _write(logdir / "newer", manifest, 12, content=b'{"v":99}', unknown=True)
    _write(logdir / "no-gradients", manifest, 12, keep=lambda name: name.startswith("activation/"), histograms=False)
    _write(logdir / "forward-only", manifest, 12, unmeasured=lambda name: "grad" in name or "update" in name)
    layers = tuple(
        dataclasses.replace(manifest.layers[0], name=name, type="<i>Odd</i>", parent="") for name in ODD_NAMES
    )
    _write(logdir / "odd-names", schema.Manifest(layers, edges=((0, 1), (1, 2))), 12)
    one = dataclasses.replace(manifest, layers=manifest.layers[:1], parameters=(), edges=())
    _write(logdir / "one-layer", one, 12)
    _write(logdir / "one-step", manifest, 1)
    _write(logdir / "all-nan", manifest, 12, nan=True)
    path = _write(logdir / "broken-file", manifest, 12)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.52)] + b"\xff" * 200)
    _write(logdir / "broken-records", manifest, 12, garbage=True)
    (logdir / "no-event-file").mkdir()
    (logdir / "no-event-file" / "events.out.tfevents.1.host").write_bytes(b"not an event file")


def _write(
    folder: Path,
    manifest: schema.Manifest,
    steps: int,
    *,
    keep: Any = lambda name: True,
    content: bytes = schema.PLUGIN_CONTENT,
    unknown: bool = False,
    nan: bool = False,
    unmeasured: Any = lambda name: False,
    garbage: bool = False,
    histograms: bool = True,
) -> Path:
    rng = np.random.default_rng(0)
    values = synthetic.statistics(manifest, steps, "healthy", rng)
    lives = synthetic._Lives(manifest, "healthy", rng)
    for name, series in values.items():
        if nan:
            series[:] = 1 if name.endswith("nonfinite_fraction") else np.nan
        elif unmeasured(name):
            series[:] = np.nan
    with EventFile(folder) as file:
        for step in range(steps):
            event: dict[str, Any] = {schema.MANIFEST_TAG: manifest.to_json()} if step == 0 else {}
            event |= {schema.tag_of(name): series[step] for name, series in values.items() if keep(name)}
            if histograms and step % 5 == 0:
                for kind in schema.HISTOGRAMS:
                    event[schema.histogram_tag(kind)] = synthetic._histograms(manifest, kind, values, step)
                event[schema.UNITS_TAG] = lives.record(step / steps)
            if garbage and step in (3, 5):
                event[schema.UNITS_TAG] = b"\x01\x02garbage"
                event[schema.tag_of("gradient/rms")] = np.ones((2, 2), dtype=np.float32)
            if unknown:
                event["torchvitals/aura/brightness"] = np.ones(3, dtype=np.float32)
            event[schema.RUN_TAG] = np.array([step + 1.0, step, 0.1, 1.0])
            file.write(step, {tag: _stamped(tag, value, content) for tag, value in event.items()})
    return file.path


def _stamped(tag: str, value: Any, content: bytes) -> Summary.Value:
    made = synthetic._value(tag, value)
    made.metadata.plugin_data.content = content
    return made
