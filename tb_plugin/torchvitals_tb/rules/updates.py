"""Rules about what a step changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from torchvitals_tb.findings import Finding
from torchvitals_tb.rules.registry import NotCheckedError, rule
from torchvitals_tb.rules.view import Floats, View, median
from torchvitals_tb.words import listed, number, percent

_LARGE = 0.3
_RUIN = 1.0
_SMALL_TOTAL = 5e-5


@rule("update-too-large", "Do steps keep what was learned?")
def update_too_large(view: View) -> Iterator[Finding]:
    """Does a step change weights by a large share of their size?

    Condition: an update of more than the weight's own size on one sampled step, and of more than 0.3 of it on at least
    three (or on a quarter of all, and five); of matrices and convolutions only, and of weights that have at least a
    tenth of the size that keeps the scale of a signal.

    Reads wrong: a zero-initialised weight has no size yet, so its first updates are left out by that. Adam's first
    step is lr * sqrt(3 fan_in) of a default layer and falls from there. Before a normalisation the scale of weights is
    free and only their direction counts, which large updates change just as fast.

    Source: the customary 1e-3 (Karpathy; cs231n); here only what is hundreds of times above it.
    """
    ratio, rows = _ratios(view)
    size = view.sound("parameter/rms")
    ratio = np.where(size > 0.1 * np.array([view.kept(p) for p in range(len(view.parameters))]), ratio, np.nan)
    found: list[tuple[int, np.ndarray]] = []
    for p in rows:
        ruin, large = ratio[:, p] >= _RUIN, ratio[:, p] >= _LARGE
        known = np.flatnonzero(np.isfinite(ratio[:, p]))
        if (ruin.any() and large.sum() >= 3) or (large.sum() >= 5 and large[known].mean() >= 0.25):
            found.append((p, large))
    broken = view.broken.any()
    if not found and broken:  # one such step before the numbers break is enough
        t = int(np.argmax(view.broken))
        before = view["parameter/update_ratio"][max(0, t - 2) : t]
        found = [
            (p, (np.arange(len(ratio)) < t) & (view["parameter/update_ratio"][:, p] >= _RUIN))
            for p in rows
            if t > 0 and (before[:, p] >= _RUIN).any()
        ]
    if not found:
        return
    first = min(int(np.argmax(mask)) for _, mask in found)
    last = max(int(np.flatnonzero(mask)[-1]) for _, mask in found)
    all_ratios = view["parameter/update_ratio"]
    worst = max(
        (p for p, _ in found),
        key=lambda p: float(np.nanmax(np.where(np.isinf(all_ratios[:, p]), 1e30, all_ratios[:, p]))),
    )
    peak = float(np.nanmax(all_ratios[:, worst]))
    names = [view.parameters[worst].layer or view.parameters[worst].name]
    names += [view.parameters[p].layer or view.parameters[p].name for p, _ in found]
    names = list(dict.fromkeys(names))
    rates = view["parameter/learning_rate"]
    rate = float(median(rates[:, worst]))
    optimizer = listed(sorted(set(view.optimizers))) or "the optimizer"
    marked = next(mask for p, mask in found if p == worst)
    target = rate * 0.01 / max(float(median(all_ratios[marked, worst])), 0.01)
    yield Finding(
        "update-too-large",
        "critical" if broken else "warning",
        tuple(names),
        int(view.steps[first]),
        int(view.steps[last]),
        f"A step changes {view.parameters[worst].name} by up to {number(peak)} times its size "
        f"({optimizer}, learning rate {number(rate)}); about 0.001 is usual.",
        "A step that is as large as the weight replaces it: what was learned is lost, and units die.",
        f"Lower the learning rate from {number(rate)} to about {number(target)}, and warm it up over the first steps."
        if rate == rate
        else "Lower the learning rate, and warm it up over the first steps.",
        (
            view.evidence(
                "parameter/update_ratio",
                "Update relative to the weight.",
                [worst, *(p for p, _ in found if p != worst)][:8],
            ),
        ),
    )


@rule("update-too-small", "Do steps change anything?")
def update_too_small(view: View) -> Iterator[Finding]:
    """Do all steps together hardly change the weights, though there is a gradient?

    Condition: over at least 30 steps, at least 90 % of the weight matrices were changed by less than 0.005 % of their
    size in all (the median update times the number of steps), while their gradients have not fallen to a hundredth of
    what they were at first.

    Reads wrong: fine-tuning at a tiny rate changes little per step, but more than that in all; a warm-up starts at
    nothing and is counted as a whole. Frozen weights are left out. A converged run has little gradient left.

    Source: DL4J's and cs231n's lower bound for the ratio; here for the sum, which does not depend on the step count.
    """
    ratio, rows = _ratios(view)
    taken = int(view.steps[-1] - view.steps[0]) if len(view.steps) else 0
    if taken < 30:
        raise NotCheckedError("fewer than 30 steps are recorded")
    gradient = view.sound("parameter/grad_rms")
    moved = median(ratio, axis=0) * taken
    known = [p for p in rows if np.isfinite(moved[p]) and (np.nan_to_num(gradient[:, p]) > 0).any()]
    if not known:
        raise NotCheckedError("no update is recorded")
    small = [p for p in known if moved[p] < _SMALL_TOTAL]
    if len(small) < 0.9 * len(known):
        return
    early, late = gradient[: max(3, len(gradient) // 5)], gradient[-max(3, len(gradient) // 5) :]
    with np.errstate(all="ignore"):
        kept = median(late[:, small], axis=0) / median(early[:, small], axis=0)
    if not float(median(kept)) > 0.01:
        return
    rate = float(median(view["parameter/learning_rate"][:, small]))
    total = float(median(moved[small]))
    factor = 1e-3 * taken / max(total, 1e-30)
    names = list(dict.fromkeys(view.parameters[p].layer or view.parameters[p].name for p in small))
    yield Finding(
        "update-too-small",
        "warning",
        tuple(names),
        int(view.steps[0]),
        int(view.steps[-1]),
        f"{taken} steps together change the weights by {number(total)} of their size (learning rate {number(rate)}); "
        f"{percent(len(small) / len(known))} of the weight matrices concerned.",
        "At this pace nothing is learned in any reasonable time.",
        f"Raise the learning rate, to about {number(rate * min(factor, 1e6))}."
        if rate > 0
        else "Raise the learning rate.",
        (view.evidence("parameter/update_ratio", "Update relative to the weight; about 0.001 is usual.", small[:8]),),
    )


def _ratios(view: View) -> tuple[Floats, list[int]]:
    """[T, parameters] update ratios where a step was taken, and the rows of weights that are trained."""
    ratio = view.sound("parameter/update_ratio").copy()
    ratio[view.skipped] = np.nan
    rows = [
        i for i, p in enumerate(view.parameters)
        if p.trainable and len(p.shape) >= 2 and np.isfinite(ratio[:, i]).any()
    ]  # fmt: skip
    if not rows:
        raise NotCheckedError("no update of a weight matrix is recorded")
    return ratio, rows
