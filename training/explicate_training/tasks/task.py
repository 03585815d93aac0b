"""What a model learns to predict, as an object: all of training that depends on the objective, and nothing else does.

A new objective is a subclass of `Task` in a file of its own and a line in `registry`. Rows are texts, rows of a table
or images alike; `counted` is what a message calls them, such as "texts".
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self  # Any: cells as they were read; JSON values; numbers of any type

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from explicate.errors import ExplicateError, UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.outcomes.decision_rule import Decision
from explicate_bundle.outcomes.resampling import Counts, Samples
from explicate_training.config.sections import LabelledData, TrainingOptions
from explicate_training.data.labels import Label, objects

Loss = Callable[..., Tensor]
"""The mean loss over rows: of {"logits": [batch, outputs], or [batch, members, outputs]} and targets."""
Outputs = NDArray[np.floating[Any]]  # [rows, outputs], logits or values
Metrics = dict[str, Any]  # as JSON values
FitBaseline = Callable[..., dict[str, NDArray[np.float64]]]
Words = Callable[[int], str]
Mistakes = tuple[NDArray[np.float64], Words, Words]  # how bad each row is, 0 when right; the true and predicted answer

TREE_FOLDS = 3
SMALL_TREE = {"max_leaf_nodes": 32, "min_samples_leaf": 5, "random_state": 0}  # that reads one column
_SHOWN_CLASSES, _UNKNOWN_CLASSES = 8, 10
_CLASSES_IN_LINES, _CLASS_METRICS_IN_A_LINE = 20, 4
OF_CLASSES = "per_class/"  # before the name of a metric, in samples [draws, outputs]: of each class or label
_IMBALANCED = math.log(2)  # from twice as frequent on


@dataclass(frozen=True)
class TargetScale:
    """How answers are taken from standard deviations of the target to the target's unit; by default as they are."""

    mean: float = 0.0
    spread: float = 1.0

    def standard(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Values float [rows] in standard deviations from the mean."""
        return np.asarray((targets - self.mean) / self.spread, dtype=np.float64)

    def value(self, answers: NDArray[Any]) -> NDArray[Any]:
        """Answers in standard deviations, in the target's unit."""
        return np.asarray(answers * self.spread + self.mean)


@dataclass(frozen=True)
class LabelRules:
    """What labels must be after cleaning to be learnt."""

    counted: str
    minimum_count: int  # fewest rows of a class or label
    named: Sequence[str] = ()  # labels that the config names
    dropped: Mapping[str, int] = field(default_factory=dict)  # rows that cleaning dropped, by reason


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on one split."""

    outputs: Outputs
    targets: NDArray[Any]  # as the objective gives them
    metrics: Mapping[str, Any]  # as it measures them


@dataclass(frozen=True)
class Drawing:
    """An SVG drawing for the report, and what it shows in words."""

    svg: str
    about: str


class Task(ABC):
    """An objective."""

    name: ClassVar[str]  # as data.task has it
    losses: ClassVar[tuple[str, ...]]  # that may be chosen; the first one is what "auto" means
    checkpoint_metrics: ClassVar[tuple[str, ...]]  # that may choose the best checkpoint, besides the loss
    default_metric: ClassVar[str]  # the one that "auto" means
    imbalanced_metric: ClassVar[str] = ""  # the one that "auto" means where labels are imbalanced
    decided_metrics: ClassVar[tuple[str, ...]] = ()  # those that one answer to all rows has a value of by itself
    decision_metric: ClassVar[str] = ""  # the one that offsets for rare classes are chosen by
    errors: ClassVar[tuple[str, ...]] = ()  # metrics that are better when smaller, besides the loss
    imbalances: ClassVar[tuple[str, ...]] = ("none",)  # what may be done about rare classes
    smooths_labels: ClassVar[bool] = True  # whether training.label_smoothing makes sense
    decides: ClassVar[bool] = False  # whether probabilities become a decision
    weighs_rows: ClassVar[bool] = False  # whether the loss takes `weights`, [batch] or [batch, labels]
    one_of_classes: ClassVar[bool] = False  # whether outputs are classes, one of which is right
    problem_type: ClassVar[str]  # what transformers calls it
    score: ClassVar[tuple[str, str]]  # name and title of the metric that compares models, and finds suspicious columns
    spare_score: ClassVar[tuple[str, str]]  # that compares them where the first is undefined
    label_field: ClassVar[str] = "label"  # of held_out.jsonl; for a table's rows "value" is "label"
    # What is shown: titles of metrics by name.
    curves: ClassVar[Mapping[str, str]]  # two that a report draws, of the validation
    table_curves: ClassVar[Mapping[str, str]] = {}  # the same for tables, where others are drawn
    shown: ClassVar[Mapping[str, str]]  # those of the terminal, in the format `shown_form`
    shown_form: ClassVar[str] = ".3f"
    titles: ClassVar[Mapping[str, str]]  # those of a report
    class_titles: ClassVar[Mapping[str, str]] = {}  # those of each class
    class_word: ClassVar[str] = "class"
    labels_word: ClassVar[str] = "classes"  # what labels are called where they are counted; empty: by their column
    classes_with_answers: ClassVar[bool] = False  # a report has the metrics of classes with the drawings, not before
    sliced: ClassVar[tuple[str, bool]] = ("answered rightly", False)  # what slices measure; whether large is bad
    caption: ClassVar[str] = ""  # of a report's drawings
    mistakes_about: ClassVar[str] = "The wrong answers it was surest of."
    mistake_size: ClassVar[str] = "probability"  # what tells how bad one is

    rule: Decision | None = None  # what decides, where that is not the most probable answer

    def deciding(self, rule: bundle_pb2.DecisionRule | None, labels: Sequence[str]) -> Self:
        """The same objective with a rule that decides, or without one."""
        task = copy.copy(self)
        task.rule = None if rule is None else Decision.of(rule, labels, several=not self.one_of_classes)
        return task

    # Labels

    def check_label_options(self, options: LabelledData) -> None:
        """Raises UsageError, naming the option, when the options that say where labels are do not go together."""
        for name, default in (("label_columns", ""), ("empty_label", "missing")):
            if getattr(options, name) != default:
                raise UsageError(
                    f'data.{name} is of several labels only: set data.task = "multi-label", or leave it out'
                )

    @abstractmethod
    def label(self, cells: Sequence[Any], options: LabelledData) -> Label | None:
        """The label of a row, None where it is missing; raises TypeError or ValueError when a cell holds another."""

    def read_labels(
        self, values: Mapping[str, Sequence[Any]], options: LabelledData, *, origin: str
    ) -> list[Label | None]:
        """The label of each row, None where it is missing.

        Args:
            values: cells by column, None where missing.
            options: which columns, and how they are read.
            origin: the file, for messages.

        Raises:
            UsageError: a cell holds something else; it names the row.
        """
        labels = []
        columns = [values[name] for name in options.columns_with_labels().values()]
        for number, cells in enumerate(zip(*columns, strict=True), start=1):
            try:
                labels.append(self.label(cells, options))
            except (TypeError, ValueError) as error:
                column = "data.label_columns" if options.label_columns else "data.label_column"
                raise UsageError(f"{origin} row {number}: {error}: check {column} and data.task") from None
        return labels

    def table_labels(self, columns: Mapping[str, Sequence[Any]], options: LabelledData) -> NDArray[Any]:
        """The labels of a table's rows [rows] from cells by column, None or NaN where missing; raises UsageError."""
        return objects(self.read_labels(columns, options, origin="data.table"))

    @abstractmethod
    def plain(self, label: Any) -> Any:
        """A label as JSON holds it."""

    @abstractmethod
    def words(self, label: Any) -> str:
        """A label for people."""

    @abstractmethod
    def names(self, labels: Sequence[Any]) -> list[str]:
        """The classes or labels by index; none of numbers."""

    def outputs(self, names: Sequence[str]) -> list[str]:
        """What each output of a model is called."""
        return list(names)

    @abstractmethod
    def targets(self, labels: Sequence[Any], names: Sequence[str]) -> NDArray[Any]:
        """What the loss compares with, [rows] or [rows, labels]."""

    @abstractmethod
    def strata(self, labels: Sequence[Any]) -> list[str]:
        """What each row counts as when splits are to look alike."""

    @abstractmethod
    def check_labels(self, labels: Mapping[str, Sequence[Any]], rules: LabelRules) -> None:
        """Raises UsageError when the labels, by split, cannot be learnt."""

    def check_split(self, labels: Mapping[str, Sequence[Any]], *, counted: str) -> None:  # noqa: B027 - others may
        """The same after splitting: what is rare may have gone into one part as a whole."""

    @abstractmethod
    def summary(self, labels: Sequence[Any]) -> dict[str, Any]:
        """The labels of a split as data.json tells them."""

    def summary_line(self, summary: Mapping[str, Any]) -> str:
        """The same for the terminal: counts of the most frequent classes."""
        counts = sorted(summary["classes"].items(), key=lambda one: -one[1])
        words = [f"{label} {count:,}" for label, count in counts[:_SHOWN_CLASSES]]
        if len(counts) > _SHOWN_CLASSES:
            words.append(f"{len(counts) - _SHOWN_CLASSES} {self.labels_word} more")
        return ", ".join(words)

    def summary_words(self, summary: Mapping[str, Any]) -> str:
        """The same for the report: all of them."""
        return ", ".join(f"{label} {count:,}" for label, count in summary["classes"].items())

    # Training

    def check_options(self, training: TrainingOptions) -> None:
        """Raises UsageError when a training option is not one of this objective's."""
        if training.label_smoothing and not self.smooths_labels:
            raise UsageError(
                f"training.label_smoothing is {training.label_smoothing:g}, but this is a {self.name}: leave it out"
            )
        for option, own in (("loss", self.losses), ("best_metric", ("loss", *self.checkpoint_metrics))):
            value = getattr(training, option)
            if value not in ("auto", *own):
                advice = f"use {', '.join(own)}, or change data.task"
                raise UsageError(f"training.{option} is {value}, but this is a {self.name}: {advice}")
        if training.rebalancing not in self.imbalances:
            advice = f"use {' or '.join(self.imbalances)}" if len(self.imbalances) > 1 else "leave it out"
            value = getattr(training, training.rebalanced_by)
            raise UsageError(f"training.{training.rebalanced_by} is {value}, but this is a {self.name}: {advice}")

    def scale(self, targets: NDArray[Any]) -> TargetScale:
        """How answers become values, by the targets of the training rows."""
        return TargetScale()

    def standard(self, targets: NDArray[Any], scale: TargetScale) -> NDArray[Any]:
        """Targets as the loss compares with them."""
        return targets

    def in_unit(self, values: NDArray[Any], scale: TargetScale) -> NDArray[Any]:
        """Answers or targets of the loss in the target's own unit."""
        return values

    def prior_logits(self, targets: NDArray[Any], outputs: int) -> NDArray[np.float64] | None:
        """How much more frequent each output is than the others, float64 [outputs] in logits; None of numbers."""
        return None

    def imbalanced(self, targets: NDArray[Any], outputs: int) -> bool:
        """Whether a class is at least twice as frequent as another, or a label as its absence, or the other way."""
        prior = self.prior_logits(targets, outputs)
        return prior is not None and bool(np.abs(prior).max() >= _IMBALANCED)

    def checkpoint_metric(self, wanted: str, *, imbalanced: bool) -> str:
        """The metric that chooses the best checkpoint: the one wanted, or what "auto" means."""
        if wanted != "auto":
            return wanted
        return self.imbalanced_metric if imbalanced and self.imbalanced_metric else self.default_metric

    @abstractmethod
    def loss(self, targets: NDArray[Any], outputs: int, training: TrainingOptions) -> Loss:
        """The loss of a model with a number of outputs; `targets` are those of all training rows."""

    def centred(self, logits: Tensor) -> Tensor:
        """Answers float [rows, outputs] without what does not count, such as what is added to all logits of a class."""
        return logits

    def divergence(self, whole: Tensor, masked: Tensor) -> Tensor:
        """How far answers to masked rows are from those to the whole rows, float [rows, outputs] each, on average.

        In nats; of numbers as normal distributions of the variance that the loss has it in, 1.
        """
        return (whole - masked).square().sum(dim=1).mean() / 2

    # Evaluation

    @abstractmethod
    def metrics(self, outputs: Outputs, targets: NDArray[Any], labels: Sequence[str], *, counted: str) -> Metrics:
        """All metrics as JSON values; what is undefined is None."""

    def evaluate(self, outputs: Outputs, targets: NDArray[Any], labels: Sequence[str], *, counted: str) -> Evaluation:
        """A model's answers with their metrics. Raises ExplicateError when one is infinite or not a number."""
        if not np.isfinite(outputs).all():
            raise ExplicateError(
                "the training diverged (the model's answers are not finite): lower training.learning_rate, or set "
                'training.precision = "fp32"'
            )
        return Evaluation(outputs, targets, self.metrics(outputs, targets, labels, counted=counted))

    def validate(self, outputs: Outputs, targets: NDArray[Any], labels: Sequence[str]) -> dict[str, float]:
        """The metrics that may choose the best checkpoint; what is undefined counts as 0."""
        metrics = self.evaluate(outputs, targets, labels, counted="rows").metrics
        found = {name: metrics[name] or 0.0 for name in self.checkpoint_metrics}
        return {**found, "one_answer": float(self.one_answer(outputs))} if self.decided_metrics else found

    def decided(self, outputs: Outputs) -> NDArray[Any] | None:
        """What is answered, [rows] or [rows, labels], where it is a decision; None of numbers."""
        return None

    def one_answer(self, outputs: Outputs) -> bool:
        """Whether all rows are answered alike, whatever they are."""
        return False

    @abstractmethod
    def constant(self, targets: NDArray[Any], labels: Sequence[str]) -> tuple[NDArray[np.float64], str]:
        """The best answer float64 [outputs] to all rows alike, by the targets of the training rows, and what it is."""

    def resampled(self, outputs: Outputs, targets: NDArray[Any], labels: Sequence[str], counts: Counts) -> Samples:
        """What the metrics are on draws of the rows; here the slow way, which holds for any metrics of one number."""
        names = dict.fromkeys([*self.titles, self.score[0], self.spare_score[0]])
        found = []
        for drawn in counts.astype(np.intp):
            rows = np.repeat(np.arange(len(drawn)), drawn)
            metrics = self.metrics(outputs[rows], targets[rows], labels, counted="rows")
            found.append([np.nan if metrics.get(name) is None else metrics[name] for name in names])
        return dict(zip(names, np.array(found, dtype=np.float64).T, strict=True))

    def lines(self, metrics: Mapping[str, Any], *, counted: str) -> list[str]:
        """The metrics of "validation" and "test" as a small table for the terminal."""
        lines = [f"{'':<28}{'validation':>12}{'test':>10}"]
        ranges = metrics["test"].get("intervals", {})
        for name, title in self.shown.items():
            cells = [shown_number(metrics[split][name], self.shown_form) for split in ("validation", "test")]
            lines.append(f"{title:<28}{cells[0]:>12}{cells[1]:>10}{shown_interval(ranges.get(name), self.shown_form)}")
        for label, row in list(metrics["test"].get("per_class", {}).items())[:_CLASSES_IN_LINES]:
            shown = list(self.class_titles.items())[:_CLASS_METRICS_IN_A_LINE]
            told = [f"{title} {shown_number(row[name])}" for name, title in shown]
            lines.append(f"test, {self.class_word} {label}: {', '.join(told)}, {row[counted]:,} {counted}")
        return lines

    @abstractmethod
    def baseline(self, fit: FitBaseline, parts: Sequence[Any], *, classes: int) -> dict[str, NDArray[np.float64]]:
        """What a simple model answers on "validation" and "test".

        `fit` gives the answers of one fitted to the `parts` of the data (train, validation, test, each with `targets`
        [rows]) for so many `classes`: log-probabilities float64 [rows, classes], or without classes values [rows, 1].
        """

    @abstractmethod
    def leakage(self, values: NDArray[np.float32], targets: NDArray[Any]) -> float | None:
        """The `score` that a small tree reaches in cross-validation, from one column float32 [rows, 1] alone."""

    # The report

    @abstractmethod
    def headline(
        self, test: Mapping[str, Any], labels: Sequence[str], target_name: str, counted: str
    ) -> tuple[str, str, str]:
        """How good the model is on the test part, in a sentence whose middle part is emphasised."""

    def note(self, labels: Sequence[str]) -> str:
        """What must be known to read the metrics."""
        return ""

    @abstractmethod
    def drawings(self, test: Evaluation, labels: Sequence[str], target_name: str, *, counted: str) -> list[Drawing]:
        """What is drawn of the answers on the test part."""

    def scores(self, outputs: Outputs) -> NDArray[np.float64]:
        """Answers in the space in which they are explained, float64 [rows, outputs]: probabilities, or values."""
        return np.asarray(outputs, dtype=np.float64)

    def thresholds(self, test: Evaluation, labels: Sequence[str]) -> list[dict[str, float]]:
        """What other thresholds than one half would change, where there is one: a row of a report's table each."""
        return []

    def sliced_by_row(self, test: Evaluation, labels: Sequence[str]) -> NDArray[np.float64]:
        """What slices take the mean of, float64 [rows]: 1 for a right answer, else 0."""
        return np.where(self.mistakes(test, labels)[0] == 0, 1.0, 0.0)

    @abstractmethod
    def mistakes(self, test: Evaluation, labels: Sequence[str]) -> Mistakes:
        """How bad each answer is, and words for the true and the predicted one."""


def baseline_loss(answers: NDArray[np.float64], targets: NDArray[Any], classes: int) -> float:
    """What a `FitBaseline` chooses by: of log-probabilities the log loss, of values the mean square error."""
    if not classes:
        return float(np.square(answers[:, 0] - targets).mean())
    return float(-answers[np.arange(len(targets)), targets].mean())


def shown_number(value: float | None, form: str = ".3f") -> str:
    """A metric for people; a hyphen when it is undefined."""
    return "-" if value is None else format(value, form)


def shown_interval(ends: Sequence[float] | None, form: str = ".3f") -> str:
    """Where a metric lies, for people, with a space before it; nothing when that is not known."""
    return f" [{', '.join(format(end, form) for end in ends)}]" if ends else ""


def check_known(names: Mapping[str, set[str]], what: str) -> None:
    """Raises UsageError when a given split has classes or labels, by split, that the training rows lack."""
    for split in ("validation", "test"):
        if unknown := sorted(names[split] - names["train"]):
            listed = ", ".join(unknown[:_UNKNOWN_CLASSES])
            raise UsageError(f"the {split} set has {what} that the training data lacks: {listed}")
