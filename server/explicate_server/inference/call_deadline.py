"""When the evaluations of an explanation must stop, so that there is time left to fit and to send the answer."""

from collections.abc import Callable

from explicate_server.inference.evaluations import Timings

# Time kept back to fit and send the answer: twice the slowest fit so far, but never most of the time. The floor is for
# the wire and for a first fit, which comes when the time is up and has not been measured: with 0.03 s, of 16 calls
# about an image of 50 segments with 0.2 s to the deadline 9 had an answer on a busy machine, with 0.05 s all 16.
_RESERVE_FLOOR_S = 0.05
_RESERVE_FITS = 2.0
_RESERVE_MOST = 0.25
# The last fit, its quality and the answer's message are each handed to a thread, which under load takes longer than
# they do: without this, 8 of 13 answers came after a deadline of 6 s on a machine with six times the work it has cores
# for.
_RESERVE_HAND_OVERS = 3.0


class Deadline:
    """A time limit on a call, less what it takes to answer."""

    def __init__(self, time_limit_s: float, timings: Timings, hand_over_s: Callable[[], float] = lambda: 0.0) -> None:
        """Take seconds from the call's arrival, which ``timings`` knows.

        ``hand_over_s`` tells what it takes now to hand a step to a thread and get it back.
        """
        self._time_limit_s = time_limit_s
        self._timings = timings
        self._hand_over_s = hand_over_s
        self._slowest_fit_s = 0.0

    def fit_took(self, seconds: float) -> None:
        """A fit took this long; the last one may too."""
        self._slowest_fit_s = max(self._slowest_fit_s, seconds)

    def seconds_left(self) -> float:
        """Until evaluations must stop; negative when they should have."""
        reserve_s = max(_RESERVE_FLOOR_S, _RESERVE_FITS * self._slowest_fit_s)
        reserve_s += _RESERVE_HAND_OVERS * self._hand_over_s()
        usable_s = self._time_limit_s - min(reserve_s, _RESERVE_MOST * self._time_limit_s)
        return usable_s - self._timings.total_s
