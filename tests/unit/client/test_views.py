"""The views of an explanation: shap, HTML, bars and tables."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import accumulate

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

import explicate
from explicate._wire.option_fields import numbers_of
from explicate.results import Contribution, Feature, Span
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.views import amounts, explanation_text, kinds, tables, wording
from explicate.views.characters import begun, characters
from explicate.views.html import document, fragment
from explicate.views.kinds.explained_text import feature_texts, segments
from explicate.views.look.palette import LOWERS_RGB, RAISES_RGB
from support.canned import canned_kinds
from support.tokenizers_by_kind import TEXTS, texts


def explained(text: str, **options) -> explicate.ExplainResult:
    return canned_kinds.explained(text, "reviews", **options)


CONTRAST = explicate.Contrast("great", "other")


def with_quality(result: explicate.ExplainResult, **figures) -> explicate.ExplainResult:
    return replace(result, explanation=replace(result.explanation, quality=explicate.Quality(**figures)))


def stopped(result: explicate.ExplainResult, reason: str) -> explicate.ExplainResult:
    return replace(result, explanation=replace(result.explanation, stop_reason=reason))


def repeated_word() -> explicate.ExplainResult:
    """As lime has it: one player for all places of a word."""
    result = explained("good soup good")
    features = (Feature("good", (Span(0, 4), Span(10, 14))), Feature("soup", (Span(5, 9),)))
    attribution = replace(
        result.explanation.attributions[0],
        **dict.fromkeys(("values", "standard_errors", "lower", "upper"), (0.2, -0.1)),
    )
    return replace(result, explanation=replace(result.explanation, features=features, attributions=(attribution,)))


# shap itself still calls what matplotlib and numpy are about to change.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.usefixtures("drawn_nowhere")
class TestShap:
    @pytest.mark.parametrize("target", [None, explicate.ALL])
    def test_a_text_without_a_visible_character_has_no_features(self, target):
        converted = explained(" ", target=target).to_shap()
        assert converted.values.shape == ((0,) if target is None else (0, 2))
        assert list(converted.data) == []

    def test_dollars_in_words_are_no_formula(self):
        import shap

        converted = explained("costs $a_{$ and $^$").to_shap()
        assert "".join(converted.data) == "costs $a_{$ and $^$"
        shap.plots.waterfall(converted, show=False).figure.canvas.draw()
        assert "$a_{$" in shap.plots.text(converted, display=False)

    def test_one_output_has_one_number_per_word(self):
        converted = explained("soup was great").to_shap()
        assert converted.values.tolist() == [0.01, -0.02, 0.03]
        assert converted.base_values == 0.5
        assert list(converted.data) == ["soup ", "was ", "great"]
        assert list(converted.feature_names) == ["soup", "was", "great"]
        assert converted.output_names == "great"
        assert converted.lower_bounds[0] == pytest.approx(-0.01)

    def test_contrast_is_named_after_both_classes(self):
        converted = explained("soup was great", target=CONTRAST).to_shap()
        assert converted.values.tolist() == pytest.approx([0.1, -0.2, 0.3])
        assert converted.output_names == "great rather than other"

    def test_phrases_are_the_features(self):
        converted = explained("so good a soup", max_players=2).to_shap()
        assert list(converted.feature_names) == ["so good", "a soup"]
        assert list(converted.data) == ["so good ", "a soup"]

    def test_several_outputs_have_a_column_each(self):
        converted = explained("great soup today", target=explicate.ALL).to_shap()
        assert converted.values.tolist() == [[-0.01, 0.01], [0.02, -0.02], [-0.03, 0.03]]
        assert converted.base_values.tolist() == [0.5, 0.5]
        assert list(converted.output_names) == ["other", "great"]
        assert list(converted[:, 1].feature_names) == ["great", "soup", "today"]
        assert converted[:, 1].values.tolist() == [0.01, -0.02, 0.03]
        assert converted[:, 1].base_values == 0.5

    def test_as_many_words_as_outputs_are_not_mixed_up(self):
        column = explained("great soup", target=explicate.ALL).to_shap()[:, 1]
        assert column.values.tolist() == [0.01, -0.02]
        assert list(column.data) == ["great ", "soup"]
        assert column.output_names == "great"
        assert column.feature_names is None  # shap would give the one word "soup" here

    @pytest.mark.parametrize(
        "text", ["word", "two words", "soup was great", "so many words that the plots must fold some of them in"]
    )
    def test_waterfall_and_bar_plots_draw_it(self, text):
        import shap

        one, several = explained(text).to_shap(), explained(text, target=explicate.ALL).to_shap()
        for row in (one, several[:, 0], several[:, 1]):
            for plot in (shap.plots.waterfall, shap.plots.bar):
                axes = plot(row, show=False)
                labels = " ".join(label.get_text() for label in axes.get_yticklabels())
                assert text.split()[-1] in labels or "other features" in labels or "Feature" in labels
                axes.figure.canvas.draw()

    @pytest.mark.parametrize("options", [{}, {"target": explicate.ALL}, {"target": CONTRAST}, {"max_players": 2}])
    def test_text_plot_shows_every_word(self, options):
        import shap

        html = shap.plots.text(explained("soup was <great>", **options).to_shap(), display=False)
        assert all(word in html for word in ("soup", "was", "great"))

    def test_a_word_at_several_places_is_one_row(self):
        import shap

        converted = repeated_word().to_shap()
        assert list(converted.data) == ["good ", "soup "]
        assert "soup" in shap.plots.text(converted, display=False)


class _VisibleText(HTMLParser):
    """Collects the text of the coloured sentence, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sentence = ""
        self._inside = 0

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "div":
            self._inside += 1 if dict(attrs).get("class") == "text" or self._inside else 0

    def handle_endtag(self, tag):
        self._inside -= 1 if tag == "div" and self._inside else 0

    def handle_data(self, data):
        self.sentence += data if self._inside else ""


def parsed(html: str) -> _VisibleText:
    parser = _VisibleText()
    parser.feed(html)
    parser.close()
    return parser


HOSTILE = "<script>alert(1)</script> & \"quoted\" 'text' </div><img src=x onerror=alert(1)> é 汤 🍜"


class TestJson:
    def test_an_answer_is_one_line_of_valid_json_whatever_it_holds(self):
        result = explained("soup\n\x07 “good”", target=explicate.ALL)
        told = result.to_json()
        assert told.isascii()
        assert "\n" not in told
        document = json.loads(told)
        assert document["explanation"]["options"]["target"] == "all"
        assert document["text"] == result.text
        assert json.loads(result.explanation.to_json()) == document["explanation"]

    def test_what_is_no_number_is_null_and_an_infinity_a_word(self):
        result = explained("good soup")
        attribution = replace(result.explanation.attributions[0], values=(math.nan, math.inf))
        explanation = replace(result.explanation, attributions=(attribution,))
        document = json.loads(explanation.to_json(), parse_constant=pytest.fail)
        assert document["attributions"][0]["values"] == [None, "Infinity"]


class TestHtml:
    def test_each_text_is_written_in_its_own_direction(self):
        page = fragment(explained("שלום עולם"))
        assert '<div class="text" dir="auto">' in page
        assert "<bdi>" in page

    def test_text_is_shown_whole_and_nothing_of_it_is_markup(self):
        page = parsed(fragment(explained(HOSTILE)))
        assert page.sentence == HOSTILE
        assert {tag for tag, _ in page.tags} <= {"style", "div", "h4", "p", "span", "bdi"}
        assert all(
            attribute in {"class", "style", "title", "dir"} for _, attributes in page.tags for attribute in attributes
        )

    def test_tooltip_has_the_value_and_its_interval(self):
        titles = [
            attributes["title"]
            for _, attributes in parsed(fragment(explained("soup was"))).tags
            if "title" in attributes
        ]
        assert titles == ["soup: +0.010 (0.95 interval -0.010 to +0.030)", "was: -0.020"]

    def test_small_figures_have_the_decimals_that_tell_them_apart(self):
        result = explained("soup was")
        (attribution,) = result.explanation.attributions
        tenths = {
            name: tuple(value / 10 for value in getattr(attribution, name)) for name in ("values", "lower", "upper")
        }
        small = replace(result.explanation, attributions=(replace(attribution, **tenths),))
        html = fragment(replace(result, explanation=small))
        titles = [attributes["title"] for _, attributes in parsed(html).tags if "title" in attributes]
        assert titles == ["soup: +0.0010 (0.95 interval -0.0010 to +0.0030)", "was: -0.0020"]
        assert "<bdi>was</bdi> -0.0020 · <bdi>soup</bdi> +0.0010 ± 0.0020" in html

    def test_header_says_what_was_done(self):
        html = fragment(explained("a b c d e f g"))
        for part in ("great 0.700", "kernel-shap", "masking attention", "32 evaluations", "intervals narrow enough"):
            assert part in html

    def test_phrase_is_coloured_as_a_whole(self):
        html = fragment(explained("so good a soup", max_players=2))
        assert re.findall(r'title="[^"]*">([^<]*)</span>', html) == ["so good", "a soup"]
        assert "hover a phrase" in html

    def test_figures_below_the_text_are_short_and_parted_by_dots(self):
        result = explained("soup was")
        long = Feature("so, " * 30, (Span(0, 4),))
        features = (long, result.explanation.features[1])
        html = fragment(replace(result, explanation=replace(result.explanation, features=features)))
        shown = "so, so, so, so, so, so, so, so, so, so,…"
        assert f"><bdi>was</bdi> -0.020 · <bdi>{shown}</bdi> +0.010 ± 0.020</p>" in html

    def test_contrast_says_what_it_is_set_against(self):
        html = fragment(explained("soup", target=CONTRAST))
        assert "great rather than other: probability 0.500 without words → 0.600 as written" in html

    def test_header_says_how_far_to_trust_it(self):
        html = fragment(explained("soup was", quality="full"))
        for part in ("the strongest 2 words are certain", "R² 0.75", "falls by 0.375 (random: 0.125)"):
            assert part in html

    def test_a_word_at_several_places_is_coloured_everywhere(self):
        page = parsed(fragment(repeated_word()))
        assert sum(attributes.get("title", "").startswith("good:") for _, attributes in page.tags) == 2
        assert page.sentence == "good soup good"

    def test_what_the_model_did_not_read_is_marked(self):
        result = explained("soup was great")
        usage = explicate.TextUsage(tokens=300, tokens_used=128, truncated=True, characters_used=6)
        html = fragment(replace(result, prediction=replace(result.prediction, text_usage=usage)))
        assert "it read 128 of 300 tokens, the first 6 of 14 characters" in html
        assert '<span class="unread">great</span>' in html

    def test_document_is_one_page_for_several_explanations(self):
        page = document([explained("soup"), explained("bread")])
        assert page.startswith("<!doctype html>")
        assert parsed(page).sentence == "soupbread"

    @pytest.mark.parametrize("hue", [RAISES_RGB, LOWERS_RGB])
    @pytest.mark.parametrize(("page", "ink"), [((255, 255, 255), (33, 33, 33)), ((17, 17, 17), (222, 222, 222))])
    def test_words_stay_legible_on_light_and_dark_pages(self, hue, page, ink):
        strongest = re.findall(r"rgba\(\d+,\d+,\d+,([\d.]+)\)", fragment(explained("soup was great")))
        opacity = max(map(float, strongest))
        behind = tuple(h * opacity + p * (1 - opacity) for h, p in zip(hue, page, strict=True))
        assert _contrast(behind, ink) >= 4.5  # WCAG 2.2, 1.4.3, level AA


def _contrast(a, b) -> float:
    """Contrast ratio of two sRGB colours (WCAG 2.2, "contrast ratio" and "relative luminance")."""

    def luminance(colour):
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _drawn(value, lower, upper, full_scale=1.0, half=5) -> str:
    contribution = Contribution(Feature("x", (Span(0, 1),)), value, 0.1, lower, upper)
    return "".join(cell.character for cell in explanation_text.bar(contribution, full_scale, half))


class TestBars:
    @pytest.mark.parametrize(
        ("value", "lower", "upper", "drawn"),
        [
            (0.6, 0.6, 0.6, "     │███  "),
            (-0.6, -0.6, -0.6, "  ███│     "),
            (0.6, 0.4, 0.8, "     │█├●┤ "),
            (-0.6, -1.0, -0.2, "├─●─┤│     "),
            (0.0, -0.4, 0.4, "   ├─●─┤   "),
            (0.6, math.nan, math.nan, "     │███  "),
            (math.nan, math.nan, math.nan, "     │     "),
        ],
    )
    def test_bar_and_whiskers_stand_at_their_places(self, value, lower, upper, drawn):
        assert _drawn(value, lower, upper) == drawn

    def test_scale_fits_the_widest_interval(self):
        contributions = explained("a b c").explanation.contributions()
        assert explanation_text.bar_scale(contributions) == pytest.approx(
            0.04
        )  # -0.02 - 0.02; the last word's interval is unknown

    def test_scale_of_nothing_is_one(self):
        assert explanation_text.bar_scale(()) == 1.0


class TestWording:
    @pytest.mark.parametrize(
        ("reason", "words"),
        [
            ("tolerance", "stopped: intervals narrow enough"),
            ("top-k", "stopped: certain which 3 words weigh most"),
            ("budget", "stopped: evaluations used up"),
            ("complete", "stopped: all rows of the sample evaluated"),
            ("deadline", "stopped: out of time, best answer so far"),
            ("exact", "stopped: the values are exact"),
            ("running", "still running"),
            ("17", "stopped: 17"),
        ],
    )
    def test_stop_reason_is_told_in_words(self, reason, words):
        assert wording.stop_reason(stopped(explained("soup was great", top_k=3), reason)) == words

    def test_every_stop_reason_has_its_words(self):
        reasons = numbers_of(explanation_pb.StopReason)
        known = {wording.stop_reason(stopped(explained("soup", top_k=1), reason)) for reason in reasons}
        assert len(known) == len(reasons) == 7
        assert not {f"stopped: {reason}" for reason in reasons} & known

    @pytest.mark.parametrize(
        ("certain", "words"),
        [
            (0, "not certain which word is the strongest"),
            (1, "the strongest word is certain"),
            (4, "the strongest 4 words are certain"),
        ],
    )
    def test_certainty_of_the_strongest_is_told(self, certain, words):
        assert wording.quality(with_quality(explained("soup"), certain_top_k=certain))[0].endswith(f"; {words}")

    def test_words_that_weigh_nothing_are_not_called_certain(self):
        result = stopped(explained("soup was", top_k=2), "top-k")
        nothing = tuple(replace(one, values=(0.0,) * 2) for one in result.explanation.attributions)
        result = replace(result, explanation=replace(result.explanation, attributions=nothing))
        assert wording.stop_reason(result) == "stopped: certain that no word weighs anything"

    @pytest.mark.parametrize(
        ("figure", "words"),
        [(0.953, "R² 0.95"), (0.0, "no better than a constant"), (-1957.0, "no better than a constant")],
    )
    def test_the_additive_fit_is_told_as_far_as_it_is_a_fit(self, figure, words):
        told = wording.quality(with_quality(explained("soup"), held_out_r_squared=figure))[-1]
        assert told == f"additive fit on unseen combinations: {words}"

    def test_exact_values_are_not_called_uncertain(self):
        assert wording.quality(
            stopped(with_quality(explained("soup"), certain_top_k=0, largest_interval_ratio=0.0), "exact")
        ) == ["stopped: the values are exact"]

    def test_unknown_figures_are_left_out(self):
        figures = dict.fromkeys(("held_out_r_squared", "split_half_spearman", "largest_interval_ratio"), math.nan)
        for quality in ({}, figures, {"largest_interval_ratio": math.inf}):
            assert wording.quality(with_quality(explained("soup"), **quality)) == ["stopped: intervals narrow enough"]

    @pytest.mark.parametrize(
        ("ratio", "words"),
        [
            (0.123, "± 12% of the range"),
            (0.01, "± 1% of the range"),
            (0.004, "below ± 1% of the range"),
            (3.0, "± 300%"),
        ],
    )
    def test_widest_interval_is_a_share_of_the_range(self, ratio, words):
        told = wording.quality(with_quality(explained("soup"), largest_interval_ratio=ratio))[0]
        assert f"widest interval {words}" in told

    @pytest.mark.parametrize(
        ("lower", "upper", "words"), [(0.1, 0.3, "± 0.100"), (0.2, 0.2, "exact"), (math.nan, math.nan, "")]
    )
    def test_half_width_tells_exact_from_unknown(self, lower, upper, words):
        contribution = Contribution(Feature("x", (Span(0, 1),)), 0.2, 0.1, lower, upper)
        assert amounts.half_width(contribution) == words

    @pytest.mark.parametrize(
        ("scripts", "told"),
        [
            ((), ""),
            (("Thai",), "Thai is written without spaces: its words are the model's tokens"),
            (
                ("Tai_Le", "Han", "Hiragana"),
                "Tai Le, Han and Hiragana are written without spaces: their words are the model's tokens",
            ),
        ],
    )
    def test_words_that_are_tokens_are_told_in_every_view(self, scripts, told):
        result = explained("ชานี้")
        result = replace(result, explanation=replace(result.explanation, unspaced_scripts=scripts))
        page, lines = unescape(fragment(result)), list(explanation_text.header(result))
        assert [line for line in lines if "without spaces" in line] == [told] * bool(scripts)
        assert page.count("without spaces") == bool(scripts)
        assert told in page
        assert ("unspaced_scripts" in result.to_json()) == bool(scripts)

    def test_fall_stands_beside_that_of_a_random_ranking(self):
        assert wording.quality(explained("soup was", quality="full"))[-1] == (
            "without the words that raise it most the output falls by 0.375 (random: 0.125),"
            " with them alone by 0.031 (random: 0.250)"
        )

    @pytest.mark.parametrize(
        ("options", "noun"),
        [
            ({}, "word"),
            ({"granularity": "token"}, "token"),
            ({"granularity": "sentence"}, "sentence"),
            ({"granularity": "sentence", "max_players": 2}, "sentence"),
            ({"max_players": 2}, "phrase"),
            ({"granularity": "token", "max_players": 2}, "phrase"),
        ],
    )
    def test_features_have_a_name(self, options, noun):
        assert kinds.explained(explained("so good a soup", **options)).noun == noun

    def test_nothing_is_said_of_reuse_when_there_was_none(self):
        result = explained("soup")
        fresh = replace(result, explanation=replace(result.explanation, reused_evaluations=0))
        assert "(8 reused)" in wording.method(result)
        assert "reused" not in wording.method(fresh)

    @pytest.mark.parametrize(
        ("method", "start"),
        [("kernel-shap", "without words"), ("lime", "intercept"), ("lime-stratified", "intercept")],
    )
    def test_baseline_is_what_the_method_means_by_it(self, method, start):
        result = explained("soup", method=method)
        assert start in wording.outcome(result.explanation.attributions[0], result)


class TestText:
    def test_words_come_strongest_first_with_the_rest_counted(self):
        lines = list(explanation_text.lines(explained("a b c d"), top=2))
        assert [line.split()[0] for line in lines[-3:]] == ["d", "c", "and"]
        assert lines[-1] == "and 2 more words with less (--top 0 lists all)"

    def test_one_more_word_is_not_words(self):
        assert list(explanation_text.lines(explained("a b c"), top=2))[-1].startswith("and 1 more word with less")

    def test_table_is_headed_by_what_it_lists(self):
        assert any(line.startswith("PHRASE ") for line in explanation_text.lines(explained("a b c", max_players=2), 0))

    def test_all_words_are_listed_when_asked(self):
        lines = list(explanation_text.lines(explained("a b c d"), top=0))
        assert [line.split()[0] for line in lines[-4:]] == ["d", "c", "b", "a"]

    def test_equal_words_are_told_apart_by_their_place(self):
        shown = explained("soup and soup").explanation.top(3)
        assert tables.names([each.feature for each in shown], 20) == ["soup @9", "and", "soup @0"]

    def test_wide_characters_keep_the_columns(self):
        table = tables.table(("A", "B"), [("汤", "x"), ("ab", "y"), ("é", "z")])
        assert table.splitlines() == ["A   B", "汤  x", "ab  y", "é   z"]

    @given(st.text())
    def test_nothing_commands_the_terminal(self, text):
        joiners = str.maketrans("", "", "\u200c\u200d" + "".join(map(chr, range(0xE0020, 0xE0080))))
        assert tables.printable(text).translate(joiners).isprintable()
        assert len(tables.printable(text)) == len(text)

    def test_emoji_of_several_code_points_are_printed_whole(self):
        assert tables.printable("👨‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 می\u200cخواهم") == "👨‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 می\u200cخواهم"
        assert (
            tables.printable("a\u202eb\x1b[31m\u2066")
            == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}"
        )

    @pytest.mark.parametrize("text", TEXTS.values())
    def test_no_view_cuts_a_text_inside_of_a_character(self, text):
        text = tables.printable(text)
        edges = {0, *(match.end() for match in regex.finditer(r"\X", text))}
        assert "".join(characters(text)) == text
        assert edges.issuperset(accumulate(map(len, characters(text))))
        for length in range(len(text)):
            assert len(begun(text, length)) <= length
            assert len(begun(text, length)) in edges
            cut = tables.shortened(text, length).removesuffix("…")
            assert not cut or len(cut) in edges

    @given(texts())
    def test_characters_make_up_the_text(self, text):
        assert "".join(characters(text)) == text

    @given(st.text(), st.integers(2, 30))
    def test_shortened_text_fits(self, text, width):
        assert tables.display_width(tables.shortened(text, width)) <= width


@st.composite
def cut_texts(draw):
    """A text and features at places of it, in order and without overlap."""
    text = draw(st.text(min_size=1, max_size=40))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=12)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    return text, [Feature(text[a:b], (Span(a, b),)) for a, b in pairs]


class TestSegments:
    @given(cut_texts())
    def test_segments_joined_are_the_text(self, cut):
        text, features = cut
        pieces = segments(text, features)
        assert "".join(piece.text for piece in pieces) == text
        assert [features[p.feature].text for p in pieces if p.feature is not None] == [f.text for f in features]
        assert all(text[p.start : p.start + len(p.text)] == p.text for p in pieces)

    @given(cut_texts())
    def test_feature_texts_joined_are_the_text(self, cut):
        text, features = cut
        assert "".join(feature_texts(text, features)) == text
        assert len(feature_texts(text, features)) == len(features)

    def test_spans_that_overlap_or_leave_the_text_do_no_harm(self):
        features = [Feature("abc", (Span(0, 3),)), Feature("bcd", (Span(1, 4),)), Feature("z", (Span(90, 99),))]
        assert "".join(piece.text for piece in segments("abcdef", features)) == "abcdef"
