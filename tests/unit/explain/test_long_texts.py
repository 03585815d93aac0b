"""Long texts, sentences first: on games of hundreds of words whose Shapley values follow from their formula."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.long_text_games import LongTextGame
from explicate_server.explain import Attribution, ExplanationRun, GameInfo
from explicate_server.explain.attribution import SectionSums
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.estimators.long_text_shap import LongTextShap
from explicate_server.explain.game import WALL
from explicate_server.explain.methods import METHODS
from explicate_server.explain.statistics.section_pairs import MOST_SECTION_WORDS, SectionPairs, sections_of
from explicate_server.explain.statistics.section_regression import SectionRegression
from support.exact_games import relative_error

ROWS_A_WORD = 5
METHOD = METHODS["kernel-shap"]


def played(game: LongTextGame, *, seed: int = 0, rows: int | None = None, max_players: int = 1024) -> list[Attribution]:
    """The estimate after each round."""
    n = len(game.weights)
    ends = game(np.array([[False] * n, [True] * n]))[:, None]
    information = GameInfo(n_players=n, empty=ends[0], full=ends[1], seed=seed, breaks=game.breaks)
    settings = METHOD.settings(n, max_evaluations=rows or ROWS_A_WORD * n, tolerance=0.0)
    run: ExplanationRun = METHOD.start(information, settings, max_players=max_players, spent=2)
    rounds = []
    while (coalitions := run.next_round()) is not None:
        run.tell(game(np.asarray(coalitions, np.bool_))[:, None])
        rounds.append(run.attribution)
    return rounds


def sums_of(attribution: Attribution) -> SectionSums:
    assert attribution.sections is not None
    return attribution.sections


def words_of(attribution: Attribution) -> NDArray[np.float64]:
    """The value of each word; a phrase's is spread evenly."""
    if attribution.groups is None:
        return attribution.values[0]
    return (attribution.values[0] / np.bincount(attribution.groups))[attribution.groups]


def test_the_games_values_are_those_of_all_coalitions() -> None:
    game = LongTextGame.random(10, 3)
    coalitions = np.array(list(product([False, True], repeat=10)))
    values = game(coalitions)
    sizes = coalitions.sum(axis=1)
    shares = 1.0 / (10 * np.array([np.prod([(9 - i) / (i + 1) for i in range(k)]) for k in range(10)]))
    exact = np.zeros(10)
    for player in range(10):
        without = np.flatnonzero(~coalitions[:, player])
        with_it = without + (1 << (9 - player))
        exact[player] = shares[sizes[without]] @ (values[with_it] - values[without])
    assert game.shapley_values() == pytest.approx(exact, abs=1e-12)


def test_words_of_a_long_text_err_half_as_much_as_phrases() -> None:
    """At the same rows; with the phrases that were the default before, as many as have eight rows each."""
    errors = []
    for seed in range(2):
        game = LongTextGame.random(300, seed)
        exact = game.shapley_values()
        words, phrases = (
            words_of(played(game, seed=seed, max_players=most)[-1]) for most in (1024, ROWS_A_WORD * 300 // 8)
        )
        errors.append((relative_error(words, exact), relative_error(phrases, exact)))
    of_words, of_phrases = np.mean(errors, axis=0)
    assert of_words < 0.6 * of_phrases
    assert of_words < 0.3


def test_intervals_of_words_and_of_sections_cover_their_values() -> None:
    words, sections, strongest = [], [], []
    for seed in range(4):
        game = LongTextGame.random(150, seed)
        exact = game.shapley_values()
        attribution = played(game, seed=seed)[-1]
        sums = sums_of(attribution)
        covered = np.abs(attribution.values[0] - exact) <= attribution.half_widths[0]
        words.extend(covered)
        strongest.extend(covered[np.argsort(-np.abs(exact))[:15]])
        sections.extend(np.abs(sums.values[0] - np.bincount(sums.sections, exact)) <= sums.half_widths[0])
    assert 0.92 <= np.mean(words) <= 0.99
    assert np.mean(strongest) >= 0.88
    assert np.mean(sections) >= 0.88


def test_the_first_answer_tells_sections_and_later_ones_words() -> None:
    game = LongTextGame.random(400, 1)
    exact = game.shapley_values()
    first, *_, last = played(game)
    sums = sums_of(first)
    of_sections = np.bincount(sums.sections, exact)
    assert first.provisional
    assert not last.provisional
    assert relative_error(sums.values[0], of_sections) < 0.3
    assert relative_error(first.values[0], exact) > 0.8
    assert relative_error(last.values[0], exact) < 0.3
    assert np.median(first.half_widths) > 3 * np.median(last.half_widths)


@pytest.mark.parametrize("rows", [4, 40, 1000])
def test_values_sum_to_the_answer_and_to_their_sections_at_any_budget(rows: int) -> None:
    game = LongTextGame.random(200, 2)
    ends = game(np.array([[False] * 200, [True] * 200]))
    for attribution in played(game, rows=rows):
        sums = sums_of(attribution)
        assert attribution.values.sum() == pytest.approx(ends[1] - ends[0], abs=1e-12)
        assert sums.values[0] == pytest.approx(np.bincount(sums.sections, attribution.values[0]), abs=1e-12)
        assert (sums.half_widths >= 0).all()
        assert (attribution.half_widths >= 0).all()


def test_an_additive_text_is_told_exactly() -> None:
    random = np.random.default_rng(0)
    slopes = random.normal(size=(160, 2))
    sections = np.arange(160) // 16
    pairs = SectionPairs(sections, 0)
    coalitions, levels = (np.concatenate(each) for each in zip(pairs.draw(20), pairs.draw(380), strict=True))
    differences = np.where(coalitions, 1.0, -1.0) @ slopes
    fit = SectionRegression(coalitions, levels, pairs).fit(differences, slopes.sum(axis=0))
    assert fit.words.values == pytest.approx(slopes.T, abs=1e-4)
    assert fit.words.standard_errors.max() < 1e-3


def test_sections_end_with_sentences_and_are_never_too_long() -> None:
    breaks = np.zeros(299, np.intp)
    breaks[[19, 29]] = 2
    breaks[149] = WALL
    breaks[69] = 1
    sections = sections_of(300, breaks)
    begins = np.flatnonzero(np.diff(sections, prepend=-1)).tolist()
    assert begins[:3] == [0, 20, 30]
    assert {70, 150} <= set(begins)
    assert np.bincount(sections).max() <= MOST_SECTION_WORDS


def test_no_coalition_comes_twice_and_whole_sections_come_first() -> None:
    sections = np.repeat(np.arange(60), [1, 5] * 30)
    pairs = SectionPairs(sections, 3)
    first, levels = pairs.draw(500)
    assert len(first) == 120
    assert (levels < 0).all()
    assert all(len(np.unique(row[sections == section])) == 1 for row in first for section in range(60))
    coalitions, levels = pairs.draw(1500)
    assert (levels >= 0).all()
    rows = np.concatenate((first, coalitions))
    both = {row.tobytes() for row in np.concatenate((rows, ~rows))}
    assert len(both) == 2 * len(rows)
    assert (rows.sum(axis=1) * 2 <= 180).all()


def test_only_long_texts_in_sections_of_several_words_are_played_so() -> None:
    def built(n: int, breaks: NDArray[np.intp] | None) -> type:
        game = GameInfo(n_players=n, empty=np.zeros(1), full=np.ones(1), breaks=breaks)
        return type(METHOD.build(game, 1000))

    assert built(200, np.zeros(199, np.intp)) is LongTextShap
    assert built(200, None) is KernelShap
    assert built(149, np.zeros(148, np.intp)) is KernelShap
    assert built(200, np.full(199, 2)) is KernelShap
