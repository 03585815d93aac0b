"""An explanation as CSV: a line for each feature of each output, and beside it what is true of the whole."""

from __future__ import annotations

import math
from collections.abc import Iterator

from explicate.cli import json_lines
from explicate.explanation import Attribution, Contribution, Faithfulness, Feature
from explicate.results import ExplainResult, Prediction
from explicate.views import words as wording

HEADER = (
    *("input", "prediction", "class", "against", "feature", "start", "end", "feature_value"),
    *("value", "standard_error", "lower", "upper", "baseline_value", "instance_value"),
    *("method", "evaluations", "reused_evaluations", "stop_reason"),
    *("additivity_gap", "held_out_r_squared", "split_half_spearman", "infidelity", "largest_interval_ratio"),
    *("certain_top_k", "comprehensiveness", "comprehensiveness_random", "sufficiency", "sufficiency_random"),
    *("unknown_category_columns", "in_pair", "pixels", "left", "top", "right", "bottom"),
)


def lines(number: int, result: ExplainResult) -> Iterator[tuple[object, ...]]:
    """The lines of input `number`, in the order of `HEADER`; what is not known is empty."""
    whole = _of_the_whole(result)
    predicted = _predicted(result.prediction)
    for output, attribution in enumerate(result.explanation.attributions):
        for contribution in result.explanation.contributions(output):
            line = (
                number,
                predicted,
                *_of_the_feature(attribution, contribution),
                *whole,
                *_place(result, contribution),
            )
            yield tuple("" if _unknown(value) else value for value in line)


def _of_the_feature(attribution: Attribution, contribution: Contribution) -> tuple[object, ...]:
    feature = contribution.feature
    return (
        *(attribution.class_label, attribution.reference_label, feature.name),
        *(" ".join(str(span.start) for span in feature.spans), " ".join(str(span.end) for span in feature.spans)),
        _values(feature),
        *(contribution.value, contribution.standard_error, contribution.lower, contribution.upper),
        *(attribution.baseline_value, attribution.instance_value),
    )


def _of_the_whole(result: ExplainResult) -> tuple[object, ...]:
    explanation, quality = result.explanation, result.explanation.quality
    return (
        *(explanation.options.method, explanation.evaluations, explanation.reused_evaluations, explanation.stop_reason),
        *(quality.additivity_gap, quality.held_out_r_squared, quality.split_half_spearman, quality.infidelity),
        *(quality.largest_interval_ratio, quality.certain_top_k),
        *_fall(quality.comprehensiveness),
        *_fall(quality.sufficiency),
        ", ".join(result.prediction.unknown_category_columns),
    )


def _predicted(prediction: Prediction) -> object:
    """The class, the value, or as JSON the list of labels."""
    if prediction.labels is not None:
        return json_lines.dumps(prediction.labels)
    return prediction.label if prediction.value is None else prediction.value


def _place(result: ExplainResult, contribution: Contribution) -> tuple[object, ...]:
    """Which text of a pair a word is in; the pixels of a segment on the map, and its box on the upright image."""
    in_pair = str(contribution.feature.in_pair).lower() if result.text_pair is not None else None
    segment = contribution.feature.segment
    if segment is None:
        return (in_pair, *[None] * 5)
    left_top = wording.on_image(result, segment.left, segment.top)
    return (in_pair, segment.pixels, *left_top, *wording.on_image(result, segment.right, segment.bottom))


def _values(feature: Feature) -> object:
    """The value of a column; of a group of columns, all of them as JSON."""
    if len(feature.values) > 1:
        return json_lines.dumps(feature.values)
    return next(iter(feature.values.values()), None)


def _fall(fall: Faithfulness | None) -> tuple[float | None, float | None]:
    return (None, None) if fall is None else (fall.value, fall.random)


def _unknown(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
