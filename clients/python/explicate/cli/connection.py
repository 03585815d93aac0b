"""The options that say which server and which model to ask, and how the answer is printed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from explicate._wire.channel import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, Tls
from explicate.errors import ErrorDetails, Unavailable, UsageError

if TYPE_CHECKING:
    from explicate.async_client import AsyncClient
    from explicate.client import Client


class _Access(TypedDict):
    """How a client reaches its server."""

    timeout_s: float
    tls: Tls | bool
    token: str | None
    allow_plain_token: bool


SERVER_VARIABLE = "EXPLICATE_SERVER"
TOKEN_VARIABLE = "EXPLICATE_TOKEN"  # noqa: S105 - a name
FORMATS = ("text", "json", "csv")


def add_server_options(parser: argparse.ArgumentParser, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """--server and --timeout."""
    group = parser.add_argument_group("server")
    group.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get(SERVER_VARIABLE) or DEFAULT_TARGET,
        help=f"the server to ask (environment: {SERVER_VARIABLE}; default: {DEFAULT_TARGET})",
    )
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=timeout_s,
        help=f"give up on a call after this long (default: {timeout_s:g})",
    )
    add_access_options(parser)


def add_access_options(parser: argparse.ArgumentParser) -> None:
    """--tls and what belongs to it, --token-file and --allow-plain-token; absent ones are not set."""
    group = parser.add_argument_group("access", argument_default=argparse.SUPPRESS)
    group.add_argument("--tls", action="store_true", help="encrypt, and check the server by the usual certificates")
    group.add_argument("--tls-ca", metavar="FILE", help="encrypt, and check the server by these certificates (PEM)")
    group.add_argument("--tls-cert", metavar="FILE", help="this client's certificate, for servers that ask for one")
    group.add_argument("--tls-key", metavar="FILE", help="its key")
    group.add_argument(
        "--tls-server-name", metavar="NAME", help="the name in the server's certificate, if it is not the host asked"
    )
    # Never the token itself: everybody on the machine can read the arguments of a process.
    group.add_argument("--token-file", metavar="FILE", help=f"file with the token (environment: {TOKEN_VARIABLE})")
    group.add_argument(
        "--allow-plain-token", action="store_true", help="send the token unencrypted to another machine too"
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model, --version and --label."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="NAME", help="the model to ask (default: the only one that is served)")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--version", metavar="N", type=int, help="this version (default: the live one)")
    which.add_argument("--label", metavar="LABEL", help="the version with this label")


def add_bulk_options(parser: argparse.ArgumentParser) -> None:
    """--bulk and --in-flight."""
    parser.add_argument(
        "--bulk",
        dest="priority",
        action="store_const",
        const="bulk",
        help="batch work: many calls at once, which let interactive requests go first and wait for a server that is "
        "full or restarts; the answers keep their order",
    )
    parser.add_argument(
        "--in-flight",
        metavar="N",
        default="auto",
        help="with --bulk, calls under way at once; auto finds out what the server takes (default: auto)",
    )


def calls_in_flight(arguments: argparse.Namespace) -> int | Literal["auto"]:
    """What --in-flight says; raises UsageError for what is not a number from 1, or without --bulk."""
    if arguments.in_flight == "auto":
        return "auto"
    if not arguments.in_flight.isdecimal() or not int(arguments.in_flight):
        raise UsageError(f"--in-flight {arguments.in_flight}: give a number of calls from 1, or auto")
    if arguments.priority != "bulk":
        raise UsageError("--in-flight needs --bulk")
    return int(arguments.in_flight)


def add_format_option(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """--format; text is for people, the others for programs."""
    parser.add_argument(
        "--format",
        choices=formats,
        default="text" if sys.stdout.isatty() else "json",
        help="how to print the answer (default: text on a terminal, else json)",
    )


def connect(arguments: argparse.Namespace) -> Client:
    """A client for the server of `arguments`."""
    from explicate.client import Client

    return Client(arguments.server, **_access(arguments))


def connect_async(arguments: argparse.Namespace) -> AsyncClient:
    """The same for asyncio."""
    from explicate.async_client import AsyncClient

    return AsyncClient(arguments.server, **_access(arguments))


def _access(arguments: argparse.Namespace) -> _Access:
    return {
        "timeout_s": arguments.timeout,
        "tls": _tls(arguments),
        "token": _token(arguments),
        "allow_plain_token": "allow_plain_token" in arguments,
    }


def _tls(arguments: argparse.Namespace) -> Tls | bool:
    given = {
        name: value
        for name in ("ca", "cert", "key", "server_name")
        if (value := getattr(arguments, f"tls_{name}", None))
    }
    return Tls(**given) if given else "tls" in arguments


def _token(arguments: argparse.Namespace) -> str | None:
    """The token of --token-file, else of the environment."""
    path = getattr(arguments, "token_file", None)
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the token in {path}: {getattr(error, 'strerror', None) or error}") from None


def chosen_model(client: Client, arguments: argparse.Namespace) -> str:
    """The model of `arguments`, or the only one that is served."""
    if arguments.model:
        return str(arguments.model)
    statuses = client.list_models()
    names = sorted({status.model for status in statuses if status.state == "ready"})
    if not names:
        states = ", ".join(f"{s.model} {s.version} is {s.state}{f': {s.reason}' if s.reason else ''}" for s in statuses)
        message = f"the server at {client.target} does not serve a model now ({states or 'it does not know any'})"
        raise Unavailable(message, ErrorDetails(code="UNAVAILABLE"))
    if len(names) > 1:
        raise UsageError(f"the server serves several models: {', '.join(names)}; choose one with --model NAME")
    return names[0]
