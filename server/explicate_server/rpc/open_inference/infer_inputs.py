"""From tensors to the inputs of our own calls, by the kind of input that the model reads.

A table has a tensor for each column; a text has the tensor ``text``, or ``text_pair`` beside it; an image has
``image``. Each is [N] or [N, 1].
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.struct_pb2 import NULL_VALUE

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import table_pb2
from explicate_bundle.model_inputs import ModelInput, TabularInput
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.modalities.rows.packed_table import CategoryValues, NumberValues, PackedTable
from explicate_server.rpc import requests
from explicate_server.rpc.open_inference.infer_asked import AGAINST, path_of_parameter
from explicate_server.rpc.open_inference.tensors import FEW_ROWS, Elements, path_of, read_tensors, refuse

TABLE = "tabular"
"""The kind of input that is told by columns."""
_KINDS = messages.Input.DESCRIPTOR.fields_by_name


@cache
def tensor_fields(kind: str) -> Mapping[str, FieldDescriptor]:
    """The tensors that an input of a kind, a field of `Input`, is made of, each with the field that has its elements.

    One that is all of the input has its name.
    """
    of_kind = _KINDS[kind].message_type
    assert of_kind is not None
    fields = of_kind.fields
    return {kind if len(fields) == 1 else field.name: field for field in fields}


@dataclass(frozen=True)
class Inputs:
    """What a request gives to predict: a table, or inputs one by one.

    ``request`` gives the request of our own that has the same inputs, by which a canary's share is told.
    """

    table: PackedTable | None
    values: Sequence[ModelInput]
    request: Callable[[], messages.PredictRequest]

    def __len__(self) -> int:
        return len(self.values) if self.table is None else self.table.rows

    def one_by_one(self) -> Sequence[ModelInput]:
        """Also those of a table."""
        if self.table is None:
            return self.values
        columns = self.table.document()
        return [TabularInput(dict(zip(columns, cells, strict=True))) for cells in zip(*columns.values(), strict=True)]


def read_inputs(request: Any, kind: str, most_rows: int, *, packed: bool) -> Inputs:
    """The inputs of a ModelInferRequest, of the kind that its model reads, a field of `Input`; at most so many.

    Few rows of a table come one by one, unless they are to be ``packed``.

    Raises:
        InvalidRequest: a tensor is missing, too many, or does not fit.
    """
    tensors = read_tensors(request, most_rows)
    if kind == TABLE:
        rows = _rows(tensors, "a tensor for each column of the model")
        if rows < FEW_ROWS and not packed:
            values = _few_rows(tensors, rows)
            return Inputs(None, values, lambda: messages.PredictRequest(inputs=map(_row_message, values)))
        table = PackedTable(rows, [(name, _column(name, tensor)) for name, tensor in tensors.items()])
        return Inputs(table, (), lambda: messages.PredictRequest(table=_table_message(table)))
    own = messages.PredictRequest(inputs=_input_messages(tensors, kind))
    return Inputs(None, requests.model_inputs(own.inputs), lambda: own)


def _rows(tensors: Mapping[str, Elements], what: str) -> int:
    """N, which all tensors have."""
    if not tensors:
        raise refuse("inputs", f"is empty; give {what}")
    (first, leading), *_ = tensors.items()
    rows = len(leading)
    for name, elements in tensors.items():
        if len(elements) != rows:
            raise refuse(f"{path_of(name)}.shape", f"has {len(elements):,} rows; {first!r} has {rows:,}")
    return rows


def _input_messages(tensors: Mapping[str, Elements], kind: str) -> list[messages.Input]:
    fields = tensor_fields(kind)
    for name in tensors:
        if name not in fields:
            raise refuse(path_of(name), f"is not an input of this model; it reads {' and '.join(fields)}")
    first = next(iter(fields))
    if first not in tensors:
        raise refuse(path_of(first), "is left out; give a tensor of BYTES, [N] or [N, 1]")
    inputs = [messages.Input() for _ in range(_rows(tensors, first))]
    for name, elements in tensors.items():
        if not isinstance(elements, list):
            raise refuse(f"{path_of(name)}.datatype", "is a number's; give BYTES")
        field = fields[name]
        values = _texts(elements, name) if field.type == FieldDescriptor.TYPE_STRING else elements
        for message, value in zip(inputs, values, strict=True):
            setattr(getattr(message, kind), field.name, value)
    return inputs


def _few_rows(tensors: Mapping[str, Elements], rows: int) -> list[TabularInput]:
    """The rows of a table; NaN and an empty text are missing."""
    columns = {
        name: [text or None for text in _texts(elements, name)]
        if isinstance(elements, list)
        else [None if number != number else float(number) for number in elements]
        for name, elements in tensors.items()
    }
    return [TabularInput({name: cells[row] for name, cells in columns.items()}) for row in range(rows)]


def _texts(elements: Sequence[bytes], name: str) -> list[str]:
    try:
        return [element.decode() for element in elements]
    except UnicodeDecodeError:
        place = next(place for place, element in enumerate(elements) if not _is_text(element))
        raise refuse(f"{path_of(name)}[{place}]", "is not UTF-8") from None


def _is_text(element: bytes) -> bool:
    try:
        element.decode()
    except UnicodeDecodeError:
        return False
    return True


def _column(name: str, elements: Elements) -> NumberValues | CategoryValues:
    """The values of a column; NaN and an empty text are missing."""
    if not isinstance(elements, list):
        return NumberValues(np.asarray(elements, dtype=np.float64))
    places = {b"": -1}
    place_of = places.setdefault
    codes = [place_of(element, len(places) - 1) for element in elements]
    try:
        names = [element.decode() for element in places][1:]
    except UnicodeDecodeError:
        _texts(elements, name)
        raise
    return CategoryValues(names, np.array(codes, dtype=np.int64))


def _row_message(row: TabularInput) -> messages.Input:
    message = messages.Input()
    for name, value in row.cells.items():
        cell = message.tabular.cells[name]
        if value is None:
            cell.missing = NULL_VALUE
        elif isinstance(value, str):
            cell.category = value
        else:
            cell.number = value
    return message


def _table_message(table: PackedTable) -> table_pb2.Table:
    columns = []
    for name, values in table.columns:
        column = table_pb2.TableColumn(name=name)
        if isinstance(values, NumberValues):
            column.numbers.values.extend(values.values)
        elif values is not None:
            column.categories.names.extend(values.names)
            column.categories.codes.extend(values.codes)
        columns.append(column)
    return table_pb2.Table(rows=table.rows, columns=columns)


_COLUMN = re.compile(r"table\.columns\[(.*?)\](?:\.numbers\.values|\.categories\.codes)?(\[\d+\])?", re.DOTALL)
_COLUMN_NAMES = re.compile(r"table\.columns\[(.*)\]\.categories\.names\[\d+\]", re.DOTALL)
_CELL = re.compile(r"inputs\[(\d+)\]\.tabular\.cells\[(.*)\]", re.DOTALL)
_WHOLE = re.compile(r"inputs\[(\d+)\]\.(\w+)(?:\.(\w+))?")
_NAMES = {
    "model.model": "model_name",
    "model.label": "model_version",
    "table.rows": "inputs",
    "options.target.contrast.reference": path_of_parameter(AGAINST),
}


def in_their_words(error: InvalidRequest) -> InvalidRequest:
    """An error whose paths are those of our own requests, with those of a ModelInferRequest."""
    violations = [Violation(_their_path(each.field), each.description) for each in error.violations]
    return InvalidRequest(violations, reason=error.reason)


def _their_path(path: str) -> str:
    if path in _NAMES:
        return _NAMES[path]
    if path.startswith("options."):
        return path_of_parameter(re.split(r"[.\[]", path)[1])
    if found := _COLUMN_NAMES.fullmatch(path):
        return path_of(found[1])
    if found := _COLUMN.fullmatch(path):
        return path_of(found[1]) + (found[2] or "")
    if found := _CELL.fullmatch(path):
        return f"{path_of(found[2])}[{found[1]}]"
    if found := _WHOLE.fullmatch(path):
        return f"{path_of(found[3] if found[3] in tensor_fields(found[2]) else found[2])}[{found[1]}]"
    return path
