"""The commands that ask a server: `explicate predict`, `explain`, `models`, `health` and `replay`.

One file per command; `connection` and `given` hold the options they share, `json_lines`, `tables`, `explanation_text`
and `explanation_terminal` are among the ways to show an answer. Nothing here imports gRPC or rich before a command
runs.
"""

from __future__ import annotations

import argparse

from explicate.cli import explain, health, models, predict, replay


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the client's commands to the command line."""
    for command in (predict, explain, models, health, replay):
        command.register(subparsers)
