"""One frame, one event: the only room that knows a SummaryWriter."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import (
    DATA_CLASS_BLOB_SEQUENCE,
    DATA_CLASS_TENSOR,
    Summary,
    SummaryMetadata,
)
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING

from torchvitals_tb import packing, schema

MIRRORED_LAYERS = 64
"""Models of at most this many layers also get stock histograms, when mirroring is automatic."""


@dataclass
class Frame:
    """All there is to write of one sampled step."""

    step: int
    manifest: str | None
    """JSON, on the first frame and whenever it changed."""
    statistics: Mapping[str, NDArray[np.float32]]
    run: NDArray[np.float64]
    histograms: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """Kind -> counts [rows, 1024]."""
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

    def write(self, frame: Frame, layers: tuple[schema.Layer, ...], parameters: tuple[schema.Parameter, ...]) -> None:
        """Writes one event.

        Raises:
            RuntimeError: the writer was closed, or this is a forked process, where its thread does not run.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("the process was forked after attach_hooks; a child writes nothing")
        if getattr(self._writer, "all_writers", self) is None:
            raise RuntimeError("the SummaryWriter was closed; the remaining steps are not recorded")
        self._add(self._values(frame, layers, parameters), frame.step)

    @property
    def directory(self) -> str:
        """Where the writer writes to."""
        return str(self._writer._get_file_writer().get_logdir())

    def flush(self) -> None:
        if os.getpid() == self._pid and getattr(self._writer, "all_writers", self) is not None:
            self._writer.flush()

    def close(self) -> None:
        """Closes the writer if it was made here, from a path."""
        if self._owned and os.getpid() == self._pid:
            self._writer.close()

    def _values(self, frame: Frame, layers: Any, parameters: Any) -> list[Any]:
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
        if self._mirror is True or (self._mirror == "auto" and len(layers) <= MIRRORED_LAYERS):
            for kind, counts in frame.histograms.items():
                rows = layers if schema.rows_of(kind) == "layers" else parameters
                values += [
                    _stock_histogram(f"vitals/{kind}/{row.name}", counts[i])
                    for i, row in enumerate(rows[: len(counts)])
                    if counts[i].any()
                ]
        return values

    def _value(self, tag: str, tensor: TensorProto, data_class: Any) -> Any:
        number, written = self._segments.get(tag, (0, 0))
        written += tensor.ByteSize()
        if written > schema.SEGMENT_BYTES:
            number, written = number + 1, tensor.ByteSize()
        self._segments[tag] = (number, written)
        content = SummaryMetadata.PluginData(plugin_name=schema.PLUGIN_NAME, content=schema.PLUGIN_CONTENT)
        metadata = SummaryMetadata(plugin_data=content, data_class=data_class)
        return Summary.Value(tag=f"{tag}@{number}" if number else tag, tensor=tensor, metadata=metadata)

    def _add(self, values: list[Any], step: int) -> None:
        summary: Any = Summary(value=values)
        if self._foreign:  # tensorboardX has classes of its own for the same messages
            from tensorboardX.proto import summary_pb2

            summary = summary_pb2.Summary.FromString(summary.SerializeToString())
        self._writer._get_file_writer().add_summary(summary, step, time.time())


def tensor_proto(array: NDArray[Any]) -> TensorProto:
    """A float32 or float64 array as a tensor; NaN and infinities survive."""
    dtype = DT_FLOAT if array.dtype == np.float32 else DT_DOUBLE
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in array.shape])
    return TensorProto(dtype=dtype, tensor_shape=shape, tensor_content=np.ascontiguousarray(array).tobytes())


def _blob(data: bytes) -> TensorProto:
    # TensorBoard takes a blob sequence of rank 1 only.
    proto = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]))
    proto.string_val.append(data)
    return proto


def _stock_histogram(tag: str, counts: NDArray[Any]) -> Any:
    """TensorBoard's own histogram: rows of left edge, right edge, count, ascending. Leaves out what is not finite."""
    limits = packing.bin_limits()
    used = np.flatnonzero(counts)
    used = used[np.isfinite(limits[used]).all(axis=1)]
    used = used[np.argsort(limits[used, 0] / 2 + limits[used, 1] / 2, kind="stable")]
    edges = np.sort(limits[used], axis=1)
    table = np.column_stack([edges, counts[used]]).astype(np.float32)
    metadata = SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name="histograms"), data_class=DATA_CLASS_TENSOR
    )
    return Summary.Value(tag=tag, tensor=tensor_proto(table), metadata=metadata)


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
