"""What a call leaves behind: its request id at the caller, a count, and a line in the log; on a real server."""

import asyncio
import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from explicate import AsyncClient, Client
from explicate._wire.rpc_errors import from_rpc_error
from explicate.errors import InvalidArgument, ServerError
from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from explicate_server.security.tokens import Right, Token, digest_of, line_of, new_token
from explicate_server.telemetry.logs import JsonFormatter, TextFormatter
from support.harness import predict_request, running_server
from support.versions import publish_copy

PREDICT = "explicate.v1.InferenceService/Predict"
SECRET = "the quick brown fox"


def calls(metrics: object) -> dict[tuple[str, ...], float]:
    """Calls by method, model, version and code."""
    text = generate_latest(metrics.registry).decode()  # type: ignore[attr-defined]
    names = ("method", "model", "version", "code")
    return {
        tuple(sample.labels[name] for name in names): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "explicate_calls_total"
    }


async def test_calls_are_counted_by_method_model_version_and_code(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        await running.inference.Predict(predict_request("good tea"))
        await running.inference.Predict(predict_request("bad tea"))
        with pytest.raises(grpc.RpcError):
            await running.inference.Predict(predict_request(""))
        for name in ("made-up-1", "made-up-2", "made-up-3"):
            with pytest.raises(grpc.RpcError):
                await running.inference.Predict(predict_request("tea", model=name))
        await model_service_pb2_grpc.ModelServiceStub(running.channel).ListModels(model_service_pb2.ListModelsRequest())
        assert calls(running.server.metrics) == {
            (PREDICT, "tiny", "1", "OK"): 2,
            (PREDICT, "tiny", "1", "INVALID_ARGUMENT"): 1,
            (PREDICT, "unknown", "unknown", "NOT_FOUND"): 3,
            ("explicate.v1.ModelService/ListModels", "unknown", "unknown", "OK"): 1,
        }


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("order-17:retry.2", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("two words", False),
        ('x","level":"ERROR', False),
        ("", False),
    ],
)
async def test_a_request_id_comes_back_if_it_is_one_and_a_new_one_else(
    tiny_repository: Path, given: str, kept: bool
) -> None:
    async with running_server(tiny_repository) as running:
        call = running.inference.Predict(predict_request("tea"), metadata=(("x-request-id", given),))
        await call
        (answered,) = [value for key, value in await call.trailing_metadata() if key == "x-request-id"]
        assert (answered == given) is kept
        assert kept or len(answered) == 32


async def test_an_error_names_the_request_id_that_the_caller_gave(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        with pytest.raises(grpc.RpcError) as caught:
            await running.inference.Predict(predict_request(""), metadata=(("x-request-id", "order-17"),))
        assert from_rpc_error(caught.value, running.target).request_id == "order-17"
        assert ("x-request-id", "order-17") in list(caught.value.trailing_metadata())


async def test_clients_name_their_requests(tiny_repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(JsonFormatter())
    async with running_server(tiny_repository, log_calls="all") as running, AsyncClient(running.target) as client:
        await client.predict("tiny", ["tea"], request_id="order-1")
        await client.explain("tiny", "good tea", request_id="order-2")
        assert [answer async for answer in client.stream_explain("tiny", "good tea", request_id="order-3")][-1].final
        with Client(running.target) as blocking:
            await asyncio.to_thread(blocking.predict, "tiny", ["tea"], request_id="order-4")
            await asyncio.to_thread(blocking.explain, "tiny", "good tea", request_id="order-5")
        with pytest.raises(InvalidArgument, match="request_id: give 1 to 64"):
            await client.predict("tiny", ["tea"], request_id="two words")
    named = [line["request_id"] for line in map(json.loads, caplog.text.splitlines()) if "code" in line]
    assert named == [f"order-{number}" for number in range(1, 6)]


async def test_failed_calls_have_a_line_with_their_request_id_and_none_of_the_input(
    tiny_repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(JsonFormatter())
    async with running_server(tiny_repository) as running:
        await running.inference.Predict(predict_request(SECRET), metadata=(("x-request-id", "fine"),))
        with pytest.raises(grpc.RpcError):
            await running.inference.Predict(
                predict_request(SECRET, model="nowhere"), metadata=(("x-request-id", "lost"),)
            )
    (line,) = [json.loads(line) for line in caplog.text.splitlines() if "nowhere" in line or "Predict" in line]
    assert line["request_id"] == "lost"
    assert line["code"] == "NOT_FOUND"
    assert line["level"] == "WARNING"
    assert line["method"] == PREDICT
    assert line["caller"] == "ipv4:127.0.0.1"
    assert SECRET not in caplog.text


async def test_every_call_and_its_request_are_logged_where_that_was_asked_for(
    tiny_repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(TextFormatter())
    async with running_server(tiny_repository, log_calls="all", log_inputs=True) as running:
        await running.inference.Predict(predict_request(SECRET), metadata=(("x-request-id", "fine"),))
    lines = [line for line in caplog.text.splitlines() if line.endswith("[fine]")]
    assert len(lines) == 2
    assert SECRET in lines[0]
    assert f"{PREDICT} from ipv4:127.0.0.1 by tiny/1: OK in" in lines[1]


async def test_who_changed_what_is_served_is_in_the_log_and_who_tried_to(
    tiny_repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(JsonFormatter())
    repository = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    publish_copy(repository, 2)
    steps: list[tuple[Callable[[AsyncClient], Awaitable[object]], str, str]] = [
        (lambda client: client.load_model("tiny", version=1), "load tiny/1", "OK"),
        (lambda client: client.load_model("tiny"), "load tiny/newest", "OK"),
        (lambda client: client.activate_version("tiny", 1), "tiny@live to version 1", "OK"),
        (lambda client: client.activate_version("tiny", 9), "tiny@live to version 9", "NOT_FOUND"),
        (lambda client: client.rollback_model("tiny"), "tiny@live to the version before", "OK"),
        (lambda client: client.activate_version("tiny", 1, label="canary"), "tiny@canary to version 1", "OK"),
        (lambda client: client.set_traffic("tiny", canary_share=0.5), "tiny: canary 0.5, shadow 0", "OK"),
        (lambda client: client.remove_label("tiny", "canary"), "remove tiny@canary", "OK"),
        (lambda client: client.unload_model("tiny", 2), "unload tiny/2", "FAILED_PRECONDITION"),
        (lambda client: client.unload_model("nowhere", 2), "unload nowhere/2", "NOT_FOUND"),
    ]
    token = new_token()
    (tmp_path / "tokens").write_text(line_of(Token("ops", frozenset(Right), digest_of(token))))
    (tmp_path / "tokens").chmod(0o600)
    async with (
        running_server(repository, tokens=str(tmp_path / "tokens")) as running,
        AsyncClient(running.target, token=token) as client,
    ):
        for step, _, code in steps:
            if code == "OK":
                await step(client)
            else:
                with pytest.raises(ServerError):
                    await step(client)
    lines = [line for line in map(json.loads, caplog.text.splitlines()) if "change" in line]
    assert [(line["change"], line["code"]) for line in lines] == [(change, code) for _, change, code in steps]
    assert {line["caller"] for line in lines} == {"token:ops"}
    assert "(tiny@live to version 1): OK in" in lines[2]["message"]


def test_a_line_break_in_a_message_cannot_forge_a_line() -> None:
    record = logging.LogRecord("name", logging.INFO, "", 0, "a column\n2026-01-01 ERROR stolen", (), None)
    assert len(TextFormatter().format(record).splitlines()) == 1
    assert len(JsonFormatter().format(record).splitlines()) == 1
    assert json.loads(JsonFormatter().format(record))["message"] == "a column\n2026-01-01 ERROR stolen"
