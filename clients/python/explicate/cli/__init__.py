"""The commands that ask a server: `explicate predict`, `explain`, `score`, `models`, `health` and `replay`.

One file per command. `connection` and `inputs` hold the options they share; `printers` has the ways to show an answer,
`terminal` the one for people at a terminal with rich. Nothing here imports gRPC or rich before a command runs.
"""

from __future__ import annotations

import argparse
import importlib

COMMANDS = ("predict", "explain", "score", "summarize", "models", "health", "replay", "context", "completion")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the client's commands to the command line."""
    for command in COMMANDS:
        register_one(command, subparsers)


def register_one(command: str, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add one of them, importing no other: a probe must be quick."""
    importlib.import_module(f"explicate.cli.{command}").register(subparsers)
