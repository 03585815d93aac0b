"""The options of a training run on texts; `config.options` has those that all kinds share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from explicate.errors import UsageError
from explicate_training.calibration.answer_options import CalibrationOptions, ThresholdOptions
from explicate_training.config.checks import check_data, check_forgetting, check_values
from explicate_training.config.sections import LabelledData, OptionalSection, OutputConfig, TrainingOptions, option
from explicate_training.data.demos import DEMO_TEXTS
from explicate_training.fairness.group_options import FairnessOptions
from explicate_training.interpretability.terms import Interpretability, absent, active_terms, check_terms
from explicate_training.tasks.registry import task_named
from explicate_training.text.augmentation.edit_options import TextAugmentation


@dataclass(frozen=True)
class DataConfig(LabelledData):
    """Where the labelled texts are, and how they are cleaned and split."""

    counted = "texts"
    source = "train"
    demos = tuple(DEMO_TEXTS)

    demo: str = option("", "a named demo set instead of files: food-reviews", choices=("", *DEMO_TEXTS))
    train: str = option(
        "",
        ".csv, .tsv, .json, .jsonl, .parquet or .xlsx file with labelled texts, or a Hugging Face dataset directory",
        before="validation",
    )
    text_column: str = option("text", "name of the column with the text", before="label_column")
    text_pair_column: str = option(
        "", "name of the column with the second text of a pair; empty: there is one text", before="label_column"
    )
    validation_fraction: float = option(0.1, "part of the training texts for validation", above=0, maximum=0.5)
    near_duplicate_threshold: float = option(
        0.8,
        "texts as similar as this count as one (Jaccard index of word 3-grams); 1: off",
        minimum=0.5,
        maximum=1,
        before="minimum_class_count",
    )


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
class TrainingConfig(TrainingOptions):
    """How it is fine-tuned."""

    rebalanced_by = "class_weights"

    class_weights: str = option(
        "none",
        "balanced: rare classes or labels weigh more, by 1 / frequency",
        choices=("none", "balanced"),
        before="loss",
    )

    @property
    def rebalancing(self) -> str:
        """By weights alone: texts are drawn by their length."""
        return "class-weights" if self.class_weights == "balanced" else "none"


@dataclass(frozen=True)
class PretrainingConfig(OptionalSection):
    """Before it learns from labels, the encoder learns more of the texts' language: it guesses masked words."""

    epochs: int = option(0, "passes over the texts without labels; 0: none", minimum=0, maximum=1000)
    texts: str = option(
        "", "a file with texts: .txt with one a line, or as data.train; empty: the training texts themselves"
    )
    text_column: str = option("text", "name of its column, where it has columns")
    batch_size: int = option(32, "texts in a step", minimum=1, maximum=65536)
    learning_rate: float = option(5e-5, "highest learning rate", above=0, maximum=1)
    masked_fraction: float = option(0.15, "part of the tokens that are to be guessed", above=0, below=1)


@dataclass(frozen=True)
class FewShotConfig(OptionalSection):
    """For few labels: the encoder learns from pairs of texts, then a linear layer is fitted (SetFit's method)."""

    enabled: bool = option(False, "train so, instead of by the labels at once; for fewer than about 64 a class")
    steps: int = option(30, "steps of batches of texts, all pairs of which are compared", minimum=1, maximum=100_000)
    batch_size: int = option(32, "texts in a step, as many of each class", minimum=4, maximum=4096)
    learning_rate: float = option(5e-5, "highest learning rate of the encoder", above=0, maximum=1)
    head_strength: float = option(
        1.0, "how closely the last layer follows the labels: C of the logistic regression", above=0, maximum=1e6
    )


@dataclass(frozen=True)
class Config:
    """All options of a training run, by the sections of its TOML file."""

    kind: ClassVar[str] = "text"
    example: ClassVar[Mapping[str, str]] = {"data.train": "reviews.csv"}

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    augmentation: TextAugmentation = field(default_factory=TextAugmentation)
    few_shot: FewShotConfig = field(default_factory=FewShotConfig)
    interpretability: Interpretability = field(default_factory=absent)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    thresholds: ThresholdOptions = field(default_factory=ThresholdOptions)
    fairness: FairnessOptions = field(default_factory=FairnessOptions)
    output: OutputConfig = field(default_factory=OutputConfig)

    def check(self) -> None:
        """Raises UsageError, naming the option, when a value is out of its range or two options do not go together."""
        check_values(self)
        check_terms(self)
        check_data(
            self.data, "the file to learn from", ("text_column", "text_pair_column"), fixed=("task", "text_pair_column")
        )
        task_named(self.data.task).check_options(self.training)
        check_forgetting(self.training, "data", "label", "text")
        if self.few_shot.enabled:
            _check_few_shot(self)
        if not self.model.base:
            raise UsageError("model.base must not be empty: give a Hugging Face directory or name, or minilm-l6")


def _check_few_shot(config: Config) -> None:
    """Raises UsageError when the recipe would not read an option that is set."""
    if not task_named(config.data.task).one_of_classes:
        raise UsageError(
            f"few_shot.enabled is for classification, but data.task is {config.data.task}: pairs of texts need one "
            "class each; leave [few_shot] out"
        )
    if active := [term.name for term in active_terms(config.interpretability, config.kind)]:
        raise UsageError(
            f"few_shot.enabled does not go with [interpretability] ({', '.join(active)}), which changes a loss that "
            "the recipe does not have: leave one of the two out"
        )
    if config.fairness.over:
        raise UsageError(
            "few_shot.enabled does not go with [fairness], which weighs rows in a loss that the recipe does not have: "
            "leave one of the two out"
        )
    if config.training.label_smoothing:
        raise UsageError("training.label_smoothing is for labels learnt at once, not for few_shot: leave it out")
