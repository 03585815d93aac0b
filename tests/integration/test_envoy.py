"""Several servers behind the real Envoy with the configuration of deploy/envoy: callers do not notice which answers.

The calls here go by the generated stubs, which ask nothing twice: what is asked again, Envoy asks.
"""

import asyncio
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import explicate
from explicate.v1 import inference_service_pb2_grpc, model_service_pb2, model_service_pb2_grpc
from support.certificates import Authority
from support.envoy import CONFIG, Envoy, configuration, envoy_before, envoy_binary
from support.harness import TEXT, explain_request, predict_request, server_process, stream_request
from support.served_arguments import DEPLOY

pytestmark = pytest.mark.skipif(envoy_binary() is None, reason="no Envoy here: `make envoy` installs it on Linux")

MESSAGE_BYTES = 16 << 20


@contextmanager
def serving(repository: Path, *flags_of_each: Sequence[str]) -> Iterator[list[str]]:
    """A server process for each list of flags; yields their addresses."""
    with ExitStack() as servers:
        yield [servers.enter_context(server_process(repository, *flags))[1] for flags in flags_of_each]


@pytest.fixture(name="alike", scope="module")
def _alike(tiny_repository: Path) -> Iterator[list[str]]:
    """The addresses of two servers that are alike."""
    with serving(tiny_repository, (), ()) as servers:
        yield servers


@pytest.fixture(name="pair", scope="module")
def _pair(alike: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    """An Envoy before them."""
    with envoy_before(tmp_path_factory.mktemp("envoy"), alike) as envoy:
        yield envoy


@asynccontextmanager
async def channel_to(envoy: Envoy) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    async with grpc.aio.insecure_channel(envoy.target, options) as channel:
        yield channel


def inference(channel: grpc.aio.Channel) -> Any:
    return inference_service_pb2_grpc.InferenceServiceStub(channel)


def numbered(number: int) -> str:
    """A text that no other number has, so that nothing is known of it from before."""
    return " ".join([*TEXT.split()[: 4 + number % 7], *(f"w{number}x{place}" for place in range(3))])


def difference(after: dict[str, dict[str, int]], before: dict[str, dict[str, int]], name: str) -> list[int]:
    return [after[server][name] - before[server][name] for server in after]


async def test_160_explanations_over_two_servers_of_unequal_size_all_succeed(
    tiny_repository: Path, tmp_path: Path
) -> None:
    with (
        serving(tiny_repository, ("--max-explanations", "64"), ("--max-explanations", "2")) as servers,
        envoy_before(tmp_path, servers) as envoy,
    ):
        at_once = asyncio.Semaphore(16)
        async with channel_to(envoy) as channel:

            async def explain(number: int) -> int:
                async with at_once:
                    answer = await inference(channel).Explain(explain_request(numbered(number), max_evaluations=200))
                    return len(answer.result.explanation.features)

            features = await asyncio.gather(*map(explain, range(160)))
        assert all(features)
        assert envoy.statistic("cluster.explicate.upstream_rq_retry") > 0, "the small one must have refused some"
        counts = envoy.counts("rq_total", "rq_error")
        assert sum(count["rq_total"] for count in counts.values()) > 160
        assert all(count["rq_total"] for count in counts.values()), "both had some"


async def test_weights_say_which_share_a_larger_server_takes(alike: list[str], tmp_path: Path) -> None:
    with envoy_before(tmp_path, alike, weights=[3, 1]) as envoy:
        async with channel_to(envoy) as channel:
            for _ in range(80):
                await inference(channel).Predict(predict_request(TEXT))
        counts = envoy.counts("rq_total")
        assert [counts[server]["rq_total"] for server in alike] == [60, 20]


async def test_without_the_header_calls_are_spread(pair: Envoy) -> None:
    before = pair.counts("rq_total")
    async with channel_to(pair) as channel:
        for _ in range(64):
            await inference(channel).Predict(predict_request(TEXT))
    spread = difference(pair.counts("rq_total"), before, "rq_total")
    assert sum(spread) == 64
    assert min(spread) >= 16, "of 64 fair choices fewer than 16 are one in 100,000"


async def test_calls_with_one_affinity_land_on_one_server_and_share_its_evaluations(pair: Envoy) -> None:
    before = pair.counts("rq_total")
    reused = []
    async with channel_to(pair) as channel:
        for number in range(6):
            request = explain_request(TEXT, max_evaluations=150, seed=number)
            answer = await inference(channel).Explain(request, metadata=(("x-explicate-affinity", "order-17"),))
            reused.append(answer.result.explanation.reused_evaluations)
        assert sorted(difference(pair.counts("rq_total"), before, "rq_total")) == [0, 6]
        assert min(reused[1:]) > 0, "each but the first finds rows of the ones before"
        for number in range(40):
            await inference(channel).Predict(
                predict_request(TEXT), metadata=(("x-explicate-affinity", f"order-{number}"),)
            )
    assert min(difference(pair.counts("rq_total"), before, "rq_total")) > 5, "different values go to both"


async def test_a_client_with_affinity_brings_its_explanations_of_one_input_to_one_server(pair: Envoy) -> None:
    before = pair.counts("rq_total")
    async with explicate.AsyncClient(pair.target, affinity=True) as client:
        for number in range(6):
            await client.explain("tiny", "good tea in a box", seed=number)
        assert sorted(difference(pair.counts("rq_total"), before, "rq_total")) == [0, 6]
        for number in range(40):
            await client.explain("tiny", numbered(100 + number), max_evaluations=40)
    assert min(difference(pair.counts("rq_total"), before, "rq_total")) > 5, "different inputs go to both"


async def test_an_affinity_to_a_server_that_refuses_goes_to_another_one(tiny_repository: Path, tmp_path: Path) -> None:
    with (
        serving(tiny_repository, ("--max-explanations", "2"), ("--max-explanations", "64")) as servers,
        envoy_before(tmp_path, servers) as envoy,
    ):
        async with channel_to(envoy) as channel:

            async def explain(number: int, value: int) -> None:
                request = explain_request(numbered(number), max_evaluations=100)
                await inference(channel).Explain(request, metadata=(("x-explicate-affinity", f"value-{value}"),))

            for value in range(8):  # some of the values belong to the small server
                await asyncio.gather(*(explain(16 * value + number, value) for number in range(6)))
        assert envoy.statistic("cluster.explicate_by_input.upstream_rq_retry") > 0


async def test_a_stream_passes_message_by_message(pair: Envoy) -> None:
    async with channel_to(pair) as channel:
        request = stream_request(TEXT, max_evaluations=600, tolerance=0.0)
        answers = [answer async for answer in inference(channel).StreamExplain(request)]
    assert len(answers) > 1
    assert answers[-1].result.explanation.evaluations == 600


async def test_a_large_message_passes_and_one_that_is_too_large_is_refused_by_the_server(pair: Envoy) -> None:
    async with channel_to(pair) as channel:
        request = predict_request(*["tea " * 16_000] * 80)
        assert request.ByteSize() > 5_000_000, "more than gRPC takes by default, and than Envoy's own windows"
        assert len((await inference(channel).Predict(request)).predictions) == 80
        retries = pair.statistic("cluster.explicate.upstream_rq_retry")
    async with grpc.aio.insecure_channel(pair.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await inference(channel).Predict(predict_request(*["tea " * 16_000] * 270))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than this server takes" in (caught.value.details() or "")
    assert pair.statistic("cluster.explicate.upstream_rq_retry") == retries, "asking another one does not help"


async def test_health_reflection_and_lists_pass(pair: Envoy) -> None:
    async with channel_to(pair) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="explicate.v1.InferenceService")
        assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        (told,) = [answer async for answer in asked]
        assert "explicate.v1.InferenceService" in {each.name for each in told.list_services_response.service}
    async with explicate.AsyncClient(pair.target) as client:
        assert [status.model for status in await client.list_models()] == ["tiny"]
        assert (await client.get_model("tiny")).status.model == "tiny"


async def test_a_call_that_changes_models_is_refused_with_a_sentence(pair: Envoy) -> None:
    async with channel_to(pair) as channel:
        models: Any = model_service_pb2_grpc.ModelServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await models.UnloadModel(model_service_pb2.UnloadModelRequest(model="tiny", version=1))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "changed on each server itself" in (caught.value.details() or "")


async def test_callers_cannot_steer_envoy_by_headers(pair: Envoy) -> None:
    steering = (("x-envoy-upstream-rq-timeout-ms", "1"), ("x-envoy-max-retries", "1000"))
    async with channel_to(pair) as channel:
        request = explain_request(numbered(7), max_evaluations=2_000, tolerance=0.0)
        answer = await inference(channel).Explain(request, metadata=steering)
    assert answer.result.explanation.evaluations > 0


async def test_a_deadline_and_a_cancel_reach_the_server(pair: Envoy) -> None:
    async with channel_to(pair) as channel:
        call = inference(channel).Explain(explain_request(numbered(8), max_evaluations=16_000, tolerance=0.0))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        request = explain_request(TEXT + " late", max_evaluations=16_000, tolerance=0.0, method="permutation-shap")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await inference(channel).Explain(request, timeout=0.001)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_rolling_restart_of_three_servers_fails_no_live_call_and_no_scored_row(
    tiny_repository: Path, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    answered = [0, 0, 0]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"id": number, "text": numbered(number)}) + "\n" for number in range(40)))

    async def score(target: str) -> None:
        while not stop.is_set():
            output = tmp_path / f"out-{answered[2]}"
            told = await asyncio.to_thread(
                explicate.score, "tiny", str(rows), output, server=target, explain="kernel-shap", max_evaluations=40
            )
            assert (told.rows, told.failed, told.is_complete) == (40, 0, True)
            answered[2] += 1

    async def ask(channel: grpc.aio.Channel, caller: int) -> None:
        number = caller
        while not stop.is_set():
            number += 2
            if caller:
                await inference(channel).Explain(explain_request(numbered(number), max_evaluations=60))
            else:
                await inference(channel).Predict(predict_request(numbered(number)))
            answered[caller] += 1

    async def some_more(tasks: Sequence["asyncio.Task[None]"]) -> None:
        wanted = [answered[0] + 8, answered[1] + 8, answered[2] + 1]
        while any(count < goal for count, goal in zip(answered, wanted, strict=True)):
            (failed, _) = await asyncio.wait(tasks, timeout=0.02, return_when=asyncio.FIRST_EXCEPTION)
            for task in failed:
                await task

    with ExitStack() as stack:
        processes = [server_process(tiny_repository) for _ in range(3)]
        stack.callback(lambda: [process.__exit__(None, None, None) for process in processes])
        servers = [process.__enter__()[1] for process in processes]
        envoy = stack.enter_context(envoy_before(tmp_path, servers))
        async with channel_to(envoy) as channel:
            tasks = [asyncio.create_task(ask(channel, caller)) for caller in (0, 0, 1, 1)]
            tasks.append(asyncio.create_task(score(envoy.target)))
            await some_more(tasks)
            for place, address in enumerate(servers):
                await asyncio.to_thread(processes[place].__exit__, None, None, None)
                await some_more(tasks)
                processes[place] = server_process(tiny_repository, "--listen", address)
                await asyncio.to_thread(processes[place].__enter__)
                await some_more(tasks)
            stop.set()
            await asyncio.gather(*tasks)


async def test_a_killed_server_fails_none_of_its_calls(tiny_repository: Path, tmp_path: Path) -> None:
    with (
        server_process(tiny_repository) as (victim, first),
        server_process(tiny_repository) as (_, second),
        envoy_before(tmp_path, [first, second]) as envoy,
    ):
        async with channel_to(envoy) as channel:
            calls = [
                asyncio.ensure_future(
                    inference(channel).Explain(explain_request(numbered(number), max_evaluations=2_000, tolerance=0.0))
                )
                for number in range(8)
            ]
            while envoy.counts("rq_active")[first]["rq_active"] == 0:  # noqa: ASYNC110 - Envoy has no event for it
                await asyncio.sleep(0.005)
            victim.kill()
            answers = await asyncio.gather(*calls)
        assert all(answer.result.explanation.features for answer in answers)


def test_the_access_log_has_methods_and_codes_and_neither_inputs_nor_tokens(alike: list[str], tmp_path: Path) -> None:
    token = "a-secret-that-nobody-logs"
    with envoy_before(tmp_path, alike) as envoy, explicate.Client(envoy.target, token=token) as client:
        client.predict("tiny", [TEXT], request_id="order-17")
        with pytest.raises(explicate.ServerError):
            client.predict("none", [TEXT])
    first, second = envoy.access_log()
    assert first["method"] == "/explicate.v1.InferenceService/Predict"
    assert (first["request_id"], first["code"], second["code"]) == ("order-17", "OK", "NotFound")
    assert first["server"] in alike
    written = json.dumps([first, second])
    assert token not in written
    assert TEXT[:12] not in written


def test_ready_and_metrics_are_told_and_nothing_else_of_the_admin_port(pair: Envoy) -> None:
    def get(path: str) -> str:
        with urllib.request.urlopen(f"http://{pair.watching}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    get("/ready")
    assert "envoy_cluster_upstream_rq_total" in get("/metrics")
    for path in ("/config_dump", "/quitquitquit", "/metrics/../config_dump"):
        with pytest.raises(urllib.error.HTTPError):
            get(path)


async def test_the_drain_of_a_pod_ends_no_call_and_takes_the_envoy_out_of_service(
    alike: list[str], tmp_path: Path
) -> None:
    deployment = next(yaml.safe_load_all((DEPLOY / "envoy" / "kubernetes.yaml").read_text("utf-8")))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    command = container["lifecycle"]["preStop"]["exec"]["command"]
    with envoy_before(tmp_path, alike) as envoy:
        command = [part.replace("127.0.0.1/9901", envoy.admin.replace(":", "/")) for part in command]
        async with channel_to(envoy) as channel:
            slow = explain_request(numbered(9), max_evaluations=4_000, tolerance=0.0)
            call = asyncio.ensure_future(inference(channel).Explain(slow))
            while sum(count["rq_active"] for count in envoy.counts("rq_active").values()) == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            drain = await asyncio.create_subprocess_exec(
                *command, env={**os.environ, "DRAIN_S": "0"}, stdout=subprocess.PIPE
            )
            told, _ = await drain.communicate()
            assert told.decode().count("HTTP/1.1 200 OK") == 2
            with pytest.raises(urllib.error.HTTPError, match="503"):
                await asyncio.to_thread(urllib.request.urlopen, f"http://{envoy.watching}/ready")
            assert (await call).result.explanation.features


def test_through_tls_on_both_sides(tiny_repository: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server", hosts=["explicate"])
    front = authority.issue("front")
    config = json.dumps(configuration(tls=True))
    for place, path in (("tls.crt", front.cert), ("tls.key", front.key), ("ca.crt", authority.cert)):
        config = config.replace(f"/etc/envoy/tls/{place}", str(path))
    flags = ("--tls-cert", str(server.cert), "--tls-key", str(server.key))
    with (
        serving(tiny_repository, flags) as servers,
        envoy_before(tmp_path, servers, config=json.loads(config)) as envoy,
        explicate.Client(envoy.target, tls=explicate.Tls(ca=authority.cert)) as client,
    ):
        assert client.predict("tiny", [TEXT]).predictions


def test_the_shipped_file_is_valid_as_it_is() -> None:
    binary = envoy_binary()
    assert binary is not None
    command = [binary, "--mode", "validate", "-c", str(CONFIG), "-l", "warning", "--use-dynamic-base-id"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "warning" not in told.stderr, told.stderr
