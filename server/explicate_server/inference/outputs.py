"""What is explained of a model's answer: which classes, or one rather than another, on which scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.input_kind import Predicts
from explicate_server.inference.explain_options import CLASSIFICATION_SPACES, REGRESSION_SPACES, Target, class_index


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Class probabilities float64[…, classes] of logits float64[…, classes]."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + e^-x) of each logit, without overflow, and exact to the last digits where it is near 0."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))


@dataclass(frozen=True)
class Scales:
    """The scales on which a model's answers are averaged and kept: one after the other, each with all outputs.

    Attributes:
        outputs: of the graph: classes, labels, or 1.
        predicts: one class of several, any number of labels, or a number.
    """

    outputs: int
    predicts: Predicts = "class"

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the scales, the default first."""
        return REGRESSION_SPACES if self.predicts == "value" else CLASSIFICATION_SPACES

    def scores(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a caller is told of the graph's answers float64[…, outputs]: probabilities, or the values themselves.

        Probabilities are the softmax of classes, which exclude one another, and the sigmoid of labels, which do not.
        """
        if self.predicts == "value":
            return answers
        return softmax(answers) if self.predicts == "class" else sigmoid(answers)

    @property
    def width(self) -> int:
        """How many numbers are kept of a coalition."""
        return self.outputs * len(self.spaces)

    def means(self, answers: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means float64[m, width] of the graph's answers float64[m, b, outputs], with weights float64[b]."""
        scaled = [self.scores(answers) if space == "probability" else answers for space in self.spaces]
        return np.concatenate([np.einsum("mbo,b->mo", each, weights) for each in scaled], axis=1)

    def of(self, kept: NDArray[np.float64], space: str) -> NDArray[np.float64]:
        """The outputs float64[m, outputs] on one scale of what was kept, float64[m, width]."""
        first = self.spaces.index(space) * self.outputs
        return kept[:, first : first + self.outputs]

    def raw(self, kept: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outputs on the graph's own scale: logits, or values."""
        return self.of(kept, "value" if self.predicts == "value" else "logit")


@dataclass(frozen=True)
class Outputs:
    """The explained outputs: ``class_indices`` on the scale ``space``; a regression has one, 0.

    ``reference_index`` is the class whose score is taken off, for a contrast.
    """

    scales: Scales
    class_indices: tuple[int, ...]
    space: str
    reference_index: int | None = None

    @classmethod
    def choose(
        cls, target: Target, space: str, *, scales: Scales, prediction: NDArray[np.float64], labels: Sequence[str]
    ) -> "Outputs":
        """The outputs a checked target means, given the graph's own answer ``prediction``, float64[outputs]."""
        if target.all:
            return cls(scales, tuple(range(len(labels))), space)
        if target.contrast:
            reference = class_index(target.contrast.reference, labels)
            return cls(scales, (class_index(target.contrast.target, labels),), space, reference)
        if target.label is not None:
            return cls(scales, (labels.index(target.label),), space)
        return cls(scales, (int(prediction.argmax()) if target.index is None else target.index,), space)

    def of(self, kept: NDArray[np.float64]) -> NDArray[np.float64]:
        """Explained outputs float64[m, explained] of what was kept of coalitions, float64[m, width]."""
        scores = self.scales.of(kept, self.space)
        explained = scores[:, list(self.class_indices)]
        if self.reference_index is not None:
            explained = explained - scores[:, [self.reference_index]]
        return np.asarray(explained)
