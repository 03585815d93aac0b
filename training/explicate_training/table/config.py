"""The options of a training run on a table; `config.options` has those that all kinds share."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar  # Any: TOML values, and arrays that are compared

from explicate.errors import UsageError
from explicate_bundle.files.baseline_rows import MOST_BASELINES, baseline_name_problem
from explicate_training.calibration.answer_options import CalibrationOptions, ThresholdOptions
from explicate_training.config.checks import check_data, check_forgetting, check_layers, check_values
from explicate_training.config.sections import (
    Entries,
    LabelledData,
    OptionalSection,
    OutputConfig,
    TrainingOptions,
    entries_option,
    option,
)
from explicate_training.data.demos import DEMO_TABLES
from explicate_training.fairness.group_options import FairnessOptions
from explicate_training.interpretability.terms import Interpretability, absent, check_terms
from explicate_training.table.resampling.resampling_options import ResamplingConfig

DECLARABLE_TYPES = ("number", "date", "category", "boolean", "ordinal", "ignore")
WRITTEN_TYPES = ("number", "date")
"""Types that may be declared with an example of how they are written: "number 1.234,5", "date 31.12.2020"."""


@dataclass(frozen=True)
class TableDataConfig(LabelledData):
    """Where the table is, what its columns are, and how it is cleaned and split."""

    counted = "rows"
    source = "table"
    demos = tuple(DEMO_TABLES)

    demo: str = option("", f"a named demo set instead of a file: {', '.join(DEMO_TABLES)}", choices=("", *DEMO_TABLES))
    table: str = option(
        "",
        ".csv, .tsv, .json, .jsonl, .parquet or .xlsx file with a header, or a Hugging Face dataset directory",
        before="validation",
    )
    label_column: str = option("label", "name of the column to predict")
    task: str = option(
        "auto",
        "classification, multi-label (any number of labels), regression, or auto: by the label, where it is clear",
        choices=("auto",),
        registered="names",
    )
    group_column: str = option(
        "",
        "rows with the same value here never stand in two splits, and it is not learnt from",
        before="validation_fraction",
    )
    missing_values: str = option(
        "NA,N/A,NaN,nan,null,NULL,?",
        "words that mean a missing value, besides the empty cell, separated by commas",
        before="minimum_class_count",
    )
    duplicates: str = option(
        "drop",
        "drop: of rows that are alike in every column keep one; keep: all",
        choices=("drop", "keep"),
        before="minimum_class_count",
    )
    maximum_categories: int = option(
        200, "categories kept of a column; the rarer ones are unknown to the model", minimum=2, maximum=100_000
    )
    leakage_threshold: float = option(
        0.98, "warn of a column that alone reaches this AUROC (or R²) in cross-validation; 1: off", above=0, maximum=1
    )
    background_rows: int = option(
        20, "rows of the summary of the training data that stands for absent columns", minimum=1, maximum=1000
    )
    columns: Entries = entries_option(
        'types where the data would be read otherwise: name = "number", "date", "category", "boolean", "ordinal", '
        '"ignore", with an example of how they are written "number 1.234,5", "date 31.12.2020", or the categories in '
        'their order, ["low", "high"]'
    )
    groups: Entries = entries_option('columns that are explained as one: name = ["column", "column"]')

    def missing_words(self) -> list[str]:
        """The words that mean a missing value, besides the empty cell."""
        return [word.strip() for word in self.missing_values.split(",") if word.strip()]


@dataclass(frozen=True)
class TableModelConfig:
    """The shape of the network."""

    embedding_size: int = option(8, "numbers that stand for one column inside the network", minimum=1, maximum=256)
    bins: int = option(16, "pieces of the piecewise linear encoding of a number", minimum=1, maximum=256)
    width: int = option(96, "width of a hidden layer", minimum=1, maximum=4096)
    blocks: int = option(2, "residual blocks", minimum=0, maximum=32)
    members: int = option(4, "networks whose answers are averaged", minimum=1, maximum=64)
    dropout: float = option(0.15, "dropout of the embeddings and in the blocks", minimum=0, below=1)


@dataclass(frozen=True)
class TableTrainingConfig(TrainingOptions):
    """How it is trained."""

    epochs: int = option(60, "passes over the training data, at most", minimum=1, maximum=100_000)
    batch_size: int = option(128, "rows in a step", minimum=1, maximum=65536)
    learning_rate: float = option(2e-3, "highest learning rate", above=0, maximum=1)
    schedule: str = option(
        "cosine", "fall of the learning rate: linear, cosine or constant", choices=("linear", "cosine", "constant")
    )
    weight_decay: float = option(0.03, "weight decay", minimum=0, maximum=10)
    precision: str = option(
        "fp32", "fp32, bf16, or auto: bf16 where the hardware has it", choices=("auto", "bf16", "fp32")
    )
    evaluations_per_epoch: int = option(1, "validations (and checkpoints) in an epoch", minimum=1, maximum=1000)
    best_metric: str = option(
        "loss",
        "validation metric that chooses the best checkpoint: loss; accuracy, f1_macro, auroc of classes; f1_micro, "
        "f1_macro, auroc, average_precision, subset_accuracy of labels; r2, mae, rmse",
        choices=("loss",),
        registered="metrics",
    )
    early_stopping_patience: int = option(12, "validations without a better one before it stops; 0: never", minimum=0)
    imbalance: str = option(
        "none",
        "what helps rare classes: class-weights (labels, too), over-sampling, under-sampling or none",
        choices=("none", "class-weights", "over-sampling", "under-sampling"),
    )
    hidden_cells: float = option(
        0.02,
        "part of the categories shown as unknown in training, so that unknown ones are answered",
        minimum=0,
        below=1,
    )


COMPARISONS: Mapping[str, Callable[[Any, float], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
"""Of a group of rows, those that begin alike in the order in which they must be looked for."""
_CONDITION = re.compile(r"\s*(.+?)\s*(<=|>=|=|<|>)\s*(.+?)\s*")


@dataclass(frozen=True)
class RowCondition:
    """What the rows of a group have in common: a column, or what is predicted, beside a value."""

    column: str
    comparison: str
    value: str

    def __str__(self) -> str:
        return f"{self.column}{self.comparison}{self.value}"


def conditions_of(baselines: Mapping[str, Any]) -> dict[str, RowCondition]:
    """The groups of `[export.baselines]`; raises UsageError, naming the option, for what is not one."""
    if len(baselines) > MOST_BASELINES:
        raise UsageError(f"export.baselines has {len(baselines)} groups; at most {MOST_BASELINES} are possible")
    found = {}
    for name, written in baselines.items():
        if problem := baseline_name_problem(name):
            raise UsageError(f"export.baselines: {problem}")
        match = _CONDITION.fullmatch(written) if isinstance(written, str) else None
        if match is None:
            raise UsageError(f'export.baselines.{name} must be like "outcome=yes" or "age>=60", not {written!r}')
        found[name] = RowCondition(*match.groups())
    return found


@dataclass(frozen=True)
class TableExportOptions(OptionalSection):
    """What the bundle holds besides."""

    baselines: Entries = entries_option(
        "groups of training rows that explanations may be set against (--baseline NAME), by a column or by what is "
        'predicted: approved = "outcome=yes", seniors = "age>=60"'
    )

    def check(self) -> None:
        conditions_of(self.baselines)


@dataclass(frozen=True)
class TableConfig:
    """All options of a training run on a table, by the sections of its TOML file."""

    kind: ClassVar[str] = "table"
    example: ClassVar[Mapping[str, str]] = {"data.table": "customers.csv"}

    data: TableDataConfig = field(default_factory=TableDataConfig)
    model: TableModelConfig = field(default_factory=TableModelConfig)
    training: TableTrainingConfig = field(default_factory=TableTrainingConfig)
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)
    interpretability: Interpretability = field(default_factory=absent)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    thresholds: ThresholdOptions = field(default_factory=ThresholdOptions)
    fairness: FairnessOptions = field(default_factory=FairnessOptions)
    export: TableExportOptions = field(default_factory=TableExportOptions)
    output: OutputConfig = field(default_factory=OutputConfig)

    def check(self) -> None:
        """Raises UsageError, naming the option, when a value is out of its range or two options do not go together."""
        check_values(self)
        check_terms(self)
        data = self.data
        check_forgetting(self.training)
        check_layers(self.training, "a table's network is new: leave it out")
        check_data(data, "the file to learn from", ("group_column",))
        for name in data.columns_with_labels().values():
            if name in data.columns:
                raise UsageError(f"data.columns.{name} is the label: set data.task for what it means")
        _check_columns(data.columns)
        _check_groups(data)


def declared_type(declared: str | list[str] | None) -> tuple[str | list[str] | None, str]:
    """What data.columns says of a column: its type or its categories, and an example of how it is written or ""."""
    if isinstance(declared, str):
        kind, _, example = declared.partition(" ")
        if kind in WRITTEN_TYPES:
            return kind, example.strip()
    return declared, ""


def _check_columns(columns: Entries) -> None:
    for name, declared in columns.items():
        if isinstance(declared, str) and declared_type(declared)[0] not in DECLARABLE_TYPES:
            known = ", ".join(map(repr, DECLARABLE_TYPES))
            raise UsageError(f"data.columns.{name} must be one of {known} or a list of categories, not {declared!r}")
        if isinstance(declared, list) and (len(declared) < 2 or len(set(declared)) < len(declared)):
            raise UsageError(f"data.columns.{name} must list at least two categories, each once, in their order")


def _check_groups(data: TableDataConfig) -> None:
    group_of: dict[str, str] = {}
    for group, names in data.groups.items():
        if isinstance(names, str):
            raise UsageError(f'data.groups.{group} must be a list of columns, such as ["a", "b"], not {names!r}')
        for name in names:
            if name in group_of:
                raise UsageError(f"data.groups.{group}: the column {name!r} is in the group {group_of[name]!r} already")
            group_of[name] = group
