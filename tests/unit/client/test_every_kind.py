"""What holds for every kind of input: texts, pairs of texts, rows and images."""

from __future__ import annotations

import csv
import io
import math
import pickle
import re
import sys
from dataclasses import replace

import pytest

import explicate
from explicate.cli import main
from explicate.views import explanation_text
from explicate.views.html import document, fragment
from support.canned.canned_kinds import KINDS, TABLE, CannedKind, explained
from support.command_line import COLOUR, documents, in_terminal

pytestmark = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)


def result_of(kind: CannedKind, **options) -> explicate.ExplainResult:
    return explained(kind.value, kind.model, **options)


class TestCalls:
    def test_one_input_in_place_of_a_list_is_refused(self, ask, server, kind):
        message = rf"must be a list of {kind.noun}s; for one {kind.noun} write predict\(model, \[{kind.noun}\]\)"
        with pytest.raises(explicate.UsageError, match=message):
            ask("predict", kind.model, kind.value)
        assert server.requests == []

    def test_a_stream_ends_with_what_one_answer_has(self, ask, kind):
        *running, last = ask("stream_explain", kind.model, kind.value)
        assert [result.final for result in (*running, last)] == [False, False, True]
        once = ask("explain", kind.model, kind.value)
        assert all(result.explanation.features == once.explanation.features for result in (*running, last))
        assert all(result.explanation.segment_map == once.explanation.segment_map for result in (*running, last))
        assert last.explanation.features[0].name == kind.feature

    def test_resolved_options_can_be_asked_with_again(self, ask, kind):
        result = ask("explain", kind.model, kind.value, target=explicate.ALL, top_k=2)
        again = ask("explain", kind.model, kind.value, **vars(result.explanation.options))
        assert repr(again.explanation) == repr(result.explanation)  # as text, because one NaN is not equal to another

    def test_a_result_can_be_hashed_and_pickled(self, ask, kind):
        result = ask("explain", kind.model, kind.value)
        assert isinstance(hash(result), int)  # rows are dictionaries, and must not stand in the way
        assert pickle.loads(pickle.dumps(result)).explanation.features == result.explanation.features


class TestCommands:
    def test_a_refused_input_is_named_and_the_others_explained(self, explicate, kind, tmp_path):
        asked = kind.arguments(tmp_path, kind.written, kind.refused, kind.written)
        code, out, err = explicate("explain", "--model", kind.model, *asked)
        assert code == 1
        assert [(line["input"], "error" in line) for line in documents(out)] == [(1, False), (2, True), (3, False)]
        assert re.match(rf"explicate: {kind.noun} 2( \(gone\.png\))?: ", err)
        assert err.count("\n") == 1

    @pytest.mark.parametrize("output_format", ["text", "json", "csv"])
    def test_a_refused_input_is_named_and_the_others_predicted(self, explicate, kind, tmp_path, output_format):
        asked = kind.arguments(tmp_path, kind.written, kind.refused, kind.written)
        code, out, err = explicate("predict", "--format", output_format, "--model", kind.model, *asked)
        assert code == 1
        assert err.startswith(f"explicate: {kind.noun} 2")
        if output_format == "text":
            heading, *lines = out.splitlines()
            assert re.split(r"\s{2,}", heading) == ["LABEL", "PROBABILITY", kind.noun.upper()]
            assert len(lines) == 2
        elif output_format == "json":
            assert ["error" in line for line in documents(out)] == [False, True, False]
        else:
            lines = list(csv.DictReader(io.StringIO(out)))
            assert [bool(line["error"]) for line in lines] == [False, True, False]
            assert [line["label"] in kind.classes for line in lines] == [True, False, True]

    def test_html_file_holds_every_explanation(self, explicate, kind, tmp_path):
        page = tmp_path / "page.html"
        asked = kind.arguments(tmp_path, kind.written, kind.written)
        code, *_ = explicate("explain", "--model", kind.model, "--html", str(page), *asked)
        assert code == 0
        assert page.read_text().count('<div class="explicate">') == 2
        assert page.read_text().count("<svg") == (2 if kind.noun == "image" else 0)

    def test_terminal_has_every_feature_in_colour(self, server, kind, tmp_path):
        asked = ("--server", server.target, "--model", kind.model, *kind.arguments(tmp_path))
        code, written = in_terminal("explain", *asked)
        assert code == 0
        assert COLOUR.search(written)
        assert all(feature.name in written for feature in result_of(kind).explanation.features)
        assert "●" in written

    @pytest.mark.parametrize("command", ["predict", "explain"])
    def test_a_model_of_something_else_is_refused(self, explicate, kind, command, tmp_path):
        other, plural = ("credit", "tables") if kind.plural != "tables" else ("reviews", "texts")
        code, out, err = explicate(command, "--format", "csv", "--model", other, *kind.arguments(tmp_path))
        assert (code, out.splitlines()[1:]) == (2, [])  # the header of explanations is all there is
        assert err.startswith(f"explicate: {other} is a model of {plural}, not of {kind.plural}: give texts")

    def test_inputs_come_from_one_place(self, explicate, server, kind, tmp_path):
        more = TABLE.written if kind != TABLE else ("a text",)
        code, out, err = explicate("explain", "--model", kind.model, *kind.arguments(tmp_path), *more)
        assert (code, out, server.requests) == (2, "", [])
        assert "give texts as arguments" in err

    @pytest.mark.parametrize("command", ["predict", "explain"])
    def test_help_tells_how_to_give_it(self, capsys, kind, command, tmp_path):
        with pytest.raises(SystemExit):
            main.main([command, "--help"])
        told = " ".join(capsys.readouterr().out.split())
        options = [argument for argument in kind.arguments(tmp_path) if argument.startswith("--")] or ["TEXT"]
        assert all(f"{option} " in told for option in (*options, "--jsonl"))


class TestViews:
    def test_every_output_has_its_own_drawing(self, kind):
        html = fragment(result_of(kind, target=explicate.ALL))
        first, second = html.split('<p class="output">')[1:]
        assert (first.partition(":")[0], second.partition(":")[0]) == kind.classes
        drawings = {"row": ["<table"], "image": ["<svg", "<table"]}.get(kind.noun, ['class="text"'])
        assert all(mark in part for mark in drawings for part in (first, second))

    def test_a_document_has_every_explanation_and_a_notebook_the_fragment(self, kind):
        result = result_of(kind)
        assert document([result, result]).count('<div class="explicate">') == 2
        assert document([result]).startswith("<!doctype html>")
        assert result._repr_html_() == fragment(result)

    def test_nan_values_are_drawn_without_colour(self, kind):
        result = result_of(kind)
        nothing = (math.nan,) * len(result.explanation.features)
        attribution = replace(result.explanation.attributions[0], values=nothing, lower=nothing, upper=nothing)
        html = fragment(replace(result, explanation=replace(result.explanation, attributions=(attribution,))))
        drawn = html.partition('<p class="output">')[2].rpartition('<p class="legend">')[0]
        assert "rgba(" not in drawn
        assert 'class="bar"' not in drawn
        assert "nan" not in drawn.casefold()

    def test_names_from_the_server_are_escaped(self, kind):
        result = result_of(kind)
        model, prediction = replace(result.model, model="<img>"), replace(result.prediction, label="<b>")
        html = fragment(replace(result, model=model, prediction=prediction))
        assert "&lt;img&gt;" in html
        assert not re.search(r"<(img|b)\b", html)

    def test_features_that_are_not_listed_are_counted(self, kind):
        result = result_of(kind)
        rest = len(result.explanation.features) - 1
        assert list(explanation_text.lines(result, 1))[-1].startswith(f"and {rest} more ")

    def test_missing_shap_names_the_extra(self, kind, monkeypatch):
        monkeypatch.setitem(sys.modules, "shap", None)
        with pytest.raises(explicate.UsageError, match=re.escape("pip install 'explicate[shap]'")):
            result_of(kind).to_shap()
