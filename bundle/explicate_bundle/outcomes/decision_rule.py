"""How probabilities become an answer where a bundle says it: by thresholds of its own, or by what wrong answers cost.

Training, standards and server decide by this one rule. It leaves the probabilities as they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Self  # Any: decisions are classes or flags

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2

Floats = NDArray[np.float64]
HALF = 0.5
"""From here on a label is answered that has no threshold of its own."""


@dataclass(frozen=True, eq=False)
class Decision:
    """A rule.

    Attributes:
        several: whether outputs are labels, any number of which may be answered, and not classes.
        thresholds: float64[outputs], from which on each is answered; NaN of a class without one.
        costs: float64[classes, classes], of answering (second) what should be (first); None: thresholds decide.
    """

    several: bool
    thresholds: Floats
    costs: Floats | None = None

    @classmethod
    def of(cls, message: bundle_pb2.DecisionRule, labels: Sequence[str], *, several: bool) -> Self:
        """The rule of a message that was checked."""
        own = {one.label: one.threshold for one in message.thresholds}
        without = HALF if several else np.nan
        thresholds = np.array([own.get(label, without) for label in labels], dtype=np.float64)
        costs = np.array(message.costs, dtype=np.float64).reshape(len(labels), -1) if message.costs else None
        return cls(several, thresholds, costs)

    def decide(self, scores: Floats) -> NDArray[Any]:
        """What is answered to probabilities float64[rows, outputs]: classes intp[rows], or bool[rows, labels]."""
        if self.several:
            return np.asarray(scores >= self.thresholds)
        if self.costs is not None:
            return np.asarray(self.expected_costs(scores).argmin(axis=1))
        reached = scores >= self.thresholds  # False of a class without one
        multiples = np.where(reached, scores / self.thresholds, -np.inf)
        own = np.isnan(self.thresholds)
        rest = np.where(own, scores, -np.inf) if own.any() else scores / self.thresholds
        return np.asarray(np.where(reached.any(axis=1), multiples.argmax(axis=1), rest.argmax(axis=1)))

    def expected_costs(self, scores: Floats) -> Floats:
        """What answering each class costs on average, float64[rows, classes]; of a rule with costs."""
        assert self.costs is not None
        return np.asarray(scores @ self.costs)

    def leading(self, scores: Floats) -> NDArray[np.intp]:
        """Which output is explained where none is named, intp[rows]: the class, or the label most above its own."""
        if not self.several:
            return np.asarray(self.decide(scores), dtype=np.intp)
        return np.asarray((scores / self.thresholds).argmax(axis=1))

    def threshold_of(self, output: int) -> float | None:
        """From which probability on an output is answered; None of a class that has no threshold."""
        value = float(self.thresholds[output])
        return value if isfinite(value) else None


def decision_checks(
    message: bundle_pb2.DecisionRule, labels: Sequence[str], *, several: bool
) -> Iterator[tuple[bool, str]]:
    """What must hold of a rule of a model with these classes or labels."""
    named = [one.label for one in message.thresholds]
    yield bool(labels), "decision is set, but the model predicts no class or label"
    yield bool(named) != bool(message.costs), "decision has not either thresholds or costs"
    yield len(set(named)) == len(named), "decision.thresholds repeat a label"
    for one in message.thresholds:
        yield one.label in labels, f"decision.thresholds name {one.label!r}, which is not a label"
        inside = isfinite(one.threshold) and 0 < one.threshold <= 1
        yield inside, f"decision.thresholds[{one.label}] is {one.threshold}, not above 0 and at most 1"
    if message.costs:
        yield not several, "decision.costs are of classes, and the model predicts labels"
        yield (
            len(message.costs) == len(labels) ** 2,
            f"decision.costs are {len(message.costs)} for {len(labels)} classes",
        )
        sound = all(isfinite(cost) and cost >= 0 for cost in message.costs)
        yield sound, "decision.costs have one that is not a number from 0"
