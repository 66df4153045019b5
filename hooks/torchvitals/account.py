"""What measuring costs the training, beside the time it takes in our own code."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

_KEPT: Final = 15
_LEAST: Final = 5
_MOST: Final = 2.0
"""Where every sampled step is one of the user's evaluations too, nothing tells the two apart."""


class Account:
    """Seconds that measuring costs, from the seconds inside our own code.

    Calls of hooked modules take PyTorch's slower path, what was in the cache is there no more, and in the step after,
    the thread that writes holds Python's lock: that is a third of the cost and more, and in none of our functions. So
    the rest of a sampled step, and the step after it, are compared to the steps around them, and the time inside is
    taken times the median of what comes out.
    """

    def __init__(self) -> None:
        self._usual: deque[float] = deque(maxlen=_KEPT)
        """Seconds of steps that were not sampled, nor came after one that was: that one is still being written then."""
        self._factors: deque[float] = deque(maxlen=_KEPT)
        self._ended: float | None = None
        self._inside = 0.0
        self._sampled: tuple[float, float] | None = (0.0, 0.0)
        """Seconds inside and outside of our own code of the step before, if that was sampled."""
        self._most = 0.0

    def step_ended(self, inside: float, *, sampled: bool, now: float) -> None:
        """A step is over.

        Args:
            inside: seconds in our own code so far.
            sampled: whether the step was measured.
            now: seconds, of any clock.
        """
        if self._ended is not None:
            ours = inside - self._inside
            others = now - self._ended - ours
            if not sampled and self._sampled is None:
                self._usual.append(others)
            elif not sampled and self._sampled is not None and len(self._usual) >= _LEAST:
                measured, beside = self._sampled
                if measured > 0:
                    self._factors.append(1 + (beside + others - 2 * median(self._usual)) / measured)
            self._sampled = (ours, others) if sampled else None
        self._ended, self._inside = now, inside

    def seconds(self, inside: float) -> float:
        """What so many seconds in our own code have cost; never less than was said before."""
        factor = median(self._factors) if len(self._factors) >= _LEAST else 1.0
        self._most = max(self._most, inside * min(max(factor, 1.0), _MOST))
        return self._most
