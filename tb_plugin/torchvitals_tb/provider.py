"""TensorBoard's data provider as a source of records; the same for both of its ingesters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

import numpy as np
from tensorboard.data.provider import RunTagFilter
from tensorboard.errors import NotFoundError

from torchvitals_tb.cache import Cache
from torchvitals_tb.errors import TorchvitalsError, printable, quoted, unknown
from torchvitals_tb.reader import Run
from torchvitals_tb.scalars import MOST_BELOW
from torchvitals_tb.schema import PLUGIN_NAME, RUN_TAG
from torchvitals_tb.sources import Blobs, Scalar, ScalarTag, T, Tag, Tensors

_ALL: Final = 10**9  # TensorBoard's word for "do not sample": 0 would give nothing
_SCALARS: Final = 1000  # of one tag: what TensorBoard keeps of its own scalars
_READERS: Final = 16  # a blob takes the data server 40 ms, nearly all of it waiting


class Reader:
    """The runs of a TensorBoard, with what was read of them kept in memory. Safe for threads.

    Args:
        data_provider: a ``tensorboard.data.provider.DataProvider``.
        capacity: bytes of statistics to keep, and three times as many of decoded blobs: two statistics of 1,000
            layers and 2,000 steps, and what fired of 250,000 units in 900 records. TensorBoard has everything in
            memory once already, and hands one such statistic over in less than 0.1 s.
    """

    def __init__(self, data_provider: Any, capacity: int = 16 << 20) -> None:
        self._provider = data_provider
        self.stored = Cache(capacity)
        self.decoded = Cache(3 * capacity)
        self.pool = ThreadPoolExecutor(_READERS, thread_name_prefix="torchvitals")  # starts no thread before its use

    def runs(self, ctx: Any = None, experiment: str = "") -> dict[str, Tag]:
        """Every run with torchvitals data, by name, and what is known of its last record. Reads no data.

        Raises:
            TorchvitalsError: TensorBoard cannot say.
        """
        # One tag is enough, and TensorBoard's ingester in Python goes through every record of every tag it lists.
        listed = self.call("list_tensors", ctx, experiment, RunTagFilter(tags=[RUN_TAG]))
        return {name: _tag(listed[name][RUN_TAG]) for name in sorted(listed) if RUN_TAG in listed[name]}

    def run(self, name: str, ctx: Any = None, experiment: str = "") -> Run:
        """One run, as it is now.

        Raises:
            UnknownNameError: there is none of that name.
            TorchvitalsError: TensorBoard cannot say.
        """
        source = ProviderSource(self, ctx, experiment, name)
        if not source.tensors():
            raise unknown("run", name, self.runs(ctx, experiment))
        return Run(source)

    def below(self, name: str, ctx: Any, experiment: str) -> dict[str, str]:
        """Runs below a run that hold nothing of ours and belong to no other of our runs: path from it -> name."""
        with _failures("list_runs"):
            listed = sorted(run.run_name for run in self._provider.list_runs(ctx, experiment_id=experiment))
        top = "" if name == "." else f"{name}/"
        found = [run for run in listed if run.startswith(top) and run != name]
        if not found:
            return {}
        ours = tuple(f"{run}/" for run in self.runs(ctx, experiment) if run.startswith(top) and run != name)
        others = [run for run in found if not f"{run}/".startswith(ours)]
        return {run[len(top) :]: run for run in others[:MOST_BELOW]}

    def call(
        self, method: str, ctx: Any, experiment: str, which: RunTagFilter, plugin: str = PLUGIN_NAME, **options: Any
    ) -> Any:
        """Asks the data provider for something of a plugin, this one if none is named, by run and tag."""
        with _failures(method):
            found = getattr(self._provider, method)(
                ctx, experiment_id=experiment, plugin_name=plugin, run_tag_filter=which, **options
            )
        return found or {}  # None is a provider's word for a kind of data it does not have

    def blob(self, ctx: Any, key: BlobKey) -> bytes:
        """One blob. Raises ValueError when TensorBoard has dropped it since it was listed."""
        with _failures("read_blob"):
            try:
                return bytes(self._provider.read_blob(ctx, blob_key=key.key))
            except NotFoundError:
                pass
        raise ValueError(f"no blob of {quoted(key.tag)} at step {key.step} any more")


class BlobKey(NamedTuple):
    """Where a blob is, and which: TensorBoard's own key stays the same when a step is written anew."""

    experiment: str
    run: str
    tag: str
    step: int
    wall: float
    key: str


class ProviderSource:
    """One run of a TensorBoard. Lives for one request, since tags are listed once."""

    def __init__(self, reader: Reader, ctx: Any, experiment: str, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self._reader, self._ctx, self._experiment = reader, ctx, experiment

    def tensors(self) -> Mapping[str, Tag]:
        return self._tensors

    def blobs(self) -> Mapping[str, Tag]:
        return self._blobs

    def read(self, tag: str) -> Tensors:
        key = ("tensors", self._experiment, self.name, tag, self._tensors[tag])
        tensors: Tensors = self._reader.stored.get(key, partial(self._read, tag))
        return tensors

    def references(self, tag: str) -> Blobs:
        key = ("blobs", self._experiment, self.name, tag, self._blobs[tag])
        blobs: Blobs = self._reader.stored.get(key, partial(self._read_references, tag))
        return blobs

    def load(self, keys: Sequence[BlobKey], decode: Callable[[bytes], T]) -> list[T | None]:
        def one(key: BlobKey) -> T | None:
            def make() -> T:
                return decode(self._reader.blob(self._ctx, key))

            try:
                record: T = self._reader.decoded.get((key, decode), make)
                return record
            except TorchvitalsError:
                raise
            except (ValueError, MemoryError):
                return None

        return list(self._reader.pool.map(one, keys))

    def scalars(self) -> Sequence[ScalarTag]:
        which = RunTagFilter(runs=list(self._scalar_runs.values()))
        listed = self._reader.call("list_scalars", self._ctx, self._experiment, which, plugin="scalars")
        return [ScalarTag(below, tag) for below, run in self._scalar_runs.items() for tag in listed.get(run, {})]

    def read_scalar(self, which: ScalarTag) -> Scalar:
        run = self._scalar_runs[which.below]
        chosen = RunTagFilter(runs=[run], tags=[which.tag])
        read = self._reader.call(
            "read_scalars", self._ctx, self._experiment, chosen, plugin="scalars", downsample=_SCALARS
        )
        data = read.get(run, {}).get(which.tag, [])
        return Scalar(*_columns(data), np.array([datum.value for datum in data], dtype=np.float64))

    @cached_property
    def _scalar_runs(self) -> dict[str, str]:
        return {"": self.name} | self._reader.below(self.name, self._ctx, self._experiment)

    @cached_property
    def _tensors(self) -> dict[str, Tag]:
        return self._list("list_tensors")

    @cached_property
    def _blobs(self) -> dict[str, Tag]:
        return self._list("list_blob_sequences")

    def _list(self, method: str) -> dict[str, Tag]:
        listed = self._reader.call(method, self._ctx, self._experiment, RunTagFilter(runs=[self.name]))
        return {tag: _tag(series) for tag, series in listed.get(self.name, {}).items()}

    def _read(self, tag: str) -> Tensors:
        data = self._read_all("read_tensors", tag)
        return Tensors(*_columns(data), _together([datum.numpy for datum in data]))

    def _read_references(self, tag: str) -> Blobs:
        data = [datum for datum in self._read_all("read_blob_sequences", tag) if len(datum.values) == 1]
        keys = [
            BlobKey(self._experiment, self.name, tag, datum.step, datum.wall_time, datum.values[0].blob_key)
            for datum in data
        ]
        return Blobs(*_columns(data), keys)

    def _read_all(self, method: str, tag: str) -> Any:
        # One tag at a time: the data server answers in one message, of 256 MiB at most.
        which = RunTagFilter(runs=[self.name], tags=[tag])
        data = self._reader.call(method, self._ctx, self._experiment, which, downsample=_ALL)
        return data.get(self.name, {}).get(tag, [])


def _tag(series: Any) -> Tag:
    return Tag(series.max_step or 0, series.max_wall_time or 0.0, series.plugin_content)


def _columns(data: Any) -> tuple[Any, Any]:
    steps = np.array([datum.step for datum in data], dtype=np.int64)
    return steps, np.array([datum.wall_time for datum in data], dtype=np.float64)


def _together(vectors: list[Any]) -> Any:
    """One array instead of thousands where they are alike; nobody may write to what is kept."""
    first = vectors[0] if vectors else None
    if not isinstance(first, np.ndarray) or first.ndim != 1 or first.dtype.hasobject:
        return vectors
    if any(vector.shape != first.shape or vector.dtype != first.dtype for vector in vectors):
        return vectors
    together = np.stack(vectors)
    together.flags.writeable = False
    return together


@contextmanager
def _failures(method: str) -> Iterator[None]:
    """Whatever goes wrong in TensorBoard becomes one sentence."""
    try:
        yield
    except Exception as error:
        said = error.details() if hasattr(error, "details") else error  # gRPC's errors have their sentence there
        raise TorchvitalsError(f"TensorBoard failed in {method}: {printable(str(said))[:200]}") from error
