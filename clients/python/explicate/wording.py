"""The sentences that every view of an explanation shares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeGuard

from explicate.explanation import Attribution, Contribution, Faithfulness, Feature
from explicate.inputs import CellValue, TableRow
from explicate.results import ExplainResult, Prediction

_STOP_REASONS = {
    "tolerance": "stopped: intervals narrow enough",
    "top-k": "stopped: certain which {top_k} {features} weigh most",
    "budget": "stopped: evaluations used up",
    "deadline": "stopped: out of time, best answer so far",
    "exact": "stopped: the values are exact",
    "running": "still running",
}


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
    """How many decimals its figures have: three for probabilities and logits, as many as matter for a regression."""
    if result.explanation.options.output_space != "value":
        return 3
    attributed = (value for attribution in result.explanation.attributions for value in attribution.values)
    return _decimals(max((abs(value) for value in attributed if math.isfinite(value)), default=0.0), digits=3)


def _decimals(value: float, digits: int) -> int:
    """The decimals with which `value` shows so many significant digits; none for what is larger."""
    size = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    return min(max(digits - 1 - size, 0), 12)


def prediction(answer: Prediction) -> str:
    """The answer in short, such as "great 0.951" or "predicts 153.2"."""
    if answer.value is None:
        return f"{answer.label} {answer.probability:.3f}"
    return f"predicts {answer.value:.{_decimals(answer.value, digits=4)}f}"


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

    Of a table it is "column", or "feature" when columns were grouped.
    """
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
    return f"{count:,} {feature_noun(result)}{'' if count == 1 else 's'}"


def outcome(attribution: Attribution, result: ExplainResult) -> str:
    """From the baseline to the output, such as "great: probability 0.500 without words → 0.930 as written"."""
    options = result.explanation.options
    start, end = ("without words", "as written") if result.row is None else ("over the background", "for this row")
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
    return words.format(top_k=explanation.options.top_k, features=f"{feature_noun(result)}s")


def quality(result: ExplainResult) -> list[str]:
    """Why it stopped and how far to trust it: one to three lines, as much as the method can measure."""
    measures = result.explanation.quality
    lines = ["; ".join([stop_reason(result), *_precision(result)]), "; ".join(_fit(result))]
    if measures.comprehensiveness is not None and measures.sufficiency is not None:
        lines.append(
            f"without the {feature_noun(result)}s that raise it most the output falls by"
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
        yield _certain(measures.certain_top_k, feature_noun(result))


def _fit(result: ExplainResult) -> Iterator[str]:
    measures = result.explanation.quality
    if _known(measures.held_out_r_squared):
        yield f"additive fit on unseen combinations: R² {measures.held_out_r_squared:.2f}"
    if _known(measures.split_half_spearman):
        yield f"two halves of the sample agree {measures.split_half_spearman:.2f}"


def _certain(count: int, noun: str) -> str:
    if count == 0:
        return f"not certain which {noun} is the strongest"
    return f"the strongest {noun} is certain" if count == 1 else f"the strongest {count} {noun}s are certain"


def _known(figure: float | None) -> TypeGuard[float]:
    return figure is not None and math.isfinite(figure)


def _fall(fall: Faithfulness, places: int) -> str:
    return f"{plain_number(fall.value, places)} (random: {plain_number(fall.random, places)})"


def unread(result: ExplainResult) -> str:
    """What of its input the model did not read or does not know; empty when there is nothing of that."""
    usage = result.prediction.text_usage
    if usage is not None and usage.truncated:
        return (
            f"the text is too long for the model: it read {usage.tokens_used} of {usage.tokens} tokens, the first"
            f" {usage.characters_used} of {len(result.text)} characters"
        )
    return unknown_categories(result.prediction)


def unknown_categories(answer: Prediction) -> str:
    """The columns that hold categories the model was not trained on; empty when there are none."""
    columns = answer.unknown_category_columns
    if not columns:
        return ""
    what = "the category" if len(columns) == 1 else "the categories"
    return f"the model does not know {what} in {', '.join(columns)}: it answered as for any unknown one"
