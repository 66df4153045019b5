"""The command line: ``torchvitals diagnose``, ``summary``, ``report``, and what entry points add.

Nothing is imported before it is used, and torch never: all of this runs where torch is not installed.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, NoReturn

from torchvitals_tb.errors import TorchvitalsError, listing, printable, quoted, unknown
from torchvitals_tb.version import __version__

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from torchvitals_tb.choice import Skipped
    from torchvitals_tb.findings import Diagnosis, Finding
    from torchvitals_tb.reader import Run

COMMANDS: Final = "torchvitals.commands"
"""Entry points ``name = "module:command"``, each a ``command(argv: list[str]) -> int``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: without the program's name; those of the process when not given.

    Returns:
        The exit status: 0, or 2 after a sentence on stderr when something cannot be read or is not known; of
        ``diagnose --fail-on`` 1 when there are such findings.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    added = {point.name: point for point in entry_points(group=COMMANDS)}
    try:
        if arguments and arguments[0] in added:
            return _load(added[arguments[0]])(arguments[1:])
        return _run(arguments, sorted(added))
    except TorchvitalsError as error:
        print(f"torchvitals: {printable(str(error))}", file=sys.stderr)  # noqa: T201
        return 2
    except BrokenPipeError:  # torchvitals summary runs | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except SystemExit as done:  # argparse, after --help and --version
        return int(done.code or 0)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; ``--help`` says the rest."""

    def error(self, message: str) -> NoReturn:
        raise TorchvitalsError(f"{message}; see '{self.prog} --help'")


def _run(arguments: list[str], added: list[str]) -> int:
    parser = _Parser(prog="torchvitals", description="The vital signs of a PyTorch network in training.")
    parser.add_argument("--version", action="version", version=f"torchvitals {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    _add_diagnose(commands)
    _add_summary(commands)
    _add_report(commands)
    for name in added:
        commands.add_parser(name, help=f"see 'torchvitals {name} --help'", add_help=False)
    if not arguments:
        parser.print_help()
        return 0
    if not arguments[0].startswith("-") and arguments[0] not in commands.choices:
        raise unknown("command", arguments[0], sorted(commands.choices))
    options = vars(parser.parse_args(arguments))
    command: Callable[..., int] = options.pop("command")
    return command(**options)


# Each command: how it is called, and what it does ---------------------------------------------------------------------


def _add_diagnose(commands: Any) -> None:
    diagnose = commands.add_parser(
        "diagnose",
        help="what is wrong in a run, since when, and what to try",
        description="What is wrong in a run, where, since when, and what to try. Of several runs the worst come first.",
        epilog="exit status: 0 when runs were read; 1 when there is a finding at or above --fail-on; 2 when nothing "
        "could be read, or one of the runs that --run names could not. Among several runs one that cannot be read is "
        "otherwise only named, on stderr.",
    )
    diagnose.add_argument("logdir", metavar="LOGDIR", help=_LOGDIR)
    diagnose.add_argument("--run", metavar="GLOB", help=_GLOB)
    diagnose.add_argument("--json", action="store_true", help="an array with an object for each run, and nothing else")
    diagnose.add_argument("--fail-on", choices=("warning", "critical"), help="exit with 1 on findings of that severity")
    diagnose.add_argument("--since", type=int, metavar="STEP", help="look only at sampled steps from this one on")
    diagnose.set_defaults(command=_diagnose)


def _diagnose(logdir: str, run: str | None, json: bool, fail_on: str | None, since: int | None) -> int:
    from torchvitals_tb import diagnosis
    from torchvitals_tb.choice import choose
    from torchvitals_tb.findings import SEVERITIES

    choice = choose(logdir, run)
    found = [made for _, made in choice.each(lambda opened: diagnosis.examine(opened, since=since))]
    found.sort(key=lambda each: -1 if each.severity is None else SEVERITIES.index(each.severity), reverse=True)
    if found:
        (_print_json if json else _print_diagnoses)(found)
    _name_skipped(choice.skipped)
    if choice.skipped and (run is not None or not found):
        return 2
    return int(fail_on is not None and any(_reaches(each, fail_on) for each in found))


def _reaches(findings: Iterable[Finding], severity: str) -> bool:
    """Whether a finding, or one that it explains, is at least that severe."""
    from torchvitals_tb.findings import SEVERITIES

    least = SEVERITIES.index(severity)
    return any(SEVERITIES.index(f.severity) >= least or _reaches(f.effects, severity) for f in findings)


def _print_json(found: list[Diagnosis]) -> None:
    sys.stdout.write("[\n" + ",\n".join(each.to_json() for each in found) + "\n]\n")  # a line for each run
    sys.stdout.flush()  # here, where a pipe that ended is noticed


def _print_diagnoses(found: list[Diagnosis]) -> None:
    from rich.console import Group
    from rich.text import Text

    from torchvitals_tb.diagnosis_text import WIDEST, counts, render

    console = _console()
    width = min(console.width, WIDEST)
    line = Text("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * width, style="dim")
    parts: list[RenderableType] = [render(found[0])]
    for each in found[1:]:
        parts += [line, render(each)]
    if len(found) > 1:
        parts += [line, Text(counts(found), style="bold")]
    _print(console, Group(*parts), width)


def _add_summary(commands: Any) -> None:
    summary = commands.add_parser("summary", help="the layers of a run and their last vital signs")
    summary.add_argument("logdir", metavar="LOGDIR", help=_LOGDIR)
    summary.add_argument("--run", metavar="NAME", help="which run, by its path below LOGDIR")
    summary.set_defaults(command=_summary)


def _summary(logdir: str, run: str | None) -> int:
    from torchvitals_tb.summary import render

    console = _console()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are among the notes below the table
        table = render(_open(logdir, run), console.width)
    _print(console, table)
    return 0


def _open(logdir: str, name: str | None) -> Run:
    from torchvitals_tb.files import find_runs
    from torchvitals_tb.reader import load_run

    runs = find_runs(logdir)
    if name is not None and name not in runs:
        raise unknown("run", name, runs, quoted(logdir))
    if name is None and len(runs) > 1 and "." not in runs:
        raise TorchvitalsError(f"{quoted(logdir)} holds several runs; choose one with --run: {listing(list(runs))}")
    if name is None and len(runs) == 1:
        (name,) = runs
    return load_run(logdir if name is None else runs[name])


def _add_report(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="one HTML file with the page and the data of the runs inside",
        description="Writes one HTML file with the page and the data of the runs inside. It opens in any current "
        "browser, without TensorBoard and without a network.",
        epilog="exit status: 0 when the file was written; 2 when nothing could be read or written, or one of the runs "
        "that --run names could not be read.",
    )
    report.add_argument("logdir", metavar="LOGDIR", help=_LOGDIR)
    report.add_argument("-o", "--output", metavar="FILE", required=True, help="the file to write, such as report.html")
    report.add_argument("--run", metavar="GLOB", help=_GLOB)
    report.set_defaults(command=_report)


def _report(logdir: str, output: str, run: str | None) -> int:
    from rich.text import Text

    from torchvitals_tb.report import write_report

    made = write_report(logdir, output, run=run)
    console = _console()
    runs = "1 run" if len(made.runs) == 1 else f"{len(made.runs)} runs"
    console.print(Text(printable(f"{made.path}: {runs}, {made.size / 1e6:.1f} MB")))
    for what in made.left_out:
        console.print(Text(printable(f"left out of {what}"), style="yellow"))
    _name_skipped(made.skipped)
    return 2 if made.skipped and run is not None else 0


_LOGDIR: Final = "directory of a run, or one that holds runs"
_GLOB: Final = "only runs whose path below LOGDIR matches this shell pattern"


def _console() -> Console:
    """Of stdout: coloured in a terminal alone, whatever the environment says."""
    from rich.console import Console

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without "…" gets a "?"
    return Console(highlight=False, force_terminal=None if sys.stdout.isatty() else False)


def _print(console: Console, what: RenderableType, width: int | None = None) -> None:
    if console.is_terminal:
        console.print(what, width=width)
        return
    with console.capture() as captured:
        console.print(what, width=width)
    for line in captured.get().splitlines():  # which are filled up with spaces
        sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


def _name_skipped(skipped: Iterable[Skipped]) -> None:
    for each in skipped:
        print(f"torchvitals: {printable(str(each))}", file=sys.stderr)  # noqa: T201


def _load(point: EntryPoint) -> Callable[[list[str]], int]:
    try:
        command: Callable[[list[str]], int] = point.load()
    except Exception as error:
        raise TorchvitalsError(f"the command {quoted(point.name)} cannot be loaded: {error}") from error
    return command
