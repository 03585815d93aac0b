"""What a run will cost, from a sample of its first rows; nothing is written."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from explicate.async_client import AsyncClient
from explicate.scoring.batch_score import Run, ScoreOptions
from explicate.scoring.interfaces import Refusal
from explicate.scoring.row_answers import RowAnswer
from explicate.scoring.scorer import told

_EXPLAINED_ROWS = 50


@dataclass(frozen=True)
class Estimate:
    """The sample, and what it says of all rows.

    sample_s: seconds that the sample took. explained: rows of it that were explained, with so many `evaluations` in
    all. failure: why the first of the `failed` ones did. row_bytes: of a row in the output.
    """

    files: int
    rows: int
    parts: int
    sample_rows: int
    sample_s: float
    explained: int
    evaluations: int
    failed: int
    failure: str
    row_bytes: float

    @property
    def seconds(self) -> float:
        """What all rows take, if they go as the sample did."""
        return self.rows * self.sample_s / max(1, self.sample_rows)

    @property
    def evaluations_in_all(self) -> float:
        """Evaluations of all rows."""
        return self.rows * self.evaluations / max(1, self.sample_rows)


async def estimated(options: ScoreOptions, client: AsyncClient) -> Estimate:
    """Ask about the first rows: 50 if they are explained, else as many as a call has."""
    run = await Run.prepared(options, client)
    columns = run.columns(None)
    size = _EXPLAINED_ROWS if options.how is not None else run.plan.call_rows
    rows, began_s = range(min(size, run.plan.rows)), time.monotonic()
    outcomes: list[RowAnswer | Refusal] = []
    answered: list[pa.RecordBatch] = []
    for batch in run.source.batches([rows] if rows else [], batch_rows=size):
        found = await run.asker(columns).outcomes(batch, range(len(batch)))
        outcomes += [found[place] for place in range(len(batch))]
        places = [place for place in range(len(batch)) if isinstance(found[place], RowAnswer)]
        kept = batch.kept.take(pa.array(places, pa.int64()))
        answered.append(columns.answered(kept, [each for each in found.values() if isinstance(each, RowAnswer)]))
    sample_s = time.monotonic() - began_s
    refused = [each for each in outcomes if isinstance(each, Refusal)]
    explanations = [each.explanation for each in outcomes if isinstance(each, RowAnswer) and each.explanation]
    return Estimate(
        files=len(run.source.files),
        rows=run.plan.rows,
        parts=run.plan.parts,
        sample_rows=len(outcomes),
        sample_s=sample_s,
        explained=len(explanations),
        evaluations=sum(each.evaluations for each in explanations),
        failed=len(refused),
        failure=told(refused[0]) if refused else "",
        row_bytes=_file_bytes(pa.Table.from_batches(answered, columns.schema)) / max(1, len(outcomes)),
    )


def _file_bytes(table: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return int(sink.tell())
