"""What must be refused, with which error, at which field; and that nobody else is hurt by it."""

from __future__ import annotations

import math

import pytest

import explicate
from contract.contract_calls import METHODS, SHORT_TEXT, TEXTS, Contract, assert_described, garbage, paths, raw_call
from explicate import errors
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb


class RefusalContract(Contract):
    """Typed errors for every kind of bad request."""

    @pytest.mark.parametrize("text", ["", "a\0b", "x" * 1_000_000], ids=["empty", "NUL", "1 MB"])
    @pytest.mark.usefixtures("still_answers")
    def test_bad_text_is_refused_with_its_place(self, client, model, text):
        with pytest.raises(explicate.InvalidArgument) as caught:
            client.predict(model, ["fine", text, "fine too"])
        assert paths(caught.value) == ["inputs[1].text"]
        for call in (client.explain, lambda *args: list(client.stream_explain(*args))):
            with pytest.raises(explicate.InvalidArgument) as caught:
                call(model, text)
            assert paths(caught.value) == ["input.text"]

    @pytest.mark.usefixtures("still_answers")
    def test_too_many_and_too_few_inputs_are_refused(self, client, model):
        most = client.get_model(model).limits.max_inputs
        for count in (0, most + 1, 10_000):
            with pytest.raises(explicate.InvalidArgument) as caught:
                client.predict(model, ["soup"] * count)
            assert paths(caught.value) == ["inputs"]

    def test_largest_allowed_text_is_answered(self, client, model):
        most = client.get_model(model).limits.max_text_bytes
        assert len(client.predict(model, [("soup " * most)[:most]]).predictions) == 1
        with pytest.raises(explicate.InvalidArgument):
            client.predict(model, [("soup " * most)[: most + 1]])

    def test_input_without_content_is_refused(self, channel, model):
        reference = inference_pb.ModelRef(model=model)
        bad = inference_pb.PredictRequest(model=reference, inputs=[inference_pb.Input()])
        with pytest.raises(explicate.InvalidArgument) as caught:
            raw_call(channel, "Predict", bad.SerializeToString())
        assert paths(caught.value) == ["inputs[0]"]
        for method in ("Explain", "StreamExplain"):
            with pytest.raises(explicate.InvalidArgument) as caught:
                raw_call(
                    channel,
                    method,
                    inference_pb.ExplainRequest(spec=inference_pb.ExplainSpec(model=reference)).SerializeToString(),
                )
            assert paths(caught.value) == ["input"]

    def test_missing_model_name_is_refused(self, client):
        with pytest.raises(explicate.InvalidArgument) as caught:
            client.predict("", ["soup"])
        assert paths(caught.value) == ["model.model"]

    @pytest.mark.parametrize("choice", [{"version": 987_654}, {"label": "no-such-label"}])
    def test_unknown_version_and_label_are_not_found(self, client, model, choice):
        for call in (
            lambda: client.predict(model, ["soup"], **choice),
            lambda: client.explain(model, "soup", **choice),
        ):
            with pytest.raises(explicate.NotFound) as caught:
                call()
            assert_described(caught.value)

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
            assert_described(caught.value)
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
            ({"seed": 2**32}, "options.seed"),
            ({"top_k": 0}, "options.top_k"),
            ({"max_players": 1}, "options.max_players"),
            ({"max_players": 1025}, "options.max_players"),
            ({"method": "occlusion", "max_players": 8}, "options.max_players"),
            ({"method": "lime", "granularity": "token"}, "options.granularity"),
            ({"interactions": 0}, "options.interactions"),
            ({"interactions": 101}, "options.interactions"),
            ({"method": "permutation-shap", "interactions": 3}, "options.interactions"),
            ({"method": "exact-shap", "max_evaluations": 15}, "options.max_evaluations"),
            ({"target": explicate.Contrast("great", "great")}, "options.target.contrast.reference"),
            ({"target": explicate.Contrast(1, "great")}, "options.target.contrast.reference"),
            ({"target": explicate.Contrast("no-such", "great")}, "options.target.contrast.target.label"),
            ({"target": explicate.Contrast(0, 2)}, "options.target.contrast.reference.index"),
        ],
        ids=str,
    )
    def test_bad_option_is_refused_with_its_field(self, client, model, options, path):
        for call in (client.explain, lambda *args, **kwargs: list(client.stream_explain(*args, **kwargs))):
            with pytest.raises(explicate.InvalidArgument) as caught:
                call(model, SHORT_TEXT, **options)
            assert paths(caught.value) == [path]
            assert_described(caught.value)

    def test_unknown_enum_value_is_refused(self, channel, model):
        for field in ("masking", "output_space", "granularity", "quality"):
            options = explanation_pb.ExplainOptions()
            setattr(options, field, 99)
            request = inference_pb.ExplainRequest(
                spec=inference_pb.ExplainSpec(
                    model=inference_pb.ModelRef(model=model),
                    input=inference_pb.Input(text=inference_pb.TextInput(text="soup")),
                    options=options,
                )
            )
            with pytest.raises(explicate.InvalidArgument) as caught:
                raw_call(channel, "Explain", request.SerializeToString())
            assert paths(caught.value) == [f"options.{field}"]

    def test_every_bad_field_is_named_at_once(self, client, model):
        with pytest.raises(explicate.InvalidArgument) as caught:
            client.predict(model, ["", "fine", "\0"])
        assert paths(caught.value) == ["inputs[0].text", "inputs[2].text"]

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
            raw_call(channel, "Predict", request.SerializeToString())

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.usefixtures("still_answers")
    def test_garbage_is_an_error_and_not_a_hang(self, channel, method):
        for body in garbage():
            with pytest.raises(errors.ServerError) as caught:
                raw_call(channel, method, body)
            assert caught.value.code in ("INVALID_ARGUMENT", "INTERNAL"), body[:16]

    def test_unknown_call_is_unimplemented(self, channel):
        with pytest.raises(errors.ServerError) as caught:
            raw_call(channel, "Divine", b"")
        assert caught.value.code == "UNIMPLEMENTED"
