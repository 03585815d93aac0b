"""Versions on their way into memory and out of it again.

A version takes requests while its record says who serves it. It is freed in two steps: nobody can lease it any more,
and after the last lease its lanes are stopped and the last reference is dropped, in a thread.
"""

import asyncio
import logging
import time
import weakref
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from explicate_server.errors import NotServable, NotServing, Overloaded
from explicate_server.modalities.modalities import bytes_beside
from explicate_server.registry.loading import EXPLAINED, BundleLoader, cause, code_of, graph_bytes
from explicate_server.registry.memory import give_back
from explicate_server.registry.peers import Peers
from explicate_server.registry.records import ServedModel, State, VersionRecord
from explicate_server.registry.required.required_standard import RequiredStandard
from explicate_server.shared_room import Lack, SharedRoom

_MOST_WATCHES = 64
_WATCH_RETRY_S = 5.0


class Watches:
    """All watches of one server. Used on the event loop only.

    A watch holds a set of the versions that changed since it was last read: at most one entry for each version,
    however slow the reader.
    """

    def __init__(self, processes: int = 1) -> None:
        """There may be as many in all ``processes`` of a server as in one."""
        self._watches: set[_Watch] = set()
        self._room = SharedRoom(_MOST_WATCHES // processes)
        self._closed = False

    def tell(self, *records: VersionRecord) -> None:
        """These have changed."""
        for watch in self._watches:
            for record in records:
                watch.changed[record.location.model, record.location.version] = record
            watch.wake.set()

    async def changes(self, caller: str = "") -> AsyncGenerator[list[VersionRecord]]:
        """What changed since the first step, again and again; an empty list first, as soon as it listens.

        Raises:
            Overloaded: there are too many watches, in all or of the caller.
            NotServing: the server shuts down.
        """
        self._check_room(caller)
        watch = _Watch()
        with self._room.place(caller):
            self._watches.add(watch)
            try:
                yield []
                while not self._closed:
                    await watch.wake.wait()
                    watch.wake.clear()
                    changed, watch.changed = watch.changed, {}
                    if changed:
                        yield [changed[key] for key in sorted(changed)]
                raise NotServing("DRAINING", "watch another server", retry_after_s=1.0)
            finally:
                self._watches.discard(watch)

    def _check_room(self, caller: str) -> None:
        missing = self._room.lack(caller)
        if missing is Lack.SHARE:
            detail = f"{self._room.held(caller)} watches of yours are open; the rest is kept for others"
            raise Overloaded("CALLER_LIMIT", detail, retry_after_s=_WATCH_RETRY_S)
        if missing:
            detail = f"{self._room.taken} calls watch already"
            raise Overloaded("TOO_MANY_WATCHES", detail, retry_after_s=_WATCH_RETRY_S)

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._watches)

    @property
    def pending(self) -> int:
        """Versions that wait to be told, over all watches."""
        return sum(len(watch.changed) for watch in self._watches)

    def close(self) -> None:
        """End every watch, so that a drain does not wait for readers who never leave."""
        self._closed = True
        for watch in self._watches:
            watch.wake.set()


class _Watch:
    def __init__(self) -> None:
        self.changed: dict[tuple[str, int], VersionRecord] = {}
        self.wake = asyncio.Event()


# Calls have ended when a server closes; a lease that outlives them must not hold it up.
_LAST_LEASES_S = 5.0
# The code of a version that will be loaded when others are.
WAITS = "WAITS"
# The code of a version that makes room for the next, and is loaded again if that is refused.
SWAPPING = "SWAPPING"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Lifecycle:
    """Loads and frees versions, and tells watchers. Used on the event loop only.

    Attributes:
        loader: makes what serves of a bundle.
        on_freed: told the digest of each bundle that has left the memory.
        outcomes: how often each ("load", "swap", "free") had each outcome ("ok", "failed"), by model.
        load_s: seconds that the last load of each model took.
        standard: what bundles are held to; None if this server requires none.
    """

    def __init__(self, loader: BundleLoader, watches: Watches, *, max_loads: int, peers: Peers | None = None) -> None:
        """``max_loads`` versions are loaded side by side, the others in the order in which they were asked for.

        ``peers`` load what is loaded here.
        """
        self.loader = loader
        self.peers = peers or Peers()
        self._turns = asyncio.Semaphore(max_loads)
        self._watches = watches
        self._freeing: set[asyncio.Task[Any]] = set()
        self.on_freed: list[Callable[[str], None]] = []
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.load_s: dict[str, float] = {}
        self.standard: RequiredStandard | None = None

    async def ensure_loaded(self, record: VersionRecord, *, follows: bool = False) -> bool:
        """Load a version unless it is; whether that took a load. The caller holds the model's lock.

        The peers load it too, unless this one ``follows`` one of them: then it is said to be ready by :meth:`show`.

        Raises:
            NotServable: it was refused; the record has the reason.
        """
        await ended(record.freeing)
        if record.loaded is not None:
            return False
        if self._turns.locked():
            self._set(record, State.AVAILABLE, "it waits until others are loaded (--max-loads)", code=WAITS)
        async with self._turns:
            self._set(record, State.LOADING)
            refusal = await self._load(record, follows=follows)
        self.outcomes[record.location.model, "load", "failed" if refusal else "ok"] += 1
        if refusal is None:
            return True
        # Raised outside the handler of its cause, whose frames would keep what was loaded so far in
        await asyncio.to_thread(give_back)
        raise refusal

    def show(self, record: VersionRecord) -> None:
        """Say that a version is ready that the peers have as well."""
        if record.loaded is not None and record.state is State.LOADING:
            self._set(record, State.READY)

    async def check_in_place_of(self, leaving: VersionRecord, record: VersionRecord) -> None:
        """Look whether a version can take the place of another one, before that one is unloaded for it.

        Raises:
            NotServable: its files are not what they should be, or it is too large even then; the record has the reason.
        """
        refusal = None
        try:
            bundle = await self.loader.verify(record.location)
            if self.standard is not None:
                await self.standard.check(record, bundle)
            gone = 0 if leaving.bundle is None else graph_bytes(leaving.bundle)
            memory, beside = self.loader.memory, bytes_beside(bundle)
            memory.check_in_place(record.location.model, graph_bytes(bundle), gone, beside_bytes=beside)
        except Exception as error:
            refusal = self._refused(record, error)
        if refusal is not None:
            raise refusal

    def free(self, record: VersionRecord, reason: str = "", *, code: str = "") -> None:
        """Let nobody lease it from now on, and free it after the last lease; ``reason`` says why it is not loaded."""
        if record.loaded is None:
            return
        served, record.loaded = record.loaded, None
        record.leaving = weakref.ref(served)
        self._set(record, State.UNLOADING)
        record.freeing = start_task(self._freed(record, [served], reason, code), self._freeing)

    async def drop(self, record: VersionRecord) -> None:
        """Free a version whatever leases there are, and tell nobody: the server ends."""
        if record.loaded is not None:
            only, record.loaded = [record.loaded], None
            await asyncio.to_thread(_dispose, only)

    async def close(self) -> None:
        """Begin no more loads, and wait for what is being freed; nobody may hold a lease for long any more."""
        self.loader.close()
        if self._freeing:
            await asyncio.wait(self._freeing, timeout=_LAST_LEASES_S)

    async def _load(self, record: VersionRecord, *, follows: bool) -> NotServable | None:
        record.bundle = record.required = None
        begun_s = time.monotonic()
        try:
            record.bundle = await self.loader.verify(record.location)
            if self.standard is not None:
                await self.standard.let_in(record, record.bundle, follows=follows)
            copies = 1 if follows else self.peers.processes
            only = [await self.loader.load(record.bundle, copies=copies)]
            if not follows:
                await self._load_everywhere(record, only)
            record.loaded = only.pop()
        except Exception as error:  # what is wrong with one bundle must not affect the others
            if self.standard is not None:
                self.standard.refused(record, error)
            return self._refused(record, error)
        self.load_s[record.location.model] = time.monotonic() - begun_s
        runtime = record.loaded.runtime
        _log.info("%s ready on %s in %s", record.name, runtime.name, runtime.precision)
        if not follows:
            self._set(record, State.READY)
        return None

    async def _load_everywhere(self, record: VersionRecord, only: list[ServedModel]) -> None:
        """Have the peers load what is loaded here, which ``only`` holds; where one refuses it, let go of it."""
        try:
            await self.peers.load(record)
        except NotServable:
            await asyncio.to_thread(_dispose, only)
            raise

    def _refused(self, record: VersionRecord, error: Exception) -> NotServable:
        reason, code = cause(error), code_of(error)
        _log.error("%s refused: %s", record.name, reason, exc_info=not isinstance(error, EXPLAINED))
        self._set(record, State.FAILED, reason, code=code)
        violations = error.violations if isinstance(error, NotServable) else ()
        return NotServable(code, f"{record.name}: {reason}", violations=violations)

    async def _freed(self, record: VersionRecord, only: list[ServedModel], reason: str, code: str) -> None:
        """``only`` holds the one reference that is left, so that it can be dropped in a thread."""
        await only[0].idle.wait()
        digest = only[0].bundle.digest
        await asyncio.to_thread(_dispose, only)
        self.loader.memory.freed()
        if self.standard is not None:
            await self.standard.forget(record, comes_back=code == SWAPPING)
        for freed in self.on_freed:
            freed(digest)
        record.freeing = None
        self.outcomes[record.location.model, "free", "ok"] += 1
        _log.info("%s freed", record.name)
        self._set(record, State.AVAILABLE, reason, code=code)

    def _set(self, record: VersionRecord, state: State, reason: str = "", *, code: str = "") -> None:
        record.state, record.reason, record.code = state, reason, code
        self._watches.tell(record)


def start_task(work: Coroutine[Any, Any, _T], running: "set[asyncio.Task[Any]]") -> "asyncio.Task[_T]":
    """Work that nothing else holds on to, among those that are ``running``."""

    def done(task: "asyncio.Task[Any]") -> None:
        running.discard(task)
        if not task.cancelled():
            task.exception()  # else asyncio complains of one whose caller has left; the log has the reason already

    task = asyncio.create_task(work)
    running.add(task)
    task.add_done_callback(done)
    return task


def _dispose(only: list[ServedModel]) -> None:
    """Stop the lanes and drop the last reference. Blocks."""
    only[0].batcher.close()
    only.clear()
    give_back()


async def ended(task: "asyncio.Task[None] | None") -> None:
    """Wait for a task, if there is one; leaving the wait does not cancel it."""
    if task is not None:
        await asyncio.shield(task)
