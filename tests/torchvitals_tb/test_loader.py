"""The loader can fail in any way, and TensorBoard starts."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.torchvitals_tb.attempts import Attempt, manifest
from tests.torchvitals_tb.board import board
from torchvitals_tb.loader import Loader


def test_all_samples_unless_the_user_says_otherwise() -> None:
    for given, expected in (({}, 0), ({"torchvitals": 5}, 5), ({"images": 3}, 0)):
        flags = SimpleNamespace(samples_per_plugin=dict(given))
        Loader().fix_flags(flags)
        assert flags.samples_per_plugin == given | {"torchvitals": expected}


@pytest.mark.parametrize("flags", [SimpleNamespace(), SimpleNamespace(samples_per_plugin=None), None])
def test_strange_flags_do_no_harm(flags: object, caplog: pytest.LogCaptureFixture) -> None:
    Loader().fix_flags(flags)
    assert "may not show all samples" in caplog.text


def test_a_plugin_that_cannot_be_loaded_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torchvitals_tb.plugin", None)  # importing it raises ImportError
    assert Loader().load(SimpleNamespace()) is None
    assert len(caplog.records) == 1
    assert "TensorBoard starts without torchvitals: ModuleNotFoundError" in caplog.text
    Attempt(tmp_path / "run", 1, manifest("a")).frame(1)
    with board(tmp_path, "python", runs=set()) as found:
        listed = found.client.get("/data/plugins_listing").json
        assert "torchvitals" not in listed


def test_a_context_of_another_tensorboard_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    assert Loader().load(None) is None
    assert "AttributeError" in caplog.text
