"""lime of texts against the lime library itself, on deterministic classifiers."""

import math
import re
import zlib
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from lime.lime_text import IndexedString, LimeTextExplainer
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from explicate_server.explain import GameInfo, StopReason, explain_game
from explicate_server.explain.estimators.lime import Lime, text_rows, text_sample
from explicate_server.explain.estimators.local_model import kernel_weights

TEXTS = [
    "the tea is good, the box is not! Tea for me",
    "good good good bad",
    "Ein schöner Tag – naïve façade; 東京 は すごい, 東京!",
    "  Isn't it (really) great?  10/10... would buy_again, would   recommend\n",
    "one",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c",
]


def classify(texts: list[str]) -> NDArray[np.float64]:
    """Probabilities of three classes: word scores with interactions of neighbours, the same in every process."""
    scores = []
    for text in texts:
        words = re.findall(r"\w+", text)
        keys = words + [a + " " + b for a, b in pairwise(words)]
        scores.append([sum(math.sin(zlib.crc32(f"{key}/{k}".encode())) for key in keys) for k in range(3)])
    exponentials = np.exp(np.array(scores))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def game_of(text: str) -> tuple[Callable[[NDArray[np.bool_]], NDArray[np.float64]], int, list[str]]:
    """The text as a game whose absent words leave the string, the number of its players, and the texts asked."""
    indexed, asked = IndexedString(text), []

    def value(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        texts = [indexed.inverse_removing(np.flatnonzero(~row)) for row in coalitions]
        asked.extend(texts)
        return classify(texts)

    return value, indexed.num_words(), asked


@pytest.mark.filterwarnings("ignore:.*ill-conditioned")  # lime's own forward selection, on up to six words
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("text", TEXTS)
def test_values_are_those_of_the_lime_library(text: str, seed: int) -> None:
    value, n, _ = game_of(text)
    library = LimeTextExplainer(random_state=seed).explain_instance(
        text, classify, labels=(0, 1, 2), num_samples=300, num_features=n
    )
    ours = explain_game(value, n, method="lime", seed=seed, max_evaluations=300)
    for label in range(3):
        expected = dict(library.local_exp[label])
        assert ours.values[label] == pytest.approx([expected[player] for player in range(n)], abs=1e-9)
        assert ours.baseline_value[label] == pytest.approx(library.intercept[label], abs=1e-9)
    assert ours.instance_value == pytest.approx(library.predict_proba)
    assert ours.evaluations < 300, "rows that repeat are not asked again"
    assert ours.stop_reason is StopReason.COMPLETE
    assert ours.quality.additivity_gap is None


@pytest.mark.parametrize("text", TEXTS)
def test_the_sample_is_the_one_the_library_draws_and_repeated_rows_are_asked_once(text: str) -> None:
    value, n, asked = game_of(text)
    drawn: list[str] = []

    def recording(texts: list[str]) -> NDArray[np.float64]:
        drawn.extend(texts)
        return classify(texts)

    LimeTextExplainer(random_state=5).explain_instance(text, recording, num_samples=300, num_features=max(n, 7))
    indexed = IndexedString(text)
    sample = text_rows(n, 300, seed=5)
    assert [indexed.inverse_removing(np.flatnonzero(~row)) for row in sample[1:]] == drawn[1:]
    explanation = explain_game(value, n, method="lime", seed=5, max_evaluations=300)
    different = {row.tobytes() for row in sample}
    assert explanation.evaluations == len(asked) == len(different)


def test_kernel_weights_are_those_of_the_library() -> None:
    presence = text_rows(9, 200, seed=0).astype(float)
    cosine = presence.sum(axis=1) / np.maximum(np.sqrt(presence.sum(axis=1) * 9), 1e-300)
    distances = 100 * (1 - cosine)
    assert kernel_weights(presence) == pytest.approx(np.sqrt(np.exp(-(distances**2) / 25**2)), abs=1e-12)


def text_lime(game: GameInfo, rows: int) -> Lime:
    return Lime(game, text_sample(game, rows))


def told_until(estimator: Lime, value: Callable[..., NDArray[np.float64]], rows: int) -> None:
    coalitions = estimator.ask(rows)
    assert coalitions is not None
    estimator.tell(value(coalitions))


def test_stopped_early_the_fit_is_that_of_the_prefix_of_the_sample() -> None:
    value, n, _ = game_of(TEXTS[0])
    full = value(np.ones((1, n), np.bool_))[0]
    estimator = text_lime(GameInfo(n_players=n, empty=np.full(3, np.nan), full=full, seed=4), 400)
    told_until(estimator, value, 60)
    sample = text_rows(n, 400, seed=4)
    seen = list(dict.fromkeys(row.tobytes() for row in sample))  # in order of appearance, the text itself first
    end = next(i for i, row in enumerate(sample) if row.tobytes() in seen[61:])
    prefix = sample[:end].astype(float)
    ridge = Ridge(alpha=1).fit(prefix, value(sample[:end]), sample_weight=kernel_weights(prefix))
    attribution = estimator.estimate()
    assert attribution.values == pytest.approx(ridge.coef_, abs=1e-9)
    assert attribution.baseline == pytest.approx(ridge.intercept_, abs=1e-9)


def test_rows_that_were_not_evaluated_are_left_out() -> None:
    value, n, _ = game_of(TEXTS[0])
    full = value(np.ones((1, n), np.bool_))[0]
    estimator = text_lime(GameInfo(n_players=n, empty=np.full(3, np.nan), full=full), 400)
    coalitions = estimator.ask(10**6)
    assert coalitions is not None
    assert estimator.ask(1) is None
    told = np.arange(len(coalitions)) % 3 > 0
    values = value(coalitions)
    values[~told] = np.nan
    estimator.tell(values, told)
    sample = text_rows(n, 400, seed=0)
    known = {row.tobytes() for row in coalitions[told]} | {sample[0].tobytes()}
    rows = sample[[row.tobytes() in known for row in sample]]
    ridge = Ridge(alpha=1).fit(rows, value(rows), sample_weight=kernel_weights(rows.astype(float)))
    assert estimator.estimate().values == pytest.approx(ridge.coef_, abs=1e-9)


def test_before_any_row_nothing_depends_on_any_word() -> None:
    game = GameInfo(n_players=4, empty=np.array([np.nan]), full=np.array([0.7]))
    attribution = text_lime(game, 100).estimate()
    assert not attribution.values.any()
    assert attribution.baseline == pytest.approx([0.7])
    assert np.isnan(attribution.standard_errors).all()
    with pytest.raises(ValueError, match="ask for coalitions first"):
        text_lime(game, 100).tell(np.zeros((1, 1)))


def test_intervals_cover_the_answer_of_an_endless_sample() -> None:
    value, n, _ = game_of(TEXTS[5])
    covered = []
    # lime's penalty counts for less the larger the sample; the target is the same penalty per row.
    rows = text_rows(n, 20_000, seed=10**6)
    weights = kernel_weights(rows.astype(float))
    target = Ridge(alpha=20_000 / 500).fit(rows, value(rows)[:, 0], sample_weight=weights).coef_
    for seed in range(20):
        explanation = explain_game(value, n, method="lime", seed=seed, max_evaluations=500)
        covered.append(((explanation.lower[0] <= target) & (target <= explanation.upper[0])).mean())
    assert 0.92 <= np.mean(covered) <= 0.98


def test_held_out_r_squared_is_that_of_refits_without_each_coalition() -> None:
    value, n, _ = game_of("four words with friends")
    explanation = explain_game(lambda c: value(c)[:, 0], n, method="lime", max_evaluations=60)
    rows, counts = np.unique(text_rows(n, 60, seed=0), axis=0, return_counts=True)
    presence, targets = rows.astype(float), value(rows)[:, 0]
    weights = counts * kernel_weights(presence)
    errors = []
    for row in range(len(rows)):
        kept = np.arange(len(rows)) != row
        # The intercept carries no penalty, and leaving a row out moves it too.
        ones = np.column_stack((presence, np.ones(len(rows))))
        gram = (ones[kept].T * weights[kept]) @ ones[kept] + np.diag([1.0] * n + [0.0])
        solution = np.linalg.solve(gram, (ones[kept].T * weights[kept]) @ targets[kept])
        errors.append(targets[row] - ones[row] @ solution)
    spread = weights @ (targets - np.average(targets, weights=weights)) ** 2
    assert explanation.quality.held_out_r_squared == pytest.approx(1 - weights @ np.square(errors) / spread, abs=1e-9)
