"""Several servers behind one target: unequal ones, ones that restart, one that is killed, one that is broken."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

import explicate
from support.faults.faulted_server import FaultedServer, faulted_server
from support.harness import TEXT

pytestmark = pytest.mark.slow


def target_of(servers: list[FaultedServer]) -> str:
    return "ipv4:" + ",".join(server.address for server in servers)


@pytest.fixture(scope="module")
def unequal(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[FaultedServer]]:
    """Two servers, with room for 64 and for 2 explanations."""
    folder = tmp_path_factory.mktemp("unequal")
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                faulted_server(tiny_repository, "--max-explanations", str(room), log=folder / f"{room}.log")
            )
            for room in (64, 2)
        ]


async def test_none_of_160_explanations_over_two_servers_of_unequal_size_fails(unequal: list[FaultedServer]) -> None:
    refusals = 0
    async with explicate.AsyncClient(target_of(unequal)) as client:
        at_once = asyncio.Semaphore(16)

        async def explain(number: int) -> explicate.ExplainResult:
            async with at_once:
                return await client.explain("tiny", f"{TEXT} {number}", method="kernel-shap", max_evaluations=200)

        results = await asyncio.gather(*map(explain, range(160)))
    assert len(results) == 160
