"""`explicate predict`: the model's answer for each text."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from explicate.commands import connection, json_lines, tables, texts
from explicate.commands.texts import Row
from explicate.errors import InvalidArgument, MessageTooLarge, ServerError

if TYPE_CHECKING:
    from explicate.results import ModelVersion, Prediction, PredictResult

# Texts in one call: enough to keep the server's batches full, few enough that 64 KiB each stay below the 16 MiB limit
# of a message, and that answers appear while a long file is still being read.
TEXTS_PER_CALL = 128

_TEXT_WIDTH = 60  # columns for the text in a table

_EPILOG = """examples:
  explicate predict "Great soup!" "Cold and late."
  explicate predict --file reviews.txt --format csv > answers.csv
  cat reviews.txt | explicate predict - --format json
  explicate predict --file a-million-reviews.txt --format csv --bulk > answers.csv

A text that cannot be answered is named on stderr, the others are answered, and the exit code is 1."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "predict",
        usage="explicate predict [OPTION ...] TEXT ...",
        help="ask a model about texts",
        description="Ask a served model about texts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    texts.add_text_options(parser)
    connection.add_format_option(parser)
    connection.add_bulk_option(parser)
    connection.add_model_options(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict every text; 1 when some have no answer."""
    rows = texts.rows(arguments)
    with connection.connect(arguments) as client:
        model = connection.chosen_model(client, arguments)
        which = {"version": arguments.version, "label": arguments.label, "priority": arguments.priority}
        caller = _Caller(partial(client.predict, model, **which))
        show = {"text": _show_text, "json": _show_json, "csv": _show_csv}[arguments.format]
        show(caller.answers(rows))
    return 1 if caller.failed else 0


@dataclass(frozen=True)
class _Answer:
    row: Row
    outcome: Prediction | ServerError
    model: ModelVersion | None


class _Caller:
    """Predicts rows in calls of many; a row that is refused is reported and does not take the others with it."""

    def __init__(self, predict: Callable[[list[str]], PredictResult]) -> None:
        self._predict = predict
        self.failed = 0

    def answers(self, rows: Iterable[Row]) -> Iterator[_Answer]:
        """One answer per row, in order."""
        rows = iter(rows)
        while chunk := list(islice(rows, TEXTS_PER_CALL)):
            by_number = {answer.row.number: answer for answer in self._chunk(chunk)}
            for row in chunk:
                answer = by_number[row.number]
                if isinstance(answer.outcome, ServerError):
                    self.failed += 1
                    texts.report(row, answer.outcome)
                yield answer

    def _chunk(self, rows: Sequence[Row]) -> Iterator[_Answer]:
        if not rows:
            return
        try:
            result = self._predict([row.text for row in rows])
        except InvalidArgument as error:
            bad = _refused_rows(error)
            if not bad:  # not about a text: the same for every row
                raise
            yield from (_Answer(row, bad[i], None) for i, row in enumerate(rows) if i in bad)
            yield from self._chunk([row for i, row in enumerate(rows) if i not in bad])
        except MessageTooLarge as error:
            if len(rows) == 1:
                yield _Answer(rows[0], error, None)
            else:
                yield from self._chunk(rows[: len(rows) // 2])
                yield from self._chunk(rows[len(rows) // 2 :])
        else:
            for row, prediction in zip(rows, result.predictions, strict=True):
                yield _Answer(row, prediction, result.model)


def _refused_rows(error: InvalidArgument) -> dict[int, InvalidArgument]:
    """The error of each refused input, by its index in the request; empty when the error is about something else."""
    refused: dict[int, InvalidArgument] = {}
    for path, description in error.violations:
        place = re.match(r"inputs\[(\d+)\]", path)
        if place is None:
            return {}
        details = replace(error.details, violations=((path, description),))
        refused[int(place[1])] = InvalidArgument(description, details)
    return refused


def _show_text(answers: Iterable[_Answer]) -> None:
    lines = [
        (answer.outcome.label, f"{answer.outcome.probability:.3f}", tables.shortened(answer.row.text, _TEXT_WIDTH))
        for answer in answers
        if not isinstance(answer.outcome, ServerError)
    ]
    if lines:
        print(tables.table(("LABEL", "PROBABILITY", "TEXT"), lines, right=(1,)))


def _show_json(answers: Iterable[_Answer]) -> None:
    for answer in answers:
        if isinstance(answer.outcome, ServerError):
            print(json_lines.failure(answer.row, answer.outcome))
        else:
            document = {"input": answer.row.number, "text": answer.row.text}
            print(json_lines.dumps({**document, "prediction": answer.outcome, "model": answer.model}))


def _show_csv(answers: Iterable[_Answer]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("input", "text", "label", "probability", "error"))
    for answer in answers:
        text = answer.row.text.encode("utf-8", errors="replace").decode()  # a lone surrogate could not be written
        if isinstance(answer.outcome, ServerError):
            writer.writerow((answer.row.number, text, "", "", texts.why(answer.outcome)))
        else:
            writer.writerow((answer.row.number, text, answer.outcome.label, answer.outcome.probability, ""))
