"""The command `explicate console`: the web page for a server, and its HTTP/JSON API."""

from __future__ import annotations

import argparse
from pathlib import Path

from explicate.cli import connection

_EPILOG = """examples:
  explicate console                                 the server of --server or EXPLICATE_SERVER, at 127.0.0.1:8600
  explicate console --rows scored/ --audit audit.jsonl
  explicate console --server models.internal:8500 --tls

It is also the server's HTTP/JSON API (Connect protocol), for every method:
  curl -H 'content-type: application/json' -d '{}' 127.0.0.1:8600/explicate.v1.ModelService/ListModels"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "console",
        help="the web page: try, compare, models, rows, audit",
        description="Serve a web page for a server, and the server's methods as HTTP/JSON.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:8600", help="default: %(default)s")
    parser.add_argument(
        "--rows",
        metavar="FOLDER",
        type=Path,
        action="append",
        default=[],
        help="a folder of explicate score to look at (may be repeated)",
    )
    parser.add_argument("--audit", metavar="FILE", type=Path, help="the server's audit log, to look requests up in")
    connection.add_server_options(parser)
    parser.set_defaults(run=run, extra="console")


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from explicate_console.console_settings import ConsoleSettings
    from explicate_console.serving import serve

    found = connection.settings(arguments)
    serve(
        ConsoleSettings(
            server=found.server,
            tls=found.tls,
            listen=arguments.listen,
            rows=tuple(arguments.rows),
            audit=arguments.audit,
        )
    )
    return 0
