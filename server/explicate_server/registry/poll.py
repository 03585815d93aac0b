"""The control mode "watch": new versions in the repository are loaded and made live without being asked.

A version counts when its folder is complete: the manifest is there, and every file it lists has its size. Publishers
rename a whole folder into location, so theirs are from the start; a folder that is being copied is left alone until it
is. A version that an operator has rolled back is older than what was live before, and is not made live again. One that
was refused is tried again when its files change, and now and then where it was not the version that was to blame. So is
one that a label wants: what an operator has chosen comes back by itself, and nothing is served in its place meanwhile.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable
from pathlib import Path

from explicate_bundle.bundle import what_is_missing
from explicate_server.errors import Conflict, ServerError
from explicate_server.registry.label_store import LIVE
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.records import ModelEntry, State, VersionRecord

_Stamp = tuple[tuple[str, int, int], ...]
# Refusals that may pass without a change of the files.
_PASSING = ("NOT_ENOUGH_MEMORY", "FILES_UNREADABLE", "LABELS_READ_ONLY", "LABELS_UNREADABLE")
# After how many looks such a version is tried again, which reads all its files: a minute, by default.
_LOOKS_BETWEEN = 12
_log = logging.getLogger(__name__)


class RepositoryPoll:
    """Looks through the repository, now and then.

    Attributes:
        advances: whether it loads what it finds; else only what there is becomes known, and another process does that.
    """

    advances = True

    def __init__(self, registry: ModelRegistry, repository: Path, *, interval_s: float) -> None:
        self._registry = registry
        self._repository = repository
        self._interval_s = interval_s
        self._tried: dict[tuple[str, int], _Stamp] = {}
        self._looks = 0
        self._try_again: dict[tuple[str, int], int] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        trouble = ""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look()
            except OSError as error:  # a network file system comes back
                if trouble != str(error):
                    _log.warning("cannot read the repository %s: %s", self._repository, error.strerror)
                trouble = str(error)
            else:
                trouble = ""

    async def look(self) -> None:
        """Look once; returns when all that was new is live or refused.

        Raises:
            OSError: the repository cannot be read.
        """
        self._looks += 1
        names = await self._registry.look()
        known = [entry.name for entry in self._registry.entries]
        await asyncio.gather(*map(self._look_at, dict.fromkeys([*names, *known])))

    async def _look_at(self, model: str) -> None:
        try:
            entry = await self._registry.refreshed(model)
            if self.advances:
                await self._advance(entry)
        except ServerError:  # its last version has gone
            pass
        except Exception:  # what is wrong with one model must not affect the others
            _log.exception("cannot look for versions of %s", model)

    async def _advance(self, entry: ModelEntry) -> None:
        """Load what labels want and was refused before, and make the newest version live that can be, of those that
        are newer than any that was.
        """
        target = entry.targets.get(LIVE)
        live = target.version if target else 0
        newest_known = target.newest_ever if target else 0
        if entry.fault:
            return
        for record in [] if entry.in_place else entry.unserved:
            if await self._is_due(record):
                await self._tried_to(record, self._registry.changes.serve_again(entry, record.location.version))
        for record in entry.newest_first:
            version = record.location.version
            if version <= newest_known or record.labels or not await self._is_due(record):
                continue
            goes_live = self._registry.changes.activate(entry, version, label=LIVE, expected=live, keep=False)
            if await self._tried_to(record, goes_live):
                return

    async def _tried_to(self, record: VersionRecord, change: Awaitable[object]) -> bool:
        """Whether a change was made; or an operator was faster, and the next look sees what that one wants."""
        key = record.location.model, record.location.version
        try:
            await change
        except Conflict:
            self._tried.pop(key, None)
        except ServerError as error:
            _log.warning("%s was not loaded and made live: %s", record.name, error)
            if error.reason in _PASSING:
                self._try_again[key] = self._looks + _LOOKS_BETWEEN
            return False
        return True

    async def _is_due(self, record: VersionRecord) -> bool:
        """Whether it is complete, and was not tried as it is now."""
        location = record.location
        key, stamp = (location.model, location.version), await asyncio.to_thread(_stamp, location.folder)
        if self._tried.get(key) == stamp and self._looks < self._try_again.get(key, math.inf):
            return False
        missing = await asyncio.to_thread(what_is_missing, location.folder)
        if missing and record.state is State.AVAILABLE:
            record.reason, record.code = f"not complete yet: {missing}", "INCOMPLETE"
        if missing:
            return False
        self._tried[key] = stamp
        self._try_again.pop(key, None)
        return True


def _stamp(folder: Path) -> _Stamp:
    """Changes whenever a file of the folder does."""
    try:
        seen = [(path.name, path.stat()) for path in folder.iterdir()]
    except OSError:  # it is going away
        return ()
    return tuple(sorted((name, status.st_size, status.st_mtime_ns) for name, status in seen))
