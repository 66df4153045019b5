"""The checksum of event files, CRC-32C, at hundreds of megabytes a second.

TensorBoard computes it byte by byte in Python, holding the interpreter's lock: 120 nanoseconds a byte, which a training
loop feels. Here it is ``google_crc32c`` or ``crc32c`` where one is installed, else NumPy, 200 times as fast.
"""

from __future__ import annotations

import functools
import importlib
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL: Final = 0x82F63B78
_BLOCK: Final = 512  # bytes looked up at once
_SHORT: Final = 64  # bytes below which a loop is faster
_AT_ONCE: Final = 1 << 15

Table = NDArray[np.uint32]


def masked(data: bytes) -> int:
    """TFRecord's masked CRC-32C."""
    crc = _function()(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C by NumPy.

    A CRC is linear: it is the XOR of what every byte adds for its distance from the end. So the bytes of a block are
    looked up together, and blocks are put together pairwise, each time over twice the distance.
    """
    if len(data) < _SHORT:
        return _short(data)
    padding = -len(data) % _BLOCK  # zeros in front change nothing, once the start value has gone into the data
    raw = np.zeros(padding + len(data), dtype=np.uint8)
    raw[padding:] = np.frombuffer(data, dtype=np.uint8)
    raw[padding : padding + 4] ^= 0xFF
    blocks = raw.reshape(-1, _BLOCK)
    table, offsets = _positions()
    crcs = np.empty(len(blocks), dtype=np.uint32)
    rows = _AT_ONCE // _BLOCK
    for start in range(0, len(blocks), rows):
        index = blocks[start : start + rows] + offsets
        crcs[start : start + rows] = np.bitwise_xor.reduce(table.take(index), axis=1)
    level = 0
    while len(crcs) > 1:
        if len(crcs) % 2:
            crcs = np.concatenate([np.zeros(1, dtype=np.uint32), crcs])
        crcs = _moved(crcs[0::2], _distance(level)) ^ crcs[1::2]
        level += 1
    return int(crcs[0]) ^ 0xFFFFFFFF


def speed_up(writer: Any) -> Callable[[], None]:
    """Has a ``SummaryWriter`` use this checksum, if it is TensorBoard's own underneath; any other is left alone.

    The files are the same to the last byte.

    Returns:
        What puts it back, once all have who asked for it.
    """
    try:
        from tensorboard.summary.writer.record_writer import RecordWriter

        records = writer._get_file_writer().event_writer._async_writer._writer
    except (AttributeError, ImportError):
        return _nothing
    write = vars(records).get("write", None)
    if type(records) is not RecordWriter or type(write) not in (_Write, type(None)):
        return _nothing
    _function()  # chosen here, not in the thread that writes
    if write is None:
        write = records.write = _Write(records)
    user = object()
    write.users.add(user)

    def put_back() -> None:
        write.users.discard(user)
        if not write.users and vars(records).get("write") is write:
            del records.write

    return put_back


class _Write:
    """In the place of a record writer's method."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.users: set[object] = set()

    def __call__(self, data: bytes) -> None:
        header = struct.pack("<Q", len(data))
        parts = header, struct.pack("<I", masked(header)), data, struct.pack("<I", masked(data))
        self._records._writer.write(b"".join(parts))


def _nothing() -> None:
    pass


@functools.cache
def _function() -> Callable[[bytes], int]:
    for name, function in (("google_crc32c", "value"), ("crc32c", "crc32c")):
        try:  # anything may come of it: a file of the user's may have that name
            module = importlib.import_module(name)
            found: Callable[[bytes], int] = getattr(module, function)
            is_fast = getattr(module, "implementation", "c") == "c"  # google_crc32c has a loop in Python as well
            if is_fast and found(b"123456789") == 0xE3069283:
                return found
        except Exception:
            continue
    return crc32c


def _short(data: bytes) -> int:
    table = _bytes()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@functools.cache
def _bytes() -> list[int]:
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, crc >> 1 ^ np.uint32(_POLYNOMIAL), crc >> 1)
    return [int(x) for x in crc]


@functools.cache
def _positions() -> tuple[Table, NDArray[np.intp]]:
    """[512 * 256] what a byte at each place of a block adds, and where in it each place begins."""
    step = np.array(_bytes(), dtype=np.uint32)
    table = np.empty((_BLOCK, 256), dtype=np.uint32)
    table[-1] = step
    for at in range(_BLOCK - 2, -1, -1):
        table[at] = table[at + 1] >> 8 ^ step[table[at + 1] & 0xFF]
    return table.ravel(), np.arange(_BLOCK, dtype=np.intp) * 256


@functools.cache
def _distance(level: int) -> Table:
    """[4, 256] what each byte of a CRC becomes when 512 * 2^level zero bytes follow."""
    before = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    if level:
        return _moved(_moved(before, _distance(level - 1)), _distance(level - 1))
    step = np.array(_bytes(), dtype=np.uint32)
    for _ in range(_BLOCK):
        before = before >> 8 ^ step[before & 0xFF]
    return before


def _moved(crcs: Table, distance: Table) -> Table:
    out: Table = distance[0][crcs & 0xFF]
    for i in (1, 2, 3):
        out = out ^ distance[i][crcs >> np.uint32(8 * i) & 0xFF]
    return out
