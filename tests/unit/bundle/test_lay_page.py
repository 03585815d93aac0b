"""The sentences for people without training: right numbers, right grammar, nothing that was not measured."""

from typing import Any

import pytest

from explicate.v1.bundle_pb2 import ImageSchema, TabularSchema, TextSchema
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.telling.grounds import Ground, Grounds, Saying, read_grounds
from explicate_bundle.telling.in_words import about, listed
from explicate_bundle.telling.lay_page import LayFacts, LayPart, facts_of_run, lay_page
from explicate_bundle.telling.slice_notes import SliceNote, SliceNotes, read_slices

TEXTS = TrainingRun(objective="classification", labels=["bad", "good"], text=TextSchema(max_tokens=64))
ROWS = TrainingRun(objective="regression", target_name="price", tabular=TabularSchema())


def said(facts: LayFacts, question: str) -> str:
    (part,) = [part for part in lay_page(facts) if part.question.startswith(question)]
    return " ".join([*part.said, *part.items, part.after])


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.0, "none"),
        (0.0004, "fewer than 1 of 1,000"),
        (0.004, "about 4 of 1,000"),
        (0.01, "about 1 of 100"),
        (0.0749, "about 7 of 100"),
        (0.9996, "nearly all"),
        (1.0, "all"),
    ],
)
def test_shares_are_counts_of_100_or_of_1000(share: float, told: str) -> None:
    assert about(share) == told


def test_lists_end_in_a_word() -> None:
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"], "or")] == ["a", "a and b", "a, b or c"]


def test_errors_are_told_of_a_hundred_with_their_interval_and_by_class() -> None:
    metrics: dict[str, Any] = {
        "texts": 1000,
        "accuracy": 0.83,
        "majority_class_accuracy": 0.66,
        "per_class": {"bad": {"recall": 0.65}, "good": {"recall": 0.99}},
        "intervals": {"accuracy": [0.81, 0.85]},
    }
    told = said(LayFacts(TEXTS, metrics), "How often")
    assert told.startswith("Of 100 texts like those of the test, about 17 are answered wrongly (15 to 19 in other")
    assert "Always giving the most frequent answer would be wrong for about 34 of 100." in told
    assert "Of texts that really are “bad”, about 35 of 100 are answered otherwise." in told
    assert "Of those that really are “good”, about 1 of 100 is answered otherwise." in told


def test_no_error_in_a_test_does_not_prove_that_there_is_none() -> None:
    images = TrainingRun(objective="classification", labels=["a", "b"], image=ImageSchema(width=8, height=8))
    told = said(LayFacts(images, {"images": 269, "accuracy": 1.0}), "How often")
    # 1 - .025^(1 / 269) = .0136
    assert told.startswith("All 269 images of the test were answered rightly.")
    assert "of 100 others up to 2 may be" in told


def test_numbers_are_told_by_how_far_they_are_off() -> None:
    told = said(LayFacts(ROWS, {"mae": 44.31, "intervals": {"mae": [36.2, 1210.0]}}), "How often")
    assert told.startswith("On average its answers are 44.3 too high or too low (36.2 to 1,210 in other tests")


def test_what_was_not_measured_is_told_as_such() -> None:
    facts = LayFacts(TEXTS, {}, tested="given")
    assert "not measured" in said(facts, "On what grounds")
    assert said(facts, "How often").startswith("That was not measured: nobody said what is right of the given texts.")
    assert "not measured" in said(facts, "For whom")


def test_each_kind_of_ground_has_its_own_sentence() -> None:
    parts = (
        Ground("not", 0.2, 0.1, 0.3, (Saying("there", "bad", True),)),
        Ground("Age", 0.2, 0.1, 0.3, (Saying("higher", "good", True),)),
        Ground("Job", 0.2, 0.1, 0.3, (Saying("value", "bad", True, "none"), Saying("value", "good", True, "fixed"))),
        Ground("the", 0.2, 0.1, 0.3),
        Ground("bmi", 0.2, 0.1, 0.3, (Saying("higher", "", False),)),
        Ground("9", 0.2, 0.1, 0.3, (Saying("there", "nine", False),)),
    )
    told = said(LayFacts(TEXTS, {}, Grounds(40, parts)), "On what grounds")
    assert "“not” speaks for “bad”." in told
    assert "“Age”: the higher it is, the more speaks for “good”." in told
    assert "“Job”: “none” speaks for “bad” and “fixed” speaks for “good”." in told
    assert "“the”: not always in the same direction." in told
    assert "“bmi”: the higher it is, the lower is the answer." in told
    assert "“9” speaks against “nine”." in told


def test_worse_groups_are_named_and_better_ones_and_chance_are_not() -> None:
    groups = (
        SliceNote("short", 60, 0.63, 0.5, 0.75, apart=True),
        SliceNote("odd", 30, 0.70, 0.5, 0.9, apart=False),
        SliceNote("long", 60, 0.95, 0.9, 1.0, apart=True),
    )
    notes = SliceNotes("answered rightly", False, 0.78, groups, {"tiny": 3})
    told = said(LayFacts(TEXTS, {}, slices=notes), "For whom")
    assert "with “short” about 37 of 100 (60 texts in the test). On the whole it is about 22 of 100." in told
    assert "odd" not in told
    assert "long" not in told
    assert "1 more group has too few texts" in told


def test_a_model_that_learnt_nothing_is_not_to_be_relied_on() -> None:
    record = TrainingRun()
    record.CopyFrom(TEXTS)
    record.verdict.learnt = False
    assert "Do not rely on it." in said(LayFacts(record, {}), "When")
    assert "Do not rely on it." not in said(LayFacts(TEXTS, {}), "When")


def test_what_a_run_records_is_read_again_and_other_forms_are_none() -> None:
    grounds = Grounds(40, (Ground("a", 0.2, 0.1, 0.3, (Saying("value", "x", False, "y"),)),))
    notes = SliceNotes("answered rightly", False, 0.78, (SliceNote("s", 60, 0.6, 0.5, 0.7, apart=True),), {"t": 1})
    metrics = {"test": {}, "grounds": grounds.document(), "slices": notes.document()}
    facts = facts_of_run(TEXTS, metrics)
    assert (facts.grounds, facts.slices) == (grounds, notes)
    for wrong in (None, 3, {}, {"rows": 1}, {"rows": 1, "parts": [{"name": "a"}]}, {"groups": [{"x": 1}], "small": {}}):
        assert read_grounds(wrong) is None
        assert read_slices(wrong) is None


def test_every_sentence_is_whole_even_of_hostile_names() -> None:
    record = TrainingRun(objective="multi-label", labels=["a\nb", "<b>"], text=TextSchema(max_tokens=64))
    parts: list[LayPart] = lay_page(LayFacts(record, {"subset_accuracy": 0.5}))
    for part in parts:
        for sentence in part.said:
            assert "\n" not in sentence
            assert sentence.endswith(".")
