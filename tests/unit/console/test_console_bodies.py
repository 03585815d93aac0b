"""Bodies that strangers send: each is a message, or refused in a sentence."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from explicate.v1 import inference_service_pb2 as messages
from explicate_console.gateway.bodies import Codec, enveloped, unwrapped
from explicate_console.gateway.failures import Failure

JSON, BINARY = Codec("application/json", in_json=True), Codec("application/proto", in_json=False)
FIELDS = ["model", "version", "label", "inputs", "text", "tabular", "cells", "number", "missing", "image", "content",
          "spec", "options", "maxEvaluations", "tolerance", "confidence", "table", "numbers", "values"]  # fmt: skip
LEAVES = (
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.sampled_from(["NaN", "1e9"])
)
DOCUMENTS = some.recursive(
    LEAVES, lambda inner: some.lists(inner) | some.dictionaries(some.sampled_from(FIELDS), inner), max_leaves=20
)


def read(codec: Codec, body: bytes, kind: Any = messages.ExplainRequest) -> Any:
    """The message in a body, or its refusal's code."""
    try:
        return kind.FromString(asyncio.run(codec.read(kind, body)))
    except Failure as failure:
        refusal = failure
    assert len(str(refusal)) < 1000
    assert "\n" not in str(refusal)
    return refusal.document["code"]


@given(some.binary())
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    for codec in (JSON, BINARY):
        assert isinstance(read(codec, body), messages.ExplainRequest) or read(codec, body) == "invalid_argument"


@given(DOCUMENTS)
def test_any_json_is_a_message_or_refused(document: object) -> None:
    body = json.dumps(document).encode()
    for kind in (messages.ExplainRequest, messages.PredictRequest, messages.ExplainTableRequest):
        found = read(JSON, body, kind)
        assert isinstance(found, kind) or found == "invalid_argument"


@given(some.binary())
def test_an_envelope_is_opened_to_what_was_put_in(message: bytes) -> None:
    assert unwrapped(enveloped(message)) == message


@pytest.mark.parametrize("text", ["سلام", "🍵" * 100, "a\0b", "<script>", "\u202e"])
def test_texts_come_through_as_they_are(text: str) -> None:
    body = json.dumps({"spec": {"input": {"text": {"text": text}}}}, ensure_ascii=False).encode()
    request = read(JSON, body)
    assert request.spec.input.text.text == text
    written = asyncio.run(JSON.written(messages.ExplainRequest, request.SerializeToString()))
    assert json.loads(written)["spec"]["input"]["text"]["text"] == text


def test_numbers_that_are_none_are_written_as_the_protocol_has_them() -> None:
    request = messages.PredictRequest(inputs=[messages.Input()])
    request.inputs[0].tabular.cells["a"].number = float("nan")
    written = json.loads(asyncio.run(JSON.written(messages.PredictRequest, request.SerializeToString())))
    assert written["inputs"][0]["tabular"]["cells"]["a"]["number"] == "NaN"
    again = read(JSON, json.dumps(written).encode(), messages.PredictRequest)
    assert again.inputs[0].tabular.cells["a"].number != again.inputs[0].tabular.cells["a"].number
