"""The versions this server knows: which are broken, which serve, and leases on those that do."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

from explicate_server.errors import NotFound, NotServable, NotServing
from explicate_server.modalities.base import Modality
from explicate_server.modalities.registry import open_modality
from explicate_server.options import Choices
from explicate_server.outputs import Scales
from explicate_server.registry.bundle import BundleError, VerifiedBundle, verify_bundle
from explicate_server.registry.repository import BundlePlace, list_bundles
from explicate_server.registry.runtime_choice import NoRuntime, choose_runtime
from explicate_server.registry.trial import Trial
from explicate_server.runtime.base import Runtime
from explicate_server.runtime.batch_cost import BatchCost, calibrate
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.registry import usable_cores
from explicate_server.settings import Settings

LIVE = "live"
# Failures whose message says all there is to say; the others leave a trace in the log.
_EXPLAINED = (BundleError, NoRuntime)
_log = logging.getLogger(__name__)


class State(Enum):
    """The life of a version in this server."""

    AVAILABLE = 1
    LOADING = 2
    READY = 3
    FAILED = 4


@dataclass
class ServedModel:
    """A loaded version with everything that answers for it."""

    bundle: VerifiedBundle
    modality: Modality
    runtime: Runtime
    batcher: Batcher
    trials: Sequence[Trial] = ()
    """How the runtimes did that were tried, the one that serves first."""
    leases: int = 0

    @cached_property
    def labels(self) -> Sequence[str]:
        """Labels of the outputs, by index: of the classes, or the name of what a regression predicts."""
        return tuple(self.bundle.manifest.class_labels) or (self.bundle.manifest.target_name,)

    @cached_property
    def scales(self) -> Scales:
        """What is kept of its answers."""
        return Scales(len(self.labels), self.bundle.kind.predicts)

    @cached_property
    def choices(self) -> Choices:
        """What may be asked about it."""
        return Choices(self.labels, self.scales.spaces, self.modality.maskings, self.modality.granularities)


@dataclass
class VersionRecord:
    """What is known of one version in the repository."""

    place: BundlePlace
    state: State = State.AVAILABLE
    reason: str = ""
    labels: list[str] = field(default_factory=list)
    bundle: VerifiedBundle | None = None
    served: ServedModel | None = None


class ModelRegistry:
    """All versions of a repository; the newest intact one of each model serves under the label ``live``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records: dict[tuple[str, int], VersionRecord] = {}
        self._loaded = False

    async def load_repository(self, repository: Path) -> None:
        """Verify, load and warm up the newest intact version of each model.

        A version that fails is recorded with its reason, and the next older one is tried.

        Raises:
            OSError: the repository cannot be read.
        """
        for place in list_bundles(repository):
            self._records[place.model, place.version] = VersionRecord(place)
        for model in sorted({model for model, _ in self._records}):
            for record in sorted(self._of(model), key=lambda record: -record.place.version):
                if await self._load(record):
                    record.labels.append(LIVE)
                    break
        self._loaded = True

    @contextmanager
    def lease(self, model: str, *, version: int | None = None, label: str | None = None) -> Iterator[ServedModel]:
        """The version that answers a request, held for as long as the request lasts.

        Raises:
            NotFound: no such model, version or label.
            NotServable: the version is not loaded.
            NotServing: the server is still loading.
        """
        if not self._loaded:
            raise NotServing("STARTING", "try again shortly", retry_after_s=1.0)
        served = self._serving(self.find(model, version=version, label=label))
        served.leases += 1
        try:
            yield served
        finally:
            served.leases -= 1

    def find(self, model: str, *, version: int | None = None, label: str | None = None) -> VersionRecord:
        """The record of a version, whatever its state.

        Raises:
            NotFound: no such model, version or label.
        """
        records = self._of(model)
        if not records:
            raise _not_found("MODEL_NOT_FOUND", "model", model)
        if version is not None:
            record = self._records.get((model, version))
            if record is None:
                raise _not_found("VERSION_NOT_FOUND", "version", f"{model}/{version}")
            return record
        for record in records:
            if (label or LIVE) in record.labels:
                return record
        if label in (None, LIVE):
            raise NotServable("MODEL_NOT_LOADED", f"no version of {model!r} could be loaded: {records[-1].reason}")
        raise _not_found("LABEL_NOT_FOUND", "label", f"{model}@{label}")

    @property
    def records(self) -> list[VersionRecord]:
        """Every known version, by model, then version."""
        return [self._records[key] for key in sorted(self._records)]

    @property
    def ready(self) -> list[ServedModel]:
        """The versions that serve."""
        return [record.served for record in self.records if record.served is not None]

    def close(self) -> None:
        """Stop every batcher."""
        for served in self.ready:
            served.batcher.close()

    def _of(self, model: str) -> list[VersionRecord]:
        return [record for (name, _), record in sorted(self._records.items()) if name == model]

    def _serving(self, record: VersionRecord) -> ServedModel:
        if record.served is None:
            name = f"{record.place.model}/{record.place.version}"
            raise NotServable(
                "MODEL_NOT_LOADED", f"{name} is {record.state.name.lower()}, not loaded. {record.reason}".strip()
            )
        return record.served

    async def _load(self, record: VersionRecord) -> bool:
        place = record.place
        record.state = State.LOADING
        try:
            record.bundle = await asyncio.to_thread(
                verify_bundle, place.folder, model=place.model, version=place.version
            )
            record.served = await self._serve(record.bundle)
        except Exception as error:  # whatever is wrong with one bundle must not touch the others
            record.state, record.reason = State.FAILED, _cause(error)
            _log.error(
                "%s/%d refused: %s",
                place.model,
                place.version,
                record.reason,
                exc_info=not isinstance(error, _EXPLAINED),
            )
            return False
        record.state = State.READY
        runtime = record.served.runtime
        _log.info("%s/%d ready on %s in %s", place.model, place.version, runtime.name, runtime.precision)
        return True

    async def _serve(self, bundle: VerifiedBundle) -> ServedModel:
        settings = self._settings
        modality = open_modality(bundle, settings)
        runtime, trials = await asyncio.to_thread(
            choose_runtime,
            bundle,
            modality,
            runtime=settings.runtime,
            threads=settings.threads or usable_cores(),
        )
        cost = await asyncio.to_thread(_batch_cost, bundle, modality, runtime)
        manifest = bundle.manifest
        batcher = Batcher(
            runtime,
            modality.collate,
            outputs=max(1, len(manifest.class_labels)),
            max_queued_rows={
                Priority.PREDICT: settings.max_queued_rows,
                Priority.BULK: settings.max_queued_bulk_rows,
            },
            name=f"{manifest.model}-{manifest.version}",
            cost=cost,
        )
        return ServedModel(bundle, modality, runtime, batcher, trials)


def _batch_cost(bundle: VerifiedBundle, modality: Modality, runtime: Runtime) -> BatchCost:
    """What batches take on this device, measured with a golden input."""
    row = modality.encode(bundle.golden().inputs[-1]).row
    return calibrate(
        lambda batch: runtime.run(modality.collate(batch)),
        lambda length: modality.stretched(row, length),
        batch_tokens=modality.batch_tokens(runtime),
        max_length=modality.max_length,
    )


def _cause(error: Exception) -> str:
    return str(error) if isinstance(error, _EXPLAINED) else f"{type(error).__name__}: {error}"


def _not_found(reason: str, resource_type: str, resource_name: str) -> NotFound:
    return NotFound(
        reason,
        f"there is no {resource_type} {resource_name!r}",
        resource_type=resource_type,
        resource_name=resource_name,
    )
