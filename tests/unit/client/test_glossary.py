"""The words of pages: there is one for whatever a server may answer, in every language."""

import re
from pathlib import Path

import pytest

from explicate.sentences.glossary import glossary, glossary_tags, metric_terms
from explicate.v1 import explanation_pb2
from explicate_server.explain.methods import methods_of

LANGUAGES = pytest.mark.parametrize("tag", glossary_tags())


def enum_words(enum, prefix: str) -> set[str]:
    """The values of an enum as clients write them, such as "mask-token"."""
    return {name.removeprefix(prefix).lower().replace("_", "-") for name in enum.keys()} - {"unspecified"}  # noqa: SIM118


@LANGUAGES
def test_every_method_has_words(tag):
    methods = {name for kind in ("text", "table", "image") for name in methods_of(kind)}
    assert set(glossary(tag)["method"]) == {"auto"} | methods


@LANGUAGES
def test_every_stop_reason_masking_and_scale_has_words(tag):
    told = glossary(tag)
    assert set(told["stop"]) == enum_words(explanation_pb2.StopReason, "STOP_REASON_")
    assert set(told["masking"]) == enum_words(explanation_pb2.Masking, "MASKING_")
    assert set(told["scale"]) == enum_words(explanation_pb2.OutputSpace, "OUTPUT_SPACE_")


@LANGUAGES
def test_every_language_says_the_same_words(tag):
    assert {group: set(terms) for group, terms in glossary(tag).items()} == {
        group: set(terms) for group, terms in glossary("en").items()
    }


@LANGUAGES
def test_what_a_word_means_is_short_and_has_no_markup(tag):
    for terms in glossary(tag).values():
        for term in terms.values():
            assert 1 <= len(term.title) <= 40
            assert 20 <= len(term.says) <= 220
            assert not set("<>&{}`\n") & set(term.title + term.says)


def test_a_language_that_is_not_there_is_english():
    assert glossary("xx") is not glossary("de")
    assert glossary("xx") == glossary("en")
    assert glossary("../en") == glossary("en")


def test_an_unknown_language_is_english_and_keeps_nothing() -> None:
    assert glossary("xx") is glossary("../en") is glossary("en")


STATIC = Path(__file__).parents[3] / "console/explicate_console/static"


def test_a_metric_has_its_words_once_whatever_it_is_a_mean_of():
    words = glossary()["report"]
    assert metric_terms(["f1_macro", "f1_micro", "mae", "rmse", "nothing_known"]) == {
        "f1": words["f1"],
        "errors": words["errors"],
    }


def test_every_word_that_the_console_lets_be_asked_for_is_there():
    measured = (STATIC / "models/measured.js").read_text("utf-8")
    named = re.search(r"const TERMS = \{(.*?)\}.*?new Set\(\[(.*?)\]\)", measured, re.DOTALL)
    report = set(re.findall(r'"(\w+)"', named[1] + named[2]))
    assert len(report) > 10
    assert report <= set(glossary()["report"])
    asked = [(STATIC / name).read_text("utf-8") for name in ("compare/told.js", "audit/plain_words.js")]
    places = re.findall(r'[([]"(\w+)", "(\w+)"[],)]', "".join(asked))
    found = [(group, name) for group, name in places if group in glossary()]
    assert len(found) > 5
    assert all(name in glossary()[group] for group, name in found)
