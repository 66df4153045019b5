"""Rules about single units: dead, dormant, saturated; and about outputs that say nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from torchvitals_tb.findings import Finding
from torchvitals_tb.rules.registry import NotCheckedError, rule
from torchvitals_tb.rules.view import View, median, persistent
from torchvitals_tb.schema import ACTIVATIONS
from torchvitals_tb.words import listed, percent

_DEAD = 0.3
_DYING = 0.2
_SILENT = 0.6
_MOST = 0.9
_DORMANT = 0.4
_SATURATED = 0.6
_SAME = 1e-3


@rule("dead-units", "Do all units fire on some input?")
def dead_units(view: View) -> Iterator[Finding]:
    """Which units never fire on any sample over a window with enough data: born dead or died, and since when?

    Condition: at least 30 % of the units of a layer whose activation can be exactly zero were zero for every one of at
    least 2,000 latest values from at least 200 examples (`torchvitals_tb.lifelines`); or 20 %, where at least 60 % were
    silent throughout the last record, so that more are about to. From 90 % on it is critical.

    Reads wrong: sparse activity is no death: what counts is units that never fire, not elements that are zero. A unit
    that fires on fewer than 0.15 % of the values may be missed by the window.

    Source: Lu et al. 2020 (born dead); the rule of three for the window.
    """
    if not len(view.unit_steps):
        raise NotCheckedError("no records of units")
    lives, steps = view.lives, view.unit_steps
    window = np.array([view.lives.observations[:, r].sum() for r in range(len(view.layers))])
    mortal = [
        int(r)
        for r in view.activation_rows
        if ACTIVATIONS[view.layers[r].function or ""].reaches_zero and lives.units[r] > 1
    ]
    if not mortal:
        raise NotCheckedError("no activation in it is ever exactly zero")
    short = [r for r in mortal if window[r] < 2000]
    if short:
        view.remark(f"too few values seen of {listed([view.names[r] for r in short])}")
    found = []
    for r in mortal:
        dead = lives.dead[lives.row == r]
        ran = np.flatnonzero(lives.observations[:, r] > 0)
        silent = float(lives.silent[ran[-1], r]) if len(ran) else 0.0
        if dead.mean() >= _DEAD or (dead.mean() >= _DYING and silent >= _SILENT):
            found.append((r, dead))
    if not found:
        if len(short) == len(mortal):
            raise NotCheckedError("fewer than 2,000 values of each unit were seen")
        return
    for r, dead in found:
        of_row = lives.row == r
        last = lives.last_fired[of_row][dead]
        born = int(np.sum(last < 0))
        onset = np.where(last < 0, int(np.argmax(lives.observations[:, r] > 0)), last)
        since = int(steps[int(np.median(onset))]) + (0 if born > 0.5 * dead.sum() else 1)
        share = float(dead.mean())
        name, units = view.names[r], int(lives.units[r])
        when = (
            "born dead"
            if born == dead.sum()
            else f"dead since step {since}" + (f", {born} of them from the start" if born else "")
        )
        feeders = [f for f in view.feeders[r] if f in view.weight_of]
        before = view.names[feeders[-1]] if feeders else name.rpartition("/")[0] or name
        function = view.layers[r].function or "relu"
        yield Finding(
            "dead-units",
            "critical" if share >= _MOST else "warning",
            (name, before) if before != name else (name,),
            since,
            int(view.steps[-1]),
            f"{int(dead.sum())} of {units} units of {name} ({percent(share)}) never fire, {when}.",
            "A dead unit passes no gradient, so it cannot recover by itself: the layer has lost this capacity.",
            (
                f"Initialise {before} with a zero bias and nn.init.kaiming_normal_, and normalise its input"
                if born > 0.5 * dead.sum()
                else f"Lower the learning rate (a tenth first, with warm-up), reinitialise the dead units of {before}"
            )
            + f"; or replace {function} by nn.LeakyReLU(0.01) or nn.GELU(), which never stop the gradient.",
            (view.evidence("activation/dead_fraction", "Share of units silent on each sampled step.", [r]),),
        )


@rule("dormant-units", "Do all units take part?")
def dormant_units(view: View) -> Iterator[Finding]:
    """For activations that are never exactly zero: which units have hardly any of their layer's magnitude?

    Condition: at least 40 % of a layer's units have a mean magnitude of at most 2.5 % of the layer's mean, in the last
    record in which it ran and on most of the last third of the steps.

    Reads wrong: a few units with huge outputs make all others look small; the finding then points at those.

    Source: Sokar et al., The Dormant Neuron Phenomenon, ICML 2023 (tau = 0.025).
    """
    rows = [
        int(r) for r in view.activation_rows
        if not ACTIVATIONS[view.layers[r].function or ""].reaches_zero and (view.layers[r].units or 0) >= 8
    ]  # fmt: skip
    if not rows:
        raise NotCheckedError("every activation in it can be exactly zero")
    share = view.sound("activation/dormant_fraction")
    late = share[-max(3, len(share) // 3) :]
    for r in rows:
        if not view.fed[r] or not persistent(late[:, r] >= _DORMANT, 0.8):
            continue
        value = float(median(late[:, r]))
        bad = np.flatnonzero(share[:, r] >= _DORMANT)
        yield Finding(
            "dormant-units",
            "warning",
            (view.names[r],),
            int(view.steps[bad[0]]),
            int(view.steps[bad[-1]]),
            f"{percent(value)} of the {view.layers[r].units} units of {view.names[r]} have at most 2.5 % of "
            "the layer's "
            "mean magnitude.",
            "They take part in nothing: the layer works with the rest of its width.",
            "Lower the learning rate or the weight decay, put a normalisation before it, or make the layer narrower.",
            (view.evidence("activation/dormant_fraction", "Share of dormant units.", [r]),),
        )


@rule("saturated-units", "Do bounded activations stay off their limits?")
def saturated_units(view: View) -> Iterator[Finding]:
    """Are bounded activations stuck at their limits, where they pass no gradient?

    Condition: more than 60 % of the outputs of a sigmoid, tanh or their like are at its limits (|tanh| > 0.97), on
    most of the steps, and less than a third of the gradient's norm passes through it.

    Reads wrong: a sigmoid at the end of a classifier is right to saturate, and so is a gate that has decided; the last
    layer is left out, and what passes enough gradient is no finding.

    Source: Glorot & Bengio 2010; Karpathy, makemore part 3 (0.97).
    """
    share, norms = view.sound("activation/saturated_fraction"), view.gradient_norms
    rows = [int(r) for r in view.activation_rows if np.isfinite(share[:, r]).any()]
    if not rows:
        raise NotCheckedError("there is no bounded activation in it")
    for r in rows:
        behind = [b for b in view.feeders[r] if np.isfinite(norms[:, b]).any()]
        if not view.fed[r] or not behind or not persistent(share[:, r] > _SATURATED):
            continue
        bad = np.flatnonzero(share[:, r] > _SATURATED)
        with np.errstate(all="ignore"):
            passed = float(median(norms[bad, behind[-1]] / norms[bad, r]))
        if not passed < 1 / 3:
            continue
        name, function = view.names[r], view.layers[r].function
        size = float(median(view["activation/rms"][bad, behind[-1]]))
        yield Finding(
            "saturated-units",
            "warning",
            (name, view.names[behind[-1]]),
            int(view.steps[bad[0]]),
            int(view.steps[bad[-1]]),
            f"{percent(float(median(share[bad, r])))} of the outputs of {name} are at the limits of "
            f"{function} (its input "
            f"has an rms of {size:.3g}), and {percent(passed)} of the gradient passes.",
            "At its limits the function is flat: what is before it learns hardly anything.",
            f"Make the weights of {view.names[behind[-1]]} smaller (nn.init.xavier_normal_), normalise the "
            "input, or put "
            "nn.LayerNorm before it; lower the learning rate if it began during training.",
            (view.evidence("activation/saturated_fraction", "Share of outputs at the limits.", [r]),),
        )


@rule("collapsed-output", "Does every layer's output depend on the input?")
def collapsed_output(view: View) -> Iterator[Finding]:
    """Which layer gives the same output whatever the input?

    Condition: from example to example the output varies by less than a thousandth of its size (or is all zero), from
    some step on to the end, while what feeds the layer varies by more than a hundredth.

    Reads wrong: layers fed by nothing, or by what does not vary (position embeddings), are left out. A zero-initialised
    layer is zero on the first steps only. Needs batches of two examples or more.

    Source: Jing et al., Understanding dimensional collapse, ICLR 2022 (the same, in one direction).
    """
    spread, size = view.sound("activation/example_std"), view.sound("activation/rms")
    if not np.isfinite(spread).any():
        raise NotCheckedError("no batch of two examples or more is recorded")
    with np.errstate(all="ignore"):
        varies = np.where(size > 0, spread / size, np.where(size == 0, 0.0, np.nan))
    bad: dict[int, int] = {}
    for r in range(len(view.layers)):
        known = np.flatnonzero(np.isfinite(varies[:, r]))
        if len(known) < 5:
            continue
        same = varies[known, r] < _SAME
        since = len(same) if same.all() else int(np.argmin(same[::-1]))  # how many of the last are the same
        if since >= max(5, len(same) // 10):
            bad[r] = int(known[len(same) - since])
    roots = [r for r in bad if any(f not in bad and float(median(varies[bad[r] :, f])) > 1e-2 for f in view.feeders[r])]
    if not roots:
        return
    behind = {r: _reached(view, r, bad) for r in roots}
    for r in roots:
        since = bad[r]
        after = [view.names[b] for b in behind[r] if b != r]
        zero = float(median(size[since:, r])) == 0
        yield Finding(
            "collapsed-output",
            "critical" if len(view.layers) - 1 in behind[r] else "warning",
            (view.names[r], *after),
            int(view.steps[since]),
            int(view.steps[-1]),
            f"{view.names[r]} gives "
            + ("nothing but zeros" if zero else "the same output whatever its input")
            + f" from step {view.steps[since]} on"
            + (f", and with it {listed(after)}." if after else "."),
            "What comes after it cannot tell one example from another.",
            f"Look at the weights of {view.names[r]}: near zero they were initialised or decayed away (check "
            "weight decay "
            "and the scale of a normalisation); with large inputs or a dead activation before it, mend that first.",
            (view.evidence("activation/example_std", "How far the output varies from example to example.",
                           [*view.feeders[r][-1:], r]),),
        )  # fmt: skip


def _reached(view: View, row: int, among: dict[int, int]) -> list[int]:
    """Rows of a set that a row feeds, through others of it; itself first."""
    seen, waiting = [row], [row]
    while waiting:
        for after in view.fed[waiting.pop()]:
            if after in among and after not in seen:
                seen.append(after)
                waiting.append(after)
    return seen
