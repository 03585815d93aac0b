"""A typical value of each column of a table, so that a form or a first call need not begin with nothing.

It is taken from the bundle's background rows, which are summaries of the training rows, column by column: a median or
the most frequent category, never a row.
"""

from collections.abc import Mapping
from math import floor, log10

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import COLUMN_TYPE_DATE, ColumnSchema, TabularSchema
from explicate_bundle.cells.date_notation import date_text, is_date
from explicate_bundle.columns import FIRST_CATEGORY_CODE, MISSING_CODE, Column, TableColumns
from explicate_bundle.model_inputs import CellValue

_Floats = NDArray[np.float64]
_MINUTES = 24 * 60  # of a day


def typical_cells(
    schema: TabularSchema, columns: TableColumns, background: _Floats, weights: _Floats
) -> Mapping[str, CellValue]:
    """A value of each column by its name; None where most background rows have none.

    background: float64[b, columns], model rows. weights: float64[b], which sum to 1.
    """
    pairs = zip(schema.columns, columns.all, strict=True)
    return {
        column.name: _typical(described, column, background[:, column.place], weights) for described, column in pairs
    }


def _typical(described: ColumnSchema, column: Column, values: _Floats, weights: _Floats) -> CellValue:
    if column.codes is not None:
        return _most_frequent(column, values, weights)
    known = ~np.isnan(values) & (weights > 0)
    if not weights[known].sum() > weights[~known].sum():
        return None
    median = weighted_median(values[known], weights[known])
    if described.type == COLUMN_TYPE_DATE:
        return _date(median, time=described.date_notation.time)
    return _rounded(median, values[known], weights[known])


def weighted_median(values: _Floats, weights: _Floats) -> float:
    """The least value with half of the weight up to it, so of two in the middle the lower one."""
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weights[order])
    middle = np.searchsorted(up_to, up_to[-1] / 2 * (1 - 1e-12))
    return float(values[order][middle])


def _most_frequent(column: Column, codes: _Floats, weights: _Floats) -> CellValue:
    """The category with the largest weight, of equal ones the first; None where most rows have none that is known."""
    assert column.codes is not None
    totals = np.bincount(codes.astype(np.intp), weights, minlength=FIRST_CATEGORY_CODE + len(column.codes))
    known = totals[FIRST_CATEGORY_CODE:]
    if totals[MISSING_CODE] >= known.sum():
        return None
    return list(column.codes)[int(known.argmax())]


def _date(days: float, *, time: bool) -> CellValue:
    """A day, or a minute where the model reads the time."""
    whole = round(days * _MINUTES) / _MINUTES if time else float(floor(days))
    return date_text(whole) if is_date(whole) else days


def _rounded(median: float, values: _Floats, weights: _Floats) -> float:
    """To a hundredth of the standard deviation: background rows are means of many, and further digits say nothing."""
    mean = np.average(values, weights=weights)
    deviation = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    shortest = float(str(np.float32(median)))  # with as few digits as its 32 bits need
    return round(shortest, -floor(log10(deviation / 100))) if deviation > 0 else shortest
