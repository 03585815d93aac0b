"""What the network reads of a date: days, year, month, weekday and, where the data has times, the hour.

A date comes as days since 1970-01-01 with the time of the day as their fraction. Its parts are computed here alone: as
layers of the network, and so of the exported graph, and for the trees that the network is compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_OF_EVERY_DATE = 3  # year, month, weekday


@dataclass(frozen=True)
class DatePlaces:
    """Which number columns are dates, by place, and which of those have times of the day."""

    dates: tuple[int, ...] = ()
    timed: tuple[int, ...] = ()

    @property
    def added(self) -> int:
        """How many columns :meth:`expanded` adds."""
        return _OF_EVERY_DATE * len(self.dates) + len(self.timed)

    def expanded(self, numbers: Tensor) -> Tensor:
        """Numbers float32 [batch, columns], and behind them the parts of the dates [batch, columns + added].

        The day of a date without times is whole. NaN, a missing date, has NaN for its parts.
        """
        if not self.dates:
            return numbers
        columns = list(numbers.unbind(dim=1))
        for place in self.dates:
            days = columns[place]
            whole = days.floor()
            columns += calendar(whole)
            if place in self.timed:
                columns.append(24 * (days - whole))
            else:
                columns[place] = whole
        return torch.stack(columns, dim=1)

    @staticmethod
    def of(types: Sequence[str], times: Sequence[bool]) -> "DatePlaces":
        """The places among columns of these types, numbers and dates, of which some have times."""
        dates = tuple(place for place, one in enumerate(types) if one == "date")
        return DatePlaces(dates, tuple(place for place in dates if times[place]))


def calendar(day: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Year, month (1 to 12) and weekday (Monday is 0) of whole days since 1970-01-01, of any shape.

    By Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years begin in March, eras have 400 of
    them. Exact in float32 from year 1 to 9999: a rounded quotient of such whole numbers is whole only where it is so.
    """
    since_era_0 = day + 719_468
    era = (since_era_0 / 146_097).floor()
    of_era = since_era_0 - era * 146_097  # 0 to 146,096
    leap = (of_era / 1_460).floor() - (of_era / 36_524).floor() + (of_era / 146_096).floor()
    year_of_era = ((of_era - leap) / 365).floor()  # 0 to 399
    of_year = of_era - (365 * year_of_era + (year_of_era / 4).floor() - (year_of_era / 100).floor())
    from_march = ((5 * of_year + 2) / 153).floor()  # 0 to 11
    january_or_february = ((from_march + 2) / 12).floor()
    month = from_march + 3 - 12 * january_or_february
    weekday = day + 3 - 7 * ((day + 3) / 7).floor()
    return year_of_era + 400 * era + january_or_february, month, weekday
