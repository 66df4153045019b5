"""What a run read from its event files is, case by case."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import EventFile, Summary, Written, metadata, tensor, write_run
from tests.torchvitals_tb.attempts import Attempt, manifest
from torchvitals_tb import TorchvitalsError, load_run, packing, schema
from torchvitals_tb.errors import UnknownNameError

NAN = np.nan


def table(run, statistic="gradient/rms"):
    """Step -> row of values, None for NaN, in the numbers of `Attempt`."""
    steps, values = run[statistic]
    return {int(s): [None if np.isnan(v) else float(v) for v in row] for s, row in zip(steps, values, strict=True)}


def test_round_trip(written: tuple[Path, Written]) -> None:
    folder, truth = written
    run = load_run(folder)
    assert run.manifest == truth.manifest
    assert run.layers == truth.manifest.layers
    assert run.parameters == truth.manifest.parameters
    assert run.statistics == schema.STATISTICS
    for name, values in truth.statistics.items():
        series = run[name]
        assert np.array_equal(series.steps, truth.steps)
        assert series.values.tobytes() == values.tobytes(), name
    assert run.histogram_kinds == schema.HISTOGRAMS
    for kind, blobs in truth.histograms.items():
        read = dict(run.histograms(kind))
        assert list(read) == list(blobs)
        for step, blob in blobs.items():
            assert np.array_equal(read[step].counts, packing.decode_histograms(blob).counts)
    assert [step for step, _ in run.units] == list(truth.units)
    assert np.array_equal(run.units[3].firing, packing.decode_units(list(truth.units.values())[3]).firing)
    assert run.gaps == (40, 40)
    assert run.counters["step"].tolist() == truth.steps.tolist()
    assert run.total("measuring_seconds") == pytest.approx(0.16)
    assert run.schema_version == 1
    assert run.notes == []


def test_a_single_file_is_a_run(written: tuple[Path, Written]) -> None:
    (file,) = written[0].iterdir()
    assert load_run(file)["gradient/rms"].values.shape == (40, 20)
    assert load_run(str(file)).name == "run"


def test_not_finite_survives(logdir: Path) -> None:
    run = load_run(logdir / "not finite")
    assert np.isposinf(run["activation/abs_max"].values[12, 4])
    assert np.isnan(run["gradient/rms"].values[13:]).all()


def test_asked_twice_read_once(logdir: Path) -> None:
    run = load_run(logdir / "plain")
    assert run["gradient/rms"] is run["gradient/rms"]


# Attempts -----------------------------------------------------------------------------------------------------------


def test_resumed(logdir: Path) -> None:
    run = load_run(logdir / "resumed")
    assert {s: row[0] for s, row in table(run).items()} == {
        **{s: 1000.0 + s for s in range(1, 11)},
        **{s: 2000.0 + s for s in range(11, 27)},
    }
    assert [(step, record.observations[0]) for step, record in run.units] == [
        (5, 1005),
        (10, 1010),
        (12, 2012),
        (23, 2023),
    ]
    assert run.gaps == (26, 26)
    assert run.total("measuring_seconds") == 0.5 * (10 + 16)


def test_started_over(logdir: Path) -> None:
    run = load_run(logdir / "started_over")
    assert run.steps.tolist() == [1, 3, 5, 7, 9, 11, 13]
    assert [step for step, _ in run.units] == [5]
    assert run.gaps == (7, 7)
    assert load_run(logdir / "started_over_in_place").steps.tolist() == [1, 2, 3, 6]


def test_steps_that_repeat_or_go_back(logdir: Path) -> None:
    run = load_run(logdir / "duplicates")
    assert list(table(run)) == [1, 2, 3, 4, 6]
    assert run.counters["samples"].tolist() == [1, 3, 4, 6, 9]


def test_an_abandoned_record_between_sampled_steps_is_dropped(tmp_path: Path) -> None:
    """The old attempt recorded units at 15, the new one went on at 11 and has none yet: nothing at 15 is true."""
    first = Attempt(tmp_path, 1, manifest("a"))
    for step in range(1, 21):
        first.frame(step, records=step in (5, 15))
    second = Attempt(tmp_path, 2, manifest("a"))
    for step in range(11, 20, 2):
        second.frame(step)
    assert [step for step, _ in load_run(tmp_path).units] == [5]


def test_segments_are_joined(logdir: Path) -> None:
    run = load_run(logdir / "segments")
    assert [row[0] for row in table(run).values()] == [1000.0 + s for s in range(1, 31)]
    assert [step for step, _ in run.units] == list(range(4, 31, 4))


def test_segments_of_two_attempts(logdir: Path) -> None:
    run = load_run(logdir / "segments_resumed")
    assert {s: row[0] for s, row in table(run).items()} == {
        **{s: 1000.0 + s for s in range(1, 8)},
        **{s: 2000.0 + s for s in range(8, 22)},
    }
    assert [step for step, _ in run.units] == [4, 14, 21]


def test_without_counters_the_times_decide(tmp_path: Path) -> None:
    with EventFile(tmp_path) as file:
        file.write(1, {schema.MANIFEST_TAG: manifest("a").to_json()})
        for step in (1, 2, 3, 2, 5):
            file.write(step, {"torchvitals/gradient/rms": np.array([step], dtype=np.float32)})
    run = load_run(tmp_path)
    assert run["gradient/rms"].steps.tolist() == [1, 2, 5]
    assert run.gaps == (0, 0)


def test_gap_of_a_lost_stretch(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    for step in (1, 2, 3):
        attempt.frame(step)
    attempt.count += 5
    attempt.frame(20)
    assert load_run(tmp_path).gaps == (9, 4)


def test_many_records_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvitals_tb.series._CHUNK", 3)
    attempt = Attempt(tmp_path, 1, manifest("a"))
    for step in range(1, 11):
        attempt.frame(step, records=True)
    units = load_run(tmp_path).units
    assert [(step, record.observations[0]) for step, record in units] == [(s, 1000.0 + s) for s in range(1, 11)]
    assert units[-1].observations[0] == 1010


def test_what_the_first_file_says_of_a_tag_counts(tmp_path: Path) -> None:
    """As in TensorBoard: a tag is of the kind that its first record was."""
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1)
    attempt.file.close()
    attempt.file = EventFile(tmp_path, stamp=1_763_700_000)
    attempt.file.write(2, {"torchvitals/gradient/rms": b"a blob"})
    attempt.frame(3)
    assert list(table(load_run(tmp_path))) == [1, 3]


@pytest.mark.parametrize("samples", [1e308, np.inf, np.nan, -5.0])
def test_counters_that_are_broken(tmp_path: Path, samples: float) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1)
    for step in (2, 3):
        attempt.file.write(step, {schema.RUN_TAG: np.array([samples, step])})
    run = load_run(tmp_path)
    assert run.steps.tolist() == [1, 2, 3]
    assert run.gaps.read == 3
    assert 3 <= run.gaps.written <= 2**53
    assert np.isnan(run.counters["training_seconds"][1:]).all()


# Rows ---------------------------------------------------------------------------------------------------------------


def test_rows_appended_later(logdir: Path) -> None:
    run = load_run(logdir / "appended")
    assert [layer.name for layer in run.layers] == ["a", "b", "c", "d"]
    rows = table(run)
    assert rows[5] == [1005.0, 1005.0625, None, None]
    assert rows[6] == [1006.0, 1006.0625, 1006.125, None]
    assert rows[9] == [1009.0, 1009.0625, 1009.125, 1009.1875]
    assert table(run, "parameter/rms")[5] == [-1005.0, None]
    lengths = [np.diff(record.starts).tolist() for _, record in run.units]
    assert lengths == [[4, 4, 0, 0], [4, 4, 4, 0], [4, 4, 4, 4], [4, 4, 4, 4]]
    assert [record.rows for _, record in run.histograms("activation")] == [4, 4, 4, 4]


def test_rows_of_a_changed_model_are_matched_by_name(logdir: Path) -> None:
    run = load_run(logdir / "changed")
    assert [layer.name for layer in run.layers] == ["c", "a", "z"]
    rows = table(run)
    assert rows[5] == [None, 1005.0, 1005.125]
    assert rows[6] == [2006.0, 2006.0625, 2006.125]
    old, new = (record for _, record in run.histograms("activation"))
    assert [np.flatnonzero(old.dense(r)).tolist() for r in range(3)] == [[], [100], [102]]
    assert [np.flatnonzero(new.dense(r)).tolist() for r in range(3)] == [[100], [101], [102]]
    old, new = (record for _, record in run.units)
    assert old.observations.tolist() == [0, 1003, 1003]
    assert np.diff(old.starts).tolist() == [0, 4, 4]
    assert new.observations.tolist() == [2010, 2010, 2010]


def test_wider_records_than_the_manifest_says_are_cut(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a", "b"))
    attempt.frame(1)
    attempt.manifest = manifest("a", "b", "c")
    attempt.frame(2)
    assert table(load_run(tmp_path))[2] == [1002.0, 1002.0625]


# Files --------------------------------------------------------------------------------------------------------------


def test_a_record_cut_short_is_ignored_and_read_when_complete(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path / "run", 1, manifest("a"))
    for step in (1, 2, 3):
        attempt.frame(step)
    whole = attempt.file.path.read_bytes()
    for cut in range(1, 120, 7):
        attempt.file.path.write_bytes(whole[:-cut])
        run = load_run(tmp_path / "run")
        assert run.steps.tolist() == [1, 2], cut
        assert run.notes == []
    attempt.file.path.write_bytes(whole)
    assert load_run(tmp_path / "run").steps.tolist() == [1, 2, 3]


def test_the_rest_of_a_corrupt_file_is_skipped_and_the_next_read(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    for step in (1, 2):
        attempt.frame(step)
    attempt.file.raw(struct.pack("<QI", 1 << 60, 0))
    attempt.frame(3)
    broken, attempt.file = attempt.file, EventFile(tmp_path, stamp=1_763_700_000)
    attempt.frame(4)
    with pytest.warns(UserWarning, match=f"{broken.path.name}.* is corrupt at byte"):
        run = load_run(tmp_path)
    assert run.steps.tolist() == [1, 2, 4]
    assert run.gaps == (4, 3)
    assert broken.path.name in run.notes[0]


def test_a_broken_event_costs_no_other(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1)
    attempt.file.record(b"\x2a\x7ftorchvitals/gradient/rms")
    attempt.frame(2)
    run = load_run(tmp_path)
    assert run.steps.tolist() == [1, 2]
    assert run.notes[0].startswith("1 broken event in")


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((2, 2), dtype=np.float32),
        np.zeros((), dtype=np.float32),
        "text",
        Summary.Value(tag="torchvitals/gradient/rms", tensor={"dtype": 9, "int64_val": [1]}, metadata=metadata()),
        Summary.Value(tag="torchvitals/gradient/rms", tensor={"dtype": 1, "tensor_content": b"abc"}),
        Summary.Value(
            tag="torchvitals/gradient/rms",
            tensor={"dtype": 1, "tensor_content": b"abcd", "tensor_shape": {"dim": [{"size": 1 << 60}]}},
        ),
    ],
    ids=["matrix", "scalar", "text", "integers", "odd size", "huge shape"],
)
def test_a_bad_record_of_a_statistic_costs_no_other(tmp_path: Path, bad: object) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1)
    attempt.file.write(2, {"torchvitals/gradient/rms": bad})
    attempt.frame(3)
    run = load_run(tmp_path)
    assert list(table(run)) == [1, 3]
    assert run.notes[0].startswith("1 ")
    assert "'torchvitals/gradient/rms'" in run.notes[0]


def test_float64_and_listed_numbers_are_taken(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a", "b"))
    attempt.frame(1)
    attempt.file.write(2, {"torchvitals/gradient/rms": np.array([0.5, 1e300])})
    listed = {"dtype": 1, "float_val": [0.25, NAN], "tensor_shape": {"dim": [{"size": 2}]}}
    attempt.file.write(3, {"x": Summary.Value(tag="torchvitals/gradient/rms", tensor=listed)})
    attempt.frame(4)
    assert load_run(tmp_path)["gradient/rms"].values[1:3].tolist()[0] == [0.5, np.inf]
    assert table(load_run(tmp_path))[3] == [0.25, None]


def test_broken_blobs_are_left_out(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1, records=True)
    attempt.frame(2)
    attempt.file.write(2, {schema.UNITS_TAG: b"garbage", schema.histogram_tag("activation"): b""})
    attempt.frame(3, records=True)
    run = load_run(tmp_path)
    assert [step for step, _ in run.units] == [1, 3]
    assert run.notes == ["1 broken record of units left out"]
    assert run.units.steps.tolist() == [1, 2, 3]
    with pytest.raises(TorchvitalsError, match="units at step 2 is broken"):
        run.units[1]
    assert len(list(run.histograms("activation"))) == 2


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"layers":1,"parameters":[]}', '{"layers":[{"name":1}],"parameters":[]}', "[" * 100_000],
)
def test_a_broken_manifest_is_left_out(tmp_path: Path, text: str) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.frame(1)
    attempt.file.write(2, {schema.MANIFEST_TAG: text})
    attempt.frame(3)
    run = load_run(tmp_path)
    assert [layer.name for layer in run.layers] == ["a"]
    assert run.notes == ["a broken manifest at step 2 left out"]


def test_the_manifest_of_an_earlier_attempt_is_better_than_none(tmp_path: Path) -> None:
    first = Attempt(tmp_path, 1, manifest("a", "b"))
    for step in (1, 2, 3):
        first.frame(step)
    second = Attempt(tmp_path, 2, manifest("a", "b"))
    second.announced = True
    second.frame(1)
    assert table(load_run(tmp_path)) == {1: [2001.0, 2001.0625]}


def test_no_readable_manifest(tmp_path: Path) -> None:
    with EventFile(tmp_path / "run") as file:
        file.write(1, {schema.MANIFEST_TAG: "?", "torchvitals/gradient/rms": np.zeros(1, dtype=np.float32)})
    run = load_run(tmp_path / "run")
    with pytest.raises(TorchvitalsError, match="run 'run' has no readable manifest"):
        run["gradient/rms"]


def test_names_and_sizes_in_a_manifest_are_checked() -> None:
    good = json.loads(manifest("a", "b", parameters=("w",)).to_json())
    good["edges"] = [[0, 1], [0, 7], [-1, 0], ["0", 1]]
    assert schema.Manifest.from_json(json.dumps(good)).edges == ((0, 1),)
    for key, value in (("name", 3), ("function", {}), ("units", "4"), ("shape", ["x"]), ("parent", [1])):
        broken = json.loads(json.dumps(good))
        broken["layers"][0][key] = value
        with pytest.raises(ValueError, match="not a torchvitals manifest"):
            schema.Manifest.from_json(json.dumps(broken))


def test_a_series_too_large_for_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a", "b"))
    attempt.frame(1)
    attempt.frame(2)
    monkeypatch.setattr("torchvitals_tb.reader._MAX_VALUES", 3)
    with pytest.raises(TorchvitalsError, match="too large to read: 2 steps of 2 rows"):
        load_run(tmp_path)["gradient/rms"]


def test_a_newer_schema_is_noted_and_the_rest_shown(logdir: Path) -> None:
    run = load_run(logdir / "newer")
    assert run.schema_version == 2
    assert "newer torchvitals (schema 2" in run.notes[0]
    assert run.statistics == ("gradient/rms",)
    assert table(run) == {1: [1.0, 1.0], 2: [2.0, 2.0], 3: [3.0, 3.0]}
    assert run.gaps == (3, 3)


def test_what_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1, manifest("a"))
    attempt.file.write(0, {"x": Summary.Value(tag="loss", simple_value=1.0)})
    attempt.file.write(0, {"x": Summary.Value(tag="torchvitals", simple_value=1.0)})
    text = Summary.Value(tag="note", tensor={"dtype": 7, "string_val": [b"see torchvitals/gradient/rms"]})
    attempt.file.write(1, {"x": text})
    foreign = Summary.Value(tag="torchvitals/gradient/abs_max", tensor=tensor(np.zeros(1, dtype=np.float32)))
    attempt.file.write(1, {"x": foreign})
    attempt.frame(1)
    run = load_run(tmp_path)
    assert run.steps.tolist() == [1]
    assert run.statistics == ("gradient/rms", "parameter/rms")  # a tag without our metadata is nobody's
    assert run.notes == []


# What cannot be loaded ----------------------------------------------------------------------------------------------


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(TorchvitalsError, match=r"there is no file or directory '.*nowhere'"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(TorchvitalsError, match=r"no event files in '.*' or below it; give the directory"):
        load_run(tmp_path)


def test_event_files_without_our_records(tmp_path: Path) -> None:
    with EventFile(tmp_path) as file:
        file.write(1, {"x": Summary.Value(tag="loss", simple_value=1.0)})
    with pytest.raises(TorchvitalsError, match=r"holds event files, but no records of torchvitals; attach_hooks"):
        load_run(tmp_path)
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    with pytest.raises(TorchvitalsError, match="no records of torchvitals; is it an event file"):
        load_run(other)


def test_a_directory_of_runs_lists_them(tmp_path: Path) -> None:
    for name in ("a", "deep/b", "c"):
        write_run(tmp_path / name, layers=3, steps=1, records=0)
    with EventFile(tmp_path / "other") as file:
        file.write(1, {"x": Summary.Value(tag="loss", simple_value=1.0)})
    with pytest.raises(TorchvitalsError, match=r"not itself a run; load one of the runs below it: 'a', 'c', 'deep/b'$"):
        load_run(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(TorchvitalsError, match=r"'a', 'c', 'deep/b'$"):
        load_run(tmp_path)


def test_many_runs_are_not_all_listed(tmp_path: Path) -> None:
    write_run(tmp_path / "0", layers=3, steps=1, records=0)
    for i in range(1, 12):
        shutil.copytree(tmp_path / "0", tmp_path / str(i))
    with pytest.raises(TorchvitalsError, match=r"and 4 more$"):
        load_run(tmp_path)


def test_unknown_names(logdir: Path) -> None:
    run = load_run(logdir / "plain")
    with pytest.raises(UnknownNameError, match="'gradient/rsm' in run 'plain'; did you mean 'gradient/rms'"):
        run["gradient/rsm"]
    with pytest.raises(LookupError, match="no histogram 'weights' in run 'plain'; did you mean 'weight'"):
        run.histograms("weights")
    assert "gradient/rms" in run
    assert "gradient/rsm" not in run
    poor = load_run(logdir / "duplicates")
    with pytest.raises(UnknownNameError, match="no histogram 'weight' in run 'duplicates'; there is none"):
        poor.histograms("weight")
    assert len(poor.units) == 0
    assert not poor.has_units
