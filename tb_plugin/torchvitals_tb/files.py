"""Event files as a source of records, without a TensorBoard running."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_BLOB_SEQUENCE, DATA_CLASS_TENSOR

from torchvitals_tb.errors import TorchvitalsError, listing, quoted
from torchvitals_tb.eventfile import Contents, Place, decode_tensor, decode_tensors, scan
from torchvitals_tb.scalars import MOST_BELOW
from torchvitals_tb.schema import MANIFEST_TAG, PLUGIN_NAME
from torchvitals_tb.sources import Blobs, Scalar, ScalarTag, T, Tag, Tensors
from torchvitals_tb.stock import read_scalars
from torchvitals_tb.words import counted

_HEAD: Final = 64 << 20  # the manifest is written on the first sampled step: further in there is no first trace of us
_WORTH_THREADS: Final = 16  # blobs


class FileSource:
    """The event files of one run, in the order of their names, as TensorBoard reads them.

    Args:
        paths: event files.
        name: of the run.
        folder: the run's directory, below which runs without data of ours count as parts of it.

    Raises:
        TorchvitalsError: a file cannot be opened.
    """

    def __init__(self, paths: list[Path], name: str, folder: Path | None = None) -> None:
        self.name = name
        self._folder = folder
        self.notes: list[str] = []
        self._maps = [_map(path) for path in paths]
        self._places: dict[str, list[tuple[int, Place]]] = {}
        self._tensors: dict[str, Tag] = {}
        self._blobs: dict[str, Tag] = {}
        metadata: dict[str, Any] = {}
        for i, (path, data) in enumerate(zip(paths, self._maps, strict=True)):
            found = scan(data)
            self._note(path, found)
            for tag, places in found.places.items():
                self._places.setdefault(tag, []).extend((i, place) for place in places)
            metadata = found.metadata | metadata  # the first word on a tag counts, as in TensorBoard
        for tag, meta in metadata.items():
            kinds = {DATA_CLASS_TENSOR: self._tensors, DATA_CLASS_BLOB_SEQUENCE: self._blobs}
            if meta.plugin_data.plugin_name == PLUGIN_NAME and meta.data_class in kinds:
                places = [place for _, place in self._places[tag]]
                last = Tag(max(p.step for p in places), max(p.wall for p in places), meta.plugin_data.content)
                kinds[meta.data_class][tag] = last

    def tensors(self) -> Mapping[str, Tag]:
        return self._tensors

    def blobs(self) -> Mapping[str, Tag]:
        return self._blobs

    def read(self, tag: str) -> Tensors:
        places = self._places[tag]
        steps, walls = _columns(places)
        values, broken = decode_tensors((self._maps[i], place.start, place.stop) for i, place in places)
        if broken.any():
            self.notes.append(f"{counted(int(broken.sum()), 'broken record')} of {quoted(tag)} left out")
        return Tensors(steps[~broken], walls[~broken], values)

    def references(self, tag: str) -> Blobs:
        return Blobs(*_columns(self._places[tag]), self._places[tag])

    def load(self, keys: Sequence[Any], decode: Callable[[bytes], T]) -> list[T | None]:
        def one(key: tuple[int, Place]) -> T | None:
            i, place = key
            with suppress(ValueError, MemoryError):
                content = decode_tensor(self._maps[i][place.start : place.stop])
                if isinstance(content, list) and len(content) == 1:
                    return decode(content[0])
            return None

        if len(keys) < _WORTH_THREADS:
            return [one(key) for key in keys]
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # zlib lets the others run
            return list(pool.map(one, keys))

    def scalars(self) -> Sequence[ScalarTag]:
        return list(self._scalars)

    def read_scalar(self, which: ScalarTag) -> Scalar:
        return self._scalars[which]

    @cached_property
    def _scalars(self) -> dict[ScalarTag, Scalar]:
        found = {ScalarTag("", tag): scalar for tag, scalar in read_scalars(self._maps).items()}
        for below, folder in _below(self._folder) if self._folder else ():
            try:
                maps = [_map(path) for path in _event_files(folder)]
            except TorchvitalsError as error:
                self.notes.append(f"{error}; its scalars are left out")
                continue
            found |= {ScalarTag(below, tag): scalar for tag, scalar in read_scalars(maps).items()}
        return found

    def _note(self, path: Path, found: Contents) -> None:
        if found.broken:
            self.notes.append(f"{counted(found.broken, 'broken event')} in {quoted(str(path))} left out")
        if found.lost_at is not None:
            note = f"{quoted(str(path))} is corrupt at byte {found.lost_at}: the rest of this file was not read"
            self.notes.append(note)
            warnings.warn(note, UserWarning, stacklevel=2)


def open_run(path: str | os.PathLike[str]) -> FileSource:
    """The run in a directory, or in one event file.

    Raises:
        TorchvitalsError: there is none; the sentence lists the runs that lie below, if any.
    """
    path = Path(path)
    try:
        found = path.exists()
    except OSError as error:
        raise TorchvitalsError(f"cannot read {quoted(str(path))}: {error.strerror}") from error
    if not found:
        raise TorchvitalsError(f"there is no file or directory {quoted(str(path))}")
    files = [path] if path.is_file() else _event_files(path)
    if files:
        single = path.is_file()
        source = FileSource(files, path.parent.name if single else path.resolve().name, None if single else path)
        if source.tensors():
            return source
    where = quoted(str(path))
    if path.is_file():
        raise TorchvitalsError(f"{where} holds no records of torchvitals; is it an event file?")
    if below := list(find_runs(path)):
        raise TorchvitalsError(f"{where} is not itself a run; load one of the runs below it: {listing(below)}")
    if files:
        why = "attach_hooks(model, writer) writes them on the first sampled step"
        raise TorchvitalsError(f"{where} holds event files, but no records of torchvitals; {why}")
    raise TorchvitalsError(f"no event files in {where} or below it; give the directory the SummaryWriter writes to")


def find_runs(logdir: str | os.PathLike[str]) -> dict[str, Path]:
    """Directories at or below ``logdir`` that hold torchvitals data, by the name TensorBoard gives the run."""
    return {f.relative_to(logdir).as_posix(): f for f in _folders(Path(logdir)) if _has_records(f)}


def _below(top: Path) -> Iterator[tuple[str, Path]]:
    """Directories below a run with event files and nothing of ours, and their paths from it."""
    others = (f for f in _folders(top, lambda f: f != top and _has_records(f)) if f != top and _event_files(f))
    return ((f.relative_to(top).as_posix(), f) for f in islice(others, MOST_BELOW))


def _folders(top: Path, closed: Callable[[Path], bool] = lambda folder: False) -> Iterator[Path]:
    """The directory and all below it, but for those that are ``closed`` and what is in them."""
    seen: set[str] = set()
    for folder, below, _ in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or closed(Path(folder)):  # a link that leads back up
            below.clear()
            continue
        seen.add(real)
        below.sort()
        yield Path(folder)


def _event_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if "tfevents" in path.name and path.is_file())
    except OSError as error:
        raise TorchvitalsError(f"cannot read {quoted(str(folder))}: {error.strerror}") from error


def _has_records(folder: Path) -> bool:
    with suppress(TorchvitalsError):
        return any(_map(path).find(MANIFEST_TAG.encode(), 0, _HEAD) >= 0 for path in _event_files(folder))
    return False


def _columns(places: Sequence[tuple[int, Place]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    steps = np.array([place.step for _, place in places], dtype=np.int64)
    return steps, np.array([place.wall for _, place in places], dtype=np.float64)


def _map(path: Path) -> bytes | mmap:
    try:
        with path.open("rb") as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    except (OSError, ValueError) as error:
        raise TorchvitalsError(f"cannot read {quoted(str(path))}: {error}") from error
