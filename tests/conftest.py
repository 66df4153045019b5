"""What tests of several folders share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import FLAGS, installed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each worker has a core; read when torch is imported


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all: Playwright runs only once in a process."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # five seconds are too few for a machine that does other things as well
    path = installed()
    assert path, "no Chromium or Chrome: run tests/e2e/browser.py for what to do"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS, chromium_sandbox=False)
        yield chromium
        chromium.close()
