"""For the tests of a training: it ends healthy, or the test fails and says what is wrong."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator

from torchvitals_tb import diagnosis
from torchvitals_tb.choice import Choice, choose
from torchvitals_tb.diagnosis_text import findings_text
from torchvitals_tb.errors import TorchvitalsError, quoted, unknown
from torchvitals_tb.findings import CODES, SEVERITIES, Diagnosis, Finding


class NothingReadError(TorchvitalsError):
    """There is nothing to judge the training by."""


def assert_healthy(
    logdir: str | os.PathLike[str],
    *,
    allow: Iterable[str] = (),
    severity: str = "warning",
    run: str | None = None,
) -> None:
    """Fails a test when the diagnosis of a training finds something wrong.

    >>> def test_training_stays_healthy(tmp_path):
    ...     writer = SummaryWriter(tmp_path)
    ...     attach_hooks(model, writer, every=1)
    ...     train(model, steps=200)
    ...     writer.close()
    ...     assert_healthy(tmp_path, allow=["dormant-units"])

    Args:
        logdir: directory of a run, or one that holds runs: then all of them.
        allow: codes of findings that are fine here, as in `torchvitals_tb.findings.CODES`. A finding that only explains
            others may be allowed without them.
        severity: the least that counts: ``"info"``, ``"warning"`` or ``"critical"``.
        run: only runs of this name, or whose name matches this shell pattern.

    Raises:
        AssertionError: there are findings; the message has all of them.
        TorchvitalsError: nothing could be read, or no step was sampled, so that nothing can be said; of several runs
            with some unreadable a warning is given instead.
        ValueError: ``allow`` names no code, or ``severity`` no severity.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    allowed = frozenset([allow] if isinstance(allow, str) else allow)
    for code in sorted(allowed - set(CODES)):
        raise unknown("code", code, CODES)
    if severity not in SEVERITIES:
        raise unknown("severity", severity, SEVERITIES)
    choice = choose(logdir, run)
    read = [found for _, found in choice.each(diagnosis.examine)]
    _require(logdir, choice, read, exact=run is not None)
    counting = {s for s in SEVERITIES if SEVERITIES.index(s) >= SEVERITIES.index(severity)}
    ill = [(found, list(_unhealthy(found, allowed, counting))) for found in read]
    ill = [(found, findings) for found, findings in ill if findings]
    if ill:
        total = sum(len(findings) for _, findings in ill)
        head = f"{quoted(str(logdir))} is not healthy: {total} finding{'s' if total > 1 else ''}"
        raise AssertionError("\n\n".join([head, *(_section(*each, named=len(read) > 1) for each in ill)]))


def _require(logdir: str | os.PathLike[str], choice: Choice, read: list[Diagnosis], *, exact: bool) -> None:
    """Raises unless there is enough to judge by: an assertion that looked at nothing must not pass."""
    reasons = [str(skipped) for skipped in choice.skipped]
    if reasons and (exact or not read):
        raise NothingReadError("; ".join(reasons))
    if not any(found.steps for found in read):
        raise NothingReadError(f"no step was sampled in {quoted(str(logdir))}, so nothing can be said of its health")
    for reason in reasons:
        warnings.warn(reason, UserWarning, stacklevel=3)


def _unhealthy(findings: Iterable[Finding], allowed: frozenset[str], counting: set[str]) -> Iterator[Finding]:
    for finding in findings:
        if finding.code not in allowed and finding.severity in counting:
            yield finding
        else:  # what an allowed cause leads to is not allowed with it
            yield from _unhealthy(finding.effects, allowed, counting)


def _section(found: Diagnosis, findings: list[Finding], *, named: bool) -> str:
    text = findings_text(findings, found.steps)
    return f"run {quoted(found.run)}\n\n{text}" if named else text
