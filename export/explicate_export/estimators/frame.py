"""The rows that somebody fitted a model on, as columns of a bundle: which are numbers, which categories, and how back.

The model is asked with frames as it knows them; the graph with numbers and codes. `FrameColumns` goes both ways.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast  # Any: values of data frames

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.cell_readers import LARGEST_NUMBER, shown
from explicate_bundle.columns import FIRST_CATEGORY_CODE, MISSING_CODE, UNKNOWN_CODE, TableRows
from explicate_export.errors import UsageError
from explicate_export.estimators.column_uses import Use

LEAST_ROWS = 200
"""Fewer are not enough for a background that holds nobody's row, and to compare on."""
MOST_CATEGORIES = 10_000
_NEVER_SEEN = "\N{DOUBLE QUESTION MARK} never seen"


@dataclass(frozen=True)
class FrameColumn:
    """A column that the model reads.

    `values` are those of a code column as the model knows them, by code: what stands for an unknown category, for a
    missing value, then the categories; None of a number column.
    """

    name: str
    position: int  # in the frame
    type: int
    dtype: Any
    place: int  # among the number columns, or among the code columns
    values: tuple[Any, ...] | None = None
    categories: tuple[str, ...] = ()
    may_be_missing: bool = False
    typical: Any = None  # the median, or the most frequent value

    def schema(self) -> bundle_pb2.ColumnSchema:
        """The manifest's part."""
        return bundle_pb2.ColumnSchema(
            name=self.name,
            type=self.type,  # type: ignore[arg-type]  # a number, which the stubs know by another name
            categories=self.categories,
            may_be_missing=self.may_be_missing,
        )

    def codes(self, cells: "pd.Series[Any]") -> NDArray[np.int64]:
        """The codes of values as the model knows them."""
        assert self.values is not None
        known = {value: code for code, value in enumerate(self.values) if code >= FIRST_CATEGORY_CODE}
        missing = cells.isna().to_numpy()
        found = [known.get(value, UNKNOWN_CODE) for value in cells.astype(object).where(~missing, None)]
        return np.where(missing, MISSING_CODE, np.array(found, dtype=np.int64))

    def cells(self, values: Sequence[Any]) -> "pd.Series[Any]":
        """Values as a column of the type that the model knows, as far as they allow it."""
        if isinstance(self.dtype, pd.CategoricalDtype):
            known = list(self.dtype.categories)
            more = [value for value in dict.fromkeys(values) if not pd.isna(value) and value not in set(known)]
            # In front: XGBoost refuses what it does not know, but behind the others it takes it for another one.
            named = pd.Categorical(values, categories=[*more, *known], ordered=self.dtype.ordered)
            return pd.Series(named)
        missing = any(pd.isna(value) for value in values)
        if self.dtype == np.bool_ and missing:  # which would be true
            return pd.Series(list(values), dtype=np.float64)
        try:
            return cast("pd.Series[Any]", pd.Series(list(values), dtype=self.dtype))
        except (TypeError, ValueError):  # integers without a value for missing, or other numbers
            return pd.Series(list(values), dtype=np.float64 if self.values is None else object)


@dataclass(frozen=True)
class FrameColumns:
    """All columns of a frame, those that the model reads and those that it does not."""

    first: pd.DataFrame  # the first row, for what is not read
    read: tuple[FrameColumn, ...]
    as_array: bool  # whether the model is asked with an array

    @property
    def numbers(self) -> list[FrameColumn]:
        """Those whose values are numbers."""
        return [column for column in self.read if column.values is None]

    @property
    def others(self) -> list[FrameColumn]:
        """Those whose values are codes."""
        return [column for column in self.read if column.values is not None]

    def schema(self) -> bundle_pb2.TabularSchema:
        """The manifest's part, but for the background."""
        read = {column.position for column in self.read}
        names = [str(name) for position, name in enumerate(self.first.columns) if position not in read]
        # Allowed in requests, for people send the rows that they have.
        reason = "the model does not read it"
        left_out = [bundle_pb2.LeftOutColumn(name=name, reason=reason, forbidden=True) for name in names]
        return bundle_pb2.TabularSchema(columns=[column.schema() for column in self.read], left_out=left_out)

    def encoded(self, frame: pd.DataFrame) -> TableRows:
        """Rows in the graph's form; raises UsageError for a number that it cannot hold."""
        numbers = self.wide_numbers(frame)
        for column, values in zip(self.numbers, numbers.T, strict=True):
            if (np.abs(values[~np.isnan(values)]) > LARGEST_NUMBER).any():
                raise UsageError(f"X: the column {shown(column.name)} has numbers beyond what 32 bits hold: scale it")
        codes = [column.codes(frame.iloc[:, column.position]) for column in self.others]
        return TableRows(
            numbers.astype(np.float32),
            np.array(codes, dtype=np.int64).reshape(-1, len(frame)).T,
        )

    def wide_numbers(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The number columns float64[rows, numbers], NaN where missing."""
        numbers = [_numbers(frame.iloc[:, column.position]) for column in self.numbers]
        return np.array(numbers, dtype=np.float64).reshape(-1, len(frame)).T

    def decoded(self, numbers: NDArray[np.float64], codes: NDArray[np.int64]) -> pd.DataFrame:
        """A frame of such rows, float64[rows, numbers] and int64[rows, others], as the model knows them."""
        count = len(numbers)
        cells = {
            position: pd.Series([self.first.iloc[0, position]] * count, dtype=self.first.dtypes.iloc[position])
            for position in range(self.first.shape[1])
        }
        for column in self.numbers:
            cells[column.position] = column.cells(numbers[:, column.place].tolist())
        for column in self.others:
            assert column.values is not None
            cells[column.position] = column.cells([column.values[code] for code in codes[:, column.place]])
        frame = pd.concat([cells[position] for position in range(self.first.shape[1])], axis=1)
        frame.columns = self.first.columns
        return frame

    def asked(self, frame: pd.DataFrame) -> Any:
        """The frame as the model is asked with it."""
        if not self.as_array:
            return frame
        values = frame.to_numpy()
        return values.astype(np.float64) if values.dtype == object and not self.others else values

    def with_values(self, changed: Mapping[int, tuple[Any, ...]]) -> "FrameColumns":
        """With other values behind the codes of some columns, by position."""
        read = (replace(one, values=changed.get(one.position, one.values)) for one in self.read)
        return replace(self, read=tuple(read))


def as_frame(rows: Any, columns: Sequence[str] | None) -> tuple[pd.DataFrame, bool]:
    """The rows as a frame, and whether they are an array, which has x0, x1, ... for names unless told others.

    Raises UsageError.
    """
    if hasattr(rows, "toarray"):
        raise UsageError("X is sparse: a server's rows have a cell for every column; give X as a data frame")
    if isinstance(rows, pd.DataFrame):
        frame, as_array = rows, False
        if columns is not None:
            raise UsageError("columns: X is a data frame and has names of its own; leave them out")
    elif isinstance(rows, np.ndarray) and rows.ndim == 2:
        names = list(columns) if columns is not None else [f"x{place}" for place in range(rows.shape[1])]
        if len(names) != rows.shape[1]:
            raise UsageError(f"columns: {len(names)} names, and X has {rows.shape[1]} columns")
        frame, as_array = pd.DataFrame(rows, columns=names), True
    else:
        raise UsageError(f"X is {type(rows).__name__}; give a pandas data frame, or an array of rows and columns")
    names = [str(name) for name in frame.columns]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageError(f"X has two columns with the name {shown(twice[0])}: rename one, and fit the model again")
    if "" in names:
        raise UsageError(f"X: column {names.index('') + 1} has no name")
    if len(frame) < LEAST_ROWS:
        raise UsageError(
            f"X has {len(frame)} rows: give at least {LEAST_ROWS}, such as the training rows; the background is made "
            "of them, and the graph is compared with the model on them"
        )
    return frame.reset_index(drop=True), as_array


def frame_columns(frame: pd.DataFrame, uses: Mapping[int, Use], *, as_array: bool) -> FrameColumns:
    """The columns of a frame, by what the model does with each (by position); raises UsageError."""
    read: list[FrameColumn] = []
    for position in sorted(uses):
        column = _column(frame.iloc[:, position], position, uses[position])
        is_number = column.values is None
        place = sum((other.values is None) == is_number for other in read)
        read.append(replace(column, place=place))
    if not read:
        raise UsageError("the model reads no column of X")
    return FrameColumns(frame.iloc[:1], tuple(read), as_array)


def _column(cells: "pd.Series[Any]", position: int, use: Use) -> FrameColumn:
    name, missing = str(cells.name), cells.isna()
    known = cells[~missing]
    if pd.api.types.is_datetime64_any_dtype(cells.dtype) or pd.api.types.is_timedelta64_dtype(cells.dtype):
        raise UsageError(f"X: the column {shown(name)} holds dates: make numbers of them before the model reads them")
    if pd.api.types.is_complex_dtype(cells.dtype):
        raise UsageError(f"X: the column {shown(name)} holds complex numbers")
    told: dict[str, Any] = {"name": name, "position": position, "dtype": cells.dtype, "place": 0}
    told["may_be_missing"] = bool(missing.any())
    if not use.encoded and (numbers := _as_numbers(known)) is not None:
        typical = float(np.median(numbers)) if len(numbers) else 0.0
        return FrameColumn(**told, type=bundle_pb2.COLUMN_TYPE_NUMBER, typical=typical)
    values = _values(known, use, cells.dtype)
    if not values:
        raise UsageError(f"X: the column {shown(name)} has no value: give rows in which it has some")
    if len(values) > MOST_CATEGORIES:
        raise UsageError(f"X: the column {shown(name)} has {len(values):,} categories, more than {MOST_CATEGORIES:,}")
    is_bool = all(isinstance(value, bool | np.bool_) for value in values)
    if is_bool:
        values = [False, True]
    absent = cells[missing].iloc[0] if missing.any() else np.nan
    never = _never_seen(values, absent)
    typical = known.mode().iloc[0] if len(known) else values[0]
    ordered = isinstance(cells.dtype, pd.CategoricalDtype) and bool(cells.dtype.ordered)
    kinds = bundle_pb2.COLUMN_TYPE_ORDINAL if ordered else bundle_pb2.COLUMN_TYPE_CATEGORY
    return FrameColumn(
        **told,
        type=bundle_pb2.COLUMN_TYPE_BOOLEAN if is_bool else kinds,
        values=(never, absent, *values),
        categories=("false", "true") if is_bool else _names(name, values),
        typical=typical.item() if isinstance(typical, np.generic) else typical,
    )


def _as_numbers(known: "pd.Series[Any]") -> NDArray[np.float64] | None:
    """The values of a column that holds numbers, as numbers or as texts; None of another one."""
    if isinstance(known.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(known.dtype):
        return None
    if pd.api.types.is_numeric_dtype(known.dtype):
        return np.asarray(known, dtype=np.float64)
    if any(isinstance(value, bool | np.bool_) for value in known):
        return None
    try:
        return np.asarray(known.astype(object), dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _numbers(cells: "pd.Series[Any]") -> NDArray[np.float64]:
    """Float64 of a number column, NaN where missing."""
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return np.asarray(cells.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(cells.astype(object).where(cells.notna(), np.nan), dtype=np.float64)


def _values(known: "pd.Series[Any]", use: Use, dtype: Any) -> list[Any]:
    """All categories that are known of a column, those of the model first, in its order."""
    listed = list(dtype.categories) if isinstance(dtype, pd.CategoricalDtype) else sorted_values(known)
    both = [*(value for value in use.categories if not pd.isna(value)), *listed]
    return list(dict.fromkeys(value.item() if isinstance(value, np.generic) else value for value in both))


def sorted_values(known: "pd.Series[Any]") -> list[Any]:
    """The different values, in order where they have one."""
    found = list(known.unique())
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=str)


def _names(column: str, values: Sequence[Any]) -> tuple[str, ...]:
    names = tuple(f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value) for value in values)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageError(f"X: the column {shown(column)} has two categories that read {shown(twice[0])}")
    return names


def _never_seen(values: Sequence[Any], absent: Any) -> Any:
    """A value of the same type that is none of them; of bools there is none."""
    if all(isinstance(value, str) for value in values):
        return max((_NEVER_SEEN, *(value + "?" for value in values if value.startswith(_NEVER_SEEN))), key=len)
    if any(isinstance(value, bool) for value in values) or not all(isinstance(value, int | float) for value in values):
        return absent
    return type(values[0])(max(values) + 1)
