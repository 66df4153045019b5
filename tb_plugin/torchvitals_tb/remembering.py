"""A source that remembers the packed records it has read: life lines ask for the same ones once per layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from torchvitals_tb.cache import Cache
from torchvitals_tb.sources import Blobs, Source, T, Tag, Tensors

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
        return [self._cache.get(key, partial(self._load_one, key, decode)) for key in keys]

    def _load_one(self, key: Any, decode: Callable[[bytes], T]) -> T | None:
        return self._source.load([key], decode)[0]
