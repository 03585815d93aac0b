"""Rows of Arrow in, the same rows with their answers out: what engines such as Spark and Ray spread over machines.

A `BatchJob` is all that a worker has to know. It is made once, where the job is planned, by one GetModel: the version,
the columns and their types are decided then, so that all workers ask the same version for the same columns. A
`BatchScorer` is one worker's client; it answers the batches that it is handed, one after another.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

import pyarrow as pa

from explicate._wire.channel import DEFAULT_TARGET, Tls
from explicate.async_client import AsyncClient
from explicate.bulk.in_flight import InFlight, Turns
from explicate.client import Client
from explicate.errors import UsageError
from explicate.model_info import ModelDescription
from explicate.options import ALL, ExplainOptions, Priority
from explicate.scoring.asking import Asker, Outcomes
from explicate.scoring.batch_score import CALL_TIMEOUT_S, ScoreOptions
from explicate.scoring.conditions.grammar import condition_of
from explicate.scoring.interfaces import Condition, Refusal, RowBatch
from explicate.scoring.output_columns import ExplanationLayout, OutputColumns
from explicate.scoring.row_answers import RowAnswer, outcome_of
from explicate.scoring.row_calls import EXPLAINED_CALL_ROWS, ITEM_CALL_ROWS, TABLE_CALL_ROWS, Question
from explicate.scoring.rows.fields import Fields, fields_of, kept_schema
from explicate.scoring.run_manifest import PinnedModel

ERROR = "error"
"""The column that says why a row has no answer; null where it has one."""

MOST_IN_FLIGHT = 16  # calls of one worker: an engine has many, and each finds out what the server takes
_MOST_OPEN = 4  # jobs that one worker keeps clients of
_ERROR_FIELD = pa.field(ERROR, pa.struct([(name, pa.string()) for name in ("reason", "field", "message")]))


class BatchOptions(ExplainOptions, total=False):
    """Keyword arguments of `explicate.spark.score` and `explicate.ray.score`; the others are of the explanations.

    server: "host:port", or any gRPC name whose addresses share the calls.
    tls, allow_plain_token: as `explicate.Client` has them.
    token: goes to the workers inside the job; it is not in a plan's text, an event log or an error.
    token_file: in place of it, a file that each worker reads, such as a mounted secret.
    version, label: which version answers; by default the live one. It is looked up once, when the job is planned.
    columns: from what the model reads to the column that has it, such as {"text": "review"}, where its name is another.
    keep: columns that go along to the output, in this order; by default all.
    explain: a method, or "auto"; without it rows are only predicted.
    explain_if: explains the rows for which it holds, such as 'probability < 0.6'.
    attributions: "long" (default), a list of features, or "wide", for a table, a column `attr_NAME` for each.
    top: only so many features of each explanation, those that weigh most.
    priority: "bulk" (default) lets interactive requests go first.
    in_flight: calls of one worker under way; "auto" (default) finds out what the server takes, up to 16.
    rate: rows a second of one worker at most.
    patience_s: seconds that a server which is away is waited for, before the task fails and the engine tries it again.
    timeout_s: seconds of a call; 300 by default.
    """

    server: str
    tls: Tls | bool
    token: str | None
    token_file: str | None
    allow_plain_token: bool
    version: int | None
    label: str | None
    columns: Mapping[str, str]
    keep: Sequence[str] | None
    explain: str | None
    explain_if: str | None
    attributions: Literal["long", "wide"]
    top: int
    priority: Priority
    in_flight: int | Literal["auto"]
    rate: float | None
    patience_s: float | None
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Access:
    """How workers reach the server; the fields are keys of `BatchOptions`."""

    server: str = DEFAULT_TARGET
    tls: Tls | bool = False
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    allow_plain_token: bool = False
    timeout_s: float = CALL_TIMEOUT_S

    def arguments(self) -> dict[str, Any]:
        """The arguments of a client. Raises UsageError for a token that cannot be read."""
        return {
            "target": self.server,
            "tls": self.tls,
            "token": self._read_token(),
            "allow_plain_token": self.allow_plain_token,
            "timeout_s": self.timeout_s,
        }

    def _read_token(self) -> str | None:
        if self.token_file is None:
            return self.token
        if self.token is not None:
            raise UsageError("give a token or a token_file, not both")
        try:
            return Path(self.token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the token in {self.token_file}: {error}") from None


def asked_of(model: str, options: BatchOptions) -> ScoreOptions:
    """The options of a run of files, without the files."""
    explain = options.get("explain")
    how = _own(ExplainOptions.__annotations__, options)
    if explain is None and how:
        raise UsageError(f'{min(how)} is an option of explanations, which need explain, such as explain="auto"')
    asked = ScoreOptions(
        model=model,
        inputs=(),
        output=Path(),
        how=None if explain is None else cast(ExplainOptions, {"method": explain, **how}),
        **_own({each.name for each in fields(ScoreOptions)}, options),
    )
    window_of(asked)  # raises for values that make no sense
    return asked


def _own(names: Container[str], options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def window_of(asked: ScoreOptions) -> InFlight:
    """How many calls a worker has under way. The server answered when the job was planned."""
    return InFlight(
        asked.in_flight, most=MOST_IN_FLIGHT, rate=asked.rate, patience_s=asked.patience_s, has_answered=True
    )


@dataclass(frozen=True)
class BatchJob:
    """A job as each worker gets it, pickled. given: the columns that it is handed; `schema`: those that it gives back.

    The column `error` is null, or says why the row has no answer: `reason` is a stable word, `field` the column that is
    wrong, and a `message` for people.
    """

    access: Access
    asked: ScoreOptions
    model: ModelDescription
    given: pa.Schema
    number: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def planned(cls, given: pa.Schema, model: str, options: BatchOptions, *, called: str) -> BatchJob:
        """Ask the server once which version answers, and what it reads; `called` is the rows' name in messages.

        Raises UsageError for a column that is missing or cannot be what the model reads, and the server's errors.
        """
        if unknown := set(options) - {*BatchOptions.__annotations__, *ExplainOptions.__annotations__}:
            raise TypeError(f"{min(unknown)} is not an option of a batch or of an explanation")
        access = Access(**_own({each.name for each in fields(Access)}, options))
        asked = asked_of(model, options)
        with Client(**access.arguments()) as client:
            described = client.get_model(model, version=options.get("version"), label=options.get("label"))
        given = pa.schema([one.with_type(_plain(one.type)) for one in given])
        kept = kept_schema(asked.keep, given, called)
        read = fields_of(described, asked.columns, given, called)
        needed = [one for one in given if one.name in {*kept.names, *read.columns.values()}]
        job = cls(access, asked, replace(described, model_card=""), pa.schema(needed))
        if (condition := job.condition) is not None:
            condition.check(job.columns.predicted_schema)
        _ = job.schema  # raises for two columns of one name
        return job

    @property
    def pinned(self) -> PinnedModel:
        """The version that answers for all rows."""
        return PinnedModel.of(self.model)

    @property
    def fields(self) -> Fields:
        """What the model reads, and from which columns."""
        return fields_of(self.model, self.asked.columns, self.given, "the table")

    @property
    def kept(self) -> pa.Schema:
        """The columns that go along."""
        return kept_schema(self.asked.keep, self.given, "the table")

    @property
    def condition(self) -> Condition | None:
        """Which rows are explained; None for all. Raises UsageError for what is not a condition."""
        text = self.asked.explain_if
        return None if text is None else condition_of(text, self.model.class_labels)

    @property
    def question(self) -> Question:
        """What is asked about each row."""
        limits = self.model.limits
        return Question(
            model=self.pinned,
            explain=self.asked.how,
            condition=self.condition,
            columns=self.columns,
            priority=self.asked.priority,
            timeout_s=self.access.timeout_s,
            call_rows=min(TABLE_CALL_ROWS if self.model.columns else ITEM_CALL_ROWS, limits.max_inputs),
            table_rows=min(EXPLAINED_CALL_ROWS, limits.max_explained_rows),
        )

    @property
    def columns(self) -> OutputColumns:
        """The columns of the answers, after those that go along."""
        return OutputColumns(self.kept, outcome_of(self.model), self._layout())

    @property
    def schema(self) -> pa.Schema:
        """The columns that the job gives back."""
        columns = self.columns.schema
        if ERROR in columns.names:
            raise UsageError(f"the input has a column {ERROR}, and so has the output: rename it")
        return columns.append(_ERROR_FIELD)

    def _layout(self) -> ExplanationLayout | None:
        asked = self.asked
        if asked.how is None:
            return None
        if asked.attributions == "long":
            return ExplanationLayout(None, asked.top, all_classes=asked.how.get("target") is ALL)
        if not self.model.columns:
            raise UsageError('only features of tables can have a column each: give attributions="long"')
        return ExplanationLayout(tuple(dict.fromkeys(column.group or column.name for column in self.model.columns)))


def scorer_of(job: BatchJob) -> BatchScorer:
    """This process's client of a job: one for all the tasks that an engine runs in it."""
    if job.number not in _open:
        while len(_open) >= _MOST_OPEN:
            _open.pop(next(iter(_open))).close()
        _open[job.number] = BatchScorer(job)
    return _open[job.number]


_open: dict[str, BatchScorer] = {}


class BatchScorer:
    """One worker's client of a job. It keeps its connection, and the number of calls that the server takes."""

    def __init__(self, job: BatchJob) -> None:
        self._job, self._columns, self._fields = job, job.columns, job.fields
        self._loop = _Loop()
        self._client = AsyncClient(**job.access.arguments())
        self._asker = Asker(self._client, Turns(window_of(job.asked)), job.question)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows, in their order, with `error` null for each that has an answer.

        Raises the server's error if it is not about a row: the version is gone, the token is not valid.
        """
        rows = rows.select(self._job.given.names).cast(self._job.given).combine_chunks()
        if not rows.num_rows:
            return self._job.schema.empty_table()
        inputs, refused = self._fields.inputs(rows, _no_folder)
        (kept,) = rows.select(self._job.kept.names).to_batches() if self._job.kept.names else (_only_rows(rows),)
        batch = RowBatch(start=0, kept=kept, inputs=inputs, refused=refused)
        outcomes = self._loop.run(lambda: self._outcomes(batch))
        return self._with_answers(kept, outcomes)

    async def _outcomes(self, batch: RowBatch) -> Outcomes:
        try:
            return await self._asker.outcomes(batch, range(len(batch)))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None

    def _with_answers(self, kept: pa.RecordBatch, outcomes: Outcomes) -> pa.Table:
        """Kept columns as they are, then those of the answers, null where there is none."""
        answered = {place: each for place in sorted(outcomes) if isinstance(each := outcomes[place], RowAnswer)}
        places = {place: index for index, place in enumerate(answered)}
        taken = kept.take(pa.array(list(answered), pa.int64()))
        answers = pa.Table.from_batches([self._columns.answered(taken, list(answered.values()))])
        rows = answers.take(pa.array([places.get(place) for place in range(kept.num_rows)], pa.int64()))
        own = {name: rows[name] for name in rows.column_names if name not in kept.schema.names}
        along = {name: kept.column(name) for name in kept.schema.names}
        whys = [_why(outcomes[place]) for place in range(kept.num_rows)]
        return pa.table({**along, **own, ERROR: pa.array(whys, _ERROR_FIELD.type)}, schema=self._job.schema)

    def close(self) -> None:
        """Close the connection."""
        self._loop.run(self._client.close)
        self._loop.close()


class _Loop:
    """An event loop in a thread of its own: the engine's own thread may have one that runs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, name="explicate", daemon=True).start()

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def run(self, ask: Callable[[], Awaitable[Any]]) -> Any:  # Any: whatever is asked
        """The result of a coroutine; a signal that ends the waiting cancels it."""

        async def asked() -> Any:
            return await ask()

        future = asyncio.run_coroutine_threadsafe(asked(), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values, without how they are stored."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _why(outcome: RowAnswer | Refusal) -> dict[str, str] | None:
    return dict(vars(outcome)) if isinstance(outcome, Refusal) else None


def _no_folder(place: int) -> Path:  # noqa: ARG001 - every row's
    """Rows of an engine do not come from a folder that a path could lie in."""
    raise UsageError("paths are read by `explicate score`; here give the content of the files as a column of bytes")


def _only_rows(rows: pa.Table) -> pa.RecordBatch:
    """A batch without columns, which still has so many rows."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows.num_rows, pa.struct([])))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
