"""The figures of `benchmarks.interpretability`, on records whose right answers are known."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.interpretability_lines import Records, auroc, compared, figures_of, mean, right, table_lines, text_lines
from benchmarks.interpretability_runs import TABLES, TEXT_VARIANTS, variants
from benchmarks.negation import cases
from benchmarks.sentiment_words import WORDS, lexicon_half, rationale


def record(name: str, seed: int = 0, *, cost: float = 10.0, right_share: float = 0.9, train_s: float = 100.0) -> Any:
    rows = np.arange(400)
    wrong = rows >= right_share * len(rows)
    outputs = np.stack([wrong, ~wrong], axis=1).astype(float)
    inputs = np.linspace(0.5, 1.5, 50)
    return {
        "variant": {"data": "reviews", "name": name, "seed": seed},
        "labels": ["other", "great"],
        "test": {"label": ["great"] * len(rows), "outputs": outputs.tolist()},
        "figures": {"evaluations_per_player": {"per_player": (cost * inputs).tolist()}},
        "negations": [True] * 120,
        "train_s": train_s,
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_area_is_that_of_scikit_learn_with_ties_and_weights(seed: int) -> None:
    stream = np.random.default_rng(seed)
    scores, positive = stream.integers(0, 8, 60).astype(float), stream.random(60) < 0.4
    counts = stream.integers(0, 3, (4, 60))
    found = auroc(scores, positive, counts)
    wanted = [roc_auc_score(positive, scores, sample_weight=weights) for weights in counts]
    np.testing.assert_allclose(found, wanted)


def test_a_ratio_is_of_the_same_inputs_and_its_interval_closes_where_all_agree() -> None:
    records = Records([record("defaults", cost=6.0), record("cross-entropy", cost=10.0)])
    pairs = records.pairs("reviews", "defaults", "cross-entropy")

    def cost(one: Any) -> Any:
        return figures_of(one, "evaluations_per_player", "per_player")

    found = compared(pairs, cost, mean, ratio=True)
    assert found is not None
    np.testing.assert_allclose(found[:3], [-0.4, -0.4, -0.4])


def test_lines_are_met_missed_or_missing() -> None:
    records = Records(
        [
            record("defaults", cost=6.0, right_share=0.9, train_s=150.0),
            record("cross-entropy", cost=10.0, right_share=0.9),
        ]
    )
    met = {line.measure: line.met for line in text_lines(records)}
    assert met["clean accuracy"] is True
    assert met["evaluations a player, median"] is True
    assert met["training time"] is True
    assert met["negation (not good → worse)"] is True
    assert met["masked accuracy"] is None  # nothing was measured of it
    worse = Records([record("defaults", right_share=0.8, train_s=250.0), record("cross-entropy")])
    met = {line.measure: line.met for line in text_lines(worse)}
    assert (met["clean accuracy"], met["evaluations a player, median"], met["training time"]) == (False, False, False)
    assert all(line.met is None for line in table_lines(worse))


def test_rows_are_right_where_the_largest_output_is_the_label() -> None:
    assert right(record("defaults", right_share=0.75)).mean() == pytest.approx(0.75)


def test_every_variant_runs_with_every_seed() -> None:
    assert len(variants("", [], 3)) == 3 * (len(TEXT_VARIANTS) + 4 * len(TABLES))
    assert {one.kind for one in variants("tables", [], 1)} == {"table"}
    assert [one.name for one in variants("text", ["defaults"], 2)] == ["defaults", "defaults"]


def test_words_that_teach_do_not_measure() -> None:
    taught, measured = set(lexicon_half(0)), set(lexicon_half(1))
    assert not taught & measured
    assert taught | measured == set(WORDS)
    word = next(word for word in lexicon_half(1) if WORDS[word] > 0)
    assert rationale(f"This is {word.upper()}, not {lexicon_half(0)[0]}.", "great") == [word.upper()]
    assert rationale(f"This is {word}.", "other") == []


def test_each_negation_differs_from_its_praise_by_one_word() -> None:
    assert len(cases()) == 120
    for praise, denied in cases():
        assert denied.replace(" not ", " ") == praise
