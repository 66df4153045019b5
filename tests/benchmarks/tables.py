"""Numbers as tables, and what they were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch


@dataclass
class Table:
    """A table for the README."""

    title: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"**{self.title}**", "", _line(self.header), "|" + " --- |" * len(self.header)]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, *(["", *self.notes] if self.notes else []), ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and between what the middle half lies."""
    if not values:
        return "-"
    middle = f"{statistics.median(values):.{digits}f}"
    if len(values) < 3:
        return middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle} ({low:.{digits}f}-{high:.{digits}f})"


def size(count: float | None) -> str:
    """Bytes as people read them."""
    if count is None:
        return "-"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} B"


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def environment(device: str, threads: int) -> str:
    """Machine and versions, in a sentence."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "tensorboard")]
    where = f"{_processor()}, {os.cpu_count()} cores, {threads} threads"
    if device.startswith("cuda"):
        where = f"{torch.cuda.get_device_name()}, {where}"
    return f"{where}, {platform.system()}; {', '.join(versions)}; `{command()}`"


def command() -> str:
    return " ".join(["python -m tests.benchmarks", *sys.argv[1:]])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
