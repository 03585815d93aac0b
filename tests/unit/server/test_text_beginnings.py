"""Of a long text only what decides the model's tokens is tokenised, and these are the tokens of the whole text."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tokenizers import Encoding, Tokenizer

from explicate_server.modalities.encoded_text import encode_beginnings, encode_fast, kept_tokens
from support.tokenizers_by_kind import TEXTS, TOKENIZERS, tokenizer

LONG = 3_000  # characters, many times what 8 or 40 tokens are made of


def long_texts(seed: int, count: int) -> list[str]:
    """Texts of one script and of all, with words left out and the spaces around them kept."""
    stream = random.Random(seed)
    chosen = [[text] if index % 2 else list(TEXTS.values()) for index, text in enumerate(TEXTS.values())]
    found = []
    for several in stream.choices(chosen, k=count):
        words = " ".join(stream.choices(several, k=LONG // 20)).split(" ")
        found.append(" ".join("" if stream.random() < 0.5 else word for word in words)[: stream.randint(10, LONG)])
    return found


def read(encoding: Encoding, max_tokens: int) -> tuple[list[int], list[int]]:
    """The ids that the model reads, and the types."""
    kept = kept_tokens(encoding, max_tokens)
    places = np.arange(len(encoding)) if kept is None else kept
    return np.array(encoding.ids)[places].tolist(), np.array(encoding.type_ids)[places].tolist()


@pytest.mark.parametrize("max_tokens", [8, 41])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_tokens_are_those_of_the_whole_texts(name: str, max_tokens: int) -> None:
    made = tokenizer(name)
    singles = [(text,) for text in long_texts(max_tokens, 40)]
    pairs = list(zip(long_texts(1, 30), [*long_texts(2, 20), *("tea " * n for n in range(10))], strict=True))
    for inputs in (singles, pairs):
        found = encode_beginnings(made, inputs, max_tokens)
        for encoding, whole in zip(found, encode_fast(made, inputs), strict=True):
            assert read(encoding, max_tokens) == read(whole, max_tokens)


class Counting:
    """A tokenizer that counts the characters it is given."""

    def __init__(self, made: Tokenizer) -> None:
        self.characters = 0
        self._made = made

    def encode_batch_fast(self, inputs: Sequence[str]) -> list[Encoding]:
        self.characters += sum(map(len, inputs))
        return self._made.encode_batch_fast(inputs)


@pytest.mark.parametrize("text", ["tea and cakes, " * 4000, "茶很好喝，蛋糕也好。" * 4000], ids=["spaces", "marks"])
def test_what_the_model_does_not_read_is_not_tokenised(text: str) -> None:
    counting: Any = Counting(tokenizer("byte-level"))
    (encoding,) = encode_beginnings(counting, [(text,)], 16)
    assert len(encoding) > 16
    assert counting.characters < len(text) / 50


@pytest.mark.parametrize("text", [" " * 5000 + "tea", "x" * 5000, "tea" + " " * 5000 + "box", "\u0301" * 5000])
def test_a_text_that_cannot_be_cut_is_read_whole(text: str) -> None:
    made = tokenizer("word-piece")
    (encoding,) = encode_beginnings(made, [(text,)], 16)
    assert encoding.ids == made.encode(text).ids
