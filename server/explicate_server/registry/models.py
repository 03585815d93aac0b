"""The models this server knows: what their versions are doing, which one answers a request, and leases on it."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from explicate_bundle.repository import list_bundles, list_versions
from explicate_server.errors import NotServable, NotServing
from explicate_server.registry.changes import ModelChanges, not_found
from explicate_server.registry.label_store import CANARY, LIVE, LabelFileError, LabelStore, LabelTarget
from explicate_server.registry.lifecycle import Lifecycle, Watches
from explicate_server.registry.loading import BundleLoader
from explicate_server.registry.records import ModelEntry, ServedModel, VersionRecord
from explicate_server.settings import Settings

_log = logging.getLogger(__name__)


class ModelRegistry:
    """All models of a repository. Used on the event loop only, but for ``close``.

    Attributes:
        lifecycle: what brings versions into memory, and frees them.
        changes: what changes models.
        watches: who is told of changes.
        loaded: whether the repository was looked through; requests are refused before.
    """

    def __init__(self, settings: Settings, loader: BundleLoader | None = None) -> None:
        self._repository = settings.repository
        self._store = LabelStore(Path(settings.state_dir) if settings.state_dir else settings.repository)
        self._entries: dict[str, ModelEntry] = {}
        self.watches = Watches()
        self.lifecycle = Lifecycle(loader or BundleLoader(settings), self.watches)
        self.changes = ModelChanges(self.lifecycle, self._store, self.watches, keep_previous=settings.keep_previous)
        self.loaded = False

    async def load_repository(self) -> None:
        """Load what each model's labels point at; without labels its newest intact version, as "live".

        A version that fails is recorded with its reason, and for "live" another one is tried: the one before it, then
        the next older ones.

        Raises:
            OSError: the repository cannot be read.
        """
        for location in await asyncio.to_thread(list_bundles, self._repository):
            entry = self._entries.setdefault(location.model, ModelEntry(location.model))
            entry.records[location.version] = VersionRecord(location, entry.targets)
        for _, entry in sorted(self._entries.items()):
            async with entry.lock:
                await self._start(entry)
        self.loaded = True

    @contextmanager
    def lease(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        inputs_digest: Callable[[], bytes] | None = None,
    ) -> Iterator[ServedModel]:
        """The version that answers a request, held for as long as the request lasts.

        ``inputs_digest`` gives the SHA-256 of its inputs, by which the canary's share is told; it is asked only where
        neither a version nor a label is named and the canary has a share.

        Raises:
            NotFound: no such model, version or label.
            NotServable: the version is not loaded.
            NotServing: the server is still loading.
        """
        self._check_loaded()
        if version is None and label is None and inputs_digest is not None and self._is_canarys(model, inputs_digest):
            label = CANARY
        with self._serving(self.find(model, version=version, label=label)).lease() as served:
            yield served

    def find(self, model: str, *, version: int | None = None, label: str | None = None) -> VersionRecord:
        """The record of a version in any state.

        Raises:
            NotFound: no such model, version or label.
        """
        entry = self.known(model)
        if version is not None:
            if version not in entry.records:
                raise not_found("VERSION_NOT_FOUND", "version", f"{model}/{version}")
            return entry.records[version]
        record = entry.labelled(label or LIVE)
        if record is not None:
            return record
        if label in (None, LIVE):
            raise NotServable("MODEL_NOT_LOADED", _why_nothing_is_live(entry))
        raise not_found("LABEL_NOT_FOUND", "label", f"{model}@{label}")

    def known(self, model: str) -> ModelEntry:
        """A model that is known.

        Raises:
            NotFound: it is not.
        """
        entry = self._entries.get(model)
        if entry is None:
            raise not_found("MODEL_NOT_FOUND", "model", model)
        return entry

    async def refreshed(self, model: str) -> ModelEntry:
        """A model with the versions that its folder has now.

        Raises:
            NotFound: there is no such model.
            NotServing: the server is still loading.
        """
        self._check_loaded()
        locations = await asyncio.to_thread(list_versions, self._repository, model)
        entry = self._entries.get(model) or ModelEntry(model)
        self.watches.tell(*(record for records in entry.merge(locations) for record in records))
        if entry.records:
            self._entries[model] = entry
        else:
            self._entries.pop(model, None)
        return self.known(model)

    @property
    def entries(self) -> list[ModelEntry]:
        """Every known model, by name."""
        return [self._entries[name] for name in sorted(self._entries)]

    @property
    def records(self) -> list[VersionRecord]:
        """Every known version, by model, then version."""
        return [entry.records[version] for entry in self.entries for version in sorted(entry.records)]

    @property
    def ready(self) -> list[ServedModel]:
        """The versions that serve."""
        return [record.loaded for record in self.records if record.loaded is not None]

    async def close(self) -> None:
        """End all work and stop every batcher."""
        self.watches.close()
        await self.changes.close()
        await self.lifecycle.close()
        for served in self.ready:
            await asyncio.to_thread(served.batcher.close)

    def splits_traffic(self, model: str) -> bool:
        """Whether the inputs of a request decide which version answers it, or whether another one does too."""
        entry = self._entries.get(model)
        return entry is not None and bool(entry.traffic.canary_share or entry.traffic.shadow_share)

    def is_shadowed(self, live: ServedModel, inputs_digest: Callable[[], bytes]) -> bool:
        """Whether the canary answers a request too that ``live`` has answered, and that named no version."""
        manifest = live.bundle.manifest
        entry = self._entries.get(manifest.model)
        if entry is None or not entry.traffic.shadow_share:
            return False
        canary, target = entry.labelled(CANARY), entry.targets.get(LIVE)
        if canary is None or canary.loaded is None or target is None or target.version != manifest.version:
            return False
        return entry.traffic.shadows(inputs_digest())

    def _check_loaded(self) -> None:
        if not self.loaded:
            raise NotServing("STARTING", "try again shortly", retry_after_s=1.0)

    def _is_canarys(self, model: str, inputs_digest: Callable[[], bytes]) -> bool:
        entry = self._entries.get(model)
        if entry is None or not entry.traffic.canary_share:
            return False
        canary = entry.labelled(CANARY)
        return canary is not None and canary.loaded is not None and entry.traffic.answers(inputs_digest())

    def _serving(self, record: VersionRecord) -> ServedModel:
        if record.loaded is None:
            raise NotServable(
                "MODEL_NOT_LOADED", f"{record.name} is {record.state.name.lower()}, not loaded. {record.reason}".strip()
            )
        return record.loaded

    async def _start(self, entry: ModelEntry) -> None:
        """Serve a model as its label file says."""
        try:
            kept = await asyncio.to_thread(self._store.read, entry.name)
        except LabelFileError as error:
            # Not the newest instead: it may be the one that its operator has rolled back.
            entry.fault = str(error)
            for unserved in entry.records.values():
                unserved.reason = entry.fault
            _log.error("%s is not served: %s", entry.name, error)
            return
        labels = {LIVE: LabelTarget(entry.newest_first[0].location.version)} if kept is None else dict(kept.labels)
        if LIVE in labels:
            await self._start_live(entry, labels.pop(LIVE))
        for label, target in labels.items():
            record = entry.records.get(target.version)
            if record is not None and await self._loads(record):
                entry.targets[label] = target
            else:
                _log.error("%s: label %s is dropped, version %d is not served", entry.name, label, target.version)
        if kept is not None and CANARY in entry.targets:
            entry.traffic = kept.traffic

    async def _start_live(self, entry: ModelEntry, wanted: LabelTarget) -> None:
        older = [record.location.version for record in entry.newest_first if record.location.version < wanted.version]
        for version in dict.fromkeys([wanted.version, wanted.previous, *older]):
            record = entry.records.get(version)
            if record is not None and await self._loads(record):
                entry.targets[LIVE] = wanted if version == wanted.version else LabelTarget(version)
                return

    async def _loads(self, record: VersionRecord) -> bool:
        try:
            await self.lifecycle.ensure_loaded(record)
        except NotServable:
            return False
        return True


def _why_nothing_is_live(entry: ModelEntry) -> str:
    if entry.fault:
        return entry.fault
    reasons = [record.reason for record in entry.newest_first if record.reason]
    if reasons:
        return f"no version of {entry.name!r} could be loaded: {reasons[0]}"
    return f"no version of {entry.name!r} is labelled {LIVE}; ActivateVersion labels one"
