"""Scalars that a training loop writes itself, from the bytes of event files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from mmap import mmap
from typing import Any, Final

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.util.tensor_util import make_ndarray

from torchvitals_tb.eventfile import payloads
from torchvitals_tb.sources import Scalar

_PLUGIN: Final = "scalars"


def read_scalars(files: Iterable[bytes | mmap]) -> dict[str, Scalar]:
    """Every scalar of some event files, by tag, its records in the order of their arrival.

    Both forms are read: ``simple_value``, and a tensor of one number under TensorBoard's plugin ``scalars``.
    """
    plugins: dict[str, str] = {}
    records: dict[str, list[tuple[int, float, float]]] = {}
    for event in _events(files):
        for value in event.summary.value:
            # The first word on a tag counts, as in TensorBoard.
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            number = _number(value, plugin)
            if number is not None:
                records.setdefault(value.tag, []).append((event.step, event.wall_time, number))
    return {tag: _scalar(rows) for tag, rows in records.items()}


def _events(files: Iterable[bytes | mmap]) -> Iterator[Any]:
    for data in files:
        for payload in payloads(data):
            with suppress(Exception):  # protobuf's DecodeError is an Exception of its own in every implementation
                yield Event.FromString(payload)


def _number(value: Any, plugin: str) -> float | None:
    kind = value.WhichOneof("value")
    if kind == "simple_value" and plugin in ("", _PLUGIN):
        return float(value.simple_value)
    if kind != "tensor" or plugin != _PLUGIN:
        return None
    if math.prod(dim.size for dim in value.tensor.tensor_shape.dim) != 1:  # a few bytes may claim any size
        return None
    with suppress(Exception):  # a broken record raises what it likes: KeyError for a dtype that there is not
        return float(np.asarray(make_ndarray(value.tensor), dtype=np.float64).reshape(-1)[0])
    return None


def _scalar(rows: list[tuple[int, float, float]]) -> Scalar:
    steps, walls, values = zip(*rows, strict=True)
    return Scalar(np.array(steps, dtype=np.int64), np.array(walls), np.array(values))
