"""Cause before symptom: what a finding explains becomes its effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from torchvitals_tb.findings import SEVERITIES, Finding

_EXPLAINS: Final[dict[str, frozenset[str]]] = {
    "non-finite": frozenset(
        ("exploding-gradient", "collapsed-output", "dead-units", "gradient-underflow", "no-gradient")
    ),
    "update-too-large": frozenset(
        ("non-finite", "dead-units", "dormant-units", "saturated-units", "exploding-gradient", "collapsed-output",
         "vanishing-gradient", "gradient-underflow", "no-gradient")
    ),
    "exploding-gradient": frozenset(
        ("non-finite", "update-too-large", "gradient-clipping", "dead-units", "saturated-units")
    ),
    "poor-initialization": frozenset(
        ("vanishing-gradient", "exploding-gradient", "saturated-units", "collapsed-output", "dormant-units",
         "dead-units",
         "gradient-underflow", "update-too-large", "update-too-small", "no-gradient", "non-finite", "gradient-clipping")
    ),
    "dead-units": frozenset(("vanishing-gradient", "no-gradient", "collapsed-output", "dormant-units", "dead-units",
                             "gradient-underflow", "update-too-small")),
    "saturated-units": frozenset(("vanishing-gradient", "dormant-units", "collapsed-output", "gradient-underflow",
                                  "no-gradient", "update-too-small")),
    "vanishing-gradient": frozenset(("gradient-underflow", "update-too-small", "no-gradient", "collapsed-output")),
    "collapsed-output": frozenset(("vanishing-gradient", "no-gradient", "dormant-units", "gradient-underflow",
                                   "dead-units", "saturated-units", "collapsed-output")),
    "gradient-clipping": frozenset(("update-too-small",)),
    "no-gradient": frozenset(("dormant-units",)),
    "gradient-underflow": frozenset(("no-gradient", "update-too-small")),
}  # fmt: skip
"""What each code can be the cause of, if it began no later."""

_LOCAL: Final = ("dead-units", "saturated-units", "collapsed-output")
_RANK: Final = (
    "poor-initialization", "update-too-large", "exploding-gradient", "non-finite", "dead-units", "saturated-units",
    "collapsed-output", "vanishing-gradient", "gradient-clipping", "no-gradient", "update-too-small", "dormant-units",
    "gradient-underflow",
)  # fmt: skip
"""Of two findings that began together and could explain each other, the earlier one here is the cause."""


def put_causes_first(findings: Sequence[Finding], order: Sequence[str] = ()) -> list[Finding]:
    """The findings that nothing else explains, with what they explain as their effects.

    A finding that is only a remark explains nothing that is more than one.

    Args:
        findings: of one run.
        order: its layers in execution order: of layers that broke down together, the first is the cause.
    """
    place = {name: i for i, name in enumerate(order)}

    def key(finding: Finding) -> tuple[int, int, int, int]:
        local = finding.code in _LOCAL
        rank = min(map(_RANK.index, _LOCAL)) if local else _RANK.index(finding.code)
        # Gradients that vanish are lost in their format only at the end of the way.
        late = finding.code == "gradient-underflow" and finding.severity != "critical"
        return (
            finding.first_step + late * (1 << 40),
            rank,
            place.get(finding.layers[0], -1) if local else 0,
            _RANK.index(finding.code),
        )

    ordered = sorted(findings, key=key)
    roots: list[Finding] = []
    for finding in ordered:
        for i, cause in enumerate(roots):
            weaker = cause.severity == "info" and finding.severity != "info"
            if not weaker and finding.code in _EXPLAINS.get(cause.code, ()):
                worst = max(cause.severity, finding.severity, key=SEVERITIES.index)
                last = max(cause.last_step, finding.last_step)
                roots[i] = replace(cause, severity=worst, last_step=last, effects=(*cause.effects, finding))
                break
        else:
            roots.append(finding)
    return roots
