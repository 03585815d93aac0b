"""What is known of each version of a model, and where the model's labels point."""

import asyncio
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.objective import CLASSIFICATION, Objective
from explicate_bundle.repository import BundleLocation
from explicate_server.explain.method import DRAWN, Method
from explicate_server.modalities.modality import BaselineChoices, Modality
from explicate_server.modalities.rows.cell_changes import CellAlternatives
from explicate_server.registry.device_sessions import Sessions
from explicate_server.registry.golden_check import Trial
from explicate_server.registry.label_store import LIVE, NO_TRAFFIC, Assignment, LabelTarget, Traffic
from explicate_server.registry.required.gate_verdict import Standing
from explicate_server.registry.required.recheck import Recheck
from explicate_server.runtime.batcher import Batcher
from explicate_server.runtime.model_runtime import Runtime


@dataclass(frozen=True)
class Scales:
    """The scales on which a model's answers are averaged and kept: one after the other, each with all outputs.

    Attributes:
        outputs: of the graph: classes, labels, or 1.
        objective: what they mean.
    """

    outputs: int
    objective: Objective = CLASSIFICATION

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the scales, the default first."""
        return self.objective.spaces

    def scores(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a caller is told of the graph's answers float64[…, outputs]: probabilities, or the values themselves."""
        return self.objective.scores(answers)

    @property
    def width(self) -> int:
        """How many numbers are kept of a coalition."""
        return self.outputs * len(self.spaces)

    def means(self, answers: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means float64[m, width] of the graph's answers float64[m, b, outputs], with weights float64[b]."""
        return np.concatenate([self.means_on(space, answers, weights) for space in self.spaces], axis=1)

    def means_on(self, space: str, answers: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same on one of the scales, float64[m, outputs]."""
        scaled = answers if space == self.spaces[-1] else self.scores(answers)
        return np.asarray(np.einsum("mbo,b->mo", scaled, weights))

    def of(self, kept: NDArray[np.float64], space: str) -> NDArray[np.float64]:
        """The outputs float64[m, outputs] on one scale of what was kept, float64[m, width]."""
        first = self.spaces.index(space) * self.outputs
        return kept[:, first : first + self.outputs]

    def raw(self, kept: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outputs on the graph's own scale: logits, or values."""
        return self.of(kept, self.spaces[-1])


@dataclass(frozen=True)
class Choices:
    """What may be asked about a model; see ``Modality`` for maskings, granularities, those that are ``counted``, what
    it ``tells``, what is ``untold``, ``baselines`` and ``alternatives``.

    Attributes:
        labels: of the outputs; a regression has one, the name of its target.
        scales: of its outputs.
    """

    labels: Sequence[str]
    scales: Scales
    maskings: Sequence[str]
    granularities: Sequence[str]
    reads: str
    counted: Sequence[str] = ()
    tells: Mapping[str, Collection[str] | None] = field(default_factory=dict)
    untold: Mapping[str, str] = field(default_factory=dict)
    baselines: BaselineChoices = field(default_factory=BaselineChoices)
    alternatives: CellAlternatives | None = None

    def fits(self, method: Method) -> bool:
        """Whether a method can explain the model: it may be of other kinds of input, or need what a bundle may lack."""
        reads = method.reads is None or self.reads in method.reads
        return (
            reads
            and (not method.drawn or DRAWN in self.maskings)
            and (method.needs is None or method.needs in self.tells)
        )

    def spaces_of(self, method: Method) -> Sequence[str]:
        """The scales that a method that :meth:`fits` can explain the outputs on, the default first."""
        told = None if method.needs is None else self.tells[method.needs]
        return [space for space in self.scales.spaces if told is None or space in told]


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class ServedModel:
    """A loaded version. It is freed when nobody can lease it any more and the last lease has ended."""

    bundle: VerifiedBundle
    modality: Modality
    batcher: Batcher
    sessions: Sessions
    """What it was loaded in, on which devices; `batcher` tells which of them still answer."""
    recheck: Recheck | None = None
    """What came of scoring test rows again; None if that was not asked for, or it keeps none."""
    leases: int = 0
    """Requests that it answers now."""
    idle: asyncio.Event = field(default_factory=_set_event, repr=False)
    """Set while there are no leases."""

    @contextmanager
    def lease(self) -> Iterator["ServedModel"]:
        """Hold it for as long as the block lasts."""
        self.leases += 1
        self.idle.clear()
        try:
            yield self
        finally:
            self.leases -= 1
            if not self.leases:
                self.idle.set()

    @cached_property
    def name(self) -> str:
        """Of the model."""
        return self.bundle.manifest.model

    @cached_property
    def version(self) -> int:
        """Its number."""
        return self.bundle.manifest.version

    @property
    def runtime(self) -> Runtime:
        """The session on the first device; the others are in the same runtime and precision."""
        return self.sessions.runtimes[0]

    @property
    def trials(self) -> Sequence[Trial]:
        """How the runtimes did that were tried, the one that serves first."""
        return self.sessions.trials

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
        modality, reads = self.modality, self.bundle.kind.reads.name
        maskings, granularities = modality.maskings, modality.granularities
        more = modality.counted, modality.tells, modality.untold, modality.baselines, modality.alternatives
        return Choices(self.labels, self.scales, maskings, granularities, reads, *more)


class State(Enum):
    """The life of a version in this server."""

    AVAILABLE = 1
    LOADING = 2
    READY = 3
    FAILED = 4
    UNLOADING = 5
    REMOVED = 6


_VERSIONS_TOLD = 10
UNKNOWN_VERSION = 0
"""In the place of the versions of a model whose folder cannot be read."""
MISSING = "VERSION_NOT_FOUND"
"""The code of a version that a label wants and the repository does not have."""


@dataclass
class VersionRecord:
    """What is known of one version in the repository."""

    location: BundleLocation
    targets: Mapping[str, LabelTarget]
    """Where the labels of its model point now."""
    state: State = State.AVAILABLE
    reason: str = ""
    """Why it is in this state, for people."""
    code: str = ""
    """The same in one word of the error catalogue, for metrics; empty where nothing is wrong."""
    bundle: VerifiedBundle | None = None
    required: Standing | None = None
    """How it meets the standard of this server, as of the last time it was loaded or refused; None if none is required
    or it was not judged yet."""
    loaded: ServedModel | None = None
    """Who takes its requests; set while it is ready."""
    leaving: "weakref.ref[ServedModel] | None" = None
    """Who ends the requests that began before it was to be freed."""
    freeing: "asyncio.Task[None] | None" = None
    """Ends when what it took of the memory was given back."""

    @property
    def name(self) -> str:
        """Such as ``reviews/3``."""
        version = self.location.version
        return f"{self.location.model}/{version}" if version != UNKNOWN_VERSION else self.location.model

    @property
    def standing(self) -> tuple[State, str, str]:
        """State, reason and code as they are told: one that is ready has failed once its last device was lost."""
        lost = self.loaded.batcher.lost if self.loaded else {}
        reason = "; ".join([*([self.reason] if self.reason else []), *(f"{name}: {why}" for name, why in lost.items())])
        if self.loaded and len(lost) == len(self.loaded.batcher.instances):
            return State.FAILED, reason, "DEVICE_LOST"
        return self.state, reason, self.code

    @property
    def leases(self) -> int:
        """Requests that it answers now."""
        answering = self.loaded or (self.leaving() if self.leaving else None)
        return answering.leases if answering else 0

    @property
    def labels(self) -> list[str]:
        """Labels that point at it, by name."""
        return sorted(label for label, target in self.targets.items() if target.version == self.location.version)

    @property
    def previous_of(self) -> list[str]:
        """Labels that pointed at it before they moved to where they are, by name."""
        return sorted(label for label, target in self.targets.items() if target.previous == self.location.version)


@dataclass(frozen=True)
class InPlace:
    """A swap that unloads before it loads: who has left, who comes, and when to ask again."""

    leaving: VersionRecord
    coming: VersionRecord
    retry_after_s: float


@dataclass
class ModelEntry:
    """One model: its versions, labels and traffic. A change of what is loaded or labelled holds ``lock``.

    ``targets`` is what is wanted: a label may point at a version that could not be loaded, and then nothing else
    answers in its place.
    """

    name: str
    records: dict[int, VersionRecord] = field(default_factory=dict)
    targets: dict[str, LabelTarget] = field(default_factory=dict)
    traffic: Traffic = NO_TRAFFIC
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    started: bool = False
    """Whether everything its labels want was loaded or refused once."""
    follows_newest: bool = True
    """Whether "live" is the newest intact version, for no operator has moved or removed it."""
    fault: str = ""
    """Why its labels are not known; no version is live then, even if its bundle is intact."""
    in_place: InPlace | None = None
    """The swap that keeps a labelled version from answering now."""

    @property
    def versions_told(self) -> str:
        """Which versions there are, for a message about one that there is not."""
        versions = [str(version) for version in sorted(self.records.keys() - {UNKNOWN_VERSION})]
        more = f" and {len(versions) - _VERSIONS_TOLD} before them" if len(versions) > _VERSIONS_TOLD else ""
        return f"; it has {', '.join(versions[-_VERSIONS_TOLD:])}{more}" if versions else ""

    def merge(self, locations: Iterable[BundleLocation]) -> tuple[list[VersionRecord], list[VersionRecord]]:
        """Take in what the repository has now; returns the records that are new, and those that have gone."""
        by_version = {location.version: location for location in locations}
        new = [
            VersionRecord(location, self.targets)
            for version, location in sorted(by_version.items())
            if version not in self.records or self.records[version].code == MISSING
        ]
        idle = (State.AVAILABLE, State.FAILED)
        gone = [
            record
            for version, record in self.records.items()
            if version not in by_version and record.state in idle and not record.labels
        ]
        for record in new:
            self.records[record.location.version] = record
        for version, location in by_version.items():
            if self.records[version].state in idle:  # a link may lead elsewhere now
                self.records[version].location = location
        for record in gone:
            record.state = State.REMOVED
            del self.records[record.location.version]
        return new, gone

    def miss(self, repository: Path, error: OSError) -> list[VersionRecord]:
        """Its folder cannot be listed: what is known stays, and a model of which nothing is known says so."""
        known = self.records.keys() - {UNKNOWN_VERSION}
        if known:
            return []
        reason = f"its folder cannot be listed: {error.strerror}"
        location = BundleLocation(self.name, UNKNOWN_VERSION, repository / self.name)
        record = VersionRecord(location, self.targets, State.FAILED, reason, "FILES_UNREADABLE")
        self.records[UNKNOWN_VERSION] = record
        return [record]

    def take(self, labels: Mapping[str, LabelTarget], repository: Path) -> list[VersionRecord]:
        """Want these labels; returns records of the versions among them that the repository does not have."""
        self.targets.update(labels)
        wanted = {target.version for target in labels.values()}
        unknown = self.records.get(UNKNOWN_VERSION)
        reason = unknown.reason if unknown else "it is not in the repository"
        missing = [
            VersionRecord(
                BundleLocation(self.name, version, repository / self.name / str(version)),
                self.targets,
                State.FAILED,
                reason,
                MISSING,
            )
            for version in sorted(wanted - self.records.keys())
        ]
        self.records.update({record.location.version: record for record in missing})
        return missing

    @property
    def assignment(self) -> Assignment:
        """What operators have chosen, as far as it is known here."""
        chosen = {name: target for name, target in self.targets.items() if name != LIVE or not self.follows_newest}
        return Assignment(chosen, self.traffic, self.follows_newest)

    @property
    def unserved(self) -> list[VersionRecord]:
        """Versions that are labelled and not loaded."""
        return [record for record in self.newest_first if record.labels and record.loaded is None]

    @property
    def newest_first(self) -> list[VersionRecord]:
        """The versions, the newest first."""
        return [self.records[version] for version in sorted(self.records, reverse=True)]

    def labelled(self, label: str) -> VersionRecord | None:
        """The version that a label points at."""
        target = self.targets.get(label)
        return self.records.get(target.version) if target else None

    def is_kept(self, record: VersionRecord, *, keep_previous: bool) -> bool:
        """Whether a label holds the version in memory; with ``keep_previous``, "live" holds the one before it too."""
        live = self.targets.get(LIVE)
        held = keep_previous and live is not None and live.previous == record.location.version
        return held or bool(record.labels)
