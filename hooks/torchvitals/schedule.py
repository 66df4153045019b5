"""Which optimizer steps are sampled, and which samples carry the heavier records."""

from __future__ import annotations

import operator
from dataclasses import dataclass

GRACE_SECONDS = 5.0
"""Time that may be spent on measuring before the overhead limit applies."""
_DENSE = 20
_WIDEST = 1000
_CAPPED = _DENSE * 1024  # from here on the stride is the widest; counted from here, so that no gap is wider
_RECORD_EVERY = 4


@dataclass(frozen=True)
class Schedule:
    """Steps are counted from where the hooks were attached."""

    every: int | None
    """A fixed cadence, or ``None`` for the default: the first 20 steps, then 20 per doubling, at most 1,000 apart."""
    overhead: float
    """Largest share of the training time the default schedule may spend on measuring, after `GRACE_SECONDS`."""

    def __post_init__(self) -> None:
        if self.every is not None:
            if isinstance(self.every, bool) or not hasattr(self.every, "__index__"):
                raise TypeError(f"every must be a whole number of steps or None, not {self.every!r}")
            object.__setattr__(self, "every", operator.index(self.every))
        if self.every is not None and self.every < 1:
            raise ValueError(f"every={self.every}: must be at least 1 (every step), or None for the default schedule")
        if isinstance(self.overhead, bool) or not isinstance(self.overhead, int | float):
            raise TypeError(f"overhead must be a share of the training time such as 0.02, not {self.overhead!r}")
        if not 0 < self.overhead <= 1:
            raise ValueError(f"overhead={self.overhead}: must be above 0 and at most 1 (0.02 is 2 % of the time)")

    def samples(self, offset: int, measuring: float = 0.0, training: float = 0.0) -> bool:
        """Whether to sample the step ``offset`` steps after attaching, having spent so many seconds on each."""
        if self.every is not None:
            return offset % self.every == 0
        if (offset - _CAPPED if offset >= _CAPPED else offset) % stride(offset):
            return False
        return measuring <= GRACE_SECONDS or measuring <= self.overhead * training


def stride(offset: int) -> int:
    """Distance between samples of the default schedule around a step: a power of two, at most 1,000."""
    if offset < 2 * _DENSE:
        return 1
    return min(1 << ((offset // _DENSE).bit_length() - 1), _WIDEST)


def records(sample: int) -> bool:
    """Whether the given sample (counted from 0) carries histograms and units: the first few, then every fourth."""
    return sample < _RECORD_EVERY or sample % _RECORD_EVERY == 0


def finds_edges(sample: int) -> bool:
    """Whether the given sample also looks for what feeds what: that seldom changes, and walks the graph."""
    return sample < _RECORD_EVERY or sample % (4 * _RECORD_EVERY) == 0
