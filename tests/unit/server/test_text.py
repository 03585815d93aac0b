"""Texts as rows and games, on the tiny model's tokenizer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Encoding, Tokenizer, processors

from explicate.v1.bundle_pb2 import TextSchema
from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.model_inputs import TextInput
from explicate_server.modalities import encoded_text
from explicate_server.modalities.text import TextModality
from explicate_server.runtime.onnx_runtime import OnnxRuntime

TEXT = "this tea is great, but the box was not good"


@pytest.fixture(scope="module")
def bundle(tiny_repository: Path) -> VerifiedBundle:
    return verify_bundle(tiny_repository / "tiny" / "1", model="tiny", version=1)


def modality_of(bundle: VerifiedBundle, **changes: object) -> TextModality:
    schema = TextSchema()
    schema.CopyFrom(bundle.manifest.text)
    for name, value in changes.items():
        setattr(schema, name, value)
    return TextModality(schema, bundle.read_text("tokenizer.json"), max_text_bytes=1000)


@pytest.fixture(scope="module")
def modality(bundle: VerifiedBundle) -> TextModality:
    return modality_of(bundle)


def ids(modality: TextModality, row_values: np.ndarray) -> list[int]:
    return [int(i) for i in row_values[0]]


def test_attention_masking_drops_tokens_and_keeps_the_positions_of_the_others(modality: TextModality) -> None:
    encoded = modality.encode(TextInput(TEXT))
    game = modality.game(TextInput(TEXT), encoded, players="words", masking="attention")
    assert [player.text for player in game.players] == TEXT.split()
    absent = np.ones((1, len(game.players)), dtype=np.bool_)
    absent[0, 3] = False  # "great,"
    (row,) = game.rows(absent)
    full = encoded.row.values
    gone = [i for i in range(full.shape[1]) if int(encoded.spans[i, 0]) in range(12, 18) and not encoded.special[i]]
    assert gone
    assert np.array_equal(row.values, np.delete(full, gone, axis=1))


def test_dropping_tokens_gives_the_logits_of_masking_them_in_place(bundle: VerifiedBundle) -> None:
    dropping, in_place = modality_of(bundle), modality_of(bundle, token_dropping=False)
    runtime = OnnxRuntime(bundle.model_path, threads=1)
    coalitions = np.random.default_rng(0).random((16, len(TEXT.split()))) < 0.5
    logits = []
    for modality in (dropping, in_place):
        encoded = modality.encode(TextInput(TEXT))
        game = modality.game(TextInput(TEXT), encoded, players="words", masking="attention")
        logits.append(runtime.run(modality.collate(game.rows(coalitions))))
    assert np.abs(logits[0] - logits[1]).max() < 1e-5


def test_without_any_player_only_special_tokens_are_left(modality: TextModality) -> None:
    encoded = modality.encode(TextInput(TEXT))
    game = modality.game(TextInput(TEXT), encoded, players="words", masking="attention")
    (row,) = game.rows(np.zeros((1, len(game.players)), dtype=np.bool_))
    assert np.array_equal(row.values, encoded.row.values[:, encoded.special])


def test_mask_token_masking_replaces_every_token_of_a_word(bundle: VerifiedBundle, modality: TextModality) -> None:
    encoded = modality.encode(TextInput(TEXT))
    game = modality.game(TextInput(TEXT), encoded, players="words", masking="mask-token")
    (row,) = game.rows(np.zeros((1, len(game.players)), dtype=np.bool_))
    content = ~encoded.special
    assert (row.values[0][content] == bundle.manifest.text.mask_id).all()
    assert np.array_equal(row.values[0][~content], encoded.row.values[0][~content])


@pytest.mark.parametrize("players", ["words", "distinct-words"])
def test_deletion_takes_words_out_of_the_string_and_tokenises_again(modality: TextModality, players: str) -> None:
    text = "tea, good tea"
    game = modality.game(TextInput(text), modality.encode(TextInput(text)), players=players, masking="delete")
    without_first = np.ones((1, len(game.players)), dtype=np.bool_)
    without_first[0, 0] = False
    (row,) = game.rows(without_first)
    left = " good tea" if players == "words" else ", good "  # lime removes every "tea", and no punctuation
    assert np.array_equal(row.values, modality.encode(TextInput(left)).row.values)


def test_a_text_beyond_the_limit_is_cut_at_its_end_and_says_so(bundle: VerifiedBundle) -> None:
    modality = modality_of(bundle, max_tokens=8)
    text = "tea " * 30
    encoded = modality.encode(TextInput(text))
    assert encoded.row.length == 8
    usage = encoded.usage
    assert usage is not None
    assert (usage.tokens, usage.tokens_used, usage.truncated) == (32, 8, True)
    assert text[: usage.characters_used].split() == ["tea"] * 6
    tokenizer = Tokenizer.from_str(bundle.read_text("tokenizer.json"))
    tokenizer.enable_truncation(8)
    assert ids(modality, encoded.row.values) == tokenizer.encode(text).ids
    game = modality.game(TextInput(text), encoded, players="words", masking="attention")
    assert len(game.players) == 6  # words that the model cannot see are no players


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("good\0tea", "NUL character at code point 4"),
        ("x" * 1001, "1,001 bytes"),
        ("é" * 501, "1,002 bytes"),
    ],
)
def test_bad_texts_are_named_for_what_they_are(modality: TextModality, text: str, problem: str) -> None:
    (violation,) = modality.violations(TextInput(text), "inputs[2]")
    assert violation.field == "inputs[2].text"
    assert problem in violation.description


def test_rows_are_padded_with_the_padding_token_and_no_attention(
    bundle: VerifiedBundle, modality: TextModality
) -> None:
    short, long = (modality.encode(TextInput(text)).row for text in ("tea", "tea is good"))
    feeds = modality.collate([short, long])
    assert feeds["input_ids"].shape == (2, long.length)
    assert (feeds["input_ids"][0, short.length :] == bundle.manifest.text.padding_id).all()
    assert feeds["attention_mask"].sum(axis=1).tolist() == [short.length, long.length]


@pytest.mark.parametrize("masking", ["attention", "mask-token", "delete"])
def test_tokens_can_be_players(modality: TextModality, masking: str) -> None:
    text = TextInput("unbelievable tea 🍵!")
    encoded = modality.encode(text)
    game = modality.game(text, encoded, players="tokens", masking=masking)
    assert "".join(player.text for player in game.players) == text.text.replace(" ", "")
    assert all(text.text[slice(*player.spans[0])] == player.text for player in game.players)
    (row,) = game.rows(np.ones((1, len(game.players)), dtype=np.bool_))
    assert np.array_equal(row.values, encoded.row.values)


def test_sentences_can_be_players_and_their_breaks_are_known(modality: TextModality) -> None:
    text = TextInput("this tea is great. the box was not good, but cheap!")
    game = modality.game(text, modality.encode(text), players="sentences", masking="attention")
    assert [player.text for player in game.players] == ["this tea is great.", "the box was not good, but cheap!"]
    assert game.breaks is not None
    assert game.breaks.tolist() == [2]


def test_distinct_words_have_no_neighbours_and_no_breaks(modality: TextModality) -> None:
    text = TextInput("tea or tea")
    assert modality.game(text, modality.encode(text), players="distinct-words", masking="delete").breaks is None


def test_texts_that_are_cut_are_tokenised_once_and_their_encodings_are_not_kept(
    bundle: VerifiedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To throw away a thousand of them at once held up the event loop for .1 s."""
    modality = modality_of(bundle, max_tokens=8)
    asked: list[Any] = []

    def counted(original: Callable[..., list[Encoding]]) -> Callable[..., list[Encoding]]:
        def encode(tokenizer: Tokenizer, texts: Sequence[Any]) -> list[Encoding]:
            asked.append(texts)
            return original(tokenizer, texts)

        return encode

    for name in ("_encode", "encode_fast"):
        monkeypatch.setattr(encoded_text, name, counted(getattr(encoded_text, name)))
    encoded = modality.encode_all([TextInput("tea " * number) for number in (3, 30, 60)])
    assert encoded is not None
    usages = [item.usage for item in encoded]
    assert [(usage.tokens, usage.characters_used) for usage in usages if usage] == [(5, 12), (32, 23), (62, 23)]
    assert len(asked) == 3, "one text each, though two are cut"
    assert not any(isinstance(held, Encoding) for item in encoded for held in vars(item).values())


def bare(bundle: VerifiedBundle, *, dropping: bool) -> TextModality:
    """With a tokenizer that adds no token of its own, as GPT-2's."""
    schema = TextSchema()
    schema.CopyFrom(bundle.manifest.text)
    schema.token_dropping = dropping
    tokenizer = Tokenizer.from_str(bundle.read_text("tokenizer.json"))
    tokenizer.post_processor = processors.Sequence([])
    return TextModality(schema, tokenizer.to_str(), max_text_bytes=1000)


@pytest.mark.parametrize(("masking", "dropping"), [("attention", True), ("attention", False), ("delete", True)])
def test_a_row_without_any_token_is_one_without_attention(
    bundle: VerifiedBundle, masking: str, *, dropping: bool
) -> None:
    modality = bare(bundle, dropping=dropping)
    value = TextInput("good tea")
    game = modality.game(value, modality.encode(value), players="words", masking=masking)
    nothing, first = game.rows(np.array([[False, False], [True, False]]))
    attention = list(bundle.manifest.text.inputs).index("attention_mask")
    assert nothing.length == nothing.values.shape[1] >= 1
    assert not nothing.values[attention].any()
    assert first.values[attention].sum() == 1
    feeds = modality.collate([nothing, first])
    assert feeds["attention_mask"].sum(axis=1).tolist() == [0, 1]
