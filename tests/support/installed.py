"""The wheel in virtual environments of its own, for tests of what a user has after `pip install`."""

import os
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    held: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return held


def base_requirements() -> list[Requirement]:
    """What plain `pip install explicate` asks for."""
    return [Requirement(text) for text in project()["dependencies"]]


def lowest_versions() -> dict[str, str]:
    """The lowest version of each base requirement, by name."""
    bounds = ((held.name, bound) for held in base_requirements() for bound in held.specifier)
    return {name: bound.version for name, bound in bounds if bound.operator == ">="}


def build_wheel(directory: Path) -> Path:
    """The wheel of this checkout, built into `directory`."""
    _output(*_PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), str(ROOT))
    (wheel,) = directory.glob("explicate-*.whl")
    return wheel


@dataclass(frozen=True)
class Environment:
    """A virtual environment that has only the wheel of this checkout."""

    directory: Path

    @classmethod
    def make(cls, directory: Path, *pip_arguments: str) -> "Environment":
        """Install what pip is given, such as the wheel and requirements, into a new environment."""
        venv.create(directory)  # without a pip of its own, which takes longer than the rest
        made = cls(directory)
        made.pip("install", "--quiet", *pip_arguments)
        return made

    def pip(self, *arguments: str) -> str:
        """What our pip says of this environment; AssertionError with its words if it fails."""
        return _output(*_PIP, "--python", str(self.directory), *arguments)

    def python(self, program: str, *arguments: str) -> str:
        """What the program prints; warnings are errors."""
        return _output(str(self.directory / "bin" / "python"), "-W", "error", "-c", program, *arguments)

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A run of `explicate`."""
        return _run(str(self.directory / "bin" / "explicate"), *words)

    def versions(self) -> dict[str, str]:
        """The version of everything that is installed, by name."""
        lines = self.pip("list", "--format=freeze").splitlines()
        return {name.lower(): version for name, _, version in (line.partition("==") for line in lines)}


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it would bring the checkout
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environ)


def _output(*command: str) -> str:
    done = _run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
