"""The commands that ask a server: `explicate predict`, `explain`, `score`, `models`, `health` and `replay`.

One file per command. `connection` and `inputs` hold the options they share; `printers` has the ways to show an answer,
`terminal` the one for people at a terminal with rich. Nothing here imports gRPC or rich before a command runs.
"""

from __future__ import annotations

import argparse

from explicate.cli import explain, health, models, predict, replay, score, summarize


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the client's commands to the command line."""
    for command in (predict, explain, score, summarize, models, health, replay):
        command.register(subparsers)
