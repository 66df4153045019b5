"""A bounded memory of what was read, shared by the threads of a server."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np

_OBJECT: Final = 100  # bytes that an array, a text or a number costs beside its content


class Cache:
    """Keeps what was used last, up to a number of bytes. Safe for threads.

    Args:
        capacity: bytes in all; what is larger on its own is not kept.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._making = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._entries

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under ``key``, or else the result of ``make``, which runs unlocked and may run twice."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][0]
        return self._keep(key, make())

    def get_once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The same for what takes long to make: one ``make`` at a time, never a second one for what is being made."""
        if key in self:  # not behind another one that is being made
            return self.get(key, make)
        with self._making:
            return self.get(key, make)

    def _keep(self, key: Hashable, value: Any) -> Any:
        size = size_of(value)
        if size <= self._capacity:
            with self._lock:
                self._bytes += size - self._entries.pop(key, (None, 0))[1]
                self._entries[key] = value, size
                while self._bytes > self._capacity:
                    self._bytes -= self._entries.popitem(last=False)[1][1]
        return value


def size_of(value: Any) -> int:
    """About how many bytes of memory a value takes: arrays, bytes, and lists and tuples of them."""
    if isinstance(value, np.ndarray):
        content = value.ravel().tolist() if value.dtype.hasobject else None
        return value.nbytes + (_OBJECT if content is None else size_of(content))
    if isinstance(value, list | tuple):
        return _OBJECT + sum(size_of(entry) for entry in value)
    return _OBJECT + (len(value) if isinstance(value, bytes | str) else 0)
