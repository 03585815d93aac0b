"""The search for the smallest change against brute force, on games of which every value is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_server.explain.changes.flip_belief import Belief
from explicate_server.explain.changes.flip_moves import Moves
from explicate_server.explain.changes.flip_search import FlipSearch, FoundFlip, SearchEnd
from explicate_server.explain.game import NonFiniteValueError
from support.exact_games import GOLDEN, TableGame, golden_games, model_like_game, random_game


def margins_of(game: TableGame, line: float) -> NDArray[np.float64]:
    """How far each coalition is from the other side of a line than the whole input's, float64[2^n]."""
    return game.table - line if game.table[-1] >= line else line - game.table


def searched(margins: NDArray[np.float64], budget: int, guess: NDArray[np.float64] | None = None) -> FoundFlip:
    n = len(margins).bit_length() - 1
    places = 1 << np.arange(n)
    # What each player takes from the margin alone is as plain a guess as there can be.
    alone = margins[-1] - margins[len(margins) - 1 - places] if guess is None else guess
    search = FlipSearch(Moves.of_absence(alone), margin=float(margins[-1]), budget=budget)
    seen: set[bytes] = set()
    while (absent := search.ask()) is not None:
        keys = {one.tobytes() for one in absent}
        assert len(keys) == len(absent)
        assert not keys & seen
        seen |= keys
        values = margins[~absent @ places]
        search.tell(values, values < 0)
    assert search.found.tried == len(seen) <= budget
    return search.found


def smallest(margins: NDArray[np.float64]) -> int | None:
    n = len(margins).bit_length() - 1
    return min((n - int(index).bit_count() for index in np.flatnonzero(margins < 0)), default=None)


def check_claims(found: FoundFlip, margins: NDArray[np.float64]) -> bool:
    """That what is found flips and no claim is wrong; whether it is as small as by brute force."""
    least = smallest(margins)
    if found.moves is None:
        assert least is None or not found.none_smaller
        return least is None
    absent = sum(1 << int(player) for player in found.moves)
    assert margins[len(margins) - 1 - absent] < 0
    assert least is not None
    assert found.sizes_tried < least or len(found.moves) == least
    assert not found.none_smaller or len(found.moves) == least
    return len(found.moves) == least


def test_the_smallest_set_is_found_in_nine_of_ten_games_and_no_claim_is_wrong() -> None:
    games = [model_like_game(10, seed) for seed in range(20)] + [random_game(8, seed) for seed in range(20)]
    found = []
    for game in games:
        for line in (game.table.mean(), (game.table[0] + game.table[-1]) / 2):
            margins = margins_of(game, float(line))
            found.append(check_claims(searched(margins, 8 * game.n_players), margins))
    assert np.mean(found) >= 0.9


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden games are not in this checkout")
@pytest.mark.parametrize("name", ["distilbert_imdb_14_tokens.npz", "resnet18_imagenet_14_superpixels.npz"])
def test_the_smallest_set_is_found_in_nine_of_ten_golden_games(name: str) -> None:
    found = []
    for game in golden_games(name):
        margins = margins_of(game, float(game.table.mean()))
        found.append(check_claims(searched(margins, 8 * game.n_players), margins))
    assert np.mean(found) >= 0.9


def test_with_a_budget_for_all_sets_the_smallest_is_certain() -> None:
    for seed in range(10):
        margins = margins_of(random_game(6, seed), 0.5)
        found = searched(margins, 2**6 - 1, guess=np.full(6, np.nan))
        assert check_claims(found, margins)
        assert found.none_smaller
        assert found.end is SearchEnd.COMPLETE


def test_what_cannot_be_flipped_is_said_after_every_set() -> None:
    margins = np.abs(random_game(6, 1).table) + 0.1
    found = searched(margins, 100)
    assert (found.moves, found.none_smaller, found.tried) == (None, True, 2**6 - 1)
    assert found.sizes_tried == 6


def test_without_a_flip_in_the_budget_nothing_is_claimed() -> None:
    margins = np.abs(random_game(10, 1).table) + 0.1
    found = searched(margins, 60)
    assert (found.moves, found.none_smaller, found.end) == (None, False, SearchEnd.BUDGET)
    assert found.tried == 60


def test_a_flip_that_only_several_together_make_is_found() -> None:
    """No member alone changes anything, so that only sets of all three say something."""
    margins = np.ones(2**10)
    needed = (1 << 2) | (1 << 5) | (1 << 7)
    margins[(np.arange(2**10) & needed) == 0] = -1
    guess = np.zeros(10)
    guess[[2, 5, 7]] = 0.1  # as attributions tell it, of which each has a third
    found = searched(margins, 80, guess)
    assert found.moves is not None
    assert found.moves.tolist() == [2, 5, 7]


def test_nobody_to_change_is_complete_at_once() -> None:
    search = FlipSearch(Moves.of_absence(np.zeros(0)), margin=1.0, budget=10)
    assert search.ask() is None
    assert (search.found.moves, search.found.none_smaller, search.found.end) == (None, True, SearchEnd.COMPLETE)


def test_time_that_is_over_ends_the_search_with_what_was_evaluated() -> None:
    search = FlipSearch(Moves.of_absence(np.arange(12.0)), margin=1.0, budget=90)
    sets = search.ask()
    assert sets is not None
    evaluated = np.zeros(len(sets), np.bool_)
    evaluated[:3] = True
    search.tell(np.full(len(sets), -1.0), np.ones(len(sets), np.bool_), evaluated)
    assert search.ask() is None
    assert (search.found.tried, search.found.end, search.found.none_smaller) == (3, SearchEnd.DEADLINE, True)


def test_an_answer_that_is_no_number_is_refused() -> None:
    search = FlipSearch(Moves.of_absence(np.ones(5)), margin=1.0, budget=90)
    sets = search.ask()
    assert sets is not None
    with pytest.raises(NonFiniteValueError):
        search.tell(np.full(len(sets), np.nan), np.zeros(len(sets), np.bool_))


def several_moves(seed: int) -> tuple[Moves, NDArray[np.float64]]:
    """Four columns with five other values each, and what each value takes from the margin."""
    random = np.random.default_rng(seed)
    players = np.repeat(np.arange(4), 5)
    drops = random.normal(size=20)
    return Moves(players=players, distances=random.uniform(0.1, 3, 20), expected=np.zeros(20)), drops


def margin_of_two(drops: NDArray[np.float64]) -> float:
    """A margin that the best values of two columns flip together; one alone may, too."""
    return 0.9 * float(np.sort(drops.reshape(4, 5).max(axis=1))[-2:].sum())


def test_of_sets_of_the_same_size_the_nearest_is_found() -> None:
    for seed in range(8):
        moves, drops = several_moves(seed)
        margin = margin_of_two(drops)
        search = FlipSearch(moves, margin=margin, budget=1500)
        while (sets := search.ask()) is not None:
            values = margin - sets @ drops
            search.tell(values, values < 0)
        every = [moves.sets_of(size, drops)[0] for size in (1, 2)]
        flipping = [sets[sets @ drops > margin] for sets in every]
        best = next(sets for sets in flipping if len(sets))
        found = search.found
        assert found.moves is not None
        assert (found.none_smaller, found.none_nearer) == (True, True)
        assert np.isclose(moves.distances[found.moves].sum(), moves.distance(best).min())


def test_on_a_small_budget_nearest_is_claimed_only_where_it_is() -> None:
    for seed in range(8):
        moves, drops = several_moves(seed)
        margin = margin_of_two(drops)
        search = FlipSearch(moves, margin=margin, budget=60)
        while (sets := search.ask()) is not None:
            values = margin - sets @ drops
            search.tell(values, values < 0)
        found = search.found
        assert found.moves is not None
        assert drops[found.moves].sum() > margin
        every = moves.sets_of(len(found.moves), drops)[0]
        nearest = moves.distance(every[every @ drops > margin]).min()
        assert not found.none_nearer or np.isclose(moves.distances[found.moves].sum(), nearest)


def test_sets_have_at_most_one_move_of_each_player_and_are_all_there_are() -> None:
    moves, _ = several_moves(0)
    for size in range(5):
        sets, complete = moves.sets_of(size, np.zeros(20))
        assert complete
        assert len({one.tobytes() for one in sets}) == len(sets) == moves.counts[size]
        assert (sets.sum(axis=1) == size).all()
        assert max((np.bincount(moves.players[one], minlength=1).max() for one in sets), default=0) <= 1


def test_too_many_sets_are_those_of_the_moves_that_are_worth_most() -> None:
    moves, _ = several_moves(0)
    worth = np.arange(20.0)
    sets, complete = moves.sets_of(3, worth, most=40)
    assert not complete
    assert 0 < len(sets) <= 40
    assert not sets[:, moves.by_player[0][0]].any()  # the least of all


def test_what_is_believed_of_a_pair_holds_for_sets_that_have_it() -> None:
    belief = Belief(np.zeros(4))
    singles, pair = np.eye(4, dtype=np.bool_), np.array([[True, True, False, False]])
    belief.tell(np.concatenate((singles, pair)), np.array([0, 0, 0, 0, 1.0]))
    with_pair, without = belief.drops(np.array([[True, True, True, False], [True, False, True, True]]))
    assert with_pair > without + 0.2
