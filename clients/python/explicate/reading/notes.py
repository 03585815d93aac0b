"""What a command says on stderr besides its answers and errors: notes and progress, which `--quiet` leaves out."""

from __future__ import annotations

import sys


class _Voice:
    quiet = False


def be_quiet(quiet: bool) -> None:
    """Whether notes are left out from now on, in this process."""
    _Voice.quiet = quiet


def is_quiet() -> bool:
    """Whether they are left out."""
    return _Voice.quiet


def say(text: str) -> None:
    """One line on stderr, at once, unless a command is quiet."""
    if not _Voice.quiet:
        print(f"explicate: {text}", file=sys.stderr, flush=True)
