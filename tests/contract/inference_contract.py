"""What every Explicate server must do, whatever it is made of.

Subclass `InferenceContract` in a test module and give it two fixtures: `target`, the server's address, and `model`, the
name of a text classifier with the labels "other" and "great". The tests block, so the server must run in another
process or thread. They ask through the public client, and through bare gRPC where the client would not send what they
need. Tolerances allow for a row's numbers differing in the last bits with the batch it is in.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import explicate
from explicate import errors
from explicate.rpc_errors import from_rpc_error
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import model_service_pb2 as model_pb

SERVICE = "explicate.v1.InferenceService"
MODEL_SERVICE = "explicate.v1.ModelService"
METHODS = ("Predict", "Explain", "StreamExplain")

SHORT_TEXT = "the soup was great"
LONG_TEXT = "we came for the soup and stayed for the bread but the coffee was cold and nobody said a word about it"
UNICODE_TEXT = "Crème brûlée 🍮 was 好吃, e\u0301clair too — ¡olé!"
TEXTS = (
    SHORT_TEXT,
    "bad",
    LONG_TEXT,
    "not good",
    "fresh bread , warm tea",
    "it is what it is",
    UNICODE_TEXT,
    "a " * 60 + "good day",
)
CLOSE = 1e-5
CALL_S = 30.0  # of a bare call: no answer by then is a hang


def _raw(channel: grpc.Channel, method: str, body: bytes, timeout_s: float = CALL_S) -> list[bytes]:
    """Send bytes as they are; an error comes as the client's exception."""
    path = f"/{SERVICE}/{method}"
    try:
        if method == "StreamExplain":
            return list(channel.unary_stream(path)(body, timeout=timeout_s))
        return [channel.unary_unary(path)(body, timeout=timeout_s)]
    except grpc.RpcError as error:
        raise from_rpc_error(error, "the server") from error


def _garbage() -> list[bytes]:
    stream = random.Random(20)
    whole = inference_pb.PredictRequest(
        model=inference_pb.ModelRef(model="any"), inputs=[inference_pb.Input(text=inference_pb.TextInput(text="soup"))]
    ).SerializeToString()
    return [
        b"\xff" * 64,  # a field number beyond any
        b"\x0a\xff\xff\xff\xff\x0f",  # a length beyond the message
        b"\x0b" * 200,  # groups opened and never closed
        whole[:-1],
        b"\x0a\x04\x0a\x02\xc3\x28",  # a model name that is not UTF-8
        *(stream.randbytes(size) for size in (1, 7, 64, 4096)),
    ]


class InferenceContract:
    """The tests. Those of errors also check that the server still answers afterwards."""

    @pytest.fixture
    def client(self, target: str) -> Iterator[explicate.Client]:
        with explicate.Client(target) as client:
            yield client

    @pytest.fixture
    def channel(self, target: str) -> Iterator[grpc.Channel]:
        with grpc.insecure_channel(target, [("grpc.max_send_message_length", -1)]) as channel:
            yield channel

    @pytest.fixture
    def still_answers(self, client: explicate.Client, model: str) -> Iterator[None]:
        yield
        assert len(client.predict(model, [SHORT_TEXT]).predictions) == 1

    # --- predictions

    def test_predictions_keep_the_order_and_equal_those_asked_alone(self, client, model):
        together = client.predict(model, TEXTS).predictions
        for text, prediction in zip(TEXTS, together, strict=True):
            (alone,) = client.predict(model, [text]).predictions
            assert _logits(prediction) == pytest.approx(_logits(alone), abs=CLOSE)

    def test_probabilities_are_the_softmax_of_the_logits(self, client, model):
        for prediction in client.predict(model, TEXTS).predictions:
            weights = [math.exp(logit) for logit in _logits(prediction)]
            expected = [weight / sum(weights) for weight in weights]
            assert [score.probability for score in prediction.scores] == pytest.approx(expected, abs=CLOSE)
            assert sum(score.probability for score in prediction.scores) == pytest.approx(1, abs=CLOSE)

    def test_predicted_class_is_the_most_probable_one(self, client, model):
        for prediction in client.predict(model, TEXTS).predictions:
            assert [(score.index, score.label) for score in prediction.scores] == [(0, "other"), (1, "great")]
            assert prediction.probability == max(score.probability for score in prediction.scores)
            assert prediction.label == prediction.scores[prediction.index].label

    def test_answer_says_what_made_it(self, client, model):
        answer = client.predict(model, [SHORT_TEXT])
        live = next(status for status in client.list_models() if status.model == model and "live" in status.labels)
        assert (answer.model.model, answer.model.version) == (model, live.version)
        assert answer.model.bundle_digest == live.bundle_digest
        assert len(answer.model.bundle_digest) == 64
        assert answer.model.runtime == live.runtime
        assert 0 < answer.timing.total_s < CALL_S

    def test_version_and_label_choose_the_version(self, client, model):
        live = client.predict(model, [SHORT_TEXT], label="live")
        exact = client.predict(model, [SHORT_TEXT], version=live.model.version)
        assert exact.model == live.model
        assert _logits(exact.predictions[0]) == pytest.approx(_logits(live.predictions[0]), abs=CLOSE)

    def test_text_that_is_too_long_for_the_model_is_marked(self, client, model):
        short, long = client.predict(model, ["soup", "good soup " * 2000]).predictions
        assert not short.text_usage.truncated
        assert short.text_usage.tokens == short.text_usage.tokens_used
        assert short.text_usage.characters_used == 4
        assert long.text_usage.truncated
        assert long.text_usage.tokens_used < long.text_usage.tokens
        assert 0 < long.text_usage.characters_used < 20_000

    # --- explanations

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    def test_explained_prediction_equals_that_of_predict(self, client, model, method):
        for text in TEXTS[:4]:
            explained = client.explain(model, text, method=method, max_evaluations=64)
            (predicted,) = client.predict(model, [text]).predictions
            assert explained.prediction.label == predicted.label
            assert _logits(explained.prediction) == pytest.approx(_logits(predicted), abs=CLOSE)
            assert explained.model == client.predict(model, [text]).model

    @pytest.mark.parametrize("space", ["probability", "logit"])
    @pytest.mark.parametrize("text", [SHORT_TEXT, LONG_TEXT, UNICODE_TEXT, "soup"])
    def test_kernel_shap_values_add_up_to_the_output(self, client, model, text, space):
        result = client.explain(model, text, method="kernel-shap", output_space=space, target=explicate.ALL)
        assert [a.class_label for a in result.explanation.attributions] == ["other", "great"]
        for attribution, score in zip(result.explanation.attributions, result.prediction.scores, strict=True):
            assert attribution.instance_value == pytest.approx(getattr(score, space), abs=CLOSE)
            difference = attribution.instance_value - attribution.baseline_value
            assert sum(attribution.values) == pytest.approx(difference, abs=CLOSE)
        assert result.explanation.quality.additivity_gap == pytest.approx(0, abs=CLOSE)

    def test_values_of_all_probabilities_cancel_out(self, client, model):
        result = client.explain(model, LONG_TEXT, target=explicate.ALL)
        other, great = (attribution.values for attribution in result.explanation.attributions)
        assert [a + b for a, b in zip(other, great, strict=True)] == pytest.approx([0] * len(great), abs=CLOSE)

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    def test_features_stand_where_their_spans_say(self, client, model, method):
        result = client.explain(model, UNICODE_TEXT, method=method, max_evaluations=64)
        assert result.explanation.features
        for feature in result.explanation.features:
            assert feature.spans
            assert all(UNICODE_TEXT[span.start : span.end] == feature.text for span in feature.spans)

    def test_every_word_has_its_numbers_and_lies_in_its_interval(self, client, model):
        explanation = client.explain(model, LONG_TEXT).explanation
        assert len(explanation.features) == len(LONG_TEXT.split())
        for c in explanation.contributions():
            assert math.isfinite(c.value)
            assert math.isnan(c.standard_error) or c.lower <= c.value <= c.upper

    def test_predicted_class_is_explained_by_default(self, client, model):
        for text in TEXTS[:4]:
            result = client.explain(model, text, max_evaluations=64)
            assert [a.class_index for a in result.explanation.attributions] == [result.prediction.index]

    @pytest.mark.parametrize(("chosen", "index"), [(0, 0), (1, 1), ("other", 0), ("great", 1)])
    def test_target_is_chosen_by_index_or_label(self, client, model, chosen, index):
        (attribution,) = client.explain(model, SHORT_TEXT, target=chosen).explanation.attributions
        assert (attribution.class_index, attribution.class_label) == (index, ("other", "great")[index])

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    def test_same_seed_gives_the_same_answer_while_others_ask(self, client, model, method):
        options = {"method": method, "seed": 7, "max_evaluations": 120}
        alone = client.explain(model, LONG_TEXT, **options)
        with ThreadPoolExecutor(4) as callers:
            noise = [callers.submit(client.predict, model, TEXTS) for _ in range(8)]
            noise += [callers.submit(client.explain, model, text, seed=3, max_evaluations=60) for text in TEXTS[:3]]
            again = client.explain(model, LONG_TEXT, **options)
            for call in noise:
                call.result()
        assert _values(again) == pytest.approx(_values(alone), abs=CLOSE)
        assert again.explanation.evaluations == alone.explanation.evaluations

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    def test_another_seed_gives_another_answer(self, client, model, method):
        options = {"method": method, "max_evaluations": 60}
        one, two = (client.explain(model, LONG_TEXT, seed=seed, **options) for seed in (1, 2))
        assert max(abs(a - b) for a, b in zip(_values(one), _values(two), strict=True)) > 10 * CLOSE

    def test_options_are_answered_as_resolved_and_repeat_the_answer(self, client, model):
        first = client.explain(model, LONG_TEXT, seed=5)
        resolved = first.explanation.options
        assert (resolved.method, resolved.output_space, resolved.masking) == ("kernel-shap", "probability", "attention")
        again = client.explain(
            model,
            LONG_TEXT,
            method=resolved.method,
            output_space=resolved.output_space,
            masking=resolved.masking,
            max_evaluations=resolved.max_evaluations,
            min_evaluations=resolved.min_evaluations,
            tolerance=resolved.tolerance,
            confidence=resolved.confidence,
            seed=resolved.seed,
        )
        assert _values(again) == pytest.approx(_values(first), abs=CLOSE)

    @pytest.mark.parametrize("method", ["kernel-shap", "lime"])
    @pytest.mark.parametrize("budget", [4, 50, 333])
    def test_budget_is_kept(self, client, model, method, budget):
        explanation = client.explain(model, LONG_TEXT, method=method, max_evaluations=budget, tolerance=0).explanation
        assert explanation.evaluations <= budget
        assert explanation.stop_reason == "budget"

    def test_short_text_is_explained_exactly(self, client, model):
        explanation = client.explain(model, SHORT_TEXT, max_evaluations=100, tolerance=0).explanation
        assert explanation.stop_reason == "exact"
        assert explanation.converged
        assert explanation.evaluations <= 2**4

    def test_time_limit_yields_the_best_answer_so_far(self, client, model):
        most = client.get_model(model).limits.max_evaluations
        started = time.monotonic()
        result = client.explain(model, LONG_TEXT * 5, max_evaluations=most, tolerance=0, time_limit_s=0.2)
        assert time.monotonic() - started < 5
        assert result.explanation.stop_reason in ("deadline", "budget")
        assert sum(_values(result)) == pytest.approx(
            result.explanation.attributions[0].instance_value - result.explanation.attributions[0].baseline_value,
            abs=CLOSE,
        )

    def test_stream_grows_and_ends_in_the_answer_of_explain(self, client, model):
        options = {"seed": 11, "max_evaluations": 400, "tolerance": 0}
        estimates = list(client.stream_explain(model, LONG_TEXT, **options))
        whole = client.explain(model, LONG_TEXT, **options)
        evaluations = [estimate.explanation.evaluations for estimate in estimates]
        assert [estimate.final for estimate in estimates] == [False] * (len(estimates) - 1) + [True]
        assert evaluations == sorted(set(evaluations))
        assert all(estimate.explanation.stop_reason == "running" for estimate in estimates[:-1])
        assert estimates[-1].explanation.stop_reason == whole.explanation.stop_reason
        assert evaluations[-1] == whole.explanation.evaluations
        assert _values(estimates[-1]) == pytest.approx(_values(whole), abs=CLOSE)

    @pytest.mark.usefixtures("still_answers")
    def test_stream_may_be_left_at_any_time(self, client, model):
        for read in (0, 1):
            stream = client.stream_explain(model, LONG_TEXT, max_evaluations=2000, tolerance=0)
            for _ in range(read):
                next(stream)
            stream.close()

    # --- what is refused

    @pytest.mark.parametrize("text", ["", "a\0b", "x" * 1_000_000], ids=["empty", "NUL", "1 MB"])
    @pytest.mark.usefixtures("still_answers")
    def test_bad_text_is_refused_with_its_place(self, client, model, text):
        with pytest.raises(explicate.InvalidArgument) as caught:
            client.predict(model, ["fine", text, "fine too"])
        assert _paths(caught.value) == ["inputs[1].text"]
        for call in (client.explain, lambda *args: list(client.stream_explain(*args))):
            with pytest.raises(explicate.InvalidArgument) as caught:
                call(model, text)
            assert _paths(caught.value) == ["input.text"]

    @pytest.mark.usefixtures("still_answers")
    def test_too_many_and_too_few_inputs_are_refused(self, client, model):
        most = client.get_model(model).limits.max_inputs
        for count in (0, most + 1, 10_000):
            with pytest.raises(explicate.InvalidArgument) as caught:
                client.predict(model, ["soup"] * count)
            assert _paths(caught.value) == ["inputs"]

    def test_largest_allowed_text_is_answered(self, client, model):
        most = client.get_model(model).limits.max_text_bytes
        assert len(client.predict(model, [("soup " * most)[:most]]).predictions) == 1
        with pytest.raises(explicate.InvalidArgument):
            client.predict(model, [("soup " * most)[: most + 1]])

    def test_input_without_content_is_refused(self, channel, model):
        reference = inference_pb.ModelRef(model=model)
        bad = inference_pb.PredictRequest(model=reference, inputs=[inference_pb.Input()])
        with pytest.raises(explicate.InvalidArgument) as caught:
            _raw(channel, "Predict", bad.SerializeToString())
        assert _paths(caught.value) == ["inputs[0]"]
        for method in ("Explain", "StreamExplain"):
            with pytest.raises(explicate.InvalidArgument) as caught:
                _raw(channel, method, inference_pb.ExplainRequest(model=reference).SerializeToString())
            assert _paths(caught.value) == ["input"]

    def test_missing_model_name_is_refused(self, client):
        with pytest.raises(explicate.InvalidArgument) as caught:
            client.predict("", ["soup"])
        assert _paths(caught.value) == ["model.model"]

    @pytest.mark.parametrize("choice", [{"version": 987_654}, {"label": "no-such-label"}])
    def test_unknown_version_and_label_are_not_found(self, client, model, choice):
        for call in (
            lambda: client.predict(model, ["soup"], **choice),
            lambda: client.explain(model, "soup", **choice),
        ):
            with pytest.raises(explicate.NotFound) as caught:
                call()
            _assert_described(caught.value)

    def test_unknown_model_is_not_found(self, client):
        name = "no-such-model"
        calls = (
            lambda: client.predict(name, ["soup"]),
            lambda: client.explain(name, "soup"),
            lambda: list(client.stream_explain(name, "soup")),
            lambda: client.get_model(name),
        )
        for call in calls:
            with pytest.raises(explicate.NotFound, match=name) as caught:
                call()
            _assert_described(caught.value)
            assert caught.value.resource == ("model", name)

    @pytest.mark.parametrize(
        ("options", "path"),
        [
            ({"method": "tea-leaves"}, "options.method"),
            ({"method": ""}, "options.method"),
            ({"target": "no-such-class"}, "options.target.label"),
            ({"target": 2}, "options.target.index"),
            ({"target": -1}, "options.target.index"),
            ({"max_evaluations": -1}, "options.max_evaluations"),
            ({"max_evaluations": 0}, "options.max_evaluations"),
            ({"max_evaluations": 3}, "options.max_evaluations"),
            ({"max_evaluations": 2**31 - 1}, "options.max_evaluations"),
            ({"min_evaluations": -1}, "options.min_evaluations"),
            ({"min_evaluations": 200, "max_evaluations": 100}, "options.min_evaluations"),
            ({"tolerance": -0.1}, "options.tolerance"),
            ({"tolerance": 1.5}, "options.tolerance"),
            ({"tolerance": math.nan}, "options.tolerance"),
            ({"confidence": 0.0}, "options.confidence"),
            ({"confidence": 1.0}, "options.confidence"),
            ({"confidence": math.nan}, "options.confidence"),
            ({"time_limit_s": 0.0}, "options.time_limit_seconds"),
            ({"time_limit_s": -1.0}, "options.time_limit_seconds"),
            ({"time_limit_s": math.nan}, "options.time_limit_seconds"),
            ({"method": "lime", "seed": 2**32}, "options.seed"),
        ],
        ids=str,
    )
    def test_bad_option_is_refused_with_its_field(self, client, model, options, path):
        for call in (client.explain, lambda *args, **kwargs: list(client.stream_explain(*args, **kwargs))):
            with pytest.raises(explicate.InvalidArgument) as caught:
                call(model, SHORT_TEXT, **options)
            assert _paths(caught.value) == [path]
            _assert_described(caught.value)

    def test_unknown_enum_value_is_refused(self, channel, model):
        for field in ("masking", "output_space"):
            options = explanation_pb.ExplainOptions()
            setattr(options, field, 99)
            request = inference_pb.ExplainRequest(
                model=inference_pb.ModelRef(model=model),
                input=inference_pb.Input(text=inference_pb.TextInput(text="soup")),
                options=options,
            )
            with pytest.raises(explicate.InvalidArgument) as caught:
                _raw(channel, "Explain", request.SerializeToString())
            assert _paths(caught.value) == [f"options.{field}"]

    def test_every_bad_field_is_named_at_once(self, client, model):
        with pytest.raises(explicate.InvalidArgument) as caught:
            client.predict(model, ["", "fine", "\0"])
        assert _paths(caught.value) == ["inputs[0].text", "inputs[2].text"]

    @pytest.mark.usefixtures("still_answers")
    def test_deadline_that_has_passed_is_deadline_exceeded(self, client, model):
        for call in (
            lambda: client.predict(model, TEXTS, timeout_s=0),
            lambda: client.explain(model, "a", timeout_s=0),
        ):
            with pytest.raises(explicate.DeadlineExceeded):
                call()

    @pytest.mark.usefixtures("still_answers")
    def test_message_over_the_size_limit_is_refused(self, channel, model):
        text = inference_pb.Input(text=inference_pb.TextInput(text="x" * 60_000))
        request = inference_pb.PredictRequest(model=inference_pb.ModelRef(model=model), inputs=[text] * 1000)  # 60 MB
        with pytest.raises((explicate.MessageTooLarge, explicate.Overloaded, explicate.InvalidArgument)):
            _raw(channel, "Predict", request.SerializeToString())

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.usefixtures("still_answers")
    def test_garbage_is_an_error_and_not_a_hang(self, channel, method):
        for body in _garbage():
            with pytest.raises(errors.ServerError) as caught:
                _raw(channel, method, body)
            assert caught.value.code in ("INVALID_ARGUMENT", "INTERNAL"), body[:16]

    def test_unknown_call_is_unimplemented(self, channel):
        with pytest.raises(errors.ServerError) as caught:
            _raw(channel, "Divine", b"")
        assert caught.value.code == "UNIMPLEMENTED"

    # --- models, health, reflection

    def test_model_is_listed_and_described(self, client, model):
        status = next(s for s in client.list_models() if s.model == model and "live" in s.labels)
        description = client.get_model(model)
        assert status.state == "ready"
        assert status.kind == "text-classification"
        assert description.status == status
        assert description.class_labels == ("other", "great")
        assert {"kernel-shap", "lime"} <= set(description.methods)
        assert description.model_card
        assert min(description.limits.max_inputs, description.limits.max_evaluations) > 0

    def test_models_come_by_name_and_version(self, client):
        listed = [(status.model, status.version) for status in client.list_models()]
        assert listed == sorted(listed)

    def test_unknown_version_is_not_described(self, client, model):
        with pytest.raises(explicate.NotFound):
            client.get_model(model, version=987_654)

    @pytest.mark.parametrize("service", ["", SERVICE, MODEL_SERVICE])
    def test_health_is_serving(self, channel, service):
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=CALL_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    def test_reflection_lists_and_describes_the_services(self, channel):
        database = ProtoReflectionDescriptorDatabase(channel)
        listed = set(database.get_services())
        assert {SERVICE, MODEL_SERVICE, "grpc.health.v1.Health"} <= listed
        file = database.FindFileContainingSymbol(SERVICE)
        (service,) = (s for s in file.service if s.name == "InferenceService")
        assert [method.name for method in service.method] == list(METHODS)
        assert "ListModels" in {
            method.name for s in database.FindFileContainingSymbol(MODEL_SERVICE).service for method in s.method
        }
        assert model_pb.DESCRIPTOR.services_by_name["ModelService"].full_name == MODEL_SERVICE


def _logits(prediction: explicate.Prediction) -> list[float]:
    return [score.logit for score in prediction.scores]


def _values(result: explicate.ExplainResult) -> list[float]:
    return list(result.explanation.attributions[0].values)


def _paths(error: errors.ServerError) -> list[str]:
    return [path for path, _ in error.violations]


def _assert_described(error: errors.ServerError) -> None:
    """ErrorInfo came along, and the text is a sentence for people."""
    assert error.reason
    assert error.reason == error.reason.upper()
    assert len(error.message) > 10
