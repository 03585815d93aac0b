"""The models this server knows: what their versions are doing, which one answers a request, and leases on it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from explicate.reading.nearest import did_you_mean
from explicate_bundle.repository import PassedOver, in_words, list_models, list_versions
from explicate_server.errors import NotFound, NotServable, NotServing
from explicate_server.registry.changes import ModelChanges, check_in_place, check_started, not_found
from explicate_server.registry.label_store import CANARY, LIVE, LabelStore
from explicate_server.registry.lifecycle import Lifecycle, Watches
from explicate_server.registry.loading import BundleLoader, cause
from explicate_server.registry.peers import Peers
from explicate_server.registry.records import ModelEntry, ServedModel, VersionRecord
from explicate_server.registry.starting import ModelStart, PassedOverLog, unlistable
from explicate_server.settings import Settings

_log = logging.getLogger(__name__)


class ModelRegistry:
    """All models of a repository. Used on the event loop only, but for ``close``.

    Attributes:
        lifecycle: what brings versions into memory, and frees them.
        changes: what changes models.
        watches: who is told of changes.
        started: whether every model was started, be it in vain.
    """

    def __init__(self, settings: Settings, loader: BundleLoader | None = None, *, peers: Peers | None = None) -> None:
        self._repository = settings.repository
        self._chosen = settings.chosen_models
        self._store = LabelStore(settings.kept_in)
        self._entries: dict[str, ModelEntry] = {}
        self._listed = False
        self._passed_over = PassedOverLog()
        self.watches = Watches(settings.processes)
        self.lifecycle = Lifecycle(
            loader or BundleLoader(settings), self.watches, max_loads=settings.max_loads, peers=peers
        )
        self.changes = ModelChanges(
            self.lifecycle,
            self._store,
            self.watches,
            keep_previous=settings.keep_previous,
            in_place=settings.swap_in_place,
        )
        self._start = ModelStart(self._repository, self._store, self.lifecycle, self.watches)
        self.started = False

    async def load_repository(self, *, all_chosen: bool = True) -> None:
        """Start every model: load what its labels want, side by side with the others. Each serves as soon as it can.

        Raises:
            OSError: the repository cannot be read.
            LookupError: one of the chosen models is not in it, and ``all_chosen`` must be.
        """
        all_names = await self._list_models()
        names = self._among_chosen(all_names)
        for missing in sorted(set(self._chosen) - set(names)):
            told = f"--models names {missing!r}, which is no model of {self._repository}; {self._there_are(all_names)}"
            if all_chosen:
                raise LookupError(told)
            _log.warning("%s", told)
        self.expect(names)
        await self.lifecycle.peers.expect(names)
        await asyncio.gather(*(self._start_one(entry) for entry in self.entries))
        self.started = True

    def expect(self, models: Sequence[str]) -> None:
        """These are the models that will be started; it is known from now on which there are."""
        self._entries |= {name: ModelEntry(name) for name in models if name not in self._entries}
        self._listed = True

    def expected(self, model: str) -> ModelEntry:
        """A model that another process has, known here or not."""
        return self._entries.setdefault(model, ModelEntry(model))

    def forget_without_versions(self, entry: ModelEntry) -> None:
        """A model of which the repository has nothing is none."""
        if not entry.records:
            self._entries.pop(entry.name, None)

    async def settle(self, entry: ModelEntry) -> None:
        """Do what the label file says, after a process ended in the middle of a change. Nobody else changes it."""
        async with entry.lock:
            await self.list_versions(entry)
            await self._start.reread_labels(entry)
            await self.lifecycle.peers.tell(entry)

    async def look(self) -> list[str]:
        """The names of the models to serve that the repository has now; what is none is mentioned in the log once.

        Raises:
            OSError: the repository cannot be read.
        """
        return self._among_chosen(await self._list_models())

    async def _list_models(self) -> list[str]:
        names, passed_over = await asyncio.to_thread(list_models, self._repository)
        self._passed_over.note("", [entry for entry in passed_over if not self._chosen or entry.path in self._chosen])
        return names

    def _among_chosen(self, names: list[str]) -> list[str]:
        return [name for name in names if not self._chosen or name in self._chosen]

    @property
    def passed_over(self) -> list[PassedOver]:
        """Entries of the repository that are not served, with why."""
        return self._passed_over.entries

    def _there_are(self, names: list[str]) -> str:
        hint = f"; passed over: {in_words(self.passed_over)}" if self.passed_over else ""
        return (f"there are {', '.join(names)}" if names else "none of them is there") + hint

    async def _start_one(self, entry: ModelEntry) -> None:
        async with entry.lock:
            try:
                await self.list_versions(entry)
                await self._start.labels(entry)
                await self._start.load(entry)
            except Exception as error:  # what is wrong with one model must not affect the others
                entry.fault = entry.fault or cause(error)
                _log.error("%s could not be started: %s", entry.name, entry.fault, exc_info=error)
            entry.started = True
            await self.lifecycle.peers.tell(entry)
        self.forget_without_versions(entry)

    def lease(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        inputs_digest: Callable[[], bytes] | None = None,
    ) -> AbstractContextManager[ServedModel]:
        """The version that answers a request, held for as long as the block lasts.

        ``inputs_digest`` gives the SHA-256 of its inputs, by which the canary's share is told; it is asked only where
        neither a version nor a label is named and the canary has a share.

        Raises:
            NotFound: no such model, version or label.
            NotServable: the version is not loaded.
            NotServing: the server is still loading, or the version makes room for the next.
        """
        if version is None and label is None and inputs_digest is not None and self._is_canarys(model, inputs_digest):
            label = CANARY
        return self._serving(self.find(model, version=version, label=label)).lease()

    def find(self, model: str, *, version: int | None = None, label: str | None = None) -> VersionRecord:
        """The record of a version in any state.

        Raises:
            NotFound: no such model, version or label.
            NotServable: no version is live, or nobody knows which.
            NotServing: the model is not started yet.
        """
        entry = self.known(model)
        record = entry.records.get(version) if version is not None else entry.labelled(label or LIVE)
        if version is None and (record is None or record.loaded is None):
            check_started(entry)  # a description without columns and methods would be taken for the model's
        if record is not None:
            return record
        check_started(entry)
        if version is not None:
            raise not_found("VERSION_NOT_FOUND", "version", f"{model}/{version}", entry.versions_told)
        if entry.fault:
            raise NotServable("LABELS_UNREADABLE", entry.fault)
        if label in (None, LIVE):
            raise NotServable("MODEL_NOT_LOADED", _why_nothing_is_live(entry))
        raise not_found("LABEL_NOT_FOUND", "label", f"{model}@{label}", did_you_mean(label or LIVE, entry.targets))

    def known(self, model: str) -> ModelEntry:
        """A model that is known.

        Raises:
            NotFound: it is not.
            NotServing: the repository was not looked through yet.
        """
        entry = self._entries.get(model)
        if entry is None:
            self.check_listed()
            raise self._no_such_model(model)
        return entry

    async def refreshed(self, model: str) -> ModelEntry:
        """A model with the versions that its folder has now, and labels where they were not known before.

        Raises:
            NotFound: there is no such model.
            NotServing: it is not started yet.
        """
        self.check_listed()
        entry = self._entries.get(model)
        if entry is None and (not self._chosen or model in self._chosen):
            entry = self._entries[model] = ModelEntry(model, started=True, fault="its labels were not read yet")
        if entry is None:
            raise self._no_such_model(model)
        check_started(entry)
        await self.list_versions(entry)
        if entry.records and entry.fault:
            async with entry.lock:
                await self._start.labels(entry)
        self.forget_without_versions(entry)
        return self.known(model)

    async def list_versions(self, entry: ModelEntry) -> None:
        """Look which versions of a model the repository has now."""
        try:
            locations, passed_over = await asyncio.to_thread(list_versions, self._repository, entry.name)
        except OSError as error:
            self._passed_over.note(entry.name, [unlistable(entry.name, error)])
            self.watches.tell(*entry.miss(self._repository, error))
            return
        self._passed_over.note(entry.name, passed_over)
        self.watches.tell(*(record for records in entry.merge(locations) for record in records))

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

    @property
    def waits_for_operator(self) -> bool:
        """Whether what operators have kept is in the way: another label may be all it takes."""
        return any(entry.fault or not entry.follows_newest for entry in self.entries)

    async def close(self) -> None:
        """End all work, stop every batcher and let go of what was loaded, so that its memory is given back."""
        self.watches.close()
        await self.changes.close()
        await self.lifecycle.close()
        for record in self.records:
            await self.lifecycle.drop(record)

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

    def check_listed(self) -> None:
        """Send those away who ask before it is known which models there are.

        Raises:
            NotServing: it is not.
        """
        if not self._listed:
            raise NotServing("STARTING", "try again shortly", retry_after_s=1.0)

    def _no_such_model(self, model: str) -> NotFound:
        """The error, with the nearest names: every caller who comes this far may list the models."""
        return not_found("MODEL_NOT_FOUND", "model", model, did_you_mean(model, self._entries))

    def _is_canarys(self, model: str, inputs_digest: Callable[[], bytes]) -> bool:
        entry = self._entries.get(model)
        if entry is None or not entry.traffic.canary_share:
            return False
        canary = entry.labelled(CANARY)
        return canary is not None and canary.loaded is not None and entry.traffic.answers(inputs_digest())

    def _serving(self, record: VersionRecord) -> ServedModel:
        if record.loaded is None:
            entry = self.known(record.location.model)
            check_started(entry)
            check_in_place(entry, record)
            raise NotServable(
                "MODEL_NOT_LOADED", f"{record.name} is {record.state.name.lower()}, not loaded. {record.reason}".strip()
            )
        return record.loaded


def _why_nothing_is_live(entry: ModelEntry) -> str:
    reasons = [record.reason for record in entry.newest_first if record.reason]
    if reasons:
        return f"no version of {entry.name!r} could be loaded: {reasons[0]}"
    return f"no version of {entry.name!r} is labelled {LIVE}; `explicate models activate` labels one"
