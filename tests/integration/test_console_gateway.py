"""The console's gateway: every method over HTTP, as JSON and as protobuf, against real servers and broken ones."""

import asyncio
import http.client
import json
import signal
import socket
import ssl
import struct
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2

from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2
from explicate_console import serving
from explicate_console.gateway import bodies
from explicate_console.gateway.rpc_methods import METHODS
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from support.certificates import Authority
from support.console import Answer, asked, envelope, made_server, running_console, started_console
from support.harness import TEXT, explain_request, predict_request, running_server, server_process, stream_request

INFERENCE, MODELS = "/explicate.v1.InferenceService", "/explicate.v1.ModelService"
PREDICT, EXPLAIN, STREAM = f"{INFERENCE}/Predict", f"{INFERENCE}/Explain", f"{INFERENCE}/StreamExplain"
LIST, GET, WATCH = f"{MODELS}/ListModels", f"{MODELS}/GetModel", f"{MODELS}/WatchModels"
HEALTH = "/grpc.health.v1.Health/Check"
JSON_STREAM, BINARY_STREAM = "application/connect+json", "application/connect+proto"


def body(message: Any) -> bytes:
    return json_format.MessageToJson(message).encode()


async def test_json_and_protobuf_say_what_grpc_says(tiny_repository: Path) -> None:
    request = predict_request(TEXT, "great tea")
    async with running_server(tiny_repository) as running, running_console(running.target) as url:
        wanted = await running.inference.Predict(request)
        in_json = await asked(url, PREDICT, body(request))
        binary = await asked(url, PREDICT, request.SerializeToString(), content_type="application/proto")
    assert (in_json.status, binary.status) == (200, 200)
    assert in_json.headers["content-type"] == "application/json"
    assert binary.headers["content-type"] == "application/proto"
    found = [
        json_format.Parse(in_json.body, messages.PredictResponse()),
        messages.PredictResponse.FromString(binary.body),
    ]
    for each in (wanted, *found):
        each.ClearField("timing")
    assert [wanted.predictions] * 2 == [each.predictions for each in found]
    assert [wanted.model] * 2 == [each.model for each in found]


@pytest.mark.parametrize("media", [JSON_STREAM, BINARY_STREAM])
async def test_a_stream_grows_to_the_answer_of_the_call_without_one(media: str, tiny_repository: Path) -> None:
    in_json = media == JSON_STREAM
    request = stream_request(TEXT, seed=7, max_evaluations=400)
    async with running_server(tiny_repository) as running, running_console(running.target) as url:
        wanted = await running.inference.Explain(explain_request(TEXT, seed=7, max_evaluations=400))
        sent = body(request) if in_json else request.SerializeToString()
        answer = await asked(url, STREAM, envelope(sent), content_type=media, x_request_id="one-of-mine")
    assert (answer.status, answer.headers["content-type"]) == (200, media)
    assert answer.end == {"metadata": {"x-request-id": ["one-of-mine"]}}
    kind = messages.StreamExplainResponse
    estimates = [json_format.Parse(each, kind()) if in_json else kind.FromString(each) for each in answer.messages]
    assert len(estimates) >= 1
    values = list(estimates[-1].result.explanation.attributions[0].values)
    assert values == pytest.approx(list(wanted.result.explanation.attributions[0].values), abs=1e-5)
    assert any(values)


async def test_every_method_of_the_contract_is_reached(tiny_repository: Path) -> None:
    services = {
        f"/{service.full_name}/{method.name}"
        for file in (messages.DESCRIPTOR, model_service_pb2.DESCRIPTOR)
        for service in file.services_by_name.values()
        for method in service.methods
    }
    assert services | {HEALTH} == set(METHODS)
    async with running_server(tiny_repository) as running, running_console(running.target) as url:
        for path, method in METHODS.items():
            if method.streams:
                answer = await asked(url, path, envelope(b"{}"), content_type=JSON_STREAM, connect_timeout_ms="700")
                code = answer.end.get("error", {}).get("code", "")
            else:
                answer = await asked(url, path)
                code = answer.json.get("code", "")
            assert code in ("", "invalid_argument", "not_found", "permission_denied", "deadline_exceeded"), (path, code)


async def test_the_details_of_a_failure_are_those_of_grpc(tiny_repository: Path) -> None:
    request = explain_request(TEXT, confidence=7.0)
    async with running_server(tiny_repository) as running, running_console(running.target) as url:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await running.inference.Explain(request)
        answer = await asked(url, EXPLAIN, body(request), x_request_id="mine")
        stream = await asked(url, STREAM, envelope(body(request)), content_type=JSON_STREAM)
    packed = dict(raised.value.trailing_metadata() or ())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(packed)
    assert answer.status == 400
    assert answer.headers["x-request-id"] == "mine"
    assert stream.status == 200
    for document in (answer.json, stream.end["error"]):
        assert (document["code"], document["message"]) == ("invalid_argument", status.message)
        assert [each["type"] for each in document["details"]] == [
            each.type_url.rpartition("/")[2] for each in status.details
        ]
        debug = {each["type"]: each["debug"] for each in document["details"]}
        (violation,) = debug["google.rpc.BadRequest"]["fieldViolations"]
        assert "confidence" in violation["field"]
    for told, detail in zip(answer.json["details"], status.details, strict=True):
        if told["type"] == "google.rpc.BadRequest":  # the others have the id of their own call
            assert _decoded(told["value"]) == detail.value


def _decoded(text: str) -> bytes:
    import base64

    assert not text.endswith("=")  # the protocol leaves padding out
    return base64.b64decode(text + "=" * (-len(text) % 4))


async def test_health_is_asked_without_its_package(tiny_repository: Path) -> None:
    asks = health_pb2.HealthCheckRequest(service="explicate.v1.InferenceService/tiny").SerializeToString()
    async with running_server(tiny_repository) as running, running_console(running.target) as url:
        assert (await asked(url, HEALTH)).json == {"status": "SERVING"}
        binary = await asked(url, HEALTH, asks, content_type="application/proto")
        unknown = await asked(url, HEALTH, {"service": "nowhere"})
        alive = await asked(url, "/healthz", method="GET")
    assert health_pb2.HealthCheckResponse.FromString(binary.body).status == health_pb2.HealthCheckResponse.SERVING
    assert unknown.json["code"] == "not_found"
    assert (alive.status, alive.body) == (200, b"ok\n")


WRONG = {
    "bad UTF-8": (b'{"model": "\xff"}', {}, 400, "invalid_argument", "not UTF-8 from byte 11"),
    "a lone surrogate": (b'{"model": "\\ud800"}', {}, 400, "invalid_argument", "the body"),
    "nested too deeply": (b'{"model": ' * 200_000, {}, 400, "invalid_argument", "the body"),
    "arrays in arrays": (b"[" * 100_000 + b"]" * 100_000, {}, 400, "invalid_argument", "the body"),
    "an unknown field": (b'{"modell": "tiny"}', {}, 400, "invalid_argument", "modell"),
    "the same field twice": (b'{"model": "a", "model": "b"}', {}, 400, "invalid_argument", "the body"),
    "not JSON": (b"model=tiny", {}, 400, "invalid_argument", "explicate.v1.GetModelRequest"),
    "nothing": (b"", {}, 400, "invalid_argument", "explicate.v1.GetModelRequest"),
    "a number of no size": (b'{"version": 1e999}', {}, 400, "invalid_argument", "the body"),
    "a number of many digits": (b'{"version": ' + b"9" * 100_000 + b"}", {}, 400, "invalid_argument", "the body"),
    "NaN as a number": (b'{"version": NaN}', {}, 400, "invalid_argument", "the body"),
    "a list": (b"[1]", {}, 400, "invalid_argument", "the body"),
    "null": (b"null", {}, 400, "invalid_argument", "the body"),
    "bytes that are no message": (b"\xff\xff", {"content_type": "application/proto"}, 400, "invalid_argument", ""),
    "gzip": (b"{}", {"content_encoding": "gzip"}, 501, "unimplemented", "compressed"),
    "a form": (b"{}", {"content_type": "application/x-www-form-urlencoded"}, 415, "invalid_argument", "content-type"),
    "plain text": (b"{}", {"content_type": "text/plain"}, 415, "invalid_argument", "content-type"),
    "another charset": (b"{}", {"content_type": "application/json; charset=utf-16"}, 415, "invalid_argument", ""),
    "a stream's type": (b"{}", {"content_type": JSON_STREAM}, 415, "invalid_argument", "application/json"),
    "another protocol": (b"{}", {"connect_protocol_version": "2"}, 400, "invalid_argument", 'must be "1"'),
    "a timeout of words": (b"{}", {"connect_timeout_ms": "soon"}, 400, "invalid_argument", "connect-timeout-ms"),
    "a timeout below 0": (b"{}", {"connect_timeout_ms": "-1"}, 400, "invalid_argument", "connect-timeout-ms"),
    "eleven digits": (b"{}", {"connect_timeout_ms": "10000000000"}, 400, "invalid_argument", "connect-timeout-ms"),
    "a header that is not ASCII": (b"{}", {"x_request_id": "\u00e9"}, 400, "invalid_argument", "x-request-id"),
}


async def test_what_is_wrong_is_said_and_the_next_call_is_answered(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running, running_console(running.target) as url:
        for what, (sent, headers, status, code, words) in WRONG.items():
            answer = await asked(url, GET, sent, **headers)
            assert (answer.status, answer.json["code"]) == (status, code), (what, answer)
            assert words in answer.json["message"], (what, answer.json)
            assert len(answer.body) < 2000, what
        assert (await asked(url, GET, {"model": "tiny"}, content_type="application/json; charset=utf-8")).status == 200


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "invalid_argument"),
        (b"{}", "invalid_argument"),
        (struct.pack(">BI", 0, 99) + b"{}", "invalid_argument"),
        (envelope(b"{}") * 2, "invalid_argument"),
        (envelope(b"{}", flags=2), "invalid_argument"),
        (envelope(b"{", flags=0), "invalid_argument"),
        (envelope(b"{}", flags=1), "unimplemented"),
        (struct.pack(">BI", 0, 0xFFFFFFFF), "invalid_argument"),
    ],
)
async def test_a_stream_that_is_asked_wrongly_ends_with_an_error(sent: bytes, code: str) -> None:
    async with running_console("127.0.0.1:1") as url:
        answer = await asked(url, STREAM, sent, content_type=JSON_STREAM)
    assert (answer.status, answer.end["error"]["code"], answer.messages) == (200, code, [])


async def test_paths_and_verbs_that_are_none_are_refused() -> None:
    async with running_console("127.0.0.1:1") as url:
        unknown = await asked(url, f"{MODELS}/Nothing")
        outside = await asked(url, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        by_get = await asked(url, f"{LIST}?connect=v1&encoding=json&message=%7B%7D", method="GET")
        missing = await asked(url, "/nothing", method="GET")
    assert (unknown.status, unknown.json["code"]) == (outside.status, outside.json["code"]) == (404, "unimplemented")
    assert (by_get.status, by_get.headers["allow"]) == (405, "POST")
    assert missing.status == 404


def _chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * 65536


async def test_a_body_over_the_limit_is_refused_while_it_is_read() -> None:
    async with running_console("127.0.0.1:1", max_body_bytes=100_000) as url:
        declared = await asked(url, GET, b" " * 100_001)
        in_chunks = await asked(url, GET, _chunks(40))
        stream = await asked(url, STREAM, envelope(b" " * 100_000), content_type=JSON_STREAM)
        fits = await asked(url, GET, b" " * 99_998 + b"{}")
    async with running_console("127.0.0.1:1") as url:
        many = await asked(url, PREDICT, b'{"inputs": [' + b"{}," * 200_000 + b"{}]}")
        array = await asked(url, PREDICT, b'{"inputs": [' + b"1," * 2_500_001 + b"1]}")
    for answer in (declared, in_chunks):
        assert (answer.status, answer.json["code"]) == (413, "resource_exhausted")
        assert "100,000 bytes" in answer.json["message"]
    assert (stream.status, stream.end["error"]["code"]) == (200, "resource_exhausted")
    for answer in (many, array):
        assert (answer.status, answer.json["code"]) == (413, "resource_exhausted")
        assert "200,000 objects" in answer.json["message"]
    assert fits.json["code"] == "unavailable"


async def test_a_length_that_lies_does_not_hold_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_BODY_WITHIN_S", 0.2)
    async with running_console("127.0.0.1:1") as url:
        reader, writer = await _connected(url)
        writer.write(_head(GET, "content-length: 50") + b"{")
        assert b" 408 " in await reader.readline()
        writer.close()


async def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_REQUEST_WITHIN_S", 0.2)
    async with running_console("127.0.0.1:1") as url:
        for begun in (b"", b"POST /x HTTP/1.1\r\nhost: local"):
            reader, writer = await _connected(url)
            writer.write(begun)
            assert await reader.read() == b""  # it is closed
            writer.close()
        reader, writer = await _connected(url)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await reader.read()).endswith(b"ok\n")  # and so is one that is done
        writer.close()


async def test_headers_have_a_bound() -> None:
    async with running_console("127.0.0.1:1") as url:
        reader, writer = await _connected(url)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: " + b"y" * 70_000)
        assert b" 400 " in await reader.readline()
        writer.close()


async def test_large_bodies_are_read_beside_the_event_loop(
    tiny_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[tuple[int, bool]] = []
    parse = json_format.Parse

    def watched(text: str, message: Any, *rest: Any, **how: Any) -> Any:
        if isinstance(message, model_service_pb2.GetModelRequest):
            threads.append((len(text), threading.current_thread() is threading.main_thread()))
        return parse(text, message, *rest, **how)

    monkeypatch.setattr(json_format, "Parse", watched)
    async with running_server(tiny_repository) as running, running_console(running.target) as url:
        await asked(url, GET, {"model": "tiny"})
        answer = await asked(url, GET, {"model": "x" * 1_000_000})
    assert answer.json["code"] in ("invalid_argument", "not_found")
    (_, small), (_, large) = threads
    assert (small, large) == (True, False)


async def test_the_time_that_a_call_gives_is_the_calls() -> None:
    left: list[float | None] = []

    async def slow(_request: bytes, context: Any) -> bytes:
        left.append(context.time_remaining())
        await asyncio.Event().wait()
        return b""

    async with made_server({PREDICT: slow}) as (_, target), running_console(target, timeout_s=0.8) as url:
        told = await asked(url, PREDICT, connect_timeout_ms="200")
        usual = await asked(url, PREDICT)
        none = await asked(url, PREDICT, connect_timeout_ms="0")
    for answer in (told, usual, none):
        assert (answer.status, answer.json["code"]) == (504, "deadline_exceeded")
        assert target in answer.json["message"]
    first, second = left[:2]  # what the server sees is a moment's more, by the clocks of two threads
    assert first is not None
    assert second is not None
    assert first < 0.3 < second < 0.9


async def test_what_belongs_to_a_call_is_passed_on_and_nothing_else() -> None:
    seen: dict[str, Any] = {}

    async def look(_request: bytes, context: Any) -> bytes:
        seen.update({key: value for key, value in context.invocation_metadata() if not key.startswith("user-agent")})
        context.set_trailing_metadata((("x-request-id", "theirs"), ("secret", "x"), ("some-bin", b"\0")))
        return b""

    passed = {"authorization": "Bearer t", "x-request-id": "mine", "traceparent": "00-1-2-01", "tracestate": "a=b"}
    others = {"cookie": "a=b", "x-forwarded-for": "1.2.3.4", "grpc-timeout": "1n", "x-other": "1"}
    async with made_server({PREDICT: look}) as (_, target), running_console(target) as url:
        answer = await asked(url, f"{PREDICT}?token=q&authorization=q&access_token=q", **passed | others)
    assert answer.status == 200
    assert seen == passed
    assert answer.headers["x-request-id"] == "theirs"
    assert "secret" not in answer.headers
    assert "set-cookie" not in answer.headers


async def test_a_token_does_not_leave_the_machine_unencrypted() -> None:
    async with running_console("models.example.invalid:8500") as url:
        refused = await asked(url, LIST, authorization="Bearer t")
    async with running_console("models.example.invalid:8500", allow_plain_token=True) as url:
        tried = await asked(url, LIST, authorization="Bearer t")
    assert (refused.status, refused.json["code"]) == (400, "failed_precondition")
    assert "models.example.invalid:8500 unencrypted" in refused.json["message"]
    assert tried.json["code"] == "unavailable"


async def test_when_to_come_back_is_a_header() -> None:
    async def full(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", (("grpc-retry-pushback-ms", "1500"),))
        return b""

    async def never(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large", (("grpc-retry-pushback-ms", "-1"),))
        return b""

    async def watched(_request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b""
        await context.abort(grpc.StatusCode.UNAVAILABLE, "later", (("grpc-retry-pushback-ms", "3000"),))

    handlers = {PREDICT: full, EXPLAIN: never, WATCH: watched}
    async with made_server(handlers) as (_, target), running_console(target) as url:
        later = await asked(url, PREDICT)
        not_later = await asked(url, EXPLAIN)
        stream = await asked(url, WATCH, envelope(b"{}"), content_type=JSON_STREAM)
    assert (later.status, later.headers["retry-after"]) == (429, "2")
    assert "retry-after" not in not_later.headers
    assert stream.messages == [b"{}"]
    assert stream.end["metadata"] == {"retry-after": ["3"]}


async def test_where_no_server_is_the_sentence_names_it() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{nobody.getsockname()[1]}"
        async with running_console(target) as url:
            unary = await asked(url, LIST)
            stream = await asked(url, STREAM, envelope(b""), content_type=BINARY_STREAM)
    assert unary.status == 503
    for document in (unary.json, stream.end["error"]):
        assert document["code"] == "unavailable"
        assert f"cannot reach a server at {target} " in document["message"]


async def test_a_server_that_dies_ends_the_stream_and_one_that_comes_back_is_found(tiny_repository: Path) -> None:
    stop = asyncio.Event()

    async def dies(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b""
        stop.set()
        await asyncio.Event().wait()

    async with made_server({STREAM: dies}) as (server, target), running_console(target) as url:
        asking = asyncio.create_task(asked(url, STREAM, envelope(b"{}"), content_type=JSON_STREAM))
        await stop.wait()
        await server.stop(0)
        answer = await asking
        assert (len(answer.messages), answer.end["error"]["code"]) == (1, "unavailable")
        assert target in answer.end["error"]["message"]
        async with running_server(tiny_repository, listen=target):
            for _ in range(100):
                again = await asked(url, LIST)
                if again.status == 200:
                    break
            else:
                raise AssertionError(again)
            assert again.json["models"][0]["model"] == "tiny"


async def test_an_answer_over_the_limit_of_grpc_is_an_error_of_the_call() -> None:
    async def large(_request: bytes, _context: Any) -> bytes:
        return b"\x12" + b"\x80\x80\x80\x09" + bytes(18 * 1024 * 1024)

    async with made_server({PREDICT: large}) as (_, target), running_console(target) as url:
        answer = await asked(url, PREDICT)
    assert (answer.status, answer.json["code"]) == (429, "resource_exhausted")
    assert "over the size limit" in answer.json["message"]


async def test_an_answer_that_is_no_message_is_an_error_of_the_server() -> None:
    async def nonsense(_request: bytes, _context: Any) -> bytes:
        return b"\xff\xff\xff"

    async with made_server({PREDICT: nonsense}) as (_, target), running_console(target) as url:
        answer = await asked(url, PREDICT)
    assert (answer.status, answer.json["code"]) == (500, "internal")


@pytest.mark.parametrize("path", [PREDICT, STREAM])
async def test_a_caller_that_goes_away_ends_its_call(path: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waits(_request: bytes, context: Any) -> bytes:
        context.add_done_callback(lambda _: ended.set())
        begun.set()
        await asyncio.Event().wait()
        return b""

    async def streams(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b""
        yield await waits(request, context)

    async with made_server({PREDICT: waits, STREAM: streams}) as (_, target), running_console(target) as url:
        reader, writer = await _connected(url)
        sent = envelope(b"{}") if path == STREAM else b"{}"
        media = JSON_STREAM if path == STREAM else "application/json"
        writer.write(_head(path, f"content-length: {len(sent)}", media=media) + sent)
        await begun.wait()
        if path == STREAM:
            await reader.readuntil(b"\r\n\r\n")  # the estimate is there before the stream ends
        assert not ended.is_set()
        writer.transport.abort()
        await ended.wait()


async def test_calls_at_once_have_a_bound_and_a_caller_that_goes_makes_room() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def waits(_request: bytes, _context: Any) -> bytes:
        begun.set()
        await go.wait()
        return b""

    async with made_server({PREDICT: waits}) as (_, target), running_console(target, max_calls=1) as url:
        first = asyncio.create_task(asked(url, PREDICT))
        await begun.wait()
        second = await asked(url, PREDICT)
        assert (second.status, second.headers["retry-after"]) == (429, "1")
        assert (await asked(url, "/healthz", method="GET")).status == 200
        go.set()
        assert (await first).status == 200
        assert (await asked(url, PREDICT)).status == 200


@pytest.mark.parametrize("path", [PREDICT, STREAM])
async def test_a_console_that_ends_says_so_to_open_calls(path: str) -> None:
    begun = asyncio.Event()

    async def waits(_request: bytes, _context: Any) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return b""

    async def streams(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await waits(request, context)

    async with made_server({PREDICT: waits, STREAM: streams}) as (_, target):
        async with running_console(target) as url:
            if path == STREAM:
                asking = asyncio.create_task(asked(url, STREAM, envelope(b"{}"), content_type=JSON_STREAM))
            else:
                asking = asyncio.create_task(asked(url, PREDICT))
            await begun.wait()
        answer: Answer = await asking
    document = answer.end["error"] if path == STREAM else answer.json
    assert document == {"code": "unavailable", "message": "the console is stopping"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_process_with_an_open_stream_at_once(number: signal.Signals, tiny_repository: Path) -> None:
    with (
        server_process(tiny_repository, "--threads", "1") as (_, target),
        started_console(target) as (process, url),
        ThreadPoolExecutor(1) as pool,
        _opened_stream(url) as response,
    ):
        assert json.loads(_next(response)[1])["models"]  # what there is at first
        last = pool.submit(_next, response)
        process.send_signal(number)
        out, err = process.communicate(timeout=5)
        flags, message = last.result(timeout=5)
    assert (out, err, process.returncode) == ("", "", 0)
    assert flags == 2
    assert json.loads(message) == {"error": {"code": "unavailable", "message": "the console is stopping"}}


@contextmanager
def _opened_stream(url: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("POST", WATCH, envelope(b"{}"), {"content-type": JSON_STREAM})
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def _next(response: http.client.HTTPResponse) -> tuple[int, bytes]:
    flags, length = struct.unpack(">BI", response.read(5))
    return flags, response.read(length)


async def test_a_token_of_the_browser_counts_and_not_one_of_the_console(tiny_repository: Path, tmp_path: Path) -> None:
    secret, tokens = new_token(), tmp_path / "tokens"
    tokens.write_text(line_of(Token("asker", frozenset({Right.PREDICT}), digest_of(secret))) + "\n")
    tokens.chmod(0o600)
    async with running_server(tiny_repository, tokens=str(tokens)) as running, running_console(running.target) as url:
        without = await asked(url, PREDICT, body(predict_request(TEXT)))
        wrong = await asked(url, PREDICT, body(predict_request(TEXT)), authorization="Bearer wrong")
        in_query = await asked(url, f"{PREDICT}?token={secret}", body(predict_request(TEXT)), cookie=f"token={secret}")
        right = await asked(url, PREDICT, body(predict_request(TEXT)), authorization=f"Bearer {secret}")
        not_allowed = await asked(url, EXPLAIN, body(explain_request(TEXT)), authorization=f"Bearer {secret}")
    for answer in (without, wrong, in_query):
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert right.status == 200
    assert (not_allowed.status, not_allowed.json["code"]) == (403, "permission_denied")


async def test_the_page_is_served_encrypted_where_a_certificate_is_given(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("page")
    trusted = ssl.create_default_context(cafile=authority.cert)
    async with running_console("127.0.0.1:1", cert=issued.cert, key=issued.key) as url:
        secure = url.replace("http://", "https://")
        answered = await asyncio.to_thread(urllib.request.urlopen, f"{secure}/healthz", context=trusted, timeout=10)
        assert (answered.status, answered.read()) == (200, b"ok\n")
        with pytest.raises(OSError):  # noqa: PT011 - a connection that is closed, or reset
            await asked(url, "/healthz", method="GET")


async def _connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


def _head(path: str, *headers: str, media: str = "application/json") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"content-type: {media}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_codes_and_http_statuses_are_those_of_the_protocol() -> None:
    from explicate_console.gateway.failures import HTTP_STATUS, Failure

    assert set(HTTP_STATUS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}
    # https://connectrpc.com/docs/protocol#error-codes, read in November 2026
    table = {
        "canceled": 499, "unknown": 500, "invalid_argument": 400, "deadline_exceeded": 504, "not_found": 404,
        "already_exists": 409, "permission_denied": 403, "resource_exhausted": 429, "failed_precondition": 400,
        "aborted": 409, "out_of_range": 400, "unimplemented": 501, "internal": 500, "unavailable": 503,
        "data_loss": 500, "unauthenticated": 401,
    }  # fmt: skip
    assert {Failure(code, "").document["code"]: status for code, status in HTTP_STATUS.items()} == table
    assert json.loads(Failure(grpc.StatusCode.UNKNOWN, "\ud800").body)["code"] == "unknown"
