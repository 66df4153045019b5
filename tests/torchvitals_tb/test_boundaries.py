"""What importing each part brings along, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvitals", "numpy", "rich", "werkzeug", "tensorboard.compat", "google.protobuf")


def imported(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    ("statement", "brought"),
    [
        ("import torchvitals_tb", set()),
        ("import torchvitals_tb.loader", set()),
        ("import torchvitals_tb.schema", set()),
        ("import torchvitals_tb.cli; torchvitals_tb.cli.main(['--version'])", set()),
        ("import torchvitals_tb.packing", {"numpy"}),
        ("from torchvitals_tb import load_run, Run", {"numpy", "tensorboard.compat", "google.protobuf"}),
    ],
)
def test_light(statement: str, brought: set[str]) -> None:
    assert imported(statement) == brought


@pytest.mark.parametrize(
    "statement",
    [
        "import torchvitals_tb.plugin",
        "import torchvitals_tb.provider",
        "import torchvitals_tb.summary",
        "import torchvitals_tb.cli; torchvitals_tb.cli.main(['summary', 'nowhere'])",
    ],
)
def test_never_torch(statement: str) -> None:
    assert not imported(statement) & {"torch", "torchvitals"}
