"""`explicate health`: whether a server, or one model of it, is ready; for probes of containers."""

from __future__ import annotations

import argparse
import json

from explicate._wire.health_check import health, service_of
from explicate.cli import connection
from explicate.errors import DeadlineExceeded, NotFound, Unavailable

_SERVING = "serving"
_EXIT_NOT_SERVING = 3  # as for a server that cannot be reached: the caller should wait, or ask another
_EPILOG = """examples:
  explicate health                           the server of --server or EXPLICATE_SERVER
  explicate health 127.0.0.1:8500 --model reviews
  explicate health --alive                   also while models are loading
  explicate health -o json                   {"server": ..., "model": ..., "state": "serving"}

Exit code 0 if it serves, else 3. It is light enough for an exec probe: gRPC alone is loaded."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "health",
        help="whether a server is ready",
        description="Ask a server, or one model of it, whether it serves (grpc.health.v1).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("address", metavar="HOST:PORT", nargs="?", help="the server to ask, instead of --server")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", metavar="NAME", help="whether this model answers")
    which.add_argument("--alive", action="store_true", help="whether the process answers, with or without a model")
    connection.add_format(parser, ("text", "json"), default="text", told="table, which is one word")
    connection.add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the state; 0 if it serves."""
    if arguments.address:
        arguments.server, arguments.context = arguments.address, None
    server = connection.settings(arguments)
    try:
        state = health(
            server.server,
            service_of(arguments.model, alive=arguments.alive),
            timeout_s=arguments.timeout,
            tls=server.tls,
            token=server.token,
            allow_plain_token=server.allow_plain_token,
        )
    except NotFound:  # the protocol's word for a service that the server does not know
        state = "unknown"
    except DeadlineExceeded:  # a server that hangs does not serve
        state = "no answer in time"
    except Unavailable:
        if arguments.format == "json":
            _print(arguments, server.server, "unreachable")
        raise
    _print(arguments, server.server, state)
    return 0 if state == _SERVING else _EXIT_NOT_SERVING


def _print(arguments: argparse.Namespace, server: str, state: str) -> None:
    if arguments.format == "json":
        print(json.dumps({"server": server, "model": arguments.model, "state": state}))
    else:
        print(state)
