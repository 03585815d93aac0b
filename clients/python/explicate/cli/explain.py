"""`explicate explain`: a prediction and what each word, column or segment adds to it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.cli import connection, explanation_options, inputs, printers
from explicate.cli.inputs.asked import Asked, report
from explicate.errors import DeadlineExceeded, InternalError, InvalidArgument, ServerError, UsageError
from explicate.options import ExplainOptions

if TYPE_CHECKING:
    from explicate.client import Client
    from explicate.results import ExplainResult

_TOP = 15  # features listed per output: with header and sentence this fits a screen

_EPILOG = f"""examples:
{inputs.examples("explain_examples")}

Bars show what a word, column or segment adds to the output, the whiskers its confidence interval. The same seed gives
the same answer. An input that cannot be answered is named on stderr, the others are answered; the exit
code is then 1."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "explain",
        usage="explicate explain [OPTION ...] [TEXT ...]",
        help="what a model answers, and why",
        description=f"Ask a served model about {inputs.NOUNS}, with what each word,\n"
        "column or segment adds to the answer and how sure that is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inputs.add_input_options(parser)
    connection.add_format_option(parser)
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write the explanations as a web page to FILE")
    for kind in inputs.KINDS.values():
        kind.add_drawing_options(parser)
    parser.add_argument(
        "--top", metavar="N", type=int, default=_TOP, help="list the N strongest (default: %(default)s; 0: all)"
    )
    parser.add_argument("--stream", action="store_true", help="show every estimate while it grows")
    explanation_options.add_explanation_options(parser)
    connection.add_bulk_option(parser)
    connection.add_model_options(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=run, extra="cli")


def run(arguments: argparse.Namespace) -> int:
    """Explain every input; 1 if some do not have an answer."""
    if arguments.top < 0:
        raise UsageError("--top must be 0 or more")
    inputs.check(arguments)
    options = explanation_options.explanation_options(arguments)
    show = printers.explanation_printer(arguments.format, arguments.top)
    explained: list[ExplainResult] = []
    failed = 0
    with connection.connect(arguments) as client:
        model = connection.chosen_model(client, arguments)
        for asked in inputs.read(arguments, client, model).inputs:
            try:
                result = show(asked, _estimates(client, model, asked, arguments, options))
            except (InvalidArgument, DeadlineExceeded, InternalError) as error:
                if asked.refusal is None and not _is_about_the_input(error):
                    raise explanation_options.in_flags(error) from error
                failed += 1
                report(asked, error)
                if arguments.format == "json":
                    print(printers.failure_as_json(asked, error))
                continue
            if arguments.html:
                explained.append(result)
            for kind in inputs.KINDS.values():
                kind.draw(arguments, asked.number, result)
    if arguments.html:
        _write_html(arguments.html, explained)
    return 1 if failed else 0


def _is_about_the_input(error: ServerError) -> bool:
    """Whether another input may fare better; a wrong option, by contrast, is wrong for all."""
    return all(path.startswith("input") for path, _ in error.violations)


def _estimates(
    client: Client, model: str, asked: Asked, arguments: argparse.Namespace, options: ExplainOptions
) -> Iterator[ExplainResult]:
    """The answers for one input: those of the stream, or the one."""
    if asked.refusal is not None:
        raise asked.refusal
    version, label, priority = arguments.version, arguments.label, arguments.priority
    if arguments.stream:
        yield from client.stream_explain(model, asked.value, version=version, label=label, priority=priority, **options)
    else:
        yield client.explain(model, asked.value, version=version, label=label, priority=priority, **options)


def _write_html(path: Path, explained: list[ExplainResult]) -> None:
    from explicate.views.html import document

    try:
        path.write_text(document(explained), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
