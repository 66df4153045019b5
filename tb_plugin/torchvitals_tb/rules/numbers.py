"""Rules about numbers that are none, and about what a number format loses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from torchvitals_tb.findings import Finding
from torchvitals_tb.rules.registry import NotCheckedError, rule
from torchvitals_tb.rules.view import View, persistent
from torchvitals_tb.words import listed, percent

_FLOAT16_MAX = 65504.0


@rule("non-finite", "Is every number finite?")
def non_finite(view: View) -> Iterator[Finding]:
    """Where and when do NaN or Inf begin?

    Condition: the first step on which a gradient or a weight is not finite. If an output is not finite on that step,
    the first such layer in execution order is the origin; else the gradient is, and the origin is the layer nearest
    to the loss whose gradient is not finite. Steps that a GradScaler skipped for the gradient's sake count only when
    they are many.

    Reads wrong: an output that is infinite on purpose, such as a mask of -inf, is no finding as long as gradients and
    weights stay finite. With steps between samples the true beginning lies between two samples.

    Source: the definition. Frameworks' own detectors (``detect_anomaly``) name the operation, at twice the time.
    """
    if not len(view.steps):
        raise NotCheckedError("no step is recorded")
    outputs = view["activation/nonfinite_fraction"] > 0
    weights = ~np.isfinite(view["parameter/rms"]) & (view["parameter/rms"] == view["parameter/rms"])
    weights |= np.isnan(view["parameter/rms"]) & ~np.isnan(view["parameter/learning_rate"])
    counted = view.broken.copy()
    if view.skipped.mean() < 0.3:
        counted &= ~view.skipped | outputs.any(axis=1)
    if not counted.any():
        return
    t = int(np.argmax(counted))
    step, last = int(view.steps[t]), int(view.steps[np.flatnonzero(counted)[-1]])
    lasting = bool(counted[t:].mean() > 0.5 and counted[-1])
    broken_weights = np.flatnonzero(weights[t])
    if len(broken_weights) and t > 0 and not weights[t - 1].any():
        owners = list(dict.fromkeys(view.parameters[p].layer or view.parameters[p].name for p in broken_weights))
        ratio = view["parameter/update_ratio"][t - 1]
        worst = int(np.nanargmax(np.where(np.isnan(ratio), -1, ratio)))
        yield Finding(
            "non-finite",
            "critical",
            tuple(owners),
            step,
            last,
            f"Weights of {listed(owners)} are no longer finite at step {step}; the update before changed "
            f"{view.parameters[worst].name} by {ratio[worst]:.3g} times its size.",
            "Every output from here on is NaN, and training cannot recover.",
            "Lower the learning rate (a tenth of it first) or clip the gradient with "
            "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) before optimizer.step().",
            (view.evidence("parameter/update_ratio", "Updates relative to the weights before it broke.", [worst],
                           slice(max(0, t - 20), t + 1)),),
        )  # fmt: skip
        return
    rows = np.flatnonzero(outputs[t])
    if len(rows):
        yield _forward(view, t, [int(r) for r in rows], last, lasting)
    else:
        yield _backward(view, t, last, lasting)


def _forward(view: View, t: int, rows: list[int], last: int, lasting: bool) -> Finding:
    origin, step = rows[0], int(view.steps[t])
    share = view["activation/nonfinite_fraction"][t, origin]
    before = view["activation/abs_max"][max(0, t - 1), : origin + 1]
    overflow = bool(np.nanmax(np.append(before, 0)) > _FLOAT16_MAX / 8)
    if not view.feeders[origin] and origin == 0:
        where = "It is the first layer, so the input of that step is not finite or overflows in it."
        remedy = (
            "Check the batch before the forward: assert torch.isfinite(x).all(); look for missing values and for a "
            "division by a standard deviation of zero in the preprocessing."
        )
    elif overflow:
        where = "Outputs before it are close to the largest number of float16."
        remedy = "Use bfloat16 in torch.autocast, or normalise before this layer, so that its output stays below 65504."
    else:
        where = "What goes into it is finite."
        remedy = (
            f"Look at {view.layers[origin].source or 'this layer'}: a division, log, exp or sqrt there needs a bound, "
            "such as x.clamp(min=1e-6); if outputs grew before, lower the learning rate."
        )
    return Finding(
        "non-finite",
        "critical" if lasting else "warning",
        tuple(view.names[r] for r in rows),
        int(view.steps[t]),
        last,
        f"{view.names[origin]} is the first layer to give NaN or Inf, in the forward of step {step} "
        f"({percent(share)} of its values). {where}",
        "NaN spreads through the loss into every gradient and weight."
        if lasting
        else "One such step is enough to break all weights.",
        remedy,
        (
            view.evidence(
                "activation/abs_max",
                "Largest output of the layer and of what feeds it.",
                [*view.feeders[origin][-2:], origin],
                slice(max(0, t - 20), t + 3),
            ),
        ),
    )


def _backward(view: View, t: int, last: int, lasting: bool) -> Finding:
    step = int(view.steps[t])
    rows = np.flatnonzero(view["gradient/nonfinite_fraction"][t] > 0)
    names: list[str]
    if len(rows):
        origin = int(rows[-1])
        names = [view.names[int(r)] for r in rows[::-1]]
        nearest = not view.fed[origin] or origin == len(view.layers) - 1
        where = "the loss itself gives it" if nearest else "the layers after it still have finite gradients"
        share = view["gradient/nonfinite_fraction"][t, origin]
        said = f"the gradient of {names[0]} ({percent(share)} of its values); {where}"
        shown = view.evidence("gradient/abs_max", "Largest gradient.", [origin], slice(max(0, t - 20), t + 3))
    else:
        nearest = False
        broken = np.flatnonzero(view["parameter/grad_nonfinite_fraction"][t] > 0)
        names = list(dict.fromkeys(view.parameters[p].layer or view.parameters[p].name for p in broken[::-1]))
        said = f"the gradient of the parameters of {names[0]}"
        shown = view.evidence("parameter/grad_abs_max", "Largest gradient.", broken[-1:], slice(max(0, t - 20), t + 3))
    remedy = (
        "Outputs are finite, so look at the loss: log(0), a division by a sum that can be zero, sqrt at "
        "zero. Use losses "
        "on logits (torch.nn.CrossEntropyLoss, BCEWithLogitsLoss) or clamp the argument: torch.log(p.clamp(min=1e-8))."
        if nearest
        else f"Its backward divides by zero or overflows: look at sqrt, norm, log or division right after {names[0]} "
        "and add an epsilon inside; torch.autograd.set_detect_anomaly(True) names the operation."
    )
    return Finding(
        "non-finite",
        "critical" if lasting else "warning",
        tuple(names),
        step,
        last,
        f"NaN or Inf begins in the backward of step {step}, with {said}.",
        "The optimizer writes it into the weights with the next step.",
        remedy,
        (shown,),
    )


def _all_lost(view: View) -> Finding | None:
    """Every gradient is zero, in a narrow format: the loss's own is below its smallest number."""
    gradient = view.sound("gradient/rms")
    narrow = [r for r, layer in enumerate(view.layers) if layer.dtype in ("float16", "float8_e4m3fn", "float8_e5m2")]
    known = np.isfinite(gradient).any(axis=1)
    if not narrow or not known.any() or (np.nan_to_num(gradient[known]) > 0).any():
        return None
    steps = view.steps[known]
    return Finding(
        "gradient-underflow",
        "critical",
        tuple(view.names[r] for r in (narrow if 0 in narrow else narrow[::-1])),
        int(steps[0]),
        int(steps[-1]),
        f"Every gradient is exactly zero, in {view.layers[narrow[0]].dtype}: all of it is below its smallest number.",
        "What becomes zero trains nothing.",
        "Scale the loss up with torch.amp.GradScaler, keep the weights in float32 and use torch.autocast, or bfloat16.",
        (view.evidence("gradient/zero_fraction", "Share of gradients that are zero.", narrow),),
    )


@rule("gradient-underflow", "Does the number format keep the gradients?")
def gradient_underflow(view: View) -> Iterator[Finding]:
    """Are gradients lost because they are too small for their number format?

    Condition: at least a fifth of a layer's gradient lies below the smallest normal number of its own format, where
    precision is lost bit by bit until it is zero, on at least half of the steps.

    Reads wrong: gradients of a converged network are small everywhere; what is lost then does not matter, so steps on
    which a layer's gradient has fallen under a thousandth of its largest are left out.

    Source: Micikevicius et al., Mixed Precision Training, ICLR 2018 (what loss scaling is for).
    """
    share, size = view.sound("gradient/underflow_fraction"), view.sound("gradient/rms")
    if not np.isfinite(share).any():
        raise NotCheckedError("no gradient is recorded")
    lost = _all_lost(view)
    if lost is not None:
        yield lost
        return
    with np.errstate(all="ignore"):
        matters = size > 1e-3 * np.nanmax(np.where(np.isfinite(size), size, 0), axis=0)
    bad = [r for r in range(share.shape[1]) if persistent((share[:, r] >= 0.2) & matters[:, r])]
    if not bad:
        return
    worst = max(bad, key=lambda r: float(np.nanmedian(share[:, r])))
    flagged = (share[:, bad] >= 0.2).any(axis=1)
    steps = view.steps[flagged]
    scaled = np.isfinite(view.run.counters["loss_scale"]).any()
    yield Finding(
        "gradient-underflow",
        "warning",
        (view.names[worst], *(view.names[r] for r in bad if r != worst)),
        int(steps[0]),
        int(steps[-1]),
        f"{percent(float(np.nanmedian(share[:, worst])))} of the gradient of {view.names[worst]} is below the smallest "
        f"normal number of its format ({len(bad)} of {len(view.layers)} layers concerned).",
        "What becomes zero trains nothing, and what is nearly zero has lost most of its digits.",
        "Raise the loss scale (GradScaler's growth), or use bfloat16: torch.autocast(device_type, "
        "dtype=torch.bfloat16)."
        if scaled
        else "Use torch.amp.GradScaler around the backward, or bfloat16 instead of float16.",
        (view.evidence("gradient/underflow_fraction", "Share of gradients that the format cannot hold.", bad),),
    )
