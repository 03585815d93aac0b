"""The command `explicate token`: makes tokens and adds them to the file that `explicate serve --tokens` reads."""

import argparse
import os
import sys
from pathlib import Path

from explicate.errors import ExplicateError, UsageError
from explicate_server.security.tokens import (
    MOST_TOKENS,
    TOKEN_NAME,
    Token,
    digest_of,
    line_of,
    new_token,
    parse_rights,
    read_tokens,
)

VARIABLE = "EXPLICATE_TOKENS"
_DESCRIPTION = """\
Make a token for one user or program. It is printed once, on stdout; the file gets a line with its name, its
rights and its SHA-256, from which nobody can find the token. A server that runs with --tokens FILE lets it in
at once; to take it back, delete its line.
"""
_EPILOG = """\
rights: predict, explain, admin, and override-standard, which lets a version serve that does not meet
--require-standard (with admin, which loads it); any of them may list and read models
examples:
  explicate token create shop --rights predict,explain --tokens tokens > shop.token
  explicate predict --token-file shop.token "Great soup!"
"""


class _TokenError(ExplicateError):
    """The file of tokens cannot be used."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``token`` to the command line."""
    parser = subparsers.add_parser("token", help="make tokens for a server")
    parser.set_defaults(run=lambda _: _no_action(parser))
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    create = actions.add_parser(
        "create",
        help="make one, print it once",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    create.add_argument("name", metavar="NAME", help="who uses it; it is in the logs and the audit log")
    create.add_argument("--rights", metavar="RIGHTS", required=True, help="such as predict,explain")
    create.add_argument(
        "--tokens",
        metavar="FILE",
        default=os.environ.get(VARIABLE),
        help=f"file of tokens; made when it is missing (environment: {VARIABLE})",
    )
    create.set_defaults(run=run)


def _no_action(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return 2


def run(arguments: argparse.Namespace) -> int:
    """Make a token; returns the exit code."""
    if not arguments.tokens:
        raise UsageError(f"say which file the server reads: --tokens FILE, or {VARIABLE}")
    try:
        rights = parse_rights(arguments.rights)
    except ValueError as error:
        raise UsageError(f"--rights {arguments.rights}: {error}") from None
    secret = new_token()
    _append(Path(arguments.tokens), Token(arguments.name, rights, digest_of(secret)))
    print(secret)
    print(f"token: {arguments.name} may {arguments.rights}; this is the only time it is shown", file=sys.stderr)
    return 0


def _append(path: Path, token: Token) -> None:
    if not TOKEN_NAME.fullmatch(token.name):
        raise UsageError(f"{token.name!r} is not a name: letters, digits, '.', '_' and '-', 64 at most")
    try:
        # Read first: a broken file is repaired by hand, not made longer.
        known = read_tokens(path) if path.exists() else ()
        if len(known) >= MOST_TOKENS:  # with one more the server could not read it again
            raise UsageError(f"{path} has {MOST_TOKENS:,} tokens, the most there may be; delete lines that nobody uses")
        if any(other.name == token.name for other in known):
            raise UsageError(f"{path} has a token {token.name!r} already; delete its line, or choose another name")
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(f"{'' if _ends_a_line(path) else chr(10)}{line_of(token)}\n")
    except (OSError, ValueError) as error:
        raise _TokenError(f"cannot add to {path}: {getattr(error, 'strerror', None) or error}") from None


def _ends_a_line(path: Path) -> bool:
    text = path.read_bytes()
    return not text or text.endswith(b"\n")
