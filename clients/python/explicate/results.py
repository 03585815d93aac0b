"""What the client answers with: frozen dataclasses of plain Python values, free of protobuf and numpy.

Arrays are tuples of floats with one number per feature, in the features' order. Spans count Unicode code points, so
that `text[span.start:span.end]` is the feature. Times are seconds of wall-clock time on the server.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from explicate.described.compared_with import BaselineUsed
from explicate.described.found_change import Change
from explicate.described.interaction import Interaction
from explicate.described.text_sections import TextSection, sections_misfit
from explicate.described.trust import Faithfulness as Faithfulness
from explicate.described.trust import Quality as Quality
from explicate.described.usage import ImageUsage, TextUsage
from explicate.inputs import MAY_BE_ALL, ONLY_SOME_KINDS, UNLESS_NONE, CellValue, Image, TableRow
from explicate.json_documents import JsonAnswer
from explicate.options import ChangeSearch, Part, Target
from explicate.views.shown import Shown, ShownPredictions, ShownRows

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


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
    """The score of one class: probability in [0, 1] and the logit before it.

    The probability is the softmax of all logits; for a multi-label model the sigmoid of the label's own logit.
    threshold: the probability from which on it is answered, where the model has one for it.
    expected_cost: what answering it costs on average, where the model weighs costs; the least decides.
    """

    index: int
    label: str
    probability: float
    logit: float
    threshold: float | None = field(default=None, metadata=ONLY_SOME_KINDS)
    expected_cost: float | None = field(default=None, metadata=ONLY_SOME_KINDS)


@dataclass(frozen=True)
class Prediction(JsonAnswer):
    """The answer for one input.

    index, label, scores: the most probable class and the scores of all classes, by index; None and empty for a
    regression. labels: for a multi-label model those with a probability of at least one half, the most probable first,
    maybe none; else None. Its index is None, its label empty, and its scores are those of all labels.
    value: the answer of a regression in its target's unit, else None.
    text_usage, image_usage: what the model saw of a text or an image, None for other kinds.
    unknown_category_columns: columns whose category the model does not know; it answered as for any unknown one.
    """

    index: int | None = field(metadata=ONLY_SOME_KINDS)
    label: str = field(metadata=ONLY_SOME_KINDS)
    scores: tuple[ClassScore, ...] = field(metadata=ONLY_SOME_KINDS)
    text_usage: TextUsage | None = field(metadata=ONLY_SOME_KINDS)
    value: float | None = field(default=None, metadata=ONLY_SOME_KINDS)
    unknown_category_columns: tuple[str, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    labels: tuple[str, ...] | None = field(default=None, metadata=UNLESS_NONE)
    image_usage: ImageUsage | None = field(default=None, metadata=ONLY_SOME_KINDS)

    @property
    def misfit(self) -> str:
        """What does not fit together, as a document from elsewhere may have it; empty if all does."""
        known = self.index is None or 0 <= self.index < len(self.scores)
        return "" if known else f"has index {self.index} and {len(self.scores)} scores"

    @property
    def probability(self) -> float:
        """Probability of the predicted class, in [0, 1]; NaN for a regression or several labels."""
        return math.nan if self.index is None else self.scores[self.index].probability


@dataclass(frozen=True)
class Timing:
    """Where the time went on the server, in seconds."""

    queue_s: float
    preprocessing_s: float
    model_s: float
    solver_s: float
    total_s: float


@dataclass(frozen=True)
class PredictResult(ShownPredictions, JsonAnswer):
    """Predictions in the order of the inputs, and what made them."""

    predictions: tuple[Prediction, ...]
    model: ModelVersion
    timing: Timing


@dataclass(frozen=True)
class PackedResult(ShownRows, JsonAnswer):
    """The answers for the rows of a table, in order, and what made them.

    class_labels, probabilities: the classes, and for each row their probabilities by index, so that
    `numpy.array(result.probabilities)` is float64 [rows, classes]; empty for a regression. values: the answer of a
    regression for each row, else empty. unknown_category_columns: columns with categories that the model does not know.
    predicted: the class of each row by index, where the model has a rule that decides. thresholds: of several labels
    the probability from which on each is predicted, where the model has such.
    """

    class_labels: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    values: tuple[float, ...]
    unknown_category_columns: tuple[str, ...]
    model: ModelVersion
    timing: Timing
    predicted: tuple[int, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    thresholds: tuple[float, ...] = field(default=(), metadata=ONLY_SOME_KINDS)

    @property
    def indices(self) -> tuple[int, ...]:
        """The class of each row by index: the most probable one, or what the model's rule decides; empty of values."""
        return self.predicted or tuple(max(range(len(row)), key=row.__getitem__) for row in self.probabilities)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class of each row; empty for a regression."""
        return tuple(self.class_labels[index] for index in self.indices)


@dataclass(frozen=True)
class Span:
    """A half-open range of code points in the text."""

    start: int
    end: int


@dataclass(frozen=True)
class ImageSegment:
    """A segment of an image: its id on the segment map, how many pixels it has there, and the smallest box around them.

    `right` and `bottom` are one past the last column and row.
    """

    id: int
    pixels: int
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class SegmentMap:
    """Which segment each pixel that the model saw belongs to: `width * height` ids, row after row.

    `Prediction.image_usage` says which box of the image that is.
    """

    width: int
    height: int
    ids: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True)
class Feature:
    """One player: a part of a text, a column or named group of columns of a table, or a segment of an image.

    text, spans: the word, token, sentence or phrase as written and its place, or all places of a word where a method
    treats them as one. in_pair: whether that is in the second text of a pair. column, values: the name of the column or
    group, and the values of its columns by their names. segment: of an image. instead: what a reference text has in its
    place, maybe nothing; None without one. group, members: the name of a group that was asked for, and what it holds.
    What does not apply is empty.
    """

    text: str = field(default="", metadata=ONLY_SOME_KINDS)
    spans: tuple[Span, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    column: str = field(default="", metadata=ONLY_SOME_KINDS)
    values: Mapping[str, CellValue] = field(default_factory=dict, hash=False, metadata=ONLY_SOME_KINDS)
    in_pair: bool = field(default=False, metadata=ONLY_SOME_KINDS)
    segment: ImageSegment | None = field(default=None, metadata=ONLY_SOME_KINDS)
    instead: str | None = field(default=None, metadata=UNLESS_NONE)

    group: str = field(default="", metadata=ONLY_SOME_KINDS)
    members: tuple[Feature, ...] = field(default=(), metadata=ONLY_SOME_KINDS)

    @property
    def name(self) -> str:
        """What views call it: the text as written, the column, the segment by its id ("segment 7"), or the group."""
        return self.text or self.column or self.group or (f"segment {self.segment.id}" if self.segment else "")

    @property
    def parts(self) -> tuple[Feature, ...]:
        """The members of a group; of what is none itself."""
        return self.members or (self,)


@dataclass(frozen=True)
class Attribution:
    """What each feature adds to one output, with standard errors and confidence intervals.

    The numbers are in the explanation's output space. A standard error or bound is NaN when it could not be
    estimated. class_index, class_label: for a regression 0 and the name of its target. reference_index,
    reference_label: the class that a contrast is set against, else None. interactions: the strongest ones of two
    features, the largest first, if they were asked for.
    """

    class_index: int
    class_label: str
    baseline_value: float
    instance_value: float
    values: tuple[float, ...]
    standard_errors: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    reference_index: int | None = None
    reference_label: str | None = None
    interactions: tuple[Interaction, ...] = field(default=(), metadata=ONLY_SOME_KINDS)

    @property
    def name(self) -> str:
        """The class that is explained, such as "great", or "great rather than other" for a contrast."""
        against = "" if self.reference_label is None else f" rather than {self.reference_label}"
        return f"{self.class_label}{against}"


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
class ResolvedOptions:
    """The options of an explanation as the server resolved them: `explain(model, text, **vars(options))` repeats it.

    The names and values are those of `explicate.ExplainOptions`. target: as it was asked for, None for the predicted
    class. granularity: None for a table. top_k: None when it was not asked for. max_players: None when the method does
    not group words into phrases. segments: about how many an image was cut into, else None. baseline, groups, fixed: as
    asked for. interactions: how many were asked for, else None. language: of the sentences, None without any.
    """

    method: str
    target: Target | None = field(metadata=MAY_BE_ALL)
    output_space: str
    granularity: str | None
    masking: str
    max_evaluations: int
    min_evaluations: int
    tolerance: float
    confidence: float
    time_limit_s: float
    seed: int
    top_k: int | None
    quality: str
    max_players: int | None
    segments: int | None = None
    interactions: int | None = field(default=None, metadata=UNLESS_NONE)
    language: str | None = field(default=None, metadata=UNLESS_NONE)
    change: ChangeSearch | None = field(default=None, metadata=ONLY_SOME_KINDS)
    baseline: str | tuple[str, str] | Image | TableRow | None = field(default=None, hash=False, metadata=UNLESS_NONE)
    groups: Mapping[str, tuple[Part, ...]] = field(default_factory=dict, hash=False, metadata=ONLY_SOME_KINDS)
    fixed: tuple[Part, ...] = field(default=(), metadata=ONLY_SOME_KINDS)


@dataclass(frozen=True)
class Explanation(JsonAnswer):
    """The attributions of a prediction to its features, with their cost and quality.

    evaluations: rows of the model that it rests on, for a table each the mean over the background rows.
    reused_evaluations: those of them that other requests had already paid for.
    stop_reason: "tolerance", "top-k", "budget", "deadline", "exact", "complete" (its sample is used up), or "running"
        for an answer that is not the last.
    segment_map: where the segments of an image lie, else None.
    preview: a guess by the bundle's preview explainer or its gradient, without intervals; only the first answer of a
        stream may be one.
    change: what would change the answer, if that was asked for, in the final answer.
    unspaced_scripts: scripts of the text without spaces, such as "Thai": in them the words are the model's tokens.
    sentences: the answer and its explanation in plain words, which say no more than the figures allow; of the last
        answer of a stream only. Names of others stand in them: escape them for markup.
    baseline: what stood in for what was left out, where one was asked for, else None.
    fixed: what was never left out, because it was asked for; it has no values.
    sections: the sentences of a long text, each with what its features add together; empty for other inputs.
    """

    features: tuple[Feature, ...]
    attributions: tuple[Attribution, ...]
    quality: Quality
    evaluations: int
    reused_evaluations: int
    rounds: int
    stop_reason: str
    converged: bool
    method_version: str
    options: ResolvedOptions
    segment_map: SegmentMap | None = field(default=None, metadata=ONLY_SOME_KINDS)
    unspaced_scripts: tuple[str, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    preview: bool = field(default=False, metadata=ONLY_SOME_KINDS)
    sentences: tuple[str, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    change: Change | None = field(default=None, metadata=ONLY_SOME_KINDS)
    baseline: BaselineUsed | None = field(default=None, metadata=UNLESS_NONE)
    fixed: tuple[Feature, ...] = field(default=(), metadata=ONLY_SOME_KINDS)
    sections: tuple[TextSection, ...] = field(default=(), metadata=ONLY_SOME_KINDS)

    @property
    def misfit(self) -> str:
        """What does not fit together, as a document from elsewhere may have it; empty if all does."""
        features, shape = len(self.features), self.segment_map
        for i, each in enumerate(self.attributions):
            if {len(each.values), len(each.standard_errors), len(each.lower), len(each.upper)} != {features}:
                return f"has {features} features, and another number of values in attributions[{i}]"
            if not all(0 <= pair.first < pair.second < features for pair in each.interactions):
                return f"has {features} features, and interactions of others in attributions[{i}]"
        if problem := sections_misfit(self.sections, features, len(self.attributions)):
            return problem
        size = shape.width * shape.height if shape else 0
        if shape and shape.ids and (len(shape.ids) != size or not set(shape.ids) <= self.segment_places.keys()):
            return "has a segment_map of another size, or of other segments"
        if self.change and not set(self.change.absent) <= set(range(features)):
            return "has a change of other features"
        return ""

    @property
    def segment_places(self) -> dict[int, int]:
        """The place among `features` of each segment by its id; `len(features)` for what is fixed."""
        places = [*enumerate(self.features), *((len(self.features), feature) for feature in self.fixed)]
        return {part.segment.id: place for place, each in places for part in each.parts if part.segment}

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
class ExplainResult(Shown, JsonAnswer):
    """A prediction and its explanation, both by one version of the model.

    text: what was explained, text_pair: the second text of a pair; row: the row of a table, image: the image, as
    given. What does not apply is empty or None.
    final: False for the answers of a stream that are not the last.
    """

    text: str = field(metadata=ONLY_SOME_KINDS)
    row: TableRow | None = field(hash=False, metadata=ONLY_SOME_KINDS)
    prediction: Prediction
    explanation: Explanation
    model: ModelVersion
    timing: Timing
    final: bool = True
    text_pair: str | None = field(default=None, metadata=UNLESS_NONE)
    image: Image | None = field(default=None, metadata=ONLY_SOME_KINDS)

    def to_image(self, output: int = 0) -> Picture:
        """The image with what each segment adds to `explanation.attributions[output]` laid over it, as a PIL image.

        The part of the image that the model did not see is dark. Raises UsageError when Pillow is not installed
        (`pip install 'explicate[cli]'`), and for an explanation that is not of an image.
        """
        from explicate.views.pictures import picture

        return picture(self, output)
