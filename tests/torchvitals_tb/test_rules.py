"""The registry, what belongs to what, and runs that give a rule nothing to say."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import write_run
from tests.torchvitals_tb.attempts import Attempt, manifest
from torchvitals_tb import diagnose, load_run, rules
from torchvitals_tb.diagnosis import examine
from torchvitals_tb.findings import CODES, Finding
from torchvitals_tb.rules.causes import put_causes_first
from torchvitals_tb.rules.view import View, first_lasting, persistent
from torchvitals_tb.words import listed, number, percent, times


def test_a_rule_for_every_code() -> None:
    assert set(rules.RULES) == set(CODES)
    for entry in rules.RULES.values():
        assert entry.question.endswith("?")
        for part in ("Condition:", "Reads wrong:", "Source:"):
            assert part in (entry.find.__doc__ or ""), (entry.code, part)


def test_a_second_rule_for_a_code_is_refused() -> None:
    with pytest.raises(ValueError, match="there is a rule for 'dead-units' already"):
        rules.rule("dead-units", "?")(lambda view: [])
    with pytest.raises(ValueError, match="is none of"):
        rules.rule("dead", "?")


@pytest.mark.parametrize("kind", ["healthy", "vanishing", "dead", "nan"])
def test_synthetic_runs(kind: str, tmp_path: Path) -> None:
    write_run(tmp_path, layers=24, steps=60, kind=kind)
    diagnosis = diagnose(tmp_path)
    codes = {"vanishing": "vanishing-gradient", "nan": "non-finite"}
    if kind in codes:
        assert codes[kind] in {f.code for f in diagnosis}
    if kind == "healthy":
        assert not diagnosis.findings
    assert {check.code for check in diagnosis.checks} == set(CODES)
    for finding in diagnosis:
        assert finding.first_step <= finding.last_step and finding.layers and finding.evidence
        assert finding.message.endswith(".") and finding.why.endswith(".") and finding.remedy.endswith(".")


def test_the_nan_is_found_where_it_begins(tmp_path: Path) -> None:
    write_run(tmp_path, layers=24, steps=60, kind="nan")
    run = load_run(tmp_path)
    bad = run["activation/nonfinite_fraction"].values > 0
    t = int(np.argmax(bad.any(axis=1)))
    (first, *_) = [f for f in examine(run) if f.code == "non-finite"]
    assert first.layers[0] == run.layers[int(np.argmax(bad[t]))].name
    assert first.first_step == int(run["activation/nonfinite_fraction"].steps[t])


def test_nothing_to_look_at_is_said(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1)
    diagnosis = diagnose(tmp_path)
    assert not diagnosis.findings
    unchecked = [check for check in diagnosis.checks if check.outcome == "not checked"]
    assert len(unchecked) > 8 and all(check.reason for check in unchecked)


def test_since(tmp_path: Path) -> None:
    write_run(tmp_path, layers=24, steps=60, kind="nan")
    whole = diagnose(tmp_path)
    (finding,) = [f for f in whole if f.code == "non-finite"]
    assert whole.steps is not None and diagnose(tmp_path, since=whole.steps[1] + 1).steps is None
    later = diagnose(tmp_path, since=finding.first_step + 1)
    assert later.steps is not None and later.steps[0] > finding.first_step


def test_large_runs_are_diagnosed_quickly(tmp_path: Path) -> None:
    """A tenth of the largest in mind, in a tenth of its time; benchmarks have the whole."""
    write_run(tmp_path, layers=300, steps=700)
    start = time.process_time()
    diagnose(tmp_path)
    assert time.process_time() - start < 5


def finding(code: str, first: int = 0, severity: str = "warning") -> Finding:
    return Finding(code, severity, (code,), first, 9, "m.", "w.", "r.")


def test_causes_come_before_what_they_explain() -> None:
    (cause,) = put_causes_first([finding("non-finite", 7, "critical"), finding("update-too-large", 3)])
    assert cause.code == "update-too-large" and [f.code for f in cause.effects] == ["non-finite"]
    assert cause.severity == "critical"
    both = put_causes_first([finding("dead-units", 3), finding("update-too-large", 8)])
    assert [f.code for f in both] == ["dead-units", "update-too-large"]
    weak = put_causes_first([finding("poor-initialization", 0, "info"), finding("vanishing-gradient", 1)])
    assert len(weak) == 2


def test_words() -> None:
    assert [percent(x) for x in (0, 0.001, 0.5, 0.999, 1)] == ["0 %", "under 1 %", "50 %", "over 99 %", "100 %"]
    assert [number(x) for x in (0, 0.12345, 1e-9, 123456.0)] == ["0", "0.123", "1.0e-09", "1.2e+05"]
    assert times(30.2) == "30 times" and times(1e6) == "10^6 times"
    assert listed(["a", "b"]) == "a, b" and listed(list("abcde")) == "a, b, c and 2 more"
    holds = np.array([1, 0, 1, 1, 1, 0], dtype=bool)
    assert first_lasting(holds) == 2 and first_lasting(~holds) is None
    assert persistent(holds) and not persistent(holds, 0.9)


def test_view_aligns_statistics(tmp_path: Path) -> None:
    write_run(tmp_path, layers=9, steps=20)
    run = load_run(tmp_path)
    view = View(run, since=int(run.steps[5]))
    np.testing.assert_array_equal(view["gradient/rms"], run["gradient/rms"].values[5:].astype(np.float64))
    assert not view.from_start and View(run).from_start
