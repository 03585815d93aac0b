"""How the clients' channels are set up: sizes, keepalive, several addresses, proxies, encryption.

The server holds the other half of the keepalive pair: it must allow a ping every `KEEPALIVE_TIME_MS`.
"""

from __future__ import annotations

import json
import math
import numbers
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.errors import DeadlineExceeded, ErrorDetails, UsageError, invalid_argument

if TYPE_CHECKING:
    import grpc

    from explicate.model_info import ModelStatus

DEFAULT_TARGET = "127.0.0.1:8500"
DEFAULT_TIMEOUT_S = 30.0  # an explanation of a long text takes seconds on a CPU; a hang should still be noticed
POLL_INTERVAL_S = 0.1  # of wait_ready, between two looks at a server that is up and still loading


def call_timeout(timeout_s: float | None, default_s: float) -> float | None:
    """The timeout to give gRPC: the call's own or the client's; None, no deadline, for infinity."""
    chosen = default_s if timeout_s is None else timeout_s
    if not isinstance(chosen, numbers.Real):
        raise invalid_argument("timeout_s", f"must be a number of seconds, not {chosen!r}")
    if math.isnan(chosen) or chosen < 0:
        raise invalid_argument("timeout_s", f"must be 0 or more seconds, not {chosen}")
    return None if math.isinf(chosen) else chosen


def slow_s(timeout_s: float | None, default_s: float) -> float:
    """Seconds from which a call counts as slow: more at once would then come near to its timeout."""
    chosen = call_timeout(timeout_s, default_s)
    return math.inf if chosen is None else chosen / 4


class ReadyWait:
    """Waiting for a server to serve `model`, or any model when None, for `timeout_s` seconds; None waits for ever."""

    def __init__(self, target: str, model: str | None, timeout_s: float | None) -> None:
        self._target = target
        self._model = model
        self._end_s = math.inf if timeout_s is None else time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """Seconds left, 0 or more."""
        return max(0.0, self._end_s - time.monotonic())

    def is_over(self, statuses: tuple[ModelStatus, ...]) -> bool:
        """Whether the model is ready; DeadlineExceeded says what the server was doing when the time is over."""
        if any(status.state == "ready" and self._model in (None, status.model) for status in statuses):
            return True
        if self.left_s < POLL_INTERVAL_S:
            raise self._not_ready(statuses)
        return False

    def _not_ready(self, statuses: tuple[ModelStatus, ...]) -> DeadlineExceeded:
        seen = ", ".join(f"{s.model} {s.version} is {s.state}{': ' if s.reason else ''}{s.reason}" for s in statuses)
        wanted = f"model {self._model}" if self._model else "any model"
        message = f"the server at {self._target} does not serve {wanted} yet ({seen or 'it knows no models'})"
        return DeadlineExceeded(message, ErrorDetails(code="DEADLINE_EXCEEDED"))


_LOOPBACK_NAMES = ("localhost", "[::1]", "::1")


@dataclass(frozen=True)
class Tls:
    """Files in PEM for an encrypted connection.

    ca: certificates that the server's must come from; the usual public ones when not given.
    cert, key: this client's own, for servers that ask for one; both or none.
    server_name: the name that the server's certificate must have, where it is not the host of the target, such as
        "models.internal" for a server that is asked at "localhost".
    """

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UsageError("a client's certificate and its key belong together; give both or none")


def channel_credentials(tls: Tls | bool) -> grpc.ChannelCredentials | None:
    """Credentials for a channel; None for a plain one. Raises UsageError for a file that cannot be read."""
    if tls is False:
        return None
    import grpc  # `import explicate` does not: Tls is part of it

    files = Tls() if tls is True else tls
    return grpc.ssl_channel_credentials(_read(files.ca), _read(files.key), _read(files.cert))


def token_metadata(
    token: str | None, target: str, *, encrypted: bool, allow_plain: bool
) -> tuple[tuple[str, str], ...] | None:
    """The metadata that brings a token with every call.

    Raises UsageError if others on the way could read the token: over a connection that is not encrypted,
    to another machine, unless `allow_plain` says that this is wanted.
    """
    if token is None:
        return None
    if not (encrypted or allow_plain or is_local(target)):
        raise UsageError(
            f"a token is not sent to {target} unencrypted, where others could read it; use TLS, "
            "or say that plain text is meant (allow_plain_token, --allow-plain-token)"
        )
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("the token is empty or has characters that no token has")
    return (("authorization", f"Bearer {token}"),)


def is_local(target: str) -> bool:
    """Whether a gRPC target is this machine, by its spelling; names are not looked up."""
    if target.startswith("unix:"):
        return True
    for scheme in ("dns:", "ipv4:", "ipv6:", "passthrough:"):
        target = target.removeprefix(scheme)
    hosts = [address.rpartition(":")[0] or address for address in target.rpartition("/")[2].split(",")]
    return all(host in _LOOPBACK_NAMES or _is_loopback_ipv4(host) for host in hosts)


def may_have_others(target: str) -> bool:
    """Whether a gRPC target may be several addresses, by its spelling: a list, or a name other than this machine's."""
    if target.startswith(("unix:", "unix-abstract:")):
        return False
    hosts = target.rpartition("/")[2].removeprefix("dns:").removeprefix("ipv4:").removeprefix("ipv6:")
    if "," in hosts:
        return True
    host = hosts.rpartition(":")[0] or hosts
    return not (is_local(target) or host.startswith("[") or host.replace(".", "").isdecimal())


def _is_loopback_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() for part in parts)


def _read(path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


# A full Predict (1,024 short texts) or Explain answer is far below this; gRPC's own 4 MiB is too little for 1,024
# long texts. The same on both ways and on the server.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

# A dead connection is noticed after 40 s instead of the system's TCP timeout of many minutes; more pings would be
# noise. Only while a call is open: an idle client need not keep anything alive.
KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000

# A server that starts or restarts is found again within this time: gRPC's own back-off goes up to two minutes.
FIRST_RECONNECT_BACKOFF_MS = 100
MAX_RECONNECT_BACKOFF_MS = 2_000

# With one address this is the same as gRPC's own choice; with several, calls are spread over all of them. What is asked
# again, and for how long, is the matter of `retries`.
_ROUND_ROBIN: list[dict[str, object]] = [{"round_robin": {}}]
# A server of several that fails whatever it is asked gets nothing for a while: gRPC's proposal A50, in grpcio 1.85
# under the name of an experiment. To gRPC a refusal and a bad input are failures too, so only a server without as much
# as one answer in twenty counts, and half of them stay whatever happens: they may all have been asked nonsense.
OUTLIERS: dict[str, object] = {
    "interval": "5s",
    "baseEjectionTime": "10s",  # longer each time, up to the next
    "maxEjectionTime": "60s",
    "maxEjectionPercent": 50,
    "failurePercentageEjection": {"threshold": 95, "enforcementPercentage": 100, "minimumHosts": 2, "requestVolume": 5},
    "childPolicy": _ROUND_ROBIN,
}


def service_config(target: str) -> str:
    """How calls are spread over the addresses of `target`, as gRPC's JSON."""
    policy = [{"outlier_detection_experimental": OUTLIERS}] if may_have_others(target) else _ROUND_ROBIN
    return json.dumps({"loadBalancingConfig": policy})


def channel_options(target: str, tls: Tls | bool) -> list[tuple[str, str | int]]:
    """Options for `grpc.insecure_channel`, `grpc.secure_channel` and their aio twins."""
    options: list[tuple[str, str | int]] = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.initial_reconnect_backoff_ms", FIRST_RECONNECT_BACKOFF_MS),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_BACKOFF_MS),
        ("grpc.service_config", service_config(target)),
    ]
    if is_local(target):  # a proxy of the environment would read what never leaves the machine, the token too
        options.append(("grpc.enable_http_proxy", 0))
    if isinstance(tls, Tls) and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options
