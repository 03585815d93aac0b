"""How much explaining may be in progress: a number of explanations, which callers share, and evaluations of each.

An explanation is let in as a whole, before its first row, and then never refused. Used on the event loop only.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from explicate_server.errors import Overloaded
from explicate_server.shared_room import Lack, SharedRoom

_RETRY_AFTER_S = 1.0


class Seat:
    """The place of one explanation in progress."""

    def __init__(self, admission: "Admission", caller: str) -> None:
        self.evaluations = 0
        """What it has reserved so far."""
        self._admission = admission
        self._caller = caller

    def reserve(self, evaluations: int) -> None:
        """Count more evaluations for the caller, until the explanation ends.

        A caller with nothing else in progress is never refused: the budget of one explanation has a limit of its own.

        Raises:
            Overloaded: the caller would have too many in progress; nothing was reserved.
        """
        self._admission._reserve(self, self._caller, evaluations)


class Admission:
    """Lets explanations in. Memory is held for callers in progress only.

    Attributes:
        refusals: how often each reason was given.
    """

    def __init__(self, *, max_explanations: int, max_evaluations_per_caller: int) -> None:
        self.refusals: Counter[str] = Counter()
        self._seats = SharedRoom(max_explanations)
        self._max_evaluations_per_caller = max_evaluations_per_caller
        self._evaluations: Counter[str] = Counter()

    def check(self, caller: str) -> None:
        """Refuse an explanation that would not be let in now, before its request is read.

        Raises:
            Overloaded: too many are in progress, in all or of the caller.
        """
        missing = self._seats.lack(caller)
        if missing is Lack.SHARE:
            held = self._seats.held(caller)
            self._refuse("CALLER_LIMIT", f"{held} explanations of yours are in progress; the rest is kept for others")
        if missing:
            self._refuse("TOO_MANY_EXPLANATIONS", f"{self.in_progress} explanations are in progress")

    @contextmanager
    def explanation(self, caller: str) -> Iterator[Seat]:
        """Let one explanation of ``caller`` (see `counted_as`) in, for as long as the block lasts. Raises as `check`
        does.
        """
        self.check(caller)
        seat = Seat(self, caller)
        with self._seats.place(caller):
            try:
                yield seat
            finally:
                self._evaluations[caller] -= seat.evaluations
                if self._evaluations[caller] <= 0:
                    del self._evaluations[caller]

    @property
    def in_progress(self) -> int:
        """Explanations let in and not ended."""
        return self._seats.taken

    @property
    def evaluations_by_caller(self) -> dict[str, int]:
        """Evaluations reserved by each caller with any."""
        return dict(self._evaluations)

    def _reserve(self, seat: Seat, caller: str, evaluations: int) -> None:
        others = self._evaluations[caller] - seat.evaluations
        if others and others + seat.evaluations + evaluations > self._max_evaluations_per_caller:
            self._refuse(
                "CALLER_LIMIT",
                f"{others:,} evaluations of yours are in progress and this would take {evaluations:,}; "
                f"at most {self._max_evaluations_per_caller:,} may be at once",
            )
        self._evaluations[caller] += evaluations
        seat.evaluations += evaluations

    def _refuse(self, reason: str, detail: str) -> None:
        self.refusals[reason] += 1
        raise Overloaded(reason, detail, retry_after_s=_RETRY_AFTER_S)


def caller_of(peer: str) -> str:
    """Who calls: gRPC's name of a peer without its port, ``ipv4:10.0.0.7:53412`` -> ``ipv4:10.0.0.7``.

    Unix sockets have no port, and all of their callers are one.
    """
    return peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer
