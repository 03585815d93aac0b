"""The trained model in torch: loading it, measuring how it numbers positions, and its answers as the reference."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # transformers has no usable types

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explicate.v1 import bundle_pb2
from explicate_export.errors import ConversionError, UsageError
from explicate_export.quiet import quiet
from explicate_export.run_directory import TrainingRun

_REFERENCE_BATCH_ROWS = 32
# Two computations of one thing in float32 differ by 1e-6 or so; another position's embedding changes logits far more.
_SAME_LOGITS = 1e-5


@dataclass(frozen=True)
class TorchModel:
    """A Hugging Face classifier in float32 and its tokenizer."""

    model: Any
    tokenizer: Any
    max_tokens: int

    @property
    def architecture(self) -> str:
        """Class name, such as "BertForSequenceClassification"."""
        return type(self.model).__name__

    @torch.no_grad()
    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [texts, classes], as the model answers in training: no position_ids, its own tokenizer."""
        by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        logits = np.empty((len(texts), self.model.config.num_labels), dtype=np.float32)
        for start in range(0, len(texts), _REFERENCE_BATCH_ROWS):
            batch = by_length[start : start + _REFERENCE_BATCH_ROWS]
            logits[batch] = self.model(**self.tokenise([texts[index] for index in batch])).logits.numpy()
        return logits

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids by the Hugging Face tokenizer, special tokens included, cut at max_tokens."""
        ids: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)["input_ids"]
        return ids

    def tokenise(self, texts: Sequence[str]) -> Any:
        """The model's inputs as int64 tensors [texts, longest], by its own tokenizer."""
        return self.tokenizer(
            list(texts), truncation=True, max_length=self.max_tokens, padding=True, return_tensors="pt"
        )


def load(run: TrainingRun) -> TorchModel:
    """Loads the run's model; raises UsageError when it does not fit what run.json says."""
    try:
        with quiet():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                run.model_directory,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                # The graph with the fewest nodes: 216 for MiniLM-L6, against 288 of "sdpa". Which of them is faster in
                # ONNX Runtime was not settled on a busy machine (batches +3 to +9 %, one row -13 to +9 %).
                attn_implementation="eager",
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(run.model_directory, local_files_only=True)
    except Exception as error:  # transformers passes on whatever its parts raise
        raise UsageError(f"{run.model_directory} cannot be loaded ({first_line(error)}): train again") from error
    if report["missing_keys"]:
        raise UsageError(
            f"{run.model_directory} lacks weights, {sorted(report['missing_keys'])[0]!r} among them: train again"
        )
    _check_labels(model.config, run)
    return TorchModel(model.eval(), tokenizer, run.max_tokens)


def _check_labels(config: Any, run: TrainingRun) -> None:
    if config.num_labels != len(run.labels):
        raise UsageError(
            f"{run.directory} is not consistent: run.json names {len(run.labels)} labels and the model has "
            f"{config.num_labels} classes, so train again"
        )
    named = [str(config.id2label[index]) for index in range(config.num_labels)]
    # A model that was never told its labels has LABEL_0, LABEL_1, ...
    if set(named) == set(run.labels) and tuple(named) != run.labels:
        raise UsageError(
            f"{run.directory} is not consistent: run.json orders the labels {list(run.labels)} and the model {named}, "
            "so train again"
        )


def text_schema(torch_model: TorchModel, sample_text: str) -> bundle_pb2.TextSchema:
    """How texts become inputs of this model; `token_dropping` is left false, to be measured on the graph."""
    parameters = inspect.signature(torch_model.model.forward).parameters
    if "position_ids" not in parameters:
        raise ConversionError(
            f"{torch_model.architecture} takes no position_ids, and explanations need them: "
            "train with another base model, such as BERT, RoBERTa, DistilBERT or ELECTRA"
        )
    config, tokenizer = torch_model.model.config, torch_model.tokenizer
    inputs = ["input_ids", "attention_mask", "position_ids"]
    if "token_type_ids" in parameters and (getattr(config, "type_vocab_size", 0) or 0) > 1:
        inputs.append("token_type_ids")
    padding_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    first_position = _first_position(torch_model, sample_text, padding_id)
    _check_length(torch_model, first_position)
    return bundle_pb2.TextSchema(
        max_tokens=torch_model.max_tokens,
        inputs=inputs,
        first_position=first_position,
        padding_id=padding_id,
        mask_id=tokenizer.mask_token_id,
    )


@torch.no_grad()
def _first_position(torch_model: TorchModel, sample_text: str, padding_id: int) -> int:
    """The position that the model gives its first token when it is left to number them itself."""
    inputs = torch_model.tokenise([sample_text])
    own = torch_model.model(**inputs).logits
    counted = torch.arange(inputs["input_ids"].shape[1])[None]
    differences = {
        first: float((torch_model.model(**inputs, position_ids=counted + first).logits - own).abs().max())
        for first in (0, padding_id + 1)  # BERT; RoBERTa
    }
    closest = min(differences, key=differences.__getitem__)
    if differences[closest] <= _SAME_LOGITS:
        return closest
    raise ConversionError(
        f"{torch_model.architecture} does not number its tokens from 0 or from its padding index + 1, "
        "so position_ids cannot stand in for its own numbering: train with another base model, such as BERT"
    )


def _check_length(torch_model: TorchModel, first_position: int) -> None:
    positions = getattr(torch_model.model.config, "max_position_embeddings", None)
    if positions is not None and torch_model.max_tokens + first_position > positions:
        raise UsageError(
            f"run.json allows {torch_model.max_tokens} tokens and the model has only {positions - first_position} "
            "positions: train again with a smaller max_tokens"
        )


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a message of one sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
