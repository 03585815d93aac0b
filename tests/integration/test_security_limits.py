"""Each limit of a port, reached by a real client."""

import asyncio
import re
import socket
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import explicate
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2
from explicate_server.security.access import exposure
from explicate_server.settings import Settings
from support.harness import TEXT, Running, explain_input, gate, predict_request, running_server, text_input, until

_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_KINDS = {"model.model": "model's name", "model.label": "label"}
_PREDICT = "/explicate.v1.InferenceService/Predict"


async def test_a_call_too_many_is_refused_at_once_with_retry_info(tiny_repository: Any) -> None:
    async with running_server(tiny_repository, max_concurrent_calls=4) as running:
        gated = gate(running)
        calls = [asyncio.ensure_future(running.inference.Predict(predict_request(TEXT))) for _ in range(2)]
        await until(lambda: running.server.calls.in_flight == 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Predict(predict_request(TEXT), timeout=60)
        assert caught.value.code() is _EXHAUSTED
        status: Any = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
        found = {detail.TypeName().rpartition(".")[2]: detail for detail in status.details}
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert found["ErrorInfo"].Unpack(info)
        assert found["RetryInfo"].Unpack(retry)
        assert info.reason == "CALLER_LIMIT"  # all calls of one address are one caller, which has half of them
        assert retry.retry_delay.ToMilliseconds() > 0
        gated.let_through(100)
        assert all([(await call).predictions for call in calls])
        assert (await running.inference.Predict(predict_request(TEXT))).predictions


async def test_of_two_thousand_calls_at_once_each_is_answered_or_told_to_come_back(tiny_repository: Any) -> None:
    async with running_server(tiny_repository) as running, AsyncExitStack() as stack:
        own = (("grpc.use_local_subchannel_pool", 1),)  # else they would share one connection
        channels = [await stack.enter_async_context(grpc.aio.insecure_channel(running.target, own)) for _ in range(50)]
        request = predict_request(TEXT).SerializeToString()
        calls = [channel.unary_unary(_PREDICT)(request) for channel in channels for _ in range(40)]
        codes = Counter([await call.code() for call in calls])
    assert codes.keys() <= {grpc.StatusCode.OK, _EXHAUSTED}
    assert codes[grpc.StatusCode.OK] > 0


async def test_a_request_that_never_arrives_loses_its_place(tiny_repository: Any) -> None:
    async with running_server(tiny_repository, max_concurrent_calls=1, max_call_s=0.3) as running:
        slow = running.channel.stream_unary(_PREDICT)()  # opened, and nothing sent
        await until(lambda: running.server.calls.in_flight == 1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await slow
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "did not arrive in time" in (caught.value.details() or "")
        await until(lambda: running.server.calls.in_flight == 0)
        empty = running.channel.stream_unary(_PREDICT)(iter([]))  # closed, and nothing sent
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await empty
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def reason(error: grpc.aio.AioRpcError) -> str:
    """The reason of its ErrorInfo; empty without one."""
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    return info.reason if status is not None and status.details[0].Unpack(info) else ""


def counted(running: Running) -> dict[tuple[str, str], float]:
    """Calls that ended, by method without its service, and code."""
    return {
        (sample.labels["method"].rpartition("/")[2], sample.labels["code"]): sample.value
        for family in running.server.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "explicate_calls_total"
    }


async def test_a_message_over_the_limit_is_refused_compressed_or_not(tiny_repository: Any) -> None:
    most = 1 << 20
    async with running_server(tiny_repository, max_message_bytes=most) as running:
        # Zeros are a thousandth of it when compressed. What is over by more than an eighth is refused by gRPC itself.
        for size, said in ((most + 1, "MESSAGE_TOO_LARGE"), (2 * most, "")):
            for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await running.channel.unary_unary(_PREDICT)(bytes(size), compression=compression)
                assert caught.value.code() is _EXHAUSTED, compression
                assert reason(caught.value) == said, compression
        await until(lambda: counted(running) == {("Predict", "RESOURCE_EXHAUSTED"): 6})
        request = predict_request(TEXT)
        assert (await running.inference.Predict(request, compression=grpc.Compression.Gzip)).predictions
        async with explicate.AsyncClient(running.target) as client:  # to it both are the same error
            for size in (most + 1, 2 * most):
                with pytest.raises(explicate.MessageTooLarge):
                    await client.predict("tiny", ["x" * size])


async def test_an_answer_over_the_limit_is_an_error_with_a_reason_and_counted_as_one(tiny_repository: Any) -> None:
    async with running_server(tiny_repository, max_message_bytes=1024) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Predict(predict_request(*["tea"] * 64))
        assert (caught.value.code(), reason(caught.value)) == (_EXHAUSTED, "ANSWER_TOO_LARGE")
        await until(lambda: counted(running) == {("Predict", "RESOURCE_EXHAUSTED"): 1})


async def test_calls_that_do_not_exist_and_deadlines_that_pass_are_counted_as_what_they_are(
    tiny_repository: Any,
) -> None:
    async with running_server(tiny_repository) as running:
        for method in ("/no.Such/Call", "/explicate.v1.InferenceService/Guess", "no slash"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await running.channel.unary_unary(method)(b"")
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert reason(caught.value) == "UNKNOWN_CALL"
        late = running.channel.stream_unary(_PREDICT)(timeout=1)  # never sends its request
        await until(lambda: running.server.calls.in_flight == 1)
        with pytest.raises(grpc.aio.AioRpcError):
            await late
        ends = {("unknown", "UNIMPLEMENTED"): 3, ("Predict", "DEADLINE_EXCEEDED"): 1}
        await until(lambda: counted(running) == ends)
        left = running.channel.stream_unary(_PREDICT)()
        await until(lambda: running.server.calls.in_flight == 1)
        left.cancel()
        await until(lambda: counted(running) == {**ends, ("Predict", "CANCELLED"): 1})


async def test_inputs_texts_and_evaluations_over_the_limit_are_refused(tiny_repository: Any) -> None:
    async with running_server(tiny_repository, max_inputs=2, max_text_bytes=50, max_evaluations=64) as running:
        assert (await running.inference.Predict(predict_request("good tea", "x" * 50))).predictions
        explain = explain_input(text_input("good tea"), model="tiny")
        explain.spec.options.max_evaluations = 65
        for call, request, field in (
            (running.inference.Predict, predict_request("a", "b", "c"), "inputs"),
            (running.inference.Predict, predict_request("x" * 51), "inputs[0].text"),
            (running.inference.Explain, explain, "options.max_evaluations"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert field in (caught.value.details() or "")


@pytest.mark.parametrize(
    "name", ["../tiny", "/etc/passwd", "tiny/1", "..", ".", "tiny\0", "Tiny", "tiny ", "t" * 65, "%2e%2e", "名"]
)
async def test_names_that_could_be_paths_are_no_names(tiny_repository: Any, name: str) -> None:
    label = messages.ModelRef(model="tiny", label=name)
    async with running_server(tiny_repository) as running:
        for wrong, path in ((messages.ModelRef(model=name), "model.model"), (label, "model.label")):
            for call, request in (
                (running.inference.Predict, messages.PredictRequest(model=wrong, inputs=[text_input(TEXT)])),
                (
                    running.inference.Explain,
                    messages.ExplainRequest(spec=messages.ExplainSpec(model=wrong, input=text_input(TEXT))),
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(request)
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert (caught.value.details() or "").endswith(
                    f"{path}: is not a {_KINDS[path]}; `explicate models list` gives them"
                )
        get_model = running.channel.unary_unary("/explicate.v1.ModelService/GetModel")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get_model(model_service_pb2.GetModelRequest(model=name).SerializeToString())
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_server_that_is_open_to_the_network_warns_once(
    tiny_repository: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for listen, warnings in (("127.0.0.1:0", 0), ("0.0.0.0:0", 1)):
        caplog.clear()
        async with running_server(tiny_repository, listen=listen) as running:
            assert (await running.inference.Predict(predict_request(TEXT))).predictions
            assert (await running.inference.Predict(predict_request(TEXT))).predictions
        assert caplog.text.count("open to the network without") == warnings


async def test_metadata_over_the_limit_is_refused(tiny_repository: Any) -> None:
    async with running_server(tiny_repository, max_metadata_bytes=4096) as running:
        small, large = (("x-words", "w" * 2000),), (("x-words", "w" * 6000),)
        assert (await running.inference.Predict(predict_request(TEXT), metadata=small)).predictions
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Predict(predict_request(TEXT), metadata=large)
        assert caught.value.code() is _EXHAUSTED


async def test_one_connection_has_only_so_many_calls_in_progress(tiny_repository: Any) -> None:
    async with running_server(tiny_repository, max_connection_streams=2) as running:
        gated = gate(running)
        calls = [asyncio.ensure_future(running.inference.Predict(predict_request(TEXT))) for _ in range(3)]
        await until(lambda: running.server.calls.in_flight == 2)
        async with grpc.aio.insecure_channel(running.target, options=[("grpc.use_local_subchannel_pool", 1)]) as other:
            # Asked after the third call, and answered by another connection: the third is still outside.
            list_models = other.unary_unary("/explicate.v1.ModelService/ListModels")
            await list_models(b"")
            assert running.server.calls.in_flight == 2
        gated.let_through(100)
        assert all([(await call).predictions for call in calls])


def _until_closed(target: str, first_bytes: bytes) -> bytes:
    """What a server says to the first bytes until it closes the connection; the test's own time cap bounds it."""
    host, _, port = target.rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(first_bytes)
        try:
            while received := connection.recv(4096):
                answer += received
        except ConnectionResetError:
            pass
    return answer


async def test_a_connection_that_says_nothing_is_closed(tiny_repository: Any) -> None:
    async with running_server(tiny_repository, max_handshake_s=0.5) as running:
        await asyncio.to_thread(_until_closed, running.target, b"")


async def test_an_idle_and_an_old_connection_are_closed_and_made_anew(tiny_repository: Any) -> None:
    for settings in ({"max_idle_s": 1.0}, {"max_connection_age_s": 1.0}):
        async with running_server(tiny_repository, **settings) as running:
            assert (await running.inference.Predict(predict_request(TEXT))).predictions
            state = running.channel.get_state()
            while state is grpc.ChannelConnectivity.READY:
                await running.channel.wait_for_state_change(state)
                state = running.channel.get_state()
            assert (await running.inference.Predict(predict_request(TEXT))).predictions


async def test_a_client_that_pings_all_the_time_is_disconnected(tiny_repository: Any) -> None:
    """Frames by hand (RFC 9113): gRPC's own client never pings more often than every 10 s."""
    settings, ping = b"\0\0\0\4\0\0\0\0\0", b"\0\0\10\6\0\0\0\0\0" + bytes(8)
    async with running_server(tiny_repository) as running:
        hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings
        answer = await asyncio.to_thread(_until_closed, running.target, hello + 10 * ping)
    assert b"too_many_pings" in answer


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"listen": "127.0.0.1:8500"}, ""),
        ({"listen": "localhost:8500", "admin_listen": "[::1]:8600"}, ""),
        ({"listen": "unix:/run/explicate"}, ""),
        ({"listen": "127.evil.example:1"}, "127.evil.example:1: .*"),
        ({"metrics_listen": "127.0.0.1:9500"}, ""),
        ({"metrics_listen": "0.0.0.0:9500"}, "0.0.0.0:9500: open to the network without encryption and .*metrics.*"),
        ({"metrics_listen": "[::]:9500", "tokens": "t", "tls_cert": "c", "tls_key": "k"}, r"\[::\]:9500: .*metrics.*"),
        ({"listen": "0.0.0.0:1", "metrics_listen": "0.0.0.0:2"}, "0.0.0.0:1: .*; 0.0.0.0:2: .*"),
        ({"listen": "0.0.0.0:1"}, "0.0.0.0:1: open to the network without encryption .* and without authentication .*"),
        ({"listen": "[::]:1", "tokens": "t"}, r"\[::\]:1: open to the network without encryption .*"),
        ({"listen": "127.0.0.1:1", "admin_listen": "10.0.0.1:2", "tls_cert": "c", "tls_key": "k"}, "10.0.0.1:2: .*"),
        ({"listen": "[::]:1", "tokens": "t", "tls_cert": "c", "tls_key": "k"}, ""),
        ({"listen": "[::]:1", "tls_client_ca": "a", "tls_cert": "c", "tls_key": "k"}, ""),
    ],
)
def test_an_exposed_port_without_protection_is_named(settings: dict[str, Any], words: str) -> None:
    warning = exposure(Settings(**settings))
    assert re.fullmatch(words, warning)
