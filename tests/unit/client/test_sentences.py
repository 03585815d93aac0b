"""Sentences on explanations: none says more than its figures allow, in no language, whatever the figures are."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from string import Formatter
from typing import get_args

import pytest

from explicate.results import ExplainResult
from explicate.sentences import answer_claims, effects, told_figures
from explicate.sentences import claims as told
from explicate.sentences.claims import CLAIMS, claims, sentences
from explicate.sentences.language import Title, begins, flattened, language, lookup, tags
from explicate.sentences.told_figures import Answer, Cut, Figures, Noun, Output, Part
from explicate.views import explanation_text
from explicate.views.html import fragment
from support.canned import canned_kinds
from support.random_figures import Allowed, random_figures, read_sentence

SEEDS = 10_000
ENGLISH = language("en")


def allowed_of(figures: Figures, outcome: effects.Outcome) -> Allowed:
    (output,) = (each for each in figures.outputs if each.label == outcome.label)
    assert (outcome.reference, outcome.space) == (output.reference, figures.space)
    return Allowed(output)


def check_directed(figures: Figures, claim: told.WeighMost | told.Point) -> Allowed:
    allowed = allowed_of(figures, claim.outcome)
    parts = [each.part for each in claim.parts]
    assert parts == sorted(set(parts)), "in reading order, which is nobody's rank"
    assert claim.names == tuple(figures.parts[part] for part in parts)
    assert all(each.direction == allowed.direction(each.part) != 0 for each in claim.parts)
    return allowed


def check_weigh_most(figures: Figures, claim: told.WeighMost) -> None:
    allowed = check_directed(figures, claim)
    parts = [each.part for each in claim.parts]
    assert allowed.weigh_most(parts)
    if len(parts) > 1:
        assert claim.between is None
        assert not any(allowed.weigh_most([part]) for part in parts), "one alone would have been certain"
    else:
        assert claim.between == (allowed.output.lower[parts[0]], allowed.output.upper[parts[0]])


def check_point(figures: Figures, claim: told.Point) -> None:
    allowed = check_directed(figures, claim)
    if claim.in_doubt:
        assert not any(allowed.weigh_most([part]) for part in allowed.parts)
    if claim.also:
        before = [each for each in claims(figures) if isinstance(each, told.WeighMost)]
        assert any(each.outcome == claim.outcome and not set(each.parts) & set(claim.parts) for each in before)


def check_uncertain(figures: Figures, claim: told.Uncertain) -> None:
    allowed = allowed_of(figures, claim.outcome)
    assert not any(map(allowed.direction, allowed.parts))
    assert not all(math.isnan(low) for low in allowed.output.lower)


def check_nothing(figures: Figures, claim: told.NothingWeighs) -> None:
    allowed = allowed_of(figures, claim.outcome)
    assert all(high <= allowed.noise for part in allowed.parts for _, high in allowed.ranges(part))


def check_unmeasured(figures: Figures, claim: told.Unmeasured) -> None:
    output = effects.spoken_of(figures)[0]
    assert all(math.isnan(low) or math.isnan(high) for low, high in zip(output.lower, output.upper, strict=True))
    if claim.largest is not None:
        own = abs(output.values[figures.parts.index(claim.largest)])
        others = [abs(value) for part, value in zip(figures.parts, output.values, strict=True) if part != claim.largest]
        assert all(own > each or math.isnan(each) for each in others)


def check_compared(figures: Figures, claim: told.Compared) -> None:
    assert figures.compared
    assert (claim.name, claim.other_input) == (figures.baseline_name, figures.other_input)
    assert claim.value == figures.outputs[0].baseline
    assert claim.outcome is None or len(figures.outputs) == 1


def check_together(figures: Figures, claim: told.WorkTogether) -> None:
    assert claim.held_out_r_squared == figures.held_out_r_squared
    assert claim.held_out_r_squared < told.ADDITIVE_R_SQUARED
    assert figures.stop_reason == "exact" or figures.rows_per_part >= told.ROWS_THAT_FIT


def check_copies(figures: Figures, claim: told.MoveTogether) -> None:
    assert claim.others == tuple(figures.copies[claim.column])


def check_answered(figures: Figures, claim: answer_claims.Answered) -> None:
    answer = figures.answer
    assert (claim.label, claim.probability) == (answer.label, answer.scores[claim.label])
    assert (claim.threshold is not None) <= (answer.threshold is not None)
    assert claim.threshold is not None or claim.probability == max(answer.scores.values()) or answer.threshold is None


def check_unsure(figures: Figures, claim: answer_claims.Unsure) -> None:
    scores = figures.answer.scores
    best = max(scores.values())
    assert scores[figures.answer.label or ""] == best
    if claim.other is None:
        assert best < 0.5
    else:
        others = [score for label, score in scores.items() if label != figures.answer.label]
        assert claim.probability == scores[claim.other] == max(others) > best - answer_claims.CLOSE_CALL


def check_labelled(figures: Figures, claim: answer_claims.Labelled) -> None:
    assert [label for label, _ in claim.labels] == list(figures.answer.labels or ())
    near = claim.labels or (claim.nearest,)
    assert all(each is not None and figures.answer.scores[each[0]] == each[1] for each in near)


def check_change(figures: Figures, claim: told.WouldChange) -> None:
    change = figures.change
    assert change is not None
    assert claim.absent == tuple(figures.parts[part] for part in change.absent)
    assert (claim.columns, claim.label, claim.score) == (tuple(change.columns), change.label, change.score)
    assert claim.absent or claim.columns
    assert (claim.kind == "value") == (figures.answer.value is not None)
    assert claim.kind != "no_label" or not change.given
    text = claim.sentence(ENGLISH)
    assert text.startswith("Without " if claim.absent else "With ")
    assert all(f"{part.name}" in text for part in claim.absent)


CHECKS = {
    told.WouldChange: check_change,
    told.WeighMost: check_weigh_most,
    told.Point: check_point,
    told.Uncertain: check_uncertain,
    told.NothingWeighs: check_nothing,
    told.Unmeasured: check_unmeasured,
    told.Compared: check_compared,
    told.WorkTogether: check_together,
    told.MoveTogether: check_copies,
    answer_claims.Answered: check_answered,
    answer_claims.Unsure: check_unsure,
    answer_claims.Labelled: check_labelled,
    answer_claims.Predicted: lambda figures, claim: _equal(claim.value, figures.answer.value),
    told.NoParts: lambda figures, _claim: _equal(list(figures.parts), []),
    told.OutOfTime: lambda figures, _claim: _equal(figures.stop_reason, "deadline"),
    told.TooLong: lambda figures, claim: _equal(claim.cut, figures.cut),
    told.UnknownCategory: lambda figures, claim: _equal(claim.columns, figures.unknown_columns),
}


def _equal(first: object, second: object) -> None:
    assert first == second


def check_nothing_is_left_out(figures: Figures, found: list[told.Claim]) -> None:
    """Silence contradicts nothing, so what is certain must be said."""
    spoken = [claim for claim in found if isinstance(claim, told.WeighMost | told.Point)]
    for output in effects.spoken_of(figures):
        allowed = Allowed(output)
        about = [claim for claim in spoken if claim.outcome.label == output.label]
        named = {each.part for claim in about for each in claim.parts}
        for part in allowed.parts:
            assert part in named or not allowed.weigh_most([part])
        assert bool(named) == any(map(allowed.direction, allowed.parts))


def check_words(figures: Figures, claim: told.WeighMost | told.Point) -> None:
    """The words of a claim, read without looking at it, say what it says."""
    said = read_sentence(begins(claim.sentence(ENGLISH)))
    assert said is not None, claim.sentence(ENGLISH)
    directions = {each.part: each.direction for each in claim.parts}
    contrast = claim.outcome.reference is not None
    if contrast and said.outcome == f"“{claim.outcome.reference}” rather than “{claim.outcome.label}”":
        said.directions = {part: -sign for part, sign in said.directions.items()}
    else:
        assert said.outcome == claim.outcome.told(ENGLISH)
    assert said.directions == directions
    assert said.most == (frozenset(directions) if isinstance(claim, told.WeighMost) else frozenset())
    if said.between is not None:
        assert isinstance(claim, told.WeighMost)
        assert claim.between is not None
        unit = 100 if figures.space == "probability" else 1
        low, high = sorted(unit * abs(end) for end in claim.between)
        if said.between[0] == said.between[1]:
            assert high - low <= 2e-3 * high
            assert said.between[0] == pytest.approx((low + high) / 2, rel=0.051)
        else:
            assert said.between[0] <= low * (1 + 1e-6)
            assert said.between[1] >= high * (1 - 1e-6)


def test_no_sentence_of_ten_thousand_random_explanations_contradicts_its_figures():
    counts: Counter[type] = Counter()
    for seed in range(SEEDS):
        figures = random_figures(seed)
        found = claims(figures)
        counts.update(map(type, found))
        for claim in found:
            CHECKS[type(claim)](figures, claim)
            if isinstance(claim, told.WeighMost | told.Point):
                check_words(figures, claim)
        check_nothing_is_left_out(figures, found)
        for each in tags() if seed < SEEDS // 10 else ():
            for sentence in sentences(figures, language(each)):
                assert sentence[0].isupper() or sentence[0] in "“„", sentence
                assert sentence.endswith("."), sentence
    assert set(counts) == set(CLAIMS) == set(CHECKS)
    assert min(counts.values()) >= SEEDS // 200, counts


class TestTheCheckItself:
    """It fails where a claim is wrong."""

    FIGURES = replace(
        random_figures(0),
        answer=Answer(scores={"yes": 0.7, "no": 0.3}, label="yes"),
        space="probability",
        parts=[Part("p0"), Part("p1"), Part("p2")],
        noun="word",
        outputs=[
            Output(
                label="yes",
                baseline=0.3,
                instance=0.7,
                values=[0.3, 0.2, -0.1],
                lower=[0.25, 0.14, -0.12],
                upper=[0.35, 0.26, -0.08],
                certain=[0.06, 0.07, 0.02],
            )
        ],
    )
    OUTCOME = effects.Outcome("yes", None, "probability")

    def weigh(self, *parts: tuple[int, int]) -> told.WeighMost:
        directed = tuple(effects.Directed(*part) for part in parts)
        names = tuple(self.FIGURES.parts[part] for part, _ in parts)
        return told.WeighMost(directed, names, "word", self.OUTCOME)

    def test_the_right_claim_passes(self):
        (found,) = (claim for claim in claims(self.FIGURES) if isinstance(claim, told.WeighMost))
        assert found == self.weigh((0, 1), (1, 1))
        check_weigh_most(self.FIGURES, found)

    @pytest.mark.parametrize(
        "parts", [[(0, 1)], [(0, 1), (1, -1)], [(1, 1), (0, 1)], [(1, 1), (2, -1)], [(0, 1), (1, 1), (2, -1)]]
    )
    def test_an_order_or_a_direction_that_is_not_certain_does_not(self, parts):
        with pytest.raises(AssertionError):
            check_weigh_most(self.FIGURES, self.weigh(*parts))

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [("speaks for", "speaks against"), ("These weigh most: ", ""), ("“p2”", "“p1”"), ("“yes”", "“no”")],
    )
    def test_nor_do_words_that_say_something_else(self, right, wrong):
        claim = self.weigh((0, 1), (2, -1))
        check_words(self.FIGURES, claim)
        turned = replace(claim)
        object.__setattr__(turned, "sentence", lambda spoken: claim.sentence(spoken).replace(right, wrong))
        with pytest.raises(AssertionError):
            check_words(self.FIGURES, turned)


class TestLanguages:
    def templates(self, tag: str) -> dict[str, str]:
        return language(tag)._texts

    @pytest.mark.parametrize("tag", tags())
    def test_every_template_of_english_is_there_with_the_same_blanks(self, tag):
        english, other = self.templates("en"), self.templates(tag)
        assert other.keys() == english.keys()
        assert {key: blanks(text) for key, text in other.items()} == {
            key: blanks(text) for key, text in english.items()
        }
        assert all(isinstance(text, str) and text for text in other.values())

    def test_every_kind_of_part_has_its_words(self):
        keys = {key.removeprefix("part.word.") for key in self.templates("en") if key.startswith("part.word.")}
        for noun in get_args(Noun):
            assert {key for key in self.templates("en") if key.startswith(f"part.{noun}.")} == {
                f"part.{noun}.{key}" for key in keys
            }

    def test_no_template_says_because(self):
        for tag, word in (("en", "because"), ("de", "weil")):
            assert not [text for text in self.templates(tag).values() if word in text.lower()]

    @pytest.mark.parametrize(
        ("asked", "taken"),
        [("en", "en"), ("DE", "de"), ("de-AT", "de"), ("en_US", "en"), ("de-x-own", "de"), ("fr", None), ("", None)],
    )
    def test_the_nearest_language_is_taken(self, asked, taken):
        assert lookup(asked) == taken

    def test_what_is_filled_in_is_never_read_as_a_template(self):
        assert ENGLISH.fill("clause", subject="{effect} {x!r}", effect="{subject}") == "{effect} {x!r} {subject}"

    def test_a_document_of_another_language_is_read_by_its_keys(self):
        assert dict(flattened({"a": {"b": "c"}, "d": ["e", "f"]})) == {"a.b": "c", "d.0": "e", "d.1": "f"}


def blanks(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


class TestNumbers:
    GERMAN = language("de")

    @pytest.mark.parametrize(
        ("value", "english", "german"),
        [
            (1234567.891, "1,234,568", "1.234.568"),
            (-0.012345, "−0.01235", "−0,01235"),
            (83.5, "83.5", "83,5"),
            (0.0, "0", "0"),
            (2.5e20, "2.500e+20", "2,500e+20"),
            (math.nan, "–", "–"),
        ],
    )
    def test_each_language_writes_them_its_own_way(self, value, english, german):
        assert (ENGLISH.number(value), self.GERMAN.number(value)) == (english, german)

    @pytest.mark.parametrize(
        ("share", "english", "german"),
        [
            (0.972, "97%", "97\N{NO-BREAK SPACE}%"),
            (0.9999, "more than 99%", "mehr als 99\N{NO-BREAK SPACE}%"),
            (1e-9, "less than 1%", "weniger als 1\N{NO-BREAK SPACE}%"),
        ],
    )
    def test_what_is_nearly_certain_is_not_said_to_be_certain(self, share, english, german):
        assert (ENGLISH.percent(share), self.GERMAN.percent(share)) == (english, german)

    @pytest.mark.parametrize(
        ("low", "high", "said"),
        [(30.4, 34.6, "30 to 35"), (1.9, 2.1, "1.9 to 2.1"), (12345, 13456, "12,000 to 14,000"),
         (0.2, 0.9, "0.2 to 0.9"), (31.7, 31.7, "about 32"), (1e-12, 2e-12, "1.000e-12 to 2.000e-12")],
    )  # fmt: skip
    def test_an_interval_is_rounded_outward(self, low, high, said):
        assert ENGLISH.between(low, high) == said

    def test_one_point_is_not_points(self):
        assert ENGLISH.points(0.01, 0.01) == "about 1 percentage point"
        assert ENGLISH.points(0.01, 0.02) == "1 to 2 percentage points"


class TestNamesOfOthers:
    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("a\nb\tc", "“a b c”"),
            ("\x1b[31mred\x07", "“\ufffd[31mred\ufffd”"),
            ("x\u202ey", "“x\ufffdy”"),
            ("x” weighs most. “y", "“x' weighs most. 'y”"),
            ("{outcome}<b>", "“{outcome}<b>”"),
            ("سعر", "“\u2068سعر\u2069”"),
            ("", "“”"),
        ],
    )
    def test_cannot_break_out_of_their_quotes(self, name, shown):
        assert ENGLISH.quoted(name) == shown

    def test_a_long_one_is_cut_between_characters(self):
        assert ENGLISH.quoted("word " * 40) == f"“{'word ' * 7}word…”"
        family = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
        assert ENGLISH.quoted(family * 9) == f"“{family * 7}…”"

    def test_what_the_caller_calls_it_has_no_quotes(self):
        assert ENGLISH.quoted(Title("what you owe")) == "what you owe"

    def test_one_of_several_equal_ones_is_told_by_its_number(self):
        parts = [Part("was", place) for place in told_figures.counted(["was", "was"])]
        assert ENGLISH.parts(parts, "word") == "the words “was” (number 1 of 2) and “was” (number 2 of 2)"

    def test_a_class_may_be_called_anything(self):
        figures = TestTheCheckItself.FIGURES
        (output,), label = figures.outputs, "good”, and “p1” speaks against “yes\u202e"
        hostile = replace(
            figures, answer=Answer(scores={label: 1.0}, label=label), outputs=[replace(output, label=label)]
        )
        (sentence,) = (each for each in sentences(hostile, ENGLISH) if "weigh most" in each)
        assert (
            sentence
            == "The words “p0” and “p1” weigh most: they speak for “good', and 'p1' speaks against 'yes\ufffd”."
        )


def test_of_many_classes_the_most_probable_ones_are_spoken_of():
    figures, classes = TestTheCheckItself.FIGURES, [f"c{index}" for index in range(50)]
    scores = {name: (index + 1) / 1275 for index, name in enumerate(classes)}
    outputs = [replace(figures.outputs[0], label=name) for name in classes]
    spoken = effects.spoken_of(replace(figures, answer=Answer(scores=scores, label="c49"), outputs=outputs))
    assert [output.label for output in spoken] == ["c49", "c48", "c47"]


def test_equal_parts_of_exact_figures_are_not_said_to_be_in_doubt():
    output = replace(
        TestTheCheckItself.FIGURES.outputs[0],
        values=[0.2, 0.2, 0.2], lower=[0.2, 0.2, 0.2], upper=[0.2, 0.2, 0.2], certain=[0.0, 0.0, 0.0],
    )  # fmt: skip
    (claim,) = told.Point.found(replace(TestTheCheckItself.FIGURES, outputs=[output]))
    assert isinstance(claim, told.Point)
    assert not claim.in_doubt


def test_a_cut_pair_tells_of_both_texts():
    claim = told.TooLong(Cut((100, 5000), (200, 5000)))
    assert claim.sentence(ENGLISH).endswith(
        "it read 100 of 200 characters of the first and 5,000 of 5,000 of the second."
    )


class TestViews:
    HOSTILE = "The model answers “<script>\x1b[2J”, a \u2068سعر\u2069 of “b\u202e”."

    def said(self, **changes: object) -> ExplainResult:
        result = canned_kinds.explained("good soup", "reviews")
        told = replace(result.explanation, sentences=("One.", self.HOSTILE), **changes)
        return replace(result, explanation=told)

    def test_the_text_ends_with_them_and_nothing_commands_the_terminal(self):
        *_, space, one, hostile = explanation_text.lines(self.said(), 15)
        assert (space, one) == ("", "One.")
        assert hostile == "The model answers “<script>\ufffd[2J”, a \u2068سعر\u2069 of “b\ufffd”."

    def test_html_begins_with_them_and_they_are_no_markup(self):
        html = fragment(self.said())
        assert "One. The model answers “&lt;script&gt;" in html
        assert html.index("One. ") < html.index("evaluations")
        options = replace(self.said().explanation.options, language="de")
        assert '<p class="told" lang="de">' in fragment(self.said(options=options))

    def test_without_any_nothing_is_put_in_their_place(self):
        result = canned_kinds.explained("good soup", "reviews")
        assert 'class="told"' not in fragment(result)
        assert "" not in [*explanation_text.lines(result, 15)][-1:]

    def test_what_was_not_read_is_said_once(self):
        result = self.said()
        usage = replace(result.prediction.text_usage, truncated=True)
        cut = replace(result, prediction=replace(result.prediction, text_usage=usage))
        assert "too long" not in "\n".join(explanation_text.lines(cut, 15))
        silent = replace(cut, explanation=replace(cut.explanation, sentences=()))
        assert "too long" in "\n".join(explanation_text.lines(silent, 15))

    def test_they_come_back_from_json(self):
        result = self.said()
        assert ExplainResult.from_json(result.to_json()).explanation.sentences == result.explanation.sentences
