"""Pairs of texts as rows and games, on the tiny model's tokenizer, whose template is [CLS] first [SEP] second [SEP]."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Encoding, Tokenizer

from explicate.v1.bundle_pb2 import TextSchema
from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.model_inputs import TextInput
from explicate_server.explain.game import WALL, GameInfo
from explicate_server.explain.groups import phrases
from explicate_server.explain.methods import METHODS
from explicate_server.modalities.text import TextModality

FIRST, SECOND = "this tea is great, but the box was not good", "is the tea good? the box is not"
PAIR = TextInput(FIRST, SECOND)
LENGTHS = (1, 3, 5, 6, 7, 8, 30)


@pytest.fixture(scope="module")
def bundle(tiny_repository: Path) -> VerifiedBundle:
    return verify_bundle(tiny_repository / "tiny" / "1", model="tiny", version=1)


def modality_of(bundle: VerifiedBundle, *, pairs: bool = True, max_tokens: int = 64) -> TextModality:
    schema = TextSchema()
    schema.CopyFrom(bundle.manifest.text)
    schema.pairs, schema.max_tokens = pairs, max_tokens
    return TextModality(schema, bundle.read_text("tokenizer.json"), max_text_bytes=1000)


@pytest.fixture(scope="module")
def modality(bundle: VerifiedBundle) -> TextModality:
    return modality_of(bundle)


def reference(bundle: VerifiedBundle, first: str, second: str, max_tokens: int) -> Encoding:
    """What the tokenizers library makes of a pair with Hugging Face's `truncation=True`, longest first."""
    tokenizer = Tokenizer.from_str(bundle.read_text("tokenizer.json"))
    tokenizer.enable_truncation(max_tokens, strategy="longest_first")
    return tokenizer.encode(first, second)


@pytest.mark.parametrize("max_tokens", [8, 9, 14, 15, 40])
def test_a_pair_is_cut_as_hugging_face_cuts_it(bundle: VerifiedBundle, max_tokens: int) -> None:
    modality = modality_of(bundle, max_tokens=max_tokens)
    place_of = {name: place for place, name in enumerate(bundle.manifest.text.inputs)}
    for first, second in product(LENGTHS, LENGTHS):
        texts = " ".join(["tea"] * first), " ".join(["box"] * second)
        expected = reference(bundle, *texts, max_tokens)
        encoded = modality.encode(TextInput(*texts))
        assert encoded.row.values[place_of["input_ids"]].tolist() == expected.ids
        assert encoded.row.values[place_of["token_type_ids"]].tolist() == expected.type_ids
        usage = encoded.usage
        assert usage is not None
        assert (usage.tokens, usage.tokens_used) == (first + second + 3, len(expected.ids))
        assert usage.truncated == (first + second + 3 > max_tokens)
        seen = [expected.sequence_ids.count(text) for text in (0, 1)]
        assert texts[0][: usage.characters_used].split() == ["tea"] * seen[0]
        assert texts[1][: usage.pair_characters_used].split() == ["box"] * seen[1]


@pytest.mark.parametrize("masking", ["attention", "mask-token", "delete"])
@pytest.mark.parametrize("kind", ["words", "tokens", "sentences", "distinct-words"])
def test_players_are_those_of_the_first_text_then_those_of_the_second(
    modality: TextModality, kind: str, masking: str
) -> None:
    game = modality.game(PAIR, modality.encode(PAIR), players=kind, masking=masking)
    whose = [player.in_pair for player in game.players]
    assert whose == sorted(whose)
    assert set(whose) == {False, True}
    for player in game.players:
        text = PAIR.texts[player.in_pair]
        assert all(text[slice(*span)] == player.text for span in player.spans)
    if kind == "words":
        assert [player.text for player in game.players] == [*FIRST.split(), *SECOND.split()]
    if kind == "distinct-words":
        # "is" twice in the second text is one player; "tea" stands in both, and is two.
        names = [(player.text, player.in_pair, len(player.spans)) for player in game.players]
        assert ("is", True, 2) in names
        assert {("tea", False, 1), ("tea", True, 1)} <= set(names)


@pytest.mark.parametrize("masking", ["attention", "mask-token", "delete"])
@pytest.mark.parametrize("kind", ["words", "tokens", "sentences", "distinct-words"])
def test_with_all_players_present_the_row_is_the_whole_pair(modality: TextModality, kind: str, masking: str) -> None:
    encoded = modality.encode(PAIR)
    game = modality.game(PAIR, encoded, players=kind, masking=masking)
    (row,) = game.rows(np.ones((1, len(game.players)), dtype=np.bool_))
    np.testing.assert_array_equal(row.values, encoded.row.values)


def test_an_absent_word_leaves_its_own_text_and_no_other(bundle: VerifiedBundle, modality: TextModality) -> None:
    encoded = modality.encode(PAIR)
    for masking, kind in (("attention", "words"), ("delete", "distinct-words")):
        game = modality.game(PAIR, encoded, players=kind, masking=masking)
        of_second = [index for index, player in enumerate(game.players) if player.in_pair and player.text == "tea"]
        coalition = np.ones((1, len(game.players)), dtype=np.bool_)
        coalition[0, of_second] = False
        (row,) = game.rows(coalition)
        shorter = modality.encode(TextInput(FIRST, SECOND.replace("tea ", ""))).row.values
        for place, name in enumerate(bundle.manifest.text.inputs):
            if name != "position_ids" or masking == "delete":
                assert row.values[place].tolist() == shorter[place].tolist()


def test_without_any_player_only_the_template_is_left(modality: TextModality) -> None:
    encoded = modality.encode(PAIR)
    game = modality.game(PAIR, encoded, players="words", masking="attention")
    (row,) = game.rows(np.zeros((1, len(game.players)), dtype=np.bool_))
    np.testing.assert_array_equal(row.values, encoded.row.values[:, encoded.special])
    assert encoded.special.sum() == 3


def test_phrases_never_join_words_of_two_texts(modality: TextModality) -> None:
    encoded = modality.encode(PAIR)
    game = modality.game(PAIR, encoded, players="words", masking="attention")
    last_of_first = len(FIRST.split()) - 1
    assert game.breaks is not None
    assert np.flatnonzero(game.breaks >= WALL).tolist() == [last_of_first]
    for count in (2, 3, 5, 8):
        players = game.grouped(phrases(len(game.players), count, game.breaks))
        assert len(players) == count
        assert " ".join(player.text for player in players if not player.in_pair) == FIRST
        assert " ".join(player.text for player in players if player.in_pair) == SECOND


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.additive])
def test_methods_take_a_game_with_a_wall(modality: TextModality, method: str) -> None:
    """A wall is a break like any other to those that build on breaks: Shapley values of a sum are its summands."""
    game = modality.game(PAIR, modality.encode(PAIR), players="words", masking="attention")
    weights = np.random.default_rng(0).normal(size=len(game.players))
    information = GameInfo(
        n_players=len(weights), empty=np.zeros(1), full=np.array([weights.sum()]), breaks=game.breaks
    )
    estimator = METHODS[method].build(information, 1200)
    for _ in range(1200):
        coalitions = estimator.ask(64)
        if coalitions is None:
            break
        estimator.tell((coalitions @ weights)[:, np.newaxis])
    np.testing.assert_allclose(estimator.estimate().values[0], weights, atol=1e-9)


@pytest.mark.parametrize(
    ("value", "field", "problem"),
    [
        (TextInput("tea"), "text.text_pair", "left out"),
        (TextInput("tea", ""), "text.text_pair", "empty"),
        (TextInput("tea", " \n"), "text.text_pair", "empty"),
        (TextInput("tea", "a\0b"), "text.text_pair", "NUL"),
        (TextInput("tea", "x" * 1001), "text.text_pair", "1,001 bytes"),
        (TextInput("", "tea"), "text", "empty"),
    ],
)
def test_bad_pairs_are_named_by_the_text_that_is_bad(
    modality: TextModality, value: TextInput, field: str, problem: str
) -> None:
    (violation,) = modality.violations(value, "inputs[2]")
    assert violation.field == f"inputs[2].{field}"
    assert problem in violation.description


def test_a_model_of_one_text_refuses_a_pair(bundle: VerifiedBundle) -> None:
    (violation,) = modality_of(bundle, pairs=False).violations(PAIR, "input")
    assert violation.field == "input.text.text_pair"
    assert "reads one text" in violation.description


def test_digests_tell_pairs_from_each_other_and_from_single_texts() -> None:
    values = [
        TextInput("a", "b"), TextInput("b", "a"), TextInput("ab"), TextInput("a"), TextInput("a", "bc"),
        TextInput("ab", "c"), TextInput("a\0b"),
    ]  # fmt: skip
    assert len({value.digest for value in values}) == len(values)
    assert TextInput("a", "b").digest == TextInput("a", "b").digest
