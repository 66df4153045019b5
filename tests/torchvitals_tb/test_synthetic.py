"""The made-up runs are what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tests import synthetic
from torchvitals_tb import load_run, query


def test_crc() -> None:
    rng = np.random.default_rng(0)
    for size in (0, 1, 7, 8, 511, 512, 513, 1024, 3000):
        data = rng.bytes(size)
        assert synthetic._masked(data) == masked_crc32c(data)


@pytest.mark.parametrize("kind", synthetic.KINDS)
def test_kinds(tmp_path: Path, kind: str) -> None:
    synthetic.write_run(tmp_path, layers=40, steps=60, units=64, kind=kind, records=10)
    run = load_run(tmp_path)
    assert len(run.layers) == len({layer.name for layer in run.layers}) == 40
    gradient = run["gradient/rms"].values[-1]
    share = query.dead(run)[1]["dead"].sum() / query.dead(run)[1]["units"].sum()
    assert (gradient[0] < 1e-6 * gradient[-1]) == (kind == "vanishing")
    assert np.isnan(gradient).any() == (kind == "nan")
    assert (share > 0.1) == (kind == "dead")


def test_as_a_script(tmp_path: Path) -> None:
    script = [sys.executable, synthetic.__file__, str(tmp_path / "x"), "--layers", "5", "--steps", "3"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("5 layers x 3 steps")
    assert load_run(tmp_path / "x")["gradient/rms"].values.shape == (3, 5)
