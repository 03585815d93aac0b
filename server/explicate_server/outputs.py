"""What is explained of a model's answer: which classes, or one rather than another, on which scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_server.options import Target, class_index


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Class probabilities float64[m, classes] of logits float64[m, classes]."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Outputs:
    """The explained outputs: ``class_indices`` of a classifier, as "probability" or "logit".

    ``reference_index`` is the class whose score is taken off, for a contrast.
    """

    class_indices: tuple[int, ...]
    space: str
    reference_index: int | None = None

    @classmethod
    def choose(cls, target: Target, space: str, *, logits: NDArray[np.float64], labels: Sequence[str]) -> "Outputs":
        """The outputs a checked target means, given the prediction's ``logits`` float64[classes]."""
        if target.all:
            return cls(tuple(range(len(labels))), space)
        if target.contrast:
            reference = class_index(target.contrast.reference, labels)
            return cls((class_index(target.contrast.target, labels),), space, reference)
        if target.label is not None:
            return cls((labels.index(target.label),), space)
        return cls((int(logits.argmax()) if target.index is None else target.index,), space)

    def of(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs float64[m, outputs] of logits float64[m, classes]."""
        scores = softmax(logits) if self.space == "probability" else logits
        explained = scores[:, list(self.class_indices)]
        if self.reference_index is not None:
            explained = explained - scores[:, [self.reference_index]]
        return np.asarray(explained)
