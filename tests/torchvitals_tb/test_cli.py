"""The command line: a table, or one sentence and status 2."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import EventFile, Written, write_run
from tests.torchvitals_tb.attempts import Attempt, layer, manifest
from torchvitals_tb import __version__, cli, load_run, query, schema
from torchvitals_tb.schema import Manifest, Parameter
from torchvitals_tb.summary import _count, vitals


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(cli, "entry_points", lambda group: [])


def add(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: [EntryPoint(name, value, group)])


def test_summary(written: tuple[Path, Written], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["summary", str(written[0])]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert "\x1b" not in out
    assert max(map(len, lines)) <= 80
    assert lines[0] == "run  steps 1 to 118, 40 sampled, 20 layers"
    assert lines[1].split() == ["layer", "type", "output", "params", "train", "act", "rms", "grad", "rms", "dead"]
    assert len(lines) == 2 + 20 + 1
    row = next(line for line in lines if "layers.0.mlp.act" in line).split()
    assert row[1:5] == ["ReLU", "32x16x64", "-", "-"]
    assert row[-1].endswith("%")
    linear = next(line for line in lines if line.startswith("head")).split()
    assert linear[1:5] == ["Linear", "32x10", "50", "100%"]
    assert linear[-1] == "-"
    total = sum(math.prod(parameter.shape) for parameter in written[1].manifest.parameters)
    assert lines[-1] == f"{total:,} parameters, 100% trainable"


def test_parameters_of_a_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each module's are counted on the row of its first call; the total has those without a row, too."""
    long = "very.long.path.of.modules.to.the.layer.that.is.called.twice"
    rows = [
        replace(layer(name, function=None), type="SomeModuleWithAVeryLongName") for name in ("", long, "frozen", "b")
    ]
    again = replace(rows[1], name=f"{long}@1", call=1)
    function = replace(rows[1], name=f"{long}/relu", kind="function", type="relu", shape=(1024, 1024, 1024, 1024))
    parameters = (
        Parameter("cls", "", (1, 1, 768), True),
        Parameter(f"{long}.weight", long, (4096, 4096), False),
        Parameter(f"{long}.lora", long, (4096, 8), True),
        Parameter("frozen.weight", "frozen", (1200,), False),
        Parameter("unseen.weight", "unseen", (10,), True),
        Parameter("b.scale", "b", (), True),
    )
    attempt = Attempt(tmp_path, 1, Manifest(layers=(*rows[:2], again, function, *rows[2:]), parameters=parameters))
    attempt.frame(1)
    weights = [line.weights for line in vitals(load_run(tmp_path))]
    assert weights == [(768, 768), (4096 * 4104, 4096 * 8), None, None, (1200, 0), (1, 1)]
    assert cli.main(["summary", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    cells = [line.split()[-5:-3] for line in lines[2:8]]
    assert cells == [["768", "100%"], ["17M", "<1%"], ["-", "-"], ["-", "-"], ["1.2k", "0%"], ["1", "100%"]]
    assert lines[2].startswith("(the model)")
    assert lines[8] == f"{4096 * 4104 + 1979:,} parameters, <1% trainable"
    for line in lines[3:6]:
        assert line.startswith("…") and "alled.twice" in line


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (9949, "9.9k"), (9951, "10k"), (999_499, "999k"), (999_500, "1.0M"),
     (86_567_656, "87M"), (175 * 10**9, "175B"), (12 * 10**15, "12000T")],
)  # fmt: skip
def test_short_numbers(number: int, text: str) -> None:
    assert _count(number) == text


def test_vitals_are_the_last_ones_measured(tmp_path: Path) -> None:
    write_run(tmp_path / "nan", layers=9, steps=20, kind="nan")
    broken = vitals(load_run(tmp_path / "nan"))[5]
    assert broken.activation is not None
    assert broken.activation != broken.activation  # NaN was measured: it is shown, not the number before it
    attempt = Attempt(tmp_path / "late", 1, manifest("a"))
    attempt.frame(1)
    attempt.announce(manifest("a", layer("b", function=None)))
    attempt.frame(2)
    attempt.manifest = manifest("a")
    attempt.frame(3)
    first, second = vitals(load_run(tmp_path / "late"))
    assert first.gradient == 1003
    assert second.gradient == 1002.0625
    assert first.activation is None
    assert first.dead is None


def test_summary_says_what_was_silent_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent = {"modules_never_called": tuple(f"m{i}\x1b[31m" for i in range(7)), "layers_without_gradient": ("a",)}
    text = replace(manifest("a", "b"), self_check=silent).to_json()
    with EventFile(tmp_path) as file:
        for step in range(3):
            run = np.array([step + 1, step, 0.0, 0.0, float(step == 1), 1024.0])
            value = np.full(2, step, dtype=np.float32)
            file.write(step, {schema.MANIFEST_TAG: text, "torchvitals/gradient/rms": value, schema.RUN_TAG: run})
    assert cli.main(["summary", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "the loss scaler skipped 1 of them, last step 1" in out
    assert "modules never called: m0" in out and "and 2 more" in out and "layers without gradient: a" in out
    header = query.manifest(load_run(tmp_path))
    assert header["self_check"] == silent and header["steps"]["skipped"] == [1]


def test_summary_of_a_directory_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "only", layers=3, steps=2)
    assert cli.main(["summary", str(tmp_path)]) == 0
    write_run(tmp_path / "deep" / "other", layers=4, steps=2)
    assert cli.main(["summary", str(tmp_path)]) == 2
    assert "holds several runs; choose one with --run: 'deep/other', 'only'" in capsys.readouterr().err
    assert cli.main(["summary", str(tmp_path), "--run", "deep/other"]) == 0
    assert "4 layers" in capsys.readouterr().out
    assert cli.main(["summary", str(tmp_path), "--run", "deep/othre"]) == 2
    assert "did you mean 'deep/other'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["summary", "{tmp}/nowhere"], "there is no file or directory"),
        (["summary", "{tmp}"], "no event files in"),
        (["summary"], "the following arguments are required: LOGDIR; see 'torchvitals summary --help'"),
        (["sumary", "x"], "no command 'sumary'; did you mean 'summary'?"),
        (["xyz"], "no command 'xyz'; there is 'diagnose', 'report', 'summary'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["summary", "{tmp}", "--run"], "expected one argument"),
    ],
)
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    assert cli.main([argument.format(tmp=tmp_path) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("torchvitals: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_version_and_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"torchvitals {__version__}\n"
    add(monkeypatch, "demo", "torchvitals.demo:command")
    for arguments in ([], ["--help"]):
        assert cli.main(arguments) == 0
        out = capsys.readouterr().out
        assert all(name in out for name in ("diagnose", "summary", "report", "demo"))


def test_notes_are_below_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attempt = Attempt(tmp_path, 1, manifest("\x1b[31mred\x07"))
    attempt.frame(1)
    attempt.count += 3
    attempt.frame(9)
    attempt.file.raw(b"torchvitals/torchvitals/")
    assert cli.main(["summary", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "2 of 5 sampled steps are there to be read" in out
    assert "is corrupt at byte" in out.replace("\n", " ")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert err == ""


def test_added_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    add(monkeypatch, "demo", "tests.torchvitals_tb.test_cli:command")
    assert cli.main(["demo", "--fast", "x"]) == 3
    assert capsys.readouterr().out == "['--fast', 'x']\n"
    assert cli.main(["dmo"]) == 2
    assert "did you mean 'demo'?" in capsys.readouterr().err
    add(monkeypatch, "demo", "nowhere.to.be.found:command")
    assert cli.main(["demo"]) == 2
    assert "the command 'demo' cannot be loaded: No module named 'nowhere'" in capsys.readouterr().err


def command(arguments: list[str]) -> int:
    print(arguments)
    return 3


def test_in_a_terminal_without_these_letters_and_in_a_pipe_that_ends(written: tuple[Path, Written]) -> None:
    code = f"import sys; from torchvitals_tb.cli import main; sys.exit(main(['summary', {str(written[0])!r}]))"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert b"?er.layers.0.self_attn.qkv" in done.stdout
    piped = subprocess.run(
        f'"{sys.executable}" -c "{code}" | head -1', shell=True, capture_output=True, text=True, check=True
    )
    assert piped.stdout.startswith("run  steps 1 to 118")
    assert piped.stderr == ""


def test_event_files_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    EventFile(tmp_path).close()
    assert cli.main(["summary", str(tmp_path)]) == 2
    assert "holds event files, but no records of torchvitals" in capsys.readouterr().err
