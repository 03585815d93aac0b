"""Models that are sums of decision trees, on a real server: exact values from the trees, and refusals that say why."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from google.protobuf import json_format
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from explicate.v1 import bundle_pb2, model_service_pb2, model_service_pb2_grpc
from explicate.v1 import explanation_pb2 as options_pb
from explicate.v1 import inference_service_pb2 as messages
from explicate_bundle.files.tree_arrays import TreeArrays, read_trees, write_trees
from explicate_export import from_sklearn
from explicate_server.lifetime import StartError
from support.fitted_models import people
from support.harness import ALL_CLASSES, Running, explain_input, running_server, table_input
from support.packed_tables import assert_row_is, cells_of, packed, rows_of, table_request
from support.tiny_table_bundle import LABELS
from support.tree_table import TreeTable, build_tree_repository, tree_table, write_manifest

# Leaves are summed in float32 by the graph, in float64 here.
CLOSE = 1e-5
LOANS, TAGS = tree_table(), tree_table(seed=3, multi_label=True)
FOREST, LOSSES = tree_table(labels=LABELS[:2], seed=2, forest=True), tree_table(labels=(), seed=1)
MODELS = {
    "loans": (LOANS, "logit"),
    "tags": (TAGS, "logit"),
    "forest": (FOREST, "probability"),
    "losses": (LOSSES, "value"),
}
NAME = "tree-shap"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tree_repository(tmp_path_factory.mktemp("trees"))


def space_of(name: str) -> Any:
    return options_pb.OutputSpace.Value(f"OUTPUT_SPACE_{name.upper()}")


def some_rows(table: TreeTable, count: int) -> tuple[Any, Any, list[messages.Input]]:
    """Rows with missing values and unknown categories among them."""
    numbers, codes = table.rows(count, seed=11, missing=0.3)
    return numbers, codes, [table_input(table.cells(n, c)) for n, c in zip(numbers, codes, strict=True)]


async def explain(running: Running, model: str, row: messages.Input, **options: Any) -> Any:
    return (await running.inference.Explain(explain_input(row, model=model, **options))).result


async def model_of(running: Running, model: str) -> Any:
    stub: Any = model_service_pb2_grpc.ModelServiceStub(running.channel)
    return await stub.GetModel(model_service_pb2.GetModelRequest(model=model))


def values_of(explanation: Any) -> Any:
    return np.array([attribution.values for attribution in explanation.attributions])


@pytest.mark.parametrize("model", MODELS)
async def test_values_are_those_of_an_enumeration_and_auto_takes_them(repository: Path, model: str) -> None:
    table, space = MODELS[model]
    numbers, codes, rows = some_rows(table, 4)
    asked = {"target": ALL_CLASSES} if table.labels else {}
    async with running_server(repository) as running:
        assert NAME in (await model_of(running, model)).methods
        answers = [(await explain(running, model, row, **asked)).explanation for row in rows]
    for row, explanation in enumerate(answers):
        assert (explanation.options.method, explanation.evaluations) == (NAME, 1)
        assert explanation.options.output_space == space_of(space)
        assert explanation.stop_reason == options_pb.STOP_REASON_EXACT
        assert explanation.converged
        expected = table.shapley_values(numbers[row], codes[row], probability=space == "probability")
        np.testing.assert_allclose(values_of(explanation), expected, atol=CLOSE)
        empty = table.value(numbers[row], codes[row], [], probability=space == "probability")
        np.testing.assert_allclose([one.baseline_value for one in explanation.attributions], empty, atol=CLOSE)
        assert [feature.column.name for feature in explanation.features] == list(table.players())
        assert explanation.quality.additivity_gap == pytest.approx(0, abs=CLOSE)
        assert not any(np.any(one.standard_errors) for one in explanation.attributions)


@pytest.mark.parametrize("model", ["loans", "forest"])
async def test_one_class_and_a_contrast_are_the_same_numbers(repository: Path, model: str) -> None:
    _, _, (row,) = some_rows(MODELS[model][0], 1)
    contrast = options_pb.Contrast(
        target=options_pb.ClassSelector(index=1), reference=options_pb.ClassSelector(label=LABELS[0])
    )
    async with running_server(repository) as running:
        every = await explain(running, model, row, target=ALL_CLASSES)
        one = await explain(running, model, row, target=options_pb.Target(index=1), method=NAME)
        apart = await explain(running, model, row, target=options_pb.Target(contrast=contrast))
        predicted = await explain(running, model, row)
    values = values_of(every.explanation)
    np.testing.assert_allclose(values_of(one.explanation)[0], values[1], atol=1e-12)
    np.testing.assert_allclose(values_of(apart.explanation)[0], values[1] - values[0], atol=1e-12)
    (attribution,) = predicted.explanation.attributions
    np.testing.assert_allclose(attribution.values, values[attribution.class_index], atol=1e-12)
    assert {each.explanation.options.method for each in (every, one, apart, predicted)} == {NAME}


async def test_another_scale_is_for_another_method(repository: Path) -> None:
    _, _, (row,) = some_rows(LOANS, 1)
    probability = {"output_space": options_pb.OUTPUT_SPACE_PROBABILITY}
    async with running_server(repository) as running:
        asked = await explain(running, "loans", row, **probability)
        grouped = await explain(running, "loans", row, max_players=3)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await explain(running, "loans", row, method=NAME, **probability)
    assert asked.explanation.options.method == grouped.explanation.options.method == "exact-shap"
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "options.output_space: is probability; tree-shap of this model has logit" in (refused.value.details() or "")


async def test_a_stream_is_one_final_answer_with_faithfulness_if_asked(repository: Path) -> None:
    _, _, (row,) = some_rows(LOANS, 1)
    asked = explain_input(row, model="loans", method=NAME, quality=options_pb.QUALITY_LEVEL_FULL)
    request = messages.StreamExplainRequest(spec=asked.spec)
    async with running_server(repository) as running:
        answers = [answer async for answer in running.inference.StreamExplain(request)]
        other = await explain(
            running,
            "loans",
            row,
            method="exact-shap",
            output_space=options_pb.OUTPUT_SPACE_LOGIT,
            quality=options_pb.QUALITY_LEVEL_FULL,
        )
    (answer,) = answers
    assert answer.final
    told, same = answer.result.explanation.quality, other.explanation.quality
    for name in ("comprehensiveness", "sufficiency"):
        assert getattr(told, name).value == pytest.approx(getattr(same, name).value, abs=CLOSE)


@pytest.mark.parametrize("model", MODELS)
async def test_rows_of_a_table_are_explained_as_each_alone(repository: Path, model: str) -> None:
    table = MODELS[model][0]
    rows = table.rows(40, seed=3, missing=0.2)
    asked = {"quality": options_pb.QUALITY_LEVEL_FULL}
    async with running_server(repository) as running:
        answer = await running.inference.ExplainTable(table_request(model, packed(table, *rows), **asked))
        inputs = [table_input(cells) for cells in cells_of(table, rows)]
        alone = [await explain(running, model, each, **asked) for each in inputs]
    assert answer.explanation.options.method == NAME
    told = list(rows_of(answer))
    assert len(told) == len(alone) == 40
    for row, result in zip(told, alone, strict=True):
        assert_row_is(row, result.explanation, close=CLOSE)


async def test_a_table_out_of_time_says_which_rows_are_explained(repository: Path, monkeypatch: Any) -> None:
    """The clock runs out after the first group of rows: whatever is known then is told."""
    from explicate_server.inference.explain_call import Deadline
    from explicate_server.inference.table_work import TableWork

    begun: list[int] = []
    of_work = TableWork.begun

    def counted(work: TableWork, rows: Any) -> Any:
        begun.append(len(rows))
        return of_work(work, rows)

    left = Deadline.seconds_left
    monkeypatch.setattr(TableWork, "begun", counted)
    monkeypatch.setattr(Deadline, "seconds_left", lambda deadline: -1.0 if begun else left(deadline))
    rows = LOSSES.rows(1500, seed=3)
    async with running_server(repository, max_explained_rows=2000) as running:
        answer = await running.inference.ExplainTable(table_request("losses", packed(LOSSES, *rows)))
    values = np.array(answer.explanation.attributions[0].values).reshape(1500, -1)
    known = ~np.isnan(values).any(axis=1)
    assert known.sum() == sum(begun) < 1500


def altered(folder: Path, **arrays: Any) -> None:
    """A bundle with other arrays of trees."""
    manifest = json_format.Parse((folder / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    outputs = len(manifest.class_labels) or 1
    trees = read_trees(folder / "trees.npz", manifest.tabular.trees, players=6, outputs=outputs)
    changed = TreeArrays(**{**vars(trees), **{name: change(getattr(trees, name)) for name, change in arrays.items()}})
    write_trees(folder / "trees.npz", changed)
    write_manifest(folder, manifest)


WRONG = {
    "leaves": ({"leaf_weights": lambda weights: weights * 1.001}, "does not answer the sums of trees"),
    "thresholds": ({"thresholds": lambda numbers: numbers + 0.3}, "does not answer the sums of trees"),
    "owners": ({"owners": lambda owners: np.roll(owners, 1)}, "are not functions of one player's columns"),
    "offset": ({"offset": lambda offset: offset + 0.01}, "does not answer the sums of trees"),
    "circles": ({"met": lambda met: np.where(met > 0, 0, met)}, "children that are not behind their parents"),
    "players": ({"owners": lambda owners: owners + 6}, "features of other players"),
    "features": ({"features": lambda features: features + 30}, "conditions on features that there are not"),
    "modes": ({"modes": lambda modes: np.where(modes > 0, 9, 0).astype(np.uint8)}, "unknown mode"),
    "types": ({"leaf_weights": lambda weights: weights.astype(np.float32)}, "leaf_weights of type float32"),
    "repeats": ({"leaf_nodes": lambda nodes: np.full_like(nodes, nodes[0])}, "weights that repeat"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_trees_that_the_graph_does_not_have_are_refused_at_load(tmp_path: Path, what: str) -> None:
    folder = tree_table(labels=(), seed=1).publish(tmp_path, "losses")
    change, problem = WRONG[what]
    altered(folder, **change)
    with pytest.raises(StartError, match=f"losses version 1 was refused: .*{problem}"):
        async with running_server(tmp_path):
            pass


async def test_a_model_without_such_trees_says_why_and_is_explained_otherwise(tmp_path: Path) -> None:
    leaking = tree_table(labels=(), seed=1, leak=True)
    leaking.publish(tmp_path, "leaks")
    _, _, (row,) = some_rows(leaking, 1)
    async with running_server(tmp_path) as running:
        told = await model_of(running, "leaks")
        by_default = await explain(running, "leaks", row)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await explain(running, "leaks", row, method=NAME)
    assert NAME not in told.methods
    assert "which are two players" in told.bundle.tabular.trees.missing
    assert by_default.explanation.options.method == "exact-shap"
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "read a feature that is made of 'income' and 'debt_short', which are two players" in refused.value.details()


@pytest.mark.parametrize("kind", ["forest", "boosting"])
async def test_a_fitted_pipeline_is_explained_by_its_own_columns(tmp_path: Path, kind: str) -> None:
    """Imputed, one-hot, ordinal and scaled columns of texts, flags and numbers; the truth is all coalitions of rows."""
    frame, targets = people()
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city 🏙"]),
        (OrdinalEncoder(), ["grade", "member"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income in €", "rooms"]),
    )
    trees = RandomForestClassifier(8, max_depth=5) if kind == "forest" else GradientBoostingClassifier(n_estimators=8)
    model = make_pipeline(encoded, trees).fit(frame, targets["three"])
    from_sklearn(model, frame, repository=tmp_path, name="people", background_rows=6, quiet=True)
    space = space_of("probability" if kind == "forest" else "logit")
    async with running_server(tmp_path) as running:
        columns = (await model_of(running, "people")).bundle.tabular.columns
        for number in (0, 5, 9):
            cells = {name: None if pd.isna(value) else value for name, value in frame.iloc[number].items()}
            row = table_input({name: cell if isinstance(cell, str) else _number(cell) for name, cell in cells.items()})
            told = await explain(running, "people", row, target=ALL_CLASSES)
            truth = await explain(running, "people", row, target=ALL_CLASSES, method="exact-shap", output_space=space)
            assert (told.explanation.options.method, told.explanation.options.output_space) == (NAME, space)
            np.testing.assert_allclose(values_of(told.explanation), values_of(truth.explanation), atol=CLOSE)
            assert [feature.column.name for feature in told.explanation.features] == [each.name for each in columns]


def _number(cell: Any) -> Any:
    if cell is None:
        return None
    return str(bool(cell)).lower() if isinstance(cell, bool | np.bool_) else float(cell)
