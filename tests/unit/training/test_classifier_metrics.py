"""Metrics against scikit-learn and against the formula of the calibration error."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import classification_report, log_loss, roc_auc_score

from explicate_training.tasks.classification import (
    CALIBRATION_BINS,
    Classification,
    Targets,
    expected_calibration_error,
    reliability_bins,
)
from explicate_training.tasks.task import Outputs


def answers(classes: int, texts: int = 200) -> tuple[Outputs, Targets]:
    stream = np.random.default_rng(classes)
    targets = stream.integers(0, classes, texts)
    logits = stream.normal(size=(texts, classes))
    logits[np.arange(texts), targets] += 1
    return logits, targets


@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_equal_those_of_scikit_learn(classes: int) -> None:
    logits, targets = answers(classes)
    labels = [f"class {index}" for index in range(classes)]
    ours = Classification().metrics(logits, targets, labels, counted="texts")
    theirs = classification_report(targets, logits.argmax(axis=1), target_names=labels, output_dict=True)
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"])
    for name in ("precision", "recall"):
        assert ours[f"{name}_macro"] == pytest.approx(theirs["macro avg"][name])
    assert ours["f1_macro"] == pytest.approx(theirs["macro avg"]["f1-score"])
    for label in labels:
        assert ours["per_class"][label]["f1"] == pytest.approx(theirs[label]["f1-score"])
        assert ours["per_class"][label]["texts"] == theirs[label]["support"]
    probabilities = softmax(logits, axis=1)
    expected = roc_auc_score(targets, probabilities[:, 1] if classes == 2 else probabilities, multi_class="ovr")
    assert ours["auroc"] == pytest.approx(expected)
    assert ours["log_loss"] == pytest.approx(log_loss(targets, probabilities))
    assert np.sum(ours["confusion_matrix"]) == len(targets)
    assert np.trace(ours["confusion_matrix"]) == pytest.approx(ours["accuracy"] * len(targets))


def test_calibration_error_follows_its_formula() -> None:
    logits, targets = answers(3)
    probabilities = softmax(logits, axis=1)
    total = 0.0
    for index in range(15):  # equation 3 of Guo et al. 2017, written out
        inside = [row for row in range(len(targets)) if index / 15 < probabilities[row].max() <= (index + 1) / 15]
        if inside:
            accuracy = np.mean([probabilities[row].argmax() == targets[row] for row in inside])
            confidence = np.mean([probabilities[row].max() for row in inside])
            total += len(inside) / len(targets) * abs(accuracy - confidence)
    assert expected_calibration_error(logits, targets) == pytest.approx(total)


def test_calibration_error_of_a_sure_model_is_its_share_of_mistakes() -> None:
    logits = np.array([[50.0, 0.0]] * 4)
    assert expected_calibration_error(logits, np.array([0, 0, 0, 1])) == pytest.approx(0.25)


def test_calibration_error_of_a_model_as_sure_as_it_is_right_is_zero() -> None:
    logits = np.log(np.array([[0.75, 0.25]] * 4))
    assert expected_calibration_error(logits, np.array([0, 0, 0, 1])) == pytest.approx(0, abs=1e-12)


def test_reliability_bins_hold_every_text_once() -> None:
    logits, targets = answers(2)
    bins = reliability_bins(logits, targets)
    assert len(bins) == CALIBRATION_BINS
    assert sum(one.count for one in bins) == len(targets)
    assert all(one.lower < one.confidence <= one.upper for one in bins if one.count)


def test_auroc_is_undefined_when_a_class_is_absent() -> None:
    logits, _ = answers(3, texts=10)
    metrics = Classification().metrics(logits, np.array([0, 1] * 5), ["a", "b", "c"], counted="texts")
    assert metrics["auroc"] is None
    assert metrics["per_class"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "texts": 0}
