"""Rows of tables on a real server: what is predicted, and that explanations are Shapley values by their definition."""

import asyncio
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from support.harness import ALL_CLASSES, Running, explain_input, reference, running_server, table_input
from support.packed_tables import packed
from support.tiny_table_bundle import LABELS, TARGET_NAME, TinyTable, tiny_table, wide_columns

LOANS, LOSSES = tiny_table(), tiny_table(labels=(), seed=1)
# Shapley values in float64 against a graph in float32.
CLOSE = 2e-6
METHODS = ["exact-shap", "kernel-shap", "permutation-shap"]


def inputs(table: TinyTable, count: int, *, seed: int = 5) -> tuple[Any, Any, list[messages.Input]]:
    numbers, codes = table.rows(count, seed=seed)
    cells = [table_input(table.cells(n, c)) for n, c in zip(numbers, codes, strict=True)]
    return numbers, codes, cells


async def predict(running: Running, model: str, rows: list[messages.Input]) -> Any:
    return await running.inference.Predict(messages.PredictRequest(model=reference(model), inputs=rows))


async def explain(running: Running, model: str, row: messages.Input, **options: Any) -> Any:
    request = explain_input(row, model=model, **options)
    return (await running.inference.Explain(request)).result


async def test_a_row_is_predicted_the_same_alone_in_a_batch_and_in_any_order(table_repository: Path) -> None:
    numbers, codes, rows = inputs(LOANS, 200)
    expected = LOANS.answers(numbers, codes)
    turned = np.random.Generator(np.random.Philox(1)).permutation(len(rows))
    async with running_server(table_repository) as running:
        together = (await predict(running, "loans", rows)).predictions
        in_turn = (await predict(running, "loans", [rows[index] for index in turned])).predictions
        alone = await asyncio.gather(*(predict(running, "loans", [row]) for row in rows[:20]))
    for row, prediction in enumerate(together):
        scores = prediction.classification.scores
        logits = [score.logit for score in scores]
        np.testing.assert_allclose(logits, expected[row], atol=CLOSE)
        np.testing.assert_allclose([score.probability for score in scores], softmax(expected[row]), atol=CLOSE)
        assert prediction.classification.predicted_label == LABELS[int(np.argmax(logits))]
        assert list(prediction.unknown_category_columns) == [
            column.name for place, column in enumerate(LOANS.others) if codes[row, place] == 0
        ]
        assert not prediction.HasField("text_usage")
    for place, row in enumerate(turned):
        np.testing.assert_allclose(
            [score.logit for score in in_turn[place].classification.scores], expected[row], atol=CLOSE
        )
    for row, answer in enumerate(alone):
        np.testing.assert_allclose(
            [score.logit for score in answer.predictions[0].classification.scores], expected[row], atol=CLOSE
        )


async def test_a_regression_answers_with_its_value(table_repository: Path) -> None:
    numbers, codes, rows = inputs(LOSSES, 30)
    async with running_server(table_repository) as running:
        answer = await predict(running, "losses", rows)
    values = [prediction.regression.value for prediction in answer.predictions]
    np.testing.assert_allclose(values, LOSSES.answers(numbers, codes)[:, 0], atol=CLOSE)
    assert not any(prediction.HasField("classification") for prediction in answer.predictions)


@pytest.mark.parametrize(("model", "table"), [("loans", LOANS), ("losses", LOSSES)])
async def test_packed_rows_are_answered_as_rows_one_by_one(
    table_repository: Path, model: str, table: TinyTable
) -> None:
    numbers, codes = table.rows(1024, seed=6)
    expected = table.answers(numbers, codes)
    request = messages.PredictRequest(model=reference(model), table=packed(table, numbers, codes))
    async with running_server(table_repository) as running:
        answer = await running.inference.Predict(request)
    scores = np.array(answer.packed.scores).reshape(1024, -1)
    np.testing.assert_allclose(scores, softmax(expected, axis=1) if table.labels else expected, atol=CLOSE)
    assert tuple(answer.packed.class_labels) == table.labels
    assert list(answer.packed.unknown_category_columns) == [column.name for column in table.others]
    assert not answer.predictions


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("space", ["logit", "probability"])
async def test_explanations_are_interventional_shapley_values(table_repository: Path, method: str, space: str) -> None:
    numbers, codes, rows = inputs(LOANS, 3, seed=11)
    asked = {
        "method": method,
        "output_space": options_pb.OutputSpace.Value(f"OUTPUT_SPACE_{space.upper()}"),
        "max_evaluations": 720,  # permutation-shap is exact with all orders only
        "tolerance": 0.0,
        "target": ALL_CLASSES,
    }
    async with running_server(table_repository) as running:
        answers = [(await explain(running, "loans", row, **asked)) for row in rows]
    for row, answer in enumerate(answers):
        expected = LOANS.shapley_values(numbers[row], codes[row], probability=space == "probability")
        explanation = answer.explanation
        values = np.array([attribution.values for attribution in explanation.attributions])
        np.testing.assert_allclose(values, expected, atol=CLOSE)
        assert explanation.stop_reason == options_pb.STOP_REASON_EXACT
        assert explanation.evaluations <= 2**6
        empty = LOANS.value(numbers[row], codes[row], [], probability=space == "probability")
        np.testing.assert_allclose([a.baseline_value for a in explanation.attributions], empty, atol=CLOSE)
        assert [feature.column.name for feature in explanation.features] == list(LOANS.players())
        assert explanation.options.masking == options_pb.MASKING_BACKGROUND
        assert explanation.options.granularity == options_pb.GRANULARITY_UNSPECIFIED


async def test_a_regression_is_explained_in_its_own_unit(table_repository: Path) -> None:
    numbers, codes, rows = inputs(LOSSES, 1, seed=12)
    async with running_server(table_repository) as running:
        answer = await explain(running, "losses", rows[0], tolerance=0.0)
        by_index = await explain(running, "losses", rows[0], tolerance=0.0, target=options_pb.Target(index=0))
    (attribution,) = answer.explanation.attributions
    assert by_index.explanation.attributions[0] == attribution
    np.testing.assert_allclose(attribution.values, LOSSES.shapley_values(numbers[0], codes[0])[0], atol=CLOSE)
    assert (attribution.class_index, attribution.class_label) == (0, TARGET_NAME)
    assert attribution.instance_value == pytest.approx(answer.prediction.regression.value, abs=CLOSE)
    assert answer.explanation.options.output_space == options_pb.OUTPUT_SPACE_VALUE


@pytest.mark.parametrize("method", ["kernel-shap", "exact-shap"])
async def test_all_coalitions_give_what_shaps_exact_explainer_gives(tmp_path: Path, method: str) -> None:
    with warnings.catch_warnings(action="ignore"):  # what shap's own imports say is not our subject
        import shap

    table = tiny_table(wide_columns(10), labels=("no", "yes"), seed=4, equal_weights=True, background_rows=20)
    table.publish(tmp_path, "ten")
    numbers, codes, rows = inputs(table, 2, seed=13)
    split = len(table.numbers)

    def of_rows(values: Any) -> Any:
        return softmax(table.answers(values[:, :split], values[:, split:].astype(np.int64)), axis=1)

    numbers = np.nan_to_num(numbers)
    rows = [table_input(table.cells(n, c)) for n, c in zip(numbers, codes, strict=True)]
    background = np.concatenate([table.background.numbers, table.background.codes], axis=1).astype(np.float64)
    explainer = shap.explainers.Exact(of_rows, shap.maskers.Independent(background))
    expected = explainer(np.concatenate([numbers, codes], axis=1))
    asked = {
        "method": method,
        "max_evaluations": 1024,
        "tolerance": 0.0,
        "target": ALL_CLASSES,
    }
    async with running_server(tmp_path) as running:
        answers = [await explain(running, "ten", row, **asked) for row in rows]
    names = table.numbers + [column.name for column in table.others]
    for row, answer in enumerate(answers):
        order = [names.index(feature.column.name) for feature in answer.explanation.features]
        values = np.array([attribution.values for attribution in answer.explanation.attributions])
        np.testing.assert_allclose(values, expected.values[row][order].T, atol=1e-5)


async def test_every_method_explains_a_row(table_repository: Path) -> None:
    _, _, rows = inputs(LOANS, 1)
    async with running_server(table_repository) as running:
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        listed = (await models.GetModel(model_service_pb2.GetModelRequest(model="loans"))).methods
        answers = {method: await explain(running, "loans", rows[0], method=method) for method in listed}
    additive = {"auto", "exact-shap", "kernel-shap", "permutation-shap", "partition-shap"}
    assert set(answers) == {*additive, "occlusion", "lime", "lime-stratified"}
    for method, answer in answers.items():
        (attribution,) = answer.explanation.attributions
        assert len(attribution.values) == (7 if method == "lime" else 6)  # lime knows no groups of columns
        if method in additive:
            difference = attribution.instance_value - attribution.baseline_value
            assert sum(attribution.values) == pytest.approx(difference, abs=CLOSE)


async def test_features_carry_the_values_that_are_explained(table_repository: Path) -> None:
    row = {"income": None, "purpose": "boat", "debt_short": 2.5, "owner": "true", "age": 1.0, "rating": "low"}
    async with running_server(table_repository) as running:
        answer = await explain(running, "loans", table_input({**row, "debt_long": -1.5}))
    income, purpose, debts, *_ = (feature.column for feature in answer.explanation.features)
    assert income.columns[0].value.WhichOneof("kind") == "missing"
    assert purpose.columns[0].value.category == "boat"
    assert debts.name == "debts"
    assert [(c.column, c.value.number) for c in debts.columns] == [("debt_short", 2.5), ("debt_long", -1.5)]
    assert list(answer.prediction.unknown_category_columns) == ["purpose"]


async def test_a_stream_ends_in_the_answer_of_explain(table_repository: Path) -> None:
    _, _, rows = inputs(LOANS, 1, seed=14)
    request = messages.StreamExplainRequest(spec=messages.ExplainSpec(model=reference("loans"), input=rows[0]))
    request.spec.options.tolerance = 0.0
    async with running_server(table_repository) as running:
        steps = [step async for step in running.inference.StreamExplain(request)]
        whole = await explain(running, "loans", rows[0], tolerance=0.0)
    assert [step.final for step in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].result.explanation.attributions == whole.explanation.attributions
    assert steps[-1].result.prediction == whole.prediction


async def test_a_repeated_request_reuses_every_coalition(table_repository: Path) -> None:
    _, _, rows = inputs(LOANS, 2, seed=15)
    async with running_server(table_repository) as running:
        first = await explain(running, "loans", rows[0], tolerance=0.0)
        rows_run = sum(of.rows for of in running.served("loans").batcher.statistics.values())
        again = await explain(running, "loans", rows[0], tolerance=0.0)
        other_space = await explain(
            running, "loans", rows[0], tolerance=0.0, output_space=options_pb.OUTPUT_SPACE_LOGIT
        )
        assert sum(of.rows for of in running.served("loans").batcher.statistics.values()) == rows_run
        another = await explain(running, "loans", rows[1], tolerance=0.0)
    assert rows_run == 5 * first.explanation.evaluations == 5 * 2**6
    assert again.explanation.reused_evaluations == other_space.explanation.reused_evaluations == 2**6
    assert again.explanation.attributions == first.explanation.attributions
    assert another.explanation.reused_evaluations == 0


async def test_identical_requests_in_flight_share_their_rows(table_repository: Path) -> None:
    _, _, rows = inputs(LOANS, 1, seed=16)
    async with running_server(table_repository, max_memo_bytes=0) as running:
        answers = await asyncio.gather(*(explain(running, "loans", rows[0], tolerance=0.0) for _ in range(4)))
    for answer in answers[1:]:
        assert answer.explanation.attributions == answers[0].explanation.attributions


async def test_five_hundred_columns_are_grouped_with_their_neighbours(tmp_path: Path) -> None:
    table = tiny_table(wide_columns(500), labels=("no", "yes"), seed=2)
    table.publish(tmp_path, "wide")
    numbers, codes, rows = inputs(table, 1)
    async with running_server(tmp_path) as running:
        prediction = (await predict(running, "wide", rows)).predictions[0]
        answer = await explain(running, "wide", rows[0], max_evaluations=400, max_players=40)
    expected = softmax(table.answers(numbers, codes)[0])
    np.testing.assert_allclose([s.probability for s in prediction.classification.scores], expected, atol=CLOSE)
    features, (attribution,) = answer.explanation.features, answer.explanation.attributions
    assert 2 <= len(features) <= 40
    columns = [value.column for feature in features for value in feature.column.columns]
    assert columns == [column.name for column in table.columns]
    difference = attribution.instance_value - attribution.baseline_value
    assert sum(attribution.values) == pytest.approx(difference, abs=CLOSE)
