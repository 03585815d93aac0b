"""Where labels point is kept in one small file that is replaced as a whole, and believed only when it is understood."""

import errno
import json
import os
from pathlib import Path

import pytest

from explicate_server.errors import NotServable
from explicate_server.registry.label_store import Assignment, LabelFileError, LabelStore, LabelTarget, Traffic

KEPT = Assignment({"live": LabelTarget(3, previous=2), "canary": LabelTarget(4)}, Traffic(0.1, 0.5), False)


def test_what_was_written_is_read_again_and_nothing_else_is_left(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "state")
    assert store.read("reviews") is None
    store.check_writable("reviews")
    assert store.read("reviews") is None
    store.write("reviews", KEPT)
    assert store.read("reviews") == KEPT
    assert [path.name for path in (tmp_path / "state" / "reviews").iterdir()] == ["labels.json"]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"format": 2, "labels": {}}',
        '{"format": 1}',
        '{"format": 1, "labels": []}',
        '{"format": 1, "labels": {"live": 3}}',
        '{"format": 1, "labels": {"live": {"version": "3"}}}',
        '{"format": 1, "labels": {"live": {"version": 0}}}',
        '{"format": 1, "labels": {"live": {"version": 3, "previous": -1}}}',
        '{"format": 1, "labels": {"live": {"version": 3, "newest": true}}}',
        '{"format": 1, "labels": {"live": {"version": 2147483648}}}',
        '{"format": 1, "labels": {"../live": {"version": 3}}}',
        '{"format": 1, "labels": {}, "traffic": {"canary_share": 2}}',
        '{"format": 1, "labels": {}, "traffic": {"canary_share": NaN}}',
        '{"format": 1, "labels": {}, "traffic": {"other": 1}}',
        json.dumps({"format": 1, "labels": {f"label-{i}": {"version": 1} for i in range(17)}}),
        json.dumps({"format": 1, "labels": {}, "comment": "x" * 70_000}),
    ],
)
def test_a_file_that_is_not_in_the_format_is_named(tmp_path: Path, document: str) -> None:
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "labels.json").write_text(document)
    with pytest.raises(LabelFileError, match=r"reviews/labels\.json"):
        LabelStore(tmp_path).read("reviews")


def test_a_folder_that_cannot_be_written_is_told_before_and_the_old_file_stays(tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    store.write("reviews", KEPT)
    kept = (tmp_path / "reviews" / "labels.json").read_bytes()
    store.temporary(tmp_path / "reviews" / "labels.json").mkdir()  # stands in the way, whoever runs the test
    for attempt in (lambda: store.check_writable("reviews"), lambda: store.write("reviews", Assignment({}))):
        with pytest.raises(NotServable, match="--state-dir") as caught:
            attempt()
        assert caught.value.reason == "LABELS_READ_ONLY"
    assert (tmp_path / "reviews" / "labels.json").read_bytes() == kept


def test_a_label_knows_the_newest_version_it_ever_pointed_at(tmp_path: Path) -> None:
    target = LabelTarget(4)
    for version in (2, 3, 1):
        target = target.moved_to(version)
    assert target == LabelTarget(1, previous=3, newest=4)
    assert target.moved_to(5) == LabelTarget(5, previous=1)
    LabelStore(tmp_path).write("reviews", Assignment({"live": target}, follows_newest=False))
    assert LabelStore(tmp_path).read("reviews") == Assignment({"live": target}, follows_newest=False)


def test_two_servers_that_write_at_once_do_not_write_into_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, sync = Assignment({"live": LabelTarget(7)}, follows_newest=False), os.fsync

    def write_the_other_meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        LabelStore(tmp_path).write("reviews", other)
        assert LabelStore(tmp_path).read("reviews") == other
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", write_the_other_meanwhile)
    LabelStore(tmp_path).write("reviews", KEPT)
    assert LabelStore(tmp_path).read("reviews") == KEPT


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LabelStore(tmp_path)
    store.write("reviews", KEPT)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotServable, match="No space left on device"):
        store.write("reviews", Assignment({}))
    assert store.read("reviews") == KEPT
    assert [path.name for path in (tmp_path / "reviews").iterdir()] == ["labels.json"]


def test_a_pipe_in_the_place_of_the_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "reviews").mkdir()
    os.mkfifo(tmp_path / "reviews" / "labels.json")
    with pytest.raises(LabelFileError, match="not a plain file"):
        LabelStore(tmp_path).read("reviews")


def test_a_change_is_made_in_what_the_file_says_and_only_that_is_new(tmp_path: Path) -> None:
    store, canary = LabelStore(tmp_path), LabelTarget(4)
    store.update("reviews", lambda kept: kept.with_label("canary", canary))
    assert store.read("reviews") == Assignment({"canary": canary})  # "live" was not chosen by anybody
    LabelStore(tmp_path).update("reviews", lambda kept: kept.with_label("live", LabelTarget(3, previous=2)))
    store.update("reviews", lambda kept: kept.with_traffic(Traffic(0.1, 0.5)))
    assert store.read("reviews") == KEPT
    store.update("reviews", lambda kept: kept.with_label("canary", None))
    assert store.read("reviews") == Assignment({"live": LabelTarget(3, previous=2)}, follows_newest=False)
    store.update("reviews", lambda kept: kept.with_label("live", None))
    assert store.read("reviews") == Assignment({}, follows_newest=False)


def test_a_change_that_is_nothing_new_is_not_written(tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    store.update("reviews", lambda kept: kept.with_traffic(Traffic()))
    assert not (tmp_path / "reviews").exists()


def test_a_file_of_before_without_live_says_that_it_was_removed(tmp_path: Path) -> None:
    (tmp_path / "reviews").mkdir()
    path = tmp_path / "reviews" / "labels.json"
    path.write_text('{"format": 1, "labels": {"canary": {"version": 4}}}')
    assert LabelStore(tmp_path).read("reviews") == Assignment({"canary": LabelTarget(4)}, follows_newest=False)
    for wrong in ('"oldest", "labels": {}', '3, "labels": {}', '"newest", "labels": {"live": {"version": 1}}'):
        path.write_text(f'{{"format": 1, "live": {wrong}}}')
        with pytest.raises(LabelFileError, match='"live" is'):
            LabelStore(tmp_path).read("reviews")


def test_a_broken_file_is_replaced_only_where_that_was_asked_for(tmp_path: Path) -> None:
    store, path = LabelStore(tmp_path), tmp_path / "reviews" / "labels.json"
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(NotServable, match="cannot be used") as caught:
        store.update("reviews", lambda kept: kept.with_traffic(Traffic(1.0)))
    assert (caught.value.reason, path.read_text()) == ("LABELS_UNREADABLE", "{")
    store.update(
        "reviews",
        lambda kept: kept.with_label("live", LabelTarget(1)),
        in_place_of_broken=Assignment({"canary": LabelTarget(4)}),
    )
    assert store.read("reviews") == Assignment({"live": LabelTarget(1), "canary": LabelTarget(4)}, follows_newest=False)


def test_a_file_never_gets_more_labels_than_are_read_again(tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    full = Assignment({f"label-{i}": LabelTarget(1) for i in range(16)})
    store.write("reviews", full)
    with pytest.raises(NotServable, match="remove one first") as caught:
        store.update("reviews", lambda kept: kept.with_label("one-more", LabelTarget(1)))
    assert (caught.value.reason, store.read("reviews")) == ("TOO_MANY_LABELS", full)
