"""What the client answers with: frozen dataclasses of plain Python values, free of protobuf and numpy.

Times are seconds of wall-clock time on the server.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from explicate.explanation import Explanation
from explicate.inputs import ONLY_SOME_KINDS, UNLESS_NONE, Image, TableRow

if TYPE_CHECKING:
    import shap
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

    The probability is the softmax of all logits; of a multi-label model the sigmoid of the label's own.
    """

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True)
class TextUsage:
    """How much of a text, or of a pair of texts, the model saw.

    characters_used, pair_characters_used: code points from the start of the text, and of the second one of a pair.
    """

    tokens: int
    tokens_used: int
    truncated: bool
    characters_used: int
    pair_characters_used: int | None = field(default=None, metadata=ONLY_SOME_KINDS)


@dataclass(frozen=True)
class ImageUsage:
    """What the model saw of an image: a box in pixels of the image once upright, which is `width` x `height`.

    frames: pictures in the file; the model saw the first one only.
    """

    width: int
    height: int
    left: float
    top: float
    right: float
    bottom: float
    frames: int


@dataclass(frozen=True)
class Prediction:
    """The answer for one input.

    index, label, scores: the most probable class and the scores of all classes, by index; of a regression None and
    empty. labels: of a multi-label model those with a probability of at least one half, the most probable first, maybe
    none; else None. Its index is None, its label empty, and its scores are those of all labels.
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
class PredictResult:
    """Predictions in the order of the inputs, and what made them."""

    predictions: tuple[Prediction, ...]
    model: ModelVersion
    timing: Timing


@dataclass(frozen=True)
class PackedResult:
    """The answers for the rows of a table, in order, and what made them.

    class_labels, probabilities: the classes, and for each row their probabilities by index, so that
    `numpy.array(result.probabilities)` is float64 [rows, classes]; empty for a regression. values: the answer of a
    regression for each row, else empty. unknown_category_columns: columns with categories that the model does not know.
    """

    class_labels: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    values: tuple[float, ...]
    unknown_category_columns: tuple[str, ...]
    model: ModelVersion
    timing: Timing

    @property
    def labels(self) -> tuple[str, ...]:
        """The most probable class of each row; empty for a regression."""
        return tuple(self.class_labels[max(range(len(row)), key=row.__getitem__)] for row in self.probabilities)


@dataclass(frozen=True)
class ExplainResult:
    """A prediction and its explanation, both by one version of the model.

    text: what was explained, text_pair: the second text of a pair; row: the row of a table, image: the image, as
    given. What does not apply is empty or None.
    final: False for the answers of a stream that more will follow.
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
        from explicate.views.picture import picture

        return picture(self, output)

    def to_shap(self) -> shap.Explanation:
        """The same numbers as a `shap.Explanation`, which `shap.plots` draws; needs `explicate[shap]`.

        `explicate.rows_to_shap` puts many rows of a table into one. For an image each segment's value is spread over
        its pixels, as `shap.plots.image` has it.
        """
        from explicate.views.shap import to_shap

        return to_shap(self)

    def to_html(self) -> str:
        """A fragment of HTML: the text, the table of columns or the image, coloured by what each part adds."""
        from explicate.views.html import fragment

        return fragment(self)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return self.to_html()
