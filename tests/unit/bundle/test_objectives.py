"""Kinds of models: every one that the manifest can name is an input and an objective, and a new one is an entry."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax

from explicate.v1 import bundle_pb2
from explicate_bundle.golden import Golden, read_golden, write_golden
from explicate_bundle.input_kind import INPUT_KINDS, kind_named, kind_of, model_kinds
from explicate_bundle.inputs import TextInput
from explicate_bundle.manifest import checks
from explicate_bundle.objective import CLASSIFICATION, MULTI_LABEL, OBJECTIVES, REGRESSION, sigmoid

LOGITS = np.array([[-0.5, 2.0, 0.25], [0.0, 0.0, -4.0], [700.0, -700.0, 1.0]])


def test_every_kind_of_the_manifest_is_an_input_with_an_objective() -> None:
    known = {kind.number: kind for kind in model_kinds()}
    assert len(known) == len(INPUT_KINDS) * len(OBJECTIVES)
    assert set(known) == set(bundle_pb2.ModelKind.values()) - {bundle_pb2.MODEL_KIND_UNSPECIFIED}
    for number, kind in known.items():
        assert f"MODEL_KIND_{kind.name.upper().replace('-', '_')}" == bundle_pb2.ModelKind.Name(number)
        assert kind_of(number) == kind_named(kind.name) == kind
    assert kind_of(bundle_pb2.MODEL_KIND_UNSPECIFIED) is None
    assert kind_named("audio-classification") is None


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
    number = 1 + max(bundle_pb2.ModelKind.values())
    ordinal = replace(CLASSIFICATION, name="ordinal", least_labels=3, numbers={"text": number})
    text = bundle_pb2.TextSchema(max_tokens=8, inputs=["input_ids", "attention_mask"])
    manifest = bundle_pb2.Bundle(
        format_version=1,
        model="m",
        version=1,
        kind=number,  # type: ignore[arg-type]  # not in the enum
        text=text,
        class_labels=["low", "high"],
        golden_tolerance=1,
        files=[bundle_pb2.BundleFile(name=name) for name in ("model.onnx", "golden.npz", "tokenizer.json")],
    )

    def fault() -> str:
        return next((otherwise for holds, otherwise in checks(manifest, model="m", version=1) if not holds), "")

    assert fault() == f"kind {number} is not known"
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
