"""Chromium over its own pipe, as bare as a user's: Playwright's log of requests keeps up to 200 MB in the tab."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.e2e.browser import FLAGS


class Chromium:
    """A browser without a window; commands are those of the Chrome DevTools Protocol."""

    def __init__(self, path: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs, self._to = os.pipe()
        self._from, answers = os.pipe()
        own = ["--headless", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={self._folder.name}"]
        # The protocol's two ends are descriptors 3 and 4.
        shell = f'exec "$0" "$@" 3<&{theirs} 4>&{answers} 2>/dev/null'
        self._process = subprocess.Popen(["bash", "-c", shell, path, *own, *FLAGS], pass_fds=(theirs, answers))
        os.close(theirs)
        os.close(answers)
        self._read = b""
        self._sent = 0

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The answer to a command; events are not listened to."""
        self._sent += 1
        command = {"id": self._sent, "method": method, "params": parameters}
        os.write(self._to, json.dumps(command | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            while b"\0" not in self._read:
                part = os.read(self._from, 1 << 20)
                if not part:
                    raise RuntimeError("Chromium has ended")
                self._read += part
            message, _, self._read = self._read.partition(b"\0")
            answer = json.loads(message)
            if answer.get("id") != self._sent:
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            return dict(answer["result"])

    def close(self) -> None:
        self.send("Browser.close")
        self._process.wait(20)
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()


class Tab:
    """A tab whose first frame, known by a part of its address, is what it evaluates in.

    Args:
        browser: where to open it.
        url: of the page around the frame.
        frame: what the frame's address has in it.
        script: runs in each frame before any script of its own.
    """

    def __init__(self, browser: Chromium, url: str, frame: str, script: str) -> None:
        self._browser = browser
        self._target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.send("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        self.send("Emulation.setDeviceMetricsOverride", width=1600, height=900, deviceScaleFactor=1, mobile=False)
        self.send("Page.enable")
        self.send("Page.addScriptToEvaluateOnNewDocument", source=script)
        self.send("Page.navigate", url=url)
        end = time.monotonic() + 60
        ready = f"frames[0]?.location.href.includes({json.dumps(frame)})"
        while not self.send("Runtime.evaluate", expression=ready, returnByValue=True)["result"].get("value"):
            if time.monotonic() > end:
                raise RuntimeError(f"no frame in {url}")
            time.sleep(0.05)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """Value of an expression in the first frame, which may be a promise."""
        answer = self.send(
            "Runtime.evaluate",
            expression=f"frames[0].eval({json.dumps(expression)})",
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "no reason given"))
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **parameters: Any) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **parameters)

    def megabytes(self) -> float | None:
        """What the tab's process has to itself once garbage is collected; ``None`` without /proc."""
        for _ in range(2):
            self.send("HeapProfiler.collectGarbage")
        processes = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        sizes = [_private(int(p["id"])) for p in processes if p["type"] == "renderer"]
        found = [size for size in sizes if size is not None]
        return max(found) / 1e6 if found else None

    def close(self) -> None:
        self._browser.send("Target.closeTarget", targetId=self._target)


def _private(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
