"""Makes `explicate/client.py`, the blocking client, from `explicate/async_client.py`, so that the two cannot differ.

`make client` writes it; `tests/unit/client/test_blocking_client.py` fails when it is not what this makes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent / "clients" / "python" / "explicate"
SOURCE, MADE = _PACKAGE / "async_client.py", _PACKAGE / "client.py"

_DOCSTRING = '''"""The blocking client, made from `async_client.py` by `make client`: edit that.

Safe to share between threads. Every method raises the exceptions of `explicate.errors`; `explicate.async_client` has
the same methods as coroutines.
"""'''
_CONNECTION_OF_A_LOOP = """    @property
    def _connection(self) -> Connection:
        loop = asyncio.get_running_loop()
        if loop not in self._connections:
            for other in [each for each in self._connections if each.is_closed()]:
                del self._connections[other]
            self._connections[loop] = self._connect()
        return self._connections[loop]

"""
_ASKED_IN_THE_LOOP = """        return ask_many(
            inputs, lambda value: self._ask(call_of(value), timeout_s, waits=False), Turns(window), ordered=ordered
        )
"""
# The same core in a thread of its own; on a connection of its own, unless that is to have interceptors.
_ASKED_IN_A_THREAD = """        twin = AsyncClient()
        twin._reach, twin._defaults = self._reach, self._defaults
        if self._reach.interceptors:  # which only a blocking connection has
            twin._reach = replace(self._reach, through=self._connection)
        return in_thread(
            lambda values: twin._many(call_of, values, window, ordered=ordered, timeout_s=timeout_s),
            inputs,
            close=twin.close,
        )
"""
# What changes, in this order; each must be there.
_CHANGES = (
    ('"""The asyncio client: the methods of `explicate.client` as coroutines."""', _DOCSTRING),
    ("class AsyncClient(", "class Client("),
    (
        "server from asyncio; use it in an `async with` statement, or await `close`.",
        "server; use it in a `with` statement, or call `close`.",
    ),
    ("\n    It may be made outside an event loop and used in several: each has a connection of its own.\n", ""),
    (
        "        # Made at the first call in each event loop: an aio channel works in the loop that made it only.\n"
        "        self._connections: dict[asyncio.AbstractEventLoop, Connection] = {}\n",
        "        self._connection = self._connect()\n",
    ),
    (_CONNECTION_OF_A_LOOP, ""),
    (
        "Closing the generator (`aclose`, or `contextlib.aclosing` around the loop) cancels",
        "Closing the generator cancels",
    ),
    ("  # noqa: ASYNC110", ""),
    ("import asyncio\n", "import time\nfrom dataclasses import replace\n"),
    ("import AIO, Connection", "import BLOCKING"),
    ("_flavour = AIO", "_flavour = BLOCKING"),
    ("    interceptors: of grpc.aio, ", "    interceptors: of grpc, "),
    ("asyncio.sleep", "time.sleep"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("AsyncGenerator", "Generator"),
    ("async with aclosing", "with closing"),
    ("aclosing", "closing"),
    ("async def", "def"),
    ("async for", "for"),
    ("await ", ""),
    (_ASKED_IN_THE_LOOP, _ASKED_IN_A_THREAD),
    ("import MOST, InFlight, Turns\n", "import MOST, InFlight\nfrom explicate.bulk.in_thread import in_thread\n"),
    ("import Inputs, Outcome, ask_many\n", "import Inputs, Outcome\n"),
    ("from explicate.bulk.in_flight", "from explicate.async_client import AsyncClient\nfrom explicate.bulk.in_flight"),
    ("also an endless or asynchronous iterator", "also an endless iterator"),
)


def blocking_client() -> str:
    """The text of the blocking client; raises ValueError when the asyncio one lacks what has to change."""
    text = SOURCE.read_text(encoding="utf-8")
    for asynchronous, blocking in _CHANGES:
        if asynchronous not in text:
            raise ValueError(f"{SOURCE.name} does not have {asynchronous!r}")
        text = text.replace(asynchronous, blocking)
    for command in (("check", "--fix-only", "--select", "I"), ("format",)):
        ruff = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", str(MADE), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True, cwd=_PACKAGE).stdout  # noqa: S603
    return text


if __name__ == "__main__":
    MADE.write_text(blocking_client(), encoding="utf-8")
