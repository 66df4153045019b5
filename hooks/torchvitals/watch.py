"""Diagnosis while training goes on: now and then the run is read back and asked all rules."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from torchvitals.recorder import Recorder

if TYPE_CHECKING:
    from torchvitals_tb.findings import Diagnosis, Finding

logger: Final = logging.getLogger("torchvitals")

_FIRST = 16  # samples before the first look; then twice as many each time, so that looks cost less and less
_MOST_BYTES = 64 << 20  # of the run's files: reading more would be felt


class Watch:
    """Looks at the run after 16, 32, 64, … samples, and tells of every kind of finding once."""

    def __init__(self, recorder: Recorder, on_finding: Callable[[Finding], None] | None) -> None:
        self._recorder = recorder
        self._on_finding = on_finding
        self._next = _FIRST
        self._told: set[str] = set()

    def diagnose(self) -> Diagnosis:
        """Of what is recorded so far.

        Raises:
            TorchvitalsError: nothing is, or the files cannot be read back.
        """
        from torchvitals_tb.diagnosis import diagnose

        self._recorder.flush()
        return diagnose(self._recorder.directory)

    def is_worth_it(self) -> bool:
        """Whether there is enough for a look at the end."""
        return self._recorder.samples >= _FIRST

    def is_due(self) -> bool:
        """Whether it is time for a look."""
        return self._recorder.samples >= self._next

    def look(self) -> None:
        """Diagnoses, logs what is new, and calls back. Remarks (``info``) are not told."""
        while self._next <= self._recorder.samples:
            self._next *= 2
        if self._recorder.size() > _MOST_BYTES:
            return
        for finding in self.diagnose():
            if finding.severity != "info" and finding.code not in self._told:
                self._told.add(finding.code)
                logger.warning("torchvitals finds %s Try: %s", finding, finding.remedy)
                if self._on_finding is not None:
                    self._on_finding(finding)
