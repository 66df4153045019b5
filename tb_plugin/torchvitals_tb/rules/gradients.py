"""Rules about the gradient's way from the loss to the first layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchvitals_tb.findings import Finding
from torchvitals_tb.rules.registry import NotCheckedError, rule
from torchvitals_tb.rules.view import Floats, View, first_lasting, largest, median
from torchvitals_tb.words import listed, number, percent, times

_LEAST_ROWS = 4
_VANISHED = 1e-4
_EXPLODED = 1e4
_FORGOTTEN = 1e-6
_EPSILON = 1e-7  # below this Adam's epsilon is as large as the gradient


@rule("vanishing-gradient", "Does the gradient reach the first layers?")
def vanishing_gradient(view: View) -> Iterator[Finding]:
    """Does the gradient fall by orders of magnitude from the output to the input, and do the early layers starve?

    Condition: the largest gradient norm (of an example's output) among the first third of the layers is less than
    1e-4 of the median among the last third, on most steps from some step on. A warning only if the early weights
    starve: they change less than a hundredth as much, relative to their size, as the late ones, or, with an optimizer
    that does not care for the gradient's size, the gradient is below its epsilon.

    Reads wrong: the largest of the early layers is taken so that zero-initialised residual branches, whose inner
    layers have no gradient yet, do not count; with skip connections all layers have to starve. Steps with a gradient
    below a thousandth of its first size are left out: a converged network has little gradient anywhere.

    Source: Bengio, Simard & Frasconi 1994; Glorot & Bengio 2010.
    """
    through_time = _through_time(view)
    if through_time is not None:
        yield through_time
        return
    ratio, rows = _early_to_late(view)
    t = first_lasting(ratio < _VANISHED)
    if t is None or np.nanmean(ratio[t:] < _VANISHED) < 0.5:
        return
    bad = np.flatnonzero(ratio < _VANISHED)
    early = rows[: max(1, len(rows) // 3)]
    starving, said = _starving(view, early, rows[-max(1, len(rows) // 3) :], bad)
    norms = median(view.sound("gradient/rms")[bad], axis=0)
    sizes = median(view.gradient_norms[bad], axis=0)
    culprit = _steepest(sizes, rows)
    layers = [view.names[r] for r in early]
    if culprit is not None:
        layers.insert(0, view.names[culprit])
        layers = list(dict.fromkeys(layers))
    worst = float(median(ratio[bad]))
    yield Finding(
        "vanishing-gradient",
        "warning" if starving else "info",
        tuple(layers),
        int(view.steps[t]),
        int(view.steps[bad[-1]]),
        f"The gradient falls {times(1 / max(worst, 1e-300))} from {view.names[rows[-1]]} to {view.names[rows[0]]} "
        f"(rms {number(norms[rows[-1]])} to {number(norms[rows[0]])}); {said}.",
        "The first layers stay as they were initialised, and the rest learns on top of them.",
        _remedy(view, rows, culprit),
        (
            view.evidence("gradient/rms", "Gradient along the depth; it should stay within a few powers of ten.", rows),
            view.evidence("parameter/update_ratio", "What a step changes.", [view.weight_of[r] for r in early]),
        ),
    )


def _through_time(view: View) -> Finding | None:
    """The gradient on its way back through the calls of one module in a forward: the steps of a recurrence."""
    norms = view.sound("gradient/rms")
    calls: dict[str, list[int]] = {}
    for row, layer in enumerate(view.layers):
        calls.setdefault(layer.name.rpartition("@")[0] if layer.call else layer.name, []).append(row)
    for name, rows in calls.items():
        if len(rows) < 5 or view.layers[rows[0]].kind == "function" or rows[0] in view.activation_rows:
            continue
        with np.errstate(all="ignore"):
            ratio = norms[:, rows[0]] / norms[:, rows[-1]]
        vanished = ratio < _FORGOTTEN
        t = first_lasting(vanished)
        if t is None or np.nanmean(vanished[t:]) < 0.5:
            continue
        fall = float(median(ratio[vanished])) ** (1 / (len(rows) - 1))
        return Finding(
            "vanishing-gradient",
            "warning",
            (name, *(view.names[r] for r in rows[1:4])),
            int(view.steps[t]),
            int(view.steps[np.flatnonzero(vanished)[-1]]),
            f"The gradient falls to {number(fall)} with each of the {len(rows)} calls of {name}, "
            f"{times(1 / max(float(median(ratio[vanished])), 1e-300))} in all.",
            "What happened early in the sequence cannot be learned: the recurrence forgets it.",
            f"Initialise the recurrent weight with nn.init.orthogonal_({name}.weight), or use nn.GRU or nn.LSTM.",
            (view.evidence("gradient/rms", "Gradient over the calls.", rows),),
        )
    return None


@rule("exploding-gradient", "Does the gradient keep its size, along the depth and over time?")
def exploding_gradient(view: View) -> Iterator[Finding]:
    """Does the gradient grow by orders of magnitude towards the input, or over time until training breaks?

    Condition: (depth) the median gradient norm of the first third of the layers is above 1e4 times that of the last
    third, on most steps; (time) the norm over all parameters before clipping grows 1,000 times above its median over
    the first fifth of the steps, and is there at the end or when training breaks; (spikes) it is above 100 times its
    median on at least three steps; (sum) the gradients of biases are larger than the sum of their layers' gradients
    can be, and were not at first: nobody clears them.

    Reads wrong: a zero-initialised output layer starts with almost no gradient below it; the norm over all parameters
    includes its own. Relative to the run itself, never absolute.

    Source: Pascanu, Mikolov & Bengio 2013.
    """
    total = _total(view)
    known = np.flatnonzero(np.isfinite(total) & (total > 0))
    if not len(known):
        raise NotCheckedError("no gradient is recorded")
    found = _added_up(view) or _over_time(view, total, known) or _over_depth(view)
    if found is not None:
        yield found


def _over_depth(view: View) -> Finding | None:
    try:
        ratio, rows = _early_to_late(view)
    except NotCheckedError as error:
        view.remark(str(error))
        return None
    t = first_lasting(ratio > _EXPLODED)
    if t is None:
        return None
    bad = np.flatnonzero(ratio > _EXPLODED)
    rms = median(view.sound("gradient/rms")[bad], axis=0)
    return Finding(
        "exploding-gradient",
        "warning",
        tuple(view.names[r] for r in rows[: max(1, len(rows) // 3)]),
        int(view.steps[t]),
        int(view.steps[bad[-1]]),
        f"The gradient grows {times(float(median(ratio[bad])))} from {view.names[rows[-1]]} to {view.names[rows[0]]} "
        f"(rms {number(rms[rows[-1]])} to {number(rms[rows[0]])}).",
        "One learning rate cannot suit layers whose gradients differ by so much, and the largest break the weights.",
        _remedy(view, rows, None),
        (view.evidence("gradient/rms", "Gradient along the depth; it should stay within a few powers of ten.", rows),),
    )


def _over_time(view: View, total: Floats, known: NDArray[Any]) -> Finding | None:
    start = known[: max(3, len(known) // 5)]
    usual, middle = float(np.median(total[start])), float(np.median(total[known]))
    high = np.flatnonzero(total > 1e3 * usual)
    breaks = bool(view.broken.any())
    end = int(np.argmax(view.broken)) if breaks else len(total)
    lasting = len(high) > 0 and high[-1] >= min(end, known[-1] + 1) - 3
    before = np.array([np.median(total[known[max(0, i - 20) : i]]) if i >= 5 else np.inf for i in range(len(known))])
    spikes = known[total[known] > 100 * before]
    if not (lasting and (breaks or len(high) >= 3)) and len(spikes) < 3:
        return None
    marked = high if lasting else spikes
    peak = int(marked[np.argmax(total[marked])])
    sizes = view["parameter/grad_rms_before_clip"][peak]
    worst = int(np.nanargmax(np.where(np.isfinite(sizes), sizes, -1)))
    name = view.parameters[worst].layer or view.parameters[worst].name
    growth = total[peak] / (usual if lasting else middle)
    return Finding(
        "exploding-gradient",
        "critical" if breaks else "warning",
        (name,),
        int(view.steps[marked[0]]),
        int(view.steps[marked[-1]]),
        f"The gradient norm reaches {times(growth)} its usual size at step {view.steps[peak]} ({number(total[peak])} "
        f"after {number(usual if lasting else middle)}), most of it in {name}"
        + (", and training breaks." if breaks else "."),
        "A single such step can undo all that was learned.",
        "Clip it: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) before optimizer.step(), "
        "and lower the learning rate.",
        (view.evidence("parameter/grad_rms_before_clip", "Gradient before clipping.", [worst]),),
    )


def _added_up(view: View) -> Finding | None:
    """Gradients that nobody clears.

    The gradient of a bias is the sum of the gradients of its layer's output, so it cannot be larger than the number of
    summands times their rms. Where it is, older gradients are in it.
    """
    rows = {layer.name: i for i, layer in enumerate(view.layers) if not layer.call and layer.units}
    shares, found = [], []
    for p, parameter in enumerate(view.parameters):
        r = rows.get(parameter.layer)
        if r is None or len(parameter.shape) != 1 or not parameter.name.endswith("bias"):
            continue
        units = view.layers[r].units or 1
        if units != parameter.shape[0]:
            continue
        gradient = view.sound("parameter/grad_rms_before_clip")[:, p]
        with np.errstate(all="ignore"):
            shares.append(gradient / (view.sound("gradient/rms")[:, r] * math.prod(view.layers[r].shape) / units))
        found.append(p)
    if not shares:
        return None
    share = median(np.array(shares), axis=0)
    known = np.flatnonzero(~np.isnan(share))
    if len(known) < 15:
        return None
    # Several micro-batches of a step are also added up, but not more and more of them.
    early, late = float(np.median(share[known[:3]])), float(np.median(share[known[-len(known) // 3 :]]))
    if not (late > 2 and late > 4 * early):
        return None
    since = int(known[np.argmax(share[known] > 2)])
    weights = [view.weight_of[r] for r in view.weighted_rows]
    return Finding(
        "exploding-gradient",
        "warning",
        tuple(view.names[r] for r in view.weighted_rows) or (view.parameters[found[0]].name,),
        int(view.steps[known[0]]),
        int(view.steps[known[-1]]),
        f"From step {view.steps[since]} on the gradients of the parameters are larger than one backward pass can make "
        "them: those of earlier steps are still in them.",
        "Every step repeats all gradients since the first.",
        "Call optimizer.zero_grad() before each backward (or after each optimizer.step()).",
        (view.evidence("parameter/grad_rms", "Gradients of parameters.", weights),),
    )


@rule("gradient-clipping", "Does clipping leave the gradient its say?")
def gradient_clipping(view: View) -> Iterator[Finding]:
    """Is clipping always on, and does it decide the size of the step?

    Condition: what the optimizer gets is less than a twentieth of what the backward gave, on at least 80 % of the
    steps and to the end. With an optimizer that does not care for the gradient's size this is a warning only if
    the clipped gradient is below its epsilon; else it is a remark.

    Reads wrong: a gradient divided by the user for other reasons (averaging by hand) looks the same.

    Source: Zhang et al., Why gradient clipping accelerates training, ICLR 2020 (what mild clipping is good for).
    """
    after, before = view.sound("parameter/grad_rms"), view.sound("parameter/grad_rms_before_clip")
    with np.errstate(all="ignore"):
        kept = median(np.where(before > 0, after / before, np.nan), axis=1)
    known = np.isfinite(kept)
    if not known.any():
        raise NotCheckedError("no gradient before clipping is recorded")
    strong = kept[known] < 0.05
    if strong.mean() < 0.8 or not strong[-1] or strong.sum() < 3:
        return
    share = float(np.median(kept[known]))
    size = float(median(after[known]))
    harmless = view.adaptive and size > _EPSILON
    steps = view.steps[known]
    weights = [view.weight_of[r] for r in view.weighted_rows]
    yield Finding(
        "gradient-clipping",
        "info" if harmless else "warning",
        tuple(dict.fromkeys(p.layer or p.name for p in view.parameters if p.trainable))[:20],
        int(steps[0]),
        int(steps[-1]),
        f"Clipping leaves {number(share)} of the gradient, on {percent(float(strong.mean()))} of the steps.",
        "The clipping limit and not the loss then decides how far a step goes: it acts as a tiny learning rate.",
        f"Raise the limit to about the usual norm, {number(float(np.nanmedian(_total(view))))} here, so that only "
        "outliers are clipped.",
        (view.evidence("parameter/grad_rms", "Gradient that the optimizer gets.", weights),
         view.evidence("parameter/grad_rms_before_clip", "Gradient before clipping.", weights)),
    )  # fmt: skip


@rule("no-gradient", "Does every trainable parameter get a gradient?")
def no_gradient(view: View) -> Iterator[Finding]:
    """Which trainable parameters never get a gradient: unused, or cut off by a detach?

    Condition: trainable, and on at least three sampled steps and on all of them no gradient, or one that is zero
    in every element.

    Reads wrong: on the first steps a zero-initialised layer behind it gives exactly zero; with three steps it has
    moved. A branch that is taken rarely may not have been sampled yet.

    Source: the definition.
    """
    size = view.sound("parameter/grad_rms")
    measured = np.isfinite(view.sound("parameter/rms")).any(axis=1)
    if measured.sum() < 3:
        raise NotCheckedError("fewer than three steps are recorded")
    trainable = np.array([p.trainable for p in view.parameters], dtype=bool)
    none = trainable & ~(np.nan_to_num(size[measured]) > 0).any(axis=0)
    if not none.any():
        return
    names = [view.parameters[i].layer or view.parameters[i].name for i in np.flatnonzero(none)]
    silent = list(dict.fromkeys(names))
    partly = {view.parameters[i].layer for i in np.flatnonzero(trainable & ~none)}
    whole = [name for name in silent if name not in partly]
    if not whole:
        return  # a bias whose effect cancels, beside a weight that learns
    called = {layer.name for layer in view.layers}
    order = {name: i for i, name in enumerate(view.names)}
    unused = [name for name in whole if name not in called]
    cut = sorted((name for name in whole if name in called), key=lambda n: -order[n])
    layers = [*cut, *unused]
    everything = len(whole) == len({p.layer for p in view.parameters if p.trainable})
    if cut:
        said = f"{listed(cut)} ran but got no gradient on any of {int(measured.sum())} sampled steps"
        remedy = (
            f"Look behind {cut[0]} for .detach(), .item(), torch.no_grad() or an output that the loss does not use."
        )
    else:
        said = f"{listed(unused)} never ran"
        remedy = "Call it in the forward, or remove it; if its forward is called directly, call the module itself."
    rows = [i for i, p in enumerate(view.parameters) if (p.layer or p.name) in layers]
    yield Finding(
        "no-gradient",
        "critical" if everything else "warning",
        tuple(layers),
        int(view.steps[0]),
        int(view.steps[-1]),
        f"{said} ({int(none.sum())} of {int(trainable.sum())} trainable parameters).",
        "What gets no gradient stays as it was initialised.",
        remedy + " If it is meant to rest, freeze it with requires_grad_(False).",
        (view.evidence("parameter/grad_rms", "Gradients of these parameters.", rows),),
    )


def _early_to_late(view: View) -> tuple[Floats, list[int]]:
    """[T] gradient norm of the early layers relative to the late ones, and the rows compared."""
    norms = np.where(view.broken[:, None], np.nan, view.gradient_norms)
    rows = [int(r) for r in view.weighted_rows if np.isfinite(norms[:, r]).any()]
    if len(rows) < _LEAST_ROWS:
        raise NotCheckedError(f"there are fewer than {_LEAST_ROWS} layers with weights and a gradient")
    third = max(1, len(rows) // 3)
    early, late = largest(norms[:, rows[:third]], axis=1), median(norms[:, rows[-third:]], axis=1)
    known = np.isfinite(early) & (late > 0)
    if not known.any():
        raise NotCheckedError("no gradient is recorded")
    first = float(np.median(late[known][:5]))
    with np.errstate(all="ignore"):
        ratio = np.where(known & (late > 1e-3 * first), early / late, np.nan)
    return ratio, rows


def _starving(view: View, early: list[int], late: list[int], at: NDArray[Any]) -> tuple[bool, str]:
    updates, sizes = view.sound("parameter/update_ratio"), view.sound("parameter/grad_rms")
    first = [view.weight_of[r] for r in early]
    last = [view.weight_of[r] for r in late]
    moved, usual = float(median(updates[at][:, first])), float(median(updates[at][:, last]))
    gradient = float(median(sizes[at][:, first]))
    starved = not moved > 1e-2 * usual or (view.adaptive and gradient < _EPSILON)
    if starved:
        return True, f"a step changes the first weights by {number(moved)} of their size, the last by {number(usual)}"
    return (
        False,
        f"{listed(sorted(set(view.optimizers))) or 'the optimizer'} makes up for it ({number(moved)} a "
        "step in the first layers)",
    )


def _steepest(sizes: Floats, rows: list[int]) -> int | None:
    """The row in front of which most of the fall happens at once."""
    with np.errstate(all="ignore"):
        logs = np.log10(np.maximum(sizes[rows], 1e-300))
    falls = np.diff(logs)  # from a row to the next one towards the output
    total = logs[-1] - logs[0]
    if total <= 0 or not len(falls):
        return None
    k = int(np.argmax(falls))
    return rows[k + 1] if falls[k] > 0.6 * total else None


def _remedy(view: View, rows: list[int], culprit: int | None) -> str:
    functions = {view.layers[r].function for r in view.activation_rows}
    normed = any("Norm" in layer.type for layer in view.layers)
    if culprit is not None:
        return (
            f"Look at what {view.names[culprit]} does to its input: saturation, dead units or tiny weights there stop "
            "the gradient; initialise it again, or put a normalisation before it."
        )
    if functions & {"sigmoid", "tanh", "softsign", "hardsigmoid"}:
        name = next(iter(functions & {"sigmoid", "tanh", "softsign", "hardsigmoid"}))
        how = "nn.ReLU() or nn.GELU() with nn.init.kaiming_normal_(layer.weight)"
        return f"Replace {name} by {how}, or add skip connections and normalisation between the layers."
    how = "nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')" if "relu" in functions else (
        "nn.init.xavier_normal_(layer.weight)"
    )  # fmt: skip
    more = "" if normed else ", or add nn.LayerNorm / nn.BatchNorm between the layers"
    return f"Initialise the {len(rows)} layers with {how}{more}; for great depth add skip connections."


def _total(view: View) -> Floats:
    """[T] norm of the gradient over all parameters, before clipping."""
    sizes = np.array([float(np.prod(p.shape)) for p in view.parameters])
    before = view.sound("parameter/grad_rms_before_clip")
    before = np.where(np.isnan(before), view.sound("parameter/grad_rms"), before)
    with np.errstate(all="ignore"):
        total = np.sqrt(np.nansum(before**2 * sizes, axis=1))
    return np.where(np.isnan(before).all(axis=1), np.nan, total)
