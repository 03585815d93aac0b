"""What labels hold in memory, and what becomes of versions whose folders come and go."""

from pathlib import Path

import pytest

from explicate_bundle.repository import BundleLocation
from explicate_server.registry.label_store import LabelTarget
from explicate_server.registry.records import ModelEntry, State


def places(*versions: int) -> list[BundleLocation]:
    return [BundleLocation("tiny", version, Path(f"tiny/{version}")) for version in versions]


@pytest.fixture
def entry() -> ModelEntry:
    entry = ModelEntry("tiny")
    entry.merge(places(1, 2, 3, 4))
    entry.targets |= {"live": LabelTarget(3, previous=2), "canary": LabelTarget(4, previous=1)}
    return entry


def test_a_record_knows_its_labels_from_where_they_point_now(entry: ModelEntry) -> None:
    entry.targets["stable"] = LabelTarget(3)
    assert [entry.records[version].labels for version in (1, 2, 3, 4)] == [[], [], ["live", "stable"], ["canary"]]
    assert [entry.records[version].previous_of for version in (1, 2, 3, 4)] == [["canary"], ["live"], [], []]
    entry.targets["live"] = LabelTarget(1, previous=3)
    assert entry.records[1].labels == ["live"]
    assert entry.records[3].previous_of == ["live"]


def test_labels_hold_their_versions_and_live_the_one_before_too(entry: ModelEntry) -> None:
    def kept(*, keep_previous: bool) -> list[int]:
        return [v for v, record in entry.records.items() if entry.is_kept(record, keep_previous=keep_previous)]

    assert kept(keep_previous=True) == [2, 3, 4]
    assert kept(keep_previous=False) == [3, 4]


def test_versions_come_and_go_but_for_those_in_use(entry: ModelEntry) -> None:
    entry.records[1].state = State.READY
    new, gone = entry.merge(places(3, 5))
    assert [record.location.version for record in new] == [5]
    assert [(record.location.version, record.state) for record in gone] == [(2, State.REMOVED)]
    assert sorted(entry.records) == [1, 3, 4, 5]
    assert entry.merge(places(3, 5)) == ([], [])
    assert [record.location.version for record in entry.newest_first] == [5, 4, 3, 1]
