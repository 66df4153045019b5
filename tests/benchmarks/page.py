"""How fast the page is: a run of 1,000 layers and 2,000 steps in a real TensorBoard and a real Chromium.

``python -m tests.benchmarks.page`` makes the runs (a minute), or takes those of ``--logdir``; prints a table for each
of TensorBoard's ingesters. Times end with a painted frame. Memory is what the tab's process has to itself after a
garbage collection, so what the page holds and not what Chromium has yet to give back.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tests.benchmarks.chromium import Chromium, Tab
from tests.e2e.browser import installed
from tests.e2e.conftest import TensorBoard
from tests.synthetic import write_run

LENSES = {
    "diagnosis": "[data-testid=diagnosis-verdict]",
    "gradient": "[data-testid=heatmap] canvas",
    "dead": "[data-testid=dead-row]",
    "distributions": "[data-testid=ridge]",
    "structure": ".vital-cell .paint:not(.missing)",
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
    with runs_in(options) as logdir:
        names = sorted(folder.name for folder in logdir.iterdir() if folder.is_dir())
        for ingester in ("rust", "python") if options.ingester == "both" else (options.ingester,):
            server = TensorBoard(logdir, "--load_fast", str(ingester == "rust").lower())
            browser = Chromium(path)
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


def measure(browser: Chromium, url: str, run: str, other: str | None, repeat: int) -> Iterator[Row]:
    """Everything, one line after the other."""

    def opened(lens: str) -> tuple[Tab, float]:
        """A tab of its own with TensorBoard, and when its first picture was painted, counted from its load event."""
        fields = f"p.torchvitals.run={quote(run, safe='')}&p.torchvitals.lens={lens}"
        tab = Tab(browser, f"{url}#torchvitals&{fields}", "name=torchvitals", _WATCH)
        shown = tab.evaluate(f"until({json.dumps([LENSES[lens], ''])})")
        loaded = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        return tab, shown - loaded

    for lens in LENSES:
        times = []
        for attempt in range(repeat + 1):  # the first one warms the server
            tab, shown = opened(lens)
            tab.close()
            times += [shown] if attempt else []
        yield Row(f"first picture: {lens}", statistics.median(times), "ms", 1000)

    tab, _ = opened("gradient")

    def taken(act: str, wanted: list[str]) -> float:
        """Milliseconds from an act to the painted frame that shows what is wanted."""
        return float(tab.evaluate(f"until({json.dumps(wanted)}, () => {{ {act} }})"))

    def choose(what: str, value: str, label: str) -> float:
        select = f"document.querySelector('[data-testid={what}-select]')"
        change = f"{select}.dispatchEvent(new Event('change', {{ bubbles: true }}))"
        return taken(f"{select}.value = {json.dumps(value)}; {change}", [LENSES["gradient"], label])

    def change(lens: str) -> float:
        return taken(f"document.querySelector('[data-testid=lens-{lens}]').click()", [LENSES[lens], ""])

    options = "[...document.querySelectorAll('[data-testid=stat-select] option')]"
    labels = tab.evaluate(f"Object.fromEntries({options}.map(o => [o.value, o.textContent]))")
    fresh, cached = [], []
    for round_ in range(3):
        for name in STATISTICS:
            (cached if round_ else fresh).append(choose("stat", name, labels[name]))
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
        there, back, again_, _ = (choose("run", name, labels[STATISTICS[-1]]) for name in (other, run, other, run))
        yield Row("change of run, not cached", there, "ms", 500)
        yield Row("change of run, cached, worst", max(back, again_), "ms", 200)

    tab.evaluate("[...document.querySelectorAll('button')].find((b) => b.textContent.includes('Expand')).click()")
    left, top, width, height = tab.evaluate(
        """(() => {
          // More rows are drawn than are seen.
          const [frame, box, seen] = [frameElement, ...["[data-testid=heatmap]", ".rows-scroll"].map((at) =>
            document.querySelector(at))].map((e) => e.getBoundingClientRect());
          return [frame.x + box.x, frame.y + seen.y, box.width, seen.height];
        })()"""
    )

    def rate(act: Callable[[int], None]) -> float:
        """Frames a second while ``act`` goes on."""
        tab.evaluate("void (window.recorded = frames_(2000))")
        end = time.monotonic() + 2
        turn = 0
        while time.monotonic() < end:
            act(turn)
            turn += 1
        times = tab.evaluate("recorded")
        return 1000 * (len(times) - 1) / float(times[-1] - times[0])

    def scroll(turn: int) -> None:
        tab.mouse("mouseWheel", left + width / 2, top + height / 2, deltaX=0, deltaY=60 if turn % 100 < 50 else -60)

    def move(turn: int) -> None:
        tab.mouse("mouseMoved", left + (7 * turn) % (width - 4) + 2, top + (3 * turn) % (height - 4) + 2)

    yield Row("scroll", rate(scroll), "fps", 50, True)
    yield Row("cursor", rate(move), "fps", 50, True)
    megabytes = tab.megabytes()
    if megabytes is not None:
        yield Row("memory of the tab, TensorBoard's own page included", megabytes, "MB", 300)
    tab.close()


if __name__ == "__main__":
    sys.exit(main())
