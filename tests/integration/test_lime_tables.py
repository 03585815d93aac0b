"""lime of tables over gRPC: the numbers of the lime library for the very model that is served."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2, model_service_pb2_grpc, table_pb2
from support.harness import ALL_CLASSES, Running, explain_input, reference, running_server, table_input
from support.lime_tables import library, matrix, split
from support.tiny_table_bundle import TinyTable, tiny_table

Floats = NDArray[np.float64]
TABLES = {
    "whole": replace(tiny_table(), lime_missing=0.0),
    "value": replace(tiny_table(labels=(), seed=1), lime_missing=0.0),
    "holes": tiny_table(),
    "before": replace(tiny_table(), lime_missing=None),
}
ROWS_OF_A_CALL = 500


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lime")
    for name, table in TABLES.items():
        table.publish(directory, name)
    return directory


def served_scores(running: Running, model: str) -> Any:
    """What lime calls: rows in the schema's order, answered by the server; for another thread than the loop's."""
    table, loop = TABLES[model], asyncio.get_running_loop()

    async def ask(rows: Floats) -> Floats:
        numbers, codes = split(table, rows)
        message = table_pb2.Table(rows=len(rows))
        for place, name in enumerate(table.numbers):
            message.columns.add(name=name).numbers.values.extend(numbers[:, place])
        for place, column in enumerate(table.others):
            values = message.columns.add(name=column.name).categories
            values.names.extend(column.categories)
            values.codes.extend((codes[:, place] - 2).tolist())
        request = messages.PredictRequest(model=reference(model), table=message)
        answer = await running.inference.Predict(request)
        return np.array(answer.packed.scores).reshape(len(rows), -1)

    def predict(rows: Floats) -> Floats:
        parts = [rows[start : start + ROWS_OF_A_CALL] for start in range(0, len(rows), ROWS_OF_A_CALL)]
        scores = np.concatenate([asyncio.run_coroutine_threadsafe(ask(part), loop).result() for part in parts])
        # Served probabilities are float32 sums of 1 within 1e-7; lime warns from 1e-5 on.
        return scores if table.labels else scores[:, 0]

    return predict


def explain_request(model: str, row: dict[str, Any], **options: Any) -> messages.ExplainRequest:
    asked = options_pb.ExplainOptions(method="lime", **options)
    return messages.ExplainRequest(
        spec=messages.ExplainSpec(model=reference(model), input=table_input(row), options=asked)
    )


def one_row(table: TinyTable, seed: int) -> tuple[Floats, dict[str, Any]]:
    """A row without holes in the schema's order, and as it is asked."""
    numbers, codes = table.rows(1, seed=seed, missing=0.0)
    return matrix(table, numbers, codes)[0], table.cells(numbers[0], codes[0])


def values_of(answer: Any) -> Floats:
    return np.array([attribution.values for attribution in answer.explanation.attributions])


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("model", ["whole", "value"])
async def test_lime_gives_the_numbers_of_the_lime_library(repository: Path, model: str, seed: int) -> None:
    table = TABLES[model]
    row, cells = one_row(table, seed + 3)
    target = ALL_CLASSES if table.labels else None
    async with running_server(repository) as running:
        request = explain_request(model, cells, max_evaluations=1000, seed=seed, target=target)
        answer = (await running.inference.Explain(request)).result
        predict = served_scores(running, model)
        expected, intercepts = await asyncio.to_thread(library, table, row, predict, seed=seed, samples=1000)
    explanation = answer.explanation
    np.testing.assert_allclose(values_of(answer), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose([a.baseline_value for a in explanation.attributions], intercepts, rtol=0, atol=1e-6)
    assert np.abs(expected).max() > 0.01
    assert [feature.column.name for feature in explanation.features] == [column.name for column in table.columns]
    assert explanation.options.masking == options_pb.MASKING_DRAWN
    assert explanation.evaluations == 1000


async def test_the_default_is_the_librarys_five_thousand_rows(repository: Path) -> None:
    _, cells = one_row(TABLES["whole"], 1)
    async with running_server(repository) as running:
        answer = (await running.inference.Explain(explain_request("whole", cells))).result
        few = (await running.inference.Explain(explain_request("whole", cells, max_evaluations=50))).result
    assert answer.explanation.evaluations == 5000
    assert few.explanation.evaluations == 50
    # Every row with 5,000 drawn is another one than with 50 drawn: nothing may be taken from there.
    assert few.explanation.reused_evaluations == 0
    assert not np.allclose(values_of(answer), values_of(few), atol=1e-3)


async def test_a_repeated_request_is_answered_alike_from_what_is_known_and_another_seed_is_not(
    repository: Path,
) -> None:
    _, cells = one_row(TABLES["whole"], 2)
    async with running_server(repository) as running:
        first = (await running.inference.Explain(explain_request("whole", cells, max_evaluations=400))).result
        again = (await running.inference.Explain(explain_request("whole", cells, max_evaluations=400))).result
        other = (await running.inference.Explain(explain_request("whole", cells, max_evaluations=400, seed=1))).result
        shapley = (await running.inference.Explain(explain_input(table_input(cells), model="whole"))).result
    assert again.explanation.attributions == first.explanation.attributions
    assert (first.explanation.reused_evaluations, again.explanation.reused_evaluations) == (0, 400)
    assert other.explanation.reused_evaluations == shapley.explanation.reused_evaluations == 0
    assert not np.array_equal(values_of(other), values_of(first))


async def test_missing_values_and_unknown_categories_are_explained(repository: Path) -> None:
    table = TABLES["holes"]
    cells: dict[str, Any] = {**one_row(table, 5)[1], "income": None, "purpose": "never seen", "owner": None}
    async with running_server(repository) as running:
        answer = (await running.inference.Explain(explain_request("holes", cells, max_evaluations=2000))).result
        nothing = (
            await running.inference.Explain(
                explain_request(
                    "holes", dict.fromkeys(cells), max_evaluations=200, quality=options_pb.QUALITY_LEVEL_FULL
                )
            )
        ).result
    assert np.isfinite(values_of(answer)).all()
    assert (np.abs(values_of(answer)[0, :4]) > 0).all()
    assert list(answer.prediction.unknown_category_columns) == ["purpose"]
    assert np.isfinite(values_of(nothing)).all()
    quality = nothing.explanation.quality
    assert quality.HasField("held_out_r_squared")
    # Drawn rows have no coalition without exactly one column.
    assert not quality.HasField("comprehensiveness")
    assert not quality.HasField("additivity_gap")


async def test_a_stream_comes_in_rounds_and_ends_in_the_answer_of_explain(repository: Path) -> None:
    _, cells = one_row(TABLES["whole"], 6)
    asked = explain_request("whole", cells)
    stream = messages.StreamExplainRequest(spec=asked.spec)
    async with running_server(repository) as running:
        steps = [step async for step in running.inference.StreamExplain(stream)]
        whole = (await running.inference.Explain(asked)).result
    assert len(steps) > 1
    assert steps[-1].result.explanation.attributions == whole.explanation.attributions


async def test_a_bundle_from_before_has_no_lime_and_says_what_it_lacks(repository: Path) -> None:
    _, cells = one_row(TABLES["before"], 0)
    async with running_server(repository) as running:
        models = model_service_pb2_grpc.ModelServiceStub(running.channel)
        listed = {
            model: set((await models.GetModel(model_service_pb2.GetModelRequest(model=model))).methods)
            for model in TABLES
        }
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Explain(explain_request("before", cells))
    assert listed["whole"] - listed["before"] == {"lime"}
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "lime.npz" in (caught.value.details() or "")


@pytest.mark.parametrize(
    ("method", "masking", "code"),
    [
        ("lime", options_pb.MASKING_BACKGROUND, grpc.StatusCode.INVALID_ARGUMENT),
        ("lime", options_pb.MASKING_DELETE, grpc.StatusCode.FAILED_PRECONDITION),
        ("kernel-shap", options_pb.MASKING_DRAWN, grpc.StatusCode.INVALID_ARGUMENT),
        ("lime-stratified", options_pb.MASKING_DRAWN, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_masking_that_the_method_does_not_know_is_refused(
    repository: Path, method: str, masking: options_pb.Masking, code: grpc.StatusCode
) -> None:
    request = explain_request("whole", one_row(TABLES["whole"], 0)[1], masking=masking)
    request.spec.options.method = method
    async with running_server(repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Explain(request)
    assert caught.value.code() is code
    assert "drawn" in (caught.value.details() or "")


async def test_lime_stratified_plays_the_background_game(repository: Path) -> None:
    table = TABLES["whole"]
    _, cells = one_row(table, 8)
    request = explain_request("whole", cells)
    request.spec.options.method = "lime-stratified"
    async with running_server(repository) as running:
        answer = (await running.inference.Explain(request)).result
    assert answer.explanation.options.masking == options_pb.MASKING_BACKGROUND
    assert [feature.column.name for feature in answer.explanation.features] == list(table.players())
    assert answer.explanation.stop_reason == options_pb.STOP_REASON_EXACT
    assert answer.explanation.evaluations == 2**6
