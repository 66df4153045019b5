"""Findings and diagnoses: JSON both ways, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from torchvitals_tb.findings import CODES, Check, Diagnosis, Evidence, Finding

EVIDENCE = Evidence(
    "gradient/rms", "Down.", ("a", "b"), (1, 2), ((1.0, math.nan), (math.inf, -math.inf)), expected=(1.0, math.nan)
)


def finding(code: str = "dead-units", severity: str = "warning", **changed: object) -> Finding:
    given = {"layers": ("a",), "first_step": 1, "last_step": 9, "message": "m", "why": "w", "remedy": "r"} | changed
    return Finding(code, severity, **given)  # type: ignore[arg-type]


def same(a: object, b: object) -> bool:
    return repr(a) == repr(b)  # NaN is not equal to itself


def test_json_both_ways() -> None:
    effect = finding("non-finite", "critical", evidence=(EVIDENCE,))
    whole = finding(evidence=(EVIDENCE, EVIDENCE), effects=(effect, finding("no-gradient", effects=(effect,))))
    assert same(Finding.from_json(whole.to_json()), whole)
    json.loads(whole.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    checks = (Check("no-gradient", "?", "not checked", "nothing"), Check("dead-units", "?", "found"))
    diagnosis = Diagnosis("run", (whole,), checks, (0, 9), ("a note",))
    assert same(Diagnosis.from_json(diagnosis.to_json()), diagnosis)
    assert same(Diagnosis.from_json(Diagnosis("empty").to_json()), Diagnosis("empty"))


def test_a_diagnosis_is_a_sequence_of_its_findings() -> None:
    diagnosis = Diagnosis("run", (finding(severity="info"), finding(severity="critical"), finding()))
    assert len(diagnosis) == 3 and next(iter(diagnosis)) is diagnosis[0] and diagnosis[1:] == diagnosis.findings[1:]
    assert diagnosis.severity == "critical" and Diagnosis("run").severity is None and not Diagnosis("run")


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding().code = "x"  # type: ignore[misc]
    assert str(finding()) == "warning: dead-units: m"


@pytest.mark.parametrize(("code", "severity"), [("dead-unit", "warning"), ("dead-units", "fatal")])
def test_unknown_words_are_refused(code: str, severity: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        finding(code, severity)


@pytest.mark.parametrize("text", ["{}", "[]", '{"code": "dead-units"}', "3", '{"findings": 3, "run": "x"}'])
def test_broken_json_is_a_value_error(text: str) -> None:
    for kind in (Finding, Diagnosis):
        with pytest.raises(ValueError, match=r"not a (finding|diagnosis)"):
            kind.from_json(text)


def test_codes_are_the_public_ones() -> None:
    assert len(CODES) == len(set(CODES)) == 13
