"""Predictions and explanations by the Open Inference Protocol: the numbers of our own calls, as tensors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from explicate.v1 import inference_service_pb2 as messages
from explicate_server.rpc.message_bytes import SLICE_BYTES
from support.harness import (
    TEXT,
    Running,
    explain_input,
    image_input,
    predict_request,
    reference,
    running_server,
    table_input,
    text_input,
)
from support.open_inference import EXPLAINED, call, columns, infer_request, tensors_of
from support.tiny_bundle import LABELS as TEXT_LABELS
from support.tiny_image_bundle import pictures, png
from support.tiny_table_bundle import LABELS, tiny_table
from support.tree_table import build_tree_repository, tree_table

LOANS, LOSSES = tiny_table(), tiny_table(labels=(), seed=1)
TEXTS = ["good tea", "a cup of tea was not good", TEXT]
# Shapley values in float64 against a graph in float32.
CLOSE = 5e-6


def rows_of(table: Any, count: int, *, seed: int = 5) -> tuple[Any, list[dict[str, Any]]]:
    """What the model answers by its formula, and the rows as they are asked."""
    numbers, codes = table.rows(count, seed=seed)
    rows = [table.cells(*row) for row in zip(numbers, codes, strict=True)]
    return table.answers(numbers, codes), rows


async def infer(running: Running, model: str, tensors: Any, **asked: Any) -> dict[str, Any]:
    return tensors_of(await call(running.channel, "ModelInfer", infer_request(model, tensors, **asked)))


async def explained(running: Running, model: str, value: messages.Input, **options: Any) -> Any:
    return (await running.inference.Explain(explain_input(value, model=model, **options))).result.explanation


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("column", [True, False])
async def test_rows_of_a_table_are_answered_by_the_models_formula(
    table_repository: Path, *, raw: bool, column: bool
) -> None:
    logits, rows = rows_of(LOANS, 40)
    async with running_server(table_repository) as running:
        found = await infer(running, "loans", columns(rows), raw=raw, column=column)
    assert list(found) == ["label", "probabilities"]
    assert found["label"].tolist() == [[LABELS[best]] for best in logits.argmax(axis=1)]
    assert found["probabilities"] == pytest.approx(LOANS.probabilities(logits), abs=CLOSE)


@pytest.mark.parametrize("raw", [True, False])
async def test_a_large_request_is_read_in_slices_and_answered_the_same(table_repository: Path, *, raw: bool) -> None:
    logits, rows = rows_of(LOANS, 6000)
    tensors = columns(rows)
    request = infer_request("loans", tensors, raw=raw)
    assert request.ByteSize() > SLICE_BYTES
    limits = {"max_inputs": 6000, "max_queued_rows": 20_000}
    async with running_server(table_repository, **limits) as running:
        found = tensors_of(await call(running.channel, "ModelInfer", request))
    assert found["label"][:, 0].tolist() == [LABELS[best] for best in logits.argmax(axis=1)]


async def test_an_answer_says_which_version_and_bundle_gave_it(table_repository: Path) -> None:
    _, rows = rows_of(LOSSES, 2)
    async with running_server(table_repository) as running:
        request = infer_request("losses", columns(rows), id="seventeen")
        answer = await call(running.channel, "ModelInfer", request)
        served = running.served("losses")
    assert (answer.model_name, answer.model_version, answer.id) == ("losses", "1", "seventeen")
    assert answer.parameters["bundle_digest"].string_param == served.bundle.digest


async def test_numbers_come_in_every_datatype_and_a_regression_answers_its_value(table_repository: Path) -> None:
    numbers, codes = LOSSES.rows(4, missing=0.0)
    numbers = np.round(numbers * 4)
    rows = [LOSSES.cells(*row) for row in zip(numbers, codes, strict=True)]
    expected = LOSSES.answers(numbers, codes)
    async with running_server(table_repository) as running:
        for datatype in ("FP64", "FP32", "FP16", "INT64", "INT32"):
            tensors = {
                name: (
                    datatype if kind == "FP64" else kind,
                    [int(each) for each in values] if kind == "FP64" else values,
                )
                for name, (kind, values) in columns(rows).items()
            }
            found = await infer(running, "losses", tensors)
            assert list(found) == ["value"]
            assert found["value"] == pytest.approx(expected, abs=CLOSE), datatype


async def test_a_boolean_column_comes_as_words_or_as_BOOL_and_what_is_empty_is_missing(table_repository: Path) -> None:
    _, rows = rows_of(LOANS, 1)
    rows = [{**rows[0], "owner": owner, "income": None, "purpose": None} for owner in ("true", "false", "true")]
    tensors = columns(rows)
    as_bool = {**tensors, "owner": ("BOOL", [True, False, True]), "income": ("FP32", [np.nan] * 3)}
    async with running_server(table_repository) as running:
        found = [await infer(running, "loans", each, raw=raw) for each in (tensors, as_bool) for raw in (True, False)]
        own = messages.PredictRequest(model=reference("loans"), inputs=map(table_input, rows))
        answer = await running.inference.Predict(own)
    expected = [[score.probability for score in each.classification.scores] for each in answer.predictions]
    for each in found:
        assert each["probabilities"].tolist() == expected


async def test_texts_are_answered_as_predict_answers_them(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        own = (await running.inference.Predict(predict_request(*TEXTS))).predictions
        for raw in (True, False):
            found = await infer(
                running, "tiny", {"text": ("BYTES", TEXTS)}, raw=raw, outputs=["probabilities", "label", "classes"]
            )
            assert list(found) == ["probabilities", "label", "classes"]
            assert found["classes"].tolist() == list(TEXT_LABELS)
            assert found["label"][:, 0].tolist() == [each.classification.predicted_label for each in own]
            expected = [[score.probability for score in each.classification.scores] for each in own]
            assert found["probabilities"] == pytest.approx(np.array(expected), abs=1e-6)


async def test_images_and_the_labels_of_a_model_with_several(image_repository: Path) -> None:
    contents = [png(picture) for picture in pictures(3, seed=5)]
    async with running_server(image_repository) as running:
        for model in ("animals", "tags", "ages"):
            request = messages.PredictRequest(model=reference(model), inputs=map(image_input, contents))
            own = (await running.inference.Predict(request)).predictions
            found = await infer(running, model, {"image": ("BYTES", contents)})
            if model == "ages":
                assert found["value"][:, 0].tolist() == [each.regression.value for each in own]
            elif model == "animals":
                assert found["label"][:, 0].tolist() == [each.classification.predicted_label for each in own]
            else:
                told = [{name for name in row if name} for row in found["label"].tolist()]
                assert told == [set(each.multi_label.predicted_labels) for each in own]
                assert found["probabilities"].shape == found["label"].shape


async def test_a_table_is_explained_together_and_each_row_as_explain_does(table_repository: Path) -> None:
    _, rows = rows_of(LOANS, 5)
    async with running_server(table_repository) as running:
        found = await infer(running, "loans", columns(rows), outputs=[*EXPLAINED, "label"], method="exact-shap")
        for place, row in enumerate(rows):
            own = await explained(running, "loans", table_input(row), method="exact-shap")
            assert found["features"][place].tolist() == [feature.column.name for feature in own.features]
            assert found["attributions"][place] == pytest.approx(own.attributions[0].values, abs=CLOSE)
            assert found["baseline"][place, 0] == pytest.approx(own.attributions[0].baseline_value, abs=CLOSE)
            assert found["label"][place, 0] == own.attributions[0].class_label
            alone = await infer(running, "loans", columns([row]), outputs=EXPLAINED, method="exact-shap")
            assert alone["attributions"][0].tolist() == list(own.attributions[0].values)
        assert found["lower"].tolist() == found["upper"].tolist() == found["attributions"].tolist()


async def test_texts_of_different_lengths_are_padded(tiny_repository: Path) -> None:
    options = {"seed": 3, "max_evaluations": 200, "tolerance": 0.0, "method": "kernel-shap"}
    outputs = [*EXPLAINED, "explanation", "probabilities"]
    async with running_server(tiny_repository) as running:
        found = await infer(running, "tiny", {"text": ("BYTES", TEXTS)}, outputs=outputs, **options)
        own = [await explained(running, "tiny", text_input(text), **options) for text in TEXTS]
    assert list(found) == outputs
    width = max(len(each.features) for each in own)
    assert found["attributions"].shape == found["lower"].shape == found["features"].shape == (3, width)
    for place, each in enumerate(own):
        known = len(each.features)
        assert found["features"][place].tolist() == [f.text.text for f in each.features] + [""] * (width - known)
        assert found["attributions"][place, :known].tolist() == list(each.attributions[0].values)
        assert found["upper"][place, :known] == pytest.approx(list(each.attributions[0].upper), nan_ok=True)
        assert np.isnan(found["attributions"][place, known:]).all()
        document = json_format.Parse(found["explanation"][place, 0], messages.ExplainResult())
        assert document.explanation.attributions[0].values == each.attributions[0].values
        assert document.model.bundle_digest


async def test_all_classes_have_a_dimension_and_a_contrast_does_not(table_repository: Path) -> None:
    _, rows = rows_of(LOANS, 3)
    async with running_server(table_repository) as running:
        whole = await infer(running, "loans", columns(rows), outputs=EXPLAINED, target="all", method="exact-shap")
        one = await infer(running, "loans", columns(rows), outputs=EXPLAINED, target="late", method="exact-shap")
        by_index = await infer(running, "loans", columns(rows), outputs=EXPLAINED, target=2, method="exact-shap")
        contrast = {"target": "paid", "against": "late", "output_space": "probability", "method": "exact-shap"}
        both = await infer(running, "loans", columns(rows), outputs=EXPLAINED, **contrast)
    assert whole["attributions"].shape == (3, 3, 6)
    assert whole["baseline"].shape == (3, 3)
    assert whole["attributions"][:, LABELS.index("late")].tolist() == one["attributions"].tolist()
    assert by_index["attributions"].tolist() == one["attributions"].tolist()
    difference = whole["attributions"][:, LABELS.index("paid")] - whole["attributions"][:, LABELS.index("late")]
    assert both["attributions"] == pytest.approx(difference, abs=CLOSE)


async def test_a_method_that_explains_rows_one_by_one_does_so(table_repository: Path) -> None:
    _, rows = rows_of(LOANS, 3)
    async with running_server(table_repository) as running:
        found = await infer(running, "loans", columns(rows), outputs=["attributions"], method="lime", seed=1)
        own = [await explained(running, "loans", table_input(row), method="lime", seed=1) for row in rows]
    assert found["attributions"].tolist() == [list(each.attributions[0].values) for each in own]


async def test_a_version_is_named_by_its_number_or_a_label(table_repository: Path) -> None:
    _, rows = rows_of(LOANS, 1)
    async with running_server(table_repository) as running:
        answers = [await infer(running, "loans", columns(rows), version=version) for version in ("", "1", "live")]
    assert json.dumps(answers[0]["probabilities"].tolist()) == json.dumps(answers[1]["probabilities"].tolist())
    assert answers[1]["probabilities"].tolist() == answers[2]["probabilities"].tolist()


async def test_what_other_servers_clients_add_is_passed_over(table_repository: Path) -> None:
    _, rows = rows_of(LOANS, 1)
    request = infer_request(
        "loans",
        columns(rows),
        triton_enable_empty_final_response=True,
        binary_data_output=True,
        sequence_id=4,
        timeout=0,
    )
    for tensor in request.inputs:
        tensor.parameters["binary_data_size"].int64_param = 8
    async with running_server(table_repository) as running:
        answer = await call(running.channel, "ModelInfer", request)
    assert [output.name for output in answer.outputs] == ["label", "probabilities"]


async def test_trees_are_explained_exactly_by_their_method(tmp_path: Path) -> None:
    async with running_server(build_tree_repository(tmp_path)) as running:
        for model, table in (("loans", tree_table()), ("losses", tree_table(labels=(), seed=1))):
            numbers, codes = table.rows(9, seed=11, missing=0.3)
            rows = [table.cells(*row) for row in zip(numbers, codes, strict=True)]
            found = await infer(running, model, columns(rows), outputs=[*EXPLAINED, "explanation"], method="tree-shap")
            together = await infer(running, model, columns(rows), outputs=["attributions"], method="tree-shap")
            own = [await explained(running, model, table_input(row), method="tree-shap") for row in rows]
            expected = np.array([list(each.attributions[0].values) for each in own])
            assert found["attributions"] == pytest.approx(expected, abs=CLOSE)
            assert together["attributions"] == pytest.approx(expected, abs=CLOSE)
