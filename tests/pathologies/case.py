"""What a labelled run is, and the register they are all in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch

from tests.pathologies.training import SEED, Outcome, Training

Build = Callable[..., Training]
"""``build(functional, fault)`` of an ill run, ``build(functional)`` of a healthy one."""
Proof = Callable[[Outcome, Outcome], None]
"""Asserts that the label is true, from the run and (of an ill one) the same run without the fault."""


@dataclass(frozen=True)
class Case:
    name: str
    healthy: bool
    build: Build
    prove: Proof
    expect: frozenset[str] = frozenset()
    """Codes of which at least one must be among the findings: each names the cause as a sensible expert would."""
    root: tuple[str, ...] = ("*",)
    """Patterns of the layers (or parameters) that may be named as the cause."""
    since: int = 0
    """Step at which the fault begins."""
    tolerated: frozenset[str] = frozenset()
    """Codes that are also true of the run."""

    def train(self, run_dir: Path | None, functional: bool) -> Outcome:
        """Trains it, and records it in ``run_dir`` if there is one."""
        return self.prepare(functional, fault=not self.healthy).run(run_dir)

    def train_fixed(self, functional: bool) -> Outcome:
        """Trains it without the fault, unrecorded."""
        return self.prepare(functional, fault=False).run(None)

    def is_root(self, layer: str) -> bool:
        return any(fnmatchcase(layer, pattern) for pattern in self.root)

    def prepare(self, functional: bool, *, fault: bool) -> Training:
        """The training, ready to run."""
        torch.manual_seed(SEED)
        training = self.build(functional) if self.healthy else self.build(functional, fault)
        training.logs_loss = functional  # so that the set has runs with and without the user's own scalars
        return training


CASES: dict[str, Case] = {}


def healthy(name: str, *, prove: Callable[[Outcome], None]) -> Callable[[Build], Build]:
    """Registers a run that no tool should complain about."""

    def register(build: Build) -> Build:
        _add(Case(name, True, build, lambda outcome, _: prove(outcome)))
        return build

    return register


def faulty(
    name: str,
    *,
    prove: Proof,
    expect: Iterable[str],
    root: Iterable[str] = ("*",),
    since: int = 0,
    tolerated: Iterable[str] = (),
) -> Callable[[Build], Build]:
    """Registers an ill run."""

    def register(build: Build) -> Build:
        _add(Case(name, False, build, prove, frozenset(expect), tuple(root), since, frozenset(tolerated)))
        return build

    return register


def _add(case: Case) -> None:
    if case.name in CASES:
        raise ValueError(f"two cases are called {case.name}")
    CASES[case.name] = case


def at(*paths: str) -> tuple[str, ...]:
    """Patterns of all rows of modules: their calls, parameters, functions after them, and what is inside."""
    return tuple(itertools.chain.from_iterable((p, f"{p}.*", f"{p}/*", f"{p}@*") for p in paths))


def stage(*numbers: int, prefix: str = "") -> tuple[str, ...]:
    """Patterns of the n-th layer with its normalisation and activation."""
    kinds = ("fc", "conv", "norm", "act", "drop")
    return at(*(f"{prefix}{kind}{n}" for n in numbers for kind in kinds))


def proofs(*parts: Callable[..., Any]) -> Proof:
    """All of several proofs."""

    def prove(outcome: Outcome, fixed: Outcome) -> None:
        for part in parts:
            part(outcome, fixed)

    return prove
