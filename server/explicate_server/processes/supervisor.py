"""The process that starts the others, watches them, and ends them: `explicate serve --processes N`.

It keeps the port, and answers no calls itself: each of the others listens on it, and the system spreads connections
over them. One that ends is replaced, and takes calls once it has what all have. Where one after another ends, the
server does, with a reason. What all have in common of the models goes through here (see `model_agreement`), and so do
metrics and health. Nothing heavy is imported: the models are in the other processes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from explicate_server.address import AddressInUseError, parse_address
from explicate_server.lifetime import HANG_S, Ending, StartError, tell_address
from explicate_server.processes.birth import Birth
from explicate_server.processes.child import COMMAND, Child, how_it_ended
from explicate_server.processes.metrics_of_all import MetricsOfAll
from explicate_server.processes.model_agreement import Agreement
from explicate_server.processes.shares import share_of
from explicate_server.security.access import exposure
from explicate_server.settings import Settings

EXIT_CRASH_LOOP = 70
"""EX_SOFTWARE of sysexits.h: the processes end by themselves, one after another."""
_EXIT_USAGE = 2
# One that has served for so long was no mistake of the start; what ends it then may be a single request.
STEADY_S = 30.0
# So many that end sooner, one after another, end the server. The first pauses before the next one are these.
MOST_SHORT_LIVES = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
# How often each is asked whether it answers, and after what silence it is taken for hanging: it would keep its share of
# the connections for ever. A load or a long batch is in a thread, and holds up no answer.
_ASK_INTERVAL_S = 5.0
_HANGS_S = 60.0
# What a process may take longer than the grace of its calls, and what it may take to let go of its models.
_LAST_S = HANG_S + 5.0
_log = logging.getLogger(__name__)


class UnusableSetting(Exception):
    """What was asked for does not exist here; the message says what."""


async def supervise(settings: Settings, command: Sequence[str] = COMMAND) -> int:
    """Serve until SIGTERM or SIGINT; a second signal ends the drain. Returns the exit code.

    Raises:
        StartError: the server could not start.
        UnusableSetting: the same for a setting.
    """
    ending = Ending()
    ending.follow_signals()
    with ExitStack() as kept:
        listen = _reserve(kept, settings.listen, "--listen")
        admin = _reserve(kept, settings.admin_listen, "--admin-listen") if settings.admin_listen else ""
        if warning := exposure(settings):
            _log.warning("%s", warning)
        supervisor = Supervisor(replace(settings, listen=listen, admin_listen=admin), command)
        metrics = MetricsOfAll(lambda: supervisor.children, settings)
        supervisor.ended.append(metrics.ended)
        try:
            metrics.listen()
            return await supervisor.serve(ending)
        finally:
            await asyncio.to_thread(metrics.close)


def _reserve(kept: ExitStack, text: str, flag: str) -> str:
    """Keep an address for the processes; returns it with its port."""
    address = parse_address(text)
    try:
        return str(kept.enter_context(address.reserved()))
    except AddressInUseError as error:
        raise StartError(f"cannot listen on {address}: {error}. Try another {flag}") from None


class Supervisor:
    """The processes of one server. Used on the event loop only.

    Attributes:
        ended: told of each process that has ended.
    """

    def __init__(self, settings: Settings, command: Sequence[str] = COMMAND) -> None:
        self._settings = settings
        self._share = share_of(settings)
        self._command = command
        self._children: dict[int, Child] = {}
        self._agreement = Agreement(lambda: self.children, self._replace)
        self._all_here = asyncio.Event()
        self._serving = asyncio.Event()
        self._failed = asyncio.Event()
        self._failure: Exception | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._short_lives = 0
        self._ending = False
        self._exit_code = 0
        self.ended: list[Callable[[int], None]] = []

    @property
    def children(self) -> list[Child]:
        """The processes that run."""
        return list(self._children.values())

    async def serve(self, ending: Ending) -> int:
        """Start them, print the address once all serve, and end them; returns the exit code.

        Raises:
            StartError, UnusableSetting: they could not start.
        """
        numbers = range(1, self._settings.processes + 1)
        keeping = {number: asyncio.create_task(self._keep(number)) for number in numbers}
        await _first(ending.stop, self._failed, self._serving)
        if self._serving.is_set():
            _log.info("%d processes serve %s", len(keeping), self._settings.listen)
            await tell_address(self._settings.listen)
        await _first(ending.stop, self._failed)
        await self._end(ending, keeping)
        if self._failure is not None:
            raise self._failure
        return self._exit_code

    async def _end(self, ending: Ending, keeping: dict[int, asyncio.Task[None]]) -> None:
        """Have all finish their calls, side by side, and wait for them."""
        self._ending = True
        # One that hangs does not answer; it has its time, and is killed.
        telling = [asyncio.create_task(child.tell("drain")) for child in self.children]
        telling.append(asyncio.create_task(self._force_when(ending.force)))
        running = [task for number, task in keeping.items() if number in self._children]
        if running:
            await asyncio.wait(running, timeout=self._settings.drain_s + _LAST_S)
        for child in self.children:
            _log.error("process %d does not end; it is killed", child.number)
            child.kill()
        if self._children:
            await asyncio.wait(running)
        left = [*telling, *keeping.values()]
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _force_when(self, force: asyncio.Event) -> None:
        await force.wait()
        await asyncio.gather(*(child.tell("force") for child in self.children))

    async def _keep(self, number: int) -> None:
        """Have a process of this number, again and again."""
        joins = False
        while not self._ending:
            child = await Child.start(Birth(number, joins, self._share), self._answer, self._command)
            self._children[number] = child
            watching = asyncio.create_task(self._watch(child))
            code = await child.run()
            watching.cancel()
            await self._left(child)
            if self._ending:
                self._exit_code = self._exit_code or int(code != 0)
                return
            pause_s = self._note_end(child, code)
            if pause_s is None:
                return
            await asyncio.sleep(pause_s)
            joins = True

    async def _watch(self, child: Child) -> None:
        """End one that serves and hangs."""
        while True:
            await asyncio.sleep(_ASK_INTERVAL_S)
            if child.ready_s is None:
                continue
            try:
                async with asyncio.timeout(_HANGS_S):
                    await child.tell("ping")
            except TimeoutError:
                _log.error("process %d has not answered for %.3g s; it is killed", child.number, _HANGS_S)
                child.kill()
                return

    async def _left(self, child: Child) -> None:
        del self._children[child.number]
        for tell in self.ended:
            tell(child.number)
        # Another one has to load what the label file says, perhaps; the next one does not wait for that.
        settling = asyncio.create_task(self._agreement.left(child))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        await self._share_health()

    def _note_end(self, child: Child, code: int) -> float | None:
        """Seconds until another one takes its place; None if the server ends."""
        message, fatal_code = child.fatal
        how = message or f"it ended with {how_it_ended(code)}"
        if not self._serving.is_set():
            told = message or f"process {child.number} ended with {how_it_ended(code)} while the server started"
            self._fail(UnusableSetting(told) if fatal_code == _EXIT_USAGE else StartError(told))
            return None
        if code == 0:
            _log.info("process %d was told to end; another one takes its place", child.number)
            return 0.0
        short = child.served_s < STEADY_S
        self._short_lives = self._short_lives + 1 if short else 0
        if self._short_lives > MOST_SHORT_LIVES:
            self._exit_code = EXIT_CRASH_LOOP
            _log.error(
                "%d processes ended one after another, the last one, process %d, because: %s; the server ends",
                *(self._short_lives, child.number, how),
            )
            self._fail(None)
            return None
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (self._short_lives - 1)) if short else 0.0
        _log.error("process %d is replaced in %.1f s: %s", child.number, pause_s, how)
        return pause_s

    def _fail(self, failure: Exception | None) -> None:
        if not self._failed.is_set():
            self._failure = failure
            self._failed.set()

    def _replace(self, child: Any, why: str) -> None:
        """It cannot have what the others have."""
        _log.error("process %d cannot follow the others: %s", child.number, why)
        child.kill()

    async def _answer(self, child: Child, name: str, **arguments: Any) -> Any:
        """What a process asks for."""
        agreed = ("expect", "alone", "release", "load", "tell", "freed", "tallies")
        if name in agreed:
            return await getattr(self._agreement, name)(child, **arguments)
        asked: dict[str, Callable[..., Awaitable[None]]] = {
            "join": self._join,
            "started": self._started,
            "ready": self._ready,
            "fatal": self._fatal,
            "health": self._health,
        }
        return await asked[name](child, **arguments)

    async def _join(self, child: Child) -> None:
        """It can be asked from now on. At the start all wait for all; later it gets what the others have."""
        if child.joins:
            await self._agreement.join(child)
            await child.tell("started")
            return
        child.follows = True
        if sum(each.follows for each in self.children) == self._settings.processes:
            self._all_here.set()
        await self._all_here.wait()

    async def _started(self, _: Child) -> None:
        await asyncio.gather(*(each.tell("started") for each in self.children))

    async def _ready(self, child: Child) -> None:
        child.ready_s = time.monotonic()
        if child.joins:
            _log.info("process %d serves, in the place of one that ended", child.number)
        if sum(each.ready_s is not None for each in self.children) == self._settings.processes:
            self._serving.set()

    async def _fatal(self, child: Child, message: str, code: int) -> None:
        child.fatal = message, code

    async def _health(self, child: Child, silent: list[str]) -> None:
        child.silent = frozenset(silent)
        await self._share_health()

    async def _share_health(self) -> None:
        """Let each say of a service that it serves only where all others do."""
        children = [child for child in self.children if child.follows]
        others = {
            child: frozenset[str]().union(*(other.silent for other in children if other is not child))
            for child in children
        }
        await asyncio.gather(*(child.tell("health", silent=sorted(silent)) for child, silent in others.items()))


async def _first(*events: asyncio.Event) -> None:
    """Wait for one of them."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
