"""A source that remembers the packed records it has read: life lines ask for the same ones once per layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from torchvitals_tb.cache import Cache
from torchvitals_tb.packing import OneRow, decode_units
from torchvitals_tb.sources import Blobs, Scalar, ScalarTag, Source, T, Tag, Tensors

_CAPACITY: Final = 256 << 20


class Remembering:
    """Another source, its records read once.

    Args:
        source: where they come from.
        name: of the run from here on.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.name = name
        self._source = source
        self._cache = Cache(_CAPACITY)

    @property
    def notes(self) -> list[str]:
        return self._source.notes

    @notes.setter
    def notes(self, notes: list[str]) -> None:
        self._source.notes = notes

    def tensors(self) -> Mapping[str, Tag]:
        return self._source.tensors()

    def blobs(self) -> Mapping[str, Tag]:
        return self._source.blobs()

    def read(self, tag: str) -> Tensors:
        return self._source.read(tag)

    def references(self, tag: str) -> Blobs:
        return self._source.references(tag)

    def load(self, keys: Sequence[Any], decode: Callable[[bytes], T]) -> list[T | None]:
        if isinstance(decode, OneRow):  # the others will be asked for next
            records = self.load(keys, decode_units)
            return [record and record.row(decode.row) for record in records]  # type: ignore[misc]  # T is Units
        missing = [key for key in keys if (key, decode) not in self._cache]
        read = dict(zip(missing, self._source.load(missing, decode), strict=True))  # at once: a file's share threads

        def known(key: Any) -> T | None:
            return read[key] if key in read else self._source.load([key], decode)[0]

        return [self._cache.get((key, decode), partial(known, key)) for key in keys]

    def scalars(self) -> Sequence[ScalarTag]:
        return self._source.scalars()

    def read_scalar(self, which: ScalarTag) -> Scalar:
        return self._source.read_scalar(which)
