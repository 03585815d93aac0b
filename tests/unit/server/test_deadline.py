"""How much of a call's time goes to evaluations, and what is kept back for the answer."""

import pytest

from explicate_server.inference.explain_call import Deadline


class _Clock:
    """Timings that say how long ago a call came."""

    def __init__(self, total_s: float) -> None:
        self.total_s = total_s


@pytest.mark.parametrize(
    ("limit_s", "fits_s", "usable_s"),
    [
        (1.0, [], 0.95),  # a first fit has not been measured
        (1.0, [0.001], 0.95),
        (1.0, [0.1, 0.02], 0.8),  # twice the slowest
        (1.0, [0.4], 0.75),  # three quarters of the time at the least
        (0.1, [], 0.075),
    ],
)
def test_time_is_kept_back_for_the_answer(limit_s: float, fits_s: list[float], usable_s: float) -> None:
    deadline = Deadline(limit_s, _Clock(0.02))  # type: ignore[arg-type] # it asks for nothing else
    for fit_s in fits_s:
        deadline.fit_took(fit_s)
    assert deadline.seconds_left() == pytest.approx(usable_s - 0.02)
