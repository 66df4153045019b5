"""Rules: pure functions from a run to findings, one registry."""

from __future__ import annotations

from torchvitals_tb.rules import gradients, initialization, numbers, units, updates
from torchvitals_tb.rules.registry import RULES, NotCheckedError, Rule, rule

__all__ = [
    "RULES",
    "NotCheckedError",
    "Rule",
    "gradients",
    "initialization",
    "numbers",
    "rule",
    "units",
    "updates",
]
