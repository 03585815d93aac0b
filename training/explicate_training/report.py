"""report.html: what a run did and how good its model is, in one file that needs nothing else."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON values

import jinja2
import numpy as np
from scipy.special import softmax

from explicate_training import figures
from explicate_training.metrics import Logits, Targets, reliability_bins

_WORST_MISTAKES = 15
_SHOWN_CHARACTERS = 700


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on one split."""

    logits: Logits  # float [texts or rows, classes]; of a regression values [rows, 1]
    targets: Targets  # int [texts or rows]; of a regression float
    metrics: Mapping[str, Any]  # of classification_metrics or regression_metrics


def write_report(
    path: Path,
    *,
    run: Mapping[str, Any],
    config_toml: str,
    data: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    best_step: int,
    validation: Mapping[str, Any],
    test: Evaluation,
    test_texts: Sequence[str],
) -> None:
    """Writes the report. Texts and labels of the user are escaped: none of them can become markup."""
    drawings = {
        "loss": figures.loss_curves(history, best_step),
        "metrics": figures.metric_curves(history, best_step, {"accuracy": "accuracy", "f1_macro": "macro F1"}),
        "confusion": figures.confusion_matrix(test.metrics["confusion_matrix"], run["labels"]),
        "reliability": figures.reliability_diagram(reliability_bins(test.logits, test.targets)),
    }
    render_report(
        path,
        "report.html.jinja",
        drawings,
        run=run,
        config_toml=config_toml,
        data=data,
        validation=validation,
        test=test.metrics,
        mistakes=worst_mistakes(test, test_texts, run["labels"]),
    )


def render_report(path: Path, template: str, drawings: Mapping[str, str], **values: Any) -> None:
    """Writes what a template makes of values and SVG drawings; strings of the user are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("explicate_training"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    images = {name: _data_uri(drawing) for name, drawing in drawings.items()}
    html = environment.get_template(template).render(figures=images, **values)
    # A lone surrogate cannot be in a cleaned text; dropped examples may be anything.
    path.write_text(html, encoding="utf-8", errors="replace")


def worst_mistakes(test: Evaluation, texts: Sequence[str], labels: Sequence[str]) -> list[dict[str, Any]]:
    """The wrong answers that the model was surest of, surest first."""
    probabilities = softmax(test.logits, axis=1)
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != test.targets)
    surest = sorted(wrong.tolist(), key=lambda row: (-probabilities[row].max(), row))[:_WORST_MISTAKES]
    return [
        {
            "text": texts[row] if len(texts[row]) <= _SHOWN_CHARACTERS else texts[row][:_SHOWN_CHARACTERS] + " …",
            "true": labels[test.targets[row]],
            "predicted": labels[predicted[row]],
            "probability": float(probabilities[row].max()),
        }
        for row in surest
    ]


def _data_uri(svg: str) -> str:
    """An SVG drawing as the address of an image: apart from the page, so its ids and styles cannot clash."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
