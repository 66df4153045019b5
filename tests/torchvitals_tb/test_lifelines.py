"""Dead units against the slow, obvious way to count them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import EventFile, Written
from tests.torchvitals_tb.attempts import Attempt, layer, manifest
from torchvitals_tb import lifelines, load_run, packing, query, schema
from torchvitals_tb.packing import Units


def record(
    widths: list[int], observations: list[float], firing: list[int], magnitude: list[int] | None = None
) -> Units:
    starts = np.concatenate([[0], np.cumsum(widths)])
    levels = np.array(firing, dtype=np.uint8)
    low = levels if magnitude is None else np.array(magnitude, dtype=np.uint8)
    silent = [int(np.sum(levels[a:b] == 0)) for a, b in itertools.pairwise(starts)]
    scale = np.ones(len(widths), dtype=np.float32)
    return Units(starts, np.array(observations, dtype=float), scale, levels, low, np.array(silent))


def follow(records: list[Units], window: np.ndarray) -> lifelines.Lives:
    fired = [packing.Fired(r.starts, r.observations, r.silent, np.packbits(r.firing > 0)) for r in records]
    return lifelines.follow(fired, window, lambda r: (records[r].magnitude, records[r].starts))


def follow_slowly(records: list[Units], window: list[float]) -> dict[str, list]:
    widths = np.diff(records[-1].starts).tolist()
    out: dict[str, list] = {"dead": [], "last_fired": [], "low": [], "silent": [[] for _ in records]}
    for row, width in enumerate(widths):
        runs = [
            r
            for r, rec in enumerate(records)
            if np.diff(rec.starts)[row] == width and width and rec.observations[row] > 0
        ]
        for r, rec in enumerate(records):
            levels = rec.firing[rec.starts[row] : rec.starts[row + 1]]
            out["silent"][r].append(np.mean(levels == 0) if r in runs else np.nan)
        for unit in range(width):
            fired = [r for r in runs if records[r].firing[records[r].starts[row] + unit] > 0]
            last = fired[-1] if fired else -1
            silence = sum(records[r].observations[row] for r in runs if r > last)
            out["last_fired"].append(last)
            out["dead"].append(bool(silence >= window[row]))
            level = records[runs[-1]].magnitude[records[runs[-1]].starts[row] + unit] if runs else 15
            out["low"].append(bool(packing.MAGNITUDE_LEVELS[level] <= schema.DORMANT_TAU))
    return out


def test_against_the_slow_way() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows = int(rng.integers(1, 5))
        shapes = [rng.integers(0, 6, rows).tolist() for _ in range(2)]
        records = []
        for r in range(rng.integers(1, 9)):
            widths = shapes[min(r // 4, 1)]
            total = sum(widths)
            seen = [float(n) for n in rng.choice([0, 300, 900], rows)]
            ran = np.repeat(seen, widths) > 0
            firing = np.where(ran, rng.choice([0, 0, 0, 5], total), 0)
            magnitude = np.where(ran, rng.choice([0, 3, 5, 6, 12], total), 0)
            records.append(record(widths, seen, firing.tolist(), magnitude.tolist()))
        window = [1000.0] * rows
        fast, slow = follow(records, np.array(window)), follow_slowly(records, window)
        assert fast.last_fired.tolist() == slow["last_fired"]
        assert fast.dead.tolist() == slow["dead"]
        assert fast.low.tolist() == slow["low"]
        np.testing.assert_allclose(fast.silent, np.array(slow["silent"]), rtol=1e-6)


def test_no_records() -> None:
    lives = follow([], np.array([2000.0, 2000.0]))
    assert lives.units.tolist() == [0, 0]
    assert lives.silent.shape == (0, 2)


def test_window_asks_for_observations_and_for_examples() -> None:
    rows = [
        layer("linear", shape=(32, 64), units=64),
        layer("conv", shape=(32, 64, 56, 56), units=64),
        layer("tokens", shape=(8, 1024, 64), units=64),
        layer("vector", shape=(64,), units=64),
        layer("none", shape=(), units=None),
        layer("absurd", shape=(1, 10**400), units=1),
    ]
    window = lifelines.window(rows).tolist()
    assert window[:5] == [2000, 200 * 56 * 56, 200 * 1024, 2000, 2000]
    assert np.isfinite(window[5])


@pytest.mark.parametrize("rate", [0.05, 0.004])
def test_a_unit_that_fires_rarely_is_not_dead(rate: float) -> None:
    """Fewer than one in a hundred units is called dead by mistake, at any moment of a long training."""
    rng = np.random.default_rng(0)
    units, batch = 4000, 64
    window = lifelines.window([layer("a", shape=(batch, units), units=units)])
    fired = rng.binomial(batch, rate, (80, units)) > 0
    records = [record([units], [batch], level) for level in fired.astype(np.uint8).tolist()]
    assert not follow(records[:31], window).dead.any()  # 1984 observations: too few to say
    for stop in (32, 50, 80):
        assert follow(records[:stop], window).dead.mean() < 0.01


# Through a run ------------------------------------------------------------------------------------------------------


def life(folder: Path, layers: list[schema.Layer], fired: list[list[list[float]]], seen: list[list[float]]) -> None:
    """A run whose records say that of each layer's units so many observations fired."""
    described = manifest(*layers)
    attempt = Attempt(folder, 1, described)
    for i, (counts, observations) in enumerate(zip(fired, seen, strict=True)):
        attempt.frame(10 * (i + 1))
        flat = np.array([f for row in counts for f in row], dtype=float)
        blob = packing.encode_units([la.units for la in layers], observations, flat, flat)
        attempt.file.write(10 * (i + 1), {schema.UNITS_TAG: blob}, wall=attempt.file._wall)


def test_dead(tmp_path: Path) -> None:
    layers = [layer("a", units=4), layer("b", units=2), layer("c", units=1)]
    alive = 500.0
    fired = [
        [[alive, 0, alive, 0], [alive, 0], [0]],
        [[alive, 0, alive, 0], [alive, 0], [0]],
        [[alive, 0, 0, alive], [alive, 0], [0]],
        [[alive, 0, 0, 0], [0, 0], [0]],
        [[alive, 0, 0, 0], [0, 0], [0]],
    ]
    seen = [[1000, 1000, 0], [1000, 1000, 0], [1000, 1000, 100], [1000, 0, 100], [1000, 500, 100]]
    life(tmp_path, layers, fired, seen)
    header, found = query.dead(load_run(tmp_path))
    assert header["window_observations"] == 2000
    assert found["steps"].tolist() == [10, 20, 30, 40, 50]
    assert found["units"].tolist() == [4, 2, 1]
    # a: unit 1 never fired, unit 2 not since 20, unit 3 not since 30; b: unit 1 never; c: too little was seen.
    assert found["dead"].tolist() == [3, 1, 0]
    assert found["born_dead"].tolist() == [1, 1, 0]
    np.testing.assert_array_equal(found["first_dead"], [10, 10, np.nan])
    assert found["observations"].tolist() == [5000, 3500, 300]
    np.testing.assert_array_equal(found["silent"][:, 0], np.array([0.5, 0.5, 0.5, 0.75, 0.75], dtype=np.float32))
    np.testing.assert_array_equal(found["silent"][:, 1], np.array([0.5, 0.5, 0.5, np.nan, 1], dtype=np.float32))
    assert found["window"].tolist() == [2000, 2000, 2000]
    assert found["dormant"].tolist() == [0, 1, 1]  # silent in the last record, but not for long enough


def test_first_dead_is_the_last_step_it_fired(tmp_path: Path) -> None:
    fired = [[[500.0, 500.0]], [[0, 500.0]], [[0, 500.0]], [[0, 0]], [[0, 0]]]
    life(tmp_path, [layer("a", units=2)], fired, [[1000]] * 5)
    _, found = query.dead(load_run(tmp_path))
    assert found["dead"].tolist() == [2]
    assert found["first_dead"].tolist() == [10]
    assert found["born_dead"].tolist() == [0]


def test_a_unit_that_comes_back_is_not_dead(tmp_path: Path) -> None:
    fired = [[[500.0]], [[0]], [[0]], [[0]], [[500.0]]]
    life(tmp_path, [layer("a", units=1)], fired, [[1000]] * 5)
    _, found = query.dead(load_run(tmp_path))
    assert found["dead"].tolist() == [0]
    assert np.isnan(found["first_dead"][0])


def test_units_of_one_layer(tmp_path: Path) -> None:
    layers = [layer("a", units=1), layer("b", units=3)]
    fired = [[[9.0], [1000, 300, 0]], [[9.0], [1000, 0, 0]], [[9.0], [0, 0, 0]], [[9.0], [1000, 0, 0]]]
    life(tmp_path, layers, fired, [[9, 1000], [9, 1000], [9, 0], [9, 1000]])
    header, found = query.units(load_run(tmp_path), "b")
    assert header["layer"] == "b"
    assert header["window_observations"] == 2000
    assert len(header["firing_levels"]) == len(header["magnitude_levels"]) == 16
    assert found["firing"].tolist() == [[15, 7, 0], [15, 0, 0], [0, 0, 0], [15, 0, 0]]
    assert found["observations"].tolist() == [1000, 1000, 0, 1000]
    np.testing.assert_array_equal(found["last_fired"], [40, 10, np.nan])
    assert found["dead"].tolist() == [0, 1, 1]
    assert found["magnitude"][0, 2] == 0
    assert found["scale"][2] == 0


def test_units_agree_with_dead(written: tuple[Path, Written]) -> None:
    run = load_run(written[0])
    _, found = query.dead(run)
    assert found["dead"].sum() > 10
    for row, described in enumerate(run.layers):
        _, units = query.units(run, described.name)
        assert units["dead"].sum() == found["dead"][row]
        assert units["firing"].shape == (8, found["units"][row])
        np.testing.assert_allclose(np.mean(units["firing"] == 0, axis=1), found["silent"][:, row], rtol=1e-6)


def test_a_layer_that_changed_its_width_starts_anew(tmp_path: Path) -> None:
    with EventFile(tmp_path) as file:
        for i, units in enumerate((2, 2, 3, 3)):
            described = manifest(layer("a", units=units), layer("b", units=1))
            fired = np.append(np.zeros(units), 1000)
            step = 10 * (i + 1)
            values = {
                schema.MANIFEST_TAG: described.to_json(),
                "torchvitals/gradient/rms": np.zeros(2, dtype=np.float32),
                schema.RUN_TAG: np.array([i + 1.0, step, 0, 0]),
                schema.UNITS_TAG: packing.encode_units([units, 1], [1500, 1500], fired, fired),
            }
            file.write(step, values)
    _, found = query.dead(load_run(tmp_path))
    assert found["units"].tolist() == [3, 1]
    assert found["observations"].tolist() == [3000, 6000]
    assert found["dead"].tolist() == [3, 0]
    np.testing.assert_array_equal(found["first_dead"], [30, np.nan])
