"""The bundle that a real export of the tiny model publishes: complete, true, and the same whichever way it is asked."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf import json_format
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import verify_bundle
from explicate_export.model_card import as_list
from explicate_export.text.golden import choose_excerpts, choose_golden
from explicate_export.text.model import TextGraph, TokenRow, encode
from support.tiny_bundle import CONSTANT_LOGITS, build_onnx_variant, compose_texts


@pytest.fixture(scope="module")
def bundle(tiny_repository: Path) -> Path:
    return tiny_repository / "tiny" / "1"


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> bundle_pb2.Bundle:
    return json_format.Parse((bundle / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())


def _logits(bundle: Path, texts: list[str]) -> NDArray[np.float32]:
    """float32 [texts, classes], all in one batch, by the files of the bundle alone."""
    manifest = json_format.Parse((bundle / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    rows = encode((bundle / "tokenizer.json").read_text(encoding="utf-8"), [(text,) for text in texts], manifest.text)
    return TextGraph(bundle / "model.onnx", manifest.text).outputs(rows)


def test_every_field_of_the_manifest_is_filled(manifest: bundle_pb2.Bundle) -> None:
    unset = {field.name for field in manifest.DESCRIPTOR.fields} - {field.name for field, _ in manifest.ListFields()}
    assert unset == {"kind", "tabular", "target_name", "image"}
    assert (manifest.format_version, manifest.model, manifest.version) == (1, "tiny", 1)
    assert list(manifest.class_labels) == ["other", "great"]
    assert list(manifest.text.inputs) == ["input_ids", "attention_mask", "position_ids", "token_type_ids"]
    assert (manifest.text.max_tokens, manifest.text.first_position, manifest.text.padding_id) == (128, 0, 0)
    assert manifest.text.mask_id == 4
    assert manifest.text.token_dropping
    assert manifest.metrics == {"accuracy": 0.5, "f1_macro": 0.375}
    assert 0 < manifest.provenance.max_logit_difference <= 1e-4


def test_manifest_survives_a_round_trip_through_protobuf_json(bundle: Path, manifest: bundle_pb2.Bundle) -> None:
    text = json_format.MessageToJson(manifest, preserving_proto_field_name=True)
    assert json_format.Parse(text, bundle_pb2.Bundle()) == manifest
    assert json.loads(text) == json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))


def test_digests_and_sizes_are_those_of_the_files(bundle: Path, manifest: bundle_pb2.Bundle) -> None:
    found = {path.name: path.read_bytes() for path in bundle.iterdir() if path.name != "manifest.json"}
    listed = {file.name: (file.sha256, file.size_bytes) for file in manifest.files}
    assert listed == {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in found.items()}
    assert set(found) == {"model.onnx", "tokenizer.json", "golden.npz", "MODEL_CARD.md"}


def test_graph_has_dynamic_axes_and_holds_its_weights(bundle: Path, manifest: bundle_pb2.Bundle) -> None:
    model = onnx.load(bundle / "model.onnx", load_external_data=False)
    shapes = {value.name: [dim.dim_param for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert shapes == {name: ["batch", "length"] for name in manifest.text.inputs}
    assert [value.name for value in model.graph.output] == ["logits"]
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)


def test_graph_carries_no_paths_of_the_exporting_machine(bundle: Path) -> None:
    data = (bundle / "model.onnx").read_bytes()
    assert b"site-packages" not in data
    assert str(Path.cwd()).encode() not in data


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
    manifest = json_format.Parse((bundle / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    (row,) = encode((bundle / "tokenizer.json").read_text(encoding="utf-8"), [(text,)], manifest.text)
    empty = TokenRow(**{name: values[row.special] for name, values in vars(row).items()})
    return TextGraph(bundle / "model.onnx", manifest.text).outputs([empty])[0]


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
    assert choose_excerpts([(long,), ("a b",), ("c",)]) == [("a b",), (long.removesuffix(" 13 14"),)]
    assert choose_excerpts([("alone",)]) == [("alone",)]


def test_excerpts_of_pairs_are_beginnings_of_six_words_each() -> None:
    assert choose_excerpts([("one two three four five six seven", "a b")]) == [("one two three four five six", "a b")]


def test_model_card_names_what_a_reader_needs(bundle: Path, manifest: bundle_pb2.Bundle) -> None:
    card = (bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    for needed in ("# tiny\n", "`tiny-random`", manifest.provenance.data_sha256, "| accuracy | 0.5 |", "Intended use"):
        assert needed in card
    assert "| great | 0.5 | 0.25 | 0.33 |" in card
    assert f"{manifest.provenance.max_logit_difference:.1e}" in card


def test_lists_of_the_card_have_a_line_for_each_thing() -> None:
    report = {"rows": {"train": 3}, "columns": [{"name": "a\nb", "missing": 1}, {"name": "c"}], "left_out": []}
    assert list(as_list(report)) == [
        "- rows:",
        "  - train: 3",
        "- columns:",
        "  - name a b, missing 1",
        "  - name c",
        "- left_out: []",
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
