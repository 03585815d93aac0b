"""Metrics of right and wrong: equal to scikit-learn's, on all rows and on draws of them."""

from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics as reference
from numpy.typing import NDArray

from explicate_bundle.objective import CLASSIFICATION, MULTI_LABEL, REGRESSION
from explicate_standards.outcomes.measures import MEASURES, measures_of
from explicate_standards.outcomes.outcomes import Outcomes, always_the_same

ROWS = 300
STREAM = np.random.Generator(np.random.Philox(5))


def classes(count: int) -> Outcomes:
    targets = STREAM.integers(0, count, ROWS)
    outputs = STREAM.normal(size=(ROWS, count)) + 1.5 * (targets[:, None] == np.arange(count))
    return Outcomes("m", CLASSIFICATION, tuple("abcde"[:count]), outputs, targets)


TWO, FOUR = classes(2), classes(4)
LABELS = Outcomes(
    "m", MULTI_LABEL, ("x", "y", "z"), STREAM.normal(size=(ROWS, 3)), STREAM.integers(0, 2, (ROWS, 3)).astype(np.bool_)
)
VALUES = Outcomes("m", REGRESSION, ("price",), STREAM.normal(size=(ROWS, 1)), STREAM.normal(size=ROWS))

# A slice of four classes that lacks two of them; one of these is answered all the same.
MISSING = Outcomes(
    "m",
    CLASSIFICATION,
    tuple("abcd"),
    np.eye(4)[np.where(np.arange(60) < 5, 2, np.arange(60) % 2)] * 2,
    (np.arange(60) // 2 % 2).astype(np.intp),
)

Reference = Callable[[Outcomes], float]
OF_CLASSES: dict[str, Reference] = {
    "accuracy": lambda o: reference.accuracy_score(o.targets, o.decided),
    "precision_macro": lambda o: reference.precision_score(o.targets, o.decided, average="macro"),
    "recall_macro": lambda o: reference.recall_score(o.targets, o.decided, average="macro"),
    "f1_macro": lambda o: reference.f1_score(o.targets, o.decided, average="macro"),
}


@pytest.mark.parametrize("outcomes", [TWO, FOUR, LABELS, MISSING], ids=["two", "four", "labels", "missing"])
@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.filterwarnings("ignore:.*ill-defined.*")
def test_decisions_are_measured_as_scikit_learn_does(outcomes: Outcomes, name: str) -> None:
    assert MEASURES[name].value(outcomes) == pytest.approx(OF_CLASSES[name](outcomes), abs=1e-9)


@pytest.mark.parametrize("outcomes", [TWO, FOUR], ids=["two", "four"])
def test_probabilities_are_measured_as_scikit_learn_does(outcomes: Outcomes) -> None:
    scores, targets, several = outcomes.scores, outcomes.targets, len(outcomes.labels) > 2
    auroc = reference.roc_auc_score(targets, scores if several else scores[:, 1], multi_class="ovr")
    assert MEASURES["auroc"].value(outcomes) == pytest.approx(auroc, abs=1e-9)
    assert MEASURES["log_loss"].value(outcomes) == pytest.approx(reference.log_loss(targets, scores), abs=1e-9)
    brier = np.square(scores - np.eye(len(outcomes.labels))[targets]).sum(axis=1).mean() / (1 if several else 2)
    assert MEASURES["brier"].value(outcomes) == pytest.approx(brier, abs=1e-9)
    if not several:
        of_sklearn = reference.brier_score_loss(targets, scores[:, 1])
        assert MEASURES["brier"].value(outcomes) == pytest.approx(of_sklearn, abs=1e-9)


def test_one_class_is_measured_as_scikit_learn_does() -> None:
    recall = reference.recall_score(FOUR.targets, FOUR.decided, average=None)[2]
    assert MEASURES["recall"].value(FOUR, 2) == pytest.approx(recall, abs=1e-9)
    area = reference.average_precision_score(FOUR.targets == 2, FOUR.scores[:, 2])
    assert MEASURES["average_precision"].value(FOUR, 2) == pytest.approx(area, abs=1e-9)


def test_what_a_slice_lacks_is_passed_over_or_undefined_as_in_scikit_learn() -> None:
    targets, scores = MISSING.targets, MISSING.scores
    loss = reference.log_loss(targets, scores, labels=range(4))
    assert MEASURES["log_loss"].value(MISSING) == pytest.approx(loss, abs=1e-9)
    areas = [reference.roc_auc_score(targets == one, scores[:, one]) for one in (0, 1)]  # of others there is no row
    assert MEASURES["auroc"].value(MISSING) == pytest.approx(np.mean(areas), abs=1e-9)
    found = [reference.average_precision_score(targets == one, scores[:, one]) for one in (0, 1)]
    assert MEASURES["average_precision"].value(MISSING) == pytest.approx(np.mean(found), abs=1e-9)
    assert np.isnan(MEASURES["auroc"].value(MISSING, 2))
    for name, score in (("precision", reference.precision_score), ("f1", reference.f1_score)):
        of_class = score(targets, MISSING.decided, average=None, labels=range(4), zero_division=0)
        for label in range(4):
            assert MEASURES[name].value(MISSING, label) == pytest.approx(of_class[label], abs=1e-9)


def test_labels_are_measured_as_scikit_learn_does() -> None:
    micro = reference.f1_score(LABELS.targets, LABELS.decided, average="micro")
    assert MEASURES["f1_micro"].value(LABELS) == pytest.approx(micro, abs=1e-9)
    area = reference.roc_auc_score(LABELS.targets, LABELS.scores, average="macro")
    assert MEASURES["auroc"].value(LABELS) == pytest.approx(area, abs=1e-9)


def test_values_are_measured_as_scikit_learn_does() -> None:
    answers = VALUES.outputs[:, 0]
    assert MEASURES["mae"].value(VALUES) == pytest.approx(
        reference.mean_absolute_error(VALUES.targets, answers), rel=1e-9
    )
    rmse = reference.root_mean_squared_error(VALUES.targets, answers)
    assert MEASURES["rmse"].value(VALUES) == pytest.approx(rmse, rel=1e-9)
    assert MEASURES["r2"].value(VALUES) == pytest.approx(reference.r2_score(VALUES.targets, answers), abs=1e-9)


@pytest.mark.parametrize("outcomes", [TWO, FOUR, LABELS, VALUES], ids=["two", "four", "labels", "values"])
def test_a_draw_is_measured_as_the_rows_that_it_has(outcomes: Outcomes) -> None:
    places = STREAM.integers(0, ROWS, ROWS)
    drawn = Outcomes("m", outcomes.objective, outcomes.labels, outcomes.outputs[places], outcomes.targets[places])
    counts = np.bincount(places, minlength=ROWS)[None].astype(np.float32)
    for name, measure in measures_of(outcomes.objective.answer).items():
        if name != "calibration_error":  # whose bins are of the rows as they are
            label = 0 if measure.of_class else None
            (found,) = measure.samples(outcomes, counts, label)
            assert found == pytest.approx(measure.value(drawn, label), abs=1e-5), name


def calibrated(stream: np.random.Generator, rows: int) -> Outcomes:
    """A model that is right as often as it says."""
    surest = stream.uniform(0.55, 0.98, rows)
    logits = np.log(surest / (1 - surest)) / 2
    targets = np.where(stream.random(rows) < surest, 0, 1)
    return Outcomes("m", CLASSIFICATION, ("a", "b"), np.stack([logits, -logits], axis=1), targets)


def test_the_calibration_error_of_a_calibrated_model_is_about_0_however_few_rows_there_are() -> None:
    stream = np.random.Generator(np.random.Philox(11))
    for rows in (300, 1000):
        found = [MEASURES["calibration_error"].value(calibrated(stream, rows)) for _ in range(100)]
        assert abs(np.mean(found)) < 0.004, rows


def test_the_calibration_error_of_a_model_that_is_too_sure_is_what_it_is_too_sure_by() -> None:
    rows = 4000
    logits = np.full(rows, np.log(0.9 / 0.1) / 2)  # says .9
    targets = (np.arange(rows) % 10 >= 7).astype(np.intp)  # right in .7
    outcomes = Outcomes("m", CLASSIFICATION, ("a", "b"), np.stack([logits, -logits], axis=1), targets)
    assert MEASURES["calibration_error"].value(outcomes) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("outcomes", [TWO, LABELS, VALUES], ids=["classes", "labels", "values"])
def test_always_the_same_answer_is_the_best_such_answer(outcomes: Outcomes) -> None:
    same = always_the_same(outcomes)
    assert len(np.unique(same.outputs, axis=0)) == 1
    if outcomes is TWO:
        assert MEASURES["accuracy"].value(same) == pytest.approx(np.bincount(TWO.targets).max() / ROWS)
    if outcomes is VALUES:
        error: NDArray[np.float64] = np.abs(VALUES.targets - np.median(VALUES.targets))
        assert MEASURES["mae"].value(same) == pytest.approx(error.mean(), rel=1e-9)
