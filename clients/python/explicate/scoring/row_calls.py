"""One call about several rows, of a table or one input each, and which of its rows an error is about."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from explicate._wire import calls
from explicate._wire.calls import Call
from explicate._wire.table_calls import table_result
from explicate.errors import DeadlineExceeded, ErrorDetails, ExplicateError, InvalidArgument, NotFound, ServerError
from explicate.inputs import File, GivenValue, Input, category, kind_of
from explicate.options import ExplainOptions, Priority
from explicate.results import ExplainResult, PackedResult, PredictResult
from explicate.scoring.interfaces import Condition, Inputs, Refusal
from explicate.scoring.output_columns import OutputColumns
from explicate.scoring.row_answers import (
    RowAnswer,
    packed_predicted,
    packed_scores,
    row_explanation,
    scores_of,
    table_explanation,
)
from explicate.scoring.run_manifest import PinnedModel
from explicate.table_results import TableResult

_CALL_BYTES = 8 * 1024 * 1024  # of texts or files in one call: half of a message
_COLUMN_PATH = re.compile(r"table\.columns\[(?P<column>.*)\]\.(?P<of>numbers\.values|categories\.names)\[(?P<at>\d+)\]")
_INPUT_PATH = re.compile(r"inputs\[(\d+)\]")
_ABOUT_ROWS = re.compile(r"table\.|inputs?\b")
_COLUMN = re.compile(r"\b(?:columns|cells)\[(.*?)\](?:\.|$)")


TABLE_CALL_ROWS, ITEM_CALL_ROWS = 1000, 128
"""Rows of a Predict, of a table and of texts or images: batches are full, and messages far below the limit."""

EXPLAINED_CALL_ROWS = 32
"""Rows of an ExplainTable: as many as share a fit on the server, and few enough to be done within a call's time."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about every row: which version, and which explanation, None for predictions alone.

    condition: explains the rows for which it holds, None for all. columns: for the condition, which asks about them.
    call_rows: rows of a Predict. table_rows: rows of an ExplainTable, 0 for a server without it.
    """

    model: PinnedModel
    explain: ExplainOptions | None
    condition: Condition | None
    columns: OutputColumns
    priority: Priority
    call_rows: int
    timeout_s: float
    table_rows: int = 0

    @property
    def how(self) -> dict[str, Any]:  # Any: as `calls` takes it
        """Which version, and who goes first."""
        return {"version": self.model.version, "label": None, "priority": self.priority}

    @property
    def may_be_cut(self) -> bool:
        """Whether time may end an explanation: only if that was asked for, for it cannot be repeated."""
        return self.explain is not None and self.explain.get("time_limit_s") is not None


class RowCall(ABC):
    """A call about some rows of a batch; `places` are theirs in it."""

    def __init__(self, places: Sequence[int]) -> None:
        self.places = list(places)

    @abstractmethod
    def call(self, question: Question) -> Call[Any]:
        """What is sent; raises an ExplicateError for a row that cannot be. Any: the answer of its method."""

    @abstractmethod
    def answers(self, result: Any, question: Question) -> list[RowAnswer]:
        """The answer to each row."""

    @abstractmethod
    def part(self, indices: Sequence[int]) -> RowCall:
        """The call about some of its rows only."""

    @abstractmethod
    def rows_of(self, path: str) -> list[int]:
        """The rows, by their index in the call, that the field at a path belongs to; empty if it does not tell."""

    def refused(self, error: ExplicateError) -> dict[int, Refusal]:
        """Why rows are refused, by their index in the call; empty if the error does not tell which they are."""
        if len(self.places) == 1:
            return {0: refusal(error)}
        found: dict[int, Refusal] = {}
        if isinstance(error, ServerError):
            for path, description in error.violations:
                for index in self.rows_of(path):
                    found.setdefault(index, Refusal(error.reason, _field(path), description))
        return found


class TableCall(RowCall):
    """About rows of a table in packed form, by column."""

    def __init__(self, places: Sequence[int], columns: Mapping[str, Sequence[GivenValue]]) -> None:
        super().__init__(places)
        self.columns = columns

    def part(self, indices: Sequence[int]) -> Self:
        columns = {name: [values[index] for index in indices] for name, values in self.columns.items()}
        return type(self)([self.places[index] for index in indices], columns)

    def rows_of(self, path: str) -> list[int]:
        match = _COLUMN_PATH.fullmatch(path)
        values = self.columns.get(match["column"]) if match else None
        if match is None or values is None:
            return []
        if match["of"] == "numbers.values":
            return [int(match["at"])]
        # A category stands for all rows that have it; the client numbers them as they come.
        told = [category(value) if kind_of(type(value)) == "category" else None for value in values]
        name = [each for each in dict.fromkeys(told) if each is not None][int(match["at"])]
        return [index for index, each in enumerate(told) if each == name]


class PredictTable(TableCall):
    """Predictions of rows of a table."""

    def call(self, question: Question) -> Call[Any]:
        return calls.predict_table(question.model.name, self.columns, **question.how)

    def answers(self, result: PackedResult, question: Question) -> list[RowAnswer]:  # noqa: ARG002
        rows = zip(packed_scores(result), packed_predicted(result), strict=True)
        return [RowAnswer(scores, result.model, predicted=predicted) for scores, predicted in rows]


class ExplainTable(TableCall):
    """Explanations of rows of a table, which share their coalitions."""

    def call(self, question: Question) -> Call[Any]:
        columns, options = dict(self.columns), question.explain or {}
        return calls.explain_table(
            question.model.name,
            columns,
            options,
            lambda response: table_result(response, {name: list(values) for name, values in columns.items()}),
            **question.how,
        )

    def answers(self, result: TableResult, question: Question) -> list[RowAnswer]:
        if "deadline" in result.stop_reasons and not question.may_be_cut:
            raise cut_short(max(result.evaluations))
        scores, predicted = packed_scores(result.predictions), packed_predicted(result.predictions)
        return [
            RowAnswer(scores[row], result.model, table_explanation(result, row), predicted[row])
            for row in range(len(result))
        ]


class PredictItems(RowCall):
    """Predictions of texts, pairs or images."""

    def __init__(self, places: Sequence[int], values: Sequence[Input]) -> None:
        super().__init__(places)
        self._values = values

    def call(self, question: Question) -> Call[Any]:
        return calls.predict(question.model.name, self._values, **question.how)

    def answers(self, result: PredictResult, question: Question) -> list[RowAnswer]:  # noqa: ARG002
        told = result.predictions
        return [RowAnswer(scores_of(one), result.model, predicted=one.index) for one in told]

    def part(self, indices: Sequence[int]) -> PredictItems:
        return PredictItems([self.places[index] for index in indices], [self._values[index] for index in indices])

    def rows_of(self, path: str) -> list[int]:
        match = _INPUT_PATH.match(path)
        return [int(match[1])] if match else []


class ExplainItem(RowCall):
    """The explanation of one row, which is read in its turn: it may be a large file."""

    def __init__(self, place: int, inputs: Inputs) -> None:
        super().__init__([place])
        self._inputs = inputs

    def call(self, question: Question) -> Call[Any]:
        value = self._inputs.value(self.places[0])
        return calls.explain(question.model.name, value, question.explain or {}, **question.how)

    def answers(self, result: ExplainResult, question: Question) -> list[RowAnswer]:
        if result.explanation.stop_reason == "deadline" and not question.may_be_cut:
            raise cut_short(result.explanation.evaluations)
        told = result.prediction
        return [RowAnswer(scores_of(told), result.model, row_explanation(result.explanation), told.index)]

    def part(self, indices: Sequence[int]) -> ExplainItem:  # noqa: ARG002 - it has one row
        return self

    def rows_of(self, path: str) -> list[int]:  # noqa: ARG002
        return [0]


RowCalls: TypeAlias = Iterator[RowCall | dict[int, Refusal]]
"""Calls, and the rows, by their places, that cannot be read."""


def predict_calls(inputs: Inputs, places: Sequence[int], call_rows: int) -> RowCalls:
    """Predictions of the rows in `places`."""
    for some in _cut(places, call_rows):
        columns = inputs.columns(some)
        if columns is None:
            yield from _item_calls(inputs, some)
        else:
            yield PredictTable(some, {name: list(values) for name, values in columns.items()})


def explain_calls(inputs: Inputs, places: Sequence[int], table_rows: int) -> RowCalls:
    """Explanations of the rows in `places`; those of a table share a call unless `table_rows` is 0."""
    if not table_rows or inputs.columns([]) is None:
        yield from (ExplainItem(place, inputs) for place in places)
        return
    for some in _cut(places, table_rows):
        yield ExplainTable(some, {name: list(values) for name, values in (inputs.columns(some) or {}).items()})


def _cut(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (places[first : first + size] for first in range(0, len(places), size))


def _item_calls(inputs: Inputs, places: Sequence[int]) -> RowCalls:
    """As many of the rows in one call as its bytes allow."""
    taken: list[int] = []
    values: list[Input] = []
    taken_bytes = 0
    for place in places:
        try:
            value = inputs.value(place)
        except ExplicateError as error:
            yield {place: refusal(error)}
            continue
        size = _size(value)
        if values and taken_bytes + size > _CALL_BYTES:
            yield PredictItems(taken, values)
            taken, values, taken_bytes = [], [], 0
        taken.append(place)
        values.append(value)
        taken_bytes += size
    if values:
        yield PredictItems(taken, values)


def _size(value: Input) -> int:
    """Bytes of a text or a file, about."""
    match value:
        case str():
            return 2 * len(value)
        case File():
            return len(value.content)
        case tuple():
            return 2 * sum(map(len, value))
        case _:
            return 64 * len(value)


def refusal(error: ExplicateError) -> Refusal:
    """An error about one row, as `_failed` has it."""
    if not isinstance(error, ServerError):
        return Refusal("UNREADABLE", "", str(error))
    path, description = next(iter(error.violations), ("", error.message))
    return Refusal(error.reason or error.code, _field(path), description)


def is_about_rows(error: ServerError) -> bool:
    """Whether a refusal is of what was asked about, not of how it was asked."""
    if not isinstance(error, InvalidArgument):
        return True
    return bool(error.violations) and all(_ABOUT_ROWS.match(path) for path, _ in error.violations)


def _field(path: str) -> str:
    """The column or part that a path is about, such as "income" or "text"."""
    if column := _COLUMN.search(path):
        return column[1]
    return path.rpartition(".")[2] if "." in path else ""


def version_gone(model: PinnedModel, error: ServerError) -> ServerError:
    """The error for a version that does not answer any more, in the words of a run."""
    message = (
        f"version {model.version} of {model.name}, which this run began with, does not serve ({error.message}): "
        f"load it (explicate models load {model.name} --version {model.version}) and run the same command again"
    )
    return type(error)(message, error.details)


def another_bundle(model: PinnedModel, digest: str) -> NotFound:
    """The error for a version that has the number of the run's, and is not it."""
    message = (
        f"version {model.version} of {model.name} is another bundle now than the one that this run began with: serve "
        f"the bundle {model.bundle_digest[:12]} again, not {digest[:12]}, or choose another --output"
    )
    return NotFound(message, ErrorDetails(code="NOT_FOUND"))


def cut_short(evaluations: int) -> DeadlineExceeded:
    """The error for an explanation that the clock ended: at another time the same work would give another answer."""
    message = (
        f"the time of a call was over after {evaluations:,} evaluations: give --max-evaluations or a longer --timeout, "
        "or --time-limit, which takes what there is then"
    )
    return DeadlineExceeded(message, ErrorDetails(code="DEADLINE_EXCEEDED", reason="CUT_SHORT"))
