"""Which runs of a log directory a command is about; what cannot be read is named and left out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, TypeVar

from torchvitals_tb.errors import TorchvitalsError, quoted, unknown
from torchvitals_tb.files import find_runs, open_run
from torchvitals_tb.reader import Run
from torchvitals_tb.remembering import Remembering

T = TypeVar("T")


class Skipped(NamedTuple):
    """A run that could not be read, and why."""

    run: str
    why: str

    def __str__(self) -> str:
        return f"run {quoted(self.run)} was left out: {self.why}"


@dataclass
class Choice:
    """The runs chosen, by their names."""

    runs: dict[str, Path]
    skipped: list[Skipped] = field(default_factory=list)
    """Grows while the runs are read."""

    def each(self, use: Callable[[Run], T]) -> Iterator[tuple[str, T]]:
        """Opens one run after the other and gives its name and what ``use`` makes of it."""
        for name, path in self.runs.items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # they are among the run's notes
                    made = use(_open(name, path))
            except TorchvitalsError as error:
                self.skipped.append(Skipped(name, str(error)))
            except Exception as error:  # one broken run must not keep the others from being looked at
                self.skipped.append(Skipped(name, f"{type(error).__name__}: {error}"))
            else:
                yield name, made


def choose(logdir: str | os.PathLike[str], pattern: str | None = None) -> Choice:
    """The runs at and below a directory, or the one in an event file.

    Args:
        logdir: directory of a run, or one that holds runs, or an event file.
        pattern: only runs of this name, or whose name matches this shell pattern.

    Raises:
        TorchvitalsError: there is no run at all, or none of that name.
    """
    top = Path(logdir)
    found = {_plain(name): path for name, path in find_runs(top).items()} if top.is_dir() else {}
    skipped = _unreadable(top) if top.is_dir() else []
    if not found and not skipped:
        found = {_plain(open_run(top).name): top}  # an event file; else it raises, and says what is wrong
    if "." in found:
        # TensorBoard calls it so too, but a report on ten of these should say which is which.
        own = _plain(top.resolve().name)
        if own and own not in found:
            found = {(own if name == "." else name): path for name, path in found.items()}
    if pattern is None:
        return Choice(found, skipped)
    chosen = {name: path for name, path in found.items() if _matches(name, pattern)}
    skipped = [s for s in skipped if _matches(s.run, pattern)]
    if not chosen and not skipped:
        raise unknown("run", pattern, found, quoted(str(logdir)))
    return Choice(chosen, skipped)


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def _open(name: str, path: Path) -> Run:
    return Run(Remembering(open_run(path), name))  # the last folder's name alone is ambiguous among several runs


def _plain(name: str) -> str:
    """A name that can be encoded; file names need not be."""
    return name.encode("utf-8", "backslashreplace").decode()


def _unreadable(top: Path) -> list[Skipped]:
    """Folders and event files that may not be read, which a search for runs passes over."""
    skipped: list[Skipped] = []

    def note(path: str | Path, why: str | None) -> None:
        name = _plain(Path(path).relative_to(top).as_posix())
        skipped.append(Skipped(name, f"cannot read {quoted(str(path))}: {why}"))

    for folder, _, names in os.walk(top, onerror=lambda error: note(error.filename, error.strerror)):
        for path in (Path(folder, name) for name in names if "tfevents" in name):
            if path.is_file() and not os.access(path, os.R_OK):
                note(path, "permission denied")
    return skipped
