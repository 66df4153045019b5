"""That the benchmarks run and say what they should. How fast anything is, is theirs to say."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import memory, reading, scaling, schedule, training, worker
from tests.benchmarks.__main__ import main
from tests.benchmarks.models import ON_A_GPU, QUICK, REFERENCES
from tests.benchmarks.options import Options
from tests.benchmarks.tables import Table, size, spread

RATIO = re.compile(r"\d+\.\d+ \(\d+\.\d+-\d+\.\d+\)")


def options(**more) -> Options:
    fields = {"device": "cpu", "threads": 1, "repetitions": 1, "seconds": 0.0, "quick": True, "large": False,
              "peers": ("torchvitals",), "peers_python": sys.executable, "say": lambda text: None}  # fmt: skip
    return Options(**(fields | more))


@pytest.mark.parametrize("contestant", ["torchvitals", "add_histogram", "item"])
def test_a_contestant_is_measured(contestant: str) -> None:
    result = worker.measure(worker.Job("mlp", contestant, "cpu", 1, True, 0.0))
    for ratios in (result.sampled, result.unsampled, result.tenth):
        assert len(ratios) >= 3
        assert all(ratio > 0 for ratio in ratios)
    assert len(result.milliseconds) == 3
    assert result.bytes is not None and result.bytes > 500


def test_steps_that_are_not_sampled_write_nothing(tmp_path: Path) -> None:
    """So that what the columns claim to measure is what happens."""
    from tests.benchmarks.contestants import CONTESTANTS
    from tests.benchmarks.worker import RARELY, _written, timed

    for name in ("torchvitals", "add_histogram", "item"):
        made = QUICK["gpt"].training("cpu")
        with CONTESTANTS[name].attach(made, tmp_path / name, RARELY) as observer:
            timed(made, observer, 1, "cpu")
            first = _written(tmp_path / name)
            timed(made, observer, 5, "cpu")
            assert _written(tmp_path / name) == first > 0, name


def test_the_table_of_a_training_what_is_missing_and_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "references", lambda **kwargs: {"mlp": QUICK["mlp"], "no model": QUICK["mlp"]})
    absent = replace(training.CONTESTANTS["lightning"], module="no_such_module")
    monkeypatch.setitem(training.CONTESTANTS, "lightning", absent)
    table, other = training.tables(options(peers=("torchvitals", "lightning")))
    bare, ours = table.rows
    assert bare[0] == "bare" and re.search(r"a step takes \d", bare[-1])
    assert ours[0] == "torchvitals" and all(RATIO.fullmatch(cell) for cell in ours[1:4]), ours
    assert all(len(row) == len(table.header) for row in (*table.rows, *other.rows))
    assert other.rows[1][:2] == ("torchvitals", "failed") and "KeyError" in other.rows[1][-1]
    assert "Lightning grad_norm is left out" in other.notes[0] and "no_such_module" in other.notes[0]


def test_scaling_and_schedule() -> None:
    by_layers, by_elements, on_disk = scaling.tables(options())
    assert [row[0] for row in by_layers.rows] == ["10", "30"]
    assert len(by_elements.rows) == 2
    for row in on_disk.rows:
        assert [cell.endswith(" B") for cell in row[1:4]] == [True] * 3, row
        assert 20 < float(row[1].split()[0]) < 1000
    (long,) = schedule.tables(options())
    steps, sampled = long.rows[0][:2]
    assert steps == "100" and 20 < int(sampled) < 100


def test_reading() -> None:
    files, board = reading.tables(options())
    assert len(files.rows) == 1 and files.rows[0][2].endswith("MB/s")
    assert {row[1] for row in board.rows} <= {"Python", "Rust"} and board.rows
    assert all(len(row) == len(board.header) for row in board.rows)
    assert all(re.fullmatch(r"[\d.]+ m?s, [\d.]+ m?s", cell) for row in board.rows for cell in row[6:]), board.rows


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        schedule, "tables", lambda given: [Table("T", ("a", "b"), [("1", "2|3")], [str(given.threads)])]
    )
    monkeypatch.setattr("sys.argv", ["x", "schedule", "--threads", "1"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert main(["schedule", "--threads", "1", "--markdown"]) == 0
    out = capsys.readouterr().out
    assert "`python -m tests.benchmarks schedule --threads 1`" in out
    assert "| a | b |\n| --- | --- |\n| 1 | 2/3 |\n\n1\n" in out
    with pytest.raises(SystemExit):
        main(["shedule"])
    assert "there is training, waiting, scaling" in capsys.readouterr().err


def test_reference_models_are_what_they_are_said_to_be() -> None:
    def count(made) -> int:
        return sum(parameter.numel() for parameter in made.model.parameters())

    assert count(REFERENCES["mlp"].training("cpu")) == 20 * (512 * 512 + 512)
    assert count(REFERENCES["resnet"].training("cpu")) == 11_689_512  # torchvision's ResNet-18
    assert count(REFERENCES["gpt"].training("cpu")) == 6 * (12 * 256**2 + 13 * 256) + 256 * (1000 + 128 + 1000 + 2)
    billion = ON_A_GPU["billion"].sizes
    assert 12 * billion["depth"] * billion["width"] ** 2 + 2 * billion["words"] * billion["width"] > 1e9


def test_numbers_as_people_read_them() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.50-2.50)"
    assert spread([1.5]) == "1.50" and spread([]) == "-"
    assert [size(n) for n in (None, 0, 999, 1500, 2.5e6)] == ["-", "0 B", "999 B", "1.5 kB", "2.5 MB"]


def test_peak_memory_is_seen() -> None:
    memory.forget_peak("cpu")
    before = memory.peak("cpu")
    if before is None:
        pytest.skip("this system does not say")
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    del block
    assert memory.peak("cpu") - before > 50 << 20
    memory.forget_peak("cpu")
    assert memory.peak("cpu") - before < 40 << 20


def test_jobs_travel_as_json() -> None:
    job = worker.Job("mlp", "item", "cpu", 1, True, 0.5)
    assert worker.Job(**json.loads(json.dumps(job.__dict__))) == job
