"""`explicate health` against a real server: what it prints and its exit code, which is all that a probe sees."""

import asyncio
import socket
from pathlib import Path

import pytest

from explicate import AsyncClient
from explicate.cli.main import main
from explicate_server.app import Server
from explicate_server.settings import Settings
from support.harness import running_server


async def health(capsys: pytest.CaptureFixture[str], target: str, *arguments: str) -> tuple[int, str]:
    """Exit code and output."""
    code = await asyncio.to_thread(main, ["health", target, "--timeout", "5", *arguments])
    return code, capsys.readouterr().out.strip()


async def test_a_server_and_its_models_serve_and_one_it_does_not_know_does_not(
    tiny_repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_server(tiny_repository) as running:
        assert await health(capsys, running.target) == (0, "serving")
        assert await health(capsys, running.target, "--model", "tiny") == (0, "serving")
        assert await health(capsys, running.target, "--model", "nowhere") == (3, "unknown")
        async with AsyncClient(running.target) as client:
            assert await client.health(model="tiny") == "serving"


async def test_a_server_without_a_model_is_alive_and_not_ready(
    tiny_repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(Settings(repository=tiny_repository, listen="127.0.0.1:0"))
    try:
        target = f"127.0.0.1:{await server.start()}"
        assert await health(capsys, target) == (3, "not-serving")
        assert await health(capsys, target, "--alive") == (0, "serving")
    finally:
        await server.stop()


async def test_a_server_that_drains_is_not_ready(tiny_repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running_server(tiny_repository) as running:
        assert await running.server.drain()
        assert await health(capsys, running.target) == (3, "not-serving")


async def test_where_no_server_is_the_exit_code_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        code, out = await health(capsys, f"127.0.0.1:{probe.getsockname()[1]}")
    assert (code, out) == (3, "")


async def test_a_server_that_does_not_answer_in_time_is_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        assert await asyncio.to_thread(main, ["health", target, "--timeout", "0.2"]) == 3
    assert capsys.readouterr().out == "no answer in time\n"
