"""Models that tell what each column adds, on a real server: exact values on every scale, and no sampled row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.v1 import bundle_pb2, model_service_pb2, model_service_pb2_grpc
from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from support.additive_table import AdditiveTable, additive_table, build_additive_repository
from support.harness import ALL_CLASSES, Running, explain_input, reference, running_server, table_input
from support.tiny_table_bundle import LABELS, wide_columns

# Shapley values in float64 against a graph in float32.
CLOSE = 1e-6
LOANS, TAGS = additive_table(), additive_table(seed=3, multi_label=True)
RISKS = additive_table(labels=LABELS[:2], seed=2, forbidden=("sex",))
LOSSES = additive_table(labels=(), seed=1)
MODELS = {"loans": LOANS, "risks": RISKS, "tags": TAGS, "losses": LOSSES}
SPACES = [(model, space) for model in ("loans", "risks", "tags") for space in ("logit", "probability")]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_additive_repository(tmp_path_factory.mktemp("additive"))


def space_of(name: str) -> int:
    return options_pb.OutputSpace.Value(f"OUTPUT_SPACE_{name.upper()}")


def some_rows(table: AdditiveTable, count: int, *, seed: int = 11) -> tuple[Any, Any, list[messages.Input]]:
    """Rows with missing values and unknown categories among them."""
    numbers, codes = table.rows(count, seed=seed, missing=0.3)
    cells = [table_input(table.cells(n, c)) for n, c in zip(numbers, codes, strict=True)]
    return numbers, codes, cells


async def explain(running: Running, model: str, row: messages.Input, **options: Any) -> Any:
    return (await running.inference.Explain(explain_input(row, model=model, **options))).result


def values_of(explanation: Any) -> Any:
    return np.array([attribution.values for attribution in explanation.attributions])


def is_exact(explanation: Any) -> bool:
    ends = [(list(one.lower), list(one.upper)) for one in explanation.attributions]
    exact = explanation.stop_reason == options_pb.STOP_REASON_EXACT and explanation.converged
    return exact and all(lower == upper for lower, upper in ends) and explanation.evaluations == 1


@pytest.mark.parametrize(("model", "space"), [*SPACES, ("losses", "value")])
async def test_values_are_those_of_an_enumeration_and_cost_one_row(repository: Path, model: str, space: str) -> None:
    table = MODELS[model]
    numbers, codes, rows = some_rows(table, 4)
    asked = {"output_space": space_of(space), **({"target": ALL_CLASSES} if table.labels else {})}
    async with running_server(repository) as running:
        answers = [(await explain(running, model, row, **asked)).explanation for row in rows]
    for row, explanation in enumerate(answers):
        assert is_exact(explanation)
        expected = table.shapley_values(numbers[row], codes[row], probability=space == "probability")
        np.testing.assert_allclose(values_of(explanation), expected, atol=CLOSE)
        empty = table.value(numbers[row], codes[row], [], probability=space == "probability")
        np.testing.assert_allclose([one.baseline_value for one in explanation.attributions], empty, atol=CLOSE)
        assert [feature.column.name for feature in explanation.features] == list(table.players())
        assert explanation.quality.additivity_gap == pytest.approx(0, abs=CLOSE)
        assert not any(np.any(one.standard_errors) for one in explanation.attributions)


@pytest.mark.parametrize(("model", "space"), SPACES)
async def test_one_class_and_a_contrast_are_the_same_numbers(repository: Path, model: str, space: str) -> None:
    _, _, (row,) = some_rows(MODELS[model], 1)
    contrast = options_pb.Contrast(
        target=options_pb.ClassSelector(index=1), reference=options_pb.ClassSelector(label=LABELS[0])
    )
    async with running_server(repository) as running:
        asked = {"output_space": space_of(space)}
        every = await explain(running, model, row, target=ALL_CLASSES, **asked)
        one = await explain(running, model, row, target=options_pb.Target(index=1), **asked)
        apart = await explain(running, model, row, target=options_pb.Target(contrast=contrast), **asked)
        predicted = await explain(running, model, row, **asked)
    values = values_of(every.explanation)
    np.testing.assert_allclose(values_of(one.explanation)[0], values[1], atol=1e-12)
    np.testing.assert_allclose(values_of(apart.explanation)[0], values[1] - values[0], atol=1e-12)
    (attribution,) = predicted.explanation.attributions
    np.testing.assert_allclose(attribution.values, values[attribution.class_index], atol=1e-12)
    assert all(is_exact(one.explanation) for one in (every, one, apart, predicted))


async def test_the_model_says_that_it_has_the_method_and_others_refuse_it(
    repository: Path, table_repository: Path
) -> None:
    async with running_server(repository) as running:
        stub: Any = model_service_pb2_grpc.ModelServiceStub(running.channel)
        told = await stub.GetModel(model_service_pb2.GetModelRequest(model="risks"))
        _, _, (row,) = some_rows(RISKS, 1)
        by_name = await explain(running, "risks", row, method="additive-exact", quality=options_pb.QUALITY_LEVEL_FULL)
        grouped = await explain(running, "risks", row, max_players=3)
    assert "additive-exact" in told.methods
    assert told.bundle.tabular.contributions
    assert by_name.explanation.options.method == "additive-exact"
    assert by_name.explanation.evaluations == 1
    assert by_name.explanation.quality.HasField("comprehensiveness")
    assert grouped.explanation.options.method == "exact-shap"
    async with running_server(table_repository) as running:
        stub = model_service_pb2_grpc.ModelServiceStub(running.channel)
        told = await stub.GetModel(model_service_pb2.GetModelRequest(model="loans"))
        assert "additive-exact" not in told.methods
        with pytest.raises(Exception, match=r'train it with \[interpretability\] form = "additive"'):
            await explain(running, "loans", row, method="additive-exact")


async def test_a_forbidden_column_is_accepted_and_adds_nothing(repository: Path) -> None:
    _, _, (row,) = some_rows(RISKS, 1)
    with_it = messages.Input()
    with_it.CopyFrom(row)
    with_it.tabular.cells["sex"].category = "female"
    request = messages.PredictRequest(model=reference("risks"), inputs=[row, with_it])
    async with running_server(repository) as running:
        first, second = (await running.inference.Predict(request)).predictions
        plain = await explain(running, "risks", row)
        told = [await explain(running, "risks", with_it, method=name) for name in ("auto", "kernel-shap", "lime")]
        with_it.tabular.cells["size"].category = "large"
        with pytest.raises(Exception, match="is not a column of this model"):
            await explain(running, "risks", with_it)
    assert first == second
    np.testing.assert_array_equal(values_of(told[0].explanation)[0, :-1], values_of(plain.explanation)[0])
    for answer in told:
        feature = answer.explanation.features[-1].column
        assert (feature.name, feature.columns[0].value.category) == ("sex", "female")
        (attribution,) = answer.explanation.attributions
        assert len(attribution.values) == len(answer.explanation.features)
        assert (attribution.values[-1], attribution.lower[-1], attribution.upper[-1]) == (0, 0, 0)


@pytest.mark.parametrize("outputs", [2, 3])
async def test_many_columns_are_exact_where_that_is_possible_and_say_where_it_is_not(
    tmp_path: Path, outputs: int
) -> None:
    table = additive_table(wide_columns(25), labels=LABELS[:outputs], seed=6)
    table.publish(tmp_path, "wide")
    _, _, rows = some_rows(table, 2)
    async with running_server(tmp_path) as running:
        answers = [(await explain(running, "wide", row, target=ALL_CLASSES)).explanation for row in rows]
        sampled = [
            await explain(running, "wide", row, target=ALL_CLASSES, method="kernel-shap", max_evaluations=8192)
            for row in rows
        ]
    for ours, theirs in zip(answers, sampled, strict=True):
        assert is_exact(ours) is (outputs == 2)
        assert ours.evaluations == 1
        if outputs == 3:
            assert ours.stop_reason == options_pb.STOP_REASON_COMPLETE
            assert not ours.converged
            assert all(np.min(one.standard_errors) > 0 for one in ours.attributions)
        errors = np.array([one.standard_errors for one in theirs.explanation.attributions])
        differences = values_of(ours) - values_of(theirs.explanation)
        assert (np.abs(differences) <= 6 * errors + CLOSE).all()


def rising(label: str | None = None, *, decreasing: bool = False) -> bundle_pb2.Monotone:
    return bundle_pb2.Monotone(decreasing=decreasing, label=label)


def a_monotone_table(claim: bundle_pb2.Monotone, labels: Sequence[str] = LABELS[:2]) -> AdditiveTable:
    """Whose first number truly raises the last class, or the value."""
    table = additive_table(labels=labels, seed=7, monotone=(("income", claim),))
    table.slopes[0] = 1.0
    table.number_weights[0] = np.linspace(0, 1, len(labels) or 1) if labels else 1.0
    return table


@pytest.mark.parametrize("labels", [LABELS, LABELS[:2], ()])
async def test_a_true_claim_is_served_and_a_false_one_refused(tmp_path: Path, labels: Sequence[str]) -> None:
    label = labels[-1] if labels else None
    a_monotone_table(rising(label), labels).publish(tmp_path, "true")
    a_monotone_table(rising(label, decreasing=True), labels).publish(tmp_path, "false")
    async with running_server(tmp_path) as running:
        states = {record.location.model: record for record in running.server.registry.records}
        assert states["true"].loaded is not None
        assert states["false"].loaded is None
        assert "is not decreasing in 'income', as the manifest promises" in states["false"].reason


async def test_a_graph_that_is_not_the_sum_it_claims_to_be_is_refused(tmp_path: Path) -> None:
    additive_table(leak=0.01).publish(tmp_path, "leaks")
    additive_table(leak=0.0).publish(tmp_path, "sums")
    async with running_server(tmp_path) as running:
        record, sums = running.server.registry.records
    assert record.loaded is None
    assert sums.reason == ""
    assert "not the sum over columns that the manifest promises" in record.reason
