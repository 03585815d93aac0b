"""One call about several rows, of a table or one input each, and which of its rows an error is about."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from explicate.async_client import AsyncClient
from explicate.errors import ErrorDetails, ExplicateError, InvalidArgument, NotFound, ServerError
from explicate.inputs import File, GivenValue, Input, category, kind_of
from explicate.results import ModelVersion
from explicate.scoring.interfaces import Inputs, Refusal
from explicate.scoring.row_answers import scores_of
from explicate.scoring.run_manifest import PinnedModel

_CALL_BYTES = 8 * 1024 * 1024  # of texts or files in one call: half of a message
_COLUMN_PATH = re.compile(r"table\.columns\[(?P<column>.*)\]\.(?P<of>numbers\.values|categories\.names)\[(?P<at>\d+)\]")
_INPUT_PATH = re.compile(r"inputs\[(\d+)\]")
_ABOUT_ROWS = re.compile(r"table\.columns\[|inputs?\b|inputs\[")
_COLUMN = re.compile(r"\b(?:columns|cells)\[(.*?)\](?:\.|$)")


class RowCall(ABC):
    """A Predict about some rows of a batch; `places` are theirs in it."""

    def __init__(self, places: Sequence[int]) -> None:
        self.places = list(places)

    @abstractmethod
    async def ask(
        self, client: AsyncClient, model: PinnedModel, **how: Any
    ) -> tuple[Sequence[Sequence[float]], ModelVersion]:
        """The scores of each row, and what made them. Any: the other arguments of the client's methods."""

    @abstractmethod
    def part(self, indices: Sequence[int]) -> RowCall:
        """The call about some of its rows only."""

    @abstractmethod
    def rows_of(self, path: str) -> list[int]:
        """The rows, by their index in the call, that the field at a path belongs to; empty if it does not tell."""

    def refused(self, error: ServerError) -> dict[int, Refusal]:
        """Why rows are refused, by their index in the call; empty if the error does not tell which they are."""
        if len(self.places) == 1:
            return {0: refusal(error)}
        found: dict[int, Refusal] = {}
        for path, description in error.violations:
            for index in self.rows_of(path):
                found.setdefault(index, Refusal(error.reason, _field(path), description))
        return found


class TableCall(RowCall):
    """Rows of a table in packed form, by column."""

    def __init__(self, places: Sequence[int], columns: Mapping[str, Sequence[GivenValue]]) -> None:
        super().__init__(places)
        self._columns = columns

    async def ask(
        self, client: AsyncClient, model: PinnedModel, **how: Any
    ) -> tuple[Sequence[Sequence[float]], ModelVersion]:
        answer = await client.predict_table(model.name, self._columns, version=model.version, **how)
        return answer.probabilities or [(value,) for value in answer.values], answer.model

    def part(self, indices: Sequence[int]) -> TableCall:
        columns = {name: [values[index] for index in indices] for name, values in self._columns.items()}
        return TableCall([self.places[index] for index in indices], columns)

    def rows_of(self, path: str) -> list[int]:
        match = _COLUMN_PATH.fullmatch(path)
        values = self._columns.get(match["column"]) if match else None
        if match is None or values is None:
            return []
        if match["of"] == "numbers.values":
            return [int(match["at"])]
        # A category stands for all rows that have it; the client numbers them as they come.
        told = [category(value) if kind_of(type(value)) == "category" else None for value in values]
        name = [each for each in dict.fromkeys(told) if each is not None][int(match["at"])]
        return [index for index, each in enumerate(told) if each == name]


class ItemCall(RowCall):
    """Texts, pairs or images."""

    def __init__(self, places: Sequence[int], values: Sequence[Input]) -> None:
        super().__init__(places)
        self._values = values

    async def ask(
        self, client: AsyncClient, model: PinnedModel, **how: Any
    ) -> tuple[Sequence[Sequence[float]], ModelVersion]:
        answer = await client.predict(model.name, self._values, version=model.version, **how)
        return [scores_of(prediction) for prediction in answer.predictions], answer.model

    def part(self, indices: Sequence[int]) -> ItemCall:
        return ItemCall([self.places[index] for index in indices], [self._values[index] for index in indices])

    def rows_of(self, path: str) -> list[int]:
        match = _INPUT_PATH.match(path)
        return [int(match[1])] if match else []


def calls_of(inputs: Inputs, places: Sequence[int], call_rows: int) -> Iterator[RowCall | dict[int, Refusal]]:
    """The calls about the rows in `places`, and the rows that cannot be read."""
    for first in range(0, len(places), call_rows):
        some = places[first : first + call_rows]
        columns = inputs.columns(some)
        if columns is None:
            yield from _item_calls(inputs, some)
        else:
            yield TableCall(some, {name: list(values) for name, values in columns.items()})


def _item_calls(inputs: Inputs, places: Sequence[int]) -> Iterator[RowCall | dict[int, Refusal]]:
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
            yield ItemCall(taken, values)
            taken, values, taken_bytes = [], [], 0
        taken.append(place)
        values.append(value)
        taken_bytes += size
    if values:
        yield ItemCall(taken, values)


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
