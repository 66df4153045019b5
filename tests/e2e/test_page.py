"""The page in a real browser, in a real TensorBoard, on both of its ingesters, on the demo's runs."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import torch
from playwright.sync_api import Frame, Page, expect
from torch import nn

from tests.e2e.conftest import STEPS, on_one_ingester
from tests.synthetic import EventFile
from torchvitals.demo import digits
from torchvitals_tb import load_run
from torchvitals_tb.schema import MANIFEST_TAG, RUN_TAG, Layer, Manifest, tag_of


def open_page(page: Page, url: str, **state: str) -> Frame:
    """Opens the plugin's tab in a given state, and gives the frame its page is in."""
    hash_ = "".join(f"&p.torchvitals.{key}={value}" for key, value in state.items())
    page.goto(url + "#torchvitals" + hash_)
    page.wait_for_selector("iframe[src*='name=torchvitals']", state="attached")
    frame = page.wait_for_selector("iframe[src*='name=torchvitals']", state="attached").content_frame()
    assert frame is not None
    return frame


def forgive_not_found(complaints: list[str]) -> None:
    complaints[:] = [c for c in complaints if not re.search("404|Failed to load resource", c)]


def shown(frame: Frame, layer: str, step: int) -> float:
    cell = frame.locator(f"[data-testid=heatmap-table] td[data-layer='{layer}'][data-step='{step}']")
    text = cell.first.inner_text()
    return float(text.replace("\N{MINUS SIGN}", "-"))


@on_one_ingester
def test_the_tab_is_active(page, tensorboard):
    frame = open_page(page, tensorboard.url)
    frame.wait_for_selector("[data-testid=diagnosis-verdict]")
    tab = page.locator("[role=tab]", has_text=re.compile("vitals", re.I))
    expect(tab).to_be_visible()
    assert "torchvitals" in page.url


def test_gradient_flow_has_a_row_per_layer_and_the_recorded_values(page, tensorboard, demo):
    run = load_run(demo.logdir / "vanishing")
    for step in (0, 100, STEPS - 1):
        frame = open_page(
            page, tensorboard.url, run="vanishing", lens="gradient", stat="gradient/rms", step=str(step), table="1",
            steps=f"{max(step - 5, 0)}:{min(step + 5, STEPS - 1)}",
        )  # fmt: skip
        frame.wait_for_selector("[data-testid=heatmap-table]")
        row = run["gradient/rms"].values[step]
        for i, layer in enumerate(run.layers):
            # The page writes seven significant digits.
            assert shown(frame, layer.name, step) == pytest.approx(float(row[i]), rel=1e-6)
        page.goto("about:blank")
    page.set_viewport_size({"width": 1280, "height": 1200})  # only the rows in sight are in the page
    frame = open_page(page, tensorboard.url, run="vanishing", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    leaves = frame.locator("[data-testid=tree-row][data-kind=leaf]")
    expect(leaves).to_have_count(len(run.layers))
    names = leaves.evaluate_all("rows => rows.map(r => r.dataset.row)")
    assert names == [layer.name for layer in run.layers]
    label = frame.locator("[data-testid=heatmap]").first.get_attribute("aria-label")
    assert "25" in label


@on_one_ingester
def test_another_statistic_by_the_chooser(page, tensorboard, demo):
    run = load_run(demo.logdir / "healthy")
    frame = open_page(page, tensorboard.url, run="healthy", lens="gradient", table="1", steps="0:6")
    frame.wait_for_selector("[data-testid=heatmap-table]")
    frame.select_option("[data-testid=stat-select]", "parameter/update_ratio")
    frame.wait_for_selector("[data-testid=heatmap-table][data-statistic='parameter/update_ratio']")
    for i, parameter in enumerate(run.parameters):
        got = shown(frame, parameter.name, 3)
        assert got == pytest.approx(float(run["parameter/update_ratio"].values[3, i]), rel=1e-6)


def dead_units(model: nn.Module) -> dict[str, list[int]]:
    """By a forward pass over the whole data set: the units of each ReLU that are zero for every digit."""
    found = {}
    x, _ = digits()
    with torch.no_grad():
        for name, module in model.named_children():
            x = module(x)
            if isinstance(module, nn.ReLU):
                found[name] = torch.nonzero((x == 0).all(0)).ravel().tolist()
    return found


def test_dead_units_are_those_a_forward_pass_finds(page, tensorboard, demo):
    expected = dead_units(demo.models["killed"])
    assert sum(map(len, expected.values())) > 64
    for layer, units in expected.items():
        frame = open_page(page, tensorboard.url, run="killed", lens="dead", layer=layer)
        frame.wait_for_selector("[data-testid=dead-unit-ids]", state="attached")
        row = frame.locator(f"[data-testid=dead-row][data-layer='{layer}']")
        expect(row).to_have_attribute("data-dead", str(len(units)))
        expect(row).to_have_attribute("data-units", "64")
        text = frame.locator("[data-testid=dead-unit-ids]").first.text_content() or ""
        assert [int(n) for n in re.findall(r"\d+", text)] == units
        page.goto("about:blank")


@on_one_ingester
def test_state_survives_a_reload(page, tensorboard):
    frame = open_page(page, tensorboard.url, run="healthy", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    frame.select_option("[data-testid=stat-select]", "activation/std")
    frame.click("[data-testid=lens-dead]")
    frame.wait_for_selector("[data-testid=dead-row]")
    page.wait_for_function("location.hash.includes('lens=dead')")
    page.reload()
    frame = page.wait_for_selector("iframe[src*='name=torchvitals']", state="attached").content_frame()
    frame.wait_for_selector("[data-testid=dead-row]")
    assert frame.locator("[data-testid=run-select]").input_value() == "healthy"
    frame.click("[data-testid=lens-gradient]")
    expect(frame.locator("[data-testid=stat-select]")).to_have_value("activation/std")


@on_one_ingester
def test_bad_keys_in_a_link_are_harmless(page, tensorboard, complaints):
    frame = open_page(
        page, tensorboard.url, run="healthy", lens="nonsense", stat="<b>", layer="none", step="x", steps="9"
    )
    frame.wait_for_selector("[data-testid=diagnosis-verdict]")
    assert frame.locator("[data-testid=run-select]").input_value() == "healthy"
    frame.click("[data-testid=lens-gradient]")
    frame.wait_for_selector("[data-testid=heatmap]")
    forgive_not_found(complaints)


@on_one_ingester
def test_dark_follows_tensorboard(page, tensorboard):
    frame = open_page(page, tensorboard.url, run="healthy", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    background = "getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement)"
    pixel = """(() => { const canvas = document.querySelector("[data-testid=heatmap] canvas");
      return String(canvas.getContext("2d").getImageData(canvas.width >> 1, 10, 1, 1).data) })()"""
    before = [frame.evaluate(look) for look in (background + ".backgroundColor", pixel)]
    for changed in ("!==", "==="):
        page.evaluate("document.body.classList.toggle('dark-mode')")
        frame.wait_for_function(
            f"{background}.backgroundColor {changed} {before[0]!r} && {pixel} {changed} {before[1]!r}"
        )


def test_new_steps_appear_by_themselves(page, serve, tmp_path):
    from torchvitals.demo import NETWORKS, train

    train(NETWORKS[2], tmp_path / "logs" / "live", steps=5, seed=0)
    server = serve(tmp_path / "logs", "--load_fast", "false", "--reload_multifile", "true")
    server.wait_for({"live": 4})
    frame = open_page(page, server.url, run="live", lens="gradient", table="1")
    frame.wait_for_selector("td[data-step='4']")
    train(NETWORKS[2], tmp_path / "elsewhere", steps=9, seed=0)
    for file in (tmp_path / "elsewhere").iterdir():
        shutil.copy(file, tmp_path / "logs" / "live" / (file.name + ".later"))
    frame.wait_for_selector("td[data-step='8']")


def test_without_data_the_page_says_what_to_do(page, serve, tmp_path):
    server = serve(tmp_path)
    page.goto(server.url + "data/plugin_entry.html?name=torchvitals")
    expect(page.locator("[data-testid=empty-state]")).to_contain_text("attach_hooks(model, writer)")


@on_one_ingester
def test_an_unknown_run_is_said(page, tensorboard, complaints):
    frame = open_page(page, tensorboard.url, run="heathly")
    frame.wait_for_selector("[data-testid=error-banner]")
    expect(frame.locator("[data-testid=error-banner]").first).to_contain_text("heathly")
    forgive_not_found(complaints)


def test_names_are_text(page, serve, tmp_path):
    names = ["<img src=x onerror=alert(1)>", "ü" * 300, "a/relu@3", "層"]
    layers = tuple(Layer(name, "module", "<b>Odd</b>", None, "", 0, (4, 2), 2, 1) for name in names)
    with EventFile(tmp_path / "odd") as file:
        for step in range(4):
            vector = np.arange(1.0, 5.0, dtype=np.float32) * (step + 1)
            run = np.array([step + 1.0, step, 0.1, 1.0])
            file.write(step, {tag_of("gradient/rms"): vector, RUN_TAG: run, MANIFEST_TAG: Manifest(layers).to_json()})
    server = serve(tmp_path)
    server.wait_for({"odd": 3})
    frame = open_page(page, server.url, run="odd", lens="gradient")
    frame.wait_for_selector("[data-testid=heatmap]")
    rows = frame.locator("[data-testid=tree-row][data-kind=leaf]").evaluate_all("r => r.map(e => e.dataset.row)")
    assert rows == names
    assert frame.locator("img, b").count() == 0


@on_one_ingester
def test_keyboard(page, tensorboard):
    frame = open_page(page, tensorboard.url, run="vanishing", lens="gradient", step="10")
    frame.wait_for_selector("[data-testid=heatmap]")
    frame.click("[data-testid=verdict]")  # the keys go where the focus is
    page.keyboard.press("3")
    frame.wait_for_selector("[data-testid=dead-row]")
    page.keyboard.press("1")
    frame.wait_for_selector("[data-testid=diagnosis-verdict]")
    page.keyboard.press("2")
    frame.wait_for_selector("[data-testid=heatmap]")
    page.keyboard.press("]")
    expect(frame.locator("[data-testid=cursor-readout]").first).to_have_attribute("data-step", "11")
    page.keyboard.press("t")
    frame.wait_for_selector("[data-testid=heatmap-table]")
