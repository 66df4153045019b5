"""Rules about how a network begins."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from torchvitals_tb.findings import Finding
from torchvitals_tb.rules.registry import NotCheckedError, rule
from torchvitals_tb.rules.view import View, median
from torchvitals_tb.words import listed, number

_FORWARD = 1e3
_BACKWARD = 1e5
_LEAST_ROWS = 4
_TOO_LARGE = 5.0
_UNLIKE = 30.0


@rule("poor-initialization", "Do signal and gradient keep their scale at the start?")
def poor_initialization(view: View) -> Iterator[Finding]:
    """At the first steps, does the signal or the gradient change its scale from layer to layer? Are units all alike?

    Condition: (alike) all elements of a weight matrix have the same magnitude, or it stays zero; (scale) over the
    layers with weights the rms of the output changes by more than 1,000 times, or the gradient's norm by more than
    1e5, and it does so evenly: the trend over the depth explains most of it, and the weights explain the trend; (size)
    half of all weights are more than 5 times what keeps the scale, or single ones 30 times larger or smaller than the
    others.

    Reads wrong: a zero-initialised last layer or branch is zero on the first step only. Normalisation takes the scale
    of what is before it away, and is part of the numbers compared.

    Source: Glorot & Bengio 2010; He et al. 2015: a ReLU layer keeps the scale if its weights have variance 2 / fan_in.
    """
    if not view.from_start or not len(view.steps):
        raise NotCheckedError("the first steps are not among those looked at")
    found = False
    for finding in (*_alike(view), *(_scale(view) or _size(view))):
        found = True
        yield finding
    if not found and len(view.weighted_rows) < _LEAST_ROWS:
        view.remark(f"scale along the depth: fewer than {_LEAST_ROWS} layers with weights")


def _alike(view: View) -> Iterator[Finding]:
    size, most = view["parameter/rms"], view["parameter/abs_max"]
    gradient = view["parameter/grad_rms"]
    same, zero = [], []
    for row, p in view.weight_of.items():
        parameter = view.parameters[p]
        if not parameter.trainable or math.prod(parameter.shape) < 16 or "Norm" in view.layers[row].type:
            continue
        if size[0, p] > 0 and most[0, p] <= size[0, p] * 1.0001:
            same.append(row)
        elif size[0, p] == 0 and (np.nan_to_num(size[:8, p]) == 0).all() and len(size) >= 5:
            zero.append(row)
    for rows, what in ((same, "the same magnitude"), (zero, "the value zero")):
        hidden = [r for r in rows if view.fed[r]] or rows
        if not rows:
            continue
        names = [view.names[r] for r in hidden]
        weights = [view.weight_of[r] for r in hidden]
        idle = bool((np.nan_to_num(gradient[:5][:, weights]) == 0).all())
        yield Finding(
            "poor-initialization",
            "critical" if len(hidden) >= 0.5 * max(1, len(view.weight_of)) else "warning",
            tuple(names),
            int(view.steps[0]),
            int(view.steps[-1]) if rows is zero else int(view.steps[0]),
            f"All weights of {listed(names)} have {what} at the start"
            + (", and no gradient changes them." if idle else "."),
            "Units that begin alike get the same gradient and stay alike: the layer is as good as one unit.",
            f"Use the default, or nn.init.kaiming_normal_({names[0]}.weight, nonlinearity='relu'); zeros are "
            "for biases "
            "and for the last layer of a residual branch.",
            (view.evidence("parameter/rms", "Size of the weights.", weights, slice(0, 10)),),
        )


def _scale(view: View) -> list[Finding]:
    rows = [int(r) for r in view.weighted_rows]
    early = slice(0, 3)
    with np.errstate(all="ignore"):
        forward = median(view.sound("activation/rms")[early], axis=0)
        backward = median(np.where(view.broken[:, None], np.nan, view.gradient_norms)[early], axis=0)
    for values, limit, what in ((forward, _FORWARD, "signal"), (backward, _BACKWARD, "gradient")):
        known = [r for r in rows if np.isfinite(values[r]) and values[r] > 0]
        if len(known) < _LEAST_ROWS:
            continue
        logs = np.log10(values[known])
        depth = np.arange(len(known))
        slope, offset = np.polyfit(depth, logs, 1)
        drift = abs(slope) * (len(known) - 1)
        left = np.var(logs - (slope * depth + offset))
        if drift < math.log10(limit) or left > 0.25 * np.var(logs):
            continue
        # From one layer to the next in the direction in which it flows.
        factor = 10**slope if what == "signal" else 10**-slope
        grows = factor > 1
        fits = [view.weight_of[r] for r in known]
        wanted = _wanted(view, known)
        if what == "gradient" and not _weights_explain(view, fits, factor):
            continue  # the function between them does: see vanishing-gradient, collapsed-output
        layers = known if what == "signal" or not grows else known[::-1]
        return [Finding(
            "poor-initialization",
            "warning",
            tuple(view.names[r] for r in layers),
            int(view.steps[0]),
            int(view.steps[min(2, len(view.steps) - 1)]),
            f"At the start the {what} {'grows' if grows else 'shrinks'} {number(factor)} times per layer over "
            f"{len(known)} layers (rms {number(float(values[known[0]]))} in {view.names[known[0]]}, "
            f"{number(float(values[known[-1]]))} in {view.names[known[-1]]})." ,
            "Over the depth this multiplies up: the signal or the gradient is lost, or drowns everything else.",
            wanted + ", or put nn.LayerNorm / nn.BatchNorm between them.",
            (view.evidence("activation/rms" if what == "signal" else "gradient/rms", f"The {what} over depth.", known,
                           early),
             view.evidence("parameter/rms", "Weights, and what keeps the scale.", fits, slice(0, 1),
                           [view.kept(p) for p in fits])),
        )]  # fmt: skip
    return []


def _size(view: View) -> list[Finding]:
    """Weights far from what keeps the scale: all of them too large, or single ones unlike the others."""
    rows = [
        int(r) for r in view.weighted_rows
        if view.parameters[view.weight_of[r]].trainable and view["parameter/rms"][0, view.weight_of[r]] > 0
    ]  # fmt: skip
    if not rows:
        return []
    weights = [view.weight_of[r] for r in rows]
    off = view["parameter/rms"][0, weights] / np.array([view.kept(p) for p in weights])
    usual = float(np.median(off))
    if usual > _TOO_LARGE:
        odd = [r for r, o in zip(rows, off, strict=True) if o > _TOO_LARGE]
        said = f"All weights are about {number(usual)} times as large as what keeps the scale"
    else:
        own = usual if len(rows) >= _LEAST_ROWS else 1.0
        odd = [
            r for r, o in zip(rows, off, strict=True)
            if (o < own / _UNLIKE and view.fed[r] and not view.behind_norm(r)) or o > max(own, 1.0) * _UNLIKE
        ]  # fmt: skip
        if not odd:
            return []
        worst = float(off[rows.index(odd[0])])
        said = f"The weights of {listed([view.names[r] for r in odd])} are {number(worst)} times what keeps the scale"
    odd.sort(key=lambda r: -abs(math.log(off[rows.index(r)] / (1.0 if usual > _TOO_LARGE else usual))))
    chosen = [view.weight_of[r] for r in odd]
    return [
        Finding(
            "poor-initialization",
            "warning",
            tuple(view.names[r] for r in odd),
            int(view.steps[0]),
            int(view.steps[0]),
            f"{said}, the others {number(usual)} times." if usual <= _TOO_LARGE else f"{said}.",
            "Weights that are too small pass neither signal nor gradient; weights that are too large saturate what "
            "comes after them, and learn slowly.",
            _wanted(view, odd) + ".",
            (view.evidence("parameter/rms", "Weights, and what keeps the scale.", chosen, slice(0, 1),
                           [view.kept(p) for p in chosen]),),
        )
    ]  # fmt: skip


def _weights_explain(view: View, weights: list[int], factor: float) -> bool:
    """Whether a change of scale per layer comes from the weights rather than from the function between them."""
    size = view["parameter/rms"][0, weights]
    off = float(median(size / np.array([view.kept(p) for p in weights])))
    return off > 0 and math.log(off) * math.log(factor) > 0 and abs(math.log(off)) > 0.4 * abs(math.log(factor))


def _wanted(view: View, rows: list[int]) -> str:
    weights = [view.weight_of[r] for r in rows]
    size = view["parameter/rms"][0, weights]
    kept = np.array([view.kept(p) for p in weights])
    off = float(median(size / kept))
    kind = "kaiming_normal_" if view.gain == 2.0 else "xavier_normal_"
    return (
        f"The weights are {number(off)} times what keeps the scale ({number(float(median(kept)))} here): "
        "initialise them "
        f"with nn.init.{kind}(layer.weight)"
    )
