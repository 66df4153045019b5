"""Proofs that a label is true, measured on the run itself with plain autograd."""

from __future__ import annotations

import math
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import torch

from tests.pathologies.case import Proof
from tests.pathologies.training import Outcome

MOST_DEAD = 0.3


def worse(factor: float = 1.5) -> Proof:
    """The same run without the fault learns, and ends at a loss at least so many times smaller."""

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        assert fixed.final < 0.75 * fixed.initial, f"fixed: {fixed.initial:.3g} to {fixed.final:.3g}"
        assert outcome.final > factor * fixed.final, f"{outcome.final:.3g}, fixed {fixed.final:.3g}"

    return prove


def dead(pattern: str, least: float) -> Proof:
    """At least this share of the units is dead on all data; in the fixed run at most half as many."""

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        share = _worst(outcome.dead(), pattern)
        assert share >= least, f"{share:.2f} dead"
        healthy = _worst(fixed.dead(), pattern)
        assert healthy <= least / 2, f"fixed: {healthy:.2f} dead"

    return prove


def starved(first: str, last: str, ratio: float) -> Proof:
    """At the start the gradient at one activation is this many times smaller than at another.

    In the run without the fault the ratio is at most a tenth of that.
    """

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        outcome, fixed = outcome.at_start(), fixed.at_start()
        gradients, healthy = outcome.gradients(), fixed.gradients()
        assert gradients[last] > ratio * gradients[first], f"{gradients[last]:.3g} / {gradients[first]:.3g}"
        assert healthy[last] < ratio / 10 * healthy[first], f"fixed: {healthy[last]:.3g} / {healthy[first]:.3g}"

    return prove


def saturated(pattern: str, least: float, limit: float = 0.97) -> Proof:
    """At least this share of the outputs of a tanh (or sigmoid) is at its limits."""

    def share(outcome: Outcome) -> float:
        outputs = {n: o.detach() for n, o in outcome.activations().items() if fnmatchcase(n, pattern)}
        return min((o.abs() > limit).float().mean().item() for o in outputs.values())

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        assert share(outcome) >= least, f"{share(outcome):.2f} saturated"
        assert share(fixed) <= least / 2, f"fixed: {share(fixed):.2f} saturated"

    return prove


def alike(name: str) -> Proof:
    """All units of an activation give the same on every sample; those of the fixed run do not."""

    def spread(outcome: Outcome) -> float:
        out = outcome.activations()[name].detach()
        return (out.std(1 if out.dim() == 4 else -1).mean() / out.abs().mean()).item()

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        assert spread(outcome) < 1e-3, f"spread {spread(outcome):.2g}"
        assert spread(fixed) > 0.1, f"fixed: spread {spread(fixed):.2g}"

    return prove


def alike_over_samples(name: str) -> Proof:
    """An activation gives the same on every sample; that of the fixed run does not."""

    def spread(outcome: Outcome) -> float:
        out = outcome.activations()[name].detach()
        return (out.std(0).mean() / out.abs().mean()).item()

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        assert spread(outcome) < 1e-3, f"spread {spread(outcome):.2g}"
        assert spread(fixed) > 0.1, f"fixed: spread {spread(fixed):.2g}"

    return prove


def broken_from(step: int, *, latest: int | None = None) -> Proof:
    """The loss is finite before a step and not from it on (or from at most ``latest`` on)."""

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        first = next(i for i, loss in enumerate(outcome.losses) if not math.isfinite(loss))
        assert step <= first <= (step if latest is None else latest), f"not finite from {first}"
        assert all(map(math.isfinite, fixed.losses))

    return prove


def no_gradient(pattern: str) -> Proof:
    """The parameters get none (or only zeros); those of the fixed run do."""

    def largest(outcome: Outcome) -> float:
        outcome.model.zero_grad()
        outcome.on_all().backward()
        found = [p.grad for n, p in outcome.model.named_parameters() if fnmatchcase(n, pattern)]
        assert found
        return max((g.abs().max().item() for g in found if g is not None), default=0.0)

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        assert largest(outcome) == 0
        assert largest(fixed) > 0

    return prove


def learns(*, to: float = 0.6, most_dead: float = MOST_DEAD, also: Callable[[Outcome], Any] | None = None) -> Any:
    """The loss falls to this share of what it was, nothing is broken and the units live."""

    def prove(outcome: Outcome) -> None:
        assert all(map(math.isfinite, outcome.losses))
        assert outcome.final < to * outcome.initial, f"{outcome.initial:.3g} to {outcome.final:.3g}"
        lives(most_dead)(outcome)
        if also is not None:
            also(outcome)

    return prove


def stays_good(most: float) -> Any:
    """The loss is never above this: it was good from the start."""

    def prove(outcome: Outcome) -> None:
        assert max(outcome.losses) < most, f"{max(outcome.losses):.3g}"
        lives(MOST_DEAD)(outcome)

    return prove


def lives(most_dead: float) -> Callable[[Outcome], None]:
    def prove(outcome: Outcome) -> None:
        shares = outcome.dead()
        assert max(shares.values(), default=0) <= most_dead, {n: round(s, 2) for n, s in shares.items()}
        assert all(torch.isfinite(p).all() for p in outcome.model.parameters())

    return prove


def _worst(shares: dict[str, float], pattern: str) -> float:
    return max((share for name, share in shares.items() if fnmatchcase(name, pattern)), default=0.0)
