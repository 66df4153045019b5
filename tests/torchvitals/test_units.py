"""Counts of units against the same computed a layer at a time."""

import math

import numpy as np
import pytest

from torchvitals.units import UnitCounts, UnitRecord
from torchvitals_tb import packing
from torchvitals_tb.schema import DORMANT_TAU

SIZES = (3, 0, 1, 70, 8)


def a_step(rng, ran):
    fired = [np.floor(rng.uniform(0, 3, n)) * 2 if n and i in ran else None for i, n in enumerate(SIZES)]
    magnitude = [None if f is None else rng.lognormal(0, 3, len(f)) * (f > 0) for f in fired]
    return fired, magnitude, [8 if i in ran else 0 for i in range(len(SIZES))]


def counts_of(fired, magnitude, observations):
    starts = np.cumsum([0, *SIZES])
    whole = [
        np.concatenate([np.zeros(n) if values is None else values for n, values in zip(SIZES, of_units, strict=True)])
        for of_units in (fired, magnitude)
    ]
    return UnitCounts(starts, np.array(observations, dtype=float), *whole)


def test_shares_of_dead_and_dormant_units_are_those_of_each_layer_alone():
    rng = np.random.default_rng(0)
    fired, magnitude, observations = a_step(rng, {0, 2, 3, 4})
    magnitude[3][[0, 5]] = math.nan, math.inf
    magnitude[4][:] = math.nan
    dead, dormant = counts_of(fired, magnitude, observations).dead_and_dormant()
    for row in 0, 2, 3, 4:
        assert dead[row] == sum(f == 0 for f in fired[row].tolist()) / SIZES[row]
        finite = [m for m in magnitude[row].tolist() if math.isfinite(m)]
        limit = DORMANT_TAU * math.fsum(finite) / max(len(finite), 1)
        assert dormant[row] == sum(m <= limit for m in finite) / SIZES[row]
    assert math.isnan(dead[1]) and math.isnan(dormant[1])


def test_layers_that_did_not_run_have_no_shares():
    rng = np.random.default_rng(2)
    dead, dormant = counts_of(*a_step(rng, {0, 4})).dead_and_dormant()
    assert np.isnan(dead).tolist() == np.isnan(dormant).tolist() == [False, True, True, True, False]


def nothing(rows):
    return UnitCounts(np.zeros(rows + 1, dtype=int), np.zeros(rows), np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_no_units_have_no_shares(rows):
    dead, dormant = nothing(rows).dead_and_dormant()
    assert dead.shape == dormant.shape == (rows,)
    assert np.isnan(dead).all() and np.isnan(dormant).all()


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
        record.add(counts_of(*step))
        for i in ran & {i for i, n in enumerate(SIZES) if n}:
            fired[i] += step[0][i]
            magnitude[i] += step[1][i]
            observations[i] += 8
    expected = packing.encode_units(np.array(SIZES), observations, np.concatenate(fired), np.concatenate(magnitude))
    assert record.take() == expected
    assert record.take() is None


def test_a_record_grows_with_the_layers():
    rng = np.random.default_rng(3)
    fired, magnitude, observations = a_step(rng, {0, 2, 3, 4})
    later = counts_of(fired, magnitude, observations)
    first = UnitCounts(*(values[:n].copy() for values, n in zip(later, (4, 3, 4, 4), strict=True)))
    record = UnitRecord()
    record.add(first)
    record.add(later)
    read = packing.decode_units(record.take())
    assert read.observations.tolist() == [16, 0, 16, 8, 8]
    assert np.diff(read.starts).tolist() == list(SIZES)


def test_a_model_without_units_has_no_record():
    record = UnitRecord()
    record.add(nothing(1))
    assert record.take() is None
