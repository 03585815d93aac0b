"""The sentences that every view of an explanation shares.

The two hues of every view: orange raises the output, blue lowers it.

The ends of ColorBrewer's PuOr and RdBu scales, told apart with every common kind of colour blindness.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from explicate.explanation import Attribution, Contribution, Faithfulness, Feature
from explicate.inputs import CellValue, TableRow
from explicate.results import ExplainResult, ImageUsage, Prediction

RAISES_RGB = (230, 97, 1)
LOWERS_RGB = (33, 102, 172)
_MAX_OPACITY = 0.55


def translucent(strength: float) -> str:
    """The CSS colour for a value in [-1, 1], 0 and NaN being transparent; text on it keeps its own colour legible."""
    if math.isnan(strength):
        return "transparent"
    red, green, blue = RAISES_RGB if strength > 0 else LOWERS_RGB
    return f"rgba({red},{green},{blue},{min(abs(strength), 1.0) * _MAX_OPACITY:.3f})"


@dataclass(frozen=True)
class Segment:
    """A piece of the text from code point `start`; `feature` is its feature's index, None between features."""

    text: str
    start: int
    feature: int | None


def segments(text: str, features: Sequence[Feature], *, in_pair: bool = False) -> list[Segment]:
    """All of `text`, in order; `in_pair` says that it is the second of a pair, whose features are taken then.

    Where two spans overlap, the text belongs to the first.
    """
    own = [(index, feature) for index, feature in enumerate(features) if feature.in_pair == in_pair]
    places = sorted((span.start, span.end, index) for index, feature in own for span in feature.spans)
    pieces: list[Segment] = []
    done = 0
    for start, end, index in places:
        start, end = max(start, done), min(end, len(text))
        if start >= end:
            continue
        if start > done:
            pieces.append(Segment(text[done:start], done, None))
        pieces.append(Segment(text[start:end], start, index))
        done = end
    if done < len(text):
        pieces.append(Segment(text[done:], done, None))
    return pieces


_BETWEEN_TEXTS = " | "


def pair_texts(text: str, text_pair: str, features: Sequence[Feature]) -> list[str]:
    """One string per feature which, joined, give both texts of a pair again with " | " between them."""
    first = feature_texts(text, [feature for feature in features if not feature.in_pair])
    second = feature_texts(text_pair, [feature for feature in features if feature.in_pair])
    if first and second:
        first[-1] += _BETWEEN_TEXTS
    own = {False: iter(first), True: iter(second)}
    return [next(own[feature.in_pair]) for feature in features]


def feature_texts(text: str, features: Sequence[Feature]) -> list[str]:
    """One string per feature which, joined, give the text again: each word with what follows it up to the next.

    When a feature stands at several places they cannot be joined so; then each is its word and a space.
    """
    if any(len(feature.spans) != 1 for feature in features):
        return [f"{feature.text} " for feature in features]
    starts = [feature.spans[0].start for feature in features]
    cuts = [0, *starts[1:], len(text)]
    return [text[start:end] for start, end in pairwise(cuts)] if features else []


_STOP_REASONS = {
    "tolerance": "stopped: intervals narrow enough",
    "top-k": "stopped: certain which {top_k} {features} weigh most",
    "budget": "stopped: evaluations used up",
    "deadline": "stopped: out of time, best answer so far",
    "exact": "stopped: the values are exact",
    "running": "still running",
}
_MOST_DECIMALS = 6  # of probabilities and logits, which float32 models know no finer


def number(value: float, decimals: int = 3) -> str:
    """A signed attribution, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:+.{decimals}f}"


def plain_number(value: float, decimals: int = 3) -> str:
    """A figure, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{decimals}f}"


def half_width(contribution: Contribution, decimals: int = 3) -> str:
    """The half-width of an interval, such as "± 0.012", "exact" for 0, or nothing when it is not known."""
    if math.isnan(contribution.half_width):
        return ""
    return f"± {contribution.half_width:.{decimals}f}" if contribution.half_width > 0 else "exact"


def decimals(result: ExplainResult) -> int:
    """How many decimals its figures have: as many as matter for a regression, else three, or more for small figures.

    A model that is sure has probabilities that hardly move: 0.0012 and 0.0007 are not both to read 0.001.
    """
    attributed = (value for attribution in result.explanation.attributions for value in attribution.values)
    largest = max((abs(value) for value in attributed if math.isfinite(value)), default=0.0)
    if result.explanation.options.output_space == "value":
        return _decimals(largest, digits=3)
    return min(max(_decimals(largest, digits=2), 3), _MOST_DECIMALS)


def _decimals(value: float, digits: int) -> int:
    """The decimals with which `value` shows so many significant digits; none for what is larger."""
    size = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    return min(max(digits - 1 - size, 0), 12)


def prediction(answer: Prediction) -> str:
    """The answer in short, such as "great 0.951", "toxic 0.912, insult 0.703" or "predicts 153.2"."""
    if answer.value is not None:
        return f"predicts {answer.value:.{_decimals(answer.value, digits=4)}f}"
    return f"{answer.label} {answer.probability:.3f}" if answer.labels is None else labels(answer)


def labels(answer: Prediction) -> str:
    """The labels of a multi-label answer: "toxic 0.912, insult 0.703", or "no label (the nearest: spam 0.312)"."""
    if not answer.labels:
        nearest = max(answer.scores, key=lambda score: score.probability, default=None)
        return "no label" if nearest is None else f"no label (the nearest: {nearest.label} {nearest.probability:.3f})"
    probabilities = {score.label: score.probability for score in answer.scores}
    return ", ".join(f"{label} {probabilities.get(label, math.nan):.3f}" for label in answer.labels)


def cell(value: CellValue) -> str:
    """A value of a column as a table shows it, such as "34", "clerk" or "missing"."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"


def values(feature: Feature) -> str:
    """What a column holds, such as "34"; of a group of columns "street: Main St, city: Bonn"; nothing for a text."""
    if len(feature.values) == 1:
        return cell(*feature.values.values())
    return ", ".join(f"{column}: {cell(value)}" for column, value in feature.values.items())


def row(given: TableRow) -> str:
    """A row on one line, such as "age=34, job=clerk"; a missing value is left empty."""
    return ", ".join(f"{column}={'' if value is None else cell(value)}" for column, value in given.items())


def largest(attribution: Attribution) -> float:
    """The largest absolute value, for scaling colours; 1 when there is none above 0."""
    return max((abs(value) for value in attribution.values if not math.isnan(value)), default=0.0) or 1.0


def feature_noun(result: ExplainResult) -> str:
    """What one feature is called: "word", "token", "sentence", or "phrase" when words were grouped.

    Of a table it is "column", or "feature" when columns were grouped; of an image "segment" or "patch".
    """
    if result.explanation.segment_map is not None:
        return "patch" if result.explanation.options.granularity == "patch" else "segment"
    if result.row is not None:
        grouped = any(len(feature.values) > 1 for feature in result.explanation.features)
        return "feature" if grouped else "column"
    granularity = result.explanation.options.granularity or "word"
    if granularity == "sentence":
        return granularity
    grouped = any(len(feature.text.split()) > 1 for feature in result.explanation.features)
    return "phrase" if grouped else granularity


def features_of(result: ExplainResult, count: int) -> str:
    """A number of features, such as "1 word" or "3 phrases"."""
    return f"{count:,} {feature_noun(result) if count == 1 else feature_nouns(result)}"


def feature_nouns(result: ExplainResult) -> str:
    """What several features are called."""
    noun = feature_noun(result)
    return f"{noun}es" if noun.endswith("ch") else f"{noun}s"


_SIDE_BY_SIDE = ("left", "", "right"), ("upper", "", "lower")


def place(result: ExplainResult, feature: Feature) -> str:
    """Where a segment lies, such as "upper left, 0,0 to 96,64", the corners of its box on the upright image."""
    segment, shape = feature.segment, result.explanation.segment_map
    if segment is None or shape is None:
        return ""
    centre = ((segment.left + segment.right) / 2 / shape.width, (segment.top + segment.bottom) / 2 / shape.height)
    across, down = (names[min(int(share * 3), 2)] for names, share in zip(_SIDE_BY_SIDE, centre, strict=True))
    left, top = on_image(result, segment.left, segment.top)
    right, bottom = on_image(result, segment.right, segment.bottom)
    return f"{' '.join(filter(None, (down, across))) or 'middle'}, {left:.0f},{top:.0f} to {right:.0f},{bottom:.0f}"


def on_image(result: ExplainResult, x: float, y: float) -> tuple[float, float]:
    """A place on the segment map as one on the upright image; as it is when the server did not say what was seen."""
    usage, shape = result.prediction.image_usage, result.explanation.segment_map
    if usage is None or shape is None or not (shape.width and shape.height):
        return x, y
    across, down = (usage.right - usage.left) / shape.width, (usage.bottom - usage.top) / shape.height
    return usage.left + x * across, usage.top + y * down


def beside(result: ExplainResult) -> tuple[str, list[str]] | None:
    """The heading and the cells of what a list of features says of each beside its name; None when it has no more.

    The value of a column, the place of a segment, or which text of a pair a word is in.
    """
    features = result.explanation.features
    if result.row is not None:
        return "value", [values(feature) for feature in features]
    if result.explanation.segment_map is not None:
        return "where", [place(result, feature) for feature in features]
    if result.text_pair is not None:
        return "in text", ["second" if feature.in_pair else "first" for feature in features]
    return None


def outcome(attribution: Attribution, result: ExplainResult) -> str:
    """From the baseline to the output, such as "great: probability 0.500 without words → 0.930 as written"."""
    options = result.explanation.options
    start, end = "without words", "as written"
    if result.row is not None:
        start, end = "over the background", "for this row"
    elif result.explanation.segment_map is not None:
        start, end = f"without {feature_nouns(result)}", "as it is"
    if options.method.startswith("lime"):
        start = "(the local model's intercept)"
    scale, places = f"{options.output_space} ", 3
    if options.output_space == "value":  # the target's name says it
        scale, places = "", _decimals(max(abs(attribution.baseline_value), abs(attribution.instance_value)), digits=4)
    return (
        f"{attribution.name}: {scale}{plain_number(attribution.baseline_value, places)} {start}"
        f" → {plain_number(attribution.instance_value, places)} {end}"
    )


def method(result: ExplainResult) -> str:
    """How it was computed and at what cost."""
    explanation = result.explanation
    options = explanation.options
    reused = f" ({explanation.reused_evaluations:,} reused)" if explanation.reused_evaluations else ""
    return (
        f"{options.method}, {features_of(result, len(explanation.features))}, masking {options.masking},"
        f" seed {options.seed}: {explanation.evaluations:,} evaluations{reused}"
        f" in {result.timing.total_s:.2f} s"
    )


def stop_reason(result: ExplainResult) -> str:
    """Why the work stopped, in words."""
    explanation = result.explanation
    words = _STOP_REASONS.get(explanation.stop_reason, f"stopped: {explanation.stop_reason}")
    return words.format(top_k=explanation.options.top_k, features=feature_nouns(result))


def quality(result: ExplainResult) -> list[str]:
    """Why it stopped and how far to trust it: one to three lines, as much as the method can measure."""
    measures = result.explanation.quality
    lines = ["; ".join([stop_reason(result), *_precision(result)]), "; ".join(_fit(result))]
    if measures.comprehensiveness is not None and measures.sufficiency is not None:
        lines.append(
            f"without the {feature_nouns(result)} that raise it most the output falls by"
            f" {_fall(measures.comprehensiveness, decimals(result))},"
            f" with them alone by {_fall(measures.sufficiency, decimals(result))}"
        )
    return [line for line in lines if line]


def _precision(result: ExplainResult) -> Iterator[str]:
    measures = result.explanation.quality
    if result.explanation.stop_reason == "exact":
        return  # no sample, no doubt
    if _known(measures.largest_interval_ratio):
        ratio = measures.largest_interval_ratio
        yield f"widest interval {'below ± 1%' if ratio < 0.01 else f'± {ratio:.0%}'} of the range"
    if measures.certain_top_k is not None:
        yield _certain(measures.certain_top_k, feature_noun(result), feature_nouns(result))


def _fit(result: ExplainResult) -> Iterator[str]:
    measures = result.explanation.quality
    if _known(measures.held_out_r_squared):
        yield f"additive fit on unseen combinations: R² {measures.held_out_r_squared:.2f}"
    if _known(measures.split_half_spearman):
        yield f"two halves of the sample agree {measures.split_half_spearman:.2f}"


def _certain(count: int, noun: str, nouns: str) -> str:
    if count == 0:
        return f"not certain which {noun} is the strongest"
    return f"the strongest {noun} is certain" if count == 1 else f"the strongest {count} {nouns} are certain"


def _known(figure: float | None) -> TypeGuard[float]:
    return figure is not None and math.isfinite(figure)


def _fall(fall: Faithfulness, places: int) -> str:
    return f"{plain_number(fall.value, places)} (random: {plain_number(fall.random, places)})"


def read_until(result: ExplainResult, *, in_pair: bool = False) -> int:
    """How many characters of the text, or of the second one of a pair, the model read."""
    usage, length = result.prediction.text_usage, len((result.text_pair or "") if in_pair else result.text)
    if usage is None or not usage.truncated:
        return length
    read = usage.pair_characters_used if in_pair else usage.characters_used
    return length if read is None else read


def unread(result: ExplainResult) -> str:
    """What of its input the model did not read or does not know; empty when there is nothing of that."""
    usage = result.prediction.text_usage
    if usage is not None and usage.truncated:
        what = "text is" if result.text_pair is None else "pair of texts is"
        read = f"the first {usage.characters_used} of {len(result.text)} characters"
        if result.text_pair is not None and usage.pair_characters_used is not None:
            read += f" and of the second text {usage.pair_characters_used} of {len(result.text_pair)}"
        return f"the {what} too long for the model: it read {usage.tokens_used} of {usage.tokens} tokens, {read}"
    image = result.prediction.image_usage
    unseen = [_cut(image)] if image is not None else []
    return "; ".join(filter(None, [*unseen, not_as_given(result.prediction)]))


def not_as_given(answer: Prediction) -> str:
    """What of the input the model could not take as it was given; empty when it took all."""
    columns, usage = answer.unknown_category_columns, answer.image_usage
    if columns:
        what = "the category" if len(columns) == 1 else "the categories"
        return f"the model does not know {what} in {', '.join(columns)}: it answered as for any unknown one"
    if usage is not None and usage.frames > 1:
        return f"the file has {usage.frames:,} pictures: the model saw the first one only"
    return ""


def _cut(usage: ImageUsage) -> str:
    """What was cut off an image; empty when nothing was, but for half a pixel of rounding."""
    box = (usage.left, usage.top, usage.width - usage.right, usage.height - usage.bottom)
    if max(box) < 0.5:
        return ""
    seen = f"{usage.left:.0f},{usage.top:.0f} to {usage.right:.0f},{usage.bottom:.0f}"
    return f"the model saw the part from {seen} of {usage.width} x {usage.height} pixels"
