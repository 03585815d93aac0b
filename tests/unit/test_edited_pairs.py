"""The building blocks of `benchmarks.edited_pairs`, on pairs made here."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from benchmarks import edited_pairs
from benchmarks.edited_pairs import Answers, Pair, drawn, edited_words, figures, plausibility, read_pairs


def test_pairs_are_read_with_the_original_first_and_without_markup(tmp_path: Path) -> None:
    path = tmp_path / "dev_paired.tsv"
    path.write_text(
        "Sentiment\tText\tbatch_id\n"
        "Negative\tBad.<br /><br />Do not see it\t4\nPositive\tGood. Do see it\t4\n"
        'Positive\t"A ""great"" one"\t5\nNegative\tA sad one\t5\n'
        "Positive\talone\t6\nPositive\ta\t7\nPositive\tb\t7\n",
        encoding="utf-8",
    )
    assert read_pairs(path) == [
        Pair("4", ("Bad. Do not see it", "Good. Do see it"), (False, True)),
        Pair("5", ('A "great" one', "A sad one"), (True, False)),
    ]


@pytest.mark.parametrize(
    ("text", "other", "words"),
    [
        ("Long, boring, bad. So glad to see it.", "Long, fine, good. So sad to see it.", ["boring,", "bad.", "glad"]),
        ("I like it", "I do not like it", []),
        ("I do not like it", "I like it", ["do", "not"]),
        ("It was bad!", "it was BAD", []),  # case and signs at the edges
        ("a b", "c d", ["a", "b"]),
    ],
)
def test_edited_words_are_those_that_the_other_lacks(text: str, other: str, words: list[str]) -> None:
    assert [text[start:stop] for start, stop in edited_words(text, other)] == words


def test_plausibility_is_what_is_above_chance() -> None:
    assert plausibility([3, 2, 1, 0], [True, True, False, False]) == pytest.approx(1)
    assert plausibility([1, 1, 1, 1], [True, False, False, False]) == pytest.approx(0)  # no order at all
    stream = np.random.default_rng(0)
    values, named = stream.integers(0, 5, 40), stream.random(40) < 0.3
    area, share = average_precision_score(named, values), named.mean()
    assert plausibility(values.tolist(), named.tolist()) == pytest.approx((area - share) / (1 - share))
    assert plausibility([1, 2], [True, True]) is None
    assert plausibility([1, 2], [False, False]) is None


def test_answers_survive_a_run_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "answers" / "one.jsonl"
    answers = Answers(path)
    answers.add("right", "4", "original", True)
    answers.add("plausibility", "4", "edited", None)
    path.write_text(path.read_text() + '["right", "4", "ed')
    again = Answers(path)
    assert again.has("right", "4", "original")
    assert again.has("plausibility", "4", "edited")
    assert not again.has("right", "4", "edited")


def test_figures_count_pairs_on_both_sides(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "one.jsonl")
    pairs = [Pair(str(number), ("a", "b"), (True, False)) for number in range(4)]
    for number, (first, second) in enumerate([(True, True), (True, False), (False, True), (True, True)]):
        answers.add("right", str(number), "original", first)
        answers.add("right", str(number), "edited", second)
    answers.add("plausibility", "0", "original", 0.5)
    answers.add("plausibility", "0", "edited", None)  # whose words the other text has, too
    answers.add("plausibility", "1", "original", 0.1)
    answers.add("plausibility", "1", "edited", 0.3)
    found = figures(answers, pairs, pairs[:2])
    assert {name: value for name, (value, *_) in found.items()} == {
        "accuracy on originals": 0.75,
        "accuracy on edits": 0.75,
        "right on both": 0.5,
        "plausibility": pytest.approx((0.5 + 0.2) / 2),
    }
    for value, lower, upper in found.values():
        assert lower <= value <= upper
    assert math.isnan(figures(answers, pairs, [])["plausibility"][0])


def test_draws_are_the_same_for_a_seed_and_keep_to_short_reviews() -> None:
    pairs = [Pair(str(words), ("a " * words, "b"), (True, False)) for words in range(1, 40)]
    first = drawn(pairs, 10, most_words=20)
    assert first == drawn(pairs, 10, most_words=20)
    assert len(set(first)) == 10
    assert max(len(pair.texts[0].split()) for pair in first) <= 20


def test_without_the_folder_it_says_so_and_asks_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["edited_pairs", "nowhere/model/1", "--data", str(tmp_path)])
    edited_pairs.main()
    assert f"nothing is measured: {tmp_path}" in capsys.readouterr().err
