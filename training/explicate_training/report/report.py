"""report.html: what a run did and how good its model is, in one file that needs nothing else."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON values

import jinja2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from explicate.v1.training_run_pb2 import TrainingRun
from explicate_training.data.labels import Task
from explicate_training.report import figures
from explicate_training.run_directory import write_json, write_run
from explicate_training.tasks.classification import Logits, Targets, reliability_bins
from explicate_training.tasks.task import CURVES

_WORST_MISTAKES = 15
_SHOWN_CHARACTERS = 700


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on one split."""

    logits: Logits  # float [texts or rows, outputs]; of a regression values [rows, 1]
    targets: Targets  # as `targets_of` gives them
    metrics: Mapping[str, Any]  # of task_metrics


def task_drawings(task: Task, test: Evaluation, run: TrainingRun, *, counted: str) -> dict[str, str]:
    """What is drawn of the answers on the test part; nothing of several labels, which have a table."""
    if task == "multi-label":
        return {}
    if task == "regression":
        return {"residuals": figures.residuals(test.logits[:, 0], test.targets, run.target_name, counted=counted)}
    return {
        "confusion": figures.confusion_matrix(test.metrics["confusion_matrix"], list(run.labels)),
        "reliability": figures.reliability_diagram(reliability_bins(test.logits, test.targets), counted=counted),
    }


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


def worst_mistakes(task: Task, test: Evaluation, texts: Sequence[str], labels: Sequence[str]) -> list[dict[str, Any]]:
    """The wrong answers that the model was surest of, surest first; of a regression those that are furthest off."""
    return [{"text": _cut(texts[row]), **told} for row, told in worst_rows(task, test, labels, _WORST_MISTAKES).items()]


def worst_rows(task: Task, test: Evaluation, labels: Sequence[str], count: int) -> dict[int, dict[str, Any]]:
    """The same by row, so many of them: the true answer, the predicted one, and how bad it is."""
    sizes, true, predicted = _MISTAKES[task](test, labels)
    worst = sorted(np.flatnonzero(sizes > 0).tolist(), key=lambda row: (-sizes[row], row))[:count]
    return {row: {"true": true(row), "predicted": predicted(row), "size": float(sizes[row])} for row in worst}


Words = Callable[[int], str]
_Mistakes = tuple[NDArray[np.float64], Words, Words]  # how bad each row is, 0 when it is right; words for both answers


def _wrong_classes(test: Evaluation, labels: Sequence[str]) -> _Mistakes:
    """By the probability of the wrong class."""
    probabilities = softmax(test.logits, axis=1)
    predicted = probabilities.argmax(axis=1)
    sizes = np.where(predicted == test.targets, 0, probabilities.max(axis=1))
    return sizes, lambda row: labels[int(test.targets[row])], lambda row: labels[int(predicted[row])]


def _wrong_labels(test: Evaluation, labels: Sequence[str]) -> _Mistakes:
    """By the probability of the wrong answer about a label, the largest of each row."""
    predicted = (test.logits >= 0).astype(np.int64)
    sizes = np.where(predicted == test.targets, 0, expit(np.abs(test.logits.astype(np.float64)))).max(axis=1)

    def words(answers: NDArray[Any]) -> Words:
        return lambda row: ", ".join(labels[index] for index in np.flatnonzero(answers[row]).tolist()) or "none"

    return sizes, words(test.targets), words(predicted)


def _wrong_values(test: Evaluation, labels: Sequence[str]) -> _Mistakes:  # noqa: ARG001 - a regression has none
    """By the distance from the true value."""
    values = test.logits[:, 0].astype(np.float64)
    return np.abs(values - test.targets), lambda row: f"{test.targets[row]:.4g}", lambda row: f"{values[row]:.4g}"


_MISTAKES: Mapping[Task, Callable[[Evaluation, Sequence[str]], _Mistakes]] = {
    "classification": _wrong_classes,
    "multi-label": _wrong_labels,
    "regression": _wrong_values,
}


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + " …"


def _data_uri(svg: str) -> str:
    """An SVG drawing as the address of an image: apart from the page, so its ids and styles cannot clash."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The figures of a run.

    Attributes:
        task: what was learnt.
        counted: what the data are, such as "texts".
        config_toml: the whole config.
        description: the content of run.json.
        data: the content of data.json.
        metrics: the content of metrics.json: by split, with "history" and "best_step" of the training.
        test: the answers on the test part.
    """

    task: Task
    counted: str
    config_toml: str
    description: TrainingRun
    data: Mapping[str, Any]
    metrics: Mapping[str, Any]
    test: Evaluation


def write_record(
    folder: Path,
    record: RunRecord,
    *,
    template: str,
    curves: Mapping[str, str] | None = None,
    **shown: Any,
) -> None:
    """Writes config.toml, metrics.json, data.json, run.json and report.html.

    `template` makes the report, with what else it shows in `shown`; `curves` are the metrics that are drawn over the
    steps, those of the task unless given. Strings of the user are escaped: none of them can become markup.
    """
    (folder / "config.toml").write_text(record.config_toml, encoding="utf-8")
    write_run(folder, record.description)
    for name, content in (("metrics", record.metrics), ("data", record.data)):
        write_json(folder / f"{name}.json", content)
    history, best_step = record.metrics["history"], record.metrics["best_step"]
    drawings = {
        "loss": figures.loss_curves(history, best_step),
        "metrics": figures.metric_curves(history, best_step, curves or CURVES[record.task]),
        **task_drawings(record.task, record.test, record.description, counted=record.counted),
    }
    render_report(
        folder / "report.html",
        template,
        drawings,
        run=record.description,
        config_toml=record.config_toml,
        data=record.data,
        validation=record.metrics["validation"],
        test=record.test.metrics,
        task=record.task,
        **shown,
    )
