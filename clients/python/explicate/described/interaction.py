"""What two features add together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interaction:
    """What two features add to the output together beyond what each adds alone (Faith-SHAP of order 2).

    Above 0 they add more together than each alone; below 0 they add less, as where one makes the other superfluous or
    turns it around. Half of it is part of the value of each of the two features.

    first, second: their places in `Explanation.features`. standard_error: 0 where the value is exact. lower, upper: the
    ends of the confidence interval.
    """

    first: int
    second: int
    value: float
    standard_error: float
    lower: float
    upper: float

    @property
    def half_width(self) -> float:
        """Half the width of the confidence interval."""
        return (self.upper - self.lower) / 2

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves out 0: there is an interaction, and its sign is known."""
        return self.lower > 0 or self.upper < 0
