"""`explicate predict`: the model's answer for each input."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from explicate.cli import connection, inputs
from explicate.cli.inputs.asked import Asked, report
from explicate.cli.printers import PREDICTION_PRINTERS, Answer
from explicate.errors import InvalidArgument, MessageTooLarge, ServerError
from explicate.inputs import Input

if TYPE_CHECKING:
    from explicate.results import PredictResult

# Inputs in one call: enough to keep the server's batches full, few enough that texts of 64 KiB stay below the 16 MiB
# limit of a message, and that answers appear while a long file is still being read.
INPUTS_PER_CALL = 128
# Bytes of files in one call: half a message, so that a file of the largest size still fits beside them.
FILE_BYTES_PER_CALL = 8 * 1024 * 1024

_EPILOG = f"""examples:
{inputs.examples("predict_examples")}

An input that cannot be answered is named on stderr, the others are answered; the exit code is then 1."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "predict",
        usage="explicate predict [OPTION ...] [TEXT ...]",
        help="what a model answers",
        description=f"Ask a served model about {inputs.NOUNS}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inputs.add_input_options(parser)
    connection.add_format_option(parser)
    connection.add_bulk_option(parser)
    connection.add_model_options(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict every input; 1 if some do not have an answer."""
    inputs.check(arguments)
    with connection.connect(arguments) as client:
        model = connection.chosen_model(client, arguments)
        which = {"version": arguments.version, "label": arguments.label, "priority": arguments.priority}
        caller = _Caller(partial(client.predict, model, **which))
        given = inputs.read(arguments, client, model)
        PREDICTION_PRINTERS[arguments.format](caller.answers(given.inputs), given.model)
    return 1 if caller.failed else 0


class _Caller:
    """Predicts in calls of many; an input that is refused is reported and does not take the others with it."""

    def __init__(self, predict: Callable[[list[Input]], PredictResult]) -> None:
        self._predict = predict
        self.failed = 0

    def answers(self, all_asked: Iterable[Asked]) -> Iterator[Answer]:
        """One answer per input, in order."""
        for chunk in _chunks(all_asked):
            by_number = {answer.asked.number: answer for answer in self._chunk(chunk)}
            for asked in chunk:
                answer = by_number[asked.number]
                if isinstance(answer.outcome, ServerError):
                    self.failed += 1
                    report(asked, answer.outcome)
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


def _chunks(all_asked: Iterable[Asked]) -> Iterator[list[Asked]]:
    """Consecutive inputs, as many as fit one call."""
    chunk: list[Asked] = []
    held_bytes = 0
    for asked in all_asked:
        if chunk and (len(chunk) == INPUTS_PER_CALL or held_bytes + asked.file_bytes > FILE_BYTES_PER_CALL):
            yield chunk
            chunk, held_bytes = [], 0
        chunk.append(asked)
        held_bytes += asked.file_bytes
    if chunk:
        yield chunk


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
