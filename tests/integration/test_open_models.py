"""What the Open Inference Protocol tells of the server and its models, and the changes that it can make."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from explicate_server.rpc.open_inference.protocol import SERVICE
from support.harness import Running, running_server
from support.open_inference import METHODS, call, columns, infer_request, message
from support.tiny_table_bundle import COLUMNS, LABELS, tiny_table

LOANS = tiny_table()
ROWS = [LOANS.cells(*row) for row in zip(*LOANS.rows(3, missing=0.0), strict=True)]


async def ready(running: Running, name: str, version: str = "") -> bool:
    request = message("ModelReadyRequest")(name=name, version=version)
    told: bool = (await call(running.channel, "ModelReady", request)).ready
    return told


def load(**fields: Any) -> Any:
    parameters = {name: fields.pop(name) for name in ("version", "label", "config") if name in fields}
    request = message("RepositoryModelLoadRequest")(**fields)
    for name, value in parameters.items():
        kind = "int64_param" if isinstance(value, int) else "string_param"
        setattr(request.parameters[name], kind, value)
    return request


async def refused(running: Running, method: str, request: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(running.channel, method, request)
    return error.value


async def test_tensors_are_told_as_columns_texts_and_images(
    table_repository: Path, tiny_repository: Path, image_repository: Path
) -> None:
    async with running_server(table_repository) as running:
        told = await call(running.channel, "ModelMetadata", message("ModelMetadataRequest")(name="loans"))
        config = (await call(running.channel, "ModelConfig", message("ModelConfigRequest")(name="loans"))).config
        assert (told.name, list(told.versions), told.platform) == ("loans", ["1"], "explicate")
        assert [tensor.name for tensor in told.inputs] == [column.name for column in COLUMNS]
        assert all(list(tensor.shape) == [-1, 1] for tensor in told.inputs)
        assert [(each.name, each.datatype, list(each.shape)) for each in told.outputs] == [
            ("label", "BYTES", [-1, 1]),
            ("probabilities", "FP64", [-1, 3]),
        ]
        assert [(each.name, list(each.dims)) for each in config.output] == [("label", [1]), ("probabilities", [3])]
        assert tuple(json.loads(config.parameters["classes"].string_value)) == LABELS
        losses = await call(running.channel, "ModelMetadata", message("ModelMetadataRequest")(name="losses"))
        assert [tensor.name for tensor in losses.outputs] == ["value"]
    for repository, model, names in ((tiny_repository, "tiny", ["text"]), (image_repository, "tags", ["image"])):
        async with running_server(repository) as running:
            told = await call(running.channel, "ModelMetadata", message("ModelMetadataRequest")(name=model))
            assert [tensor.name for tensor in told.inputs] == names
            labels = next(tensor for tensor in told.outputs if tensor.name == "label")
            assert labels.shape[1] == (1 if model == "tiny" else told.outputs[1].shape[1])


async def test_a_server_that_drains_is_alive_no_more(table_repository: Path) -> None:
    async with running_server(table_repository) as running:
        assert (await call(running.channel, "ServerLive")).live
        assert (await call(running.channel, "ServerReady")).ready
        assert [await ready(running, *asked) for asked in (["loans"], ["loans", "1"], ["loans", "live"])] == [True] * 3
        assert [await ready(running, *asked) for asked in (["none"], ["loans", "2"], ["", ""], ["loans", "A b"])] == [
            False
        ] * 4
        await running.server.drain()
        assert not (await call(running.channel, "ServerLive")).live
        assert not (await call(running.channel, "ServerReady")).ready
        assert not await ready(running, "loans")


async def test_versions_are_loaded_labelled_and_unloaded(tmp_path: Path) -> None:
    LOANS.publish(tmp_path, "loans")
    async with running_server(tmp_path) as running:
        LOANS.publish(tmp_path, "loans", version=2)
        assert not await ready(running, "loans", "2")
        answer = await call(running.channel, "RepositoryModelLoad", load(model_name="loans"))
        assert (answer.model_name, answer.is_loaded) == ("loans", True)
        assert await ready(running, "loans", "2")
        index = await call(running.channel, "RepositoryIndex", message("RepositoryIndexRequest")(ready=True))
        assert [(each.name, each.version, each.state) for each in index.models] == [
            ("loans", "1", "READY"),
            ("loans", "2", "READY"),
        ]
        live = await call(running.channel, "ModelInfer", infer_request("loans", columns(ROWS)))
        assert live.model_version == "1"
        # KServe has the name in the first field.
        await call(
            running.channel, "RepositoryModelUnload", message("RepositoryModelUnloadRequest")(repository_name="loans")
        )
        assert not await ready(running, "loans", "2")
        index = await call(running.channel, "RepositoryIndex")
        assert [(each.version, each.state, each.reason) for each in index.models] == [
            ("1", "READY", ""),
            ("2", "UNAVAILABLE", "available"),
        ]
        await call(running.channel, "RepositoryModelLoad", load(model_name="loans", version="2", label="live"))
        live = await call(running.channel, "ModelInfer", infer_request("loans", columns(ROWS)))
        assert live.model_version == "2"
        for fields in ({"version": 2}, {"version": "2"}):
            request = message("RepositoryModelUnloadRequest")(model_name="loans")
            request.parameters.MergeFrom(load(**fields).parameters)
            error = await refused(running, "RepositoryModelUnload", request)
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "labelled live" in (error.details() or "")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "model_name"),
        ({"model_name": "../loans"}, "model_name"),
        ({"model_name": "loans", "version": "newest"}, "parameters[version]"),
        ({"model_name": "loans", "version": 0}, "parameters[version]"),
        ({"model_name": "loans", "label": "No Label"}, "parameters[label]"),
        ({"model_name": "loans", "config": "{}"}, "parameters[config]"),
    ],
)
async def test_what_cannot_be_loaded_is_told_by_its_field(
    table_repository: Path, fields: dict[str, Any], told: str
) -> None:
    async with running_server(table_repository) as running:
        error = await refused(running, "RepositoryModelLoad", load(**fields))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert told in (error.details() or "")
        if fields:
            assert (
                await refused(running, "RepositoryModelLoad", load(model_name="none"))
            ).code() is grpc.StatusCode.NOT_FOUND


async def test_statistics_count_requests_inputs_and_failures(table_repository: Path) -> None:
    async with running_server(table_repository) as running:
        good = infer_request("loans", columns(ROWS))
        for _ in range(4):
            await call(running.channel, "ModelInfer", good)
        bad = infer_request("loans", columns(ROWS), outputs=["value"])
        await refused(running, "ModelInfer", bad)
        await call(running.channel, "ModelInfer", infer_request("loans", columns(ROWS), outputs=["attributions"]))
        request = message("ModelStatisticsRequest")(name="loans")
        (told,) = (await call(running.channel, "ModelStatistics", request)).model_stats
        every = (await call(running.channel, "ModelStatistics")).model_stats
    statistics = told.inference_stats
    assert (told.name, told.version, told.inference_count) == ("loans", "1", 15)
    assert (statistics.success.count, statistics.fail.count) == (5, 1)
    assert told.execution_count >= 5
    parts = (statistics.queue, statistics.compute_input, statistics.compute_infer, statistics.compute_output)
    assert all(part.count == 5 for part in parts)
    assert 0 < statistics.compute_infer.ns <= statistics.success.ns
    assert told.last_inference > 0
    assert [each.name for each in every] == ["loans", "losses"]


@pytest.mark.parametrize(
    "method", ["SystemSharedMemoryStatus", "CudaSharedMemoryRegister", "TraceSetting", "LogSettings"]
)
async def test_what_is_not_offered_says_what_to_do_instead(table_repository: Path, method: str) -> None:
    async with running_server(table_repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await running.channel.unary_unary(f"/{SERVICE}/{method}")(b"")
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert ("shared memory is not offered" if "Memory" in method else "operator's") in (error.value.details() or "")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_tells_the_services_messages(table_repository: Path, version: str) -> None:
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        reflection_pb2.ServerReflectionRequest(file_by_filename="open_inference.proto"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.Nothing"),
    ]
    async with running_server(table_repository) as running:
        reflect = running.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        listed, by_symbol, by_name, unknown = [answer async for answer in reflect(iter(asked))]
    assert SERVICE in {each.name for each in listed.list_services_response.service}
    for answer in (by_symbol, by_name):
        (file,) = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
        assert {method.name for method in file.service[0].method} == set(METHODS)
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
