"""The bytes of an event file: its frame of records, and where in them our tensors lie.

An event file is a row of records (uint64 length, masked CRC-32C of the length, payload, masked CRC-32C of the
payload), each payload an ``Event`` message. Only the outer messages are walked here, byte by byte, to find tag, step
and place of each tensor: a series is then read without touching the others. The payload's CRC is left unchecked:
it would cost more than all the rest, and a record that does not parse is found out anyway.

What is written on every step differs in its numbers alone. So a value, and a tensor, is parsed once and the bytes
around its numbers are remembered; where the same bytes come again they are compared, not parsed: a fifth of the time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_HALF, DT_STRING

from torchvitals_tb.schema import PREFIX

_PREFIX: Final = PREFIX.encode()
_DTYPES: Final[dict[int, str]] = {DT_FLOAT: "<f4", DT_DOUBLE: "<f8", DT_HALF: "<f2"}
_FIELDS: Final[dict[int, str]] = {DT_FLOAT: "float_val", DT_DOUBLE: "double_val"}


class Place(NamedTuple):
    """One stored value and where its ``TensorProto`` lies in the file."""

    step: int
    wall: float
    start: int
    stop: int


class Contents(NamedTuple):
    """What an event file holds of ours."""

    places: dict[str, list[Place]]
    """Tag -> records in file order."""
    metadata: dict[str, SummaryMetadata]
    """Tag -> what its first record says of it, if anything."""
    broken: int
    """Events that could not be parsed and were left out."""
    lost_at: int | None
    """Position from which on nothing could be read, for a broken frame; a record still being written is none."""


def scan(data: bytes | mmap) -> Contents:
    """Finds every record of ours. Cost: one search over what is not ours, a few microseconds per value that is."""
    found = Contents({}, {}, 0, None)
    broken, lost_at = 0, None
    sound: set[bytes] = set()
    frames: dict[bytes, _Frame] = {}
    at, size = 0, len(data)
    hit = data.find(_PREFIX)
    while hit >= 0 and at + 12 <= size:
        frame = data[at : at + 12]
        if frame not in sound:  # lengths repeat, so few need the slow check
            if _masked_crc(frame[:8]) != int.from_bytes(frame[8:], "little"):
                lost_at = at
                break
            sound.add(frame)
        start = at + 12
        stop = start + int.from_bytes(frame[:8], "little")
        if stop + 4 > size:
            break
        if hit < start:
            hit = data.find(_PREFIX, start)
        if start <= hit < stop:
            try:
                _add_event(found, frames, data, start, stop)
            except (ValueError, IndexError, struct.error):
                broken += 1
            hit = data.find(_PREFIX, stop)
        at = stop + 4
    return found._replace(broken=broken, lost_at=lost_at)


def payloads(data: bytes | mmap) -> Iterator[bytes]:
    """The payload of every record, ours or not, up to the first broken frame."""
    sound: set[bytes] = set()
    at, size = 0, len(data)
    while at + 12 <= size:
        frame = data[at : at + 12]
        if frame not in sound:
            if _masked_crc(frame[:8]) != int.from_bytes(frame[8:], "little"):
                return
            sound.add(frame)
        start = at + 12
        stop = start + int.from_bytes(frame[:8], "little")
        if stop + 4 > size:
            return
        yield data[start:stop]
        at = stop + 4


def decode_tensor(data: bytes) -> NDArray[Any] | list[bytes]:
    """A serialised ``TensorProto`` of floating-point numbers as an array, one of strings as a list.

    Raises:
        ValueError: another dtype, or sizes that do not add up.
    """
    try:
        proto = TensorProto.FromString(data)
    except Exception as error:  # protobuf's DecodeError is an Exception of its own in every implementation
        raise ValueError(f"not a tensor: {error}") from error
    kind = proto.dtype
    if kind == DT_STRING:
        return list(proto.string_val)
    if kind not in _DTYPES:
        raise ValueError(f"a tensor of type {kind}, expected floating-point numbers")
    content = proto.tensor_content
    if content:
        flat = np.frombuffer(content, dtype=_DTYPES[kind])
    else:
        flat = np.array(getattr(proto, _FIELDS.get(kind, ""), ()), dtype=_DTYPES[kind])
    shaped: NDArray[Any] = flat.reshape([dim.size for dim in proto.tensor_shape.dim])
    return shaped


def decode_tensors(
    spans: Iterable[tuple[bytes | mmap, int, int]],
) -> tuple[list[Any] | NDArray[Any], NDArray[np.bool_]]:
    """Many tensors of one tag.

    Args:
        spans: of each the data that hold it, and from where to where.

    Returns:
        What `decode_tensor` gives of each that is none of the broken ones: one array [T, width] of vectors that are all
        alike, else a list. And [T] which are broken.
    """
    spans = list(spans)
    values: list[Any] = []
    broken = np.zeros(len(spans), dtype=bool)
    head, size, flat = b"", -1, np.zeros(0, dtype=np.float32)
    alike = True
    for i, (data, start, stop) in enumerate(spans):
        if stop - start == size and data[start : start + len(head)] == head:
            values.append(np.frombuffer(data, flat.dtype, len(flat), start + len(head)))
            continue
        alike, size = not i, -1
        content = data[start:stop]
        try:
            value = decode_tensor(content)
        except ValueError:
            broken[i], alike = True, False
            continue
        values.append(value)
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.size and content.endswith(value.tobytes()):
            head, size, flat = content[: len(content) - value.nbytes], stop - start, value
    return (np.stack(values) if alike and size >= 0 else values), broken


class _Frame(NamedTuple):
    """The bytes of a value from after its tag, but for its tensor."""

    places: list[Place]
    """Of the values of this tag."""
    before: bytes
    size: int
    """Of the tensor."""
    after: bytes


def _add_event(found: Contents, frames: dict[bytes, _Frame], data: bytes | mmap, start: int, stop: int) -> None:
    wall, step, summary = 0.0, 0, (0, 0)
    for number, a, b in _fields(data, start, stop):
        if number == 1 and b - a == 8:
            (wall,) = struct.unpack_from("<d", data, a)
        elif number == 2 and b < 0:
            step = a - (1 << 64) if a >> 63 else a
        elif number == 5 and b >= 0:
            summary = (a, b)
    for number, a, b in _fields(data, *summary):
        if number != 1 or b < 0:
            continue
        at = a + 2 + data[a + 1] if b - a > 2 else b  # where the tag ends, if it comes first and is short
        key = data[a:at] + (b - a).to_bytes(8, "little")
        frame = frames.get(key)
        if frame is not None:
            tensor = at + len(frame.before)
            if data[at:tensor] == frame.before and data[tensor + frame.size : b] == frame.after:
                frame.places.append(Place(step, wall, tensor, tensor + frame.size))
                continue
        places = _add_value(found, data, a, b, step, wall)
        if places is not None and at < places[-1].start:
            _, _, tensor, end = places[-1]
            frames[key] = _Frame(places, data[at:tensor], end - tensor, data[end:b])


def _add_value(
    found: Contents, data: bytes | mmap, start: int, stop: int, step: int, wall: float
) -> list[Place] | None:
    tag, tensor, metadata = b"", None, None
    for number, a, b in _fields(data, start, stop):
        if number == 1 and b >= 0:
            tag = data[a:b]
            if not tag.startswith(_PREFIX):
                return None
        elif number == 8 and b >= 0:
            tensor = (a, b)
        elif number == 9 and b >= 0:
            metadata = (a, b)
    if not tag or tensor is None:
        return None
    name = tag.decode()
    places = found.places.get(name)
    if places is None:
        if metadata is not None:
            found.metadata[name] = _parse_metadata(data[slice(*metadata)])
        places = found.places[name] = []
    places.append(Place(step, wall, *tensor))
    return places


def _parse_metadata(data: bytes) -> SummaryMetadata:
    try:
        return SummaryMetadata.FromString(data)
    except Exception as error:  # see decode_tensor
        raise ValueError(f"not summary metadata: {error}") from error


def _fields(data: bytes | mmap, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Fields of a message: number, then start and stop of the bytes, or the value and -1 for a varint."""
    while at < stop:
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value, -1
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > stop:
            raise ValueError("a field that is longer than its message")
        yield key >> 3, at, at + size
        at += size


def _varint(data: bytes | mmap, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 128:
        return value, at + 1
    value &= 127
    for shift in range(7, 70, 7):
        at += 1
        byte = data[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, at + 1
    raise ValueError("a number that does not end")


def _crc_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC: Final = _crc_table()


def _masked_crc(data: bytes) -> int:
    """TFRecord's masked CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
