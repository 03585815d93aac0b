"""Rows of a file as what a bare graph reads: numbers, and for categories what the graph has for them."""

from collections.abc import Mapping
from typing import Any  # cells of files

import pandas as pd

from explicate_bundle.cells.cell_readers import CellError, CellReader, cell_reader
from explicate_export.errors import UsageError
from explicate_export.onnx_models.description import Description
from explicate_export.onnx_models.table_graphs import schema_of
from explicate_export.sources.given_rows import GivenRows


def frame_of(description: Description, rows: GivenRows, told: Mapping[str, str]) -> pd.DataFrame:
    """The columns of the description, in its order; raises UsageError, naming the row and the column."""
    cells = {}
    for column in description.columns:
        name = told.get(column.name, column.name)
        if name not in rows.names:
            raise UsageError(
                f"{rows.path} has no column {name!r}; it has {', '.join(rows.names[:12])}; say which one it is with "
                f"--column '{column.name}=COLUMN'"
            )
        read = cell_reader(schema_of(column))
        values = [_value(read, row[name], f"{place}: {name!r}") for place, row in rows.rows]
        cells[column.name] = pd.Series(values, dtype=float if column.type == "number" else object)
    return pd.DataFrame(cells)


def _value(read: CellReader, cell: Any, place: str) -> Any:
    if isinstance(cell, bool):
        cell = ("false", "true")[cell]
    try:
        found = read.read(None if cell != cell else cell)
    except CellError as error:
        raise UsageError(f"{place} {error}") from None
    return found
