"""What the processes of one server tell each other of its models (``explicate serve --processes``).

A change is made by the process that is asked for it, the leader of that change, as if it were alone, with three steps
more. It is the only one that changes the model, in any process. Once it has loaded a version itself the others load it,
before it is said to be ready anywhere: where one of them refuses it, the version is refused, and everything stays as it
was. At the end, be the change made or refused, the others take over what the leader has now: labels, traffic, and which
versions are in memory. Only then the change is answered.

A process that starts later takes over the same.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from explicate_server.registry.records import UNKNOWN_VERSION, ModelEntry, State, VersionRecord


class Peers:
    """The other processes of this server. Here there are none.

    Attributes:
        processes: how many there are with this one; each loads a version of its own.
    """

    processes = 1

    async def expect(self, models: list[str]) -> None:
        """These models are being started."""

    @asynccontextmanager
    async def alone(self, model: str) -> AsyncIterator[None]:  # noqa: ARG002 - those that have others use it
        """Nobody else changes the model as long as the block lasts."""
        yield

    async def load(self, record: VersionRecord) -> None:
        """Have a version loaded everywhere; nothing is said of it yet.

        Raises:
            NotServable: one of them refuses it.
        """

    async def tell(self, entry: ModelEntry) -> None:
        """Have what this process has of a model taken over everywhere."""

    async def freed(self, record: VersionRecord) -> None:
        """Wait until a version has left the memory everywhere."""

    async def tallies(self) -> "list[Tally]":
        """What each of them counts."""
        return []


@dataclass(frozen=True)
class Tally:
    """What a process counts, for JSON.

    Attributes:
        leases: requests that versions answer, by ``model/version``.
        shadows: sums of comparisons with canaries, by model; see ``Comparison.sums``.
        requests: sums of the requests of the Open Inference Protocol, by ``model/version``; see ``RequestSums``.
    """

    leases: Mapping[str, int]
    shadows: Mapping[str, Mapping[str, Any]]
    requests: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ModelStanding:
    """What the processes have in common of a model, in numbers and words that JSON knows.

    Attributes:
        targets: version, previous and newest by label.
        loaded: versions in memory.
        refused: reason and code of versions that were refused, by version.
    """

    targets: Mapping[str, tuple[int, int, int]]
    canary_share: float
    shadow_share: float
    follows_newest: bool
    fault: str
    started: bool
    loaded: list[int]
    refused: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, entry: ModelEntry) -> "ModelStanding":
        """As it is in this process."""
        refused = {
            str(version): (record.reason, record.code)
            for version, record in entry.records.items()
            if record.state is State.FAILED and version != UNKNOWN_VERSION
        }
        return cls(
            {name: (target.version, target.previous, target.newest) for name, target in entry.targets.items()},
            entry.traffic.canary_share,
            entry.traffic.shadow_share,
            entry.follows_newest,
            entry.fault,
            entry.started,
            [version for version, record in entry.records.items() if record.loaded is not None],
            refused,
        )

    def document(self) -> dict[str, Any]:
        """For JSON; ``ModelStanding(**document)`` is the same again."""
        return asdict(self)
