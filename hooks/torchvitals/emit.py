"""One frame, one event: the only room that knows a SummaryWriter."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import (
    DATA_CLASS_BLOB_SEQUENCE,
    DATA_CLASS_TENSOR,
    Summary,
    SummaryMetadata,
)
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING

from torchvitals import checksum
from torchvitals_tb import packing, schema

MIRRORED_LAYERS = 64
"""Models of at most this many layers also get stock histograms, when mirroring is automatic."""
_PATIENCE = 5.0  # seconds for a thread of tensorboardX to write what it has
_NEAR = 1 << 24  # bytes behind our last event: others may have written since


@dataclass
class Frame:
    """All there is to write of one sampled step."""

    step: int
    manifest: str | None
    """JSON, on the first frame and whenever it changed."""
    statistics: Mapping[str, NDArray[np.float32]]
    run: NDArray[np.float64]
    histograms: dict[str, packing.Histograms] = field(default_factory=dict)
    """By kind."""
    units: bytes | None = None
    scalars: Mapping[str, float] = field(default_factory=dict)
    """Global numbers for TensorBoard's own scalars tab."""


class Emitter:
    """Writes frames through the user's own writer.

    Args:
        writer: a ``SummaryWriter`` of PyTorch or of tensorboardX, or the path of a run directory.
        mirror: whether stock histograms and scalars are written too.

    Raises:
        TypeError: not a writer.
    """

    def __init__(self, writer: Any, *, mirror: bool | str) -> None:
        self._owned = isinstance(writer, str | os.PathLike)
        self._writer = _open(writer) if self._owned else _checked(writer)
        self._mirror = mirror
        self._pid = os.getpid()
        self._foreign = type(self._writer).__module__.startswith("tensorboardX")
        self._segments: dict[str, tuple[int, int]] = {}
        self._described: set[str] = set()
        """Tags whose metadata are written."""
        flush = self._writer.flush
        self._flush = flush.method if type(flush) is _First else flush
        self._waiting: list[tuple[_First, Callable[[], None]]] = []
        self._last: bytes | None = None
        """What tensorboardX was given last, and may not have written yet."""
        self._patience = _PATIENCE
        self._slow_down = checksum.speed_up(self._writer)

    def write(self, frame: Frame, layers: tuple[schema.Layer, ...], parameters: tuple[schema.Parameter, ...]) -> None:
        """Writes one event.

        Raises:
            RuntimeError: as `check`.
        """
        self.check()
        self._add(self._summary(frame, layers, parameters), frame.step)

    def check(self) -> None:
        """Whether there is a writer to write with.

        Raises:
            RuntimeError: the writer was closed, or this is a forked process, where its thread does not run.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("the process was forked after attach_hooks; a child writes nothing")
        if getattr(self._writer, "all_writers", self) is None:
            raise RuntimeError("the SummaryWriter was closed; the remaining steps are not recorded")

    def before_flush(self, call: Callable[[], None]) -> None:
        """Has something called before the user's writer is flushed or closed, until this one is closed."""
        if self._owned:
            return
        for name in ("flush", "close"):
            with contextlib.suppress(AttributeError):  # it takes none, so it is the user who must call `Vitals.flush`
                first = getattr(self._writer, name)
                if type(first) is not _First:
                    first = _First(self._writer, name)
                first.calls.append(call)
                self._waiting.append((first, call))

    @property
    def directory(self) -> str:
        """Where the writer writes to."""
        return str(self._writer._get_file_writer().get_logdir())

    def flush(self) -> None:
        if os.getpid() == self._pid and getattr(self._writer, "all_writers", self) is not None:
            self._flush()
            self._arrive()

    def _arrive(self) -> None:
        """Waits until the last event is in the file: tensorboardX's own ``flush`` does not wait for its thread."""
        last = self._last
        if last is None or not (folder := Path(self.directory)).is_dir():  # it may write to another machine
            return
        end, self._last = time.monotonic() + self._patience, None
        while not any(_holds(path, last) for path in folder.glob("*tfevents*")):
            if time.monotonic() > end:
                self._patience = 0.0  # it writes something else, or nothing: once is enough
                return
            time.sleep(0.002)
            self._flush()

    def forget(self) -> None:
        """Leaves the writer as it was found. A method that somebody has wrapped since stays, and does nothing more."""
        self._slow_down()
        while self._waiting:
            first, call = self._waiting.pop()
            first.leave_out(call)

    def close(self) -> None:
        """Leaves the writer alone, and closes it if it was made here, from a path."""
        self.forget()
        if self._owned and os.getpid() == self._pid:
            self._writer.close()

    def _summary(self, frame: Frame, layers: Any, parameters: Any) -> bytes:
        values = []
        if frame.manifest is not None:
            text = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto())
            text.string_val.append(frame.manifest.encode())
            values.append(self._value(schema.MANIFEST_TAG, text, DATA_CLASS_TENSOR))
        for name, vector in frame.statistics.items():
            values.append(self._value(schema.tag_of(name), tensor_proto(vector), DATA_CLASS_TENSOR))
        for kind, counts in frame.histograms.items():
            blob = _blob(packing.encode_histograms(counts))
            values.append(self._value(schema.histogram_tag(kind), blob, DATA_CLASS_BLOB_SEQUENCE))
        if frame.units is not None:
            values.append(self._value(schema.UNITS_TAG, _blob(frame.units), DATA_CLASS_BLOB_SEQUENCE))
        # Last of ours: a reader that sees the counter sees all that it counts.
        values.append(self._value(schema.RUN_TAG, tensor_proto(frame.run), DATA_CLASS_TENSOR))
        if self._mirror is not False:
            values += [Summary.Value(tag=tag, simple_value=number) for tag, number in frame.scalars.items()]
        data: bytes = Summary(value=values).SerializeToString()
        if self._mirror is True or (self._mirror == "auto" and len(layers) <= MIRRORED_LAYERS):
            for kind, histograms in frame.histograms.items():
                rows = layers if schema.rows_of(kind) == "layers" else parameters
                data += _stock_histograms(kind, [row.name for row in rows], histograms)
        return data

    def _value(self, tag: str, tensor: TensorProto, data_class: Any) -> Any:
        number, written = self._segments.get(tag, (0, 0))
        written += tensor.ByteSize()
        if written > schema.SEGMENT_BYTES:
            number, written = number + 1, tensor.ByteSize()
        self._segments[tag] = (number, written)
        value = Summary.Value(tag=f"{tag}@{number}" if number else tag, tensor=tensor)
        if value.tag not in self._described:  # TensorBoard, and our reader, go by the first of a tag
            self._described.add(value.tag)
            content = SummaryMetadata.PluginData(plugin_name=schema.PLUGIN_NAME, content=schema.PLUGIN_CONTENT)
            value.metadata.CopyFrom(SummaryMetadata(plugin_data=content, data_class=data_class))
        return value

    def _add(self, summary: bytes, step: int) -> None:
        event: Any = Event()
        if self._foreign:  # tensorboardX has classes of its own for the same messages
            from tensorboardX.proto import event_pb2

            event = event_pb2.Event()
        event.summary.MergeFromString(summary)
        self._writer._get_file_writer().add_event(event, step, time.time())
        if self._foreign:
            self._last = event.SerializeToString()


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file has some bytes near its end."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - len(data) - _NEAR))
        return data in file.read()


class _First:
    """In the place of a writer's method: makes a call for every model recorded there, then what the method does."""

    def __init__(self, writer: Any, name: str) -> None:
        self.method = getattr(writer, name)
        functools.update_wrapper(self, self.method)
        self.calls: list[Callable[[], None]] = []
        self._writer, self._name = writer, name
        self._before = vars(writer).get(name) if hasattr(writer, "__dict__") else None
        setattr(writer, name, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for call in list(self.calls):
            call()
        return self.method(*args, **kwargs)

    def leave_out(self, call: Callable[[], None]) -> None:
        """The last one puts back what was there, unless somebody has wrapped this since."""
        self.calls.remove(call)
        if not self.calls and vars(self._writer).get(self._name) is self:
            if self._before is None:
                delattr(self._writer, self._name)
            else:
                setattr(self._writer, self._name, self._before)


def tensor_proto(array: NDArray[Any]) -> TensorProto:
    """A float32 or float64 array as a tensor; NaN and infinities survive."""
    proto = TensorProto.FromString(_head(DT_FLOAT if array.dtype == np.float32 else DT_DOUBLE, array.shape))
    proto.tensor_content = array.tobytes()
    return proto


def _blob(data: bytes) -> TensorProto:
    proto = TensorProto.FromString(_head(DT_STRING, (1,)))  # TensorBoard takes a blob sequence of rank 1 only
    proto.string_val.append(data)
    return proto


@functools.lru_cache(2 * packing.BINS)
def _head(dtype: Any, shape: tuple[int, ...]) -> bytes:
    """What is the same every time is parsed from bytes: to set it field by field takes three times as long."""
    dims = TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in shape])
    data: bytes = TensorProto(dtype=dtype, tensor_shape=dims).SerializeToString()
    return data


def _stock_histograms(kind: str, names: list[str], histograms: packing.Histograms) -> bytes:
    """TensorBoard's own histograms, one a row: left edge, right edge, count, ascending; without what is not finite.

    Put together from bytes, most of which are the same every time: messages are copied twice on their way to the file.

    Returns:
        A ``Summary`` that has them as values.
    """
    row = np.repeat(np.arange(histograms.rows), np.diff(histograms.starts))
    rank = _RANK[histograms.bins]
    order = np.argsort(row * (packing.BINS + 1) + rank, kind="stable")
    order = order[rank[order] < packing.BINS]
    table = np.empty((len(order), 3), dtype=np.float32)
    table[:, :2] = _EDGES[histograms.bins[order]]
    table[:, 2] = histograms.counts[order]
    data, wide = table.tobytes(), table.strides[0]
    starts = np.searchsorted(row[order], np.arange(histograms.rows + 1)).tolist()
    parts: list[bytes] = []
    for name, (a, b) in zip(names, pairwise(starts), strict=False):
        if b > a:
            content = data[a * wide : b * wide]
            head, shape = _stock_head(f"vitals/{kind}/{name}"), _head(DT_FLOAT, (b - a, 3))
            tensor_start = _CONTENT + _varint(len(content))
            tensor_size = len(shape) + len(tensor_start) + len(content)
            value_start = _TENSOR + _varint(tensor_size)
            value_size = len(head) + len(value_start) + tensor_size
            parts += (_VALUE, _varint(value_size), head, value_start, shape, tensor_start, content)
    return b"".join(parts)


@functools.lru_cache(1 << 14)
def _stock_head(tag: str) -> bytes:
    content = SummaryMetadata.PluginData(plugin_name="histograms")
    metadata = SummaryMetadata(plugin_data=content, data_class=DATA_CLASS_TENSOR)
    data: bytes = Summary.Value(tag=tag, metadata=metadata).SerializeToString()
    return data


def _key(message: Any, name: str) -> bytes:
    """What stands before a field that has a length (https://protobuf.dev/programming-guides/encoding)."""
    return _varint(message.DESCRIPTOR.fields_by_name[name].number << 3 | 2)


@functools.lru_cache(1 << 14)
def _varint(number: int) -> bytes:
    groups = [number & 127]
    while number := number >> 7:
        groups[-1] |= 128
        groups.append(number & 127)
    return bytes(groups)


_VALUE, _TENSOR, _CONTENT = _key(Summary, "value"), _key(Summary.Value, "tensor"), _key(TensorProto, "tensor_content")


def _ascending() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """[1024, 2] edges of the bins, and [1024] their place from the lowest upwards; 1024 where one is not finite."""
    limits = packing.bin_limits()
    finite = np.flatnonzero(np.isfinite(limits).all(axis=1))
    rank = np.full(packing.BINS, packing.BINS)
    rank[finite[np.argsort(limits[finite].mean(axis=1, dtype=np.float64), kind="stable")]] = np.arange(len(finite))
    return np.sort(limits, axis=1), rank


_EDGES, _RANK = _ascending()


def _open(path: Any) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    if not str(path):
        raise ValueError("writer='': give a SummaryWriter or the path of a run directory such as 'runs/exp1'")
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"writer={str(path)!r}: cannot write a run there ({error})") from error
    return SummaryWriter(str(path))


def _checked(writer: Any) -> Any:
    wanted = "give a SummaryWriter (of torch.utils.tensorboard or tensorboardX) or the path of a run directory"
    if isinstance(writer, type):
        raise TypeError(f"writer is the class {writer.__name__}, not an instance: write {writer.__name__}('runs/exp1')")
    if not callable(getattr(writer, "_get_file_writer", None)):
        if hasattr(writer, "experiment"):
            raise TypeError(f"writer is a {type(writer).__name__}: give its SummaryWriter, usually .experiment")
        raise TypeError(f"writer is a {type(writer).__name__}: {wanted}")
    if getattr(writer, "all_writers", writer) is None:
        raise ValueError("the SummaryWriter is closed; make a new one")
    return writer
