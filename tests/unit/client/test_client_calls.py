"""Both clients against a real server: what they send and what they make of the answers."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import grpc
import pytest

import explicate
from explicate._wire import decoding
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb
from support.canned.canned_server import STREAMED_EVALUATIONS, model_status, word_value


def test_predictions_come_in_the_order_of_the_inputs(ask):
    result = ask("predict", "reviews", ["one", "one two three four five six seven", "one two"])
    assert [p.label for p in result.predictions] == ["other", "great", "other"]
    assert [p.scores[1].probability for p in result.predictions] == [0.1, 0.7, 0.2]
    assert result.predictions[1].probability == 0.7
    assert result.predictions[0].text_usage == explicate.TextUsage(9, 9, False, 3)
    assert result.model == explicate.ModelVersion("reviews", 3, "ab" * 32, "onnxruntime-cpu", "fp32")
    assert result.timing == explicate.Timing(0.125, 0.0, 0.25, 0.0, 0.5)


def test_live_version_is_asked_when_nothing_is_said(ask, server):
    ask("predict", "reviews", ["a"])
    assert server.requests[0].model == inference_pb.ModelRef(model="reviews")


def test_version_and_label_are_sent(ask, server):
    ask("predict", "reviews", ["a"], version=2)
    ask("explain", "reviews", "a", label="canary")
    assert server.requests[0].model == inference_pb.ModelRef(model="reviews", version=2)
    assert server.requests[1].spec.model == inference_pb.ModelRef(model="reviews", label="canary")


def test_explanation_holds_every_number_of_the_answer(ask):
    result = ask("explain", "reviews", "soup was great")
    attribution = result.explanation.attributions[0]
    assert [f.text for f in result.explanation.features] == ["soup", "was", "great"]
    assert [result.text[s.start : s.end] for f in result.explanation.features for s in f.spans] == result.text.split()
    assert attribution.values == (0.01, -0.02, 0.03)
    assert (attribution.class_index, attribution.class_label) == (1, "great")
    assert (attribution.baseline_value, attribution.instance_value) == (0.5, pytest.approx(0.52))
    assert attribution.standard_errors[:2] == (0.01, 0.01)
    assert math.isnan(attribution.standard_errors[2])
    assert attribution.lower[0] == pytest.approx(-0.01)
    assert attribution.upper[0] == pytest.approx(0.03)
    assert (attribution.reference_index, attribution.reference_label, attribution.name) == (None, None, "great")
    assert (result.explanation.evaluations, result.explanation.reused_evaluations) == (32, 8)
    assert result.explanation.stop_reason == "tolerance"
    assert result.explanation.converged
    assert result.final


def test_quality_holds_what_the_server_knows_and_none_for_the_rest(ask):
    basic = explicate.Quality(
        additivity_gap=1e-9,
        held_out_r_squared=0.75,
        split_half_spearman=0.875,
        infidelity=0.0625,
        largest_interval_ratio=0.5,
        certain_top_k=2,
    )
    assert ask("explain", "reviews", "a").explanation.quality == basic
    assert ask("explain", "reviews", "a", quality="full").explanation.quality == replace(
        basic,
        comprehensiveness=explicate.Faithfulness(value=0.375, random=0.125),
        sufficiency=explicate.Faithfulness(value=0.03125, random=0.25),
    )


def test_quality_of_a_server_that_says_nothing_is_all_none():
    response = inference_pb.ExplainResponse()
    assert decoding.ExplainAnswers("a")(response).explanation.quality == explicate.Quality()


def test_contrast_names_both_classes(ask):
    (attribution,) = ask(
        "explain", "reviews", "a b", target=explicate.Contrast("great", "other")
    ).explanation.attributions
    assert attribution.values == pytest.approx((10 * word_value(0), 10 * word_value(1)))
    assert (attribution.class_index, attribution.class_label) == (1, "great")
    assert (attribution.reference_index, attribution.reference_label) == (0, "other")
    assert attribution.name == "great rather than other"


def test_phrases_are_features_of_several_words(ask):
    result = ask("explain", "reviews", "so good a soup", max_players=2)
    assert [f.text for f in result.explanation.features] == ["so good", "a soup"]
    assert [f.spans for f in result.explanation.features] == [(explicate.Span(0, 7),), (explicate.Span(8, 14),)]


@pytest.mark.parametrize(
    ("number", "name"),
    [(explanation_pb.STOP_REASON_TOP_K, "top-k"), (explanation_pb.STOP_REASON_EXACT, "exact"), (99, "99")],
)
def test_stop_reason_has_a_name_and_that_of_a_newer_server_its_number(number, name):
    result = inference_pb.ExplainResult(explanation=explanation_pb.Explanation(stop_reason=number))
    response = inference_pb.ExplainResponse(result=result)
    assert decoding.ExplainAnswers("a")(response).explanation.stop_reason == name


def test_priority_is_sent_when_it_is_given(ask, server):
    for method, inputs in (("predict", ["a"]), ("explain", "a"), ("stream_explain", "a")):
        ask(method, "reviews", inputs, priority="bulk")
        ask(method, "reviews", inputs, priority="interactive")
        ask(method, "reviews", inputs)
    sent = [getattr(request, "spec", request).priority for request in server.requests]
    assert sent == [inference_pb.PRIORITY_BULK, inference_pb.PRIORITY_INTERACTIVE, 0] * 3


def test_options_that_were_not_given_are_not_sent(ask, server):
    ask("explain", "reviews", "a")
    assert server.requests[0].spec.options == explanation_pb.ExplainOptions()


def test_options_are_sent_and_come_back_as_resolved(ask, server):
    given = {
        "method": "lime",
        "target": "great",
        "output_space": "logit",
        "masking": "delete",
        "max_evaluations": 500,
        "min_evaluations": 40,
        "tolerance": 0.5,
        "confidence": 0.75,
        "time_limit_s": 2.5,
        "seed": 7,
        "granularity": "sentence",
        "top_k": 3,
        "quality": "full",
        "max_players": 32,
    }
    result = ask("explain", "reviews", "a", **given)
    assert server.requests[0].spec.options == explanation_pb.ExplainOptions(
        method="lime",
        target=explanation_pb.Target(label="great"),
        output_space=explanation_pb.OUTPUT_SPACE_LOGIT,
        masking=explanation_pb.MASKING_DELETE,
        max_evaluations=500,
        min_evaluations=40,
        tolerance=0.5,
        confidence=0.75,
        time_limit_seconds=2.5,
        seed=7,
        granularity=explanation_pb.GRANULARITY_SENTENCE,
        top_k=3,
        quality=explanation_pb.QUALITY_LEVEL_FULL,
        max_players=32,
    )
    assert result.explanation.options == explicate.ResolvedOptions(**given)


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (0, explanation_pb.Target(index=0)),
        ("all", explanation_pb.Target(label="all")),
        (explicate.ALL, explanation_pb.Target(all=explanation_pb.AllClasses())),
        (
            explicate.Contrast("great", 0),
            explanation_pb.Target(
                contrast=explanation_pb.Contrast(
                    target=explanation_pb.ClassSelector(label="great"), reference=explanation_pb.ClassSelector(index=0)
                )
            ),
        ),
    ],
)
def test_target_is_sent_and_comes_back(ask, server, target, sent):
    result = ask("explain", "reviews", "a", target=target)
    assert server.requests[0].spec.options.target == sent
    assert result.explanation.options.target == target


def test_options_the_server_left_unset_are_none():
    options = decoding.ExplainAnswers("a")(inference_pb.ExplainResponse()).explanation.options
    assert (options.target, options.top_k, options.max_players) == (None, None, None)


def test_zero_is_sent_and_not_taken_for_unset(ask, server):
    ask("explain", "reviews", "a", seed=0, tolerance=0.0)
    assert server.requests[0].spec.options.HasField("seed")
    assert server.requests[0].spec.options.HasField("tolerance")


def test_stream_gives_growing_estimates_and_a_final_one(ask):
    estimates = ask("stream_explain", "reviews", "soup was great")
    assert tuple(e.explanation.evaluations for e in estimates) == STREAMED_EVALUATIONS
    assert [e.final for e in estimates] == [False, False, True]
    assert [e.explanation.stop_reason for e in estimates] == ["running", "running", "tolerance"]
    assert [[f.text for f in e.explanation.features] for e in estimates] == [["soup", "was", "great"]] * 3


@pytest.mark.parametrize(
    ("method", "inputs", "options", "path"),
    [
        ("predict", ["a"], {"version": 2**31}, "model.version"),
        ("explain", "a", {"version": 2**31}, "model.version"),
        ("explain", "a", {"seed": 2**32}, "options.seed"),
        ("stream_explain", "a", {"seed": -1}, "options.seed"),
    ],
)
def test_a_number_that_its_field_cannot_hold_is_refused_with_the_field(ask, server, method, inputs, options, path):
    with pytest.raises(explicate.InvalidArgument) as caught:
        ask(method, "reviews", inputs, **options)
    assert [field for field, _ in caught.value.violations] == [path]
    assert not server.requests


def test_the_largest_version_and_seed_are_sent(ask, server):
    ask("explain", "reviews", "a", version=2**31 - 1, seed=2**32 - 1)
    assert server.requests[0].spec.model.version == 2**31 - 1
    assert server.requests[0].spec.options.seed == 2**32 - 1


def test_top_words_are_the_strongest_whatever_their_sign(ask):
    result = ask("explain", "reviews", "a b c d", target=explicate.ALL)
    assert [c.value for c in result.explanation.top(2)] == [-word_value(3), -word_value(2)]
    assert [c.feature.text for c in result.explanation.top(2, output=1)] == ["d", "c"]
    assert len(result.explanation.top(99)) == 4


def test_models_are_listed(ask, server):
    server.models = [
        model_status("reviews"),
        model_status("broken", 1, model_pb.MODEL_STATE_FAILED, "model.onnx: wrong digest"),
    ]
    ready, broken = ask("list_models")
    assert (ready.model, ready.version, ready.state, ready.labels) == ("reviews", 3, "ready", ("live",))
    assert ready.kind == "text-classification"
    assert (broken.state, broken.reason) == ("failed", "model.onnx: wrong digest")


def test_a_model_is_described(ask, server):
    description = ask("get_model", "reviews", version=2)
    assert server.requests[0] == model_pb.GetModelRequest(model="reviews", version=2)
    assert description.class_labels == ("other", "great")
    assert description.limits == explicate.ServingLimits(1024, 65536, 16384, 60.0, 65536, 100_000, 1_000_000, 3)
    assert description.metrics == {"accuracy": 0.84}
    assert description.model_card == "# reviews"
    assert description.status.precision == "fp32"
    assert description.runtimes == (
        explicate.RuntimeTrial("onnxruntime-cpu", "fp32", True, "", 1e-6, 0.0025, 0.0025),
        explicate.RuntimeTrial("openvino-cpu", "bf16", False, "openvino is not installed", None, None, None),
    )


def test_wait_ready_returns_when_a_model_serves(ask, server):
    loading = model_status("reviews", state=model_pb.MODEL_STATE_LOADING)
    server.listed = [[], [loading]]
    ask("wait_ready", model="reviews", timeout_s=10)
    assert len(server.requests) == 3


def test_wait_ready_says_what_the_server_was_doing(ask, server):
    server.models = [model_status("reviews", 3, model_pb.MODEL_STATE_FAILED, "wrong digest")]
    with pytest.raises(explicate.DeadlineExceeded, match="reviews 3 is failed: wrong digest"):
        ask("wait_ready", timeout_s=0.3)


def test_the_timeout_becomes_the_deadline(ask, server):
    ask("predict", "reviews", ["a"])
    ask("predict", "reviews", ["a"], timeout_s=5)
    ask("predict", "reviews", ["a"], timeout_s=math.inf)
    default, five, none = server.seconds_left
    assert 25 < default < 31
    assert 3 < five < 6  # the two clocks differ by milliseconds
    assert none > 1e9  # gRPC's blocking server says so when there is no deadline


def test_unavailable_is_tried_again(ask, server):
    server.unavailable_times = 2
    assert len(ask("predict", "reviews", ["a"]).predictions) == 1
    assert len(server.requests) == 3


def test_unavailable_is_given_up_after_four_attempts(ask, server):
    server.unavailable_times = 9
    with pytest.raises(explicate.Unavailable, match="draining"):
        ask("explain", "reviews", "a")
    assert len(server.requests) == 4


def test_closing_a_stream_cancels_the_call(server):
    server.hold = True
    with explicate.Client(server.target) as client:
        stream = client.stream_explain("reviews", "a b")
        next(stream)
        stream.close()
        assert server.ended.wait(timeout=10)


async def test_closing_an_async_stream_cancels_the_call(server):
    server.hold = True
    async with explicate.AsyncClient(server.target) as client:
        stream = client.stream_explain("reviews", "a b")
        await anext(stream)
        await stream.aclose()
        assert server.ended.wait(timeout=10)


async def test_cancelling_a_task_cancels_its_call(server):
    server.hold = True
    async with explicate.AsyncClient(server.target) as client:
        task = asyncio.create_task(client.explain("reviews", "a"))
        await asyncio.to_thread(server.entered.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.ended.wait, 10)


def test_messages_beyond_four_mebibytes_pass(ask):
    assert len(ask("predict", "reviews", ["x" * 60_000] * 100).predictions) == 100  # 6 MB of text


def test_channel_goes_through_credentials(server):
    encrypted = explicate.Client(server.target, credentials=grpc.ssl_channel_credentials(), timeout_s=2)
    with encrypted, pytest.raises(explicate.ServerError):  # the canned server speaks no TLS
        encrypted.list_models()
