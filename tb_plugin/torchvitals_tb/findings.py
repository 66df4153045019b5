"""What a diagnosis consists of: findings with their evidence, and what was checked.

Everything is frozen, hashable by value where that makes sense, and goes to JSON and back unchanged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args, overload

SCHEMA_VERSION: Final = 1

Code = Literal[
    "vanishing-gradient",
    "exploding-gradient",
    "dead-units",
    "dormant-units",
    "saturated-units",
    "non-finite",
    "poor-initialization",
    "update-too-large",
    "update-too-small",
    "no-gradient",
    "gradient-underflow",
    "gradient-clipping",
    "collapsed-output",
]
CODES: Final[tuple[str, ...]] = get_args(Code)

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[str, ...]] = get_args(Severity)
"""From least to most."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A piece of what decided a finding: one statistic, of some rows, on some steps; enough to draw it."""

    statistic: str
    """As in `torchvitals_tb.schema.STATISTICS`."""
    caption: str
    """What it shows, in one sentence."""
    rows: tuple[str, ...]
    """Names of layers or parameters, the decisive one first or in depth order."""
    steps: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]
    """Per step, a value per row; NaN: not measured."""
    expected: tuple[float, ...] | None = None
    """Per row, what a healthy network of this kind has; ``None`` where there is no such number."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, since when, and what to try."""

    code: str
    """One of `CODES`."""
    severity: str
    """One of `SEVERITIES`."""
    layers: tuple[str, ...]
    """Layers concerned (parameters where a rule is about those), the root cause's first."""
    first_step: int
    last_step: int
    message: str
    """What was seen, one sentence with the numbers."""
    why: str
    """Why it matters, one sentence."""
    remedy: str
    """What to change, and to what."""
    evidence: tuple[Evidence, ...] = ()
    effects: tuple[Finding, ...] = ()
    """Findings that this one explains."""

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"code {self.code!r} is none of {', '.join(CODES)}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r} is none of {', '.join(SEVERITIES)}")

    def __str__(self) -> str:
        return f"{self.severity}: {self.code}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; ``from_dict`` reads them back."""
        return {
            "code": self.code,
            "severity": self.severity,
            "layers": list(self.layers),
            "first_step": self.first_step,
            "last_step": self.last_step,
            "message": self.message,
            "why": self.why,
            "remedy": self.remedy,
            "evidence": [_evidence_to_dict(e) for e in self.evidence],
            "effects": [effect.to_dict() for effect in self.effects],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Finding:
        """Inverse of `to_dict`. Raises ValueError when it is not a finding."""
        try:
            return cls(
                code=data["code"],
                severity=data["severity"],
                layers=tuple(map(str, data["layers"])),
                first_step=int(data["first_step"]),
                last_step=int(data["last_step"]),
                message=str(data["message"]),
                why=str(data["why"]),
                remedy=str(data["remedy"]),
                evidence=tuple(_evidence_from_dict(e) for e in data.get("evidence", ())),
                effects=tuple(cls.from_dict(e) for e in data.get("effects", ())),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a finding: {error!r}") from error

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Finding:
        """Inverse of `to_json`. Raises ValueError when it is not a finding."""
        return cls.from_dict(json.loads(text))


@dataclass(frozen=True, slots=True)
class Check:
    """One rule that was applied to a run, or why it could not be."""

    code: str
    question: str
    outcome: Literal["found", "passed", "not checked"]
    reason: str = ""
    """Why it was not checked, or in part not."""


@dataclass(frozen=True)
class Diagnosis(Sequence[Finding]):
    """The findings of one run, worst first, and all that was checked. Iterates over the findings."""

    run: str
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()
    steps: tuple[int, int] | None = None
    """First and last sampled step looked at."""
    notes: tuple[str, ...] = field(default=())
    """What could not be read, in sentences."""

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def severity(self) -> str | None:
        """The worst severity among the findings, ``None`` without any."""
        return max((f.severity for f in self.findings), key=SEVERITIES.index, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; ``from_dict`` reads them back."""
        return {
            "v": SCHEMA_VERSION,
            "run": self.run,
            "steps": None if self.steps is None else list(self.steps),
            "findings": [finding.to_dict() for finding in self.findings],
            "checks": [
                {"code": c.code, "question": c.question, "outcome": c.outcome, "reason": c.reason} for c in self.checks
            ],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Diagnosis:
        """Inverse of `to_dict`. Raises ValueError when it is not a diagnosis."""
        try:
            first_last = data.get("steps")
            return cls(
                run=str(data["run"]),
                findings=tuple(Finding.from_dict(f) for f in data["findings"]),
                checks=tuple(
                    Check(str(c["code"]), str(c["question"]), c["outcome"], str(c.get("reason", "")))
                    for c in data.get("checks", ())
                ),
                steps=None if first_last is None else (int(first_last[0]), int(first_last[1])),
                notes=tuple(map(str, data.get("notes", ()))),
            )
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"not a diagnosis: {error!r}") from error

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Diagnosis:
        """Inverse of `to_json`. Raises ValueError when it is not a diagnosis."""
        return cls.from_dict(json.loads(text))


def _evidence_to_dict(evidence: Evidence) -> dict[str, Any]:
    return {
        "statistic": evidence.statistic,
        "caption": evidence.caption,
        "rows": list(evidence.rows),
        "steps": list(evidence.steps),
        "values": [[_plain(x) for x in row] for row in evidence.values],
        "expected": None if evidence.expected is None else [_plain(x) for x in evidence.expected],
    }


def _evidence_from_dict(data: dict[str, Any]) -> Evidence:
    expected = data.get("expected")
    return Evidence(
        statistic=str(data["statistic"]),
        caption=str(data["caption"]),
        rows=tuple(map(str, data["rows"])),
        steps=tuple(map(int, data["steps"])),
        values=tuple(tuple(_number(x) for x in row) for row in data["values"]),
        expected=None if expected is None else tuple(_number(x) for x in expected),
    )


def _plain(x: float) -> float | str | None:
    """JSON knows neither NaN nor infinity."""
    if math.isnan(x):
        return None
    return x if math.isfinite(x) else ("inf" if x > 0 else "-inf")


def _number(x: Any) -> float:
    return math.nan if x is None else float(x)
