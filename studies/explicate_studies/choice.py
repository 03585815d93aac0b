"""Which of a study's runs to take: the Pareto set of those that meet all floors, and one of them with the reason.

The rule is that of one standard error (Breiman and others 1984, "Classification and Regression Trees"): of the runs
that are not told apart from the most accurate one, take the one that is cheapest to explain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any  # values of options

_HALF_WIDTH = 1.959964  # of a 95 % interval, in standard errors


@dataclass(frozen=True)
class Measured:
    """A figure with its 95 % interval; NaN ends where there is none."""

    value: float
    lower: float = float("nan")
    upper: float = float("nan")

    @property
    def standard_error(self) -> float:
        """Of the value; 0 where there is no interval."""
        error = (self.upper - self.lower) / (2 * _HALF_WIDTH)
        return error if error > 0 else 0.0

    def told(self, form: str = ".3f") -> str:
        """Such as "0.846 [0.823, 0.868]"."""
        ends = "" if self.upper != self.upper else f" [{self.lower:{form}}, {self.upper:{form}}]"
        return f"{self.value:{form}}{ends}"


@dataclass(frozen=True)
class Tried:
    """A finished run of a study.

    Attributes:
        number: of the trial.
        point: its values by the paths of options.
        metric: the validation metric.
        figures: of its explanations, by name.
        shortfalls: by how much it misses each floor; 0 or less where it does not.
        run: its directory.
        seconds: from its start to its measured end.
    """

    number: int
    point: Mapping[str, Any]
    metric: Measured
    figures: Mapping[str, Measured] = field(default_factory=dict)
    shortfalls: Mapping[str, float] = field(default_factory=dict)
    run: str = ""
    seconds: float = 0.0

    @property
    def feasible(self) -> bool:
        """Whether it meets all floors."""
        return all(shortfall <= 0 for shortfall in self.shortfalls.values())


@dataclass(frozen=True)
class Goals:
    """What a study looks for, with the words for it."""

    metric: str  # title
    smaller_is_better: bool
    cost: str = ""  # the figure that should be small; empty with one objective

    def loss(self, one: Tried) -> float:
        """The metric, such that smaller is better."""
        return one.metric.value if self.smaller_is_better else -one.metric.value

    def costs(self, one: Tried) -> float:
        """What explaining costs; 0 with one objective."""
        return one.figures[self.cost].value if self.cost else 0.0


def pareto(tried: Sequence[Tried], goals: Goals) -> list[Tried]:
    """The feasible runs that no other one beats in one objective without losing in the other, the cheapest first."""
    feasible = sorted((one for one in tried if one.feasible), key=lambda one: (goals.costs(one), goals.loss(one)))
    kept: list[Tried] = []
    for one in feasible:
        if not kept or goals.loss(one) < goals.loss(kept[-1]):
            kept.append(one)
    return kept


def choose(tried: Sequence[Tried], goals: Goals) -> tuple[Tried, str] | None:
    """The run to take and a sentence that says why; None if there is no run."""
    if not tried:
        return None
    kept = pareto(tried, goals)
    if not kept:
        nearest = min(tried, key=lambda one: max(one.shortfalls.values()))
        missed = [f"{name} by {by:.3g}" for name, by in nearest.shortfalls.items() if by > 0]
        return nearest, f"no run meets all floors; trial {nearest.number} is the nearest, it misses {', '.join(missed)}"
    best = min(kept, key=goals.loss)
    if not goals.cost:
        return best, f"trial {best.number} has the best {goals.metric}, {best.metric.told()}"
    error = best.metric.standard_error
    near = [one for one in kept if goals.loss(one) <= goals.loss(best) + error]
    taken = min(near, key=goals.costs)
    cost = f"{taken.figures[goals.cost].told('.1f')} evaluations a player"
    if taken is best:
        return best, (
            f"trial {best.number} has the best {goals.metric}, {best.metric.told()}, and no cheaper run is within one "
            f"standard error ({error:.3f}) of it; it takes {cost}"
        )
    return taken, (
        f"trial {taken.number} takes {cost} instead of {goals.costs(best):.1f}, and its {goals.metric}, "
        f"{taken.metric.told()}, is within one standard error ({error:.3f}) of the best one, {best.metric.value:.3f}"
    )
