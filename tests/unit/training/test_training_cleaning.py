"""Cleaning and splitting: what is dropped and counted, and that no text stands in two splits."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explicate.errors import UsageError
from explicate_training.data.cleaning import HELD_OUT
from explicate_training.data.labels import sorted_labels
from explicate_training.data.splits import Splits, split_data, stratified_places
from explicate_training.tasks.registry import task_named
from explicate_training.text.cleaning import (
    BLANK,
    CONFLICT,
    EXACT,
    FOLDED,
    INVALID,
    MISSING,
    NEAR,
    CleanTexts,
    clean_texts,
)
from explicate_training.text.config import DataConfig
from explicate_training.text.data import RawRow, TextSet
from explicate_training.text.folding import NearIdenticalTexts, fold, jaccard, shingles

CONFIG = DataConfig(train="unused", minimum_class_count=3)
LONG = "this tea came quickly and it tastes as good as the one that we had in the small shop near the sea last summer"


def train_rows(*pairs: tuple[str | None, str | None]) -> list[RawRow]:
    return [RawRow("train", text, label) for text, label in pairs]


def kept(data: CleanTexts, split: str) -> list[str]:
    return [text for (text,) in data.texts.take(data.texts.splits == split).texts]


def divided(data: CleanTexts, *, seed: int) -> Splits[TextSet]:
    return split_data(data.texts, task_named(CONFIG.task), CONFIG, seed=seed)


def filler() -> list[RawRow]:
    """Enough unrelated texts of both classes that the classes are not too rare."""
    return train_rows(*((f"filler{index} {label}", label) for label in ("good", "bad") for index in range(5)))


def test_each_reason_is_counted_once_for_each_row_it_drops() -> None:
    rows = [
        *filler(),
        *train_rows(
            (None, "good"),
            ("no label", None),
            ("", "good"),
            (" \u200b\n", "good"),
            ("broken \ud800", "good"),
            ("So so.", "good"),
            ("so so", "bad"),
            ("SO SO!", "good"),
            ("Fine cake", "good"),
            ("Fine cake", "good"),
            ("fine, cake!", "good"),
            (LONG, "good"),
            (LONG.replace("summer", "winter"), "bad"),
        ),
    ]
    data = clean_texts(rows, CONFIG)
    assert data.report.dropped == {MISSING: 2, BLANK: 2, INVALID: 1, CONFLICT: 3, EXACT: 1, FOLDED: 1, NEAR: 1}
    assert data.report.near_with_other_label == 1
    assert set(kept(data, "train")) >= {"Fine cake", LONG}
    assert len(kept(data, "train")) == len(filler()) + 2
    assert {example["label"] for example in data.report.examples[CONFLICT]} == {"good", "bad"}


def test_given_test_set_is_kept_and_training_makes_room() -> None:
    test = [RawRow("test", text, "good") for text in ("Fine cake", "Fine cake", LONG)] + [RawRow("test", None, "good")]
    rows = [
        *filler(),
        *train_rows(("fine cake!", "bad"), (LONG.replace("summer", "winter"), "good"), ("Only here", "good")),
        *test,
    ]
    data = clean_texts(rows, CONFIG)
    assert kept(data, "test") == ["Fine cake", "Fine cake", LONG]
    assert data.report.dropped == {HELD_OUT: 2, MISSING: 1}
    assert data.report.test_duplicates_kept == 1
    assert len(kept(data, "train")) == len(filler()) + 1


def test_threshold_of_one_keeps_texts_that_are_only_nearly_the_same() -> None:
    rows = [*filler(), *train_rows((LONG, "good"), (LONG.replace("summer", "winter"), "good"))]
    config = DataConfig(train="unused", minimum_class_count=3, near_duplicate_threshold=1.0)
    assert len(kept(clean_texts(rows, config), "train")) == len(rows)


def test_rare_class_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"too few texts of class 'ugly' \(1\) after cleaning: each class needs 3"):
        clean_texts([*filler(), *train_rows(("a rare one", "ugly"))], CONFIG)


def test_single_class_is_refused() -> None:
    with pytest.raises(UsageError, match=r"1 class\(es\) after cleaning"):
        clean_texts(train_rows(("a", "good"), ("b", "good"), ("c", "good")), CONFIG)


def test_class_that_only_the_test_set_has_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="the test set has classes that the training data lacks: ugly"):
        clean_texts([*filler(), RawRow("test", "new", "ugly")], CONFIG)


def test_given_test_set_with_nothing_usable_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing is left of the given test set"):
        clean_texts([*filler(), RawRow("test", "  ", "good")], CONFIG)


def test_hash_changes_with_any_text_and_not_with_dropped_rows() -> None:
    base = clean_texts(filler(), CONFIG).sha256
    assert clean_texts([*filler(), *train_rows((None, "good"))], CONFIG).sha256 == base
    assert clean_texts([*filler(), *train_rows(("one more", "good"))], CONFIG).sha256 != base


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Great,\tTEA!! ", "great tea"),
        ("Straße", "strasse"),
        ("ﬁne", "fine"),
        ("!!!", "!!!"),
        (" ?  ! ", "? !"),
        ("C++ 😀", "c++ 😀"),
        ("\u200b \n", ""),
    ],
)
def test_folding_keeps_words_and_symbols(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_near_identity_is_the_jaccard_index_of_word_3_grams() -> None:
    # 8 words have 6 3-grams; another last word changes one of them: 5 shared of 7.
    a, b = shingles("a b c d e f g h"), shingles("a b c d e f g x")
    assert jaccard(a, b) == pytest.approx(5 / 7)
    for threshold, found in ((5 / 7, 0), (5 / 7 + 1e-9, None)):
        texts = NearIdenticalTexts(threshold)
        texts.add("a b c d e f g h")
        assert texts.find("a b c d e f g x") == found


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert len(shingles("这个茶很好喝")) == 4


WORDS = st.sampled_from(["tea", "cake", "good", "bad", "very", "stale", "fresh", "box", "and", "the"])
DECORATIONS = st.sampled_from([str, str.upper, str.title, "{}!".format, " {} ".format, "({})".format])
DECORATED = st.builds(lambda words, decorate: decorate(" ".join(words)), st.lists(WORDS, max_size=12), DECORATIONS)
RAW_ROWS = st.lists(
    st.builds(
        RawRow,
        st.sampled_from(["train", "train", "train", "validation", "test"]),
        st.one_of(st.none(), DECORATED),
        st.sampled_from(["good", "bad", None]),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(rows=RAW_ROWS, seed=st.integers(0, 5))
def test_no_text_stands_in_two_splits_not_even_a_near_identical_one(rows: list[RawRow], seed: int) -> None:
    rows = [*filler(), *rows]
    try:
        data = clean_texts(rows, CONFIG)
    except UsageError as error:
        if "nothing is left of the given" not in str(error):
            raise
        return
    assert data.report.read.total() == len(data.texts) + data.report.dropped.total()
    splits = divided(data, seed=seed).by_name()
    held = {split: [shingles(fold(text)) for (text,) in part.texts] for split, part in splits.items()}
    for one, other in combinations(held, 2):
        for a in held[one]:
            assert all(jaccard(a, b) < CONFIG.near_duplicate_threshold for b in held[other])
    assert Counter(text for part in splits.values() for text in part.texts) == Counter(data.texts.texts)


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(2, 60), min_size=2, max_size=4),
    fraction=st.floats(0.02, 0.5),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_class_is_split_in_its_share(counts: list[int], fraction: float, seed: int) -> None:
    labels = [str(label) for label, count in enumerate(counts) for _ in range(count)]
    taken = stratified_places(labels, fraction, seed=seed)
    assert taken <= set(range(len(labels)))
    for label, count in enumerate(counts):
        share = sum(labels[place] == str(label) for place in taken)
        assert 1 <= share < count
        assert abs(share - fraction * count) <= 1
    assert stratified_places(labels, fraction, seed=seed) == taken


def test_another_seed_splits_otherwise() -> None:
    assert stratified_places(["a"] * 40, 0.5, seed=0) != stratified_places(["a"] * 40, 0.5, seed=1)


def test_split_sizes_follow_the_fractions_when_nothing_is_given() -> None:
    rows = [RawRow("train", f"text number{index} {label}", label) for label in "ab" for index in range(100)]
    splits = divided(clean_texts(rows, CONFIG), seed=0)
    assert (len(splits.test), len(splits.validation), len(splits.train)) == (30, 16, 154)  # 15 %, then 10 % of 85


def test_numeric_labels_are_ordered_by_value() -> None:
    assert sorted_labels({"10", "9", "b", "a"}) == ["9", "10", "a", "b"]


def test_every_split_name_is_known_to_the_cleaner() -> None:
    rows = [*filler(), RawRow("test", "a test", "good"), RawRow("validation", "a try", "bad")]
    assert list(dict.fromkeys(clean_texts(rows, CONFIG).texts.splits)) == ["train", "validation", "test"]
