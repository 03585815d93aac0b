"""How much explaining may be in progress: a number of explanations in all, and of evaluations for each caller.

An explanation is let in as a whole, before its first row, and then never refused. Used on the event loop only.

The threads that do what would hold up the event loop: some for short steps, and apart from them some for long ones.

With one pool for both, a text's explanation that takes 0.06 s had no answer in 2 s while four callers sent images of
31 million pixels: each of its steps waited behind images.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from explicate_server.errors import Overloaded

# Tokenising and fitting; more threads than that would only fight the model for the cores.
_SHORT_THREADS = 2
# Decoding and cutting images. Their number also bounds the memory that decoding takes.
_LONG_THREADS = 2
# An encoding that costs as much as this many characters of a text is short: about 10 ms.
_MOST_SHORT_CHARACTERS = 1 << 17


class Workers:
    """The threads of one server.

    Attributes:
        short: for steps of milliseconds, such as a fit.
    """

    def __init__(self) -> None:
        self.short: Executor = ThreadPoolExecutor(_SHORT_THREADS, thread_name_prefix="worker")
        self._long = ThreadPoolExecutor(_LONG_THREADS, thread_name_prefix="encoder")

    def encoding(self, cost: int) -> Executor:
        """The threads for inputs whose encoding costs as much as this many characters of a text."""
        return self.short if cost <= _MOST_SHORT_CHARACTERS else self._long

    def close(self) -> None:
        """Wait for the steps that have begun, and drop the others."""
        for threads in (self.short, self._long):
            threads.shutdown(wait=True, cancel_futures=True)


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
        in_progress: explanations let in and not ended.
        refusals: how often each reason was given.
    """

    def __init__(self, *, max_explanations: int, max_evaluations_per_caller: int) -> None:
        self.in_progress = 0
        self.refusals: Counter[str] = Counter()
        self._max_explanations = max_explanations
        self._max_evaluations_per_caller = max_evaluations_per_caller
        self._evaluations: Counter[str] = Counter()

    @contextmanager
    def explanation(self, caller: str) -> Iterator[Seat]:
        """Let one explanation of ``caller`` (see :func:`caller_of`) in, for as long as the block lasts.

        Raises:
            Overloaded: too many are in progress.
        """
        if self.in_progress >= self._max_explanations:
            self._refuse("TOO_MANY_EXPLANATIONS", f"{self.in_progress} explanations are in progress")
        seat = Seat(self, caller)
        self.in_progress += 1
        try:
            yield seat
        finally:
            self.in_progress -= 1
            self._evaluations[caller] -= seat.evaluations
            if self._evaluations[caller] <= 0:
                del self._evaluations[caller]

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
