"""What can be wrong with a request for data, each said in one sentence: what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from torchvitals_tb.words import listed

_LONGEST = 120  # names come from files; a sentence stays a sentence


class TorchvitalsError(ValueError):
    """The data cannot be read, or what was asked for is not there."""


class UnknownNameError(TorchvitalsError, LookupError):
    """No run, statistic or layer of that name."""


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> UnknownNameError:
    """The error for a name that is not there, with the closest one that is."""
    names = list(known)
    sentence = f"no {kind} {quoted(name)}" + (f" in {where}" if where else "")
    close = closest(name, names)
    if close is not None:
        return UnknownNameError(f"{sentence}; did you mean {quoted(close)}?")
    if not names:
        return UnknownNameError(f"{sentence}; there is none")
    return UnknownNameError(f"{sentence}; there is {listing(names)}")


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or ``None`` when none is."""
    found = difflib.get_close_matches(name[:_LONGEST], [k for k in known if len(k) <= _LONGEST], n=1)
    return found[0] if found else None


def listing(names: list[str], most: int = 8) -> str:
    """The first names in quotes, and how many more there are."""
    return listed([quoted(name) for name in names], most)


def quoted(name: str) -> str:
    """``name`` in quotes, with what cannot be printed escaped, and cut when it is very long."""
    return printable(repr(name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"))


def printable(text: str) -> str:
    """``text`` without what cannot be encoded or would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
