"""Groups and fixed players: the game that is played is the smaller one, to the last digit."""

from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_server.explain.explain_game import explain_game
from explicate_server.explain.game import WALL
from explicate_server.explain.reduction import FIXED, Reduction

_N = 11
_GROUPS, _FIXED = [[9, 1], [4, 5, 6]], [0, 10]
# Players of the smaller game in the order of their first base players: {1, 9}, 2, 3, {4, 5, 6}, 7, 8.
_MEMBERS = [[1, 9], [2], [3], [4, 5, 6], [7], [8]]
_TABLE = np.random.default_rng(7).standard_normal((1 << _N, 2))


def _value(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A game of 11 players without any structure."""
    return _TABLE[coalitions @ (1 << np.arange(_N))]


def _smaller(present: tuple[int, ...], members: list[list[int]], fixed: list[int]) -> NDArray[np.float64]:
    """v of the base players of some players and the fixed ones, float64[2]."""
    coalition = np.zeros((1, _N), np.bool_)
    coalition[0, [*fixed, *(each for player in present for each in members[player])]] = True
    return _value(coalition)[0]


def _enumerated(members: list[list[int]], fixed: list[int]) -> NDArray[np.float64]:
    """Shapley values float64[2, n'] of the smaller game by their definition, sum by sum."""
    n = len(members)
    values = np.zeros((2, n))
    for player in range(n):
        others = [each for each in range(n) if each != player]
        for size in range(n):
            for chosen in combinations(others, size):
                gain = _smaller((*chosen, player), members, fixed) - _smaller(chosen, members, fixed)
                values[:, player] += gain / (n * comb(n - 1, size))
    return values


@pytest.mark.parametrize("method", ["exact-shap", "kernel-shap"])
def test_groups_and_fixed_players_give_the_values_of_the_smaller_game(method: str) -> None:
    reduction = Reduction.of(_N, groups=_GROUPS, fixed=_FIXED)
    found = explain_game(_value, _N, method=method, max_evaluations=2 ** len(_MEMBERS), reduction=reduction)
    np.testing.assert_allclose(found.values, _enumerated(_MEMBERS, _FIXED), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.baseline_value, _smaller((), _MEMBERS, _FIXED), rtol=0, atol=0)
    assert found.converged
    assert found.evaluations == 2 ** len(_MEMBERS)


@pytest.mark.parametrize(("groups", "fixed"), [([list(range(_N))], []), ([], list(range(1, _N))), ([[3]], [2])])
def test_one_group_of_all_one_free_player_and_a_group_of_one(groups: list[list[int]], fixed: list[int]) -> None:
    reduction = Reduction.of(_N, groups=groups, fixed=fixed)
    members = [reduction.members(player) for player in range(reduction.n_players)]
    found = explain_game(_value, _N, method="exact-shap", max_evaluations=1 << _N, reduction=reduction)
    if reduction.n_players == 1:
        np.testing.assert_allclose(found.values[:, 0], _TABLE[-1] - _smaller((), members, fixed), atol=1e-12)
    gap = found.baseline_value + found.values.sum(axis=1) - _TABLE[-1]
    np.testing.assert_allclose(gap, 0, atol=1e-9)


def test_coalitions_are_spread_over_the_members_and_fixed_ones_are_always_there() -> None:
    reduction = Reduction.of(_N, groups=_GROUPS, fixed=_FIXED)
    assert [reduction.members(player) for player in range(reduction.n_players)] == _MEMBERS
    assert reduction.members(FIXED) == _FIXED
    assert np.flatnonzero(reduction.spread(np.zeros((1, 6), np.bool_))[0]).tolist() == _FIXED
    assert reduction.spread(np.ones((1, 6), np.bool_)).all()
    one = np.arange(6) == 3
    assert np.flatnonzero(reduction.spread(one[np.newaxis])[0]).tolist() == [0, 4, 5, 6, 10]
    values = np.arange(2.0 * _N).reshape(_N, 2)
    np.testing.assert_array_equal(reduction.sums(values), [values[each].sum(axis=0) for each in _MEMBERS])
    np.testing.assert_array_equal(reduction.fixed_sum(values), values[_FIXED].sum(axis=0))


def test_a_player_has_one_place() -> None:
    with pytest.raises(ValueError, match="Player 3 has two places"):
        Reduction.of(5, groups=[[1, 3], [3]])
    with pytest.raises(ValueError, match="Player 2 has two places"):
        Reduction.of(5, groups=[[1, 2]], fixed=[2])
    with pytest.raises(ValueError, match="Player 5 is none of the 5"):
        Reduction.of(5, fixed=[5])
    with pytest.raises(ValueError, match="of the 4 players"):
        explain_game(_value, 4, reduction=Reduction.of(5))


def test_breaks_are_the_strongest_between_neighbours_and_walls_around_groups() -> None:
    reduction = Reduction.of(8, groups=[[2, 6]], fixed=[4])
    breaks = np.array([1, 0, 2, 3, 0, 1, 0])
    # The players are 0, 1, {2, 6}, 3, 5, 7; from 3 to 5 one goes past 4, and from 5 to 7 past 6.
    np.testing.assert_array_equal(reduction.breaks(breaks), [1, WALL, WALL, 3, 1])
    assert Reduction.of(8, fixed=[4]).breaks(None) is None
    np.testing.assert_array_equal(Reduction.of(3, groups=[[2]]).breaks(None), [0, WALL])


def test_refinement_never_joins_a_named_group_with_others() -> None:
    n = 60
    weights = np.random.default_rng(3).standard_normal(n)
    groups = [[5, 40], [20, 21], [58]]
    reduction = Reduction.of(n, groups=groups, fixed=[0, 30])
    found = explain_game(
        lambda coalitions: coalitions @ weights, n, max_players=4, max_evaluations=400, reduction=reduction
    )
    assert found.groups is not None
    assert len(found.groups) == reduction.n_players
    for group in groups:
        own = found.groups[reduction.owner[group[0]]]
        assert (found.groups == own).sum() == 1
        np.testing.assert_allclose(found.values[own], weights[group].sum(), atol=1e-9)
    # Walls: more groups than max_players, as named ones stay by themselves.
    assert found.groups.max() + 1 >= 4
    assert all(second - first in (0, 1) for first, second in pairwise(found.groups.tolist()))
