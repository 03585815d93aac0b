"""Real oddities of text, through the whole server."""

from pathlib import Path

import grpc
import pytest

from explicate.v1 import explanation_pb2
from explicate.v1.inference_service_pb2 import StreamExplainRequest
from support.harness import TEXT, explain_request, running_server

ODD = {
    "one word": ("tea", 1),
    "one word again and again": ("tea tea tea tea tea tea", 6),
    "only punctuation": ("?!...", 1),
    "emoji": ("good 👍🏽 tea 👨‍👩‍👧 ☕", 5),
    "right to left": ("الشاي جيد جدا", 3),
    "without spaces": ("味道好", 3),
    "Thai": ("ชานี้อร่อยมาก", 1),  # one unknown token of this model's
    "half-width kana": ("ｶﾞｷﾞ ﾃﾚﾋﾞ", 2),
    "joined by marks": ("AT&T 10/10 col·lecció צה״ל", 4),
    "flags": ("good tea🏴󠁧󠁢󠁥󠁮󠁧󠁿🇩🇪", 2),
    "combining marks": ("cafe\u0301 e\u0301clair", 2),
    "a very long word": ("a" * 5000, 1),
    "invisible": ("\u200b", None),
    "line breaks": ("good\r\ntea\u2028late", 3),
    "looks like special tokens": ("[CLS] good [SEP] [MASK] [PAD] tea", 6),
}


@pytest.mark.parametrize("method", ["kernel-shap", "lime"])
@pytest.mark.parametrize("name", ODD)
async def test_odd_texts_are_explained(tiny_repository: Path, name: str, method: str) -> None:
    text, words = ODD[name]
    async with running_server(tiny_repository) as running:
        answer = (await running.inference.Explain(explain_request(text, method=method, max_evaluations=64))).result
    explanation = answer.explanation
    (attribution,) = explanation.attributions
    assert len(attribution.values) == len(explanation.features)
    for feature in explanation.features:
        for span in feature.text.spans:
            assert text[span.start : span.end] == feature.text.text
            in_utf16 = text.encode("utf-16-le")[2 * span.utf16_start : 2 * span.utf16_end]
            assert in_utf16.decode("utf-16-le") == feature.text.text
    if method == "kernel-shap":
        assert words is None or len(explanation.features) == words
        total = attribution.instance_value - attribution.baseline_value
        # Without players there is nothing to attribute the difference to.
        assert not explanation.features or sum(attribution.values) == pytest.approx(total, rel=1e-5, abs=1e-9)
        if explanation.features and len(explanation.features) <= 4:
            assert explanation.stop_reason == explanation_pb2.STOP_REASON_EXACT


@pytest.mark.parametrize(
    ("text", "options", "scripts"),
    [
        ("tea 味道好 ชา", {}, ["Thai", "Han"]),
        ("tea 味道好", {"method": "lime", "max_evaluations": 64}, ["Han"]),
        ("tea 味道好", {"granularity": explanation_pb2.GRANULARITY_TOKEN}, []),
        ("tea 차는 हिन्दी", {}, []),
    ],
)
async def test_words_of_scripts_without_spaces_are_said_to_be_tokens(
    tiny_repository: Path, text: str, options: dict[str, object], scripts: list[str]
) -> None:
    request = explain_request(text, **options)
    async with running_server(tiny_repository) as running:
        explained = (await running.inference.Explain(request)).result.explanation
        streamed = [
            answer.result.explanation
            async for answer in running.inference.StreamExplain(StreamExplainRequest(spec=request.spec))
        ]
    assert [list(each.unspaced_scripts) for each in (explained, *streamed)] == [scripts] * (len(streamed) + 1)


@pytest.mark.parametrize("unit", [TEXT, "good 👍🏽 tea 𝄞"])
async def test_a_text_longer_than_the_model_reads_says_so(tiny_repository: Path, unit: str) -> None:
    async with running_server(tiny_repository) as running:
        text = " ".join([unit] * 60)
        answer = (await running.inference.Explain(explain_request(text, max_evaluations=64))).result
    usage = answer.prediction.text_usage
    assert usage.truncated
    assert usage.tokens_used == 128 < usage.tokens
    last = answer.explanation.features[-1].text.spans[0].end
    assert last == usage.characters_used < len(text)
    seen = text.encode("utf-16-le")[: 2 * usage.utf16_used].decode("utf-16-le")
    assert seen == text[: usage.characters_used]


async def test_more_work_than_memory_allows_is_refused_by_field(tiny_repository: Path) -> None:
    async with running_server(tiny_repository) as running:
        many = " ".join(f"w{number}" for number in range(900))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Explain(explain_request(many, method="lime", max_evaluations=16_000))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "options.max_evaluations" in (caught.value.details() or "")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.inference.Explain(explain_request(f"{many} {many.replace('w', 'x')}", method="lime"))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "1,800 distinct words" in (caught.value.details() or "")
