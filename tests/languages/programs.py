"""The example programs in other languages: how they are built here, what they are asked, and what they print."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import google.rpc
import pytest

from languages.golden_call import Call

EXAMPLES = Path(__file__).parents[2] / "examples"
ASKED_FOR = "EXPLICATE_TEST_LANGUAGES"  # set by make test-languages: compilers and a JVM a call take a minute


@dataclass(frozen=True)
class Toolchain:
    """What the example of a language is built with: Debian's packages, and the commands and files that they bring."""

    language: str
    packages: str
    commands: Sequence[str]
    files: Sequence[str]

    def missing(self) -> list[str]:
        """The commands and files that are not here."""
        commands = [command for command in self.commands if shutil.which(command) is None]
        return commands + [file for file in self.files if not any(Path("/").glob(file.removeprefix("/")))]

    def build(self, folder: Path) -> "Program":
        """Build it there; skips with what to install if something is missing, and where nobody asked for it."""
        if not os.environ.get(ASKED_FOR):
            pytest.skip(f"`make test-languages` builds and runs the example in {self.language}")
        if missing := self.missing():
            pytest.skip(f"no {', '.join(missing)} for {self.language}; apt-get install {self.packages}")
        environment = {**os.environ, "BUILD": str(folder), "GOOGLEAPIS": str(Path(google.rpc.__path__[0]).parents[1])}
        command = [EXAMPLES / self.language / "build.sh", "debian"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return Program(folder / "explain")


TOOLCHAINS = {
    toolchain.language: toolchain
    for toolchain in (
        Toolchain(
            "go",
            "golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev protobuf-compiler "
            "protoc-gen-go-1-5 protoc-gen-go-grpc",
            ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc"),
            [
                f"/usr/share/gocode/src/{name}"
                for name in (
                    "google.golang.org/grpc",
                    "google.golang.org/protobuf",
                    "github.com/golang/protobuf/ptypes",
                )
            ],
        ),
        Toolchain(
            "java",
            "default-jdk-headless protobuf-compiler libprotobuf-dev protobuf-compiler-grpc-java-plugin libgrpc-java "
            "libprotobuf-java libguava-java libperfmark-java libnetty-java libnetty-tcnative-jni "
            "libgeronimo-annotation-1.3-spec-java",
            ("java", "javac", "protoc", "grpc_java_plugin"),
            [
                "/usr/include/google/protobuf/timestamp.proto",
                *[
                    f"/usr/share/java/{name}.jar"
                    for name in ("grpc-netty", "protobuf", "guava", "perfmark-api", "netty-handler", "netty-tcnative")
                ],
                "/usr/share/java/geronimo-annotation-1.3-spec.jar",
                "/usr/lib/*/jni/libnetty-tcnative.so",
            ],
        ),
    )
}


@dataclass(frozen=True)
class Printed:
    """What a program wrote, and how it ended."""

    code: int
    lines: list[str]
    told: str


@dataclass(frozen=True)
class Program:
    """A built example. All of them have the same flags."""

    path: Path

    def run(self, server: str, *flags: str, token: str | None = None, **options: str) -> Printed:
        """Ask the server. `options` are flags with a value, "_" for "-"; a token goes by the environment."""
        named = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        # In the C locale Java cannot read an emoji from its arguments.
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **({} if token is None else {"EXPLICATE_TOKEN": token})}
        done = subprocess.run(
            [self.path, "--server", server, *named, *flags],
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        return Printed(done.returncode, done.stdout.splitlines(), done.stderr)

    def ask(self, server: str, call: Call, *flags: str, token: str | None = None, **options: str) -> Printed:
        """Ask a golden call."""
        chosen = {name: str(value) for name, value in vars(call.options).items() if value is not None}
        cells = [f"{name}={'' if value is None else value}" for name, value in (call.row or {}).items()]
        rows = [word for cell in cells for word in ("--row", cell)]
        text = {"text": call.text} if call.text else {}
        return self.run(server, *rows, *flags, token=token, model=call.model, **text, **chosen, **options)
