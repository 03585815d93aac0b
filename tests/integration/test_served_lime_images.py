"""lime of images over gRPC: the numbers of the lime library for the very model that is served, on its segments."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lime.lime_image import LimeImageExplainer
from numpy.typing import NDArray
from scipy.special import softmax

from explicate.v1 import explanation_pb2 as options_pb
from support.harness import ALL_CLASSES, explain_input, image_input, running_server, segment_ids
from support.tiny_image_bundle import LABELS, pictures, png, tiny_images

ANIMALS = tiny_images()
ALL = range(len(LABELS))


def classify(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(softmax(ANIMALS.answers(images), axis=1))


@pytest.mark.parametrize("seed", [0, 3])
async def test_lime_at_its_defaults_gives_the_numbers_of_the_lime_library(
    image_repository: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = pictures(1, seed=seed)[0]
    request = explain_input(image_input(png(picture)), model="animals")
    request.spec.options.MergeFrom(options_pb.ExplainOptions(method="lime", seed=seed, target=ALL_CLASSES))
    async with running_server(image_repository) as running:
        answer = (await running.inference.Explain(request)).result
    explanation = answer.explanation
    segments = segment_ids(explanation.segment_map).astype(int)
    library: Any = LimeImageExplainer(random_state=seed).explain_instance(
        picture, classify, top_labels=len(LABELS), batch_size=100, segmentation_fn=lambda _: segments
    )
    capfd.readouterr()  # the library's progress bar
    assert len(explanation.features) > 1
    expected = [[dict(library.local_exp[label])[place] for place in range(len(explanation.features))] for label in ALL]
    values = [attribution.values for attribution in explanation.attributions]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)
    intercepts = [attribution.baseline_value for attribution in explanation.attributions]
    np.testing.assert_allclose(intercepts, [library.intercept[label] for label in ALL], rtol=0, atol=1e-6)
    assert np.abs(expected).max() > 0.01
    assert explanation.options.granularity == options_pb.GRANULARITY_QUICKSHIFT
    assert explanation.options.masking == options_pb.MASKING_MEAN
    assert explanation.options.max_evaluations == 1000
