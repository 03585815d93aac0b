"""The golden calls are the same when they are asked again, by other calls and by the messages themselves."""

import json
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from explicate import Client
from explicate.v1 import inference_service_pb2 as messages
from explicate.v1 import inference_service_pb2_grpc as services
from languages.golden_call import ROW, TEXT, Call, Golden, lines
from support.harness import explain_input, table_input, text_input


def test_file_says_what_the_calls_say(golden: Golden) -> None:
    told = json.loads(golden.path.read_text(encoding="utf-8"))
    assert told["address"] == golden.address
    assert [call["name"] for call in told["calls"]] == ["text", "row"]
    assert [call["expected"] for call in told["calls"]] == [call.expected for call in golden.calls]


@pytest.mark.parametrize("name", ["text", "row"])
def test_messages_have_the_same_numbers_bit_for_bit(golden: Golden, name: str) -> None:
    call = golden.call(name)
    with grpc.insecure_channel(golden.address) as channel:
        answer: Any = services.InferenceServiceStub(channel).Explain(_request(call), timeout=30)
    explanation = answer.result.explanation
    (attribution,) = explanation.attributions
    expected = call.expected
    for field, values in (("value", attribution.values), ("lower", attribution.lower), ("upper", attribution.upper)):
        assert [feature[field] for feature in expected["features"]] == list(values)
    assert expected["instance"] == attribution.instance_value
    assert expected["evaluations"] == explanation.evaluations
    assert expected["label"] == answer.result.prediction.classification.predicted_label


def test_spans_cut_the_words_out_in_both_units(golden: Golden) -> None:
    expected = golden.call("text").expected["features"]
    units = TEXT.encode("utf-16-le")
    assert [TEXT[feature["start"] : feature["end"]] for feature in expected] == TEXT.split()
    cut = [units[2 * feature["utf16_start"] : 2 * feature["utf16_end"]].decode("utf-16-le") for feature in expected]
    assert cut == TEXT.split()
    with grpc.insecure_channel(golden.address) as channel:
        answer: Any = services.InferenceServiceStub(channel).Explain(_request(golden.call("text")), timeout=30)
    told = [MessageToDict(feature.text.spans[0]) for feature in answer.result.explanation.features[1:]]
    assert [(span["utf16Start"], span["utf16End"]) for span in told] == [
        (feature["utf16_start"], feature["utf16_end"]) for feature in expected[1:]
    ]


def test_last_answer_of_a_stream_prints_the_same_lines(golden: Golden) -> None:
    call = golden.call("text")
    with Client(golden.address) as client:
        *_, last = client.stream_explain("tiny", TEXT, method="kernel-shap", seed=7, max_evaluations=256)
    assert last.final
    assert lines(last) == call.expected["lines"]
    assert len(call.expected["lines"]) == 1 + len(TEXT.split())


def _request(call: Call) -> messages.ExplainRequest:
    value = table_input(ROW) if call.row else text_input(TEXT)
    options = {name: value for name, value in vars(call.options).items() if value is not None}
    return explain_input(value, model=call.model, **options)
