from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.synthetic import Written, write_run
from tests.torchvitals_tb import catalogue
from tests.torchvitals_tb.board import INGESTERS, Board, board


@pytest.fixture(scope="session")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log directory with one run of every kind."""
    folder = tmp_path_factory.mktemp("logs")
    for name, write in catalogue.RUNS.items():
        write(folder / name)
    return folder


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    """A run as a training would leave it, and what is in it."""
    folder = tmp_path_factory.mktemp("written") / "run"
    return folder, write_run(folder, layers=20, steps=40, units=64, kind="dead", records=8, every=3)


@pytest.fixture(scope="session", params=INGESTERS)
def tensorboard(request: pytest.FixtureRequest, logdir: Path) -> Iterator[Board]:
    """TensorBoard on ``logdir``, once with each ingester."""
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    with board(logdir, request.param, runs=set(catalogue.RUNS)) as found:
        yield found
