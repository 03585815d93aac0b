"""Games with another baseline, against all coalitions put together by hand: to 1e-9 in the engine."""

from collections.abc import Callable
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_bundle.bundle import VerifiedBundle, verify_bundle
from explicate_bundle.model_inputs import ImageInput, TabularInput, TextInput
from explicate_server.errors import InvalidRequest
from explicate_server.explain.explain_game import explain_game
from explicate_server.modalities.modalities import open_modality
from explicate_server.modalities.modality import ColumnPlayer, Game, Modality, StandIn, TellsItself, TextPlayer
from explicate_server.settings import Settings
from support.additive_table import additive_table
from support.tiny_image_bundle import pictures, png, tiny_images
from support.tiny_table_bundle import Floats, TinyTable, tiny_table, with_baselines
from support.tree_table import tree_table

METHODS = ("exact-shap", "kernel-shap", "permutation-shap", "partition-shap", "occlusion")


def opened(publisher: Any, folder: Path) -> tuple[VerifiedBundle, Modality]:
    bundle = verify_bundle(publisher.publish(folder, "model"), model="model", version=1)
    return bundle, open_modality(bundle, Settings())


def shapley_values(value: Callable[[tuple[bool, ...]], float], n: int) -> Floats:
    """By definition, from all coalitions."""
    values = {present: value(present) for present in product((False, True), repeat=n)}
    found = np.zeros(n)
    for present, without in values.items():
        for player in (player for player in range(n) if not present[player]):
            joined = (*present[:player], True, *present[player + 1 :])
            found[player] += (values[joined] - without) / (n * comb(n - 1, sum(present)))
    return found


def played(game: Game, answers: Callable[[list[NDArray[Any]]], Floats], method: str) -> Any:
    """The first output as a method of the engine explains it, with all coalitions in its budget."""
    n, weights = len(game.players), np.asarray(game.weights)

    def value(coalitions: Any) -> Floats:
        told = answers([row.values for row in game.rows(np.asarray(coalitions, dtype=np.bool_))])
        return np.einsum("mb,b->m", told.reshape(len(coalitions), len(weights)), weights)

    return explain_game(value, n, method=method, max_evaluations=max(2**n, n + 2), tolerance=0.0)


def table_answers(table: TinyTable) -> Callable[[list[NDArray[Any]]], Floats]:
    def answers(rows: list[NDArray[Any]]) -> Floats:
        stacked = np.concatenate(rows)
        split = len(table.numbers)
        return np.asarray(table.answers(stacked[:, :split], stacked[:, split:].astype(np.int64))[:, 0])

    return answers


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("group", ["good", "bad", ""])
def test_a_table_against_a_group_or_another_row(tmp_path: Path, group: str, method: str) -> None:
    table = with_baselines(tiny_table())
    _, modality = opened(table, tmp_path)
    (numbers, other_numbers), (codes, other_codes) = table.rows(2, seed=5)
    value = TabularInput(table.cells(numbers, codes))
    other = TabularInput(table.cells(other_numbers, other_codes))
    stand_in = StandIn(name=group) if group else StandIn(modality.encode(other))
    game = modality.game(value, modality.encode(value), players="columns", masking="background", stand_in=stand_in)
    answers = table_answers(table)
    by_name = dict(table.baselines)
    rows = (
        np.concatenate([by_name[group].numbers, by_name[group].codes], axis=1, dtype=np.float64)
        if group
        else np.array([[*other_numbers, *other_codes]], dtype=np.float64)
    )
    weights = by_name[group].weights if group else np.ones(1)
    places = {name: place for place, name in enumerate([*table.numbers, *(column.name for column in table.others)])}

    def by_hand(present: tuple[bool, ...]) -> float:
        mixed = rows.copy()
        for player, here in zip(game.players, present, strict=True):
            assert isinstance(player, ColumnPlayer)
            for column, _ in player.columns if here else ():
                mixed[:, places[column]] = [*numbers, *codes][places[column]]
        return float(weights @ answers([mixed]))

    n = len(game.players)
    explained = played(game, answers, method)
    if method == "occlusion":
        whole = (True,) * n
        wanted = np.array([by_hand(whole) - by_hand(tuple(i != p for i in range(n))) for p in range(n)])
    elif method == "partition-shap":  # Owen values of its own tree: additivity, and each end, are promised
        assert explained.values.sum() == pytest.approx(by_hand((True,) * n) - by_hand((False,) * n), abs=1e-9)
        wanted = explained.values
    else:
        wanted = shapley_values(by_hand, n)
    np.testing.assert_allclose(explained.values, wanted, atol=1e-9)


@pytest.mark.parametrize("make", [additive_table, tree_table])
def test_a_model_that_tells_itself_tells_it_against_another_baseline_too(tmp_path: Path, make: Any) -> None:
    table = with_baselines(make())
    _, modality = opened(table, tmp_path)
    value = TabularInput(table.cells(*(each[0] for each in table.rows(1, seed=5))))
    encoded = modality.encode(value)
    stand_in = StandIn(name="good")
    told = modality.game(value, encoded, players="columns", masking="background", stand_in=stand_in)
    own = modality.game(value, encoded, players="columns", masking="background")
    assert isinstance(told, TellsItself)
    assert isinstance(own, TellsItself)
    assert len(told.weights) == 3
    assert len(own.weights) == len(table.background)


def text_game(text: str, other: str, tiny: Path, players: str = "words") -> tuple[Modality, Game]:
    bundle = verify_bundle(tiny / "tiny" / "1", model="tiny", version=1)
    modality = open_modality(bundle, Settings())
    value, reference = TextInput(text), TextInput(other)
    stand_in = StandIn(modality.encode(reference))
    encoded = modality.encode(value)
    return modality, modality.game(value, encoded, players=players, masking="reference", stand_in=stand_in)


def test_a_text_against_another_shows_its_words_and_is_the_other_text_when_all_are_absent(
    tiny_repository: Path,
) -> None:
    text, other = "  the tea was truly great,\nand the box", "the tea was dull,  and so was the box "
    modality, game = text_game(text, other, tiny_repository)
    told = [(player.text, player.instead) for player in game.players if isinstance(player, TextPlayer)]
    # The space before the first word differs, too.
    assert told == [("the", "the"), ("truly", "dull,"), ("great,", ""), ("and", "and so was"), ("box", "box")]
    n = len(game.players)
    empty, full = game.rows(np.array([[False] * n, [True] * n]))
    np.testing.assert_array_equal(empty.values, modality.encode(TextInput(other)).row.values)
    np.testing.assert_array_equal(full.values, modality.encode(TextInput(text)).row.values)
    one = np.zeros((1, n), dtype=np.bool_)
    one[0, 1] = True
    (row,) = game.rows(one)
    mixed = modality.encode(TextInput("the tea was truly  and so was the box "))
    np.testing.assert_array_equal(row.values, mixed.row.values)


def test_phrases_have_what_the_reference_has_in_all_of_their_place(tiny_repository: Path) -> None:
    _, game = text_game("a b c d e", "a x c y z", tiny_repository)
    phrases = game.grouped(np.array([0, 0, 1]))
    told = [(player.text, player.instead) for player in phrases if isinstance(player, TextPlayer)]
    assert told == [("b c d", "x c y"), ("e", "z")]


def test_sentences_are_aligned_as_sentences(tiny_repository: Path) -> None:
    _, game = text_game("Good tea. Bad box.", "Good tea. Fine box. Late.", tiny_repository, players="sentences")
    assert [(p.text, p.instead) for p in game.players if isinstance(p, TextPlayer)] == [("Bad box.", "Fine box. Late.")]


@pytest.mark.parametrize("other", ["the tea", "x " * 2049])
def test_a_reference_that_cannot_be_set_against_a_text_is_refused_by_its_field(
    tiny_repository: Path, other: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        text_game("the tea", other, tiny_repository)
    assert [violation.field for violation in refused.value.violations] == ["options.baseline.text"]


@pytest.mark.parametrize("colour", ["", "#ff8000"])
def test_an_image_against_another_or_a_colour(tmp_path: Path, colour: str) -> None:
    images = tiny_images()
    _, modality = opened(images, tmp_path)
    shown, hidden = pictures(2, seed=4)
    value = ImageInput(png(shown))
    stand_in = StandIn(colour=colour) if colour else StandIn(modality.encode(ImageInput(png(hidden))))
    if colour:
        hidden = np.full_like(shown, (255, 128, 0))
    game = modality.game(
        value, modality.encode(value), players="grid-segments-6", masking="reference", stand_in=stand_in
    )
    assert game.segment_map is not None
    segments = game.segment_map

    def answers(rows: list[Any]) -> Floats:
        pixels = np.empty((len(rows), *shown.shape), dtype=np.uint8)
        for place, row in zip(pixels, rows, strict=True):
            row.write(place)
        return np.asarray(images.answers(pixels)[:, 0])

    wanted = images.shapley_values(shown, segments, hidden=hidden)[0]
    np.testing.assert_allclose(played(game, answers, "exact-shap").values, wanted, atol=1e-9)
