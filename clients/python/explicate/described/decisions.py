"""How probabilities become an answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecisionThreshold:
    """The probability from which on a class or label is answered, and what it was chosen for.

    recall, precision: of the validation rows that chose it.
    """

    label: str
    threshold: float
    goal: str
    recall: float
    precision: float


@dataclass(frozen=True)
class DecisionRule:
    """How a model's probabilities become an answer, where that is not the most probable class, or one half.

    costs: of classes, what it costs to answer what should be (first) with what is answered, one after the other; empty
    where thresholds decide. rows: validation rows that it was chosen on.
    """

    thresholds: tuple[DecisionThreshold, ...]
    costs: tuple[float, ...]
    rows: int
