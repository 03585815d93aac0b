"""Models of several labels on a real server: a sigmoid for each label, and explanations of any of them."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from scipy.special import expit

from explicate.v1 import bundle_pb2, model_service_pb2, model_service_pb2_grpc, table_pb2
from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from support.harness import ALL_CLASSES, Running, explain_input, reference, running_server, table_input
from support.tiny_table_bundle import TinyTable, tiny_table

LABELS = ("late", "damaged", "wrong item", "rude")
FLAGS = tiny_table(labels=LABELS, seed=4, multi_label=True)
ONE_FLAG = tiny_table(labels=("late",), seed=5, multi_label=True)
# float64 against a graph in float32.
CLOSE = 2e-6


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models "flags", of four labels, and "flag", of one. For reading only."""
    directory = tmp_path_factory.mktemp("labels")
    FLAGS.publish(directory, "flags")
    ONE_FLAG.publish(directory, "flag")
    return directory


def inputs(table: TinyTable, count: int) -> tuple[Any, Any, list[messages.Input]]:
    numbers, codes = table.rows(count, seed=5)
    return numbers, codes, [table_input(table.cells(n, c)) for n, c in zip(numbers, codes, strict=True)]


async def predict(running: Running, rows: list[messages.Input], model: str = "flags") -> Any:
    answer = await running.inference.Predict(messages.PredictRequest(model=reference(model), inputs=rows))
    return [prediction.multi_label for prediction in answer.predictions]


async def explain(running: Running, row: messages.Input, model: str = "flags", **options: Any) -> Any:
    request = explain_input(row, model=model, **options)
    return (await running.inference.Explain(request)).result


async def test_labels_of_at_least_one_half_are_named_the_most_probable_first(repository: Path) -> None:
    numbers, codes, rows = inputs(FLAGS, 120)
    expected = FLAGS.answers(numbers, codes)
    async with running_server(repository) as running:
        together = await predict(running, rows)
        turned = np.random.Generator(np.random.Philox(1)).permutation(len(rows))
        in_turn = await predict(running, [rows[index] for index in turned])
        alone = [(await predict(running, [row]))[0] for row in rows[:5]]
    counts = set()
    for row, answer in enumerate(together):
        np.testing.assert_allclose([score.logit for score in answer.scores], expected[row], atol=CLOSE)
        np.testing.assert_allclose([score.probability for score in answer.scores], expit(expected[row]), atol=CLOSE)
        assert [score.label for score in answer.scores] == list(LABELS)
        wanted = [int(index) for index in np.argsort(-expected[row]) if expected[row, index] >= 0]
        assert list(answer.predicted_indices) == wanted
        assert list(answer.predicted_labels) == [LABELS[index] for index in wanted]
        counts.add(len(wanted))
    assert {0, 2} <= counts  # none and several do occur
    for place, row in enumerate(turned):
        logits = [score.logit for score in in_turn[place].scores]
        np.testing.assert_allclose(logits, [score.logit for score in together[row].scores], atol=CLOSE)
    for row, answer in enumerate(alone):
        logits = [score.logit for score in answer.scores]
        np.testing.assert_allclose(logits, [score.logit for score in together[row].scores], atol=CLOSE)


async def test_a_packed_table_is_answered_with_sigmoids(repository: Path) -> None:
    numbers, codes, _ = inputs(FLAGS, 50)
    table = table_pb2.Table(rows=50)
    for place, name in enumerate(FLAGS.numbers):
        table.columns.add(name=name).numbers.values.extend(numbers[:, place])
    for place, column in enumerate(FLAGS.others):
        values = table.columns.add(name=column.name).categories
        values.names.extend([*column.categories, "never seen"])
        values.codes.extend([len(column.categories) if code == 0 else int(code) - 2 for code in codes[:, place]])
    async with running_server(repository) as running:
        answer = await running.inference.Predict(messages.PredictRequest(model=reference("flags"), table=table))
    assert list(answer.packed.class_labels) == list(LABELS)
    scores = np.reshape(answer.packed.scores, (50, len(LABELS)))
    np.testing.assert_allclose(scores, expit(FLAGS.answers(numbers, codes)), atol=CLOSE)


@pytest.mark.parametrize("method", ["exact-shap", "kernel-shap", "permutation-shap"])
async def test_all_labels_have_the_shapley_values_of_their_own_probability(repository: Path, method: str) -> None:
    numbers, codes, rows = inputs(FLAGS, 1)
    async with running_server(repository) as running:
        answer = await explain(running, rows[0], method=method, target=ALL_CLASSES, tolerance=0)
    expected = FLAGS.shapley_values(numbers[0], codes[0], probability=True)
    assert answer.explanation.options.output_space == options_pb.OUTPUT_SPACE_PROBABILITY
    assert [each.class_label for each in answer.explanation.attributions] == list(LABELS)
    for output, attribution in enumerate(answer.explanation.attributions):
        np.testing.assert_allclose(attribution.values, expected[output], atol=CLOSE)
        assert attribution.instance_value == pytest.approx(answer.prediction.multi_label.scores[output].probability)


async def test_the_most_probable_label_is_explained_unless_another_is_named(repository: Path) -> None:
    numbers, codes, rows = inputs(FLAGS, 6)
    answers = FLAGS.answers(numbers, codes)
    async with running_server(repository) as running:
        for row in range(6):
            (attribution,) = (await explain(running, rows[row])).explanation.attributions
            assert attribution.class_index == answers[row].argmax()
        for target in (options_pb.Target(index=3), options_pb.Target(label="rude")):
            answer = await explain(running, rows[0], target=target, output_space=options_pb.OUTPUT_SPACE_LOGIT)
            (attribution,) = answer.explanation.attributions
            assert attribution.class_label == "rude"
            expected = FLAGS.shapley_values(numbers[0], codes[0])[3]
            np.testing.assert_allclose(attribution.values, expected, atol=5e-6)


async def test_a_contrast_of_two_labels_is_the_difference_of_their_scores(repository: Path) -> None:
    numbers, codes, rows = inputs(FLAGS, 1)
    contrast = options_pb.Contrast(
        target=options_pb.ClassSelector(label="rude"), reference=options_pb.ClassSelector(index=0)
    )
    async with running_server(repository) as running:
        answer = await explain(running, rows[0], target=options_pb.Target(contrast=contrast))
    (attribution,) = answer.explanation.attributions
    values = FLAGS.shapley_values(numbers[0], codes[0])
    np.testing.assert_allclose(attribution.values, values[3] - values[0], atol=5e-6)
    assert answer.explanation.options.output_space == options_pb.OUTPUT_SPACE_LOGIT


async def test_a_model_of_a_single_label_answers_yes_or_no(repository: Path) -> None:
    numbers, codes, rows = inputs(ONE_FLAG, 20)
    expected = ONE_FLAG.answers(numbers, codes)[:, 0]
    async with running_server(repository) as running:
        answers = await predict(running, rows, "flag")
        explained = await explain(running, rows[0], "flag")
    assert [list(answer.predicted_labels) for answer in answers] == [["late"] if x >= 0 else [] for x in expected]
    (attribution,) = explained.explanation.attributions
    values = ONE_FLAG.shapley_values(numbers[0], codes[0], probability=True)[0]
    np.testing.assert_allclose(attribution.values, values, atol=CLOSE)


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (options_pb.Target(index=4), "options.target.index"),
        (options_pb.Target(label="lost"), "options.target.label"),
    ],
)
async def test_a_label_that_is_not_the_models_is_refused_by_field(
    repository: Path, target: options_pb.Target, field: str
) -> None:
    _, _, rows = inputs(FLAGS, 1)
    async with running_server(repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await explain(running, rows[0], target=target)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in (caught.value.details() or "")


async def test_the_model_says_its_kind(repository: Path) -> None:
    async with running_server(repository) as running:
        stub: Any = model_service_pb2_grpc.ModelServiceStub(running.channel)
        answer = await stub.GetModel(model_service_pb2.GetModelRequest(model="flags"))
    for said in (answer.bundle, answer.status):
        assert said.input_kind == bundle_pb2.INPUT_KIND_TABULAR
        assert said.objective == bundle_pb2.OBJECTIVE_MULTI_LABEL
    assert not answer.bundle.HasField("target_name")
    assert list(answer.bundle.class_labels) == list(LABELS)
