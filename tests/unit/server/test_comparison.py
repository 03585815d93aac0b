"""The sums of a comparison are those of their definitions."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import spearmanr

from explicate_bundle.objective import CLASSIFICATION, MULTI_LABEL, REGRESSION, Objective
from explicate_server.inference.shadow import Comparison, Scored
from explicate_server.registry.records import Scales

STREAM = np.random.Generator(np.random.Philox(5))


def scored(answers: np.ndarray, labels: tuple[str, ...], objective: Objective = CLASSIFICATION) -> Scored:
    return Scored(answers, labels, Scales(len(labels), objective))


def test_classes_are_compared_by_name_over_many_calls() -> None:
    ours, theirs = STREAM.normal(size=(2, 50, 3))
    comparison = Comparison(1, 2)
    assert (comparison.same_outcome, comparison.mean_absolute_difference, comparison.mean_spearman) == (None,) * 3
    for start in range(0, 50, 7):
        part = slice(start, start + 7)
        # The other version has the same labels in another order.
        comparison.add_predictions(
            scored(ours[part], ("a", "b", "c")), scored(theirs[part][:, [2, 0, 1]], ("c", "a", "b"))
        )
    assert comparison.predictions == 50
    assert comparison.same_outcome == pytest.approx((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
    expected = np.abs(softmax(ours, axis=1) - softmax(theirs, axis=1)).mean()
    assert comparison.mean_absolute_difference == pytest.approx(expected)


def test_a_label_that_only_one_version_knows_has_probability_0_with_the_other() -> None:
    comparison = Comparison(1, 2)
    comparison.add_predictions(scored(np.zeros((1, 2)), ("a", "b")), scored(np.zeros((1, 3)), ("a", "b", "c")))
    assert comparison.mean_absolute_difference == pytest.approx((1 / 6 + 1 / 6 + 1 / 3) / 3)


def test_labels_are_the_same_when_the_sets_are() -> None:
    ours = np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    theirs = np.array([[2.0, -2.0], [1.0, -1.0], [-3.0, -0.5]])
    comparison = Comparison(1, 2)
    comparison.add_predictions(scored(ours, ("a", "b"), MULTI_LABEL), scored(theirs, ("a", "b"), MULTI_LABEL))
    assert comparison.same_outcome == pytest.approx(2 / 3)
    assert comparison.mean_absolute_difference == pytest.approx(np.abs(expit(ours) - expit(theirs)).mean())


def test_a_regression_has_differences_of_its_values_and_no_outcome() -> None:
    ours, theirs = STREAM.normal(size=(2, 20, 1)) * 100
    comparison = Comparison(1, 2)
    comparison.add_predictions(scored(ours, ("euros",), REGRESSION), scored(theirs, ("money",), REGRESSION))
    assert comparison.same_outcome is None
    assert comparison.mean_absolute_difference == pytest.approx(np.abs(ours - theirs).mean())


def test_versions_of_different_kinds_cannot_be_compared() -> None:
    comparison = Comparison(1, 2)
    comparison.add_predictions(scored(np.zeros((1, 2)), ("a", "b")), scored(np.zeros((1, 1)), ("x",), REGRESSION))
    assert (comparison.predictions, comparison.failed) == (0, 1)
    assert "value" in comparison.last_failure


def test_attributions_are_ranked_as_scipy_ranks_them_ties_included() -> None:
    ours = np.round(STREAM.normal(size=(4, 9)), 1)
    theirs = np.round(STREAM.normal(size=(4, 9)), 1)
    comparison = Comparison(1, 2)
    comparison.add_attributions(ours, theirs)
    expected = [spearmanr(one, other).statistic for one, other in zip(ours, theirs, strict=True)]
    assert comparison.attributions == 4
    assert comparison.mean_spearman == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("values", [np.zeros(5), np.array([1.0, 2.0]), np.array([1.0, np.nan, 2.0, 3.0])])
def test_what_cannot_be_ranked_is_passed_over(values: np.ndarray) -> None:
    comparison = Comparison(1, 2)
    comparison.add_attributions(values[np.newaxis], np.arange(len(values), dtype=np.float64)[np.newaxis])
    assert (comparison.attributions, comparison.mean_spearman) == (0, None)
