"""Rights, limits, metrics, audit, shares and deadlines hold for the open protocol as for our own calls."""

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
from test_canary_and_shadow import SHARE, TEXTS, is_canarys, with_canary
from test_security_tokens import TokenFile, admin_channel, bearer, guarded

from explicate_server.runtime.batcher import Priority
from support.harness import TEXT, Running, gate, predict_request, running_server, until
from support.open_inference import EXPLAINED, call, columns, infer_request, message, stream, tensors_of
from support.tiny_table_bundle import tiny_table
from support.versions import copy_with_constant_version

LOANS = tiny_table()
ROWS = [LOANS.cells(*row) for row in zip(*LOANS.rows(3, missing=0.0), strict=True)]


@pytest.fixture
def token_file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path)


def of_text(*texts: str, **asked: Any) -> Any:
    return infer_request("tiny", {"text": ("BYTES", texts)}, **asked)


async def code_of(running: Running, request: Any, method: str = "ModelInfer", **options: Any) -> grpc.StatusCode:
    try:
        await call(running.channel, method, request, **options)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_request_needs_the_right_of_what_its_outputs_are(table_repository: Path, token_file: TokenFile) -> None:
    ok, denied = grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED
    requests = {
        "predict": infer_request("loans", columns(ROWS)),
        "explain": infer_request("loans", columns(ROWS), outputs=["label", "lower"]),
    }
    async with guarded(table_repository, token_file) as running:
        for asked, request in requests.items():
            for name, secret in token_file.secrets.items():
                expected = ok if name in (asked, "all") else denied
                assert await code_of(running, request, metadata=bearer(secret)) is expected, (asked, name)
            assert await code_of(running, request) is grpc.StatusCode.UNAUTHENTICATED
        calls = stream(running.channel, metadata=bearer(token_file.secrets["predict"]))
        for request in requests.values():
            await calls.write(request)
        answers = [await calls.read() for _ in requests]
        assert [answer.error_message.partition(":")[0] for answer in answers] == [
            "",
            "the token does not allow this call",
        ]
        calls.cancel()
        for method in ("ServerLive", "ServerReady", "ModelReady"):
            assert await code_of(running, None, method) is ok


async def test_changes_are_made_on_the_port_for_administration_where_there_is_one(
    table_repository: Path, tmp_path: Path
) -> None:
    request = message("RepositoryModelLoadRequest")(model_name="loans")
    async with running_server(table_repository, admin_listen="127.0.0.1:0", state_dir=str(tmp_path)) as running:
        assert await code_of(running, request, "RepositoryModelLoad") is grpc.StatusCode.PERMISSION_DENIED
        async with admin_channel(running) as admin:
            assert (await call(admin, "RepositoryModelLoad", request)).is_loaded
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call(admin, "ModelInfer", infer_request("loans", columns(ROWS)))
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_calls_and_each_request_of_a_stream_are_counted_and_explanations_audited(
    tiny_repository: Path, tmp_path: Path
) -> None:
    audit = tmp_path / "audit.jsonl"
    async with running_server(tiny_repository, metrics_listen="127.0.0.1:0", audit_log=str(audit)) as running:
        await call(running.channel, "ModelInfer", of_text(*TEXTS[:2], outputs=["attributions"], max_evaluations=32))
        await code_of(running, of_text(""))
        calls = stream(running.channel)
        for request in (of_text("good tea", id="a"), of_text("", id="b"), of_text(TEXT, id="c", outputs=["lower"])):
            await calls.write(request)
        await calls.done_writing()
        assert [answer.infer_response.id async for answer in calls][-1] == "c"
        await until(lambda: running.server.calls.in_flight == 0)
        url = f"http://127.0.0.1:{running.server.metrics_port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    counted = [line for line in text.splitlines() if line.startswith("explicate_calls_total")]

    def count(method: str, model: str, code: str) -> float:
        labels = [f'method="inference.GRPCInferenceService/{method}"', f'model="{model}"', f'code="{code}"']
        return sum(float(line.rpartition(" ")[2]) for line in counted if all(label in line for label in labels))

    assert (count("ModelInfer", "tiny", "OK"), count("ModelInfer", "tiny", "INVALID_ARGUMENT")) == (1, 1)
    assert (count("ModelStreamInfer", "tiny", "OK"), count("ModelStreamInfer", "tiny", "INVALID_ARGUMENT")) == (2, 1)
    assert count("ModelStreamInfer", "unknown", "OK") == 1  # the stream itself
    lines = [json.loads(line) for line in audit.read_text(encoding="ascii").splitlines()]
    assert [line["call"].rpartition("/")[2] for line in lines] == ["ModelInfer", "ModelInfer", "ModelStreamInfer"]
    assert [line["model"] for line in lines] == ["tiny"] * 3
    assert lines[2]["request_id"] == "c"
    assert lines[0]["options"]["max_evaluations"] == 32


async def test_the_canary_answers_the_inputs_that_it_answers_by_our_own_calls(
    tiny_repository: Path, tmp_path: Path
) -> None:
    repository = copy_with_constant_version(tiny_repository, tmp_path / "repository")
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=2, canary_share=SHARE)
        versions = set()
        for text in TEXTS[:40]:
            answer = await call(running.channel, "ModelInfer", of_text(text))
            assert answer.model_version == ("2" if is_canarys(text) else "1")
            versions.add(answer.model_version)
        assert versions == {"1", "2"}
        assert (await call(running.channel, "ModelInfer", of_text(TEXT, version="canary"))).model_version == "2"


async def test_a_shadowed_request_is_compared(tiny_repository: Path, tmp_path: Path) -> None:
    repository = copy_with_constant_version(tiny_repository, tmp_path / "repository")
    async with running_server(repository) as running:
        await with_canary(running, live=1, canary=2, shadow_share=1.0)
        await call(running.channel, "ModelInfer", of_text(*TEXTS[:5]))
        await call(running.channel, "ModelInfer", of_text(TEXT, outputs=["attributions"], max_evaluations=64))
        await call(running.channel, "ModelInfer", of_text(TEXT, version="1"))
        compared: Any = running.server.shadow
        await until(lambda: (found := compared.report("tiny")) is not None and found.predictions == 6)
        assert compared.report("tiny").failed == 0


async def test_priority_timeout_and_deadline_are_those_of_the_call(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        gated = gate(running)
        waiting = asyncio.ensure_future(running.inference.Predict(predict_request("first")))
        await gated.entered.get()
        bulk = asyncio.ensure_future(call(running.channel, "ModelInfer", of_text("later", priority=2)))
        batcher = running.served().batcher
        await until(lambda: batcher.queued_rows[Priority.BULK] == 1)
        code = await code_of(running, of_text("too late", timeout=1000))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await code_of(running, of_text("too late"), timeout=0.01) is grpc.StatusCode.DEADLINE_EXCEEDED
        gated.let_through(10)
        await asyncio.gather(waiting, bulk)
        assert batcher.statistics[Priority.BULK].rows == 1


async def test_several_explanations_of_one_request_take_one_seat_at_a_time(tiny_repository: Path) -> None:
    async with running_server(tiny_repository, max_explanations=1) as running:
        request = of_text(*TEXTS[:3], outputs=EXPLAINED, max_evaluations=32)
        found = tensors_of(await call(running.channel, "ModelInfer", request))
        assert len(found["attributions"]) == 3
        gated, request = gate(running), of_text(*TEXTS[3:6], outputs=EXPLAINED, max_evaluations=32)
        first = asyncio.ensure_future(call(running.channel, "ModelInfer", request))
        await gated.entered.get()
        assert await code_of(running, request) is grpc.StatusCode.RESOURCE_EXHAUSTED
        gated.let_through(10_000)
        await first
