"""A real server that measures how long its event loop is held, as a process of its own.

Prints its address; then answers each line on stdin: "longest" prints the longest hold in seconds since it was asked
last, "stop" ends it.
"""

import asyncio
import sys
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from explicate_server.app import SWITCH_INTERVAL_S, Server
from explicate_server.settings import Settings

_TICK_S = 0.001


class Probe:
    """A task that sleeps for a moment, again and again, and notes by how much it wakes too late.

    Where other programs kept the whole process waiting it did not hold itself up: what counts is no longer than the
    processor time that all of its threads took meanwhile.
    """

    def __init__(self) -> None:
        self._longest_s = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due_s, worked_s = time.perf_counter() + _TICK_S, time.process_time()
            await asyncio.sleep(_TICK_S)
            late_s = min(time.perf_counter() - due_s, time.process_time() - worked_s)
            self._longest_s = max(self._longest_s, late_s)

    def longest_s(self) -> float:
        """The longest hold since this was called last."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s


async def main(repository: Path) -> None:
    """Serve until told to stop."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    server = Server(Settings(repository=repository, listen="127.0.0.1:0", threads=1))
    port = await server.start()
    await server.load()
    probe = Probe()
    measuring = asyncio.create_task(probe.run())
    print(f"127.0.0.1:{port}", flush=True)
    loop = asyncio.get_running_loop()
    while (await loop.run_in_executor(None, sys.stdin.readline)).strip() == "longest":
        print(probe.longest_s(), flush=True)
    measuring.cancel()
    await server.drain()
    await server.stop()


if __name__ == "__main__":
    with threadpool_limits(limits=1, user_api="blas"):  # as `explicate serve` does
        asyncio.run(main(Path(sys.argv[1])))
