"""What is around the lenses: one line of header, address, keys, exports, frames of others; and no barrier in any."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Frame, Page, expect

from tests.e2e.conftest import STEPS, TensorBoard
from tests.e2e.test_page import open_page
from tests.e2e.test_states import LENSES, PAGE, go, hash_of
from torchvitals.demo import NETWORKS

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def board(demo) -> Iterator[TensorBoard]:
    """Under a path of a host that has others, too."""
    server = TensorBoard(demo.logdir, "--load_fast", "false", "--path_prefix", "/some/where")
    server.wait_for({network.name: STEPS - 1 for network in NETWORKS})
    yield server
    server.stop()


def dark(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")


# Header -------------------------------------------------------------------------------------------------------------

LINE = """() => {
  const boxes = [...document.querySelector(".header").children].map((e) => e.getBoundingClientRect());
  const wraps = [...document.querySelectorAll("[role=tab]")].filter((e) => e.getClientRects().length !== 1
    || e.firstChild.parentElement.scrollWidth > e.clientWidth);
  const overlaps = boxes.filter((b, i) => i > 0 && b.left < boxes[i - 1].right - 0.5);
  return [overlaps.length, wraps.length, boxes.at(-1).right, document.documentElement.scrollWidth];
}"""


def test_the_header_is_one_line_from_1024_pixels(page, board):
    page.goto(board.url + PAGE + "#" + hash_of({"run": "vanishing", "vs": "killed", "lens": "gradient"}))
    page.locator("[data-testid=heatmap]").first.wait_for()
    # Names as long as those of real experiments.
    for width in (1024, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 700})
        page.evaluate(
            "document.querySelectorAll('.chooser bdi').forEach(e => { e.textContent = 'sweep/lr=0.1/'.repeat(20) })"
        )
        assert page.evaluate(LINE) == [0, 0, width - 12, width]
        assert page.locator(".header").bounding_box()["height"] == 44


# Address ------------------------------------------------------------------------------------------------------------


def test_the_view_survives_tabs_reload_and_the_back_button(page, board):
    state = {"run": "vanishing", "vs": "killed", "lens": "gradient", "stat": "activation/std", "layer": "4",
             "step": "100", "steps": "50:200", "axis": "log", "inspector": "1"}  # fmt: skip
    frame = open_page(page, board.url, **state)

    def seen() -> dict[str, str]:
        readout = frame.locator("[data-testid=cursor-readout]").first
        expect(readout).to_have_attribute("data-step", "100")
        expect(readout).to_have_attribute("data-layer", "4")
        return {
            "run": frame.locator("[data-testid=run-select]").input_value(),
            "vs": frame.locator("[data-testid=versus-select]").input_value(),
            "stat": frame.locator("[data-testid=stat-select]").input_value(),
            "from": frame.locator("[aria-label='First step']").input_value(),
            "axis": frame.locator("[aria-label='Step axis'] [aria-pressed=true]").inner_text(),
            "inspector": str(frame.locator("[data-testid=inspector]").count()),
        }

    wanted = {"run": "vanishing", "vs": "=killed", "stat": "activation/std", "from": "50", "axis": "Log",
              "inspector": "1"}  # fmt: skip
    assert seen() == wanted
    tab = page.locator("[role=tab]")
    tab.filter(has_text="Time Series").first.click()
    page.wait_for_url(re.compile("#timeseries"))
    tab.filter(has_text=re.compile("vitals", re.I)).first.click()
    page.wait_for_url(re.compile("#torchvitals"))
    assert seen() == wanted
    page.keyboard.press("3")  # the focus is still on TensorBoard's tab
    frame.wait_for_selector("[data-testid=dead-row]")
    page.wait_for_url(re.compile("lens=dead"))
    page.go_back()
    assert seen() == wanted
    page.reload()
    frame = page.wait_for_selector("iframe[src*='name=torchvitals']", state="attached").content_frame()
    assert seen() == wanted


def test_nothing_is_asked_for_while_another_tab_is_shown(page, board):
    frame = open_page(page, board.url, run="healthy", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/torchvitals/" in request.url else None)
    with page.expect_request("**/torchvitals/runs*", timeout=8000):
        pass
    tab = page.locator("[role=tab]")
    tab.filter(has_text="Time Series").first.click()
    page.wait_for_url(re.compile("#timeseries"))
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(6000)  # one and a half of its intervals
    assert asked == []
    with page.expect_request("**/torchvitals/runs*", timeout=2000):  # at once, not at the next interval
        tab.filter(has_text=re.compile("vitals", re.I)).first.click()


# Room ---------------------------------------------------------------------------------------------------------------

CUT = """() => [...document.querySelectorAll("#stage :is(button, select, th, [role=gridcell], [class*='col-'])")]
  .filter((e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.offsetWidth > 0)
  .flatMap((e) => {
    const { left, right } = e.getBoundingClientRect();
    for (let at = e.parentElement; at && at.id !== "stage"; at = at.parentElement) {
      if (getComputedStyle(at).overflowX === "visible") continue;
      if (/auto|scroll/.test(getComputedStyle(at).overflowX)) return [];
      const box = at.getBoundingClientRect();
      if (right > box.right + 1 || left < box.left - 1) return [`${e.className} ${e.textContent} ${right - box.right}`];
      return [];
    }
    return right > innerWidth + 1 ? [`${e.className} ${e.textContent}`] : [];
  })"""


@pytest.mark.parametrize("lens", LENSES)
def test_nothing_is_cut_from_1024_pixels(page, board, lens):
    page.goto(board.url + PAGE)
    for rest in ({}, {"inspector": "1"}, {"vs": "healthy"}, {"vs": "healthy", "inspector": "1"}):
        go(page, run="killed", lens=lens, **rest)
        for width in (1024, 1100, 1200, 1440):
            page.set_viewport_size({"width": width, "height": 700})
            page.wait_for_timeout(60)
            assert page.evaluate(CUT) == [], (rest, width)


# Keys and barriers --------------------------------------------------------------------------------------------------


def test_tabs_menu_and_help_by_keys(page, board):
    page.goto(board.url + PAGE + "#" + hash_of({"run": "killed", "lens": "diagnosis"}))
    page.locator("[data-testid=diagnosis-verdict]").wait_for()
    page.locator("[data-testid=lens-diagnosis]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-testid=lens-gradient]")).to_be_focused()
    page.locator("[data-testid=heatmap]").first.wait_for()
    assert page.locator("[role=tabpanel]").get_attribute("aria-labelledby") == "tab-gradient"

    page.keyboard.press("?")
    help_ = page.locator("dialog.help")
    expect(help_).to_contain_text("Previous, next sampled step")
    listed = help_.locator("dt").all_inner_texts()
    assert {"1", "5", "/", "t", "i", "?", "0"} <= {key for text in listed for key in text.split()}
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()
    expect(page.locator("[data-testid=lens-gradient]")).to_be_focused()
    page.keyboard.press("1")
    page.keyboard.press("?")
    expect(help_).to_contain_text("Previous, next finding")
    expect(help_).not_to_contain_text("sampled step")
    page.keyboard.press("?")
    expect(help_).to_be_hidden()

    opener = page.locator("[data-testid=export-menu] summary")
    opener.focus()
    page.keyboard.press("ArrowDown")
    items = page.locator("[data-testid=export-menu] [role=menuitem]")
    expect(items.first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(items.last).to_be_focused()
    page.keyboard.press("Escape")
    expect(items.first).to_be_hidden()
    expect(opener).to_be_focused()


LATE = """addEventListener("close", (event) => {
  if (!event.isTrusted) return;
  event.stopImmediatePropagation();
  setTimeout(() => event.target.dispatchEvent(new Event("close")), 200);
}, true)"""


def test_keys_right_after_the_help_is_closed_count(page, board):
    """A dialog is closed at once, and says so some time after, here always: as late as where the page is busy."""
    page.goto(board.url + PAGE + "#" + hash_of({"run": "killed", "lens": "gradient"}))
    page.locator("[data-testid=heatmap]").first.wait_for()
    page.evaluate(LATE)
    note = page.locator("dialog.help dt").first
    for key, lens in ("1", "diagnosis"), ("2", "gradient"):
        page.keyboard.press("?")
        note.wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press(key)
        expect(page.locator(f"[data-testid=lens-{lens}]")).to_have_attribute("aria-selected", "true")
        page.wait_for_timeout(250)
    page.keyboard.press("?")
    note.wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("?")  # opened again, before the page has heard that it was closed
    page.wait_for_timeout(250)
    expect(note).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_barrier(page, board, theme):
    page.goto(board.url + PAGE + "#" + hash_of({"run": "killed"}))
    if theme == "dark":
        dark(page)
    page.evaluate(AXE.read_text())
    found = []
    for lens in LENSES:
        for state in ({}, {"table": "1", "inspector": "1", "layer": "5"}):
            go(page, run="killed", lens=lens, **state)
            page.wait_for_timeout(100)
            # In the dark the elements are the same, only their colours are not.
            only = ", runOnly: ['color-contrast']" if theme == "dark" else ""
            result = page.evaluate("axe.run(document, {resultTypes: ['violations']" + only + "})")
            serious = [v for v in result["violations"] if v["impact"] in ("serious", "critical")]
            found += [(lens, v["id"], [node["html"][:120] for node in v["nodes"]][:3]) for v in serious]
    assert found == []


# Exports ------------------------------------------------------------------------------------------------------------


def export(page: Page | Frame, item: str) -> None:
    page.locator("[data-testid=export-menu] summary").click()
    page.locator("[data-testid=export-menu] [role=menuitem]", has_text=item).click()


@pytest.mark.parametrize(
    ("theme", "state"),
    [
        ("light", {"run": "vanishing", "lens": "gradient", "layer": "20", "inspector": "1"}),
        ("dark", {"run": "killed", "lens": "diagnosis"}),
        ("light", {"run": "killed", "lens": "gradient", "table": "1", "steps": "0:60"}),
    ],
)
def test_a_picture_is_what_is_seen(page, board, theme, state):
    page.goto(board.url + PAGE)
    if theme == "dark":
        dark(page)
    page.set_viewport_size({"width": 1280, "height": 500})
    go(page, **state)
    page.wait_for_timeout(300)
    for scroller in (".rows-scroll", ".findings", ".table-scroll"):
        if page.locator(scroller).count():
            page.locator(scroller).first.evaluate("e => { e.scrollTop = 90 }")
    stage, menu = (page.locator(at).bounding_box() for at in ("#stage", "[data-testid=export-menu]"))
    with page.expect_download() as download:
        export(page, "PNG")
    assert download.value.suggested_filename.startswith(f"torchvitals-{state['run']}-")
    picture = pixels(download.value.path().read_bytes())
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(1, 1)
    screen = pixels(page.locator("#stage").screenshot())
    height, width = screen.shape[:2]
    assert picture.shape[:2] == (2 * height, 2 * width)
    small = picture.reshape(height, 2, width, 2, 3).mean((1, 3))
    difference = np.abs(small - screen)
    assert difference.mean() < 8 / 255, "text and lines are drawn finer, but nothing is elsewhere"
    top, right = (int(menu[a] + menu[size] - stage[a]) for a, size in (("y", "height"), ("x", "width")))
    under = difference[top + 8 : top + 90, right - 140 : right].mean()
    assert under < 8 / 255, "the menu that it was chosen from is not in the picture"
    # Where nothing is written the colours are the very same.
    flat = np.abs(np.diff(screen, axis=1, prepend=0)).max(2) < 1 / 255
    assert np.median(difference[flat]) < 1.5 / 255
    # Shifted by some pixels it would fit far worse: a list scrolled otherwise would be noticed.
    assert np.abs(np.roll(small, 5, axis=0) - screen).mean() > 2.5 * difference.mean()


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.float64) / 255


def test_a_link_is_copied_or_shown_to_be_copied(page, board):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(board.url + PAGE + "#" + hash_of({"run": "killed", "lens": "gradient"}))
    page.locator("[data-testid=heatmap]").first.wait_for()
    page.keyboard.press("t")
    export(page, "Copy link")
    said = page.locator(".menu-said")
    expect(said).to_have_text("Link copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(board.url)
    assert copied.endswith("#" + hash_of({"run": "killed", "lens": "gradient", "table": "1"})[1:])
    expect(said).to_be_empty()
    page.evaluate(
        "() => { document.execCommand = () => false; navigator.clipboard.writeText = () => Promise.reject() }"
    )
    export(page, "Copy link")
    address = page.locator("[data-testid=export-address]")
    expect(address).to_have_value(copied)
    expect(address).to_be_focused()
    page.keyboard.press("Escape")
    expect(address).to_have_count(0)


# Other people's frames ----------------------------------------------------------------------------------------------


@pytest.fixture
def notebook() -> Iterator[dict[str, str]]:
    """A server of another origin whose pages are as they are set here: path to HTML; its own address at ""."""
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = ("<!doctype html>" + pages.get(self.path, "")).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages[""] = f"http://localhost:{server.server_port}"
    yield pages
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["jupyter", "colab"])
def test_in_the_frame_of_a_notebook(page, board, notebook, kind):
    """Jupyter frames TensorBoard whole; Colab's frame is of another site, sandboxed, without clipboard or parent."""
    state = hash_of({"run": "killed", "lens": "gradient"})
    port, path = urlsplit(board.url).port, urlsplit(board.url).path
    whole = f"http://localhost:{port}{path}#torchvitals{state}"
    alone = f"http://127.0.0.1:{port}{path}{PAGE}#{state}"
    sandbox = 'sandbox="allow-scripts allow-same-origin allow-downloads"'
    frame_of = f'<iframe src="{whole}"' if kind == "jupyter" else f'<iframe {sandbox} src="{alone}"'
    notebook["/"] = frame_of + ' width="1200" height="700"></iframe>'
    page.goto(notebook[""] + "/")
    frame = page.wait_for_selector("iframe").content_frame()
    if kind == "jupyter":
        frame = frame.wait_for_selector("iframe[src*='name=torchvitals']", state="attached").content_frame()
    frame.wait_for_selector("[data-testid=heatmap]")
    assert frame.locator("[data-testid=run-select]").input_value() == "killed"
    frame.click("[data-testid=lens-dead]")
    frame.wait_for_selector("[data-testid=dead-row]")
    export(frame, "Copy link")
    expect(frame.locator(".menu-said")).to_have_text("Link copied")
    with page.expect_download() as download:
        export(frame, "PNG")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
