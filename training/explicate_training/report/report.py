"""What a run leaves for people: data.json and its lines for the terminal, and report.html, which needs nothing else."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any  # JSON values

import jinja2
import numpy as np

from explicate.sentences.glossary import glossary
from explicate.v1.training_run_pb2 import TrainingRun
from explicate.views.amounts import translucent
from explicate.views.look.inlined import inlined
from explicate.views.look.sheets import page_style
from explicate_bundle.telling.lay_page import facts_of_run, lay_page
from explicate_training.calibration.adjustment import Adjustment
from explicate_training.calibration.reliability import TITLES
from explicate_training.config.sections import LabelledData
from explicate_training.data.cleaning import CleaningReport
from explicate_training.data.labels import SPLITS
from explicate_training.data.splits import LabelledSet
from explicate_training.interpretability.measurement import Trained
from explicate_training.report import figures
from explicate_training.report.explanations import Explanations
from explicate_training.tasks.task import Drawing, Evaluation, Task

_MOST_SHOWN = 15  # parts in the drawing of what counts
_STYLES: dict[str, Any] = {
    "page_style": page_style(),
    "shade": translucent,
    "words": glossary()["report"],
}


def data_report(
    options: LabelledData,
    cleaning: CleaningReport,
    splits: Mapping[str, LabelledSet],
    task: Task,
    *,
    sha256: str,
    reading: Sequence[str],
    reasons: Sequence[str],
    rows: str = "rows",
    **more: Any,
) -> dict[str, Any]:
    """The content of data.json.

    Args:
        options: where the data are from.
        cleaning: what cleaning did.
        splits: the parts of the clean data by name.
        task: what the labels are.
        sha256: the digest of the clean data.
        reading: how each file was read.
        reasons: why rows may have been dropped.
        rows: what they were called before they were dropped.
        more: what else cleaning has to tell.
    """
    return {
        "source": options.origin,
        "sha256": sha256,
        "reading": list(reading),
        f"{rows}_read": {split: cleaning.read[split] for split in SPLITS if cleaning.read[split]},
        f"{rows}_dropped": {reason: cleaning.dropped[reason] for reason in reasons},
        **more,
        "splits": {
            name: {options.counted: len(part), **task.summary(part.labels.tolist())} for name, part in splits.items()
        },
    }


def data_lines(
    report: Mapping[str, Any],
    task: Task,
    counted: str,
    *,
    rows: str = "rows",
    called: str = "",
    told: Callable[[str], str] = str,
    notes: Sequence[str] = (),
) -> list[str]:
    """The same for the terminal.

    Args:
        report: the content of data.json.
        task: what the labels are.
        counted: the key of the number of rows of a split.
        rows: what rows are called before some were dropped.
        called: what rows of a split are called, where that is not `counted`.
        told: a reason for dropping as it is told.
        notes: what is told besides.
    """
    read = report[f"{rows}_read"]
    parts = ", ".join(f"{count:,} {split}" for split, count in read.items())
    dropped = {reason: count for reason, count in report[f"{rows}_dropped"].items() if count}
    return [
        f"read {sum(read.values()):,} {rows} of {report['source']} ({parts})",
        f"cleaning dropped {sum(dropped.values()):,} {rows}:" if dropped else "cleaning dropped nothing",
        *(f"  {count:>6,} {told(reason)}" for reason, count in dropped.items()),
        *notes,
        "splits:",
        *(
            f"  {name:<11}{split[counted]:>6,} {called or counted}: {task.summary_line(split)}"
            for name, split in report["splits"].items()
        ),
    ]


def worst_rows(task: Task, test: Evaluation, labels: Sequence[str], count: int) -> dict[int, dict[str, Any]]:
    """The wrong answers that the model was surest of, surest first; of numbers those that are furthest off.

    By row: the true answer, the predicted one, and how bad it is.
    """
    sizes, true, predicted = task.mistakes(test, labels)
    worst = sorted(np.flatnonzero(sizes > 0).tolist(), key=lambda row: (-sizes[row], row))[:count]
    return {row: {"true": true(row), "predicted": predicted(row), "size": float(sizes[row])} for row in worst}


def write_report(
    path: Path,
    template: str,
    *,
    metrics: Mapping[str, Any],
    run: TrainingRun,
    curves: Mapping[str, str],
    drawings: Sequence[Drawing],
    explanations: Explanations,
    easier: Trained | None = None,
    adjustment: Adjustment,
    **shown: Any,
) -> None:
    """Writes report.html. Strings of the user are escaped: none of them can become markup.

    Args:
        path: the file.
        template: what makes the report.
        metrics: the content of metrics.json: by split, with "history" and "best_step" of the training.
        run: the content of run.json.
        curves: titles of the two metrics that are drawn over the steps, by name.
        drawings: of the answers on the test part.
        explanations: of test rows.
        easier: what `[interpretability]` did.
        adjustment: what was done to the answers once the weights were chosen.
        shown: what else the template shows.
    """
    history, best_step = metrics["history"], metrics["best_step"]
    page = template_of(template).render(
        loss_curves=inlined(figures.loss_curves(history, best_step), "Training and validation loss by step"),
        metric_curves=inlined(figures.metric_curves(history, best_step, curves), "Validation metrics by step"),
        drawings=[inlined(drawing.svg, drawing.about) for drawing in drawings],
        explanations=explanations,
        importance=_importance(explanations),
        masked_curve=_masked_curve(easier),
        easier=easier,
        **_adjusted(adjustment),
        run=run,
        lay=lay_page(facts_of_run(run, metrics)),
        **{split: metrics[split] for split in ("validation", "test")},
        **_STYLES,
        **shown,
    )
    # A lone surrogate cannot be in a cleaned text; dropped examples may be anything.
    path.write_text(page, encoding="utf-8", errors="replace")


def template_of(name: str, *packages: str) -> jinja2.Template:
    """A page's template in one of the packages or here: strings of the user are escaped; a missing name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(each) for each in (*packages, "explicate_training")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _adjusted(adjustment: Adjustment) -> dict[str, Any]:
    """What the template shows of thresholds, costs and the temperature."""
    reliability = adjustment.reliability
    return {
        "chosen": [
            (one, inlined(one.drawing, f"Precision by recall of {one.label}, and the chosen point"))
            for one in adjustment.points
        ],
        "cost": adjustment.cost,
        "reliability": reliability,
        "reliability_drawing": inlined(
            reliability.drawing if reliability else "", "Reliability diagram before and after"
        ),
        "reliability_titles": TITLES,
    }


def _importance(explanations: Explanations) -> str:
    """A drawing of what counts most over all explained rows; empty when too few rows tell it."""
    strongest = [(one.name, one.value, one.lower, one.upper) for one in explanations.importance[:_MOST_SHOWN]]
    drawn = figures.importance_bars(strongest, axis="mean of |value|, 95 % interval") if strongest else ""
    return inlined(drawn, "Mean strength of the strongest parts, with intervals")


def _masked_curve(easier: Trained | None) -> str:
    """A drawing of how good the answers to rows shown in part are, empty where none are measured."""
    if easier is None or not easier.masked:
        return ""
    points = [(one.removed, one.value, one.interval) for one in easier.masked]
    about = f"{easier.metric} by the share of the parts that is removed"
    return inlined(figures.masked_curve(points, easier.metric), about)
