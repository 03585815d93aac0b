"""What the client answers with: frozen dataclasses of plain Python values, free of protobuf and numpy.

Times are seconds of wall-clock time on the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from explicate.explanation import Explanation

if TYPE_CHECKING:
    import shap


@dataclass(frozen=True)
class ModelVersion:
    """What answered; `bundle_digest` is the SHA-256 of its manifest, in hexadecimal."""

    model: str
    version: int
    bundle_digest: str
    runtime: str
    precision: str


@dataclass(frozen=True)
class ClassScore:
    """The score of one class: softmax probability in [0, 1] and the logit before it."""

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True)
class TextUsage:
    """How much of a text the model saw; `characters_used` counts code points from the text's start."""

    tokens: int
    tokens_used: int
    truncated: bool
    characters_used: int


@dataclass(frozen=True)
class Prediction:
    """The most probable class and the scores of all classes, by index."""

    index: int
    label: str
    scores: tuple[ClassScore, ...]
    text_usage: TextUsage | None

    @property
    def probability(self) -> float:
        """Probability of the predicted class, in [0, 1]."""
        return self.scores[self.index].probability


@dataclass(frozen=True)
class Timing:
    """Where the time went on the server, in seconds."""

    queue_s: float
    preprocessing_s: float
    model_s: float
    solver_s: float
    total_s: float


@dataclass(frozen=True)
class PredictResult:
    """Predictions in the order of the inputs, and what made them."""

    predictions: tuple[Prediction, ...]
    model: ModelVersion
    timing: Timing


@dataclass(frozen=True)
class ExplainResult:
    """A prediction and its explanation, both by one version of the model.

    final: False for the answers of a stream that more will follow.
    """

    text: str
    prediction: Prediction
    explanation: Explanation
    model: ModelVersion
    timing: Timing
    final: bool = True

    def to_shap(self) -> shap.Explanation:
        """The same numbers as a `shap.Explanation`, which `shap.plots` draws; needs `explicate[shap]`."""
        from explicate.shap_view import to_shap

        return to_shap(self)

    def to_html(self) -> str:
        """A fragment of HTML with the words coloured by what they add."""
        from explicate.html_view import fragment

        return fragment(self)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return self.to_html()
