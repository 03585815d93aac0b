"""Strangers who ask for health: what they send, how often, and what it may cost."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from explicate_server.rpc import reception
from support.faults.faulted_server import faulted_server
from support.harness import TEXT, predict_request, running_server, until

_READY = "explicate.v1.InferenceService"
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
_SERVING = health_pb2.HealthCheckResponse.SERVING


def stub(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


def named(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


def reason(error: grpc.aio.AioRpcError) -> str:
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info.reason


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read() if hasattr(call, "read") else await call
    return caught.value


async def test_names_that_nobody_can_have_are_refused_and_kept_nowhere(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        health = stub(running.channel)
        for name, said in (("n" * 2000, "MESSAGE_TOO_LARGE"), ("made.up", "SERVICE_NOT_FOUND"), (f"{_READY}/a/b", "")):
            for call in (health.Check(named(name)), health.Watch(named(name))):
                assert reason(await refusal(call)) == (said or "SERVICE_NOT_FOUND"), name
        later = health.Watch(named(f"{_READY}/later"))  # a model that may yet come
        assert (await later.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        statuses = (await health.List(health_pb2.HealthListRequest())).statuses
        assert statuses.keys() == {"", _READY, "explicate.v1.ModelService", f"{_READY}/tiny"}
        later.cancel()


async def test_one_caller_has_only_so_many_watches_and_others_are_still_answered(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "_MOST_FOREIGN", 8)  # half of them for one caller alone
    async with running_server(tiny_repository, listen="127.0.0.1:0", admin_listen="[::1]:0") as running:
        watches = [stub(running.channel).Watch(named("")) for _ in range(4)]
        assert [(await watch.read()).status for watch in watches] == [_SERVING] * 4
        refused = await refusal(stub(running.channel).Check(named("")))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason(refused) == "CALLER_LIMIT"
        async with grpc.aio.insecure_channel(f"[::1]:{running.server.ports.admin_port}") as another_caller:
            assert (await stub(another_caller).Check(named(""))).status == _SERVING
        assert (await running.inference.Predict(predict_request(TEXT))).predictions  # health takes nobody's place
        watches.pop().cancel()
        await until(lambda: running.server.calls.reception.foreign.count == 3)
        assert (await stub(running.channel).Check(named(""))).status == _SERVING


async def test_a_stranger_who_sends_slowly_does_not_hold_up_the_next(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        slow = [running.channel.stream_unary("/grpc.health.v1.Health/Check")() for _ in range(12)]  # send nothing
        await until(lambda: running.server.calls.reception.foreign.count == 12)
        assert (await stub(running.channel).Check(named(""))).status == _SERVING
        for call in slow:
            call.cancel()


async def test_a_flood_of_long_names_takes_the_memory_of_one_at_a_time(tiny_repository: Path, tmp_path: Path) -> None:
    count, size = 24, 4_000_000
    (tmp_path / "tokens").write_text("")
    (tmp_path / "tokens").chmod(0o600)
    request = named("n" * size)
    with faulted_server(tiny_repository, "--tokens", str(tmp_path / "tokens"), log=tmp_path / "log") as server:
        channels = [grpc.aio.insecure_channel(server.address, _OWN_CONNECTION) for _ in range(count)]
        for channel in channels:
            assert (await stub(channel).Check(named(""))).status == _SERVING
        before, most = server.resident_bytes, 0
        calls = [asyncio.ensure_future(refusal(stub(channel).Watch(request))) for channel in channels]
        while not all(call.done() for call in calls):
            most = max(most, server.resident_bytes - before)
            await asyncio.sleep(0.001)
        for channel in channels:
            await channel.close()
        assert {reason(call.result()) for call in calls} <= {"MESSAGE_TOO_LARGE", "REQUEST_TOO_SLOW"}
        # One is held three times for a moment. All of them were held four times, for as long as they stayed. On a busy
        # machine the end of one meets the beginning of others.
        assert most < count * size / 2
