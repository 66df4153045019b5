"""Other tools on the same runs, attached as their own documentation says and with their defaults.

They are no dependency: ``python -m tests.pathologies.evaluate --peers`` takes those that are installed. A problem that
a tool reports at warning level or above counts; what kind of problem it means is read generously. General advice (on
hardware, on weight decay of biases) is left out: it is not about this training.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch

from tests.pathologies.cases import CASES, Case
from tests.pathologies.evaluate import VARIANTS, Score, Verdict
from tests.pathologies.training import Observer, Training


@dataclass(frozen=True)
class Report:
    """A problem that a tool reports, as the codes it may stand for."""

    codes: frozenset[str]
    layer: str
    text: str


Attach = Callable[[Training], contextlib.AbstractContextManager[list[Report]]]
"""Attaches a tool to a training; the list holds its reports after the block."""

_DIVERGING = {"update-too-large", "exploding-gradient", "non-finite"}


# torchmortem ----------------------------------------------------------------------------------------------------------

_TORCHMORTEM = {
    "dead units": {"dead-units", "collapsed-output"},
    "vanishing gradients": {"vanishing-gradient", "poor-initialization", "gradient-underflow", "no-gradient"},
    "exploding gradients": {"exploding-gradient", "poor-initialization", "update-too-large"},
    "gradient stalling": {"no-gradient", "vanishing-gradient", "gradient-underflow", "gradient-clipping"},
    "high gradient noise": set(),
    "training divergence": _DIVERGING,
    "loss plateau": set(),
    "rank collapse": {"collapsed-output", "dead-units", "poor-initialization"},
    "activation saturation": {"saturated-units", "poor-initialization"},
    "update ratio too low": {"update-too-small", "gradient-clipping"},
    "update ratio too high": {"update-too-large"},
    "weight norm explosion": {"update-too-large", "exploding-gradient"},
    "stagnant weight norms": {"update-too-small", "gradient-clipping", "no-gradient"},
    "inter-layer weight norm imbalance": {"poor-initialization"},
}


@contextlib.contextmanager
def _torchmortem(training: Training) -> Iterator[list[Report]]:
    from torchmortem import Autopsy

    reports: list[Report] = []
    with Autopsy(training.model, optimizer=training.optimizers[0]) as autopsy:

        class Watch(Observer):
            def after_step(self, loss: float) -> None:
                autopsy.step(loss=loss)

        training.observer = Watch()
        yield reports
    report = autopsy.get_report()
    for finding in report.findings if report else ():
        if finding.severity.name in ("WARNING", "CRITICAL"):
            codes = _mapped(finding.title, _TORCHMORTEM)
            reports.append(Report(codes, (finding.affected_layers or [""])[0], finding.title))


# torch-audit ----------------------------------------------------------------------------------------------------------

_TORCH_AUDIT = {
    "TA100": {"non-finite"},
    "TA102": {"exploding-gradient", "update-too-large", "poor-initialization"},
    "TA103": {"dead-units", "no-gradient"},
    "TA104": {"no-gradient"},
    "TA105": {"dead-units", "collapsed-output"},
    "TA301": {"saturated-units", "poor-initialization", "update-too-large"},
    "TA302": {"collapsed-output"},
    "TA305": {"non-finite"},
    "TA405": {"dead-units", "poor-initialization"},
    "TA500": {"no-gradient"},
    "TA501": set(),
}


@contextlib.contextmanager
def _torch_audit(training: Training) -> Iterator[list[Report]]:
    from torch_audit import autopatch

    reports: list[Report] = []
    auditor = autopatch(
        training.model, optimizer=training.optimizers[0], every_n_steps=1, reporters=[], fail_level="FATAL"
    )
    try:
        yield reports
        result = auditor.finish(report=False)
    finally:
        auditor.unpatch()
    for finding in result.findings:
        if finding.severity.name != "INFO" and finding.rule_id in _TORCH_AUDIT:
            codes = frozenset(_TORCH_AUDIT[finding.rule_id])
            reports.append(Report(codes, finding.module_path or finding.entity or "", finding.rule_id))


# neural-observatory ---------------------------------------------------------------------------------------------------

_OBSERVATORY = {
    "nan": {"non-finite"},
    "inf": {"non-finite"},
    "vanish": {"vanishing-gradient", "poor-initialization", "gradient-underflow", "no-gradient", "gradient-clipping"},
    "explod": {"exploding-gradient", "poor-initialization", "update-too-large"},
    "collaps": {"no-gradient", "vanishing-gradient", "collapsed-output"},
    "dead": {"dead-units", "collapsed-output"},
    "sparsity": {"dead-units"},
    "saturation": {"saturated-units"},
    "drift": {"update-too-large"},
    "parameter change": {"update-too-large"},
    "spike": _DIVERGING,
    "near zero": {"poor-initialization"},
}


@contextlib.contextmanager
def _observatory(training: Training) -> Iterator[list[Report]]:
    from neural_observatory import Observatory

    reports: list[Report] = []
    observatory = Observatory(training.model)
    observatory.watch()

    class Watch(Observer):
        def before_forward(self, step: int) -> None:
            observatory.step(step=step, epoch=0)

    training.observer = Watch()
    yield reports
    observatory.stop()
    for result in observatory.report().warnings():
        text = " ".join(result.warnings)
        reports.append(Report(_mapped(text, _OBSERVATORY), result.layer_name, text))


# NeuralDBG ------------------------------------------------------------------------------------------------------------

_NEURALDBG = {
    "vanishing": {"vanishing-gradient", "poor-initialization", "no-gradient", "gradient-underflow"},
    "exploding": {"exploding-gradient", "poor-initialization", "update-too-large"},
    "saturated": {"saturated-units"},
    "dead": {"dead-units", "collapsed-output"},
    "anomalous": {"poor-initialization", "update-too-large"},
    "loss_plateau": set(),
    "loss_spike": _DIVERGING,
    "diverging": _DIVERGING,
    "nan_detected": {"non-finite"},
    "inf_detected": {"non-finite"},
    "distribution_shift": {"update-too-large"},
}


@contextlib.contextmanager
def _neuraldbg(training: Training) -> Iterator[list[Report]]:
    from neuraldbg import NeuralDbg

    reports: list[Report] = []
    with NeuralDbg(training.model) as debugger:

        class Watch(Observer):
            def before_forward(self, step: int) -> None:
                debugger.step = step

            def after_backward(self, loss: float) -> None:
                debugger.record_loss(loss)

        training.observer = Watch()
        yield reports
    for event in debugger.get_events():
        state = str(getattr(event.to_state, "value", event.to_state)).lower()
        if state in _NEURALDBG:
            layer = event.layer_name.partition("_")[2] or event.layer_name  # "Linear_fc1"
            reports.append(Report(frozenset(_NEURALDBG[state]), layer, state))


# ----------------------------------------------------------------------------------------------------------------------

PEERS: dict[str, tuple[str, Attach, str]] = {
    "torchmortem": ("torchmortem", _torchmortem, ""),
    "torch-audit": ("torch_audit", _torch_audit, "audited on every step"),
    "neural-observatory": ("neural_observatory", _observatory, ""),
    "neuraldbg": ("neuraldbg", _neuraldbg, "its events; the part that explains them is not on PyPI"),
}
"""Distribution -> module, how it is attached, and a note for the table."""


def judge(case: Case, variant: str, reports: Sequence[Report]) -> Verdict:
    """As of our own findings, but a report may stand for several codes."""
    allowed = case.expect | case.tolerated
    false = tuple(dict.fromkeys(f"{r.text} {r.layer}" for r in reports if not r.codes & allowed))
    expected = [r for r in reports if r.codes & case.expect]
    if not expected:
        return Verdict(case.name, variant, case.healthy, false=false)
    right = next((r for r in expected if case.is_root(r.layer)), expected[0])
    return Verdict(
        case.name, variant, case.healthy, expected[0].text, right.layer, root=case.is_root(right.layer), false=false
    )


def _work(peer: str, name: str, variant: str) -> Verdict:
    case = CASES[name]
    logging.disable(logging.CRITICAL)
    try:
        training = case.prepare(variant == "functions", fault=not case.healthy)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with PEERS[peer][1](training) as reports:
                training.run(None)
        return judge(case, variant, reports)
    except Exception as error:
        return Verdict(name, variant, case.healthy, error=f"{type(error).__name__}: {error}")


def _one_thread() -> None:
    torch.set_num_threads(1)


def compare(names: Sequence[str], show: Callable[[Verdict, float], Any]) -> list[Score]:
    """Runs every installed peer on the cases."""
    scores = []
    for peer, (module, _, note) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{peer} is not installed")
            continue
        with ProcessPoolExecutor(2, initializer=_one_thread) as pool:
            jobs = [pool.submit(_work, peer, name, variant) for name in names for variant in VARIANTS]
            verdicts = [job.result() for job in jobs]
        for verdict in verdicts:
            show(replace(verdict, case=f"{peer}: {verdict.case}"), 0.0)
        scores.append(Score(f"{peer} {importlib.metadata.version(peer)}", verdicts, note=note))
    return scores


def _mapped(text: str, kinds: dict[str, set[str]]) -> frozenset[str]:
    return frozenset().union(*(codes for kind, codes in kinds.items() if kind in text.lower()))
