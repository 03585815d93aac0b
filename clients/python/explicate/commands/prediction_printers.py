"""The ways `explicate predict` prints: as a table for people, as JSON lines, as CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explicate import wording
from explicate.commands import json_lines, tables
from explicate.commands.asked import Asked, why
from explicate.errors import ServerError

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
    shown = [(tables.shortened(asked.shown, _INPUT_WIDTH), outcome) for asked, outcome in answered]
    noun = answered[0][0].noun.upper()
    if answered[0][1].value is None:
        lines = [(outcome.label, f"{outcome.probability:.3f}", text) for text, outcome in shown]
        print(tables.table(("LABEL", "PROBABILITY", noun), lines, right=(1,)))
    else:
        values = [(wording.prediction(outcome).removeprefix("predicts "), text) for text, outcome in shown]
        print(tables.table(("VALUE", noun), values, right=(0,)))
    for asked, outcome in answered:
        if note := wording.unknown_categories(outcome):
            print(f"explicate: {asked.noun} {asked.number}: {note}", file=sys.stderr)


def _show_json(answers: Iterable[Answer], _model: ModelDescription | None) -> None:
    for answer in answers:
        asked = answer.asked
        if isinstance(answer.outcome, ServerError):
            print(json_lines.failure(asked, answer.outcome))
        else:
            document = {"input": asked.number, asked.noun: asked.value}
            print(json_lines.dumps({**document, "prediction": answer.outcome, "model": answer.model}))


def _show_csv(answers: Iterable[Answer], model: ModelDescription | None) -> None:
    """A line for every input: a text in one cell, a row in one for each column of the model."""
    columns: tuple[str, ...] = ("text",) if model is None else tuple(column.name for column in model.columns)
    regression = model is not None and not model.class_labels
    own = ["value"] if regression else ["label", "probability"]
    own += ["error"] if model is None else ["unknown_category_columns", "error"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    # A column of the table may be called like one of ours.
    writer.writerow(("input", *(f"row.{name}" if name in ["input", *own] else name for name in columns), *own))
    for answer in answers:
        writer.writerow((answer.asked.number, *_given(answer.asked, columns), *_outcome(answer, own)))


def _given(asked: Asked, columns: Sequence[str]) -> list[object]:
    if isinstance(asked.value, str):
        return [asked.value.encode("utf-8", errors="replace").decode()]  # a lone surrogate could not be written
    held = (asked.value.get(column) for column in columns)
    return [str(value).lower() if isinstance(value, bool) else value for value in held]


def _outcome(answer: Answer, own: Sequence[str]) -> list[object]:
    outcome = answer.outcome
    if isinstance(outcome, ServerError):
        return [*[""] * (len(own) - 1), why(outcome)]
    return [", ".join(held) if isinstance(held := getattr(outcome, name), tuple) else held for name in own[:-1]] + [""]


PRINTERS: dict[str, Callable[[Iterable[Answer], ModelDescription | None], None]] = {
    "text": _show_text,
    "json": _show_json,
    "csv": _show_csv,
}
