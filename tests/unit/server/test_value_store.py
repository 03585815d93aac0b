"""What the store of values keeps, and what it gives up when it is full."""

import numpy as np

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
