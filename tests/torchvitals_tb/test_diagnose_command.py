"""``torchvitals diagnose``: what it prints, and what its exit status says."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.synthetic import EventFile, write_run
from torchvitals_tb import choice, cli, diagnosis
from torchvitals_tb.findings import Check, Diagnosis, Finding
from torchvitals_tb.reader import Run

LONG = "encoder.layers.11.attention.self.projection.dropout.act"


def finding(code: str, severity: str = "warning", first: int = 12, last: int = 40, **more: object) -> Finding:
    fields = {
        "layers": ("3",),
        "message": f"This is what {code} looks like, with all its numbers, in a sentence that is longer than a line.",
        "why": "It matters because of that.",
        "remedy": "Lower the learning rate from 2 to about 0.1.",
    }
    return Finding(code=code, severity=severity, first_step=first, last_step=last, **(fields | more))  # type: ignore[arg-type]


EFFECT = finding("vanishing-gradient", "info", 20, 30, message="The gradient fades.")
CRITICAL = finding("dead-units", "critical", layers=("1", LONG, "5", "7", "9", "11", "13"), effects=(EFFECT,))
WARNING = finding("update-too-large", first=5, last=5)
CHECKS = (
    Check("dead-units", "?", "found"),
    Check("non-finite", "?", "passed"),
    Check("exploding-gradient", "?", "passed", "3 layers ran too seldom"),
    Check("no-gradient", "?", "not checked", "gradients were not recorded"),
    Check("gradient-underflow", "?", "not checked", "gradients were not recorded"),
)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(cli, "entry_points", lambda group: [])


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int | None]]:
    """Gives runs their findings by their names; the answer collects the steps from which they were looked at."""

    def give(**findings: tuple[Finding, ...]) -> list[int | None]:
        asked: list[int | None] = []

        def examine(run: Run, *, since: int | None = None) -> Diagnosis:
            asked.append(since)
            assert run.layers  # or it raises, as it should
            steps = (int(run.steps[0]), int(run.steps[-1])) if len(run.steps) else None
            last = run.name.rpartition("/")[2]
            return Diagnosis(run.name, findings.get(last, ()), CHECKS if steps else (), steps, tuple(run.notes))

        monkeypatch.setattr(diagnosis, "examine", examine)
        return asked

    return give


def runs(folder: Path, *names: str) -> Path:
    for name in names:
        write_run(folder / name, layers=3, steps=40)
    return folder


def broken(folder: Path) -> None:
    with EventFile(folder) as file:
        file.write(1, {"torchvitals/manifest": "{no manifest"})


def test_all_of_a_finding_in_80_columns(tmp_path, capsys, examined):
    examined(exp1=(CRITICAL, WARNING))
    assert cli.main(["diagnose", str(runs(tmp_path / "exp1", "."))]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "exp1  steps 1 to 40",
        "",
        "critical  dead-units  since step 12",
        "  This is what dead-units looks like, with all its numbers, in a sentence that",
        "  is longer than a line.",
        "  why     It matters because of that.",
        "  try     Lower the learning rate from 2 to about 0.1.",
        "  layers  1, …1.attention.self.projection.dropout.act, 5, 7, 9 and 2 more",
        "  explains",
        "    info  vanishing-gradient  steps 20 to 30",
        "      The gradient fades.",
        "      layers  3",
        "",
        "warning  update-too-large  at step 5",
        "  This is what update-too-large looks like, with all its numbers, in a sentence",
        "  that is longer than a line.",
        "  why     It matters because of that.",
        "  try     Lower the learning rate from 2 to about 0.1.",
        "  layers  3",
        "",
        "passed       non-finite, exploding-gradient",
        "not checked  no-gradient, gradient-underflow: gradients were not recorded",
        "in part      exploding-gradient: 3 layers ran too seldom",
    ]


def test_several_runs_the_worst_first(tmp_path, capsys, examined):
    examined(b=(WARNING,), d=(CRITICAL,))
    assert cli.main(["diagnose", str(runs(tmp_path, "a", "b", "c/d"))]) == 0
    out = capsys.readouterr().out
    heads = [line for line in out.splitlines() if "  steps 1 to 40" in line]
    assert heads == ["c/d  steps 1 to 40", "b  steps 1 to 40", "a  steps 1 to 40"]
    assert "\nnothing found\n" in out
    assert out.endswith("\n3 runs: 1 critical, 1 with warnings, 1 without findings\n")
    assert max(map(len, out.splitlines())) <= 80


def test_json_and_nothing_else(tmp_path, capsys, examined):
    examined(b=(CRITICAL, WARNING))
    broken(runs(tmp_path, "a", "b") / "bad")
    assert cli.main(["diagnose", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    found = [Diagnosis.from_dict(each) for each in json.loads(out)]
    assert [(each.run, each.findings) for each in found] == [("b", (CRITICAL, WARNING)), ("a", ())]
    assert err.startswith("torchvitals: run 'bad' was left out: run 'bad' has no readable manifest")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 0),
        (("--fail-on", "critical"), 1),
        (("--fail-on", "warning"), 1),
        (("--run", "ill", "--fail-on", "critical"), 0),
        (("--run", "ill", "--fail-on", "warning"), 1),
        (("--run", "fine", "--fail-on", "warning"), 0),
        (("--run", "[fh]*", "--fail-on", "warning"), 0),
        (("--run", "hidden", "--fail-on", "critical", "--json"), 1),
    ],
)
def test_exit_status(tmp_path, examined, arguments, status):
    info = finding("update-too-small", "info")
    cause = finding("poor-initialization", "info", effects=(CRITICAL,))
    examined(fine=(info,), ill=(WARNING,), worst=(WARNING, CRITICAL), hidden=(cause,))
    names = ("fine", "ill", "worst", *(["hidden"] if "hidden" in arguments else []))
    assert cli.main(["diagnose", str(runs(tmp_path, *names)), *arguments]) == status


def test_what_cannot_be_read_is_named(tmp_path, capsys, examined, monkeypatch):
    examined(good=(CRITICAL,))
    broken(runs(tmp_path, "good") / "deep" / "bad")
    assert cli.main(["diagnose", str(tmp_path), "--fail-on", "warning"]) == 1
    out, err = capsys.readouterr()
    assert "dead-units" in out
    assert err.startswith("torchvitals: run 'deep/bad' was left out: run 'deep/bad' has no readable manifest")
    assert cli.main(["diagnose", str(tmp_path), "--run", "*bad"]) == 2
    assert cli.main(["diagnose", str(tmp_path), "--run", "*d"]) == 2
    assert cli.main(["diagnose", str(tmp_path / "deep")]) == 2
    assert capsys.readouterr().err.count("\n") == 3

    def fails(run: Run, *, since: int | None = None) -> Diagnosis:
        raise IndexError("out of range")

    monkeypatch.setattr(diagnosis, "examine", fails)
    assert cli.main(["diagnose", str(tmp_path / "good")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == "torchvitals: run 'good' was left out: IndexError: out of range\n"


def test_files_that_may_not_be_read_are_named(tmp_path, capsys, examined, monkeypatch):
    examined()
    runs(tmp_path, "good", "secret")
    (hidden,) = (tmp_path / "secret").iterdir()
    monkeypatch.setattr(choice.os, "access", lambda path, mode: Path(path) != hidden)
    monkeypatch.setattr(choice, "find_runs", lambda top: {"good": tmp_path / "good"})
    assert cli.main(["diagnose", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("good  steps")
    assert "run 'secret" in err and "permission denied" in err
    assert cli.main(["diagnose", str(tmp_path), "--run", "secret*"]) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tmp}/nowhere"], "there is no file or directory '{tmp}/nowhere'"),
        (["{tmp}/empty"], "no event files in '{tmp}/empty' or below it"),
        (["{tmp}/others"], "holds event files, but no records of torchvitals"),
        (["{tmp}", "--run", "exp_1"], "no run 'exp_1' in '{tmp}'; did you mean 'exp1'?"),
        (["{tmp}", "--run", "zzz*"], "no run 'zzz*' in '{tmp}'; there is 'exp1'"),
        (["{tmp}", "--since", "soon"], "argument --since: invalid int value: 'soon'"),
        (["{tmp}", "--fail-on", "info"], "argument --fail-on: invalid choice"),
    ],
)
def test_mistakes(tmp_path, capsys, arguments, sentence):
    runs(tmp_path, "exp1")
    (tmp_path / "empty").mkdir()
    EventFile(tmp_path / "others").close()
    assert cli.main(["diagnose", *(argument.format(tmp=tmp_path) for argument in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("torchvitals: ") and err.count("\n") == 1
    assert sentence.format(tmp=tmp_path) in err


def test_an_event_file_a_run_with_runs_below_and_a_name_with_brackets(tmp_path, capsys, examined):
    examined()
    runs(tmp_path / "top", ".", "lr[0.1]", "below")
    (file,) = (tmp_path / "top").glob("events*")
    for arguments, names in [
        ([str(file)], ["top"]),
        ([str(tmp_path / "top")], ["below", "lr[0.1]", "top"]),
        ([str(tmp_path / "top"), "--run", "lr[0.1]"], ["lr[0.1]"]),
        ([str(tmp_path / "top"), "--run", "top"], ["top"]),
    ]:
        assert cli.main(["diagnose", *arguments, "--json"]) == 0
        assert sorted(each["run"] for each in json.loads(capsys.readouterr().out)) == names


def test_a_run_that_is_still_being_written(tmp_path, capsys, examined):
    examined()
    runs(tmp_path, ".")
    (file,) = tmp_path.glob("events*")
    whole = file.read_bytes()
    for cut in (len(whole) - 1, len(whole) - 1000, len(whole) // 2):
        file.write_bytes(whole[:cut])
        assert cli.main(["diagnose", str(tmp_path)]) == 0
        out, err = capsys.readouterr()
        assert "nothing found" in out and err == ""


def test_no_file_is_so_broken_that_it_ends_in_a_traceback(tmp_path, capsys):
    """With the real rules, and with the other commands as well."""
    write_run(tmp_path / "run", layers=6, steps=8, units=16, records=2)
    (file,) = (tmp_path / "run").iterdir()
    whole, random, seen = file.read_bytes(), Random(0), set()
    for _ in range(12):
        data = bytearray(whole)
        for _ in range(random.choice((1, 3, 20))):
            data[random.randrange(len(data))] = random.randrange(256)
        file.write_bytes(data[: random.choice((None, random.randrange(len(data))))])
        for command in (["diagnose"], ["summary"], ["report", "-o", str(tmp_path / "r.html")]):
            status = cli.main([*command, str(tmp_path)])
            err = capsys.readouterr().err
            assert (status == 2) == (err != "") and "Error:" not in err
            seen.add(status)
    assert seen == {0, 2}


@pytest.mark.parametrize("flag", ["", "--json"])
def test_a_pipe_that_ends(tmp_path, flag):
    runs(tmp_path, *(f"run{i}" for i in range(8)))
    program = Path(sys.executable).with_name("torchvitals")
    command = f"{program} diagnose {tmp_path} {flag} | head -c 5"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert len(done.stdout) == 5 and done.stderr == ""


def test_torch_is_not_needed(tmp_path):
    runs(tmp_path, "run")
    code = f"""
import sys
from torchvitals_tb import assert_healthy, cli
print([cli.main([*c, {str(tmp_path)!r}]) for c in (["diagnose"], ["report", "-o", {str(tmp_path / "r.html")!r}])])
print({{"torch", "torchvitals"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[0, 0]\nset()\n")


def test_since_and_nothing_to_look_at(tmp_path, capsys, examined, monkeypatch):
    asked = examined()
    runs(tmp_path, ".")
    assert cli.main(["diagnose", str(tmp_path), "--since", "20"]) == 0
    assert asked == [20]
    monkeypatch.setattr(diagnosis, "examine", lambda run, since: Diagnosis("r", (), CHECKS[3:], None))
    assert cli.main(["diagnose", str(tmp_path), "--since", "2000"]) == 0
    assert "nothing to look at: no sampled step there" in capsys.readouterr().out
    monkeypatch.setattr(diagnosis, "examine", lambda run, since: Diagnosis("r", (), CHECKS[3:], (1, 2)))
    assert cli.main(["diagnose", str(tmp_path)]) == 0
    assert "nothing could be checked" in capsys.readouterr().out


def test_names_do_not_steer_the_terminal(tmp_path, capsys, examined):
    evil = "\x1b[31m[red]\x07\r\u202e"
    ill = finding("non-finite", layers=(evil,), message=evil, why=evil, remedy=evil)
    examined(evil=(ill, finding("dead-units", effects=(ill,))))
    runs(tmp_path, "a\x1b[2Jb/evil", "bad\x07/c")
    with EventFile(tmp_path / "bad\x07") as file:
        file.write(1, {"torchvitals/manifest": evil})
    assert cli.main(["diagnose", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert not set("\x1b\x07\r\u202e") & set(out + err)
    assert "[red]" in out


def test_colour_in_a_terminal_alone(tmp_path):
    runs(tmp_path, "run")
    code = f"""
import sys
from tests.torchvitals_tb.test_diagnose_command import CRITICAL, Diagnosis, diagnosis
from torchvitals_tb import cli
diagnosis.examine = lambda run, since: Diagnosis(run.name, (CRITICAL,), (), (1, 40))
sys.exit(cli.main(["diagnose", {str(tmp_path)!r}]))
"""
    environment = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    piped = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert b"critical  dead-units" in piped.stdout and b"\x1b" not in piped.stdout
    ours, theirs = pty.openpty()
    environment.pop("FORCE_COLOR")
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=theirs, close_fds=True) as process:
        os.close(theirs)
        shown = b""
        while b"nothing else" not in shown:
            try:
                part = os.read(ours, 4096)
            except OSError:  # its end, on Linux
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"\x1b[1;31mcritical\x1b[0m" in shown
