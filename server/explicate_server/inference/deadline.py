"""How long an explanation may go on evaluating, so that its answer still arrives in time."""

from explicate_server.inference.timings import Timings

# Time kept back to fit and send the answer: twice the slowest fit so far, but never most of the time. The floor is for
# the wire and for a first fit, which comes when the time is up and has not been measured: with 0.03 s, of 16 calls
# about an image of 50 segments with 0.2 s to the deadline 9 had an answer on a busy machine, with 0.05 s all 16.
_RESERVE_FLOOR_S = 0.05
_RESERVE_FITS = 2.0
_RESERVE_MOST = 0.25


class Deadline:
    """A time limit on a call, less what it takes to answer."""

    def __init__(self, time_limit_s: float, timings: Timings) -> None:
        """Take seconds from the call's arrival, which ``timings`` knows."""
        self._time_limit_s = time_limit_s
        self._timings = timings
        self._slowest_fit_s = 0.0

    def fit_took(self, seconds: float) -> None:
        """A fit took this long; the last one may too."""
        self._slowest_fit_s = max(self._slowest_fit_s, seconds)

    def seconds_left(self) -> float:
        """Until evaluations must stop; negative when they should have."""
        reserve_s = max(_RESERVE_FLOOR_S, _RESERVE_FITS * self._slowest_fit_s)
        usable_s = self._time_limit_s - min(reserve_s, _RESERVE_MOST * self._time_limit_s)
        return usable_s - self._timings.total_s
