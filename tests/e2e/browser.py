"""The browser the tests drive: an installed Chromium or Chrome, else Playwright's own, else one sentence.

Run as a script it makes sure there is one, downloading Playwright's if needed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def installed() -> str | None:
    """Path of a browser on this machine, or ``None``."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def main() -> int:
    if installed():
        return 0
    print("No Chromium or Chrome found; trying Playwright's own download …")
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    if subprocess.run(command, check=False, capture_output=True).returncode == 0 and installed():
        return 0
    print(
        "The browser tests need Chromium. Install it with your system's packages, on Debian or Ubuntu:\n"
        "    sudo apt-get update && sudo apt-get install -y chromium",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
