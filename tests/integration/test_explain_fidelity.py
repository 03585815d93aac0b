"""What Explain answers is what it claims to be: lime's own numbers, Shapley values within their error, repeatable."""

import asyncio
from itertools import pairwise
from math import comb
from pathlib import Path

import numpy as np
import pytest
from lime.lime_text import LimeTextExplainer
from numpy.typing import NDArray
from scipy.stats import spearmanr

from explicate.v1 import explanation_pb2
from explicate_bundle.model_inputs import TextInput
from explicate_bundle.objective import softmax
from support.harness import WORDS, Running, explain_request, predict_request, running_server, stream_request


def probabilities(running: Running, texts: list[str]) -> NDArray[np.float64]:
    """What a plain caller of the model gets, row by row, with no batcher, game or estimator between."""
    served = running.served()
    rows = [served.modality.encode(TextInput(text) if text else TextInput(" ")).row for text in texts]
    logits = np.concatenate([served.runtime.run(served.modality.collate([row])) for row in rows])
    return softmax(logits.astype(np.float64))


@pytest.mark.parametrize("seed", [0, 1234])
@pytest.mark.parametrize("text", ["the tea is good, the box is not! Tea for me", " ".join(WORDS)])
async def test_lime_gives_the_numbers_of_the_lime_library(tiny_repository: Path, text: str, seed: int) -> None:
    async with running_server(tiny_repository) as running:
        answer = (
            await running.inference.Explain(explain_request(text, method="lime", max_evaluations=400, seed=seed))
        ).result
        label = answer.prediction.classification.predicted_index
        library = LimeTextExplainer(random_state=seed).explain_instance(
            text,
            lambda texts: probabilities(running, list(texts)),
            labels=[label],
            num_features=len(answer.explanation.features),
            num_samples=400,
        )
    expected = dict(library.as_list(label))
    (attribution,) = answer.explanation.attributions
    ours = {
        feature.text.text: value for feature, value in zip(answer.explanation.features, attribution.values, strict=True)
    }
    assert ours.keys() == expected.keys()
    assert max(abs(ours[word] - expected[word]) for word in expected) < 1e-6
    assert attribution.baseline_value == pytest.approx(library.intercept[label], abs=1e-6)
    places = {f.text.text: [text[s.start : s.end] for s in f.text.spans] for f in answer.explanation.features}
    assert all(set(found) == {word} and len(found) >= 1 for word, found in places.items())


def exact_shapley(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Shapley values by definition from the values of all 2^n coalitions, bit i of the index = player i."""
    shapley = np.zeros(n)
    index = np.arange(2**n)
    sizes = np.array([int(i).bit_count() for i in index])
    for player in range(n):
        without = index[(index >> player) & 1 == 0]
        weights = 1 / (n * np.array([comb(n - 1, size) for size in sizes[without]]))
        shapley[player] = (weights * (values[without | (1 << player)] - values[without])).sum()
    return shapley


@pytest.mark.parametrize("words", [7, 10])
async def test_kernel_shap_agrees_with_exact_enumeration(tiny_repository: Path, words: int) -> None:
    text = " ".join(WORDS[:words])
    async with running_server(tiny_repository) as running:
        served = running.served()
        encoded = served.modality.encode(TextInput(text))
        game = served.modality.game(TextInput(text), encoded, players="words", masking="attention")
        n = len(game.players)
        coalitions = (np.arange(2**n)[:, np.newaxis] >> np.arange(n)) & 1 == 1
        logits = np.concatenate([served.runtime.run(served.modality.collate([row])) for row in game.rows(coalitions)])
        answer = (await running.inference.Explain(explain_request(text, max_evaluations=32 * n, tolerance=0.0))).result
    best = answer.prediction.classification.predicted_index
    values = softmax(logits.astype(np.float64))[:, best]
    exact = exact_shapley(values, n)
    (attribution,) = answer.explanation.attributions
    estimate = np.array(attribution.values)
    assert spearmanr(estimate, exact).statistic >= 0.95
    difference = values[-1] - values[0]
    assert abs(estimate.sum() - difference) <= 1e-5 * abs(difference)
    assert attribution.baseline_value == pytest.approx(values[0], abs=1e-6)
    assert attribution.instance_value == pytest.approx(values[-1], abs=1e-6)
    assert answer.explanation.quality.additivity_gap <= 1e-6
    inside = (np.array(attribution.lower) <= exact + 1e-6) & (exact - 1e-6 <= np.array(attribution.upper))
    assert inside.mean() >= 0.5
    if 2**n <= 32 * n:
        assert answer.explanation.stop_reason == explanation_pb2.STOP_REASON_EXACT
        assert np.abs(estimate - exact).max() < 1e-6


@pytest.mark.parametrize("method", ["kernel-shap", "lime"])
async def test_one_seed_gives_one_answer_whatever_else_the_server_does(tiny_repository: Path, method: str) -> None:
    text = " ".join(WORDS)
    async with running_server(tiny_repository) as running:
        request = explain_request(text, method=method, max_evaluations=300, seed=7, tolerance=0.0)
        alone = (await running.inference.Explain(request)).result
        crowd = [running.inference.Predict(predict_request(*WORDS)) for _ in range(20)]
        crowd += [
            running.inference.Explain(explain_request(" ".join(WORDS[i:]), method="kernel-shap", seed=i))
            for i in range(6)
        ]
        response, *_ = await asyncio.gather(running.inference.Explain(request), *crowd)
        beside = response.result
        other = (
            await running.inference.Explain(
                explain_request(text, method=method, max_evaluations=300, seed=8, tolerance=0.0)
            )
        ).result
    first, second, third = (a.explanation.attributions[0].values for a in (alone, beside, other))
    assert np.allclose(first, second, rtol=0, atol=1e-5)
    assert not np.allclose(first, third, rtol=0, atol=1e-5)


async def test_all_classes_are_explained_from_the_same_evaluations(tiny_repository: Path) -> None:
    text = " ".join(WORDS[:12])
    request = explain_request(text, max_evaluations=200, tolerance=0.0)
    request.spec.options.target.all.SetInParent()
    async with running_server(tiny_repository) as running:
        both = (await running.inference.Explain(request)).result.explanation
        request.spec.options.target.label = "great"
        one = (await running.inference.Explain(request)).result.explanation
    assert [attribution.class_label for attribution in both.attributions] == ["other", "great"]
    assert both.evaluations == one.evaluations
    assert np.allclose(both.attributions[1].values, one.attributions[0].values, atol=1e-6)
    # Two probabilities sum to one, so what speaks for one class speaks against the other.
    assert np.allclose(both.attributions[0].values, -np.array(both.attributions[1].values), atol=1e-6)


async def test_a_stream_grows_and_ends_with_the_answer_of_explain(tiny_repository: Path) -> None:
    text = " ".join(WORDS)
    options = {"max_evaluations": 640, "tolerance": 0.0, "seed": 3}
    async with running_server(tiny_repository) as running:
        answers = [answer async for answer in running.inference.StreamExplain(stream_request(text, **options))]
        whole = (await running.inference.Explain(explain_request(text, **options))).result
    assert [answer.final for answer in answers] == [False] * (len(answers) - 1) + [True]
    explanations = [answer.result.explanation for answer in answers]
    assert all(a.evaluations <= b.evaluations for a, b in pairwise(explanations))
    assert explanations[0].stop_reason == explanation_pb2.STOP_REASON_RUNNING
    assert explanations[-1].evaluations == whole.explanation.evaluations
    final, expected = explanations[-1].attributions[0], whole.explanation.attributions[0]
    assert np.allclose(final.values, expected.values, atol=1e-5)


async def test_the_prediction_in_an_explanation_is_that_of_predict(tiny_repository: Path) -> None:
    text = " ".join(WORDS[:9])
    async with running_server(tiny_repository) as running:
        explained = (await running.inference.Explain(explain_request(text))).result
        predicted = await running.inference.Predict(predict_request("not this one", text, "nor this"))
    ours = explained.prediction.classification
    theirs = predicted.predictions[1].classification
    assert ours.predicted_label == theirs.predicted_label
    for a, b in zip(ours.scores, theirs.scores, strict=True):
        assert a.logit == pytest.approx(b.logit, abs=1e-5)
    assert explained.model == predicted.model
