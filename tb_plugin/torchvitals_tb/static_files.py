"""The page's files, by their name in the URL; found once, so that no request names a path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

_TYPES: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
}
_HASHED: Final = re.compile(r"-(?=[\w-]*[\dA-Z])[\w-]{8}\.\w+$")  # Vite's way: chunk-B3xK9_qa.js
_YEAR: Final = 365 * 24 * 3600

ENTRY: Final = "index.js"
# Text nodes and constants alone: this is what remains when nothing was built.
_NOT_BUILT: Final = b"""\
export function render() {
  document.body.textContent =
    "The torchvitals page was not built: run 'pip install -e .' in the source tree, then start TensorBoard again.";
}
"""


class StaticFile(NamedTuple):
    """One file of the page."""

    path: Path | None
    """``None``: the entry module of a page that was not built."""
    content_type: str
    expires: int
    """Seconds a browser may keep it; 0: ask again each time."""

    def read(self) -> bytes:
        """The content. Raises OSError when the file is gone."""
        return _NOT_BUILT if self.path is None else self.path.read_bytes()


def find(folder: Path) -> dict[str, StaticFile]:
    """The files in ``folder`` that a page consists of, and the entry module in any case."""
    found = {ENTRY: StaticFile(None, _TYPES[".js"], 0)}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.suffix in _TYPES and path.is_file():
            expires = _YEAR if _HASHED.search(path.name) else 0
            found[path.name] = StaticFile(path, _TYPES[path.suffix], expires)
    return found
