"""What is wrong with a request for an image model is refused with a typed error that names the field."""

import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from support.harness import Running, explain_input, image_input, reference, running_server, table_input, text_input
from support.tiny_image_bundle import pictures, png, saved

PIXELS = pictures(1)[0]
GOOD = png(PIXELS)
_BMP = saved(Image.fromarray(PIXELS), "BMP")
BOMB = _BMP[:18] + struct.pack("<ii", 50_000, 50_000) + _BMP[26:]
INVALID, PRECONDITION = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
MOST_BYTES, MOST_PIXELS = 20_000, 40_000


@pytest.fixture
async def running(image_repository: Path) -> AsyncIterator[Running]:
    async with running_server(
        image_repository, max_image_bytes=MOST_BYTES, max_image_pixels=MOST_PIXELS, max_inputs=32
    ) as running:
        yield running


async def refused(call: Any) -> tuple[grpc.StatusCode, list[str], str, str]:
    """Code, the paths of the bad fields, the reason and the text."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    paths: list[str] = []
    reason = ""
    for detail in status.details:
        bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
        if detail.Unpack(bad):
            paths += [violation.field for violation in bad.field_violations]
        if detail.Unpack(info):
            reason = info.reason
    return caught.value.code(), paths, reason, caught.value.details() or ""


def predict_request(contents: list[bytes], model: str = "animals") -> messages.PredictRequest:
    return messages.PredictRequest(model=reference(model), inputs=[image_input(content) for content in contents])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"not an image", "is no PNG, JPEG, WebP, GIF, BMP or TIFF file"),
        (GOOD[:-60], "is a PNG file that cannot be decoded"),
        (saved(Image.fromarray(PIXELS), "JPEG")[:200], "is a JPEG file that cannot be decoded"),
        (GOOD + b"\0" * MOST_BYTES, f"has {len(GOOD) + MOST_BYTES:,} bytes; at most 20,000 are accepted"),
        (BOMB, "declares 50,000 x 50,000 pixels"),
        (saved(Image.new("L", (200, 201)), "PNG"), "declares 200 x 201 pixels; at most 40,000 are accepted"),
    ],
)
async def test_a_bad_image_is_named_by_every_call(running: Running, content: bytes, problem: str) -> None:
    model, bad = reference("animals"), image_input(content)
    stream = running.inference.StreamExplain(
        messages.StreamExplainRequest(spec=messages.ExplainSpec(model=model, input=bad))
    )
    for call, path in (
        (running.inference.Predict(predict_request([GOOD] * 3 + [content])), "inputs[3].image.content"),
        (running.inference.Predict(predict_request([content])), "inputs[0].image.content"),
        (
            running.inference.Explain(messages.ExplainRequest(spec=messages.ExplainSpec(model=model, input=bad))),
            "input.image.content",
        ),
        (stream.read(), "input.image.content"),
    ):
        code, paths, reason, text = await refused(call)
        assert (code, paths, reason) == (INVALID, [path], "INVALID_FIELD")
        assert problem in text
    assert len((await running.inference.Predict(predict_request([GOOD]))).predictions) == 1


async def test_bad_images_all_over_a_message_are_named_up_to_eight(running: Running) -> None:
    contents = [GOOD if index % 3 else b"bad" for index in range(32)]
    code, paths, _, _ = await refused(running.inference.Predict(predict_request(contents)))
    assert code == INVALID
    assert paths == [f"inputs[{index}].image.content" for index in range(0, 24, 3)]


async def test_too_many_images_are_refused(running: Running) -> None:
    code, paths, _, _ = await refused(running.inference.Predict(predict_request([GOOD] * 33)))
    assert (code, paths) == (INVALID, ["inputs"])
    assert len((await running.inference.Predict(predict_request([GOOD] * 32))).predictions) == 32


async def test_fewer_images_are_taken_where_memory_is_short(image_repository: Path) -> None:
    row_bytes = 16 * 24 * 3
    async with running_server(image_repository, max_queued_bytes=5 * row_bytes + 7) as running:
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        described = await models.GetModel(model_service_pb2.GetModelRequest(model="animals"))
        assert described.limits.max_inputs == 5
        code, paths, _, text = await refused(running.inference.Predict(predict_request([GOOD] * 6)))
        assert (code, paths) == (INVALID, ["inputs"])
        assert "give 1 to 5 in one call" in text
        assert len((await running.inference.Predict(predict_request([GOOD] * 5))).predictions) == 5


async def test_inputs_of_another_kind_do_not_fit_the_model(running: Running, tiny_repository: Path) -> None:
    model = reference("animals")
    for given, kind in ((text_input("a cat"), "a text"), (table_input({"legs": 4.0}), "a row of a table")):
        for call, path in (
            (messages.PredictRequest(model=model, inputs=[image_input(GOOD), given]), "inputs[1]"),
            (messages.ExplainRequest(spec=messages.ExplainSpec(model=model, input=given)), "input"),
        ):
            method = running.inference.Predict if path != "input" else running.inference.Explain
            code, _, reason, text = await refused(method(call))
            assert (code, reason) == (PRECONDITION, "INPUT_KIND_UNSUPPORTED")
            assert f"{path} is {kind}; 'animals' reads an image" in text
    async with running_server(tiny_repository) as texts:
        code, _, reason, text = await refused(texts.inference.Predict(predict_request([GOOD], "tiny")))
        assert (code, reason) == (PRECONDITION, "INPUT_KIND_UNSUPPORTED")
        assert "inputs[0] is an image; 'tiny' reads a text" in text


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({"granularity": options_pb.GRANULARITY_WORD}, ["options.granularity"]),
        ({"segments": 1}, ["options.segments"]),
        ({"segments": 1025}, ["options.segments"]),
        ({"segments": -3}, ["options.segments"]),
        ({"segments": 9, "granularity": options_pb.GRANULARITY_QUICKSHIFT}, ["options.segments"]),
        ({"segments": 9, "granularity": options_pb.GRANULARITY_PATCH}, ["options.segments"]),
        ({"segments": 4, "method": "exact-shap", "max_evaluations": 8}, ["options.max_evaluations"]),
    ],
)
async def test_options_that_do_not_fit_an_image_are_named(
    running: Running, options: dict[str, Any], paths: list[str]
) -> None:
    request = explain_input(image_input(GOOD), model="animals")
    request.spec.options.MergeFrom(options_pb.ExplainOptions(**{"granularity": options_pb.GRANULARITY_GRID, **options}))
    code, named, _, _ = await refused(running.inference.Explain(request))
    assert (code, named) == (INVALID, paths)


@pytest.mark.parametrize("masking", [options_pb.MASKING_ATTENTION, options_pb.MASKING_BACKGROUND])
async def test_maskings_of_other_kinds_do_not_fit_an_image(running: Running, masking: Any) -> None:
    request = explain_input(image_input(GOOD), model="animals")
    request.spec.options.masking = masking
    code, _, reason, text = await refused(running.inference.Explain(request))
    assert (code, reason) == (PRECONDITION, "MASKING_UNSUPPORTED")
    assert "it has mean, blur, grey" in text


@pytest.mark.parametrize(
    "options", [{"granularity": options_pb.GRANULARITY_SLIC}, {"segments": 9}, {"masking": options_pb.MASKING_MEAN}]
)
async def test_options_of_images_do_not_fit_other_models(
    table_repository: Path, tiny_repository: Path, options: dict[str, Any]
) -> None:
    (option,) = options
    for repository, model, given in (
        (table_repository, "losses", table_input({})),
        (tiny_repository, "tiny", text_input("good tea")),
    ):
        async with running_server(repository) as running:
            request = explain_input(given, model=model)
            request.spec.options.MergeFrom(options_pb.ExplainOptions(**options))
            code, paths, reason, _ = await refused(running.inference.Explain(request))
        if option == "masking":
            assert (code, reason) == (PRECONDITION, "MASKING_UNSUPPORTED")
        else:
            assert (code, paths) == (INVALID, [f"options.{option}"])
