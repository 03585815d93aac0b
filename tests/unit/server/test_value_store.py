"""What the store of values keeps, and what it gives up when it is full."""

from typing import Any

import numpy as np
import pytest

from explicate_server.inference.evaluations import ValueStore, coalition_keys

VALUES = np.ones((10, 2))


def keys(first: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(first, first + len(VALUES))]


def size_of_one_game() -> int:
    store = ValueStore(1 << 20)
    with store.game("any") as game:
        store.remember(game, keys(0), VALUES)
    return store.bytes


def test_values_are_there_for_the_next_reader_of_the_same_game_only() -> None:
    store = ValueStore(1 << 20)
    with store.game(("digest", "text")) as game:
        store.remember(game, keys(0), VALUES)
    with store.game(("digest", "text")) as game:
        assert set(game.known) == set(keys(0))
    with store.game(("another digest", "text")) as game:
        assert not game.known


def test_the_games_used_longest_ago_go_first() -> None:
    store = ValueStore(2 * size_of_one_game())
    for name in ("first", "second", "first", "third"):
        with store.game(name) as game:
            if not game.known:
                store.remember(game, keys(0), VALUES)
    for name, kept in (("first", True), ("second", False), ("third", True)):
        with store.game(name) as game:
            assert bool(game.known) == kept, name
    assert store.bytes == 2 * size_of_one_game()


def test_games_in_use_are_not_given_up_and_what_does_not_fit_is_not_kept() -> None:
    store = ValueStore(size_of_one_game())
    with store.game("in use") as first, store.game("too much") as second:
        store.remember(first, keys(0), VALUES)
        store.remember(second, keys(0), VALUES)
        assert len(first.known) == len(VALUES)
        assert not second.known
    assert store.bytes == size_of_one_game()


def test_values_that_arrive_after_their_game_was_given_up_are_not_counted() -> None:
    store = ValueStore(1 << 20)
    with store.game("left at once") as game:
        pass
    store.remember(game, keys(0), VALUES)
    assert store.bytes == 0
    with store.game("left at once") as again:
        assert not again.known


def test_nothing_is_kept_without_memory_for_it() -> None:
    store = ValueStore(0)
    with store.game("any") as game:
        store.remember(game, keys(0), VALUES)
        assert not game.known
    assert store.bytes == 0


def test_coalitions_have_keys_of_their_own() -> None:
    coalitions = ((np.arange(2**9)[:, None] >> np.arange(9)) & 1).astype(np.bool_)
    assert len(set(coalition_keys(coalitions))) == 2**9


def test_a_freed_bundle_takes_its_values_with_it_and_no_others() -> None:
    store = ValueStore(1 << 20)
    for key in (("digest", "text"), ("digest", "other text"), ("another digest", "text")):
        with store.game(key) as game:
            store.remember(game, keys(0), VALUES)
    with store.game(("digest", "read now")) as read:
        store.forget("digest")
        store.remember(read, keys(0), VALUES)  # a flight that lands late
        assert not read.kept
    assert store.bytes == size_of_one_game()
    for key, kept in ((("digest", "text"), False), (("another digest", "text"), True)):
        with store.game(key) as game:
            assert bool(game.known) == kept


def test_values_of_one_caller_are_not_told_to_another() -> None:
    store = ValueStore(1 << 20)
    with store.game(("digest", "text"), caller="a") as asked:
        store.remember(asked, keys(0), VALUES)
        with store.game(("digest", "text"), caller="b") as game:
            assert game is not asked
            assert not game.known
    with store.game(("digest", "text"), caller="a") as again:
        assert again is asked


def test_a_caller_with_much_in_the_store_makes_room_from_its_own() -> None:
    store = ValueStore(8 * size_of_one_game())
    for caller, name in [("b", "theirs"), *(("a", number) for number in range(20))]:
        with store.game(name, caller=caller) as game:
            store.remember(game, keys(0), VALUES)
    assert store.games == 8
    with store.game("theirs", caller="b") as game:
        assert game.known
    for number, kept in ((12, False), (13, True), (19, True)):
        with store.game(number, caller="a") as game:
            assert bool(game.known) == kept, number


def test_making_room_looks_at_no_more_games_than_it_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ValueStore(500 * size_of_one_game())
    dropped: list[Any] = []
    drop = store._drop

    def noted(place: Any) -> None:
        dropped.append(place)
        drop(place)

    monkeypatch.setattr(store, "_drop", noted)
    with store.game("read all the time") as read:
        store.remember(read, keys(0), VALUES)
        for number in range(1000):
            with store.game(number) as game:
                store.remember(game, keys(0), VALUES)
    assert [number for _, number in dropped] == list(range(501))
    assert store.games == 500
