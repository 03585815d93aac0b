"""Requests from their bytes: what is over a limit is refused unread, and slices mean what the whole means."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import NULL_VALUE
from hypothesis import given, settings
from hypothesis import strategies as st

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2, table_pb2
from explicate_server.errors import InvalidRequest
from explicate_server.inference.workers import Workers
from explicate_server.rpc import message_bytes
from explicate_server.rpc.message_bytes import Reader
from explicate_server.settings import Settings


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.close()


@pytest.fixture
def reader(workers: Workers) -> Reader:
    return Reader(Settings(), workers)


def a_row(cells: int) -> messages.Input:
    row = messages.Input()
    for number in range(cells):
        row.tabular.cells[f"c{number}"].number = number
    return row


def long_rows(cells: int, rows: int) -> bytes:
    """A request with rows of empty cells, made by hand: protobuf itself takes seconds for many."""
    row = field(2, field(1, b"") * cells)
    return field(2, row) * rows


def field(number: int, value: bytes) -> bytes:
    return message_bytes.length_field(number, value)


def a_table(**columns: Any) -> messages.PredictRequest:
    request = messages.PredictRequest(table=table_pb2.Table(rows=3))
    for name, values in columns.items():
        request.table.columns.add(name=name, **values)
    return request


def categories(**values: Any) -> dict[str, Any]:
    return {"categories": table_pb2.CategoryValues(**values)}


def explained(value: messages.Input) -> bytes:
    return messages.ExplainRequest(spec=messages.ExplainSpec(input=value)).SerializeToString()


_PREDICT, _EXPLAIN = messages.PredictRequest, messages.ExplainRequest
_WIDE = field(2, field(2, field(1, b"") * 600_000))
_LONG_TEXT = messages.Input(text=messages.TextInput(text="tea " * 20_000))
_LONG_PAIR = messages.Input(text=messages.TextInput(text="tea", text_pair="tea " * 20_000))
_LARGE_IMAGE = messages.Input(image=messages.ImageInput(content=bytes(9 << 20)))
_NAMES = {"names": [f"n{number}" for number in range(20_000)], "codes": [0]}
_OF_MANY_ROWS = table_pb2.Table(
    rows=9_000, columns=[table_pb2.TableColumn(numbers=table_pb2.NumberValues(values=[1.0] * 9_000))]
)


@pytest.mark.parametrize(
    ("kind", "data", "path"),
    [
        (_PREDICT, _WIDE, "inputs[0].tabular.cells"),
        (_PREDICT, field(2, field(2, field(1, b"") * 9_000) * 3), "inputs[0].tabular.cells"),  # in three parts
        (_EXPLAIN, field(1, _WIDE), "input.tabular.cells"),
        (_EXPLAIN, field(1, field(2, field(2, field(1, b"") * 90_000))), "input.tabular.cells"),
        (_PREDICT, field(2, b"") * 100_000, "inputs"),
        (_PREDICT, a_table(a=categories(codes=[1] * 40_000)), "table.columns[0].categories.codes"),
        (_PREDICT, a_table(a=categories(codes=[-1] * 15_000)), "table.columns[0].categories.codes"),
        (_PREDICT, a_table(a=categories(), b=categories(**_NAMES)), "table.columns[1].categories.names"),
        (
            _PREDICT,
            field(4, field(2, field(3, b"\x10\x01" * 40_000))),
            "table.columns[0].categories.codes",
        ),  # not packed
        (_PREDICT, a_table(a={"numbers": {"values": [1.0] * 9_000}}), "table.columns[0].numbers.values"),
        (_PREDICT, field(4, field(2, b"") * 20_000), "table.columns"),
        (_PREDICT, messages.PredictRequest(table=_OF_MANY_ROWS), "table.rows"),
        (messages.ExplainTableRequest, messages.ExplainTableRequest(table=_OF_MANY_ROWS), "table.rows"),
        (_PREDICT, (field(4, field(2, b"") * 6_000)) * 2 + field(9, bytes(99_999)), "table.columns"),
        (_PREDICT, messages.PredictRequest(inputs=[messages.Input(), _LONG_TEXT]), "inputs[1].text"),
        (_PREDICT, messages.PredictRequest(inputs=[_LONG_PAIR]), "inputs[0].text.text_pair"),
        (_EXPLAIN, explained(_LONG_TEXT), "input.text"),
        (messages.StreamExplainRequest, explained(_LARGE_IMAGE), "input.image.content"),
        (_PREDICT, b"\x50\x01" * 200_000, "request"),  # fields that nobody knows
        (_EXPLAIN, field(1, b"\x20\x01" * 200_000), "request"),  # a priority, again and again
        (model_service_pb2.GetModelRequest, field(1, b"m" * 100_000), "request"),
    ],
)
async def test_what_bytes_show_to_be_over_a_limit_is_refused_and_never_read(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, kind: Any, data: bytes | Message, path: str
) -> None:
    given_bytes = data if isinstance(data, bytes) else data.SerializeToString()
    if kind is _PREDICT:
        read_as(_UnreadPredict, monkeypatch)
    with pytest.raises(InvalidRequest) as caught:
        await reader.read(kind.FromString if kind is not _PREDICT else _UnreadPredict.FromString, given_bytes)
    assert [violation.field for violation in caught.value.violations] == [path]


def read_as(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another class read a PredictRequest."""
    of_rows = replace(message_bytes._PREDICT, message=kind)
    monkeypatch.setattr(message_bytes, "_OF_ROWS", {kind.FromString: of_rows})


class _UnreadPredict:
    @staticmethod
    def FromString(data: bytes) -> Message:
        raise AssertionError("the whole message was read")

    def MergeFromString(self, data: bytes) -> None:
        raise AssertionError("a slice of the message was read")


async def test_what_is_at_the_limits_is_read(reader: Reader) -> None:
    text = messages.Input(text=messages.TextInput(text="t" * 65_536))
    for request in (
        messages.PredictRequest(inputs=[a_row(10_000)]),
        messages.PredictRequest(inputs=[text] * 200),
        a_table(
            a=categories(codes=[-1] * 1024, names=[f"n{number:050}" for number in range(1024)]),
            **{f"b{number}": {"numbers": {"values": [0.5] * 1024}} for number in range(100)},
        ),
    ):
        read = await reader.read(messages.PredictRequest.FromString, request.SerializeToString())
        assert read == request
    large = messages.Input(image=messages.ImageInput(content=bytes(8 << 20)))
    assert (await reader.read(_EXPLAIN.FromString, explained(large))).spec.input == large  # type: ignore[attr-defined]


async def test_a_large_message_is_read_by_a_thread_a_slice_at_a_time(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices: list[tuple[int, bool]] = []

    class Noting:
        FromString = None

        def MergeFromString(self, data: bytes) -> None:
            slices.append((len(data), threading.current_thread() is threading.main_thread()))

    read_as(Noting, monkeypatch)
    rows = messages.PredictRequest(inputs=[a_row(500)] * 1000).SerializeToString()
    columns = a_table(**{f"b{number}": {"numbers": {"values": [0.5] * 1024}} for number in range(1000)})
    for data in (rows, columns.SerializeToString()):
        slices.clear()
        await reader.read(Noting.FromString, data)  # type: ignore[arg-type]
        assert sum(size for size, _ in slices) >= len(data)
        assert max(size for size, _ in slices) < 300_000
        assert not any(main for _, main in slices)


_texts = st.builds(messages.TextInput, text=st.text(max_size=40))
_cells = st.one_of(
    st.builds(table_pb2.Cell, number=st.floats(allow_nan=False)),
    st.builds(table_pb2.Cell, category=st.text(max_size=9)),
    st.just(table_pb2.Cell(missing=NULL_VALUE)),
)
_rows = st.builds(messages.TabularInput, cells=st.dictionaries(st.text(max_size=9), _cells, max_size=9))
_inputs = st.one_of(
    st.builds(messages.Input, text=_texts),
    st.builds(messages.Input, tabular=_rows),
    st.builds(messages.Input, image=st.builds(messages.ImageInput, content=st.binary(max_size=90))),
    st.just(messages.Input()),
)
_columns = st.one_of(
    st.builds(
        table_pb2.TableColumn,
        name=st.text(max_size=9),
        numbers=st.builds(table_pb2.NumberValues, values=st.lists(st.floats(allow_nan=False), max_size=9)),
    ),
    st.builds(
        table_pb2.TableColumn,
        name=st.text(max_size=9),
        categories=st.builds(
            table_pb2.CategoryValues,
            names=st.lists(st.text(max_size=9), max_size=9),
            codes=st.lists(st.integers(-1, 9), max_size=9),
        ),
    ),
)
_tables = st.builds(table_pb2.Table, rows=st.integers(0, 9), columns=st.lists(_columns, max_size=9))
_requests = st.builds(
    messages.PredictRequest,
    model=st.one_of(st.none(), st.builds(messages.ModelRef, model=st.text(max_size=9))),
    inputs=st.lists(_inputs, max_size=9),
    priority=st.sampled_from([0, 1, 2]),
    table=st.one_of(st.none(), _tables),
)


def sliced(data: bytes, slice_bytes: int, monkeypatch: pytest.MonkeyPatch) -> messages.PredictRequest:
    monkeypatch.setattr(message_bytes, "SLICE_BYTES", slice_bytes)
    message = messages.PredictRequest()
    limits = message_bytes.Limits(1024, 1024, dict.fromkeys(message_bytes._WHOLE_KINDS, 1 << 20))
    for piece in message_bytes.Walk(data, limits).rows():
        message.MergeFromString(piece)
    return message


@settings(max_examples=200)
@given(st.lists(_requests, min_size=1, max_size=3), st.sampled_from([1, 7, 40, 200]))
def test_slices_read_one_after_the_other_are_the_message(
    requests: list[messages.PredictRequest], slice_bytes: int
) -> None:
    data = b"".join(request.SerializeToString() for request in requests)  # fields come again, as they may
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert sliced(data, slice_bytes, monkeypatch) == messages.PredictRequest.FromString(data)


@settings(max_examples=300)
@given(_requests, st.data())
def test_bytes_that_are_no_message_are_never_more_than_that(request: messages.PredictRequest, draw: Any) -> None:
    data = bytearray(request.SerializeToString() or b"\0")
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    read: Callable[[], Any] = lambda: messages.PredictRequest.FromString(bytes(data))  # noqa: E731
    with pytest.MonkeyPatch.context() as monkeypatch:
        try:
            ours = sliced(bytes(data), 40, monkeypatch)
        except (DecodeError, UnicodeDecodeError, InvalidRequest):
            return
        assert ours == read()
