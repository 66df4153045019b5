"""Routes as the page uses them, through TensorBoard's own application."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tensorboard import context
from tensorboard.errors import NotFoundError
from werkzeug.test import Client

from tests.synthetic import EventFile
from tests.torchvitals_tb.attempts import Attempt, manifest
from tests.torchvitals_tb.board import INGESTERS, ROOT, Board, board
from torchvitals_tb import TorchvitalsError, load_run, plugin, query, schema
from torchvitals_tb.findings import Check, Diagnosis, Evidence, Finding
from torchvitals_tb.packing import pack
from torchvitals_tb.provider import Reader
from torchvitals_tb.static_files import find


def test_runs(tensorboard: Board, logdir: Path) -> None:
    payload = tensorboard.json("runs")
    names = [run["name"] for run in payload["runs"]]
    assert names == sorted({path.parent.relative_to(logdir).as_posix() for path in logdir.rglob("events*")})
    assert "deeper/down/größer" in names
    assert payload["experiment"] == ""
    versions = {run["name"]: run["version"] for run in payload["runs"]}
    assert tensorboard.json("manifest", run="plain")["version"] == versions["plain"]


def test_routes_answer_what_query_says(tensorboard: Board, logdir: Path) -> None:
    run = load_run(logdir / "plain")
    whole = tensorboard.get("statistic", run="plain", name="gradient/rms").data
    assert whole == pack(*query.statistic(run, "gradient/rms"))
    since = tensorboard.get("statistic", run="plain", name="gradient/rms", since=41).data
    assert since == pack(*query.statistic(run, "gradient/rms", 41))
    assert tensorboard.get("dead", run="plain").data == pack(*query.dead(run))
    assert tensorboard.get("units", run="plain", layer="stem.act").data == pack(*query.units(run, "stem.act"))
    for kind, row in (("gradient", "stem.act"), ("weight", "head.weight")):
        over_steps = tensorboard.get("histograms", run="plain", kind=kind, row=row).data
        assert over_steps == pack(*query.histograms_of_row(run, kind, row))
        fewer = tensorboard.get("histograms", run="plain", kind=kind, row=row, most=3).data
        assert fewer == pack(*query.histograms_of_row(run, kind, row, 3))
        assert tensorboard.get("histograms", run="plain", kind=kind).data == pack(*query.histograms_at_step(run, kind))
        at_step = tensorboard.get("histograms", run="plain", kind=kind, step=30).data
        assert at_step == pack(*query.histograms_at_step(run, kind, 30))
    assert tensorboard.json("manifest", run="plain")["layers"][3]["name"] == run.layers[3].name


def test_not_finite_numbers_reach_the_page(tensorboard: Board) -> None:
    _, arrays = tensorboard.container("statistic", run="not finite", name="activation/abs_max")
    assert np.isposinf(arrays["values"]).any()
    assert np.isnan(arrays["values"]).any()


def test_headers(tensorboard: Board) -> None:
    container = tensorboard.get("statistic", run="plain", name="gradient/rms")
    assert container.content_type == "application/octet-stream"
    assert container.headers["Content-Length"] == str(len(container.data))
    for response in (container, tensorboard.get("runs"), tensorboard.get("static/index.js"), tensorboard.get("dead")):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-cache" in response.headers["Cache-Control"]
    assert tensorboard.get("runs").content_type == "application/json"
    assert tensorboard.get("static/index.js").content_type.startswith("text/javascript")


@pytest.mark.parametrize(
    ("route", "parameters", "status", "sentence"),
    [
        ("manifest", {}, 400, "the parameter 'run' is missing"),
        ("statistic", {"run": "plain"}, 400, "the parameter 'name' is missing"),
        ("statistic", {"run": "plain", "name": "gradient/rms", "since": "x"}, 400, "'since' is 'x', expected a step"),
        ("statistic", {"run": "plain", "name": "gradient/rms", "since": "9" * 5000}, 400, "expected a step"),
        ("units", {"run": "plain"}, 400, "the parameter 'layer' is missing"),
        ("manifest", {"run": "plane"}, 404, "no run 'plane'; did you mean 'plain'?"),
        ("diagnosis", {}, 400, "the parameter 'run' is missing"),
        ("diagnosis", {"run": "plane"}, 404, "no run 'plane'; did you mean 'plain'?"),
        ("dead", {"run": "../../etc/passwd"}, 404, "no run '../../etc/passwd'; there is "),
        ("dead", {"run": "<script>alert(1)</script>\x1b[2J"}, 404, r"no run '<script>alert(1)</script>\x1b[2J'"),
        ("dead", {"run": "x" * 9000}, 404, "no run 'xxx"),
        ("dead", {"run": ""}, 404, "no run ''"),
        ("statistic", {"run": "plain", "name": "gradient/rsm"}, 404, "did you mean 'gradient/rms'?"),
        ("units", {"run": "plain", "layer": "stem.akt"}, 404, "did you mean 'stem.act'?"),
        ("histograms", {"run": "plain"}, 400, "the parameter 'kind' is missing"),
        ("histograms", {"run": "plain", "kind": "wait"}, 404, "no histogram 'wait' in run 'plain'"),
        ("histograms", {"run": "plain", "kind": "weight", "row": "hed.weight"}, 404, "did you mean 'head.weight'?"),
        ("histograms", {"run": "plain", "kind": "weight", "step": "x"}, 400, "'step' is 'x', expected a step"),
        ("histograms", {"run": "plain", "kind": "weight", "row": "head.weight", "most": 0}, 400, "expected at least 1"),
        (
            "histograms",
            {"run": "plain", "kind": "weight", "row": "head.weight", "most": "few"},
            400,
            "expected a number",
        ),
    ],
)
def test_errors(tensorboard: Board, route: str, parameters: dict[str, str], status: int, sentence: str) -> None:
    response = tensorboard.get(route, **parameters)
    assert response.status_code == status
    assert response.content_type == "application/json"
    assert sentence in response.json["error"]
    assert len(response.json["error"]) < 600


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("route", ["runs", "statistic?run=plain&name=gradient/rms", "static/index.js"])
def test_only_reading_is_allowed(tensorboard: Board, method: str, route: str) -> None:
    # TensorBoard itself refuses content types that a page of another origin could send.
    response = tensorboard.client.open(f"{ROOT}/{route}", method=method, content_type="application/json")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert method in response.json["error"]


def test_head(tensorboard: Board) -> None:
    for route in ("runs", "static/index.js", "dead?run=plain"):
        response = tensorboard.client.head(f"{ROOT}/{route}")
        assert response.status_code == 200
        assert response.data == b""


@pytest.mark.parametrize(
    "path", ["static/", "static/../plugin.py", "static/%2e%2e/plugin.py", "static/x.js", "static//etc/passwd"]
)
def test_no_other_file_is_served(tensorboard: Board, path: str) -> None:
    assert tensorboard.client.get(f"{ROOT}/{path}").status_code == 404


def test_the_plugin_is_listed_as_active(tensorboard: Board) -> None:
    listed = tensorboard.client.get("/data/plugins_listing").json["torchvitals"]
    assert listed["enabled"] is True
    assert listed["tab_name"] == "Vitals"
    assert listed["disable_reload"] is True
    assert listed["loading_mechanism"]["module_path"] == "/data/plugin/torchvitals/static/index.js"
    entry = tensorboard.client.get("/data/plugin_entry.html?name=torchvitals")
    assert "./static/index.js" in entry.text


def test_an_option_that_is_not_finite(tmp_path: Path) -> None:
    """JSON has no word for it; the page gets what TensorBoard says for it."""
    attempt = Attempt(tmp_path / "run", 1, manifest("a"))
    text = attempt.manifest.to_json().replace('"options":{}', '"options":{"overhead":NaN}')
    attempt.file.write(1, {schema.MANIFEST_TAG: text, schema.RUN_TAG: np.ones(4)})
    with board(tmp_path, "python", runs={"run"}) as found:
        assert found.json("manifest", run="run")["options"] == {"overhead": "NaN"}


@pytest.mark.parametrize("ingester", INGESTERS)
def test_hostile_log_directory(tmp_path: Path, ingester: str) -> None:
    """Whatever a log directory holds: an answer or one sentence, for this run, and the others as ever."""
    for name, text in (("garbage", "{"), ("deep", "[" * 100_000), ("wrong", '{"layers":[7],"parameters":[]}')):
        with EventFile(tmp_path / name) as file:
            file.write(1, {schema.MANIFEST_TAG: text, schema.RUN_TAG: np.ones(4), schema.UNITS_TAG: b"x"})
    attempt = Attempt(tmp_path / "half", 1, manifest('<img src=x onerror="alert(1)">'))
    attempt.frame(1, records=True)
    attempt.file.write(2, {schema.UNITS_TAG: b"x", "torchvitals/gradient/rms": np.ones((3, 3), dtype=np.float32)})
    names = {"garbage", "deep", "wrong", "half"}
    with board(tmp_path, ingester, runs=names) as found:
        for name in ("garbage", "deep", "wrong"):
            for route in ("manifest", "dead", "diagnosis"):
                response = found.get(route, run=name)
                assert response.status_code == 500
                assert response.json == {
                    "error": f"run '{name}' has no readable manifest (torchvitals/manifest), which names its layers"
                }
        _, arrays = found.container("statistic", run="half", name="gradient/rms")
        assert arrays["steps"].tolist() == [1]
        assert found.container("dead", run="half")[1]["steps"].tolist() == [1]


# Without TensorBoard's application ----------------------------------------------------------------------------------


class Provider:
    """A data provider that fails, counts what it is asked, or both."""

    def __init__(self, inner: Any, error: Exception | None = None) -> None:
        self.inner, self.error, self.calls = inner, error, []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if self.error is not None:
                raise self.error
            return getattr(self.inner, name)(*args, **kwargs)

        return call


def client_of(provider: Any, route: str) -> Client:
    made = plugin.TorchvitalsPlugin(SimpleNamespace(data_provider=provider, sampling_hints=None))
    return Client(made.get_plugin_apps()[route])


@pytest.mark.parametrize(
    "error", [RuntimeError("socket closed"), NotFoundError("no experiment"), MemoryError(), KeyError("x")]
)
def test_a_failing_data_provider_is_one_sentence(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    for route in ("/runs", "/manifest?run=x"):
        response = client_of(Provider(None, error), route.split("?")[0]).get(route)
        assert response.status_code == 500
        assert response.json["error"].startswith("TensorBoard failed in list_tensors")
        assert "Traceback" not in response.text


def test_a_data_provider_without_blobs(tensorboard: Board) -> None:
    provider = Provider(tensorboard.provider)
    provider.list_blob_sequences = lambda *args, **kwargs: None
    run = Reader(provider).run("plain", context.RequestContext())
    assert query.manifest(run)["units"] is False
    assert len(query.dead(run)[1]["steps"]) == 0


def test_a_blob_that_was_dropped_meanwhile_is_left_out(tensorboard: Board) -> None:
    provider = Provider(tensorboard.provider)
    run = Reader(provider).run("plain", context.RequestContext())
    assert len(run.units) == 6
    provider.error = NotFoundError("gone")
    assert list(run.units) == []
    assert run.notes == ["6 broken records of units left out"]


def test_a_bug_of_ours_is_one_sentence(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(query, "runs", broken)
    response = client_of(SimpleNamespace(list_tensors=lambda *a, **k: {}), "/runs").get("/")
    assert response.status_code == 500
    assert response.json == {"error": "torchvitals failed to answer; TensorBoard's log says more"}
    assert "ZeroDivisionError" in caplog.text


def test_what_was_read_is_kept(tensorboard: Board) -> None:
    provider = Provider(tensorboard.provider)
    reader, ctx = Reader(provider), context.RequestContext()
    first = query.dead(reader.run("plain", ctx)), query.statistic(reader.run("plain", ctx), "gradient/rms")
    assert provider.calls.count("read_blob") == 6 + 1  # what fired of each, and the last one whole
    provider.calls.clear()
    again = query.dead(reader.run("plain", ctx)), query.statistic(reader.run("plain", ctx), "gradient/rms")
    assert [pack(*view) for view in first] == [pack(*view) for view in again]
    assert set(provider.calls) == {"list_tensors", "list_blob_sequences"}


def test_without_room_to_keep_anything_it_still_answers(tensorboard: Board, logdir: Path) -> None:
    reader = Reader(tensorboard.provider, capacity=0)
    found = query.dead(reader.run("plain", context.RequestContext()))
    assert pack(*found) == pack(*query.dead(load_run(logdir / "plain")))


def test_new_data_is_seen(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "run", 1, manifest("a"))
    attempt.frame(1, records=True)
    with board(tmp_path, "python", runs={"run"}) as found:
        before = found.json("runs")["runs"][0]
        assert len(found.container("dead", run="run")[1]["steps"]) == 1
        assert len(found.container("statistic", run="run", name="gradient/rms")[1]["steps"]) == 1
        attempt.frame(2, records=True)
        provider = found.provider
        provider._multiplexer.Reload()
        after = found.json("runs")["runs"][0]
        assert before["version"] != after["version"]
        assert after["last_step"] == 2
        assert found.container("statistic", run="run", name="gradient/rms", since=1)[1]["steps"].tolist() == [2]
        assert len(found.container("dead", run="run")[1]["steps"]) == 2


def test_many_requests_at_once(tensorboard: Board) -> None:
    expected = tensorboard.get("dead", run="plain").data
    answers: list[bytes] = []

    def ask() -> None:
        answers.append(tensorboard.get("dead", run="plain").data)
        tensorboard.get("statistic", run="appended", name="gradient/rms")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 8


# The diagnosis ------------------------------------------------------------------------------------------------------


def diagnosed(run: str, message: str = "It falls.") -> Diagnosis:
    evidence = Evidence("gradient/rms", "It falls.", ("<b>a</b>",), (1, 2), ((math.nan,), (math.inf,)))
    finding = Finding("vanishing-gradient", "critical", ("<b>a</b>",), 1, 2, message, "Why.", "Remedy.", (evidence,))
    return Diagnosis(run, (finding,), (Check("non-finite", "Is all finite?", "passed"),), (1, 2))


def test_a_diagnosis(tensorboard: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "examine", lambda run: diagnosed(run.name))
    response = client_of(tensorboard.provider, "/diagnosis").get("/", query_string={"run": "plain"})
    assert response.status_code == 200
    assert response.content_type == "application/json"
    versions = {run["name"]: run["version"] for run in tensorboard.json("runs")["runs"]}
    assert response.json == diagnosed("plain").to_dict() | {"version": versions["plain"]}


def test_a_diagnosis_is_made_once_and_one_at_a_time(tensorboard: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    at_once, most = 0, 0
    started, go_on = threading.Event(), threading.Event()

    def examine(run: Any) -> Diagnosis:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        made.append(run.name)
        started.set()
        assert go_on.wait(20)
        at_once -= 1
        return diagnosed(run.name)

    monkeypatch.setattr(query, "examine", examine)
    made_plugin = plugin.TorchvitalsPlugin(SimpleNamespace(data_provider=tensorboard.provider, sampling_hints=None))
    apps = made_plugin.get_plugin_apps()
    answers: list[str] = []

    def ask(run: str) -> None:
        answers.append(Client(apps["/diagnosis"]).get("/", query_string={"run": run}).json["run"])

    threads = [threading.Thread(target=ask, args=(run,)) for run in ("plain", "plain", "appended", "plain")]
    for thread in threads:
        thread.start()
    assert started.wait(20)
    # The other routes answer meanwhile.
    assert Client(apps["/manifest"]).get("/", query_string={"run": "plain"}).status_code == 200
    go_on.set()
    for thread in threads:
        thread.join()
    ask("plain")
    assert sorted(answers) == ["appended", "plain", "plain", "plain", "plain"]
    assert sorted(made) == ["appended", "plain"]
    assert most == 1


def test_what_is_known_does_not_wait_for_a_diagnosis(tensorboard: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, started = threading.Event(), threading.Event()

    def examine(run: Any) -> Diagnosis:
        if run.name == "appended":
            started.set()
            assert go_on.wait(20)
        return diagnosed(run.name)

    monkeypatch.setattr(query, "examine", examine)
    client = client_of(tensorboard.provider, "/diagnosis")
    client.get("/", query_string={"run": "plain"})
    thread = threading.Thread(target=client.get, args=("/",), kwargs={"query_string": {"run": "appended"}})
    thread.start()
    assert started.wait(20)
    assert client.get("/", query_string={"run": "plain"}).json["run"] == "plain"
    go_on.set()
    thread.join()


def test_a_failed_diagnosis_is_made_again(tensorboard: Board, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    answers: list[Any] = [ZeroDivisionError("secret"), TorchvitalsError("one sentence"), diagnosed("plain")]

    def examine(run: Any) -> Diagnosis:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(query, "examine", examine)
    client = client_of(tensorboard.provider, "/diagnosis")
    responses = [client.get("/", query_string={"run": "plain"}) for _ in range(3)]
    assert [response.status_code for response in responses] == [500, 500, 200]
    assert responses[0].json == {"error": "torchvitals failed to answer; TensorBoard's log says more"}
    assert responses[1].json == {"error": "one sentence"}


def test_new_data_is_diagnosed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "examine", lambda run: diagnosed(run.name, f"{len(run.steps)} steps"))
    attempt = Attempt(tmp_path / "run", 1, manifest("a"))
    attempt.frame(1)
    with board(tmp_path, "python", runs={"run"}) as found:
        before = found.json("diagnosis", run="run")
        attempt.frame(2)
        found.provider._multiplexer.Reload()
        after = found.json("diagnosis", run="run")
        assert [d["findings"][0]["message"] for d in (before, after)] == ["1 steps", "2 steps"]
        assert before["version"] != after["version"] == found.json("manifest", run="run")["version"]


# The page's files ---------------------------------------------------------------------------------------------------


def test_static_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "index.js",
        "graph-Bx3_kQ9a.js",
        "look-and-feel.css",
        "logo.svg",
        "notes.txt",
        ".hidden.js",
        "build.txt",
    ):
        (tmp_path / name).write_text(f"// {name}")
    (tmp_path / "folder.js").mkdir()
    monkeypatch.setattr(plugin, "STATIC", tmp_path)
    made = plugin.TorchvitalsPlugin(SimpleNamespace(data_provider=None, sampling_hints={"torchvitals": 7}))
    apps = {path: Client(app) for path, app in made.get_plugin_apps().items() if path.startswith("/static/")}
    assert {path.removeprefix("/static/") for path in apps} >= {"index.js", "graph-Bx3_kQ9a.js", "logo.svg"}
    assert not {path for path in apps if path.endswith((".txt", "folder.js"))}
    index = apps["/static/index.js"].get("/")
    assert index.text == "// index.js"
    assert "no-cache" in index.headers["Cache-Control"]
    hashed = apps["/static/graph-Bx3_kQ9a.js"].get("/")
    assert hashed.headers["Cache-Control"] == "private, max-age=31536000"
    assert apps["/static/look-and-feel.css"].get("/").headers["Cache-Control"].startswith("no-cache")
    assert apps["/static/logo.svg"].get("/").content_type.startswith("image/svg+xml")
    (tmp_path / "logo.svg").unlink()
    assert apps["/static/logo.svg"].get("/").status_code == 404


def test_a_page_that_was_not_built_says_so(tmp_path: Path) -> None:
    files = find(tmp_path / "missing")
    assert list(files) == ["index.js"]
    source = files["index.js"].read().decode()
    assert "export function render()" in source
    assert "was not built" in source


def test_errors_are_of_one_kind() -> None:
    assert issubclass(plugin.BadRequestError, TorchvitalsError)
    assert issubclass(TorchvitalsError, ValueError)
