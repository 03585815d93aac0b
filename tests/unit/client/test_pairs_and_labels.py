"""Pairs of texts and models of several labels: calls, views and the command line."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest

import explicate
from explicate.views import explanation_text, wording
from explicate.views.html import fragment
from explicate.views.kinds.explained_text import pair_texts
from support.canned.canned_labels import LABELS, probabilities
from support.canned.canned_server import great_probability
from support.command_line import documents, in_terminal

PAIR = explicate.TextPair("It rains now", "The street now")
PAIRS = ("--model", "entailment")
TAGS = ("--model", "tags")


@pytest.fixture
def pair(ask) -> explicate.ExplainResult:
    return ask("explain", "entailment", PAIR)


class TestPairs:
    @pytest.mark.parametrize("value", [PAIR, tuple(PAIR)])
    def test_both_texts_are_sent(self, ask, server, value):
        answer = ask("predict", "entailment", [value])
        sent = server.requests[0].inputs[0].text
        assert (sent.text, sent.text_pair) == tuple(PAIR)
        assert answer.predictions[0].scores[1].probability == great_probability("six words are in both texts")

    def test_an_empty_second_text_is_sent_for_the_server_to_judge(self, ask, server):
        ask("predict", "entailment", [("It rains", "")])
        assert server.requests[0].inputs[0].text.HasField("text_pair")

    def test_usage_counts_each_text(self, ask):
        usage = ask("predict", "entailment", [PAIR]).predictions[0].text_usage
        assert (usage.characters_used, usage.pair_characters_used) == (len(PAIR.text), len(PAIR.text_pair))
        assert ask("predict", "reviews", ["a"]).predictions[0].text_usage.pair_characters_used is None

    def test_features_say_which_text_they_are_in(self, pair):
        assert (pair.text, pair.text_pair) == tuple(PAIR)
        told = [(feature.text, feature.in_pair, feature.spans[0].start) for feature in pair.explanation.features]
        assert told == [
            *(("It", False, 0), ("rains", False, 3), ("now", False, 9)),
            *(("The", True, 0), ("street", True, 4), ("now", True, 11)),
        ]

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            (("a", None), "input.text.text_pair"),
            ((None, "b"), "input.text"),
            (("a", "\ud800"), "input.text.text_pair"),
            (("a", "b", "c"), "input.text"),
        ],
    )
    def test_what_is_no_pair_is_refused_with_its_field(self, ask, server, value, path):
        with pytest.raises(explicate.InvalidArgument) as caught:
            ask("explain", "entailment", value)
        assert [field for field, _ in caught.value.violations] == [path]
        assert server.requests == []

    def test_a_model_of_pairs_says_so(self, ask):
        assert ask("get_model", "entailment").pairs
        assert not ask("get_model", "reviews").pairs


class TestPairViews:
    def test_html_has_both_texts_each_with_its_own_colours(self, pair):
        first, second = re.findall(r'<div class="text" dir="auto">(.*?)</div>', fragment(pair))
        strip = re.compile(r"<[^>]*>")
        assert (strip.sub("", first), strip.sub("", second)) == tuple(PAIR)
        # Values alternate in sign: of the first text's three words the second lowers, of the other's the first.
        colours = [re.findall(r"background:rgba\((\d+)", html) for html in (first, second)]
        assert colours == [["230", "33", "230"], ["33", "230", "33"]]

    def test_what_of_each_text_was_not_read_is_dimmed_and_said(self, pair):
        usage = explicate.TextUsage(9, 6, truncated=True, characters_used=3, pair_characters_used=4)
        result = replace(pair, prediction=replace(pair.prediction, text_usage=usage))
        assert re.findall(r'<span class="unread">(.*?)</span>', fragment(result)) == [
            *("rains", " ", "now"),
            *("street", " ", "now"),
        ]
        assert wording.unread(result) == (
            "the pair of texts is too long for the model: it read 6 of 9 tokens, the first 3 of 12 characters"
            " and of the second text 4 of 14"
        )

    def test_the_list_says_which_text_a_word_is_in(self, pair):
        lines = list(explanation_text.lines(pair, 0))
        heading = next(i for i, line in enumerate(lines) if line.startswith("WORD"))
        assert "IN TEXT" in lines[heading]
        words = {tuple(re.split(r"\s{2,}", line)[:2]) for line in lines[heading + 1 :]}
        assert ("street", "second") in words
        assert ("rains", "first") in words

    @pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore::DeprecationWarning")
    def test_shap_has_the_words_of_both_texts(self, pair):
        import matplotlib as mpl

        mpl.use("Agg")
        import matplotlib.pyplot as plt
        import shap

        converted = pair.to_shap()
        assert "".join(converted.data) == "It rains now | The street now"
        assert converted.values.tolist() == [0.01, -0.02, 0.03, -0.04, 0.05, -0.06]
        axes = shap.plots.waterfall(converted, show=False)
        assert "street" in " ".join(label.get_text() for label in axes.get_yticklabels())
        plt.close("all")
        assert "street" in shap.plots.text(converted, display=False)

    def test_texts_are_joined_in_their_own_order_whatever_the_features_order(self, pair):
        features = pair.explanation.features
        mixed = [features[3], features[0], *features[1:3], *features[4:]]
        assert pair_texts(*PAIR, mixed) == ["The ", "It ", "rains ", "now | ", "street ", "now"]


class TestPairCommands:
    def test_the_second_text_is_an_option_and_json_has_both(self, explicate, server):
        code, out, _ = explicate("predict", *PAIRS, "a b", "c", "--text-pair", "d", "--text-pair", "e f g")
        assert code == 0
        assert [(d["text"], d["text_pair"]) for d in documents(out)] == [("a b", "d"), ("c", "e f g")]
        assert [item.text.text_pair for item in server.requests[-1].inputs] == ["d", "e f g"]

    @pytest.mark.parametrize("texts", [["a", "b"], ["-"], []])
    def test_there_must_be_one_for_each_text(self, explicate, server, texts):
        code, out, err = explicate("predict", *PAIRS, *texts, "--text-pair", "x")
        assert (code, out, server.requests) == (2, "", [])
        assert "one for each TEXT" in err or "give texts" in err

    def test_pairs_come_from_json_lines(self, explicate, tmp_path):
        lines = [
            json.dumps({"text": "a b", "text_pair": "c", "label": "yes"}),
            "",
            "[1]",
            json.dumps({"text": "a", "text_pair": 3}),
            json.dumps({"text": "é", "text_pair": "d"}),
        ]
        (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
        code, out, err = explicate("predict", *PAIRS, "--jsonl", str(tmp_path / "pairs.jsonl"))
        assert code == 1
        assert [(d["input"], "error" in d) for d in documents(out)] == [(1, False), (3, True), (4, True), (5, False)]
        assert "text 3: is not a JSON object" in err
        assert "text 4: needs a text" in err

    def test_csv_has_a_column_for_each_text(self, explicate):
        _, out, _ = explicate("predict", *PAIRS, "--format", "csv", "a, b", "--text-pair", "c")
        (row,) = csv.DictReader(io.StringIO(out))
        assert (row["text"], row["text_pair"], row["error"]) == ("a, b", "c", "")

    def test_csv_of_an_explanation_says_which_text_a_word_is_in(self, explicate):
        _, out, _ = explicate("explain", *PAIRS, "--format", "csv", "a", "--text-pair", "b")
        assert [(r["feature"], r["in_pair"]) for r in csv.DictReader(io.StringIO(out))] == [
            ("a", "false"),
            ("b", "true"),
        ]

    def test_a_missing_second_text_is_told(self, explicate):
        code, _, err = explicate("predict", *PAIRS, "alone")
        assert (code, err) == (1, "explicate: text 1: the second text is required\n")

    def test_terminal_shows_both_texts(self, server):
        code, written = in_terminal("explain", "--server", server.target, *PAIRS, "It rains", "--text-pair", "The end")
        assert code == 0
        assert all(part in written for part in ("in text", "second", "rains", "end"))


class TestSeveralLabels:
    def test_labels_of_at_least_one_half_come_first_the_likeliest(self, ask):
        text = "one two three four five six seven eight nine"
        prediction = ask("predict", "tags", [text]).predictions[0]
        assert prediction.labels == ("toxic", "insult")
        assert tuple(score.probability for score in prediction.scores) == probabilities(text) == (0.9, 0.8, 0.25)
        assert (prediction.index, prediction.label, prediction.value) == (None, "", None)
        assert prediction.probability != prediction.probability  # NaN: there is no one class

    def test_no_label_is_an_answer_too(self, ask):
        prediction = ask("predict", "tags", ["one"]).predictions[0]
        assert prediction.labels == ()
        assert wording.prediction(prediction) == "no label (the nearest: spam 0.250)"

    def test_a_label_is_explained_like_a_class(self, ask):
        result = ask("explain", "tags", "one two three four", target=explicate.ALL)
        assert [attribution.class_label for attribution in result.explanation.attributions] == ["toxic", "insult"]
        assert "insult 0.800" in fragment(result)

    def test_json_says_that_there_is_no_label(self, explicate):
        _, out, _ = explicate("predict", *TAGS, "one", "one two three four")
        none, one = (document["prediction"] for document in documents(out))
        assert (none["labels"], one["labels"]) == ([], ["insult"])
        assert "index" not in one
        assert "labels" not in documents(explicate("predict", "--model", "reviews", "a")[1])[0]["prediction"]

    def test_table_lists_the_labels_with_their_probabilities(self, explicate):
        _, out, _ = explicate("predict", *TAGS, "--format", "text", "a b c d e f g h i", "a")
        heading, several, none = out.splitlines()
        assert re.split(r"\s{2,}", heading) == ["LABELS", "TEXT"]
        assert several.startswith("toxic 0.900, insult 0.800  ")
        assert none.startswith("no label (the nearest: spam 0.250)  ")

    def test_csv_has_the_labels_and_a_probability_for_each(self, explicate):
        _, out, _ = explicate("predict", *TAGS, "--format", "csv", "a b c d", "")
        answered, refused = csv.DictReader(io.StringIO(out))
        assert json.loads(answered["labels"]) == ["insult"]
        assert [float(answered[f"probability.{label}"]) for label in LABELS] == [0.4, 0.8, 0.25]
        assert (refused["labels"], refused["probability.spam"], refused["error"]) == ("", "", "must not be empty")

    def test_csv_of_an_explanation_has_the_labels(self, explicate):
        _, out, _ = explicate("explain", *TAGS, "--format", "csv", "a b c d")
        assert {row["prediction"] for row in csv.DictReader(io.StringIO(out))} == {'["insult"]'}

    @pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore::DeprecationWarning")
    def test_shap_draws_one_label_and_all_of_them(self, ask):
        import matplotlib as mpl

        mpl.use("Agg")
        import matplotlib.pyplot as plt
        import shap

        one, every = (ask("explain", "tags", "a b c d", target=target).to_shap() for target in (None, explicate.ALL))
        assert one.output_names == "insult"
        assert shap.plots.waterfall(one, show=False).get_yticklabels()
        plt.close("all")
        assert list(every.output_names) == ["toxic", "insult"]
        assert every[:, 0].values.tolist() == [-value for value in one.values]
