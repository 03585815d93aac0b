"""A large ModelInferRequest, walked over before it is read: what is over a limit is refused unread.

Texts and images in their raw bytes take no time to read, whatever their size. What takes time is that which is many.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from explicate_server.rpc.message_bytes import MOST_COLUMNS, SLICE_BYTES, Walk
from explicate_server.rpc.open_inference.protocol import InferTensorContents, ModelInferRequest

_MOST_PARAMETERS = 64
_MOST_OUTPUTS = 64
_MOST_DIMENSIONS = 8
_PACKED = 2  # the wire type of numbers that come many in one field
_LABEL = 7
_FIELDS: Mapping[str, FieldDescriptor] = ModelInferRequest.DESCRIPTOR.fields_by_name
_INPUTS = _FIELDS["inputs"].number
# Fields that come again and again, and how often each may.
_MANY = {
    _FIELDS["parameters"].number: ("parameters", _MOST_PARAMETERS, "names"),
    _FIELDS["outputs"].number: ("outputs", _MOST_OUTPUTS, "tensors"),
    _FIELDS["raw_input_contents"].number: ("raw_input_contents", MOST_COLUMNS, "tensors"),
}
_TENSOR: Mapping[str, FieldDescriptor] = ModelInferRequest.InferInputTensor.DESCRIPTOR.fields_by_name
_SHAPE, _PARAMETERS, _CONTENTS = (_TENSOR[name].number for name in ("shape", "parameters", "contents"))
_SIZES = {FieldDescriptor.TYPE_DOUBLE: 8, FieldDescriptor.TYPE_FLOAT: 4}
# What each field of contents holds: how many bytes a number takes; 0 of one of any length, None of bytes.
_ELEMENTS: Mapping[int, int | None] = {
    field.number: None if field.type == FieldDescriptor.TYPE_BYTES else _SIZES.get(field.type, 0)
    for field in InferTensorContents.DESCRIPTOR.fields
}


class InferWalk(Walk):
    """Goes over the bytes of a ModelInferRequest."""

    def __init__(self, data: bytes, limits: Any, of_rows: Any) -> None:
        super().__init__(data, limits, of_rows)
        self.most_rows = max(limits.inputs, limits.explained_rows)

    def rows(self) -> Iterator[bytes]:
        """The bytes of the request in slices, which read one after the other into one message are all of it."""
        first = tensors = 0
        for number, _, start, end in self.fields(0, len(self.data)):
            if number == _INPUTS:
                self._tensor(start, end, f"inputs[{tensors}]")
                tensors += 1
                self.count("inputs", MOST_COLUMNS, "tensors")
            elif number in _MANY:
                self.count(*_MANY[number])
            else:
                self.stray()
            if end - first >= SLICE_BYTES:
                yield self.data[first:end]
                first = end
        yield self.data[first:]

    def _tensor(self, start: int, end: int, path: str) -> None:
        if end - start <= self.most_rows:
            return  # an element takes a byte at least
        for number, begin, first, last in self.wanted(start, end, _SHAPE, _PARAMETERS, _CONTENTS):
            if number == _SHAPE:
                self.count(f"{path}.shape", _MOST_DIMENSIONS, "sizes", self._numbers(0, begin, first, last))
            elif number == _PARAMETERS:
                self.count(f"{path}.parameters", _MOST_PARAMETERS, "names")
            else:
                for field, at, from_, to in self.wanted(first, last, *_ELEMENTS):
                    elements = self._numbers(_ELEMENTS[field], at, from_, to)
                    self.count(f"{path}.contents", self.most_rows, "elements", elements)

    def _numbers(self, size: int | None, begin: int, start: int, end: int) -> int:
        """How many elements a field holds, which begins at a place and has its value between two others."""
        if size is None or self.data[begin] & _LABEL != _PACKED:
            return 1
        return (end - start) // size if size else self.varints(start, end)
