"""What is known of the call in progress: its request id, its method, who calls, and the version that answers.

The outermost layer of `rpc` opens a record; code that learns something of the call writes it down; log lines, metrics,
traces and the audit read it. It travels in a context variable, so that no function between has to pass it on.
"""

import ipaddress
import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

# The request ids that clients may give: long enough for any trace id, without what could forge a line of a log.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class AskedOverride:
    """A version that is to serve even if it does not meet the standard of this server: who wants that, and why."""

    model: str
    version: int
    who: str
    why: str


@dataclass
class CallRecord:
    """One call of one of our own services.

    Attributes:
        request_id: the caller's own, or one that the server made.
        method: service and method, ``explicate.v1.InferenceService/Explain``.
        peer: gRPC's name of the other end, with its port.
        caller: who it is, for logs: the name of a token, or the peer without its port.
        model: the model that answers; empty until a version of it was leased.
        version: the version that answers, or 0.
        change: what an operator's call is to change, in words for the log; empty for other calls.
        override: what the call overrides, once it is known that it may.
        request_bytes: size of its request, once it is there.
        refused_by_grpc: whether gRPC did not take its request.
    """

    request_id: str
    method: str
    peer: str = ""
    caller: str = ""
    model: str = ""
    version: int = 0
    change: str = ""
    override: AskedOverride | None = None
    request_bytes: int = 0
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


def note_override(override: AskedOverride) -> None:
    """Write down what the call in progress overrides, which it was found to have the right to."""
    record = current_call.get()
    if record is not None:
        record.override = override


def override_of_call(model: str, version: int) -> AskedOverride | None:
    """Whether the call in progress is to let this version serve, and why."""
    record = current_call.get()
    asked = record.override if record is not None else None
    return asked if asked is not None and (asked.model, asked.version) == (model, version) else None


def caller_of_call() -> str:
    """Who makes the call in progress, as limits and shares count callers."""
    record = current_call.get()
    return counted_as(record.caller) if record is not None else ""


def request_bytes() -> int:
    """Size of the request of the call in progress."""
    record = current_call.get()
    return record.request_bytes if record is not None else 0


# A household, a hoster's machine or a phone has all addresses of a network of this length for itself, and may take a
# new one for each call: https://www.rfc-editor.org/rfc/rfc6177
_IPV6_PREFIX = 64


@lru_cache(maxsize=4096)
def counted_as(caller: str) -> str:
    """Who a caller is to limits: an address of IPv6 counts as its network, ``ipv6:2001:db8::/64``."""
    kind, _, address = caller.partition(":")
    if kind != "ipv6":
        return caller
    try:
        number = ipaddress.IPv6Address(unquote(address).strip("[]"))
    except ValueError:
        return caller
    if number.ipv4_mapped:
        return f"ipv4:{number.ipv4_mapped}"
    return caller if number.is_loopback else f"ipv6:{ipaddress.IPv6Network((int(number), _IPV6_PREFIX), strict=False)}"


def request_id_of(given: str | bytes | None) -> str:
    """The caller's request id if it is well formed, else a new one."""
    return given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
