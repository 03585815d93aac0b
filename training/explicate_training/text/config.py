"""The options of a training run, each declared once with its default, its range and what it means.

`config_file` reads them from TOML and writes them back; the example that `explicate train --example` prints is made
from the declarations here (texts) and in `table_config` (tables).
"""

import math
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, TypeVar  # Any: the values of a dataclass's fields, whose types differ

from explicate.errors import UsageError
from explicate_training.data.labels import TASKS, check_columns_differ, check_label_options, columns_with_labels
from explicate_training.tasks.task_options import ALL_CHECKPOINT_METRICS, ALL_LOSSES, check_task_options

DEMO_SETS = ("food-reviews",)

_Value = TypeVar("_Value", bound=str | int | float)
Entries = dict[str, str | list[str]]  # a section inside a section, such as [data.columns]


@dataclass(frozen=True)
class Rule:
    """What an option means and which values it may have."""

    about: str
    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf  # as minimum, but the bound itself is out
    below: float = math.inf
    choices: tuple[str, ...] = ()


def option(default: _Value, about: str, **limits: Any) -> _Value:
    """A dataclass field that carries its rule; `limits` are the fields of Rule."""
    declared: _Value = field(default=default, metadata={"rule": Rule(about, **limits)})
    return declared


def entries_option(about: str) -> Entries:
    """A dataclass field for a section inside a section, empty by default."""
    declared: Entries = field(default_factory=dict, metadata={"rule": Rule(about)})
    return declared


@dataclass(frozen=True)
class DataConfig:
    """Where the labelled texts are, and how they are cleaned and split."""

    demo: str = option("", "a named demo set instead of files: food-reviews", choices=("", *DEMO_SETS))
    train: str = option(
        "", ".csv, .tsv, .jsonl or .parquet file with labelled texts, or a Hugging Face dataset directory"
    )
    validation: str = option("", "validation texts; empty: a part of train")
    test: str = option("", "test texts, never trained on; empty: a part of train")
    text_column: str = option("text", "name of the column with the text")
    text_pair_column: str = option("", "name of the column with the second text of a pair; empty: there is one text")
    label_column: str = option("label", "name of the column with the class, the labels or the number")
    task: Literal["classification", "multi-label", "regression"] = option(
        "classification", "classification, multi-label (any number of labels), or regression", choices=TASKS
    )
    label_columns: str = option("", "instead, of several labels: 0/1 columns, one for each, separated by commas")
    label_separator: str = option(",", "what stands between several labels in a cell; lists need none")
    empty_label: str = option(
        "missing",
        "a cell without labels: missing (the row is left out) or none (no label applies)",
        choices=("missing", "none"),
    )
    validation_fraction: float = option(0.1, "part of the training texts for validation", above=0, maximum=0.5)
    test_fraction: float = option(0.15, "part of the texts for the test, when none are given", above=0, maximum=0.5)
    near_duplicate_threshold: float = option(
        0.8, "texts as similar as this count as one (Jaccard index of word 3-grams); 1: off", minimum=0.5, maximum=1
    )
    minimum_class_count: int = option(10, "fewest texts that a class may have after cleaning", minimum=3)


@dataclass(frozen=True)
class ModelConfig:
    """Which encoder is fine-tuned."""

    base: str = option(
        "minilm-l6",
        "Hugging Face directory or hub name, minilm-l6, or package:NAME (a pip package with weights in model/)",
    )
    max_tokens: int = option(128, "tokens read of a text, special tokens included; the rest is cut", minimum=8)
    dropout: float = option(0.1, "dropout in the encoder and before the classifier", minimum=0, below=1)


@dataclass(frozen=True)
class LoopConfig:
    """How a model of any kind is trained."""

    seed: int = option(0, "seed of the split, the new layer, the order and dropout", minimum=0, maximum=2**32 - 1)
    epochs: int = option(3, "passes over the training data, at most", minimum=1, maximum=1000)
    batch_size: int = option(16, "rows in a step", minimum=1, maximum=65536)
    learning_rate: float = option(5e-5, "highest learning rate of AdamW", above=0, maximum=1)
    schedule: str = option(
        "linear", "fall of the learning rate: linear, cosine or constant", choices=("linear", "cosine", "constant")
    )
    warmup_fraction: float = option(0.1, "part of the steps in which the learning rate rises", minimum=0, below=1)
    weight_decay: float = option(0.01, "AdamW's weight decay", minimum=0, maximum=1)
    max_gradient_norm: float = option(1.0, "longer gradients are shortened to this norm", above=0, maximum=1e6)
    label_smoothing: float = option(0.0, "part of the target spread over all classes", minimum=0, below=1)
    precision: str = option(
        "auto", "fp32, bf16, or auto: bf16 where the hardware has it", choices=("auto", "bf16", "fp32")
    )
    evaluations_per_epoch: int = option(2, "validations (and checkpoints) in an epoch", minimum=1, maximum=1000)
    # Not the loss: it rises as a model grows surer, while its accuracy still improves. On the food reviews it chose a
    # first checkpoint of validation accuracy 0.791 over a later one of 0.821.
    best_metric: str = option(
        "f1_macro", "validation metric that chooses the best checkpoint", choices=("loss", "accuracy", "f1_macro")
    )
    early_stopping_patience: int = option(3, "validations without a better one before it stops; 0: never", minimum=0)


@dataclass(frozen=True)
class TrainingConfig(LoopConfig):
    """How it is fine-tuned."""

    best_metric: str = option(
        "auto",
        "validation metric that chooses the best checkpoint: loss; accuracy, f1_macro, auroc of classes; f1_micro, "
        "f1_macro, auroc, average_precision, subset_accuracy of labels; r2, mae, rmse; auto: f1_macro or mae",
        choices=("auto", "loss", *ALL_CHECKPOINT_METRICS),
    )
    class_weights: str = option(
        "none", "balanced: rare classes or labels weigh more, by 1 / frequency", choices=("none", "balanced")
    )
    loss: str = option(
        "auto",
        "cross-entropy, binary-cross-entropy of several labels; mse, mae or huber of a regression; auto: the first",
        choices=("auto", *ALL_LOSSES),
    )
    huber_delta: float = option(
        1.0, "error, in standard deviations of the target, from which huber grows linearly", above=0, maximum=1e6
    )


@dataclass(frozen=True)
class OutputConfig:
    """Where the finished run goes."""

    directory: str = option("", "the run directory, from the current directory; empty: runs/<name of this file>")


@dataclass(frozen=True)
class Config:
    """All options of a training run, by the sections of its TOML file."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    output: OutputConfig = field(default_factory=OutputConfig)


def rule_of(declared: Field[Any]) -> Rule:
    """The rule that `option` gave to a field."""
    rule: Rule = declared.metadata["rule"]
    return rule


def check_config(config: Config) -> None:
    """Raises UsageError, naming the option, when a value is out of its range or two options do not go together."""
    check_values(config)
    data = config.data
    if bool(data.demo) == bool(data.train):
        raise UsageError("data.train or data.demo must be set, one of the two: the file to learn from, or a demo set")
    if data.demo and (data.validation or data.test):
        raise UsageError("data.validation and data.test do not go with data.demo: leave them out")
    for name in ("text_column", "label_column"):
        if not getattr(data, name):
            raise UsageError(f"data.{name} must not be empty: give the name of the column")
    if data.demo and (data.task != "classification" or data.text_pair_column):
        raise UsageError("data.task and data.text_pair_column do not go with data.demo: leave them out")
    check_label_options(data, data.task)
    texts = {"data.text_column": data.text_column, "data.text_pair_column": data.text_pair_column}
    check_columns_differ({**texts, **columns_with_labels(data)})
    check_task_options(data.task, config.training)
    if data.task == "regression" and config.training.class_weights != "none":
        raise UsageError("training.class_weights is balanced, but this is a regression: leave it out")
    if not config.model.base:
        raise UsageError("model.base must not be empty: give a Hugging Face directory or name, or minilm-l6")


def check_values(config: Any) -> None:
    """Raises UsageError, naming the option, when a value is out of its own range. `config`: a dataclass of sections."""
    for section in fields(config):
        values = getattr(config, section.name)
        for declared in fields(values):
            _check_value(f"{section.name}.{declared.name}", getattr(values, declared.name), rule_of(declared))


def _check_value(key: str, value: Any, rule: Rule) -> None:
    if rule.choices and value not in rule.choices:
        names = ", ".join(repr(choice) for choice in rule.choices)
        raise UsageError(f"{key} must be one of {names}, not {value!r}")
    if isinstance(value, str | dict):
        return
    for holds, wanted in (
        (value >= rule.minimum, f"at least {rule.minimum:g}"),
        (value <= rule.maximum, f"at most {rule.maximum:g}"),
        (value > rule.above, f"above {rule.above:g}"),
        (value < rule.below, f"below {rule.below:g}"),
    ):
        if not holds:  # NaN holds nowhere
            raise UsageError(f"{key} must be {wanted}, not {value!r}")
