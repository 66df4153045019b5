"""Event files byte by byte, against TensorBoard's own reader, and broken in every way."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_STRING
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

from tests.synthetic import EventFile, tensor, write_run
from tests.torchvitals_tb.attempts import Attempt, manifest
from torchvitals_tb import TorchvitalsError, load_run, query
from torchvitals_tb.eventfile import decode_tensor, decode_tensors, scan


def by_tensorboard(path: Path) -> dict[str, list[tuple[int, float, bytes]]]:
    out: dict[str, list[tuple[int, float, bytes]]] = {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            if value.tag.startswith("torchvitals/"):
                content = tensor_util.make_ndarray(value.tensor).tobytes() if value.tensor.dtype == 1 else b""
                out.setdefault(value.tag, []).append((event.step, event.wall_time, content))
    return out


def by_us(path: Path) -> dict[str, list[tuple[int, float, bytes]]]:
    data = path.read_bytes()
    out = {}
    for tag, places in scan(data).places.items():
        decoded = [decode_tensor(data[place.start : place.stop]) for place in places]
        out[tag] = [
            (place.step, place.wall, d.tobytes() if isinstance(d, np.ndarray) and d.dtype == np.float32 else b"")
            for place, d in zip(places, decoded, strict=True)
        ]
    return out


def test_as_tensorboard_reads_it(tmp_path: Path) -> None:
    write_run(tmp_path, layers=9, steps=12, units=16, kind="nan", records=3)
    attempt = Attempt(tmp_path, 7, manifest("a"), EventFile(tmp_path, stamp=1_763_680_000))
    for step in (-5, 0, 1 << 40):
        attempt.frame(step)
    (path,) = tmp_path.iterdir()
    assert by_us(path) == by_tensorboard(path)
    assert len(by_us(path)) > 25


def test_as_tensorboard_writes_it(tmp_path: Path) -> None:
    """Its own writer, with one value an event, and the CRC of every length checked."""
    writer = EventFileWriter(str(tmp_path))
    for step in range(20):
        vector = np.arange(step % 7, dtype=np.float32)
        value = Summary.Value(tag="torchvitals/gradient/rms", tensor=tensor(vector))
        writer.add_event(Event(wall_time=step + 0.5, step=step, summary=Summary(value=[value])))
        writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag="loss", simple_value=1.0)])))
    writer.close()
    (path,) = tmp_path.iterdir()
    assert by_us(path) == by_tensorboard(path)
    found = scan(path.read_bytes())
    assert len(found.places["torchvitals/gradient/rms"]) == 20
    assert (found.broken, found.lost_at) == (0, None)


def test_nothing_of_ours() -> None:
    assert scan(b"").places == {}
    assert scan(b"\0" * 1000).places == {}
    assert scan(b"torchvitals/" * 10).lost_at == 0


def test_where_a_frame_is_corrupt(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1)
    whole = len(attempt.file.path.read_bytes())
    attempt.frame(2)
    data = bytearray(attempt.file.path.read_bytes())
    for i in range(12):
        broken = data.copy()
        broken[whole + i] ^= 0x40
        found = scan(bytes(broken))
        assert found.lost_at == whole
        assert len(found.places["torchvitals/gradient/rms"]) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"\x2a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01torchvitals/",
        b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7ftorchvitals/",
        b"\x2b\x01torchvitals/",
        b"\x2a\x0e\x0a\x0c\x0a\xfftorchvitals/",
        b"torchvitals/",
        b"\x09\x01torchvitals/",
        b"\x2a\x12\x0a\x10\x0a\x0dtorchvitals/\xff\x42",
    ],
)
def test_events_that_are_none(tmp_path: Path, payload: bytes) -> None:
    file = EventFile(tmp_path)
    file.record(payload)
    file.record(
        Event(step=3, summary=Summary(value=[Summary.Value(tag="torchvitals/x", tensor={})])).SerializeToString()
    )
    found = scan(file.path.read_bytes())
    assert list(found.places) == ["torchvitals/x"]
    assert found.lost_at is None


@pytest.mark.parametrize("data", [b"\xff", b"\x08\x01\x22\x03abc", b"\x08\x09", b"\x08\x01\x12\x04\x12\x02\x08\x05"])
def test_tensors_that_are_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"tensor|reshape|buffer"):
        decode_tensor(data)


def test_many_tensors_at_once() -> None:
    """In every mixture what one after the other gives; one array only where all are vectors of one length and kind."""
    rng = np.random.default_rng(0)
    alike = [tensor(rng.normal(size=4).astype(np.float32)).SerializeToString() for _ in range(3)]
    others = [
        tensor(np.arange(5, dtype=np.float32)).SerializeToString(),
        tensor(np.arange(2.0)).SerializeToString(),
        tensor(np.ones((2, 2), dtype=np.float32)).SerializeToString(),
        tensor(np.zeros(0, dtype=np.float32)).SerializeToString(),
        TensorProto(
            dtype=DT_FLOAT, float_val=[1, 2], tensor_shape=tensor(np.zeros(2)).tensor_shape
        ).SerializeToString(),
        TensorProto(dtype=DT_STRING, string_val=[b"x"]).SerializeToString(),
        b"\x08\x09",
    ]
    mixed = [[*alike[:n], other, *alike[n:], other] for n in (0, 2) for other in others]
    for parts in ([], alike, *mixed):
        data, spans = b"..".join(parts), []
        for part in parts:
            start = spans[-1][1] + 2 if spans else 0
            spans.append((start, start + len(part)))
        found, broken = decode_tensors((data, start, stop) for start, stop in spans)
        one_by_one = []
        for part, bad in zip(parts, broken, strict=True):
            try:
                one_by_one.append(decode_tensor(part))
                assert not bad
            except ValueError:
                assert bad
        assert isinstance(found, np.ndarray) == (parts is alike)
        for a, b in zip(found, one_by_one, strict=True):
            assert np.array_equal(a, b) and getattr(a, "dtype", None) == getattr(b, "dtype", None)


def test_values_that_look_alike_but_are_not(tmp_path: Path) -> None:
    """One tag and one size, but what stands around the numbers differs. TensorBoard's reader says what is so."""
    with EventFile(tmp_path) as file:
        for step in range(6):
            value = Summary.Value(tag="torchvitals/x", tensor=tensor(np.arange(4, dtype=np.float32) + step))
            if step == 2:  # numbers of another type in as many bytes
                value.tensor.CopyFrom(tensor(np.arange(2, dtype=np.float64)))
            elif step == 3:
                value.tag = "torchvitals/y"
            elif step == 4:
                value.metadata.display_name = "z"
            file.write(step, {value.tag: value})
    assert by_us(file.path) == by_tensorboard(file.path)
    places = scan(file.path.read_bytes()).places["torchvitals/x"]
    assert [place.step for place in places] == [0, 1, 2, 4, 5]
    values = load_values(file.path, "torchvitals/x")
    assert [value.tolist() for value in values] == [[0, 1, 2, 3], [1, 2, 3, 4], [0, 1], [4, 5, 6, 7], [5, 6, 7, 8]]


def load_values(path: Path, tag: str) -> list[np.ndarray]:
    data = path.read_bytes()
    return list(decode_tensors((data, place.start, place.stop) for place in scan(data).places[tag])[0])


def test_fuzz(tmp_path: Path) -> None:
    """Bytes changed at random inside records whose frame is sound: an answer or our error, nothing else."""
    rng = np.random.default_rng(0)
    attempt = Attempt(tmp_path / "good", 1, manifest("a", "b", parameters=("w",)))
    for step in (1, 2, 3):
        attempt.frame(step, records=True)
    data = attempt.file.path.read_bytes()
    payloads, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        payloads.append(data[at + 12 : at + 12 + length])
        at += 16 + length
    answers = 0
    for i in range(250):
        with EventFile(tmp_path / str(i)) as file:
            for payload in payloads[1:]:
                broken = bytearray(payload)
                for _ in range(rng.integers(0, 6)):
                    broken[rng.integers(0, len(broken))] = rng.integers(0, 256)
                file.record(bytes(broken))
        try:
            run = load_run(tmp_path / str(i))
            query.manifest(run)
            query.dead(run)
            for statistic in run.statistics:
                query.statistic(run, statistic)
            for kind in run.histogram_kinds:
                list(run.histograms(kind))
            answers += 1
        except TorchvitalsError:
            pass
    assert 50 < answers < 250
