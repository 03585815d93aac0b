"""The sentences that every view of an explanation shares."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeGuard

from explicate.views import amounts, tables
from explicate.views.kinds import KINDS, explained
from explicate.views.kinds.explained import Explained

if TYPE_CHECKING:
    from explicate.results import Attribution, ExplainResult, Faithfulness, Prediction

_BASELINE_WIDTH = 70  # characters of it in a line
_STOP_REASONS = {
    "tolerance": "stopped: intervals narrow enough",
    "top-k": "stopped: certain which {top_k} {features} weigh most",
    "budget": "stopped: evaluations used up",
    "deadline": "stopped: out of time, best answer so far",
    "exact": "stopped: the values are exact",
    "complete": "stopped: all rows of the sample evaluated",
    "running": "still running",
}


def prediction(answer: Prediction) -> str:
    """The answer in short, such as "great 0.951", "toxic 0.912, insult 0.703" or "predicts 153.2"."""
    if answer.value is not None:
        return f"predicts {answer.value:.{amounts.decimals_for(answer.value, digits=4)}f}"
    return f"{answer.label} {answer.probability:.3f}" if answer.labels is None else labels(answer)


def decided_by(answer: Prediction) -> str:
    """The thresholds that decided: "bad from 0.120 on", or of an answer below them "bad only from 0.120 on"; or what
    the classes cost, the answer first: "expected cost bad 0.310, good 0.750".
    """
    costs = sorted((one.expected_cost, one.label) for one in answer.scores if one.expected_cost is not None)
    if costs:
        return "expected cost " + ", ".join(f"{label} {cost:.3g}" for cost, label in costs)
    own = [score for score in answer.scores if score.threshold is not None]
    if answer.labels is not None:
        own = [score for score in own if score.label in answer.labels]
    return ", ".join(
        f"{score.label} {'' if score.probability >= (score.threshold or 0.0) else 'only '}from {score.threshold:.3g} on"
        for score in own
    )


def labels(answer: Prediction) -> str:
    """The labels of a multi-label answer: "toxic 0.912, insult 0.703", or "no label (the nearest: spam 0.312)"."""
    if not answer.labels:
        nearest = max(answer.scores, key=lambda score: score.probability, default=None)
        return "no label" if nearest is None else f"no label (the nearest: {nearest.label} {nearest.probability:.3f})"
    probabilities = {score.label: score.probability for score in answer.scores}
    return ", ".join(f"{label} {probabilities.get(label, math.nan):.3f}" for label in answer.labels)


def outcome(attribution: Attribution, result: ExplainResult) -> str:
    """From the baseline to the output, such as "great: probability 0.500 without words → 0.930 as written"."""
    options, told = result.explanation.options, explained(result)
    start = "(the local model's intercept)" if options.method.startswith("lime") else told.start
    if result.explanation.baseline is not None:
        start = "for the baseline"
    scale, places = f"{options.output_space} ", 3
    if options.output_space == "value":  # the target's name says it
        largest = max(abs(attribution.baseline_value), abs(attribution.instance_value))
        scale, places = "", amounts.decimals_for(largest, digits=4)
    return (
        f"{attribution.name}: {scale}{amounts.plain_number(attribution.baseline_value, places)} {start}"
        f" → {amounts.plain_number(attribution.instance_value, places)} {told.end}"
    )


def method(result: ExplainResult) -> str:
    """How it was computed and at what cost."""
    explanation = result.explanation
    options = explanation.options
    reused = f" ({explanation.reused_evaluations:,} reused)" if explanation.reused_evaluations else ""
    return (
        f"{options.method}, {explained(result).counted(len(explanation.features))}, masking {options.masking},"
        f" seed {options.seed}: {explanation.evaluations:,} evaluations{reused}"
        f" in {result.timing.total_s:.2f} s"
    )


def baseline(result: ExplainResult) -> str:
    """What stands in for what is left out, where that was asked for, such as "compared with: the text “Dull soup!”"."""
    used, asked = result.explanation.baseline, result.explanation.options.baseline
    if used is None:
        return ""
    told = used.name
    if isinstance(asked, str) and used.name == asked:
        told = f"the colour {asked}" if used.sha256 is None else f"{asked}, a group of {used.rows:,} rows"
    elif isinstance(asked, Mapping):
        told += f": {tables.shortened(amounts.row(asked), _BASELINE_WIDTH)}"
    elif isinstance(asked, str | tuple):
        texts = " | ".join(asked) if isinstance(asked, tuple) else asked
        told = f"the {'pair' if isinstance(asked, tuple) else 'text'} “{tables.shortened(texts, _BASELINE_WIDTH)}”"
    elif asked is not None and asked.name:
        told += f": {asked.name}"
    return f"compared with: {told}"


def stop_reason(result: ExplainResult) -> str:
    """Why the work stopped, in words."""
    explanation = result.explanation
    if explanation.preview:
        return "a preview: guessed before anything was measured, without intervals; the explanation follows"
    if explanation.stop_reason == "top-k" and not any(any(one.values) for one in explanation.attributions):
        return f"stopped: certain that no {explained(result).noun} weighs anything"
    words = _STOP_REASONS.get(explanation.stop_reason, f"stopped: {explanation.stop_reason}")
    return words.format(top_k=explanation.options.top_k, features=explained(result).nouns)


def quality(result: ExplainResult) -> list[str]:
    """Why it stopped and how far to trust it: one to three lines, as much as the method can measure."""
    measures, told = result.explanation.quality, explained(result)
    lines = ["; ".join([stop_reason(result), *_precision(told)]), "; ".join(_fit(result))]
    if measures.comprehensiveness is not None and measures.sufficiency is not None:
        lines.append(
            f"without the {told.nouns} that raise it most the output falls by"
            f" {_fall(measures.comprehensiveness, told.decimals)},"
            f" with them alone by {_fall(measures.sufficiency, told.decimals)}"
        )
    return [line for line in lines if line]


def _precision(told: Explained) -> Iterator[str]:
    measures = told.explanation.quality
    if told.explanation.stop_reason == "exact":
        return  # no sample, no doubt
    if _known(measures.largest_interval_ratio):
        ratio = measures.largest_interval_ratio
        yield f"widest interval {'below ± 1%' if ratio < 0.01 else f'± {ratio:.0%}'} of the range"
    if measures.certain_top_k is not None:
        yield _certain(measures.certain_top_k, told.noun, told.nouns)


def _fit(result: ExplainResult) -> Iterator[str]:
    measures = result.explanation.quality
    if _known(measures.held_out_r_squared):
        fit = measures.held_out_r_squared
        yield f"additive fit on unseen combinations: {f'R² {fit:.2f}' if fit > 0 else 'no better than a constant'}"
    if _known(measures.split_half_spearman):
        yield f"two halves of the sample agree {measures.split_half_spearman:.2f}"


def _certain(count: int, noun: str, nouns: str) -> str:
    if count == 0:
        return f"not certain which {noun} is the strongest"
    return f"the strongest {noun} is certain" if count == 1 else f"the strongest {count} {nouns} are certain"


def _known(figure: float | None) -> TypeGuard[float]:
    return figure is not None and math.isfinite(figure)


def _fall(fall: Faithfulness, places: int) -> str:
    return f"{amounts.plain_number(fall.value, places)} (random: {amounts.plain_number(fall.random, places)})"


def unread(result: ExplainResult) -> str:
    """What of its input the model did not read or does not know; empty when there is nothing of that."""
    return "; ".join(filter(None, [explained(result).unread, not_as_given(result.prediction)]))


def not_as_given(answer: Prediction) -> str:
    """What of the input the model could not take as it was given; empty when it took all."""
    return "; ".join(filter(None, (kind.not_as_given(answer) for kind in KINDS)))
