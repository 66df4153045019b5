"""The demo's runs, a TensorBoard on them for each ingester, and a browser that fails on any complaint of the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from filelock import FileLock
from playwright.sync_api import Browser, Error, Page, Request
from torch import nn

from torchvitals.demo import NETWORKS, train

STEPS = 260  # by then nothing in the killed network changes any more


@dataclass
class Demo:
    """Where the demo's runs are, and the models that made them."""

    logdir: Path
    models: dict[str, nn.Module] = field(default_factory=dict)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Demo:
    """Trained once, also where several processes run the tests."""
    alone = worker_id == "master"
    top = tmp_path_factory.mktemp("demo") if alone else tmp_path_factory.getbasetemp().parent / "demo"
    models = top / "models.pt"
    with FileLock(f"{top}.lock"):
        if not models.exists():
            made = {n.name: train(n, top / "runs" / n.name, steps=STEPS, seed=0)[0] for n in NETWORKS}
            torch.save(made, models)
    return Demo(top / "runs", torch.load(models, weights_only=False))


class TensorBoard:
    """A TensorBoard of its own process, on a free port of this machine."""

    def __init__(self, logdir: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", "0", *flags]
        self.process = subprocess.Popen(
            [*command, "--reload_interval", "1"], stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
        )
        self.output: list[str] = []
        self.url = self._wait_for_url()

    def _wait_for_url(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            found = re.search(r"http://[^ ]+", line)
            if found:
                # A pipe that nobody empties stops who writes into it.
                threading.Thread(target=self.output.extend, args=(self.process.stdout,), daemon=True).start()
                return found.group().rstrip("/") + "/"
        raise RuntimeError("TensorBoard did not start:\n" + "".join(self.output))

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as response:
            return response.read()

    def wait_for(self, runs: dict[str, int], seconds: float = 60) -> None:
        """Until TensorBoard has loaded these runs up to these steps."""
        end = time.monotonic() + seconds
        while True:
            seen = {r["name"]: r["last_step"] for r in json.loads(self.get("data/plugin/torchvitals/runs"))["runs"]}
            if seen == runs:
                return
            assert time.monotonic() < end, f"waited for {runs}, there is {seen}"
            time.sleep(0.1)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:  # a signal to end may be lost where an exception is swallowed
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session", params=["true", "false"], ids=["rust", "python"])
def tensorboard(request: pytest.FixtureRequest, demo: Demo) -> Iterator[TensorBoard]:
    server = TensorBoard(demo.logdir, "--load_fast", request.param)
    server.wait_for({network.name: STEPS - 1 for network in NETWORKS})
    yield server
    server.stop()


on_one_ingester = pytest.mark.parametrize("tensorboard", ["true"], indirect=True, ids=["rust"])
"""For what does not depend on how TensorBoard came by the numbers."""


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about. A test that provokes a complaint takes it out again."""
    return []


@pytest.fixture
def serve() -> Iterator[Callable[..., TensorBoard]]:
    """Starts a TensorBoard of a test's own. It ends after the page: a page whose server is gone complains."""
    servers: list[TensorBoard] = []

    def start(logdir: Path, *flags: str) -> TensorBoard:
        servers.append(TensorBoard(logdir, *flags))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def page(browser: Browser, complaints: list[str], serve: object) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    watch(page, complaints)
    yield page
    context.close()
    assert complaints == []


def watch(page: Page, complaints: list[str]) -> None:
    """Notes console errors (a broken content security policy is one), exceptions and failed requests."""
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" and ours(m.location["url"]) else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    # A page that is left takes back what it asked for; that is no failure.
    page.on("requestfailed", lambda r: complaints.append(f"failed: {r.url} {r.failure}") if lost(r) else None)
    page.on(
        "response", lambda r: complaints.append(f"{r.status}: {r.url}") if r.status >= 400 and ours(r.url) else None
    )
    page.on("request", lambda r: complaints.append(f"leaves the server: {r.url}") if foreign(r) else None)


def foreign(request: Request) -> bool:
    """Whether our page asks any but the server it came from."""
    if request.is_navigation_request():
        return False
    try:
        page = request.frame.url
    except Error:  # of a worker
        return False
    own = urlsplit(page)
    asked = urlsplit(request.url)
    return ours(page) and asked.scheme not in ("data", "blob") and asked.netloc != own.netloc


def lost(request: Request) -> bool:
    return ours(request.url) and request.failure != "net::ERR_ABORTED"


def ours(url: str) -> bool:
    """TensorBoard's own page asks for fonts and other things of its own; those are not ours to judge."""
    return "torchvitals" in url or url == ""
