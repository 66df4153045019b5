"""A diagnosis as text, for a terminal and for the message of a failed assertion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from torchvitals_tb.errors import printable
from torchvitals_tb.findings import Check, Diagnosis, Finding
from torchvitals_tb.words import end_of, listed

WIDEST: Final = 100
"""Longer lines are hard to read, however wide the terminal is."""

_STYLES: Final = {"critical": "bold red", "warning": "bold yellow", "info": "bold cyan"}
_SHOWN: Final = 5  # layers named of a finding
_NAME: Final = 40  # characters of such a name


def render(diagnosis: Diagnosis) -> RenderableType:
    """The findings of one run, worst first, then what was checked, and what could not be."""
    parts: list[RenderableType] = [_head(diagnosis), Text()]
    for finding in diagnosis:
        parts += [*_finding(finding, diagnosis.steps), Text()]
    if not diagnosis.findings:
        parts += [_nothing_found(diagnosis), Text()]
    parts.append(_lines(_checked(diagnosis), style="dim"))
    return Group(*parts)


def findings_text(findings: Iterable[Finding], steps: tuple[int, int] | None = None, width: int = 80) -> str:
    """Findings as plain text."""
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=False, force_jupyter=False, color_system=None)
    for i, finding in enumerate(findings):
        console.print(*([Text()] if i else []), *_finding(finding, steps), sep="\n")
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def counts(diagnoses: Sequence[Diagnosis]) -> str:
    """``5 runs: 1 critical, 1 with warnings, 3 without``: how many have what as their worst finding."""
    worst = [diagnosis.severity for diagnosis in diagnoses]
    said = [
        ("critical", "critical"),
        ("warning", "with warnings"),
        ("info", "with remarks"),
        (None, "without findings"),
    ]
    parts = [f"{worst.count(severity)} {words}" for severity, words in said if severity in worst]
    return f"{len(diagnoses)} runs: {', '.join(parts)}"


def _head(diagnosis: Diagnosis) -> Text:
    text = Text(printable(diagnosis.run), style="bold", overflow="fold")
    if diagnosis.steps is not None:
        text.append("  steps {} to {}".format(*diagnosis.steps), style="not bold")
    return text


def _nothing_found(diagnosis: Diagnosis) -> Text:
    if diagnosis.steps is None:
        return Text("nothing to look at: no sampled step there", style="yellow")
    if not any(check.outcome == "passed" for check in diagnosis.checks):
        return Text("nothing could be checked", style="yellow")
    return Text("nothing found", style="green")


def _finding(finding: Finding, steps: tuple[int, int] | None, *, effect: bool = False) -> Iterator[RenderableType]:
    head = Text.assemble((finding.severity, _STYLES[finding.severity]), "  ", (finding.code, "bold"))
    head.append(f"  {_when(finding, steps)}")
    yield head
    yield _indented(Text(printable(finding.message), overflow="fold"))
    # What an effect is and how to be rid of it is said where it is a finding of its own; here its cause counts.
    said = [] if effect else [("why", finding.why), ("try", finding.remedy)]
    if finding.layers:
        said.append(("layers", _names(finding.layers)))
    if said:
        yield _indented(_lines(said))
    if finding.effects:
        yield _indented(Text("explains"))
    for each in finding.effects:
        yield Padding(Group(*_finding(each, steps, effect=True)), (0, 0, 0, 4))


def _when(finding: Finding, steps: tuple[int, int] | None) -> str:
    if steps is None or finding.last_step >= steps[1]:
        return f"since step {finding.first_step}"
    if finding.first_step == finding.last_step:
        return f"at step {finding.first_step}"
    return f"steps {finding.first_step} to {finding.last_step}"


def _names(names: tuple[str, ...]) -> str:
    return listed([end_of(name or "the model", _NAME) for name in names], _SHOWN)


def _checked(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    passed = [check.code for check in diagnosis.checks if check.outcome == "passed"]
    if passed:
        yield "passed", ", ".join(passed)
    yield from (("not checked", line) for line in _by_reason(diagnosis.checks, "not checked"))
    yield from (("in part", line) for line in _by_reason(diagnosis.checks, "passed", "found"))
    yield from (("note", note) for note in diagnosis.notes)


def _by_reason(checks: Iterable[Check], *outcomes: str) -> Iterator[str]:
    """One line for all that were not checked for the same reason."""
    codes: dict[str, list[str]] = {}
    for check in checks:
        if check.outcome in outcomes and (check.reason or "not checked" in outcomes):
            codes.setdefault(check.reason, []).append(check.code)
    for reason, names in codes.items():
        yield ", ".join(names) + (f": {reason}" if reason else "")


def _lines(said: Iterable[tuple[str, str]], style: str = "") -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold", style=style)
    for label, text in said:
        table.add_row(Text(label), Text(printable(text)))
    return table


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 2))
