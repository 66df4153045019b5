"""Both of TensorBoard's ingesters and the event files themselves give the same run, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.torchvitals_tb import catalogue
from tests.torchvitals_tb.attempts import Attempt, manifest
from tests.torchvitals_tb.board import INGESTERS, Board, board
from torchvitals_tb import load_run
from torchvitals_tb.packing import Histograms, Units
from torchvitals_tb.reader import Run
from torchvitals_tb.series import BlobSeries


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def records(series: BlobSeries[Histograms] | BlobSeries[Units]) -> list[tuple[int, list[bytes]]]:
    return [(step, [part.tobytes() for part in record]) for step, record in series]


def assert_same(a: Run, b: Run) -> None:
    assert a.manifest == b.manifest
    assert a.statistics == b.statistics
    assert same_bits(a.steps, b.steps)
    assert a.gaps == b.gaps
    assert a.schema_version == b.schema_version
    for counter in a.counters:
        assert same_bits(a.counters[counter], b.counters[counter])
    for name in a.statistics:
        assert same_bits(a[name].steps, b[name].steps), name
        assert same_bits(a[name].values, b[name].values), name
    assert a.histogram_kinds == b.histogram_kinds
    for kind in a.histogram_kinds:
        assert records(a.histograms(kind)) == records(b.histograms(kind))
    assert records(a.units) == records(b.units)


@pytest.mark.parametrize("name", catalogue.RUNS)
def test_file_and_tensorboard_agree(logdir: Path, tensorboard: Board, name: str) -> None:
    assert_same(load_run(logdir / name), tensorboard.run(name))


def test_the_catalogue_is_not_trivial(logdir: Path) -> None:
    runs = [load_run(logdir / name) for name in catalogue.RUNS]
    values = [run["gradient/rms"].values for run in runs]
    assert all(v.size for v in values)
    assert any(np.isnan(v).any() for v in values)
    assert np.isinf(load_run(logdir / "not finite")["activation/abs_max"].values).any()
    assert sum(len(run.units) > 0 for run in runs) >= 7


def test_records_of_an_abandoned_attempt_are_never_shown(tmp_path: Path) -> None:
    """Where both attempts recorded units on one step, the ingester in Python has only the old record of it."""
    folder = tmp_path / "run"
    first = Attempt(folder, 1, manifest("a"))
    for step in range(1, 21):
        first.frame(step, records=step % 5 == 0)
    second = Attempt(folder, 2, manifest("a"))
    for step in range(11, 31):
        second.frame(step, records=step % 5 == 0)

    def shown(run: Run) -> dict[int, float]:
        return {step: float(record.observations[0]) for step, record in run.units}

    right = {5: 1005, 10: 1010, 15: 2015, 20: 2020, 25: 2025, 30: 2030}
    assert shown(load_run(folder)) == right
    with board(tmp_path, "rust", runs={"run"}) as found:
        assert shown(found.run("run")) == right
    with board(tmp_path, "python", runs={"run"}) as found:
        assert shown(found.run("run")) == {step: right[step] for step in (5, 10, 25, 30)}


@pytest.mark.parametrize("ingester", INGESTERS)
def test_all_samples_are_kept(tmp_path: Path, ingester: str) -> None:
    """More than TensorBoard keeps of a plugin it does not know: 10 in Python, 100 in Rust."""
    attempt = Attempt(tmp_path / "run", 1, manifest("a"))
    for step in range(1, 131):
        attempt.frame(step, records=step % 10 == 0)
    with board(tmp_path, ingester, runs={"run"}) as found:
        run = found.run("run")
        assert run.gaps == (130, 130)
        assert len(run["gradient/rms"].steps) == 130
        assert len(run.units) == 13
        assert found.json("runs")["samples_kept"] == 0


@pytest.mark.parametrize("ingester", INGESTERS)
def test_a_gap_is_told(tmp_path: Path, ingester: str) -> None:
    attempt = Attempt(tmp_path / "run", 1, manifest("a"))
    for step in range(1, 31):
        attempt.frame(step, records=step % 3 == 0)
    with board(tmp_path, ingester, "--samples_per_plugin", "torchvitals=5", runs={"run"}) as found:
        run = found.run("run")
        assert run.gaps == (30, 5)
        assert found.json("manifest", run="run")["gaps"] == {"written": 30, "read": 5}
        assert found.json("runs")["samples_kept"] == 5
        series = run["gradient/rms"]
        assert len(series.steps) == 5
        assert np.array_equal(series.values[:, 0], 1000 + series.steps)
        assert found.get("dead", run="run").status_code == 200
