"""What is explained of a model's answer: which classes, or one rather than another, on which scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.objective import CLASSIFICATION, Objective
from explicate_server.inference.explain_options import Target, class_index


@dataclass(frozen=True)
class Scales:
    """The scales on which a model's answers are averaged and kept: one after the other, each with all outputs.

    Attributes:
        outputs: of the graph: classes, labels, or 1.
        objective: what they mean.
    """

    outputs: int
    objective: Objective = CLASSIFICATION

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the scales, the default first."""
        return self.objective.spaces

    def scores(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a caller is told of the graph's answers float64[…, outputs]: probabilities, or the values themselves."""
        return self.objective.scores(answers)

    @property
    def width(self) -> int:
        """How many numbers are kept of a coalition."""
        return self.outputs * len(self.spaces)

    def means(self, answers: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means float64[m, width] of the graph's answers float64[m, b, outputs], with weights float64[b]."""
        scaled = [answers if space == self.spaces[-1] else self.scores(answers) for space in self.spaces]
        return np.concatenate([np.einsum("mbo,b->mo", each, weights) for each in scaled], axis=1)

    def of(self, kept: NDArray[np.float64], space: str) -> NDArray[np.float64]:
        """The outputs float64[m, outputs] on one scale of what was kept, float64[m, width]."""
        first = self.spaces.index(space) * self.outputs
        return kept[:, first : first + self.outputs]

    def raw(self, kept: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outputs on the graph's own scale: logits, or values."""
        return self.of(kept, self.spaces[-1])


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
