"""`explicate predict`: the model's answer for each input."""

from __future__ import annotations

import argparse
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from explicate.cli import connection, inputs
from explicate.cli.bulk_progress import Progress
from explicate.cli.inputs.asked import Asked, report
from explicate.cli.printers import PREDICTION_PRINTERS, Answer
from explicate.errors import InvalidArgument, MessageTooLarge, ServerError
from explicate.inputs import Input

if TYPE_CHECKING:
    from explicate.async_client import AsyncClient
    from explicate.results import PredictResult

# Inputs in one call: enough to keep the server's batches full, few enough that texts of 64 KiB stay below the 16 MiB
# limit of a message, and that answers appear while a long file is still being read.
INPUTS_PER_CALL = 128
# Bytes of files in one call: half a message, so that a file of the largest size still fits beside them.
FILE_BYTES_PER_CALL = 8 * 1024 * 1024
# Why a whole call fails for one of its inputs, which the server does not name.
_OF_ONE_INPUT = frozenset({"MODEL_RUN_FAILED", "MODEL_OUTPUT_NOT_FINITE", "DEVICE_OUT_OF_MEMORY"})

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
    connection.add_bulk_options(parser)
    connection.add_model_options(parser)
    connection.add_server_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict every input; 1 if some do not have an answer."""
    inputs.check(arguments)
    in_flight = connection.calls_in_flight(arguments)
    with connection.connect(arguments) as client, Progress() as progress:
        model = connection.chosen_model(client, arguments)
        which = {"version": arguments.version, "label": arguments.label, "priority": arguments.priority}
        given = inputs.read(arguments, client, model)
        if arguments.priority == "bulk":
            beside = connection.connect_async(arguments)
            answers = _all_at_once(beside, partial(beside.predict, model, **which), _chunks(given.inputs), in_flight)
        else:
            answers = _one_by_one(partial(client.predict, model, **which), _chunks(given.inputs))
        PREDICTION_PRINTERS["wide" if arguments.wide else arguments.format](_reported(answers, progress), given.model)
    return 1 if progress.failed else 0


def _reported(answers: Iterable[Answer], progress: Progress) -> Iterator[Answer]:
    """The same, each failure told on stderr as it passes."""
    for answer in answers:
        failed = isinstance(answer.outcome, ServerError)
        if isinstance(answer.outcome, ServerError):
            report(answer.asked, answer.outcome)
        yield answer
        progress.count(failed=failed)


def _one_by_one(predict: Callable[[list[Input]], PredictResult], chunks: Iterable[list[Asked]]) -> Iterator[Answer]:
    for chunk in chunks:
        calls = ChunkCalls(chunk)
        while calls.now:
            try:
                calls.answered(predict(calls.values))
            except ServerError as error:
                calls.failed(error)
        yield from calls.answers()


def _all_at_once(
    client: AsyncClient,
    predict: Callable[[list[Input]], Awaitable[PredictResult]],
    chunks: Iterable[list[Asked]],
    in_flight: int | Literal["auto"],
) -> Iterator[Answer]:
    from explicate.bulk.in_flight import InFlight, Turns  # with asyncio, which other commands do without
    from explicate.bulk.in_thread import in_thread
    from explicate.bulk.many import ask_many

    async def ask(chunk: list[Asked]) -> list[Answer]:
        calls = ChunkCalls(chunk)
        while calls.now:
            try:
                calls.answered(await predict(calls.values))
            except ServerError as error:
                calls.failed(error)
        return calls.answers()

    turns = Turns(InFlight(in_flight, slow_s=client.timeout_s / 4))
    for outcome in in_thread(lambda values: ask_many(values, ask, turns), chunks, close=client.close):
        if outcome.error is None:
            yield from outcome.result
        else:
            yield from (Answer(asked, asked.refusal or outcome.error) for asked in outcome.input)


class ChunkCalls:
    """The calls for a chunk of inputs: an input that is refused does not take the others with it.

    now: the inputs of the next call; empty when all have their answers.
    """

    def __init__(self, chunk: Sequence[Asked]) -> None:
        self._chunk = chunk
        self._answers = {asked.number: Answer(asked, asked.refusal) for asked in chunk if asked.refusal is not None}
        self.now = [asked for asked in chunk if asked.refusal is None]
        self._later: list[list[Asked]] = []

    @property
    def values(self) -> list[Input]:
        """What the next call is to ask about."""
        return [asked.value for asked in self.now]

    def answered(self, result: PredictResult) -> None:
        """The call has its answer."""
        for asked, prediction in zip(self.now, result.predictions, strict=True):
            self._answers[asked.number] = Answer(asked, prediction, result.model)
        self._go_on([])

    def failed(self, error: ServerError) -> None:
        """The call failed: ask about what that leaves; raises an error that is the same for every input."""
        if isinstance(error, InvalidArgument) and (bad := _refused_inputs(error)):
            self._answers |= {self.now[i].number: Answer(self.now[i], own) for i, own in bad.items()}
            self._go_on([asked for i, asked in enumerate(self.now) if i not in bad])
        elif not (isinstance(error, MessageTooLarge) or error.reason in _OF_ONE_INPUT):
            raise error
        elif len(self.now) == 1:
            self._answers[self.now[0].number] = Answer(self.now[0], error)
            self._go_on([])
        else:
            half = len(self.now) // 2
            self._later.append(self.now[half:])
            self._go_on(self.now[:half])

    def answers(self) -> list[Answer]:
        """One answer per input, in order."""
        return [self._answers[asked.number] for asked in self._chunk]

    def _go_on(self, now: list[Asked]) -> None:
        self.now = now or (self._later.pop() if self._later else [])


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
