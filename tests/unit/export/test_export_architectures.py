"""Encoders other than BERT: positions are numbered their own way, and token dropping is what is measured."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from google.protobuf import json_format

from explicate.v1 import bundle_pb2
from explicate_export.errors import ConversionError
from explicate_export.export import ExportOptions, export_run
from support.tiny_bundle import LABELS, compose_texts, write_outputs, write_run_files
from support.tiny_text_model import build_tokenizer

_VOCABULARY_SIZE = len(build_tokenizer())
_BERT_LIKE: dict[str, Any] = {
    "vocab_size": _VOCABULARY_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
_DISTILBERT: dict[str, Any] = {
    "vocab_size": _VOCABULARY_SIZE,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 64,
    "max_position_embeddings": 130,
    "initializer_range": 0.3,
}
_RELATIVE: dict[str, Any] = {
    "type_vocab_size": 0,
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 16,
}
_BART: dict[str, Any] = {
    "vocab_size": _VOCABULARY_SIZE,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "pad_token_id": 0,
    "eos_token_id": 3,
}


def _write_run(directory: Path, config: Any) -> Path:
    config.id2label = dict(enumerate(LABELS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = transformers.AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(directory / "model")
    build_tokenizer().save_pretrained(directory / "model")
    write_run_files(directory, texts=compose_texts(24, seed=3))
    write_outputs(directory)
    return directory


@pytest.mark.parametrize(
    ("config", "first_position", "token_types", "token_dropping"),
    [
        pytest.param(transformers.RobertaConfig(**_BERT_LIKE, type_vocab_size=1), 1, False, True, id="roberta"),
        pytest.param(transformers.DistilBertConfig(**_DISTILBERT), 0, False, True, id="distilbert"),
        pytest.param(transformers.ElectraConfig(**_BERT_LIKE, embedding_size=16), 0, True, True, id="electra"),
        # Distances between tokens shrink when one is left out, whatever its position_ids say.
        pytest.param(transformers.DebertaV2Config(**_BERT_LIKE, **_RELATIVE), 0, False, False, id="deberta"),
    ],
)
def test_encoder_is_exported_with_its_own_schema(
    tmp_path: Path, config: Any, first_position: int, token_types: bool, token_dropping: bool
) -> None:
    bundle = export_run(_write_run(tmp_path / "run", config), tmp_path / "repository", ExportOptions("m"))
    manifest = json_format.Parse((bundle / "manifest.json").read_text(encoding="utf-8"), bundle_pb2.Bundle())
    assert manifest.text.first_position == first_position
    assert ("token_type_ids" in manifest.text.inputs) == token_types
    assert manifest.text.token_dropping == token_dropping


def test_model_without_position_ids_is_refused_by_name(tmp_path: Path) -> None:
    run = _write_run(tmp_path / "run", transformers.BartConfig(**_BART))
    with pytest.raises(ConversionError, match="BartForSequenceClassification takes no position_ids"):
        export_run(run, tmp_path / "repository", ExportOptions("m"))
    assert list((tmp_path / "repository").iterdir()) == []
