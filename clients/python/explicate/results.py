"""What the client answers with: frozen dataclasses of plain Python values, free of protobuf and numpy.

Arrays are tuples of floats with one number per feature, in the features' order. Spans count Unicode code points, so
that `text[span.start:span.end]` is the word. Times are seconds of wall-clock time on the server.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
class Span:
    """A half-open range of code points in the text."""

    start: int
    end: int


@dataclass(frozen=True)
class Feature:
    """One player: a word, at one place, or at all its places for methods that treat equal words as one."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Attribution:
    """What each feature adds to one output, with standard errors and confidence intervals.

    The numbers are in the explanation's output space. A standard error or bound is NaN when it could not be
    estimated.
    """

    class_index: int
    class_label: str
    baseline_value: float
    instance_value: float
    values: tuple[float, ...]
    standard_errors: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


@dataclass(frozen=True)
class Contribution:
    """One feature's line of an attribution."""

    feature: Feature
    value: float
    standard_error: float
    lower: float
    upper: float

    @property
    def half_width(self) -> float:
        """Half the width of the confidence interval; NaN when it could not be estimated."""
        return (self.upper - self.lower) / 2


@dataclass(frozen=True)
class Quality:
    """How far the numbers can be trusted; None where a measure does not apply.

    additivity_gap: |sum of values + baseline - instance|, the largest over outputs.
    held_out_r_squared: R squared of the additive fit on coalitions it had not seen, the smallest over outputs.
    """

    additivity_gap: float | None
    held_out_r_squared: float | None


@dataclass(frozen=True)
class ResolvedOptions:
    """The options of an explanation as the server resolved them; asking with these repeats the answer.

    target: index or label of the explained class, "all", or None for the predicted class, as it was asked for.
    output_space: "probability" or "logit". masking: "attention", "mask-token" or "delete".
    """

    method: str
    target: int | str | None
    output_space: str
    masking: str
    max_evaluations: int
    min_evaluations: int
    tolerance: float
    confidence: float
    time_limit_s: float
    seed: int


@dataclass(frozen=True)
class Explanation:
    """The attributions of a prediction to its features, with their cost and quality.

    stop_reason: "tolerance", "budget", "deadline", "exact", or "running" for an answer that more will follow.
    """

    features: tuple[Feature, ...]
    attributions: tuple[Attribution, ...]
    quality: Quality
    evaluations: int
    rounds: int
    stop_reason: str
    converged: bool
    method_version: str
    options: ResolvedOptions

    def contributions(self, output: int = 0) -> tuple[Contribution, ...]:
        """The features of `attributions[output]` with their numbers, in reading order."""
        attribution = self.attributions[output]
        columns = (attribution.values, attribution.standard_errors, attribution.lower, attribution.upper)
        return tuple(Contribution(*row) for row in zip(self.features, *columns, strict=True))

    def top(self, k: int, output: int = 0) -> tuple[Contribution, ...]:
        """The `k` features of `attributions[output]` that add or take the most, the strongest first."""
        return tuple(sorted(self.contributions(output), key=_strength, reverse=True)[:k])


def _strength(contribution: Contribution) -> float:
    return -1.0 if math.isnan(contribution.value) else abs(contribution.value)


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


@dataclass(frozen=True)
class ModelStatus:
    """One version of a model as the server knows it.

    state: "available", "loading", "ready" or "failed"; `reason` says why when that needs saying.
    kind: "text-classification", or empty when its manifest could not be read.
    """

    model: str
    version: int
    state: str
    labels: tuple[str, ...]
    reason: str
    kind: str
    bundle_digest: str
    runtime: str


@dataclass(frozen=True)
class ServingLimits:
    """What a server accepts."""

    max_inputs: int
    max_text_bytes: int
    max_evaluations: int
    max_call_s: float


@dataclass(frozen=True)
class ModelDescription:
    """One version in full: what it predicts, how it did on its test split, and what may be asked of it.

    metrics: on the held-out test split, by name. model_card: Markdown.
    """

    status: ModelStatus
    class_labels: tuple[str, ...]
    max_tokens: int
    precision: str
    metrics: dict[str, float]
    methods: tuple[str, ...]
    limits: ServingLimits
    base_model: str
    model_card: str
