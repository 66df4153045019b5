"""The account of what measuring costs, of made-up steps whose cost is known."""

import random
import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from torchvitals import attach_hooks
from torchvitals.account import Account
from torchvitals.watch import Watch
from torchvitals_tb import load_run


def told(steps, *, usual, inside, beside, after=0.0, noise=0.0, every=4):
    """What the account says after steps of ``usual`` seconds, of which sampled ones take ``inside + beside`` more.

    Those after them take ``after`` more.
    """
    rng = random.Random(0)
    account = Account()
    clock = ours = 0.0
    said = []
    for step in range(steps):
        sampled = step % every == 0
        clock += usual * (1 + noise * rng.random()) + sampled * (inside + beside)
        clock += after * (step % every == 1)
        ours += sampled * inside
        account.step_ended(ours, sampled=sampled, now=clock)
        said.append(account.seconds(ours))
    return said, -(-steps // every)


def test_what_is_beside_our_own_code_is_found_in_the_length_of_the_steps():
    said, samples = told(400, usual=0.010, inside=0.004, beside=0.002, after=0.001, noise=0.2)
    assert said[-1] == pytest.approx(samples * 0.007, rel=0.1)
    assert all(b >= a for a, b in pairwise(said))


def test_without_steps_to_compare_with_it_is_the_time_inside():
    said, samples = told(50, usual=0.010, inside=0.004, beside=0.002, every=1)
    assert said[-1] == pytest.approx(samples * 0.004)


def test_a_few_long_steps_change_nothing():
    account = Account()
    clock = ours = 0.0
    for step in range(400):
        sampled = step % 4 == 0
        clock += 0.010 + 0.006 * sampled + (5.0 if step % 100 == 0 else 0.0)  # an evaluation, also of sampled steps
        ours += 0.004 * sampled
        account.step_ended(ours, sampled=sampled, now=clock)
    assert account.seconds(ours) == pytest.approx(0.6, rel=0.01)


def test_every_sample_is_counted_for_itself():
    """Those that come close together cost less beside than those far apart; the newest say nothing about the first."""
    account = Account()
    clock = ours = 0.0
    for step in range(2000):
        sampled = step % 4 == 0 if step < 400 else step % 40 == 0
        clock += 0.010 + sampled * (0.005 if step < 400 else 0.008)
        ours += sampled * 0.004
        account.step_ended(ours, sampled=sampled, now=clock)
    assert account.seconds(ours) == pytest.approx(100 * 0.005 + 40 * 0.008, rel=0.02)


def test_evaluations_on_every_sampled_step_are_not_all_ours():
    said, samples = told(400, usual=0.010, inside=0.004, beside=3.0)
    assert said[-1] == pytest.approx(2 * samples * 0.004, rel=0.02)


def test_steps_that_are_faster_when_sampled_do_not_make_it_less():
    said, samples = told(400, usual=0.010, inside=0.004, beside=-0.002)
    assert said[-1] == pytest.approx(samples * 0.004)


def test_a_look_at_the_run_counts_once_and_with_nothing_beside(tmp_path, monkeypatch):
    real, skipped = time.perf_counter, [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: real() + skipped[0])
    monkeypatch.setattr(Watch, "is_due", lambda watch: watch._recorder.samples == 16)
    monkeypatch.setattr(Watch, "look", lambda watch: skipped.__setitem__(0, skipped[0] + 1000))
    monkeypatch.setattr(Account, "seconds", lambda account, inside: 2 * inside)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(20):
            model(torch.randn(4, 3)).sum().backward()
            optimizer.step()
            if skipped[0]:
                monkeypatch.setattr(Watch, "is_due", lambda watch: False)
    measuring = load_run(tmp_path).counters["measuring_seconds"]
    assert measuring[15] < 500 and 1000 <= measuring[-1] < 1500
