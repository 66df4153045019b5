"""How fast the page is: a run of 1,000 layers and 2,000 steps in a real TensorBoard and a real Chromium.

``python -m tests.benchmarks.page`` makes the runs (a minute), or takes those of ``--logdir``; prints a table for each
of TensorBoard's ingesters. Times end with a painted frame.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from playwright.sync_api import Browser, Frame, Page, sync_playwright

from tests.e2e.browser import FLAGS, installed
from tests.e2e.conftest import TensorBoard
from tests.synthetic import write_run

LENSES = {
    "diagnosis": "[data-testid=diagnosis-verdict]",
    "gradient": "[data-testid=heatmap] canvas",
    "dead": "[data-testid=dead-row]",
    "distributions": ".lens",
    "structure": ".lens",
}
"""Each lens, and what is there once it shows its data."""
STATISTICS = ("activation/rms", "parameter/update_ratio", "gradient/abs_max", "gradient/rms")

# In each frame before any script of its own: when what is waited for has been painted.
_WATCH = """(() => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => done(performance.now());
    port2.postMessage(0); // after this frame's painting
  }));
  const there = (wanted) => {
    const panel = document.querySelector("#lens-panel");
    if (!panel || panel.querySelector(".waiting")) return false;
    const [selector, text] = wanted;
    const element = panel.querySelector(selector);
    return element !== null && (!text || (element.closest("[aria-label]")?.ariaLabel ?? "").includes(text));
  };
  window.until = async (wanted, act) => {
    const start = performance.now();
    act?.();
    const end = start + 20000;
    for (;;) {
      const now = await painted();
      if (there(wanted)) return now - (act ? start : 0);
      if (now > end) throw new Error(`never there: ${wanted}`);
    }
  };
  window.frames_ = (milliseconds) => new Promise((done) => {
    const times = [];
    const start = performance.now();
    const tick = (now) => {
      times.push(now);
      if (now - start < milliseconds) requestAnimationFrame(tick); else done(times);
    };
    requestAnimationFrame(tick);
  });
})();"""


class Row(NamedTuple):
    """A line of the table."""

    what: str
    value: float
    unit: str
    bar: float
    more_is_better: bool = False

    def __str__(self) -> str:
        good = self.value >= self.bar if self.more_is_better else self.value <= self.bar
        bar = f"{'>=' if self.more_is_better else '<='} {self.bar:,.0f} {self.unit}"
        return f"{self.what:<52}{self.value:>9,.0f} {self.unit:<4}{bar:>12}  {'' if good else 'MISSED'}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logdir", type=Path, help="holds runs made by tests/synthetic.py; the first two are shown")
    parser.add_argument("--ingester", choices=("rust", "python", "both"), default="both")
    parser.add_argument("--layers", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--units", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(argv)
    path = installed()
    if path is None:
        print("no Chromium or Chrome: run tests/e2e/browser.py for what to do", file=sys.stderr)
        return 1
    missed = 0
    with runs_in(options) as logdir, sync_playwright() as playwright:
        names = sorted(folder.name for folder in logdir.iterdir() if folder.is_dir())
        for ingester in ("rust", "python") if options.ingester == "both" else (options.ingester,):
            server = TensorBoard(logdir, "--load_fast", str(ingester == "rust").lower())
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS, chromium_sandbox=False)
            try:
                _wait_until_loaded(server)
                print(f"\n{ingester} ingester, {', '.join(names[:2])}", flush=True)
                for row in measure(browser, server.url, names[0], names[1] if len(names) > 1 else None, options.repeat):
                    print(row, flush=True)
                    missed += str(row).endswith("MISSED")
            finally:
                browser.close()
                server.stop()
    return int(missed > 0)


@contextmanager
def runs_in(options: argparse.Namespace) -> Iterator[Path]:
    if options.logdir:
        yield options.logdir
        return
    with tempfile.TemporaryDirectory() as folder:
        for kind, records in (("dead", 200), ("vanishing", 0)):
            print(f"making {kind} …", flush=True)
            size = {"layers": options.layers, "steps": options.steps, "units": options.units}
            write_run(Path(folder) / kind, kind=kind, records=records, **size)
        yield Path(folder)


def _wait_until_loaded(server: TensorBoard) -> None:
    """Until nothing has changed for some seconds: the Python ingester reads 8 MB a second."""
    before, since = b"", time.monotonic()
    while time.monotonic() - since < 6 or b'"name"' not in before:
        now = server.get("data/plugin/torchvitals/runs")
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.5)


def measure(browser: Browser, url: str, run: str, other: str | None, repeat: int) -> Iterator[Row]:
    """Everything, one line after the other."""

    def opened(lens: str, **state: str) -> tuple[Page, Frame, float]:
        """A page of its own in TensorBoard, and when its first picture was painted, counted from its load event."""
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.add_init_script(_WATCH)
        page.set_default_timeout(60_000)
        fields = {"run": run, "lens": lens} | state
        page.goto(f"{url}#torchvitals" + "".join(f"&p.torchvitals.{k}={quote(v, safe='')}" for k, v in fields.items()))
        element = page.wait_for_selector("iframe[src*='name=torchvitals']", state="attached")
        frame = element.content_frame() if element else None
        assert frame is not None
        frame.wait_for_function("typeof until === 'function'")
        shown = frame.evaluate("wanted => until(wanted)", [LENSES[lens], ""])
        loaded = frame.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        return page, frame, shown - loaded

    for lens in LENSES:
        times = []
        for attempt in range(repeat + 1):  # the first one warms the server
            page, _, shown = opened(lens)
            page.close()
            times += [shown] if attempt else []
        yield Row(f"first picture: {lens}", statistics.median(times), "ms", 1000)

    page, frame, _ = opened("gradient")
    select = "[data-testid={}-select]"

    def choose(box: str, value: str, wanted: list[str]) -> float:
        return float(
            frame.evaluate(
                """([box, value, wanted]) => until(wanted, () => {
                  const select = document.querySelector(box);
                  select.value = value;
                  select.dispatchEvent(new Event("change", { bubbles: true }));
                })""",
                [box, value, wanted],
            )
        )

    def change(lens: str) -> float:
        click = "([lens, wanted]) => until(wanted, () => document.querySelector(`[data-testid=lens-${lens}]`).click())"
        return float(frame.evaluate(click, [lens, [LENSES[lens], ""]]))

    labels = frame.locator("[data-testid=stat-select] option").evaluate_all(
        "options => Object.fromEntries(options.map(o => [o.value, o.textContent]))"
    )
    fresh, cached = [], []
    for round_ in range(3):
        for name in STATISTICS:
            label = str(labels[name])
            taken = choose(select.format("stat"), name, [LENSES["gradient"], label])
            (cached if round_ else fresh).append(taken)
    yield Row("change of statistic, not cached or fetched ahead", max(fresh), "ms", 500)
    yield Row("change of statistic, cached, worst", max(cached), "ms", 200)

    for lens in LENSES:
        first = change(lens)
        again = []
        for _ in range(repeat):
            change("gradient" if lens != "gradient" else "diagnosis")
            again.append(change(lens))
        yield Row(f"change of lens to {lens}, first", first, "ms", 500)
        yield Row(f"change of lens to {lens}, cached, worst", max(again), "ms", 200)

    change("gradient")
    if other:
        label = str(labels[STATISTICS[-1]])
        there = choose(select.format("run"), other, [LENSES["gradient"], label])
        back = choose(select.format("run"), run, [LENSES["gradient"], label])
        again = choose(select.format("run"), other, [LENSES["gradient"], label])
        choose(select.format("run"), run, [LENSES["gradient"], label])
        yield Row("change of run, not cached", there, "ms", 500)
        yield Row("change of run, cached, worst", max(back, again), "ms", 200)

    frame.get_by_role("button", name="Expand").click()
    box = frame.locator("[data-testid=heatmap]").first.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)

    def rate(act: Any) -> float:
        """Frames a second while ``act`` goes on."""
        frame.evaluate("() => { window.recorded = frames_(2000) }")
        end = time.monotonic() + 2
        turn = 0
        while time.monotonic() < end:
            act(turn)
            turn += 1
        times = frame.evaluate("recorded")
        return 1000 * (len(times) - 1) / float(times[-1] - times[0])

    def move(turn: int) -> None:
        page.mouse.move(box["x"] + (7 * turn) % (box["width"] - 4) + 2, box["y"] + (3 * turn) % (box["height"] - 4) + 2)

    yield Row("scroll", rate(lambda turn: page.mouse.wheel(0, 60 if turn % 100 < 50 else -60)), "fps", 50, True)
    yield Row("cursor", rate(move), "fps", 50, True)
    yield Row("memory of the tab, TensorBoard's own page included", _tab_megabytes(browser, page), "MB", 300)
    page.close()


def _tab_megabytes(browser: Browser, page: Page) -> float:
    """What the tab's process has to itself; without /proc the JavaScript heap, which holds no arrays."""
    page.wait_for_timeout(1000)
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = [_private(int(p["id"])) for p in processes if p["type"] == "renderer"]
    found = [size for size in sizes if size is not None]
    if found:
        return max(found) / 1e6
    own = page.context.new_cdp_session(page)
    own.send("Performance.enable")
    metrics = own.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in metrics if m["name"] == "JSHeapUsedSize")) / 1e6


def _private(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


if __name__ == "__main__":
    sys.exit(main())
