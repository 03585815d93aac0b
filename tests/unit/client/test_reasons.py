"""Reasons in sentences: of every kind of input, from the client and from the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import explicate
from support.canned import canned_kinds
from support.canned.canned_tables import TARGET

ROW = {"age": 34, "income": None, "job": "clerk", "owner": True}
# Of class bad: age +0.01 and income -0.02 with 0 in their intervals, job +0.03 ± 0.02, owner -0.04 without an interval.
JOB, OWNER = (
    "“job” (“clerk”) raises the probability of “bad” by 1 to 5 percentage points.",
    "“owner” (“true”) lowers the probability of “bad” by about 4 percentage points.",
)

C = "The word “c” raises the probability of “great” by about 3 percentage points."


def explained(model: str = "credit", **options: object) -> explicate.ExplainResult:
    return canned_kinds.explained(ROW, model, **options)


def sentences(found: tuple[explicate.Reason, ...]) -> list[str]:
    return [str(reason) for reason in found]


class TestSides:
    def test_reasons_are_the_strongest_of_both_directions_and_certain_ones_only(self):
        assert sentences(explained().reasons()) == [OWNER, JOB]

    def test_one_side_alone(self):
        assert sentences(explained().reasons(toward="bad")) == [JOB]
        assert sentences(explained().reasons(against="bad")) == [OWNER]

    def test_of_two_classes_what_raises_one_takes_it_from_the_other(self):
        (reason,) = explained().reasons(against="good")
        assert reason.sentence == "“job” (“clerk”) lowers the probability of “good” by 1 to 5 percentage points."
        assert (reason.change, reason.contribution.value, reason.outcome) == (-0.03, 0.03, "good")

    def test_logits_of_two_classes_are_not_opposites(self):
        with pytest.raises(explicate.UsageError, match=r"is of bad, not of 'good': explain with target='good'"):
            explained(output_space="logit").reasons(against="good")

    def test_a_contrast_tells_of_both_its_classes(self):
        contrast = explained(target=explicate.Contrast("bad", "good"))
        (toward, *_), (against, *_) = contrast.reasons(toward="bad"), contrast.reasons(against="good")
        assert toward.sentence == "“job” (“clerk”) speaks for “bad” rather than “good”."
        assert against.sentence == "“job” (“clerk”) speaks for “bad” rather than “good”."

    def test_of_all_classes_the_one_that_is_named_is_told(self):
        found = explained(target=explicate.ALL).reasons(toward="bad")
        assert [reason.outcome for reason in found] == ["bad"]

    def test_a_regression_is_told_in_units_of_its_target(self):
        first, second, *_ = explained("progression").reasons()
        assert str(first) == f"“owner” (“true”) lowers “{TARGET}” by about 40."
        assert str(second) == f"“job” (“clerk”) raises “{TARGET}” by 28 to 32."
        assert [reason.change for reason in explained("progression").reasons(toward=TARGET)] == [30.0, 10.0]

    def test_no_more_than_asked_for(self):
        assert len(explained().reasons(top=1)) == 1
        with pytest.raises(explicate.UsageError, match="top must be at least 1"):
            explained().reasons(top=0)

    def test_toward_and_against_do_not_go_together(self):
        with pytest.raises(explicate.UsageError, match="not both"):
            explained().reasons(toward="bad", against="good")

    def test_a_column_that_adds_nothing_is_no_reason(self):
        result = explained()
        (attribution,) = result.explanation.attributions
        nothing = (0.0,) * len(attribution.values)
        exact = replace(attribution, values=nothing, lower=nothing, upper=nothing)
        assert replace(result, explanation=replace(result.explanation, attributions=(exact,))).reasons() == ()


def test_reasons_come_in_the_language_that_is_asked_for():
    (reason,) = explained().reasons(toward="bad", language="de-AT")
    assert reason.sentence == "„job“ („clerk“) erhöht die Wahrscheinlichkeit von „bad“ um 1 bis 5 Prozentpunkte."
    with pytest.raises(explicate.UsageError, match="language 'xx' is not one of sentences; there are de, en"):
        explained().reasons(language="xx")


def test_names_for_people_stand_in_the_place_of_columns_and_classes():
    names = {"job": "kind of work", "bad": "a default"}
    (reason,) = explained().reasons(toward="bad", names=names)
    assert reason.sentence == "Kind of work (“clerk”) raises the probability of a default by 1 to 5 percentage points."


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (canned_kinds.TEXT, C),
        (
            canned_kinds.PAIR,
            "The word “c” in the second text raises the probability of “great” by about 3 percentage points.",
        ),
        (canned_kinds.TABLE, OWNER),
        (canned_kinds.IMAGE, "Segment 3 (lower right) lowers the probability of “cat” by about 4 percentage points."),
    ],
    ids=lambda each: getattr(each, "noun", ""),
)
def test_every_kind_of_input_has_reasons(kind, sentence):
    result = canned_kinds.explained(kind.value, kind.model)
    first, *_ = result.reasons()
    assert str(first) == sentence
    assert first.contribution in result.explanation.contributions()


class TestCommand:
    ASKED = ("explain", "--model", "credit", "--row", "age=34,income=,job=clerk,owner=yes")

    def test_sentences_take_the_place_of_the_table(self, explicate):
        code, out, err = explicate(*self.ASKED, "--reasons", "--format", "text")
        assert (code, err) == (0, "")
        assert f"1. {OWNER}\n2. {JOB}\n" in out
        assert "good 0.660" in out
        assert "│" not in out

    def test_one_side_with_names_of_a_file(self, explicate, tmp_path):
        path = tmp_path / "names.toml"
        path.write_text('owner = "owning a home"\n')
        _, out, _ = explicate(*self.ASKED, "--reasons", "against", "--names", str(path), "--format", "text")
        assert out.splitlines()[-2:] == [
            "1. Owning a home (“true”) lowers the probability of “bad” by about 4 percentage points.",
            "",
        ]

    def test_no_reason_is_said(self, explicate):
        _, out, _ = explicate("explain", "--model", "reviews", "a", "--reasons", "against", "--format", "text")
        assert "nothing counts against it for certain" in out

    def test_json_has_them_beside_the_figures(self, explicate):
        _, out, _ = explicate(*self.ASKED, "--reasons", "--top", "1", "--format", "json")
        document = json.loads(out)
        assert document["reasons"] == [OWNER]
        assert document["explanation"]["attributions"]

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("--reasons", "--format", "csv"), "take --format text or json"),
            (("--names", "names.toml"), "give --reasons, too"),
            (("--reasons", "--names", "none.toml"), "cannot read none.toml"),
            (("--reasons", "--names", "FILE"), "age must be a text in quotes, not 3"),
        ],
        ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
    )
    def test_what_does_not_go_together_is_refused(self, explicate, tmp_path, arguments, told):
        (tmp_path / "names.toml").write_text("age = 3\n")
        given = [str(tmp_path / "names.toml") if each == "FILE" else each for each in arguments]
        code, out, err = explicate(*self.ASKED, *given)
        assert (code, out) == (2, "")
        assert told in err
