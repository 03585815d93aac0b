"""Folders of `explicate score` from random numbers, written by its own writer: many rows without asking a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from explicate.scoring.interfaces import InputFile, Refusal
from explicate.scoring.output_columns import ExplanationLayout, OutputColumns
from explicate.scoring.output_folder import OutputFolder
from explicate.scoring.part_files import PartWriter
from explicate.scoring.row_answers import OneClass
from explicate.scoring.run_manifest import PinnedModel, Plan, RunManifest, schema_document

LABELS = ("bad", "good")
COLUMNS = ("age", "income", "debt", "years", "job", "owner")
JOBS = ("clerk", "driver", "<b>chef</b>", "منسق", "🧪 chemist")


@dataclass(frozen=True)
class FolderPlan:
    """A folder to write. fails: one row of so many has no answer; done: whether the run came to its end."""

    rows: int
    part_rows: int = 500
    fails: int = 0
    done: bool = True
    seed: int = 0


def write_folder(path: Path, plan: FolderPlan) -> Path:
    """Write the folder; the parts that a run in progress does not have yet are left to the caller."""
    columns = OutputColumns(_input_schema(), OneClass(LABELS), ExplanationLayout())
    folder = OutputFolder(path)
    parts = Plan(plan.rows, plan.part_rows, plan.part_rows)
    with folder.held():
        folder.begin(_manifest(columns, parts))
        for number in range(parts.parts):
            _write_part(folder, number, columns, parts.rows_of(number), plan)
        if plan.done:
            folder.finish(rows=plan.rows, failed=plan.rows // plan.fails if plan.fails else 0)
    return path


def _write_part(folder: OutputFolder, number: int, columns: OutputColumns, rows: range, plan: FolderPlan) -> None:
    fails = [row for row in rows if plan.fails and row % plan.fails == 0]
    answered = [row for row in rows if not plan.fails or row % plan.fails]
    random_numbers = np.random.default_rng((plan.seed, number))
    refusals = [Refusal("INVALID_ARGUMENT", "rows[0].income", "income is not a number") for _ in fails]
    failed = columns.failed(_inputs(random_numbers, fails), fails, refusals)
    with PartWriter(folder, number, columns) as part:
        part.add(_answers(columns, random_numbers, answered), failed)
        part.finish()


def _input_schema() -> pa.Schema:
    number, text = pa.float64(), pa.string()
    kinds = {"age": pa.int64(), "income": number, "debt": number, "years": pa.int64(), "job": text, "owner": pa.bool_()}
    return pa.schema([("id", text), *kinds.items()])


def _inputs(drawn: np.random.Generator, rows: list[int]) -> pa.RecordBatch:
    count = len(rows)
    income = np.round(drawn.lognormal(10, 0.5, count), 2)
    arrays = [
        pa.array([f"row {row}" for row in rows]),
        pa.array(drawn.integers(18, 90, count)),
        pa.array(income, mask=drawn.random(count) < 0.05),
        pa.array(np.round(drawn.exponential(5000, count), 2)),
        pa.array(drawn.integers(0, 40, count)),
        pa.array([JOBS[place] for place in drawn.integers(0, len(JOBS), count)], pa.string()),
        pa.array(drawn.random(count) < 0.4),
    ]
    return pa.record_batch(arrays, schema=_input_schema())


def _answers(columns: OutputColumns, drawn: np.random.Generator, rows: list[int]) -> pa.RecordBatch:
    count, features = len(rows), len(COLUMNS)
    kept = _inputs(drawn, rows)
    values = drawn.normal(0, 0.1, (count, features)) + 0.003 * (np.array(kept["age"])[:, None] - 50)
    bad = 1 / (1 + np.exp(-values.sum(axis=1) * 3))
    scores = np.stack([bad, 1 - bad], axis=1)
    half = drawn.uniform(0, 0.02, (count, features))
    offsets = pa.array(np.arange(0, count * features + 1, features, dtype=np.int32))
    item = pa.StructArray.from_arrays(
        [pa.array(list(COLUMNS) * count), *(pa.array(each.ravel()) for each in (values, values - half, values + half))],
        names=["feature", "value", "lower", "upper"],
    )
    told = {
        **dict(zip(kept.schema.names, kept.columns, strict=True)),
        "label": pa.array([LABELS[place] for place in scores.argmax(axis=1)], pa.string()),
        "probability": pa.array(scores.max(axis=1)),
        "probabilities": pa.ListArray.from_arrays(np.arange(0, 2 * count + 1, 2, dtype=np.int32), scores.ravel()),
        "explanation": pa.ListArray.from_arrays(offsets, item),
        "baseline": pa.array(np.full(count, 0.5)),
        "stop_reason": pa.array([("tolerance", "exact")[int(own)] for own in drawn.random(count) < 0.7], pa.string()),
        "evaluations": pa.array(drawn.integers(16, 64, count)),
        "bundle_digest": pa.array(["0" * 64] * count, pa.string()),
        "runtime": pa.array(["onnxruntime-cpu"] * count, pa.string()),
        "precision": pa.array(["fp32"] * count, pa.string()),
    }
    return pa.record_batch([told[field.name].cast(field.type) for field in columns.schema], schema=columns.schema)


def _manifest(columns: OutputColumns, plan: Plan) -> RunManifest:
    return RunManifest(
        model=PinnedModel("credit", 3, "0" * 64, "tabular-classification", LABELS),
        inputs=(InputFile("in.csv", 1, plan.rows, "0" * 64),),
        options={"columns": {}, "top": 0, "explain": {"method": "exact-shap", "seed": 0}},
        plan=plan,
        wide=None,
        schema=schema_document(columns.schema),
    )
