"""The Structure lens: a small residual net and a large run, in a real TensorBoard under a path of its own."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from playwright.sync_api import Frame, Page, expect
from torch import Tensor, nn

from tests.e2e.conftest import TensorBoard
from tests.e2e.test_page import open_page
from tests.synthetic import write_run
from torchvitals import attach_hooks
from torchvitals_tb import load_run

STEPS = 4
OTHERS = "blocks.1\N{EN DASH}3"  # those identical to blocks.0, as one
TOP = {"stem": True, "blocks": False, "head": True}  # of the tree: whether a layer


class Block(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc2(self.act(self.fc1(x)))


class Residual(nn.Module):
    """A stream that every block reads and adds to; the stem is frozen."""

    def __init__(self, blocks: int, inner: int = 12) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.stem.requires_grad_(False)
        self.blocks = nn.ModuleList(Block(8, inner) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def train(model: nn.Module, folder: Path) -> nn.Module:
    torch.manual_seed(0)
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    with attach_hooks(model, str(folder), every=1):
        for _ in range(STEPS):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(torch.randn(16, 6)), torch.randint(0, 3, (16,))).backward()
            optimizer.step()
    return model


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("structure")
    train(Residual(4), folder / "residual")
    train(Residual(5, inner=20), folder / "wider")
    write_run(folder / "large", kind="vanishing", layers=1000, steps=3, units=64, records=1)
    return folder


@pytest.fixture(scope="module")
def server(logs: Path) -> Iterator[TensorBoard]:
    board = TensorBoard(logs, "--path_prefix", "/some/where")
    board.wait_for({"residual": STEPS - 1, "wider": STEPS - 1, "large": 3})
    yield board
    board.stop()


def opened(page: Page, server: TensorBoard, **state: str) -> Frame:
    frame = open_page(page, server.url, lens="structure", **{"run": "residual", **state})
    frame.wait_for_selector("[data-testid=graph-box]" if "graph" in state else "[data-testid=tree-row], table")
    return frame


def edges(frame: Frame) -> set[tuple[int, int]]:
    """What the drawing says feeds what, its sums looked through."""
    drawn = frame.locator("[data-testid=graph-edge]").evaluate_all("e => e.map(x => [x.dataset.from, x.dataset.to])")

    def sources(end: str) -> set[str]:
        return {s for a, b in drawn if b == end for s in (sources(a) if a.startswith("+") else {a})}

    return {(int(s), int(end)) for end in {b for _, b in drawn} if not end.startswith("+") for s in sources(end)}


def readout(frame: Frame) -> str | None:
    return frame.locator("[data-testid=cursor-readout]").get_attribute("data-layer")


def test_the_table_has_what_was_recorded(page, server, logs):
    run, model = load_run(logs / "residual"), Residual(4)
    frame = opened(page, server, table="1")
    modules = dict(model.named_modules())
    # The vital signs come after what the run knows of its layers.
    for field in ("activation_rms", "gradient_rms", "update_ratio"):
        frame.wait_for_selector(f"[data-testid=structure-table] td[data-field={field}]:not(:empty)", state="attached")
    rows = frame.locator("[data-testid=structure-table] tbody tr")
    assert rows.evaluate_all("r => r.map(e => e.dataset.layer)") == [layer.name for layer in run.layers]
    fields = rows.evaluate_all(
        "r => r.map(e => Object.fromEntries([...e.querySelectorAll('td')].map(c => [c.dataset.field, c.innerText])))"
    )
    for i, (layer, got) in enumerate(zip(run.layers, fields, strict=True)):
        own = list(modules[layer.name].parameters())
        assert int(got["parameters"]) == sum(p.numel() for p in own)
        assert int(got["trainable"]) == sum(p.numel() for p in own if p.requires_grad)
        assert (got["type"], got["dtype"], got["source"]) == (layer.type, layer.dtype, layer.source)
        assert got["output"] == "x".join(map(str, layer.shape))
        assert float(got["activation_rms"]) == pytest.approx(float(run["activation/rms"].values[-1, i]), rel=1e-6)
        gradient = float(run["gradient/rms"].values[-1, i])
        assert (got["gradient_rms"] == "") == math.isnan(gradient)
        assert got["gradient_rms"] == "" or float(got["gradient_rms"]) == pytest.approx(gradient, rel=1e-6)
        updates = [
            float(u)
            for p, u in zip(run.parameters, run["parameter/update_ratio"].values[-1], strict=True)
            if p.layer == layer.name and u == u
        ]
        assert (got["update_ratio"] == "") == (updates == [])
        # As everywhere a row of several shows the one furthest from what is usual.
        assert not updates or any(float(got["update_ratio"]) == pytest.approx(u, rel=1e-6) for u in updates)
        feeders = [run.layers[a].name for a, b in run.manifest.edges if b == i]
        assert got["fed_by"] == "; ".join(feeders)
    with page.expect_download() as download:
        frame.click("[data-testid=export-menu] summary")
        frame.get_by_role("menuitem", name="Numbers CSV").click()
    written = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [{k: v for k, v in row.items() if k != "layer"} for row in written] == fields


def test_blocks_that_are_alike_are_one_row_that_opens(page, server, logs):
    frame = opened(page, server)
    row = frame.locator(f"[data-testid=tree-row][data-row='{OTHERS}']")
    expect(row).to_contain_text("identical to 0")
    size = sum(p.numel() for p in Residual(4).blocks[1:].parameters())
    expect(row.locator("[data-column=parameters]")).to_have_attribute("data-value", str(size))
    gradient = load_run(logs / "residual")["gradient/rms"].values[-1]
    shown = float(row.locator("[data-column=gradient]").get_attribute("data-value"))
    rows = [i for i, layer in enumerate(load_run(logs / "residual").layers) if re.match(r"blocks\.[123]", layer.name)]
    assert any(shown == pytest.approx(float(gradient[i]), rel=1e-6) for i in rows)
    row.click()
    page.keyboard.press("ArrowRight")
    expect(frame.locator("[data-testid=tree-row][data-row='blocks.3']")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(frame.locator("[data-testid=tree-row][data-row='blocks.3']")).to_have_count(0)
    row.locator(".tree-fold").click()
    expect(frame.locator("[data-testid=tree-row][data-row='blocks.2']")).to_be_visible()


def test_columns_sort_by_mouse_and_by_keyboard(page, server):
    frame = opened(page, server)
    leaves = frame.locator("[data-testid=tree-row][data-kind=leaf]")
    in_order = {name: p.numel() for name, p in Residual(4).named_parameters()}
    frame.click("[data-testid=sort-parameters]")
    expect(leaves).to_have_count(14)
    sizes = [
        int(v) for v in leaves.locator("[data-column=parameters]").evaluate_all("c => c.map(e => e.dataset.value)")
    ]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == sum(in_order.values())
    frame.focus("[data-testid=sort-activation]")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    values = leaves.locator("[data-column=activation]").evaluate_all("c => c.map(e => Number(e.dataset.value))")
    assert values == sorted(values)
    page.wait_for_function("location.hash.includes('sort=activation') && location.hash.includes('sorted=reversed')")
    page.keyboard.press("Enter")
    expect(frame.locator("[data-testid=tree-row]").first).to_have_attribute("data-row", "stem")
    expect(frame.locator("[data-testid=tree-row][data-kind=group]").first).to_be_visible()


def check_files(page: Page, frame: Frame, logs: Path) -> None:
    """The dataflow as DOT, all of it, and the drawing as it is."""
    run = load_run(logs / "residual")
    drawn = frame.locator("[data-testid=graph-edge]").count()

    def download(name: str) -> str:
        with page.expect_download() as got:
            frame.click("[data-testid=export-menu] summary")
            frame.get_by_role("menuitem", name=name).click()
        return Path(got.value.path()).read_text()

    dot = download("Dataflow DOT")
    assert re.findall(r"r(\d+) \[label=\"([^\\]+)\\n", dot) == [(str(i), row.name) for i, row in enumerate(run.layers)]
    assert [(int(a), int(b)) for a, b in re.findall(r"r(\d+) -> r(\d+);", dot)] == list(run.manifest.edges)
    assert dot.count("subgraph cluster_") == 5
    svg = ElementTree.fromstring(download("Drawing SVG"))
    paths = [e for e in svg.iter("{http://www.w3.org/2000/svg}path") if e.get("data-testid") == "graph-edge"]
    assert len(paths) == drawn and all("stroke:rgb" in e.get("style").replace(" ", "") for e in paths)
    assert "blocks" in {e.text for e in svg.iter("{http://www.w3.org/2000/svg}text")}
    x, y, width, height = map(float, svg.get("viewBox").split())
    for rect in svg.iter("{http://www.w3.org/2000/svg}rect"):
        if rect.get("data-key"):
            assert x <= float(rect.get("x")) and float(rect.get("x")) + float(rect.get("width")) <= x + width
            assert y <= float(rect.get("y")) and float(rect.get("y")) + float(rect.get("height")) <= y + height


def test_the_graph_has_exactly_the_recorded_edges(page, server, logs):
    recorded = load_run(logs / "residual").manifest.edges
    assert len(recorded) > 14  # a stream: more than a chain
    frame = opened(page, server, graph="graph")
    assert [worker.url for worker in page.workers] == [server.url + "data/plugin/torchvitals/static/layout.worker.js"]
    frame.get_by_role("button", name="Expand").click()
    expect(frame.locator("[data-testid=graph-box][data-kind=leaf]")).to_have_count(14)
    assert edges(frame) == set(recorded)
    assert frame.locator("[data-testid=graph-join]").count() > 0
    label = frame.locator("[data-testid=graph]").get_attribute("aria-label")
    assert "14 layers, 0 closed groups" in label and f"for {len(recorded)} recorded edges" in label
    gradient = load_run(logs / "residual")["gradient/rms"].values[-1]
    for i, name in ((4, "blocks.1.fc1"), (13, "head")):
        box = frame.locator(f"[data-testid=graph-box][data-name='{name}']")
        assert float(box.get_attribute("data-value")) == pytest.approx(float(gradient[i]), rel=1e-6)
    check_files(page, frame, logs)
    frame.get_by_role("button", name="Collapse").click()
    boxes = frame.locator("[data-testid=graph-box]")
    expect(boxes).to_have_count(3)
    assert boxes.evaluate_all("b => b.map(e => e.dataset.name)") == list(TOP)
    between = frame.locator("[data-testid=graph-edge]").evaluate_all(
        "e => e.map(x => [x.dataset.from, x.dataset.to, Number(x.dataset.count)]).sort()"
    )
    inner = {i for i, layer in enumerate(load_run(logs / "residual").layers) if layer.name.startswith("blocks")}
    into = sum(1 for a, b in recorded if a not in inner and b in inner)
    out = sum(1 for a, b in recorded if a in inner and b not in inner)
    assert between == [["0", "13", 1], ["0", "blocks", into], ["blocks", "13", out]]


def test_groups_open_and_keys_walk(page, server):
    frame = opened(page, server, graph="graph")
    frame.get_by_role("button", name="Collapse").click()
    boxes = frame.locator("[data-testid=graph-box]")
    expect(boxes).to_have_count(3)
    group = frame.locator("[data-testid=graph-box][data-name=blocks]")
    group.dblclick()
    expect(boxes).to_have_count(5)
    expect(group).to_have_attribute("data-open", "true")
    group.locator("[data-fold]").click()
    expect(boxes).to_have_count(3)
    frame.focus("[data-testid=graph]")
    page.keyboard.press("Home")
    expect(frame.locator("[data-testid=cursor-readout]")).to_have_attribute("data-layer", "stem")
    page.keyboard.press("ArrowDown")
    assert readout(frame) == "blocks"
    page.keyboard.press("Enter")
    expect(boxes).to_have_count(5)
    page.keyboard.press("ArrowDown")
    assert readout(frame) == "blocks.0"
    page.keyboard.press("ArrowDown")
    assert readout(frame) == OTHERS
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    assert readout(frame) == "blocks"
    page.keyboard.press("Space")
    expect(boxes).to_have_count(3)
    before = frame.locator(".graph-drawing").get_attribute("viewBox")
    page.keyboard.press("+")
    frame.wait_for_function("v => document.querySelector('.graph-drawing').getAttribute('viewBox') !== v", arg=before)
    page.keyboard.press("0")
    page.mouse.move(640, 600)
    page.mouse.wheel(0, -300)
    zoomed = [float(n) for n in frame.locator(".graph-drawing").get_attribute("viewBox").split()]
    page.mouse.down()
    page.mouse.move(540, 560, steps=4)
    page.mouse.up()
    moved = [float(n) for n in frame.locator(".graph-drawing").get_attribute("viewBox").split()]
    assert moved[0] > zoomed[0] and moved[1] > zoomed[1] and moved[2:] == zoomed[2:]
    page.wait_for_function("location.hash.includes('layer=blocks')")
    page.keyboard.press("g")
    expect(frame.locator("[data-testid=tree-row][aria-selected=true]")).to_have_attribute("data-row", "blocks")


def test_a_second_run_is_compared_by_name(page, server):
    frame = opened(page, server, run="wider", vs="residual")
    expect(frame.locator("[data-testid=verdict]")).to_contain_text("3 layers only here, 0 only in residual")
    wide = frame.locator("[data-testid=tree-row][data-row='blocks.0'] [data-column=parameters]")
    by = sum(p.numel() for p in Block(8, 20).parameters()) - sum(p.numel() for p in Block(8, 12).parameters())
    expect(wide).to_contain_text(f"+{by}")
    frame = opened(page, server, vs="wider", layer="blocks.4.fc1")
    row = frame.locator("[data-testid=tree-row][data-row='blocks.4.fc1']")
    expect(row).to_contain_text("only there")


def test_a_thousand_layers(page, server):
    frame = opened(page, server, run="large", graph="graph")
    boxes = frame.locator("[data-testid=graph-box]")
    assert boxes.count() < 20
    # Marks once grew to the size of the window.
    frame.wait_for_selector("[data-testid=graph-box] .plate")
    marks = frame.locator("[data-testid=graph-box] svg").evaluate_all(
        "marks => marks.map(m => m.getBoundingClientRect()).map(r => Math.max(r.width, r.height))"
    )
    assert len(marks) >= 2 and max(marks) <= 24 and min(marks) > 1
    frame.get_by_role("button", name="Expand").click()
    expect(frame.locator("[data-testid=graph-notice]")).to_contain_text("at most 400 boxes are drawn")
    frame.wait_for_function("document.querySelectorAll('[data-testid=graph-box]').length > 200")
    assert boxes.count() <= 400
    frame.fill("#search", "layers.3.")
    assert (
        frame.locator("[data-testid=graph-box].dim").count()
        > frame.locator("[data-testid=graph-box][data-kind]:not(.dim)").count()
        > 0
    )
    # Not in what is drawn: opened all the same, since a link to it must show it.
    frame.fill("#search", "")
    page.evaluate("location.hash = location.hash + '&p.torchvitals.layer=encoder.layers.120.mlp.fc1'")
    selected = frame.locator("[data-testid=graph-box].selected")
    expect(selected).to_have_attribute("data-name", "encoder.layers.120.mlp.fc1")
    assert boxes.count() <= 400
