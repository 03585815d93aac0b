"""`[calibration]` and `[thresholds]` of a config."""

from dataclasses import dataclass

from explicate.errors import UsageError
from explicate_training.config.sections import (
    Matrix,
    Names,
    Numbers,
    OptionalSection,
    matrix_option,
    numbers_option,
    option,
)

ALL_LABELS = "*"


@dataclass(frozen=True)
class CalibrationOptions(OptionalSection):
    """Probabilities that say how often an answer is right."""

    temperature: bool = option(
        False,
        "divide the logits by a number that the validation chooses, as a part of the graph: answers stay, and "
        "attributions of logits shrink by it",
    )


@dataclass(frozen=True)
class ThresholdOptions(OptionalSection):
    """From which probability on a class or label is answered, chosen on the validation; without goals: nothing."""

    confidence: float = option(
        0.9, "how sure it must be that new rows reach a recall or precision; 0.5: about even", minimum=0.5, below=1
    )
    f1: Names = option(  # noqa: RUF009 - a tuple
        (), f'classes or labels that get the threshold of the best F1; ["{ALL_LABELS}"]: every label without a goal'
    )
    recall_at_least: Numbers = numbers_option(
        "part of its rows that a class or label must find, with as few others as that allows: bad = 0.9"
    )
    precision_at_least: Numbers = numbers_option(
        "part of what is answered so that must be right, with as many found as that allows: spam = 0.95"
    )
    costs: Matrix = matrix_option(
        "instead, of classes: what a wrong answer costs, by the class that is right and the one that is answered: "
        "bad = { good = 5 }, good = { bad = 1 }"
    )

    @property
    def active(self) -> bool:
        """Whether there is a goal."""
        return bool(self.f1 or self.recall_at_least or self.precision_at_least or self.costs)

    def check(self) -> None:
        """Each class has one goal, shares are shares, costs are costs."""
        goals = [*self.f1, *self.recall_at_least, *self.precision_at_least]
        if self.costs and goals:
            raise UsageError("thresholds.costs decide by themselves: leave the other goals out")
        for name in dict.fromkeys(goals):
            if goals.count(name) > 1:
                raise UsageError(f"thresholds has several goals for {name!r}: leave it one")
        for key in ("recall_at_least", "precision_at_least"):
            for name, share in getattr(self, key).items():
                if not 0 < share < 1:
                    raise UsageError(f"thresholds.{key}.{name} must be above 0 and below 1, not {share!r}")
        for right, row in self.costs.items():
            for answered, cost in row.items():
                if not 0 <= cost < float("inf"):
                    raise UsageError(f"thresholds.costs.{right}.{answered} must be a number from 0, not {cost!r}")
                if right == answered and cost:
                    raise UsageError(f"thresholds.costs.{right}.{answered} is a right answer, which costs nothing")
