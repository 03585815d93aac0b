"""Words of lexicons, lists and rationales, and where they are in texts."""

from pathlib import Path

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_bundle.players.word_swaps import Swaps, WordFinder, cased
from explicate_training.interpretability.texts.marks import Lexicon, Mark, RationaleColumn, player_targets
from explicate_training.interpretability.texts.word_lists import read_lexicon, read_word_lists

COLUMN = RationaleColumn("why", ",")


def found(words: list[str], text: str) -> list[str]:
    return [text[one.start : one.stop] for one in WordFinder(words).find(text)]


@pytest.mark.parametrize(
    ("words", "text", "parts"),
    [
        (["great"], "Great, greater, GREAT!", ["Great", "GREAT"]),  # whole words, any case
        (["not good", "good"], "Not good. So good", ["Not good", "good"]),  # the longer of two
        (["don't", "don"], "don't Don Don's", ["don't", "Don", "Don"]),
        (["well", "well-made"], "a well-made one, well", ["well-made", "well"]),
        ([":)"], "nice :) nice:)", [":)", ":)"]),
        (["好吃"], "很好吃", ["好吃"]),  # no spaces between words
        (["a", "b"], "", []),
        (["straße"], "In der Straße, STRASSE", ["Straße", "STRASSE"]),  # which fold alike
        (["", "  "], "nothing", []),
    ],
)
def test_words_are_found_whole(words: list[str], text: str, parts: list[str]) -> None:
    assert found(words, text) == parts


@pytest.mark.parametrize(
    ("cell", "marks"),
    [
        ('["good", "never again"]', [Mark(0, 2, 6), Mark(0, 9, 20)]),
        ("[[2, 6], [10, 15]]", [Mark(0, 2, 6), Mark(0, 10, 15)]),
        ("good, never again", [Mark(0, 2, 6), Mark(0, 9, 20)]),
        ([[2, 6]], [Mark(0, 2, 6)]),  # a list of JSON or Parquet
        (["GOOD"], [Mark(0, 2, 6)]),
    ],
)
def test_a_cell_marks_words_or_spans(cell: object, marks: list[Mark]) -> None:
    assert COLUMN.marks(cell, ("a good   never again",), "row 1") == tuple(marks)


@pytest.mark.parametrize("cell", [None, "", "  ", "[]", float("nan"), " , "])
def test_an_empty_cell_is_no_rationale(cell: object) -> None:
    assert COLUMN.marks(cell, ("text",), "row 1") is None


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (
            "greet",
            "a.csv row 7: the rationale 'greet' is not in its text 'a great, long text': correct the column 'why'",
        ),
        ('["great", "tex"]', "the rationale 'tex' is not in its text"),  # whole words
        ("[[2, 70]]", r"the rationale [2, 70] in 'why' is no part of its text of 19 characters"),
        ("[[7, 7]]", r"the rationale [7, 7] in 'why' is no part"),
        ("[[true, 5]]", "is no part of its text"),
        ("[2, 7]", "the rationale 2 in 'why' is no part of its text"),
        ('["great"', "the rationale in 'why' is not valid JSON"),
        (5, "the rationale in 'why' is 5: write words with ',' between them"),
    ],
)
def test_a_rationale_that_is_not_in_its_text_names_its_row(cell: object, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        COLUMN.marks(cell, ("a great, long text",), "a.csv row 7")
    assert sentence.partition("of 19")[0] in str(refused.value)
    assert str(refused.value).startswith("a.csv row 7: ")


def test_words_are_found_in_both_texts_of_a_pair_and_spans_are_refused() -> None:
    pair = ("is it red?", "it is red")
    assert COLUMN.marks("red", pair, "row 1") == (Mark(0, 6, 9), Mark(1, 6, 9))
    with pytest.raises(UsageError, match="row 1: a span does not say of which text of a pair it is"):
        COLUMN.marks("[[0, 2]]", pair, "row 1")


def test_a_lexicon_marks_its_words_with_weights_relative_to_the_largest(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text("\ufeffGreat\t4\nbad\t-2\n\nso so\nnone\t0\n", encoding="utf-8")
    weights = read_lexicon(str(path), "o")
    assert weights == {"great": 1, "bad": 0.5, "so so": 0.25}
    lexicon = Lexicon(weights)
    assert lexicon.marks(("Great, not bad.", "so so")) == (Mark(0, 0, 5, 1), Mark(0, 11, 14, 0.5), Mark(1, 0, 5, 0.25))
    assert lexicon.marks_of_all([("nothing",), ("bad",)], "l") == [None, (Mark(0, 0, 3, 0.5),)]
    with pytest.raises(UsageError, match=r"interpretability\.rationales: none of the 3 words of l is in the texts"):
        lexicon.marks_of_all([("nothing",)], "l")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("great\t1\nbad\tvery\n", "line 2: 'very' is not a number"),
        ("\n \n", "is empty: write a word in each line"),
        ("great\t0\n", "has no word of a finite weight"),
        ("great\t1\n\t2\n", "line 2 has no word"),
        ("great\tnan\n", "has no word of a finite weight"),
        (None, "does not exist"),
        (b"\xff\xfe\x00", "cannot be read as UTF-8 text"),
    ],
)
def test_a_lexicon_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, content: str | bytes | None, sentence: str
) -> None:
    path = tmp_path / "words.tsv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as refused:
        read_lexicon(str(path), "interpretability.rationales")
    assert sentence in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_targets_of_players_are_the_most_of_what_lies_in_them() -> None:
    marks = (Mark(0, 2, 7, 0.5), Mark(0, 5, 6, 1.0), Mark(1, 0, 1, 0.25))
    assert player_targets(marks, [(0, 0, 2), (0, 2, 4), (0, 4, 9), (1, 0, 3)]) == [0.0, 0.5, 1.0, 0.25]


def test_lists_are_the_words_of_the_config_and_those_of_each_file(tmp_path: Path) -> None:
    one, pairs = tmp_path / "names.txt", tmp_path / "pairs.tsv"
    one.write_text("Anna\nBen\nCem\n")
    pairs.write_text("he\tshe\nhis\ther\n")
    assert read_word_lists(["red", str(one), "blue", str(pairs)], "o") == [
        ("red", "blue"), ("Anna", "Ben", "Cem"), ("he", "she"), ("his", "her"),
    ]  # fmt: skip


def test_a_list_of_one_word_has_nothing_to_swap_it_with(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("he\tshe\nhis\tHIS\n")
    for entries, where in ((["alone"], "o has"), ([str(path)], r"o: .*pairs\.tsv line 2 has"), (["a", "A"], "o has")):
        with pytest.raises(UsageError, match=f"{where} a single word, '.*', and nothing to swap it with"):
            read_word_lists(entries, "o")
    with pytest.raises(UsageError, match=r"o: nowhere\.txt does not exist"):
        read_word_lists(["nowhere.txt", "a", "b"], "o")


def test_swaps_stay_in_their_list_keep_case_and_are_the_same_in_the_whole_row() -> None:
    swaps = Swaps([("he", "she"), ("Anna", "Ben", "Cem")])
    stream = np.random.Generator(np.random.Philox(0))
    assert swaps.swapped(("He said he'd, HE said the", "he"), stream) == ("She said she'd, SHE said the", "she")
    drawn = {swaps.swapped(("ANNA and Anna",), stream) for _ in range(30)}
    assert drawn == {("BEN and Ben",), ("CEM and Cem",)}
    assert swaps.swapped(("nobody",), stream) is None
    assert not swaps.has(("nobody", "there"))
    assert sorted(swaps.several(("anna",), 4, stream)) == [("Ben",), ("Cem",)]
    assert swaps.several(("nobody",), 4, stream) == []


def test_case_of_a_swapped_word() -> None:
    assert [cased("ben", like) for like in ("ANNA", "Anna", "anna", "A", "a")] == ["BEN", "Ben", "ben", "Ben", "ben"]
