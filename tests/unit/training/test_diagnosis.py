"""Where a model errs: slices that are found where errors are planted, and not confirmed where there are none."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.tree import DecisionTreeRegressor

import explicate
from explicate.cli.main import main
from explicate.scoring.conditions.row_rules import quoted_name, quoted_text, rows_of
from explicate_bundle.images import picture_figures
from explicate_training.config.sections import OutputConfig
from explicate_training.diagnosis.found_slices import _leaves, find_slices
from explicate_training.diagnosis.row_questions import features_of
from explicate_training.report.explanations import Game, explain_rows
from explicate_training.table.config import TableConfig
from explicate_training.tasks.classification import Classification
from explicate_training.tasks.task import Evaluation
from explicate_training.train import train

CITIES = ("rome", "oslo", 'so "called"', "back\\slash")


def people(rows: int, seed: int) -> tuple[dict[str, Sequence[Any]], np.random.Generator]:
    """What rows of a table tell of themselves; cells are missing, and names want quotes."""
    stream = np.random.default_rng(seed)
    missing = stream.random((3, rows)) < 0.1
    return {
        "age": [None if gap else int(age) for age, gap in zip(stream.integers(18, 90, rows), missing[0], strict=True)],
        "the income": [
            None if gap else float(value) for value, gap in zip(stream.normal(0, 1e-3, rows), missing[1], strict=True)
        ],
        "city": [None if gap else str(city) for city, gap in zip(stream.choice(CITIES, rows), missing[2], strict=True)],
        "member": [bool(one) for one in stream.integers(0, 2, rows)],
        "number": [f"n{row}" for row in range(rows)],
    }, stream


def rightly(fields: Any, stream: np.random.Generator, *, there: float, elsewhere: float) -> np.ndarray:
    """1 for a right answer: rarer where the age is above 60 and the city is Oslo."""
    bad = np.array(
        [(age or 0) > 60 and city == "oslo" for age, city in zip(fields["age"], fields["city"], strict=True)]
    )
    return (stream.random(len(bad)) < np.where(bad, there, elsewhere)).astype(float)


def test_planted_errors_are_found_confirmed_and_written_as_a_rule() -> None:
    validation, first = people(1200, 0)
    test, second = people(1200, 1)
    known = {"there": 0.4, "elsewhere": 0.92}
    found = find_slices(
        validation, rightly(validation, first, **known), test, rightly(test, second, **known), large_is_bad=False
    )
    worst = found[0]
    assert worst.confirmed
    assert 'city == "oslo"' in worst.rule
    assert "age > 6" in worst.rule or "age > 5" in worst.rule
    inside = np.array(rows_of(worst.rule, test))
    assert inside.sum() == worst.test_rows
    assert worst.value is not None
    assert worst.rest is not None
    assert worst.lower is not None
    assert worst.upper is not None
    assert worst.lower < worst.value < worst.upper < worst.rest


def test_an_error_of_numbers_is_large_where_it_is_bad() -> None:
    validation, first = people(800, 2)
    test, second = people(800, 3)
    sizes = [
        1 - rightly(fields, stream, there=0.2, elsewhere=0.95)
        for fields, stream in ((validation, first), (test, second))
    ]
    found = find_slices(validation, sizes[0], test, sizes[1], large_is_bad=True)
    assert found[0].confirmed
    assert found[0].value > found[0].rest


def test_what_is_found_among_errors_at_random_is_seldom_confirmed() -> None:
    wrongly = 0
    for seed in range(40):
        validation, first = people(300, 10 + seed)
        test, second = people(300, 1000 + seed)
        found = find_slices(
            validation,
            (first.random(300) < 0.8).astype(float),
            test,
            (second.random(300) < 0.8).astype(float),
            large_is_bad=False,
        )
        assert found
        assert all(one.confirmed or one.why_not for one in found)
        wrongly += any(one.confirmed for one in found)
    assert wrongly <= 6  # of 40 with a chance of .05 each: more in 1 of 100


def test_every_row_is_in_the_rule_of_exactly_one_leaf() -> None:
    fields, stream = people(600, 5)
    errors = stream.random(600) + np.array([(age or 100) / 100 for age in fields["age"]])
    features = features_of(fields, errors, fewest=20)
    tree = DecisionTreeRegressor(max_depth=4, min_samples_leaf=20, random_state=0)
    matrix = np.stack([feature.values for feature in features], axis=1)
    tree.fit(matrix, errors)
    rules = [rule for rule, _ in _leaves(tree.tree_, features)]
    inside = np.array([rows_of(rule, fields) for rule in rules])
    assert len(rules) == tree.get_n_leaves() > 8
    assert inside.sum(axis=0).tolist() == [1] * 600
    assert sorted(inside.sum(axis=1)) == sorted(np.unique(tree.apply(matrix), return_counts=True)[1])


def test_texts_are_asked_for_words_and_negation() -> None:
    stream = np.random.default_rng(0)
    words = ["soup", "tea", "good", "bad", "warm", "cold", "salt"]
    parts: list[tuple[dict[str, Sequence[Any]], np.ndarray]] = []
    for _ in range(2):
        texts = [" ".join([*stream.choice(words, 5), *["isn't"] * (row % 3 == 0)]) for row in range(400)]
        denied = np.array(["n't" in text for text in texts])
        right = (stream.random(400) < np.where(denied, 0.3, 0.95)).astype(float)
        parts.append(({"words": [len(text.split()) for text in texts], "text": texts}, right))
    worst = find_slices(*parts[0], *parts[1], large_is_bad=False)[0]
    assert worst.confirmed
    assert "any_word(not, no, never, n't, cannot)" in worst.rule or "words > 5" in worst.rule


def test_where_all_is_right_nothing_is_found() -> None:
    fields, _ = people(200, 0)
    assert find_slices(fields, np.ones(200), fields, np.ones(200), large_is_bad=False) == []


@pytest.mark.parametrize("name", ["plain", "two words", "or", "a`b", "2nd", "p"])
def test_names_and_texts_are_quoted_as_rules_read_them(name: str) -> None:
    known = {name: ['a "b" \\ c', "d"]}
    assert rows_of(f"{quoted_name(name)} == {quoted_text(known[name][0])}", known) == [True, False]


def test_confusions_have_the_means_of_the_attributions_of_both_sides() -> None:
    logits = np.array([[2.0, 0.0]] * 6 + [[0.0, 2.0]] * 5 + [[0.0, 3.0]] * 4)
    targets = np.array([0] * 11 + [1] * 4)  # five of class 0 are taken for class 1

    def game(row: int) -> Game:
        features = tuple(explicate.Feature(column=name, values={name: 1.0}) for name in ("a", "b"))

        def outputs(present: np.ndarray) -> np.ndarray:
            return (present @ np.array([0.75, 0.25]))[:, np.newaxis] * logits[row]

        return Game(features, ("a", "b"), outputs, {"row": {"a": 1.0, "b": 1.0}})

    found = explain_rows(
        game, Classification(), Evaluation(logits, targets, {}), ["good", "bad"],
        target_name="", count=15, limit_s=60.0, seed=0,
    )  # fmt: skip
    (one,) = found.confusions
    assert (one.true, one.answered, one.right_rows, one.wrong_rows) == ("good", "bad", 6, 5)
    assert (one.right_explained, one.wrong_explained) == (6, 5)

    def shapley(part: float, sign: float) -> float:  # of two players, of p(good) - p(bad)
        def worth(share: float) -> float:
            return float(np.tanh(sign * share))  # softmax of [2s, 0]: p - (1 - p)

        return (worth(part) + worth(1.0) - worth(1.0 - part)) / 2

    parts = {name: (right, wrong) for name, right, wrong in one.parts}
    assert parts["a"] == pytest.approx((shapley(0.75, 1), shapley(0.75, -1)), abs=1e-6)
    assert parts["b"] == pytest.approx((shapley(0.25, 1), shapley(0.25, -1)), abs=1e-6)


def test_a_run_has_its_diagnosis_and_the_command_tells_it(
    table_config: TableConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    output = OutputConfig(table_config.output.directory, explained=6)
    run = train(replace(table_config, output=output))
    document = json.loads((run / "diagnosis.json").read_text(encoding="utf-8"))
    assert document["test_rows"] == json.loads((run / "metrics.json").read_text())["test"]["rows"]
    capsys.readouterr()
    assert main(["diagnose", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document
    assert main(["diagnose", str(run)]) == 0
    assert "answered rightly: " in capsys.readouterr().out


def test_confirmed_rules_become_the_slices_of_a_standard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    rules = ['city == "so \\"called\\""', "age > 6"]
    document = {"slices": [{"rule": rule, "confirmed": place == 0} for place, rule in enumerate(rules)]}
    (tmp_path / "diagnosis.json").write_text(json.dumps(document), encoding="utf-8")
    assert main(["diagnose", str(tmp_path), "--toml"]) == 0
    assert tomllib.loads(capsys.readouterr().out) == {"slices": {"worse-1": rules[0]}}
    assert main(["diagnose", str(tmp_path / "none")]) == 2
    assert "has no diagnosis.json: give the folder of a finished run" in capsys.readouterr().err


def test_figures_of_pictures_are_those_of_their_pixels() -> None:
    grey = np.zeros((40, 60, 3), np.uint8)
    grey[:, 30:] = 255
    found = picture_figures(Image.fromarray(grey))
    assert found == {
        "width": 60, "height": 40, "brightness": 0.5, "contrast": 0.5, "sharpness": round(1 / 59 / 2, 4),
        "saturation": 0.0,
    }  # fmt: skip
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 255
    assert picture_figures(Image.fromarray(red))["saturation"] == 1.0
