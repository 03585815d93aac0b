"""Does a run: reads the rows, asks about them, writes the parts in any order, each of them whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from explicate.errors import ExplicateError
from explicate.scoring.asking import Asker, Outcomes
from explicate.scoring.interfaces import Refusal, RowBatch, Source
from explicate.scoring.output_columns import OutputColumns
from explicate.scoring.output_folder import OutputFolder
from explicate.scoring.part_files import EarlierPart, PartWriter, merged
from explicate.scoring.row_answers import RowAnswer
from explicate.scoring.run_manifest import Plan

_Made = TypeVar("_Made")

# Batches that are read and not written yet: enough for a full window of calls, few enough for memory.
_MOST_BATCHES = 64
_MOST_BYTES = 48 * 1024 * 1024


class TooManyFailed(ExplicateError):
    """More rows failed than the run may have."""


@dataclass(frozen=True)
class MostFailed:
    """How many rows may fail: a number, or a share of the rows so far."""

    rows: int | None = None
    share: float = 0.5
    # A share of fewer rows than this is of this many: one bad row among the first ten does not tell anything yet.
    least_rows: int = 1000

    def is_passed(self, failed: int, done: int) -> bool:
        """Whether so many of so many are too many."""
        if self.rows is not None:
            return failed > self.rows
        return failed > self.share * max(done, self.least_rows)

    def __str__(self) -> str:
        return f"{self.rows:,}" if self.rows is not None else f"{100 * self.share:g}%"


@dataclass
class Tally:
    """How far a run is. done: rows of this process's parts that are answered or failed, earlier ones included."""

    rows: int
    done: int = 0
    failed: int = 0
    began_with: int = 0
    explained: int = 0
    evaluations: int = 0
    began_s: float = field(default_factory=time.monotonic)

    @property
    def rows_per_s(self) -> float:
        """Rows a second since this process began."""
        return (self.done - self.began_with) / max(time.monotonic() - self.began_s, 1e-9)

    @property
    def left_s(self) -> float | None:
        """Seconds until the end, as it goes now; None if that is not known yet."""
        return (self.rows - self.done) / self.rows_per_s if self.done > self.began_with else None


class Scorer:
    """One process's share of a run: the parts in `todo`, of which those in `again` have rows to be asked again."""

    def __init__(
        self,
        *,
        source: Source,
        asker: Asker,
        folder: OutputFolder,
        columns: OutputColumns,
        plan: Plan,
        batch_rows: int,
        most_failed: MostFailed,
        tally: Tally,
    ) -> None:
        self._source, self._asker, self._folder = source, asker, folder
        self._columns, self._plan, self._batch_rows = columns, plan, batch_rows
        self._most_failed, self._tally = most_failed, tally
        self._room = _Room(_MOST_BATCHES, _MOST_BYTES)

    async def run(self, todo: list[int], again: set[int]) -> None:
        """Make the parts; raises the first error that is not about a row, with nothing left of parts under way."""
        reader = self._source.batches((self._plan.rows_of(part) for part in todo), batch_rows=self._batch_rows)
        try:
            async with asyncio.TaskGroup() as group:
                await self._read(reader, group, again)
        except BaseExceptionGroup as failures:
            raise _first(failures) from None

    async def _read(self, reader: Iterator[RowBatch], group: asyncio.TaskGroup, again: set[int]) -> None:
        queue: asyncio.Queue[_Batch] = asyncio.Queue()
        number = None
        while (batch := await _in_thread(next, reader, None)) is not None:
            taken_bytes = await self._room.take(int(batch.kept.nbytes))
            part = self._plan.part_of(batch.start)
            if part != number:
                number, queue = part, asyncio.Queue()
                earlier = await _in_thread(self._earlier, part) if part in again else None
                group.create_task(self._make(part, queue, earlier))
            failed = earlier.failed if earlier else None
            places = [i for i in range(len(batch)) if failed is None or batch.start + i in failed]
            answers = group.create_task(self._asker.outcomes(batch, places))
            queue.put_nowait(_Batch(batch, places, answers, taken_bytes))

    def _earlier(self, part: int) -> EarlierPart:
        return EarlierPart(self._folder, part, self._columns, self._plan.rows_of(part))

    async def _make(self, part: int, queue: asyncio.Queue[_Batch], earlier: EarlierPart | None) -> None:
        """Write a part from its batches, in their order."""
        rows, done, failed = self._plan.rows_of(part), 0, 0
        with PartWriter(self._folder, part, self._columns) as writer:
            while done < len(rows):
                batch = await queue.get()
                outcomes = await batch.outcomes
                failed += await _in_thread(self._add, writer, batch, outcomes, earlier)
                done += len(batch.rows)
                self._count(batch, outcomes)
                self._room.leave(batch.taken_bytes)
            await _in_thread(writer.finish)

    def _add(self, writer: PartWriter, batch: _Batch, outcomes: Outcomes, earlier: EarlierPart | None) -> int:
        """Hand the rows of a batch to the writer; how many of them failed."""
        kept, start = batch.rows.kept, batch.rows.start
        answered = {place: each for place in batch.places if isinstance(each := outcomes[place], RowAnswer)}
        refused = {place: each for place in batch.places if isinstance(each := outcomes[place], Refusal)}
        new = self._columns.answered(_taken(kept, answered), list(answered.values()))
        if earlier is not None:
            before, places = earlier.next_rows(range(start, start + len(batch.rows)))
            new = merged(before, places, new, list(answered))
        numbers = [start + place for place in refused]
        writer.add(new, self._columns.failed(_taken(kept, refused), numbers, list(refused.values())))
        return len(refused)

    def _count(self, batch: _Batch, outcomes: Outcomes) -> None:
        tally = self._tally
        refused = {place: each for place, each in outcomes.items() if isinstance(each, Refusal)}
        explained = [each.explanation for each in outcomes.values() if isinstance(each, RowAnswer) and each.explanation]
        tally.done += len(batch.places)
        tally.failed += len(refused)
        tally.explained += len(explained)
        tally.evaluations += sum(each.evaluations for each in explained)
        if refused and self._most_failed.is_passed(tally.failed, tally.done):
            place, refusal = next(iter(refused.items()))
            raise TooManyFailed(
                f"{tally.failed:,} of {tally.done:,} rows failed, more than --max-failed {self._most_failed} allows; "
                f"row {batch.rows.start + place} because {told(refusal)}"
            )


def told(refusal: Refusal) -> str:
    """Why a row failed, for people."""
    return f"{refusal.field}: {refusal.message}" if refusal.field else refusal.message


@dataclass(frozen=True)
class _Batch:
    """A batch under way: its rows, the places that are asked about, what becomes of them, and the room it takes."""

    rows: RowBatch
    places: list[int]
    outcomes: asyncio.Task[Outcomes]
    taken_bytes: int


class _Room:
    """How many batches may be under way at once, and how many bytes they may have; a large one may be alone."""

    def __init__(self, batches: int, most_bytes: int) -> None:
        self._batches, self._most_bytes = batches, most_bytes
        self._taken, self._taken_bytes = 0, 0
        self._left = asyncio.Event()

    async def take(self, size: int) -> int:
        """Wait for room for so many bytes."""
        while self._taken and (self._taken >= self._batches or self._taken_bytes + size > self._most_bytes):
            self._left.clear()
            await self._left.wait()
        self._taken += 1
        self._taken_bytes += size
        return size

    def leave(self, size: int) -> None:
        """A batch is written."""
        self._taken -= 1
        self._taken_bytes -= size
        self._left.set()


async def _in_thread(work: Callable[..., _Made], *arguments: Any) -> _Made:
    """What `work` returns; one who is cancelled meanwhile waits for its end, for it has a file in hand."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.cancelled() or task.exception()  # seen, and of no matter any more
        raise


def _taken(kept: pa.RecordBatch, places: Mapping[int, object]) -> pa.RecordBatch:
    return kept if len(places) == kept.num_rows else kept.take(pa.array(list(places), pa.int64()))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that the others of a group are a consequence of."""
    found = failures.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
