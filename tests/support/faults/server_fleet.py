"""Several real server processes behind one target, each of which can be stopped, killed and started anew."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.faults.faulted_server import FaultedServer, faulted_server


class ServerFleet:
    """The servers of one repository. Each keeps its address for life."""

    def __init__(self, repository: Path, folder: Path, flags: Sequence[Sequence[str]]) -> None:
        self._repository = repository
        self._folder = folder
        self._flags = flags
        self._stacks = [ExitStack() for _ in flags]
        self.servers: list[FaultedServer] = []

    @property
    def target(self) -> str:
        """All of them, as gRPC names it."""
        return "ipv4:" + ",".join(server.address for server in self.servers)

    def start_all(self) -> None:
        """Start all at once."""
        with ThreadPoolExecutor(len(self._flags)) as threads:
            self.servers = list(threads.map(self._start, range(len(self._flags))))

    def stop(self, number: int) -> None:
        """Ask one to end, and wait: it drains first."""
        self._stacks[number].close()

    def kill(self, number: int) -> None:
        """End one without a word."""
        self.servers[number].kill()
        self._stacks[number].close()

    def start(self, number: int) -> None:
        """Start one anew, at its address."""
        self.servers[number] = self._start(number, "--listen", self.servers[number].address)

    def close(self) -> None:
        """Stop all."""
        for stack in self._stacks:
            stack.close()

    def _start(self, number: int, *more: str) -> FaultedServer:
        log = self._folder / f"server-{number}.log"
        return self._stacks[number].enter_context(
            faulted_server(self._repository, *self._flags[number], *more, log=log)
        )


@contextmanager
def server_fleet(repository: Path, folder: Path, *flags_of_each: Sequence[str]) -> Iterator[ServerFleet]:
    """Start a server for each list of flags, and stop them at the end."""
    fleet = ServerFleet(repository, folder, flags_of_each)
    try:
        fleet.start_all()
        yield fleet
    finally:
        fleet.close()
