"""The command line: ``torchvitals summary LOGDIR``, and what is added under the entry points ``torchvitals.commands``.

Nothing is imported before it is used: ``torchvitals summary`` runs where torch is not installed.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final, NoReturn

from torchvitals_tb.errors import TorchvitalsError, listing, printable, quoted, unknown
from torchvitals_tb.version import __version__

if TYPE_CHECKING:
    from torchvitals_tb.reader import Run

COMMANDS: Final = "torchvitals.commands"
"""Entry points ``name = "module:command"``, each a ``command(argv: list[str]) -> int``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: without the program's name; those of the process when not given.

    Returns:
        The exit status: 0, or 2 after one sentence on stderr when something cannot be read or is not known.
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
    summary = commands.add_parser("summary", help="the layers of a run and their last vital signs")
    summary.add_argument("logdir", metavar="LOGDIR", help="directory of a run, or one that holds runs")
    summary.add_argument("--run", metavar="NAME", help="which run, by its path below LOGDIR")
    for name in added:
        commands.add_parser(name, help=f"see 'torchvitals {name} --help'", add_help=False)
    if not arguments:
        parser.print_help()
        return 0
    if not arguments[0].startswith("-") and arguments[0] not in commands.choices:
        raise unknown("command", arguments[0], sorted(commands.choices))
    options = parser.parse_args(arguments)
    return _summary(options.logdir, options.run)


def _summary(logdir: str, name: str | None) -> int:
    from rich.console import Console

    from torchvitals_tb.summary import render

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without "…" gets a "?"
    console = Console()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are among the notes below the table
        table = render(_open(logdir, name), console.width)
    console.print(table)
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


def _load(point: EntryPoint) -> Callable[[list[str]], int]:
    try:
        command: Callable[[list[str]], int] = point.load()
    except Exception as error:
        raise TorchvitalsError(f"the command {quoted(point.name)} cannot be loaded: {error}") from error
    return command
