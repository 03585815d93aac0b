"""Interactions as text, HTML and JSON."""

from dataclasses import replace
from typing import Any

import pytest

import explicate
from explicate import json_documents
from explicate.views import explanation_text, html
from support.canned import canned_kinds

CERTAIN = explicate.Interaction(0, 2, -0.4, 0.1, -0.6, -0.2)
UNSURE = explicate.Interaction(1, 2, 0.05, 0.1, -0.15, 0.25)
EXACT = explicate.Interaction(0, 1, 0.03, 0.0, 0.03, 0.03)


def with_pairs(*pairs: explicate.Interaction, text: str = "not very good", **changes: Any) -> explicate.ExplainResult:
    result = canned_kinds.explained(text, "reviews")
    explanation = result.explanation
    first, *rest = explanation.attributions
    options = replace(explanation.options, interactions=3)
    attributions = (replace(first, interactions=pairs), *rest)
    return replace(result, explanation=replace(explanation, options=options, attributions=attributions, **changes))


def test_a_table_names_both_features_and_marks_what_may_be_nothing() -> None:
    lines = list(explanation_text.lines(with_pairs(CERTAIN, UNSURE, EXACT), 0))
    start = lines.index("what two words add together, beyond what each adds alone:")
    certain, unsure, exact = (line.split() for line in lines[start + 2 : start + 5])
    assert certain == ["not", "+", "good", "-0.400", "-0.600", "to", "-0.200"]
    assert unsure == ["very", "+", "good", "+0.050", "-0.150", "to", "+0.250", "may", "be", "0"]
    assert exact == ["not", "+", "very", "+0.030", "exact"]


def test_html_escapes_the_features_and_draws_an_unsure_pair_as_one() -> None:
    drawn = html.fragment(with_pairs(CERTAIN, UNSURE, text="<b>no</b> very good"))
    table = drawn.partition('<table class="pairs">')[2].partition("</table>")[0]
    assert "&lt;b&gt;no&lt;/b&gt;" in table
    assert "<b>" not in table
    assert table.count('class="unsure"') == 1


@pytest.mark.parametrize(("reason", "why"), [("deadline", "no time left"), ("budget", "too little was evaluated")])
def test_none_that_were_asked_for_are_said_to_be_missing(reason: str, why: str) -> None:
    result = with_pairs(stop_reason=reason)
    assert any(why in line for line in explanation_text.lines(result, 0))
    assert why in html.fragment(result)


def test_nothing_is_said_of_them_where_none_were_asked_for_or_more_will_follow() -> None:
    for result in (canned_kinds.explained("not very good", "reviews"), replace(with_pairs(CERTAIN), final=False)):
        assert not any("together" in line for line in explanation_text.lines(result, 0))
        assert '<table class="pairs">' not in html.fragment(result)


def test_their_json_comes_back_equal_and_only_pairs_of_its_own_features_are_taken() -> None:
    result = with_pairs(CERTAIN, UNSURE)
    read = explicate.ExplainResult.from_json(result.to_json()).explanation
    assert read.attributions[0].interactions == (CERTAIN, UNSURE)
    assert read.options.interactions == 3
    assert '"interactions": [{"first": 0' in json_documents.dumps(result)
    for pair in (replace(CERTAIN, second=3), replace(CERTAIN, first=2)):
        with pytest.raises(explicate.UsageError, match="interactions of others"):
            explicate.ExplainResult.from_json(with_pairs(pair).to_json())


def test_files_of_rows_have_no_columns_for_them() -> None:
    with pytest.raises(explicate.UsageError, match="--interactions"):
        explicate.score("reviews", "rows.csv", "scored", explain="kernel-shap", interactions=3)
