"""The exceptions of Explicate, for the client, the server's commands and the offline tools alike.

One subclass for each thing that a caller can do about an error::

    ExplicateError                  everything below
    ├── UsageError                  a local command or call was given something wrong: correct the call
    └── ServerError                 a call failed, with the server's code, reason and details
        ├── InvalidArgument         a field of the request is wrong: `violations` says which; correct it
        ├── MessageTooLarge         the request or the answer is over the size limit: send fewer inputs
        ├── NotFound                no such model, version or label: `explicate models` lists them
        ├── FailedPrecondition      the model is not loaded or does not do this: load it, or choose another
        ├── Aborted                 another caller changed it first: look again, then decide again
        ├── Overloaded              the server's queue is full: try again after `retry_after_s`
        ├── Unavailable             the server cannot be reached or is going away: try again later
        ├── DeadlineExceeded        no answer in time: give more time, or ask for less
        ├── Unauthenticated         no valid token: log in
        ├── PermissionDenied        the token does not allow it: ask for the right
        ├── Cancelled               the call was cancelled
        └── InternalError           the server's fault: report it with `request_id`

This file imports nothing of gRPC; `explicate._wire.rpc_errors` makes these from what gRPC raises.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class ExplicateError(Exception):
    """Base of every error a user can expect. Its text is one sentence that says what to do."""


class UsageError(ExplicateError):
    """A local command or call was given something wrong."""


@dataclass(frozen=True)
class ErrorDetails:
    """What a server said about a failed call, besides its message.

    code: name of the gRPC status code, such as "NOT_FOUND".
    reason: stable word for the cause, such as "MODEL_NOT_FOUND"; empty if the server gave none.
    metadata: the values that belong to the reason, by name.
    violations: (field path, description) of each bad field, such as ("inputs[3].text", "must not be empty"); of a
        version that a server's standard refuses, (requirement, why it is not met).
    resource: (type, name) of what is missing, such as ("model", "reviews").
    retry_after_s: seconds after which the server asks to be tried again; infinity for never.
    request_id: the call's name in the server's log.
    """

    code: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[tuple[str, str]] = ()
    resource: tuple[str, str] | None = None
    retry_after_s: float | None = None
    request_id: str = ""


class ServerError(ExplicateError):
    """A call failed. The attributes are those of `ErrorDetails`."""

    def __init__(self, message: str, details: ErrorDetails) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.code = details.code
        self.reason = details.reason
        self.metadata = dict(details.metadata)
        self.violations = list(details.violations)
        self.resource = details.resource
        self.retry_after_s = details.retry_after_s
        self.request_id = details.request_id

    def __reduce__(self) -> tuple[type[ServerError], tuple[str, ErrorDetails]]:
        """Let the error cross a process boundary: by default only `args` would be given to `__init__`."""
        return type(self), (self.message, self.details)


class InvalidArgument(ServerError):
    """A field of the request is wrong; `violations` names it."""


class MessageTooLarge(ServerError):
    """The request or its answer is over the size limit."""


class NotFound(ServerError):
    """No such model, version or label."""


class FailedPrecondition(ServerError):
    """The model is known but not loaded, or the input or method does not fit it."""


class Aborted(ServerError):
    """A label was not where the call expected it; nothing was changed."""


class Overloaded(ServerError):
    """The server's queue is full; try again after `retry_after_s`."""


class Unavailable(ServerError):
    """The server cannot be reached, is draining, or serves nothing yet."""


class DeadlineExceeded(ServerError):
    """No answer came before the call's deadline."""


class Unauthenticated(ServerError):
    """The call carried no valid token."""


class PermissionDenied(ServerError):
    """The token does not allow this call."""


class Cancelled(ServerError):
    """The call was cancelled."""


class InternalError(ServerError):
    """The server failed; its log tells more under `request_id`."""


# Why RESOURCE_EXHAUSTED may be about the input itself.
_TOO_MUCH_BY_ITSELF = frozenset({"DEVICE_OUT_OF_MEMORY"})


def is_for_later(error: ServerError) -> bool:
    """Whether no server had room for the call, or none was there: the same call may fare better later or elsewhere."""
    if isinstance(error, Overloaded | Unavailable):
        return error.reason not in _TOO_MUCH_BY_ITSELF and error.retry_after_s != math.inf
    return False


def invalid_argument(field_path: str, description: str) -> InvalidArgument:
    """The error for a value that cannot even be sent, in the form in which a server would refuse it."""
    details = ErrorDetails(code="INVALID_ARGUMENT", reason="INVALID_FIELD", violations=((field_path, description),))
    return InvalidArgument(f"{field_path}: {description}", details)
