"""A version is idle when its last lease has ended, however its requests ended."""

import asyncio
from typing import Any

import pytest

from explicate_server.registry.records import ServedModel


async def test_a_version_is_idle_after_the_last_of_its_leases() -> None:
    nothing: Any = None
    served = ServedModel(nothing, nothing, nothing, nothing)
    assert served.idle.is_set()
    with served.lease() as first:
        assert first is served
        with pytest.raises(RuntimeError, match="2 leases"), served.lease():
            raise RuntimeError(f"{served.leases} leases")
        assert served.leases == 1
        waiting = asyncio.ensure_future(served.idle.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
    assert served.leases == 0
