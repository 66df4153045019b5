"""From a run to its diagnosis: every rule asked, causes put before what they explain."""

from __future__ import annotations

import os

from torchvitals_tb import rules
from torchvitals_tb.findings import SEVERITIES, Check, Diagnosis, Finding
from torchvitals_tb.reader import Run, load_run
from torchvitals_tb.rules.causes import put_causes_first
from torchvitals_tb.rules.view import View


def diagnose(path: str | os.PathLike[str], *, since: int | None = None) -> Diagnosis:
    """What is wrong in a recorded run, worst first.

    >>> for finding in diagnose("runs/exp1"):
    ...     print(finding.severity, finding.message)

    Args:
        path: directory of a run, or one event file.
        since: look only at sampled steps from this one on.

    Raises:
        TorchvitalsError: there is no run, or it cannot be read.
    """
    return examine(load_run(path), since=since)


def examine(run: Run, *, since: int | None = None) -> Diagnosis:
    """`diagnose` for a run that is open already.

    Raises:
        TorchvitalsError: its manifest cannot be read.
    """
    view = View(run, since)
    found: list[Finding] = []
    checks: list[Check] = []
    for rule in rules.RULES.values():
        try:
            if not len(view.steps):
                raise rules.NotCheckedError("no step is recorded")
            findings = list(rule.find(view))
        except rules.NotCheckedError as error:
            checks.append(Check(rule.code, rule.question, "not checked", str(error)))
            continue
        found += findings
        checks.append(Check(rule.code, rule.question, "found" if findings else "passed", view.take_remark()))
    ordered = sorted(put_causes_first(found, view.names), key=lambda f: (-SEVERITIES.index(f.severity), f.first_step))
    steps = (int(view.steps[0]), int(view.steps[-1])) if len(view.steps) else None
    return Diagnosis(run.name, tuple(ordered), tuple(checks), steps, tuple(run.notes))
