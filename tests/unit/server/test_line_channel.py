"""Calls between two processes, here both ends in one."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from explicate_server.processes.line_channel import Channel, Gone, Refused


class _End:
    """One end, and what it was asked."""

    def __init__(self, end: socket.socket) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.channel = Channel(end, self._answer)
        self.running: asyncio.Task[None]

    async def _answer(self, name: str, **arguments: Any) -> Any:
        self.asked.append(name)
        if name == "refuse":
            raise Refused("NOT_ENOUGH_MEMORY", "there is none")
        if name == "fail":
            raise ZeroDivisionError("by zero")
        if name == "wait":
            await self.gate.wait()
        return arguments

    async def open(self) -> None:
        await self.channel.open()
        self.running = asyncio.create_task(self.channel.run())


@pytest.fixture
async def ends() -> AsyncIterator[tuple[_End, _End]]:
    one, other = (_End(end) for end in socket.socketpair())
    await one.open()
    await other.open()
    yield one, other
    for end in (one, other):
        end.channel.close()
        await end.running


async def test_both_ends_ask_and_answer_at_the_same_time(ends: tuple[_End, _End]) -> None:
    one, other = ends
    waiting = asyncio.create_task(one.channel.call("wait", text="ö", number=1.5))
    await asyncio.sleep(0)
    assert await one.channel.call("echo", of="one") == {"of": "one"}  # it does not wait for the first
    assert await other.channel.call("echo", of="other") == {"of": "other"}
    assert not waiting.done()
    other.gate.set()
    assert await waiting == {"text": "ö", "number": 1.5}
    assert other.asked == ["wait", "echo"]


async def test_a_refusal_and_a_fault_are_told_to_the_one_that_asked(
    ends: tuple[_End, _End], caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = ends
    with pytest.raises(Refused, match="there is none") as refused:
        await one.channel.call("refuse")
    assert refused.value.reason == "NOT_ENOUGH_MEMORY"
    with pytest.raises(Refused, match="ZeroDivisionError: by zero") as failed:
        await one.channel.call("fail")
    assert failed.value.reason == "INTERNAL"
    assert "fail failed" in caplog.text


async def test_a_large_answer_comes_as_a_whole(ends: tuple[_End, _End]) -> None:
    text = "x" * (3 << 20)
    assert await ends[0].channel.call("echo", text=text) == {"text": text}


async def test_whoever_waits_for_a_process_that_ends_is_told(ends: tuple[_End, _End]) -> None:
    one, other = ends
    waiting = asyncio.create_task(one.channel.call("wait"))
    await one.channel.call("echo")
    other.channel.close()
    with pytest.raises(Gone):
        await waiting
    await one.running
    with pytest.raises(Gone):
        await one.channel.call("echo")
