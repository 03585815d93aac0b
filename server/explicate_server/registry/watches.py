"""Telling watchers what changed: the newest state of each version, never a queue of old ones."""

import asyncio
from collections.abc import AsyncGenerator

from explicate_server.errors import NotServing, Overloaded
from explicate_server.registry.records import VersionRecord

_MOST_WATCHES = 64


class Watches:
    """All watches of one server. Used on the event loop only.

    A watch holds a set of the versions that changed since it was last read: at most one entry for each version,
    however slow the reader.
    """

    def __init__(self) -> None:
        self._watches: set[_Watch] = set()
        self._closed = False

    def tell(self, *records: VersionRecord) -> None:
        """These have changed."""
        for watch in self._watches:
            for record in records:
                watch.changed[record.location.model, record.location.version] = record
            watch.wake.set()

    async def changes(self) -> AsyncGenerator[list[VersionRecord]]:
        """What changed since the first step, again and again; an empty list first, as soon as it listens.

        Raises:
            Overloaded: there are too many watches.
            NotServing: the server shuts down.
        """
        if len(self._watches) >= _MOST_WATCHES:
            raise Overloaded("TOO_MANY_WATCHES", f"{_MOST_WATCHES} calls watch already", retry_after_s=5.0)
        watch = _Watch()
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
