"""Models of several labels, of numbers and of pairs of texts on a real server, against the models in torch."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from explicate_export.export import ExportOptions, export_run
from support.harness import (
    ALL_CLASSES,
    Running,
    explain_input,
    explain_request,
    predict_request,
    reference,
    running_server,
)
from support.tiny_bundle import TARGET_MEAN, TARGET_NAME, TARGET_SPREAD, write_tiny_run

TOPICS = ("price", "taste", "delivery")
ANSWERS = ("no", "yes", "maybe")
PAIR = ("is the tea good", "the tea is bad tea")
# float32 in ONNX against float32 in torch, with and without padding.
CLOSE = 2e-5
Model = Callable[[Sequence[tuple[str, ...]]], NDArray[np.float64]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models "topics" (labels), "entails" (pairs, classes) and "alike" (pairs, a number), and their runs."""
    directory = tmp_path_factory.mktemp("kinds")
    for name, kind, labels, pairs in (
        ("topics", "text-multi-label", TOPICS, False),
        ("entails", "text-classification", ANSWERS, True),
        ("alike", "text-regression", (), True),
    ):
        run = write_tiny_run(directory / name, seed=len(name), kind=kind, labels=labels, pairs=pairs)
        export_run(run, directory / "repository", ExportOptions(name))
    return directory


@pytest.fixture(scope="module")
def repository(folder: Path) -> Path:
    return folder / "repository"


def in_torch(folder: Path, name: str) -> Model:
    """The trained model as Hugging Face runs it: logits, or a regression's answers before they are in its unit."""
    model = AutoModelForSequenceClassification.from_pretrained(folder / name / "model").train(False)
    tokenizer = AutoTokenizer.from_pretrained(folder / name / "model")

    @torch.no_grad()
    def answer(rows: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        encoded = tokenizer(
            *map(list, zip(*rows, strict=True)), truncation=True, max_length=128, padding=True, return_tensors="pt"
        )
        return np.asarray(model(**encoded).logits.double().numpy())

    return answer


def pair_input(first: str, second: str) -> messages.Input:
    return messages.Input(text=messages.TextInput(text=first, text_pair=second))


async def predict(running: Running, model: str, pairs: Sequence[tuple[str, str]]) -> Any:
    inputs = [pair_input(*pair) for pair in pairs]
    answer = await running.inference.Predict(messages.PredictRequest(model=reference(model), inputs=inputs))
    return answer.predictions


async def explain(running: Running, model: str, pair: tuple[str, str], **options: Any) -> Any:
    request = explain_request("", model=model, **options)
    request.spec.input.CopyFrom(pair_input(*pair))
    return (await running.inference.Explain(request)).result


def shapley_values(value: Callable[[frozenset[int]], float], players: int) -> list[float]:
    """By their definition: the mean over all orders of what a player adds to those before it."""
    known: dict[frozenset[int], float] = {}

    def of(coalition: frozenset[int]) -> float:
        if coalition not in known:
            known[coalition] = value(coalition)
        return known[coalition]

    totals = [0.0] * players
    orders = list(permutations(range(players)))
    for order in orders:
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            totals[player] += of(before | {player}) - of(before)
    return [total / len(orders) for total in totals]


PAIRS = [
    PAIR,
    ("tea", "box"),
    ("box", "tea"),
    ("this tea is great " * 50, "the box was not good"),
    ("cheap", "never again " * 90),
    ("great food " * 60, "bad food " * 70),
]


async def test_pairs_are_answered_as_in_torch_alone_in_a_batch_and_in_any_order(folder: Path, repository: Path) -> None:
    expected = in_torch(folder, "entails")(PAIRS)
    async with running_server(repository) as running:
        together = await predict(running, "entails", PAIRS)
        backwards = await predict(running, "entails", PAIRS[::-1])
        alone = await asyncio.gather(*(predict(running, "entails", [pair]) for pair in PAIRS))
    for row, logits in enumerate(expected):
        for prediction in (together[row], backwards[len(PAIRS) - 1 - row], alone[row][0]):
            scores = prediction.classification.scores
            np.testing.assert_allclose([score.logit for score in scores], logits, atol=CLOSE)
            np.testing.assert_allclose([score.probability for score in scores], softmax(logits), atol=CLOSE)
    assert np.abs(expected[1] - expected[2]).max() > 0.1  # which text comes first matters
    usages = [prediction.text_usage for prediction in together]
    assert [usage.truncated for usage in usages] == [False, False, False, True, True, True]
    assert usages[3].pair_characters_used == len(PAIRS[3][1])  # the longer one gives way first
    assert usages[3].characters_used < len(PAIRS[3][0])
    assert usages[4].characters_used == len("cheap")
    assert 0 < usages[5].characters_used < len(PAIRS[5][0])
    assert 0 < usages[5].pair_characters_used < len(PAIRS[5][1])
    for usage in usages:  # no character of theirs takes two units of UTF-16
        assert (usage.utf16_used, usage.pair_utf16_used) == (usage.characters_used, usage.pair_characters_used)


async def test_a_number_comes_in_its_own_unit(folder: Path, repository: Path) -> None:
    expected = in_torch(folder, "alike")(PAIRS)[:, 0] * TARGET_SPREAD + TARGET_MEAN
    async with running_server(repository) as running:
        predictions = await predict(running, "alike", PAIRS)
        explained = await explain(running, "alike", PAIR, target=options_pb.Target(index=0))
    np.testing.assert_allclose([each.regression.value for each in predictions], expected, atol=CLOSE)
    (attribution,) = explained.explanation.attributions
    assert attribution.class_label == TARGET_NAME
    assert explained.explanation.options.output_space == options_pb.OUTPUT_SPACE_VALUE
    assert attribution.instance_value == pytest.approx(expected[0], abs=CLOSE)
    assert sum(attribution.values) == pytest.approx(attribution.instance_value - attribution.baseline_value, abs=1e-6)


@pytest.mark.parametrize("target", [options_pb.Target(index=1), options_pb.Target(label="x"), ALL_CLASSES])
async def test_a_number_has_one_output(repository: Path, target: options_pb.Target) -> None:
    async with running_server(repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await explain(running, "alike", PAIR, target=target)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "options.target" in (caught.value.details() or "")


async def test_words_of_both_texts_have_the_shapley_values_of_torch(folder: Path, repository: Path) -> None:
    """Masking delete, so that every coalition is a pair of strings for Hugging Face to read."""
    answer = in_torch(folder, "entails")
    first, second = "good tea", "bad tea box"
    words = [*first.split(), *second.split()]

    def value(coalition: frozenset[int]) -> float:
        # The words are cut out and the spaces stay, which this tokenizer does not see.
        texts = [" ".join(words[i] for i in half if i in coalition) for half in (range(2), range(2, 5))]
        return float(softmax(answer([(texts[0], texts[1])])[0])[1])

    async with running_server(repository) as running:
        explained = await explain(
            running,
            "entails",
            (first, second),
            method="exact-shap",
            masking=options_pb.MASKING_DELETE,
            target=options_pb.Target(index=1),
        )
    features = [feature.text for feature in explained.explanation.features]
    assert [(feature.text, feature.in_pair) for feature in features] == [
        ("good", False), ("tea", False), ("bad", True), ("tea", True), ("box", True),
    ]  # fmt: skip
    assert all((first, second)[f.in_pair][f.spans[0].start : f.spans[0].end] == f.text for f in features)
    (attribution,) = explained.explanation.attributions
    np.testing.assert_allclose(attribution.values, shapley_values(value, 5), atol=CLOSE)


async def test_lime_takes_the_same_word_of_both_texts_for_two_players(repository: Path) -> None:
    async with running_server(repository) as running:
        explained = await explain(running, "entails", PAIR, method="lime", max_evaluations=64)
    players = [(f.text.text, f.text.in_pair, len(f.text.spans)) for f in explained.explanation.features]
    assert players == [
        ("is", False, 1), ("the", False, 1), ("tea", False, 1), ("good", False, 1),
        ("the", True, 1), ("tea", True, 2), ("is", True, 1), ("bad", True, 1),
    ]  # fmt: skip


async def test_every_method_that_the_model_lists_explains_a_number_from_a_pair(repository: Path) -> None:
    async with running_server(repository) as running:
        stub: Any = model_service_pb2_grpc.ModelServiceStub(running.channel)
        methods = (await stub.GetModel(model_service_pb2.GetModelRequest(model="alike"))).methods
        answers = [
            (await explain(running, "alike", ("good tea", "bad box"), method=method, max_evaluations=64)).explanation
            for method in methods
        ]
    assert {"exact-shap", "kernel-shap", "lime", "occlusion", "partition-shap"} <= set(methods)
    for answer in answers:
        assert [feature.text.in_pair for feature in answer.features] == [False, False, True, True]
        (attribution,) = answer.attributions
        assert attribution.instance_value == pytest.approx(answers[0].attributions[0].instance_value, abs=CLOSE)
        assert np.abs(attribution.values).max() > 0.01


async def test_phrases_stay_within_their_text(repository: Path) -> None:
    pair = ("this tea is great and the box was good too", "we never had any of it but it was cheap")
    async with running_server(repository) as running:
        explained = await explain(running, "entails", pair, method="kernel-shap", max_evaluations=60, max_players=5)
    features = [feature.text for feature in explained.explanation.features]
    assert 2 <= len(features) <= 5
    for in_pair, text in enumerate(pair):
        assert " ".join(feature.text for feature in features if feature.in_pair == bool(in_pair)) == text


async def test_several_labels_of_a_text_have_a_sigmoid_each(folder: Path, repository: Path) -> None:
    texts = ["good tea", "the box was late and the tea was cold", "cheap", "never again", "great price"]
    expected = in_torch(folder, "topics")([(text,) for text in texts])
    async with running_server(repository) as running:
        answer = await running.inference.Predict(predict_request(*texts, model="topics"))
        explained = (
            await running.inference.Explain(
                explain_request(texts[0], model="topics", target=ALL_CLASSES, method="exact-shap")
            )
        ).result
    for logits, prediction in zip(expected, answer.predictions, strict=True):
        scores = prediction.multi_label.scores
        np.testing.assert_allclose([score.probability for score in scores], expit(logits), atol=CLOSE)
        wanted = [TOPICS[index] for index in np.argsort(-logits) if logits[index] > 0]
        assert list(prediction.multi_label.predicted_labels) == wanted
    for attribution, logit in zip(explained.explanation.attributions, expected[0], strict=True):
        assert attribution.instance_value == pytest.approx(expit(logit), abs=CLOSE)
        assert sum(attribution.values) == pytest.approx(attribution.instance_value - attribution.baseline_value)


@pytest.mark.parametrize(
    ("model", "text", "field", "problem"),
    [
        ("entails", messages.TextInput(text="tea"), "inputs[0].text.text_pair", "reads two texts"),
        ("entails", messages.TextInput(text="tea", text_pair=""), "inputs[0].text.text_pair", "is empty"),
        ("topics", messages.TextInput(text="tea", text_pair="box"), "inputs[0].text.text_pair", "reads one text"),
        ("topics", messages.TextInput(text="tea", text_pair=""), "inputs[0].text.text_pair", "reads one text"),
    ],
)
async def test_a_pair_too_many_or_too_few_is_refused_by_field(
    repository: Path, model: str, text: messages.TextInput, field: str, problem: str
) -> None:
    request = messages.PredictRequest(model=reference(model), inputs=[messages.Input(text=text)])
    async with running_server(repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Predict(request)
        explain = explain_input(messages.Input(text=text), model=model)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await running.inference.Explain(explain)
    assert caught.value.code() == refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in (caught.value.details() or "")
    assert problem in (caught.value.details() or "")
    assert "input.text.text_pair" in (refused.value.details() or "")


async def test_the_same_pair_turned_around_is_another_input(repository: Path) -> None:
    async with running_server(repository) as running:
        there = await explain(running, "entails", ("tea good", "box bad"), method="exact-shap")
        back = await explain(running, "entails", ("box bad", "tea good"), method="exact-shap")
        again = await explain(running, "entails", ("tea good", "box bad"), method="exact-shap")
    assert back.explanation.reused_evaluations == 0
    assert again.explanation.reused_evaluations == again.explanation.evaluations
    assert list(again.explanation.attributions[0].values) == list(there.explanation.attributions[0].values)
