"""The command `explicate` in this process, where the heavy imports are paid once, and its server in one of its own."""

import io
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

# What would change how a command prints.
_PRINTING = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
_OF_USERS = ("FORCE_COLOR", "LINES", "EXPLICATE_SERVER", "EXPLICATE_TOKEN", "EXPLICATE_CONTEXT", "EXPLICATE_MODEL")
# One thread and nothing kept between calls: an answer does not depend on the calls before it.
_SERVER_FLAGS = (
    *("--listen", "127.0.0.1:0", "--device", "cpu", "--threads", "1", "--runtime", "onnxruntime"),
    *("--max-memo-bytes", "0"),
)


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    def text(self) -> str:
        """All of it in one text."""
        parts = [f"exit code {self.code}\n"]
        parts += [f"--- {name}\n{text}" for name, text in (("stdout", self.out), ("stderr", self.err)) if text]
        return "".join(parts)


def explicate(*arguments: str) -> Said:
    """Runs `python -m explicate ARGUMENTS`, not on a terminal."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True) for _ in range(2))
    code: object = 0
    with (
        mock.patch.object(sys, "argv", ["explicate", *arguments]),
        mock.patch.dict(os.environ, _PRINTING),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        for name in _OF_USERS:
            os.environ.pop(name, None)
        try:
            runpy.run_module("explicate", run_name="__main__")
        except SystemExit as left:
            code = left.code
    assert isinstance(code, int)
    return Said(code, *(stream.buffer.getvalue().decode().replace("\r\n", "\n") for stream in (out, err)))


@contextmanager
def server(repository: Path, log: Path) -> Iterator[str]:
    """`explicate serve` on a repository; yields its address once it is ready."""
    command = [sys.executable, "-m", "explicate", "serve", "--repository", str(repository), *_SERVER_FLAGS]
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise AssertionError(f"the server did not start: {log.read_text(encoding='utf-8')}")
        yield address
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    finally:
        process.kill()
        process.communicate()
