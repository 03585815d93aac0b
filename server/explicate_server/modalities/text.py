"""Texts and pairs of texts: tokens become model rows; words, tokens or sentences become players (text_games.py)."""

from collections.abc import Iterator, Sequence
from typing import Any, Self  # Any: arrays of several types

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from explicate.options import TextRange
from explicate.v1.bundle_pb2 import TextSchema
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.errors import BundleError
from explicate_bundle.model_inputs import ModelInput, TextInput
from explicate_bundle.players.words import WORDS_VERSION
from explicate_bundle.writing import EXPLAINER_NAME, GRADIENT_NAME
from explicate_server.errors import Violation
from explicate_server.modalities.encoded_text import EncodedText, encode_beginnings, encode_for_usage, kept_tokens
from explicate_server.modalities.modality import EncodedInput, Game, Modality, StandIn
from explicate_server.modalities.parts import Named
from explicate_server.modalities.text_games import ATTRIBUTIONS, GRADIENTS, DeletionGame, ReferenceGame, TokenGame
from explicate_server.runtime.batch_cost import stretched
from explicate_server.runtime.graph_outputs import GraphOutputs
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import Row
from explicate_server.settings import Settings


class TextModality(Modality):
    """Texts for one bundle: its tokenizer and the inputs of its graph."""

    input_type: type[ModelInput] = TextInput
    field = "text"
    parts = (Named, TextRange)
    granularities: tuple[str, ...] = ("word", "token", "sentence")
    players_version: int = WORDS_VERSION

    def __init__(
        self,
        schema: TextSchema,
        tokenizer_json: str,
        *,
        max_text_bytes: int,
        explainer: GraphOutputs | None = None,
        gradient: GraphOutputs | None = None,
    ) -> None:
        """With a bundle's schema and files; ``explainer`` guesses attributions, ``gradient`` is the model's."""
        self._explainer, self._gradient = explainer, gradient
        self.tells = {} if gradient is None else {"gradient": None}
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._schema = schema
        self._inputs = list(schema.inputs)
        self._max_text_bytes = max_text_bytes
        self.max_length = schema.max_tokens
        self.row_bytes = np.dtype(np.int64).itemsize * len(self._inputs) * schema.max_tokens
        has_mask = schema.HasField("mask_id")
        self.maskings: tuple[str, ...] = ("attention", "mask-token", "delete") if has_mask else ("attention", "delete")

    @classmethod
    def open(cls, bundle: VerifiedBundle, settings: Settings) -> Self:
        """With the bundle's tokenizer, and its preview explainer and its gradient if it has them."""
        tokenizer = bundle.read_text("tokenizer.json")
        explainer = _explainer(bundle) if bundle.manifest.text.preview_explainer else None
        gradient = _gradient(bundle) if bundle.manifest.text.gradient else None
        try:
            text = bundle.manifest.text
            most = settings.max_text_bytes
            return cls(text, tokenizer, max_text_bytes=most, explainer=explainer, gradient=gradient)
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise BundleError(f"tokenizer.json is not a tokenizer: {error}") from error

    @classmethod
    def bytes_beside(cls, bundle: VerifiedBundle) -> int:
        """The gradient, which holds the model's weights once more."""
        return sum(file.size_bytes for file in bundle.manifest.files if file.name == GRADIENT_NAME)

    def batch_tokens(self, runtime: Runtime) -> int:
        """What the runtime suggests for texts."""
        return runtime.batch_tokens

    def stretched(self, row: Row, length: int) -> Row:
        """A row of ``length`` tokens, made of the row's own."""
        return stretched(row, length)

    def violations(self, value: ModelInput, path: str) -> list[Violation]:
        """What is wrong with a text, or a pair; a model reads either pairs or single texts."""
        assert isinstance(value, TextInput)
        return [Violation(f"{path}.{field}", problem) for field, problem in self._problems(value)]

    def _problems(self, value: TextInput) -> Iterator[tuple[str, str]]:
        problem = self._problem(value.text)
        if problem:
            yield self.field, problem
        pair = f"{self.field}.text_pair"
        if value.text_pair is None:
            if self._schema.pairs:
                yield pair, "is left out; this model reads two texts, so give the second one too"
        elif not self._schema.pairs:
            yield pair, "is set, but this model reads one text; leave it out"
        elif problem := self._problem(value.text_pair):
            yield pair, problem

    def _problem(self, text: str) -> str | None:
        size = len(text.encode("utf-8"))
        if size > self._max_text_bytes:
            return f"is {size:,} bytes of UTF-8; at most {self._max_text_bytes:,} are accepted"
        if not text.strip():
            return "is empty; give at least one character that is not white space"
        if "\0" in text:
            return f"holds a NUL character at code point {text.index(chr(0))}; remove it"
        return None

    def encode(self, value: ModelInput) -> EncodedText:
        """Tokenise, and cut what the model cannot read."""
        assert isinstance(value, TextInput)
        encoding, places = encode_for_usage(self._tokenizer, value.texts, self._schema.max_tokens)
        kept = kept_tokens(encoding, self._schema.max_tokens)
        row = self._row(encoding, kept)
        return EncodedText(row, encoding, places=places, kept=kept, texts=value.texts, tokenizer=self._tokenizer)

    def encode_all(self, values: Sequence[ModelInput]) -> list[EncodedText] | None:
        """Tokenise several texts; None when something is wrong with one."""
        if any(self.violations(value, "") for value in values):
            return None
        return [self.encode(value) for value in values]

    def players_of(self, granularity: str | None, segments: int | None) -> str:  # noqa: ARG002 - never counted
        """A granularity in the plural."""
        return f"{granularity}s"

    def game(
        self,
        value: ModelInput,  # noqa: ARG002
        encoded: EncodedInput,
        *,
        players: str,
        masking: str,
        stand_in: StandIn | None = None,
    ) -> Game:
        """The game whose players are the words, tokens or sentences of the text, or of both texts of a pair."""
        assert isinstance(encoded, EncodedText)
        if stand_in is not None:
            assert isinstance(stand_in.encoded, EncodedText)
            return ReferenceGame(encoded, stand_in.encoded, players, self.rows)
        if masking == "delete":
            return DeletionGame(encoded, players, self.rows)
        replace = masking == "mask-token"
        return TokenGame(
            self._schema, encoded, players, replace=replace, explainer=self._explainer, gradient=self._gradient
        )

    def collate(self, rows: Sequence[Row]) -> Feeds:
        """Pad rows into int64[batch, longest] per graph input."""
        batch = np.zeros((len(self._inputs), len(rows), max(row.length for row in rows)), dtype=np.int64)
        batch[self._inputs.index("input_ids")] = self._schema.padding_id
        for index, row in enumerate(rows):
            batch[:, index, : row.length] = row.values
        return dict(zip(self._inputs, batch, strict=True))

    def rows(self, inputs: Sequence[Sequence[str]]) -> list[Row]:
        """Model rows of several inputs of one text or two, tokenised together as far as the model reads."""
        encodings = encode_beginnings(self._tokenizer, inputs, self._schema.max_tokens)
        return [self._row(encoding, kept_tokens(encoding, self._schema.max_tokens)) for encoding in encodings]

    def _row(self, encoding: Encoding, kept: NDArray[np.int64] | None) -> Row:
        length = len(encoding) if kept is None else len(kept)
        if not length:  # a tokenizer that adds no token, and a text that is none, as when all words are deleted
            return self._empty_row()
        values = np.ones((len(self._inputs), length), dtype=np.int64)  # attention_mask is all ones
        for index, name in enumerate(self._inputs):
            if name == "position_ids":
                values[index] = np.arange(self._schema.first_position, self._schema.first_position + length)
            elif name != "attention_mask":
                column = encoding.ids if name == "input_ids" else encoding.type_ids
                values[index] = column if kept is None else np.array(column)[kept]
        return Row(length, values)

    def _empty_row(self) -> Row:
        """One token without attention."""
        told = {"input_ids": self._schema.padding_id, "position_ids": self._schema.first_position}
        return Row(1, np.array([[told.get(name, 0)] for name in self._inputs], dtype=np.int64))


def _gradient(bundle: VerifiedBundle) -> GraphOutputs:
    """The bundle's gradient.onnx, which answers as the manifest says.

    Raises:
        BundleError: it does not.
    """
    schema, outputs = bundle.manifest.text, bundle.kind.predicts.outputs(len(bundle.manifest.class_labels))
    ids = np.full((2, 3), schema.padding_id, dtype=np.int64)
    feeds: dict[str, NDArray[Any]] = {name: ids for name in schema.inputs if name != "attention_mask"}
    feeds |= {"position_ids": schema.first_position + ids * 0} if "position_ids" in feeds else {}
    feeds |= {"token_type_ids": ids * 0} if "token_type_ids" in feeds else {}
    weights = np.ones((2, outputs), dtype=np.float32)
    feeds |= {"baseline_ids": ids, "scale": weights[:, 0], "output_weights": weights, "score_weights": weights}
    graph, answer = _tried(bundle, GRADIENT_NAME, feeds, GRADIENTS)
    if answer.shape != ids.shape or answer.any():  # a text is no way from itself
        raise BundleError(f"{GRADIENT_NAME} does not answer zeros of shape {ids.shape} to a text beside itself")
    return graph


def _explainer(bundle: VerifiedBundle) -> GraphOutputs:
    """The bundle's explainer.onnx, which answers as the manifest says.

    Raises:
        BundleError: it does not.
    """
    manifest, probe = bundle.manifest, np.full((2, 3), bundle.manifest.text.padding_id, dtype=np.int64)
    wanted = (2, 3, 2 * bundle.kind.predicts.outputs(len(manifest.class_labels)))
    feeds = {"input_ids": probe, "attention_mask": np.ones_like(probe)}
    graph, answer = _tried(bundle, EXPLAINER_NAME, feeds, ATTRIBUTIONS)
    if answer.shape != wanted or not np.isfinite(answer).all():
        raise BundleError(f"{EXPLAINER_NAME} answers {answer.shape}, not finite numbers of shape {wanted}")
    return graph


def _tried(bundle: VerifiedBundle, name: str, feeds: Feeds, output: str) -> tuple[GraphOutputs, NDArray[np.float64]]:
    """A graph beside the model's, and what it answers to a first batch; raises BundleError if it cannot be run."""
    try:
        graph = GraphOutputs(bundle.folder / name)
        (answer,) = graph.run(feeds, [output])
    except Exception as error:  # ONNX Runtime raises nothing narrower
        raise BundleError(f"{name} cannot be run: {error}") from error
    return graph, answer
