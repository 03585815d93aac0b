"""What an operator does to a model: load, unload, move labels, share traffic.

A label moves only to a version that is loaded: it is verified, tried and warmed up beside the old one, then one
reference is switched. Requests that hold a lease end on the version they began with, which is freed after the last of
them. A change that fails leaves labels and versions as they were.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from explicate_server.errors import Conflict, NotFound, NotServable
from explicate_server.registry.label_store import (
    CANARY,
    MAX_LABELS,
    NO_TRAFFIC,
    Assignment,
    LabelStore,
    LabelTarget,
    Traffic,
)
from explicate_server.registry.lifecycle import Lifecycle, Watches, ended, start_task
from explicate_server.registry.records import ModelEntry, VersionRecord

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelMove:
    """A label that points at ``record`` now, and at ``previous`` before, which is 0 if it is new."""

    record: VersionRecord
    previous: int


def _exclusive(
    change: Callable[Concatenate["ModelChanges", ModelEntry, _P], Awaitable[_T]],
) -> Callable[Concatenate["ModelChanges", ModelEntry, _P], Awaitable[_T]]:
    """Make a change when no other change of the model is going on; to its end, even when the caller leaves."""

    @wraps(change)
    async def alone(changes: "ModelChanges", entry: ModelEntry, /, *arguments: _P.args, **named: _P.kwargs) -> _T:
        async def locked() -> _T:
            async with entry.lock:
                return await change(changes, entry, *arguments, **named)

        return await asyncio.shield(start_task(locked(), changes.running))

    return alone


class ModelChanges:
    """Changes models, one change of a model at a time. Used on the event loop only.

    Attributes:
        running: the changes that are going on.
    """

    def __init__(self, lifecycle: Lifecycle, store: LabelStore, watches: Watches, *, keep_previous: bool) -> None:
        self._lifecycle = lifecycle
        self._store = store
        self._watches = watches
        self._keep_previous = keep_previous
        self.running: set[asyncio.Task[Any]] = set()

    @_exclusive
    async def load(self, entry: ModelEntry, version: int | None) -> VersionRecord:
        """Load a version, or the newest; it gets no label.

        Raises:
            NotFound: there is no such version.
            NotServable: it was refused, with the reason.
        """
        record = _record(entry, version)
        await self._lifecycle.ensure_loaded(record)
        return record

    async def unload(self, entry: ModelEntry, version: int) -> VersionRecord:
        """Free a version, and return when its last request was answered and its memory given back.

        Raises:
            NotFound: there is no such version.
            NotServable: a label points at it, or it is not loaded.
        """
        record = await self._let_go(entry, version)
        await ended(record.freeing)
        return record

    @_exclusive
    async def _let_go(self, entry: ModelEntry, version: int) -> VersionRecord:
        record = _record(entry, version)
        if record.labels:
            labels = ", ".join(record.labels)
            raise NotServable("VERSION_IN_USE", f"{record.name} is labelled {labels}; move or remove that first")
        if record.loaded is None and record.freeing is None:
            raise NotServable("MODEL_NOT_LOADED", f"{record.name} is {record.state.name.lower()}, not loaded")
        self._lifecycle.free(record)
        return record

    @_exclusive
    async def activate(
        self, entry: ModelEntry, version: int, *, label: str, expected: int | None = None, keep: bool = True
    ) -> LabelMove:
        """Point a label at a version, loaded first. ``expected``: where it must point now, 0 for nowhere.

        ``keep`` writes it to the label file; without, only where there is such a file already.

        Raises:
            Conflict: the label points elsewhere.
            NotFound: there is no such version.
            NotServable: it was refused, or the label cannot be kept; the label is where it was.
        """
        return await self._switch(entry, _record(entry, version), label, expected=expected, keep=keep)

    @_exclusive
    async def roll_back(self, entry: ModelEntry, *, label: str, expected: int | None = None) -> LabelMove:
        """Point a label where it pointed before. At once where that version is still loaded.

        Raises:
            Conflict: the label points elsewhere than ``expected``.
            NotFound: there is no such label, or the version before has gone.
            NotServable: it never pointed elsewhere; or as in :meth:`activate`.
        """
        target = _target(entry, label)
        if not target.previous:
            raise NotServable("NO_PREVIOUS_VERSION", f"{entry.name}@{label} has pointed at {target.version} only")
        return await self._switch(entry, _record(entry, target.previous), label, expected=expected, keep=True)

    @_exclusive
    async def remove_label(self, entry: ModelEntry, *, label: str, expected: int | None = None) -> VersionRecord:
        """Remove a label; the version it pointed at is freed unless another label holds it.

        Raises:
            Conflict, NotFound, NotServable: as in :meth:`roll_back`.
        """
        target = _target(entry, label)
        _expect(entry, label, expected)
        left = {name: other for name, other in entry.targets.items() if name != label}
        traffic = NO_TRAFFIC if label == CANARY else entry.traffic
        await self._keep(entry, left, traffic)
        record = entry.records[target.version]
        del entry.targets[label]
        entry.traffic = traffic
        _log.info("%s: label %s removed from version %d", entry.name, label, target.version)
        self._watches.tell(record)
        self._free_unheld(entry, target)
        return record

    @_exclusive
    async def set_traffic(self, entry: ModelEntry, traffic: Traffic) -> Traffic:
        """Say what the version labelled "canary" gets.

        Raises:
            NotFound: there is no such label, and the canary is to get something.
            NotServable: it cannot be kept.
        """
        if traffic != NO_TRAFFIC:
            _target(entry, CANARY)
        await self._keep(entry, entry.targets, traffic)
        entry.traffic = traffic
        _log.info("%s: %s", entry.name, traffic)
        return traffic

    async def close(self) -> None:
        """End all changes; what a thread has begun is left behind."""
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    async def _switch(
        self, entry: ModelEntry, record: VersionRecord, label: str, *, expected: int | None, keep: bool
    ) -> LabelMove:
        """The life of a swap: check, load beside, keep, switch, free."""
        _expect(entry, label, expected)
        old = entry.targets.get(label)
        version = record.location.version
        if old is not None and old.version == version and record.loaded is not None:
            if keep:  # it may be there because it is the newest; from now on because it was chosen
                await self._keep(entry, entry.targets, entry.traffic)
            return LabelMove(record, old.previous)
        if old is None and len(entry.targets) >= MAX_LABELS:
            raise NotServable("TOO_MANY_LABELS", f"{entry.name} has {MAX_LABELS} labels; remove one first")
        keep = keep or await asyncio.to_thread(self._store.exists, entry.name)
        try:
            if keep:
                await asyncio.to_thread(self._store.check_writable, entry.name)
            loaded = await self._lifecycle.ensure_loaded(record)
            target = old.moved_to(version) if old else LabelTarget(version)
            if keep:
                await self._keep_or_free(entry, {**entry.targets, label: target}, record if loaded else None)
        except NotServable:
            self._lifecycle.outcomes[entry.name, "swap", "failed"] += 1
            raise
        entry.targets[label], entry.fault = target, ""
        self._lifecycle.outcomes[entry.name, "swap", "ok"] += 1
        _log.info("%s: label %s moved from version %d to %d", entry.name, label, target.previous, version)
        touched = {target.version, target.previous} & entry.records.keys()
        self._watches.tell(*(entry.records[touched_version] for touched_version in touched))
        if old is not None:
            self._free_unheld(entry, old)
        return LabelMove(record, target.previous)

    async def _keep_or_free(
        self, entry: ModelEntry, targets: Mapping[str, LabelTarget], loaded: VersionRecord | None
    ) -> None:
        try:
            await self._keep(entry, targets, entry.traffic)
        except NotServable:
            if loaded is not None:
                self._lifecycle.free(loaded)
            raise

    async def _keep(self, entry: ModelEntry, targets: Mapping[str, LabelTarget], traffic: Traffic) -> None:
        await asyncio.to_thread(self._store.write, entry.name, Assignment(dict(targets), traffic))

    def _free_unheld(self, entry: ModelEntry, left: LabelTarget) -> None:
        """Free what no label holds any more after one has left ``left``."""
        for version in {left.version, left.previous}:
            record = entry.records.get(version)
            if record is not None and not entry.is_kept(record, keep_previous=self._keep_previous):
                self._lifecycle.free(record)


def _record(entry: ModelEntry, version: int | None) -> VersionRecord:
    if version is None and entry.records:
        return entry.newest_first[0]
    record = entry.records.get(version or 0)
    if record is None:
        raise not_found("VERSION_NOT_FOUND", "version", f"{entry.name}/{version}")
    return record


def _target(entry: ModelEntry, label: str) -> LabelTarget:
    target = entry.targets.get(label)
    if target is None:
        raise not_found("LABEL_NOT_FOUND", "label", f"{entry.name}@{label}")
    return target


def _expect(entry: ModelEntry, label: str, expected: int | None) -> None:
    target = entry.targets.get(label)
    current = target.version if target else 0
    if expected is not None and expected != current:
        points = f"points at version {current}" if current else "does not exist"
        raise Conflict("LABEL_MOVED", f"{entry.name}@{label} {points}, {expected} was expected; look at it again")


def not_found(reason: str, resource_type: str, resource_name: str) -> NotFound:
    """The error for something that does not exist."""
    return NotFound(
        reason,
        f"there is no {resource_type} {resource_name!r}",
        resource_type=resource_type,
        resource_name=resource_name,
    )
