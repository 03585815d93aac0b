"""Several servers behind one target: unequal ones, ones that restart, one that is killed, one that is broken."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

import explicate
from explicate._wire import channel
from support.canned.canned_server import CannedServer, model_status, serve
from support.faults.server_fleet import ServerFleet, server_fleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # processes that import everything, on a busy machine

# Short explanations: what is tested is who answers them.
OPTIONS: dict[str, Any] = {"method": "kernel-shap", "max_evaluations": 64}


def text(number: int) -> str:
    """One of which no server knows anything from before."""
    return f"this tea is great but the box came late {number}"


@pytest.fixture(scope="module")
def unequal(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFleet]:
    """Two servers, with room for 64 and for 2 explanations."""
    rooms = [("--max-explanations", str(room)) for room in (64, 2)]
    with server_fleet(tiny_repository, tmp_path_factory.mktemp("unequal"), *rooms) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def three(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFleet]:
    """Three servers that are alike."""
    with server_fleet(tiny_repository, tmp_path_factory.mktemp("three"), (), (), ()) as fleet:
        yield fleet


async def test_none_of_160_explanations_over_two_servers_of_unequal_size_fails(unequal: ServerFleet) -> None:
    at_once = asyncio.Semaphore(16)
    async with explicate.AsyncClient(unequal.target) as client:

        async def explain(number: int) -> explicate.ExplainResult:
            async with at_once:
                return await client.explain("tiny", text(number), **OPTIONS)

        results = await asyncio.gather(*map(explain, range(160)))
    assert len(results) == 160


async def test_nor_of_those_that_are_asked_as_many(unequal: ServerFleet) -> None:
    async with explicate.AsyncClient(unequal.target) as client:
        outcomes = [each async for each in client.explain_many("tiny", map(text, range(160, 320)), **OPTIONS)]
    assert [outcome.input for outcome in outcomes] == [text(number) for number in range(160, 320)]
    assert [outcome.error for outcome in outcomes if outcome.error] == []


class Traffic:
    """A live caller, and a batch of explanations, until told to stop."""

    def __init__(self, client: explicate.AsyncClient) -> None:
        self._client = client
        self._stopped = asyncio.Event()
        self.predicted = 0
        self.explained = 0

    async def predict(self) -> None:
        while not self._stopped.is_set():
            await self._client.predict("tiny", [text(self.predicted)])
            self.predicted += 1
            await asyncio.sleep(0.02)  # servers that start need the processor too

    async def explain(self) -> None:
        async def texts() -> AsyncIterator[str]:
            number = 0
            while not self._stopped.is_set():
                yield text(number)
                number += 1

        async with aclosing(self._client.explain_many("tiny", texts(), in_flight=3, rate=20, **OPTIONS)) as outcomes:
            async for outcome in outcomes:
                assert outcome.error is None
                self.explained += 1

    async def flows(self) -> None:
        """Return once more of both was answered."""
        predicted, explained = self.predicted, self.explained
        while self.predicted < predicted + 5 or self.explained < explained + 5:  # noqa: ASYNC110 - the cap bounds it
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._stopped.set()


async def test_a_rolling_restart_of_three_servers_fails_nobody(three: ServerFleet) -> None:
    async with explicate.AsyncClient(three.target) as client, asyncio.TaskGroup() as callers:
        traffic = Traffic(client)
        callers.create_task(traffic.predict())
        callers.create_task(traffic.explain())
        for number in range(3):
            await traffic.flows()
            await asyncio.to_thread(three.stop, number)
            await traffic.flows()
            await asyncio.to_thread(three.start, number)
        await traffic.flows()
        traffic.stop()


async def test_when_a_server_is_killed_its_calls_go_on_elsewhere(three: ServerFleet) -> None:
    async with explicate.AsyncClient(three.target) as client, asyncio.TaskGroup() as callers:
        traffic = Traffic(client)
        callers.create_task(traffic.predict())
        callers.create_task(traffic.explain())
        await traffic.flows()
        await asyncio.to_thread(three.kill, 1)
        await traffic.flows()
        traffic.stop()
    await asyncio.to_thread(three.start, 1)


async def test_calls_wait_for_the_only_server_to_come_back(three: ServerFleet) -> None:
    async with explicate.AsyncClient(three.servers[0].address) as client:
        await client.predict("tiny", [text(0)])
        await asyncio.to_thread(three.kill, 0)
        waiting = [asyncio.create_task(client.predict("tiny", [text(number)], timeout_s=60)) for number in range(5)]
        await asyncio.to_thread(three.start, 0)
        assert len(await asyncio.gather(*waiting)) == 5


@pytest.mark.parametrize("code", [code_pb2.INTERNAL, code_pb2.UNAVAILABLE])
def test_a_server_that_fails_whatever_it_is_asked_gets_nothing_for_a_while(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setitem(channel.OUTLIERS, "interval", "0.5s")
    status = status_pb2.Status(code=code, message="broken")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="INTERNAL", domain="explicate"))
    good, bad = CannedServer(models=[model_status("reviews")]), CannedServer(status=status)
    with serve(good), serve(bad), explicate.Client(f"ipv4:{good.target},{bad.target}") as client:
        asked_in_a_row = 0
        while asked_in_a_row < 30:  # half of them would be the bad one's
            before = len(bad.requests)
            try:
                client.predict("reviews", ["good tea"])
            except explicate.InternalError:
                assert code == code_pb2.INTERNAL
            asked_in_a_row = asked_in_a_row + 1 if len(bad.requests) == before else 0
    assert len(bad.requests) >= 5
