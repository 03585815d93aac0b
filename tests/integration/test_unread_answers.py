"""Callers who stop reading: what they held is given back, and the others never notice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from explicate.v1 import inference_service_pb2_grpc as services
from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from explicate_server.errors import ModelFault
from explicate_server.rpc.streaming import newest
from support.harness import TEXT, Running, predict_request, running_server, stream_request, until

# A client with these takes a few bytes of an answer that it does not read, and no more.
_TAKES_NOTHING = [
    ("grpc.http2.lookahead_bytes", 5),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
_MAX_CALL_S = 1.0


@asynccontextmanager
async def stalled(repository: Path) -> AsyncIterator[tuple[Running, grpc.aio.Channel]]:
    async with (
        running_server(repository, max_call_s=_MAX_CALL_S) as running,
        grpc.aio.insecure_channel(running.target, _TAKES_NOTHING) as channel,
    ):
        yield running, channel


def explained(running: Running) -> float:
    metrics = running.server.metrics.registry.collect()
    samples = [sample for family in metrics for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "explicate_explanations_total")


async def end_of(stream: Any) -> grpc.aio.AioRpcError:
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("it ended well")


async def test_an_explanation_that_nobody_reads_gives_back_its_seat_its_version_and_its_call(
    tiny_repository: Path,
) -> None:
    async with stalled(tiny_repository) as (running, channel):
        server = running.server
        request = stream_request(TEXT, max_evaluations=200, min_evaluations=200, tolerance=0.0)
        stream = services.InferenceServiceStub(channel).StreamExplain(request)
        await until(lambda: explained(running) == 1)  # computed to the end, though nothing is read
        await until(lambda: not server.admission.in_progress and not server.registry.find("tiny").leases)
        await until(lambda: not server.calls.in_flight)
        error = await end_of(stream)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        info = error_details_pb2.ErrorInfo()
        status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
        assert status.details[0].Unpack(info)
        assert info.reason == "ANSWER_NOT_READ"
        assert (await running.inference.Predict(predict_request(TEXT))).predictions


@pytest.mark.parametrize("kind", ["models", "health", "reflection"])
async def test_a_watch_that_nobody_reads_is_given_up(tiny_repository: Path, kind: str) -> None:
    async with stalled(tiny_repository) as (running, channel):
        reception = running.server.calls.reception
        in_progress = reception.own if kind == "models" else reception.foreign
        name = "explicate.v1.ModelService"
        if kind == "models":
            stream: Any = model_service_pb2_grpc.ModelServiceStub(channel).WatchModels(
                model_service_pb2.WatchModelsRequest()
            )
        elif kind == "health":
            stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=name))
        else:
            request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
            stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        await until(lambda: in_progress.count == 1)
        await until(lambda: in_progress.count == 0)
        assert running.server.registry.watches.open == 0
        assert (await end_of(stream)).code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_computing_does_not_wait_for_its_reader_who_gets_the_newest() -> None:
    made = []

    async def steps() -> AsyncIterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    stream = newest(steps())  # type: ignore[arg-type]
    first = await anext(stream)
    await until(lambda: len(made) == 5)
    assert [first, *[number async for number in stream]] in ([0, 4], [4])


async def test_what_computing_fails_with_reaches_the_reader_and_leaving_ends_computing() -> None:
    ended = []

    async def steps() -> AsyncIterator[int]:
        try:
            yield 1
            raise ModelFault("MODEL_RUN_FAILED")
        finally:
            ended.append("closed")

    with pytest.raises(ModelFault):
        assert [number async for number in newest(steps())] == [1]  # type: ignore[arg-type]

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            ended.append("left")

    stream = newest(endless())  # type: ignore[arg-type]
    assert await anext(stream) == 1
    await stream.aclose()
    assert ended == ["closed", "left"]
