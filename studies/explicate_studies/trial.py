"""One trial of a study: a config with its own values, trained as an ordinary run, judged on the validation rows.

The test rows are written into the run's directory, as any run does it, and nothing here reads them.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # runs of any kind; values of options

import numpy as np
import optuna
from numpy.typing import NDArray
from transformers import TrainerControl, TrainerState, TrainingArguments

from explicate.errors import ExplicateError, UsageError
from explicate_studies.choice import Goals, Measured, Tried
from explicate_studies.space import Point, with_point
from explicate_studies.tune_options import EVALUATIONS, SMALLER_IS_BETTER, TuneOptions
from explicate_training.config.config_file import AnyConfig
from explicate_training.loop.progress import StepProgress
from explicate_training.loop.run import Run
from explicate_training.loop.verdict import judged
from explicate_training.run_directory import write_json_lines
from explicate_training.train import prepare_data, train

Say = Callable[[str], None]
Measure = Callable[[Path, Path, TuneOptions], Mapping[str, Measured]]
"""What a run's directory, the validation rows and the options give: figures of its explanations, by name."""

VALIDATION_ROWS = "validation.jsonl"
BUNDLES = ".bundle-"
"""What the folders of a trial's bundle begin with; one is there while it is measured."""

_SECONDS_BETWEEN_LINES = 15.0


@dataclass(frozen=True)
class Subject:
    """What is the same for all trials.

    Attributes:
        config: which trials change.
        folder: of the study.
        options: of the study.
        metric: name of the validation metric.
        goals: what is looked for.
        sha256: of the clean data.
        baseline: what the simple model answers, where it was fitted already.
        progress: what is told how a trial goes, made of the subject, the trial, its log and who else hears; None:
            TrialProgress.
    """

    config: AnyConfig
    folder: Path
    options: TuneOptions
    metric: str
    goals: Goals
    sha256: str
    baseline: Mapping[str, NDArray[np.float64]] | None = None
    progress: "Callable[..., TrialProgress] | None" = None

    @property
    def rows(self) -> Path:
        """The validation rows, which all models explain."""
        return self.folder / VALIDATION_ROWS

    def trial_folder(self, number: int) -> Path:
        """A trial's run directory."""
        return self.folder / "trials" / f"{number:04d}"


def prepare(
    config: AnyConfig, folder: Path, options: TuneOptions, known_figures: Mapping[str, str], say: Say
) -> Subject:
    """Reads the data once, resolves the metric, and writes the validation rows, without outputs, for explanations.

    Raises UsageError when the data is wrong, or the metric or a floor is not one that runs have.
    """
    run = prepare_data(config, say)
    metric = validation_metric(run, options.metric)
    names = {*run.task.checkpoint_metrics, "loss"}
    for name in options.floors:
        if name not in names and name not in known_figures:
            known = ", ".join(sorted({*names, *known_figures}))
            raise UsageError(f"tune.floors.{name} is not measured: known are {known}")
    folder.mkdir(parents=True, exist_ok=True)
    if options.explains and not (folder / VALIDATION_ROWS).exists():
        shutil.rmtree(folder / "held_out", ignore_errors=True)  # of a start that was cut off
        rows = list(run.held_out(folder, "validation"))
        unfinished = folder / f".{VALIDATION_ROWS}"
        write_json_lines(unfinished, rows)
        unfinished.rename(folder / VALIDATION_ROWS)
    cost = EVALUATIONS if EVALUATIONS in options.objectives else ""
    goals = Goals(run.task.titles.get(metric, metric), metric in {*run.task.errors, *SMALLER_IS_BETTER}, cost)
    return Subject(config, folder, options, metric, goals, run.sha256)


def validation_metric(run: Run[Any, Any], wanted: str) -> str:
    """The metric that models are compared by on validation rows; raises UsageError for one that runs do not have."""
    known = run.task.checkpoint_metrics
    if wanted == "auto":
        imbalanced = run.task.imbalanced(run.targets["train"], len(run.labels))
        chosen = run.task.checkpoint_metric(run.config.training.best_metric, imbalanced=imbalanced)
        return chosen if chosen in known else run.task.score[0]
    if wanted not in known:
        raise UsageError(f"tune.metric must be auto or one of {', '.join(known)}, not {wanted!r}")
    return wanted


class TrialProgress(StepProgress):
    """What a trial says goes to a file, its steps to the terminal, too, now and then; and a pruner hears of it."""

    def __init__(self, subject: Subject, trial: optuna.Trial, log: Any, say: Say) -> None:
        super().__init__(log)
        self._subject, self._trial, self._told = subject, trial, say
        self._line_at_s = time.monotonic()

    def say(self, text: str) -> None:
        """Writes a line to the file; one of a step also to the terminal, at most every few seconds."""
        super().say(text)
        now_s = time.monotonic()
        if text.startswith("  step ") and now_s - self._line_at_s >= _SECONDS_BETWEEN_LINES:
            self._line_at_s = now_s
            self._told(f"trial {self._trial.number}:{text.removeprefix(' ')}")

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **more: Any,
    ) -> None:
        """Tells the pruner of a validation. Raises optuna.TrialPruned if the run is not worth going on with."""
        super().on_evaluate(args, state, control, metrics, **more)
        value = (metrics or {}).get(f"eval_{self._subject.metric}")
        if self._subject.options.pruner != "none" and value is not None:
            self._trial.report(value, state.global_step)
            if self._trial.should_prune():
                raise optuna.TrialPruned


def run_trial(subject: Subject, trial: optuna.Trial, point: Point, measure: Measure, say: Say) -> Tried:
    """Trains and measures; the run directory is there afterwards, or nothing of it.

    Raises ExplicateError if the config or the run is wrong, and optuna.TrialPruned.
    """
    begin_s = time.monotonic()
    output = subject.trial_folder(trial.number)
    config = with_point(subject.config, point)
    # Its report explains no rows: that takes a minute a run, which nobody reads of most of them.
    config = replace(config, output=replace(config.output, directory=str(output), explained=0))
    found: dict[str, Any] = {}

    def watch(run: Run[Any, Any]) -> None:
        validation = run.evaluate("validation", run.predict("validation"))
        np.save(answers_of(output), validation.outputs)
        found.update(judged("", run.task, validation, run.labels).metrics(run.labels))

    output.parent.mkdir(parents=True, exist_ok=True)
    with output.with_suffix(".log").open("w", encoding="utf-8") as log:
        progress = (subject.progress or TrialProgress)(subject, trial, log, say)
        try:
            train(config, restart=True, progress=progress, watch=watch, baseline=subject.baseline)
        except BaseException:
            discard(subject, trial.number)
            raise
    metric = _measured(found, subject.metric)
    figures = dict(measure(output, subject.rows, subject.options)) if subject.options.explains else {}
    seconds = round(time.monotonic() - begin_s, 1)
    if subject.goals.cost and subject.goals.cost not in figures:
        raise ExplicateError(f"{subject.goals.cost} is undefined for this run: no validation row has a part to explain")
    tried = Tried(trial.number, point, metric, figures, run=str(output), seconds=seconds)
    return replace(tried, shortfalls=_shortfalls(subject.options.floors, found, figures))


def answers_of(output: Path) -> Path:
    """The file beside a trial's run with the model's answers to the validation rows, float [rows, outputs]."""
    return output.with_suffix(".npy")


def discard(subject: Subject, number: int) -> None:
    """Removes what a trial left that did not come to its end; its log stays."""
    output = subject.trial_folder(number)
    for folder in (output, output.with_name(f".{output.name}.unfinished"), *output.parent.glob(f"{BUNDLES}*")):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (output.with_name(f".{output.name}.lock"), answers_of(output)):
        file.unlink(missing_ok=True)


def _measured(metrics: Mapping[str, Any], name: str) -> Measured:
    value = metrics.get(name)
    if not isinstance(value, int | float):
        raise ExplicateError(f"{name} is undefined on the validation rows: choose another tune.metric")
    return Measured(float(value), *metrics["intervals"].get(name, ()))


def _shortfalls(
    floors: Mapping[str, float], metrics: Mapping[str, Any], figures: Mapping[str, Measured]
) -> dict[str, float]:
    """By how much each floor is missed, above 0 where it is."""
    missed = {}
    for name, floor in floors.items():
        value = figures[name].value if name in figures else metrics.get(name)
        if not isinstance(value, int | float):
            raise ExplicateError(f"{name}, of tune.floors, is undefined for this run")
        missed[name] = value - floor if name in SMALLER_IS_BETTER else floor - value
    return missed


def to_json(one: Tried) -> str:
    """A trial for the study's file; `from_json` gives it back."""
    return json.dumps(one, default=lambda inner: inner.__dict__)


def from_json(text: str) -> Tried:
    """What `to_json` wrote."""
    values = json.loads(text)
    figures = {name: Measured(**figure) for name, figure in values.pop("figures").items()}
    return Tried(**{**values, "metric": Measured(**values["metric"]), "figures": figures})


def to_stderr(line: str) -> None:
    """Says a line to people."""
    print(line, file=sys.stderr, flush=True)
