"""Where records come from, in the words of the reader: event files (`files`) or TensorBoard (`provider`).

A source hands records over as they were stored. What they mean, which of them still count after a restart and whose
row is whose is the business of `reader`, written once for all sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Tag(NamedTuple):
    """What is known of a tag without reading it. Changes when the tag has new records."""

    last_step: int
    last_wall: float
    content: bytes
    """``plugin_data.content``: which version of the schema wrote it."""

    @property
    def version(self) -> str:
        """A text that changes with every new record."""
        return f"{self.last_step}-{self.last_wall!r}"


class Tensors(NamedTuple):
    """The records of one tag in the order of their arrival."""

    steps: NDArray[np.int64]
    walls: NDArray[np.float64]
    """Seconds since 1970."""
    values: Sequence[Any] | NDArray[Any]
    """An array each, of a string tensor an array or a list of its strings; not checked: anything may be stored. Where
    all are vectors of one length and kind: one array [T, length]."""


class Blobs(NamedTuple):
    """References to the blobs of one tag; what ``keys`` are is known to their source alone."""

    steps: NDArray[np.int64]
    walls: NDArray[np.float64]
    keys: Sequence[Any]


class ScalarTag(NamedTuple):
    """A scalar of TensorBoard's own kind, as ``writer.add_scalar`` writes it."""

    below: str
    """Path from the run to the one that holds it: empty for the run itself, ``loss_train`` for what
    ``add_scalars`` puts beside it."""
    tag: str


class Scalar(NamedTuple):
    """The records of one scalar."""

    steps: NDArray[np.int64]
    """[N] as the user counted: optimizer steps, epochs, batches or anything else."""
    walls: NDArray[np.float64]
    """[N] seconds since 1970."""
    values: NDArray[np.float64]
    """[N]"""


class Source(Protocol):
    """One run, wherever it is stored. Every method raises nothing but `TorchvitalsError`."""

    name: str
    """Of the run, as TensorBoard shows it."""
    notes: list[str]
    """Sentences on what could not be read."""

    def tensors(self) -> Mapping[str, Tag]:
        """Tags that hold tensors."""
        ...

    def blobs(self) -> Mapping[str, Tag]:
        """Tags that hold blobs."""
        ...

    def read(self, tag: str) -> Tensors:
        """All records of a tag of `tensors`."""
        ...

    def references(self, tag: str) -> Blobs:
        """All records of a tag of `blobs`, unread."""
        ...

    def load(self, keys: Sequence[Any], decode: Callable[[bytes], T]) -> list[T | None]:
        """Reads and decodes blobs by their keys; ``None`` for each that ``decode`` refuses with a ValueError."""
        ...

    def scalars(self) -> Sequence[ScalarTag]:
        """Scalars of the run, and of runs below it that hold nothing of ours."""
        ...

    def read_scalar(self, which: ScalarTag) -> Scalar:
        """The records of one of `scalars` in the order of their arrival."""
        ...
