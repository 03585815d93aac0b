"""Two registries of one repository that have the same of each model, whichever makes a change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from explicate_server.errors import NotServable, ServerError
from explicate_server.processes.line_channel import Gone, Refused
from explicate_server.processes.model_agreement import Agreement
from explicate_server.registry.following import Following
from explicate_server.registry.label_store import LIVE, Assignment, LabelStore, LabelTarget, Traffic
from explicate_server.registry.models import ModelRegistry
from explicate_server.registry.peers import ModelStanding, Peers
from explicate_server.registry.poll import RepositoryPoll
from explicate_server.registry.records import ModelEntry, State, VersionRecord
from explicate_server.settings import Settings
from support.versions import break_golden, copy_with_constant_version, publish_copy


class _Member(Peers):
    """A process without the process: its registry, and what others ask of it."""

    processes = 2

    def __init__(self, number: int, repository: Path, agreement: Agreement) -> None:
        self.number, self.follows, self.gone = number, True, False
        self.asked: list[str] = []
        self.refuses = ""
        self._agreement = agreement
        settings = Settings(repository=repository, device="cpu", threads=1, processes=2)
        self.registry = ModelRegistry(settings, peers=self)
        self._following = Following(self.registry, repository)

    async def expect(self, models: list[str]) -> None:
        await self._agreement.expect(self, models)

    @asynccontextmanager
    async def alone(self, model: str) -> AsyncIterator[None]:
        await self._agreement.alone(self, model)
        try:
            yield
        finally:
            if not self.gone:
                await self._agreement.release(self, model)

    async def load(self, record: VersionRecord) -> None:
        try:
            await self._agreement.load(self, record.location.model, record.location.version)
        except Refused as refusal:
            raise NotServable(refusal.reason, refusal.detail) from None

    async def tell(self, entry: ModelEntry) -> None:
        if not self.gone:
            await self._agreement.tell(self, entry.name, ModelStanding.of(entry).document())

    async def freed(self, record: VersionRecord) -> None:
        await self._agreement.freed(self, record.location.model, record.location.version)

    async def call(self, name: str, **arguments: Any) -> None:
        self.asked.append(name)
        if self.gone:
            raise Gone
        if self.refuses == name:
            raise Refused("NOT_ENOUGH_MEMORY", "0 MiB are free")
        if name == "expect":
            self.registry.expect(arguments["models"])
        elif name == "follow":
            await self._following.follow(arguments["model"], ModelStanding(**arguments["standing"]))
        elif name == "settle":
            await self.registry.settle(self.registry.expected(arguments["model"]))
        else:
            await getattr(self._following, name)(**arguments)

    def entry(self) -> ModelEntry:
        return self.registry.known("tiny")

    def seen(self) -> tuple[Any, ...]:
        """What a caller can see of the model."""
        entry = self.entry()
        states = {version: (record.state, record.reason) for version, record in sorted(entry.records.items())}
        loaded = [version for version, record in entry.records.items() if record.loaded]
        return dict(entry.targets), entry.traffic, entry.follows_newest, states, sorted(loaded)


class _Group:
    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.members: list[_Member] = []
        self.broken: list[tuple[int, str]] = []
        self.agreement = Agreement(
            lambda: list(self.members), lambda member, why: self.broken.append((member.number, why))
        )

    def add(self) -> _Member:
        self.members.append(_Member(len(self.members) + 1, self.repository, self.agreement))
        return self.members[-1]


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    return copy_with_constant_version(tiny_repository, tmp_path / "repository")


@pytest.fixture
async def group(repository: Path) -> AsyncIterator[_Group]:
    made = _Group(repository)
    first, _ = made.add(), made.add()
    await first.registry.load_repository()
    for member in made.members:
        member.registry.started = True
    yield made
    for member in made.members:
        await member.registry.close()


async def test_what_the_first_one_loads_the_other_has_and_each_change_is_made_in_both(group: _Group) -> None:
    first, second = group.members
    assert first.seen() == second.seen()
    assert second.entry().targets == {LIVE: LabelTarget(2)}  # the newest
    await second.registry.changes.activate(await second.registry.refreshed("tiny"), 1, label=LIVE)
    assert first.entry().targets == second.entry().targets == {LIVE: LabelTarget(1, 2)}
    await first.registry.changes.activate(await first.registry.refreshed("tiny"), 2, label="canary")
    await second.registry.changes.set_traffic(second.entry(), Traffic(0.25, 0.5))
    assert first.seen() == second.seen()
    assert first.entry().traffic == Traffic(0.25, 0.5)
    assert first.seen()[-1] == [1, 2]
    await first.registry.changes.roll_back(first.entry(), label=LIVE)
    await second.registry.changes.remove_label(second.entry(), label="canary")
    assert first.seen() == second.seen()
    assert not group.broken


async def test_a_version_that_one_of_them_refuses_is_refused_and_nothing_is_left_of_it(group: _Group) -> None:
    first, second = group.members
    publish_copy(group.repository, 3)
    before = (dict(first.entry().targets), (group.repository / "tiny" / "labels.json").exists())
    second.refuses = "load"
    with pytest.raises(NotServable, match="tiny/3: process 2: 0 MiB are free") as refused:
        await first.registry.changes.activate(await first.registry.refreshed("tiny"), 3, label=LIVE)
    assert refused.value.reason == "NOT_ENOUGH_MEMORY"
    assert first.seen() == second.seen()
    assert first.entry().records[3].state is State.FAILED
    assert first.seen()[-1] == [2]
    assert (dict(second.entry().targets), (group.repository / "tiny" / "labels.json").exists()) == before


async def test_one_that_is_broken_everywhere_is_tried_once_and_told_by_both(group: _Group) -> None:
    first, second = group.members
    break_golden(publish_copy(group.repository, 3))
    second.asked.clear()
    with pytest.raises(NotServable, match=r"golden\.npz"):
        await first.registry.changes.activate(await first.registry.refreshed("tiny"), 3, label=LIVE)
    assert second.asked == ["follow"]
    assert first.seen() == second.seen()
    assert second.entry().records[3].state is State.FAILED


async def test_two_changes_of_one_model_are_made_one_after_the_other(group: _Group) -> None:
    first, second = group.members
    entries = [await member.registry.refreshed("tiny") for member in (first, second)]
    changes = [
        member.registry.changes.activate(entry, version, label=LIVE, expected=2)
        for member, entry, version in zip((first, second), entries, (1, 1), strict=True)
    ]
    done = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(isinstance(each, ServerError) for each in done) == [False, True]  # the label had moved
    assert first.seen() == second.seen()


async def test_one_of_them_makes_a_new_version_live_and_the_other_knows_of_it(group: _Group) -> None:
    first, second = group.members
    publish_copy(group.repository, 3)
    polls = [RepositoryPoll(member.registry, group.repository, interval_s=1.0) for member in group.members]
    polls[1].advances = False
    await polls[1].look()
    assert (second.entry().records[3].state, second.entry().targets[LIVE].version) == (State.AVAILABLE, 2)
    await polls[0].look()
    assert first.entry().targets == second.entry().targets == {LIVE: LabelTarget(3, 2)}
    assert first.seen() == second.seen()


async def test_one_that_starts_later_has_all_before_it_takes_calls(group: _Group) -> None:
    first, _ = group.members
    await first.registry.changes.activate(first.entry(), 1, label=LIVE)
    await first.registry.changes.activate(first.entry(), 2, label="kept")
    third = group.add()
    third.follows = False
    await group.agreement.join(third)
    assert third.follows
    assert third.seen() == first.seen()


async def test_one_that_cannot_have_what_the_others_have_does_not_join(group: _Group) -> None:
    third = group.add()
    third.follows, third.refuses = False, "follow"
    with pytest.raises(Refused, match="0 MiB"):
        await group.agreement.join(third)
    assert not third.follows


async def test_a_change_whose_process_ends_in_the_middle_is_settled_by_the_label_file(group: _Group) -> None:
    first, second = group.members
    await group.agreement.alone(first, "tiny")
    LabelStore(group.repository).write(
        "tiny", Assignment({LIVE: LabelTarget(1, 2)}, Traffic(0.0, 0.0), follows_newest=False)
    )
    waiting = asyncio.create_task(group.agreement.alone(second, "tiny"))
    first.gone = True
    group.members.remove(first)
    await group.agreement.left(first)
    assert second.entry().targets == {LIVE: LabelTarget(1, 2)}
    assert second.entry().records[1].loaded is not None
    await waiting  # and others can change it again
    third = group.add()
    third.follows = False
    await group.agreement.join(third)
    assert third.entry().targets == {LIVE: LabelTarget(1, 2)}


async def test_one_that_loaded_a_version_and_cannot_take_it_over_is_broken(group: _Group) -> None:
    first, second = group.members
    second.refuses = "follow"
    await first.registry.changes.activate(first.entry(), 1, label=LIVE)
    assert group.broken == [(2, "0 MiB are free")]


async def test_memory_must_hold_a_version_for_each_of_them(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = _Group(repository)
    first, _ = group.add(), group.add()
    size = (repository / "tiny" / "1" / "model.onnx").stat().st_size
    reserve = first.registry.lifecycle.loader.memory.host.reserve_bytes
    first.registry.lifecycle.loader.memory.host.free = lambda: reserve + 2 * size - 1
    await first.registry.load_repository()
    assert {record.code for record in first.entry().records.values()} == {"NOT_ENOUGH_MEMORY"}
    first.registry.lifecycle.loader.memory.host.free = lambda: reserve + 2 * size + 1
    await first.registry.changes.load(first.entry(), 1)
    for member in group.members:
        await member.registry.close()
