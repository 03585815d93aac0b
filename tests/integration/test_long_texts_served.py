"""Long texts through a real server: sentences first, then words, and clients that know nothing of sentences go on."""

from collections.abc import Iterator

import numpy as np
import pytest

from explicate import Client, ExplainResult
from explicate.views import explanation_text, html
from support.harness import server_process
from support.measured_models import publish_texts

SENTENCES = (
    "the film was so good, and it was short. ",
    "but the box came late! ",
    "nobody would say that it is a good idea to buy one of them; not even the cook who made it.\n\n",
)
TEXT = ("".join(SENTENCES) * 5).strip()
WEIGHTS = {word: weight / 7 for weight, word in enumerate(dict.fromkeys(TEXT.split()), start=-9)}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("long")
    publish_texts(folder, WEIGHTS, model="texts")
    with server_process(folder) as (_, target), Client(target) as client:
        yield client


@pytest.fixture(scope="module")
def result(client: Client) -> ExplainResult:
    return client.explain("texts", TEXT, seed=3, tolerance=0.0)


def test_words_are_features_and_sentences_come_beside_them(result: ExplainResult) -> None:
    explanation = result.explanation
    assert [feature.text for feature in explanation.features] == TEXT.split()
    assert [section.text for section in explanation.sections] == [part.strip() for part in SENTENCES * 5]
    (attribution,) = explanation.attributions
    for section in explanation.sections:
        words = slice(section.first_feature, section.first_feature + section.feature_count)
        (told,) = section.values
        assert told.value == pytest.approx(sum(attribution.values[words]), abs=1e-9)
        assert told.lower <= told.value <= told.upper
        assert 0 < told.standard_error <= sum(attribution.standard_errors[words]) + 1e-9
    places = [each.first_feature for each in explanation.sections]
    assert places == np.cumsum([0, *(len(part.split()) for part in SENTENCES * 5)])[:-1].tolist()


def test_a_stream_tells_sentences_before_words(client: Client) -> None:
    first, *_, last = client.stream_explain("texts", TEXT, seed=3, tolerance=0.0)
    assert first.explanation.features == last.explanation.features
    assert first.explanation.evaluations < 2 + 6 * len(SENTENCES) * 5 + 1
    assert last.final

    def widest(result: ExplainResult) -> tuple[float, float]:
        (attribution,), sections = result.explanation.attributions, result.explanation.sections
        of_words = max(np.subtract(attribution.upper, attribution.lower))
        return of_words, max(section.values[0].upper - section.values[0].lower for section in sections)

    (first_words, first_sections), (last_words, last_sections) = widest(first), widest(last)
    assert last_words < first_words / 2
    assert last_sections < first_sections


def test_phrases_are_made_only_when_they_are_asked_for(client: Client, result: ExplainResult) -> None:
    asked = client.explain("texts", TEXT, max_players=20, tolerance=0.0)
    assert len(asked.explanation.features) <= 20
    assert not asked.explanation.sections
    assert (asked.explanation.options.max_players, result.explanation.options.max_players) == (20, 1024)
    short = client.explain("texts", SENTENCES[0], method="kernel-shap")
    assert not short.explanation.sections


def test_every_view_shows_sentences_before_words(result: ExplainResult) -> None:
    text = "\n".join(explanation_text.lines(result, 3))
    assert text.index("SENTENCE ") < text.index("and 12 more sentences") < text.index("WORD ")
    page = html.document([result])
    assert page.index("<th>sentence</th>") < page.index('<div class="text"')
    assert page.count("<tr><td") == 10


def test_the_json_of_an_answer_tells_its_sections(result: ExplainResult) -> None:
    again = ExplainResult.from_json(result.to_json())
    assert again.explanation.sections == result.explanation.sections
    broken = (
        result.to_json()
        .replace('"first_feature": 0', '"first_feature": 900')
        .replace('"first_feature":0', '"first_feature":900')
    )
    with pytest.raises(Exception, match=r"sections\[0\] of other features"):
        ExplainResult.from_json(broken)
