"""Every visible character is in one player, and no player cuts one, whatever the script and the tokenizer."""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from explicate.v1.bundle_pb2 import TextSchema
from explicate_bundle.model_inputs import TextInput
from explicate_server.modalities.modality import Game
from explicate_server.modalities.text import TextModality
from support.tokenizers_by_kind import TEXTS, TOKENIZERS, texts, tokenizer

KINDS = ("words", "tokens", "sentences", "distinct-words")
MASKINGS = ("attention", "mask-token", "delete")
Spans = Sequence[tuple[int, int]]


def modality_of(made: Tokenizer, *, max_tokens: int = 100_000, pairs: bool = False) -> TextModality:
    inputs = ["input_ids", "attention_mask", "position_ids"]
    schema = TextSchema(inputs=inputs, max_tokens=max_tokens, pairs=pairs, token_dropping=True, mask_id=4)
    return TextModality(schema, made.to_str(), max_text_bytes=1 << 20)


def game_of(modality: TextModality, value: TextInput, kind: str, masking: str) -> Game:
    return modality.game(value, modality.encode(value), players=kind, masking=masking)


def features(made: Tokenizer, text: str, kind: str = "words", masking: str = "attention") -> list[str]:
    return [player.text for player in game_of(modality_of(made), TextInput(text), kind, masking).players]


def spans_of(game: Game, *, in_pair: bool) -> Spans:
    return sorted(span for player in game.players if player.in_pair == in_pair for span in player.spans)


def cuts_no_character(text: str, spans: Spans) -> bool:
    edges = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    return all(left[1] <= right[0] for left, right in pairwise(spans)) and edges.issuperset(np.ravel(spans).astype(int))


def leaves_out(text: str, spans: Spans) -> str:
    """What is visible of the text and in none of the spans."""
    ends, starts = [0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)]
    between = "".join(text[end:start] for end, start in zip(ends, starts, strict=True))
    return "".join(between.split())


def check(game: Game, value: TextInput, kind: str) -> None:
    for player in game.players:
        assert all(start < end for start, end in player.spans)
        assert all(value.texts[player.in_pair][slice(*span)] == player.text for span in player.spans)
    for number, text in enumerate(value.texts):
        spans = spans_of(game, in_pair=number == 1)
        assert cuts_no_character(text, spans), (text, spans)
        left = leaves_out(text, spans)
        # lime's words leave out the marks between them.
        assert not left if kind != "distinct-words" else not any(character.isalnum() for character in left), text


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_visible_character_of_every_script_is_in_one_feature_and_none_is_cut(name: str) -> None:
    modality = modality_of(tokenizer(name))
    for text, kind, masking in product(TEXTS.values(), KINDS, ("attention", "delete")):
        if not (name == "dropping" and kind == "distinct-words" and masking == "attention"):  # its words may be unseen
            check(game_of(modality, TextInput(text), kind, masking), TextInput(text), kind)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(pair=st.tuples(texts(), texts()), kind=st.sampled_from(KINDS[:3]), masking=st.sampled_from(MASKINGS))
@settings(max_examples=25, deadline=None)
def test_every_visible_character_of_mixed_pairs_is_in_one_feature_and_none_is_cut(
    name: str, pair: tuple[str, str], kind: str, masking: str
) -> None:
    check(game_of(modality_of(tokenizer(name), pairs=True), TextInput(*pair), kind, masking), TextInput(*pair), kind)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=texts(), kind=st.sampled_from(KINDS), max_tokens=st.integers(4, 60))
@settings(max_examples=25, deadline=None)
def test_what_the_model_reads_of_a_text_goes_with_one_player_token_by_token(
    name: str, text: str, kind: str, max_tokens: int
) -> None:
    modality = modality_of(tokenizer(name), max_tokens=max_tokens)
    encoded = modality.encode(TextInput(text))
    game = modality.game(TextInput(text), encoded, players=kind, masking="attention")
    spans, usage = spans_of(game, in_pair=False), encoded.usage
    assert usage is not None
    assert cuts_no_character(text, spans)
    if kind != "distinct-words":
        assert not leaves_out(text[: usage.characters_used], [(s, min(e, usage.characters_used)) for s, e in spans])
        assert all(start < usage.characters_used for start, _ in spans)
    rows = game.rows(
        np.concatenate([np.ones((1, len(game.players)), np.bool_), ~np.eye(len(game.players), dtype=np.bool_)])
    )
    positions = [set(row.values[2].tolist()) for row in rows]
    assert np.array_equal(rows[0].values, encoded.row.values)
    gone = [positions[0] - kept for kept in positions[1:]]
    assert sum(map(len, gone)) == len(set().union(*gone))  # no token leaves with two players
    always = positions[0].difference(*gone)
    for place, (start, end) in enumerate(encoded.spans.tolist()):
        shared = [i for i, player in enumerate(game.players) if any(s < end and start < e for s, e in player.spans)]
        assert len(shared) <= 1
        if shared:
            assert place in gone[shared[0]]
        elif kind != "distinct-words":
            assert place in always
            assert not text[start:end].strip()


def word_level(*words: str) -> Tokenizer:
    """A tokenizer of whole runs: it splits at white space and nowhere else."""
    made = Tokenizer(models.WordLevel({word: index for index, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def sentence_piece(*pieces: str, split: bool = True) -> Tokenizer:
    made = Tokenizer(models.Unigram([("<unk>", 0.0), *((piece, -float(len(piece))) for piece in pieces)], unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace(split=split)
    return made


@pytest.mark.parametrize(
    ("made", "text", "expected"),
    [
        (word_level("open", "24/7", "cheap/small"), "open 24/7", ["open", "24/7"]),
        (word_level("cheap/small"), "so cheap/small!", ["so", "cheap/small!"]),
        (word_level("Tea❤️❤️"), "Tea❤️❤️ tastes awful", ["Tea❤️❤️", "tastes", "awful"]),
        (sentence_piece("▁味道", "很好", "▁", "好"), "味道很好", ["味道", "很好"]),
        (sentence_piece("▁a", "▁tea", "▁of▁the", split=False), "a tea of the", ["a", "tea", "of the"]),
        (tokenizer("byte-level"), "Tea❤️❤️ tastes awful", ["Tea❤️❤️", "tastes", "awful"]),
        (tokenizer("byte-level"), "it❤️❤️! 👨‍👩‍👧", ["it❤️❤️!", "👨‍👩‍👧"]),
        (tokenizer("characters"), "น้ำดี", ["น้ำ", "ดี"]),
    ],
)  # fmt: skip
def test_words_that_share_a_token_are_one_feature(made: Tokenizer, text: str, expected: list[str]) -> None:
    assert features(made, text) == expected
    assert features(made, text, masking="delete") == expected


@pytest.mark.parametrize(
    ("masking", "expected"),
    [("attention", ["open", "24/7", "now"]), ("delete", ["open", "24", "7", "now"])],
)
def test_words_of_lime_share_tokens_where_tokens_are_what_leaves(masking: str, expected: list[str]) -> None:
    """Where words leave the string they are the library's."""
    made = word_level("open", "24/7", "now!")
    assert features(made, "open 24/7 now! open", "distinct-words", masking) == expected


def test_a_token_across_two_sentences_makes_them_one() -> None:
    text = "Good.Bad tea. Late."
    assert features(tokenizer("byte-level"), text, "sentences") == ["Good.", "Bad tea.", "Late."]
    assert features(word_level("Good.Bad"), text, "sentences") == ["Good.Bad tea.", "Late."]


def test_what_the_tokenizer_passes_over_goes_with_the_word_before_it() -> None:
    made = Tokenizer(models.BPE({"t": 0, "e": 1, "a": 2}, []))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert features(made, "ok tea ok! tea") == ["ok tea ok!", "tea"]
    assert features(made, "ok") == ["ok"]


THAI = "ชานี้อร่อย tea"


@pytest.mark.parametrize("kind", ["words", "distinct-words"])
@pytest.mark.parametrize("masking", ["attention", "delete"])
def test_words_of_a_script_without_spaces_are_the_models_tokens_and_the_game_says_so(kind: str, masking: str) -> None:
    made = sentence_piece("▁ชา", "นี้", "อร่อย", "▁tea")
    game = game_of(modality_of(made), TextInput(THAI), kind, masking)
    assert [player.text for player in game.players] == ["ชา", "นี้", "อร่อย", "tea"]
    assert game.unspaced_scripts == ("Thai",)


def test_only_words_can_be_the_models_tokens_instead() -> None:
    for kind in ("tokens", "sentences"):
        assert game_of(modality_of(tokenizer("unigram")), TextInput(THAI), kind, "attention").unspaced_scripts == ()
    assert game_of(modality_of(tokenizer("unigram")), TextInput("tea"), "words", "attention").unspaced_scripts == ()


def test_all_of_the_text_of_a_pair_that_is_not_cut_is_in_features() -> None:
    made = Tokenizer(models.BPE({"t": 0, "e": 1, "a": 2}, []))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pair = TextInput("tea ok", "tea " * 50)
    game = game_of(modality_of(made, max_tokens=20, pairs=True), pair, "words", "attention")
    assert [player.text for player in game.players if not player.in_pair] == ["tea ok"]
