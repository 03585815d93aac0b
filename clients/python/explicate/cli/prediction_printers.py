"""The ways `explicate predict` prints: as a table for people, as JSON lines, as CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explicate.cli import json_lines, tables
from explicate.cli.asked import Asked, why
from explicate.errors import ServerError
from explicate.views import words as wording

if TYPE_CHECKING:
    from explicate.model_info import ModelDescription
    from explicate.results import ModelVersion, Prediction

_INPUT_WIDTH = 60  # columns for the text or row in a table


@dataclass(frozen=True)
class Answer:
    """What the server said about one input; `model` answered when there is a prediction."""

    asked: Asked
    outcome: Prediction | ServerError
    model: ModelVersion | None = None


def _show_text(answers: Iterable[Answer], _model: ModelDescription | None) -> None:
    answered = [(answer.asked, answer.outcome) for answer in answers if not isinstance(answer.outcome, ServerError)]
    if not answered:
        return
    shown = [(_shortened(asked), outcome) for asked, outcome in answered]
    noun = answered[0][0].noun.upper()
    first = answered[0][1]
    if first.labels is not None:
        print(tables.table(("LABELS", noun), [(wording.labels(outcome), text) for text, outcome in shown]))
    elif first.value is None:
        lines = [(outcome.label, f"{outcome.probability:.3f}", text) for text, outcome in shown]
        print(tables.table(("LABEL", "PROBABILITY", noun), lines, right=(1,)))
    else:
        values = [(wording.prediction(outcome).removeprefix("predicts "), text) for text, outcome in shown]
        print(tables.table(("VALUE", noun), values, right=(0,)))
    for asked, outcome in answered:
        if note := wording.not_as_given(outcome):
            print(f"explicate: {asked.place}: {note}", file=sys.stderr)


def _shortened(asked: Asked) -> str:
    """It on one line of a table; of a long path the end, which tells files apart."""
    if asked.noun != "image" or tables.display_width(asked.shown) <= _INPUT_WIDTH:
        return tables.shortened(asked.shown, _INPUT_WIDTH)
    return f"…{tables.printable(asked.shown)[1 - _INPUT_WIDTH :]}"


def _show_json(answers: Iterable[Answer], _model: ModelDescription | None) -> None:
    for answer in answers:
        asked = answer.asked
        if isinstance(answer.outcome, ServerError):
            print(json_lines.failure(asked, answer.outcome))
        else:
            document = {"input": asked.number, **asked.given}
            print(json_lines.dumps({**document, "prediction": answer.outcome, "model": answer.model}))


def _show_csv(answers: Iterable[Answer], model: ModelDescription | None) -> None:
    """A line for every input: a text or an image in one cell, a row in one for each column of the model."""
    assert model is not None, "CSV has columns for what the model reads and predicts"
    columns = _input_columns(model)
    own = [*_outcome_columns(model), *(["unknown_category_columns"] if model.columns else []), "error"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    # A column of the table may be called like one of ours.
    writer.writerow(("input", *(f"row.{name}" if name in ["input", *own] else name for name in columns), *own))
    for answer in answers:
        writer.writerow((answer.asked.number, *_given(answer.asked, columns), *_outcome(answer, own, model)))


def _input_columns(model: ModelDescription) -> tuple[str, ...]:
    if model.columns:
        return tuple(column.name for column in model.columns)
    if model.status.kind.startswith("image-"):
        return ("image",)
    return ("text", "text_pair") if model.pairs else ("text",)


def _outcome_columns(model: ModelDescription) -> list[str]:
    """Of a model of several labels those that were predicted, as a JSON list, and the probability of every one."""
    if model.status.kind.endswith("-multi-label"):
        return ["labels", *(f"probability.{label}" for label in model.class_labels)]
    return ["label", "probability"] if model.class_labels else ["value"]


def _given(asked: Asked, columns: Sequence[str]) -> list[object]:
    held = asked.value if isinstance(asked.value, Mapping) else asked.given
    return [_writable(held.get(column)) for column in columns]


def _writable(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    # A lone surrogate could not be written.
    return value.encode("utf-8", errors="replace").decode() if isinstance(value, str) else value


def _outcome(answer: Answer, own: Sequence[str], model: ModelDescription) -> list[object]:
    """What the columns `own` hold; the last of them is for the error."""
    outcome = answer.outcome
    if isinstance(outcome, ServerError):
        return [*[""] * (len(own) - 1), why(outcome)]
    if outcome.labels is not None:
        told: list[object] = [json_lines.dumps(outcome.labels), *(score.probability for score in outcome.scores)]
    else:
        told = [getattr(outcome, name) for name in _outcome_columns(model)]
    return [*told, *([", ".join(outcome.unknown_category_columns)] if model.columns else []), ""]


PRINTERS: dict[str, Callable[[Iterable[Answer], ModelDescription | None], None]] = {
    "text": _show_text,
    "json": _show_json,
    "csv": _show_csv,
}
