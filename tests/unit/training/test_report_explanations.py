"""What a report explains: values that are known, examples, mistakes, importance, slices; and the games of each kind."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

import explicate
from explicate_bundle.columns import TableRows
from explicate_training.image.config import ImageConfig
from explicate_training.image.game import image_game
from explicate_training.report.explanations import Game, explain_rows
from explicate_training.report.slices import slices, thirds
from explicate_training.table.config import TableConfig
from explicate_training.table.game import background_rows, table_game
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.regression import Regression
from explicate_training.tasks.task import Evaluation
from explicate_training.text.config import Config
from explicate_training.text.game import text_game
from explicate_training.text.model import load_text_model
from explicate_training.train import train

WEIGHTS = np.array([3.0, -2.0, 1.0, 0.0, 0.5, -0.5, 0.25, 2.0, -1.0, 0.125])


def additive_game(weights: np.ndarray, *, start: float = 1.0, names: Sequence[str] = ()) -> Game:
    named = list(names) or [f"w{place}" for place in range(len(weights))]
    features = tuple(explicate.Feature(column=name, values={name: 1.0}) for name in named)

    def outputs(present: np.ndarray) -> np.ndarray:
        return start + present @ weights[:, np.newaxis]

    return Game(features, tuple(named), outputs, {"row": dict.fromkeys(named, 1.0)})


def of_numbers(outputs: Sequence[float], targets: Sequence[float]) -> Evaluation:
    return Evaluation(np.array(outputs)[:, np.newaxis], np.array(targets, dtype=float), {})


def explained(game: Callable[[int], Game | None], evaluation: Evaluation, **changes: Any) -> Any:
    options: dict[str, Any] = {"target_name": "price", "count": 40, "limit_s": 60.0, "seed": 0, **changes}
    task = options.pop("task", Regression())
    return explain_rows(game, task, evaluation, options.pop("labels", []), **options)


@pytest.mark.parametrize("players", [3, 10])
def test_values_of_an_additive_game_are_its_weights(players: int) -> None:
    weights = WEIGHTS[:players]
    whole = 1 + float(weights.sum())
    found = explained(lambda _: additive_game(weights), of_numbers([whole] * 30, [whole] * 30))
    told = {one.name: one.value for one in found.importance}
    assert told == pytest.approx({f"w{place}": abs(weight) for place, weight in enumerate(weights)}, abs=1e-6)
    assert [one.name for one in found.importance][:2] == ["w0", "w1"]
    assert (found.rows, found.wanted) == (30, 30)
    assert found.examples[0].start == pytest.approx(1.0)


def test_importance_has_the_interval_of_what_differs_between_rows() -> None:
    games = {row: additive_game(np.array([1.0, row % 2])) for row in range(40)}
    found = explained(games.__getitem__, of_numbers([2.0] * 40, [2.0] * 40))
    same, other = sorted(found.importance, key=lambda one: one.name)
    assert (same.lower, same.upper) == pytest.approx((1.0, 1.0))
    assert other.value == pytest.approx(0.5)
    assert other.lower < 0.5 < other.upper


def test_each_class_has_its_surest_right_answer_and_the_worst_mistakes_are_explained() -> None:
    logits = np.array([[2.0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 4], [5, 0, 0], [0, 2, 0]])
    targets = np.array([0, 0, 1, 2, 1, 2])
    task, labels = Classification(), ["a", "b", "c"]

    def game(row: int) -> Game:
        given = additive_game(np.array([1.0, 2.0]))
        return replace(given, outputs=lambda present: present.mean(axis=1, keepdims=True) * logits[row])

    found = explained(game, Evaluation(logits, targets, {}), task=task, labels=labels)
    assert [one.row for one in found.examples] == [1, 2, 3]
    assert [(one.row, one.true, one.predicted) for one in found.mistakes] == [(4, "b", "a"), (5, "c", "b")]
    assert found.examples[0].score == pytest.approx(softmax(logits, axis=1)[1, 0])
    assert found.examples[0].output == "a"


def test_rows_without_parts_are_left_out_and_few_rows_tell_no_importance() -> None:
    evaluation = of_numbers([1.0] * 8, [1.0] * 8)
    found = explained(lambda row: additive_game(WEIGHTS[:2]) if row < 4 else None, evaluation)
    assert (found.importance, found.rows, found.wanted) == ([], 0, 8)
    assert explained(lambda _: None, evaluation).examples == []


def test_no_row_is_begun_after_the_time_is_over_and_none_is_explained_when_none_is_wanted() -> None:
    asked = []

    def game(row: int) -> Game:
        asked.append(row)
        return additive_game(WEIGHTS[:2])

    evaluation = of_numbers([1.0] * 8, [1.0] * 8)
    assert explained(game, evaluation, limit_s=0.0).examples == []
    assert explained(game, evaluation, count=0).wanted == 0
    assert asked == []


def test_what_a_stranger_wrote_is_no_markup() -> None:
    hostile = "<script>alert(1)</script>"
    found = explained(lambda _: additive_game(WEIGHTS[:2], names=[hostile, "b"]), of_numbers([1.0] * 8, [2.0] * 8))
    assert "<script>" not in found.examples[0].drawing
    assert "&lt;script&gt;" in found.examples[0].drawing


def test_words_are_the_players_of_a_text_and_absent_ones_get_no_attention(text_config: Config) -> None:
    model = load_text_model(text_config.model, ["a", "b"], seed=0)
    texts = ("Good soup, good day!",)
    game = text_game(model, texts)
    assert game is not None
    assert [feature.text for feature in game.features] == ["Good", "soup,", "good", "day!"]
    assert game.keys == ("good", "soup", "good", "day")
    whole = model.predict(model.encode([texts]))
    np.testing.assert_allclose(game.outputs(np.ones((1, 4), bool)), whole, atol=1e-6)
    row = model.encode([texts])[0]
    offsets = model.tokenizer(*texts, return_offsets_mapping=True, max_length=32, truncation=True)["offset_mapping"]
    mask = [0 if 5 <= start < 10 and stop > start else 1 for start, stop in offsets]  # all tokens of "soup,"
    without = model.predict([{**row, "attention_mask": mask}])
    np.testing.assert_allclose(game.outputs(np.array([[True, False, True, True]])), without, atol=1e-6)
    assert text_game(model, (" ",)) is None


def test_both_texts_of_a_pair_have_players(text_config: Config) -> None:
    model = load_text_model(text_config.model, ["a", "b"], seed=0)
    game = text_game(model, ("good soup", "bad day"))
    assert game is not None
    assert [(feature.text, feature.in_pair) for feature in game.features] == [
        ("good", False),
        ("soup", False),
        ("bad", True),
        ("day", True),
    ]


def test_an_absent_column_has_the_values_of_the_background() -> None:
    train_rows = TableRows(np.array([[1.0], [3.0]], np.float32), np.array([[2], [4]]))
    background = background_rows(train_rows, seed=0)
    row = TableRows(np.array([[10.0]], np.float32), np.array([[7]]))

    def predict(rows: TableRows) -> np.ndarray:
        return rows.numbers + 100 * rows.codes

    game = table_game(row, {"n": 10.0, "c": "x"}, [("n", [0], []), ("c", [], [0])], background, predict)
    present = np.array([[False, False], [True, False], [False, True], [True, True]])
    assert game.outputs(present)[:, 0].tolist() == [302.0, 310.0, 702.0, 710.0]


def test_the_fields_of_an_image_cover_it_once_and_absent_ones_have_their_mean_colour() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 20, 3), dtype=np.uint8)
    seen: list[np.ndarray] = []

    class Model:
        def predict(self, shown: np.ndarray, places: np.ndarray) -> np.ndarray:
            seen.append(shown[places])
            return shown.mean(axis=(1, 2))

    game = image_game(Model(), pixels)  # type: ignore[arg-type]
    segments = [feature.segment for feature in game.features]
    assert sum(segment.pixels for segment in segments if segment) == 9 * 20
    players = len(game.features)
    game.outputs(np.stack([np.ones(players, bool), np.zeros(players, bool)]))
    np.testing.assert_array_equal(seen[0][0], pixels)
    first = segments[0]
    assert first is not None
    inside = pixels[first.top : first.bottom, first.left : first.right].reshape(-1, 3)
    np.testing.assert_array_equal(seen[0][1][0, 0], np.round(inside.mean(axis=0)))
    assert {"upper left", "centre", "lower right"} <= set(game.keys)


def test_slices_are_told_the_worst_first_and_say_when_they_are_not_as_all() -> None:
    right = np.array([1.0] * 60 + [0.0] * 40)
    groups = {
        "bad": np.arange(100) >= 60,
        "mixed": np.arange(100) % 2 == 0,
        "few": np.arange(100) < 19,
        "all": np.ones(100, bool),
    }
    found = slices(groups, right, large_is_bad=False)
    assert [(one.name, one.rows, one.apart) for one in found] == [("bad", 40, True), ("mixed", 50, False)]
    assert [one.name for one in slices(groups, 1 - right, large_is_bad=True)] == ["bad", "mixed"]


def test_a_slice_that_is_always_told_is_told_behind_many_that_are_worse() -> None:
    right = np.array([0.0] * 80 + [1.0] * 20)
    groups = {f"bad {number:02}": np.arange(100) < 80 - number for number in range(15)} | {
        "asked": np.arange(100) >= 80
    }
    assert "asked" not in [one.name for one in slices(groups, right, large_is_bad=False)]
    found = [one.name for one in slices(groups, right, large_is_bad=False, always={"asked"})]
    assert len(found) == 12
    assert found[-1] == "asked"


def test_thirds_leave_out_what_is_missing() -> None:
    parts = dict(thirds(np.array([1.0, 2.0, 3.0, np.nan, 4.0, 5.0, 6.0]), ("low", "middle", "high")))
    assert {name: rows.sum() for name, rows in parts.items()} == {
        "low (1 to 2)": 2,
        "middle (3 to 4)": 2,
        "high (5 to 6)": 2,
    }
    assert list(thirds(np.array([np.nan]), ("low", "middle", "high"))) == []


@pytest.mark.parametrize("kind", ["text", "table", "image"])
def test_the_report_of_every_kind_explains(kind: str, request: pytest.FixtureRequest) -> None:
    config: Config | TableConfig | ImageConfig = request.getfixturevalue(f"{kind}_config")
    config = replace(config, output=replace(config.output, explained=6))  # type: ignore[arg-type]
    page = (Path(train(config)) / "report.html").read_text(encoding="utf-8")
    for part in ("<h2>What counts</h2>", "explained</h2>", "Verdict:", "<h2>Words</h2>", 'class="explicate"'):
        assert part in page
    assert "ROC and precision-recall curves" in page
