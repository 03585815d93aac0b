"""How models of tables are measured: noise in numbers as edits, and claims of columns tried along a grid."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.errors import UsageError
from explicate.v1.bundle_pb2 import ColumnSchema
from explicate_bundle.cells.cell_readers import CellError, TooLargeError
from explicate_bundle.columns import TableColumns
from explicate_bundle.model_inputs import CellValue, ModelInput, TabularInput
from explicate_standards.evaluated_kind import EvaluatedKind
from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import LabelledInput
from explicate_standards.subject import Subject

NOISE = 0.02  # of a column's standard deviation
GRID = 20  # values of a monotone column, evenly over its background quantiles
_MOST_EDITS = 50
_ROUNDING = 1e-6  # of the answers, which float32 does not know finer


class TableKind(EvaluatedKind):
    """Rows of a table."""

    edits_are = f"noise of {NOISE:g} standard deviations in each number"

    def read(self, line: Mapping[str, Any], model: EvaluatedModel, folder: Path) -> ModelInput | None:  # noqa: ARG002
        """Of "row", with cells as the training file had them."""
        if not isinstance(line.get("row"), dict):
            raise UsageError('it has no "row" that is an object by column, which this model reads')
        columns = TableColumns(model.bundle.manifest.tabular)
        try:
            (row,) = columns.inputs_of(columns.encoded([line["row"]]))
        except TooLargeError:
            return None
        except CellError as error:
            raise UsageError(str(error)) from None
        return row

    def fields(self, row: LabelledInput) -> Mapping[str, Any]:
        """Its cells."""
        cells = row.line.get("row")
        return cells if isinstance(cells, dict) else {}

    def edits(self, subject: Subject, generator: np.random.Generator) -> Iterator[ModelInput]:
        """The row with a little noise in all its numbers."""
        value = subject.row.value
        assert isinstance(value, TabularInput)
        spreads = column_spreads(subject.model)
        for _ in range(_MOST_EDITS):
            noise = {name: float(generator.normal(0.0, NOISE * spread)) for name, spread in spreads.items()}
            yield TabularInput(
                {
                    name: cell + noise[name] if isinstance(cell, float) and name in noise else cell
                    for name, cell in value.cells.items()
                }
            )

    def rationale(self, subject: Subject) -> NDArray[np.bool_] | None:  # noqa: ARG002
        """Nobody marks the cells of a row."""
        return None

    def claims(self, model: EvaluatedModel) -> bool:
        """Monotone columns, and forbidden ones."""
        schema = model.bundle.manifest.tabular
        monotone = any(column.HasField("monotone") for column in schema.columns)
        return monotone or any(column.forbidden for column in schema.left_out)

    def contradictions(self, subject: Subject) -> Mapping[str, Sequence[bool]]:
        """Of each step of each monotone column's grid, whether the answer moves against the claim; of each forbidden
        column that the row gives, whether the answer is another without it.
        """
        schema = subject.model.bundle.manifest.tabular
        steps = [
            broken
            for column in schema.columns
            if column.HasField("monotone")
            for broken in _steps_against(subject, column)
        ]
        given = subject.row.line.get("row", {})
        forbidden = [column.name for column in schema.left_out if column.forbidden and column.name in given]
        return {"monotone": steps, "forbidden_columns": [_is_read(subject, name, given[name]) for name in forbidden]}


def column_spreads(model: EvaluatedModel) -> dict[str, float]:
    """Standard deviation of each number column over the background rows, by name; those without any are left out."""
    columns, background = TableColumns(model.bundle.manifest.tabular), model.bundle.background()
    spreads = {}
    for column in columns.all:
        if column.codes is None:
            values = background.numbers[:, column.place].astype(np.float64)
            known = ~np.isnan(values)
            if known.any():
                weights = background.weights[known] / background.weights[known].sum()
                mean = weights @ values[known]
                spreads[column.name] = float(np.sqrt(weights @ (values[known] - mean) ** 2))
    return {name: spread for name, spread in spreads.items() if spread > 0}


def _steps_against(subject: Subject, column: ColumnSchema) -> list[bool]:
    """Of each step along the column's grid, all else as it is, whether the claimed output moves the wrong way."""
    claim, model = column.monotone, subject.model
    grid = _grid(model, column.name)
    if not grid:
        return []
    scores = model.kind.predicts.scores(_answers(subject, [{column.name: number} for number in grid]))
    if claim.HasField("label"):
        scores = scores[:, [model.labels.index(claim.label)]]
    steps = np.diff(scores, axis=0) * (-1 if claim.decreasing else 1)
    rounding = _ROUNDING * max(1.0, float(np.abs(scores).max()))
    return [bool(worst < -rounding) for worst in steps.min(axis=1).tolist()]


def _is_read(subject: Subject, name: str, cell: object) -> bool:
    """Whether the answer with a forbidden column's cell differs from that without it."""
    number = float(cell) if isinstance(cell, int | float) else cell
    with_it, without = _answers(subject, [{name: number if isinstance(number, float | str) else None}, {name: None}])
    return not np.array_equal(with_it, without)


def _answers(subject: Subject, changes: Sequence[Mapping[str, CellValue]]) -> NDArray[np.float64]:
    """The graph's answers float64[changes, outputs] to the row with other cells."""
    value, model = subject.row.value, subject.model
    assert isinstance(value, TabularInput)
    inputs = [TabularInput({**value.cells, **changed}) for changed in changes]
    return model.answers([model.modality.encode(each).row for each in inputs])


def _grid(model: EvaluatedModel, name: str) -> list[float]:
    """Distinct values from the least to the greatest of a column's background rows, ascending."""
    place = TableColumns(model.bundle.manifest.tabular).by_name[name].place
    values = model.bundle.background().numbers[:, place].astype(np.float64)
    known = values[~np.isnan(values)]
    return np.unique(np.linspace(known.min(), known.max(), GRID)).tolist() if len(known) else []


KIND = TableKind()
