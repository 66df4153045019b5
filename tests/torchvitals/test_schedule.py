from __future__ import annotations

from itertools import pairwise

import pytest

from torchvitals.schedule import GRACE_SECONDS, Schedule, records, stride


def test_default_schedule_is_dense_then_twenty_per_doubling():
    sampled = [step for step in range(100_000) if Schedule(None, 0.02).samples(step)]
    assert sampled[:40] == list(range(40))
    for low in (40, 80, 160, 5120):
        assert sum(low <= step < 2 * low for step in sampled) == 20
    gaps = [b - a for a, b in pairwise(sampled)]
    assert max(gaps) == 1000
    assert all(b >= a for a, b in pairwise(gaps) if a < 512)


def test_a_million_steps_hold_about_fifteen_hundred_rows():
    count = sum(Schedule(None, 0.02).samples(step) for step in range(1_000_000))
    assert 1_000 < count < 2_000


def test_stride_is_a_power_of_two_up_to_the_cap():
    assert [stride(s) for s in (0, 19, 20, 39, 40, 79, 80, 10_239, 10_240, 20_480, 10**6)] == [
        1, 1, 1, 1, 2, 2, 4, 256, 512, 1000, 1000,
    ]  # fmt: skip


def test_fixed_cadence_ignores_the_time():
    assert [step for step in range(10) if Schedule(3, 0.02).samples(step, 1e9, 1.0)] == [0, 3, 6, 9]


def test_overhead_limits_the_default_schedule_after_the_grace():
    schedule = Schedule(None, 0.02)
    assert schedule.samples(0, GRACE_SECONDS, 1.0)
    assert not schedule.samples(0, GRACE_SECONDS + 1, 100.0)
    assert schedule.samples(0, GRACE_SECONDS + 1, 301.0)


def test_heavy_records_are_every_fourth_sample():
    assert [n for n in range(13) if records(n)] == [0, 1, 2, 3, 4, 8, 12]


@pytest.mark.parametrize(
    ("every", "overhead", "error", "says"),
    [
        (0, 0.02, ValueError, "every=0: must be at least 1"),
        (-3, 0.02, ValueError, "every=-3"),
        (True, 0.02, TypeError, "every must be a whole number"),
        (2.5, 0.02, TypeError, "not 2.5"),
        ("10", 0.02, TypeError, "not '10'"),
        (None, 0, ValueError, "overhead=0"),
        (None, 2, ValueError, "overhead=2"),
        (None, "2%", TypeError, "not '2%'"),
    ],
)
def test_bad_options(every, overhead, error, says):
    with pytest.raises(error, match=says):
        Schedule(every, overhead)
