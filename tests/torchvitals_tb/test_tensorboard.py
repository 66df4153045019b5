"""A real ``tensorboard`` in a process of its own finds the installed plugin and serves it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.synthetic import Written
from torchvitals_tb.packing import unpack

pytestmark = pytest.mark.skipif(
    not [point for point in entry_points(group="tensorboard_plugins") if point.name == "torchvitals"],
    reason="torchvitals is not installed, so TensorBoard cannot find it",
)


def get(url: str) -> bytes:
    with urlopen(url, timeout=60) as response:
        return response.read()


@pytest.mark.parametrize("prefix", ["", "/some/where"])
def test_served(written: tuple[Path, Written], prefix: str) -> None:
    folder, truth = written
    options = ["--logdir", str(folder.parent), "--port", "0", "--path_prefix", prefix, "--load_fast", "false"]
    with subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *options], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            address = next(filter(None, (re.search(r"http://localhost:\d+", line) for line in process.stderr)))[0]
            root = f"{address}{prefix}/data"
            listed = json.loads(get(f"{root}/plugins_listing"))["torchvitals"]
            assert listed["tab_name"] == "Vitals"
            assert b"import" in get(f"{root}/plugin_entry.html?name=torchvitals")
            assert b"render" in get(f"{root}/plugin/torchvitals/static/index.js")
            deadline = time.monotonic() + 60
            while not json.loads(get(f"{root}/plugin/torchvitals/runs"))["runs"]:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            url = f"{root}/plugin/torchvitals/statistic?run=run&name=gradient/rms"
            _, arrays = unpack(get(url))
            assert arrays["values"].tobytes() == truth.statistics["gradient/rms"].tobytes()
        finally:
            process.kill()  # a signal to end may be lost where an exception is swallowed, in a destructor say
