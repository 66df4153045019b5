"""Counts of units against the same computed a layer at a time."""

import math

import numpy as np
import pytest

from torchvitals.units import UnitCounts, UnitRecord
from torchvitals_tb import packing
from torchvitals_tb.schema import DORMANT_TAU, Layer

SIZES = (3, 0, 1, 70, 8)


def layers():
    shapes = [(4, n) if n else (4,) for n in SIZES]
    return [
        Layer(f"l{i}", "module", "Linear", None, "", 0, shape, n or None, 1 if n else None, None, "float32")
        for i, (n, shape) in enumerate(zip(SIZES, shapes, strict=True))
    ]


def a_step(rng, ran):
    fired = [np.floor(rng.uniform(0, 3, n)) * 2 if n and i in ran else None for i, n in enumerate(SIZES)]
    magnitude = [None if f is None else rng.lognormal(0, 3, len(f)) * (f > 0) for f in fired]
    return fired, magnitude, [8 if i in ran else 0 for i in range(len(SIZES))]


def test_shares_of_dead_and_dormant_units_are_those_of_each_layer_alone():
    rng = np.random.default_rng(0)
    fired, magnitude, observations = a_step(rng, {0, 2, 3, 4})
    magnitude[3][[0, 5]] = math.nan, math.inf
    magnitude[4][:] = math.nan
    counts = UnitCounts.of(fired, magnitude, observations)
    assert counts.rows.tolist() == [0, 2, 3, 4]
    dead, dormant = counts.dead_and_dormant()
    for k, row in enumerate(counts.rows):
        assert dead[k] == sum(f == 0 for f in fired[row].tolist()) / SIZES[row]
        finite = [m for m in magnitude[row].tolist() if math.isfinite(m)]
        limit = DORMANT_TAU * math.fsum(finite) / max(len(finite), 1)
        assert dormant[k] == sum(m <= limit for m in finite) / SIZES[row]


def test_no_units_have_no_shares():
    dead, dormant = UnitCounts.of([None], [None], [0]).dead_and_dormant()
    assert dead.shape == dormant.shape == (0,)


@pytest.mark.parametrize(
    "steps", [[{0, 2, 3, 4}] * 3, [{0, 3}, {2, 3}, set(), {0, 2, 3, 4}], [{4}]], ids=["all", "branches", "one"]
)
def test_a_record_adds_up_the_steps_since_the_last(steps):
    rng = np.random.default_rng(1)
    record = UnitRecord()
    fired, magnitude = ([np.zeros(n) for n in SIZES] for _ in range(2))
    observations = np.zeros(len(SIZES))
    for ran in steps:
        step = a_step(rng, ran)
        record.add(UnitCounts.of(*step))
        for i in ran & {i for i, n in enumerate(SIZES) if n}:
            fired[i] += step[0][i]
            magnitude[i] += step[1][i]
            observations[i] += 8
    expected = packing.encode_units(np.array(SIZES), observations, np.concatenate(fired), np.concatenate(magnitude))
    assert record.take(layers()) == expected
    nothing = packing.decode_units(record.take(layers()))
    assert not nothing.observations.any()
    assert not nothing.firing.any()


def test_a_model_without_units_has_no_record():
    record = UnitRecord()
    record.add(UnitCounts.of([None], [None], [0]))
    assert record.take([layers()[1]]) is None
