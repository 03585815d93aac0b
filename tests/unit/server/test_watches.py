"""Who watches is told the newest of what changed; a reader that does not read holds one entry for each version."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from explicate_bundle.repository import BundleLocation
from explicate_server.errors import NotServing, Overloaded
from explicate_server.registry.lifecycle import Watches
from explicate_server.registry.records import State, VersionRecord


def record(version: int) -> VersionRecord:
    return VersionRecord(BundleLocation("tiny", version, Path("tiny")), {})


async def test_a_slow_reader_gets_the_newest_state_once() -> None:
    watches, records = Watches(), [record(version) for version in (1, 2, 3)]
    async with aclosing(watches.changes()) as changes:
        assert await anext(changes) == []
        for _ in range(1000):
            for state in State:
                for each in records[:2]:
                    each.state = state
                    watches.tell(each)
            assert watches.pending == 2
        records[0].state = State.READY
        told = await anext(changes)
        assert told == records[:2]
        assert told[0].state is State.READY
        assert watches.pending == 0
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        watches.tell(records[2])
        assert await waiting == records[2:]
    watches.tell(*records)
    assert watches.pending == 0  # nobody watches any more


async def test_there_are_only_so_many_watches_and_closing_ends_them() -> None:
    watches = Watches()
    many = [watches.changes(caller) for caller in ["a"] * 32 + ["b"] * 16 + ["c"] * 8 + list("defghijk")]
    for changes in many:
        await anext(changes)
    with pytest.raises(Overloaded) as caught:
        await anext(watches.changes("l"))
    assert caught.value.reason == "TOO_MANY_WATCHES"
    waiting = [asyncio.ensure_future(anext(changes)) for changes in many]
    await asyncio.sleep(0)
    watches.close()
    assert all(isinstance(end, NotServing) for end in await asyncio.gather(*waiting, return_exceptions=True))


async def test_one_caller_has_half_of_the_watches_at_most() -> None:
    watches = Watches()
    many = [watches.changes("a") for _ in range(32)]
    for changes in many:
        await anext(changes)
    with pytest.raises(Overloaded, match="32 watches of yours") as caught:
        await anext(watches.changes("a"))
    assert caught.value.reason == "CALLER_LIMIT"
    other = watches.changes("b")
    assert await anext(other) == []
    for _ in range(2):  # beside another one it may have as many as it leaves free
        await many.pop().aclose()
    again = watches.changes("a")
    assert await anext(again) == []
    for changes in (*many, other, again):
        await changes.aclose()
    assert watches.open == 0
