"""`explicate models load`, `unload`, `activate`, `rollback`, `remove-label` and `traffic`: changing what is served."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from explicate import json_documents
from explicate._wire.channel import DEFAULT_TIMEOUT_S
from explicate.cli import connection

if TYPE_CHECKING:
    from explicate.client import Client
    from explicate.model_info import ModelStatus, Switched

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


def add_shared_options(parser: argparse.ArgumentParser, formats: Sequence[str] = ("text", "json")) -> None:
    """The options of `models` itself, which may also come after the action."""
    parser.add_argument("--server", metavar="HOST:PORT", help="the server to ask")
    parser.add_argument("--context", metavar="NAME", help="ask the server of this context")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="give up on a call after this long")
    connection.add_format(parser, formats, default=argparse.SUPPRESS)
    connection.add_access_options(parser)


def connect(arguments: argparse.Namespace, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Client:
    """A client whose calls take at most --timeout, or `timeout_s` if that was not given."""
    if arguments.timeout is None:
        arguments.timeout = timeout_s
    return connection.connect(arguments)


# A large model takes minutes to load on a busy machine.
_TIMEOUT_S = 600.0
_ON = (
    "A change that has begun goes on when this command is interrupted; `explicate models watch` shows how."
    f" --timeout is {_TIMEOUT_S:g} unless given."
)


def register(actions: Actions) -> None:
    """Add the actions."""
    load = add_action(actions, "load", "load a version beside those that serve", run=run_load, about=_ON)
    load.add_argument("version", metavar="VERSION", type=int, nargs="?", default=None, help="default: the newest")
    _add_override_option(load)
    activate = add_action(actions, "activate", "let a version answer: load it, then move a label", run=run_activate)
    activate.description = (
        f"Verify, load and warm up a version, then move the label to it. A failure changes nothing. {_ON}"
    )
    activate.add_argument("version", metavar="VERSION", type=int, help="the version")
    _add_label_options(activate)
    _add_override_option(activate)
    rollback = add_action(actions, "rollback", "back to the version before", run=run_rollback, about=_ON)
    _add_label_options(rollback)
    unload = add_action(actions, "unload", "take a version without labels out of memory", run=run_unload, about=_ON)
    unload.add_argument("version", metavar="VERSION", type=int, help="the version")
    remove = add_action(
        actions, "remove-label", "remove a label; its version leaves the memory unless held", run=run_remove_label
    )
    remove.add_argument("label", metavar="LABEL", help="the label")
    _add_expect_option(remove)
    traffic = add_action(actions, "traffic", "give the version labelled canary a share of requests", run=run_traffic)
    traffic.description = (
        "Set both shares; one that is not given is 0. `explicate models show NAME` tells what shadowing found."
    )
    traffic.add_argument(
        "--canary", metavar="SHARE", type=float, default=0.0, help="share of the requests that it answers, 0 to 1"
    )
    traffic.add_argument(
        "--shadow",
        metavar="SHARE",
        type=float,
        default=0.0,
        help="share of the others that it also answers, 0 to 1",
    )


def run_load(arguments: argparse.Namespace) -> int:
    """Load a version."""
    with connect(arguments, timeout_s=_TIMEOUT_S) as client:
        status = client.load_model(
            arguments.name, version=arguments.version, override_standard=arguments.override_standard
        )
    return _print_status(status, arguments)


def run_unload(arguments: argparse.Namespace) -> int:
    """Take a version out of memory."""
    with connect(arguments, timeout_s=_TIMEOUT_S) as client:
        status = client.unload_model(arguments.name, arguments.version)
    return _print_status(status, arguments)


def run_activate(arguments: argparse.Namespace) -> int:
    """Move a label to a version."""
    with connect(arguments, timeout_s=_TIMEOUT_S) as client:
        switched = client.activate_version(
            arguments.name,
            arguments.version,
            label=arguments.label,
            expected_version=arguments.expect,
            override_standard=arguments.override_standard,
        )
    return _print_switched(switched, arguments)


def run_rollback(arguments: argparse.Namespace) -> int:
    """Move a label back."""
    with connect(arguments, timeout_s=_TIMEOUT_S) as client:
        switched = client.rollback_model(arguments.name, label=arguments.label, expected_version=arguments.expect)
    return _print_switched(switched, arguments)


def run_remove_label(arguments: argparse.Namespace) -> int:
    """Remove a label."""
    with connect(arguments, timeout_s=_TIMEOUT_S) as client:
        status = client.remove_label(arguments.name, arguments.label, expected_version=arguments.expect)
    if arguments.format != "text":
        return _print_status(status, arguments)
    print(f"{status.model}: label {arguments.label} removed from version {status.version}, which is {status.state}")
    return 0


def run_traffic(arguments: argparse.Namespace) -> int:
    """Set the canary's shares."""
    with connect(arguments) as client:
        shares = client.set_traffic(arguments.name, canary_share=arguments.canary, shadow_share=arguments.shadow)
    if arguments.format == "text":
        print(
            f"{arguments.name}: the canary answers {shares.canary_share:.3g} of the requests"
            f" and shadows {shares.shadow_share:.3g} of the others"
        )
    else:
        print(json_documents.dumps(shares))
    return 0


def _add_label_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", metavar="LABEL", default="live", help="the label to move (default: live)")
    _add_expect_option(parser)


def _add_override_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--override-standard",
        metavar="REASON",
        default=None,
        help="let it serve even if it does not meet the standard that the server requires; for a token with the right "
        "override-standard, and written to the audit log with the reason",
    )


def _add_expect_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--expect", metavar="N", type=int, default=None, help="only if the label points at this version now; 0: nowhere"
    )


def _print_status(status: ModelStatus, arguments: argparse.Namespace) -> int:
    if arguments.format == "text":
        print(f"{status.model} version {status.version} is {status.state}{_served(status)}")
    else:
        print(json_documents.dumps(status))
    return 0


def _print_switched(switched: Switched, arguments: argparse.Namespace) -> int:
    status = switched.status
    if arguments.format == "text":
        before = f", version {switched.previous_version} before" if switched.previous_version else ""
        print(f"{status.model}: {arguments.label} is version {status.version}{_served(status)}{before}")
    else:
        print(json_documents.dumps(switched))
    return 0


def _served(status: ModelStatus) -> str:
    return f" on {status.runtime} in {status.precision}" if status.runtime else ""
