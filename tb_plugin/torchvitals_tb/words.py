"""How numbers and names are put into a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence


def counted(number: int, what: str) -> str:
    """``1 record``, ``2 records``."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def listed(names: Sequence[str], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def percent(share: float) -> str:
    """``12 %``; never 0 or 100 where it is not exactly that."""
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")


def number(x: float) -> str:
    """A number for a sentence: three digits, powers of ten where it is far from one."""
    if x == 0 or not math.isfinite(x):
        return f"{x:g}"
    return f"{x:.3g}" if 1e-3 <= abs(x) < 1e5 else f"{x:.1e}"


def times(ratio: float) -> str:
    """``30 times``, ``10^6 times``."""
    if not ratio < 1e100:
        return "beyond measure"
    return f"{ratio:.0f} times" if ratio < 1e4 else f"10^{math.log10(ratio):.0f} times"


def end_of(name: str, width: int) -> str:
    """The last ``width`` characters of a long name, which tell layers apart."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]
