"""``assert_healthy``: what fails a test, what does not, and that it never passes for want of data."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthetic import EventFile, write_run
from tests.torchvitals_tb.test_diagnose_command import CHECKS, CRITICAL, WARNING, broken, finding, runs
from torchvitals_tb import TorchvitalsError, assert_healthy, diagnosis
from torchvitals_tb.findings import Diagnosis, Finding


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Finding, ...]]:
    """Findings by the name of the run."""
    given: dict[str, tuple[Finding, ...]] = {}

    def examine(run, *, since=None):
        return Diagnosis(run.name, given.get(run.name, ()), CHECKS, (1, 40))

    monkeypatch.setattr(diagnosis, "examine", examine)
    return given


def test_a_healthy_run_passes(tmp_path, found):
    found["run"] = (finding("update-too-small", "info"),)
    assert_healthy(runs(tmp_path, "run"))
    with pytest.raises(AssertionError, match="update-too-small"):
        assert_healthy(tmp_path, severity="info")


def test_the_message_has_every_finding_that_counts(tmp_path, found):
    found["run"] = (CRITICAL, WARNING, finding("update-too-small", "info"))
    with pytest.raises(AssertionError) as caught:
        assert_healthy(runs(tmp_path, "run"))
    text = str(caught.value)
    assert text.startswith(f"'{tmp_path}' is not healthy: 2 findings\n\ncritical  dead-units  since step 12\n")
    assert "\n\nwarning  update-too-large  at step 5\n" in text
    assert "  try     Lower the learning rate" in text and "vanishing-gradient" in text
    assert "update-too-small" not in text and "\x1b" not in text
    assert max(map(len, text.splitlines()[1:])) <= 80
    with pytest.raises(AssertionError, match="1 finding\n\ncritical"):
        assert_healthy(tmp_path, severity="critical")


def test_what_is_allowed(tmp_path, found):
    found["run"] = (CRITICAL, WARNING)
    assert_healthy(runs(tmp_path, "run"), allow=["dead-units", "update-too-large"])
    with pytest.raises(AssertionError, match="update-too-large") as caught:
        assert_healthy(tmp_path, allow="dead-units")
    assert "dead-units" not in str(caught.value)
    found["run"] = (finding("poor-initialization", effects=(CRITICAL,)),)
    with pytest.raises(AssertionError, match="1 finding\n\ncritical  dead-units"):
        assert_healthy(tmp_path, allow=("poor-initialization",))
    found["run"] = (finding("poor-initialization", "info", effects=(CRITICAL,)),)
    with pytest.raises(AssertionError, match="1 finding\n\ncritical  dead-units"):
        assert_healthy(tmp_path)


def test_several_runs(tmp_path, found):
    found["b"], found["c"] = (WARNING,), (CRITICAL,)
    with pytest.raises(AssertionError, match="2 findings") as caught:
        assert_healthy(runs(tmp_path, "a", "b", "c"))
    assert re.findall(r"^run '.'$", str(caught.value), re.MULTILINE) == ["run 'b'", "run 'c'"]
    assert_healthy(tmp_path, run="a")
    with pytest.raises(AssertionError, match="1 finding\n"):
        assert_healthy(tmp_path, run="[ab]")


def test_typing_errors(tmp_path):
    with pytest.raises(ValueError, match=r"no code 'dead-unit'; did you mean 'dead-units'\?"):
        assert_healthy(tmp_path, allow=["dead-unit"])
    with pytest.raises(ValueError, match=r"no severity 'critcal'; did you mean 'critical'\?"):
        assert_healthy(tmp_path, severity="critcal")


def test_nothing_to_judge_by_is_not_healthy(tmp_path, found, monkeypatch):
    with pytest.raises(TorchvitalsError, match="there is no file or directory"):
        assert_healthy(tmp_path / "nowhere")
    with pytest.raises(TorchvitalsError, match="no event files in"):
        assert_healthy(tmp_path)
    broken(tmp_path / "bad")
    with pytest.raises(TorchvitalsError, match="run 'bad' was left out: run 'bad' has no readable manifest"):
        monkeypatch.undo()
        assert_healthy(tmp_path)
    with EventFile(tmp_path / "begun") as file:
        file.write(0, {"torchvitals/manifest": write_run(tmp_path / "x" / "y", layers=2, steps=1).manifest.to_json()})
    monkeypatch.setattr(diagnosis, "examine", lambda run: Diagnosis(run.name))
    with pytest.raises(TorchvitalsError, match="no step was sampled in"):
        assert_healthy(tmp_path / "begun")


def test_one_of_several_that_is_broken_is_a_warning(tmp_path, monkeypatch):
    broken(runs(tmp_path, "good") / "bad")
    monkeypatch.setattr(diagnosis, "examine", lambda run: Diagnosis(run.manifest and run.name, (), (), (1, 40)))
    with pytest.warns(UserWarning, match="run 'bad' was left out") as warned:
        assert_healthy(tmp_path)
    # Others may fall into the block: of files that earlier tests left open, when Python happens to collect them.
    assert [w.filename for w in warned if w.category is UserWarning] == [__file__]
    with pytest.raises(TorchvitalsError, match="run 'bad' was left out"):
        assert_healthy(tmp_path, run="*d")


def test_pytest_shows_the_line_of_the_test(tmp_path):
    runs(tmp_path, "run")
    test = tmp_path / "test_it.py"
    test.write_text(f"""
from torchvitals_tb import assert_healthy, diagnosis
from tests.torchvitals_tb.test_diagnose_command import CRITICAL
from torchvitals_tb.findings import Diagnosis

def test_it(monkeypatch):
    monkeypatch.setattr(diagnosis, "examine", lambda run: Diagnosis(run.name, (CRITICAL,), (), (1, 40)))
    assert_healthy({str(tmp_path / "run")!r})
""")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(test)],
        cwd=root, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(root), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "E       AssertionError: " in done.stdout and "critical  dead-units  since step 12" in done.stdout
    assert "testing.py" not in done.stdout
