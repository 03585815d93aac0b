"""The options that say which server and which model to ask, and how the answer is printed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from explicate._wire.channel import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, Tls
from explicate.contexts.chosen import (
    CONTEXT_VARIABLE,
    MODEL_VARIABLE,
    SERVER_VARIABLE,
    TOKEN_VARIABLE,
    Chosen,
    chosen,
)
from explicate.errors import ErrorDetails, Unavailable, UsageError

if TYPE_CHECKING:
    from explicate.async_client import AsyncClient
    from explicate.client import Client


class _Access(TypedDict):
    """How a client reaches its server."""

    tls: Tls | bool
    token: str | None
    allow_plain_token: bool


FORMATS = ("text", "json", "csv")


def add_server_options(parser: argparse.ArgumentParser, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """--server, --context and --timeout."""
    group = parser.add_argument_group("server")
    group.add_argument(
        "--server",
        metavar="HOST:PORT",
        help=f"the server to ask (environment: {SERVER_VARIABLE}; default: that of the context, else {DEFAULT_TARGET})",
    )
    group.add_argument(
        "--context",
        metavar="NAME",
        help=f"ask the server of this context (environment: {CONTEXT_VARIABLE}; see explicate context)",
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
    group.add_argument(
        "--model",
        metavar="NAME",
        help=f"the model to ask (environment: {MODEL_VARIABLE}; default: the context's, else the only one served)",
    )
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


class _Format(argparse.Action):
    """Takes table, wide, json or csv, and text, which is another word for table."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        _option: str | None = None,
    ) -> None:
        namespace.wide = values == "wide"
        setattr(namespace, self.dest, "text" if values in ("table", "wide") else values)


def add_format_option(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """-o or --format; text is for people, the others for programs. `wide` is text with more columns."""
    add_format(parser, formats, default="text" if sys.stdout is not None and sys.stdout.isatty() else "json")
    parser.set_defaults(wide=False)


def add_format(
    parser: argparse.ArgumentParser,
    formats: Sequence[str],
    *,
    default: str,
    told: str = "table on a terminal, else json",
) -> None:
    """The same with a default of its own, which the help tells."""
    programs = [each for each in formats if each != "text"]
    parser.add_argument(
        "-o",
        "--format",
        action=_Format,
        choices=("table", "wide", *programs, "text"),
        metavar="|".join(["table", "wide", *programs]),
        default=default,
        help=f"how to print the answer; wide: a table with all there is (default: {told})",
    )


def connect(arguments: argparse.Namespace) -> Client:
    """A client for the server of `arguments`."""
    from explicate.client import Client

    found = settings(arguments)
    return Client(found.server, timeout_s=arguments.timeout, **_access(found))


def connect_async(arguments: argparse.Namespace) -> AsyncClient:
    """The same for asyncio."""
    from explicate.async_client import AsyncClient

    found = settings(arguments)
    return AsyncClient(found.server, timeout_s=arguments.timeout, **_access(found))


def settings(arguments: argparse.Namespace) -> Chosen:
    """Which server, model and token count, by the flags, the environment and the contexts; see `contexts.chosen`."""
    found = chosen(
        server=arguments.server,
        context=arguments.context,
        model=getattr(arguments, "model", None),
        token_file=getattr(arguments, "token_file", None),
    )
    arguments.context_asked = found.context  # for the sentence about a server that cannot be reached
    given = {
        name: value
        for name in ("ca", "cert", "key", "server_name")
        if (value := getattr(arguments, f"tls_{name}", None))
    }
    tls = Tls(**given) if given else "tls" in arguments or found.tls
    return replace(found, tls=tls, allow_plain_token="allow_plain_token" in arguments or found.allow_plain_token)


def _access(found: Chosen) -> _Access:
    return {"tls": found.tls, "token": found.token, "allow_plain_token": found.allow_plain_token}


def chosen_model(client: Client, arguments: argparse.Namespace) -> str:
    """The model of `arguments`, of the environment or the context, or the only one that is served."""
    if model := settings(arguments).model:
        return model
    statuses = client.list_models()
    names = sorted({status.model for status in statuses if status.state == "ready"})
    if not names:
        states = ", ".join(f"{s.model} {s.version} is {s.state}{f': {s.reason}' if s.reason else ''}" for s in statuses)
        message = f"the server at {client.target} does not serve a model now ({states or 'it does not know any'})"
        raise Unavailable(message, ErrorDetails(code="UNAVAILABLE"))
    if len(names) > 1:
        raise UsageError(f"the server serves several models: {', '.join(names)}; choose one with --model NAME")
    return names[0]
