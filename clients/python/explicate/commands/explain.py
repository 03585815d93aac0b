"""`explicate explain`: a prediction and what each word adds to it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.commands import connection, explanation_options, explanation_printers, json_lines, texts
from explicate.commands.texts import Row
from explicate.errors import DeadlineExceeded, InternalError, InvalidArgument, ServerError, UsageError
from explicate.options import ExplainOptions

if TYPE_CHECKING:
    from explicate.client import Client
    from explicate.results import ExplainResult

_TOP = 15  # words listed per output: with header and sentence this fits a screen

_EPILOG = """examples:
  explicate explain "The soup was great but the service was slow."
  explicate explain --target great --against other "Great soup!"     why great rather than other
  explicate explain --top-k 3 "Great soup, slow service."            stop once the top three words are certain
  explicate explain --granularity sentence --quality full "Great soup. Slow service."
  explicate explain --method lime --seed 7 --format json "Great soup!"
  explicate explain --file reviews.txt --html reviews.html --format csv --bulk > words.csv

Bars show what a word adds to the output, the whiskers its confidence interval. The same seed gives the same answer.
A text that cannot be answered is named on stderr, the others are answered, and the exit code is 1."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "explain",
        usage="explicate explain [OPTION ...] TEXT ...",
        help="ask a model about texts, and why it answers so",
        description="Ask a served model about texts, with what each word adds to the answer and how sure that is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    texts.add_text_options(parser)
    connection.add_format_option(parser)
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write the explanations as a web page to FILE")
    parser.add_argument(
        "--top", metavar="N", type=int, default=_TOP, help="list the N strongest words (default: %(default)s; 0: all)"
    )
    parser.add_argument("--stream", action="store_true", help="show every estimate while it grows")
    explanation_options.add_explanation_options(parser)
    connection.add_bulk_option(parser)
    connection.add_model_options(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=run, extra="cli")


def run(arguments: argparse.Namespace) -> int:
    """Explain every text; 1 when some have no answer."""
    if arguments.top < 0:
        raise UsageError("--top must be 0 or more")
    options = explanation_options.explanation_options(arguments)
    rows = texts.rows(arguments)
    show = explanation_printers.printer(arguments.format, arguments.top)
    explained: list[ExplainResult] = []
    failed = 0
    with connection.connect(arguments) as client:
        model = connection.chosen_model(client, arguments)
        for row in rows:
            try:
                explained.append(show(row, _estimates(client, model, row, arguments, options)))
            except (InvalidArgument, DeadlineExceeded, InternalError) as error:
                if not _is_about_the_text(error):
                    raise explanation_options.in_flags(error) from error
                failed += 1
                texts.report(row, error)
                if arguments.format == "json":
                    print(json_lines.failure(row, error))
    if arguments.html:
        _write_html(arguments.html, explained)
    return 1 if failed else 0


def _is_about_the_text(error: ServerError) -> bool:
    """Whether another text may fare better; a wrong option, by contrast, is wrong for all."""
    return all(path.startswith("input") for path, _ in error.violations)


def _estimates(
    client: Client, model: str, row: Row, arguments: argparse.Namespace, options: ExplainOptions
) -> Iterator[ExplainResult]:
    """The answers for one text: those of the stream, or the one."""
    version, label, priority = arguments.version, arguments.label, arguments.priority
    if arguments.stream:
        yield from client.stream_explain(model, row.text, version=version, label=label, priority=priority, **options)
    else:
        yield client.explain(model, row.text, version=version, label=label, priority=priority, **options)


def _write_html(path: Path, explained: list[ExplainResult]) -> None:
    from explicate.html_view import document

    try:
        path.write_text(document(explained), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
