"""What a finished run of any kind says of itself: its config, metrics, data and description, and a report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON values

from explicate_training.data.labels import Task
from explicate_training.report import figures
from explicate_training.report.report import Evaluation, render_report, task_drawings
from explicate_training.run_directory import write_json
from explicate_training.tasks.task import CURVES


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
    description: Mapping[str, Any]
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
    for name, content in (("metrics", record.metrics), ("data", record.data), ("run", record.description)):
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
