"""Sentences of explanations on a real server: in which language, about what, and that they fit the answer's figures."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from explicate.sentences.language import language
from explicate.v1 import explanation_pb2
from explicate.v1 import inference_service_pb2 as messages
from support.harness import (
    ALL_CLASSES,
    TEXT,
    explain_input,
    explain_request,
    image_input,
    running_server,
    stream_request,
    table_input,
)
from support.packed_tables import packed
from support.tiny_image_bundle import pictures, png
from support.tiny_table_bundle import tiny_table

LOANS = tiny_table()
CLOSE = 1e-9


def row() -> messages.Input:
    numbers, codes = LOANS.rows(1, seed=3)
    return table_input(LOANS.cells(numbers[0], codes[0]))


async def explained(repository: Path, request: messages.ExplainRequest, **settings: Any) -> messages.ExplainResult:
    async with running_server(repository, **settings) as running:
        return (await running.inference.Explain(request)).result


@pytest.mark.parametrize(("asked", "taken", "begins"), [(None, "en", "The model"), ("de-AT", "de", "Das Modell")])
async def test_a_text_is_explained_in_the_nearest_language(
    tiny_repository: Path, asked: str | None, taken: str, begins: str
) -> None:
    options = {} if asked is None else {"language": asked}
    result = await explained(tiny_repository, explain_request(TEXT, **options))
    told = list(result.explanation.sentences)
    assert result.explanation.options.language == taken
    assert all(told)
    spoken, answer = language(taken), result.prediction.classification
    label, best = spoken.quoted(answer.predicted_label), answer.scores[answer.predicted_index]
    assert told[0].startswith(begins)
    assert told[0] == spoken.fill("answer.class", label=label, probability=spoken.percent(best.probability))


async def test_the_strongest_column_is_named_where_it_is_certain(table_repository: Path) -> None:
    result = await explained(table_repository, explain_input(row(), model="loans", method="exact-shap"))
    (attribution,), features = result.explanation.attributions, result.explanation.features
    sizes = sorted(map(abs, attribution.values), reverse=True)
    assert sizes[0] > sizes[1] + CLOSE
    strongest = max(range(len(features)), key=lambda place: abs(attribution.values[place]))
    (said,) = (each for each in result.explanation.sentences if "weighs most" in each)
    assert said.startswith(f"“{features[strongest].column.name}”")
    assert ("raises" in said) == (attribution.values[strongest] > 0)
    assert any("typical rows of the data" in each for each in result.explanation.sentences)


async def test_a_regression_and_all_classes_and_a_contrast_are_told(table_repository: Path) -> None:
    contrast = explanation_pb2.Target(
        contrast=explanation_pb2.Contrast(
            target=explanation_pb2.ClassSelector(index=0), reference=explanation_pb2.ClassSelector(index=1)
        )
    )
    async with running_server(table_repository) as running:
        for model, options, word in (
            ("losses", {}, "The model predicts "),
            ("loans", {"target": ALL_CLASSES}, "The model answers "),
            ("loans", {"target": contrast}, " rather than "),
        ):
            answer = await running.inference.Explain(explain_input(row(), model=model, **options))
            assert any(word in each for each in answer.result.explanation.sentences), model


async def test_a_text_that_is_cut_and_an_image_are_told(tiny_repository: Path, image_repository: Path) -> None:
    long = " ".join([TEXT] * 60)
    result = await explained(tiny_repository, explain_request(long, max_evaluations=64))
    usage = result.prediction.text_usage
    (said,) = (each for each in result.explanation.sentences if "too long" in each)
    assert f"first {usage.characters_used:,} of {len(long):,} characters" in said
    picture = image_input(png(pictures(1, seed=3)[0]))
    seen = await explained(image_repository, explain_input(picture, model="animals", segments=4, max_evaluations=64))
    spoken = " ".join(seen.explanation.sentences)
    assert "the same image with all its segments hidden" in spoken
    assert "egment" in spoken


async def test_only_the_last_answer_of_a_stream_has_sentences(tiny_repository: Path) -> None:
    request = stream_request(TEXT, method="kernel-shap", max_evaluations=64)
    async with running_server(tiny_repository) as running:
        *estimates, last = [answer async for answer in running.inference.StreamExplain(request)]
    assert last.final
    assert last.result.explanation.sentences
    assert not any(answer.result.explanation.sentences for answer in estimates)


async def test_a_language_that_there_is_not_is_refused_with_those_that_there_are(tiny_repository: Path) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await explained(tiny_repository, explain_request(TEXT, language="xx"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "options.language: 'xx' is not a language of sentences; there are de, en" in (caught.value.details() or "")


async def test_an_answer_about_a_table_has_none_and_says_so(table_repository: Path) -> None:
    request = messages.ExplainTableRequest(
        model=messages.ModelRef(model="loans"), table=packed(LOANS, *LOANS.rows(3)), options={"language": "en"}
    )
    async with running_server(table_repository) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.ExplainTable(request)
        request.options.ClearField("language")
        answer = await running.inference.ExplainTable(request)
    assert "options.language: is for sentences" in (caught.value.details() or "")
    assert not answer.explanation.options.HasField("language")
