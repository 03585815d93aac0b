"""From the bytes of a request to its message, refused by what they already show, and from a large answer to its bytes.

A message of 16 MiB can hold a row of 600,000 cells, which takes protobuf seconds to read, with the interpreter to
itself. So a large one is first walked over without being read, in a thread, as far as the first thing that is over a
limit; then it is read a slice after the other, between which the event loop has its turn. Answers are written so too.
https://protobuf.dev/programming-guides/encoding/
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from explicate.v1 import explanation_pb2, table_pb2
from explicate.v1 import inference_service_pb2 as messages
from explicate_server.call_record import caller_of_call
from explicate_server.errors import InvalidRequest, Violation
from explicate_server.inference.workers import Workers
from explicate_server.runtime.batcher import Priority
from explicate_server.settings import Settings

# Reading this much takes less than a millisecond, whatever it is.
MOST_INLINE_BYTES = 32 << 10
# A slice: half a millisecond of texts or numbers, 3 ms of cells.
SLICE_BYTES = 256 << 10
# Names and numbers only: nothing that a caller may say to ModelService is longer.
_MOST_OTHER_BYTES = 64 << 10
# More than all values that a search may choose from, with the names of their columns.
_MOST_CHANGE_BYTES = 256 << 10
# Of a row or a table; no bundle has more.
MOST_COLUMNS = 10_000
# Fields that are not ours, and those that have no reason to come again and again; each column has a name.
_MOST_STRAY_FIELDS = 4 * MOST_COLUMNS
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_LAST_BYTE = 0x80  # a varint's bytes are below this where it ends

_T = TypeVar("_T")
_Parse = Callable[[bytes], Message]
_Field = tuple[int, int, int, int]
"""Number of a field, and where it begins, where its value begins and where that ends."""


class Reader:
    """Reads the requests of one server."""

    def __init__(
        self,
        settings: Settings,
        workers: Workers,
        *,
        walks: "Mapping[type[Message], type[Walk]]" = MappingProxyType({}),
    ) -> None:
        """``walks`` are those of requests that are not of our own protocol."""
        value_bytes = {number: getattr(settings, f"max_{kind.name}_bytes") for number, kind in _WHOLE_KINDS.items()}
        self._limits = Limits(settings.max_inputs, settings.max_explained_rows, value_bytes)
        self._walks: dict[_Parse, tuple[type[Message], type[Walk]]] = {
            message.FromString: (message, walk) for message, walk in walks.items()
        }
        self._workers = workers

    async def read(self, parse: _Parse, data: bytes) -> Message:
        """The message that ``parse``, the `FromString` of its class, reads of the bytes.

        Raises:
            InvalidRequest: its bytes show that it is over a limit.
            DecodeError, UnicodeDecodeError: they are no such message.
        """
        if len(data) <= MOST_INLINE_BYTES:
            return parse(data)
        return await self.run(lambda: self._read(parse, data))

    async def run(self, step: Callable[[], _T]) -> _T:
        """Do something with a large message in a thread."""
        return await self._workers.predict.run(step, caller=caller_of_call(), priority=Priority.PREDICT)

    def _read(self, parse: _Parse, data: bytes) -> Message:
        of_rows = _OF_ROWS.get(parse, _PREDICT)
        kind, walk_of = self._walks.get(parse, (of_rows.message, Walk))
        walk = walk_of(data, self._limits, of_rows)
        if parse in _OF_ROWS or parse in self._walks:
            message = kind()
            for piece in list(walk.rows()):  # all of it is checked before any of it is read
                message.MergeFromString(piece)
            return message
        if parse in (messages.ExplainRequest.FromString, messages.StreamExplainRequest.FromString):
            walk.explain()
        elif len(data) > _MOST_OTHER_BYTES:
            _refuse("request", f"has {len(data):,} bytes; at most {_MOST_OTHER_BYTES:,} are taken by this call")
        return parse(data)


@dataclass(frozen=True)
class Limits:
    """What one request may hold: inputs or rows of predictions, rows of explanations, and bytes of each value of the
    kinds of `_WHOLE_KINDS`.
    """

    inputs: int
    explained_rows: int
    value_bytes: Mapping[int, int]


def _numbers(kind: Descriptor, *names: str) -> tuple[int, ...]:
    return tuple(kind.fields_by_name[name].number for name in names)


(_SPEC,) = _numbers(messages.ExplainRequest.DESCRIPTOR, "spec")
_INPUT, _OPTIONS = _numbers(messages.ExplainSpec.DESCRIPTOR, "input", "options")
(_CHANGE,) = _numbers(explanation_pb2.ExplainOptions.DESCRIPTOR, "change")
(_ROW,) = _numbers(messages.Input.DESCRIPTOR, "tabular")
(_CELLS,) = _numbers(messages.TabularInput.DESCRIPTOR, "cells")
_ROWS, _COLUMNS = _numbers(table_pb2.Table.DESCRIPTOR, "rows", "columns")
_NUMBERS, _CATEGORIES = _numbers(table_pb2.TableColumn.DESCRIPTOR, "numbers", "categories")
(_VALUES,) = _numbers(table_pb2.NumberValues.DESCRIPTOR, "values")
_NAMES, _CODES = _numbers(table_pb2.CategoryValues.DESCRIPTOR, "names", "codes")
# The kinds of input whose values are strings or bytes, each with a limit of its own in the settings.
_WHOLE_KINDS = {kind.number: kind for kind in messages.Input.DESCRIPTOR.fields if kind.number != _ROW}


@dataclass(frozen=True)
class _OfRows:
    """A request of many rows: its class, the numbers of its inputs (0 without any) and of its table, and its limit."""

    message: type[Message]
    inputs: int
    table: int
    most: Callable[[Limits], int]


_PREDICT = _OfRows(
    messages.PredictRequest,
    inputs=messages.PredictRequest.INPUTS_FIELD_NUMBER,
    table=messages.PredictRequest.TABLE_FIELD_NUMBER,
    most=lambda limits: limits.inputs,
)
_EXPLAIN_TABLE = _OfRows(
    messages.ExplainTableRequest,
    inputs=0,
    table=messages.ExplainTableRequest.TABLE_FIELD_NUMBER,
    most=lambda limits: limits.explained_rows,
)
_OF_ROWS: Mapping[_Parse, _OfRows] = {kind.message.FromString: kind for kind in (_PREDICT, _EXPLAIN_TABLE)}


class Walk:
    """Goes over the bytes of a message, field by field, and refuses what is over a limit as soon as it shows.

    What comes in several parts, as the encoding allows for every message, is counted over all of them.
    """

    def __init__(self, data: bytes, limits: Limits, of_rows: _OfRows = _PREDICT) -> None:
        self.data = data
        self._limits = limits
        self._of_rows = of_rows
        self.most_rows = of_rows.most(limits)
        self._counted: Counter[str] = Counter()

    def rows(self) -> Iterator[bytes]:
        """The bytes of the request in slices, which read one after the other into one message are all of it."""
        first = 0
        for number, begin, start, end in self.fields(0, len(self.data)):
            if number == self._of_rows.inputs:
                self._input(start, end, f"inputs[{self._counted['inputs']}]")
                self.count("inputs", self.most_rows, "inputs")
            elif number == self._of_rows.table:
                yield self.data[first:begin]
                yield from self._table(start, end)
                first = end
            else:
                self.stray()
            if end - first >= SLICE_BYTES:
                yield self.data[first:end]
                first = end
        yield self.data[first:]

    def explain(self) -> None:
        """Check an ExplainRequest or a StreamExplainRequest, whose fields are the same."""
        for spec in self.wanted(0, len(self.data), _SPEC):
            for number, _, start, end in self.wanted(*spec[2:], _INPUT, _OPTIONS):
                if number == _INPUT:
                    self._input(start, end, "input")
                else:
                    self._options(start, end)

    def _options(self, start: int, end: int) -> None:
        for _, _, first, last in self.wanted(start, end, _CHANGE):
            self._counted["options.change"] += last - first
            if self._counted["options.change"] > _MOST_CHANGE_BYTES:
                _refuse("options.change", f"has more than {_MOST_CHANGE_BYTES:,} bytes; name fewer values")

    def _input(self, start: int, end: int, path: str) -> None:
        for number, _, first, last in self.wanted(start, end, _ROW, *_WHOLE_KINDS):
            if number == _ROW:
                self._cells(first, last, path)
            else:
                self._values(_WHOLE_KINDS[number], first, last, path)
            self._counted[path] += 1

    def _cells(self, start: int, end: int, path: str) -> None:
        if end - start <= MOST_INLINE_BYTES and not self._counted[path]:
            return  # too few to take time
        for _ in self.fields(start, end):
            self.count(f"{path}.tabular.cells", MOST_COLUMNS, "cells")

    def _values(self, kind: Any, start: int, end: int, path: str) -> None:
        """Check the strings and bytes of an input; ``kind`` is the descriptor of its field."""
        most = self._limits.value_bytes[kind.number]
        fields: Mapping[int, FieldDescriptor] = kind.message_type.fields_by_number
        for number, _, first, last in self.wanted(start, end, *fields):
            if last - first > most:
                name, is_text = fields[number].name, fields[number].type == FieldDescriptor.TYPE_STRING
                has = f"is {last - first:,} bytes of UTF-8" if is_text else f"has {last - first:,} bytes"
                at = f"{path}.{kind.name}" if name == kind.name else f"{path}.{kind.name}.{name}"
                _refuse(at, f"{has}; at most {most:,} are accepted")

    def _table(self, start: int, end: int) -> Iterator[bytes]:
        """A table as fields of the request that hold some of its columns each."""
        first = start
        for number, _, begin, stop in self.fields(start, end):
            if number == _COLUMNS:
                self._column(begin, stop, f"table.columns[{self._counted['table.columns']}]")
                self.count("table.columns", MOST_COLUMNS, "columns")
            else:
                self.stray()
                if number == _ROWS:
                    self._rows(_varint(self.data, begin, stop)[0])
            if stop - first >= SLICE_BYTES:
                yield length_field(self._of_rows.table, self.data[first:stop])
                first = stop
        yield length_field(self._of_rows.table, self.data[first:end])

    def _rows(self, rows: int) -> None:
        if self.most_rows < rows < 1 << 31:  # a negative number is a larger one here, and refused later
            _refuse("table.rows", f"has {rows:,} rows; give 1 to {self.most_rows:,} in one call")

    def _column(self, start: int, end: int, path: str) -> None:
        if end - start <= self.most_rows:
            return  # a value takes a byte at least
        for number, _, first, last in self.wanted(start, end, _NUMBERS, _CATEGORIES):
            values = (_VALUES,) if number == _NUMBERS else (_CODES, _NAMES)
            for part, begin, at, stop in self.wanted(first, last, *values):
                if number == _NUMBERS:
                    packed = (stop - at) // 8 if self.data[begin] & 7 == _LENGTH else 1
                    self.count(f"{path}.numbers.values", self.most_rows, "values", packed)
                elif part == _NAMES:
                    self.count(f"{path}.categories.names", self.most_rows, "names")
                else:
                    self.count(f"{path}.categories.codes", self.most_rows, "codes", self.varints(at, stop))

    def varints(self, start: int, end: int) -> int:
        """How many numbers are packed there."""
        return int(np.count_nonzero(np.frombuffer(self.data, np.uint8, end - start, start) < _LAST_BYTE))

    def count(self, path: str, most: int, what: str, places: int = 1) -> None:
        """Count what is at a path, and refuse what is too many there."""
        self._counted[path] += places
        if self._counted[path] > most:
            _refuse(path, f"has more than {most:,} {what}; give at most that many in one call")

    def stray(self) -> None:
        """Count a field that is not read here."""
        self.count("request", _MOST_STRAY_FIELDS, "fields that are not repeated")

    def wanted(self, start: int, end: int, *numbers: int) -> Iterator[_Field]:
        """The fields with these numbers; how many others there are is bounded."""
        for field in self.fields(start, end):
            if field[0] in numbers:
                yield field
            else:
                self.stray()

    def fields(self, start: int, end: int) -> Iterator[_Field]:
        """The fields between two places of the bytes.

        Raises:
            DecodeError: that is no message.
        """
        data, at = self.data, start
        while at < end:
            begin = at
            tag, at = _varint(data, at, end)
            number, kind = tag >> 3, tag & 7
            if kind == _LENGTH:
                length, at = _varint(data, at, end)
                last = at + length
            elif kind == _VARINT:
                _, last = _varint(data, at, end)
            elif kind in (_FIXED64, _FIXED32):
                last = at + (8 if kind == _FIXED64 else 4)
            else:  # groups, which no message of ours has
                raise DecodeError(f"wire type {kind}")
            if last > end or not number:
                raise DecodeError("a field goes beyond its message")
            yield number, begin, at, last
            at = last


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number that begins at a place, and the place after it."""
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _LAST_BYTE:
            return value, at
        shift += 7
    raise DecodeError("a number does not end")


def length_field(number: int, value: bytes) -> bytes:
    """A field with these bytes as its value."""
    head = bytearray([number << 3 | _LENGTH])
    length = len(value)
    while length >= _LAST_BYTE:
        head.append(length & 0x7F | _LAST_BYTE)
        length >>= 7
    head.append(length)
    return bytes(head) + value


def _refuse(path: str, problem: str) -> NoReturn:
    raise InvalidRequest([Violation(path, problem)])


# Numbers of an answer that become one slice of its bytes: about a millisecond for scores with labels.
SLICE_NUMBERS = 512


def in_slices(
    rows: int,
    most: int,
    part: Callable[[slice], messages.PredictResponse],
    rest: messages.PredictResponse,
) -> messages.PredictResponse | bytes:
    """An answer of ``rest`` and the parts for some rows each; its bytes if there are several.

    Bytes of messages one after the other are those of the message that all of them merge into:
    https://protobuf.dev/programming-guides/encoding/#last-one-wins
    """
    most = max(1, most)
    if rows <= most:
        rest.MergeFrom(part(slice(rows)))
        return rest
    parts = [part(slice(first, first + most)).SerializeToString() for first in range(0, rows, most)]
    return b"".join([rest.SerializeToString(), *parts])
