"""The command line as tests use it: its JSON, and what it writes to a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

# What would speak for another terminal than the one a command is given.
_OF_TERMINALS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
COLOUR = re.compile(r"\x1b\[[\d;]*\b[34]8;2;")


def documents(out: str) -> list[dict]:
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in out.splitlines()]


def in_terminal(*argv: str, **environment: str) -> tuple[int, str]:
    """Exit code and everything that a command writes to a terminal of 100 columns."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in _OF_TERMINALS}
    process = subprocess.Popen(
        [sys.executable, "-m", "explicate", *argv],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
    )
    os.close(terminal)
    written = b""
    try:
        while chunk := os.read(controller, 65536):
            written += chunk
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(controller)
    return process.wait(), written.decode()
