"""Tokens and rights: every RPC of the running server, with every kind of caller, over a real connection."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

import explicate
from explicate.v1 import inference_service_pb2_grpc as services
from explicate_server.security.tokens import NEEDS, OPEN, Right, Token, digest_of, line_of, need, new_token
from support.harness import TEXT, Running, explain_request, gate, predict_request, running_server, until

_REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
Metadata = tuple[tuple[str, str], ...]


class TokenFile:
    """A file of tokens and the tokens themselves, one for each right and one with all."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens"
        self.secrets = {name: new_token() for name in (*[right.value for right in Right], "all")}
        self.write()

    def write(self, *, without: str = "") -> None:
        tokens = [
            Token(name, frozenset(Right) if name == "all" else frozenset({Right(name)}), digest_of(secret))
            for name, secret in self.secrets.items()
            if name != without
        ]
        self.path.write_text("# made by a test\n\n" + "".join(f"{line_of(token)}\n" for token in tokens))
        self.path.chmod(0o600)


@pytest.fixture
def token_file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path)


@asynccontextmanager
async def guarded(repository: Path, tokens: TokenFile, **changes: Any) -> AsyncIterator[Running]:
    async with running_server(repository, tokens=str(tokens.path), **changes) as running:
        yield running


def admin_channel(running: Running) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{running.server.ports.admin_port}")


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


async def outcome(channel: grpc.aio.Channel, method: str, metadata: Metadata | None) -> grpc.aio.AioRpcError | None:
    """How a call of any kind with an empty request ends; None when it begins to be answered, or ends well."""
    call = channel.unary_stream(f"/{method}")(b"", metadata=metadata)
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error
    finally:
        call.cancel()
    return None


async def served_methods(channel: grpc.aio.Channel, metadata: Metadata | None = None) -> set[str]:
    """Every RPC that the server has, as it tells itself by reflection."""
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    names = [item.name for item in (await _reflect(channel, requests, metadata))[0].list_services_response.service]
    requests = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names]
    methods = set()
    for answer in await _reflect(channel, requests, metadata):
        for file in answer.file_descriptor_response.file_descriptor_proto:
            parsed = descriptor_pb2.FileDescriptorProto.FromString(file)
            for service in parsed.service:
                full_name = f"{parsed.package}.{service.name}"
                methods |= {f"{full_name}/{method.name}" for method in service.method if full_name in names}
    return methods


async def _reflect(channel: grpc.aio.Channel, requests: list[Any], metadata: Metadata | None) -> list[Any]:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    return [answer async for answer in stub.ServerReflectionInfo(iter(requests), metadata=metadata)]


async def test_every_rpc_of_the_running_server_has_a_declared_right(tiny_repository: Path, tmp_path: Path) -> None:
    async with running_server(tiny_repository, admin_listen="127.0.0.1:0") as running, admin_channel(running) as admin:
        found = await served_methods(running.channel) | await served_methods(admin)
    assert {"explicate.v1.InferenceService/Predict", "grpc.health.v1.Health/Check"} <= found
    assert found <= set(NEEDS), "declare what these ask for in security/rights.py"
    assert set(NEEDS) <= found, "these are declared and do not exist"


async def test_every_rpc_lets_in_whom_it_should_and_nobody_else(tiny_repository: Path, token_file: TokenFile) -> None:
    async with guarded(tiny_repository, token_file) as running:
        for method, needed in NEEDS.items():
            for name, secret in token_file.secrets.items():
                rights = frozenset(Right) if name == "all" else frozenset({Right(name)})
                error = await outcome(running.channel, method, bearer(secret))
                if needed == OPEN or rights & needed:
                    assert error is None or error.code() not in _REFUSALS, (method, name)
                else:
                    assert error is not None, (method, name)
                    assert error.code() is grpc.StatusCode.PERMISSION_DENIED, (method, name)
            strangers: list[Metadata | None] = [
                None,
                bearer(new_token()),
                bearer(""),
                bearer(token_file.secrets["all"][:-1]),
                bearer(token_file.secrets["all"]) * 2,
                (("authorization", token_file.secrets["all"]),),
                (("authorization", f"Basic {token_file.secrets['all']}"),),
            ]
            for metadata in strangers:
                error = await outcome(running.channel, method, metadata)
                refused = error is not None and error.code() is grpc.StatusCode.UNAUTHENTICATED
                assert refused == (needed != OPEN), (method, metadata)


async def test_without_a_file_of_tokens_every_call_is_open(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        for method in NEEDS:
            for metadata in (None, bearer(new_token())):
                error = await outcome(running.channel, method, metadata)
                assert error is None or error.code() not in _REFUSALS, method


async def test_a_refusal_has_error_info_a_request_id_and_a_challenge(
    tiny_repository: Path, token_file: TokenFile
) -> None:
    cases = [
        (None, "TOKEN_MISSING", 'Bearer realm="explicate"'),
        (bearer("wrong"), "TOKEN_INVALID", 'Bearer realm="explicate", error="invalid_token"'),
        (
            bearer(token_file.secrets["predict"]),
            "RIGHT_MISSING",
            'Bearer realm="explicate", error="insufficient_scope", scope="explain"',
        ),
    ]
    async with guarded(tiny_repository, token_file) as running:
        for metadata, reason, challenge in cases:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await running.inference.Explain(explain_request(TEXT), metadata=metadata)
            status: Any = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            assert (info.reason, info.domain) == (reason, "explicate")
            assert info.metadata["request_id"]
            assert dict(caught.value.trailing_metadata())["www-authenticate"] == challenge


async def test_an_undeclared_call_asks_for_admin() -> None:
    assert need("/explicate.v1.InferenceService/BrandNew") == {Right.ADMIN}
    assert need("/explicate.v1.InferenceService/Predict") == {Right.PREDICT}


async def test_only_callers_who_may_list_the_models_are_told_the_nearest_name(
    tiny_repository: Path, token_file: TokenFile
) -> None:
    async with guarded(tiny_repository, token_file) as running:
        said = {}
        for name, secret in [("nobody", ""), *token_file.secrets.items()]:
            async with explicate.AsyncClient(running.target, token=secret or None) as client:
                for call in (client.predict("tinny", ["soup"]), client.explain("tinny", "soup")):
                    with pytest.raises(explicate.ServerError) as refused:
                        await call
                    said.setdefault(name, []).append("tiny" in str(refused.value))
                with pytest.raises(explicate.NotFound) as unknown:  # probes ask without a token
                    await client.health(model="tinny")
            assert "did you mean" not in str(unknown.value)
        assert said == {
            "nobody": [False, False],
            "predict": [True, False],
            "explain": [False, True],
            "admin": [False, False],
            "override-standard": [False, False],
            "all": [True, True],
        }


async def test_a_refused_calls_request_is_not_received(tiny_repository: Path, token_file: TokenFile) -> None:
    """The client announces a request and never sends it; a call that waited for it would have no answer."""
    async with guarded(tiny_repository, token_file) as running:
        call = running.channel.stream_unary("/explicate.v1.InferenceService/Predict")()
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_tokens_are_read_again_and_a_broken_file_changes_nothing(
    tiny_repository: Path, token_file: TokenFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with guarded(tiny_repository, token_file) as running:

        async def is_known(name: str) -> bool:
            metadata = bearer(token_file.secrets[name])
            error = await outcome(running.channel, "explicate.v1.ModelService/ListModels", metadata)
            return error is None

        async def until_noticed(change: str) -> None:
            await until(lambda: change in caplog.text)
            caplog.clear()

        assert await is_known("predict")
        token_file.write(without="predict")
        await until_noticed("the tokens changed and are in use")
        assert not await is_known("predict")
        assert await is_known("explain")
        for spoil in (
            lambda: token_file.path.write_text("explain  everything\n"),
            lambda: token_file.path.chmod(0o622),  # others may write: whoever did has all rights
            token_file.path.unlink,
        ):
            token_file.write()
            await until_noticed("the tokens changed and are in use")
            spoil()
            await until_noticed("so the last good ones stay")
            assert await is_known("explain")
            assert await is_known("all")
        token_file.write()
        await until_noticed("the tokens changed and are in use")
        assert await is_known("predict")


async def test_a_token_file_on_a_disk_that_hangs_holds_up_no_call(
    tiny_repository: Path, token_file: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    hangs = threading.Event()
    async with guarded(tiny_repository, token_file) as running:

        def hang(_: object) -> None:
            hangs.set()
            goes_on.wait(60)

        monkeypatch.setattr("explicate_server.security.tokens._identity", hang)
        await asyncio.to_thread(hangs.wait, 60)
        metadata = bearer(token_file.secrets["predict"])
        assert (await running.inference.Predict(predict_request(TEXT), metadata=metadata)).predictions
        goes_on.set()


async def test_limits_count_callers_by_token(tiny_repository: Path, token_file: TokenFile) -> None:
    """Two tokens from one address each have their own share; the second explanation of one is refused."""
    request = explain_request(TEXT, max_evaluations=200, min_evaluations=200, tolerance=0.0, method="kernel-shap")
    async with guarded(tiny_repository, token_file, max_evaluations_per_caller=200) as running:
        gated = gate(running)
        tasks = [
            asyncio.ensure_future(running.inference.Explain(request, metadata=bearer(token_file.secrets[name])))
            for name in ("explain", "all")
        ]
        keys = {"token:explain", "token:all"}
        await until(lambda: set(running.server.admission.evaluations_by_caller) == keys)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Explain(request, metadata=bearer(token_file.secrets["explain"]))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        gated.let_through(10_000)
        assert all(answer.result.explanation.evaluations == 200 for answer in await asyncio.gather(*tasks))


async def test_the_clients_bring_their_token(tiny_repository: Path, token_file: TokenFile) -> None:
    async with guarded(tiny_repository, token_file) as running:
        async with explicate.AsyncClient(running.target, token=token_file.secrets["predict"]) as client:
            assert (await client.predict("tiny", [TEXT])).predictions
            with pytest.raises(explicate.PermissionDenied, match="needs the right explain"):
                await client.explain("tiny", TEXT)
            with pytest.raises(explicate.PermissionDenied, match="needs the right explain"):
                [answer async for answer in client.stream_explain("tiny", TEXT)]
        async with explicate.AsyncClient(running.target) as client:
            with pytest.raises(explicate.Unauthenticated, match="needs a token"):
                await client.list_models()

        def blocking() -> None:
            with explicate.Client(running.target, token=token_file.secrets["all"]) as client:
                assert client.explain("tiny", TEXT, max_evaluations=50).explanation
                assert list(client.stream_explain("tiny", TEXT, max_evaluations=50))

        await asyncio.to_thread(blocking)


async def test_administration_is_answered_on_its_own_port_only(tiny_repository: Path, token_file: TokenFile) -> None:
    admin_methods = [method for method, needed in NEEDS.items() if needed == {Right.ADMIN}]
    assert len(admin_methods) >= 6
    metadata = bearer(token_file.secrets["all"])
    for changes in ({}, {"tokens": str(token_file.path)}):
        settings = {"admin_listen": "127.0.0.1:0", **changes}
        async with running_server(tiny_repository, **settings) as running, admin_channel(running) as admin:
            for method in admin_methods:
                error = await outcome(running.channel, method, metadata)
                assert error is not None
                assert error.code() is grpc.StatusCode.PERMISSION_DENIED, method
                error = await outcome(admin, method, metadata)
                assert error is None or error.code() not in (*_REFUSALS, grpc.StatusCode.UNIMPLEMENTED), method
                if changes:
                    error = await outcome(admin, method, bearer(token_file.secrets["explain"]))
                    assert error is not None
                    assert error.code() is grpc.StatusCode.PERMISSION_DENIED, method
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await services.InferenceServiceStub(admin).Predict(predict_request(TEXT), metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("first", ["main", "admin"])
async def test_each_port_answers_its_own_calls_whichever_was_asked_first(tiny_repository: Path, first: str) -> None:
    """A method that one port has answered is not thereby known on the other one."""
    load = "explicate.v1.ModelService/LoadModel"
    async with running_server(tiny_repository, admin_listen="127.0.0.1:0") as running, admin_channel(running) as admin:
        channels = {"main": running.channel, "admin": admin}
        for name in (first, *(channels.keys() - {first}), first):
            predict = services.InferenceServiceStub(channels[name]).Predict(predict_request(TEXT))
            if name == "main":
                assert (await predict).predictions
            else:
                assert await predict.code() is grpc.StatusCode.UNIMPLEMENTED
            error = await outcome(channels[name], load, None)
            assert error is not None
            expected = grpc.StatusCode.PERMISSION_DENIED if name == "main" else grpc.StatusCode.INVALID_ARGUMENT
            assert error.code() is expected, name
