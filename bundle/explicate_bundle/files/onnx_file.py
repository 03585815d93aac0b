"""Whether an ONNX graph keeps weights in other files, found without any ONNX library.

A tensor may name a file to read its values from, and runtimes open it. ONNX Runtime 1.31 and OpenVINO 2026.4 stay in
the model's folder, but there they read any file, its digest unchecked; what older releases do was not tried. Our
bundles have all weights in model.onnx, so a graph that names a file is refused before a runtime sees it.

The file is walked as protobuf wire format (https://protobuf.dev/programming-guides/encoding), stepping over all values;
field numbers are those of onnx.proto. Walking alone can be wrong in one direction only: it may refuse a file that is
not an ONNX graph.
"""

import mmap
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
# The messages on the way to a tensor, each with the fields that lead on.
_PATHS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
# Numbers and short names of an attribute, one field each: `floats`, `ints` and `strings`. A forest of deep trees has
# many millions; they lead nowhere, so a run of them is stepped over at once.
_SHORT_NAMES = b"|".join(b"\\x4a" + re.escape(bytes([length])) + b".{%d}" % length for length in range(17))
_LISTED = re.compile(rb"(?s:\x3d.{4}|\x40[\x80-\xff]{0,9}[\x00-\x7f]|%b)++" % _SHORT_NAMES)
_MOST_DEPTH = 64  # of messages; graphs within graphs, three levels each
_MOST_FIELDS = 5_000_000  # a graph of 10,000 nodes has about 200,000
_MOST_VARINT_BYTES = 10


class ExternalDataError(Exception):
    """A graph names other files, or is not a graph; the message says which."""


def refuse_external_data(path: Path) -> None:
    """Walk a graph in ``path``.

    Raises:
        ExternalDataError: a tensor is stored outside the file, or the file is not in the format.
        OSError: it cannot be read.
    """
    if path.stat().st_size == 0:
        raise ExternalDataError("it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _Walk(data).message("model", 0, len(data), depth=0)


class _Walk:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._fields = 0

    def message(self, kind: str, start: int, end: int, *, depth: int) -> None:
        """Walk one message, which lies in ``data[start:end]``."""
        if depth > _MOST_DEPTH:
            raise ExternalDataError(f"messages lie in each other {_MOST_DEPTH} deep")
        paths = _PATHS[kind]
        for number, value, value_start, value_end in self._each(start, end, listed=kind == "attribute"):
            if kind == "tensor" and (number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value)):
                raise ExternalDataError("a tensor is stored in another file (external data); keep all weights in it")
            if number in paths and value_start < value_end:
                self.message(paths[number], value_start, value_end, depth=depth + 1)

    def _each(self, start: int, end: int, *, listed: bool) -> Iterator[tuple[int, int, int, int]]:
        """Number, value of a number, and begin and end of a message or bytes, of each field.

        Where an attribute's numbers and names are ``listed``, a run of them is no field.
        """
        place = start
        while place < end:
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise ExternalDataError(f"it has more than {_MOST_FIELDS:,} fields")
            if listed and (run := _LISTED.match(self._data, place, end)):
                place = run.end()
                continue
            tag, place = self._varint(place, end)
            number, wire = tag >> 3, tag & 7
            value = value_start = value_end = 0
            if wire == _VARINT:
                value, place = self._varint(place, end)
            elif wire == _BYTES:
                length, value_start = self._varint(place, end)
                place = value_end = value_start + length
            elif wire in (_FIXED64, _FIXED32):
                place += 8 if wire == _FIXED64 else 4
            else:
                raise ExternalDataError("it is not an ONNX graph: a field has an unknown wire type")
            if place > end:
                raise ExternalDataError("it is not an ONNX graph: a field reaches beyond its message")
            yield number, value, value_start, value_end

    def _varint(self, place: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(_MOST_VARINT_BYTES):
            if place >= end:
                break
            byte = self._data[place]
            place += 1
            value |= (byte & 0x7F) << (7 * shift)
            if byte < 0x80:
                return value, place
        raise ExternalDataError("it is not an ONNX graph: a number does not end")
