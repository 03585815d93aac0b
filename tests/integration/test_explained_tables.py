"""ExplainTable on a real server: each row has the explanation that Explain gives it, and the call keeps to the limits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from support.additive_table import additive_table, build_additive_repository
from support.harness import ALL_CLASSES, explain_input, running_server, table_input
from support.packed_tables import assert_row_is, cells_of, packed, rows_of, table_request, values_of
from support.tiny_table_bundle import LABELS, TinyTable, tiny_table

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
    assert answer.explanation.options == first.options
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
