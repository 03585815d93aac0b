"""Clients that misbehave: connections half open, streams nobody reads, senders that never finish, a stop under load."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any  # generated stubs of grpc.aio have no types of their own

import grpc
import pytest

from explicate.v1 import inference_service_pb2_grpc as services
from support.faults.faulted_server import FaultedServer, faulted_server
from support.harness import TEXT, explain_request, predict_request, stream_request

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_EMPTY_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
# A frame of headers that promises 4,096 bytes and brings none.
_HEADERS_OF_A_CALL = b"\0\x10\0\x01\x04\0\0\0\x01"
_HALF_OPEN = 1000


@pytest.fixture(scope="module")
def server(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultedServer]:
    with faulted_server(tiny_repository, log=tmp_path_factory.mktemp("connections") / "log") as running:
        yield running


@contextmanager
def sockets(server: FaultedServer, count: int, *, saying: bytes) -> Iterator[list[socket.socket]]:
    """That many connections that say something and then nothing more."""
    host, _, port = server.address.rpartition(":")
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(count)]
        for each in opened:
            each.sendall(saying)
        yield opened


async def predict(server: FaultedServer) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = services.InferenceServiceStub(channel)
        answer = await stub.Predict(predict_request("good tea"), timeout=30)
    assert len(answer.predictions) == 1


async def wait_for_open_files(server: FaultedServer, most: int) -> None:
    while server.open_files > most:  # noqa: ASYNC110 - the kernel has no event for another process's files
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "saying",
    [b"", _PREFACE[:10], _PREFACE + _EMPTY_SETTINGS + _HEADERS_OF_A_CALL, b"GET / HTTP/1.1\r\n\r\n", os.urandom(64)],
    ids=["nothing", "half a preface", "half a call", "HTTP/1", "noise"],
)
async def test_a_thousand_half_open_connections_keep_nobody_out_and_leave_nothing(
    server: FaultedServer, saying: bytes
) -> None:
    await predict(server)
    before = server.open_files
    with sockets(server, _HALF_OPEN, saying=saying):
        await predict(server)
    await wait_for_open_files(server, before + 8)
    await predict(server)


async def test_senders_of_a_byte_now_and_then_keep_nobody_out(server: FaultedServer) -> None:
    with sockets(server, 100, saying=_PREFACE + _EMPTY_SETTINGS) as slow:
        for byte in _HEADERS_OF_A_CALL:
            for each in slow:
                each.sendall(bytes([byte]))
            await predict(server)


async def test_streams_that_nobody_reads_hold_up_neither_the_others_nor_the_server(server: FaultedServer) -> None:
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = services.InferenceServiceStub(channel)
        request = stream_request(TEXT, max_evaluations=4000, min_evaluations=4000, tolerance=0.0)
        unread = [stub.StreamExplain(request, timeout=100) for _ in range(31)]  # one caller may have 32 in progress
        for stream in unread:
            await stream.initial_metadata()
        await predict(server)
        explained = (await stub.Explain(explain_request(TEXT, max_evaluations=100), timeout=60)).result
        assert explained.explanation.evaluations <= 100
        first = server.resident_bytes
        for stream in unread:
            stream.cancel()
    await predict(server)
    assert server.resident_bytes < 1.2 * first


async def test_every_one_of_200_calls_in_flight_at_sigterm_is_answered(tiny_repository: Path, tmp_path: Path) -> None:
    async def last_answer(stream: Any) -> Any:
        last = None
        while (answer := await stream.read()) != grpc.aio.EOF:
            last = answer
        return last

    with faulted_server(tiny_repository, "--max-explanations", "512", log=tmp_path / "log") as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub: Any = services.InferenceServiceStub(channel)
            requests = [
                stream_request(f"{TEXT} {number}", max_evaluations=200, min_evaluations=200, tolerance=0.0)
                for number in range(200)
            ]
            streams = [stub.StreamExplain(request) for request in requests]
            first = [await stream.read() for stream in streams]  # so all of them were accepted
            server.process.send_signal(signal.SIGTERM)
            last = await asyncio.gather(*map(last_answer, streams))
        assert await asyncio.to_thread(server.process.wait, 30) == 0
    unfinished = [answer for answer in first if not answer.final]
    assert unfinished
    assert all(later is None or later.final for later in last)
    assert sum(later is not None for later in last) == len(unfinished)
