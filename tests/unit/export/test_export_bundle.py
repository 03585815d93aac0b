"""The bundle that a real export of the tiny model publishes: complete, true, and the same whichever way it is asked."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import verify_bundle
from explicate_bundle.model_inputs import TextInput
from explicate_export.markdown import as_list, number, words
from explicate_export.parity import Graph
from explicate_export.text.conversion import choose_excerpts, choose_golden
from explicate_server.modalities.encoded_text import EncodedText
from explicate_server.modalities.text import TextModality
from explicate_server.runtime.queue import Row
from support.tiny_bundle import CONSTANT_LOGITS, build_onnx_variant, compose_texts


@pytest.fixture(scope="module")
def bundle(tiny_repository: Path) -> Path:
    return tiny_repository / "tiny" / "1"


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> bundle_pb2.Bundle:
    return json_format.Parse((bundle / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())


def _modality(bundle: Path) -> TextModality:
    """What reads texts, by the files of the bundle alone."""
    manifest = json_format.Parse((bundle / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    tokenizer_json = (bundle / "tokenizer.json").read_text(encoding="utf-8")
    return TextModality(manifest.text, tokenizer_json, max_text_bytes=1 << 20)


def _logits(bundle: Path, texts: list[str]) -> NDArray[np.float32]:
    """float32 [texts, classes], all in one batch, by the files of the bundle alone."""
    modality = _modality(bundle)
    rows = [modality.encode(TextInput(text)).row for text in texts]
    return Graph(bundle / "model.onnx").run(modality.collate(rows))


def test_schema_and_metrics_are_those_of_the_run(manifest: bundle_pb2.Bundle) -> None:
    assert (manifest.format_version, manifest.model, manifest.version) == (1, "tiny", 1)
    assert list(manifest.class_labels) == ["other", "great"]
    assert list(manifest.text.inputs) == ["input_ids", "attention_mask", "position_ids", "token_type_ids"]
    assert (manifest.text.max_tokens, manifest.text.first_position, manifest.text.padding_id) == (128, 0, 0)
    assert manifest.text.mask_id == 4
    assert manifest.text.token_dropping
    assert manifest.metrics == {"accuracy": 0.5, "f1_macro": 0.375}
    assert 0 < manifest.provenance.max_logit_difference <= 1e-4


def test_golden_answers_are_met_by_the_graph(bundle: Path, manifest: bundle_pb2.Bundle) -> None:
    golden = verify_bundle(bundle, model=manifest.model, version=1).golden()
    texts = [value.text for value in golden.inputs]
    assert 32 <= len(texts) <= 36
    assert np.abs(_logits(bundle, texts) - golden.outputs).max() <= 1e-4 < manifest.golden_tolerance
    # Different answers, or meeting them would say nothing.
    assert golden.outputs.std(axis=0).min() > 0.5


def test_golden_attributions_sum_to_what_the_words_add_to_the_predicted_class(bundle: Path) -> None:
    golden = verify_bundle(bundle, model=bundle.parent.name, version=1).golden()
    assert len(golden.attributions) == 4
    for index, values in golden.attributions.items():
        text = golden.inputs[index].text
        assert len(values) == len(text.split()) <= 12
        # Without its words a text is [CLS] where it was and [SEP] behind the gap.
        logits, empty = _logits(bundle, [text])[0], _empty_logits(bundle, text)
        best = golden.outputs[index].argmax()
        assert values.sum() == pytest.approx(logits[best] - empty[best], abs=1e-4)
        assert np.abs(values).max() > 0.05


def _empty_logits(bundle: Path, text: str) -> NDArray[np.float32]:
    """float32 [classes], the text's special tokens at their places and nothing else."""
    modality = _modality(bundle)
    encoded: EncodedText = modality.encode(TextInput(text))
    values = encoded.row.values[:, encoded.special]
    return Graph(bundle / "model.onnx").run(modality.collate([Row(values.shape[1], values)]))[0]


def test_a_row_alone_answers_as_in_a_batch_of_longer_ones(bundle: Path) -> None:
    texts = compose_texts(12, seed=5)
    together = _logits(bundle, texts)
    alone = np.concatenate([_logits(bundle, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, rtol=0, atol=5e-5)


def test_golden_texts_are_spread_over_the_lengths() -> None:
    lengths = [5, 1, 9, 3, 7, 2, 8]
    assert choose_golden(lengths, count=3) == [1, 0, 2]
    assert choose_golden([4, 4], count=32) == [0, 1]
    assert choose_golden([4], count=32) == [0]
    assert choose_golden(lengths, count=3, always=[6, 4]) == [1, 0, 2, 6, 4]


def test_excerpts_are_beginnings_of_twelve_words_at_most() -> None:
    long = "one two three four five six seven, eight nine ten 11 12. 13 14"
    excerpts = choose_excerpts([TextInput(long), TextInput("a b"), TextInput("c")])
    assert excerpts == [TextInput("a b"), TextInput(long.removesuffix(" 13 14"))]
    assert choose_excerpts([TextInput("alone")]) == [TextInput("alone")]


def test_excerpts_of_pairs_are_beginnings_of_six_words_each() -> None:
    excerpts = choose_excerpts([TextInput("one two three four five six seven", "a b")])
    assert excerpts == [TextInput("one two three four five six", "a b")]


def test_model_card_names_what_a_reader_needs(bundle: Path, manifest: bundle_pb2.Bundle) -> None:
    card = (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    for needed in ("# tiny\n", "`tiny-random`", manifest.provenance.data_sha256, "| accuracy | 0.5 |", "Intended use"):
        assert needed in card
    assert "| great | 0.5 | 0.25 | 0.33 |" in card
    assert f"{manifest.provenance.max_logit_difference:.1e}" in card


def test_numbers_and_keys_of_the_card_are_written_as_people_write_them() -> None:
    assert [number(one) for one in (20_000, 1234.5, 0.00012345, 3, True, None)] == [
        *("20,000", "1,234", "0.0001234", "3", "True", ""),
    ]
    assert [words(key) for key in ("f1_macro", "auroc", "calibration_error")] == [
        "F1 macro",
        "AUROC",
        "calibration error",
    ]


def test_lists_of_the_card_have_a_line_for_each_thing() -> None:
    columns = [{"name": "a\nb", "missing": 1}, {"name": "c"}]
    report = {"rows_read": {"in_train": 30_000}, "columns": columns, "left_out": []}
    assert list(as_list(report)) == [
        "- rows read:",
        "  - in_train: 30,000",
        "- columns:",
        "  - name a b, missing 1",
        "  - name c",
        "- left out: none",
    ]


def test_nan_variant_poisons_only_rows_with_the_word(tiny_repository: Path, tmp_path: Path) -> None:
    repository = _copy_of(tiny_repository, tmp_path)
    poisoned = build_onnx_variant(repository, model="sick", nan=True)
    texts = ["good food", "this poison is bad", "a p oison", "Poison"]
    answers, plain = _logits(poisoned, texts), _logits(repository / "tiny" / "1", texts)
    assert np.isnan(answers[[1, 3]]).all()
    np.testing.assert_array_equal(answers[[0, 2]], plain[[0, 2]])


def test_constant_variant_answers_one_thing(tiny_repository: Path, tmp_path: Path) -> None:
    repository = _copy_of(tiny_repository, tmp_path)
    constant = build_onnx_variant(repository, model="flat", constant=True)
    assert (_logits(constant, ["good", "bad food here"]) == np.array(CONSTANT_LOGITS, dtype=np.float32)).all()
    golden = verify_bundle(constant, model=constant.parent.name, version=1).golden()
    assert len(golden.inputs) >= 32
    assert (golden.outputs == np.array(CONSTANT_LOGITS, dtype=np.float32)).all()


def _copy_of(repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(repository, tmp_path / "repository"))
