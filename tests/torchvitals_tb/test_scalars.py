"""Scalars of the training loop: read alike from everywhere, and put where they belong on the axis of our steps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, Summary, SummaryMetadata

from tests.synthetic import EventFile, tensor
from tests.torchvitals_tb.attempts import Attempt, manifest
from tests.torchvitals_tb.board import INGESTERS, board
from torchvitals_tb import load_run, query
from torchvitals_tb.errors import UnknownNameError
from torchvitals_tb.packing import pack
from torchvitals_tb.report import write_report
from torchvitals_tb.scalars import kind_of, place
from torchvitals_tb.sources import Scalar
from torchvitals_tb.timeline import Timeline

START = 1_763_680_000.0


def simple(tag: str, value: float) -> dict[str, Any]:
    return {tag: Summary.Value(tag=tag, simple_value=value)}


def as_tensor(tag: str, value: float) -> dict[str, Any]:
    """As ``add_scalar(…, new_style=True)`` and TensorFlow write it."""
    plugin = SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_SCALAR)
    return {tag: Summary.Value(tag=tag, tensor=tensor(np.array(value, dtype=np.float32)), metadata=metadata)}


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with scalars of its own and beside it, another run below it, and a restart."""
    top = tmp_path_factory.mktemp("scalars")
    with EventFile(top / "exp") as file:
        first = Attempt(top / "exp", 1, manifest("a"), file)
        for step in range(1, 21):
            first.frame(step, wall=START + 10 * step)
            file.write(step, simple("train/loss", 1 / step) | as_tensor("lr", 0.1 / step), START + 10 * step + 1)
            if step % 10 == 0:
                file.write(step // 10, simple("val/loss", 2.0 / step), START + 10 * step + 2)
        file.write(3, simple("vitals/grad_norm", 1.0) | simple("accuracy", 0.5), START + 203)
    with EventFile(top / "exp", stamp=int(START) + 500) as file:  # goes on from step 16
        second = Attempt(top / "exp", 2, manifest("a"), file)
        for step in range(16, 31):
            second.frame(step, wall=START + 500 + 10 * step)
            file.write(step, simple("train/loss", 100 / step), START + 500 + 10 * step + 1)
    with EventFile(top / "exp" / "loss_train") as file:
        for step in range(1, 4):
            file.write(step, simple("loss", 5.0 * step), START + 10 * step)
    for step, folder in ((1, "other"), (2, "other/loss_train")):
        with EventFile(top / "exp" / folder) as file:
            if folder == "other":
                Attempt(top / "exp" / folder, 1, manifest("b"), file).frame(step)
            file.write(step, simple("foreign", 1.0), START + 10)
    return top


def test_files_and_both_ingesters_give_the_same(logdir: Path) -> None:
    found = load_run(logdir / "exp").scalars
    assert list(found) == ["train/loss", "loss_train/loss", "val/loss", "lr", "accuracy", "vitals/grad_norm"]
    assert found.telling == ["train/loss", "lr"]
    # The first attempt counts up to the step from which the second went on.
    steps = np.arange(1, 31)
    loss = found["train/loss"]
    assert np.array_equal(loss.steps, steps)
    assert np.array_equal(loss.values, np.where(steps < 16, 1 / steps, 100 / steps).astype(np.float32))
    assert np.array_equal(found["lr"].values, (0.1 / np.arange(1, 21)).astype(np.float32))
    assert found["loss_train/loss"].values.tolist() == [5.0, 10.0, 15.0]
    for ingester in INGESTERS:
        with board(logdir, ingester, runs={"exp", "exp/other"}) as tensorboard:
            deadline = time.monotonic() + 60
            while list(other := tensorboard.run("exp").scalars) != list(found):  # runs load one by one
                assert time.monotonic() < deadline, list(other)
                time.sleep(0.02)
            for name in found:
                for a, b in zip(found[name], other[name], strict=True):
                    assert np.array_equal(a, b), (ingester, name)
            assert list(tensorboard.run("exp/other").scalars) == ["loss_train/foreign", "foreign"]
            answer = tensorboard.get("scalars", run="exp").data
            assert answer == pack(*query.scalars(load_run(logdir / "exp")))
            header, arrays = tensorboard.container("scalars", run="exp", name="val/loss")
            assert header["shown"] == [{"name": "val/loss", "by": "time", "count": 2}]
            assert arrays["steps"].tolist() == [1, 2]
            missing = tensorboard.get("scalars", run="exp", name="train/los")
            assert (missing.status_code, "did you mean 'train/loss'?" in missing.json["error"]) == (404, True)


def test_one_file_has_no_runs_below(logdir: Path) -> None:
    (first, *_) = sorted((logdir / "exp").glob("events*"))
    assert list(load_run(first).scalars) == ["train/loss", "val/loss", "lr", "accuracy", "vitals/grad_norm"]


def test_what_the_page_gets(logdir: Path) -> None:
    run = load_run(logdir / "exp")
    header, arrays = query.scalars(run)
    assert [entry["kind"] for entry in header["scalars"]] == ["loss", "loss", "loss", "rate", "other", "ours"]
    assert header["shown"] == [
        {"name": "train/loss", "by": "step", "count": 30},
        {"name": "lr", "by": "step", "count": 20},
    ]
    assert np.array_equal(arrays["at"], np.r_[1:31, 1:21])
    with pytest.raises(UnknownNameError, match="no scalar 'x' in run 'exp'"):
        query.scalars(run, "x")


def test_a_run_without_scalars(tmp_path: Path) -> None:
    Attempt(tmp_path, 1, manifest("a")).frame(1)
    header, arrays = query.scalars(load_run(tmp_path))
    assert header["scalars"] == header["shown"] == []
    assert {name: len(array) for name, array in arrays.items()} == {"steps": 0, "at": 0, "values": 0}


def test_a_report_has_them_all(logdir: Path, tmp_path: Path) -> None:
    made = write_report(logdir, tmp_path / "r.html", run="exp")
    text = made.path.read_text()
    assert made.left_out == ()
    assert text.count('data-route="scalars?run=exp&amp;name=') == 6
    assert text.count('data-route="scalars?run=exp"') == 1


def test_broken_and_foreign_records_are_left_out(tmp_path: Path) -> None:
    with EventFile(tmp_path) as file:
        Attempt(tmp_path, 1, manifest("a"), file).frame(1)
        file.record(b"\xff\xff not an event")
        plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="histograms"))
        file.write(1, {"h": Summary.Value(tag="h", tensor=tensor(np.ones((2, 3))), metadata=plugin)})
        file.write(2, simple("loss", float("nan")) | as_tensor("two", 1.0))
        file.raw(b"\x07" * 40)  # a broken frame: nothing after it can be read
        file.write(3, simple("loss", 1.0))
    found = load_run(tmp_path).scalars
    assert list(found) == ["loss", "two"]
    assert np.isnan(found["loss"].values).tolist() == [True]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("loss", "loss"), ("Train/Loss_total", "loss"), ("val_nll", "loss"), ("trainer/ppl", "loss"),
        ("loss_scale", "other"), ("lr", "rate"), ("lr-AdamW/pg1", "rate"), ("train/learning_rate", "rate"),
        ("clr_metric", "other"), ("accuracy", "other"), ("cost_center_id", "loss"), ("vitals/lr", "ours"),
    ],
)  # fmt: skip
def test_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind


# Where they belong ----------------------------------------------------------------------------------------------------

OURS = np.concatenate([np.arange(20), np.arange(20, 2001, 20)])


def timeline() -> Timeline:
    """Step s is written at START + 2 s."""
    return Timeline(OURS, START + 2.0 * OURS)


def scalar(steps: Any, true_steps: Any, delay: float = 0.3) -> Scalar:
    steps = np.asarray(steps, dtype=np.int64)
    return Scalar(steps, START + 2.0 * np.asarray(true_steps) + delay, np.sqrt(np.arange(len(steps)) + 1.0))


@pytest.mark.parametrize("off", [0, 1, 50])
def test_the_same_count_is_taken_as_it_is(off: int) -> None:
    true = np.arange(0, 2000, 37)
    placed = place(scalar(true + off, true), timeline())
    assert placed.by == "step"
    assert np.array_equal(placed.at, true + off)


@pytest.mark.parametrize("count", [lambda s: s // 200, lambda s: 4 * s, lambda s: s + 50_000, lambda s: 2000 - s])
def test_another_count_is_placed_by_time(count: Any) -> None:
    true = np.arange(1, 2000, 200)
    placed = place(scalar(count(true), true), timeline())
    assert placed.by == "time"
    assert placed.at == pytest.approx(true + 0.15)  # 0.3 seconds later
    assert np.array_equal(placed.steps, count(true))


def test_the_last_epoch_stands_at_the_end() -> None:
    """Written after the last sampled step; what came before the first one keeps its last record."""
    placed = place(scalar([0, 1, 2, 3, 4], [-300, -100, 800, 1600, 2400]), timeline())
    assert placed.by == "time"
    assert placed.at == pytest.approx([0, 800.15, 1600.15, 2000])
    assert placed.steps.tolist() == [1, 2, 3, 4]


def test_without_times_the_range_decides() -> None:
    late = np.full(50, 1e6)
    assert place(scalar(np.arange(0, 2000, 40), late), timeline()).by == "step"
    epochs = place(scalar(np.arange(50), late), timeline())
    assert epochs.by == "none"
    assert np.isnan(epochs.at).all()


def test_a_run_that_has_just_begun() -> None:
    one = Timeline(np.array([0]), np.array([START]))
    assert place(scalar([0], [0]), one).by == "step"
    assert place(scalar([7], [0]), Timeline(np.zeros(0, np.int64), np.zeros(0))).at.tolist() == [7]
    assert len(place(scalar([], []), timeline()).at) == 0


def test_a_record_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    """A few bytes may claim a dtype that there is not, or a shape that no memory holds."""
    broken = {"dtype": {"dtype": 21}, "huge": {"shape": 1 << 45}, "two": {"shape": 2}}
    with EventFile(tmp_path / "run") as file:
        Attempt(tmp_path / "run", 1, manifest("a"), file).frame(1, wall=START)
        content = as_tensor("loss", 0.5)
        for tag, wrong in broken.items():
            content |= as_tensor(tag, 1.0)
            proto = content[tag].tensor
            proto.dtype = wrong.get("dtype", proto.dtype)
            if "shape" in wrong:
                proto.tensor_shape.dim.add(size=wrong["shape"])
        file.write(1, content, START)
    assert list(load_run(tmp_path / "run").scalars) == ["loss"]


def test_a_folder_below_that_cannot_be_read_costs_only_its_scalars(tmp_path: Path, monkeypatch: Any) -> None:
    with EventFile(tmp_path / "run") as file:
        Attempt(tmp_path / "run", 1, manifest("a"), file).frame(1, wall=START)
        file.write(1, simple("loss", 0.5), START)
    with EventFile(tmp_path / "run" / "loss_train") as file:
        file.write(1, simple("loss", 0.25), START)
    real = Path.open

    def refused(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.parent.name == "loss_train":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refused)
    run = load_run(tmp_path / "run")
    assert list(run.scalars) == ["loss"]
    assert any("loss_train" in note and "left out" in note for note in run.notes)
