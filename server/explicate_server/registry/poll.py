"""The control mode "watch": new versions in the repository are loaded and made live without being asked.

A version counts when its folder is complete: the manifest is there, and every file it lists has its size. Publishers
rename a whole folder into location, so theirs are from the start; a folder that is being copied is left alone until it
is. A version that an operator has rolled back is older than what was live before, and is not made live again. One that
was refused is tried again when its files change, and now and then where it was not the version that was to blame.
"""

import asyncio
import logging
import math
from collections import defaultdict
from pathlib import Path

from explicate_bundle.bundle import what_is_missing
from explicate_bundle.repository import BundleLocation, list_bundles
from explicate_server.errors import Conflict, ServerError
from explicate_server.registry.label_store import LIVE
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.records import ModelEntry, State

_Stamp = tuple[tuple[str, int, int], ...]
# Refusals that may pass without a change of the files.
_PASSING = ("NOT_ENOUGH_MEMORY", "LABELS_READ_ONLY")
# After how many looks such a version is tried again, which reads all its files: a minute, by default.
_LOOKS_BETWEEN = 12
_log = logging.getLogger(__name__)


class RepositoryPoll:
    """Looks through the repository, now and then."""

    def __init__(self, registry: ModelRegistry, repository: Path, *, interval_s: float) -> None:
        self._registry = registry
        self._repository = repository
        self._interval_s = interval_s
        self._tried: dict[tuple[str, int], _Stamp] = {}
        self._looks = 0
        self._try_again: dict[tuple[str, int], int] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look()
            except OSError as error:  # a network file system comes back
                _log.warning("cannot read the repository %s: %s", self._repository, error)

    async def look(self) -> None:
        """Look once; returns when all that was new is live or refused.

        Raises:
            OSError: the repository cannot be read.
        """
        self._looks += 1
        locations = defaultdict(list)
        for location in await asyncio.to_thread(list_bundles, self._repository):
            locations[location.model].append(location)
        for entry in self._registry.entries:
            locations.setdefault(entry.name, [])
        for model, of_model in locations.items():
            try:
                entry = await self._registry.refreshed(model)
            except ServerError:  # its last version has gone
                continue
            await self._advance(entry, of_model)

    async def _advance(self, entry: ModelEntry, locations: list[BundleLocation]) -> None:
        """Make the newest version live that is newer than any that was, and can be."""
        target = entry.targets.get(LIVE)
        live = target.version if target else 0
        newest_known = target.newest_ever if target else 0
        if entry.fault:
            return
        for location in sorted(locations, key=lambda location: -location.version):
            if location.version <= newest_known or not await self._is_due(entry, location):
                continue
            try:
                await self._registry.changes.activate(entry, location.version, label=LIVE, expected=live, keep=False)
            except Conflict:  # an operator was faster; the next look sees what that one wants
                self._tried.pop((location.model, location.version))
                return
            except ServerError as error:
                _log.warning("%s/%d was not made live: %s", location.model, location.version, error)
                if error.reason in _PASSING:
                    self._try_again[location.model, location.version] = self._looks + _LOOKS_BETWEEN
            else:
                return

    async def _is_due(self, entry: ModelEntry, location: BundleLocation) -> bool:
        """Whether it is complete, and was not tried as it is now."""
        key, stamp = (location.model, location.version), await asyncio.to_thread(_stamp, location.folder)
        record = entry.records.get(location.version)
        if record is None or (self._tried.get(key) == stamp and self._looks < self._try_again.get(key, math.inf)):
            return False
        missing = await asyncio.to_thread(what_is_missing, location.folder)
        if missing and record.state is State.AVAILABLE:
            record.reason = f"not complete yet: {missing}"
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
