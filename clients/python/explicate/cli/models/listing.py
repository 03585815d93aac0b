"""`explicate models` and `explicate models list`: every version the server knows."""

from __future__ import annotations

import argparse
import csv
import sys
from typing import TYPE_CHECKING

from explicate.cli import json_lines, tables
from explicate.cli.models.action import add_shared_options, connect
from explicate.model_info import ModelStatus

if TYPE_CHECKING:
    from explicate.cli.models.action import Actions

_COLUMNS = ("model", "version", "state", "labels", "kind", "runtime", "precision", "reason")


def register(actions: Actions) -> None:
    """Add the action, which is also what `models` does without one."""
    parser = actions.add_parser("list", help="every version the server knows", argument_default=argparse.SUPPRESS)
    add_shared_options(parser)
    parser.set_defaults(run=run_list)


def run_list(arguments: argparse.Namespace) -> int:
    """Print every version the server knows."""
    with connect(arguments) as client:
        statuses = client.list_models()
    if arguments.format == "json":
        for status in statuses:
            print(json_lines.dumps(status))
    elif arguments.format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([_COLUMNS, *map(_cells, statuses)])
    elif statuses:
        print(tables.table([name.upper() for name in _COLUMNS], map(_cells, statuses), right=(1,)))
    else:
        print(f"explicate: the server at {arguments.server} knows no models", file=sys.stderr)
    return 0


def _cells(status: ModelStatus) -> tuple[str, ...]:
    return (
        status.model,
        str(status.version),
        status.state,
        ", ".join(status.labels),
        status.kind,
        status.runtime,
        status.precision,
        status.reason,
    )
