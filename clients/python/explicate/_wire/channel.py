"""How the clients' channels are set up: sizes, keepalive, retries, several addresses.

The server holds the other half of the keepalive pair: it must allow a ping every `KEEPALIVE_TIME_MS`.
"""

from __future__ import annotations

import json

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

# Calls that change nothing and may therefore be sent again. gRPC does so only until the first message of an answer,
# so a stream that has begun is never repeated.
_RETRIED_METHODS = (
    ("explicate.v1.InferenceService", "Predict"),
    ("explicate.v1.InferenceService", "Explain"),
    ("explicate.v1.InferenceService", "StreamExplain"),
    ("explicate.v1.ModelService", "ListModels"),
    ("explicate.v1.ModelService", "GetModel"),
)

# UNAVAILABLE only: a restart or a lost connection. An overloaded server is not helped by being asked again at once.
# Four attempts wait about 0.1, 0.2 and 0.4 s between them: enough for a balancer to route around a server that stops,
# and a server that is not there at all is still reported within a second.
_RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}

SERVICE_CONFIG = {
    # With one address this is the same as gRPC's own choice; with several, calls are spread over all of them.
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": service, "method": method} for service, method in _RETRIED_METHODS],
            "retryPolicy": _RETRY_POLICY,
        }
    ],
}


def channel_options() -> list[tuple[str, str | int]]:
    """Options for `grpc.insecure_channel`, `grpc.secure_channel` and their aio twins."""
    return [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.initial_reconnect_backoff_ms", FIRST_RECONNECT_BACKOFF_MS),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_BACKOFF_MS),
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ]
