"""Bundles of several labels, of numbers and of pairs: what is read of their runs, and what they hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.golden import Golden, read_golden, write_golden
from explicate_bundle.model_inputs import TextInput
from explicate_export.errors import UsageError
from explicate_export.export import ExportOptions, export_run
from explicate_export.golden_inputs import GOLDEN_TOLERANCE
from explicate_export.text.conversion import held_out_texts
from explicate_export.training_run import read_run
from support.run_files import change
from support.tiny_bundle import TARGET_MEAN, TARGET_NAME, TARGET_SPREAD, write_run_files, write_tiny_run
from support.tiny_table_run import write_table_run

LABELS = ("late", "rude", "wrong")


def verified(folder: Path, name: str) -> VerifiedBundle:
    return verify_bundle(folder / name / "1", model=name, version=1)


def test_a_table_of_several_labels_is_exported_with_golden_rows_and_attributions(tmp_path: Path) -> None:
    run = write_table_run(tmp_path / "run", labels=LABELS, kind="tabular-multi-label")
    change(
        run / "data.json",
        source="/home/someone/customers.csv",
        examples_dropped={"blank text": [{"text": "a row about a person"}]},
    )
    export_run(run, tmp_path / "repository", ExportOptions("flags"))
    bundle = verified(tmp_path / "repository", "flags")
    assert bundle.manifest.input_kind == bundle_pb2.INPUT_KIND_TABULAR
    assert bundle.manifest.objective == bundle_pb2.OBJECTIVE_MULTI_LABEL
    assert list(bundle.manifest.class_labels) == list(LABELS)
    assert not bundle.manifest.target_name
    assert bundle.manifest.provenance.max_logit_difference <= 1e-4
    assert bundle.golden().attributions
    card = bundle.read_text("MODEL_CARD.md")
    assert "which of 3 labels fit, any number of them" in card
    assert "Per label:" in card
    assert "- source: customers.csv\n" in card
    assert "a row about a person" not in card


def test_a_number_from_pairs_is_exported_in_its_unit_with_both_texts_golden(tmp_path: Path) -> None:
    run = write_tiny_run(tmp_path / "run", kind="text-regression", labels=(), pairs=True)
    export_run(run, tmp_path / "repository", ExportOptions("alike"))
    bundle = verified(tmp_path / "repository", "alike")
    manifest = bundle.manifest
    assert manifest.input_kind == bundle_pb2.INPUT_KIND_TEXT
    assert manifest.objective == bundle_pb2.OBJECTIVE_REGRESSION
    assert (manifest.target_name, list(manifest.class_labels), manifest.text.pairs) == (TARGET_NAME, [], True)
    assert manifest.golden_tolerance == pytest.approx(GOLDEN_TOLERANCE * TARGET_SPREAD)
    golden = bundle.golden()
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").train(False)
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    with torch.no_grad():
        encoded = tokenizer(
            *map(list, zip(*(value.texts for value in golden.inputs), strict=True)),
            truncation=True,
            max_length=128,
            padding=True,
            return_tensors="pt",
        )
        values = model(**encoded).logits.numpy() * TARGET_SPREAD + TARGET_MEAN
    np.testing.assert_allclose(golden.outputs, values, atol=1e-4)
    assert max(len(values) for values in golden.attributions.values()) <= 12
    card = bundle.read_text("MODEL_CARD.md")
    assert f"A regression that predicts `{TARGET_NAME}` from a pair of texts, in its own unit." in card
    assert "the longer one is cut first" in card


@pytest.fixture
def text_run(tmp_path: Path) -> Path:
    """The files of a run on pairs, the model's empty."""
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "model" / name).touch()
    write_run_files(tmp_path, texts=["good tea", "bad box"], labels=(), kind="text-regression", pairs=True)
    return tmp_path


def test_pairs_of_a_run_are_read(text_run: Path) -> None:
    run = read_run(text_run)
    values = [one.value for one in held_out_texts(run)]
    assert [value.text for value in values if isinstance(value, TextInput)] == ["good tea", "bad box"]
    assert all(value.text_pair for value in values if isinstance(value, TextInput))
    assert run.kind.name == "text-regression"
    assert run.target_scale is not None
    assert (run.target_scale.mean, run.target_scale.spread) == (TARGET_MEAN, TARGET_SPREAD)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"target_scale": {"mean": 3.0}}, "target_scale must be finite, its spread above 0"),
        ({"target_scale": {"mean": "NaN", "spread": 1.0}}, "target_scale must be finite, its spread above 0"),
        ({"target_scale": {"mean": "three"}}, "is not the record of a training run .*mean"),
        ({"target_name": ""}, "'target_name' is missing"),
        ({"labels": ["a", "b"]}, "2 class_labels of a regression"),
        ({"text": {"max_tokens": 128, "pairs": 1}}, "is not the record of a training run .*pairs"),
        ({"objective": "multi-label"}, "no server takes .0 class_labels"),
        ({"objective": "classification", "labels": ["one"]}, "no server takes .1 class_labels"),
    ],
)
def test_a_wrong_value_of_a_run_is_named(text_run: Path, values: dict[str, Any], message: str) -> None:
    change(text_run / "run.json", **values)
    with pytest.raises(UsageError, match=rf"run\.json.*{message}"):
        read_run(text_run)


def test_a_held_out_line_without_its_second_text_is_named(text_run: Path) -> None:
    first = (text_run / "held_out.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (text_run / "held_out.jsonl").write_text(f'{first}\n{{"text": "c"}}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r'line 2: not an object with a "text_pair"'):
        held_out_texts(read_run(text_run))


def test_one_label_is_enough_of_several(tmp_path: Path) -> None:
    run = write_table_run(tmp_path / "run", labels=("late",), kind="tabular-multi-label")
    assert read_run(run).labels == ("late",)


def test_golden_pairs_survive_a_round_trip_and_must_be_as_many_as_texts(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    outputs = np.zeros((2, 1), dtype=np.float32)
    manifest = bundle_pb2.Bundle(
        input_kind=bundle_pb2.INPUT_KIND_TEXT,
        objective=bundle_pb2.OBJECTIVE_REGRESSION,
        text=bundle_pb2.TextSchema(pairs=True),
        target_name="likeness",
    )
    golden = Golden((TextInput("a", "c d"), TextInput("ü", "é")), outputs)
    write_golden(path, golden, manifest)
    assert read_golden(path, manifest).inputs == golden.inputs
    write_golden(path, Golden((TextInput("a", "c"), TextInput("b")), outputs), manifest)
    with pytest.raises(BundleError, match="2 texts, but 1 second texts"):
        read_golden(path, manifest)
    write_golden(path, Golden((TextInput("a"), TextInput("b")), outputs), manifest)
    with pytest.raises(BundleError, match="pair_utf8"):
        read_golden(path, manifest)
