"""The payloads of ``http_api.md``, field by field."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import Written
from tests.torchvitals_tb.attempts import Attempt, layer, manifest
from torchvitals_tb import load_run, packing, query, schema
from torchvitals_tb.errors import UnknownNameError
from torchvitals_tb.findings import Check, Diagnosis, Evidence, Finding
from torchvitals_tb.sources import Tag

API = Path(query.__file__).with_name("http_api.md").read_text()


def documented(route: str) -> dict:
    """The example of a JSON route."""
    section = API.split(f"## `{route}", 1)[1]
    return json.loads(re.search(r"```json\n(.*?)```", section, re.S)[1])


def shape_of(value):
    if isinstance(value, dict):
        return {key: shape_of(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [shape_of(value[0])] if value else []
    return type(value)


def test_runs() -> None:
    payload = query.runs({"b": Tag(7, 2.5, b""), "a": Tag(3, 1.0, b"")}, samples_kept=5, experiment="x")
    assert payload == {
        "runs": [
            {"name": "a", "version": "3-1.0", "last_step": 3},
            {"name": "b", "version": "7-2.5", "last_step": 7},
        ],
        "samples_kept": 5,
        "experiment": "x",
    }
    assert shape_of(payload) == shape_of(documented("runs"))


def test_manifest(written: tuple[Path, Written]) -> None:
    payload = json.loads(json.dumps(query.manifest(load_run(written[0]))))
    example = documented("manifest")
    assert list(payload) == list(example)
    for key in ("parameters", "edges", "statistics", "histograms", "steps", "gaps", "schema"):
        assert shape_of(payload[key]) == shape_of(example[key]), key
    assert list(payload["layers"][0]) == list(example["layers"][0])
    assert payload["steps"] == {"first": 1, "last": 118, "samples": 40, "skipped": []}
    assert payload["units"] is True
    nature = {layer["type"]: (layer["reaches_zero"], layer["bounded"]) for layer in payload["layers"]}
    assert nature["ReLU"] == (True, False)
    assert nature["Sigmoid"] == (False, True)
    assert nature["Linear"] == (False, False)


def test_manifest_of_a_run_without_samples(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.file.write(1, {schema.MANIFEST_TAG: attempt.manifest.to_json()})
    payload = query.manifest(load_run(tmp_path))
    assert payload["steps"] == {"first": None, "last": None, "samples": 0, "skipped": []}
    assert payload["gaps"] == {"written": 0, "read": 0}
    assert payload["statistics"] == ()
    assert query.dead(load_run(tmp_path))[1]["steps"].shape == (0,)


def test_diagnosis(written: tuple[Path, Written], monkeypatch: pytest.MonkeyPatch) -> None:
    run = load_run(written[0])
    evidence = Evidence("gradient/rms", "It falls.", ("a", "b"), (1, 3), ((1.0, math.nan), (math.inf, 2.0)), (1.0, 1.0))
    effect = Finding("no-gradient", "warning", ("a.weight",), 3, 118, "None.", "It stays.", "Check it.")
    finding = Finding("vanishing-gradient", "critical", ("a",), 1, 118, "It falls.", "W.", "R.", (evidence,), (effect,))
    check = Check("vanishing-gradient", "Does it fall?", "found")
    found = Diagnosis(run.name, (finding,), (check,), (1, 118), ("a note",))
    asked = []
    monkeypatch.setattr(query, "examine", lambda run: asked.append(run) or found)
    payload = query.diagnosis(run)
    assert asked == [run]
    assert payload == found.to_dict() | {"version": run.version}
    sent = json.loads(json.dumps(payload, allow_nan=False))
    assert sent["findings"][0]["evidence"][0]["values"] == [[1.0, None], ["inf", 2.0]]
    assert Diagnosis.from_dict(sent) == Diagnosis.from_dict(found.to_dict())
    example = documented("diagnosis")
    assert {key: type(value) for key, value in sent.items()} == {key: type(value) for key, value in example.items()}
    for key in ("checks", "notes", "steps"):
        assert shape_of(sent[key]) == shape_of(example[key]), key
    assert list(sent["findings"][0]) == list(example["findings"][0])
    assert list(sent["findings"][0]["evidence"][0]) == list(example["findings"][0]["evidence"][0])
    assert Diagnosis.from_dict(example).to_dict() | {"version": example["version"]} == example


def test_statistic(written: tuple[Path, Written]) -> None:
    run = load_run(written[0])
    header, arrays = query.statistic(run, "parameter/grad_rms")
    assert header == {"run": "run", "name": "parameter/grad_rms", "version": run.version, "rows": "parameters"}
    assert arrays["steps"].dtype == np.float64
    assert arrays["values"].shape == (40, len(run.parameters))
    assert query.statistic(run, "gradient/rms")[0]["rows"] == "layers"


def test_a_statistic_that_was_not_recorded_has_no_steps(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest(layer("a"), layer("b"), parameters=("a.weight",)))
    attempt.frame(1)
    run = load_run(tmp_path)
    missing = sorted(set(schema.STATISTICS) - set(run.statistics))
    assert missing
    for name in missing:
        header, arrays = query.statistic(run, name, 0)
        assert arrays["steps"].shape == (0,)
        assert arrays["values"].shape == (0, {"layers": 2, "parameters": 1}[header["rows"]])
    with pytest.raises(UnknownNameError, match="gradient/rms"):
        query.statistic(run, "gradient/rmss")


@pytest.mark.parametrize(
    ("since", "left"), [(None, 40), (-1, 40), (0, 40), (1, 39), (3, 39), (4, 38), (117, 1), (118, 0), (1 << 62, 0)]
)
def test_statistic_since(written: tuple[Path, Written], since: int | None, left: int) -> None:
    run = load_run(written[0])
    _, arrays = query.statistic(run, "gradient/rms", since)
    assert len(arrays["steps"]) == len(arrays["values"]) == left
    assert all(arrays["steps"] > (-2 if since is None else since))


def test_arrays_are_the_documented_ones(written: tuple[Path, Written]) -> None:
    run = load_run(written[0])
    for route, (header, arrays) in {
        "statistic?": query.statistic(run, "gradient/rms"),
        "dead?": query.dead(run),
        "units?": query.units(run, "stem.act"),
        "histograms?run=R&kind=K&row": query.histograms_of_row(run, "activation", "stem.act"),
        "histograms?run=R&kind=K[": query.histograms_at_step(run, "weight"),
    }.items():
        section = API.split(f"## `{route}", 1)[1].split("\n## ")[0]
        types = dict(re.findall(r"`(\w+)` ([uif]\d) \[", section))
        assert {name: array.dtype.str[1:] for name, array in arrays.items()} == types
        listed = re.findall(r"\| header (.*?) \|", section)
        assert set(header) == set(re.findall(r"`(\w+)`", " ".join(listed)))


def dense(arrays: dict, i: int) -> list[int]:
    """The i-th histogram of an answer over all bins."""
    span = slice(arrays["starts"][i], arrays["starts"][i + 1])
    assert np.all(np.diff(arrays["bins"][span].astype(int)) > 0)
    return np.bincount(arrays["bins"][span], arrays["counts"][span], minlength=packing.BINS).astype(int).tolist()


@pytest.mark.parametrize("kind", schema.HISTOGRAMS)
def test_histograms(written: tuple[Path, Written], kind: str) -> None:
    run, blobs = load_run(written[0]), written[1].histograms[kind]
    records = {step: packing.decode_histograms(blob) for step, blob in blobs.items()}
    rows = run.layers if schema.rows_of(kind) == "layers" else run.parameters
    for r in (0, 3, len(rows) - 1):
        header, arrays = query.histograms_of_row(run, kind, rows[r].name)
        assert header == {"run": "run", "kind": kind, "row": rows[r].name, "version": run.version}
        assert arrays["steps"].tolist() == sorted(records)
        for i, step in enumerate(sorted(records)):
            assert dense(arrays, i) == records[step].dense(r).tolist()
    first, *_, last = sorted(records)
    for asked, step in (
        (None, last),
        (first, first),
        (first - 1, first),
        (last - 1, sorted(records)[-2]),
        (1 << 60, last),
    ):
        header, arrays = query.histograms_at_step(run, kind, asked)
        assert header == {"run": "run", "kind": kind, "rows": schema.rows_of(kind), "version": run.version}
        assert arrays["steps"].tolist() == [step]
        assert [dense(arrays, r) for r in range(len(rows))] == [
            records[step].dense(r).tolist() for r in range(len(rows))
        ]


@pytest.mark.parametrize(("most", "left"), [(8, range(8)), (7, (0, 2, 4, 6, 7)), (2, (0, 4, 7)), (1, (0, 7))])
def test_fewer_histograms_are_every_second_fourth_and_so_on(
    written: tuple[Path, Written], most: int, left: tuple[int, ...]
) -> None:
    run = load_run(written[0])
    _, whole = query.histograms_of_row(run, "gradient", "head")
    _, fewer = query.histograms_of_row(run, "gradient", "head", most)
    assert fewer["steps"].tolist() == whole["steps"][list(left)].tolist()
    assert [dense(fewer, i) for i in range(len(left))] == [dense(whole, i) for i in left]


def test_histograms_of_rows_that_come_and_go(tmp_path: Path) -> None:
    """Rows are found by their names; a record that lacks one has nothing of it, and a broken record is left out."""
    first = Attempt(tmp_path, 1, manifest("a", "b"))
    for step in (1, 2, 3):
        first.frame(step, records=True)
    first.file.write(4, {schema.histogram_tag("activation"): b"broken"})
    second = Attempt(tmp_path, 2, manifest("c", "b"))
    second.frame(5, records=True)
    run = load_run(tmp_path)
    _, arrays = query.histograms_of_row(run, "activation", "b")
    assert arrays["steps"].tolist() == [1, 2, 3, 5]
    assert [dense(arrays, i)[101] for i in range(4)] == [1001, 1002, 1003, 2005]
    assert query.histograms_of_row(run, "activation", "c")[1]["starts"].tolist() == [0, 0, 0, 0, 1]
    _, arrays = query.histograms_at_step(run, "activation", 4)
    assert arrays["steps"].tolist() == [3]
    assert [dense(arrays, r)[101] for r in range(2)] == [0, 1003]


def test_only_broken_histograms(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1)
    attempt.file.write(1, {schema.histogram_tag("activation"): b"broken"})
    run = load_run(tmp_path)
    for _, arrays in (query.histograms_at_step(run, "activation"), query.histograms_of_row(run, "activation", "a")):
        assert arrays["steps"].shape == (0,)
        assert arrays["starts"].tolist() == [0]
    assert run.notes == ["1 broken record of activation histograms left out"]


def test_unknown_names(logdir: Path) -> None:
    run = load_run(logdir / "plain")
    with pytest.raises(UnknownNameError, match=r"did you mean 'encoder\.layers\.0\.mlp\.act'\?"):
        query.units(run, "encoder.layers.0.mlp.akt")
    with pytest.raises(UnknownNameError, match="no statistic 'x' in run 'plain'"):
        query.statistic(run, "x")
    with pytest.raises(UnknownNameError, match="no histogram 'weights' in run 'plain'; did you mean 'weight'"):
        query.histograms_at_step(run, "weights")
    with pytest.raises(
        UnknownNameError, match=r"no parameter 'head\.wait' in run 'plain'; did you mean 'head\.weight'"
    ):
        query.histograms_of_row(run, "weight", "head.wait")
