"""Everything a request can fail with, as the domain knows it.

One subclass per thing a caller can do about it; ``rpc/error_catalogue.py`` gives each reason its gRPC code::

    ServerError
    ├── InvalidRequest        correct the named fields
    ├── AccessDenied          bring a token that has the right
    ├── NotFound              name something that exists
    ├── NotServable           exists, but cannot answer this, or cannot be changed so
    ├── Conflict              somebody else changed it first; look again and decide again
    ├── Overloaded            come back after ``retry_after_s``
    ├── NotServing            draining or still loading; come back after ``retry_after_s``
    ├── DeadlinePassed        give more time
    └── ModelFault            the model itself failed on this input
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field

# The answer to a request with a thousand bad fields names only the first ones.
MOST_VIOLATIONS_TOLD = 8


@dataclass(frozen=True)
class Violation:
    """One bad field: its path in the request, such as ``inputs[3].text``, and what to do about it.

    ``advice`` gives more of the description; it is asked only of those that are told, as it may take longer.
    """

    field: str
    description: str
    advice: Callable[[], str] | None = dataclass_field(default=None, compare=False)

    def told(self) -> "Violation":
        """The same with its advice in the description."""
        return self if self.advice is None else Violation(self.field, self.description + self.advice())


class ServerError(Exception):
    """Base: a reason from the catalogue and the values that its public text names."""

    def __init__(self, reason: str, detail: str = "", *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail
        self.metadata = dict(metadata or {})


class InvalidRequest(ServerError):
    """Fields of the request are wrong."""

    def __init__(self, violations: Sequence[Violation], *, reason: str = "INVALID_FIELD") -> None:
        told = [violation.told() for violation in violations[:MOST_VIOLATIONS_TOLD]]
        super().__init__(reason, "; ".join(f"{v.field}: {v.description}" for v in told))
        self.violations = (*told, *violations[MOST_VIOLATIONS_TOLD:])


class AccessDenied(ServerError):
    """The call brought no token, a wrong one, or one without the right; or came to the wrong port.

    ``challenge`` is what HTTP calls WWW-Authenticate (RFC 6750); empty where no token would help. ``token_name`` is
    the name of a token that is known but does not have the right.
    """

    def __init__(self, reason: str, detail: str, *, challenge: str = "", token_name: str = "") -> None:
        super().__init__(reason, detail)
        self.challenge = challenge
        self.token_name = token_name


class NotFound(ServerError):
    """A model, version or label does not exist."""

    def __init__(self, reason: str, detail: str, *, resource_type: str, resource_name: str) -> None:
        super().__init__(reason, detail, metadata={"resource_type": resource_type, "resource_name": resource_name})
        self.resource_type = resource_type
        self.resource_name = resource_name


class NotServable(ServerError):
    """The model exists but is not loaded, or does not fit the request.

    ``violations`` are what stands in the way one by one, where that is more than one thing.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(reason, detail, metadata=metadata)
        self.violations = tuple(violations)


class Conflict(ServerError):
    """It is not, or no longer, in the state that the caller expects."""


class _Retryable(ServerError):
    def __init__(self, reason: str, detail: str, *, retry_after_s: float) -> None:
        super().__init__(reason, detail)
        self.retry_after_s = retry_after_s


class Overloaded(_Retryable):
    """A queue or a limit is full; nothing was accepted."""


class NotServing(_Retryable):
    """The server is draining, or not ready yet."""


class DeadlinePassed(ServerError):
    """No time was left before what was asked for could be answered: the prediction, or the explanation."""

    def __init__(
        self,
        reason: str = "DEADLINE_PASSED",
        detail: str = "the deadline came before the model could answer; give the call more time",
    ) -> None:
        super().__init__(reason, detail)


class ModelFault(ServerError):
    """The model failed, or answered with numbers that are not finite, for a row of this request."""
