"""What pointer and wheel do over a long picture, and pages of long tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Frame, Page, expect

from tests.e2e.conftest import TensorBoard
from tests.e2e.test_page import open_page
from tests.synthetic import Written, write_run
from torchvitals_tb import load_run
from torchvitals_tb.packing import FIRING_LEVELS
from torchvitals_tb.reader import Run

LAYERS, STEPS, UNITS, RECORDS = 300, 60, 450, 50


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    folder = tmp_path_factory.mktemp("gestures")
    size = {"layers": LAYERS, "steps": STEPS, "units": UNITS, "records": RECORDS}
    return folder, write_run(folder / "long", kind="dead", **size)


@pytest.fixture(scope="module")
def board(written: tuple[Path, Written]) -> Iterator[TensorBoard]:
    server = TensorBoard(written[0], "--load_fast", "false")
    server.wait_for({"long": STEPS})
    yield server
    server.stop()


def box(frame: Frame, selector: str) -> dict[str, float]:
    found = frame.locator(selector).bounding_box()
    assert found is not None
    return found


def point(
    page: Page, frame: Frame, x: float, y: float, *, selector: str = "[data-testid=heatmap]"
) -> tuple[float, ...]:
    """Moves to a share of the picture's width, ``y`` pixels below the upper edge of what is seen of the rows."""
    picture, seen = box(frame, selector), box(frame, ".rows-scroll")
    place = picture["x"] + x * picture["width"], seen["y"] + y
    page.mouse.move(*place)
    return place


def steps_in(frame: Frame) -> tuple[int, int]:
    """The range of steps that the picture says it shows."""
    said = frame.locator("[data-testid=heatmap]").get_attribute("aria-label") or ""
    found = re.search(r"steps (\d+) to (\d+)", said)
    assert found, said
    return int(found[1]), int(found[2])


def test_rows_are_the_same_under_the_pointer_wherever_one_has_scrolled(page, board, written):
    run: Run = load_run(written[0] / "long")
    values, names = run["gradient/rms"].values, [layer.name for layer in run.layers]
    frame = open_page(page, board.url, run="long", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    frame.get_by_role("button", name="Expand").click()
    height = box(frame, ".rows-scroll")["height"]
    end = frame.locator(".rows-scroll").evaluate("e => e.scrollHeight") - height
    assert end > 3 * height
    readout = frame.locator("[data-testid=cursor-readout]").first
    seen: set[str] = set()
    for wheel in (0, 37, 160, 900, 2500, -700, 1e6):
        point(page, frame, 0.5, 50)
        page.mouse.wheel(0, wheel)
        page.wait_for_timeout(250)  # the wheel's own animation
        for y in (6, height / 2, height - 6):
            at = point(page, frame, 0.3, y)[1]
            row = frame.evaluate(
                """y => { const row = [...document.querySelectorAll("[data-testid=tree-row]")].find((row) => {
                     const box = row.getBoundingClientRect(); return box.top <= y && y < box.bottom });
                   return [row.dataset.row, row.dataset.kind] }""",
                at - frame.frame_element().bounding_box()["y"],
            )
            expect(readout).to_have_attribute("data-layer", row[0])
            if row[1] == "leaf":
                step = int(readout.get_attribute("data-step"))
                shown = float(readout.get_attribute("data-value"))
                sample = run.steps.tolist().index(step)
                assert shown == pytest.approx(float(values[sample, names.index(row[0])]), rel=1e-6)
                seen.add(row[0])
    scrolled = frame.locator(".rows-scroll").evaluate("e => e.scrollTop")
    assert scrolled == pytest.approx(end, abs=1)
    assert len(seen) > 8
    # The last rows are drawn, not only their names.
    last = frame.locator("[data-testid=heatmap] canvas").evaluate(
        """(canvas) => { const { top, height } = canvas.getBoundingClientRect();
             const seen = document.querySelector(".rows-scroll").getBoundingClientRect();
             const y = Math.round((seen.bottom - 10 - top) / height * canvas.height);
             return [...canvas.getContext("2d").getImageData(canvas.width >> 1, y, 1, 1).data] }"""
    )
    assert last[3] == 255
    # By keys: from the end to the beginning, with the row in sight.
    frame.locator("[role=treegrid] [tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    first = frame.locator("[data-testid=tree-row][aria-selected=true]")
    expect(first).to_have_attribute("aria-rowindex", "2")
    assert box(frame, "[data-testid=tree-row][aria-selected=true]")["y"] == pytest.approx(
        box(frame, ".rows-scroll")["y"], abs=1
    )


def test_steps_are_chosen_by_drag_and_wheel(page, board):
    frame = open_page(page, board.url, run="long", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    assert steps_in(frame) == (1, STEPS)
    # A drag over the middle half.
    point(page, frame, 0.25, 40)
    page.mouse.down()
    point(page, frame, 0.5, 60)
    point(page, frame, 0.75, 60)
    page.mouse.up()
    page.wait_for_function("location.hash.includes('steps=')")
    first, last = steps_in(frame)
    assert abs(first - STEPS / 4) <= 2
    assert abs(last - 3 * STEPS / 4) <= 2
    # With Ctrl the wheel zooms about the pointer, with Shift it moves.
    point(page, frame, 0.5, 60)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    expect(frame.locator("[data-testid=heatmap]")).not_to_have_attribute("aria-label", re.compile(f"steps {first} to"))
    nearer = steps_in(frame)
    assert first < nearer[0] < nearer[1] < last
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 100)
    page.keyboard.up("Shift")
    expect(frame.locator("[data-testid=heatmap]")).not_to_have_attribute(
        "aria-label", re.compile(f"steps {nearer[0]} to")
    )
    moved = steps_in(frame)
    assert moved[0] > nearer[0]
    assert moved[1] - moved[0] == pytest.approx(nearer[1] - nearer[0], abs=1)
    # A double click shows all again.
    picture = box(frame, "[data-testid=heatmap]")
    page.mouse.dblclick(picture["x"] + 200, picture["y"] + 30)
    page.wait_for_function("!location.hash.includes('steps=')")
    expect(frame.locator("[data-testid=heatmap]")).to_have_attribute("aria-label", re.compile(f"steps 1 to {STEPS}"))


def test_steps_are_chosen_in_the_header(page, board):
    frame = open_page(page, board.url, run="long", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    first, last = (frame.locator(f"[aria-label='{name} step']") for name in ("First", "Last"))
    first.fill("11")
    first.press("Enter")
    last.fill("30")
    last.press("Tab")
    assert steps_in(frame) == (11, 30)
    page.wait_for_function("/steps=11(:|%3A)30/.test(location.hash)")
    # What the run does not have is all of it.
    for field, number in ((last, "9000"), (first, "8000")):
        field.fill(number)
        field.press("Enter")
    expect(first).to_have_value("1")
    assert steps_in(frame) == (1, STEPS)
    frame.evaluate("document.activeElement.blur()")
    first.fill("50")
    first.press("Enter")
    frame.get_by_role("button", name="All", exact=True).click()
    assert steps_in(frame) == (1, STEPS)


def test_the_heat_map_by_keys(page, board, written):
    run = load_run(written[0] / "long")
    values, names = run["gradient/rms"].values, [layer.name for layer in run.layers]
    frame = open_page(page, board.url, run="long", lens="gradient", step="30", layer=names[0])
    readout = frame.locator("[data-testid=cursor-readout]").first
    frame.locator("[data-testid=heatmap]").focus()
    expect(readout).to_have_attribute("data-layer", names[0])
    page.keyboard.press("ArrowUp")
    expect(readout).to_have_attribute("data-layer", names[0].rpartition(".")[0])
    page.keyboard.press("ArrowDown")
    for key, step in (("ArrowRight", 31), ("Shift+ArrowRight", 41), ("ArrowLeft", 40), ("Shift+ArrowLeft", 30),
                      ("End", STEPS), ("Home", 1), (".", 2), (",", 1)):  # fmt: skip
        page.keyboard.press(key)
        expect(readout).to_have_attribute("data-step", str(step))
        expect(readout).to_have_attribute("data-layer", names[0])
        expected = float(values[run.steps.tolist().index(step), 0])
        assert float(readout.get_attribute("data-value")) == pytest.approx(expected, rel=1e-6)
    page.keyboard.press("Escape")
    expect(frame.locator("[data-testid=tree-row][aria-selected=true]")).to_have_count(0)
    page.keyboard.press("/")
    expect(frame.locator("[type=search], .search input").first).to_be_focused()
    page.keyboard.type("no such layer")
    expect(frame.get_by_text("Nothing of that name")).to_be_visible()


def test_long_tables_have_pages(page, board, written):
    run = load_run(written[0] / "long")
    row = next(i for i, layer in enumerate(run.layers) if layer.units == UNITS and layer.function)
    name = run.layers[row].name
    firing = np.stack([record.firing[slice(*record.starts[row : row + 2])] for _, record in run.units])
    recorded = [step for step, _ in run.units]
    assert len(recorded) == RECORDS
    frame = open_page(page, board.url, run="long", lens="dead", layer=name, order="index", table="1")
    table = frame.locator("[data-testid=unit-table]")

    def cells() -> dict[tuple[int, int], float]:
        found = table.locator("td[data-unit]").evaluate_all(
            "cells => cells.map(c => [Number(c.dataset.unit), Number(c.dataset.step), Number(c.textContent)])"
        )
        return {(unit, step): value for unit, step, value in found}

    def are(units: range, records: list[int]) -> None:
        expect(table.locator("tbody tr").first.locator("th")).to_have_text(str(units[0]))
        expect(table.locator("th[data-step]").first).to_have_attribute("data-step", str(records[0]))
        found = cells()
        assert set(found) == {(unit, step) for unit in units for step in records}
        for (unit, step), value in found.items():
            assert value == pytest.approx(float(FIRING_LEVELS[firing[recorded.index(step), unit]]), rel=1e-6)

    are(range(200), recorded[40:])  # the newest records first
    frame.get_by_role("button", name="Next units").click()
    frame.get_by_role("button", name="Next units").click()
    are(range(400, UNITS), recorded[40:])
    expect(frame.get_by_role("button", name="Next units")).to_be_disabled()
    frame.get_by_role("button", name="Previous records").focus()
    page.keyboard.press("Enter")
    are(range(400, UNITS), recorded[:40])
