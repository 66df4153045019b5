"""Gradient flow: every way of looking shows what was recorded, and the scalars of the training loop beneath it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Frame, expect
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.summary_pb2 import Summary

from tests.e2e.conftest import on_one_ingester
from tests.e2e.test_page import open_page
from tests.synthetic import EventFile
from torchvitals_tb import load_run
from torchvitals_tb.schema import MANIFEST_TAG, RUN_TAG, Layer, Manifest, Parameter, tag_of

WINDOW = "40:52"
NOT_MEASURED = "\N{EN DASH}"


def cells(frame: Frame, part: str = "") -> dict[tuple[str, int], str]:
    """The table as layer and step -> text."""
    frame.wait_for_selector("[data-testid=heatmap-table]")
    found = frame.locator(f"[data-testid=heatmap-table] td[data-part='{part}']").evaluate_all(
        "cells => cells.map(c => [c.dataset.layer, Number(c.dataset.step), c.innerText])"
    )
    return {(layer, step): text for layer, step, text in found}


def records(frame: Frame, name: str) -> np.ndarray:
    """The table of a scalar: place, own step, value."""
    rows = frame.locator(f"[data-testid=scalar-table][data-name='{name}'] tbody tr")
    expect(rows).not_to_have_count(0)
    return np.array(rows.evaluate_all("r => r.map(e => [e.dataset.at, e.dataset.step, e.dataset.value].map(Number))"))


def test_relative_is_the_ratio_to_the_median_of_the_run(page, tensorboard, demo):
    run = load_run(demo.logdir / "killed")
    frame = open_page(page, tensorboard.url, run="killed", lens="gradient", table="1", steps=WINDOW, colour="relative")
    found = cells(frame)
    values = run["gradient/rms"].values.astype(np.float64)
    expect(frame.locator("[data-testid=heatmap-table]")).to_have_attribute("data-scale", "ratio")
    assert len(found) == 13 * len(run.layers)
    for i, layer in enumerate(run.layers):
        size = np.abs(values[:, i])
        usual = np.median(size[np.isfinite(size) & (size > 0)])
        for step in range(40, 53):
            assert float(found[layer.name, step]) == pytest.approx(values[step, i] / usual, rel=2e-6)
    # The loss beneath, as TensorBoard's own reader finds it in the event file.
    written = EventAccumulator(str(demo.logdir / "killed"), {"scalars": 0}).Reload().Scalars("loss")
    expected = np.array([[s.step, s.step, s.value] for s in written if 40 <= s.step <= 52])
    assert np.array_equal(records(frame, "loss"), expected)


@on_one_ingester
def test_difference_is_the_ratio_of_two_runs(page, tensorboard, demo):
    a, b = (load_run(demo.logdir / name)["gradient/rms"].values.astype(np.float64) for name in ("killed", "healthy"))
    frame = open_page(page, tensorboard.url, run="killed", vs="healthy", lens="gradient", table="1", steps=WINDOW)
    frame.wait_for_selector("[data-testid=heatmap-table] td[data-part='B']")
    layers = [layer.name for layer in load_run(demo.logdir / "killed").layers]
    for part, expected in (("A", a), ("B", b), ("A ÷ B", a / b)):
        found = cells(frame, part)
        assert len(found) == 13 * len(layers)
        for (layer, step), text in found.items():
            assert float(text) == pytest.approx(expected[step, layers.index(layer)], rel=2e-6), (part, layer, step)


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short runs that share two of three layers, scalars by epoch, and a layer that is never measured."""
    top = tmp_path_factory.mktemp("flow")
    for run, names, scale in (
        ("first", ("<b>in</b>", "n" * 300, "out"), 1.0),
        ("second", ("out", "<b>in</b>", "new"), 4.0),
    ):
        layers = tuple(Layer(name, "module", "Linear", None, "", 0, (4, 2), 2, 1) for name in names)
        parameters = tuple(Parameter(f"{name}.weight", name, (2, 2), True) for name in names)
        with EventFile(top / run) as file:
            for step in range(30 if run == "first" else 21):
                vector = np.array([step + 1.0, np.nan if run == "first" else 2.0, 3.0], dtype=np.float32) * scale
                rate = np.full(3, 0.1 / (1 + step), dtype=np.float32)
                values = {
                    tag_of("gradient/rms"): vector,
                    tag_of("activation/example_std"): vector,
                    tag_of("parameter/learning_rate"): rate,
                    RUN_TAG: np.array([step + 1.0, step, 0.1, 1.0]),
                }  # fmt: skip
                if step == 0:
                    values[MANIFEST_TAG] = Manifest(layers, parameters).to_json()
                file.write(step, values, 1e9 + 10 * step)
                scalars = {"lr": (step, 0.1 / (1 + step))} | (
                    {"val/loss": (step // 10, 1 / (step + 1))} if step % 10 == 9 else {}
                )
                for tag, (own, value) in scalars.items():
                    file.write(own, {tag: Summary.Value(tag=tag, simple_value=value)}, 1e9 + 10 * step + 5)
    return top


def test_two_runs_and_scalars_by_epoch(page, serve, logdir):
    server = serve(logdir, "--load_fast", "false")
    server.wait_for({"first": 29, "second": 20})
    frame = open_page(page, server.url, run="first", vs="second", lens="gradient", step="12")
    frame.wait_for_selector("[data-testid=heatmap]")
    expect(frame.locator(".legend")).to_contain_text("not measured")
    # Rows by name, what only one run has is marked, names are text.
    rows = frame.locator("[data-testid=tree-row]")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("<b>in</b>")
    assert [rows.nth(i).locator(".lone").count() for i in range(4)] == [0, 1, 0, 1]
    expect(rows.nth(1)).to_contain_text("only A")
    expect(rows.nth(3)).to_contain_text("only B")
    # Layer "<b>in</b>" is row 0 here and row 1 there: 13 against 2 * 4; "out" is 3 against (12 + 1) * 4.
    verdict = "first is 1/17 of second in layer out at step 12, 3 against 52"
    expect(frame.locator("[data-testid=verdict]")).to_contain_text(verdict)
    # The same step by keys, in every mode; the readout has all three numbers.
    frame.click("[data-testid=tree-row][data-row='out']")
    page.keyboard.press("]")
    readout = frame.locator("[data-testid=cursor-readout]").first
    expect(readout).to_have_attribute("data-step", "13")
    expect(readout).to_contain_text("A 3")
    expect(readout).to_contain_text("B 56")
    assert float(readout.get_attribute("data-value")) == pytest.approx(3 / 56)
    frame.click("[data-testid=compare-beside]")
    expect(readout).to_have_attribute("data-value", "3")
    page.wait_for_function("location.hash.includes('compare=beside')")
    assert "A is run first, B is run second" in frame.locator("[data-testid=heatmap]").first.get_attribute("aria-label")
    # The second run ends at step 20.
    frame.click("[data-testid=table-toggle]")
    found = cells(frame, "B")
    assert (found["out", 20], found["out", 21]) == ("84", NOT_MEASURED)
    assert cells(frame, "A ÷ B")["out", 21] == NOT_MEASURED
    # Epochs stand where training was when they were written: half a step later, as their times say.
    assert records(frame, "val/loss") == pytest.approx(
        np.array([[9.5, 0, 1 / 10], [19.5, 1, 1 / 20], [29, 2, 1 / 30]]), rel=1e-6
    )
    assert records(frame, "lr")[:, 0] == pytest.approx(np.arange(30))
    frame.select_option("[data-testid=versus-select]", "")
    frame.click("[data-testid=table-toggle]")
    expect(frame.locator(".scalars-notes")).to_contain_text("By time; it counts 0\N{EN DASH}2")
    expect(frame.locator("[data-testid=scalar-value][data-name='val/loss']")).to_have_attribute("data-step", "0")
    # What is chosen stays chosen, and in the address.
    frame.locator("[data-testid=scalar-select]").first.select_option("lr")
    expect(frame.locator("[data-testid=scalar-value]").first).to_have_attribute("data-step", "13")
    page.wait_for_function("location.hash.includes('scalar=lr')")
    for statistic in ("activation/example_std", "parameter/learning_rate"):
        frame.select_option("[data-testid=stat-select]", statistic)
        frame.click("[data-testid=colour-relative]")
        expect(frame.locator("[data-testid=tree-row]")).to_have_count(3)


@on_one_ingester
def test_the_band_marks_a_vanishing_gradient(page, tensorboard, demo):
    """The early layers lie outside of what is expected, in the picture as in the diagnosis; a healthy run has none."""
    for run, step, least, most in (("vanishing", "200", 10, 25), ("healthy", "200", 0, 0)):
        frame = open_page(page, tensorboard.url, run=run, lens="gradient", step=step)
        frame.wait_for_selector("[data-testid=expected]")
        outside = int(frame.locator("[data-testid=expected]").get_attribute("data-outside"))
        assert least <= outside <= most
        page.goto("about:blank")
