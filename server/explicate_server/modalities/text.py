"""Texts: tokens become model rows; words, tokens or sentences become players.

Under masking ``attention`` the tokens of an absent player leave the row while the others keep their positions. That
gives the logits of a masked attention (1e-7 apart, measured) with half the tokens. ``mask-token`` puts the mask token
in their place, as shap does; ``delete`` takes the player out of the string and tokenises again, as lime does.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from explicate.v1.bundle_pb2 import TextSchema
from explicate_server.errors import Violation
from explicate_server.modalities.base import EncodedInput, Game, ModelInput, TextInput, TextPlayer, TextUsage
from explicate_server.modalities.breaks import breaks, sentences
from explicate_server.modalities.words import distinct_words, words
from explicate_server.runtime.base import Feeds, Runtime
from explicate_server.runtime.batch_cost import stretched
from explicate_server.runtime.queue import Row

NO_PLAYER = -1
_Number = TypeVar("_Number", bound=np.generic)


class EncodedText:
    """A text as the model sees it: its row, and where each token of the row comes from."""

    def __init__(
        self, row: Row, *, tokens: int, kept: NDArray[np.int64] | None, text: str, tokenizer: Tokenizer
    ) -> None:
        """``kept`` int64[row's tokens] are those of the text's ``tokens`` that are in the row; None means all."""
        self.row = row
        self._tokens = tokens
        self._kept = kept
        self._text = text
        self._tokenizer = tokenizer

    @cached_property
    def _encoding(self) -> Encoding:
        """The text once more, with the places of its tokens; a prediction goes without and saves a third."""
        return self._tokenizer.encode(self._text)

    @cached_property
    def spans(self) -> NDArray[np.int64]:
        """int64[tokens, 2], code points of each token; equal ends for special tokens."""
        return self._of_kept(np.array(self._encoding.offsets, dtype=np.int64).reshape(-1, 2))

    @cached_property
    def special(self) -> NDArray[np.bool_]:
        """bool[tokens], tokens that the tokenizer added and that always stay."""
        return self._of_kept(np.array(self._encoding.special_tokens_mask, dtype=np.bool_))

    @property
    def usage(self) -> TextUsage | None:
        """How much of the text the model sees."""
        return TextUsage(tokens=self._tokens, tokens_used=self.row.length, characters_used=self._characters_used())

    unknown_category_columns = ()

    def _characters_used(self) -> int:
        if self._kept is None:
            return len(self._text)
        # token_to_chars asks for one token; the list of all offsets takes longer to build than the text to tokenise.
        ends = (self._encoding.token_to_chars(int(token)) for token in reversed(self._kept))
        return next((end for _, end in filter(None, ends) if end), 0)

    def _of_kept(self, values: NDArray[_Number]) -> NDArray[_Number]:
        return values if self._kept is None else values[self._kept]


class TextModality:
    """Texts for one bundle: its tokenizer and the inputs of its graph."""

    input_type: type[ModelInput] = TextInput
    field = "text"
    granularities: tuple[str, ...] = ("word", "token", "sentence")

    def __init__(self, schema: TextSchema, tokenizer_json: str, *, max_text_bytes: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._schema = schema
        self._inputs = list(schema.inputs)
        self._max_text_bytes = max_text_bytes
        self.max_length = schema.max_tokens
        has_mask = schema.HasField("mask_id")
        self.maskings: tuple[str, ...] = ("attention", "mask-token", "delete") if has_mask else ("attention", "delete")

    def batch_tokens(self, runtime: Runtime) -> int:
        """What the runtime suggests for texts."""
        return runtime.batch_tokens

    def stretched(self, row: Row, length: int) -> Row:
        """A row of ``length`` tokens, made of the row's own."""
        return stretched(row, length)

    def violations(self, value: ModelInput, path: str) -> list[Violation]:
        """What is wrong with a text."""
        assert isinstance(value, TextInput)
        problem = self._problem(value)
        return [Violation(f"{path}.{self.field}", problem)] if problem else []

    def _problem(self, value: TextInput) -> str | None:
        size = len(value.text.encode("utf-8"))
        if size > self._max_text_bytes:
            return f"is {size:,} bytes of UTF-8; at most {self._max_text_bytes:,} are accepted"
        if not value.text.strip():
            return "is empty; give at least one character that is not white space"
        if "\0" in value.text:
            return f"holds a NUL character at code point {value.text.index(chr(0))}; remove it"
        return None

    def encode(self, value: ModelInput) -> EncodedText:
        """Tokenise, and cut what the model cannot read."""
        assert isinstance(value, TextInput)
        (encoding,) = self._tokenizer.encode_batch_fast([value.text])
        kept = self._kept(encoding)
        row = self._row(encoding, kept)
        return EncodedText(row, tokens=len(encoding), kept=kept, text=value.text, tokenizer=self._tokenizer)

    def encode_all(self, values: Sequence[ModelInput]) -> list[EncodedText] | None:
        """Tokenise several texts; None when something is wrong with one."""
        if any(self.violations(value, "") for value in values):
            return None
        return [self.encode(value) for value in values]

    def game(self, value: ModelInput, encoded: EncodedInput, *, players: str, masking: str) -> Game:
        """The game whose players are the text's words, tokens or sentences."""
        assert isinstance(value, TextInput)
        assert isinstance(encoded, EncodedText)
        if masking == "delete":
            return _DeletionGame(self, encoded, value.text, players)
        return _TokenGame(self._schema, encoded, value.text, players, replace=masking == "mask-token")

    def collate(self, rows: Sequence[Row]) -> Feeds:
        """Pad rows into int64[batch, longest] per graph input."""
        batch = np.zeros((len(self._inputs), len(rows), max(row.length for row in rows)), dtype=np.int64)
        batch[self._inputs.index("input_ids")] = self._schema.padding_id
        for index, row in enumerate(rows):
            batch[:, index, : row.length] = row.values
        return dict(zip(self._inputs, batch, strict=True))

    def rows(self, texts: Sequence[str]) -> list[Row]:
        """Model rows of several texts, tokenised together."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return [self._row(encoding, self._kept(encoding)) for encoding in encodings]

    def _kept(self, encoding: Encoding) -> NDArray[np.int64] | None:
        """Indices of the tokens the model reads, the special ones and the others from the start; None for all."""
        if len(encoding) <= self._schema.max_tokens:
            return None
        special = np.array(encoding.special_tokens_mask, dtype=np.bool_)
        room = self._schema.max_tokens - int(special.sum())
        return np.sort(np.concatenate([np.flatnonzero(special), np.flatnonzero(~special)[:room]]))

    def _row(self, encoding: Encoding, kept: NDArray[np.int64] | None) -> Row:
        length = len(encoding) if kept is None else len(kept)
        values = np.ones((len(self._inputs), length), dtype=np.int64)  # attention_mask is all ones
        for index, name in enumerate(self._inputs):
            if name == "position_ids":
                values[index] = np.arange(self._schema.first_position, self._schema.first_position + length)
            elif name != "attention_mask":
                column = encoding.ids if name == "input_ids" else encoding.type_ids
                values[index] = column if kept is None else np.array(column)[kept]
        return Row(length, values)


class _TextGame:
    """Players in a text, and what parts them; equal words that are one player have no neighbours."""

    weights = np.ones(1)

    def __init__(self, text: str, players: Sequence[TextPlayer], kind: str) -> None:
        self.players = players
        spans = [player.spans[0] for player in players]
        self.breaks = None if kind == "distinct-words" else breaks(text, spans)
        self._text = text

    def grouped(self, groups: NDArray[np.intp]) -> list[TextPlayer]:
        """Phrases from the first to the last word of each group."""
        starts = np.flatnonzero(np.diff(groups, prepend=-1)).tolist()
        ends = [*starts[1:], len(groups)]
        spans = [
            (self.players[start].spans[0][0], self.players[end - 1].spans[0][1])
            for start, end in zip(starts, ends, strict=True)
        ]
        return [TextPlayer(self._text[start:end], ((start, end),)) for start, end in spans]


class _TokenGame(_TextGame):
    """Players own tokens of one encoding; absent players' tokens are dropped, unattended or replaced."""

    def __init__(self, schema: TextSchema, encoded: EncodedText, text: str, kind: str, *, replace: bool) -> None:
        parts = _players(text, encoded, kind)
        owner = _owners(encoded, parts)
        seen = np.unique(owner[owner != NO_PLAYER])  # words cut off at the end, or without a token, are no players
        super().__init__(text, [parts[index] for index in seen], kind)
        self._owner = np.where(owner == NO_PLAYER, NO_PLAYER, np.searchsorted(seen, owner))
        self._values = encoded.row.values
        self._schema = schema
        self._inputs = list(schema.inputs)
        self._replace = replace

    def rows(self, coalitions: NDArray[np.bool_]) -> list[Row]:
        """One model row per coalition."""
        present = np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=np.bool_)], axis=1)
        kept = present[:, self._owner]  # [m, tokens]; NO_PLAYER is the last column, always present
        if self._replace:
            return [self._overwritten("input_ids", ~keep, self._schema.mask_id) for keep in kept]
        if not self._schema.token_dropping:
            return [self._overwritten("attention_mask", ~keep, 0) for keep in kept]
        return [Row(int(keep.sum()), self._values[:, keep]) for keep in kept]

    def _overwritten(self, name: str, where: NDArray[np.bool_], value: int) -> Row:
        values = self._values.copy()
        values[self._inputs.index(name), where] = value
        return Row(values.shape[1], values)


class _DeletionGame(_TextGame):
    """Players are cut out of the string, and what is left is tokenised again."""

    def __init__(self, modality: TextModality, encoded: EncodedText, text: str, kind: str) -> None:
        parts = _players(text, encoded, kind)
        super().__init__(text, parts, kind)
        self._modality = modality
        cuts = sorted((span, index) for index, part in enumerate(parts) for span in part.spans)
        self._pieces: list[str] = []
        owners: list[int] = []
        end = 0
        for (first, last), index in cuts:
            self._pieces += [text[end:first], text[first:last]]
            owners += [NO_PLAYER, index]
            end = last
        self._pieces.append(text[end:])
        self._owner = np.array([*owners, NO_PLAYER])

    def rows(self, coalitions: NDArray[np.bool_]) -> list[Row]:
        """One model row per coalition."""
        present = np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=np.bool_)], axis=1)
        kept = present[:, self._owner]
        return self._modality.rows(["".join(self._pieces[i] for i in np.flatnonzero(keep)) for keep in kept])


def _players(text: str, encoded: EncodedText, kind: str) -> list[TextPlayer]:
    if kind == "distinct-words":
        return [TextPlayer(word, tuple(spans)) for word, spans in distinct_words(text)]
    spans = {"words": words, "sentences": sentences}[kind](text) if kind != "tokens" else _token_spans(encoded)
    return [TextPlayer(text[start:end], ((start, end),)) for start, end in spans]


def _token_spans(encoded: EncodedText) -> list[tuple[int, int]]:
    """Places of the tokens in the text; those that share a character (bytes of an emoji) are one."""
    spans: list[tuple[int, int]] = []
    for start, end in encoded.spans[~encoded.special].tolist():
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        elif start < end:
            spans.append((start, end))
    return spans


def _owners(encoded: EncodedText, parts: Sequence[TextPlayer]) -> NDArray[np.int64]:
    """The player each token belongs to, int64[tokens]; NO_PLAYER for special tokens and those outside every span."""
    places = sorted((span, index) for index, part in enumerate(parts) for span in part.spans)
    if not places:
        return np.full(len(encoded.spans), NO_PLAYER)
    starts = np.array([start for (start, _), _ in places])
    ends = np.array([end for (_, end), _ in places])
    indices = np.array([index for _, index in places])
    # A token may begin with the space before its word, so its last code point decides.
    last = encoded.spans[:, 1] - 1
    place = np.searchsorted(starts, last, side="right") - 1
    inside = (place >= 0) & (last < ends[place]) & ~encoded.special
    return np.where(inside, indices[place], NO_PLAYER)
