"""Freed memory goes back to the system."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of glibc's malloc.h
_LARGE: Final = 1 << 20
_HEAPS: Final = 2


def free_at_once() -> None:
    """Has the C library give back each large array as soon as it is freed; does nothing where it is not glibc.

    glibc raises the size from which on memory comes from the system to that of the largest piece ever freed, up to
    32 MiB. From then on a statistic's arrays lie between others in heaps that do not shrink, and threads, of which
    TensorBoard starts one a request, have many: after every statistic and a diagnosis of 1,000 layers and 2,000 steps
    it held 590 MB, with a fixed size and two heaps 140 MB.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):  # whoever runs it has chosen
        return
    try:
        mallopt: Any = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_ARENA_MAX, _HEAPS)
