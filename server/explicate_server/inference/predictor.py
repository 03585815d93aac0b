"""Predictions: inputs in, the graph's answers out, in the inputs' order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.model_inputs import ModelInput, TabularInput
from explicate_server.errors import MOST_VIOLATIONS_TOLD, DeadlinePassed, InvalidRequest, NotServable, Violation
from explicate_server.inference.evaluations import Timings
from explicate_server.inference.workers import Workers
from explicate_server.modalities.modality import EncodedInput
from explicate_server.modalities.rows.packed_table import PackedTable
from explicate_server.modalities.table import EncodedRows, TabularModality
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.queue import Row
from explicate_server.settings import Settings

# Tokenising this many characters takes less time (about 0.5 ms) than waiting for a thread that does it.
_INLINE_CHARACTERS = 4096
# What one call may keep a worker busy with before others have their turn: about 0.1 s of texts, or one image.
_PART_CHARACTERS = 1 << 20
_Encoded = TypeVar("_Encoded")


@dataclass(frozen=True)
class PredictAnswer:
    """The graph's answers float64[inputs, outputs], what was made of each input, and where the time went."""

    answers: NDArray[np.float64]
    encoded: Sequence[EncodedInput]
    timings: Timings


@dataclass(frozen=True)
class PackedAnswer:
    """The graph's answers float64[rows, outputs], the columns with unknown categories, and where the time went."""

    answers: NDArray[np.float64]
    unknown_category_columns: Sequence[str]
    timings: Timings


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Who asks for a prediction, and what is left of its time."""

    served: ServedModel
    caller: str
    priority: Priority
    time_left_s: float
    timings: Timings = field(default_factory=Timings)


class Predictor:
    """Computes predictions; one for the whole server."""

    def __init__(self, settings: Settings, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers

    async def predict(
        self,
        served: ServedModel,
        values: Sequence[ModelInput],
        *,
        caller: str,
        priority: Priority,
        time_left_s: float,
    ) -> PredictAnswer:
        """Predict every input, or none; ``caller`` is whose share of the queue and of the model's time they take.

        Raises:
            InvalidRequest: names the bad inputs, ``inputs[3].text``.
            NotServable: an input is not of the model's kind.
            Overloaded: the queue cannot take the inputs.
            DeadlinePassed: time was over before the last answer.
            ModelFault: the model failed on one of the inputs.
        """
        asked = _Asked(served=served, caller=caller, priority=priority, time_left_s=time_left_s)
        self._check_count(asked, len(values), "inputs", "inputs")
        encoded = await self._encode_all(asked, values)
        answers = await self._run(asked, [item.row for item in encoded])
        return PredictAnswer(answers, encoded, asked.timings)

    async def predict_packed(
        self, served: ServedModel, table: PackedTable, *, caller: str, priority: Priority, time_left_s: float
    ) -> PackedAnswer:
        """Predict every row of a table, or none.

        Raises:
            InvalidRequest: names the bad columns, ``table.columns[income].numbers.values[17]``.
            NotServable: the model does not read tables.
            Overloaded, DeadlinePassed, ModelFault: as in :meth:`predict`.
        """
        asked = _Asked(served=served, caller=caller, priority=priority, time_left_s=time_left_s)
        modality = served.modality
        if not isinstance(modality, TabularModality):
            raise wrong_kind(served, "table", TabularInput)
        self._check_count(asked, table.rows, "table.rows", "rows")

        def encode() -> EncodedRows:
            violations = modality.packed_violations(table)
            if violations:
                raise InvalidRequest(violations[:MOST_VIOLATIONS_TOLD])
            return modality.encode_packed(table)

        # A cell of a whole column takes that much less than a character, and a column as much as a cell of a row.
        encoded = await self._encode(asked, encode, (table.rows // 16 + 4) * len(table.columns))
        answers = await self._run(asked, encoded.rows)
        return PackedAnswer(answers, encoded.unknown_category_columns, asked.timings)

    def _check_count(self, asked: _Asked, count: int, path: str, what: str) -> None:
        """Refuse too many, and before they are made ready those that the queue has no room for."""
        served = asked.served
        most = self._settings.rows_that_may_wait(self._settings.max_inputs, served.modality.row_bytes)
        if not 1 <= count <= most:
            raise InvalidRequest([Violation(path, f"has {count:,} {what}; give 1 to {most:,} in one call")])
        served.batcher.check_room(count, priority=asked.priority, caller=asked.caller)

    async def _encode_all(self, asked: _Asked, values: Sequence[ModelInput]) -> list[EncodedInput]:
        """All inputs made ready, in parts between which others have their turn."""
        encoded: list[EncodedInput] = []
        violations: list[Violation] = []
        for part in _parts(values):
            inputs, paths = [values[index] for index in part], [f"inputs[{index}]" for index in part]
            cost = sum(value.encoding_cost for value in inputs)
            try:
                encoded += await self._encode(asked, partial(encode_inputs, asked.served, inputs, paths), cost)
            except InvalidRequest as error:
                violations += error.violations
            if len(violations) >= MOST_VIOLATIONS_TOLD:
                break
            if asked.timings.total_s >= asked.time_left_s:
                raise DeadlinePassed
        if violations:
            raise InvalidRequest(violations[:MOST_VIOLATIONS_TOLD])
        return encoded

    async def _encode(self, asked: _Asked, encode: Callable[[], _Encoded], characters: int) -> _Encoded:
        if characters <= _INLINE_CHARACTERS:
            encoded = encode()
        else:
            pool = self._workers.encoding(characters, self._workers.predict)
            encoded = await pool.run(encode, caller=asked.caller, priority=asked.priority)
        asked.timings.preprocessing_s = asked.timings.total_s
        return encoded

    async def _run(self, asked: _Asked, rows: Sequence[Row]) -> NDArray[np.float64]:
        """The graph's answers to all rows, float64[rows, outputs]."""
        batcher, timings = asked.served.batcher, asked.timings
        ticket = batcher.run_at_once(rows, priority=asked.priority, caller=asked.caller)
        if ticket is None:
            ticket = batcher.submit(rows, priority=asked.priority, caller=asked.caller)
        try:
            in_time = await batcher.wait(ticket, timeout_s=max(0.0, asked.time_left_s - timings.total_s))
        finally:
            batcher.abandon(ticket)  # harmless when it is done; drops the rows of a caller who left
        if not in_time:
            raise DeadlinePassed
        timings.add(ticket)
        return ticket.values


def encode_inputs(served: ServedModel, values: Sequence[ModelInput], paths: Sequence[str]) -> Sequence[EncodedInput]:
    """Make inputs ready, which are at ``paths`` of the request; it may take long, and then belongs in a worker.

    Raises:
        NotServable: one is not of the model's kind.
        InvalidRequest: names the first bad ones.
    """
    for value, path in zip(values, paths, strict=True):
        if not isinstance(value, served.modality.input_type):
            raise wrong_kind(served, path, type(value))
    encoded = served.modality.encode_all(values)
    if encoded is not None:
        return encoded
    violations: list[Violation] = []
    for value, path in zip(values, paths, strict=True):
        if len(violations) < MOST_VIOLATIONS_TOLD:
            violations += served.modality.violations(value, path)
    raise InvalidRequest(violations[:MOST_VIOLATIONS_TOLD])


def _parts(values: Sequence[ModelInput]) -> Iterator[range]:
    """Runs of places, each of one input or of at most a part's cost."""
    first, cost = 0, 0
    for index, value in enumerate(values):
        cost += value.encoding_cost
        if index > first and cost > _PART_CHARACTERS:
            yield range(first, index)
            first, cost = index, value.encoding_cost
    yield range(first, len(values))


def wrong_kind(served: ServedModel, path: str, given: type[ModelInput]) -> NotServable:
    """What a model is asked that does not read inputs of a kind."""
    name = served.bundle.manifest.model
    return NotServable(
        "INPUT_KIND_UNSUPPORTED",
        f"{path} is {given.described}; {name!r} reads {served.modality.input_type.described}",
    )
