"""The trained model in torch: loading it, measuring how it numbers positions, and its answers as the reference."""

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # transformers has no usable types

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TargetScale
from explicate_export.errors import ConversionError, ParityError, UsageError
from explicate_export.onnx_graph import TorchGraph, in_unit, load_pretrained
from explicate_export.parity import largest
from explicate_export.training_run import FinishedRun
from explicate_server.modalities.encoded_text import EncodedText
from explicate_server.runtime.queue import Row
from explicate_training.text.few_shot.mean_pooled import MeanPooledClassifier  # noqa: F401 - transformers knows it then
from explicate_training.text.positions import OTHER_BASE, UnknownPositions, first_position

Texts = tuple[str, ...]
"""One text, or the two of a pair."""
_DROPPING_TEXTS = 8
_DROPPED_FRACTION = 0.5


def plain_tokenizer_json(path: Path) -> str:
    """A tokenizer.json without its truncation and padding settings: both are decided where it is used."""
    return without_settings(path.read_text(encoding="utf-8"))


def without_settings(tokenizer_json: str) -> str:
    """The same of a file's content."""
    tokenizer = json.loads(tokenizer_json)
    tokenizer["truncation"] = tokenizer["padding"] = None
    return json.dumps(tokenizer, ensure_ascii=False)


def check_token_ids(
    ids: Sequence[NDArray[np.int64]],
    expected_ids: Sequence[Sequence[int]],
    *,
    of: str = "held-out",
    by: str = "training",
) -> None:
    """Raises ParityError when tokenizer.json alone tokenises texts of such inputs otherwise than the original did."""
    for index, (row, expected) in enumerate(zip(ids, expected_ids, strict=True)):
        if row.tolist() != list(expected):
            raise ParityError(
                f"tokenizer.json does not tokenise {of} text {index + 1} as {by} did "
                f"({len(row)} tokens against {len(expected)}): nothing was published"
            )


def measure_token_dropping(
    answer: Callable[[Sequence[Row]], NDArray[np.float32]], encoded: Sequence[EncodedText], *, attention: int
) -> float | None:
    """Largest output difference between masking tokens in place and leaving them out with the others' positions kept.

    On the longest of the texts, half of the tokens that are not special; None when no text has two of those.
    `attention` is the place of the attention mask among the inputs.
    """
    stream = np.random.Generator(np.random.Philox(0))
    longest = sorted(encoded, key=lambda one: one.row.length, reverse=True)[:_DROPPING_TEXTS]
    differences = []
    for one in longest:
        absent = ~one.special & (stream.random(one.row.length) < _DROPPED_FRACTION)
        if 0 < absent.sum() < (~one.special).sum():
            masked = one.row.values.copy()
            masked[attention, absent] = 0
            dropped = one.row.values[:, ~absent]
            in_place, left_out = (answer([Row(values.shape[1], values)]) for values in (masked, dropped))
            differences.append(largest(in_place - left_out))
    return max(differences, default=None)


_REFERENCE_BATCH_ROWS = 32
_SAMPLE_ROWS, _SAMPLE_TOKENS = 2, 7  # any sizes above 1 will do


@dataclass(frozen=True)
class TextModel:
    """A Hugging Face sequence classifier in float32 and its tokenizer."""

    model: Any
    tokenizer: Any
    max_tokens: int
    target: TargetScale | None = None  # of a regression
    forbidden: Sequence[bundle_pb2.WordList] = ()
    advice: str = OTHER_BASE  # what to do where it cannot become a graph

    @property
    def architecture(self) -> str:
        """Class name, such as "BertForSequenceClassification"."""
        return type(self.model).__name__

    @torch.no_grad()
    def outputs(self, rows: Sequence[Texts]) -> NDArray[np.float32]:
        """float32 [rows, outputs], as the model answers in training: no position_ids, its own tokenizer."""
        by_length = sorted(range(len(rows)), key=lambda index: sum(map(len, rows[index])))
        outputs = np.empty((len(rows), self.model.config.num_labels), dtype=np.float32)
        for start in range(0, len(rows), _REFERENCE_BATCH_ROWS):
            batch = by_length[start : start + _REFERENCE_BATCH_ROWS]
            answers = self.model(**self.tokenise([rows[index] for index in batch])).logits
            outputs[batch] = in_unit(answers, self.target).numpy()
        return outputs

    def token_ids(self, rows: Sequence[Texts]) -> list[list[int]]:
        """Token ids by the Hugging Face tokenizer, special tokens included, cut at max_tokens."""
        encoded = self.tokenizer(*_columns(rows), truncation=True, max_length=self.max_tokens)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def first_position(self, sample: Texts, padding_id: int) -> int | None:
        """The position of the first token, for graphs that are told positions; None if the graph is not told any.

        Raises ConversionError when the model cannot be told them, and explanations need them.
        """
        try:
            return first_position(self.model, self.tokenise([sample]), padding_id)
        except UnknownPositions as error:
            raise ConversionError(str(error)) from None

    def module(self, input_names: tuple[str, ...]) -> torch.nn.Module:
        """What becomes the graph: it takes these inputs and returns the outputs alone."""
        return NamedInputs(self.model, input_names, self.target)

    def tokenise(self, rows: Sequence[Texts]) -> Any:
        """The model's inputs as int64 tensors [rows, longest], by its own tokenizer."""
        return self.tokenizer(
            *_columns(rows), truncation=True, max_length=self.max_tokens, padding=True, return_tensors="pt"
        )


def _columns(rows: Sequence[Texts]) -> list[list[str]]:
    """The first texts of all rows and, of pairs, the second ones."""
    return [list(column) for column in zip(*rows, strict=True)]


def load(run: FinishedRun) -> TextModel:
    """Loads the run's model; raises UsageError when it does not fit what run.json says."""
    model, tokenizer = load_pretrained(run, AutoModelForSequenceClassification, AutoTokenizer)
    text = run.record.text
    return TextModel(model, tokenizer, text.max_tokens, run.target_scale, text.forbidden)


def graph_source(trained: TextModel, schema: bundle_pb2.TextSchema, output_name: str) -> TorchGraph:
    """The model as a graph: inputs int64 [batch, length] by the schema, output float32 [batch, outputs]."""
    samples = _sample_inputs(schema.first_position, trained.model.config.vocab_size)
    return TorchGraph(
        module=trained.module(tuple(schema.inputs)),
        name=trained.architecture,
        samples={name: samples[name] for name in schema.inputs},
        dynamic_axes={0: "batch", 1: "length"},
        output_name=output_name,
        advice=trained.advice,
    )


class NamedInputs(torch.nn.Module):
    """Calls a model with named inputs and returns its logits, or the values of a regression, alone."""

    def __init__(self, model: Any, input_names: tuple[str, ...], target: TargetScale | None) -> None:
        super().__init__()
        self.model = model
        self.input_names = input_names
        self.target = target

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(self.input_names, inputs, strict=True))).logits
        return in_unit(logits, self.target)


def _sample_inputs(first_position: int, vocabulary: int) -> dict[str, torch.Tensor]:
    shape = (_SAMPLE_ROWS, _SAMPLE_TOKENS)
    attention = torch.ones(shape, dtype=torch.int64)
    attention[1, -2:] = 0  # some padding, so that the mask is not taken for a constant
    return {
        "input_ids": torch.arange(1, 1 + _SAMPLE_ROWS * _SAMPLE_TOKENS).reshape(shape) % vocabulary,
        "attention_mask": attention,
        "position_ids": (first_position + torch.arange(_SAMPLE_TOKENS)).repeat(_SAMPLE_ROWS, 1),
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }


def text_schema(trained: TextModel, sample: Texts) -> bundle_pb2.TextSchema:
    """How texts become inputs of this model; `token_dropping` is left false, to be measured on the graph."""
    parameters = inspect.signature(trained.model.forward).parameters
    config, tokenizer = trained.model.config, trained.tokenizer
    padding_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    first = trained.first_position(sample, padding_id)
    _check_length(trained, first or 0)
    inputs = ["input_ids", "attention_mask", *(["position_ids"] if first is not None else [])]
    typed = "token_type_ids" in parameters and "token_type_ids" in tokenizer.model_input_names
    if typed and (getattr(config, "type_vocab_size", 0) or 0) > 1:
        inputs.append("token_type_ids")
    return bundle_pb2.TextSchema(
        max_tokens=trained.max_tokens,
        inputs=inputs,
        first_position=first or 0,
        padding_id=padding_id,
        mask_id=tokenizer.mask_token_id,
        pairs=len(sample) == 2,
        forbidden=trained.forbidden,
    )


def _check_length(trained: TextModel, first_position: int) -> None:
    positions = getattr(trained.model.config, "max_position_embeddings", None)
    if positions is not None and positions > 0 and trained.max_tokens + first_position > positions:
        raise UsageError(
            f"run.json allows {trained.max_tokens} tokens and the model has only {positions - first_position} "
            "positions: train again with a smaller max_tokens"
        )
