"""Starting a model: which versions its labels want, and loading them.

What an operator has chosen is served, or nothing is: a version that an operator has left is never taken in its place.
Only a model whose "live" nobody has moved follows its newest intact version. Nothing is written here.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from explicate_bundle.repository import PassedOver
from explicate_server.errors import NotServable
from explicate_server.registry.label_store import LIVE, Assignment, LabelFileError, LabelStore, LabelTarget
from explicate_server.registry.lifecycle import Lifecycle, Watches
from explicate_server.registry.records import MISSING, UNKNOWN_VERSION, ModelEntry, VersionRecord

_log = logging.getLogger(__name__)


class ModelStart:
    """Starts models. The caller holds the model's lock."""

    def __init__(self, repository: Path, store: LabelStore, lifecycle: Lifecycle, watches: Watches) -> None:
        self._repository = repository
        self._store = store
        self._lifecycle = lifecycle
        self._watches = watches

    async def labels(self, entry: ModelEntry) -> None:
        """Learn what was kept of a model's labels. Where that cannot be understood the model has none, and says why:
        its newest version may be the one that its operator has rolled back.
        """
        try:
            kept = await asyncio.to_thread(self._store.read, entry.name)
        except LabelFileError as error:
            if entry.fault != str(error):
                _log.error("%s: no version is live: %s", entry.name, error)
            self._fail(entry, str(error))
            return
        self._fail(entry, "")
        if kept is not None:
            entry.follows_newest, entry.traffic = kept.follows_newest, kept.traffic
            self._watches.tell(*entry.take(kept.labels, self._repository))

    async def reread_labels(self, entry: ModelEntry) -> None:
        """Take what was kept of a model's labels in the place of those that are known, and load what they want.

        Of a file that cannot be used nothing is taken.
        """
        try:
            kept = await asyncio.to_thread(self._store.read, entry.name) or Assignment()
        except LabelFileError as error:
            _log.error("%s: labels stay as they are: %s", entry.name, error)
            return
        for name in entry.targets.keys() - kept.labels.keys():
            if name != LIVE or not kept.follows_newest:
                del entry.targets[name]
        entry.follows_newest, entry.traffic = kept.follows_newest, kept.traffic
        self._watches.tell(*entry.take(kept.labels, self._repository))
        await self._load_labelled(entry)

    async def load(self, entry: ModelEntry) -> None:
        """Load what the labels want, "live" first."""
        if entry.fault:
            return
        if entry.follows_newest:
            await self._load_newest(entry)
        await self._load_labelled(entry)

    async def _load_labelled(self, entry: ModelEntry) -> None:
        for label in sorted(entry.targets, key=lambda label: (label != LIVE, label)):
            record = entry.labelled(label)
            if record is not None and not await self._loads(record):
                _log.error(
                    "%s: label %s wants version %d, which cannot be served, and nothing is served in its place: %s; "
                    "mend it and `explicate models load %s %d`, or activate another version",
                    *(entry.name, label, record.location.version, record.reason, entry.name, record.location.version),
                )

    async def _load_newest(self, entry: ModelEntry) -> None:
        """Let the newest intact version be live, which no operator has chosen and which is not kept."""
        for record in entry.newest_first:
            if await self._loads(record):
                entry.targets[LIVE] = LabelTarget(record.location.version)
                self._watches.tell(record)
                break
            if len(entry.records) > 1:
                _log.error("%s is the newest version and cannot be served; an older one is tried", record.name)

    async def _loads(self, record: VersionRecord) -> bool:
        if record.code == MISSING or record.location.version == UNKNOWN_VERSION:
            return False
        try:
            await self._lifecycle.ensure_loaded(record)
        except NotServable:
            return False
        return True

    def _fail(self, entry: ModelEntry, fault: str) -> None:
        """Say why no version is live, of the versions too; or that it is over."""
        if fault == entry.fault:
            return
        for record in entry.records.values():
            if record.reason == entry.fault:
                record.reason, record.code = "", ""
            if fault and record.loaded is None and not record.reason:
                record.reason, record.code = fault, "LABELS_UNREADABLE"
        entry.fault = fault
        self._watches.tell(*entry.records.values())


class PassedOverLog:
    """What of the repository is not served, by the model it belongs to; a warning the first time each is seen."""

    def __init__(self) -> None:
        self._of_model: dict[str, Sequence[PassedOver]] = {}

    def note(self, model: str, passed_over: Sequence[PassedOver]) -> None:
        """These are passed over now in the folder of a model, or in the repository for an empty name."""
        for entry in passed_over:
            if entry not in self._of_model.get(model, ()):
                _log.warning("passed over in the repository: %s", entry)
        self._of_model[model] = passed_over

    @property
    def entries(self) -> list[PassedOver]:
        """All of them, by path."""
        return sorted(entry for of_model in self._of_model.values() for entry in of_model)


def unlistable(model: str, error: OSError) -> PassedOver:
    """A model whose folder cannot be listed."""
    return PassedOver(model, f"its folder cannot be listed: {error.strerror}")
