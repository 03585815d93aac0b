"""A server before a real one whose streams grow in many small steps, as those of a slow model do."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from explicate.v1 import inference_service_pb2 as messages
from explicate_console.gateway.rpc_methods import METHODS

_STREAM = "/explicate.v1.InferenceService/StreamExplain"
_EVERY_S = 0.08  # a few frames of the browser, so that each estimate is drawn


@contextmanager
def growing_server(address: str, estimates: int) -> Iterator[str]:
    """Passes calls on to the server at `address`; each stream becomes `estimates` answers that near the last one."""
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads, options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((_Passing(channel, estimates),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(0).wait()


class _Passing(grpc.GenericRpcHandler):
    def __init__(self, channel: grpc.Channel, estimates: int) -> None:
        self._channel = channel
        self._estimates = estimates

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        path = str(details.method)
        if path == _STREAM:
            return grpc.unary_stream_rpc_method_handler(self._grow)
        if METHODS[path].streams:
            stream: Any = self._channel.unary_stream(path)
            return grpc.unary_stream_rpc_method_handler(lambda body, _: stream(body))
        call: Any = self._channel.unary_unary(path)
        return grpc.unary_unary_rpc_method_handler(lambda body, _: call(body))

    def _grow(self, body: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        ask: Any = self._channel.unary_stream(_STREAM)
        last = messages.StreamExplainResponse.FromString([*ask(body)][-1])
        for number in range(1, self._estimates):
            yield estimate(last, number, self._estimates).SerializeToString()
            threading.Event().wait(_EVERY_S)
        yield last.SerializeToString()


def estimate(last: messages.StreamExplainResponse, number: int, estimates: int) -> messages.StreamExplainResponse:
    """The answer of a round before the last: wider intervals around values that are off, and change their signs."""
    answer = messages.StreamExplainResponse()
    answer.CopyFrom(last)
    answer.final = False
    explanation = answer.result.explanation
    explanation.evaluations = number * last.result.explanation.evaluations // estimates
    explanation.sentences.clear()
    for attribution in explanation.attributions:
        most = max(map(abs, attribution.values))
        for place, value in enumerate(attribution.values):
            off = most * ((7 * place + 3 * number) % 11 - 5) / (5 * number)
            wide = most / number + attribution.upper[place] - value
            attribution.values[place] = value + off
            attribution.lower[place], attribution.upper[place] = value + off - wide, value + off + wide
    return answer
