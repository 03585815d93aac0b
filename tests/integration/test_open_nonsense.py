"""Requests of the open protocol that make no sense: each is told what is wrong, and costs nobody else anything."""

import asyncio
import math
import random
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from explicate_server.rpc.message_bytes import length_field
from explicate_server.rpc.open_inference import infer_work
from support.harness import Running, predict_request, running_server, text_input
from support.open_inference import EXPLAINED, METHODS, call, columns, infer_request, message
from support.open_inference import set_parameter as set_to
from support.tiny_table_bundle import tiny_table, wide_columns

LOANS = tiny_table()
ROWS = [LOANS.cells(*row) for row in zip(*LOANS.rows(3, missing=0.0), strict=True)]


def fresh() -> Any:
    return infer_request("loans", columns(ROWS))


async def refusal(running: Running, request: Any, method: str = "ModelInfer") -> tuple[str, str, str]:
    """Reason, field and description of the first problem of a request."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(running.channel, method, request, timeout=20)
    status = rpc_status.from_call(error.value)  # type: ignore[arg-type]  # has what it reads of a call
    assert status is not None, error.value
    reason, field, description = "", "", status.message
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        if detail.Unpack(bad) and bad.field_violations:
            field, description = bad.field_violations[0].field, bad.field_violations[0].description
    return reason, field, description


Edit = Callable[[Any], None]


def _edits() -> Iterator[tuple[str, Edit]]:
    """A name of the field that is to be told, and what spoils a good request."""

    def shape(*sizes: int) -> Edit:
        return lambda request: request.inputs[0].shape.__setitem__(slice(None), sizes)

    yield "inputs[income]", shape(2)
    yield "inputs[income].shape", shape(-3)
    yield "inputs[income].shape", shape(-3, -1)
    yield "inputs[income].shape", shape(3, 2)
    yield "inputs[income].shape", shape(1, 3)
    yield "inputs[income].shape", shape(1 << 31)
    yield "inputs[income].shape", shape(1 << 62, 1 << 62)
    yield "inputs[income].shape", shape(0)
    yield "inputs[income].shape", shape()
    yield "inputs[income].shape", shape(*[1] * 1000)

    def of_tensor(**fields: Any) -> Edit:
        return lambda request: [setattr(request.inputs[0], name, value) for name, value in fields.items()] and None

    yield "inputs[income].datatype", of_tensor(datatype="FP128")
    yield "inputs[income].datatype", of_tensor(datatype="")
    yield "inputs[income].datatype", of_tensor(datatype="BF16")
    yield "inputs[income]", of_tensor(datatype="FP32")
    yield "inputs[purpose]", of_tensor(name="purpose")
    yield "inputs[never\nseen]", of_tensor(name="never\nseen")
    yield "inputs[]", of_tensor(name="")

    def raw(place: int, value: bytes) -> Edit:
        return lambda request: request.raw_input_contents.__setitem__(place, value)

    purpose = list(columns(ROWS)).index("purpose")
    yield "inputs[income]", raw(0, b"")
    yield "inputs[income]", raw(0, bytes(25))
    yield "inputs[income][1]", raw(0, struct.pack("<3d", 1, math.inf, 1))
    yield "inputs[purpose][2]", raw(purpose, struct.pack("<I1sI1sI1s", 1, b"a", 1, b"b", 2, b"c"))
    yield "inputs[purpose][0]", raw(purpose, struct.pack("<III", (1 << 32) - 1, 0, 0))
    yield "inputs[purpose]", raw(purpose, bytes(11))
    yield "inputs[purpose]", raw(purpose, bytes(16))
    yield "inputs[purpose]", raw(purpose, struct.pack("<I8s", 8, b"overlong"))
    yield "inputs[purpose][1]", raw(purpose, struct.pack("<I1sI2sI1s", 1, b"a", 2, b"\xff\xfe", 1, b"c"))
    yield "raw_input_contents", lambda request: request.raw_input_contents.append(b"")
    yield "raw_input_contents", lambda request: request.raw_input_contents.pop() and None
    yield "inputs", lambda request: request.Clear() or setattr(request, "model_name", "loans")
    yield "inputs[income].contents", lambda request: request.inputs[0].contents.fp64_contents.append(1.0)
    yield "inputs[income].contents", lambda request: request.ClearField("raw_input_contents")

    def left_out(request: Any) -> None:
        del request.inputs[purpose], request.raw_input_contents[purpose]

    yield "inputs[purpose]", left_out
    yield "outputs[0]", lambda request: request.outputs.add(name="logit") and None
    yield "outputs[value]", lambda request: request.outputs.add(name="value") and None
    yield "outputs[label]", lambda request: [request.outputs.add(name="label") for _ in "ab"] and None
    yield "outputs", lambda request: [request.outputs.add(name="label") for _ in range(1000)] and None

    def shared_memory(request: Any) -> None:
        set_to(request.inputs[0].parameters["shared_memory_region"], "mine")

    yield "inputs[income].parameters[shared_memory_region]", shared_memory
    yield (
        "outputs[label].parameters[classification]",
        lambda request: set_to(request.outputs.add(name="label").parameters["classification"], 3),
    )

    def parameter(name: str, value: Any, *outputs: str) -> Edit:
        def edit(request: Any) -> None:
            set_to(request.parameters[name], value)
            for output in outputs:
                request.outputs.add(name=output)

        return edit

    yield "parameters[temperature]", parameter("temperature", 1.0)
    yield "parameters[method]", parameter("method", "lime")
    yield "parameters[timeout]", parameter("timeout", -1)
    yield "parameters[timeout]", parameter("timeout", "soon")
    yield "parameters[priority]", parameter("priority", 2.0)
    yield "parameters[seed]", parameter("seed", -1, "attributions")
    yield "parameters[seed]", parameter("seed", 1.5, "attributions")
    yield "parameters[seed]", parameter("seed", True, "attributions")
    yield "parameters[tolerance]", parameter("tolerance", "low", "attributions")
    yield "parameters[tolerance]", parameter("tolerance", 2.0, "attributions")
    yield "parameters[method]", parameter("method", 3, "attributions")
    yield "parameters[method]", parameter("method", "guess", "attributions")
    yield "parameters[masking]", parameter("masking", "guess", "attributions")
    yield "parameters[target]", parameter("target", "nobody", "attributions")
    yield "parameters[target]", parameter("target", -1, "attributions")
    yield "parameters[target]", parameter("target", 1.0, "attributions")
    yield "parameters[target]", parameter("against", "paid", "attributions")
    yield "parameters[max_evaluations]", parameter("max_evaluations", 1 << 40, "attributions")
    yield "parameters[max_evaluations]", parameter("max_evaluations", 1 << 30, "attributions")
    yield (
        "parameters[method]",
        lambda request: request.parameters["method"].SetInParent() or (request.outputs.add(name="lower") and None),
    )
    yield (
        "parameters",
        lambda request: [set_to(request.parameters[f"binary_data{place}"], 1) for place in range(1000)] and None,
    )
    yield "model_name", lambda request: setattr(request, "model_name", "")
    yield "model_name", lambda request: setattr(request, "model_name", "../loans")
    yield "model_version", lambda request: setattr(request, "model_version", "9" * 40)
    yield "model_version", lambda request: setattr(request, "model_version", "No Label")


async def test_each_problem_is_told_with_the_tensor_or_parameter_that_has_it(table_repository: Path) -> None:
    async with running_server(table_repository) as running:
        good = await call(running.channel, "ModelInfer", fresh())
        for field, edit in _edits():
            request = fresh()
            edit(request)
            reason, told, description = await refusal(running, request)
            expected = "UNKNOWN_METHOD" if "guess" in description and field.endswith("[method]") else "INVALID_FIELD"
            assert (reason, told) == (expected, field), (field, told, description)
            assert description
        assert await call(running.channel, "ModelInfer", fresh()) == good


async def test_too_many_rows_are_refused_before_they_are_read(table_repository: Path) -> None:
    rows = [ROWS[0]] * 40
    async with running_server(table_repository, max_inputs=32, max_explained_rows=8) as running:
        assert (await refusal(running, infer_request("loans", columns(rows))))[1] == "inputs[income].shape"
        request = infer_request("loans", columns(rows[:9]), outputs=["attributions"])
        assert (await refusal(running, request))[1] == "inputs[income].shape"
        for allowed in (
            infer_request("loans", columns(rows[:32])),
            infer_request("loans", columns(rows[:8]), outputs=EXPLAINED),
        ):
            assert (await call(running.channel, "ModelInfer", allowed)).outputs


def _huge() -> Iterator[tuple[str, bytes]]:
    """Requests of megabytes that hold very many of something."""
    head = fresh().SerializeToString()
    numbers = {name: field.number for name, field in message("ModelInferRequest").DESCRIPTOR.fields_by_name.items()}
    tensor = {
        name: field.number
        for name, field in message("ModelInferRequest.InferInputTensor").DESCRIPTOR.fields_by_name.items()
    }
    contents = {name: field.number for name, field in message("InferTensorContents").DESCRIPTOR.fields_by_name.items()}
    yield "outputs", head + length_field(numbers["outputs"], b"") * 1_000_000
    yield "inputs", length_field(numbers["inputs"], b"") * 1_000_000 + head
    yield "parameters", head + length_field(numbers["parameters"], b"") * 1_000_000
    yield "raw_input_contents", head + length_field(numbers["raw_input_contents"], b"") * 1_000_000

    def of_contents(name: str, value: bytes, times: int = 1) -> bytes:
        inner = length_field(contents[name], value) * times
        return head + length_field(numbers["inputs"], length_field(tensor["contents"], inner))

    yield "inputs[7].contents", of_contents("bytes_contents", b"", 4_000_000)
    yield "inputs[7].contents", of_contents("int_contents", b"\x01" * 4_000_000)
    yield "inputs[7].contents", of_contents("bool_contents", b"\x01" * 4_000_000)
    yield "inputs[7].contents", of_contents("fp64_contents", bytes(8 << 20))
    yield "inputs[7].contents", of_contents("fp64_contents", bytes(8), 500_000)
    yield "inputs[7].shape", head + length_field(numbers["inputs"], length_field(tensor["shape"], b"\x01" * 4_000_000))
    yield (
        "inputs[7].parameters",
        head + length_field(numbers["inputs"], length_field(tensor["parameters"], b"") * 1_000_000),
    )


async def test_millions_of_anything_are_refused_unread_while_others_are_answered(table_repository: Path) -> None:
    async with running_server(table_repository) as running:
        for field, data in _huge():
            asked = asyncio.ensure_future(refusal(running, data))
            answered = 0
            while not asked.done():
                assert (await call(running.channel, "ModelInfer", fresh())).outputs
                answered += 1
            assert (await asked)[:2] == ("INVALID_FIELD", field), field
            assert answered


async def test_a_size_below_zero_does_not_hide_what_a_request_takes_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tiny_table(wide_columns(60))
    table.publish(tmp_path, "wide")
    rows = [table.cells(*row) for row in zip(*table.rows(1024, missing=0.0), strict=True)]
    request = infer_request("wide", columns(rows))
    request.inputs.add(name="last", datatype="BYTES", shape=[-(1 << 40)])
    request.raw_input_contents.append(b"")
    on_the_loop, read = [], infer_work.read_inputs

    def noted(*arguments: Any, **named: Any) -> Any:
        on_the_loop.append(threading.current_thread() is threading.main_thread())
        return read(*arguments, **named)

    monkeypatch.setattr(infer_work, "read_inputs", noted)
    async with running_server(tmp_path) as running:
        assert (await refusal(running, request))[1] == "inputs[last].shape"
    assert on_the_loop == [False]


async def test_mutated_requests_are_refused_or_answered_and_none_is_a_fault_of_the_server(
    table_repository: Path,
) -> None:
    stream, good = random.Random(15), fresh().SerializeToString()
    codes = set()
    async with running_server(table_repository) as running:
        expected = await call(running.channel, "ModelInfer", good)
        for _ in range(400):
            data = bytearray(good)
            for _ in range(stream.randint(1, 4)):
                place = stream.randrange(len(data))
                match stream.randrange(3):
                    case 0:
                        data[place] = stream.randrange(256)
                    case 1:
                        del data[place : place + stream.randint(1, 8)]
                    case _:
                        data[place:place] = stream.randbytes(stream.randint(1, 8))
            try:
                await call(running.channel, "ModelInfer", bytes(data), timeout=20)
                codes.add(grpc.StatusCode.OK)
            except grpc.aio.AioRpcError as error:
                codes.add(error.code())
        assert await call(running.channel, "ModelInfer", good) == expected
    refusals = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}
    assert codes <= {grpc.StatusCode.OK, *refusals}
    assert {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT} <= codes


@pytest.mark.parametrize("method", sorted(name for name in METHODS if name != "ModelStreamInfer"))
async def test_garbage_is_told_to_be_garbage_by_every_method(table_repository: Path, method: str) -> None:
    async with running_server(table_repository) as running:
        assert (await refusal(running, b"\xff\xff\xff", method))[0] == "MALFORMED_MESSAGE"
        if method not in ("ServerLive", "ServerReady", "ModelReady", "ModelInfer"):
            large = length_field(15, bytes(1 << 20))
            assert (await refusal(running, large, method))[0] == "INVALID_FIELD"


async def test_a_texts_and_an_images_limits_are_those_of_our_own_calls(
    tiny_repository: Path, image_repository: Path
) -> None:
    async with running_server(tiny_repository, max_text_bytes=100) as running:
        for text in ("a" * 101, "", "a\0b"):
            request = infer_request("tiny", {"text": ("BYTES", ["good", text])})
            reason, field, description = await refusal(running, request)
            own = predict_request("good")
            own.inputs.append(text_input(text))
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await running.inference.Predict(own)
            assert (reason, field) == ("INVALID_FIELD", "inputs[text][1]")
            assert description in (error.value.details() or "")
        pair = {"text": ("BYTES", ["good"]), "text_pair": ("BYTES", ["bad"])}
        assert (await refusal(running, infer_request("tiny", pair)))[1] == "inputs[text_pair][0]"
        number = {"text": ("FP64", [1.0])}
        assert (await refusal(running, infer_request("tiny", number)))[1] == "inputs[text].datatype"
    async with running_server(image_repository) as running:
        nonsense = infer_request("animals", {"image": ("BYTES", [b"no image"])})
        assert (await refusal(running, nonsense))[:2] == ("INVALID_FIELD", "inputs[image][0]")
