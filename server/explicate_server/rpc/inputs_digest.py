"""What a request asks about, as one digest: the same inputs go to the same version, whatever else the request says."""

from collections.abc import Iterable
from functools import cache
from hashlib import sha256

from google.protobuf.message import Message

from explicate.v1 import inference_service_pb2 as messages

Request = messages.PredictRequest | messages.ExplainRequest | messages.StreamExplainRequest


class InputsDigest:
    """SHA-256 of a request's inputs, computed when it is first asked for: most requests never are.

    A prediction of one input has the digest of an explanation of it.
    """

    def __init__(self, request: Request) -> None:
        self._of = cache(lambda: _digest(_inputs(request)))

    def __call__(self) -> bytes:
        """32 bytes."""
        return self._of()


def _inputs(request: Request) -> Iterable[Message]:
    if not isinstance(request, messages.PredictRequest):
        return [request.input]
    return [request.table] if request.HasField("table") else request.inputs


def _digest(inputs: Iterable[Message]) -> bytes:
    digest = sha256()
    for item in inputs:
        digest.update(item.SerializeToString(deterministic=True))  # the cells of a row have no order of their own
    return digest.digest()
