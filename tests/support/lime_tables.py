"""The lime library set up for a tiny table: its training rows as one matrix, and rows of it as the table's own."""

from collections.abc import Callable
from typing import Any

import numpy as np
from lime.lime_tabular import LimeTabularExplainer
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import COLUMN_TYPE_NUMBER
from support.tiny_table_bundle import TinyTable

Floats = NDArray[np.float64]


def matrix(table: TinyTable, numbers: Floats, codes: NDArray[np.int64]) -> Floats:
    """Rows with their columns in the schema's order, float64[rows, columns]."""
    return np.concatenate([numbers, codes], axis=1)[:, _places(table)]


def split(table: TinyTable, rows: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Numbers and codes of rows whose columns are in the schema's order."""
    model_rows = np.empty_like(rows)
    model_rows[:, _places(table)] = rows
    return model_rows[:, : len(table.numbers)], model_rows[:, len(table.numbers) :].astype(np.int64)


def library(
    table: TinyTable, row: Floats, predict: Callable[[Floats], Floats], *, seed: int, samples: int
) -> tuple[Floats, Floats]:
    """What lime says of a row in the schema's order: coefficients [outputs, columns] and intercepts [outputs]."""
    outputs = len(table.labels) or 1
    explainer = LimeTabularExplainer(
        matrix(table, *table.training_rows()),
        mode="classification" if table.labels else "regression",
        categorical_features=[place for place, column in enumerate(table.columns) if column.type != COLUMN_TYPE_NUMBER],
        random_state=seed,
    )
    explanation: Any = explainer.explain_instance(
        row, predict, labels=range(outputs), num_features=max(7, len(row)), num_samples=samples
    )
    # Of a regression lime gives the coefficients under 1, and turned round under 0.
    keys = range(outputs) if table.labels else [1]
    values = [[dict(explanation.local_exp[key])[column] for column in range(len(row))] for key in keys]
    return np.array(values), np.array([explanation.intercept[key] for key in keys])


def _places(table: TinyTable) -> list[int]:
    """The place in a model row of each column of the schema."""
    names = [*table.numbers, *(column.name for column in table.others)]
    return [names.index(column.name) for column in table.columns]
