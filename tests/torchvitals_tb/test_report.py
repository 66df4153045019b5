"""A report: opened in a real browser from a file, with nothing else there to answer."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.synthetic import EventFile, Written, write_run
from tests.torchvitals_tb.attempts import Attempt, layer, manifest
from torchvitals_tb import cli, load_run, query
from torchvitals_tb.errors import TorchvitalsError
from torchvitals_tb.findings import Check, Diagnosis, Finding
from torchvitals_tb.packing import pack, unpack
from torchvitals_tb.reader import Run
from torchvitals_tb.report import write_report
from torchvitals_tb.report_page import STATIC, Answer, assemble
from torchvitals_tb.static_files import ENTRY, find

HOSTILE = "</script><script>document.title='owned'</script><!-- ' \" & ~*+ größe"
FOUND = Finding("dead-units", "critical", ("<b>act</b>",), 3, 9, "</script>", "why", "try", (), ())


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = (Check("dead-units", "Do all units fire?", "found"),)
    monkeypatch.setattr(query, "examine", lambda run: Diagnosis(run.name, (FOUND,), checks, (1, 9)))
    monkeypatch.setattr(cli, "entry_points", lambda group: [])
    monkeypatch.setenv("COLUMNS", "80")


def answers(report: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], bytes]:
    """What is in a report, by route and parameters."""
    found = {}
    pattern = r'<script type="text/plain" data-type="([\w/-]+)" data-route="([^"]*)">([\w+/=]*)</script>'
    for _, route, data in re.findall(pattern, report.read_text()):
        name, _, parameters = html.unescape(route).partition("?")
        found[name, frozenset(parse_qsl(parameters, keep_blank_values=True))] = gzip.decompress(base64.b64decode(data))
    return found


def key(route: str, **parameters: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return route, frozenset(parameters.items())


# What is in it --------------------------------------------------------------------------------------------------------


def test_every_answer_is_the_one_of_the_route(written: tuple[Path, Written], tmp_path: Path) -> None:
    made = write_report(written[0], tmp_path / "r.html")
    assert made.runs == ("run",)
    assert made.left_out == made.skipped == ()
    held, run = answers(made.path), load_run(written[0])
    (entry,) = json.loads(held.pop(key("runs")))["runs"]
    assert entry == {"name": "run", "version": run.version, "last_step": 118}
    assert json.loads(held.pop(key("manifest", run="run"))) == json.loads(json.dumps(query.manifest(run)))
    assert json.loads(held.pop(key("diagnosis", run="run"))) == query.diagnosis(run)
    assert held.pop(key("dead", run="run")) == pack(*query.dead(run))
    for name in run.statistics:
        assert held.pop(key("statistic", run="run", name=name)) == pack(*query.statistic(run, name))
    assert held.pop(key("scalars", run="run")) == pack(*query.scalars(run))
    for row in run.layers:
        if row.units:
            assert held.pop(key("units", run="run", layer=row.name)) == pack(*query.units(run, row.name))
    for kind in run.histogram_kinds:
        assert held.pop(key("histograms", run="run", kind=kind)) == pack(*query.histograms_at_step(run, kind))
        for step in run.histograms(kind).steps.tolist():
            found = held.pop(key("histograms", run="run", kind=kind, step=str(step)))
            assert found == pack(*query.histograms_at_step(run, kind, step))
        for row in run.layers if kind in ("activation", "gradient") else run.parameters:
            found = held.pop(key("histograms", run="run", kind=kind, row=row.name))
            assert found == pack(*query.histograms_of_row(run, kind, row.name))
    assert held == {}


def test_what_does_not_fit_is_left_out_whole_and_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, layers=20, steps=60, units=64)
    whole = write_report(tmp_path / "runs", tmp_path / "whole.html")
    small = write_report(tmp_path / "runs", tmp_path / "small.html", limit=90_000)
    assert whole.left_out == ()
    held = answers(small.path)
    for name in ("a", "b"):
        offered = json.loads(held[key("manifest", run=name)])["statistics"]
        here = {dict(p)["name"] for route, p in held if route == "statistic" and dict(p)["run"] == name}
        assert set(offered) == here
        assert "gradient/rms" in here and "activation/mean" not in here
        assert key("diagnosis", run=name) in held
        said = [line for line in small.left_out if line.startswith(f"run '{name}': ")]
        assert any("'activation/mean'" in line and " more" in line for line in said)
        assert not any("'gradient/rms'" in line for line in said)
    scripts = sum(path.stat().st_size for path in STATIC.glob("*.js"))
    assert small.size < 90_000 + scripts + 50_000 < whole.size
    text = small.path.read_text()
    assert json.loads(re.findall('id="torchvitals-about">(.*?)</script>', text)[0])["left_out"] == list(small.left_out)


def test_all_files_of_the_page_are_carried() -> None:
    """Another script of the page would have to be put into the report as well."""
    assert [name for name in find(STATIC) if not name.endswith((".css", ".worker.js"))] == [ENTRY]


def test_a_page_that_was_not_built(tmp_path: Path) -> None:
    with pytest.raises(TorchvitalsError, match="the page was not built"):
        assemble([], title="", static=tmp_path)


def test_the_page_cannot_end_its_element(tmp_path: Path) -> None:
    (tmp_path / ENTRY).write_text('const a = "</SCRIPT><!--";function f(){}export{f as render};')
    (tmp_path / "x.css").write_text('a::after { content: "</style>" }')
    text = assemble([Answer.of("runs", {}, b"{}", "x/y")], title=HOSTILE, left_out=[HOSTILE], static=tmp_path).decode()
    assert 'const a = "\\x3c/SCRIPT>\\x3c!--";function f(){}f();' in text
    assert len(re.findall("</style>", text)) == 2
    assert len(re.findall("</script>", text, re.IGNORECASE)) == 4
    assert text.count("<!--") == 0


def test_broken_runs_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "runs" / "good", layers=4, steps=3)
    with EventFile(tmp_path / "runs" / "bad") as file:
        file.write(1, {"torchvitals/manifest": "{not json"})
    assert cli.main(["report", str(tmp_path / "runs"), "-o", str(tmp_path / "r.html")]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"r\.html: 1\s+run,\s0\.\d MB", out)
    assert err.startswith("torchvitals: run 'bad' was left out: run 'bad' has no readable manifest")
    assert cli.main(["report", str(tmp_path / "runs"), "-o", str(tmp_path / "r.html"), "--run", "*d"]) == 2
    assert cli.main(["report", str(tmp_path / "runs"), "-o", str(tmp_path / "x.html"), "--run", "bad"]) == 2
    assert not (tmp_path / "x.html").exists()

    def fail(run: Run) -> Diagnosis:
        raise IndexError("rule")

    monkeypatch.setattr(query, "examine", fail)
    made = write_report(tmp_path / "runs", tmp_path / "r.html")
    assert made.left_out == ("run 'good': diagnosis, which failed (IndexError: rule)",)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tmp}/nowhere", "-o", "{tmp}/r.html"], "there is no file or directory"),
        (["{tmp}/good"], "the following arguments are required: -o/--output"),
        (["{tmp}/good", "-o", "{tmp}"], "cannot write '{tmp}'"),
        (["{tmp}/good", "-o", "{tmp}/no/r.html"], "cannot write '{tmp}/no/r.html'"),
        (["{tmp}", "-o", "{tmp}/r.html", "--run", "godo"], "no run 'godo' in '{tmp}'; did you mean 'good'?"),
    ],
)
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    write_run(tmp_path / "good", layers=2, steps=2)
    assert cli.main(["report", *(argument.format(tmp=tmp_path) for argument in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert sentence.format(tmp=tmp_path) in err


# In a browser ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about or asked for. A test that provokes a complaint takes it out again."""
    return []


@pytest.fixture
def show(browser: Browser, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    """Opens a report as a file; at the end nothing may have been complained of or asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True, offline=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    opened: list[str] = []
    page.on("request", lambda r: None if r.url.split("#")[0] in opened else complaints.append(f"request: {r.url}"))

    def open_report(path: Path, **state: str) -> Page:
        opened.extend((path.as_uri(), "data:,"))
        page.goto(path.as_uri() + "#" + "&".join(f"p.torchvitals.{name}={value}" for name, value in state.items()))
        return page

    yield open_report
    context.close()
    assert complaints == []


def test_rows_numbers_units_and_files(show: Callable[..., Page], written: tuple[Path, Written], tmp_path: Path) -> None:
    made = write_report(written[0], tmp_path / "ein bericht.html")
    page = show(made.path, lens="gradient", stat="gradient/rms", table="1")
    page.wait_for_selector("[data-testid=heatmap-table]")
    cell = page.locator("[data-testid=heatmap-table] td[data-layer='stem.conv'][data-step='1']").first
    expected = float(written[1].statistics["gradient/rms"][0, 0])
    assert float(cell.inner_text()) == pytest.approx(expected, rel=1e-6)
    with page.expect_download() as download:
        page.locator("[data-testid=export-menu] summary").click()
        page.get_by_role("menuitem", name="CSV").click()
    assert "stem.conv" in Path(download.value.path()).read_text()
    page.keyboard.press("t")
    page.wait_for_selector("[data-testid=heatmap]")
    assert page.locator("[data-testid=tree-row]").count() > 4
    expect(page.get_by_text("refreshed every few seconds")).to_be_hidden()
    page.select_option("[data-testid=stat-select]", "parameter/update_ratio")
    page.click("[data-testid=lens-dead]")
    page.get_by_text("stem.act").first.click()
    page.wait_for_timeout(300)
    page.click("[data-testid=lens-distributions]")
    page.wait_for_selector("[data-testid=ridge]", state="attached")
    page.keyboard.press("[")  # from the newest record to the one before, which is in the report as well
    expect(page.locator("[data-testid=cursor-readout]")).to_have_attribute("data-step", "100")
    page.click("[data-testid=lens-dead]")
    assert page.locator("[data-testid=error-banner]").count() == 0
    page.wait_for_url(re.compile("p[.]torchvitals[.]lens=dead"))  # the state is in the address of a file, too
    page.wait_for_timeout(4500)  # the page has polled once more
    assert page.locator("[data-testid=error-banner]").count() == 0


def test_the_graph_is_laid_out_by_a_worker_from_the_file(
    show: Callable[..., Page], complaints: list[str], written: tuple[Path, Written], tmp_path: Path
) -> None:
    page = show(write_report(written[0], tmp_path / "r.html").path, lens="structure", graph="graph")
    page.wait_for_selector("[data-testid=graph-box]")
    assert [worker.url.partition(":")[0] for worker in page.workers] == ["blob"]
    page.get_by_role("button", name="Expand").click()
    expect(page.locator("[data-testid=graph-box][data-kind=leaf]")).to_have_count(20)
    # The drawing as a file, which the policy of the report lets one save.
    with page.expect_download() as download:
        page.click("[data-testid=export-menu] summary")
        page.get_by_role("menuitem", name="Drawing SVG").click()
    drawing = ElementTree.fromstring(Path(download.value.path()).read_text())
    drawn = [e for e in drawing.iter() if e.get("data-testid") == "graph-edge"]
    assert len(drawn) == page.locator("[data-testid=graph-edge]").count() > 0
    # Made in the page, loaded from nowhere.
    complaints[:] = [c for c in complaints if not c.startswith("request: blob:")]


def test_names_that_are_markup_and_several_runs(show: Callable[..., Page], tmp_path: Path) -> None:
    folder = tmp_path / "runs" / HOSTILE.replace("/", "\N{FRACTION SLASH}")
    rows = manifest(layer(HOSTILE), layer("b"), parameters=(HOSTILE,))
    attempt = Attempt(folder, 1, rows)
    for step in range(1, 6):
        attempt.frame(step, records=step in (2, 4))
    write_run(tmp_path / "runs" / "deep" / "other", layers=5, steps=5)
    made = write_report(tmp_path / "runs", tmp_path / "r.html")
    assert made.runs == (folder.name, "deep/other") or made.runs == ("deep/other", folder.name)
    page = show(made.path)
    page.wait_for_selector("[data-testid=run-select]")
    page.select_option("[data-testid=run-select]", folder.name)
    page.click("[data-testid=lens-gradient]")
    expect(page.locator("[data-testid=tree-row]", has_text="document.title='owned'").first).to_be_visible()
    assert "owned" in page.title() and page.title() != "owned"
    held = page.evaluate(
        """async ([run, layer]) => {
          const ask = async (route, parameters) => {
            const answer = await fetch(new URL(`${route}?${new URLSearchParams(parameters)}`, document.baseURI));
            return [answer.status, [...new Uint8Array(await answer.arrayBuffer())]];
          };
          return [await ask("units", { layer, run }), await ask("diagnosis", { run }), await ask("units", { run })];
        }""",
        [folder.name, HOSTILE],
    )
    (status, units), (_, found), (missing, why) = held
    assert status == 200 and unpack(bytes(units))[0]["layer"] == HOSTILE
    assert Diagnosis.from_json(bytes(found).decode()).findings == (FOUND,)
    assert missing == 404 and "not in the report" in json.loads(bytes(why))["error"]


def test_the_life_lines_that_fit_are_those_of_the_worst_layers(written: tuple[Path, Written], tmp_path: Path) -> None:
    _, lives = query.dead(load_run(written[0]))
    worst = written[1].manifest.layers[int((lives["dead"] / lives["units"].clip(1)).argmax())].name
    made = write_report(written[0], tmp_path / "r.html", limit=32_000)
    kept = {dict(parameters)["layer"] for route, parameters in answers(made.path) if route == "units"}
    assert worst in kept and 0 < len(kept) < 20


@pytest.mark.parametrize(
    "attempt",
    [
        "new Image().src = 'http://127.0.0.1:1/x.png'",
        "const x = new XMLHttpRequest(); x.open('GET', 'http://127.0.0.1:1/x'); x.send()",
        "document.head.append(Object.assign(document.createElement('script'), { text: 'document.title = `run`' }))",
        "document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=document.title=`run`>')",
    ],
)
def test_nothing_else_may_run_or_load(
    show: Callable[..., Page], complaints: list[str], written: tuple[Path, Written], tmp_path: Path, attempt: str
) -> None:
    page = show(write_report(written[0], tmp_path / "r.html").path)
    page.wait_for_selector("[data-testid=run-select]")
    blocked = page.evaluate(
        f"""() => new Promise((done) => {{
          addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
          {attempt};
        }})"""
    )
    assert blocked in ("img-src", "connect-src", "script-src-elem", "script-src-attr")
    assert page.title() == "torchvitals: 'run'"
    assert all("Content Security Policy" in c or c.startswith("request: http://127.0.0.1:1/") for c in complaints)
    complaints.clear()


def test_a_report_that_is_not_complete_says_so(
    show: Callable[..., Page], written: tuple[Path, Written], tmp_path: Path
) -> None:
    made = write_report(written[0], tmp_path / "r.html", limit=60_000)
    assert made.left_out
    page = show(made.path, lens="gradient")
    page.wait_for_selector("[data-testid=heatmap]")
    note = page.locator("[data-testid=report-note]")
    expect(note).to_contain_text("Not in this report: run 'run': ")
    page.wait_for_timeout(1500)  # what the page fetches ahead is there
    assert page.locator("[data-testid=error-banner]").count() == 0
    note.get_by_role("button").click()
    expect(note).to_have_count(0)
