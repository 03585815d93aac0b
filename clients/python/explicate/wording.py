"""The sentences that every view of an explanation shares."""

from __future__ import annotations

import math

from explicate.results import Attribution, Contribution, ExplainResult

_STOP_REASONS = {
    "tolerance": "stopped: intervals narrow enough",
    "budget": "stopped: evaluations used up",
    "deadline": "stopped: out of time, best answer so far",
    "exact": "exact: every combination of words was evaluated",
    "running": "still running",
}


def number(value: float) -> str:
    """A signed attribution with three decimals, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:+.3f}"


def plain_number(value: float) -> str:
    """An unsigned figure with three decimals, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def half_width(contribution: Contribution) -> str:
    """The half-width of an interval, such as "± 0.012", or nothing when it is not known."""
    return "" if math.isnan(contribution.half_width) else f"± {contribution.half_width:.3f}"


def largest(attribution: Attribution) -> float:
    """The largest absolute value, for scaling colours; 1 when there is none above 0."""
    return max((abs(value) for value in attribution.values if not math.isnan(value)), default=0.0) or 1.0


def outcome(attribution: Attribution, result: ExplainResult) -> str:
    """From the baseline to the output, such as "great: probability 0.500 without words → 0.930 with all"."""
    space = result.explanation.options.output_space
    start = "local model's intercept" if result.explanation.options.method == "lime" else "without words"
    return (
        f"{attribution.class_label}: {space} {plain_number(attribution.baseline_value)} {start}"
        f" → {plain_number(attribution.instance_value)} as written"
    )


def method(result: ExplainResult) -> str:
    """How it was computed and at what cost."""
    explanation = result.explanation
    options = explanation.options
    return (
        f"{options.method}, masking {options.masking}, seed {options.seed}: {explanation.evaluations:,} evaluations"
        f" in {result.timing.total_s:.2f} s; {stop_reason(result)}"
    )


def stop_reason(result: ExplainResult) -> str:
    """Why the work stopped, in words."""
    return _STOP_REASONS.get(result.explanation.stop_reason, f"stopped: {result.explanation.stop_reason}")


def quality(result: ExplainResult) -> str:
    """How far to trust it; empty when the method has no such measure."""
    measures = result.explanation.quality
    parts = []
    if measures.held_out_r_squared is not None and not math.isnan(measures.held_out_r_squared):
        parts.append(f"additive fit on unseen coalitions: R² {measures.held_out_r_squared:.2f}")
    if measures.additivity_gap is not None and not math.isnan(measures.additivity_gap):
        parts.append(f"additivity gap {measures.additivity_gap:.1g}")
    return "; ".join(parts)


def truncation(result: ExplainResult) -> str:
    """What the model did not read; empty when it read everything."""
    usage = result.prediction.text_usage
    if usage is None or not usage.truncated:
        return ""
    return (
        f"the text is too long for the model: it read {usage.tokens_used} of {usage.tokens} tokens, the first"
        f" {usage.characters_used} of {len(result.text)} characters"
    )
