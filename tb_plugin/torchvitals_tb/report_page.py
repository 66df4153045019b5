"""The HTML of a report: the built page, the answers it will ask for, and a script between the two.

Nothing in the file is loaded from anywhere, and a content security policy says so to the browser: scripts and styles
run by their hashes alone, a worker from what such a script made, and no connection of any kind is allowed. What comes
from a log directory is base64 or escaped, so that no name in it can end an element.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

from torchvitals_tb.errors import TorchvitalsError
from torchvitals_tb.static_files import ENTRY
from torchvitals_tb.version import __version__

STATIC: Final = Path(__file__).parent / "static"

_EXPORT: Final = re.compile(r"export\s*\{\s*([\w$]+) as render\s*\};?\s*$")

# The page asks with fetch and knows no other way; it is told what the routes would have answered. Nor has it a folder
# to start its workers from: their scripts are in the file too.
_SHIM: Final = """\
(() => {
  "use strict";
  const about = JSON.parse(document.getElementById("torchvitals-about").text);
  const key = (url) => {
    url.searchParams.delete("most"); // asks for less than all at first; here all is at hand
    url.searchParams.sort();
    return `${url.pathname.split("/").pop()}?${url.searchParams}`;
  };
  const held = new Map();
  for (const script of document.querySelectorAll("script[data-route]")) {
    held.set(key(new URL(script.dataset.route, "http://report/")), script);
  }
  const answer = (url) => {
    const script = held.get(key(url));
    if (!script) {
      const error = "this is not in the report, which leaves out what does not fit; TensorBoard has it";
      return new Response(JSON.stringify({ error }), { status: 404 });
    }
    const text = atob(script.text);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const body = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(body, { headers: { "Content-Type": script.dataset.type } });
  };
  window.fetch = async (input) => answer(new URL(input instanceof Request ? input.url : input, document.baseURI));

  const worker = (url) => {
    const name = new URL(url, document.baseURI).pathname.split("/").pop();
    const script = document.querySelector(`script[data-worker="${CSS.escape(name)}"]`);
    return URL.createObjectURL(new Blob([script.text], { type: "text/javascript" }));
  };
  window.Worker = class extends Worker {
    constructor(url) {
      super(worker(url)); // no module: those of a file may not be started from one
    }
  };

  const note = (text) => {
    const box = document.createElement("div");
    const close = document.createElement("button");
    box.className = "report-note";
    box.setAttribute("role", "status");
    box.dataset.testid = "report-note";
    box.textContent = text;
    close.textContent = "Dismiss";
    close.onclick = () => box.remove();
    box.append(close);
    document.body.append(box);
  };
  addEventListener("DOMContentLoaded", () => {
    if (typeof DecompressionStream === "undefined") note("This browser is too old to open the report");
    if (about.left_out.length > 0) note(`Not in this report: ${about.left_out.join("; ")}`);
  });
})();
"""

# The page says there that it asks for new data every few seconds, which is not so here.
_STYLE: Final = """\
.status > .muted { display: none }
.report-note {
  position: fixed; right: 12px; bottom: 36px; max-width: 480px; max-height: 30vh; overflow: auto; padding: 8px 12px;
  background: var(--warning-soft, #fdf3df); color: var(--text, #1c2128); border: 1px solid var(--line, #d5dae1);
  overflow-wrap: anywhere;
}
.report-note button { margin-left: 8px; font: inherit; }
"""


class Answer(NamedTuple):
    """What a route would answer."""

    route: str
    """With its parameters, as in an address."""
    data: str
    """The body, compressed, as base64."""
    content_type: str

    @classmethod
    def of(cls, route: str, parameters: Mapping[str, str], body: bytes, content_type: str) -> Answer:
        """The answer of a route to these parameters."""
        query = urlencode({name: _wellformed(value) for name, value in parameters.items()})
        data = base64.b64encode(gzip.compress(body, 6, mtime=0)).decode()
        return cls(f"{route}?{query}" if query else route, data, content_type)


def assemble(answers: Sequence[Answer], *, title: str, left_out: Sequence[str] = (), static: Path = STATIC) -> bytes:
    """The whole file.

    Args:
        answers: all that the page may ask for.
        title: of the document.
        left_out: what is missing, in sentences; shown beside the page.
        static: folder of the built page.

    Raises:
        TorchvitalsError: the page was not built.
    """
    page = _page(static)
    styles = [_STYLE, *(_no_end(path.read_text(encoding="utf-8"), "style") for path in sorted(static.glob("*.css")))]
    policy = (
        f"default-src 'none'; script-src {_hashes([_SHIM, page])}; style-src {_hashes(styles)}; img-src data:; "
        "worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    about = json.dumps({"left_out": list(left_out)}).replace("<", "\\u003c")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="generator" content="torchvitals {__version__}">',
        '<link rel="icon" href="data:,">',
        f"<title>{html.escape(_wellformed(title))}</title>",
        *(f"<style>{style}</style>" for style in styles),
        f'<script type="application/json" id="torchvitals-about">{about}</script>',
        *(
            f'<script type="text/plain" data-type="{answer.content_type}" data-route="{html.escape(answer.route)}">'
            f"{answer.data}</script>"
            for answer in answers
        ),
        *(
            f'<script type="text/plain" data-worker="{path.name}">'
            f"{_no_end(path.read_text(encoding='utf-8'), 'script')}</script>"
            for path in sorted(static.glob("*.worker.js"))
        ),
        f"<script>{_SHIM}</script>",
        f'<script type="module">{page}</script>',
        "</head><body><noscript>This report is shown by a script, and scripts are switched off here.</noscript>",
        "</body></html>",
    ]
    return "\n".join(parts).encode()


def _page(static: Path) -> str:
    """The entry module of the page, with the call that a host would make after importing it."""
    try:
        text = (static / ENTRY).read_text(encoding="utf-8")
    except OSError:
        text = ""
    called, found = _EXPORT.subn(r"\1();", text)
    if not found:
        raise TorchvitalsError("the page was not built: run 'pip install -e .' in the source tree, then try again")
    return _no_end(called, "script")


def _no_end(text: str, element: str) -> str:
    r"""``text`` without what would end the element around it; ``\x3c`` is the same in strings and expressions."""
    if element == "style":
        return re.sub(r"<(?=/style)", r"\\3c ", text, flags=re.IGNORECASE)
    return re.sub(r"<(?=/script|!--)", r"\\x3c", text, flags=re.IGNORECASE)


def _hashes(texts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _wellformed(text: str) -> str:
    """``text`` with lone surrogates replaced, as a browser does when it builds an address."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
