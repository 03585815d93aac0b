"""Every visible character is in one player, and no player cuts one, whatever the script and the tokenizer."""

from itertools import pairwise, product

import numpy as np
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from explicate.v1.bundle_pb2 import TextSchema
from explicate_bundle.model_inputs import TextInput
from explicate_server.modalities.modality import Game, TextPlayer
from explicate_server.modalities.text import TextModality
from support.tokenizers_by_kind import TEXTS, TOKENIZERS, texts, tokenizer

KINDS = ("words", "tokens", "sentences", "distinct-words")
MASKINGS = ("attention", "mask-token", "delete")
WHOLE = 100_000


def modality_of(name: str, *, max_tokens: int = WHOLE, pairs: bool = False) -> TextModality:
    schema = TextSchema(
        inputs=["input_ids", "attention_mask", "position_ids"],
        max_tokens=max_tokens, pairs=pairs, token_dropping=True, mask_id=4, padding_id=0,
    )  # fmt: skip
    return TextModality(schema, tokenizer(name).to_str(), max_text_bytes=1 << 20)


MODALITIES = {name: modality_of(name) for name in TOKENIZERS}
PAIRS = {name: modality_of(name, pairs=True) for name in TOKENIZERS}


def game_of(modality: TextModality, value: TextInput, kind: str, masking: str) -> Game:
    return modality.game(value, modality.encode(value), players=kind, masking=masking)


def spans_of(players: list[TextPlayer], in_pair: bool) -> list[tuple[int, int]]:
    return sorted(span for player in players if player.in_pair == in_pair for span in player.spans)


def check_whole_characters(text: str, spans: list[tuple[int, int]]) -> None:
    edges = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    assert all(start < end for start, end in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert {edge for span in spans for edge in span} <= edges


def check_every_character_plays(text: str, spans: list[tuple[int, int]]) -> None:
    outside = [text[start:end] for start, end in zip([0, *(e for _, e in spans)], [*(s for s, _ in spans), len(text)], strict=True)]
    assert "".join(outside).strip() == "" or "".join("".join(outside).split()) == ""


@pytest.mark.parametrize("name", TOKENIZERS)
@given(first=texts(), second=texts(), kind=st.sampled_from(KINDS), masking=st.sampled_from(MASKINGS))
@settings(max_examples=120, deadline=None)
def test_every_visible_character_is_in_one_player_and_none_is_cut(
    name: str, first: str, second: str, kind: str, masking: str
) -> None:
    value = TextInput(first, second)
    game = game_of(PAIRS[name], value, kind, masking)
    for player in game.players:
        assert all(value.texts[player.in_pair][slice(*span)] == player.text for span in player.spans)
    for in_pair, text in enumerate(value.texts):
        spans = spans_of(game.players, bool(in_pair))
        check_whole_characters(text, spans)
        if kind != "distinct-words":  # lime's leave out the marks between words
            check_every_character_plays(text, spans)
