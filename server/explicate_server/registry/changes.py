"""What an operator does to a model: load, unload, move labels, share traffic.

A label moves only to a version that is loaded: it is verified, tried and warmed up beside the old one, then one
reference is switched. Requests that hold a lease end on the version they began with, which is freed after the last of
them. A change that fails leaves labels and versions as they were.

Where memory does not hold both, a swap in place unloads the old version first: its requests end, the next ones are told
to come back, and it is loaded again when the new one is refused.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from explicate.reading.nearest import did_you_mean
from explicate_server.errors import Conflict, NotFound, NotServable, NotServing
from explicate_server.registry.label_store import (
    CANARY,
    LIVE,
    MAX_LABELS,
    NO_TRAFFIC,
    Assignment,
    LabelStore,
    LabelTarget,
    Traffic,
)
from explicate_server.registry.lifecycle import SWAPPING, Lifecycle, Watches, ended, start_task
from explicate_server.registry.records import UNKNOWN_VERSION, InPlace, ModelEntry, VersionRecord

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)
# When to ask again for a version that is swapped in place, at the earliest, and where no load was timed.
_SHORTEST_RETRY_S = 1.0


@dataclass(frozen=True)
class LabelMove:
    """A label that points at ``record`` now, and at ``previous`` before, which is 0 if it is new."""

    record: VersionRecord
    previous: int


def _exclusive(
    change: Callable[Concatenate["ModelChanges", ModelEntry, _P], Awaitable[_T]],
) -> Callable[Concatenate["ModelChanges", ModelEntry, _P], Awaitable[_T]]:
    """Make a change when no other change of the model is going on; to its end, even when the caller leaves.

    A model that is still being started is not changed: what its labels want is not all known before. What became of the
    model is told to the peers before the change is answered.
    """

    @wraps(change)
    async def alone(changes: "ModelChanges", entry: ModelEntry, /, *arguments: _P.args, **named: _P.kwargs) -> _T:
        check_started(entry)

        async def locked() -> _T:
            async with changes.peers.alone(entry.name), entry.lock:
                try:
                    return await change(changes, entry, *arguments, **named)
                finally:
                    await changes.peers.tell(entry)

        return await asyncio.shield(start_task(locked(), changes.running))

    return alone


class ModelChanges:
    """Changes models, one change of a model at a time. Used on the event loop only.

    Attributes:
        running: the changes that are going on.
        peers: the other processes of this server.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        store: LabelStore,
        watches: Watches,
        *,
        keep_previous: bool,
        in_place: bool = False,
    ) -> None:
        """``in_place`` unloads what a label leaves before the next version is loaded, and keeps no other then."""
        self._lifecycle = lifecycle
        self.peers = lifecycle.peers
        self._store = store
        self._watches = watches
        self._keep_previous = keep_previous and not in_place
        self._in_place = in_place
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

    @_exclusive
    async def serve_again(self, entry: ModelEntry, version: int) -> None:
        """Load a version that a label points at, unless none does any more.

        Raises:
            NotFound, NotServable: as in :meth:`load`.
        """
        record = _record(entry, version)
        if record.labels:
            await self._lifecycle.ensure_loaded(record)

    async def unload(self, entry: ModelEntry, version: int) -> VersionRecord:
        """Free a version, and return when its last request was answered and its memory given back.

        Raises:
            NotFound: there is no such version.
            NotServable: a label points at it, or it is not loaded.
        """
        record = await self._let_go(entry, version)
        await ended(record.freeing)
        await self.peers.freed(record)
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
        await self._keep(entry, lambda kept: kept.with_label(label, None))
        record = entry.records[target.version]
        del entry.targets[label]
        if label == CANARY:
            entry.traffic = NO_TRAFFIC
        if label == LIVE:
            entry.follows_newest = False
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
        await self._keep(entry, lambda kept: kept.with_traffic(traffic))
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
        if entry.fault and label != LIVE:
            raise NotServable("LABELS_UNREADABLE", entry.fault)
        old = entry.targets.get(label)
        if old is None and len(entry.targets) >= MAX_LABELS:
            raise NotServable("TOO_MANY_LABELS", f"{entry.name} has {MAX_LABELS} labels; remove one first")
        target = _moved(old, record.location.version)
        # Of what moves by itself only a label that an operator has chosen is kept.
        kept = target if keep or label != LIVE or not entry.follows_newest else None
        if target is old and record.loaded is not None:
            if kept:  # it may be there because it is the newest; from now on because it was chosen
                await self._keep_label(entry, label, kept)
            return LabelMove(record, target.previous)
        leaving = self._leaving(entry, record, label)
        try:
            if leaving is None:
                await self._load_and_keep(entry, record, label, kept)
            else:
                await self._load_in_place(entry, record, label, kept, leaving=leaving)
        except NotServable:
            self._lifecycle.outcomes[entry.name, "swap", "failed"] += 1
            raise
        entry.targets[label] = target
        self._lifecycle.outcomes[entry.name, "swap", "ok"] += 1
        _log.info("%s: label %s points at version %d, before at %d", entry.name, label, target.version, target.previous)
        touched = {target.version, target.previous} & entry.records.keys()
        self._watches.tell(*(entry.records[touched_version] for touched_version in touched))
        if old is not None:
            self._free_unheld(entry, old)
        return LabelMove(record, target.previous)

    def _leaving(self, entry: ModelEntry, record: VersionRecord, label: str) -> VersionRecord | None:
        """The version to unload before another is loaded in its place; None where both are to be in memory."""
        left = entry.labelled(label)
        if not self._in_place or left is None or record.loaded is not None:
            return None
        return left if left.loaded is not None and left.labels == [label] else None

    async def _load_in_place(
        self,
        entry: ModelEntry,
        record: VersionRecord,
        label: str,
        kept: LabelTarget | None,
        *,
        leaving: VersionRecord,
    ) -> None:
        """As :meth:`_load_and_keep`, after unloading ``leaving``, which is loaded again if that fails."""
        await self._lifecycle.check_in_place_of(leaving, record)
        load_s = self._lifecycle.load_s.get(entry.name, _SHORTEST_RETRY_S)
        entry.in_place = InPlace(leaving, record, max(_SHORTEST_RETRY_S, load_s))
        try:
            reason = f"it makes room for version {record.location.version} (--swap-in-place)"
            self._lifecycle.free(leaving, reason, code=SWAPPING)
            await ended(leaving.freeing)
            try:
                await self._load_and_keep(entry, record, label, kept)
            except NotServable as refusal:
                await ended(record.freeing)
                await self._come_back(leaving, refusal)
                raise
        finally:
            entry.in_place = None
        leaving.reason = leaving.code = ""

    async def _come_back(self, leaving: VersionRecord, refusal: NotServable) -> None:
        """Load the version again that has made room in vain.

        Raises:
            NotServable: it was refused, too; nothing serves now.
        """
        try:
            await self._lifecycle.ensure_loaded(leaving)
        except NotServable as error:
            raise NotServable(
                refusal.reason, f"{refusal.detail}; and what served before cannot be loaded again: {error.detail}"
            ) from refusal

    async def _load_and_keep(
        self, entry: ModelEntry, record: VersionRecord, label: str, kept: LabelTarget | None
    ) -> None:
        """Load a version, and write where a label is wanted if that is to be kept; neither if one fails."""
        if kept:
            await asyncio.to_thread(self._store.check_writable, entry.name)
        loaded = await self._lifecycle.ensure_loaded(record)
        try:
            if kept:
                await self._keep_label(entry, label, kept)
        except NotServable:
            if loaded:
                self._lifecycle.free(record)
            raise

    async def _keep_label(self, entry: ModelEntry, label: str, target: LabelTarget) -> None:
        # Only who says which version is live may replace a file that nobody understands.
        replaces = entry.assignment if label == LIVE else None
        await self._keep(entry, lambda kept: kept.with_label(label, target), in_place_of_broken=replaces)
        if label == LIVE:
            entry.follows_newest, entry.fault = False, ""

    async def _keep(
        self,
        entry: ModelEntry,
        change: Callable[[Assignment], Assignment],
        *,
        in_place_of_broken: Assignment | None = None,
    ) -> None:
        await asyncio.to_thread(self._store.update, entry.name, change, in_place_of_broken=in_place_of_broken)

    def _free_unheld(self, entry: ModelEntry, left: LabelTarget) -> None:
        """Free what no label holds any more after one has left ``left``."""
        for version in {left.version, left.previous}:
            record = entry.records.get(version)
            if record is not None and not entry.is_kept(record, keep_previous=self._keep_previous):
                self._lifecycle.free(record)


def check_started(entry: ModelEntry) -> None:
    """Send those away who come before a model is started.

    Raises:
        NotServing: it is not.
    """
    if not entry.started:
        first = next((f" ({record.reason})" for record in entry.newest_first if record.reason), "")
        raise NotServing("STARTING", f"{entry.name} is being loaded{first}; try again shortly", retry_after_s=1.0)


def check_in_place(entry: ModelEntry, record: VersionRecord) -> None:
    """Send those away who come for a version that makes room for the next.

    Raises:
        NotServing: it does.
    """
    swap = entry.in_place
    if swap is not None and swap.leaving is record:
        detail = f"{record.name} makes room for version {swap.coming.location.version}, which is being loaded"
        raise NotServing(SWAPPING, detail, retry_after_s=swap.retry_after_s)


def _moved(old: LabelTarget | None, version: int) -> LabelTarget:
    """Where a label points once it is moved to ``version``; ``old`` itself if it points there already."""
    if old is None:
        return LabelTarget(version)
    return old if old.version == version else old.moved_to(version)


def _record(entry: ModelEntry, version: int | None) -> VersionRecord:
    if UNKNOWN_VERSION in entry.records:
        raise NotServable("FILES_UNREADABLE", f"{entry.name}: {entry.records[UNKNOWN_VERSION].reason}")
    if version is None and entry.records:
        return entry.newest_first[0]
    record = entry.records.get(version or 0)
    if record is None:
        raise not_found("VERSION_NOT_FOUND", "version", f"{entry.name}/{version}", entry.versions_told)
    return record


def _target(entry: ModelEntry, label: str) -> LabelTarget:
    target = entry.targets.get(label)
    if target is None and entry.fault:
        raise NotServable("LABELS_UNREADABLE", entry.fault)
    if target is None:
        raise not_found("LABEL_NOT_FOUND", "label", f"{entry.name}@{label}", did_you_mean(label, entry.targets))
    return target


def _expect(entry: ModelEntry, label: str, expected: int | None) -> None:
    target = entry.targets.get(label)
    current = target.version if target else 0
    if expected is not None and expected != current:
        points = f"points at version {current}" if current else "does not exist"
        raise Conflict("LABEL_MOVED", f"{entry.name}@{label} {points}, {expected} was expected; look at it again")


def not_found(reason: str, resource_type: str, resource_name: str, near: str = "") -> NotFound:
    """The error for something that does not exist; ``near`` says what does."""
    detail = f"{resource_name!r}{near or '; `explicate models list` names them'}"
    return NotFound(reason, detail, resource_type=resource_type, resource_name=resource_name)
