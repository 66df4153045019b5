"""What TensorBoard is done with goes back to the system, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")

# As with statistics: one large array is freed, then many a third of it, and a smaller one above them stays.
PROGRAM = """
import sys
import numpy as np
from torchvitals_tb.freed import free_at_once

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if sys.argv[1] == "fixed":
    free_at_once()
del_me = np.ones(3 << 20)
del del_me
before = resident()
many = [np.ones(1 << 20) for _ in range(20)]
stays = np.ones(1 << 20)
del many
print(resident() - before)
"""


def left(how: str) -> int:
    program = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(program, check=True, capture_output=True, text=True, cwd=Path.cwd()).stdout)


def test_large_arrays_leave_no_heap_behind() -> None:
    assert left("as ever") > 100 << 20  # else there is nothing to do any more
    assert left("fixed") < 20 << 20
