"""From tensors to the inputs of our own calls, by the kind of input that the model reads.

A table has a tensor for each column; a text has the tensor ``text``, or ``text_pair`` beside it; an image has
``image``. Each is [N] or [N, 1].
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import table_pb2
from explicate_bundle.model_inputs import ModelInput, TabularInput
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.modalities.packed_table import CategoryValues, NumberValues, PackedTable
from explicate_server.rpc import requests
from explicate_server.rpc.open_inference.infer_asked import AGAINST, path_of_parameter
from explicate_server.rpc.open_inference.tensors import Tensor, path_of, read_tensors, refuse

TABLE = "tabular"
"""The kind of input that is told by columns."""
_KINDS = messages.Input.DESCRIPTOR.fields_by_name


@cache
def tensor_fields(kind: str) -> Mapping[str, FieldDescriptor]:
    """The tensors that an input of a kind, a field of `Input`, is made of, each with the field that has its elements.

    One that is all of the input has its name.
    """
    fields = _KINDS[kind].message_type.fields
    return {kind if len(fields) == 1 else field.name: field for field in fields}


@dataclass(frozen=True)
class Inputs:
    """What a request gives to predict: a table, or inputs of another kind.

    ``own`` is the request of our own that has the same inputs; of a table it is made when it is asked for.
    """

    table: PackedTable | None
    values: Sequence[ModelInput]
    own: messages.PredictRequest | None

    def __len__(self) -> int:
        return len(self.values) if self.table is None else self.table.rows

    def request(self) -> messages.PredictRequest:
        """Our own request of the same inputs, by which a canary's share is told."""
        if self.own is not None:
            return self.own
        assert self.table is not None
        return messages.PredictRequest(table=_table_message(self.table))

    def rows(self) -> list[ModelInput]:
        """The inputs one by one."""
        if self.table is None:
            return list(self.values)
        columns = self.table.document()
        return [TabularInput({name: cells[row] for name, cells in columns.items()}) for row in range(self.table.rows)]


def read_inputs(request: Any, kind: str, most_rows: int) -> Inputs:
    """The inputs of a ModelInferRequest, of the kind that its model reads, a field of `Input`; at most so many.

    Raises:
        InvalidRequest: a tensor is missing, too many, or does not fit.
    """
    tensors = read_tensors(request, most_rows)
    if kind == TABLE:
        return Inputs(_table(tensors), (), None)
    own = messages.PredictRequest(inputs=_input_messages(tensors, kind))
    return Inputs(None, requests.model_inputs(own.inputs), own)


def _rows(tensors: Mapping[str, Tensor], what: str) -> int:
    """N, which all tensors have."""
    if not tensors:
        raise refuse("inputs", f"is empty; give {what}")
    first = next(iter(tensors))
    rows = len(tensors[first].elements)
    for name, tensor in tensors.items():
        if len(tensor.elements) != rows:
            raise refuse(f"{path_of(name)}.shape", f"has {len(tensor.elements):,} rows; {first!r} has {rows:,}")
    return rows


def _input_messages(tensors: Mapping[str, Tensor], kind: str) -> list[messages.Input]:
    fields = tensor_fields(kind)
    for name in tensors:
        if name not in fields:
            raise refuse(path_of(name), f"is not an input of this model; it reads {' and '.join(fields)}")
    first = next(iter(fields))
    if first not in tensors:
        raise refuse(path_of(first), "is left out; give a tensor of BYTES, [N] or [N, 1]")
    inputs = [messages.Input() for _ in range(_rows(tensors, first))]
    for name, tensor in tensors.items():
        if not isinstance(tensor.elements, list):
            raise refuse(f"{path_of(name)}.datatype", "is a number's; give BYTES")
        field = fields[name]
        is_text = field.type == FieldDescriptor.TYPE_STRING
        for place, element in enumerate(tensor.elements):
            value = _text(element, name, place) if is_text else element
            setattr(getattr(inputs[place], kind), field.name, value)
    return inputs


def _text(element: bytes, name: str, place: int) -> str:
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise refuse(f"{path_of(name)}[{place}]", "is not UTF-8") from None


def _table(tensors: Mapping[str, Tensor]) -> PackedTable:
    rows = _rows(tensors, "a tensor for each column of the model")
    return PackedTable(rows, [(name, _column(name, tensor)) for name, tensor in tensors.items()])


def _column(name: str, tensor: Tensor) -> NumberValues | CategoryValues:
    """The values of a column; NaN and an empty text are missing."""
    if not isinstance(tensor.elements, list):
        return NumberValues(tensor.elements)
    places: dict[bytes, int] = {}
    codes = [places.setdefault(element, len(places)) if element else -1 for element in tensor.elements]
    try:
        names = [element.decode() for element in places]
    except UnicodeDecodeError:
        raise _not_text(name, tensor.elements) from None
    return CategoryValues(names, np.array(codes, dtype=np.int64))


def _not_text(name: str, elements: Sequence[bytes]) -> InvalidRequest:
    """The error of the first element that is not UTF-8."""
    for place, element in enumerate(elements):
        try:
            element.decode()
        except UnicodeDecodeError:
            return refuse(f"{path_of(name)}[{place}]", "is not UTF-8")
    raise AssertionError("one is not")


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
