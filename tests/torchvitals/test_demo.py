from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from torchvitals.demo import NETWORKS, command, digits
from torchvitals_tb import load_run


def test_demo_writes_three_runs_and_says_so(tmp_path, capsys):
    assert command(["--logdir", str(tmp_path), "--steps", "3", "--seed", "1"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "3/3" in said and "tensorboard --logdir" in said and "accuracy" in said
    for network in NETWORKS:
        assert load_run(tmp_path / network.name).steps.tolist() == [0, 1, 2]
    # A second demo starts anew; its steps are not mixed with the first one's.
    assert command(["--logdir", str(tmp_path), "--steps", "2"]) == 0
    assert load_run(tmp_path / "killed").steps.tolist() == [0, 1]


def test_demo_leaves_other_runs_alone(tmp_path, capsys):
    (tmp_path / "healthy").mkdir()
    (tmp_path / "healthy" / "mine").touch()
    assert command(["--logdir", str(tmp_path)]) == 2
    assert "holds runs that no demo wrote" in capsys.readouterr().err
    assert (tmp_path / "healthy" / "mine").exists()


def test_without_scikit_learn_one_clear_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert command(["--logdir", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err == "The demo needs scikit-learn for its digits: pip install 'torchvitals[demo]'\n"
    assert not (tmp_path / "runs").exists()


def test_bad_options(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        command(["--steps", "0"])
    assert ended.value.code == 2 and "must be at least 1" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert command(["--logdir", str(tmp_path / "file" / "runs")]) == 2
    assert "--logdir" in capsys.readouterr().err


def test_digits_are_the_real_ones():
    pixels, labels = digits()
    assert pixels.shape == (1797, 64) and pixels.dtype == torch.float32 and 0 <= pixels.min() < pixels.max() == 1
    assert labels.unique().tolist() == list(range(10))


def test_the_console_command(tmp_path):
    script = "import sys; from torchvitals_tb.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "demo", "--logdir", str(tmp_path), "--steps", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "healthy").is_dir()
