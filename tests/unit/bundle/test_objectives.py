"""Kinds of models: every one that the manifest can name is an input and an objective, and a new one is an entry."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import Golden, read_golden, write_golden
from explicate_bundle.input_kind import INPUT_KINDS, kind_named, kind_of, model_kinds, split_kind
from explicate_bundle.manifest import checks
from explicate_bundle.model_inputs import TextInput
from explicate_bundle.objective import CLASSIFICATION, MULTI_LABEL, OBJECTIVES, REGRESSION, sigmoid

LOGITS = np.array([[-0.5, 2.0, 0.25], [0.0, 0.0, -4.0], [700.0, -700.0, 1.0]])


def test_every_kind_of_the_manifest_is_an_input_with_an_objective() -> None:
    known = {(kind.reads.number, kind.predicts.number): kind for kind in model_kinds()}
    assert len(known) == len(INPUT_KINDS) * len(OBJECTIVES)
    assert {number for number, _ in known} == set(bundle_pb2.InputKind.values()) - {0}
    assert {number for _, number in known} == set(bundle_pb2.Objective.values()) - {0}
    for (reads, predicts), kind in known.items():
        assert kind_of(bundle_pb2.Bundle(input_kind=reads, objective=predicts)) == kind_named(kind.name) == kind
        input_kind = bundle_pb2.InputKind.Name(reads).removeprefix("INPUT_KIND_")
        objective = bundle_pb2.Objective.Name(predicts).removeprefix("OBJECTIVE_")
        assert kind.name == f"{input_kind}-{objective}".lower().replace("_", "-")
    assert kind_of(bundle_pb2.Bundle()) is None
    assert kind_named("audio-classification") is None


def test_what_version_0_1_named_in_one_field_is_split_in_two() -> None:
    named = {number: name for name, number in bundle_pb2.ModelKind.items() if number}
    for number, name in named.items():
        manifest = split_kind(bundle_pb2.Bundle(kind=number))
        kind = kind_of(manifest)
        assert kind is not None
        assert name == f"MODEL_KIND_{kind.name.upper().replace('-', '_')}"
        assert not manifest.kind
    assert len(named) == len(list(model_kinds()))
    unknown = bundle_pb2.Bundle(kind=1 + max(named))  # type: ignore[arg-type]  # not in the enum
    assert kind_of(split_kind(unknown)) is None
    said = bundle_pb2.Bundle(input_kind=bundle_pb2.INPUT_KIND_IMAGE, objective=bundle_pb2.OBJECTIVE_REGRESSION)
    assert split_kind(said) == said


def test_scores_are_the_softmax_of_classes_the_sigmoid_of_labels_and_values_as_they_are() -> None:
    np.testing.assert_allclose(CLASSIFICATION.scores(LOGITS), softmax(LOGITS, axis=1), rtol=1e-13)
    np.testing.assert_allclose(MULTI_LABEL.scores(LOGITS), expit(LOGITS), rtol=1e-13)
    np.testing.assert_array_equal(REGRESSION.scores(LOGITS), LOGITS)


def test_the_sigmoid_of_far_logits_neither_overflows_nor_loses_its_digits() -> None:
    logits = np.array([-800.0, -700.0, -40.0, -1e-9, 0.0, 30.0, 1e4])
    np.testing.assert_allclose(sigmoid(logits), expit(logits), rtol=1e-13)


def test_a_class_and_labels_are_decided_by_scores_and_a_value_is_not() -> None:
    assert CLASSIFICATION.decisions is not None
    assert MULTI_LABEL.decisions is not None
    np.testing.assert_array_equal(CLASSIFICATION.decisions(CLASSIFICATION.scores(LOGITS)), [1, 0, 0])
    np.testing.assert_array_equal(MULTI_LABEL.decisions(MULTI_LABEL.scores(LOGITS)), LOGITS >= 0)
    assert REGRESSION.decisions is None


def test_a_new_objective_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 1 + max(bundle_pb2.Objective.values())
    ordinal = replace(CLASSIFICATION, name="ordinal", least_labels=3, number=number)
    text = bundle_pb2.TextSchema(max_tokens=8, inputs=["input_ids", "attention_mask"])
    manifest = bundle_pb2.Bundle(
        format_version=1,
        model="m",
        version=1,
        input_kind=bundle_pb2.INPUT_KIND_TEXT,
        objective=number,  # type: ignore[arg-type]  # not in the enum
        text=text,
        class_labels=["low", "high"],
        golden_tolerance=1,
        files=[bundle_pb2.BundleFile(name=name) for name in ("model.onnx", "golden.npz", "tokenizer.json")],
    )

    def fault() -> str:
        return next((otherwise for holds, otherwise in checks(manifest, model="m", version=1) if not holds), "")

    assert fault() == f"input_kind 1 with objective {number} is not known"
    monkeypatch.setitem(OBJECTIVES, "ordinal", ordinal)
    assert fault() == "2 class_labels"
    manifest.class_labels.append("higher")
    assert fault() == ""
    kind = kind_named("text-ordinal")
    assert kind is not None
    assert kind.predicts is ordinal
    golden = Golden((TextInput("a"), TextInput("ü")), np.ones((2, 3), np.float32))
    write_golden(tmp_path / "golden.npz", golden, manifest)
    assert read_golden(tmp_path / "golden.npz", manifest).inputs == golden.inputs
