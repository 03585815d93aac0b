"""Tensors of the protocol: their elements from a request, and into an answer.

A request has its tensors' elements in ``raw_input_contents``, all or none, or in each tensor's ``contents``. Raw are
numbers in their own bytes, the lowest first, and each element of BYTES after its length in four bytes. An answer has
them as its request did.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate_server.errors import InvalidRequest, Violation

BYTES = "BYTES"
# A datatype, the type of its elements as `struct` and numpy name it, and the field of `contents` that has them. FP16 is
# raw only.
_NUMBERS: Mapping[str, tuple[str, str]] = {
    "BOOL": ("?", "bool_contents"),
    "INT8": ("b", "int_contents"),
    "INT16": ("h", "int_contents"),
    "INT32": ("i", "int_contents"),
    "INT64": ("q", "int64_contents"),
    "UINT8": ("B", "uint_contents"),
    "UINT16": ("H", "uint_contents"),
    "UINT32": ("I", "uint_contents"),
    "UINT64": ("Q", "uint64_contents"),
    "FP16": ("e", ""),
    "FP32": ("f", "fp32_contents"),
    "FP64": ("d", "fp64_contents"),
}
_ONE = {datatype: struct.Struct(f"<{code}") for datatype, (code, _) in _NUMBERS.items()}
_BYTES_FIELD = "bytes_contents"
_length, _LENGTH_BYTES = struct.Struct("<I").unpack_from, 4
_MOST_DIMENSIONS = 2
_MOST_PARAMETERS = 64
PASSED_OVER = ("triton_", "binary_data", "sequence_")
"""What Triton's and KServe's clients say of the way that tensors take, or to models with a state."""
_SHARED_MEMORY = "shared_memory"

Elements = NDArray[np.float64] | tuple[float, ...] | list[bytes]
"""Of a tensor of many numbers, of few, or of one of BYTES; one for each row."""
FEW_ROWS = 8
"""Fewer than this many rows take less time one by one than column by column."""


def refuse(path: str, problem: str) -> InvalidRequest:
    """An error about one tensor, or another field."""
    return InvalidRequest([Violation(path, problem)])


def path_of(name: str) -> str:
    """How errors name a tensor of the inputs."""
    return f"inputs[{name}]"


def some_parameters(parameters: Any, path: str = "parameters") -> Iterable[tuple[str, Any]]:
    """Parameters, of which there may not be very many."""
    if len(parameters) > _MOST_PARAMETERS:
        raise refuse(path, f"has {len(parameters):,} names; at most {_MOST_PARAMETERS} are taken")
    return parameters.items() if parameters else ()


def check_passed_over(parameters: Any, path_of_tensor: str) -> None:
    """Refuse the parameters of a tensor that would mean something."""
    path = f"{path_of_tensor}.parameters"
    for name, _ in some_parameters(parameters, path):
        if name.startswith(_SHARED_MEMORY):
            raise refuse(f"{path}[{name}]", "is not offered: tensors come in the request itself, and in the answer")
        if not name.startswith(PASSED_OVER):
            raise refuse(f"{path}[{name}]", "is not a parameter of a tensor; leave it out")


def read_tensors(request: Any, most_rows: int) -> dict[str, Elements]:
    """The elements of a ModelInferRequest's tensors by name, of at most so many rows.

    Raises:
        InvalidRequest: one is not what its shape and datatype say, or comes twice.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        problem = f"has {len(raw):,} tensors; inputs has {len(request.inputs):,}, one each in the same order"
        raise refuse("raw_input_contents", problem)
    tensors: dict[str, Elements] = {}
    for place, message in enumerate(request.inputs):
        name, count = message.name, _rows(message, most_rows)
        if name in tensors:
            raise refuse(path_of(name), "comes twice")
        if message.parameters:
            check_passed_over(message.parameters, path_of(name))
        tensors[name] = _raw(message, raw[place], count) if raw else _typed(message, count)
    return tensors


def _rows(message: Any, most_rows: int) -> int:
    """N, of a tensor whose shape is [N] or [N, 1]."""
    shape = message.shape
    dimensions = len(shape)
    if not (dimensions == 1 or (dimensions == _MOST_DIMENSIONS and shape[1] == 1)):
        told = f"is {list(shape[:_MOST_DIMENSIONS])}" + (" and more" if dimensions > _MOST_DIMENSIONS else "")
        raise refuse(f"{path_of(message.name)}.shape", f"{told}; give [N] or [N, 1], of which N is the number of rows")
    rows: int = shape[0]
    if not 1 <= rows <= most_rows:
        raise refuse(f"{path_of(message.name)}.shape", f"has {rows:,} rows; give 1 to {most_rows:,} in one call")
    return rows


def _field_of(message: Any) -> str:
    """The field of contents that has the elements of a tensor's datatype; empty where only raw ones do."""
    datatype = message.datatype
    if datatype == BYTES:
        return _BYTES_FIELD
    if datatype not in _NUMBERS:
        problem = f"is {datatype!r}; there are {', '.join((BYTES, *_NUMBERS))}"
        raise refuse(f"{path_of(message.name)}.datatype", problem)
    return _NUMBERS[datatype][1]


def _typed(message: Any, count: int) -> Elements:
    """The elements that a tensor has in its contents."""
    path, field = f"{path_of(message.name)}.contents", _field_of(message)
    if not field:
        raise refuse(path, f"cannot hold {message.datatype}; give raw_input_contents")
    elements = getattr(message.contents, field)
    if len(elements) != count:
        raise refuse(path, f"has {len(elements):,} elements in {field}; its shape has {count:,}")
    if field == _BYTES_FIELD:
        return list(elements)
    return tuple(elements) if count < FEW_ROWS else np.array(elements, dtype=np.float64)


def _raw(message: Any, raw: bytes, count: int) -> Elements:
    """The elements that a tensor has in raw_input_contents."""
    field = _field_of(message)
    if message.HasField("contents"):
        raise refuse(f"{path_of(message.name)}.contents", "is set beside raw_input_contents; give one of them")
    if field == _BYTES_FIELD:
        return _raw_bytes(raw, count, message.name)
    one = _ONE[message.datatype]
    if len(raw) != count * one.size:
        problem = f"has {len(raw):,} bytes in raw_input_contents; {count:,} elements take {count * one.size:,}"
        raise refuse(path_of(message.name), problem)
    if count == 1:
        return one.unpack(raw)
    code = _NUMBERS[message.datatype][0]
    if count < FEW_ROWS:
        return struct.unpack(f"<{count}{code}", raw)
    with np.errstate(invalid="ignore"):  # a NaN that signals is one
        return np.frombuffer(raw, f"<{code}").astype(np.float64, copy=False)


def _raw_bytes(raw: bytes, count: int, name: str) -> list[bytes]:
    """The elements of a tensor of BYTES."""
    elements: list[bytes] = []
    at, add, length = 0, elements.append, _length
    with suppress(struct.error):  # where no length is left
        for _ in range(count):
            first = at + _LENGTH_BYTES
            at = first + length(raw, at)[0]
            add(raw[first:at])
    if at > len(raw):
        problem = "is said to have more bytes than raw_input_contents has left"
        raise refuse(f"{path_of(name)}[{len(elements) - 1}]", problem)
    if at < len(raw) or len(elements) < count:
        has = f"{len(elements):,}" if len(elements) < count else f"more than {count:,}"
        raise refuse(path_of(name), f"has {has} elements in raw_input_contents; its shape has {count:,}")
    return elements


class Outputs:
    """The tensors of an answer, which are written in the order in which they are added."""

    def __init__(self, message: Any, *, raw: bool) -> None:
        """``message`` is the ModelInferResponse that gets them."""
        self._message = message
        self._raw = raw

    def add_numbers(self, name: str, values: NDArray[np.float64]) -> None:
        """A tensor of FP64."""
        if self._raw:
            self._message.outputs.add(name=name, datatype="FP64", shape=values.shape)
            self._message.raw_output_contents.append(values.astype("<f8", copy=False).tobytes())
        else:
            output = self._message.outputs.add(name=name, datatype="FP64", shape=values.shape)
            output.contents.fp64_contents.extend(values.ravel().tolist())

    def add_texts(self, name: str, shape: Sequence[int], texts: Sequence[str]) -> None:
        """A tensor of BYTES, each the UTF-8 of a text."""
        elements = [text.encode() for text in texts]
        output = self._message.outputs.add(name=name, datatype=BYTES, shape=shape)
        if self._raw:
            self._message.raw_output_contents.append(b"".join(map(packed, elements)))
        else:
            output.contents.bytes_contents.extend(elements)

    def add_chosen(self, name: str, shape: Sequence[int], texts: Sequence[str], chosen: Sequence[int]) -> None:
        """A tensor of BYTES with some of a few texts, by their places."""
        elements = [text.encode() for text in texts]
        output = self._message.outputs.add(name=name, datatype=BYTES, shape=shape)
        if self._raw:
            made = list(map(packed, elements))
            self._message.raw_output_contents.append(b"".join([made[place] for place in chosen]))
        else:
            output.contents.bytes_contents.extend([elements[place] for place in chosen])


def packed(element: bytes) -> bytes:
    """An element of BYTES after its length."""
    return len(element).to_bytes(_LENGTH_BYTES, "little") + element
