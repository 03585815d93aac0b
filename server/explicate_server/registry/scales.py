"""What the answers of a loaded model mean, and what may be asked about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.objective import CLASSIFICATION, Objective
from explicate_server.explain.method import DRAWN, Method


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
class Choices:
    """What may be asked about a model; see ``Modality`` for maskings, granularities and those that are ``counted``.

    Attributes:
        labels: of the outputs; a regression has one, the name of its target.
        scales: of its outputs.
    """

    labels: Sequence[str]
    scales: Scales
    maskings: Sequence[str]
    granularities: Sequence[str]
    reads: str
    counted: Sequence[str] = ()

    def fits(self, method: Method) -> bool:
        """Whether a method of the model's kind of input can explain it: one draws from what its bundle may lack."""
        return not method.drawn or DRAWN in self.maskings
