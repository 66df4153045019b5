"""Every labelled run: its label is true, and its diagnosis is right."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.pathologies.cases import CASES, Case
from tests.pathologies.evaluate import VARIANTS, judge
from tests.pathologies.training import Outcome
from torchvitals_tb import load_run
from torchvitals_tb.findings import CODES

Trained = Callable[[str, str], tuple[Path, Outcome]]

every_run = pytest.mark.parametrize(("name", "variant"), [(n, v) for n in CASES for v in VARIANTS])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trains a case, once for all tests of it."""

    @functools.cache
    def train(name: str, variant: str) -> tuple[Path, Outcome]:
        run_dir = tmp_path_factory.mktemp(name)
        return run_dir, CASES[name].train(run_dir, variant == "functions")

    return train


@every_run
def test_label_is_true(name: str, variant: str, trained: Trained) -> None:
    case = CASES[name]
    run_dir, outcome = trained(name, variant)
    assert len(load_run(run_dir).steps) >= 20
    case.prove(outcome, outcome if case.healthy else case.train_fixed(variant == "functions"))


@every_run
def test_diagnosis(name: str, variant: str, trained: Trained) -> None:
    from torchvitals_tb import diagnose

    diagnosis = diagnose(trained(name, variant)[0])
    verdict = judge(CASES[name], variant, diagnosis)
    said = "\n".join(map(str, diagnosis)) or "no finding"
    assert not verdict.false, said
    if not verdict.healthy:
        assert verdict.found, said
        assert verdict.root, said


def test_there_are_enough_of_both() -> None:
    ill = [case for case in CASES.values() if not case.healthy]
    assert len(ill) >= 30
    assert len(CASES) - len(ill) >= 30
    assert {code for case in ill for code in case.expect} >= set(CODES) - {"dormant-units"}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_labels_use_known_codes(case: Case) -> None:
    assert case.expect | case.tolerated <= set(CODES)
    assert bool(case.expect) is not case.healthy
    assert not case.expect & case.tolerated


def test_training_is_the_same_recorded_or_not(tmp_path: Path) -> None:
    """So that what is proved of an unrecorded run holds for the recorded one."""
    case = CASES["mlp-adam"]
    assert case.train(tmp_path, False).losses == case.train(None, False).losses
