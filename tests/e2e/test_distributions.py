"""The Distributions lens: its counts, its losses, its cursor, its states, against what was recorded."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Frame, Page, expect

from tests.e2e.conftest import TensorBoard
from tests.e2e.test_page import open_page
from tests.synthetic import EventFile
from torchvitals_tb import load_run, packing
from torchvitals_tb.schema import MANIFEST_TAG, RUN_TAG, Layer, Manifest, Parameter, histogram_tag, tag_of

LAYERS = tuple(Layer(name, "module", "Linear", None, "", 0, (4, 8), 8, 1) for name in ("wide", "half", "silent"))
PARAMETERS = (Parameter("wide.weight", "wide", (8, 4), True),)
CASTS = {
    "float16": (torch.float16, 65520.0),
    "bfloat16": (torch.bfloat16, 3.3961776e38),
    "e4m3": (torch.float8_e4m3fn, 464.0),
    "e5m2": (torch.float8_e5m2, 61440.0),
}


def values(seed: int) -> np.ndarray:
    """Of both signs, over 60 octaves, some zero."""
    rng = np.random.default_rng(seed)
    spread = np.exp2(rng.uniform(-40, 20, 4000)) * rng.choice([-1, 1], 4000)
    return np.append(spread, np.zeros(96)).astype(np.float32)


def counted(*rows: np.ndarray) -> bytes:
    return packing.encode_histograms(np.stack([np.bincount(packing.bin_of(x), minlength=packing.BINS) for x in rows]))


def bin_of(value: np.float32) -> int:
    return int(packing.bin_of(np.array([value]))[0])


def write(folder: Path, records: dict[int, bytes], *, rename: bool = False) -> None:
    """A run with these histograms of gradients, and one of weights; ``rename``: its layers have other names."""
    layers = (LAYERS[0], replace(LAYERS[1], dtype="float16"), LAYERS[2])
    if rename:
        layers = tuple(replace(row, name=f"{row.name}2") for row in layers)
    with EventFile(folder) as file:
        for count, step in enumerate((1, 2, 3, 4, 5, 6), start=1):
            content = {
                MANIFEST_TAG: Manifest(layers, PARAMETERS).to_json(),
                tag_of("gradient/rms"): np.ones(3, dtype=np.float32),
                RUN_TAG: np.array([count, step, 0.1, 1.0]),
            }
            if step in records:
                content[histogram_tag("gradient")] = records[step]
                content[histogram_tag("weight")] = counted(values(step))
            file.write(step, content)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TensorBoard]:
    logdir = tmp_path_factory.mktemp("distributions")
    nothing, nan = np.zeros(0, dtype=np.float32), np.full(9, np.nan, dtype=np.float32)
    write(logdir / "known", {s: counted(values(s), values(s + 10), nothing) for s in (1, 3, 4, 6)})
    write(logdir / "twin", {s: counted(values(s) * 64, values(s), nothing) for s in (2, 5)})
    write(logdir / "named", {1: counted(values(1), values(1), nothing)}, rename=True)
    write(logdir / "broken", {1: counted(values(1), nan, nothing), 3: counted(nan, nan, nothing)})
    write(logdir / "one", {2: counted(values(2), values(2), nothing)})
    write(logdir / "none", {})
    server = TensorBoard(logdir, "--load_fast", "true")
    server.wait_for(dict.fromkeys(("known", "twin", "named", "broken", "one", "none"), 6))
    yield server
    server.stop()


def cells(frame: Frame) -> dict[tuple[str, int, str], int]:
    """Row, step and bin -> count, of all cells of the table."""
    frame.wait_for_selector("[data-testid=histogram-table] td")
    found = frame.locator("[data-testid=histogram-table] td").evaluate_all(
        "cells => cells.map(c => [c.dataset.row, +c.dataset.step, c.dataset.bin, c.innerText])"
    )
    return {(row, step, bin_): int(text) for row, step, bin_, text in found if bin_ != "lost"}


def test_counts_are_the_recorded_ones(page: Page, tensorboard: TensorBoard, demo) -> None:
    records = load_run(demo.logdir / "killed").histograms("activation")
    frame = open_page(
        page, tensorboard.url, run="killed", lens="distributions", hist="activation", layer="1", table="1"
    )
    # A few records come first, then all; the newest is on the second page of them.
    steps = [step for step, _ in records][40:]
    frame.wait_for_selector(f"[data-testid=histogram-table] td[data-step='{steps[0]}']:first-of-type")
    shown = cells(frame)
    assert sorted({step for _, step, _ in shown}) == steps
    for step, record in ((step, record) for step, record in records if step in steps):
        dense = record.dense(1)
        assert shown["1", step, "all"] == dense.sum()
        assert {b: n for (_, s, b), n in shown.items() if s == step and b != "all" and n} == {
            str(b): dense[b] for b in np.flatnonzero(dense)
        }
    frame.get_by_role("button", name="Over depth").click()
    frame.wait_for_selector("[data-testid=histogram-table] td[data-row='8']")
    shown = cells(frame)
    for row, layer in enumerate(load_run(demo.logdir / "killed").layers):
        dense = records[len(records) - 1].dense(row)
        assert {b: n for (name, _, b), n in shown.items() if name == layer.name and b != "all" and n} == {
            str(b): dense[b] for b in np.flatnonzero(dense)
        }


def test_what_a_format_loses_is_what_a_cast_loses(page: Page, made: TensorBoard) -> None:
    frame = open_page(page, made.url, run="known", lens="distributions", layer="wide", table="1")
    expect(frame.locator("[data-testid=format-select]")).to_have_value("float16")  # of a layer in float32
    for name, (dtype, beyond) in CASTS.items():
        frame.select_option("[data-testid=format-select]", name)
        for step in (1, 6):
            x = values(step)
            under = int((torch.tensor(x).to(dtype).double().numpy() == 0).sum() - (x == 0).sum())
            over = int((np.abs(x) >= beyond).sum())
            lost = frame.locator(f"[data-testid=histogram-table] td[data-bin=lost][data-step='{step}']")
            share = {key: float(lost.get_attribute(f"data-{key}") or "") for key in ("under", "over-low", "over-high")}
            assert share["under"] == pytest.approx(under / len(x), abs=1e-12)
            assert share["over-low"] <= over / len(x) <= share["over-high"]
            assert share["over-high"] - share["over-low"] < 0.02
    frame.select_option("[data-testid=format-select]", "none")
    expect(frame.locator("[data-testid=histogram-table] td[data-bin=lost]")).to_have_count(0)


def test_pointer_and_keys(page: Page, made: TensorBoard) -> None:
    frame = open_page(page, made.url, run="known", lens="distributions", layer="wide")
    picture = frame.locator("[data-testid=ridge-picture]")
    readout = frame.locator("[data-testid=cursor-readout]")
    expect(frame.locator("[data-testid=ridge]")).to_have_count(4)
    expect(readout).to_have_attribute("data-step", "6")
    # Where the baseline of step 3 meets the middle of the picture: the gap at zero, which has 96 of 4,096 values.
    line = frame.locator("[data-testid=ridge][data-key='3'] .ridge-base").bounding_box()
    page.mouse.move(line["x"] + line["width"] / 2, line["y"] - 2)
    expect(readout).to_have_attribute("data-step", "3")
    expect(readout).to_contain_text("zero: 96 of 4,096 (2.3 %)")
    page.mouse.click(line["x"] + line["width"] / 2, line["y"] - 2)
    page.wait_for_function("location.hash.includes('step=3')")
    picture.focus()
    page.mouse.move(5, 5)
    page.keyboard.press("ArrowRight")
    order = int(readout.get_attribute("data-order") or "")
    x = values(3)
    smallest = bin_of(np.abs(x[x != 0]).min())
    assert order == smallest
    page.keyboard.press("ArrowRight")
    dense = np.bincount(packing.bin_of(x), minlength=packing.BINS)
    expect(readout).to_contain_text(f": {dense[smallest + 1]} of 4,096")
    below = (x < packing.bin_limits()[smallest + 1, 1]).mean()
    expect(readout).to_contain_text(f"{below * 100:.0f} % up to here")
    page.keyboard.press("ArrowDown")
    expect(readout).to_have_attribute("data-step", "4")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash.includes('step=4')")
    page.keyboard.press("]")
    page.wait_for_function("location.hash.includes('step=6')")
    page.keyboard.press("End")
    expect(readout).to_have_attribute("data-order", str(bin_of(np.abs(x).max())))
    # The layer in float16 has its own format; over depth a click on a ridge takes its layer.
    frame.get_by_role("button", name="Over depth").click()
    frame.locator("[data-testid=ridge][data-key='l:half'] .ridge-base").wait_for(state="attached")
    line = frame.locator("[data-testid=ridge][data-key='l:half'] .ridge-base").bounding_box()
    page.mouse.click(line["x"] + 40, line["y"] - 2)
    page.wait_for_function("location.hash.includes('layer=half')")
    expect(frame.locator("[data-testid=format-select] option:checked")).to_have_text("float16, its own")
    frame.get_by_role("button", name="Linear").click()
    page.wait_for_function("location.hash.includes('scale=linear') && location.hash.includes('by=depth')")
    # Another kind has other rows: of a layer its first parameter, and back.
    frame.locator("[data-testid=tree-row][data-row=wide]").click()
    frame.select_option("[data-testid=kind-select]", "weight")
    expect(frame.locator("[data-testid=tree-row][aria-selected=true]")).to_have_attribute("data-row", "wide.weight")


def test_files(page: Page, made: TensorBoard) -> None:
    frame = open_page(page, made.url, run="known", lens="distributions", layer="wide")
    frame.wait_for_selector("[data-testid=ridge]", state="attached")
    saved = {}
    for name in ("Numbers", "Drawing"):
        frame.locator("[data-testid=export-menu] summary").click()
        with page.expect_download() as download:
            frame.get_by_role("menuitem", name=name).click()
        saved[name] = Path(download.value.path()).read_text()
    rows = list(csv.DictReader(io.StringIO(saved["Numbers"])))
    assert {row["row"] for row in rows} == {"wide"}
    for step in (1, 3, 4, 6):
        dense = np.zeros(packing.BINS, dtype=int)
        for row in rows:
            if row["step"] == str(step):
                dense[int(row["bin"])] = int(row["count"])
                assert bin_of(np.float32(row["from" if int(row["bin"]) < 512 else "to"])) == int(row["bin"])
        assert dense.tolist() == np.bincount(packing.bin_of(values(step)), minlength=packing.BINS).tolist()
    drawing = ET.fromstring(saved["Drawing"])
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"1", "3", "4", "6", "Lost in float16"} <= set(texts)


def test_compared_with_another_run(page: Page, made: TensorBoard) -> None:
    frame = open_page(page, made.url, run="known", vs="twin", lens="distributions", layer="wide")
    # The twin has records at 2 and 5, so it has nothing at or before 1.
    expect(frame.locator("[data-testid=ridge] .ridge-other:not(rect)")).to_have_count(3)
    expect(frame.locator("[data-testid=ridge][data-key='1'] .ridge-other")).to_have_count(0)
    frame.get_by_role("button", name="Over depth").click()
    expect(frame.locator("[data-testid=ridge] .ridge-other:not(rect)")).to_have_count(2)
    frame.select_option("[data-testid=versus-select]", "=named")
    expect(frame.locator("[data-testid=ridge] .ridge-other")).to_have_count(0)
    frame.get_by_role("button", name="Over steps").click()
    expect(frame.locator(".distributions-head")).to_contain_text("named has nothing here")


def test_states(page: Page, made: TensorBoard) -> None:
    frame = open_page(page, made.url, run="broken", lens="distributions")
    verdict = frame.locator("[data-testid=verdict]")
    # Without a choice: the first layer that is not finite.
    expect(verdict).to_contain_text("Values are NaN since step 3, 100 % there")
    expect(frame.locator("[data-testid=ridge]")).to_have_count(2)
    expect(frame.locator(".ridge-broken")).to_have_text("9")
    frame.locator("[data-testid=tree-row][data-row=silent]").click()
    expect(frame.locator(".distributions-drawing")).to_have_text("Nothing was recorded of silent")
    frame.get_by_role("button", name="Over depth").click()
    expect(verdict).to_contain_text("NaN or Inf at step 3 in 2 layers, first in wide")
    frame.get_by_role("button", name="Over steps").click()
    frame.select_option("[data-testid=run-select]", "one")
    frame.locator("[data-testid=tree-row][data-row=wide]").click()
    expect(frame.locator("[data-testid=ridge]")).to_have_count(1)
    expect(verdict).to_contain_text("at step 2")
    frame.select_option("[data-testid=run-select]", "none")
    expect(frame.locator(".lens")).to_contain_text("This run has no histograms")


def test_new_records_appear_and_the_view_stays(page: Page, serve, tmp_path: Path) -> None:
    nothing = np.zeros(0, dtype=np.float32)
    record = {s: counted(values(s), values(s), nothing) for s in range(1, 7)}
    write(tmp_path / "logs" / "live", {1: record[1], 2: record[2]})
    server = serve(tmp_path / "logs", "--load_fast", "false", "--reload_multifile", "true")
    server.wait_for({"live": 6})
    frame = open_page(page, server.url, run="live", lens="distributions", layer="half", step="1")
    expect(frame.locator("[data-testid=ridge]")).to_have_count(2)
    with EventFile(tmp_path / "logs" / "live", stamp=1_763_700_000) as file:
        file.write(7, {histogram_tag("gradient"): record[6], RUN_TAG: np.array([7.0, 7.0, 0.1, 1.0])})
    expect(frame.locator("[data-testid=ridge]")).to_have_count(3)
    expect(frame.locator("[data-testid=cursor-readout]")).to_have_attribute("data-step", "1")
    expect(frame.locator(".distributions-head h2")).to_have_text("half")
