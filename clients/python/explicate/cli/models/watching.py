"""`explicate models watch`: the state of every version, then every change, a line each."""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING

from explicate.cli import json_lines, tables
from explicate.cli.models.action import add_shared_options, connect
from explicate.errors import DeadlineExceeded
from explicate.model_info import ModelStatus

if TYPE_CHECKING:
    from explicate.cli.models.action import Actions


def register(actions: Actions) -> None:
    """Add the action."""
    watch = actions.add_parser(
        "watch",
        help="every state, then every change, until interrupted",
        description="Print the state of every version, then every change; Ctrl-C or --timeout ends it.",
        argument_default=argparse.SUPPRESS,
    )
    watch.add_argument("name", metavar="NAME", nargs="?", default=None, help="only this model")
    add_shared_options(watch)
    watch.set_defaults(run=run_watch)


def run_watch(arguments: argparse.Namespace) -> int:
    """Print changes as they come."""
    heard = False
    with connect(arguments, timeout_s=math.inf) as client:
        try:
            for changes in client.watch_models(arguments.name):
                heard = True
                for status in changes.statuses:
                    print(_line(status) if arguments.format == "text" else json_lines.dumps(status), flush=True)
        except DeadlineExceeded:
            if not heard:
                raise
    return 0


def _line(status: ModelStatus) -> str:
    labels = f" [{', '.join(status.labels)}]" if status.labels else ""
    reason = f": {status.reason}" if status.reason else ""
    return tables.printable(
        f"{time.strftime('%H:%M:%S')}  {status.model} version {status.version} {status.state}{labels}{reason}"
    )
