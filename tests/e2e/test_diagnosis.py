"""The Diagnosis lens: on the demo's runs as they are, and on answers made up for what no demo shows."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Frame, Page, Route, expect

from tests.e2e.conftest import STEPS, TensorBoard, on_one_ingester
from tests.e2e.test_page import open_page
from torchvitals_tb import load_run
from torchvitals_tb.diagnosis import examine
from torchvitals_tb.findings import Check, Diagnosis, Evidence, Finding

ROUTE = re.compile(r"/torchvitals/diagnosis\?")
LAST = STEPS - 1

DEAD = Finding(
    "dead-units", "critical", ("3", "5"), 20, LAST, "52 of 64 units of 3 never fire.", "They pass no gradient.",
    "Lower the learning rate from 2 to 0.1.",
    (Evidence("activation/dead_fraction", "Silent units.", ("3",), (0, 100, LAST), ((0.0,), (0.7,), (0.8,)), (0.05,)),),
)  # fmt: skip
UPDATES = Finding(
    "update-too-large", "critical", ("8",), 21, 60, "A step changes 8.weight by 1.97 times its size.", "It is lost.",
    "Lower the learning rate from 2 to 0.01.",
    (
        Evidence(
            "parameter/update_ratio", "Updates.", ("8.weight",), (0, 30, 60), ((0.1,), (math.inf,), (1.9,)), (1e-3,)
        ),
        Evidence("gradient/rms", "It falls.", tuple("02468"), (0, 60), ((1e-9, 1e-7, 1e-5, 0.1, 1),) * 2, (1.0,) * 5),
    ),
    effects=(DEAD,),
)  # fmt: skip
CLIPPING = Finding(
    "gradient-clipping", "info", (), 0, LAST, "Clipping leaves 10^-3 of the gradient.", "W.", "Raise the limit."
)
CHECKS = (
    Check("dead-units", "Do all units fire?", "found"),
    Check("non-finite", "Is every number finite?", "passed"),
    Check("no-gradient", "Does every parameter get a gradient?", "passed", "3 layers ran on no sampled step"),
    Check("saturated-units", "Do units stay off their limits?", "not checked", "there is no bounded activation in it"),
)
MADE_UP = Diagnosis("killed", (UPDATES, CLIPPING), CHECKS, (0, LAST), ("2 broken records of units left out",))


def answer(page: Page, diagnosis: Diagnosis, version: str = "made up") -> None:
    """From now on the server answers this."""
    page.unroute(ROUTE)
    text = json.dumps(diagnosis.to_dict() | {"version": version}, allow_nan=False)
    page.route(ROUTE, lambda route: route.fulfill(body=text, content_type="application/json"))


def verdict(frame: Frame) -> Any:
    return frame.locator("[data-testid=diagnosis-verdict]")


def item(frame: Frame, code: str) -> Any:
    return frame.locator(f"[data-testid^=finding][data-code='{code}']")


def state(page: Page) -> dict[str, str]:
    page.wait_for_timeout(300)  # the address follows the view by 120 ms
    return {k: unquote(v) for k, v in re.findall(r"p\.torchvitals\.(\w+)=([^&]*)", page.url)}


@pytest.mark.parametrize("run", ["vanishing", "killed", "healthy"])
def test_it_is_where_a_visitor_lands_and_says_what_the_rules_say(page, tensorboard, demo, run):
    found = examine(load_run(demo.logdir / run))
    frame = open_page(page, tensorboard.url, run=run)
    expect(verdict(frame)).to_be_visible()
    expect(frame.locator("[data-testid=finding]")).to_have_count(len(found))
    assert frame.locator("[data-testid=lens-diagnosis]").get_attribute("aria-selected") == "true"
    for outcome, testid in (("passed", "check-passed"), ("not checked", "check-open")):
        shown = frame.locator(f"[data-testid={testid}]").all_inner_texts()
        for check in found.checks:
            if check.outcome == outcome:
                assert any(check.question in text for text in shown)
    if not found:
        expect(verdict(frame)).to_contain_text(f"Nothing wrong found in {len(shown_checks(found))} checks over steps 0")


def shown_checks(found: Diagnosis) -> list[Check]:
    return [check for check in found.checks if check.outcome != "not checked"]


@on_one_ingester
def test_verdict_findings_and_checks(page, tensorboard):
    answer(page, MADE_UP)
    frame = open_page(page, tensorboard.url, run="killed")
    expect(verdict(frame)).to_have_text(
        "1 problem and 1 note: updates are too large in layer 8 steps 21 to 60, which also explains dead units; "
        "clipping decides the step since step 0"
    )
    cause = item(frame, "update-too-large")
    assert frame.locator("[data-testid=finding]").evaluate_all("e => e.map(x => x.dataset.severity)") == [
        "critical",
        "info",
    ]
    expect(cause).to_contain_text("Critical")
    expect(cause).to_contain_text("steps 21 to 60")
    expect(cause).to_contain_text("Lower the learning rate from 2 to 0.01.")
    expect(item(frame, "gradient-clipping")).to_contain_text("Clipping leaves 10⁻³ of the gradient.")
    effect = cause.locator("[data-testid=finding-effect]")
    expect(effect).to_contain_text("52 of 64 units of 3 never fire.")
    assert frame.locator("[data-testid=check-passed]").all_inner_texts() == [
        "Is every number finite?",
        "Does every parameter get a gradient?",
    ]
    assert [text.split("\n") for text in frame.locator("[data-testid=check-open]").all_inner_texts()] == [
        ["Does every parameter get a gradient?", "in part: 3 layers ran on no sampled step"],
        ["Do units stay off their limits?", "there is no bounded activation in it"],
    ]
    expect(frame.locator("[data-testid=check-note]")).to_contain_text("2 broken records of units left out")


@on_one_ingester
def test_evidence_is_drawn_said_and_listed(page, tensorboard):
    answer(page, MADE_UP)
    frame = open_page(page, tensorboard.url, run="killed")
    charts = item(frame, "update-too-large").first.locator("[data-testid=evidence] [role=img]")
    expect(charts).to_have_count(2)
    label = charts.first.get_attribute("aria-label")
    assert label == "Update ratio of 8.weight: 0.1 at step 0, 1.9 at step 60; expected 1.00e\N{MINUS SIGN}3"
    assert charts.first.locator("path").count() >= 3
    frame.click("[data-testid=table-toggle]")
    table = frame.locator("[data-testid=evidence-table]").first
    expect(table.locator("tbody tr")).to_have_text(["8.weight1.00e\N{MINUS SIGN}30.1Inf1.9"])
    assert table.locator("thead th").all_inner_texts() == ["Parameter", "Expected", "0", "30", "60"]


@on_one_ingester
def test_show_me_opens_the_picture(page, tensorboard):
    answer(page, MADE_UP)
    frame = open_page(page, tensorboard.url, run="killed", table="1")
    cause = item(frame, "update-too-large").first
    cause.locator("[data-testid=show-me]").first.click()
    frame.wait_for_selector("[data-testid=heatmap]")
    expect(frame.locator("[data-testid=stat-select]")).to_have_value("parameter/update_ratio")
    expect(frame.locator("[data-testid=tree-row][aria-selected=true]")).to_have_attribute("data-row", "8.weight")
    assert state(page) == {
        "run": "killed", "lens": "gradient", "stat": "parameter/update_ratio", "layer": "8.weight", "step": "21",
        "steps": "11:70", "finding": "update-too-large:8",
    }  # fmt: skip
    page.reload()  # the same from its address
    frame = page.wait_for_selector("iframe[src*='name=torchvitals']", state="attached").content_frame()
    expect(frame.locator("[data-testid=tree-row][aria-selected=true]")).to_have_attribute("data-row", "8.weight")

    frame.click("[data-testid=lens-diagnosis]")
    effect = item(frame, "dead-units")
    effect.locator("[data-testid=show-me]").click()
    expect(frame.locator("[data-testid=dead-row][aria-selected=true]")).to_have_attribute("data-layer", "3")
    assert state(page) | {"step": ""} == {
        "run": "killed", "lens": "dead", "stat": "parameter/update_ratio", "units": "dead", "layer": "3", "step": "",
        "finding": "update-too-large:8>dead-units:3",
    }  # fmt: skip


@on_one_ingester
def test_layers_are_selected_by_a_click(page, tensorboard):
    answer(page, replace(MADE_UP, findings=(DEAD,)))
    frame = open_page(page, tensorboard.url, run="killed")
    frame.locator("[data-testid=finding-layer]", has_text="5").click()
    expect(frame.locator("[data-testid=cursor-readout]")).to_have_attribute("data-layer", "5")
    assert state(page)["layer"] == "5"
    frame.click("[data-testid=lens-dead]")
    expect(frame.locator("[data-testid=dead-row][aria-selected=true]")).to_have_attribute("data-layer", "5")


@on_one_ingester
def test_by_keys_alone(page, tensorboard):
    answer(page, MADE_UP)
    frame = open_page(page, tensorboard.url, run="killed", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    frame.click("[data-testid=verdict]")
    page.keyboard.press("1")
    toggles = frame.locator(".finding-toggle")
    toggles.first.focus()
    page.keyboard.press("ArrowLeft")
    expect(toggles.first).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(toggles.first).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    assert frame.evaluate("document.activeElement.textContent").endswith("Dead units")
    page.keyboard.press("End")
    assert frame.evaluate("document.activeElement.textContent").endswith("Gradient clipping")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert frame.evaluate("document.activeElement.dataset.testid") == "show-me"
    page.keyboard.press("Enter")
    expect(frame.locator("[data-testid=stat-select]")).to_have_value("parameter/grad_rms_before_clip")


def test_a_newer_diagnosis_replaces_the_old_one_where_it_stands(page, serve, tmp_path, demo):
    import shutil

    from torchvitals.demo import NETWORKS, train

    train(NETWORKS[2], tmp_path / "logs" / "live", steps=5, seed=0)
    server: TensorBoard = serve(tmp_path / "logs", "--load_fast", "false", "--reload_multifile", "true")
    server.wait_for({"live": 4})
    answer(page, replace(MADE_UP, findings=(UPDATES, DEAD), steps=(0, 4)))
    frame = open_page(page, server.url, run="live")
    toggle = item(frame, "update-too-large").first.locator(".finding-toggle").first
    toggle.click()  # closed, and it stays so
    frame.evaluate("document.querySelector('[data-testid=finding]').dataset.mark = 'same element'")
    frame.locator("[data-testid=finding-layer]").first.click()
    gone: list[str] = []
    page.expose_function("gone", lambda what: gone.append(what))
    frame.evaluate(
        "new MutationObserver(() => document.querySelector('[data-testid=finding]') || window.gone('x'))"
        ".observe(document.body, {childList: true, subtree: true})"
    )
    grown = replace(UPDATES, message="A step changes 8.weight by 2.5 times its size.", last_step=8)
    worse = Finding("non-finite", "critical", ("0",), 8, 8, "NaN.", "W.", "R.")
    answer(page, replace(MADE_UP, findings=(worse, grown, DEAD), steps=(0, 8)), "newer")
    train(NETWORKS[2], tmp_path / "elsewhere", steps=9, seed=0)
    for file in (tmp_path / "elsewhere").iterdir():
        shutil.copy(file, tmp_path / "logs" / "live" / (file.name + ".later"))
    expect(item(frame, "update-too-large").first).to_contain_text("2.5 times")
    expect(frame.locator("[data-mark='same element']")).to_have_attribute("data-code", "update-too-large")
    # The worse one that came stands last, where it moves nothing, until it is asked to its place.
    codes = "all => all.map(e => e.dataset.code)"
    found = frame.locator("[data-testid=finding]")
    assert found.evaluate_all(codes) == ["update-too-large", "dead-units", "non-finite"]
    expect(frame.locator("[data-testid=fresh-findings]")).to_contain_text("1 new finding")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    expect(item(frame, "dead-units").first.locator(".finding-toggle")).to_have_attribute("aria-expanded", "true")
    expect(frame.locator("[data-testid=finding-layer][aria-pressed=true]").first).to_be_visible()
    assert gone == []
    frame.click("[data-testid=fresh-findings]")
    expect(found.first).to_have_attribute("data-code", "non-finite")
    expect(frame.locator("[data-testid=fresh-findings]")).to_have_count(0)


@on_one_ingester
def test_a_failure_is_said_and_can_be_tried_again(page, tensorboard, complaints):
    def fail(route: Route) -> None:
        route.fulfill(status=500, body=json.dumps({"error": "a rule <b>failed</b>"}), content_type="application/json")

    page.route(ROUTE, fail)
    frame = open_page(page, tensorboard.url, run="killed")
    expect(frame.locator("[data-testid=diagnosis-error]")).to_contain_text("a rule <b>failed</b>")
    frame.click("[data-testid=lens-gradient]")
    frame.wait_for_selector("[data-testid=heatmap]")
    frame.click("[data-testid=lens-diagnosis]")
    answer(page, MADE_UP)
    frame.click("[data-testid=diagnosis-error] button")
    expect(verdict(frame)).to_contain_text("1 problem")
    complaints[:] = [c for c in complaints if not re.search("500", c)]


@on_one_ingester
def test_waiting_for_a_long_diagnosis(page, tensorboard):
    held: list[Route] = []
    page.route(ROUTE, lambda route: held.append(route))
    frame = open_page(page, tensorboard.url, run="killed")
    expect(frame.locator(".waiting")).to_contain_text("Looking for problems in 9 layers")
    frame.click("[data-testid=lens-gradient]")
    frame.wait_for_selector("[data-testid=heatmap]")
    held[0].fulfill(body=json.dumps(MADE_UP.to_dict() | {"version": "x"}), content_type="application/json")
    frame.click("[data-testid=lens-diagnosis]")
    expect(verdict(frame)).to_contain_text("1 problem")
    assert len(held) == 1


@on_one_ingester
def test_a_run_without_samples(page, tensorboard):
    answer(page, Diagnosis("killed", (), (Check("non-finite", "Is it?", "not checked", "no step is recorded"),)))
    frame = open_page(page, tensorboard.url, run="killed")
    expect(verdict(frame)).to_have_text("Nothing to look at yet: no step has been sampled")


def many() -> Diagnosis:
    name = "encoder.layers.{}.<img src=x onerror=alert(1)>." + "ü" * 200
    findings = tuple(
        replace(
            DEAD,
            severity=("critical", "warning", "info")[i % 3],
            layers=tuple(name.format(k) for k in range(i + 1)),
            message="<b>41 %</b> " + "wide" * 200,
            evidence=(replace(DEAD.evidence[0], rows=(name.format(i),)),),
        )
        for i in range(50)
    )
    return replace(MADE_UP, findings=findings)


@on_one_ingester
def test_fifty_findings_with_long_names_and_html(page, tensorboard):
    answer(page, many())
    frame = open_page(page, tensorboard.url, run="killed")
    found = frame.locator("[data-testid=finding]")
    expect(found).to_have_count(50)
    assert frame.locator("main img, main b").count() == 0
    wide = "document.querySelector('.findings').scrollWidth - document.querySelector('.findings').clientWidth"
    assert frame.evaluate(wide) == 0
    severities = found.evaluate_all("e => e.map(x => x.dataset.severity)")
    assert severities == ["critical"] * 17 + ["warning"] * 17 + ["info"] * 16
    frame.locator(".findings-filter button", has_text="Warning").click()
    expect(found).to_have_count(17)
    frame.fill("#search", "layers.48.")
    expect(found).to_have_count(1)
    frame.fill("#search", "no such layer")
    expect(found).to_have_count(0)
    frame.fill("#search", "")
    frame.locator(".findings-filter button", has_text="All").click()
    found.nth(30).locator(".finding-toggle").click()
    chips = found.nth(30).locator("[data-testid=finding-layer]")
    assert chips.count() == 8
    found.nth(30).locator(".chips .link").click()
    assert chips.count() > 30


CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const over = (a, b) => { const t = a[3] ?? 1; return [0, 1, 2].map((i) => a[i] * t + b[i] * (1 - t)); };
  const lum = (c) => { const [r, g, b] = c.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const background = (e) => { const stack = []; for (let n = e; n; n = n.parentElement) stack.push(parse(getComputedStyle(n).backgroundColor));
    return stack.reverse().reduce((under, c) => (c.length === 4 && c[3] === 0 ? under : over(c, under)), [255, 255, 255]); };
  const poor = [];
  for (const e of document.querySelectorAll(".app *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(":disabled, .visually-hidden")) continue;
    const style = getComputedStyle(e);
    const paper = background(e);
    const ink = over(parse(e instanceof SVGElement ? style.fill : style.color), paper);
    const [high, low] = [lum(ink), lum(paper)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${e.className?.baseVal ?? e.className} ${e.textContent.slice(0, 30)}`);
  }
  return poor;
}"""  # noqa: E501


@on_one_ingester
@pytest.mark.parametrize("found", [MADE_UP, replace(MADE_UP, findings=())], ids=["found", "well"])
def test_text_has_contrast_in_both_themes(page, tensorboard, found):
    answer(page, found)
    frame = open_page(page, tensorboard.url, run="killed", finding="update-too-large:8", layer="8")
    verdict(frame).wait_for()
    assert frame.evaluate(CONTRAST) == []
    page.evaluate("document.body.classList.add('dark-mode')")
    frame.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert frame.evaluate(CONTRAST) == []


@on_one_ingester
def test_the_diagnosis_as_a_file(page, tensorboard):
    answer(page, MADE_UP)
    frame = open_page(page, tensorboard.url, run="killed")
    with page.expect_download() as download:
        frame.locator("[data-testid=export-menu] summary").click()
        frame.locator("[data-testid=export-menu] button", has_text="JSON").click()
    assert download.value.suggested_filename == "torchvitals-killed-diagnosis.json"
    read = Diagnosis.from_json(download.value.path().read_text())
    assert read.to_dict() == MADE_UP.to_dict()
