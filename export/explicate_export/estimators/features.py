"""What a step of a fitted pipeline passes on, twice: as tensors of the graph, and as the model's own values of rows.

A feature that depends on one column of codes alone is a table with a value for each code: all that a fitted encoder
makes of a column is asked of the encoder itself, code by code, and so is its answer to missing and unknown values. Only
what is made of numbers is computed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast  # values of columns

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from explicate_bundle.columns import CODES_NAME, NUMBERS_NAME, TableRows
from explicate_export.errors import UsageError
from explicate_export.estimators.frame import FrameColumn, FrameColumns
from explicate_export.estimators.graph_builder import GraphBuilder
from explicate_export.parity import Graph

_MOST_TABLE_CELLS = 100_000_000


@dataclass(frozen=True)
class Coded:
    """A feature that a code column decides: its value for each code."""

    column: FrameColumn
    values: tuple[Any, ...]  # by code

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The values as numbers, NaN where missing; raises UsageError if they are none."""
        if self.column.dtype is not None and any(isinstance(value, str) for value in self.values):
            raise UsageError(
                f"X: the column {self.column.name!r} holds texts, and the model reads it as a number: encode it in the "
                "pipeline"
            )
        return np.array([np.nan if pd.isna(value) else float(value) for value in self.values])


@dataclass(frozen=True)
class Dense:
    """A feature that is computed: a column of a tensor float64 [batch, ...]."""

    tensor: str
    index: int


Feature = Coded | Dense


@dataclass(frozen=True)
class Features:
    """The features of a step, and what the model itself has there for the sample, rows of a frame or an array."""

    features: tuple[Feature, ...]
    sample: Any

    def __len__(self) -> int:
        return len(self.features)

    @property
    def rows(self) -> NDArray[np.float64]:
        """The sample float64[rows, features]."""
        values = self.sample.toarray() if hasattr(self.sample, "toarray") else self.sample
        if isinstance(values, pd.DataFrame):
            return np.column_stack([_floats(values.iloc[:, place]) for place in range(values.shape[1])])
        return np.asarray(values, dtype=np.float64)

    def chosen(self, places: Sequence[int]) -> "Features":
        """Some of the features in another order."""
        sample = self.sample.iloc[:, list(places)] if isinstance(self.sample, pd.DataFrame) else self.sample[:, places]
        return Features(tuple(self.features[place] for place in places), sample)


def _floats(cells: Any) -> NDArray[np.float64]:
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return np.where(cells.cat.codes < 0, np.nan, cells.cat.codes)
    return cast(NDArray[np.float64], cells.astype(object).where(cells.notna(), np.nan).astype(np.float64).to_numpy())


class Assembly:
    """The graph of a model while it is made: its inputs, and tensors of features."""

    def __init__(self, columns: FrameColumns, missing_numbers: Sequence[float]) -> None:
        """`missing_numbers` are what the model sees for a missing value of each number column, NaN where it is NaN."""
        self.columns = columns
        self.graph = GraphBuilder()
        numbers, codes = len(columns.numbers), len(columns.others)
        self._codes = self.graph.input(CODES_NAME, TensorProto.INT64, codes) if codes else ""
        self._numbers = self._doubles = ""
        if numbers:
            self._numbers = self.graph.input(NUMBERS_NAME, TensorProto.FLOAT, numbers)
            filled = np.array(missing_numbers, dtype=np.float32)
            if not np.isnan(filled).all():
                missing = self.graph.node("IsNaN", self._numbers)
                self._numbers = self.graph.node("Where", missing, self.graph.constant(filled), self._numbers)
            self._doubles = self.graph.cast(self._numbers, TensorProto.DOUBLE)

    def features(self, frame: pd.DataFrame) -> Features:
        """Those that the model is given, for a sample of rows."""
        by_position: Mapping[int, FrameColumn] = {column.position: column for column in self.columns.read}
        found = [self._feature(by_position.get(position)) for position in range(frame.shape[1])]
        return Features(tuple(found), self.columns.asked(frame))

    def _feature(self, column: FrameColumn | None) -> Feature:
        if column is None:
            return Dense("", -1)  # nobody reads it
        return Dense(self._doubles, column.place) if column.values is None else Coded(column, column.values)

    def matrix(self, features: Sequence[Feature], *, single: bool = False) -> str:
        """A tensor [batch, features] of 64 bits, or of 32."""
        if single and all(isinstance(one, Dense) and one.tensor == self._doubles for one in features):
            return self._picked(self._numbers, [cast(Dense, one).index for one in features], len(self.columns.numbers))
        parts: list[str] = []
        order: list[int] = []
        for tensor in dict.fromkeys(one.tensor for one in features if isinstance(one, Dense)):
            places = [place for place, one in enumerate(features) if isinstance(one, Dense) and one.tensor == tensor]
            parts.append(self.graph.columns(tensor, [cast(Dense, features[place]).index for place in places]))
            order += places
        if coded := [place for place, one in enumerate(features) if isinstance(one, Coded)]:
            tensors, places = self._looked_up([cast(Coded, features[place]) for place in coded])
            parts += tensors
            order += [coded[place] for place in places]
        whole = parts[0] if len(parts) == 1 else self.graph.node("Concat", *parts, axis=1)
        whole = self._picked(whole, np.argsort(order).tolist(), len(order))
        return self.graph.cast(whole, TensorProto.FLOAT) if single else whole

    def _picked(self, tensor: str, places: Sequence[int], width: int) -> str:
        return tensor if list(places) == list(range(width)) else self.graph.columns(tensor, places)

    def _looked_up(self, features: Sequence[Coded]) -> tuple[list[str], list[int]]:
        """Tensors of features by their tables, and the place of each of their columns among the features."""
        tables = [one.numbers for one in features]
        if sum(map(len, tables)) > _MOST_TABLE_CELLS:
            raise UsageError("the columns have too many categories to encode; group rare ones, and fit the model again")
        binary = np.array([np.isin(table, (0, 1)).all() for table in tables])
        tensors, order = [], []
        for is_binary, dtype in ((True, np.uint8), (False, np.float64)):
            places = np.flatnonzero(binary == is_binary).tolist()
            if not places:
                continue
            sizes = [len(tables[place]) for place in places]
            offsets = self.graph.constant(np.cumsum([0, *sizes[:-1]]).astype(np.int64))
            codes = self.graph.columns(self._codes, [features[place].column.place for place in places])
            flat = self.graph.constant(np.concatenate([tables[place] for place in places]).astype(dtype))
            found = self.graph.node("Gather", flat, self.graph.node("Add", codes, offsets), axis=0)
            tensors.append(self.graph.cast(found, TensorProto.DOUBLE) if is_binary else found)
            order += places
        return tensors, order

    def code(self, feature: Coded) -> str:
        """The codes int64 [batch, 1] of a feature's column."""
        return self.graph.columns(self._codes, [feature.column.place])

    def dense(self, tensor: str, width: int) -> tuple[Dense, ...]:
        """The columns of a tensor of 64 bits."""
        return tuple(Dense(tensor, place) for place in range(width))

    def computed(self, tensor: str, width: int, rows: TableRows) -> NDArray[np.float32]:
        """What the graph makes of rows so far: a tensor float32 [rows, width]."""
        graph = Graph(self.graph.model(tensor, "computed", width).SerializeToString())
        return np.concatenate([graph.run(rows[block].feeds()) for block in _blocks(len(rows))])


def _blocks(rows: int, size: int = 8192) -> list[NDArray[np.intp]]:
    return [np.arange(start, min(start + size, rows)) for start in range(0, rows, size)]
