"""What is known of the call in progress: its request id, its method, who calls, and the version that answers.

The outermost layer of `rpc` opens a record; code that learns something of the call writes it down; log lines, metrics,
traces and the audit read it. It travels in a context variable, so that no function between has to pass it on.
"""

import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field

# The request ids that clients may give: long enough for any trace id, without what could forge a line of a log.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass
class CallRecord:
    """One call of one of our own services.

    Attributes:
        request_id: the caller's own, or one that the server made.
        method: service and method, ``explicate.v1.InferenceService/Explain``.
        peer: gRPC's name of the other end, with its port.
        caller: who it is: the name of a token, or the peer without its port.
        model: the model that answers; empty until a version of it was leased.
        version: the version that answers, or 0.
        change: what an operator's call is to change, in words for the log; empty for other calls.
        refused_by_grpc: whether gRPC did not take its request.
    """

    request_id: str
    method: str
    peer: str = ""
    caller: str = ""
    model: str = ""
    version: int = 0
    change: str = ""
    refused_by_grpc: bool = False
    started_s: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the call arrived."""
        return time.monotonic() - self.started_s


current_call: ContextVar[CallRecord | None] = ContextVar("current_call", default=None)


def note_version(model: str, version: int) -> None:
    """Write down which version answers the call in progress."""
    record = current_call.get()
    if record is not None:
        record.model, record.version = model, version


def note_change(change: str) -> None:
    """Write down what the call in progress is to change; in checked names only, since it goes to the log."""
    record = current_call.get()
    if record is not None:
        record.change = change


def caller_of_call() -> str:
    """Who makes the call in progress, as limits count callers."""
    record = current_call.get()
    return record.caller if record is not None else ""


def request_id_of(given: str | bytes | None) -> str:
    """The caller's request id if it is well formed, else a new one."""
    return given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
