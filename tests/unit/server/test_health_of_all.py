"""Health of several processes that answer as one."""

from types import SimpleNamespace
from typing import Any

from grpc_health.v1 import health_pb2

from explicate_server.rpc.health_service import INFERENCE, HealthReport

_SERVING, _NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
_MODEL = f"{INFERENCE}/tiny"


class _Process:
    """The health of one of them, whose model may hang, and what it reports to the others."""

    def __init__(self) -> None:
        self.hangs = False
        self.reported: list[frozenset[str]] = []
        batcher: Any = SimpleNamespace(answers_within=lambda _: not self.hangs, running_s=0.0)
        self.health = HealthReport(lambda: {"tiny": batcher}, lambda: iter(()), stuck_batch_s=1.0)
        self.health.report = self._report

    async def _report(self, silent: frozenset[str]) -> None:
        self.reported.append(silent)

    async def status(self, service: str) -> int:
        context: Any = None
        return (await self.health.Check(health_pb2.HealthCheckRequest(service=service), context)).status


async def test_each_serves_what_all_serve() -> None:
    process = _Process()
    await process.health.refresh()
    assert (await process.status(_MODEL), process.reported) == (_SERVING, [])
    await process.health.note_elsewhere(frozenset({_MODEL}))
    assert await process.status(_MODEL) == _NOT_SERVING
    assert await process.status("") == _SERVING
    assert process.reported == []  # what it says of others is not its own
    await process.health.note_elsewhere(frozenset())
    assert await process.status(_MODEL) == _SERVING


async def test_a_model_that_hangs_is_reported_once_and_again_when_it_answers() -> None:
    process = _Process()
    process.hangs = True
    for _ in range(2):
        await process.health.refresh()
    process.hangs = False
    await process.health.refresh()
    assert [_MODEL in silent for silent in process.reported] == [True, False]


async def test_one_that_drains_alone_does_not_silence_the_others() -> None:
    process = _Process()
    await process.health.refresh()
    await process.health.drain()
    assert await process.status("") == _NOT_SERVING
    assert process.reported == []
