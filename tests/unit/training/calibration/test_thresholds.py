"""Thresholds are chosen for their goals, and decide as the bundle's rule says."""

import numpy as np
import pytest
from scipy.stats import binomtest

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.objective import OBJECTIVES
from explicate_bundle.outcomes.decision_rule import Decision, decision_checks
from explicate_training.calibration.answer_options import ThresholdOptions
from explicate_training.calibration.thresholds import Candidates, check_goals, choose, lower_bound
from explicate_training.tasks.registry import task_named

CLASSES = task_named("classification")
LABELS = task_named("multi-label")
NAMES = ["bad", "good"]


def rule_of(*thresholds: tuple[str, float], costs: tuple[float, ...] = ()) -> bundle_pb2.DecisionRule:
    made = [bundle_pb2.DecisionThreshold(label=label, threshold=value) for label, value in thresholds]
    return bundle_pb2.DecisionRule(thresholds=made, costs=costs)


def test_a_class_is_answered_from_its_threshold_on_and_the_most_probable_other_below_it():
    decision = Decision.of(rule_of(("b", 0.2)), ["a", "b", "c"], several=False)
    scores = np.array([[0.7, 0.2, 0.1], [0.5, 0.19, 0.31], [0.1, 0.6, 0.3], [0.3, 0.19, 0.51]])
    assert decision.decide(scores).tolist() == [1, 0, 1, 2]
    assert decision.leading(scores).tolist() == [1, 0, 1, 2]


def test_of_two_classes_that_reach_their_thresholds_the_larger_multiple_wins():
    decision = Decision.of(rule_of(("a", 0.4), ("b", 0.2)), ["a", "b", "c"], several=False)
    assert decision.decide(np.array([[0.6, 0.4, 0.0], [0.6, 0.25, 0.15]])).tolist() == [1, 0]


def test_a_label_without_a_threshold_is_answered_from_one_half_on():
    decision = Decision.of(rule_of(("a", 0.2)), ["a", "b"], several=True)
    assert decision.decide(np.array([[0.2, 0.5], [0.19, 0.49]])).tolist() == [[True, True], [False, False]]


def test_the_class_with_the_least_expected_cost_is_answered():
    # Elkan 2001: of two classes that is a threshold of c10 / (c10 + c01), here 1 / 6.
    decision = Decision.of(rule_of(costs=(0, 5, 1, 0)), NAMES, several=False)
    probabilities = np.array([1 / 6 - 0.001, 1 / 6 + 0.001])
    assert decision.decide(np.stack([probabilities, 1 - probabilities], axis=1)).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("rule", "several", "otherwise"),
    [
        (rule_of(("worst", 0.5)), False, "which is not a label"),
        (rule_of(("bad", 0.0)), False, "not above 0"),
        (rule_of(("bad", float("nan"))), False, "not above 0"),
        (rule_of(("bad", 0.5), ("bad", 0.6)), False, "repeat"),
        (rule_of(), False, "either thresholds or costs"),
        (rule_of(costs=(0, 1, 1)), False, "3 for 2 classes"),
        (rule_of(costs=(0, 1, -1, 0)), False, "not a number from 0"),
        (rule_of(costs=(0, 1, 1, 0)), True, "are of classes"),
    ],
)
def test_a_manifest_with_a_rule_that_cannot_be_is_refused(rule, several, otherwise):
    found = [told for holds, told in decision_checks(rule, NAMES, several=several) if not holds]
    assert otherwise in found[0]


def test_an_objective_with_a_rule_decides_by_it_and_leaves_scores_alone():
    plain = OBJECTIVES["classification"]
    ours = plain.deciding(rule_of(("bad", 0.1)), NAMES)
    logits = np.array([[0.0, 2.0]])  # bad 0.119
    assert (int(plain.decisions(plain.scores(logits))[0]), int(ours.decisions(ours.scores(logits))[0])) == (1, 0)
    assert ours.leading(logits).tolist() == [0]
    assert ours.plain is plain
    np.testing.assert_array_equal(ours.scores(logits), plain.scores(logits))


def test_lower_bounds_are_those_of_scipy():
    for hits, trials in ((0, 5), (5, 5), (57, 60), (3, 40)):
        expected = binomtest(hits, trials, alternative="greater").proportion_ci(0.9, method="exact").low
        assert lower_bound(np.array([hits]), np.array([trials]), 0.9)[0] == pytest.approx(expected, abs=1e-9)
    assert lower_bound(np.array([57]), np.array([60]), 0.5)[0] == 57 / 60


def scored(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two classes, and which is right, drawn by them."""
    stream = np.random.default_rng(5)
    bad = stream.beta(1, 3, count)
    return np.stack([bad, 1 - bad], axis=1), (stream.random(count) >= bad).astype(np.int64)


def test_the_threshold_for_a_recall_is_the_highest_whose_bound_reaches_it():
    scores, targets = scored()
    options = ThresholdOptions(recall_at_least={"bad": 0.8})
    rule, warnings = choose(options, CLASSES, scores, targets, NAMES)
    (one,), bad = rule.thresholds, targets == 0
    found = scores[bad, 0] >= one.threshold
    assert one.recall == found.mean() >= 0.8
    assert not warnings
    bound = binomtest(int(found.sum()), len(found), alternative="greater").proportion_ci(0.9, method="exact").low
    one_less = binomtest(int(found.sum()) - 1, len(found), alternative="greater").proportion_ci(0.9, method="exact").low
    assert one_less < 0.8 <= bound
    answered = scores[:, 0] >= one.threshold
    assert one.precision == pytest.approx(bad[answered].mean())


def test_new_rows_reach_the_recall_as_often_as_was_asked_for():
    stream, reached, draws = np.random.default_rng(0), 0, 300
    for _ in range(draws):
        positive = stream.random(600) < 0.2
        scores = np.clip(stream.normal(np.where(positive, 0.6, 0.4), 0.15), 0.001, 0.999)
        picked = Candidates.of(scores, positive)
        threshold = picked.thresholds[picked.with_recall(0.9, 0.9).place]
        true_recall = 1 - float(np.mean(stream.normal(0.6, 0.15, 20_000) < threshold))
        reached += true_recall >= 0.9
    # At least .9 of the draws but for chance: three standard errors of 300 draws are .052.
    assert reached / draws >= 0.9 - 0.052


def test_a_precision_that_is_out_of_reach_takes_the_surest_and_says_so():
    scores, targets = scored()
    rule, warnings = choose(ThresholdOptions(precision_at_least={"bad": 0.999}), CLASSES, scores, targets, NAMES)
    assert "surely" in warnings[0]
    candidates = Candidates.of(scores[:, 0], targets == 0)
    best = lower_bound(candidates.found, candidates.answered, 0.9).argmax()
    assert rule.thresholds[0].threshold == candidates.thresholds[best]


def test_every_label_without_another_goal_gets_the_threshold_of_its_best_f1():
    stream = np.random.default_rng(1)
    targets = (stream.random((200, 3)) < [0.1, 0.5, 0.3]).astype(np.int64)
    scores = np.clip(0.3 * targets + 0.6 * stream.random((200, 3)), 0.01, 0.99)
    options = ThresholdOptions(f1=("*",), recall_at_least={"c": 0.5})
    rule, _ = choose(options, LABELS, scores, targets, ["a", "b", "c"])
    assert [(one.label, one.goal) for one in rule.thresholds] == [
        ("c", "recall of at least 0.5"),
        ("a", "best F1"),
        ("b", "best F1"),
    ]
    from sklearn.metrics import f1_score

    for one, k in ((rule.thresholds[1], 0), (rule.thresholds[2], 1)):
        ours = f1_score(targets[:, k], scores[:, k] >= one.threshold)
        assert ours == max(f1_score(targets[:, k], scores[:, k] >= value) for value in np.unique(scores[:, k]))


def test_costs_of_two_classes_become_the_threshold_that_costs_least():
    scores, targets = scored()
    options = ThresholdOptions(costs={"bad": {"good": 5}, "good": {"bad": 1}})
    (one,) = choose(options, CLASSES, scores, targets, NAMES)[0].thresholds
    assert one.label == "bad"

    def cost(threshold: float) -> float:
        answered = scores[:, 0] >= threshold
        return float((5 * ((targets == 0) & ~answered) + ((targets == 1) & answered)).sum())

    assert cost(one.threshold) == min(cost(value) for value in [*scores[:, 0], 1.01])


def test_costs_of_three_classes_are_kept_as_they_are():
    options = ThresholdOptions(costs={"a": {"b": 2, "c": 3}, "b": {"a": 1}, "c": {"a": 4}})
    scores, targets = np.full((9, 3), 1 / 3), np.arange(9) % 3
    rule, _ = choose(options, CLASSES, scores, targets, ["a", "b", "c"])
    assert list(rule.costs) == [0, 2, 3, 1, 0, 0, 4, 0, 0]


@pytest.mark.parametrize(
    ("options", "task", "otherwise"),
    [
        (ThresholdOptions(recall_at_least={"worst": 0.5}), CLASSES, "thresholds names 'worst'"),
        (ThresholdOptions(f1=("bad", "good")), CLASSES, "leave it one"),
        (ThresholdOptions(recall_at_least={"bad": 0.99}), CLASSES, "has 50 of it: 230 tell it"),
        (ThresholdOptions(costs={"bad": {"good": 1}}), CLASSES, "thresholds.costs.good is missing"),
        (ThresholdOptions(costs={"bad": {"good": 1}, "good": {"bad": 1}}), LABELS, "exclude each other"),
        (ThresholdOptions(f1=("bad",)), task_named("regression"), "this is a regression"),
    ],
)
def test_goals_that_do_not_fit_are_refused_before_training(options, task, otherwise):
    targets = np.eye(2, dtype=np.int64)[np.arange(100) % 2] if task is LABELS else np.arange(100) % 2
    with pytest.raises(UsageError, match=otherwise):
        check_goals(options, task, NAMES, targets)


@pytest.mark.parametrize(
    ("options", "otherwise"),
    [
        (ThresholdOptions(recall_at_least={"bad": 1.0}), "recall_at_least.bad must be above 0 and below 1"),
        (ThresholdOptions(f1=("bad",), precision_at_least={"bad": 0.5}), "several goals for 'bad'"),
        (ThresholdOptions(f1=("bad",), costs={"bad": {"good": 1}}), "decide by themselves"),
        (ThresholdOptions(costs={"bad": {"bad": 1}}), "costs nothing"),
        (ThresholdOptions(costs={"bad": {"good": -1}}), "number from 0"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, otherwise):
    with pytest.raises(UsageError, match=otherwise):
        options.check()
