"""The example programs in other languages: how they are built here, what they are asked, and what they answer."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from languages.golden_call import Call

EXAMPLES = Path(__file__).parents[2] / "examples"
GO_TOOLS = ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc")
GO_LIBRARIES = tuple(
    Path("/usr/share/gocode/src") / name
    for name in ("google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto")
)


@dataclass(frozen=True)
class Printed:
    """What a program wrote and how it ended."""

    code: int
    lines: list[str]
    told: str


@dataclass(frozen=True)
class Program:
    """A built example; `flags` are written with `dash` before them."""

    command: Sequence[str]
    dash: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, server: str, *flags: str, token: str | None = None, **options: str) -> Printed:
        """Ask the server. `options` are flags with a value, "_" for "-"; a token goes by the environment."""
        named = [word for name, value in options.items() for word in (self._flag(name.replace("_", "-")), value)]
        command = [*self.command, self._flag("server"), server, *named, *flags]
        environment = {**os.environ, **self.environment, **({} if token is None else {"EXPLICATE_TOKEN": token})}
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False)
        return Printed(done.returncode, done.stdout.splitlines(), done.stderr)

    def ask(self, server: str, call: Call, *flags: str, token: str | None = None, **options: str) -> Printed:
        """Ask a golden call."""
        seen = {name: str(value) for name, value in vars(call.options).items() if value is not None}
        cells = [f"{name}={'' if value is None else value}" for name, value in (call.row or {}).items()]
        rows = [word for cell in cells for word in (self._flag("row"), cell)]
        text = {"text": call.text} if call.text else {}
        return self.run(server, *rows, *flags, token=token, model=call.model, **text, **seen, **options)

    def flag(self, name: str) -> str:
        """A flag without a value."""
        return self._flag(name)

    def _flag(self, name: str) -> str:
        return f"{self.dash}{name}"


def built(language: str, tools: Sequence[str], files: Sequence[Path], install: str) -> Path:
    """The folder of an example, built with what Debian has; skips with what to install if that is not here."""
    missing = [tool for tool in tools if shutil.which(tool) is None] + [
        str(file) for file in files if not file.exists()
    ]
    if missing:
        pytest.skip(f"{language} is not tested: {', '.join(missing)} is missing; `apt-get install {install}` brings it")
    folder = EXAMPLES / language
    done = subprocess.run([folder / "build.sh", "debian"], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder
