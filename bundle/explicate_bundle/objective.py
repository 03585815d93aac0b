"""What a model predicts: how the numbers that its graph answers are read, and what is decided by them.

An objective is one object here and one entry of OBJECTIVES; the server, export and training ask it instead of branching
on its name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.outcomes.decision_rule import Decision

Floats = NDArray[np.float64]
Answer = Literal["class", "labels", "value"]


@dataclass(frozen=True)
class Objective:
    """How outputs float64[…, outputs] of a graph become an answer.

    Attributes:
        name: as configurations and runs name it.
        answer: the form of what is answered: one class of several, any number of labels, or a number.
        least_labels: how many labels the outputs have at least, one each; 0 if the one output has the name of a target.
        spaces: the scales that outputs are told on, the default first and the graph's own last.
        scores: what a caller is told of the outputs, on the first of the spaces.
        decisions: what is decided by scores [inputs, outputs], comparable input by input; None if nothing is.
        number: the manifest's value of it.
        rule: what decides instead, where a bundle has it.
    """

    name: str
    answer: Answer
    least_labels: int
    spaces: tuple[str, ...]
    scores: Callable[[Floats], Floats]
    decisions: Callable[[Floats], NDArray[np.generic]] | None
    number: int
    rule: Decision | None = None

    def deciding(self, message: bundle_pb2.DecisionRule | None, labels: Sequence[str]) -> "Objective":
        """The same with a bundle's rule, if it has one."""
        if message is None or not (message.thresholds or message.costs):
            return self
        rule = Decision.of(message, labels, several=self.answer == "labels")
        return replace(self, decisions=rule.decide, rule=rule)

    @property
    def plain(self) -> "Objective":
        """The same without a bundle's rule."""
        return self if self.rule is None else OBJECTIVES[self.name]

    def leading(self, answers: Floats) -> NDArray[np.intp]:
        """Which output is explained where none is named, intp[inputs], by the graph's answers [inputs, outputs]."""
        return np.asarray(answers.argmax(axis=1) if self.rule is None else self.rule.leading(self.scores(answers)))

    def outputs(self, labels: int) -> int:
        """How many outputs a graph has for a number of labels."""
        return labels if self.least_labels else 1


def softmax(logits: Floats) -> Floats:
    """Class probabilities float64[…, classes] of logits float64[…, classes]."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + e^-x) of each logit, without overflow, and exact to the last digits where it is near 0."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))


CLASSIFICATION = Objective(
    name="classification",
    answer="class",
    least_labels=2,
    spaces=("probability", "logit"),
    scores=softmax,
    decisions=lambda scores: scores.argmax(axis=1),
    number=bundle_pb2.OBJECTIVE_CLASSIFICATION,
)
MULTI_LABEL = Objective(
    name="multi-label",
    answer="labels",
    least_labels=1,
    spaces=("probability", "logit"),
    scores=sigmoid,
    decisions=lambda scores: scores >= 0.5,
    number=bundle_pb2.OBJECTIVE_MULTI_LABEL,
)
REGRESSION = Objective(
    name="regression",
    answer="value",
    least_labels=0,
    spaces=("value",),
    scores=lambda values: values,
    decisions=None,
    number=bundle_pb2.OBJECTIVE_REGRESSION,
)

OBJECTIVES = {objective.name: objective for objective in (CLASSIFICATION, MULTI_LABEL, REGRESSION)}
"""By name; a new objective is one entry."""
