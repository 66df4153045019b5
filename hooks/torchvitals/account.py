"""What measuring costs the training, beside the time it takes in our own code."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

_KEPT: Final = 15
_LEAST: Final = 5


class Account:
    """Seconds that measuring costs, from the seconds inside our own code.

    Calls of hooked modules take PyTorch's slower path, what was in the cache is there no more, and in the step after,
    the thread that writes holds Python's lock: that is a third of the cost and more, and in none of our functions. So
    the rest of a sampled step, and the step after it, are compared to the steps around them. What they are longer by is
    counted up to the time inside: where every sampled step is one of the user's evaluations too, nothing tells the two
    apart. Each sample is counted for itself, since one that comes after many unsampled steps costs more.
    """

    def __init__(self) -> None:
        self._usual: deque[float] = deque(maxlen=_KEPT)
        """Seconds of steps that were not sampled, nor came after one that was: that one is still being written then."""
        self._beside = 0.0
        """Seconds that sampled steps, and those after them, were longer than these."""
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
                longer = beside + others - 2 * median(self._usual)
                self._beside += min(max(longer, -measured), measured)
            self._sampled = (ours, others) if sampled else None
        self._ended, self._inside = now, inside

    def seconds(self, inside: float) -> float:
        """What so many seconds in our own code have cost; never less than these, or than was said before."""
        self._most = max(self._most, inside + max(self._beside, 0.0))
        return self._most
