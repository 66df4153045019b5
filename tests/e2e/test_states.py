"""The page in every state its data may be in: none, odd, broken, newer, gone, growing; and its server as well."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import TensorBoard
from tests.e2e.odd_runs import KEPT, ODD_NAMES, STEPS, write_odd_runs
from tests.synthetic import EventFile, model, statistics
from torchvitals_tb.schema import MANIFEST_TAG, RUN_TAG, tag_of

LENSES = ("diagnosis", "gradient", "dead", "distributions", "structure")
PAGE = "data/plugin_entry.html?name=torchvitals"
"""The page without TensorBoard around it, which takes a second less to open."""

SETTLED = """([run, lens, table]) => {
  const at = (selector) => document.querySelector(selector);
  const panel = at("#lens-panel");
  return at("[data-testid=run-select]")?.value === run
    && at("[role=tab][aria-selected=true]")?.dataset.testid === `lens-${lens}`
    && (at("[data-testid=table-toggle]")?.ariaPressed ?? String(table)) === String(table)
    && panel.querySelector(".lens") && !panel.querySelector(".waiting");
}"""


WATCH_FOR_JUMPS = """() => {
  window.jumps = 0;
  const look = () => { if (!document.querySelector("[data-testid=heatmap]")) window.jumps++; };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TensorBoard]:
    logdir = tmp_path_factory.mktemp("odd")
    write_odd_runs(logdir)
    server = TensorBoard(logdir, "--load_fast", "false", "--samples_per_plugin", f"torchvitals={KEPT}")
    server.wait_for(STEPS)
    yield server
    server.stop()


def go(page: Page, **state: str) -> None:
    """To another state of the page that is open, as a link pasted into it."""
    page.evaluate("hash => { location.hash = hash }", hash_of(state))
    page.wait_for_function(SETTLED, arg=[state["run"], state["lens"], bool(state.get("table"))])


def hash_of(state: dict[str, str]) -> str:
    return "".join(f"&p.torchvitals.{key}={quote(value, safe='')}" for key, value in state.items())


def later(page: Page, what: Locator, text: str) -> None:
    """Waits for a text, and lets the page look for news all the while instead of every few seconds."""
    for _ in range(100):
        if what.count() > 0 and text in what.first.inner_text():
            return
        page.clock.fast_forward(4000)
        page.wait_for_timeout(200)
    expect(what.first).to_contain_text(text)


def banners(page: Page) -> list[str]:
    return page.locator("[data-testid=error-banner]").all_inner_texts()


def test_every_lens_shows_every_odd_run(page, odd):
    page.goto(odd.url + PAGE)
    for run in STEPS:
        for lens in LENSES:
            for table in ("", "1") if run in ("all-nan", "one-step", "no-gradients") else ("",):
                go(page, run=run, lens=lens, table=table)
                assert page.locator(".banner.critical").count() == 0, (run, lens, banners(page))
    go(page, run="no-gradients", lens="gradient")
    expect(page.locator(".verdict")).to_contain_text("This run has no Gradient rms")
    expect(page.locator("[data-testid=stat-select]")).to_have_value("activation/rms")


def test_samples_that_tensorboard_dropped_are_counted(page, odd):
    page.goto(odd.url + PAGE + "#" + hash_of({"run": "dropped", "lens": "gradient"}))
    expect(page.locator("[data-testid=error-banner]")).to_have_text(
        "Note TensorBoard kept 20 of 100 samples, so there are gaps. "
        "Start it with --samples_per_plugin torchvitals=0 to see all"
    )


def test_a_newer_schema_is_said(page, odd):
    page.goto(odd.url + PAGE + "#" + hash_of({"run": "newer", "lens": "gradient"}))
    expect(page.locator("[data-testid=error-banner]")).to_contain_text("written by a newer torchvitals")
    expect(page.locator("[data-testid=heatmap]").first).to_be_visible()


@pytest.mark.parametrize("lens", LENSES)
def test_names_are_text(page, odd, lens):
    page.goto(
        odd.url + PAGE + "#" + hash_of({"run": "odd-names", "lens": lens, "layer": ODD_NAMES[0], "inspector": "1"})
    )
    page.wait_for_function(SETTLED, arg=["odd-names", lens, False])
    # Nothing of a name has become an element, and none makes the page wider.
    assert page.locator("img, b, i, script:not([nonce])", has_text=re.compile("bold|Odd")).count() == 0
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    rows = page.locator("[data-testid=tree-row][data-kind=leaf], [data-testid=dead-row]")
    if lens in ("gradient", "dead"):
        rows.first.wait_for()
        assert set(rows.evaluate_all("r => r.map(e => e.dataset.row ?? e.dataset.layer)")) == set(ODD_NAMES)


class Live:
    """A run that is being written."""

    def __init__(self, folder: Path) -> None:
        self.manifest = model(40, 8)
        self.values = statistics(self.manifest, 100, "healthy", np.random.default_rng(0))
        self.file = EventFile(folder)
        self.step = 0

    def write(self, steps: int) -> None:
        for step in range(self.step, self.step + steps):
            event: dict[str, object] = {tag_of(name): series[step] for name, series in self.values.items()}
            if step == 0:
                event[MANIFEST_TAG] = self.manifest.to_json()
            self.file.write(step, event | {RUN_TAG: np.array([step + 1.0, step, 0.1, 1.0])})
        self.step += steps


def test_from_nothing_to_a_run_that_grows_and_goes(page, serve, tmp_path, complaints):
    logdir = tmp_path / "logs"
    logdir.mkdir()
    server = serve(logdir, "--load_fast", "false")
    page.clock.install()
    page.goto(server.url + PAGE + "#" + hash_of({"lens": "gradient", "axis": "log"}))
    empty = page.locator("[data-testid=empty-state]")
    expect(empty).to_contain_text("from torchvitals import attach_hooks\nattach_hooks(model, writer)")

    # It appears by itself.
    live = Live(logdir / "live")
    live.write(10)
    status, readout = page.locator(".status"), page.locator("[data-testid=cursor-readout]").first
    later(page, status, "Data to step 9")
    row = page.locator("[data-testid=tree-row][data-kind=leaf]")
    assert page.locator("[data-testid=run-select]").input_value() == "live"

    # New steps come without a jump: what is selected, pinned and scrolled to stays.
    chosen = row.nth(6)
    name = chosen.get_attribute("data-row")
    chosen.click()
    page.keyboard.press("[")
    expect(readout).to_have_attribute("data-step", "8")
    scrolled = page.locator(".rows-scroll").evaluate("e => { e.scrollTop = 60; return e.scrollTop }")
    assert scrolled > 20
    page.evaluate(WATCH_FOR_JUMPS)
    live.write(5)
    later(page, status, "Data to step 14")
    expect(page.locator(".corner").first).to_contain_text("15 sampled steps")
    assert page.evaluate("jumps") == 0
    assert page.locator(".rows-scroll").evaluate("e => e.scrollTop") == scrolled
    expect(readout).to_have_attribute("data-step", "8")
    expect(page.locator(".tree-row.selected").first).to_have_attribute("data-row", str(name))

    # The server goes and comes back, with more.
    server.stop()
    lost = page.locator(".status-lost")
    later(page, lost, "does not answer")
    expect(page.locator("[data-testid=heatmap]").first).to_be_visible()
    live.write(5)
    serve(logdir, "--load_fast", "false", "--port", str(urlsplit(server.url).port))
    later(page, status, "Data to step 19")
    expect(lost).to_have_count(0)
    expect(readout).to_have_attribute("data-step", "8")

    # The run is deleted while another is there.
    Live(logdir / "second").write(3)
    shutil.rmtree(logdir / "live")
    later(page, page.locator("[data-testid=error-banner]"), "“live” is no longer in the log directory")
    expect(page.locator("[data-testid=heatmap]").first).to_be_visible()
    page.select_option("[data-testid=run-select]", "second")
    expect(page.locator(".corner").first).to_contain_text("3 sampled steps")
    page.clock.fast_forward(4000)
    expect(page.locator("[data-testid=error-banner]")).to_have_count(0)
    complaints[:] = [c for c in complaints if not re.search("ERR_CONNECTION|ERR_EMPTY", c)]
