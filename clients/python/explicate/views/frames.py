"""Answers as pandas DataFrames; pandas is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from explicate.errors import UsageError
from explicate.views.kinds import explained

if TYPE_CHECKING:
    import pandas as pd

    from explicate.results import Contribution, ExplainResult, Feature, PackedResult, Prediction

_FIGURES = ("value", "standard_error", "lower", "upper")


def frame(columns: Mapping[str, Sequence[object]]) -> pd.DataFrame:
    """Columns of one length as a frame; raises UsageError where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise UsageError("a frame needs the pandas package: pip install pandas") from error
    return pandas.DataFrame(columns)


def explanation_frame(result: ExplainResult) -> pd.DataFrame:
    """A line for each feature of each output, as `ExplainResult.to_frame` says."""
    outputs = [
        (attribution, contribution)
        for output, attribution in enumerate(result.explanation.attributions)
        for contribution in result.explanation.contributions(output)
    ]
    held: dict[str, list[object]] = {"class": [attribution.class_label for attribution, _ in outputs]}
    if any(attribution.reference_label is not None for attribution in result.explanation.attributions):
        held["against"] = [attribution.reference_label for attribution, _ in outputs]
    held["feature"] = [contribution.feature.name for _, contribution in outputs]
    held |= _about_the_features(result, [contribution for _, contribution in outputs])
    held |= {name: [getattr(contribution, name) for _, contribution in outputs] for name in _FIGURES}
    for name in ("baseline_value", "instance_value"):
        held[name] = [getattr(attribution, name) for attribution, _ in outputs]
    return frame(held)


def _about_the_features(result: ExplainResult, shown: Sequence[Contribution]) -> dict[str, list[object]]:
    """The place of a word (its first one, in code points), the value of a column, the box of a segment."""
    features = [contribution.feature for contribution in shown]
    if result.row is not None:
        return {"feature_value": [_feature_value(feature) for feature in features]}
    if result.explanation.segment_map is not None:
        told = explained(result)
        cells = [told.csv_cells(feature) for feature in features]
        return {name: [line[i] for line in cells] for i, name in enumerate(told.csv_columns)}
    held: dict[str, list[object]] = {
        "start": [feature.spans[0].start if feature.spans else None for feature in features],
        "end": [feature.spans[0].end if feature.spans else None for feature in features],
    }
    return held if result.text_pair is None else {**held, "in_pair": [feature.in_pair for feature in features]}


def _feature_value(feature: Feature) -> object:
    """The value of a column, or of a group those of its columns by name."""
    return dict(feature.values) if len(feature.values) != 1 else next(iter(feature.values.values()))


def predictions_frame(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """A line for each input: value; or label and probability, or labels, and `probability_LABEL` for each label."""
    if not predictions or predictions[0].value is not None:
        return frame({"value": [each.value for each in predictions]})
    held: dict[str, Sequence[object]] = {
        f"probability_{score.label}": [each.scores[score.index].probability for each in predictions]
        for score in predictions[0].scores
    }
    if predictions[0].labels is not None:
        return frame({"labels": [list(each.labels or ()) for each in predictions], **held})
    label, probability = [each.label for each in predictions], [each.probability for each in predictions]
    return frame({"label": label, "probability": probability, **held})


def packed_frame(result: PackedResult) -> pd.DataFrame:
    """The same for packed answers."""
    if not result.class_labels:
        return frame({"value": result.values})
    held: dict[str, Any] = {  # Any: columns of several types
        f"probability_{label}": [row[index] for row in result.probabilities]
        for index, label in enumerate(result.class_labels)
    }
    told = [row[index] for row, index in zip(result.probabilities, result.indices, strict=True)]
    return frame({"label": result.labels, "probability": told, **held})
