from __future__ import annotations

import numpy as np

from torchvitals_tb.timeline import Timeline, current, preempt


def preempt_slowly(steps: list[int]) -> list[int]:
    out: list[int] = []
    for i, step in enumerate(steps):
        while out and steps[out[-1]] >= step:
            out.pop()
        out.append(i)
    return out


def test_preempt_is_what_the_loop_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        steps = rng.integers(0, 12, rng.integers(0, 15))
        assert preempt(steps).tolist() == preempt_slowly(steps.tolist())


def test_current_finds_what_the_last_attempts_wrote() -> None:
    """Attempts of random length, sampled at random; whatever order records come in, the same ones count."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        steps: list[int] = []
        start = 0
        for _ in range(rng.integers(1, 5)):
            stop = start + int(rng.integers(1, 30))
            steps += sorted(
                rng.choice(np.arange(start, stop), rng.integers(1, stop - start + 1), replace=False).tolist()
            )
            start = int(rng.integers(0, stop))
        all_steps = np.array(steps)
        walls = 100.0 * np.arange(len(steps))
        kept = preempt(all_steps)
        timeline = Timeline(all_steps[kept], walls[kept])
        heavy = np.flatnonzero(rng.uniform(size=len(steps)) < 0.4)  # a tag written on some of these steps
        shuffled = rng.permutation(heavy)
        found = shuffled[current(all_steps[shuffled], walls[shuffled], timeline)]
        assert found.tolist() == [i for i in heavy if i in set(kept.tolist())]


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    steps = np.arange(10)
    walls = np.array([0, 1, 2, 3, 4, -3600, -3599, -3598, -3597, -3596.0])
    timeline = Timeline(steps, walls)
    assert current(steps, walls, timeline).tolist() == steps.tolist()


def test_of_equal_steps_the_last_written_counts() -> None:
    timeline = Timeline(np.array([1, 2]), np.array([10.0, 20.0]))
    assert current(np.array([1, 2, 2, 2]), np.array([10, 20.2, 20.4, 20.3]), timeline).tolist() == [0, 2]


def test_empty() -> None:
    none, never = np.zeros(0, dtype=np.int64), np.zeros(0)
    assert current(none, never, None).tolist() == []
    assert current(none, never, Timeline(np.array([1]), np.array([1.0]))).tolist() == []
    assert current(np.array([3, 1]), np.array([1.0, 2.0]), Timeline(none, never)).tolist() == [1]
