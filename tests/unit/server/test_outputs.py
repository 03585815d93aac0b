"""What is kept of a coalition's rows, and the outputs that are explained of it."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from explicate_bundle.objective import MULTI_LABEL, REGRESSION
from explicate_server.inference.asking.targets import ClassName, Contrast, Outputs, Target
from explicate_server.registry.records import Scales

LABELS = ("a", "b", "c")
STREAM = np.random.Generator(np.random.Philox(0))
ANSWERS = STREAM.normal(size=(6, 4, 3))
WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4])


def test_a_classifiers_probabilities_are_averaged_as_probabilities() -> None:
    scales = Scales(3)
    kept = scales.means(ANSWERS, WEIGHTS)
    assert kept.shape == (6, scales.width)
    np.testing.assert_allclose(scales.of(kept, "logit"), np.average(ANSWERS, axis=1, weights=WEIGHTS))
    expected = np.average(softmax(ANSWERS, axis=2), axis=1, weights=WEIGHTS)
    np.testing.assert_allclose(scales.of(kept, "probability"), expected)
    assert np.abs(expected - softmax(scales.raw(kept), axis=1)).max() > 0.01


def test_one_row_a_coalition_keeps_the_models_own_answers() -> None:
    scales = Scales(3)
    kept = scales.means(ANSWERS[:, :1], np.ones(1))
    np.testing.assert_array_equal(scales.raw(kept), ANSWERS[:, 0])


def test_each_label_of_several_has_the_sigmoid_of_its_own_logit() -> None:
    scales = Scales(3, MULTI_LABEL)
    kept = scales.means(ANSWERS, WEIGHTS)
    np.testing.assert_allclose(scales.of(kept, "logit"), np.average(ANSWERS, axis=1, weights=WEIGHTS))
    expected = np.average(expit(ANSWERS), axis=1, weights=WEIGHTS)
    np.testing.assert_allclose(scales.of(kept, "probability"), expected)
    outputs = Outputs.choose(
        Target(), "probability", scales=scales, prediction=np.array([-1.0, 3.0, 2.0]), labels=LABELS
    )
    assert outputs.class_indices == (1,)


def test_a_regression_keeps_its_value() -> None:
    scales = Scales(1, REGRESSION)
    kept = scales.means(ANSWERS[:, :, :1], WEIGHTS)
    np.testing.assert_allclose(kept[:, 0], ANSWERS[:, :, 0] @ WEIGHTS)
    outputs = Outputs.choose(Target(), "value", scales=scales, prediction=kept[0], labels=("euros",))
    assert outputs.class_indices == (0,)
    np.testing.assert_array_equal(outputs.of(kept), kept)


@pytest.mark.parametrize("space", ["logit", "probability"])
@pytest.mark.parametrize(("target", "reference"), [("c", 0), (1, "a")])
def test_a_contrast_is_the_difference_of_two_outputs(space: str, target: ClassName, reference: ClassName) -> None:
    scales = Scales(3)
    kept = scales.means(ANSWERS, WEIGHTS)
    chosen = Target(contrast=Contrast(target, reference))
    outputs = Outputs.choose(chosen, space, scales=scales, prediction=scales.raw(kept)[0], labels=LABELS)
    scores = scales.of(kept, space)
    of = {"a": 0, "c": 2, 0: 0, 1: 1}
    np.testing.assert_allclose(outputs.of(kept)[:, 0], scores[:, of[target]] - scores[:, of[reference]])
