"""The command `explicate console`: the web page for a server, and its HTTP/JSON API."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from explicate.cli import connection
from explicate.contexts.chosen import Chosen
from explicate.errors import UsageError
from explicate.reading import notes
from explicate_console.console_settings import ConsoleSettings

_EPILOG = """examples:
  explicate console                                 the server of --server or EXPLICATE_SERVER, at 127.0.0.1:8600
  explicate console --rows scored/ --audit audit.jsonl
  explicate console --server models.internal:8500 --tls
  explicate console --listen 0.0.0.0:8600 --allow-others --console-cert page.pem --console-key page.key

It prints the page's URL, and ends with Ctrl-C. It never sends a token of its own: each browser gives the one of
its user, which stays in that tab.

It is also the server's HTTP/JSON API (Connect protocol), for every method:
  curl -H 'content-type: application/json' -d '{}' 127.0.0.1:8600/grpc.health.v1.Health/Check
docs/api.md has more such lines."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "console",
        help="the web page: try, compare, models, rows, audit",
        description="Serve a web page for a server, and the server's methods as HTTP/JSON.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rows",
        metavar="FOLDER",
        type=Path,
        action="append",
        default=[],
        help="a folder of explicate score to look at (may be repeated)",
    )
    parser.add_argument("--audit", metavar="FILE", type=Path, help="the server's audit log, to look requests up in")
    group = parser.add_argument_group("page")
    group.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:8600", help="default: %(default)s")
    group.add_argument(
        "--allow-others",
        action="store_true",
        help="let other machines reach the page: they can ask the server, and see the --rows folders and the audit log",
    )
    group.add_argument(
        "--host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name by which browsers ask for the page, such as that of a proxy before it (may be repeated)",
    )
    group.add_argument("--console-cert", metavar="FILE", type=Path, help="serve the page encrypted (PEM)")
    group.add_argument("--console-key", metavar="FILE", type=Path, help="the key of --console-cert")
    connection.add_server_options(parser)
    parser.set_defaults(run=run, extra="console")


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from explicate_console.serving import serve

    found = connection.settings(arguments)
    if found.token is not None:
        notes.say("the console does not send your token for those who open it: give it in the page, under Token")
    serve(_settings(arguments, found))
    return 0


def _settings(arguments: argparse.Namespace, found: Chosen) -> ConsoleSettings:
    if not 0 < arguments.timeout < math.inf:
        raise UsageError(f"--timeout {arguments.timeout:g}: give a number of seconds above 0")
    return ConsoleSettings(
        server=found.server,
        tls=found.tls,
        timeout_s=arguments.timeout,
        allow_plain_token=found.allow_plain_token,
        listen=arguments.listen,
        others=arguments.allow_others,
        cert=arguments.console_cert,
        key=arguments.console_key,
        hosts=tuple(arguments.host),
        rows=tuple(arguments.rows),
        audit=arguments.audit,
    )
