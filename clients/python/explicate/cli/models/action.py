"""What the actions of `explicate models` share: their options, and how they connect."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from explicate._wire.channel import DEFAULT_TIMEOUT_S
from explicate.cli import connection

if TYPE_CHECKING:
    from explicate.client import Client

    Actions = argparse._SubParsersAction[argparse.ArgumentParser]  # a generic class for type checkers only


def add_action(
    actions: Actions, name: str, text: str, *, run: Callable[[argparse.Namespace], int], about: str = ""
) -> argparse.ArgumentParser:
    """An action on one model, with the options that may also come before it; `about` says more than `text`."""
    # SUPPRESS: a default here would overwrite an option before the action.
    parser = actions.add_parser(name, help=text, description=about or None, argument_default=argparse.SUPPRESS)
    parser.add_argument("name", metavar="NAME", help="the model")
    add_shared_options(parser)
    parser.set_defaults(run=run)
    return parser


def add_shared_options(parser: argparse.ArgumentParser) -> None:
    """The options of `models` itself, which may also come after the action."""
    parser.add_argument("--server", metavar="HOST:PORT", help="the server to ask")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="give up on a call after this long")
    parser.add_argument("--format", choices=("text", "json"), help="how to print the answer")
    connection.add_access_options(parser)


def connect(arguments: argparse.Namespace, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Client:
    """A client whose calls take at most --timeout, or `timeout_s` if that was not given."""
    if arguments.timeout is None:
        arguments.timeout = timeout_s
    return connection.connect(arguments)
