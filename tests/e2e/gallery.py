"""Makes the README's pictures: the demo in TensorBoard, each lens in light and dark.

``make gallery`` or ``python tests/e2e/gallery.py``; the pictures go beside this file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.e2e.browser import FLAGS, installed
from tests.e2e.conftest import TensorBoard
from torchvitals.demo import NETWORKS, train

FOLDER = Path(__file__).parent / "gallery"
STEPS = 400
PICTURES = {
    "diagnosis": {"run": "killed", "lens": "diagnosis"},
    "gradient-flow": {"run": "vanishing", "lens": "gradient", "stat": "gradient/rms", "step": "200"},
    "dead-units": {"run": "killed", "lens": "dead", "layer": "5"},
    "distributions": {"run": "vanishing", "lens": "distributions", "by": "depth"},
    "structure": {"run": "killed", "lens": "structure", "layer": "5"},
    "compare": {"run": "killed", "vs": "healthy", "lens": "gradient", "stat": "gradient/rms"},
    "compare-diagnosis": {"run": "killed", "vs": "healthy", "lens": "diagnosis"},
    "inspector": {"run": "killed", "lens": "gradient", "layer": "5", "step": "150", "inspector": "1"},
}


def main() -> int:
    path = installed()
    if path is None:
        print("no Chromium or Chrome: run tests/e2e/browser.py for what to do", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for network in NETWORKS:
            print(f"training {network.name} …")
            train(network, Path(folder) / network.name, steps=STEPS, seed=0)
        server = TensorBoard(Path(folder))
        try:
            server.wait_for({network.name: STEPS - 1 for network in NETWORKS})
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=FLAGS, chromium_sandbox=False)
                for name, state in PICTURES.items():
                    for theme in ("light", "dark"):
                        take(browser, server.url, state, theme, FOLDER / f"{name}-{theme}.png")
                browser.close()
        finally:
            server.stop()
    return 0


def take(browser: Browser, url: str, state: dict[str, str], theme: str, file: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url + "#torchvitals" + "".join(f"&p.torchvitals.{key}={value}" for key, value in state.items()))
    frame = page.wait_for_selector("iframe[src*='name=torchvitals']", state="attached").content_frame()
    assert frame is not None
    frame.wait_for_function("document.querySelector('.lens') && !document.querySelector('.waiting')")
    if theme == "dark":
        page.evaluate("document.body.classList.add('dark-mode')")
    page.wait_for_timeout(1500)  # pictures are drawn after their data came
    page.screenshot(path=str(file))
    page.close()
    print(file)


if __name__ == "__main__":
    sys.exit(main())
