"""`explicate predict`: the model's answer for each text or row."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from explicate.commands import asked as asked_about
from explicate.commands import connection, given, prediction_printers
from explicate.commands.asked import Asked
from explicate.commands.prediction_printers import Answer
from explicate.errors import InvalidArgument, MessageTooLarge, ServerError
from explicate.inputs import Input

if TYPE_CHECKING:
    from explicate.results import PredictResult

# Inputs in one call: enough to keep the server's batches full, few enough that texts of 64 KiB stay below the 16 MiB
# limit of a message, and that answers appear while a long file is still being read.
INPUTS_PER_CALL = 128

_EPILOG = """examples:
  explicate predict "Great soup!" "Cold and late."
  explicate predict --file reviews.txt --format csv > answers.csv
  cat reviews.txt | explicate predict - --format json
  explicate predict --file a-million-reviews.txt --format csv --bulk > answers.csv
  explicate predict --model credit --row 'age=34,job=clerk,income='     a row of a table; the income is missing
  explicate predict --model credit --csv applications.csv --format csv > answers.csv

A text or row that cannot be answered is named on stderr, the others are answered, and the exit code is 1."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "predict",
        usage="explicate predict [OPTION ...] [TEXT ...]",
        help="ask a model about texts or rows",
        description="Ask a served model about texts or rows of a table.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    given.add_input_options(parser)
    connection.add_format_option(parser)
    connection.add_bulk_option(parser)
    connection.add_model_options(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict every text or row; 1 when some have no answer."""
    given.check(arguments)
    with connection.connect(arguments) as client:
        model = connection.chosen_model(client, arguments)
        which = {"version": arguments.version, "label": arguments.label, "priority": arguments.priority}
        caller = _Caller(partial(client.predict, model, **which))
        asked = given.read(arguments, client, model)
        prediction_printers.PRINTERS[arguments.format](caller.answers(asked.inputs), asked.model)
    return 1 if caller.failed else 0


class _Caller:
    """Predicts in calls of many; an input that is refused is reported and does not take the others with it."""

    def __init__(self, predict: Callable[[list[Input]], PredictResult]) -> None:
        self._predict = predict
        self.failed = 0

    def answers(self, inputs: Iterable[Asked]) -> Iterator[Answer]:
        """One answer per input, in order."""
        inputs = iter(inputs)
        while chunk := list(islice(inputs, INPUTS_PER_CALL)):
            by_number = {answer.asked.number: answer for answer in self._chunk(chunk)}
            for asked in chunk:
                answer = by_number[asked.number]
                if isinstance(answer.outcome, ServerError):
                    self.failed += 1
                    asked_about.report(asked, answer.outcome)
                yield answer

    def _chunk(self, chunk: Sequence[Asked]) -> Iterator[Answer]:
        yield from (Answer(asked, asked.refusal) for asked in chunk if asked.refusal is not None)
        yield from self._call([asked for asked in chunk if asked.refusal is None])

    def _call(self, chunk: Sequence[Asked]) -> Iterator[Answer]:
        if not chunk:
            return
        try:
            result = self._predict([asked.value for asked in chunk])
        except InvalidArgument as error:
            bad = _refused_inputs(error)
            if not bad:  # not about an input: the same for every one
                raise
            yield from (Answer(asked, bad[i]) for i, asked in enumerate(chunk) if i in bad)
            yield from self._call([asked for i, asked in enumerate(chunk) if i not in bad])
        except MessageTooLarge as error:
            if len(chunk) == 1:
                yield Answer(chunk[0], error)
            else:
                yield from self._call(chunk[: len(chunk) // 2])
                yield from self._call(chunk[len(chunk) // 2 :])
        else:
            for asked, prediction in zip(chunk, result.predictions, strict=True):
                yield Answer(asked, prediction, result.model)


def _refused_inputs(error: InvalidArgument) -> dict[int, InvalidArgument]:
    """The error of each refused input, by its index in the request; empty when the error is about something else."""
    violations: dict[int, list[tuple[str, str]]] = {}
    for path, description in error.violations:
        place = re.match(r"inputs\[(\d+)\]", path)
        if place is None:
            return {}
        violations.setdefault(int(place[1]), []).append((path, description))
    return {
        index: InvalidArgument(own[0][1], replace(error.details, violations=tuple(own)))
        for index, own in violations.items()
    }
