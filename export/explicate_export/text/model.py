"""The trained model in torch: loading it, measuring how it numbers positions, and its answers as the reference.

Texts to rows of tokens to padded graph inputs, with the bundle's own tokenizer.json and schema only.

Export makes its comparisons through this path and not through transformers, so that what is compared is what a server
can do with a bundle.
"""

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # transformers has no usable types

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explicate.v1 import bundle_pb2
from explicate_export.errors import ConversionError, ParityError, UsageError
from explicate_export.onnx_graph import GraphSource, first_line, in_unit, quiet
from explicate_export.parity import Graph, largest
from explicate_export.text.run import TextRun, Texts
from explicate_export.training_run import Target

_DROPPING_TEXTS = 8
_DROPPED_FRACTION = 0.5


@dataclass(frozen=True)
class TokenRow:
    """One row of model input, before padding; all arrays int64 [length]."""

    ids: NDArray[np.int64]
    attention: NDArray[np.int64]  # 1 for tokens that are seen
    positions: NDArray[np.int64]
    special: NDArray[np.bool_]  # [CLS], [SEP] and the like
    types: NDArray[np.int64]  # 0, or 1 for tokens of a second text, as the tokenizer's template says

    def __len__(self) -> int:
        return len(self.ids)


def plain_tokenizer_json(path: Path) -> str:
    """A tokenizer.json without its truncation and padding settings: both are decided where it is used."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["truncation"] = tokenizer["padding"] = None
    return json.dumps(tokenizer, ensure_ascii=False)


def encode(tokenizer_json: str, rows: Sequence[Texts], schema: bundle_pb2.TextSchema) -> list[TokenRow]:
    """Rows of at most `schema.max_tokens` tokens, positions counted from `schema.first_position`."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.enable_truncation(schema.max_tokens)
    return [
        TokenRow(
            ids=np.array(encoding.ids, dtype=np.int64),
            attention=np.ones(len(encoding.ids), dtype=np.int64),
            positions=schema.first_position + np.arange(len(encoding.ids), dtype=np.int64),
            special=np.array(encoding.special_tokens_mask, dtype=np.bool_),
            types=np.array(encoding.type_ids, dtype=np.int64),
        )
        for encoding in tokenizer.encode_batch([texts[0] if len(texts) == 1 else texts for texts in rows])
    ]


def check_token_ids(rows: Sequence[TokenRow], expected_ids: Sequence[Sequence[int]]) -> None:
    """Raises ParityError when tokenizer.json alone tokenises differently from the training tokenizer."""
    for index, (row, expected) in enumerate(zip(rows, expected_ids, strict=True)):
        if row.ids.tolist() != list(expected):
            raise ParityError(
                f"tokenizer.json does not tokenise held-out text {index + 1} as training did "
                f"({len(row)} tokens against {len(expected)}): nothing was published"
            )


def pad(rows: Sequence[TokenRow], schema: bundle_pb2.TextSchema) -> dict[str, NDArray[np.int64]]:
    """The graph's inputs, int64 [rows, longest row], padded on the right."""
    shape = (len(rows), max(len(row) for row in rows))
    inputs = {
        "input_ids": np.full(shape, schema.padding_id, dtype=np.int64),
        "attention_mask": np.zeros(shape, dtype=np.int64),
        "position_ids": np.full(shape, schema.first_position, dtype=np.int64),
        "token_type_ids": np.zeros(shape, dtype=np.int64),
    }
    for index, row in enumerate(rows):
        inputs["input_ids"][index, : len(row)] = row.ids
        inputs["attention_mask"][index, : len(row)] = row.attention
        inputs["position_ids"][index, : len(row)] = row.positions
        inputs["token_type_ids"][index, : len(row)] = row.types
    return {name: inputs[name] for name in schema.inputs}


class TextGraph:
    """model.onnx of a text model on the CPU, from a file or its bytes."""

    def __init__(self, graph: Path | bytes, schema: bundle_pb2.TextSchema) -> None:
        self._graph = Graph(graph)
        self._schema = schema

    def outputs(self, rows: Sequence[TokenRow]) -> NDArray[np.float32]:
        """float32 [rows, outputs], of one batch."""
        return self._graph.run(pad(rows, self._schema))


def measure_token_dropping(graph: TextGraph, rows: Sequence[TokenRow]) -> float | None:
    """Largest output difference between masking tokens in place and leaving them out with the others' positions kept.

    On the longest of the rows, half of the tokens that are not special; None when no row has two of those.
    """
    stream = np.random.Generator(np.random.Philox(0))
    longest = sorted(rows, key=len, reverse=True)[:_DROPPING_TEXTS]
    differences = []
    for row in longest:
        absent = ~row.special & (stream.random(len(row)) < _DROPPED_FRACTION)
        if 0 < absent.sum() < (~row.special).sum():
            masked = replace(row, attention=np.where(absent, 0, row.attention))
            dropped = TokenRow(**{name: values[~absent] for name, values in vars(row).items()})
            differences.append(largest(graph.outputs([masked]) - graph.outputs([dropped])))
    return max(differences, default=None)


_REFERENCE_BATCH_ROWS = 32
# Two computations of one thing in float32 differ by 1e-6 or so; another position's embedding changes logits far more.
_SAME_LOGITS = 1e-5
_SAMPLE_ROWS, _SAMPLE_TOKENS = 2, 7  # any sizes above 1 will do
_OTHER_BASE = "train with another base model, such as BERT, RoBERTa, DistilBERT or ELECTRA"


@dataclass(frozen=True)
class TextModel:
    """A Hugging Face sequence classifier in float32 and its tokenizer."""

    model: Any
    tokenizer: Any
    max_tokens: int
    target: Target | None = None  # of a regression

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

    def tokenise(self, rows: Sequence[Texts]) -> Any:
        """The model's inputs as int64 tensors [rows, longest], by its own tokenizer."""
        return self.tokenizer(
            *_columns(rows), truncation=True, max_length=self.max_tokens, padding=True, return_tensors="pt"
        )


def _columns(rows: Sequence[Texts]) -> list[list[str]]:
    """The first texts of all rows and, of pairs, the second ones."""
    return [list(column) for column in zip(*rows, strict=True)]


def load(run: TextRun) -> TextModel:
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
    return TextModel(model.eval(), tokenizer, run.max_tokens, run.target if run.regression else None)


def _check_labels(config: Any, run: TextRun) -> None:
    if config.num_labels != (len(run.labels) or 1):
        raise UsageError(
            f"{run.training.directory} is not consistent: run.json names {len(run.labels)} labels and the model has "
            f"{config.num_labels} outputs, so train again"
        )
    named = [str(config.id2label[index]) for index in range(config.num_labels)]
    # A model that was never told its labels has LABEL_0, LABEL_1, ...
    if set(named) == set(run.labels) and tuple(named) != run.labels:
        raise UsageError(
            f"{run.training.directory} is not consistent: run.json orders the labels {list(run.labels)} and the model "
            f"{named}, so train again"
        )


def graph_source(trained: TextModel, schema: bundle_pb2.TextSchema) -> GraphSource:
    """The model as a graph: inputs int64 [batch, length] by the schema, output float32 [batch, outputs]."""
    samples = _sample_inputs(schema.first_position)
    return GraphSource(
        module=_Outputs(trained.model, schema.inputs, trained.target),
        name=trained.architecture,
        samples={name: samples[name] for name in schema.inputs},
        dynamic_axes={0: "batch", 1: "length"},
        output_name="logits" if trained.target is None else "values",
        advice=_OTHER_BASE,
    )


class _Outputs(torch.nn.Module):
    """Calls the model with named inputs and returns its logits, or values, alone."""

    def __init__(self, model: Any, input_names: Sequence[str], target: Target | None) -> None:
        super().__init__()
        self.model = model
        self.input_names = tuple(input_names)
        self.target = target

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(self.input_names, inputs, strict=True))).logits
        return in_unit(logits, self.target)


def _sample_inputs(first_position: int) -> dict[str, torch.Tensor]:
    shape = (_SAMPLE_ROWS, _SAMPLE_TOKENS)
    attention = torch.ones(shape, dtype=torch.int64)
    attention[1, -2:] = 0  # some padding, so that the mask is not taken for a constant
    return {
        "input_ids": torch.arange(1, 1 + _SAMPLE_ROWS * _SAMPLE_TOKENS).reshape(shape),
        "attention_mask": attention,
        "position_ids": (first_position + torch.arange(_SAMPLE_TOKENS)).repeat(_SAMPLE_ROWS, 1),
        "token_type_ids": torch.zeros(shape, dtype=torch.int64),
    }


def text_schema(trained: TextModel, sample: Texts) -> bundle_pb2.TextSchema:
    """How texts become inputs of this model; `token_dropping` is left false, to be measured on the graph."""
    parameters = inspect.signature(trained.model.forward).parameters
    if "position_ids" not in parameters:
        raise ConversionError(
            f"{trained.architecture} takes no position_ids, and explanations need them: {_OTHER_BASE}"
        )
    config, tokenizer = trained.model.config, trained.tokenizer
    inputs = ["input_ids", "attention_mask", "position_ids"]
    if "token_type_ids" in parameters and (getattr(config, "type_vocab_size", 0) or 0) > 1:
        inputs.append("token_type_ids")
    padding_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    first_position = _first_position(trained, sample, padding_id)
    _check_length(trained, first_position)
    return bundle_pb2.TextSchema(
        max_tokens=trained.max_tokens,
        inputs=inputs,
        first_position=first_position,
        padding_id=padding_id,
        mask_id=tokenizer.mask_token_id,
        pairs=len(sample) == 2,
    )


@torch.no_grad()
def _first_position(trained: TextModel, sample: Texts, padding_id: int) -> int:
    """The position that the model gives its first token when it is left to number them itself."""
    inputs = trained.tokenise([sample])
    own = trained.model(**inputs).logits
    counted = torch.arange(inputs["input_ids"].shape[1])[None]
    differences = {
        first: float((trained.model(**inputs, position_ids=counted + first).logits - own).abs().max())
        for first in (0, padding_id + 1)  # BERT; RoBERTa
    }
    closest = min(differences, key=differences.__getitem__)
    if differences[closest] <= _SAME_LOGITS:
        return closest
    raise ConversionError(
        f"{trained.architecture} does not number its tokens from 0 or from its padding index + 1, "
        "so position_ids cannot stand in for its own numbering: train with another base model, such as BERT"
    )


def _check_length(trained: TextModel, first_position: int) -> None:
    positions = getattr(trained.model.config, "max_position_embeddings", None)
    if positions is not None and trained.max_tokens + first_position > positions:
        raise UsageError(
            f"run.json allows {trained.max_tokens} tokens and the model has only {positions - first_position} "
            "positions: train again with a smaller max_tokens"
        )
