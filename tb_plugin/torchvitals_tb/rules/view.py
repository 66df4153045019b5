"""A run as the rules see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb.reader import Run


class View:
    """Statistics on common steps, rows in depth order, what belongs to what."""

    def __init__(self, run: Run, since: int | None = None) -> None:
        self.run = run
        start = 0 if since is None else int(np.searchsorted(run.steps, since))
        self.steps: NDArray[np.int64] = run.steps[start:]
        self._remark = ""

    def remark(self, text: str) -> None:
        """Says what a rule could not check in an otherwise checked run."""
        self._remark = text

    def take_remark(self) -> str:
        text, self._remark = self._remark, ""
        return text
