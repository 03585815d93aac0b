"""Tensors of the protocol: their elements from a request, and into an answer.

A request has its tensors' elements in ``raw_input_contents``, all or none, or in each tensor's ``contents``. Raw are
numbers in their own bytes, the lowest first, and each element of BYTES after its length in four bytes. An answer has
them as its request did.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate_server.errors import InvalidRequest, Violation

BYTES = "BYTES"
# A datatype, the type of its elements, and the field of `contents` that has them; of FP16 only raw ones are.
_NUMBERS: Mapping[str, tuple[str, str]] = {
    "BOOL": ("?", "bool_contents"),
    "INT8": ("<i1", "int_contents"),
    "INT16": ("<i2", "int_contents"),
    "INT32": ("<i4", "int_contents"),
    "INT64": ("<i8", "int64_contents"),
    "UINT8": ("<u1", "uint_contents"),
    "UINT16": ("<u2", "uint_contents"),
    "UINT32": ("<u4", "uint_contents"),
    "UINT64": ("<u8", "uint64_contents"),
    "FP16": ("<f2", ""),
    "FP32": ("<f4", "fp32_contents"),
    "FP64": ("<f8", "fp64_contents"),
}
_BYTES_FIELD = "bytes_contents"
_LENGTH = struct.Struct("<I")
_MOST_DIMENSIONS = 2

Elements = NDArray[np.float64] | list[bytes]
"""Of a tensor of numbers, or of one of BYTES."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a request, with one element for each row."""

    elements: Elements


def refuse(path: str, problem: str) -> InvalidRequest:
    """An error about one tensor, or another field."""
    return InvalidRequest([Violation(path, problem)])


def path_of(name: str) -> str:
    """How errors name a tensor of the inputs."""
    return f"inputs[{name}]"


def read_tensors(request: Any, most_rows: int) -> dict[str, Tensor]:
    """The tensors of a ModelInferRequest by name, of at most so many rows.

    Raises:
        InvalidRequest: one is not what its shape and datatype say, or comes twice.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        problem = f"has {len(raw):,} tensors; inputs has {len(request.inputs):,}, one each in the same order"
        raise refuse("raw_input_contents", problem)
    tensors: dict[str, Tensor] = {}
    for place, message in enumerate(request.inputs):
        name = message.name
        if name in tensors:
            raise refuse(path_of(name), "comes twice")
        _check_shape(message.shape, path_of(name), most_rows)
        tensors[name] = _tensor(message, path_of(name), raw[place] if raw else None)
    return tensors


def _check_shape(shape: Sequence[int], path: str, most_rows: int) -> None:
    """Refuse what is no shape of N rows of one element each."""
    if not shape or len(shape) > _MOST_DIMENSIONS or any(size != 1 for size in shape[1:]):
        told = f"is {list(shape[:_MOST_DIMENSIONS])}" + (" and more" if len(shape) > _MOST_DIMENSIONS else "")
        raise refuse(f"{path}.shape", f"{told}; give [N] or [N, 1], of which N is the number of rows")
    if not 1 <= shape[0] <= most_rows:
        raise refuse(f"{path}.shape", f"has {shape[0]:,} rows; give 1 to {most_rows:,} in one call")


def _tensor(message: Any, path: str, raw: bytes | None) -> Tensor:
    count, datatype = message.shape[0], message.datatype
    if raw is not None and message.HasField("contents"):
        raise refuse(f"{path}.contents", "is set beside raw_input_contents; give one of them")
    if datatype == BYTES:
        elements: Elements = _raw_bytes(raw, count, path) if raw is not None else list(message.contents.bytes_contents)
        used = _BYTES_FIELD
    elif datatype in _NUMBERS:
        kind, used = _NUMBERS[datatype]
        elements = _raw_numbers(raw, count, kind, path) if raw is not None else _typed(message, used, path)
    else:
        raise refuse(f"{path}.datatype", f"is {datatype!r}; there are {', '.join((BYTES, *_NUMBERS))}")
    if len(elements) != count:
        told = f"has {len(elements):,} elements in {used}; its shape has {count:,}"
        raise refuse(f"{path}.contents", told)
    return Tensor(elements)


def _typed(message: Any, field: str, path: str) -> NDArray[np.float64]:
    if not field:
        raise refuse(f"{path}.contents", f"cannot hold {message.datatype}; give raw_input_contents")
    return np.array(getattr(message.contents, field), dtype=np.float64)


def _raw_numbers(raw: bytes, count: int, kind: str, path: str) -> NDArray[np.float64]:
    size = np.dtype(kind).itemsize
    if len(raw) != count * size:
        problem = f"has {len(raw):,} bytes in raw_input_contents; {count:,} elements take {count * size:,}"
        raise refuse(path, problem)
    numbers = np.frombuffer(raw, np.uint8 if kind == "?" else kind)
    with np.errstate(invalid="ignore"):  # a NaN that signals is one
        return numbers.astype(np.float64)


def _raw_bytes(raw: bytes, count: int, path: str) -> list[bytes]:
    """The elements of a tensor of BYTES."""
    if len(raw) < _LENGTH.size * count:
        problem = f"has {len(raw):,} bytes in raw_input_contents; {count:,} elements have as many lengths of 4 bytes"
        raise refuse(path, problem)
    elements, at, end = [], 0, len(raw)
    while at < end and len(elements) <= count:
        first = at + _LENGTH.size
        length = _LENGTH.unpack_from(raw, at)[0] if first <= end else end
        at = first + length
        if at > end:
            raise refuse(
                f"{path}[{len(elements)}]", f"is said to have {length:,} bytes, which raw_input_contents lacks"
            )
        elements.append(raw[first:at])
    if len(elements) != count:
        has = f"more than {count:,}" if len(elements) > count else f"{len(elements):,}"
        raise refuse(path, f"has {has} elements in raw_input_contents; its shape has {count:,}")
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
            parts = [part for element in elements for part in (_LENGTH.pack(len(element)), element)]
            self._message.raw_output_contents.append(b"".join(parts))
        else:
            output.contents.bytes_contents.extend(elements)
