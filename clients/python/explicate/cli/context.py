"""`explicate context`: named servers, with what belongs to each, in the file of contexts."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explicate import json_documents
from explicate.cli import connection
from explicate.contexts.chosen import CONTEXT_VARIABLE, SERVER_VARIABLE, context_name
from explicate.contexts.context_file import KEYS, Context, ContextFile, context_path, read_contexts, write_contexts
from explicate.errors import UsageError
from explicate.reading import notes
from explicate.views import tables

if TYPE_CHECKING:
    from collections.abc import Callable

_EPILOG = """examples:
  explicate context set local --server 127.0.0.1:8500
  explicate context set staging --server models.internal:8500 --tls-ca ca.pem --token-file token --model reviews
  explicate context use staging                  every command asks it from now on
  explicate models --context local               one command asks another
  explicate context delete local

The first of these that is there decides: --server, --context, EXPLICATE_SERVER, EXPLICATE_CONTEXT, the context in use,
127.0.0.1:8500. What belongs to a context (model, encryption, token) goes to its server only. EXPLICATE_MODEL and
EXPLICATE_TOKEN go before the context's own. A token is kept in a file or a variable, and only named here.
The file is ~/.config/explicate/config.toml, or below XDG_CONFIG_HOME. Python: explicate.Client.from_env()."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    parser = subparsers.add_parser(
        "context",
        help="name servers, and choose the one to ask",
        description="Name servers, with the model, encryption and token that belong to each, and choose one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    connection.add_format_option(parser, ("text", "json"))
    parser.set_defaults(run=run_list)
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    _add(actions, "list", "the contexts; * is the one that is asked", run_list, named=False)
    show = _add(actions, "show", "one in full (default: the one that is asked)", run_show, named=False)
    show.add_argument("name", metavar="NAME", nargs="?", default=None, help="the context")
    _add(actions, "use", "ask this one from now on", run_use)
    _add_keys(_add(actions, "set", "make one, or change what is given of one", run_set))
    _add(actions, "delete", "forget one", run_delete)


def _add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
    *,
    named: bool = True,
) -> argparse.ArgumentParser:
    # SUPPRESS: a default here would overwrite an option before the action.
    parser = actions.add_parser(name, help=text, argument_default=argparse.SUPPRESS)
    if named:
        parser.add_argument("name", metavar="NAME", help="the context")
    connection.add_format(parser, ("text", "json"), default=argparse.SUPPRESS)
    parser.set_defaults(run=run)
    return parser


def _add_keys(parser: argparse.ArgumentParser) -> None:
    """A flag for each key; an empty text takes the key away."""
    parser.description = "Make a context, or change what is given of one. An empty value ('') takes a key away."
    parser.add_argument("--server", metavar="HOST:PORT", help="its server; needed for a new one")
    parser.add_argument("--model", metavar="NAME", help="the model to ask where a command names none")
    for flag in ("--tls", "--allow-plain-token"):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=_SWITCHES[flag])
    parser.add_argument("--tls-ca", metavar="FILE", help="check the server by these certificates (PEM)")
    parser.add_argument("--tls-cert", metavar="FILE", help="this client's certificate")
    parser.add_argument("--tls-key", metavar="FILE", help="its key")
    parser.add_argument("--tls-server-name", metavar="NAME", help="the name in the server's certificate")
    parser.add_argument("--token-file", metavar="FILE", help="the file that holds the token")
    parser.add_argument("--token-env", metavar="VARIABLE", help="the variable that holds the token")
    parser.add_argument("--use", action="store_true", default=False, help="and ask it from now on")


_SWITCHES = {
    "--tls": "encrypt, and check the server by the usual certificates",
    "--allow-plain-token": "send the token unencrypted to another machine too",
}


def run_list(arguments: argparse.Namespace) -> int:
    """Print the contexts."""
    file = read_contexts(context_path())
    current = None if os.environ.get(SERVER_VARIABLE) else context_name(None, os.environ, file)
    if arguments.format == "json":
        for name in file.contexts:
            print(json_documents.dumps(_document(file, name, current)))
    elif file.contexts:
        rows = [
            ("*" if name == current else "", name, context.server, context.model or "")
            for name, context in file.contexts.items()
        ]
        print(tables.table(("", "NAME", "SERVER", "MODEL"), rows))
    if not file.contexts:
        notes.say("there are no contexts; explicate context set NAME --server HOST:PORT")
    if current is not None and current not in file.contexts:
        notes.say(f"the context in use, {current}, does not exist")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print one in full."""
    file = read_contexts(context_path())
    current = context_name(None, os.environ, file)
    name = arguments.name or current
    if name is None:
        raise UsageError("no context is in use; explicate context use NAME")
    context = file.context(name)
    if arguments.format == "json":
        print(json_documents.dumps(_document(file, name, current)))
        return 0
    lines = [("name", name), *((key, str(value).lower() if value is True else value) for key, value in _told(context))]
    width = max(len(key) for key, _ in lines)
    print("\n".join(f"{key:<{width}}  {tables.printable(str(value))}" for key, value in lines))
    return 0


def run_use(arguments: argparse.Namespace) -> int:
    """Choose one."""
    file = read_contexts(context_path())
    file.context(arguments.name)
    write_contexts(replace(file, current=arguments.name))
    _say(f"{arguments.name} is asked from now on")
    for name in (SERVER_VARIABLE, CONTEXT_VARIABLE):
        if os.environ.get(name):
            _say(f"note: {name} is set, and goes before it")
    return 0


def run_set(arguments: argparse.Namespace) -> int:
    """Make or change one."""
    name = arguments.name
    if not name or not name.isprintable():
        raise UsageError("a context needs a name of letters that can be printed")
    file = read_contexts(context_path())
    context = replace(file.contexts.get(name, Context("")), **_changes(arguments))
    if not context.server:
        raise UsageError(f"the context {name} needs a server: --server HOST:PORT")
    if (context.tls_cert is None) != (context.tls_key is None):
        raise UsageError("a client's certificate and its key belong together: --tls-cert FILE --tls-key FILE")
    current = name if arguments.use else file.current
    write_contexts(replace(file, current=current, contexts={**file.contexts, name: context}))
    _say(f"{name} is {context.server}{'' if name == current else f'; ask it with --context {name}'}")
    return 0


_PATHS = ("tls_ca", "tls_cert", "tls_key", "token_file")


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:  # Any: each key has a type of its own
    """The keys that were given; None or False takes one away. Paths are from where the command runs."""
    changes: dict[str, Any] = {key: getattr(arguments, key) or None for key in KEYS if key in arguments}
    for switch in ("tls", "allow_plain_token"):
        if switch in changes:
            changes[switch] = bool(changes[switch])
    if changes.get("token_file") and changes.get("token_env"):
        raise UsageError("--token-file and --token-env: give one of them")
    for one, other in (("token_file", "token_env"), ("token_env", "token_file")):
        if changes.get(one):
            changes[other] = None
    try:
        return changes | {key: str(Path(path).expanduser().absolute()) for key in _PATHS if (path := changes.get(key))}
    except RuntimeError:  # "~" without a home
        raise UsageError("there is no home directory for ~") from None


def run_delete(arguments: argparse.Namespace) -> int:
    """Forget one."""
    file = read_contexts(context_path())
    file.context(arguments.name)
    left = {name: context for name, context in file.contexts.items() if name != arguments.name}
    was_current = file.current == arguments.name
    write_contexts(replace(file, current=None if was_current else file.current, contexts=left))
    _say(f"{arguments.name} is forgotten" + ("; no context is in use now" if was_current else ""))
    return 0


def _told(context: Context) -> list[tuple[str, str | bool]]:
    return list(context.given().items())


def _document(file: ContextFile, name: str, current: str | None) -> dict[str, object]:
    return {"name": name, "current": name == current, **file.context(name).given()}


def _say(line: str) -> None:
    notes.say(tables.printable(line))
