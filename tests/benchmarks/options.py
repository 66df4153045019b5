"""What the command was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    device: str
    threads: int
    repetitions: int
    seconds: float
    """That a comparison may take."""
    quick: bool
    large: bool
    peers: Sequence[str]
    peers_python: str
    say: Callable[[str], None]
    """Progress."""
