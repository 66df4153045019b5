"""A thread that works off jobs in order."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

logger: Final = logging.getLogger("torchvitals")

MOST: Final = 4
"""Jobs that may wait, then who brings another one waits too: nothing is lost, and nothing piles up."""
_AGAIN: Final = 1.0  # seconds; a finalizer that comes between a look and the wait after it may have had the notice


class Line:
    """Jobs, done one after the other in a thread of their own, which starts with the first and leaves nothing undone.

    What a job raises is logged. It may bring further jobs, but nothing waits inside the thread. A finalizer may bring
    one too, in any thread and in the middle of any of these methods.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()  # its lock may be taken again by a finalizer in the same thread
        self._working = False
        self._ended = False
        self._thread: threading.Thread | None = None
        _lines.add(self)

    def is_here(self) -> bool:
        """Whether this is the line's own thread."""
        return threading.current_thread() is self._thread

    def put(self, job: Callable[[], None], *, waits: bool = True) -> None:
        """Has a job done when its turn comes; ``waits``: where too many of them do."""
        new = None
        with self._changed:
            if waits and not self.is_here():
                self._until(lambda: len(self._jobs) < MOST)
            self._jobs.append(job)
            self._changed.notify_all()
            if self._thread is None:
                new = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread = self._thread or new  # a finalizer may have been first, just now
        if new is not None and new is self._thread:
            try:
                new.start()  # not with the lock: who collects in the new thread may want it before that has begun
            except RuntimeError:  # the interpreter is going down
                with self._changed:
                    self._thread = None
                    self._changed.notify_all()
                while self._jobs:
                    _do(self._jobs.popleft())

    def wait(self) -> None:
        """Until everything brought so far is done."""
        if not self.is_here():
            with self._changed:
                self._until(lambda: not self._jobs and not self._working)

    def end(self) -> None:
        """Finishes what there is, and the thread with it. The next job starts another."""
        with self._changed:
            thread = self._thread
            if thread is None:
                return
            self._ended = True
            self._changed.notify_all()
            if self.is_here():
                return
            # Joining alone would not do: a frame further out may hold the lock, which only waiting lets go of.
            self._until(lambda: self._thread is not thread)
        if thread.is_alive():
            thread.join()

    def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._changed.wait(_AGAIN)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._until(lambda: bool(self._jobs) or self._ended)
                if not self._jobs:
                    self._thread, self._ended = None, False
                    self._changed.notify_all()
                    return
                job = self._jobs.popleft()
                self._working = True
                self._changed.notify_all()
            _do(job)
            del job
            with self._changed:
                self._working = False
                self._changed.notify_all()


def _do(job: Callable[[], None]) -> None:
    try:
        job()
    except Exception:
        logger.exception("torchvitals could not write")


_lines: Final[weakref.WeakSet[Line]] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    """The threads would stop in the middle."""
    for line in list(_lines):
        line.wait()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lines.clear)  # the threads are the parent's
