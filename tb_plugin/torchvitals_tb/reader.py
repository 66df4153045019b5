"""A run, read: layers, statistics over steps, histograms and units, from event files or from TensorBoard alike."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb import packing, schema
from torchvitals_tb.errors import TorchvitalsError, quoted, unknown
from torchvitals_tb.files import open_run
from torchvitals_tb.packing import Fired, Histograms, OneRow, Units
from torchvitals_tb.rows import Rows
from torchvitals_tb.scalars import Scalars
from torchvitals_tb.schema import Layer, Manifest, Parameter
from torchvitals_tb.series import BlobSeries, Gaps, Series
from torchvitals_tb.sources import Blobs, Source, T, Tag, Tensors
from torchvitals_tb.timeline import Timeline, current, preempt
from torchvitals_tb.words import counted

_MAX_VALUES: Final = 1 << 29  # float32 in one series: 2 GiB
_KEPT: Final = 4  # series at a time: all of them are as large as the files


class Run:
    """One training as recorded.

    ``run["gradient/rms"]`` is a `Series`; ``run.layers`` and ``run.parameters`` say what its columns are.

    Args:
        source: where its records come from; `load_run` opens event files.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._series: OrderedDict[str, Series] = OrderedDict()

    @property
    def name(self) -> str:
        """Name of the run, as TensorBoard shows it."""
        return self._source.name

    def __repr__(self) -> str:
        return f"<torchvitals run {quoted(self.name)}: {len(self.layers)} layers, {len(self.steps)} sampled steps>"

    # What it is about -----------------------------------------------------------------------------------------------

    @property
    def manifest(self) -> Manifest:
        """What the rows are, by the last manifest. Raises TorchvitalsError when none can be read."""
        return self._manifests[-1][1]

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.manifest.layers

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.manifest.parameters

    @cached_property
    def schema_version(self) -> int:
        """Of the schema it was written by; above `schema.SCHEMA_VERSION`: what is understood is read."""
        return max([schema.SCHEMA_VERSION, *(_version(tag.content) for tag in self._source.tensors().values())])

    @property
    def version(self) -> str:
        """A text that changes whenever there is new data. Reads none."""
        tags = self._source.tensors()
        last = [tags[tag] for tag in self._parts(schema.RUN_TAG, tags) or tags]
        return Tag(max(tag.last_step for tag in last), max(tag.last_wall for tag in last), b"").version

    @property
    def notes(self) -> list[str]:
        """What could not be read so far, in sentences."""
        notes = list(dict.fromkeys(self._source.notes))
        if self.schema_version > schema.SCHEMA_VERSION:
            versions = f"schema {self.schema_version}, this one reads up to {schema.SCHEMA_VERSION}"
            notes.insert(0, f"written by a newer torchvitals ({versions}): what is understood is shown")
        return notes

    # Series ---------------------------------------------------------------------------------------------------------

    @cached_property
    def statistics(self) -> tuple[str, ...]:
        """Names of the recorded statistics."""
        return tuple(name for name in schema.STATISTICS if self._parts(schema.tag_of(name), self._source.tensors()))

    def __contains__(self, statistic: object) -> bool:
        return statistic in self.statistics

    def __getitem__(self, statistic: str) -> Series:
        """One statistic, all rows, all sampled steps.

        Raises:
            UnknownNameError: not recorded.
            TorchvitalsError: recorded, but it cannot be read.
        """
        if statistic not in self._series:
            if statistic not in self.statistics:
                raise unknown("statistic", statistic, self.statistics, f"run {quoted(self.name)}")
            self._series[statistic] = self._read_series(statistic)
            if len(self._series) > _KEPT:
                self._series.popitem(last=False)
        self._series.move_to_end(statistic)
        return self._series[statistic]

    @property
    def steps(self) -> NDArray[np.int64]:
        """[T] the sampled steps."""
        return self._counters.steps

    @cached_property
    def counters(self) -> dict[str, NDArray[np.float64]]:
        """Of each of `schema.RUN_FIELDS` the values [T] on the sampled ``steps``; they start anew with an attempt."""
        return dict(zip(schema.RUN_FIELDS, self._counters.values, strict=True))

    def total(self, counter: str) -> float:
        """A counter's last value, added up over the attempts."""
        samples, values = self.counters["samples"], self.counters[counter]
        last = np.append(samples[1:] <= samples[:-1], True)[: len(samples)]
        ends = values[last]
        with np.errstate(over="ignore"):
            return float(np.sum(ends[np.isfinite(ends)]))

    @cached_property
    def gaps(self) -> Gaps:
        """Sampled steps written and read; TensorBoard may keep fewer than were written."""
        samples = int(min(self.total("samples"), 2**53))  # a broken counter can be anything
        return Gaps(written=max(samples, len(self.steps)), read=len(self.steps))

    # Scalars of the user's own --------------------------------------------------------------------------------------

    @cached_property
    def scalars(self) -> Scalars:
        """What the training loop wrote with ``add_scalar``, by name: loss and learning rate first.

        From TensorBoard at most 1,000 records of each, from event files all.
        """
        return Scalars(self._source)

    @property
    def timeline(self) -> Timeline:
        """The sampled steps and when they were written."""
        return self._timeline

    # Packed records -------------------------------------------------------------------------------------------------

    @cached_property
    def histogram_kinds(self) -> tuple[str, ...]:
        """Kinds of histogram recorded, of `schema.HISTOGRAMS`."""
        return tuple(k for k in schema.HISTOGRAMS if self._parts(schema.histogram_tag(k), self._source.blobs()))

    def histograms(self, kind: str) -> BlobSeries[Histograms]:
        """Histograms of all rows over steps.

        Raises:
            UnknownNameError: that kind is not recorded.
        """
        if kind not in self.histogram_kinds:
            raise unknown("histogram", kind, self.histogram_kinds, f"run {quoted(self.name)}")
        fit = self._rows[schema.rows_of(kind)].histograms
        return self._blob_series(schema.histogram_tag(kind), packing.decode_histograms, fit, f"{kind} histograms")

    @property
    def has_units(self) -> bool:
        """Whether there are records of units."""
        return bool(self._parts(schema.UNITS_TAG, self._source.blobs()))

    @cached_property
    def units(self) -> BlobSeries[Units]:
        """What each unit did, over steps; empty when that was not recorded."""
        return self._blob_series(schema.UNITS_TAG, packing.decode_units, self._rows["layers"].units, "units")

    @cached_property
    def fired(self) -> BlobSeries[Fired]:
        """Of ``units`` what fired, for those who go through all of it."""
        return self._blob_series(schema.UNITS_TAG, packing.decode_fired, self._rows["layers"].fired, "units")

    def units_of(self, row: int) -> BlobSeries[Units]:
        """Of ``units`` one layer."""
        rows = self._rows["layers"]
        if rows.in_place:
            return self._blob_series(schema.UNITS_TAG, OneRow(row), lambda step, record: record, "units")
        return self._blob_series(
            schema.UNITS_TAG, packing.decode_units, lambda step, record: rows.units(step, record).row(row), "units"
        )

    # How ------------------------------------------------------------------------------------------------------------

    @cached_property
    def _manifests(self) -> list[tuple[int, Manifest]]:
        records = self._all(schema.MANIFEST_TAG)
        kept = current(records.steps, records.walls, self._timeline)
        # If the last attempt's manifest is lost, that of an earlier one most likely names the same layers.
        found = self._readable_manifests(_chosen(records, kept)) or self._readable_manifests(records)[-1:]
        if not found:
            raise TorchvitalsError(
                f"run {quoted(self.name)} has no readable manifest ({schema.MANIFEST_TAG}), which names its layers"
            )
        return found

    def _readable_manifests(self, records: Tensors) -> list[tuple[int, Manifest]]:
        found = []
        for step, value in zip(records.steps.tolist(), records.values, strict=True):
            try:
                found.append((step, _manifest(value)))
            except ValueError:
                self._source.notes.append(f"a broken manifest at step {step} left out")
        return found

    @cached_property
    def _rows(self) -> dict[schema.Rows, Rows]:
        steps = [step for step, _ in self._manifests]
        return {
            "layers": Rows(steps, [tuple(row.name for row in m.layers) for _, m in self._manifests]),
            "parameters": Rows(steps, [tuple(row.name for row in m.parameters) for _, m in self._manifests]),
        }

    @cached_property
    def _counters(self) -> _Counters:
        tags = self._parts(schema.RUN_TAG, self._source.tensors())
        records = self._vectors(self._all(schema.RUN_TAG), schema.RUN_TAG)
        order = np.argsort(records.walls, kind="stable") if len(tags) > 1 else np.arange(len(records.steps))
        kept = order[preempt(records.steps[order])]
        records = _chosen(records, kept)
        values = np.full((len(schema.RUN_FIELDS), len(kept)), np.nan)
        for column, vector in enumerate(records.values):
            vector = vector[: len(values)]
            values[: len(vector), column] = vector
        return _Counters(records.steps, records.walls, values)

    @cached_property
    def _timeline(self) -> Timeline:
        return Timeline(self._counters.steps, self._counters.walls)

    def _read_series(self, statistic: str) -> Series:
        tag = schema.tag_of(statistic)
        records = self._vectors(self._all(tag), tag)
        records = _chosen(records, current(records.steps, records.walls, self._timeline))
        rows = self._rows[schema.rows_of(statistic)]
        if len(records.steps) * len(rows.names) > _MAX_VALUES:
            size = f"{len(records.steps)} steps of {len(rows.names)} rows"
            raise TorchvitalsError(f"{statistic} of run {quoted(self.name)} is too large to read: {size}")
        return Series(records.steps, rows.matrix(records.steps, records.values))

    def _blob_series(
        self, base: str, decode: Callable[[bytes], T], fit: Callable[[int, T], T], what: str
    ) -> BlobSeries[T]:
        parts = [self._source.references(tag) for tag in self._parts(base, self._source.blobs())]
        blobs = Blobs(*_columns(parts), [key for part in parts for key in part.keys])
        kept = current(blobs.steps, blobs.walls, self._timeline)
        blobs = Blobs(blobs.steps[kept], blobs.walls[kept], [blobs.keys[i] for i in kept])
        return BlobSeries(self._source, blobs, decode, fit, what)

    def _all(self, base: str) -> Tensors:
        """The records of a tag and of its further segments."""
        return _concatenated([self._source.read(tag) for tag in self._parts(base, self._source.tensors())])

    def _vectors(self, records: Tensors, tag: str) -> Tensors:
        """The records that are vectors of numbers; the others are noted."""
        if isinstance(records.values, np.ndarray) and records.values.ndim == 2 and records.values.dtype.kind == "f":
            return records
        kept = [i for i, value in enumerate(records.values) if _is_vector(value)]
        lost = len(records.values) - len(kept)
        if lost:
            self._source.notes.append(f"{counted(lost, 'record')} of {quoted(tag)} left out: not a vector of numbers")
        return _chosen(records, np.array(kept, dtype=np.intp)) if lost else records

    @staticmethod
    def _parts(base: str, tags: Any) -> list[str]:
        """The tag and its further segments that are there."""
        found = [(segment, tag) for tag in tags for name, segment in [schema.split_segment(tag)] if name == base]
        return [tag for _, tag in sorted(found)]


class _Counters(NamedTuple):
    steps: NDArray[np.int64]
    walls: NDArray[np.float64]
    values: NDArray[np.float64]
    """[fields, T]"""


def load_run(path: str | os.PathLike[str]) -> Run:
    """Reads a run from its event files alone.

    Args:
        path: the directory a SummaryWriter wrote to, or one event file.

    Returns:
        The run, as it is now; series are read from the files when they are asked for.

    Raises:
        TorchvitalsError: no torchvitals data there. If runs lie below, the sentence lists them.
    """
    return Run(open_run(path))


def _concatenated(parts: Sequence[Tensors]) -> Tensors:
    if len(parts) == 1:
        return parts[0]
    return Tensors(*_columns(parts), [value for part in parts for value in part.values])


def _columns(parts: Sequence[Tensors] | Sequence[Blobs]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    steps = np.concatenate([np.zeros(0, dtype=np.int64), *(part.steps for part in parts)])
    return steps, np.concatenate([np.zeros(0), *(part.walls for part in parts)])


def _chosen(records: Tensors, kept: NDArray[np.intp]) -> Tensors:
    if len(kept) == len(records.steps) and np.array_equal(kept, np.arange(len(kept))):
        return records
    values = records.values
    chosen = values[kept] if isinstance(values, np.ndarray) else [values[i] for i in kept]
    return Tensors(records.steps[kept], records.walls[kept], chosen)


def _is_vector(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "f"


def _manifest(value: Any) -> Manifest:
    strings = [str(s) if not isinstance(s, bytes) else s for s in np.asarray(value, dtype=object).reshape(-1)]
    if len(strings) != 1 or not isinstance(strings[0], bytes):
        raise ValueError("not one string")
    return _parsed_manifest(strings[0])


@lru_cache(maxsize=8)
def _parsed_manifest(text: bytes) -> Manifest:
    return Manifest.from_json(text.decode())


def _version(content: bytes) -> int:
    """The schema version in ``plugin_data.content``; 0 when it says none."""
    try:
        version = json.loads(content)["v"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    return version if isinstance(version, int) else 0
