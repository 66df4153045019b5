"""A TensorBoard in this process, with either of its ingesters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard import context, program
from tensorboard.backend import application
from tensorboard.data import server_ingester
from tensorboard.plugins.core import core_plugin
from werkzeug.test import Client, TestResponse

from torchvitals_tb.loader import Loader
from torchvitals_tb.packing import unpack
from torchvitals_tb.provider import Reader
from torchvitals_tb.reader import Run

INGESTERS = ("python", "rust")
ROOT = "/data/plugin/torchvitals"


class Board:
    """What the tests ask of a TensorBoard."""

    def __init__(self, ingester: str, provider: Any, app: Any) -> None:
        self.ingester, self.provider, self.client = ingester, provider, Client(app)
        self.reader = Reader(provider)

    def run(self, name: str) -> Run:
        return self.reader.run(name, context.RequestContext())

    def get(self, route: str, **parameters: Any) -> TestResponse:
        return self.client.get(f"{ROOT}/{route}", query_string=parameters)

    def json(self, route: str, **parameters: Any) -> Any:
        response = self.get(route, **parameters)
        assert response.status_code == 200, response.text
        return response.json

    def container(self, route: str, **parameters: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        response = self.get(route, **parameters)
        assert response.status_code == 200, response.text
        return unpack(response.data)


@contextmanager
def board(logdir: Path, ingester: str, *flags: str, runs: set[str]) -> Iterator[Board]:
    """Starts one and waits until it has loaded ``runs``; none: does not wait."""
    if ingester == "rust":
        try:
            server_ingester.get_server_binary()
        except server_ingester.NoDataServerError as error:
            pytest.skip(str(error))
    tb = program.TensorBoard(plugins=[core_plugin.CorePluginLoader(), Loader()])
    fast = {"python": "false", "rust": "true"}[ingester]
    once = ("--reload_interval", "0", "--reload_task", "blocking")
    tb.configure(argv=["tensorboard", "--logdir", str(logdir), "--load_fast", fast, *once, *flags])
    provider, multiplexer = tb._make_data_provider()
    try:
        app = application.TensorBoardWSGIApp(tb.flags, tb.plugin_loaders, provider, tb.assets_zip_provider, multiplexer)
        found = Board(ingester, provider, app)
        deadline = time.monotonic() + 60
        while runs and not runs <= {run["name"] for run in found.json("runs")["runs"]}:
            assert time.monotonic() < deadline, "TensorBoard did not load the runs"
            time.sleep(0.02)
        yield found
    finally:
        if ingester == "rust":
            tb._ingester._stdin_handle.close()  # the data server ends when this does
