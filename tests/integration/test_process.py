"""`explicate serve` as the process an operator starts."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import explicate
from explicate.v1 import inference_service_pb2_grpc as services
from support.harness import TEXT, explain_request, predict_request, server_process, stream_request


async def test_sigterm_under_load_answers_what_was_accepted_and_refuses_the_rest(tiny_repository: Path) -> None:
    async def predict_until_refused(stub: Any) -> grpc.aio.AioRpcError:
        while True:
            try:
                await stub.Predict(predict_request(TEXT, "good tea"))
            except grpc.aio.AioRpcError as error:
                return error

    async def last_answer(stream: Any) -> Any:
        last = None
        while (answer := await stream.read()) != grpc.aio.EOF:
            last = answer
        return last

    with server_process(tiny_repository) as (process, address):
        async with grpc.aio.insecure_channel(address) as channel:
            stub = services.InferenceServiceStub(channel)
            request = stream_request(TEXT, max_evaluations=3000, min_evaluations=500, tolerance=0.0)
            streams = [stub.StreamExplain(request) for _ in range(8)]
            first = [await stream.read() for stream in streams]  # so all of them were accepted
            predicts = [asyncio.ensure_future(predict_until_refused(stub)) for _ in range(16)]
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            process.send_signal(signal.SIGTERM)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            refused = await asyncio.gather(*predicts)
            last = [await last_answer(stream) for stream in streams]
        assert await asyncio.to_thread(process.wait, 20) == 0
    for error in refused:  # every one of the 16 got answers until this, and nothing else
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert "shutting down" in (error.details() or "")
    assert not any(answer.final for answer in first)
    assert all(answer.final and answer.result.explanation.evaluations == 3000 for answer in last)


async def test_a_second_signal_does_not_wait_for_calls(tiny_repository: Path) -> None:
    with server_process(tiny_repository) as (process, address):
        async with grpc.aio.insecure_channel(address) as channel:
            stub = services.InferenceServiceStub(channel)
            explain = stub.Explain(explain_request(TEXT, max_evaluations=16000, min_evaluations=16000, tolerance=0.0))
            await stub.Predict(predict_request("good tea"))
            process.send_signal(signal.SIGTERM)
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            while (await watch.read()).status != health_pb2.HealthCheckResponse.NOT_SERVING:
                pass
            process.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await explain
            assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert await asyncio.to_thread(process.wait, 20) == 1


def test_a_second_server_on_the_same_port_says_so_and_exits(tiny_repository: Path) -> None:
    with server_process(tiny_repository) as (_, address):
        second = subprocess.run(
            [sys.executable, "-m", "explicate", "serve", "--repository", str(tiny_repository), "--listen", address],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert second.returncode == 1
    assert f"cannot listen on {address}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_second_server_does_not_take_a_unix_socket_and_a_stale_one_is_replaced(
    tiny_repository: Path, tmp_path: Path
) -> None:
    address = f"unix:{tmp_path / 'explicate.sock'}"
    command = [sys.executable, "-m", "explicate", "serve", "--repository", str(tiny_repository), "--listen", address]
    with server_process(tiny_repository, "--listen", address) as (first, printed):
        assert printed == address
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert f"cannot listen on {address}: another server answers there" in second.stderr
        assert explicate.Client(address).predict("tiny", [TEXT]).model.version == 1  # the first is still there
        first.kill()
        first.wait()
    assert (tmp_path / "explicate.sock").is_socket()
    with server_process(tiny_repository, "--listen", address) as (_, printed):
        assert explicate.Client(printed).predict("tiny", [TEXT]).model.version == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_server_whose_address_cannot_be_printed_serves_all_the_same(tiny_repository: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'explicate.sock'}"
    command = [sys.executable, "-m", "explicate", "serve", "--repository", str(tiny_repository), "--listen", address]
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    warning = next(line for line in lines if "standard output" in line)
    assert address in warning
    assert "No space left on device" in warning
    assert explicate.Client(address).predict("tiny", [TEXT]).model.version == 1
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 0, rest
    assert "Exception ignored" not in rest


@pytest.fixture
def hangups_count() -> Iterator[None]:
    """Whoever runs the tests under nohup has them ignored, and so would the server."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups_count")
async def test_a_hangup_drains_as_sigterm_does(tiny_repository: Path) -> None:
    with server_process(tiny_repository) as (process, address):
        async with grpc.aio.insecure_channel(address) as channel:
            stub = services.InferenceServiceStub(channel)
            request = stream_request(TEXT, max_evaluations=1000, min_evaluations=500, tolerance=0.0)
            stream = stub.StreamExplain(request)
            last = await stream.read()
            process.send_signal(signal.SIGHUP)
            while (answer := await stream.read()) != grpc.aio.EOF:
                last = answer
        assert await asyncio.to_thread(process.wait, 20) == 0
    assert last.final


def test_a_hangup_that_nohup_has_ignored_stays_ignored(tiny_repository: Path) -> None:
    command = [sys.executable, "-m", "explicate", "serve", "--repository", str(tiny_repository)]
    process = subprocess.Popen(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    process.send_signal(signal.SIGHUP)
    assert explicate.Client(address).predict("tiny", [TEXT]).model.version == 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_bad_settings_are_a_usage_error(tiny_repository: Path) -> None:
    for flags in (["--max-inputs", "many"], ["--max-inputs", "0"], ["--drain-s", "-1"], ["--listen", "127.0.0.1"]):
        done = subprocess.run(
            [sys.executable, "-m", "explicate", "serve", "--repository", str(tiny_repository), *flags],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert flags[0] in done.stderr


def test_a_serving_process_never_imports_torch_or_transformers(tiny_repository: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from typing import Any
from explicate_server.app import Server
from explicate_server.settings import Settings
sys.path[:0] = [{str(Path(__file__).parents[1])!r}]
from support.harness import TEXT, explain_request, running_server

async def main():
    async with running_server(Path({str(tiny_repository)!r})) as running:
        for method in ("kernel-shap", "lime"):
            await running.inference.Explain(explain_request(TEXT, method=method, max_evaluations=50))
    print(sorted({{name.partition(".")[0] for name in sys.modules}} & {{
        "torch", "transformers", "datasets", "shap", "onnx", "explicate_training", "explicate_export"}}))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_a_repository_in_which_nothing_can_be_served_says_why(tiny_repository: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(tiny_repository, repository)
    (repository / "tiny" / "1" / "model.onnx").write_bytes(b"no graph")
    for place, words in (
        (repository, "tiny version 1 was refused: model.onnx"),
        (tmp_path / "empty", "explicate export"),
    ):
        place.mkdir(exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "explicate",
            "serve",
            "--repository",
            str(place),
            "--listen",
            "127.0.0.1:0",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert words in ended.stderr
