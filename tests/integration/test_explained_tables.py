"""ExplainTable on a real server: each row has the explanation that Explain gives it, and the call keeps to limits."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from scipy.special import softmax

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import model_service_pb2, model_service_pb2_grpc
from explicate_server.runtime.batcher import Priority
from support.additive_table import additive_table, build_additive_repository
from support.harness import ALL_CLASSES, explain_input, gate, reference, running_server, table_input, until
from support.packed_tables import assert_row_is, cells_of, packed, rows_of, table_request, values_of
from support.tiny_image_bundle import tiny_images
from support.tiny_table_bundle import LABELS, TinyTable, tiny_table, wide_columns

LOANS, LOSSES = tiny_table(), tiny_table(labels=(), seed=1)
TAGS = tiny_table(multi_label=True, seed=3)
LOGIT = {"output_space": options_pb.OUTPUT_SPACE_LOGIT}
CONTRAST = options_pb.Target(
    contrast=options_pb.Contrast(
        target=options_pb.ClassSelector(label=LABELS[2]), reference=options_pb.ClassSelector(index=0)
    )
)


async def table_and_rows(
    running: Any, model: str, table: TinyTable, rows: tuple[Any, Any], **options: Any
) -> tuple[messages.ExplainTableResponse, list[messages.ExplainResult]]:
    """The answer about a table, and those about its rows one by one."""
    answer = await running.inference.ExplainTable(table_request(model, packed(table, *rows), **options))
    inputs = [table_input(cells) for cells in cells_of(table, rows)]
    alone = [(await running.inference.Explain(explain_input(each, model=model, **options))).result for each in inputs]
    return answer, alone


def assert_same(
    answer: messages.ExplainTableResponse, alone: list[messages.ExplainResult], *, close: float = 1e-9
) -> None:
    first = alone[0].explanation
    assert answer.model == alone[0].model
    expected = options_pb.ExplainOptions()
    expected.CopyFrom(first.options)
    expected.ClearField("language")  # of sentences, which tables do not have
    assert answer.explanation.options == expected
    assert answer.explanation.method_version == first.method_version
    assert [(each.name, list(each.columns)) for each in answer.explanation.features] == [
        (each.column.name, [value.column for value in each.column.columns]) for each in first.features
    ]
    told = list(rows_of(answer))
    assert len(told) == len(alone)
    for row, result in zip(told, alone, strict=True):
        assert_row_is(row, result.explanation, close=close)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier "loans", the regressor "losses", and "tags" of several labels."""
    folder = tmp_path_factory.mktemp("explained-tables")
    LOANS.publish(folder, "loans")
    LOSSES.publish(folder, "losses")
    TAGS.publish(folder, "tags")
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "exact-shap"},
        {"method": "exact-shap", "target": ALL_CLASSES, **LOGIT, "quality": options_pb.QUALITY_LEVEL_FULL},
        {"method": "kernel-shap", "max_evaluations": 30, "seed": 7},
        {"method": "kernel-shap", "tolerance": 0.02, "confidence": 0.9, "target": options_pb.Target(index=1)},
        {"method": "kernel-shap", "tolerance": 0.0, "max_evaluations": 24, "target": CONTRAST},
        {"method": "kernel-shap", "top_k": 1, "min_evaluations": 4, "target": ALL_CLASSES},
    ],
)
async def test_each_row_has_the_explanation_that_it_has_alone(repository: Path, options: dict[str, Any]) -> None:
    async with running_server(repository, threads=2) as running:
        answer, alone = await table_and_rows(running, "loans", LOANS, LOANS.rows(40, seed=3), **options)
    assert_same(answer, alone)
    scores = np.array(answer.predictions.scores).reshape(len(alone), -1)
    for row, result in zip(scores, alone, strict=True):
        told = [score.probability for score in result.prediction.classification.scores]
        np.testing.assert_allclose(row, told, atol=1e-9)
    assert tuple(answer.predictions.class_labels) == LABELS
    assert tuple(answer.explanation.class_labels) == LABELS


@pytest.mark.parametrize(("model", "table"), [("losses", LOSSES), ("tags", TAGS)])
async def test_rows_of_a_regression_and_of_several_labels_too(repository: Path, model: str, table: TinyTable) -> None:
    async with running_server(repository) as running:
        answer, alone = await table_and_rows(
            running, model, table, table.rows(9, seed=4), quality=2, method="kernel-shap"
        )
    assert_same(answer, alone)
    for name in ("comprehensiveness", "sufficiency"):
        ours = getattr(answer.explanation.quality, name)
        for row, result in enumerate(alone):
            theirs = getattr(result.explanation.quality, name)
            assert (ours.value[row], ours.random[row]) == pytest.approx((theirs.value, theirs.random), abs=1e-9)


async def test_exact_values_are_those_of_enumeration(repository: Path) -> None:
    numbers, codes = LOANS.rows(5, seed=11)
    request = table_request("loans", packed(LOANS, numbers, codes), method="exact-shap", target=ALL_CLASSES)
    async with running_server(repository) as running:
        answer = await running.inference.ExplainTable(request)
    for row in range(5):
        expected = LOANS.shapley_values(numbers[row], codes[row], probability=True)
        np.testing.assert_allclose(values_of(answer)[:, row], expected, atol=2e-6)


@pytest.mark.parametrize("space", ["LOGIT", "PROBABILITY"])
@pytest.mark.parametrize("model", ["loans", "risks", "tags"])
async def test_rows_of_a_model_that_adds_up(tmp_path: Path, model: str, space: str) -> None:
    build_additive_repository(tmp_path)
    table = {
        "loans": additive_table(),
        "risks": additive_table(labels=LABELS[:2], seed=2, forbidden=("sex",)),
        "tags": additive_table(seed=3, multi_label=True),
    }[model]
    options = {"output_space": options_pb.OutputSpace.Value(f"OUTPUT_SPACE_{space}"), "quality": 2}
    async with running_server(tmp_path) as running:
        answer, alone = await table_and_rows(running, model, table, table.rows(12, seed=4), **options)
    assert answer.explanation.options.method == "additive-exact"
    assert set(answer.explanation.evaluations) == {1}
    assert_same(answer, alone, close=2e-6)  # a graph in float32 rounds a row alone otherwise than one of several


async def test_the_same_request_has_the_same_numbers_whatever_the_other_rows(repository: Path) -> None:
    numbers, codes = LOANS.rows(70, seed=9)
    async with running_server(repository, threads=2) as running:
        request = table_request("loans", packed(LOANS, numbers, codes), method="kernel-shap", seed=5)
        first, second = [await running.inference.ExplainTable(request) for _ in range(2)]
        some = table_request("loans", packed(LOANS, numbers[::7], codes[::7]), method="kernel-shap", seed=5)
        part = await running.inference.ExplainTable(some)
    assert first.explanation == second.explanation
    np.testing.assert_allclose(values_of(part), values_of(first)[:, ::7], atol=1e-9)


def bad_fields(error: grpc.aio.AioRpcError) -> list[str]:
    bad = next(detail for detail in rpc_status.from_call(error).details if detail.Is(BadRequest.DESCRIPTOR))  # type: ignore[arg-type]
    told = BadRequest()
    bad.Unpack(told)
    return [violation.field for violation in told.field_violations]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"method": "lime"}, "options.method"),
        ({"method": "permutation-shap"}, "options.method"),
        ({"method": "kernel-shap", "max_players": 2}, "options.max_players"),
        ({"seed": 1, "tolerance": 3.0}, "options.tolerance"),
        ({"target": options_pb.Target(label="nobody")}, "options.target.label"),
    ],
)
async def test_options_that_do_not_fit_are_refused_by_their_field(
    repository: Path, options: dict[str, Any], field: str
) -> None:
    async with running_server(repository) as running:
        gated = gate(running, "loans")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(table_request("loans", packed(LOANS, *LOANS.rows(3)), **options))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert bad_fields(caught.value) == [field]
    if options.get("method") == "lime":
        assert "kernel-shap" in (caught.value.details() or "")
    assert gated.rows_run == 0


async def test_tables_that_do_not_fit_are_refused_before_any_row_is_run(repository: Path) -> None:
    good = packed(LOANS, *LOANS.rows(4))
    twice, short, strange = (packed(LOANS, *LOANS.rows(4)) for _ in range(3))
    twice.columns.add().CopyFrom(good.columns[0])
    del short.columns[0].numbers.values[3]
    strange.columns.add(name="moon").numbers.values.extend([0.0] * 4)
    name = good.columns[0].name
    async with running_server(repository, max_explained_rows=4, max_message_bytes=1 << 14) as running:
        gated = gate(running, "loans")
        for table, field in (
            (type(good)(), "table.rows"),
            (packed(LOANS, *LOANS.rows(5)), "table.rows"),
            (twice, f"table.columns[{name}]"),
            (short, f"table.columns[{name}].numbers.values"),
            (strange, "table.columns[moon]"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await running.inference.ExplainTable(table_request("loans", table))
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert bad_fields(caught.value) == [field]
        stub = model_service_pb2_grpc.ModelServiceStub(running.channel)
        told = await stub.GetModel(model_service_pb2.GetModelRequest(model="loans"))
    assert told.limits.max_explained_rows == 4
    assert gated.rows_run == 0


async def test_an_answer_that_would_be_too_large_is_refused_before_any_row_is_run(repository: Path) -> None:
    request = table_request("loans", packed(LOANS, *LOANS.rows(200)), target=ALL_CLASSES)
    async with running_server(repository, max_message_bytes=40_000) as running:
        gated = gate(running, "loans")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(request)
    assert bad_fields(caught.value) == ["table.rows"]
    assert gated.rows_run == 0


async def test_wide_tables_whose_columns_would_be_grouped_are_refused(tmp_path: Path) -> None:
    wide = tiny_table(wide_columns(80), seed=2)
    wide.publish(tmp_path, "wide")
    table = packed(wide, *wide.rows(2))
    async with running_server(tmp_path) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(table_request("wide", table, max_evaluations=200))
        assert bad_fields(caught.value) == ["options.max_evaluations"]
        answer = await running.inference.ExplainTable(
            table_request("wide", table, max_evaluations=640, tolerance=1.0, min_evaluations=170)
        )
    assert set(answer.explanation.evaluations) == {170}


async def test_a_model_of_images_is_not_asked_about_tables(tmp_path: Path) -> None:
    tiny_images().publish(tmp_path, "pictures")
    async with running_server(tmp_path) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(table_request("pictures", packed(LOANS, *LOANS.rows(2))))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_the_deadline_gives_the_best_answers_so_far_to_every_row(repository: Path) -> None:
    numbers, codes = LOANS.rows(70, seed=2)
    request = table_request(
        "loans", packed(LOANS, numbers, codes), method="kernel-shap", tolerance=1e-9, time_limit_seconds=2.0
    )
    async with running_server(repository) as running:
        gated = gate(running, "loans")
        call = running.inference.ExplainTable(request)
        gated.let_through(12)  # then the model hangs until the time limit has come
        answer = await call
        gated.let_through(10_000)
    explanation = answer.explanation
    assert set(explanation.stop_reasons) == {options_pb.STOP_REASON_DEADLINE}
    assert not any(explanation.converged)
    values = values_of(answer)[0]
    known = ~np.isnan(values).any(axis=1)
    assert known.any()
    (attribution,) = explanation.attributions
    spans = np.array(attribution.instance_values) - np.array(attribution.baseline_values)
    np.testing.assert_allclose(values[known].sum(axis=1), spans[known], atol=1e-9)
    assert np.isnan(values[~known]).all()
    assert {
        evaluations for evaluations, is_known in zip(explanation.evaluations, known, strict=True) if not is_known
    } <= {2}
    expected = softmax(LOANS.answers(numbers, codes), axis=1)
    np.testing.assert_allclose(np.array(answer.predictions.scores).reshape(70, -1), expected, atol=2e-6)


async def test_time_that_is_enough_for_predictions_alone_is_told(repository: Path) -> None:
    request = table_request("loans", packed(LOANS, *LOANS.rows(5)), method="kernel-shap", time_limit_seconds=0.5)
    async with running_server(repository) as running:
        gated = gate(running, "loans")
        call = running.inference.ExplainTable(request)
        gated.let_through(1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        gated.let_through(10_000)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "predictions" in (caught.value.details() or "")


async def test_a_caller_who_leaves_stops_its_rows_and_holds_few_at_any_time(repository: Path) -> None:
    request = table_request("loans", packed(LOANS, *LOANS.rows(1000)), bulk=True, method="kernel-shap", tolerance=0.0)
    async with running_server(repository) as running:
        gated = gate(running, "loans")
        batcher = running.served("loans").batcher
        leaver = running.inference.ExplainTable(request)
        gated.let_through(20)  # the predictions of all rows, and some of the first round
        for _ in range(21):
            await gated.entered.get()
        block = 8 * batcher.cost.most_rows(4)
        await until(lambda: batcher.queued_rows[Priority.BULK] > block)
        assert sum(batcher.queued_rows.values()) == batcher.queued_rows[Priority.BULK] <= 3 * block
        predicted = running.inference.Predict(
            messages.PredictRequest(model=reference("loans"), table=packed(LOANS, *LOANS.rows(3)))
        )
        await until(lambda: batcher.queued_rows[Priority.PREDICT] == 3)
        gated.let_through(1)
        gated.let_through(1)  # the live rows are in the batch behind the one that was running
        assert len((await predicted).packed.scores) == 9
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        await until(lambda: not sum(batcher.queued_rows.values()))
        gated.let_through(10_000)
        assert await running.server.calls.drain(10.0)
        assert running.server.admission.in_progress == 0


async def test_a_table_takes_a_seat_as_an_explanation_does(repository: Path) -> None:
    request = table_request("loans", packed(LOANS, *LOANS.rows(40)), method="kernel-shap")
    async with running_server(repository, max_explanations=2) as running:
        gated = gate(running, "loans")
        first = running.inference.ExplainTable(request)
        await gated.entered.get()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(request)
        gated.let_through(10_000)
        await first
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_failure_of_the_model_names_the_rows(repository: Path) -> None:
    async with running_server(repository) as running:
        gated = gate(running, "loans")
        gated.fail = True
        gated.let_through(10_000)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(table_request("loans", packed(LOANS, *LOANS.rows(4))))
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert "of the table" in (caught.value.details() or "")


async def test_rows_are_counted_and_the_audit_has_a_line_for_the_table(repository: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    numbers, codes = LOANS.rows(6, seed=2)
    async with running_server(repository, audit_log=str(log), audit_inputs=True) as running:
        answer = await running.inference.ExplainTable(table_request("loans", packed(LOANS, numbers, codes), seed=3))
        registry = running.server.metrics.registry
        rows = registry.get_sample_value("explicate_explained_table_rows_total", {"method": "exact-shap"})
        ended = registry.get_sample_value(
            "explicate_explanations_total", {"method": "exact-shap", "stop_reason": "exact"}
        )
    (line,) = [json.loads(text) for text in log.read_text().splitlines()]
    assert (rows, ended) == (6, 6)
    assert line["call"] == "explicate.v1.InferenceService/ExplainTable"
    assert line["rows"] == 6
    assert line["evaluations"] == list(answer.explanation.evaluations)
    assert line["options"]["seed"] == 3
    assert line["attributions_sha256"] == sha256(values_of(answer).astype("<f8").tobytes()).hexdigest()
    assert line["table"]["age"] == [
        None if np.isnan(value) else value for value in numbers[:, LOANS.numbers.index("age")]
    ]
