"""A bare ONNX file that reads columns of a table, behind the inputs that a bundle's graph has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # onnx has no types

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.cell_readers import CellError, CellReader, cell_reader
from explicate_bundle.objective import softmax
from explicate_export.errors import UsageError
from explicate_export.estimators.answered import LEAST_PROBABILITY, Predicted
from explicate_export.estimators.features import Assembly, Coded, Feature
from explicate_export.estimators.fitted_model import FittedModel, substitutes
from explicate_export.estimators.frame import FrameColumn, FrameColumns
from explicate_export.estimators.table_graph import TableGraphParts
from explicate_export.onnx_models.bare_graph import BareGraph
from explicate_export.onnx_models.description import ColumnText, Description
from explicate_export.sources.given_rows import GivenRows

_TYPES = {
    "number": bundle_pb2.COLUMN_TYPE_NUMBER,
    "boolean": bundle_pb2.COLUMN_TYPE_BOOLEAN,
    "category": bundle_pb2.COLUMN_TYPE_CATEGORY,
    "ordinal": bundle_pb2.COLUMN_TYPE_ORDINAL,
}
_Floats = NDArray[np.float64]
_NEVER_SEEN = "\N{DOUBLE QUESTION MARK} never seen"


@dataclass(frozen=True)
class OnnxTableModel(FittedModel):
    """A bare graph as the original: it answers frames whose columns hold what it reads."""

    graph: BareGraph
    reads: Mapping[str, Sequence[int]]  # by input of the graph, places of columns in the frame
    columns: Sequence[ColumnText]

    @property
    def name(self) -> str:
        return "graph"

    @property
    def library(self) -> str:
        return "the given ONNX file"

    def answers(self, rows: Any) -> _Floats:
        feeds = {
            name: self.graph.fed(name, [self.seen(place, list(rows.iloc[:, place])) for place in places])
            for name, places in self.reads.items()
        }
        told = self.graph.run(feeds)
        if not self.classes:
            return told
        if self.graph.output == "log-odds":
            told = np.column_stack((-told, told)) / 2
        return softmax(told) if self.graph.output != "probabilities" else told

    def seen(self, place: int, cells: Sequence[Any]) -> Sequence[Any]:
        """What the graph gets for the names of a column's categories; numbers as they are."""
        column = self.columns[place]
        if column.type == "number":
            return cells
        known = dict(zip(column.categories, column.values, strict=True))
        return [column.missing if pd.isna(cell) else known.get(cell, column.unknown) for cell in cells]

    def otherwise(self, rows: Any, answers: _Floats) -> int:  # noqa: ARG002 - it predicts nothing else
        return 0


def schema_of(column: ColumnText) -> bundle_pb2.ColumnSchema:
    """A column as the manifest has it."""
    return bundle_pb2.ColumnSchema(name=column.name, type=_TYPES[column.type], categories=column.categories)


def table_parts(description: Description, graph: BareGraph, frame: pd.DataFrame) -> tuple[FittedModel, TableGraphParts]:
    """The original, and its graph with a bundle's inputs; `frame` holds numbers and what the graph has for categories.

    Raises UsageError, naming the key, where graph and description do not fit.
    """
    reads = _reads(description, graph)
    labels = description.labels
    original = OnnxTableModel(graph, labels, description.labels, graph, reads, description.columns)
    columns = _columns(description, frame)
    rows = columns.encoded(frame)
    answers = original.answers(frame)
    chosen = substitutes(original, columns, frame)
    seen = {one.position: tuple(original.seen(one.position, one.values)) for one in chosen.columns.read if one.values}
    assembly = Assembly(columns.with_values(seen), chosen.missing_numbers)
    given = assembly.features(frame).features
    feeds = {name: _tensor(assembly, graph, name, [given[place] for place in places]) for name, places in reads.items()}
    answer = assembly.graph.embed(graph.model, feeds)[graph.place]
    tensor = _as_bundle(assembly, graph, answer)
    objective = "logits" if description.labels else "values"
    width = max(1, len(description.labels))
    model = assembly.graph.model(tensor, objective, width, like=graph.model)
    made = Predicted(answer, width, "logits" if labels else "values", "")
    return original, TableGraphParts(model, columns, rows, answers, made, chosen, 0)


def _reads(description: Description, graph: BareGraph) -> dict[str, list[int]]:
    """The columns that each input of the graph has, in order."""
    found: dict[str, list[int]] = {name: [] for name in graph.inputs}
    only = graph.inputs[0] if len(graph.inputs) == 1 else None
    for place, column in enumerate(description.columns):
        name = column.input or (column.name if column.name in found else only)
        if name not in found:
            known = ", ".join(map(repr, graph.inputs))
            raise description.wrong(f"columns[{place}] ({column.name!r}).input", f"is {name!r}; the graph has {known}")
        found[name].append(place)
    for name, places in found.items():
        width = graph.width(name)
        if not places or width not in (None, len(places)):
            wanted = "some" if width is None else str(width)
            raise description.wrong("columns", f"give {len(places)} to the graph's input {name!r}, which has {wanted}")
        texts = [isinstance(description.columns[place].missing, str) for place in places]
        if graph.reads_texts(name) != all(texts) or any(texts) != all(texts):
            kind = "texts: leave values out" if graph.reads_texts(name) else "numbers: give values of the categories"
            raise description.wrong("columns", f"do not fit the graph's input {name!r}, which reads {kind}")
    return found


def _columns(description: Description, frame: pd.DataFrame) -> FrameColumns:
    read: list[FrameColumn] = []
    for position, column in enumerate(description.columns):
        is_number = column.type == "number"
        place = sum((other.values is None) == is_number for other in read)
        read.append(
            FrameColumn(
                name=column.name,
                position=position,
                type=_TYPES[column.type],
                dtype=np.dtype(np.float64 if is_number else object),
                place=place,
                values=None if is_number else (_NEVER_SEEN, None, *column.categories),
                categories=column.categories,
                may_be_missing=bool(frame.iloc[:, position].isna().any()),
                typical=_typical(frame.iloc[:, position], column),
            )
        )
    return FrameColumns(frame.iloc[:1], tuple(read), as_array=False)


def _typical(cells: "pd.Series[Any]", column: ColumnText) -> Any:
    """The median, or the most frequent category."""
    if column.type == "number":
        return 0.0 if cells.isna().all() else float(np.nanmedian(cells.to_numpy(dtype=np.float64)))
    known = cells[cells.isin(column.categories)]
    return known.mode().iloc[0] if len(known) else column.categories[0]


def _tensor(assembly: Assembly, graph: BareGraph, name: str, features: Sequence[Feature]) -> str:
    builder, kind = assembly.graph, graph.type(name)
    if kind == TensorProto.STRING:
        parts = []
        for feature in features:
            assert isinstance(feature, Coded)
            words = builder.constant(np.array([str(value) for value in feature.values], dtype=object))
            parts.append(builder.node("Gather", words, assembly.code(feature), axis=0))
        tensor = parts[0] if len(parts) == 1 else builder.node("Concat", *parts, axis=1)
    else:
        tensor = builder.cast(assembly.matrix(features), kind)
    return tensor if graph.rank(name) == 2 else builder.node("Reshape", tensor, builder.constant(np.array([-1])))


def _as_bundle(assembly: Assembly, graph: BareGraph, answer: str) -> str:
    """The graph's output as logits or values float32 [batch, outputs]."""
    builder = assembly.graph
    wide = builder.cast(answer, TensorProto.DOUBLE)
    width = builder.constant(np.array([-1, graph.outputs]))
    wide = builder.node("Reshape", wide, width)
    if graph.output == "log-odds":
        wide = builder.node("Mul", wide, builder.constant(np.array([-0.5, 0.5])))
    elif graph.output == "probabilities":
        ends = (builder.constant(np.array(end)) for end in (LEAST_PROBABILITY, 1.0))
        wide = builder.node("Log", builder.node("Clip", wide, *ends))
    return builder.cast(wide, TensorProto.FLOAT)


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
