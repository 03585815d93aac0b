"""`explicate serve --processes 2`: to its callers and its operator it is one server."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import explicate
from explicate.v1 import inference_service_pb2_grpc as services
from explicate.v1 import model_service_pb2 as models
from explicate.v1 import model_service_pb2_grpc as model_services
from explicate_server.registry.label_store import LIVE, Assignment, LabelStore, LabelTarget
from support.harness import TEXT, predict_request, stream_request
from support.process_group import CONNECTIONS, ProcessGroup, process_group
from support.versions import break_golden, copy_with_constant_version, publish_copy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads the connections of a port")


@pytest.fixture(scope="module")
def group(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessGroup]:
    repository = copy_with_constant_version(tiny_repository, tmp_path_factory.mktemp("processes") / "repository")
    break_golden(publish_copy(repository, 3))
    publish_copy(repository, 4)
    LabelStore(repository).write("tiny", Assignment({LIVE: LabelTarget(2)}, follows_newest=False))
    with process_group(repository) as running:
        yield running


def versions(stubs: list[Any]) -> set[int]:
    """The versions that answer on these connections."""
    return {stub.Predict(predict_request(TEXT)).model.version for stub in stubs}


def state_of(stub: model_services.ModelServiceStub, version: int) -> int:
    """What one process says of a version."""
    return stub.GetModel(models.GetModelRequest(model="tiny", version=version)).status.state


def test_both_answer_and_their_counts_add_up(group: ProcessGroup) -> None:
    before, calls_before = group.total("explicate_calls_total"), group.scrape()["explicate_process_calls_total"]
    with ExitStack() as held:
        for stub in group.stubs(held):
            stub.Predict(predict_request(TEXT))
    calls = group.scrape()["explicate_process_calls_total"]
    assert group.total("explicate_calls_total") - before == CONNECTIONS
    spread = [calls[key] - calls_before.get(key, 0) for key in calls]
    assert len(spread) == 2
    assert min(spread) > 0
    assert sum(spread) == CONNECTIONS
    assert group.total("explicate_processes") == 2
    processes = {dict(labels)["process"] for labels in group.scrape()["process_resident_memory_bytes"]}
    assert processes == {"0", "1", "2"}


def test_a_version_that_was_activated_answers_on_each_connection_before_the_operator_is_told(
    group: ProcessGroup,
) -> None:
    with ExitStack() as held:
        stubs = group.stubs(held)
        with explicate.Client(group.address) as client:
            for version in (1, 2, 1):
                client.activate_version("tiny", version)
                assert versions(stubs) == {version}
            assert client.rollback_model("tiny").status.version == 2
            assert versions(stubs) == {2}


def test_labels_shares_and_states_are_the_same_whichever_process_is_asked(group: ProcessGroup) -> None:
    with ExitStack() as held:
        stubs = [model_services.ModelServiceStub(channel) for channel in group.channels(held, 12)]
        for index in range(3):  # each through another connection
            share = 0.25 * index
            stubs[index].ActivateVersion(models.ActivateVersionRequest(model="tiny", version=1, label="canary"))
            shares = models.Traffic(canary_share=share, shadow_share=0.5)
            stubs[-1 - index].SetTraffic(models.SetTrafficRequest(model="tiny", traffic=shares))
            seen = [stub.GetModel(models.GetModelRequest(model="tiny")) for stub in stubs]
            assert {(each.traffic.canary_share, each.traffic.shadow_share) for each in seen} == {(share, 0.5)}
            assert {tuple(label.label for label in each.labels) for each in seen} == {("canary", "live")}
            stubs[index].RemoveLabel(models.RemoveLabelRequest(model="tiny", label="canary"))
            seen = [stub.GetModel(models.GetModelRequest(model="tiny")) for stub in stubs]
            assert {tuple(label.label for label in each.labels) for each in seen} == {("live",)}
        stubs[0].ActivateVersion(models.ActivateVersionRequest(model="tiny", version=2))
        stubs[1].LoadModel(models.LoadModelRequest(model="tiny", version=4))
        assert {state_of(stub, 4) for stub in stubs} == {models.MODEL_STATE_READY}
        stubs[2].UnloadModel(models.UnloadModelRequest(model="tiny", version=4))
        assert {state_of(stub, 4) for stub in stubs} == {models.MODEL_STATE_AVAILABLE}


def test_a_version_that_is_refused_changes_nothing_anywhere(group: ProcessGroup) -> None:
    with ExitStack() as held, explicate.Client(group.address) as client:
        stubs = group.stubs(held)
        client.activate_version("tiny", 2)
        with pytest.raises(explicate.FailedPrecondition, match=r"golden\.npz"):
            client.activate_version("tiny", 3)
        assert versions(stubs) == {2}
        asked = map(model_services.ModelServiceStub, group.channels(held, 12))
        assert {state_of(stub, 3) for stub in asked} == {models.MODEL_STATE_FAILED}


def test_a_second_server_is_refused_the_port_be_it_of_one_process_or_of_two(group: ProcessGroup) -> None:
    for processes in ("1", "2"):
        command = [sys.executable, "-m", "explicate", "serve", "--processes", processes, "--listen", group.address]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1, second.stderr
        assert f"cannot listen on {group.address}: Address already in use; is another server there?" in second.stderr
        assert "Traceback" not in second.stderr


async def test_one_that_is_killed_costs_its_own_calls_only_and_is_replaced_with_all_that_the_others_have(
    group: ProcessGroup,
) -> None:
    with explicate.Client(group.address) as client:
        client.activate_version("tiny", 2)
        client.activate_version("tiny", 1, label="kept")
    killed, other = group.workers
    stop = asyncio.Event()

    async def call_on(stub: Any) -> int:
        failures = 0
        while not stop.is_set():
            try:
                await stub.Predict(predict_request("good tea"))
            except grpc.aio.AioRpcError as error:
                failures += 1
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
        return failures

    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(group.address, options=options) for _ in range(CONNECTIONS)]
    stubs = [services.InferenceServiceStub(channel) for channel in channels]
    for stub in stubs:
        await stub.Predict(predict_request("good tea"))
    others = _connections(other)
    callers = [asyncio.create_task(call_on(stub)) for stub in stubs]
    killed.send_signal(signal.SIGKILL)
    while await asyncio.to_thread(_serving, group) != 2 or killed.is_running():  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    stop.set()
    failures = await asyncio.gather(*callers)
    for channel in channels:
        await channel.close()
    assert sum(count == 0 for count in failures) >= others > 0
    assert {worker.pid for worker in group.workers} & {killed.pid} == set()
    with ExitStack() as held:
        assert versions(group.stubs(held)) == {2}
        asked = map(model_services.ModelServiceStub, group.channels(held))
        assert {state_of(stub, 1) for stub in asked} == {models.MODEL_STATE_READY}
    assert group.total("explicate_ended_processes_total") == 1


def _serving(group: ProcessGroup) -> float:
    return group.total("explicate_processes")


def _connections(process: psutil.Process) -> int:
    return sum(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections("tcp"))


async def test_limits_hold_over_both_and_a_drain_answers_what_was_accepted(tiny_repository: Path) -> None:
    with process_group(tiny_repository, "--max-explanations", "4") as group:
        request = stream_request(TEXT, max_evaluations=16000, min_evaluations=16000, tolerance=0.0)
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.aio.insecure_channel(group.address, options=options) for _ in range(CONNECTIONS)]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        streams = [services.InferenceServiceStub(channel).StreamExplain(request) for channel in channels]
        firsts = await asyncio.gather(*(stream.read() for stream in streams), return_exceptions=True)
        accepted = [stream for stream, first in zip(streams, firsts, strict=True) if not isinstance(first, Exception)]
        refused = [first for first in firsts if isinstance(first, grpc.aio.AioRpcError)]
        # Alone a caller has half of the places of one server; with connections to both it has no more.
        assert len(accepted) == 2
        assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert await asyncio.to_thread(group.total, "explicate_refused_explanations_total") == CONNECTIONS - 2
        watches = [health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()) for channel in channels]
        assert {(await watch.read()).status for watch in watches} == {health_pb2.HealthCheckResponse.SERVING}
        group.parent.send_signal(signal.SIGTERM)
        assert {(await watch.read()).status for watch in watches} == {health_pb2.HealthCheckResponse.NOT_SERVING}
        lasts = await asyncio.gather(*map(_last, accepted))
        for channel in channels:
            await channel.close()
        assert await asyncio.to_thread(group.parent.wait, 30) == 0
    assert all(last.final and last.result.explanation.evaluations == 16000 for last in lasts)
    assert not psutil.pid_exists(group.parent.pid) or not group.workers


async def _last(stream: Any) -> Any:
    last = None
    while (answer := await stream.read()) != grpc.aio.EOF:
        last = answer
    return last


def test_what_keeps_one_server_from_starting_keeps_several(tiny_repository: Path, tmp_path: Path) -> None:
    repository = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    break_golden(repository / "tiny" / "1")
    command = [sys.executable, "-m", "explicate", "serve", "--processes", "2", "--repository", str(repository)]
    ended = subprocess.run(
        [*command, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert f"no bundle in {repository} can be served; tiny version 1 was refused: golden.npz" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_setting_that_does_not_fit_is_a_usage_error(tiny_repository: Path) -> None:
    command = [sys.executable, "-m", "explicate", "serve", "--processes", "2", "--repository", str(tiny_repository)]
    ended = subprocess.run(
        [*command, "--listen", "unix:/tmp/explicate.sock"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "--listen is 'unix:/tmp/explicate.sock', which --processes 2 cannot share; give a HOST:PORT" in ended.stderr
