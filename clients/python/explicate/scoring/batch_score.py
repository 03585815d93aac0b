"""`explicate.score`: a run from its options to its result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Literal, Protocol, TypedDict, TypeVar, Unpack, cast

import pyarrow.parquet as pq

from explicate._wire.channel import DEFAULT_TARGET
from explicate.async_client import AsyncClient
from explicate.bulk.in_flight import InFlight, Turns
from explicate.errors import ExplicateError, NotFound, UsageError
from explicate.model_info import ModelDescription
from explicate.options import ALL, ExplainOptions, Priority
from explicate.scoring.asking import Asker, in_turn
from explicate.scoring.conditions.grammar import condition_of
from explicate.scoring.interfaces import Condition, InputOptions
from explicate.scoring.output_columns import ExplanationLayout, OutputColumns
from explicate.scoring.output_folder import OutputFolder
from explicate.scoring.row_answers import RowAnswer, outcome_of
from explicate.scoring.row_calls import EXPLAINED_CALL_ROWS, ITEM_CALL_ROWS, TABLE_CALL_ROWS, Question, version_gone
from explicate.scoring.rows.source import known_files, open_source
from explicate.scoring.run_manifest import PinnedModel, Plan, RunManifest, schema_document
from explicate.scoring.scorer import MostFailed, Scorer, Tally, told

_Result = TypeVar("_Result")

CALL_TIMEOUT_S = 300.0
"""Seconds of a call unless said otherwise: nobody waits for it, and what it ends has to be done again."""

PREDICTED_PART_ROWS, EXPLAINED_PART_ROWS = 10_000, 500
"""Rows of a part unless said otherwise: about what a kill costs of each part that is under way."""

_EXPLAINED_BATCH_ROWS = 64  # that are read at once to be explained: some calls' worth


class Progress(Protocol):
    """Is shown how far a run is, every `interval_s` seconds."""

    interval_s: float

    def show(self, tally: Tally, in_flight: int) -> None:
        """The run is at `tally`, with room for `in_flight` calls."""


class ScoreSettings(TypedDict, total=False):
    """Keyword arguments of `score`, beside those of an explanation.

    version, label: which version answers, by default the live one; the run keeps it whatever is activated meanwhile.
    columns: from what the model reads to the column that has it, such as {"text": "review"}.
    keep: columns that go along to the output; all by default.
    explain: the method, such as "kernel-shap", or "auto"; without it there are predictions only.
    explain_if: explains only the rows for which this holds, such as 'probability < 0.6 or label == "bad"'.
    attributions: "long" (default), a list of features, or "wide", for a table, a column `attr_NAME` for each.
    top: only so many features of each explanation, those that weigh most.
    part_rows: rows of a file of the output; 10,000, or 500 if rows are explained.
    in_flight: calls under way; "auto" (default) finds out what the server takes.
    rate: rows a second at most.
    shard: (3, 16) does the parts of the third of sixteen processes, which need not know each other.
    retry_failed: ask again about the rows that failed.
    max_failed: how many rows may fail before the run stops.
    patience_s: seconds that a server which is away is waited for.
    priority: "bulk" (default) lets interactive requests go first.
    timeout_s: seconds of a call.
    """

    version: int | None
    label: str | None
    columns: Mapping[str, str]
    keep: Sequence[str] | None
    explain: str | None
    explain_if: str | None
    attributions: Literal["long", "wide"]
    top: int
    part_rows: int | None
    in_flight: int | Literal["auto"]
    rate: float | None
    shard: tuple[int, int]
    retry_failed: bool
    max_failed: MostFailed
    patience_s: float | None
    priority: Priority
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """A run's options, as `ScoreSettings` describes them; `how` are those of the explanations, None without any."""

    model: str
    inputs: tuple[str, ...]
    output: Path
    version: int | None = None
    label: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    keep: Sequence[str] | None = None
    how: ExplainOptions | None = None
    explain_if: str | None = None
    attributions: Literal["long", "wide"] = "long"
    top: int = 0
    part_rows: int | None = None
    in_flight: int | Literal["auto"] = "auto"
    rate: float | None = None
    shard: tuple[int, int] = (1, 1)
    retry_failed: bool = False
    max_failed: MostFailed = field(default_factory=MostFailed)
    patience_s: float | None = None
    priority: Priority = "bulk"
    timeout_s: float = CALL_TIMEOUT_S

    def __post_init__(self) -> None:
        """Raises UsageError for options that do not go together."""
        number, of = self.shard
        if not 1 <= number <= of:
            raise UsageError(f"the shard {number}/{of} does not exist: give one from 1/{of} to {of}/{of}")
        if self.part_rows is not None and self.part_rows < 1:
            raise UsageError("a part must have 1 or more rows (--part-rows)")
        if self.top < 0:
            raise UsageError("the number of strongest features (--top) must be 0 or more")
        if self.how is None and (self.explain_if or self.top or self.attributions == "wide"):
            raise UsageError("what is said of explanations (--explain-if, --attributions, --top) needs --explain")
        if self.attributions == "wide" and self.how is not None and self.how.get("target") is ALL:
            raise UsageError("one column for each feature cannot hold all classes: give --attributions long")
        if self.how is not None and self.how.get("change"):
            raise UsageError("change has no column in the output: explain the rows whose answer is to change")

    def document(self) -> dict[str, object]:
        """What the output depends on, for the manifest, as JSON has it."""
        return {
            "columns": dict(self.columns),
            "keep": None if self.keep is None else list(self.keep),
            "explain": None if self.how is None else {key: _plain(value) for key, value in self.how.items()},
            "explain_if": self.explain_if,
            "attributions": self.attributions,
            "top": self.top,
        }


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.value if isinstance(value, Enum) else value


@dataclass(frozen=True)
class ScoreResult:
    """What a run left: `failed` of the `rows` do not have an answer, and `_failed/` says why.

    rows, failed: of this process's parts. is_complete: whether the other shards are done too.
    """

    output: Path
    rows: int
    failed: int
    is_complete: bool


def score(
    model: str,
    inputs: str | Sequence[str],
    output: str | PathLike[str],
    *,
    server: str | AsyncClient = DEFAULT_TARGET,
    progress: Progress | None = None,
    **settings: Unpack[ScoreSettings],
) -> ScoreResult:
    """Score the rows of files, with their explanations if wanted, to Parquet files in the folder `output`.

    inputs: files, folders or globs. server: its address, or a client that knows how to reach it. The settings are those
    of `explicate.scoring.batch_score.ScoreSettings`.

    Called again after whatever ended it, it goes on where it was, and leaves the same bytes as if nothing had happened.
    Raises UsageError for what cannot be scored, before any work, and if `output` is of another run.
    """
    given = dict(settings)
    explain = given.pop("explain", None)
    own = {name: given.pop(name) for name in ScoreSettings.__annotations__ if name in given}
    if explain is None and given:
        raise UsageError(f"{', '.join(given)}: options of explanations need explain, such as explain='kernel-shap'")
    how = None if explain is None else cast(ExplainOptions, {"method": explain, **given})
    paths = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    options = ScoreOptions(model=model, inputs=paths, output=Path(output), how=how, **own)  # type: ignore[arg-type]
    return run_alone(lambda: score_with(options, server, progress))


def run_alone(work: Callable[[], Awaitable[_Result]]) -> _Result:
    """What a coroutine returns; in a thread of its own where this one has an event loop, such as a notebook's."""

    async def run() -> _Result:
        return await work()

    if asyncio._get_running_loop() is None:
        return asyncio.run(run())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run()).result()


async def score_with(options: ScoreOptions, server: str | AsyncClient, progress: Progress | None = None) -> ScoreResult:
    """`score`, as a coroutine."""
    if isinstance(server, AsyncClient):
        return await (await Run.prepared(options, server)).done(progress)
    async with AsyncClient(server) as client:
        return await (await Run.prepared(options, client)).done(progress)


class Run:
    """A run once it is known what it does: the version is pinned, the inputs fit it, and nothing is written yet."""

    def __init__(
        self,
        options: ScoreOptions,
        client: AsyncClient,
        turns: Turns,
        description: ModelDescription,
        earlier: RunManifest | None,
    ) -> None:
        self._options, self._client, self._turns = options, client, turns
        self.description = description
        self.source = open_source(
            InputOptions(options.inputs, options.columns, None if options.keep is None else tuple(options.keep)),
            description,
            known=known_files(options.output),
        )
        self.plan = self._planned(earlier)
        self._condition = _condition(options, description)
        self._earlier = earlier

    @classmethod
    async def prepared(cls, options: ScoreOptions, client: AsyncClient) -> Run:
        """Ask which version answers, and look at the inputs; raises UsageError if they do not go together."""
        earlier = OutputFolder(options.output).manifest()
        window = InFlight(
            options.in_flight, rate=options.rate, patience_s=options.patience_s, has_answered=earlier is not None
        )
        turns = Turns(window)
        which = {"version": options.version, "label": options.label}
        if earlier is not None and options.version is None and earlier.model.name == options.model:
            which = {"version": earlier.model.version, "label": None}  # whatever is live now
        try:
            description = await in_turn(turns, lambda: client.get_model(options.model, **which), 0, 1)  # type: ignore[arg-type]
        except NotFound as error:
            raise version_gone(earlier.model, error) if earlier is not None else error from error
        return await asyncio.to_thread(cls, options, client, turns, description, earlier)

    def _planned(self, earlier: RunManifest | None) -> Plan:
        options, rows = self._options, sum(file.rows for file in self.source.files)
        part_rows = options.part_rows or (PREDICTED_PART_ROWS if options.how is None else EXPLAINED_PART_ROWS)
        if earlier is not None:  # what a server takes in a call may change, and a run's calls may not
            return Plan(rows, part_rows, earlier.plan.call_rows)
        most = TABLE_CALL_ROWS if self.description.columns else ITEM_CALL_ROWS
        return Plan(rows, part_rows, min(most, self.description.limits.max_inputs))

    async def done(self, progress: Progress | None = None) -> ScoreResult:
        """Do all of this process's parts that are not there."""
        folder = OutputFolder(self._options.output, self._options.shard)
        wide = await self._wide_features()
        columns = self.columns(wide)
        manifest = RunManifest(
            model=PinnedModel.of(self.description),
            inputs=tuple(self.source.files),
            options=self._options.document(),
            plan=self.plan,
            wide=wide,
            schema=schema_document(columns.schema),
        )
        with folder.held():
            _check_same(folder.begin(manifest), manifest, folder.path)
            self.source.keep_index(folder.path)
            mine = [
                part for part in range(self.plan.parts) if part % self._options.shard[1] == self._options.shard[0] - 1
            ]
            folder.clear_unfinished(set(mine).__contains__)
            await self._make(folder, columns, mine, progress)
            return self._result(folder, mine)

    def columns(self, wide: tuple[str, ...] | None) -> OutputColumns:
        """The columns of the output; raises UsageError if two would have one name."""
        options = self._options
        layout = None
        if options.how is not None:
            layout = ExplanationLayout(wide, options.top, all_classes=options.how.get("target") is ALL)
        columns = OutputColumns(self.source.kept, outcome_of(self.description), layout)
        if self._condition is not None:
            self._condition.check(columns.predicted_schema)
        return columns

    def asker(self, columns: OutputColumns) -> Asker:
        """What asks the server."""
        options = self._options
        question = Question(
            model=PinnedModel.of(self.description),
            explain=options.how,
            condition=self._condition,
            columns=columns,
            priority=options.priority,
            call_rows=self.plan.call_rows,
            timeout_s=options.timeout_s,
            table_rows=min(EXPLAINED_CALL_ROWS, self.description.limits.max_explained_rows),
        )
        return Asker(self._client, self._turns, question)

    async def _make(
        self, folder: OutputFolder, columns: OutputColumns, mine: list[int], progress: Progress | None
    ) -> None:
        done = folder.parts()
        again = folder.parts_with_failures() & set(mine) if self._options.retry_failed else set()
        todo = [part for part in mine if part not in done or part in again]
        failed = _failed_rows(folder, done & set(mine) - again)
        there = sum(len(self.plan.rows_of(part)) for part in mine if part in done)
        there -= _failed_rows(folder, again)
        tally = Tally(sum(len(self.plan.rows_of(part)) for part in mine), there, failed, began_with=there)
        scorer = Scorer(
            source=self.source,
            asker=self.asker(columns),
            folder=folder,
            columns=columns,
            plan=self.plan,
            batch_rows=_EXPLAINED_BATCH_ROWS if self._explains_all else self.plan.call_rows,
            most_failed=self._options.max_failed,
            tally=tally,
        )
        shown = asyncio.create_task(self._show(tally, progress)) if progress else None
        try:
            await scorer.run(todo, again)
        except ExplicateError as error:
            error.add_note(so_far(self._options.output, self.plan))
            raise
        finally:
            if shown and progress:
                shown.cancel()
                progress.show(tally, self._turns.window.size)

    @property
    def _explains_all(self) -> bool:
        return self._options.how is not None and self._condition is None

    async def _show(self, tally: Tally, progress: Progress) -> None:
        while True:
            await asyncio.sleep(progress.interval_s)
            progress.show(tally, self._turns.window.size)

    def _result(self, folder: OutputFolder, mine: Sequence[int]) -> ScoreResult:
        is_complete = len(folder.parts()) == self.plan.parts
        if is_complete:
            folder.finish(rows=self.plan.rows, failed=_failed_rows(folder, folder.parts()))
        rows = sum(len(self.plan.rows_of(part)) for part in mine)
        return ScoreResult(folder.path, rows, _failed_rows(folder, set(mine)), is_complete)

    async def _wide_features(self) -> tuple[str, ...] | None:
        """The features that have a column each: those of the first row that can be explained."""
        if self._options.attributions != "wide":
            return None
        if self._earlier is not None and self._earlier.wide is not None:
            return self._earlier.wide
        if not self.description.columns:
            raise UsageError("only features of tables can have a column each: give --attributions long")
        asker = self.asker(self.columns(None))
        why = "the inputs do not have rows"
        for batch in self.source.batches([range(min(self.plan.rows, _EXPLAINED_BATCH_ROWS))], batch_rows=1):
            outcome = (await asker.explained(batch, [0]))[0]
            if isinstance(outcome, RowAnswer) and outcome.explanation:
                return tuple(outcome.explanation.features)
            if not isinstance(outcome, RowAnswer):
                why = f"none of the first rows can be explained; {told(outcome)}"
        raise UsageError(f"which features have a column each is not known: {why}")


def _condition(options: ScoreOptions, model: ModelDescription) -> Condition | None:
    return condition_of(options.explain_if, model.class_labels) if options.explain_if is not None else None


def _check_same(found: RunManifest, wanted: RunManifest, path: Path) -> None:
    if differences := found.differences(wanted):
        raise UsageError(f"{path} is the output of another run: {'; '.join(differences)}; choose another --output")


def _failed_rows(folder: OutputFolder, parts: set[int]) -> int:
    return sum(pq.read_metadata(folder.failed_part(part)).num_rows for part in folder.parts_with_failures() & parts)


def so_far(output: Path, plan: Plan | None = None) -> str:
    """How far a run that has ended early is, and how it goes on."""
    folder = OutputFolder(output)
    manifest = None
    with suppress(UsageError):
        manifest = folder.manifest() if plan is None else None
    plan = plan or (manifest.plan if manifest else None)
    if plan is None:
        return "nothing was written yet"
    return f"{len(folder.parts()):,} of {plan.parts:,} parts are done and stay: run the same command again to go on"
