"""A text, or a pair of texts, as the model sees it: its row, and where each token of the row comes from."""

from collections.abc import Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np
import regex
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from explicate_server.modalities.modality import TextUsage
from explicate_server.runtime.queue import Row

NO_TEXT = -1
_Number = TypeVar("_Number", bound=np.generic)


def encode_fast(tokenizer: Tokenizer, inputs: Sequence[Sequence[str]]) -> list[Encoding]:
    """Encodings of texts and pairs without the places of their tokens, which saves a third of the time."""
    return tokenizer.encode_batch_fast([texts[0] if len(texts) == 1 else tuple(texts) for texts in inputs])


# A text with fewer characters a token of what the model reads is seldom cut.
_LEAST_CUT_CHARACTERS_A_TOKEN = 4


def encode_for_usage(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> tuple[Encoding, bool]:
    """The encoding of a text or a pair, and whether it tells the places of tokens, as its usage needs them.

    Nearly always it does for a text that is cut: to tokenise that once more takes three times as long as the places.
    """
    places = sum(map(len, texts)) > _LEAST_CUT_CHARACTERS_A_TOKEN * max_tokens
    (encoding,) = _encode(tokenizer, texts) if places else encode_fast(tokenizer, [texts])
    return encoding, places


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    """With the places of the tokens."""
    # As a batch, which lets other threads go on: of a single text the tokenizer does not, 0.1 s for the longest.
    return tokenizer.encode_batch([texts[0] if len(texts) == 1 else tuple(texts)])


# A token of English has 4.5 characters on average, and texts with words taken out have more spaces.
_CHARACTERS_A_TOKEN = 8
_MORE_CHARACTERS = 4  # times as many, where these were too few
# Tokens beyond those that the model reads: the last ones before a cut may be others than without it.
_SPARE_TOKENS = 32
# Where a text is cut: before white space, where nearly every tokenizer parts; else, for scripts without spaces, between
# a mark and a letter, where a token across is most unlikely.
_CUTS = (regex.compile(r"(?r)(?<=\S)\s"), regex.compile(r"(?r)(?<=\p{P})(?=\p{L})"))


def encode_beginnings(tokenizer: Tokenizer, inputs: Sequence[Sequence[str]], max_tokens: int) -> list[Encoding]:
    """Encodings of texts and pairs, of which `kept_tokens` gives the same as of the whole texts.

    What comes far behind the last token that the model reads is not tokenised: of 64 KiB that takes 50 times as long.
    """
    encodings: list[Encoding | None] = [None] * len(inputs)
    waiting, size = list(range(len(inputs))), _CHARACTERS_A_TOKEN * max_tokens
    while waiting:
        begun = [[_beginning(text, size) for text in inputs[index]] for index in waiting]
        found = encode_fast(tokenizer, begun)
        for index, texts, encoding in zip(waiting, begun, found, strict=True):
            cut = [short is not text for short, text in zip(texts, inputs[index], strict=True)]
            if _decides(encoding, cut, max_tokens):
                encodings[index] = encoding
        waiting = [index for index in waiting if encodings[index] is None]
        size *= _MORE_CHARACTERS
    return [encoding for encoding in encodings if encoding is not None]


def _beginning(text: str, size: int) -> str:
    """The text up to a place from size / 2 to size; all of it where there is none to cut at."""
    if len(text) <= size:
        return text
    found = (cut.search(text, size // 2, size) for cut in _CUTS)
    return next((text[: match.start()] for match in found if match), text)


def _decides(encoding: Encoding, cut: Sequence[bool], max_tokens: int) -> bool:
    """Whether the tokens of the texts, some of them cut, tell which ones the model reads."""
    if not any(cut):
        return True
    if len(cut) == 1:
        return len(encoding) >= max_tokens + _SPARE_TOKENS
    # The longer text of a pair has the odd token: which one that is must be known.
    lengths = [encoding.sequence_ids.count(text) for text in (0, 1)]
    return not all(cut) and lengths[cut.index(True)] >= max(max_tokens, lengths[cut.index(False)]) + _SPARE_TOKENS


def text_of_tokens(encoding: Encoding) -> NDArray[np.int64]:
    """int64[tokens], the text that each token belongs to, 0 or 1; NO_TEXT for those the tokenizer added."""
    return np.array([NO_TEXT if text is None else text for text in encoding.sequence_ids], dtype=np.int64)


def kept_tokens(encoding: Encoding, max_tokens: int) -> NDArray[np.int64] | None:
    """Indices int64[kept] of the tokens that fit, the added ones and the others from each text's start; None for all.

    The longer text of a pair loses tokens first, then both alike, as with Hugging Face's ``truncation=True``
    (``LongestFirst`` in tokenizers/src/utils/truncation.rs).
    """
    if len(encoding) <= max_tokens:
        return None
    text = text_of_tokens(encoding)
    places = [np.flatnonzero(text == index) for index in range(encoding.n_sequences)]
    room = max_tokens - int((text == NO_TEXT).sum())
    lengths = _longest_first(*map(len, places), room=room) if len(places) == 2 else (room,)
    within = [of_text[:length] for of_text, length in zip(places, lengths, strict=True)]
    return np.sort(np.concatenate([np.flatnonzero(text == NO_TEXT), *within]))


def _longest_first(first: int, second: int, *, room: int) -> tuple[int, int]:
    """How many tokens of two texts fit into ``room`` together; the longer one has the odd token."""
    shorter = min(first, second, room // 2)
    return (shorter, room - shorter) if first <= second else (room - shorter, shorter)


class EncodedText:
    """One text, or a pair, and the row that the model reads of it.

    Attributes:
        characters_used: how many characters of each text the model sees, from its start.
        usage: the same for an answer.
    """

    def __init__(
        self,
        row: Row,
        encoding: Encoding,
        *,
        places: bool,
        kept: NDArray[np.int64] | None,
        texts: Sequence[str],
        tokenizer: Tokenizer,
    ) -> None:
        """``kept`` int64[row's tokens] are those of the texts' ``encoding`` that are in the row; None means all.

        ``places`` says whether it tells the places of tokens.
        """
        self.row = row
        self.texts = texts
        self._kept = kept
        self._tokenizer = tokenizer
        self.characters_used = [len(text) for text in texts]
        if kept is not None:
            (told,) = [encoding] if places else _encode(tokenizer, texts)
            self.characters_used = [_used(told, kept, text, number) for number, text in enumerate(texts)]
        seen = tuple(text[:used] for text, used in zip(texts, self.characters_used, strict=True))
        self.usage: TextUsage | None = TextUsage(len(encoding), row.length, seen)

    @cached_property
    def _encoding(self) -> Encoding:
        """The texts once more, with the places of their tokens; a prediction goes without.

        It must: to throw away what a thousand texts of 16 KiB are encoded to takes .1 s, with the interpreter held.
        """
        (encoding,) = _encode(self._tokenizer, self.texts)
        return encoding

    @cached_property
    def spans(self) -> NDArray[np.int64]:
        """int64[tokens, 2], code points of each token in its text; equal ends for special tokens."""
        return self._of_kept(np.array(self._encoding.offsets, dtype=np.int64).reshape(-1, 2))

    @cached_property
    def special(self) -> NDArray[np.bool_]:
        """bool[tokens], tokens that the tokenizer added and that always stay."""
        return self._of_kept(np.array(self._encoding.special_tokens_mask, dtype=np.bool_))

    @cached_property
    def text_of(self) -> NDArray[np.int64]:
        """int64[tokens], the text that each token belongs to, 0 or 1; NO_TEXT for those the tokenizer added."""
        return self._of_kept(text_of_tokens(self._encoding))

    def all_spans(self, text: int) -> NDArray[np.int64]:
        """int64[tokens, 2], code points of all tokens of one of the texts, also of those not in the row."""
        places = np.flatnonzero(text_of_tokens(self._encoding) == text)
        return np.array(self._encoding.offsets, dtype=np.int64).reshape(-1, 2)[places]

    unknown_category_columns = ()

    def _of_kept(self, values: NDArray[_Number]) -> NDArray[_Number]:
        return values if self._kept is None else values[self._kept]


def _used(encoding: Encoding, kept: NDArray[np.int64], text: str, number: int) -> int:
    """How many characters of a text the model sees, from its start; it is the first or second of the encoding, which
    has all tokens, the ``kept`` ones among them.
    """
    # These ask for one token; the list of all offsets takes longer to build than the text to tokenise.
    tokens = [token for token in reversed(kept.tolist()) if encoding.token_to_sequence(token) == number]
    if tokens and encoding.token_to_sequence(tokens[0] + 1) != number:
        return len(text)  # the other text of the pair is cut
    ends = map(encoding.token_to_chars, tokens)
    return next((end for _, end in filter(None, ends) if end), 0)
