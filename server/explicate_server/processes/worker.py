"""One of the processes that serve a port together: a server as any, which follows the others; see `supervisor`."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from explicate_server.app import Server, run
from explicate_server.errors import NotServable, NotServing
from explicate_server.lifetime import Ending, StartError
from explicate_server.processes.birth import Birth
from explicate_server.processes.line_channel import Channel, Gone, Refused
from explicate_server.processes.merged_metrics import families_of
from explicate_server.registry.following import Following
from explicate_server.registry.peers import ModelStanding, Peers, Tally
from explicate_server.registry.records import ModelEntry, VersionRecord
from explicate_server.runtime.devices.device_kinds import DeviceUnavailable

_EXIT_FAILED, _EXIT_USAGE = 1, 2
_log = logging.getLogger(__name__)


class OtherProcesses(Peers):
    """The others, asked through the process that started all."""

    def __init__(self, parent: Channel, processes: int) -> None:
        self._parent = parent
        self.processes = processes

    async def expect(self, models: list[str]) -> None:
        """These models are being started."""
        await self._ask("expect", models=models)

    @asynccontextmanager
    async def alone(self, model: str) -> AsyncIterator[None]:
        """Nobody else changes the model as long as the block lasts."""
        await self._ask("alone", model=model)
        try:
            yield
        finally:
            with suppress(Gone):
                await self._parent.call("release", model=model)

    async def load(self, record: VersionRecord) -> None:
        """Have a version loaded everywhere."""
        await self._ask("load", model=record.location.model, version=record.location.version)

    async def tell(self, entry: ModelEntry) -> None:
        """Have what this process has of a model taken over everywhere."""
        await self._ask("tell", model=entry.name, standing=ModelStanding.of(entry).document())

    async def freed(self, record: VersionRecord) -> None:
        """Wait until a version has left the memory everywhere."""
        await self._ask("freed", model=record.location.model, version=record.location.version)

    async def tallies(self) -> list[Tally]:
        """What each of them counts, as far as it can be asked."""
        try:
            return [Tally(**tally) for tally in await self._parent.call("tallies")]
        except (Refused, Gone):
            return []

    async def _ask(self, name: str, **arguments: Any) -> None:
        try:
            await self._parent.call(name, **arguments)
        except Refused as refusal:
            raise NotServable(refusal.reason, refusal.detail) from None
        except Gone:
            raise NotServing("DRAINING", "try another server", retry_after_s=1.0) from None


class _Server(Server):
    """One that has what the others have."""

    def __init__(self, birth: Birth, parent: Channel) -> None:
        super().__init__(birth.settings, peers=OtherProcesses(parent, birth.settings.processes))
        self._parent = parent
        self.leads = birth.leads
        self.listens_first = not birth.joins  # else calls would come to a process that has no model yet
        self.all_started = asyncio.Event()
        self.following = Following(self.registry, birth.settings.repository)
        self.poll.advances = birth.number == 1

    async def start_models(self, *, all_chosen: bool) -> None:
        """Load what can be loaded as the first one, or have what that one has."""
        try:
            await self._parent.call("join")
            if self.leads:
                await super().start_models(all_chosen=all_chosen)
                await self._parent.call("started")
        except (Refused, Gone) as error:
            raise StartError(str(error)) from None
        await self.all_started.wait()
        self.registry.started = True


class Worker:
    """One of the processes: what it is asked, and what it tells."""

    def __init__(self, birth: Birth, end: socket.socket) -> None:
        self._birth = birth
        self._parent = Channel(end, self._answer)
        self._ending: Ending
        self._server: _Server

    async def serve(self) -> int:
        """Serve until told to end, or until the process that started this one has gone; returns the exit code."""
        self._ending = Ending()
        # A signal to this process alone drains it, and another one takes its place. A terminal and an init system
        # send theirs to all, so that a second one must not count as such here: the first process passes those on.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ending.stop.set)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        await self._parent.open()
        answering = asyncio.create_task(self._answer_parent())
        try:
            return await run(self._make, self._birth.settings, self._ending, self._tell_ready)
        except StartError as error:
            return await self._fail(str(error), _EXIT_FAILED)
        except DeviceUnavailable as error:
            return await self._fail(str(error), _EXIT_USAGE)
        finally:
            answering.cancel()

    def _make(self) -> Server:
        self._server = _Server(self._birth, self._parent)
        self._server.health.report = self._report_health
        return self._server

    async def _answer_parent(self) -> None:
        await self._parent.run()
        self._ending.stop.set()

    async def _tell_ready(self, _: str) -> None:
        with suppress(Gone):
            await self._parent.call("ready")

    async def _fail(self, message: str, code: int) -> int:
        with suppress(Gone):
            await self._parent.call("fatal", message=message, code=code)
        return code

    async def _report_health(self, silent: frozenset[str]) -> None:
        with suppress(Gone):
            await self._parent.call("health", silent=sorted(silent))

    async def _answer(self, name: str, **arguments: Any) -> Any:
        """What the process that started this one asks for."""
        asked: dict[str, Callable[..., Awaitable[Any]]] = {
            "ping": self._ping,
            "drain": self._drain,
            "force": self._force,
            "expect": self._expect,
            "load": self._load,
            "follow": self._follow,
            "freed": self._freed,
            "settle": self._settle,
            "tally": self._tally,
            "started": self._started,
            "metrics": self._metrics,
            "health": self._health,
        }
        try:
            return await asked[name](**arguments)
        except NotServable as error:
            raise Refused(error.reason, error.detail) from None

    async def _ping(self) -> None:
        """It answers."""

    async def _drain(self) -> None:
        self._ending.stop.set()

    async def _force(self) -> None:
        self._ending.stop.set()
        self._ending.force.set()

    async def _expect(self, models: list[str]) -> None:
        self._server.registry.expect(models)

    async def _load(self, model: str, version: int) -> None:
        await self._server.following.load(model, version)

    async def _follow(self, model: str, standing: dict[str, Any]) -> None:
        await self._server.following.follow(model, ModelStanding(**standing))

    async def _freed(self, model: str, version: int) -> None:
        await self._server.following.freed(model, version)

    async def _settle(self, model: str) -> None:
        await self._server.registry.settle(self._server.registry.expected(model))

    async def _tally(self) -> dict[str, Any]:
        registry = self._server.registry
        found = {entry.name: self._server.shadow.report(entry.name) for entry in registry.entries}
        shadows = {model: comparison.sums() for model, comparison in found.items() if comparison}
        leases = {record.name: record.leases for record in registry.records if record.leases}
        return asdict(Tally(leases, shadows, self._server.request_sums.told()))

    async def _started(self) -> None:
        self._server.all_started.set()

    async def _metrics(self) -> Any:
        return await asyncio.to_thread(partial(families_of, self._server.metrics.registry))

    async def _health(self, silent: list[str]) -> None:
        await self._server.health.note_elsewhere(frozenset(silent))
