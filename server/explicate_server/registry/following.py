"""Taking over what another process of this server has made of its models; see `peers`."""

from pathlib import Path
from typing import Any

from explicate_server.errors import NotServable
from explicate_server.registry.label_store import LabelTarget, Traffic
from explicate_server.registry.lifecycle import ended
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.peers import ModelStanding
from explicate_server.registry.records import MISSING, ModelEntry, State, VersionRecord


class Following:
    """Has in this process what the leader of a change has. Used on the event loop only."""

    def __init__(self, registry: ModelRegistry, repository: Path) -> None:
        self._registry = registry
        self._repository = repository

    async def load(self, model: str, version: int) -> None:
        """Load a version that the leader has loaded; nothing is said of it until :meth:`follow`.

        Raises:
            NotServable: it is refused here.
        """
        entry = self._registry.expected(model)
        async with entry.lock:
            await self._registry.list_versions(entry)
            await self._load(entry, version)

    async def follow(self, model: str, standing: ModelStanding) -> None:
        """Have what the leader has: the versions in memory, then in one step the labels.

        Raises:
            NotServable: a version that it has is refused here; labels are as they were.
        """
        entry = self._registry.expected(model)
        async with entry.lock:
            await self._registry.list_versions(entry)
            for version in standing.loaded:
                await self._load(entry, version)
            self._take_over(entry, standing)
        if entry.started:
            self._registry.forget_without_versions(entry)

    async def freed(self, model: str, version: int) -> None:
        """Wait until a version has left the memory."""
        record = self._registry.expected(model).records.get(version)
        if record is not None:
            await ended(record.freeing)

    async def _load(self, entry: ModelEntry, version: int) -> None:
        record = entry.records.get(version)
        if record is None:
            raise NotServable("FILES_UNREADABLE", f"{entry.name}/{version} is not in the repository as it is seen here")
        await self._registry.lifecycle.ensure_loaded(record, follows=True)

    def _take_over(self, entry: ModelEntry, standing: ModelStanding) -> None:
        before = _told(entry)
        entry.targets.clear()
        entry.take({name: LabelTarget(*target) for name, target in standing.targets.items()}, self._repository)
        entry.traffic = Traffic(standing.canary_share, standing.shadow_share)
        entry.follows_newest, entry.fault, entry.started = standing.follows_newest, standing.fault, standing.started
        for version, record in entry.records.items():
            if version in standing.loaded:
                self._registry.lifecycle.show(record)
            elif record.loaded is not None:
                self._registry.lifecycle.free(record)
            else:
                _say_refused(record, *standing.refused.get(str(version), ("", "")))
        now = _told(entry)
        self._registry.watches.tell(*(entry.records[version] for version in now if now[version] != before.get(version)))


def _told(entry: ModelEntry) -> dict[int, Any]:
    """What watches are told of each version."""
    return {version: (record.standing, record.labels) for version, record in entry.records.items()}


def _say_refused(record: VersionRecord, reason: str, code: str) -> None:
    """Why the leader has not loaded a version, if that was refused."""
    if record.state in (State.AVAILABLE, State.FAILED) and record.code != MISSING:
        record.state = State.FAILED if reason or code else State.AVAILABLE
        record.reason, record.code = reason, code
