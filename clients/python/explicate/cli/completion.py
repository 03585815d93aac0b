"""`explicate completion`: a script that lets a shell complete commands, options, names and files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, TypeVar

from explicate.cli import connection
from explicate.contexts.context_file import context_path, read_contexts
from explicate.errors import ExplicateError

if TYPE_CHECKING:
    from explicate.client import Client

_Told = TypeVar("_Told")
_SHELLS = ("bash", "zsh", "fish")
_TIMEOUT_S = 1.0  # of a question to the server, while somebody waits at a prompt

_EPILOG = """examples:
  eval "$(explicate completion bash)"                                        in this shell, or from ~/.bashrc
  explicate completion zsh > "${fpath[1]}/_explicate"                        then begin a new shell
  explicate completion fish > ~/.config/fish/completions/explicate.fish

Names of models, labels and methods come from the server of the context in use (see explicate context) or of
EXPLICATE_SERVER, within a second; without one nothing is offered. --list NAMES prints them, as the scripts do."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "completion",
        help="a script with which a shell completes what you type",
        description="Print the script that lets a shell complete commands, options, names and files.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("shell", nargs="?", choices=_SHELLS, metavar="|".join(_SHELLS), help="the shell")
    what.add_argument("--list", choices=tuple(_NAMES), metavar="NAMES", help=f"print names: {', '.join(_NAMES)}")
    connection.add_server_options(parser, timeout_s=_TIMEOUT_S)
    parser.set_defaults(run=run, extra="cli")


def run(arguments: argparse.Namespace) -> int:
    """Print the script, or names."""
    if arguments.list:
        for name in sorted(set(_NAMES[arguments.list](arguments))):
            if _is_harmless(name):
                print(name)
        return 0
    import shtab

    from explicate.cli.main import build_parser

    parser = build_parser()
    _mark(parser, arguments.shell)
    print(shtab.complete(parser, shell=arguments.shell))
    return 0


def _mark(parser: argparse.ArgumentParser, shell: str) -> None:
    """Say of each argument of a parser, and of those below it, what completes it."""
    import shtab

    kinds = {"file": shtab.FILE, "folder": shtab.DIRECTORY}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                _mark(each, shell)
        elif kind := _kind_of(action, parser.prog):
            action.complete = kinds.get(kind) or shtab.cmd(f"explicate completion --list {kind} 2>/dev/null")  # type: ignore[attr-defined]  # shtab's own


# What the values are, by the words of the helps.
_OF_METAVAR = {
    **dict.fromkeys(("FILE", "FILES", "CONFIG", "AUDIT.jsonl", "IMAGE"), "file"),
    **dict.fromkeys(("DIR", "FOLDER", "RUN"), "folder"),
}
_OF_DEST = {"model": "models", "label": "labels", "method": "methods", "explain": "methods", "context": "contexts"}


def _kind_of(action: argparse.Action, prog: str) -> str | None:
    """What completes an argument: file, folder, or a list of names; None for what only the user knows."""
    if action.nargs == 0 or action.choices:
        return None
    if action.dest == "name":  # an argument of the commands below `models` and `context`
        group = prog.split()[1]
        return {"models": "models", "context": "contexts"}.get(group)
    if action.dest in _OF_DEST:
        return _OF_DEST[action.dest]
    return _OF_METAVAR.get(str(action.metavar))


def _models(arguments: argparse.Namespace) -> Iterator[str]:
    yield from (status.model for status in _asked(arguments, lambda client: client.list_models()))


def _labels(arguments: argparse.Namespace) -> Iterator[str]:
    for status in _asked(arguments, lambda client: client.list_models()):
        yield from status.labels


def _methods(arguments: argparse.Namespace) -> Iterator[str]:
    yield from _asked(arguments, lambda client: client.get_model(connection.chosen_model(client, arguments)).methods)


def _contexts(_arguments: argparse.Namespace) -> Iterator[str]:
    try:
        yield from read_contexts(context_path()).contexts
    except ExplicateError:
        return


_NAMES: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "models": _models,
    "labels": _labels,
    "methods": _methods,
    "contexts": _contexts,
}


def _asked(arguments: argparse.Namespace, ask: Callable[[Client], Collection[_Told]]) -> Collection[_Told]:
    """What the server says; nothing if it cannot be asked: a prompt is no place for an error."""
    try:
        with connection.connect(arguments) as client:
            return ask(client)
    except ExplicateError:
        return ()


def _is_harmless(name: str) -> bool:
    """Whether a shell takes it as one plain word: bash would run a $(command) in the name of a stranger's model."""
    return all(each.isalnum() or each in "._-" or (each > "\x7f" and each.isprintable()) for each in name)
