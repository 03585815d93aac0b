"""`explicate models`: what a server serves, and changing it; one file per group of actions."""

from __future__ import annotations

import argparse

from explicate.cli import connection
from explicate.cli.models import changing, showing

_EPILOG = """examples:
  explicate models                               every version the server knows
  explicate models show reviews                  labels or columns, methods, limits, metrics of the live version
  explicate models show reviews --card           its model card
  explicate models load reviews                  load the newest version beside the live one
  explicate models activate reviews 3            verify and load version 3, then let it answer
  explicate models activate reviews 3 --expect 2     only if version 2 is live now
  explicate models rollback reviews              back to the version before, at once
  explicate models load reviews 3 --override-standard "agreed with risk, ticket 7"   though it was refused
  explicate models activate reviews 3 --label canary
  explicate models traffic reviews --canary 0.05 --shadow 0.2
  explicate models watch                         every state, then every change"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own subcommands."""
    parser = subparsers.add_parser(
        "models",
        help="what the server serves; load, activate, roll back",
        description="List the models of a server, show one, or change what is served.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    connection.add_format_option(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=showing.run_list, timeout=None)  # the actions have defaults of their own
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    for add in (showing.register, changing.register, showing.register_watch):
        add(actions)
