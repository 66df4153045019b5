"""Dead, dormant and saturated units, the Inspector, and two runs side by side: what is shown is what was recorded."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Frame, expect
from torch import nn

from tests.e2e.conftest import STEPS, Demo, TensorBoard
from tests.e2e.test_diagnosis import CONTRAST
from tests.e2e.test_page import open_page
from torchvitals import attach_hooks
from torchvitals_tb import load_run, packing, query
from torchvitals_tb.diagnosis import examine
from torchvitals_tb.reader import Run

LAST = STEPS - 1
SMOOTH_STEPS = 60


def train_smooth(folder: Path) -> None:
    """A network without ReLU, whose GELU layer has nine units that hardly do anything."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 12), nn.Tanh(), nn.Linear(12, 4))
    with torch.no_grad():
        net[0].weight[:9] *= 1e-3
        net[0].bias[:9] = 0
        net[2].weight[:, :9] = 0  # and get no gradient to change that
        net[2].weight *= 20
    optimizer = torch.optim.SGD(net.parameters(), 1e-4)
    with attach_hooks(net, folder, every=1):
        for _ in range(SMOOTH_STEPS):
            x = torch.randn(64, 16)
            optimizer.zero_grad()
            nn.functional.mse_loss(net(x), x[:, :4]).backward()
            optimizer.step()


@pytest.fixture(scope="module")
def logs(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("units")
    for name in ("killed", "healthy"):
        shutil.copytree(demo.logdir / name, folder / name)
    train_smooth(folder / "smooth")
    return folder


@pytest.fixture(scope="module")
def board(logs: Path) -> Iterator[TensorBoard]:
    server = TensorBoard(logs, "--load_fast", "false")
    server.wait_for({"killed": LAST, "healthy": LAST, "smooth": SMOOTH_STEPS - 1})
    yield server
    server.stop()


def row_of(run: Run, layer: str) -> int:
    return [each.name for each in run.layers].index(layer)


def levels(run: Run, layer: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps [R], and of each record the layer's levels of firing and of magnitude [R, units]."""
    row = row_of(run, layer)
    steps, records = zip(*run.units, strict=True)
    parts = [slice(*record.starts[row : row + 2]) for record in records]
    firing = np.stack([record.firing[part] for record, part in zip(records, parts, strict=True)])
    magnitude = np.stack([record.magnitude[part] for record, part in zip(records, parts, strict=True)])
    return np.array(steps), firing, magnitude


def life(steps: np.ndarray, fired: np.ndarray, dead: bool) -> str:
    """A unit's life in the page's words, from which records it fired in."""
    if not fired.any():
        return f"born {'dead' if dead else 'silent'}, never active in {len(fired)} records"
    parts = ["born alive" if fired[0] else "born silent"]
    runs = [(on, list(group)) for on, group in itertools.groupby(range(len(fired)), key=lambda r: bool(fired[r]))]
    silences = [records for on, records in runs if not on]
    past = [records for records in silences if records[-1] < len(fired) - 1]

    def begin(records: list[int]) -> int:
        return int(steps[records[0] - 1]) + 1

    if len(past) > 3:
        start = f"in steps {begin(past[0])}\N{EN DASH}{steps[past[-1][-1]]}"
        parts.append(f"silent {len(past)} times {start if past[0][0] else f'up to step {steps[past[-1][-1]]}'}")
        parts.append("revived each time")
    else:
        for records in past:
            end = int(steps[records[-1]])
            if records[0] == 0:
                parts.append(f"first active after step {end}")
            else:
                first = begin(records)
                parts += [
                    f"silent at step {end}" if first == end else f"silent steps {first}\N{EN DASH}{end}",
                    "revived",
                ]
    if fired[-1]:
        return ", ".join(parts if past else [*parts, "never silent"]) + "; active to the last record"
    since = f"since step {begin(silences[-1])}"
    parts.append(f"dead {since}" if dead else f"silent {since}, too short a time to call it dead")
    return ", ".join(parts) + f"; last active step {steps[np.flatnonzero(fired)[-1]]}"


def since(run: Run, share: np.ndarray, mark: float) -> int:
    """The step since which the share has been above the mark."""
    below = np.flatnonzero(share <= mark)
    return int(run.steps[below[-1] + 1 if len(below) else 0])


def value(text: str | None) -> float:
    return float(text or "nan")


def test_a_units_life_is_told_as_the_records_have_it(page, board, logs):
    run = load_run(logs / "killed")
    steps, firing, _ = levels(run, "3")
    dead = query.units(run, "3")[1]["dead"]
    stories = [life(steps, firing[:, unit] > 0, bool(dead[unit])) for unit in range(64)]
    # One of each kind that there is, and a few more.
    kinds = {re.sub(r"\d+", "", story): unit for unit, story in enumerate(stories)}
    assert len(kinds) > 3
    frame = open_page(page, board.url, run="killed", lens="dead", layer="3", unit="5")
    said = frame.locator("[data-testid=unit-life]")
    expect(said).to_have_text(f"Unit 5: {stories[5]}")
    for unit in [*kinds.values()][:8]:
        frame.fill("[data-testid=unit-number]", str(unit))
        expect(said).to_have_text(f"Unit {unit}: {stories[unit]}")
    # By keys: the next line is the next unit in the order chosen, and it is in the address.
    frame.select_option("[data-testid=unit-order]", "index")
    frame.fill("[data-testid=unit-number]", "41")
    frame.focus("[data-testid=unit-map]")
    page.keyboard.press("ArrowDown")
    expect(said).to_have_attribute("data-unit", "42")
    page.keyboard.press("Control+End")
    expect(said).to_have_text(f"Unit 63: {stories[63]}")
    page.wait_for_function("location.hash.includes('unit=63') && location.hash.includes('order=index')")


def test_units_are_sorted_by_their_lives(page, board, logs):
    steps, firing, _ = levels(load_run(logs / "killed"), "5")
    silent = (firing == 0).sum(axis=0)
    revivals = ((firing[:-1] == 0) & (firing[1:] > 0)).sum(axis=0)
    frame = open_page(page, board.url, run="killed", lens="dead", layer="5", table="1")
    for order, key in (("silent", silent), ("revivals", revivals)):
        frame.select_option("[data-testid=unit-order]", order)
        rows = frame.locator("[data-testid=unit-table] tbody tr")
        expect(rows.first.locator("th")).to_have_text(
            re.compile(rf"^({'|'.join(map(str, np.flatnonzero(key == key.max())))})$")
        )
        cells = rows.evaluate_all("rows => rows.map(r => [...r.children].slice(0, 5).map(c => c.textContent))")
        assert sorted(int(c[0]) for c in cells) == list(range(64))
        units = [int(c[0]) for c in cells]
        assert [int(c[3]) for c in cells] == silent[units].tolist()
        assert [int(c[4]) for c in cells] == revivals[units].tolist()
        assert np.all(np.diff(key[units]) <= 0)
    last = [c[2] for c in cells]
    fired = [np.flatnonzero(firing[:, unit]) for unit in units]
    assert last == [str(steps[f[-1]]) if len(f) else "never" for f in fired]


def test_dormant_units_of_a_network_without_relu(page, board, logs):
    run = load_run(logs / "smooth")
    row = row_of(run, "1")
    _, _, magnitude = levels(run, "1")
    low = np.flatnonzero(packing.MAGNITUDE_LEVELS[magnitude[-1]] <= 0.025)
    assert low.tolist() == list(range(9))
    share = run["activation/dormant_fraction"].values[:, row]
    frame = open_page(page, board.url, run="smooth", lens="dead")  # dormant by itself: nothing here can be dead
    found = frame.locator("[data-testid=dead-row][data-layer='1']")
    expect(found).to_have_attribute("data-status", "measured")
    assert value(found.get_attribute("data-share")) == pytest.approx(9 / 24)
    assert value(found.get_attribute("data-since")) == since(run, share, 0)
    expect(frame.locator("[data-testid=verdict]")).to_contain_text("9 dormant units in 1 of 2 layers")
    ids = frame.locator("[data-testid=dormant-unit-ids]").text_content() or ""
    assert [int(n) for n in re.findall(r"\d+", ids)] == low.tolist()


def test_saturation_over_time(page, board, logs):
    run = load_run(logs / "smooth")
    share = run["activation/saturated_fraction"].values[:, row_of(run, "3")]
    assert share[-1] > 0.1
    frame = open_page(page, board.url, run="smooth", lens="dead", units="saturated", layer="3")
    found = frame.locator("[data-testid=dead-row][data-layer='3']")
    assert value(found.get_attribute("data-share")) == pytest.approx(float(share[-1]), rel=1e-6)
    assert value(found.get_attribute("data-since")) == since(run, share, 0.1)
    frame.focus("[data-testid=share-chart]")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(frame.locator("[data-testid=cursor-readout]")).to_contain_text("Step 1: ")
    page.keyboard.press("t")
    cells = frame.locator("[data-testid=share-table] td").all_inner_texts()
    assert [float(cell) for cell in cells] == pytest.approx(share.tolist(), rel=1e-6)


def test_dead_units_of_two_runs(page, board, logs):
    shares = {}
    for name in ("killed", "healthy"):
        _, found = query.dead(load_run(logs / name))
        shares[name] = found["dead"] / np.maximum(found["units"], 1)
    frame = open_page(page, board.url, run="killed", vs="healthy", lens="dead")
    for layer in ("1", "3", "5", "7"):
        row = frame.locator(f"[data-testid=dead-row][data-layer='{layer}']")
        mine, theirs = (float(shares[name][int(layer)]) for name in ("killed", "healthy"))
        assert value(row.get_attribute("data-share")) == pytest.approx(mine)
        expect(row).to_have_attribute("data-other-share", re.compile("."))  # the second run comes after the first
        assert value(row.get_attribute("data-other-share")) == pytest.approx(theirs)
        points = (mine - theirs) * 100
        assert points > 10
        expect(row).to_contain_text(f"+{float(format(points, '.3g')):g} pp")
    expect(frame.locator(".verdict-note")).to_contain_text("Against healthy: worse in 4 layers, better in 0")
    with page.expect_download() as download:
        frame.locator("[data-testid=export-menu] summary").click()
        frame.locator("[data-testid=export-menu] button", has_text="CSV").click()
    head, first = download.value.path().read_text().splitlines()[:2]
    assert head.endswith(",note,other_units,other_share")
    assert float(first.split(",")[-1]) == pytest.approx(float(shares["healthy"][1]))


def test_findings_of_two_runs(page, board, logs):
    found = {name: examine(load_run(logs / name)).findings for name in ("killed", "healthy")}
    assert found["killed"] and not found["healthy"]
    frame = open_page(page, board.url, run="killed", vs="healthy")
    expect(frame.locator("[data-testid=other-verdict]")).to_contain_text("Nothing wrong found")
    marks = frame.locator("[data-testid=finding] > .finding-head [data-testid=finding-change]")
    expect(marks).to_have_count(len(found["killed"]))
    assert set(marks.evaluate_all("all => all.map(e => e.dataset.change)")) == {"new"}
    frame.select_option("[data-testid=run-select]", "healthy")
    frame.select_option("[data-testid=versus-select]", "=killed")
    gone = frame.locator("[data-testid=finding-gone]")
    expect(gone).to_have_count(len(found["killed"]))
    expect(frame.locator("[data-testid=finding]")).to_have_count(0)
    expect(frame.locator("[data-testid=other-verdict]")).to_contain_text("1 problem")
    gone.first.get_by_test_id("show-me").first.click()
    expect(frame.locator("[data-testid=run-select]")).to_have_value("killed")
    expect(frame.locator("[data-testid=versus-select]")).to_have_value("=healthy")


def shown(frame: Frame, selector: str, attribute: str) -> dict[str, str]:
    found = frame.locator(selector)
    return dict(
        found.evaluate_all(f"all => all.map(e => [e.dataset.statistic ?? e.dataset.name, e.dataset.{attribute}])")
    )


def test_the_inspector_shows_what_was_recorded(page, board, logs):
    runs = {name: load_run(logs / name) for name in ("killed", "healthy")}
    run, step = runs["killed"], 100
    row = row_of(run, "3")
    frame = open_page(page, board.url, run="killed", vs="healthy", lens="diagnosis", layer="3", step=str(step))
    frame.wait_for_selector("[data-testid=diagnosis-verdict]")
    frame.locator("[data-testid=diagnosis-verdict]").click()
    page.keyboard.press("i")
    inspector = frame.locator("[data-testid=inspector]")
    for text in ("ReLU", "64 \N{MULTIPLICATION SIGN} 64", "float32"):
        expect(inspector).to_contain_text(text)
    own = "section[aria-label='Vital signs'] [data-testid=vital]"
    expect(frame.locator(f"{own}[data-statistic='gradient/nonfinite_fraction']")).to_have_attribute(
        "data-other-value", "0"
    )
    for attribute, name in (("value", "killed"), ("otherValue", "healthy")):
        values = shown(frame, own, attribute)
        assert len(values) >= 7
        for statistic, text in values.items():
            assert float(text) == pytest.approx(float(runs[name][statistic].values[step, row]), rel=1e-6)
    dead = query.dead(run)[1]["dead"]
    expect(inspector.locator("[data-testid=inspector-dead]")).to_have_attribute("data-dead", str(dead[row]))

    # What feeds it is a layer with parameters, a key press away.
    link = inspector.locator("section[aria-label='Fed by'] [data-testid=inspector-link]")
    expect(link).to_have_text("2")
    link.focus()
    page.keyboard.press("Enter")
    expect(inspector).to_have_attribute("data-selected", "2")
    names = [parameter.name for parameter in run.parameters]
    at = names.index("2.weight")
    entry = inspector.locator("[data-testid=inspector-parameter][data-name='2.weight']")
    ratio = entry.locator("[data-testid=vital]")
    expect(ratio).to_have_attribute("data-other-value", re.compile("."))
    for attribute, name in (("data-value", "killed"), ("data-other-value", "healthy")):
        expected = float(runs[name]["parameter/update_ratio"].values[step, at])
        assert value(ratio.get_attribute(attribute)) == pytest.approx(expected, rel=1e-6)
    rate = float(run["parameter/learning_rate"].values[step, at])
    assert value(entry.get_attribute("data-rate")) == pytest.approx(rate, rel=1e-6)
    expect(entry).to_contain_text("64 \N{MULTIPLICATION SIGN} 64 = 4,096")
    frame.click("[data-testid=lens-dead]")
    frame.wait_for_selector("[data-testid=unit-map]")
    assert frame.evaluate(CONTRAST) == []
    page.evaluate("document.body.classList.add('dark-mode')")
    frame.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert frame.evaluate(CONTRAST) == []


def test_the_inspector_leads_to_findings_and_lenses(page, board, logs):
    every = [f for cause in examine(load_run(logs / "killed")).findings for f in (cause, *cause.effects)]
    naming = [f.code for f in every if "7" in f.layers]
    frame = open_page(page, board.url, run="killed", lens="gradient", layer="7", inspector="1")
    found = frame.locator("[data-testid=inspector-finding]")
    expect(found).to_have_count(len(naming))
    found.locator("text=Dead units").click()
    expect(frame.locator(".finding.chosen")).to_have_attribute("data-code", "dead-units")
    expect(frame.locator(".finding.chosen .finding-toggle").first).to_have_attribute("aria-expanded", "true")
    frame.locator("[data-testid=inspector] button", has_text="Dead").last.click()
    frame.locator(".inspector-lenses button", has_text="Dead").click()
    expect(frame.locator("[data-testid=dead-row][aria-selected=true]")).to_have_attribute("data-layer", "7")
    # A parameter is shown with the layer that has it; what the run does not have is said.
    frame = open_page(
        page, board.url, run="killed", lens="gradient", stat="parameter/rms", layer="4.bias", inspector="1"
    )
    expect(frame.locator("[data-testid=inspector]")).to_have_attribute("data-selected", "4")
