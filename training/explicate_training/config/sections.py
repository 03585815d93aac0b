"""Options, each declared once with its default, its range and what it means; and those that all kinds of runs share.

`config_file` reads them from TOML and writes them back; the example that `explicate train --example` prints is made
from the declarations.
"""

import math
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, TypeVar  # Any: the values of a dataclass's fields, whose types differ

Names = tuple[str, ...]  # a list of strings
_Value = TypeVar("_Value", bound=str | int | float | Names)
Entries = dict[str, str | list[str]]  # a section inside a section, such as [data.columns]
Numbers = dict[str, float]  # the same with numbers
Matrix = dict[str, dict[str, float]]  # the same with such sections


@dataclass(frozen=True)
class Rule:
    """What an option means and which values it may have."""

    about: str  # {counted} and {source} are those of the section
    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf  # as minimum, but the bound itself is out
    below: float = math.inf
    choices: tuple[str, ...] = ()
    registered: str = ""  # besides, what objectives have of "names", "losses" or "metrics"
    before: str = ""  # the option of a base section that comes after this one
    absent: Any = None  # its value where the whole section is left out, if that is another one than the default
    numbers: bool = False  # of a section inside a section: it holds numbers
    unwritten: bool = False  # a config written back leaves it out at its default
    matrix: bool = False  # it holds sections of numbers

    def when_absent(self, declared: Field[Any]) -> Any:
        """The value of the option where the whole section is left out."""
        if self.absent is not None:
            return self.absent
        return declared.default if declared.default is not MISSING else {}


def option(default: _Value, about: str, **limits: Any) -> _Value:
    """A dataclass field that carries its rule; `limits` are the fields of Rule."""
    declared: _Value = field(default=default, metadata={"rule": Rule(about, **limits)})
    return declared


def entries_option(about: str) -> Entries:
    """A dataclass field for a section inside a section, empty by default."""
    declared: Entries = field(default_factory=dict, metadata={"rule": Rule(about)})
    return declared


def numbers_option(about: str) -> Numbers:
    """The same for a section of numbers."""
    declared: Numbers = field(default_factory=dict, metadata={"rule": Rule(about, numbers=True)})
    return declared


def matrix_option(about: str) -> Matrix:
    """The same for a section of sections of numbers."""
    declared: Matrix = field(default_factory=dict, metadata={"rule": Rule(about, matrix=True)})
    return declared


def rule_of(declared: Field[Any]) -> Rule:
    """The rule that `option` gave to a field."""
    rule: Rule = declared.metadata["rule"]
    return rule


def options_of(section: Any) -> list[Field[Any]]:
    """The options of a section in the order in which they are written."""
    declared = list(fields(section))
    for one in fields(section):
        if before := rule_of(one).before:
            declared.remove(one)
            declared.insert([other.name for other in declared].index(before), one)
    return declared


def about_option(section: Any, declared: Field[Any]) -> str:
    """What an option of a section means."""
    about = rule_of(declared).about
    return about.format(counted=section.counted, source=section.source) if isinstance(section, LabelledData) else about


@dataclass(frozen=True)
class OptionalSection:
    """A section that changes nothing at its defaults, and then is not written into a run's config."""

    def check(self) -> None:
        """Raises UsageError, naming the option, when options of the section do not go together."""


@dataclass(frozen=True)
class LabelledData:
    """Where labelled data are, and how they are cleaned and split."""

    counted: ClassVar[str]  # what rows are called, such as "texts"
    source: ClassVar[str]  # the option that names the data
    demos: ClassVar[tuple[str, ...]]  # names of demo sets

    demo: str = option("", "")
    validation: str = option("", "validation {counted}; empty: a part of {source}")
    test: str = option("", "test {counted}, never trained on; empty: a part of {source}")
    label_column: str = option("label", "name of the column with the class, the labels or the number")
    task: str = option(
        "classification", "classification, multi-label (any number of labels), or regression", registered="names"
    )
    label_columns: str = option("", "instead, of several labels: 0/1 columns, one for each, separated by commas")
    label_separator: str = option(",", "what stands between several labels in a cell; lists need none")
    empty_label: str = option(
        "missing",
        "a cell without labels: missing (the row is left out) or none (no label applies)",
        choices=("missing", "none"),
    )
    similar_labels: str = option(
        "keep",
        "classes that differ in case, blanks or width alone, such as yes and YES: keep them apart, or merge them into "
        "the most frequent one",
        choices=("keep", "merge"),
    )
    separator: str = option("", "of CSV: the character between cells; empty: found from the header")
    quote: str = option(
        "", "of CSV: the character around cells, or none; empty: found from the lines", choices=("", '"', "'", "none")
    )
    encoding: str = option("", "of CSV and JSON, such as cp1252; empty: found from the bytes")
    sheet: str = option("", "of .xlsx: the name of the sheet; empty: the one with the columns")
    validation_fraction: float = option(0.15, "part of the training {counted} for validation", above=0, maximum=0.5)
    test_fraction: float = option(0.15, "part of the {counted} for the test, when none are given", above=0, maximum=0.5)
    minimum_class_count: int = option(10, "fewest {counted} that a class may have after cleaning", minimum=3)
    labels_per_class: int = option(
        0,
        "learn from so many {counted} of each class only, validation included: what explicate curve varies; 0: all",
        minimum=0,
        unwritten=True,
    )
    reviewed_labels: str = option("", "a list of `explicate labels` that a person reviewed, to be applied")

    @property
    def origin(self) -> str:
        """The demo set, or the file or folder to learn from."""
        return self.demo or str(getattr(self, self.source))

    @property
    def target_name(self) -> str:
        """What is predicted, by the columns of the labels."""
        return ", ".join(self.columns_with_labels().values())

    def label_names(self) -> list[str]:
        """The 0/1 columns, one for each label; empty when the labels are in one column."""
        return [name.strip() for name in self.label_columns.split(",") if name.strip()]

    def columns_with_labels(self) -> dict[str, str]:
        """The columns to read labels from, by the option that names them."""
        names = self.label_names()
        return {f"data.label_columns ({name})": name for name in names} or {"data.label_column": self.label_column}


@dataclass(frozen=True)
class TrainingOptions:
    """How a model of any kind is trained."""

    rebalanced_by: ClassVar[str] = "imbalance"  # the option that says what helps rare classes

    seed: int = option(0, "seed of the split, the new layer, the order and dropout", minimum=0, maximum=2**32 - 1)
    epochs: int = option(3, "passes over the training data, at most", minimum=1, maximum=1000)
    batch_size: int = option(16, "rows in a step", minimum=1, maximum=65536)
    learning_rate: float = option(5e-5, "highest learning rate", above=0, maximum=1)
    schedule: str = option(
        "linear", "fall of the learning rate: linear, cosine or constant", choices=("linear", "cosine", "constant")
    )
    warmup_fraction: float = option(0.1, "part of the steps in which the learning rate rises", minimum=0, below=1)
    optimiser: str = option(
        "adamw", "adamw, or sgd with momentum, whose rates are larger: 0.01 to 0.1", choices=("adamw", "sgd")
    )
    momentum: float = option(0.9, "of sgd", minimum=0, below=1)
    layer_lr_decay: float = option(
        1.0, "each layer learns at this part of the rate of the one above it; 1: all alike", above=0, maximum=1
    )
    gradual_unfreezing: float = option(
        0.0, "the head learns first, and one more layer after each so many epochs; 0: all from the start", minimum=0
    )
    weight_decay: float = option(0.01, "weight decay", minimum=0, maximum=1)
    max_gradient_norm: float = option(1.0, "longer gradients are shortened to this norm", above=0, maximum=1e6)
    label_smoothing: float = option(0.0, "part of the target spread over all classes", minimum=0, below=1)
    device: str = option(
        "auto", "what trains: cpu, cuda (one GPU), or auto: a GPU when there is one", choices=("auto", "cpu", "cuda")
    )
    precision: str = option(
        "auto", "fp32, bf16, or auto: bf16 where the hardware has it", choices=("auto", "bf16", "fp32")
    )
    evaluations_per_epoch: int = option(2, "validations (and checkpoints) in an epoch", minimum=1, maximum=1000)
    # Not the loss: it rises as a model grows surer, while its accuracy still improves. On the food reviews it chose a
    # first checkpoint of validation accuracy 0.791 over a later one of 0.821.
    best_metric: str = option(
        "auto",
        "validation metric that chooses the best checkpoint: loss; accuracy, f1_macro, auroc of classes; f1_micro, "
        "f1_macro, auroc, average_precision, subset_accuracy of labels; r2, mae, rmse; auto: f1_macro, auroc where "
        "classes are imbalanced, or mae",
        choices=("auto", "loss"),
        registered="metrics",
    )
    rare_classes: str = option(
        "auto",
        "auto: where one class is twice as frequent as another, the logits get offsets that the validation chooses for "
        "macro F1, so that rare classes are answered, too; plain: they do not",
        choices=("auto", "plain"),
    )
    early_stopping_patience: int = option(3, "validations without a better one before it stops; 0: never", minimum=0)
    loss: str = option(
        "auto",
        "cross-entropy, binary-cross-entropy of several labels; mse, mae or huber of a regression; auto: the first",
        choices=("auto",),
        registered="losses",
    )
    huber_delta: float = option(
        1.0, "error, in standard deviations of the target, from which huber grows linearly", above=0, maximum=1e6
    )

    forgetting: Entries = entries_option(
        "another task, on which a linear probe of the model's features is measured before the training and after it: "
        'data = "topics.csv", label = "topic", and of texts text = "text"'
    )

    @property
    def rebalancing(self) -> str:
        """What helps rare classes: "class-weights", "over-sampling", "under-sampling" or "none"."""
        return str(getattr(self, self.rebalanced_by))


@dataclass(frozen=True)
class OutputConfig:
    """Where the finished run goes, and what its report explains."""

    directory: str = option("", "the run directory, from the current directory; empty: runs/<name of this file>")
    explained: int = option(40, "test rows that the report explains, for what counts over all; 0: none", minimum=0)
    explain_seconds: float = option(60.0, "after which no more rows are explained", above=0)
