"""Hugging Face directories of texts and pairs that somebody else fine-tuned, as bundles.

What differs from a model of ours is probed, not assumed: which inputs the graph takes, where positions begin, which
token is pooled, and whether tokens may be left out. The original is transformers with the directory's own tokenizer,
one text at a time.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any  # transformers has no usable types; labels

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_export.conversion import AnswerRows, Say
from explicate_export.errors import ConversionError, UsageError, first_line
from explicate_export.golden_inputs import spread_evenly
from explicate_export.onnx_graph import read_pretrained
from explicate_export.sources.given_labels import label_of
from explicate_export.sources.given_rows import GivenRows, read_given
from explicate_export.sources.hugging_face import MEND, Answers, ModelDirectory, described
from explicate_export.sources.sources import Brought, BundleRequest
from explicate_export.text import model as text_model
from explicate_export.text.conversion import TextExport
from explicate_server.modalities.encoded_text import EncodedText
from explicate_server.modalities.modality import EncodedInput, Modality
from explicate_training.text.positions import UnknownPositions, first_position

_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")
_SENTENCEPIECE = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model")
_USUAL_TOKENS = 512  # where neither the model nor its tokenizer has a limit
_NO_LIMIT = 1_000_000  # tokenizers say 1e30 where they have none
_LEAST_TOKENS = 8
_PROBED_TOKENS = 512  # of the long text that token dropping is measured on besides
_MOVED = 1e-7  # a logit moves by more where positions are read at all
_WINDOWS = ("local_attention", "sliding_window", "attention_window")
_ANCHORS = ("bos_token_id", "cls_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True)
class GivenTextModel(text_model.TextModel):
    """A sequence classifier that we did not train; it answers one text at a time, as nobody pads one."""

    advice: str = "a model of another family can be bundled, such as BERT, RoBERTa, DeBERTa or ModernBERT"
    known: dict[text_model.Texts, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    @torch.no_grad()
    def outputs(self, rows: Sequence[text_model.Texts]) -> NDArray[np.float32]:
        """float32 [rows, outputs], as transformers answers each text alone, by its own tokenizer."""
        for row in rows:
            if row not in self.known:
                self.known[row] = self.model(**self.alone(row)).logits[0].numpy()
        return np.stack([self.known[row] for row in rows])

    def alone(self, row: text_model.Texts) -> Any:
        """The model's inputs for one text, int64 tensors [1, tokens]."""
        return self.tokenizer(*row, truncation=True, max_length=self.max_tokens, return_tensors="pt")

    def first_position(self, sample: text_model.Texts, padding_id: int) -> int | None:
        """None where the model takes no positions, does not read them, or numbers its tokens in a way of its own."""
        inputs = self.alone(sample)
        try:
            first = first_position(self.model, inputs, padding_id)
        except (UnknownPositions, IndexError):
            return None
        return first if self._reads_positions(inputs, first) else None

    @torch.no_grad()
    def _reads_positions(self, inputs: Any, first: int) -> bool:
        """Whether positions twice as far apart change the answer; relative ones of DeBERTa are counted by itself."""
        places = first + torch.arange(inputs["input_ids"].shape[1])[None]
        answers = [self.model(**inputs, position_ids=first + (places - first) // step).logits for step in (1, 2)]
        return float((answers[0] - answers[1]).abs().max()) > _MOVED

    @property
    def anchor(self) -> int | None:
        """The token that stands for a text without words; None where the tokenizer adds tokens to every text."""
        if any(self.tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]):
            return None
        ids = [getattr(self.tokenizer, name, None) for name in _ANCHORS]
        return next((token for token in ids if token is not None), 0)

    def module(self, input_names: tuple[str, ...]) -> torch.nn.Module:
        """With the last attended token pooled where the model pools its last one, and never without any token."""
        named = super().module(input_names)
        pooled = (
            _LastToken(self.model, input_names)
            if isinstance(getattr(self.model, "score", None), torch.nn.Linear)
            else named
        )
        return pooled if self.anchor is None else _NeverEmpty(pooled, input_names, self.anchor)


class _LastToken(torch.nn.Module):
    """A causal model whose answer is that of its last token: here the last one that has attention.

    transformers takes the last that is not the padding token, which is the same of whole texts; in a text with words
    masked it would be a masked one.
    """

    def __init__(self, model: Any, input_names: tuple[str, ...]) -> None:
        super().__init__()
        self.base = getattr(model, model.base_model_prefix)
        self.score = model.score
        self.input_names = input_names
        padding = model.config.get_text_config().pad_token_id
        self.padding_id = -1 if padding is None else int(padding)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        named = dict(zip(self.input_names, inputs, strict=True))
        ids, attention = named["input_ids"], named["attention_mask"]
        hidden = self.base(**named, use_cache=False).last_hidden_state
        counted = torch.arange(ids.shape[1])[None] * attention * (ids != self.padding_id).to(attention.dtype)
        last = counted.amax(dim=1)
        at_last = hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[2]))[:, 0]
        logits: torch.Tensor = self.score(at_last)
        return logits


class _NeverEmpty(torch.nn.Module):
    """Reads a row without any attention as one token, the anchor, alone."""

    def __init__(self, module: torch.nn.Module, input_names: tuple[str, ...], anchor: int) -> None:
        super().__init__()
        self.module = module
        self.input_names = input_names
        self.anchor = anchor

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        named = dict(zip(self.input_names, inputs, strict=True))
        ids, attention = named["input_ids"], named["attention_mask"]
        first = torch.arange(ids.shape[1])[None] == 0
        here = first & (attention.sum(dim=1, keepdim=True) == 0)
        named["input_ids"] = torch.where(here, torch.full_like(ids, self.anchor), ids)
        named["attention_mask"] = torch.where(here, torch.ones_like(attention), attention)
        answers: torch.Tensor = self.module(*(named[name] for name in self.input_names))
        return answers


class GivenTextExport(TextExport):
    """See TextExport; token dropping is measured on a long text, too, for attention may be local."""

    def prepare(self, folder: Path, values: Sequence[ModelInput]) -> Modality:
        """Keeps what encodes the texts."""
        self._modality = super().prepare(folder, values)
        return self._modality

    def dropping(self, answer: AnswerRows, encoded: Sequence[EncodedText], attention: int) -> float | None:
        """On the given texts and on all of them in one, as far as the model reads, if no window is longer than that."""
        if "position_ids" not in self.schema.inputs:
            return None
        window = _window(self._trained.model.config, self._trained.max_tokens)
        if window is not None and window >= _PROBED_TOKENS:
            return None
        long = self._modality.encode(self._joined())
        probes: list[EncodedInput] = [*encoded, long]
        found = [one for one in probes if isinstance(one, EncodedText)]
        return text_model.measure_token_dropping(answer, found, attention=attention)

    def _joined(self) -> TextInput:
        """The given texts in one, again and again until the model's limit, or the most that is probed, is reached."""
        wanted = min(_PROBED_TOKENS, self._trained.max_tokens)
        columns = [" ".join(column) for column in zip(*(value.texts for value in self._held_out_texts), strict=True)]
        tokens = max(1, *(len(self._trained.tokenizer(column, verbose=False)["input_ids"]) for column in columns))
        return TextInput(*(" ".join([column] * (1 + wanted // tokens)) for column in columns))


def _window(config: Any, max_tokens: int) -> int | None:
    """How far apart tokens still see each other, where that is less than the model reads."""
    if getattr(config, "use_sliding_window", True) is False:
        return None
    told = [getattr(config, name, None) for name in _WINDOWS]
    found = [size for size in told if isinstance(size, int) and 0 < size < max_tokens]
    return min(found, default=None)


def bring(directory: ModelDirectory, request: BundleRequest, say: Say) -> Brought:
    """Loads a directory's model and asks transformers about the given texts; see `sources.Source`."""
    labels, several = directory.named_outputs(request), directory.several(request)
    _check_tokenizer(directory.path)
    given = read_given(request.inputs, [request.columns.get(name, name) for name in ("text", "text_pair", "label")])
    text = given.column("text", request.columns)
    pair = given.column("text_pair", request.columns, optional=True)
    label = given.column("label", request.columns, optional=True)
    rows = _read(given, [text, pair], label, labels, several=several)
    chosen = spread_evenly(rows, request.compared)
    say(f"loading {directory.path}, a {directory.architecture}")
    model = _load(directory, request)
    texts = [value for value, _ in chosen]
    say(f"asking transformers about {len(texts)} of {len(given.rows)} {'pairs' if pair else 'texts'}")
    answers = Answers(texts, model.outputs([one.texts for one in texts]), [right for _, right in chosen])
    schema = bundle_pb2.TextSchema(max_tokens=model.max_tokens, pairs=pair is not None)
    about = described(directory, request, TrainingRun(text=schema), answers, encoder="the model's own tokenizer")
    export = GivenTextExport(about, answers.held_out(about), model, tokenizer_json=_json(model))
    notes = [*directory.notes(request), *_notes(model, len(given.rows) - len(rows), given)]
    return Brought(export, answers.right, notes)


def _read(
    given: GivenRows, columns: Sequence[str | None], label: str | None, labels: Sequence[str], *, several: bool
) -> list[tuple[TextInput, Any]]:
    """The texts with what is right of them, without empty ones; raises UsageError for a row, by its place."""
    found = []
    for place, row in given.rows:
        cells = [row.get(column) for column in columns if column is not None]
        if any(cell is not None and not isinstance(cell, str) for cell in cells):
            raise UsageError(f"{place}: the text is {cells}, not a text")
        if not all(isinstance(cell, str) and _is_text(cell) for cell in cells):
            continue
        try:
            right = None if label is None else label_of(row.get(label), labels, several=several)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
        found.append((TextInput(*map(str, cells)), right))
    if not found:
        raise UsageError(f"{given.path} has {len(given.rows)} rows and none with a text in the column {columns[0]}")
    return found


def _is_text(text: str) -> bool:
    """Whether a server takes it: there is something in it, and it has a UTF-8 form."""
    return bool(text.strip()) and "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _check_tokenizer(path: Path) -> None:
    """Raises UsageError where there is none, or what reads it is not installed."""
    if any((path / name).is_file() for name in _TOKENIZERS):
        return
    model = next((name for name in _SENTENCEPIECE if (path / name).is_file()), None)
    if model is None:
        raise UsageError(f"{path} has no tokenizer (tokenizer.json, vocab.txt and the like): save it beside the model")
    if importlib.util.find_spec("sentencepiece") is None:
        raise UsageError(f"{path} has a SentencePiece tokenizer ({model}), to be read by: pip install sentencepiece")


def _load(directory: ModelDirectory, request: BundleRequest) -> GivenTextModel:
    """The model with its own tokenizer and its limit."""
    loaded = read_pretrained(
        directory.path, AutoModelForSequenceClassification, AutoTokenizer, safe=directory.safe, mend=MEND
    )
    model, tokenizer = loaded
    if not getattr(tokenizer, "is_fast", False):
        raise ConversionError(
            f"{directory.path}: the tokenizer ({type(tokenizer).__name__}) has no form that a server reads, "
            "tokenizer.json: choose a model with such a one"
        )
    tokenizer.truncation_side = "right"  # a server cuts what comes last
    trained = GivenTextModel(model, tokenizer, _USUAL_TOKENS)
    limit = _limit(trained)
    if request.max_tokens is not None and request.max_tokens > limit:
        raise UsageError(f"--max-tokens is {request.max_tokens}, and {directory.path} reads {limit} tokens at most")
    return replace(trained, max_tokens=request.max_tokens or limit)


def _limit(trained: GivenTextModel) -> int:
    """Tokens that a model can read: by its tokenizer, and by how many positions it has."""
    config, tokenizer = trained.model.config, trained.tokenizer
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < _NO_LIMIT else []
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        padding_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        short = replace(trained, max_tokens=_LEAST_TOKENS, known={})
        limits.append(positions - (short.first_position(("a",), padding_id) or 0))
    return min(limits, default=_USUAL_TOKENS)


def _json(model: GivenTextModel) -> str:
    """The tokenizer in the form of the tokenizers library, as transformers has it in use."""
    try:
        return text_model.without_settings(model.tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise ConversionError(f"the tokenizer has no form that a server reads ({first_line(error)})") from None


def _notes(model: GivenTextModel, left_out: int, given: GivenRows) -> Iterator[str]:
    if left_out:
        yield f"{left_out} of {len(given.rows)} rows have no text and are left out"
    if model.tokenizer.init_kwargs.get("truncation_side") == "left":
        yield "its tokenizer cuts long texts at their beginning, and a server cuts at their end: give it what is read"
    if model.anchor is not None:
        token = model.tokenizer.convert_ids_to_tokens(model.anchor)
        yield f"its tokenizer adds no token of its own, so a text without any word is read as {token} alone"
