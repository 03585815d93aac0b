"""The command `explicate`: finds the subcommands of every package and turns each failure into one sentence.

Subcommands come from the entry-point group `explicate.commands`. Each entry point is a function
`register(subparsers)` that adds its parsers, each with `set_defaults(run=...)`, a function from the parsed arguments
to the exit code. The entry point's name decides under which heading `explicate --help` shows them. `register` must be
cheap; heavy modules are imported inside `run`.

Exit codes: 0 ok, 1 some rows failed or the work could not be done, 2 wrong usage, 3 server unreachable.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata

from explicate import errors

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

COMMAND_GROUP = "explicate.commands"

# Headings of `explicate --help`, in the order in which a model is made and used, by the entry point's name.
_HEADINGS = {
    "training": "Make a model",
    "studies": "Make a model",
    "export": "Publish it as a bundle",
    "standards": "Measure it",
    "server": "Serve it",
    "client": "Ask a server",
}
_OTHER_HEADING = "More"

_ABOUT = "Predictions and the reasons for them: train, export, serve and explain models."
_START = """Start here:
  explicate models                      what the server at 127.0.0.1:8500 serves
  explicate predict "Great soup!"       a prediction
  explicate explain "Great soup!"       the prediction and what each word adds to it

Every command has its own help: explicate explain --help
Exit codes: 0 ok, 1 some rows failed, 2 wrong usage, 3 server unreachable."""

_Subparsers = argparse._SubParsersAction  # argparse offers no public name for what add_subparsers() returns


class _RootParser(argparse.ArgumentParser):
    """A parser whose help lists the commands under headings, which argparse itself cannot."""

    def __init__(self) -> None:
        super().__init__(prog="explicate", description=_ABOUT, allow_abbrev=False)
        self.commands: dict[str, list[tuple[str, str]]] = {heading: [] for heading in _HEADINGS.values()}
        self.add_argument("--version", action="version", version=f"explicate {metadata.version('explicate')}")
        self.add_argument("--debug", action="store_true", help="show the trace when something fails")

    def format_help(self) -> str:
        lines = ["usage: explicate [--debug] COMMAND ...", "", _ABOUT]
        for heading, commands in self.commands.items():
            if commands:
                lines += ["", f"{heading}:", *(f"  {name:<12}{text}" for name, text in commands)]
        lines += ["", "Options:", "  --help      this text, or a command's own", "  --version   the installed version"]
        lines += ["  --debug     show the trace when something fails", "", _START, ""]
        return "\n".join(lines)


def build_parser() -> argparse.ArgumentParser:
    """The parser with the commands of every installed package."""
    parser = _RootParser()
    subparsers: _Subparsers[argparse.ArgumentParser] = parser.add_subparsers(
        metavar="COMMAND", parser_class=argparse.ArgumentParser
    )
    found = {entry.name: entry for entry in metadata.entry_points(group=COMMAND_GROUP)}
    for name in sorted(found, key=_place):
        _register(found[name], subparsers, parser.commands.setdefault(_HEADINGS.get(name, _OTHER_HEADING), []))
    return parser


def _place(name: str) -> int:
    return list(_HEADINGS).index(name) if name in _HEADINGS else len(_HEADINGS)


def _register(
    entry: metadata.EntryPoint,
    subparsers: _Subparsers[argparse.ArgumentParser],
    listed: list[tuple[str, str]],
) -> None:
    """Add one package's commands; a package that cannot be loaded must not take the others with it."""
    known = set(subparsers.choices)
    try:
        entry.load()(subparsers)
    except ImportError as error:
        print(f"explicate: the commands of {entry.value} cannot be loaded: {error}", file=sys.stderr)
        return
    for action in subparsers._get_subactions():  # the help texts; argparse keeps them nowhere public
        if action.dest not in known:
            listed.append((action.dest, action.help or ""))
    for name in set(subparsers.choices) - known:
        _add_debug(subparsers.choices[name])


def _add_debug(parser: argparse.ArgumentParser) -> None:
    """Take --debug after the command too, and after a command's own subcommand."""
    # SUPPRESS: a subparser's default would overwrite a --debug before the command.
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show the trace of a failure")
    for action in parser._actions:
        if isinstance(action, _Subparsers):
            for subcommand in action.choices.values():
                _add_debug(subcommand)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return its exit code."""
    _set_up_streams()
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not hasattr(arguments, "run"):
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit would fail too
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("explicate: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:  # the last stop: a sentence for the user, the trace only when asked for
        if arguments.debug:
            traceback.print_exc()
        print(f"explicate: {_sentence(error, arguments)}", file=sys.stderr)
        return _exit_code(error)


def _set_up_streams() -> None:
    """Let any text be printed: a file or pipe gets UTF-8, a terminal of another encoding \\u escapes for what it lacks.

    Otherwise one character ends a command after all its work where the machine has a code page of old.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):  # a notebook's, or none at all
            continue
        if not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
            stream.reconfigure(encoding="utf-8")
        stream.reconfigure(errors="backslashreplace")


def _sentence(error: Exception, arguments: argparse.Namespace) -> str:
    if isinstance(error, errors.ExplicateError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("explicate"):
        package = error.name.partition(".")[0]
        extra = getattr(arguments, "extra", None)
        what = f"'explicate[{extra}]'" if extra else package
        return f"this command needs a package that is not installed ({package}): pip install {what}"
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


def _exit_code(error: Exception) -> int:
    if isinstance(error, errors.Unavailable):
        return EXIT_UNREACHABLE
    if isinstance(error, errors.UsageError | errors.InvalidArgument | errors.NotFound | errors.FailedPrecondition):
        return EXIT_USAGE
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
