"""Which rules there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from torchvitals_tb.findings import CODES, Finding

if TYPE_CHECKING:
    from torchvitals_tb.rules.view import View


class NotCheckedError(Exception):
    """A rule cannot say anything about a run; the text says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One question asked of every run."""

    code: str
    question: str
    find: Callable[[View], Iterable[Finding]]


RULES: Final[dict[str, Rule]] = {}
"""By the code of what they find, in the order in which they are asked."""


def rule(
    code: str, question: str
) -> Callable[[Callable[[View], Iterable[Finding]]], Callable[[View], Iterable[Finding]]]:
    """Registers a rule.

    Args:
        code: of `CODES`; one rule each.
        question: what it answers, for the reader of a report.

    Raises:
        ValueError: not a code, or a second rule for one.
    """
    if code not in CODES:
        raise ValueError(f"code {code!r} is none of {', '.join(CODES)}")

    def register(find: Callable[[View], Iterable[Finding]]) -> Callable[[View], Iterable[Finding]]:
        if code in RULES:
            raise ValueError(f"there is a rule for {code!r} already: {RULES[code].find.__name__}")
        RULES[code] = Rule(code, question, find)
        return find

    return register
