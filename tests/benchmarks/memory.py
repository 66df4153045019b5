"""How much memory a process holds, and held at most. Linux says; elsewhere nothing is said."""

from __future__ import annotations

from pathlib import Path

import torch

_PROC = Path("/proc")


def forget_peak(device: str) -> None:
    """From here on a new peak counts."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        (_PROC / "self/clear_refs").write_text("5")
    except OSError:
        pass


def peak(device: str) -> int | None:
    """Bytes held at most: of the device, or resident of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return _status("self", "VmHWM")


def resident(pid: int, field: str = "VmRSS") -> int | None:
    """Bytes resident of a process and of those that it started."""
    own = _status(str(pid), field)
    return None if own is None else own + sum(resident(child, field) or 0 for child in _children(pid))


def highest(pid: int) -> int | None:
    """The same at most so far, each of them at its own time."""
    return resident(pid, "VmHWM")


def _status(pid: str, name: str) -> int | None:
    try:
        for line in (_PROC / pid / "status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return None


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for tasks in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            found += map(int, tasks.read_text().split())
        except OSError:
            continue
    return found
