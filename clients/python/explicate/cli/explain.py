"""`explicate explain`: a prediction and what each word, column or segment adds to it."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from explicate.cli import connection, explanation_options, inputs, printers
from explicate.cli.bulk_progress import Progress
from explicate.cli.inputs.asked import Asked, report
from explicate.cli.printers import ExplanationPrinter
from explicate.errors import ExplicateError, InvalidArgument, ServerError, UsageError, is_for_later
from explicate.inputs import Input
from explicate.options import ExplainOptions
from explicate.views.reasons import MOST

if TYPE_CHECKING:
    from explicate.bulk.many import Outcome
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
        "--top", metavar="N", type=int, help=f"list the N strongest (default: {_TOP}, of --reasons {MOST}; 0: all)"
    )
    explanation_options.add_reasons_options(parser)
    parser.add_argument("--stream", action="store_true", help="show every estimate while it grows")
    explanation_options.add_explanation_options(parser)
    connection.add_bulk_options(parser)
    connection.add_model_options(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=run, extra="cli")


def run(arguments: argparse.Namespace) -> int:
    """Explain every input; 1 if some do not have an answer."""
    if arguments.top is not None and arguments.top < 0:
        raise UsageError("--top must be 0 or more")
    inputs.check(arguments)
    options = explanation_options.explanation_options(arguments)
    show = _printer(arguments)
    in_flight = connection.calls_in_flight(arguments)
    explained: list[ExplainResult] = []
    with connection.connect(arguments) as client, Progress() as progress:
        model = connection.chosen_model(client, arguments)
        given = inputs.read(arguments, client, model)
        all_asked, options["baseline"] = given.inputs, inputs.baseline(arguments, given)
        ask = partial(_all_at_once, in_flight=in_flight) if _is_bulk(arguments) else _one_by_one
        for asked, estimates in ask(client, model, all_asked, arguments, options):
            try:
                result = show(asked, estimates)
            except ServerError as error:
                from explicate.bulk.many import is_about_the_input

                if asked.refusal is None and (is_for_later(error) or not is_about_the_input(error)):
                    raise _in_flags(error) from error
                report(asked, error)
                if arguments.format == "json":
                    print(printers.failure_as_json(asked, error))
                progress.count(failed=True)
                continue
            progress.count()
            if arguments.html:
                explained.append(result)
            for kind in inputs.KINDS.values():
                kind.draw(arguments, asked.number, result)
    if arguments.html:
        _write_html(arguments.html, explained)
    return 1 if progress.failed else 0


def _printer(arguments: argparse.Namespace) -> ExplanationPrinter:
    """What prints each explanation, as it was asked for."""
    top = 0 if arguments.wide else arguments.top
    told = explanation_options.reasons_options(arguments)
    if told is not None:
        return printers.reasons_printer(arguments.format, MOST if top is None else top, *told)
    return printers.explanation_printer(arguments.format, _TOP if top is None else top)


_Answers: TypeAlias = "Iterator[tuple[Asked, Iterator[ExplainResult]]]"
"""Each input with the answers for it; the iterator over them raises what the input costs."""


def _is_bulk(arguments: argparse.Namespace) -> bool:
    return arguments.priority == "bulk" and not arguments.stream  # estimates that grow are for people who watch


def _in_flags(error: ServerError) -> ExplicateError:
    return explanation_options.in_flags(error) if isinstance(error, InvalidArgument) else error


def _one_by_one(
    client: Client, model: str, all_asked: Iterable[Asked], arguments: argparse.Namespace, options: ExplainOptions
) -> _Answers:
    for asked in all_asked:
        yield asked, _estimates(client, model, asked, arguments, options)


def _all_at_once(
    client: Client,
    model: str,
    all_asked: Iterable[Asked],
    arguments: argparse.Namespace,
    options: ExplainOptions,
    *,
    in_flight: int | Literal["auto"],
) -> _Answers:
    """In the order of the inputs too; those that cannot be sent keep their place."""
    waiting: deque[Asked] = deque()

    def values() -> Iterator[Input]:
        for asked in all_asked:
            waiting.append(asked)
            if asked.refusal is None:
                yield asked.value

    version, label = arguments.version, arguments.label
    outcomes = client.explain_many(model, values(), in_flight=in_flight, version=version, label=label, **options)
    try:
        for outcome in outcomes:
            while waiting[0].refusal is not None:
                yield waiting[0], _refused(waiting.popleft())
            yield waiting.popleft(), _of(outcome)
    except InvalidArgument as error:
        raise _in_flags(error) from error
    for asked in waiting:
        yield asked, _refused(asked)


def _refused(asked: Asked) -> Iterator[ExplainResult]:
    assert asked.refusal is not None, "what can be sent has an outcome"
    raise asked.refusal
    yield


def _of(outcome: Outcome[Input, ExplainResult]) -> Iterator[ExplainResult]:
    yield outcome.result


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
