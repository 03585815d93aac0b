"""What the contracts share: texts, bare calls, and how answers and errors are read."""

from __future__ import annotations

import random
from collections.abc import Iterator

import grpc
import pytest

import explicate
from explicate import errors
from explicate._wire.rpc_errors import from_rpc_error
from explicate.v1 import inference_service_pb2 as inference_pb

SERVICE = "explicate.v1.InferenceService"
MODEL_SERVICE = "explicate.v1.ModelService"
METHODS = ("Predict", "Explain", "StreamExplain")  # of one input of any kind

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


def raw_call(channel: grpc.Channel, method: str, body: bytes, timeout_s: float = CALL_S) -> list[bytes]:
    """Send bytes as they are; an error comes as the client's exception."""
    path = f"/{SERVICE}/{method}"
    try:
        if method == "StreamExplain":
            return list(channel.unary_stream(path)(body, timeout=timeout_s))
        return [channel.unary_unary(path)(body, timeout=timeout_s)]
    except grpc.RpcError as error:
        raise from_rpc_error(error, "the server") from error


def garbage() -> list[bytes]:
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


def logits(prediction: explicate.Prediction) -> list[float]:
    return [score.logit for score in prediction.scores]


def values(result: explicate.ExplainResult) -> list[float]:
    return list(result.explanation.attributions[0].values)


def paths(error: errors.ServerError) -> list[str]:
    return [path for path, _ in error.violations]


def assert_described(error: errors.ServerError) -> None:
    """ErrorInfo came along, and the text is a sentence for people."""
    assert error.reason
    assert error.reason == error.reason.upper()
    assert len(error.message) > 10


class Contract:
    """Fixtures of every contract; those of errors also check that the server still answers afterwards."""

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
