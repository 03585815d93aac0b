"""Answers for rows of a table that follow from the request by simple formulas, for `canned_server`.

The columns are age and income (numbers), job (clerk or driver) and owner (true or false). Model "credit" gives "bad"
the probability age / 100; model "progression" predicts ten times the age. Column i is worth what word i of a text is, a
thousand times of it for "progression". Model "grouped" is "credit" with age and income as one player, "means". Ages
below 0 are refused, and in a packed table the job "spy".
"""

from __future__ import annotations

from math import log, nan

from google.protobuf.internal.containers import MessageMap
from google.protobuf.struct_pb2 import NULL_VALUE

from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import table_pb2 as table_pb

CLASSIFIERS, REGRESSION = ("credit", "grouped"), "progression"
TARGET = "progression after one year"
JOBS = ("clerk", "driver")
SPY, UNBORN = "spy", "must be 0 or more"
COLUMNS = (
    bundle_pb.ColumnSchema(name="age", type=bundle_pb.COLUMN_TYPE_NUMBER),
    bundle_pb.ColumnSchema(name="income", type=bundle_pb.COLUMN_TYPE_NUMBER, may_be_missing=True),
    bundle_pb.ColumnSchema(name="job", type=bundle_pb.COLUMN_TYPE_CATEGORY, categories=JOBS),
    bundle_pb.ColumnSchema(name="owner", type=bundle_pb.COLUMN_TYPE_BOOLEAN, categories=["false", "true"]),
)
Cells = MessageMap[str, table_pb.Cell]


def bundle(model: str) -> bundle_pb.Bundle:
    columns = [bundle_pb.ColumnSchema() for _ in COLUMNS]
    for column, known in zip(columns, COLUMNS, strict=True):
        column.CopyFrom(known)
        if model == "grouped" and column.type == bundle_pb.COLUMN_TYPE_NUMBER:
            column.group = "means"
    return bundle_pb.Bundle(
        class_labels=[] if model == REGRESSION else ["good", "bad"],
        target_name=TARGET if model == REGRESSION else None,
        tabular=bundle_pb.TabularSchema(columns=columns, background_rows=20),
        precision="fp32",
        metrics={"r_squared": 0.5} if model == REGRESSION else {"auroc": 0.84},
    )


def violations(cells: Cells, path: str) -> list[tuple[str, str]]:
    known = {column.name: column for column in COLUMNS}
    wrong = [(f"{path}.tabular.cells[{name}]", "is not a column of this model") for name in cells if name not in known]
    for name, column in known.items():
        kinds = ("number",) if column.type == bundle_pb.COLUMN_TYPE_NUMBER else ("category",)
        if cells[name].WhichOneof("kind") not in (*kinds, "missing") if name in cells else True:
            wrong.append((f"{path}.tabular.cells[{name}]", f"is not a {kinds[0]}"))
    if not wrong and cells["age"].number < 0:
        wrong.append((f"{path}.tabular.cells[age]", UNBORN))
    return wrong


def packed_violations(table: table_pb.Table) -> list[tuple[str, str]]:
    """Ages below 0, and the job "spy": one problem a column, as servers tell them."""
    columns = {column.name: column for column in table.columns}
    ages, jobs = columns["age"].numbers.values, list(columns["job"].categories.names)
    wrong = [(f"table.columns[age].numbers.values[{row}]", UNBORN) for row, age in enumerate(ages) if age < 0][:1]
    if SPY in jobs:
        wrong.append((f"table.columns[job].categories.names[{jobs.index(SPY)}]", "is secret"))
    return wrong


def prediction(model: str, cells: Cells) -> inference_pb.Prediction:
    age, job = cells["age"].number, cells["job"].category
    unknown = ["job"] if job and job not in JOBS else []
    if model == REGRESSION:
        return inference_pb.Prediction(
            regression=inference_pb.Regression(value=10 * age), unknown_category_columns=unknown
        )
    bad = age / 100
    scores = [
        inference_pb.ClassScore(index=i, label=label, probability=p, logit=log(p + 0.1))
        for i, (label, p) in enumerate((("good", 1 - bad), ("bad", bad)))
    ]
    index = int(bad > 0.5)
    outcome = inference_pb.Classification(predicted_index=index, predicted_label=scores[index].label, scores=scores)
    return inference_pb.Prediction(classification=outcome, unknown_category_columns=unknown)


def packed(model: str, table: table_pb.Table) -> inference_pb.PackedPredictions:
    columns = {column.name: column for column in table.columns}
    ages = columns["age"].numbers.values
    unknown = ["job"] if set(columns["job"].categories.names) - set(JOBS) else []
    if model == REGRESSION:
        return inference_pb.PackedPredictions(scores=[10 * age for age in ages], unknown_category_columns=unknown)
    scores = [score for age in ages for score in (1 - age / 100, age / 100)]
    return inference_pb.PackedPredictions(class_labels=["good", "bad"], scores=scores, unknown_category_columns=unknown)


def features(model: str, cells: Cells) -> list[explanation_pb.Feature]:
    names = [("means", ["age", "income"]), ("job", ["job"]), ("owner", ["owner"])]
    if model != "grouped":
        names = [(column.name, [column.name]) for column in COLUMNS]
    return [
        explanation_pb.Feature(
            column=explanation_pb.ColumnFeature(
                name=name, columns=[explanation_pb.ColumnValue(column=c, value=cells[c]) for c in columns]
            )
        )
        for name, columns in names
    ]


def explained_table(
    request: inference_pb.ExplainTableRequest, rows: list[inference_pb.ExplainResult]
) -> inference_pb.ExplainTableResponse:
    """The answers to the rows of a table one by one, packed; each row's baseline is its age."""
    ages = next(column for column in request.table.columns if column.name == "age").numbers.values
    told = [row.explanation for row in rows]
    first = told[0]
    outputs = [
        explanation_pb.PackedAttribution(
            class_indices=[row.attributions[number].class_index for row in told],
            baseline_values=ages,
            instance_values=[row.attributions[number].instance_value for row in told],
            reference_index=output.reference_index if output.HasField("reference_index") else None,
            **{
                name: [value for row in told for value in getattr(row.attributions[number], name)]
                for name in ("values", "standard_errors", "lower", "upper")
            },
        )
        for number, output in enumerate(first.attributions)
    ]
    figures = ("additivity_gap", "held_out_r_squared", "split_half_spearman", "infidelity", "largest_interval_ratio")
    quality = {name: [_figure(row.quality, name) for row in told] for name in (*figures, "certain_top_k")}
    falls = {
        name: explanation_pb.PackedFaithfulness(
            value=[getattr(row.quality, name).value for row in told],
            random=[getattr(row.quality, name).random for row in told],
        )
        for name in ("comprehensiveness", "sufficiency")
        if first.quality.HasField(name)
    }
    features = [
        explanation_pb.PackedFeature(name=one.column.name, columns=[each.column for each in one.column.columns])
        for one in first.features
    ]
    model = request.model.model
    return inference_pb.ExplainTableResponse(
        model=rows[0].model,
        predictions=packed(model, request.table),
        explanation=explanation_pb.PackedExplanation(
            features=features,
            attributions=outputs,
            quality=explanation_pb.PackedQuality(**quality, **falls),
            evaluations=[row.evaluations for row in told],
            rounds=[row.rounds for row in told],
            stop_reasons=[row.stop_reason for row in told],
            converged=[row.converged for row in told],
            method_version=first.method_version,
            options=first.options,
            class_labels=[TARGET] if model == REGRESSION else ["good", "bad"],
        ),
        timing=inference_pb.Timing(queue_seconds=ages[0], total_seconds=0.5, solver_seconds=0.125),
    )


def _figure(quality: explanation_pb.Quality, name: str) -> float:
    return getattr(quality, name) if quality.HasField(name) else nan


def rows_of(table: table_pb.Table) -> list[Cells]:
    """The cells of each row."""
    return [
        {column.name: _cell(column, number) for column in table.columns}  # as the messages' own map is used
        for number in range(table.rows)
    ]


def _cell(column: table_pb.TableColumn, number: int) -> table_pb.Cell:
    if column.HasField("numbers"):
        value = column.numbers.values[number]
        return table_pb.Cell(number=value) if value == value else table_pb.Cell(missing=NULL_VALUE)
    code = column.categories.codes[number]
    return table_pb.Cell(missing=NULL_VALUE) if code < 0 else table_pb.Cell(category=column.categories.names[code])
