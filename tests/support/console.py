"""The console as a process of its own, for tests that look at it from outside."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def console_process(target: str, *flags: str, environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """`explicate console` for the server at `target`; yields the URL of its page once it answers."""
    with started_console(target, *flags, environ=environ) as (_, url):
        yield url


@contextmanager
def started_console(
    target: str, *flags: str, environ: Mapping[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The same, with its process; a later --listen among the flags counts."""
    command = [sys.executable, "-m", "explicate", "console", "--server", target]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise AssertionError(f"the console did not start: {process.communicate()[1]}")
        yield process, url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()
