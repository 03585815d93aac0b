"""Letting a call in and receiving its request: token and right, room for one more, a request in time and in size.

The request is read here and not by gRPC, so that a call without a token or over the limit is refused before its request
is received, and a sender that never finishes cannot hold a place for ever.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

import grpc

from explicate_server.call_record import CallRecord, caller_of_call, counted_as, current_call
from explicate_server.errors import AccessDenied, InvalidRequest, Overloaded, ServerError
from explicate_server.inference.admission import Admission
from explicate_server.security.access import Access, caller_key
from explicate_server.settings import Settings
from explicate_server.shared_room import Lack, SharedRoom

OWN_SERVICES = ("explicate.", "inference.")
# Those of them that orchestrators ask without a token, as they ask health.
_PROBES = frozenset(f"inference.GRPCInferenceService/{name}" for name in ("ServerLive", "ServerReady", "ModelReady"))
EXPLAINING = frozenset(f"explicate.v1.InferenceService/{name}" for name in ("Explain", "StreamExplain", "ExplainTable"))
AUTHORIZATION_KEY = "authorization"
Context = grpc.aio.ServicerContext[Any, Any]
Metadata = Iterable[tuple[str, Any]]
_RETRY_AFTER_S = 1.0
# Calls of health and reflection in progress. A watch takes about 30 kB, and every channel of a client that balances by
# health holds one.
_MOST_FOREIGN = 1024
# A request of theirs is a name.
_MOST_FOREIGN_BYTES = 1024
# gRPC ends a call whose request it did not take one step of the loop later.
_UNTIL_ENDED_S = 0.02
# How long a stranger's request may be on its way while others wait, and while a crowd does: a few probes at once must
# not be refused because the process had no processor for a moment. A request that is here takes a millisecond.
_TURN_S = 0.1
_TURN_IN_A_CROWD_S = 0.01
_CROWD = 8


class Reception:
    """What every call passes first, on whichever port; used on the event loop only."""

    def __init__(self, access: Access, settings: Settings, explanations: Admission) -> None:
        """``explanations`` tells whether there is room for one more, which needs nothing of its request."""
        self._access = access
        self._explanations = explanations
        self._settings = settings
        self._lane = _Lane()
        self.own = InFlight(settings.max_concurrent_calls)
        """Calls of our own services, which a drain waits for."""
        self.foreign = InFlight(_MOST_FOREIGN // settings.processes)
        """Calls of health and reflection, which may go on for ever."""

    def let_in(self, record: CallRecord, metadata: Metadata, *, on_admin_port: bool) -> "InFlight":
        """Let a call in, and write down whose token it brought; where it has a place until it leaves that.

        Raises:
            AccessDenied: it has no token with the right, or came to the wrong port.
            Overloaded: too many calls or explanations are in progress, or too many of them are the caller's.
        """
        try:
            name = self._access.check(record.method, authorizations(metadata), on_admin_port=on_admin_port)
        except AccessDenied as error:
            record.caller = caller_key(error.token_name, record.caller)
            raise
        record.caller = caller_key(name, record.caller)
        if record.method in EXPLAINING:
            self._explanations.check(counted_as(record.caller))
        calls = self.own if is_own(record.method) else self.foreign
        calls.enter(record)
        return calls

    def check_as(self, method: str, context: Context) -> None:
        """Check a call that was let in by what its request shows it to be, as one of another method.

        Raises:
            AccessDenied: its token does not have the right.
            Overloaded: it is an explanation, and too many are in progress, or too many of them are the caller's.
        """
        self._access.check(method, authorizations(context.invocation_metadata() or ()))
        if method in EXPLAINING:
            self._explanations.check(caller_of_call())

    def check_override(self, context: Context) -> str:
        """Check that a call may override the standard; returns the name of its token.

        Raises:
            AccessDenied: it may not.
        """
        return self._access.check_override(authorizations(context.invocation_metadata() or ()))

    async def receive(self, record: CallRecord, context: Context) -> bytes:
        """The bytes of the request of a call that has one.

        Raises:
            InvalidRequest: the caller sent none.
            ServerError: they did not come in time, or are too many.
        """
        within_s = self._settings.max_call_s
        try:
            if is_own(record.method):
                async with asyncio.timeout(within_s):
                    request = await context.read()
            else:
                request = await self._lane.read(context, counted_as(record.caller), within_s)
        except TimeoutError:
            raise ServerError("REQUEST_TOO_SLOW", f"it had {within_s:g} s, less where others wait") from None
        if request is grpc.aio.EOF:
            # Also what gRPC says when the caller left, or when it refused the request itself: then it ends the call.
            await asyncio.sleep(_UNTIL_ENDED_S)
            raise InvalidRequest([], reason="MALFORMED_MESSAGE")
        self._measure(record, len(request))
        return bytes(request)

    async def next_request(self, record: CallRecord, context: Context) -> bytes | None:
        """The next request of a call that has any number; None after the last one. Raises as ``receive`` does."""
        try:
            async with asyncio.timeout(self._settings.max_call_s):
                request = await context.read()
        except TimeoutError:
            raise ServerError("REQUEST_TOO_SLOW", f"it had {self._settings.max_call_s:g} s") from None
        if request is grpc.aio.EOF:
            return None
        self._measure(record, len(request))
        return bytes(request)

    def _measure(self, record: CallRecord, size: int) -> None:
        record.request_bytes = size
        most = self._settings.max_message_bytes if is_own(record.method) else _MOST_FOREIGN_BYTES
        if size > most:
            raise ServerError("MESSAGE_TOO_LARGE", f"the request has {size:,} bytes, {most:,} are allowed")


def is_own(method: str) -> bool:
    """Whether a method, ``package.Service/Method``, is one of our own services."""
    return method.startswith(OWN_SERVICES) and method not in _PROBES


def authorizations(metadata: Metadata) -> list[str]:
    """All values of ``authorization`` in the metadata of a call, as gRPC gives it."""
    return [str(value) for key, value in metadata if key == AUTHORIZATION_KEY]


def _note_refusal(message: object, *_: object, **__: object) -> None:
    """Note of a call that gRPC refused its request, nearly always for its size.

    grpcio shows a handler the end of the requests and then a cancellation, just as when a caller leaves; the one
    difference is a debug line. In the place of that logger's own method, which makes a record of each call's first line
    too; none of its debug lines is written.
    """
    call = current_call.get()
    if call is not None and str(message).startswith("Failed to receive any message"):
        call.refused_by_grpc = True


setattr(logging.getLogger("grpc._cython.cygrpc"), "debug", _note_refusal)  # noqa: B010 - mypy: it is a method


class InFlight:
    """The calls in progress, whose places callers share, and whether there are none.

    Attributes:
        none: set while there are none.
    """

    def __init__(self, most: int) -> None:
        self.none = asyncio.Event()
        self.none.set()
        self._room = SharedRoom(most)

    @property
    def count(self) -> int:
        """How many there are."""
        return self._room.taken

    def enter(self, record: CallRecord) -> None:
        """Count one more of a caller, until it leaves.

        Raises:
            Overloaded: there are as many as there may be, in all or of the caller.
        """
        caller = counted_as(record.caller)
        missing = self._room.lack(caller)
        if missing is Lack.SHARE:
            detail = f"{self._room.held(caller):,} calls of yours are in progress; the rest is kept for others"
            raise Overloaded("CALLER_LIMIT", detail, retry_after_s=_RETRY_AFTER_S)
        if missing:
            detail = f"{self._room.most:,} are allowed; come back later or ask another server"
            raise Overloaded("TOO_MANY_CALLS", detail, retry_after_s=_RETRY_AFTER_S)
        self.none.clear()
        self._room.take(caller)

    def leave(self, record: CallRecord) -> None:
        """Give back the place of a call."""
        self._room.give_back(counted_as(record.caller))
        if not self._room.taken:
            self.none.set()


class _Lane:
    """Reads the requests of strangers one after another, those of several callers in turn.

    gRPC tells how large a request is only when it has all of it, and holds it three times for a moment: 24 of 15 MB at
    once took 1.6 GB. One at a time takes no more than one. A small request is here when its call is, and is read in one
    step. One that is still on its way is waited for as long as nobody else waits.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._of_caller: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reading: asyncio.Timeout | None = None
        self._waiting = 0

    async def read(self, context: Context, caller: str, within_s: float) -> Any:
        """The request.

        Raises:
            TimeoutError: it did not come in time.
        """
        mine = self._of_caller.setdefault(caller, asyncio.Lock())
        async with asyncio.timeout(within_s):
            self._waiting += 1
            self._hurry()
            try:
                async with mine:
                    await self._turn.acquire()
            finally:
                self._waiting -= 1
        try:
            async with asyncio.timeout(within_s) as self._reading:
                self._hurry()
                return await context.read()
        finally:
            self._reading = None
            self._turn.release()

    def _hurry(self) -> None:
        """Where others wait, whoever reads now has a moment left."""
        if not self._waiting or self._reading is None or self._reading.expired():
            return
        turn_s = _TURN_S if self._waiting < _CROWD else _TURN_IN_A_CROWD_S
        soon = asyncio.get_running_loop().time() + turn_s
        self._reading.reschedule(min(soon, self._reading.when() or soon))
