"""The ways in which `explicate predict` and `explicate explain` print: as text for people, as JSON lines, as CSV."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from explicate import json_documents
from explicate.cli import inputs
from explicate.cli.inputs.asked import Asked, why
from explicate.errors import ServerError
from explicate.reading import notes
from explicate.views import explanation_text, reasons, tables, wording
from explicate.views.kinds import KINDS, explained
from explicate.views.kinds.explained import Explained

if TYPE_CHECKING:
    from explicate.model_info import ModelDescription
    from explicate.results import (
        Attribution,
        Contribution,
        ExplainResult,
        Faithfulness,
        Feature,
        ModelVersion,
        Prediction,
    )

_INPUT_WIDTH = 60  # columns for the input in a table
_WIDE = 1 << 30


@dataclass(frozen=True)
class Answer:
    """What the server said about one input; `model` answered when there is a prediction."""

    asked: Asked
    outcome: Prediction | ServerError
    model: ModelVersion | None = None


def _predictions_as_text(answers: Iterable[Answer], _model: ModelDescription | None, *, wide: bool = False) -> None:
    """A table; a wide one has the whole inputs, and the probability of every class."""
    answered = [(answer.asked, answer.outcome) for answer in answers if not isinstance(answer.outcome, ServerError)]
    if not answered:
        return
    shown = [(asked.shortened(_WIDE if wide else _INPUT_WIDTH), outcome) for asked, outcome in answered]
    noun = answered[0][0].noun.upper()
    first = answered[0][1]
    if wide and first.scores:
        labels = [tables.printable(score.label) for score in first.scores]
        lines = [
            (*([wording.labels(outcome)] if outcome.labels is not None else [outcome.label]), *_scores(outcome), text)
            for text, outcome in shown
        ]
        header = ("LABELS" if first.labels is not None else "LABEL", *labels, noun)
        print(tables.table(header, lines, right=range(1, len(labels) + 1)))
    elif first.labels is not None:
        lines = [(wording.labels(outcome), *_by(outcome), text) for text, outcome in shown]
        print(tables.table(("LABELS", *(["DECIDED BY"] if _by(first) else []), noun), lines))
    elif first.value is None:
        lines = [(outcome.label, f"{outcome.probability:.3f}", *_by(outcome), text) for text, outcome in shown]
        print(tables.table(("LABEL", "PROBABILITY", *(["DECIDED BY"] if _by(first) else []), noun), lines, right=(1,)))
    else:
        values = [(wording.prediction(outcome).removeprefix("predicts "), text) for text, outcome in shown]
        print(tables.table(("VALUE", noun), values, right=(0,)))
    for asked, outcome in answered:
        if note := wording.not_as_given(outcome):
            notes.say(f"{asked.place}: {note}")


def _by(outcome: Prediction) -> list[str]:
    """Which thresholds or costs decided; nothing of a model that has none."""
    own = any(score.threshold is not None or score.expected_cost is not None for score in outcome.scores)
    return [tables.printable(wording.decided_by(outcome) or "–")] if own else []


def _scores(outcome: Prediction) -> list[str]:
    return [f"{score.probability:.3f}" for score in outcome.scores]


def _predictions_as_json(answers: Iterable[Answer], _model: ModelDescription | None) -> None:
    for answer in answers:
        asked = answer.asked
        if isinstance(answer.outcome, ServerError):
            print(failure_as_json(asked, answer.outcome))
        else:
            document = {"input": asked.number, **asked.given}
            print(json_documents.dumps({**document, "prediction": answer.outcome, "model": answer.model}))


def failure_as_json(asked: Asked, error: ServerError) -> str:
    """The line of an input that does not have an answer."""
    cause = {"code": error.code, "reason": error.reason, "message": why(error)}
    return json_documents.dumps({"input": asked.number, **asked.given, "error": cause})


def _predictions_as_csv(answers: Iterable[Answer], model: ModelDescription | None) -> None:
    """A line for every input, in the columns of its kind."""
    assert model is not None, "CSV has columns for what the model reads and predicts"
    kind = inputs.kind_of(model)
    columns = kind.columns(model) if kind else ()
    own = [*_outcome_columns(model), *(["unknown_category_columns"] if model.columns else []), "error"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    # A column of the table may have the name of one of ours.
    writer.writerow(("input", *(f"row.{name}" if name in ["input", *own] else name for name in columns), *own))
    for answer in answers:
        cells = (_writable(answer.asked.cells.get(column)) for column in columns)
        writer.writerow((answer.asked.number, *cells, *_outcome_cells(answer, own, model)))


def _outcome_columns(model: ModelDescription) -> list[str]:
    """For a model of several labels those that were predicted, as a JSON list, and the probability of every one."""
    if model.status.kind.endswith("-multi-label"):
        return ["labels", *(f"probability.{label}" for label in model.class_labels)]
    return ["label", "probability"] if model.class_labels else ["value"]


def _writable(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    # A lone surrogate could not be written.
    return value.encode("utf-8", errors="replace").decode() if isinstance(value, str) else value


def _outcome_cells(answer: Answer, own: Sequence[str], model: ModelDescription) -> list[object]:
    """What the columns `own` hold; the last of them is for the error."""
    outcome = answer.outcome
    if isinstance(outcome, ServerError):
        return [*[""] * (len(own) - 1), why(outcome)]
    if outcome.labels is not None:
        told: list[object] = [json_documents.dumps(outcome.labels), *(score.probability for score in outcome.scores)]
    else:
        told = [getattr(outcome, name) for name in _outcome_columns(model)]
    return [*told, *([", ".join(outcome.unknown_category_columns)] if model.columns else []), ""]


PREDICTION_PRINTERS: dict[str, Callable[[Iterable[Answer], ModelDescription | None], None]] = {
    "text": _predictions_as_text,
    "wide": partial(_predictions_as_text, wide=True),
    "json": _predictions_as_json,
    "csv": _predictions_as_csv,
}

ExplanationPrinter: TypeAlias = "Callable[[Asked, Iterator[ExplainResult]], ExplainResult]"
"""Prints the estimates for one input, and returns the last of them."""


def explanation_printer(output_format: str, top: int) -> ExplanationPrinter:
    """The printer for "text", "json" or "csv"; `top` is the number of features that text lists, 0 meaning all."""
    if output_format == "json":
        return _explanation_as_json
    if output_format == "csv":
        return _csv_printer()
    return _terminal_printer(top) if sys.stdout.isatty() else _plain_printer(top)


def _terminal_printer(top: int) -> ExplanationPrinter:
    try:
        from explicate.cli.terminal import show_live
    except ModuleNotFoundError:  # rich is not installed; the plain table still says everything
        return _plain_printer(top)
    return lambda _asked, estimates: show_live(estimates, top)


def _plain_printer(top: int) -> ExplanationPrinter:
    def show(_asked: Asked, estimates: Iterator[ExplainResult]) -> ExplainResult:
        result = next(estimates)
        for better in estimates:
            if not notes.is_quiet():
                print(explanation_text.progress(result), file=sys.stderr)
            result = better
        print("\n".join(explanation_text.lines(result, top)), end="\n\n", flush=True)
        return result

    return show


def _explanation_as_json(asked: Asked, estimates: Iterator[ExplainResult]) -> ExplainResult:
    for result in estimates:
        print(json_documents.dumps({"input": asked.number, **json_documents.document(result)}), flush=True)
    return result


def reasons_printer(output_format: str, top: int, side: str, names: Mapping[str, str]) -> ExplanationPrinter:
    """The printer of reasons in sentences, at most `top` of each output (0: all); `side` as `views.reasons` has it.

    In JSON they go into the line of the explanation.
    """

    def show(asked: Asked, estimates: Iterator[ExplainResult]) -> ExplainResult:
        *_, result = estimates
        if output_format == "json":
            told = [
                str(reason)
                for output in range(len(result.explanation.attributions))
                for reason in reasons.of_output(result, output, side, top=top or _WIDE, names=names)
            ]
            document = {"input": asked.number, **json_documents.document(result), "reasons": told}
            print(json_documents.dumps(document), flush=True)
        else:
            print("\n".join(reasons.lines(result, side, top=top, names=names)), end="\n\n", flush=True)
        return result

    return show


def _csv_printer() -> ExplanationPrinter:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_EXPLANATION_COLUMNS)

    def show(asked: Asked, estimates: Iterator[ExplainResult]) -> ExplainResult:
        *_, result = estimates
        writer.writerows(_explanation_rows(asked.number, result))
        return result

    return show


_EXPLANATION_COLUMNS = (
    *("input", "prediction", "class", "against", "feature", "start", "end", "feature_value"),
    *("value", "standard_error", "lower", "upper", "baseline_value", "instance_value"),
    *("method", "evaluations", "reused_evaluations", "stop_reason"),
    *("additivity_gap", "held_out_r_squared", "split_half_spearman", "infidelity", "largest_interval_ratio"),
    *("certain_top_k", "comprehensiveness", "comprehensiveness_random", "sufficiency", "sufficiency_random"),
    "unknown_category_columns",
    *(column for kind in reversed(KINDS) for column in kind.csv_columns),
)


def _explanation_rows(number: int, result: ExplainResult) -> Iterator[tuple[object, ...]]:
    """A line for each feature of each output, with the figures of the whole; what is not known is empty."""
    whole = _of_the_whole(result)
    predicted, told = _predicted(result.prediction), explained(result)
    for output, attribution in enumerate(result.explanation.attributions):
        for contribution in result.explanation.contributions(output):
            own = _of_the_feature(attribution, contribution)
            line = (number, predicted, *own, *whole, *_of_the_kinds(told, contribution.feature))
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


def _of_the_kinds(told: Explained, feature: Feature) -> Iterator[object]:
    """What the columns of each kind hold; those of other kinds than the explained one are empty."""
    for kind in reversed(KINDS):
        yield from told.csv_cells(feature) if isinstance(told, kind) else [None] * len(kind.csv_columns)


def _predicted(prediction: Prediction) -> object:
    """The class, the value, or as JSON the list of labels."""
    if prediction.labels is not None:
        return json_documents.dumps(prediction.labels)
    return prediction.label if prediction.value is None else prediction.value


def _values(feature: Feature) -> object:
    """The value of a column; for a group of columns, all of them as JSON."""
    if len(feature.values) > 1:
        return json_documents.dumps(feature.values)
    return next(iter(feature.values.values()), None)


def _fall(fall: Faithfulness | None) -> tuple[float | None, float | None]:
    return (None, None) if fall is None else (fall.value, fall.random)


def _unknown(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
