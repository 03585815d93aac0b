"""The command `explicate`: finds the subcommands of every package and turns each failure into one sentence.

Subcommands come from the entry-point group `explicate.commands`. Each entry point is a function
`register(subparsers)` that adds its parsers, each with `set_defaults(run=...)`, a function from the parsed arguments
to the exit code. The entry point's name decides under which heading `explicate --help` shows them. `register` must be
cheap; heavy modules are imported inside `run`.

Exit codes: 0 ok, 1 some rows failed or the work could not be done, 2 wrong usage, 3 no server is there or it serves
nothing yet, 4 the server is full or did not answer in time. docs/cli.md has them all.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any  # Any: what argparse hands around

from explicate import errors
from explicate.cli import COMMANDS, register_one
from explicate.reading import notes
from explicate.reading.nearest import did_you_mean

if TYPE_CHECKING:
    from importlib import metadata

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_LATER = 4
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
    "console": "Ask a server",
}
_OTHER_HEADING = "More"

_ABOUT = "Predictions and the reasons for them: train, export, serve and explain models."
_START = """Start here:
  explicate models                      what the server at 127.0.0.1:8500 serves
  explicate predict "Great soup!"       a prediction
  explicate explain "Great soup!"       the prediction and what each word adds to it

Every command has its own help: explicate explain --help
Exit codes: 0 ok, 1 some rows failed or it could not be done, 2 wrong usage, 3 server unreachable or not serving,
4 server full or too slow (try later), 130 interrupted."""

_Subparsers = argparse._SubParsersAction  # argparse offers no public name for what add_subparsers() returns


class _Version(argparse._VersionAction):
    """--version, which looks the version up only when it is asked for: that takes longer than the rest."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        print(f"explicate {metadata.version('explicate')}")
        parser.exit()


class CommandParser(argparse.ArgumentParser):
    """A parser that says of a wrong command, option or choice what was most likely meant, and knows its own usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it, but what a command does not know is refused by the command, not by `explicate`."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = next((word for word in unknown if word.startswith("--")), unknown[0])
            known = [name for name in self._option_string_actions if name.startswith("--")]
            hint = did_you_mean(flag.partition("=")[0], known, most=1) if flag.startswith("--") else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(each) for each in action.choices]
        near = did_you_mean(str(value), known)
        if isinstance(action, argparse._SubParsersAction):
            what = str(action.metavar or "choice").lower()
            self.error(f"there is no {what} {value!r}{near} ({self.prog} --help lists them)")
        raise argparse.ArgumentError(action, f"{value!r} is not one of {', '.join(known)}{near}")


class _RootParser(CommandParser):
    """A parser whose help lists the commands under headings, which argparse itself cannot."""

    def __init__(self) -> None:
        super().__init__(prog="explicate", description=_ABOUT, allow_abbrev=False)
        self.commands: dict[str, list[tuple[str, str]]] = {heading: [] for heading in _HEADINGS.values()}
        self.add_argument("--version", action=_Version)
        self.add_argument("--debug", action="store_true", help="show the trace when something fails")

    def format_help(self) -> str:
        lines = ["usage: explicate [--debug] COMMAND ...", "", _ABOUT]
        for heading, commands in self.commands.items():
            if commands:
                lines += ["", f"{heading}:", *(f"  {name:<12}{text}" for name, text in commands)]
        lines += ["", "Options:", "  --help      this text, or a command's own", "  --version   the installed version"]
        lines += ["  --debug     show the trace when something fails", "", _START, ""]
        return "\n".join(lines)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser with `command`, if it is one of the client's own, else with those of every installed package."""
    parser = _RootParser()
    subparsers: _Subparsers[argparse.ArgumentParser] = parser.add_subparsers(
        metavar="COMMAND", parser_class=CommandParser
    )
    if command in COMMANDS:
        register_one(command, subparsers)
        _add_common(subparsers.choices[command], quiet=True)
        return parser
    from importlib import metadata

    found = {entry.name: entry for entry in metadata.entry_points(group=COMMAND_GROUP)}
    for name in sorted(found, key=_place):
        _register(found[name], subparsers, parser.commands.setdefault(_HEADINGS.get(name, _OTHER_HEADING), []))
    return parser


def _command_of(argv: Sequence[str]) -> str | None:
    """The command that a command line begins with, after the root's own options, none of which takes a value."""
    word = next((word for word in argv if not word.startswith("-") or word in ("-h", "--help")), "-")
    return None if word.startswith("-") else word


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
        _add_common(subparsers.choices[name], quiet=name in COMMANDS)


def _add_common(parser: argparse.ArgumentParser, *, quiet: bool) -> None:
    """Take --debug, and --quiet where it means something, after the command and after a command's own subcommand."""
    # SUPPRESS: a subparser's default would overwrite a --debug before the command.
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show the trace of a failure")
    if quiet:
        text = "no notes and no progress on stderr, only errors"
        parser.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help=text)
    for action in parser._actions:
        if isinstance(action, _Subparsers):
            for subcommand in action.choices.values():
                _add_common(subcommand, quiet=quiet)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return its exit code."""
    _set_up_streams()
    try:
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit would fail too
        return EXIT_FAILED
    return code


def _run(argv: Sequence[str] | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    command = _command_of(words)
    if command is None and "--version" in words:
        _RootParser().parse_args(words)  # does not need the commands
    parser = build_parser(command)
    arguments = parser.parse_args(words)
    if not hasattr(arguments, "run"):
        parser.print_help(sys.stderr)
        return EXIT_USAGE
    notes.be_quiet("quiet" in arguments)
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        print("explicate: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:  # the last stop: a sentence for the user, the trace only when asked for
        if arguments.debug:
            import traceback

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
    if isinstance(error, errors.Unavailable) and (context := getattr(arguments, "context_asked", None)):
        return f"{error} (context {context})"
    if isinstance(error, errors.InvalidArgument) and error.violations:
        from explicate.cli.explanation_options import in_flags

        return str(in_flags(error))
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
    if isinstance(error, errors.DeadlineExceeded) or (
        isinstance(error, errors.Overloaded) and errors.is_for_later(error)
    ):
        return EXIT_LATER
    if isinstance(error, errors.UsageError | errors.InvalidArgument | errors.NotFound | errors.FailedPrecondition):
        return EXIT_USAGE
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
