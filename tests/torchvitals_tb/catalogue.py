"""One run of every kind that the reader must take: name -> what writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.synthetic import EventFile, write_run
from tests.torchvitals_tb.attempts import Attempt, manifest
from torchvitals_tb import schema


def _plain(folder: Path) -> None:
    write_run(folder, layers=14, steps=30, units=48, records=6, every=2)


def _not_finite(folder: Path) -> None:
    write_run(folder, layers=9, steps=20, units=16, kind="nan", records=3)


def _resumed(folder: Path) -> None:
    """Attempt 1 gets to step 20, attempt 2 goes on from 11; their records lie on different steps."""
    first = Attempt(folder, 1, manifest("a", "b", parameters=("a.w",)))
    for step in range(1, 21):
        first.frame(step, records=step % 5 == 0)
    second = Attempt(folder, 2, manifest("a", "b", parameters=("a.w",)))
    for step in range(11, 27):
        second.frame(step, records=step in (12, 23))


def _started_over(folder: Path) -> None:
    """Attempt 1 gets to step 30, attempt 2 starts at 1, on other steps, and is at 13."""
    first = Attempt(folder, 1, manifest("a", "b"))
    for step in range(2, 31, 2):
        first.frame(step, records=step % 6 == 0)
    second = Attempt(folder, 2, manifest("a", "b"))
    for step in range(1, 14, 2):
        second.frame(step, records=step % 5 == 0)


def _started_over_in_place(folder: Path) -> None:
    """The same in one file, as when a notebook cell runs twice."""
    with EventFile(folder) as file:
        first = Attempt(folder, 1, manifest("a", "b"), file)
        for step in (1, 2, 3, 4, 5, 8):
            first.frame(step)
        second = Attempt(folder, 2, manifest("a", "b"), file)
        for step in (1, 2, 3, 6):
            second.frame(step)


def _duplicates(folder: Path) -> None:
    attempt = Attempt(folder, 1, manifest("a", "b"))
    for step in (1, 2, 2, 3, 5, 4, 6, 6, 6):
        attempt.frame(step)


def _appended(folder: Path) -> None:
    """A third layer appears at step 6, a fourth at 9."""
    attempt = Attempt(folder, 1, manifest("a", "b", parameters=("a.w",)))
    for step in range(1, 13):
        if step == 6:
            attempt.announce(manifest("a", "b", "c", parameters=("a.w", "c.w")))
        if step == 9:
            attempt.announce(manifest("a", "b", "c", "d", parameters=("a.w", "c.w")))
        attempt.frame(step, records=step % 3 == 0)


def _changed(folder: Path) -> None:
    """Resumed with another model: ``b`` is gone, ``c`` is new and first."""
    first = Attempt(folder, 1, manifest("a", "b", "z"))
    for step in range(1, 9):
        first.frame(step, records=step in (3, 7))
    second = Attempt(folder, 2, manifest("c", "a", "z"))
    for step in range(6, 12):
        second.frame(step, records=step == 10)


def _segments(folder: Path) -> None:
    attempt = Attempt(folder, 1, manifest("a", "b"))
    for step in range(1, 31):
        attempt.frame(step, records=step % 4 == 0, segment=(step - 1) // 10)


def _segments_resumed(folder: Path) -> None:
    first = Attempt(folder, 1, manifest("a", "b"))
    for step in range(1, 31):
        first.frame(step, records=step % 4 == 0, segment=(step - 1) // 10)
    second = Attempt(folder, 2, manifest("a", "b"))
    for step in range(8, 22):
        second.frame(step, records=step % 7 == 0, segment=(step - 8) // 10)


def _two_files(folder: Path) -> None:
    """One training, whose writer was closed and opened again."""
    attempt = Attempt(folder, 1, manifest("a", "b"))
    for step in range(1, 6):
        attempt.frame(step)
    attempt.file.close()
    attempt.file = EventFile(folder, stamp=1_763_700_000)
    for step in range(6, 11):
        attempt.frame(step)


def _far(folder: Path) -> None:
    """Steps beyond 32 bits, and before zero."""
    attempt = Attempt(folder, 1, manifest("a"))
    for step in (-3, 0, 7, 1 << 40):
        attempt.frame(step)


def _newer(folder: Path) -> None:
    """Of a later version: other tags, more counters, more in the manifest, ``v`` 2."""
    from tests.synthetic import Summary, metadata, tensor

    text = manifest("a", "b").to_json().replace('"v":1', '"v":2,"colour":"red"').replace('"call"', '"pace":3,"call"')
    with EventFile(folder) as file:
        for step in (1, 2, 3):
            value = np.full(2, step, dtype=np.float32)
            newer = metadata(content=b'{"v":2}')
            file.write(
                step,
                {
                    schema.MANIFEST_TAG: text,
                    "new": Summary.Value(tag="torchvitals/activation/new", tensor=tensor(value), metadata=newer),
                    "rms": Summary.Value(tag="torchvitals/gradient/rms", tensor=tensor(value), metadata=newer),
                    schema.RUN_TAG: np.array([step, step, 0.0, 0.0, 0.0, 1024.0, 42.0]),
                },
            )


RUNS: dict[str, Callable[[Path], None]] = {
    "plain": _plain,
    "not finite": _not_finite,
    "resumed": _resumed,
    "started_over": _started_over,
    "started_over_in_place": _started_over_in_place,
    "duplicates": _duplicates,
    "appended": _appended,
    "changed": _changed,
    "segments": _segments,
    "segments_resumed": _segments_resumed,
    "two_files": _two_files,
    "far": _far,
    "newer": _newer,
    "deeper/down/größer": _duplicates,
}
