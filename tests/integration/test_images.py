"""Images on a real server: what is predicted, and that explanations are Shapley values by their definition."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.special import expit, softmax
from skimage.segmentation import slic

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from explicate_server.rpc import inference_service
from support.harness import ALL_CLASSES, Running, explain_input, image_input, reference, running_server, segment_ids
from support.tiny_image_bundle import (
    HEIGHT,
    LABELS,
    TARGET_NAME,
    WIDTH,
    cells_of_grid,
    pictures,
    png,
    saved,
    tiny_images,
)

ANIMALS, AGES, TAGS = tiny_images(), tiny_images(labels=(), seed=1), tiny_images(seed=2, multi_label=True)
# Shapley values in float64 against a graph in float32.
CLOSE = 5e-6
GRID = {"granularity": options_pb.GRANULARITY_GRID, "segments": 8, "tolerance": 0.0}
CELLS = cells_of_grid(rows=2, columns=4)


async def predict(running: Running, model: str, contents: list[bytes]) -> Any:
    inputs = [image_input(content) for content in contents]
    return await running.inference.Predict(messages.PredictRequest(model=reference(model), inputs=inputs))


def explain_request(model: str, content: bytes, **options: Any) -> messages.ExplainRequest:
    request = explain_input(image_input(content), model=model)
    request.spec.options.MergeFrom(options_pb.ExplainOptions(**options))
    return request


async def explain(running: Running, model: str, content: bytes, **options: Any) -> Any:
    return (await running.inference.Explain(explain_request(model, content, **options))).result


def logits(prediction: Any) -> list[float]:
    return [score.logit for score in prediction.classification.scores]


async def test_an_image_is_predicted_the_same_alone_in_a_batch_and_in_any_order(image_repository: Path) -> None:
    pixels = pictures(120, seed=5)
    contents, expected = [png(picture) for picture in pixels], ANIMALS.answers(pixels)
    turned = np.random.Generator(np.random.Philox(1)).permutation(len(contents))
    async with running_server(image_repository) as running:
        together = (await predict(running, "animals", contents)).predictions
        in_turn = (await predict(running, "animals", [contents[index] for index in turned])).predictions
        alone = await asyncio.gather(*(predict(running, "animals", [content]) for content in contents[:20]))
    for row, prediction in enumerate(together):
        np.testing.assert_allclose(logits(prediction), expected[row], atol=CLOSE)
        scores = prediction.classification.scores
        np.testing.assert_allclose([score.probability for score in scores], softmax(expected[row]), atol=CLOSE)
        assert prediction.classification.predicted_label == LABELS[int(expected[row].argmax())]
        assert not prediction.HasField("text_usage")
        usage = prediction.image_usage
        assert (usage.width, usage.height, usage.frames) == (WIDTH, HEIGHT, 1)
        assert (usage.left, usage.top, usage.right, usage.bottom) == (0, 0, WIDTH, HEIGHT)
    for place, row in enumerate(turned):
        np.testing.assert_allclose(logits(in_turn[place]), expected[row], atol=CLOSE)
    for row, answer in enumerate(alone):
        np.testing.assert_allclose(logits(answer.predictions[0]), expected[row], atol=CLOSE)


async def test_regressions_and_several_labels_answer_in_their_own_way(image_repository: Path) -> None:
    pixels = pictures(10, seed=6)
    contents = [png(picture) for picture in pixels]
    async with running_server(image_repository) as running:
        ages = (await predict(running, "ages", contents)).predictions
        tags = (await predict(running, "tags", contents)).predictions
        age = await explain(running, "ages", contents[0], **GRID)
        tag = await explain(running, "tags", contents[0], target=ALL_CLASSES, **GRID)
    np.testing.assert_allclose([age.regression.value for age in ages], AGES.answers(pixels)[:, 0], atol=CLOSE)
    for prediction, expected in zip(tags, expit(TAGS.answers(pixels)), strict=True):
        scores = [score.probability for score in prediction.multi_label.scores]
        np.testing.assert_allclose(scores, expected, atol=CLOSE)
    (attribution,) = age.explanation.attributions
    assert attribution.class_label == TARGET_NAME
    np.testing.assert_allclose(attribution.values, AGES.shapley_values(pixels[0], CELLS)[0], atol=CLOSE)
    values = [attribution.values for attribution in tag.explanation.attributions]
    np.testing.assert_allclose(values, TAGS.shapley_values(pixels[0], CELLS, scale=expit), atol=CLOSE)


@pytest.mark.parametrize("method", ["exact-shap", "kernel-shap", "permutation-shap"])
@pytest.mark.parametrize("space", ["logit", "probability"])
async def test_explanations_are_shapley_values(image_repository: Path, method: str, space: str) -> None:
    pixels = pictures(2, seed=11)
    asked = {
        **GRID,
        "segments": 6,
        "method": method,
        "output_space": options_pb.OutputSpace.Value(f"OUTPUT_SPACE_{space.upper()}"),
        "max_evaluations": 720,  # permutation-shap is exact with all orders only
        "target": ALL_CLASSES,
    }
    cells = cells_of_grid(rows=2, columns=3)
    async with running_server(image_repository) as running:
        answers = [await explain(running, "animals", png(picture), **asked) for picture in pixels]
    for picture, answer in zip(pixels, answers, strict=True):
        explanation = answer.explanation
        scale = softmax if space == "probability" else (lambda values: values)
        expected = ANIMALS.shapley_values(picture, cells, scale=scale)
        values = [attribution.values for attribution in explanation.attributions]
        np.testing.assert_allclose(values, expected, atol=CLOSE)
        assert explanation.stop_reason == options_pb.STOP_REASON_EXACT
        assert explanation.evaluations <= 2**6
        np.testing.assert_array_equal(segment_ids(explanation.segment_map), cells)
        assert (explanation.options.segments, explanation.options.masking) == (6, options_pb.MASKING_MEAN)


@pytest.mark.parametrize("masking", ["BLUR", "GREY"])
async def test_other_maskings_are_other_games_with_their_own_values(image_repository: Path, masking: str) -> None:
    pixels = pictures(1, seed=12)[0]
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(HEIGHT / 10)))
    hidden = blurred if masking == "BLUR" else np.full_like(pixels, 128)
    chosen = {"masking": options_pb.Masking.Value(f"MASKING_{masking}"), "target": options_pb.Target(index=1)}
    async with running_server(image_repository) as running:
        answer = await explain(
            running, "animals", png(pixels), output_space=options_pb.OUTPUT_SPACE_LOGIT, **GRID, **chosen
        )
    expected = ANIMALS.shapley_values(pixels, CELLS, hidden=hidden)[1]
    (attribution,) = answer.explanation.attributions
    np.testing.assert_allclose(attribution.values, expected, atol=CLOSE)
    assert attribution.baseline_value == pytest.approx(ANIMALS.answers(hidden[np.newaxis])[0, 1], abs=CLOSE)


async def test_every_method_that_is_listed_explains_an_image(image_repository: Path) -> None:
    content = png(pictures(1, seed=13)[0])
    async with running_server(image_repository) as running:
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        described = await models.GetModel(model_service_pb2.GetModelRequest(model="animals"))
        answers = {
            method: await explain(running, "animals", content, method=method, **({} if method == "lime" else GRID))
            for method in described.methods
        }
    shapley = {"auto", "exact-shap", "kernel-shap", "permutation-shap", "partition-shap"}
    assert set(answers) == {*shapley, "lime", "lime-stratified", "occlusion"}
    assert answers["lime"].explanation.options.granularity == options_pb.GRANULARITY_QUICKSHIFT
    assert (described.limits.max_image_bytes, described.limits.max_image_pixels) == (8 << 20, 32_000_000)
    for method, answer in answers.items():
        (attribution,) = answer.explanation.attributions
        assert len(attribution.values) == len(answer.explanation.features)
        if method in shapley:
            difference = attribution.instance_value - attribution.baseline_value
            assert sum(attribution.values) == pytest.approx(difference, abs=CLOSE)


@pytest.mark.parametrize("granularity", ["SLIC", "QUICKSHIFT", "GRID", "PATCH"])
async def test_features_are_the_segments_of_the_map(image_repository: Path, granularity: str) -> None:
    pixels = pictures(1, seed=14)[0]
    chosen = options_pb.Granularity.Value(f"GRANULARITY_{granularity}")
    async with running_server(image_repository) as running:
        explanation = (await explain(running, "animals", png(pixels), granularity=chosen)).explanation
    segment_map = segment_ids(explanation.segment_map)
    assert segment_map.shape == (HEIGHT, WIDTH)
    assert [feature.segment.id for feature in explanation.features] == np.unique(segment_map).tolist()
    for feature in explanation.features:
        segment = feature.segment
        rows, columns = np.nonzero(segment_map == segment.id)
        assert segment.pixels == len(rows)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (segment.left, segment.top, segment.right, segment.bottom) == box
    assert explanation.options.granularity == chosen
    if granularity == "SLIC":
        expected = slic(pixels, n_segments=49, start_label=0)
        np.testing.assert_array_equal(segment_map, np.unique(expected, return_inverse=True)[1].reshape(HEIGHT, WIDTH))
    assert explanation.options.HasField("segments") == (granularity in ("SLIC", "GRID"))


async def test_many_segments_are_grouped_and_the_map_shows_the_groups(image_repository: Path) -> None:
    content = png(pictures(1, seed=15)[0])
    asked = {**GRID, "segments": 96, "max_players": 20, "max_evaluations": 300, "method": "kernel-shap"}
    async with running_server(image_repository) as running:
        explanation = (await explain(running, "animals", content, **asked)).explanation
    segment_map = segment_ids(explanation.segment_map)
    assert 2 <= len(explanation.features) <= 20
    assert np.unique(segment_map).tolist() == [feature.segment.id for feature in explanation.features]
    assert [feature.segment.pixels for feature in explanation.features] == np.bincount(segment_map.ravel()).tolist()
    (attribution,) = explanation.attributions
    difference = attribution.instance_value - attribution.baseline_value
    assert sum(attribution.values) == pytest.approx(difference, abs=CLOSE)


@pytest.fixture
def an_answer_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_service, "STREAM_INTERVAL_S", 0.0)


@pytest.mark.usefixtures("an_answer_each_round")
async def test_a_stream_ends_in_the_answer_of_explain(image_repository: Path) -> None:
    request = explain_request("animals", png(pictures(1, seed=16)[0]), tolerance=0.0, max_evaluations=2000)
    stream = messages.StreamExplainRequest(spec=request.spec)
    async with running_server(image_repository) as running:
        steps = [step async for step in running.inference.StreamExplain(stream)]
        whole = (await running.inference.Explain(request)).result
    assert [step.final for step in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].result.explanation.attributions == whole.explanation.attributions
    assert whole.explanation.evaluations <= 2000
    first, *between, last = (step.result.explanation for step in steps)
    for told in (first, last):
        assert told.segment_map == whole.explanation.segment_map
        assert told.features == whole.explanation.features
    assert between
    assert not any(told.features or told.HasField("segment_map") for told in between)


@pytest.mark.usefixtures("an_answer_each_round")
async def test_a_stream_tells_its_features_again_when_they_have_changed(image_repository: Path) -> None:
    asked = {**GRID, "segments": 96, "max_players": 20, "max_evaluations": 2000, "tolerance": 0.0}
    request = explain_request("animals", png(pictures(1, seed=15)[0]), method="kernel-shap", **asked)
    stream = messages.StreamExplainRequest(spec=request.spec)
    async with running_server(image_repository) as running:
        steps = [step.result.explanation async for step in running.inference.StreamExplain(stream)]
    told = [step for step in steps if step.features]
    assert told[0] is steps[0]
    assert told[-1] is steps[-1]
    assert 2 < len(told) < len(steps)
    known = steps[0]
    for step in steps:
        if step.features and step is not steps[-1] and step is not steps[0]:
            assert step.features != known.features
        known = step if step.features else known
        assert len(step.attributions[0].values) == len(known.features)
        assert np.unique(segment_ids(known.segment_map)).tolist() == [f.segment.id for f in known.features]


async def test_a_repeated_request_reuses_every_coalition_of_the_same_segments(image_repository: Path) -> None:
    content = png(pictures(1, seed=17)[0])
    async with running_server(image_repository) as running:
        first = await explain(running, "animals", content, **GRID)
        again = await explain(running, "animals", content, **GRID)
        finer = await explain(running, "animals", content, **{**GRID, "segments": 6})
        grey = await explain(running, "animals", content, masking=options_pb.MASKING_GREY, **GRID)
    assert again.explanation.reused_evaluations == first.explanation.evaluations == 2**8
    assert again.explanation.attributions == first.explanation.attributions
    assert finer.explanation.reused_evaluations == grey.explanation.reused_evaluations == 0


async def test_the_answer_says_which_part_of_a_larger_animated_image_was_seen(tmp_path: Path) -> None:
    tiny_images(shortest_edge=32).publish(tmp_path, "middle")
    frames = [Image.fromarray(picture) for picture in pictures(3, height=80, width=160)]
    content = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    async with running_server(tmp_path) as running:
        answer = await explain(running, "middle", content, **GRID)
        (prediction,) = (await predict(running, "middle", [content])).predictions
    # 160 x 80 becomes 64 x 32; of that columns 20 to 44 and rows 8 to 24 are seen.
    resized = frames[0].resize((64, 32), Image.Resampling.BILINEAR)
    expected = ANIMALS.answers(np.asarray(resized)[np.newaxis, 8:24, 20:44])[0]
    np.testing.assert_allclose(logits(prediction), expected, atol=CLOSE)
    usage = prediction.image_usage
    assert (usage.width, usage.height, usage.frames) == (160, 80, 3)
    assert (usage.left, usage.top, usage.right, usage.bottom) == (50, 20, 110, 60)
    assert answer.prediction == prediction
    assert (answer.explanation.segment_map.width, answer.explanation.segment_map.height) == (WIDTH, HEIGHT)


async def test_a_bad_image_does_not_touch_the_calls_around_it(image_repository: Path) -> None:
    pixels = pictures(12, seed=19)
    contents, expected = [png(picture) for picture in pixels], ANIMALS.answers(pixels)
    async with running_server(image_repository) as running:
        good = [predict(running, "animals", [content]) for content in contents]
        bad = [predict(running, "animals", [content, content[:-40]]) for content in contents]
        mixed = [call for pair in zip(good, bad, strict=True) for call in pair]
        answers = await asyncio.gather(*mixed, return_exceptions=True)
    for row, answer in enumerate(answers[::2]):
        assert not isinstance(answer, BaseException)
        np.testing.assert_allclose(logits(answer.predictions[0]), expected[row], atol=CLOSE)
    assert all(isinstance(answer, BaseException) for answer in answers[1::2])
