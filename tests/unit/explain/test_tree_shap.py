"""Shapley values from trees: against enumeration by hand, at every depth, and by tables and by walks alike."""

from itertools import product
from math import comb
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_bundle.files.tree_arrays import TreeArrays
from explicate_export.trees.ensemble_nodes import joined, read_node
from explicate_server.explain.estimators.tree_shap import METHOD
from explicate_server.explain.game import GameInfo
from explicate_server.explain.rounds import StopReason
from explicate_server.explain.trees import pattern_tables
from explicate_server.explain.trees.conditions import Conditions, LeafSums, tree_sums
from explicate_server.explain.trees.pattern_tables import bytes_of_trees, pattern_weight
from explicate_server.explain.trees.tree_game import TreeBackground, TreeGame
from support.tree_table import MODES, Node, Split, ensemble_node, random_tree, regressor_node, tree_value

Floats = NDArray[np.float64]
PLAYERS = 6
# Of nine features, the first players have two each, or three.
OWNERS = (0, 1, 2, 3, 4, 5, 0, 1, 1)
CLOSE = 1e-9


def stream_of(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def some_rows(stream: np.random.Generator, count: int, features: int = len(OWNERS)) -> Floats:
    """Multiples of a quarter, so that conditions on equality are met at times, and missing values."""
    rows = np.round(stream.normal(size=(count, features)) * 4) / 4
    rows[stream.random(rows.shape) < 0.15] = np.nan
    return rows


def arrays_of(trees: list[Node], owners: tuple[int, ...] = OWNERS, **more: Any) -> TreeArrays:
    return owned(read_node(regressor_node(trees, "x", "y", **more)), owners)


def owned(trees: TreeArrays, owners: tuple[int, ...]) -> TreeArrays:
    whole = joined([(trees, 0)], len(owners), np.float32)
    return TreeArrays(**{**vars(whole), "owners": np.array(owners, np.int32)})


def game_of(trees: TreeArrays, background: Floats, weights: Floats, rows: Floats, players: int = PLAYERS) -> TreeGame:
    behind = TreeBackground(trees, background, weights, players=players)
    return TreeGame(behind, behind.explained(np.eye(len(trees.offset))), rows)


def enumerated(
    trees: list[Node], row: Floats, background: Floats, weights: Floats, *, owners: tuple[int, ...] = OWNERS
) -> tuple[Floats, Floats]:
    """Shapley values float64[outputs, players] by their definition, and v(∅)."""
    players = max(owners) + 1
    values = {}
    for coalition in product((False, True), repeat=players):
        present = np.array(coalition)[list(owners)]
        mixed = np.where(present, row, background)
        values[coalition] = weights @ np.sum([tree_value(tree, mixed) for tree in trees], axis=0)
    shapley = np.zeros((len(values[(False,) * players]), players))
    for coalition, value in values.items():
        for player in range(players):
            if not coalition[player]:
                with_it = (*coalition[:player], True, *coalition[player + 1 :])
                shapley[:, player] += (values[with_it] - value) / (players * comb(players - 1, sum(coalition)))
    return shapley, values[(False,) * players]


@pytest.fixture(params=["tables", "walks", "both"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What finds the values: tables of patterns, walks of pairs, or each of them for some of the trees."""
    if request.param != "tables":
        monkeypatch.setattr(pattern_tables, "MOST_PATTERNS", 0 if request.param == "walks" else 200)
    return str(request.param)


@pytest.mark.parametrize("depth", [1, 3, 7])
@pytest.mark.parametrize("modes", [MODES[:1], MODES[1:2], MODES[:6]])
def test_values_are_those_of_an_enumeration(way: str, depth: int, modes: tuple[str, ...]) -> None:
    stream = stream_of(depth)
    trees = [random_tree(stream, features=len(OWNERS), depth=depth, outputs=2, modes=modes) for _ in range(4)]
    background, rows, weights = some_rows(stream, 7), some_rows(stream, 3), stream.dirichlet(np.ones(7))
    game = game_of(arrays_of(trees), background, weights, rows)
    assert (game.background._walk is None) == (way == "tables" or (way == "both" and depth < 7))
    told = game.shapley().reshape(3, 2, PLAYERS)
    for number, row in enumerate(rows):
        expected, empty = enumerated(trees, row, background, weights)
        np.testing.assert_allclose(told[number], expected, atol=CLOSE)
        np.testing.assert_allclose(game.baseline, empty, atol=CLOSE)


def test_sets_of_members_and_equal_leaves_of_the_newer_operator(way: str) -> None:
    stream = stream_of(5)
    trees = [random_tree(stream, features=len(OWNERS), depth=4, outputs=1, modes=MODES, stop=0.0) for _ in range(5)]
    background, rows, weights = some_rows(stream, 5), some_rows(stream, 4), stream.dirichlet(np.ones(5))
    told = game_of(owned(read_node(ensemble_node(trees, "x", "y")), OWNERS), background, weights, rows).shapley()
    for number, row in enumerate(rows):
        np.testing.assert_allclose(told[[number]], enumerated(trees, row, background, weights)[0], atol=CLOSE)


def test_a_single_background_row_and_a_constant_tree(way: str) -> None:
    stream = stream_of(2)
    trees: list[Node] = [(0.75,), random_tree(stream, features=len(OWNERS), depth=5, outputs=1, stop=0.0), (0.5,)]
    background, (row,) = some_rows(stream, 1), some_rows(stream, 1)
    game = game_of(arrays_of(trees), background, np.ones(1), row[np.newaxis])
    expected, empty = enumerated(trees, row, background, np.ones(1))
    np.testing.assert_allclose(game.shapley(), expected, atol=CLOSE)
    alone = game_of(arrays_of([(0.75,)], OWNERS), background, np.ones(1), row[np.newaxis])
    assert not alone.shapley().any()
    np.testing.assert_allclose((game.baseline, alone.baseline), (empty, [0.75]), atol=CLOSE)


def test_a_feature_that_comes_again_on_a_way(way: str) -> None:
    """0.25 < x0 <= 1, and below it a condition that can never be met again."""
    inner = Split(0, MODES[0], 1.0, False, Split(0, MODES[0], 0.0, False, (9.0,), (1.0,)), (0.0,))
    trees: list[Node] = [Split(0, MODES[0], 0.25, False, (0.0,), Split(1, MODES[0], 0.0, False, inner, (0.5,)))]
    owners = (0, 1)
    background, weights = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.25]]), np.array([0.5, 0.25, 0.25])
    for row in np.array([[0.5, -1.0], [2.0, -1.0], [0.0, 0.0], [np.nan, np.nan]]):
        told = game_of(arrays_of(trees, owners), background, weights, row[np.newaxis], players=2).shapley()
        np.testing.assert_allclose(told, enumerated(trees, row, background, weights, owners=owners)[0], atol=CLOSE)


def test_deep_trees_of_many_players_are_walked() -> None:
    """12 players on a way are more than there are tables for; one enumeration of 2^12 says what is right."""
    stream, owners = stream_of(9), tuple(range(12))
    way: Node = (1.0,)
    for feature in owners:
        way = Split(feature, MODES[0], float(stream.integers(-4, 5)) / 4, True, way, (float(feature),))
    background, weights = some_rows(stream, 3, 12), np.array([0.5, 0.25, 0.25])
    (row,) = some_rows(stream, 1, 12)
    game = game_of(arrays_of([way], owners), background, weights, row[np.newaxis], players=12)
    assert game.background._walk is not None
    expected, _ = enumerated([way], row, background, weights, owners=owners)
    np.testing.assert_allclose(game.shapley(), expected, atol=CLOSE)


def test_tables_and_walks_agree_on_ten_thousand_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stream_of(4)
    trees = [random_tree(stream, features=9, depth=10, outputs=1, stop=0.0) for _ in range(10)]
    background, rows, weights = some_rows(stream, 4), some_rows(stream, 3), stream.dirichlet(np.ones(4))
    by_tables = game_of(arrays_of(trees), background, weights, rows)
    monkeypatch.setattr(pattern_tables, "MOST_PATTERNS", 0)
    by_walks = game_of(arrays_of(trees), background, weights, rows)
    assert (by_tables.background._walk, len(by_tables.explained.sums.places)) == (None, 10 * (2**11 - 1))
    told = by_tables.shapley()
    np.testing.assert_allclose(told, by_walks.shapley(), atol=CLOSE)
    full = np.sum([tree_value(tree, rows) for tree in trees], axis=0)
    np.testing.assert_allclose(told.sum(axis=1, keepdims=True) + by_tables.baseline, full, atol=1e-6)


def test_the_memory_that_is_counted_is_what_tables_take() -> None:
    trees = arrays_of([random_tree(stream_of(4), features=9, depth=7, outputs=1, stop=0.0) for _ in range(5)])
    background = TreeBackground(trees, some_rows(stream_of(1), 4), np.full(4, 0.25), players=PLAYERS)
    held = [tables for chunk in background._tables._chunks for tables in chunk.tables]
    bytes_held = sum(each.own.nbytes + each.with_it.nbytes + each.players.nbytes for each in held)
    told = trees.told(probabilities=False)
    assert bytes_held < bytes_of_trees(told.leaves, told.depth) <= 2 * 8 * pattern_tables.MOST_PATTERNS
    assert bytes_of_trees(10**6, 30) > 2 * 8 * pattern_tables.MOST_PATTERNS


def test_explained_outputs_are_made_of_all_and_kept() -> None:
    stream = stream_of(7)
    trees = arrays_of([random_tree(stream, features=9, depth=4, outputs=3) for _ in range(4)])
    background = TreeBackground(trees, some_rows(stream, 5), np.full(5, 0.2), players=PLAYERS)
    rows, contrast = some_rows(stream, 2), np.array([[1.0, -1.0, 0.0]])
    every = TreeGame(background, background.explained(np.eye(3)), rows).shapley().reshape(2, 3, PLAYERS)
    apart = TreeGame(background, background.explained(contrast), rows).shapley()
    np.testing.assert_allclose(apart, every[:, 0] - every[:, 1], atol=1e-12)
    assert background.explained(contrast) is background.explained(contrast.copy())
    for first in range(20):
        background.explained(np.eye(3)[[first % 3]] * first)
    assert len(background._kept) == 8


def test_values_of_coalitions_are_means_over_the_background() -> None:
    stream = stream_of(8)
    trees = [random_tree(stream, features=9, depth=4, outputs=1, modes=MODES[:6]) for _ in range(3)]
    background, rows, weights = some_rows(stream, 5), some_rows(stream, 2), stream.dirichlet(np.ones(5))
    coalitions = np.array([[1, 0, 1, 0, 0, 1], [0] * 6, [1] * 6], np.bool_)
    told = game_of(arrays_of(trees), background, weights, rows).of(1).values(coalitions)
    for coalition, value in zip(coalitions, told, strict=True):
        mixed = np.where(coalition[list(OWNERS)], rows[1], background)
        expected = weights @ np.sum([tree_value(tree, mixed) for tree in trees], axis=0)
        np.testing.assert_allclose(value, expected, atol=1e-6)


def test_sums_are_those_of_the_definition_for_every_mode() -> None:
    stream = stream_of(3)
    trees = [random_tree(stream, features=9, depth=5, outputs=2, modes=MODES[:6]) for _ in range(5)]
    rows, arrays = some_rows(stream, 50), arrays_of(trees, aggregate_function="AVERAGE")
    told = tree_sums(Conditions(arrays), LeafSums(arrays), rows)
    np.testing.assert_allclose(told, np.mean([tree_value(tree, rows) for tree in trees], axis=0), atol=1e-9)


def test_the_weight_of_a_pattern_is_that_of_interventional_tree_shap() -> None:
    """A row with a players that only it meets and c that only the background row meets: v(S) = [A ⊆ S, S ∩ C = ∅]."""
    for a, c in ((1, 0), (2, 3), (4, 1), (0, 3)):
        n = a + c
        wanted = np.array([True] * a + [False] * c)

        def value(coalition: tuple[bool, ...], wanted: Any = wanted) -> float:
            return float((np.array(coalition) == wanted).all())

        shapley = np.zeros(n)
        for coalition in product((False, True), repeat=n):
            for player in range(n):
                if not coalition[player]:
                    with_it = (*coalition[:player], True, *coalition[player + 1 :])
                    gain = value(with_it) - value(coalition)
                    shapley[player] += gain / (n * comb(n - 1, sum(coalition)))
        np.testing.assert_allclose(shapley[:a], pattern_weight(a, c))
        np.testing.assert_allclose(shapley[a:], pattern_weight(a, c) - pattern_weight(a, max(c, 1) - 1))


def test_the_estimator_asks_for_nothing_and_is_exact_at_once() -> None:
    stream = stream_of(6)
    trees = [random_tree(stream, features=9, depth=3, outputs=1) for _ in range(3)]
    rows = some_rows(stream, 2)
    game = game_of(arrays_of(trees), some_rows(stream, 4), np.full(4, 0.25), rows)
    full = np.sum([tree_value(tree, rows) for tree in trees], axis=0).ravel()
    information = GameInfo(n_players=PLAYERS, empty=np.tile(game.baseline, 2), full=full, games=2, told=game)
    run = METHOD.start(information, METHOD.settings(PLAYERS), max_players=PLAYERS, spent=1)
    assert run.next_round() is None
    assert (run.stop_reason, run.evaluations, run.converged) == (StopReason.EXACT, 1, True)
    assert run.attribution.additivity_gap(full) == pytest.approx(0, abs=1e-6)
    with pytest.raises(TypeError, match="games of models that tell their trees"):
        METHOD.start(
            GameInfo(n_players=2, empty=np.zeros(1), full=np.ones(1)), METHOD.settings(2), max_players=2, spent=1
        )
