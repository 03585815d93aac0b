"""Edited copies of training texts: what is edited, what is kept, and where copies go."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate_training.interpretability.texts.marks import Mark, Marks
from explicate_training.text.augmentation.edit_options import TextAugmentation
from explicate_training.text.augmentation.edits import edited, read_synonyms
from explicate_training.text.config import FewShotConfig
from explicate_training.train import prepare_data
from support.few_labels import few_labels_config

TEXT = "This coffee is really great, but the box was not closed."


def changed(
    text: str = TEXT, marks: Marks | None = None, *, seed: int = 0, synonyms: Any = None, **options: Any
) -> tuple[str, Marks | None]:
    stream = np.random.default_rng(seed)
    (found,), moved = edited((text,), marks, TextAugmentation(**options), synonyms or {}, stream)
    return found, moved


def test_deletion_leaves_out_words_and_the_space_before_them() -> None:
    found, _ = changed("one two three four five six", deletion=0.5)
    kept = found.split()
    assert 0 < len(kept) < 6
    assert kept == [word for word in ["one", "two", "three", "four", "five", "six"] if word in kept]
    assert "  " not in found
    assert found == found.strip()


def test_a_swap_moves_words_and_changes_none() -> None:
    found, _ = changed("one two three four five six", swap=0.5)
    assert found != "one two three four five six"
    assert sorted(found.split()) == sorted(["one", "two", "three", "four", "five", "six"])


def test_typos_are_of_longer_words_and_inside_them() -> None:
    found, _ = changed("big wonderful cup", typos=1.0)
    first, middle, last = found.split()
    assert (first, last) == ("big", "cup")
    assert middle != "wonderful"
    assert (middle[0], middle[-1]) == ("w", "l")


def test_synonyms_keep_the_capital_and_the_punctuation(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("great, splendid\nbox, carton, crate\n")
    synonyms = read_synonyms(str(tmp_path / "words.txt"))
    found, _ = changed("Great, a box.", synonym=1.0, synonyms=synonyms)
    assert found in ("Splendid, a carton.", "Splendid, a crate.")


def test_negations_and_words_of_a_rationale_are_never_lost_or_changed() -> None:
    start = TEXT.index("great")
    marks: Marks = (Mark(0, start, start + 5, 0.5),)
    for seed in range(30):
        found, moved = changed(marks=marks, seed=seed, deletion=0.5, typos=0.5, swap=0.5)
        assert "not" in found.split()
        assert moved is not None
        (mark,) = moved
        assert found[mark.start : mark.stop].startswith("great")
        assert mark.weight == 0.5


def test_the_same_draw_gives_the_same_text_and_an_edit_that_is_off_moves_no_other() -> None:
    assert changed(deletion=0.3) == changed(deletion=0.3)
    assert changed(deletion=0.3, seed=1) != changed(deletion=0.3)


@pytest.mark.parametrize(
    ("content", "named"), [("alone\n", "line 1: 'alone' stands alone"), ("", "has no words"), (None, "cannot be read")]
)
def test_a_wrong_list_of_synonyms_is_refused(tmp_path: Path, content: str | None, named: str) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=named):
        read_synonyms(str(path))


def test_synonyms_need_their_list() -> None:
    with pytest.raises(UsageError, match=r"augmentation\.synonym needs augmentation\.synonyms"):
        TextAugmentation(synonym=0.1).check()


def test_copies_go_into_the_training_part_alone_with_their_labels(tmp_path: Path) -> None:
    plain = few_labels_config(tmp_path, few_shot=FewShotConfig())
    config = replace(plain, augmentation=TextAugmentation(copies=2, swap=0.5, deletion=0.2))
    before: Any = prepare_data(plain, lambda _: None)
    after: Any = prepare_data(config, lambda _: None)
    after.load()
    for name in ("validation", "test"):
        held = before.splits.by_name()[name]
        assert after.splits.by_name()[name].texts.tolist() == held.texts.tolist()
    originals = len(before.splits.train)
    train = after.splits.train
    assert train.texts[:originals].tolist() == before.splits.train.texts.tolist()
    assert originals < len(train) <= 3 * originals
    cues = {"fine": {"good", "great", "love", "perfect"}, "broken": {"bad", "return", "waste", "stale"}}
    of_texts = {tuple(sorted(text.split())): label for (text,), label in zip(train.texts, train.labels, strict=True)}
    for words, label in of_texts.items():
        other = cues["broken" if label == "fine" else "fine"]
        assert not other & set(words)
    assert len(after.targets["train"]) == len(train)
    assert after.report["augmentation"]["copies"] == len(train) - originals
