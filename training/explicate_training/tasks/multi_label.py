"""Any number of labels: binary cross-entropy of each, and how good a model of several labels is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any  # cells as they were read; JSON values

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support, roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeRegressor
from torch import Tensor
from torch.nn import functional

from explicate.errors import UsageError
from explicate_bundle.outcomes.resampling import (
    Counts,
    Samples,
    area_under_roc,
    average_precision,
    mean,
    mean_of_defined,
    scores_of_decisions,
)
from explicate_training.config.sections import LabelledData, TrainingOptions
from explicate_training.data.labels import class_name, sorted_labels
from explicate_training.report import figures
from explicate_training.tasks.classification import Targets
from explicate_training.tasks.task import (
    OF_CLASSES,
    SMALL_TREE,
    TREE_FOLDS,
    Drawing,
    Evaluation,
    FitBaseline,
    LabelRules,
    Loss,
    Metrics,
    Mistakes,
    Outputs,
    Task,
    Words,
    check_known,
)

NO_LABEL = ""  # the stratum of rows without any label
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")

LabelSet = tuple[str, ...]


class MultiLabel(Task):
    """A row has any number of labels."""

    name = "multi-label"
    losses = ("binary-cross-entropy",)
    checkpoint_metrics = ("f1_micro", "f1_macro", "auroc", "average_precision", "subset_accuracy")
    default_metric = "f1_macro"
    imbalanced_metric = "auroc"
    decides = True
    weighs_rows = True
    decided_metrics = ("f1_micro", "f1_macro", "subset_accuracy")
    decision_metric = "f1_macro"
    imbalances = ("none", "class-weights")
    problem_type = "multi_label_classification"
    score = ("auroc", "AUROC")
    spare_score = ("subset_accuracy", "all labels of a row right")
    label_field = "labels"
    curves = {"f1_micro": "micro F1", "f1_macro": "macro F1"}
    shown = {
        "f1_micro": "F1, micro",
        "f1_macro": "F1, macro",
        "subset_accuracy": "all labels right",
        "hamming_loss": "labels wrong",
        "majority_hamming_loss": "(always the more frequent)",
        "auroc": "AUROC, mean",
        "average_precision": "average precision, mean",
    }
    titles = {
        "f1_micro": "F1, all labels together",
        "f1_macro": "F1, mean of labels",
        "subset_accuracy": "all labels of a row right",
        "hamming_loss": "labels wrong",
        "auroc": "AUROC, mean of labels",
        "average_precision": "average precision, mean of labels",
        "log_loss": "log loss",
    }
    class_word = "label"
    labels_word = "labels"
    class_titles = {
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
        "auroc": "AUROC",
        "average_precision": "average precision",
    }
    classes_with_answers = True

    def check_label_options(self, options: LabelledData) -> None:
        """All of them may be used; a column is named once."""
        names = options.label_names()
        if len(set(names)) < len(names):
            raise UsageError("data.label_columns names a column twice: name each once")

    def label(self, cells: Sequence[Any], options: LabelledData) -> LabelSet | None:
        """The labels that one cell lists, or that the 0/1 columns say yes to."""
        names = options.label_names()
        return _flagged(names, cells) if names else _label_set(cells[0], options)

    def plain(self, label: LabelSet) -> list[str]:
        return list(label)

    def words(self, label: LabelSet) -> str:
        return ", ".join(label) or "none"

    def names(self, labels: Sequence[LabelSet]) -> list[str]:
        return sorted_labels({name for label in labels for name in label})

    def targets(self, labels: Sequence[LabelSet], names: Sequence[str]) -> NDArray[np.int64]:
        """0 or 1 for each label, int64 [rows, labels]."""
        index_of = {name: index for index, name in enumerate(names)}
        targets = np.zeros((len(labels), len(names)), dtype=np.int64)
        for row, label in enumerate(labels):
            targets[row, [index_of[name] for name in label]] = 1
        return targets

    def strata(self, labels: Sequence[LabelSet]) -> list[str]:
        """The row's rarest label, so that rare ones come into every part; rows without any are one of their own."""
        counts = _counts(labels)
        return [min(label, key=lambda name: (counts[name], name), default=NO_LABEL) for label in labels]

    def check_labels(self, labels: Mapping[str, Sequence[LabelSet]], rules: LabelRules) -> None:
        """Each label must be there, and be absent, often enough, and no others be in a given split."""
        train, counted = labels["train"], rules.counted
        counts = _counts(train)
        if not counts:
            raise UsageError(f"no row of the training {counted} has a label after cleaning: check data.label_column(s)")
        for name in sorted_labels({*counts, *rules.named}):
            rare, word = min((counts[name], "with"), (len(train) - counts[name], "without"))
            if rare < rules.minimum_count:
                raise UsageError(
                    f"too few {counted} {word} the label {name!r} after cleaning ({rare}): each label needs "
                    f"{rules.minimum_count} with it and as many without; add {counted}, leave the label out, or lower "
                    "data.minimum_class_count"
                )
        check_known({split: set(_counts(found)) for split, found in labels.items()}, "labels")

    def check_split(self, labels: Mapping[str, Sequence[LabelSet]], *, counted: str) -> None:
        """A training row must have each label, and another lack it."""
        train = labels["train"]
        counts = _counts(train)
        for name in sorted_labels({name for found in labels.values() for name in _counts(found)}):
            if not 0 < counts[name] < len(train):
                which = "all" if counts[name] else "none"
                raise UsageError(
                    f"{which} of the training {counted} have the label {name!r} after splitting: add {counted}, leave "
                    "the label out, or set another training.seed"
                )

    def summary(self, labels: Sequence[LabelSet]) -> dict[str, Any]:
        return {"classes": dict(sorted(_counts(labels).items())), "without_label": sum(not label for label in labels)}

    def summary_line(self, summary: Mapping[str, Any]) -> str:
        """Counts of the most frequent labels, and of none if there are such rows."""
        counts = super().summary_line(summary)
        return ", ".join(filter(None, [counts, f"none {none:,}" if (none := summary["without_label"]) else ""]))

    def summary_words(self, summary: Mapping[str, Any]) -> str:
        return f"{super().summary_words(summary)}, none {summary['without_label']:,}"

    def prior_logits(self, targets: NDArray[Any], outputs: int) -> NDArray[np.float64]:
        """log(share / (1 - share)) of each label."""
        counts = np.clip(targets.sum(axis=0), 0.5, len(targets) - 0.5)
        return np.asarray(np.log(counts / (len(targets) - counts)))

    def loss(self, targets: NDArray[Any], outputs: int, training: TrainingOptions) -> Loss:
        """The mean over labels of the binary cross-entropy.

        Balanced, rows with a label weigh as much as rows without it (torch's `pos_weight`, (n - count) / count);
        smoothing moves 0 and 1 towards one half.
        """
        balance = positive_weights(targets) if training.rebalancing == "class-weights" else None

        def loss(outputs: Any, labels: Tensor, weights: Tensor | None = None, **_: Any) -> Tensor:
            logits = outputs["logits"].float()
            wanted = labels.float() * (1 - training.label_smoothing) + training.label_smoothing / 2
            if logits.dim() == 3:
                wanted = wanted.unsqueeze(1).expand_as(logits)
            own = None
            if weights is not None:  # of rows, or of each label of them
                own = weights.reshape(len(labels), *[1] * (logits.dim() - 2), -1).expand_as(logits)
            weight = None if balance is None else balance.to(logits.device)
            return functional.binary_cross_entropy_with_logits(logits, wanted, weight=own, pos_weight=weight)

        return loss

    def divergence(self, whole: Tensor, masked: Tensor) -> Tensor:
        """Σ KL(p ‖ q) over the labels, each on its own."""
        sides = [
            functional.logsigmoid(sign * whole).exp()
            * (functional.logsigmoid(sign * whole) - functional.logsigmoid(sign * masked))
            for sign in (1, -1)
        ]
        return (sides[0] + sides[1]).sum(dim=1).mean()

    def metrics(self, outputs: Outputs, targets: Targets, labels: Sequence[str], *, counted: str) -> Metrics:
        """Of logits float [rows, labels]: a label is predicted from one half, or its own threshold, on.

        The AUROC of a label that no row has is None; means over labels leave out those where they are undefined.
        """
        predicted = self.decided(outputs).astype(np.int64)
        positives = targets.sum(axis=0)
        per_label = {
            label: _of_label(outputs[:, k], predicted[:, k], targets[:, k], counted) for k, label in enumerate(labels)
        }
        share = positives / len(targets)
        return {
            counted: len(targets),
            "f1_micro": float(f1_score(targets, predicted, average="micro", zero_division=0)),
            "f1_macro": float(np.mean([row["f1"] for row in per_label.values()])),
            "subset_accuracy": float((predicted == targets).all(axis=1).mean()),
            "hamming_loss": float((predicted != targets).mean()),
            # What always giving each label its more frequent answer would reach: the floor for hamming_loss.
            "majority_hamming_loss": float(np.minimum(share, 1 - share).mean()),
            "auroc": _mean([row["auroc"] for row in per_label.values()]),
            "average_precision": _mean([row["average_precision"] for row in per_label.values()]),
            # Mean over rows and labels of -log of the probability of what is true.
            "log_loss": float(np.logaddexp(0, np.where(targets == 1, -outputs, outputs).astype(np.float64)).mean()),
            "per_class": per_label,
        }

    def decided(self, outputs: Outputs) -> NDArray[Any]:
        """Each label that is more probable than its absence, or reaches its threshold."""
        return np.asarray(outputs >= 0 if self.rule is None else self.rule.decide(self.scores(outputs)))

    def one_answer(self, outputs: Outputs) -> bool:
        given = self.decided(outputs)
        return bool((given == given[0]).all())

    def constant(self, targets: Targets, labels: Sequence[str]) -> tuple[NDArray[np.float64], str]:
        """Each label as probable as it is frequent."""
        return self.prior_logits(targets, len(labels)), "always the more frequent answer about each label"

    def resampled(self, outputs: Outputs, targets: Targets, labels: Sequence[str], counts: Counts) -> Samples:
        """As `metrics`, on draws of the rows."""
        given, true = self.decided(outputs), targets == 1
        precision, recall, f1 = scores_of_decisions(given, true, counts)
        hits, wrong = (counts @ flags.sum(axis=1).astype(np.float32) for flags in (given & true, given != true))
        areas = [area_under_roc(outputs[:, k], true[:, k], counts) for k in range(len(labels))]
        averages = [average_precision(outputs[:, k], true[:, k], counts) for k in range(len(labels))]
        losses = np.logaddexp(0, np.where(true, -outputs, outputs).astype(np.float64)).mean(axis=1)
        return {
            "f1_micro": np.divide(2 * hits, 2 * hits + wrong, out=np.zeros(len(counts)), where=hits + wrong > 0),
            "f1_macro": f1.mean(axis=1),
            "subset_accuracy": mean((given == true).all(axis=1), counts),
            "hamming_loss": mean((given != true).mean(axis=1), counts),
            "auroc": mean_of_defined(areas),
            "average_precision": mean_of_defined(averages),
            "log_loss": mean(losses, counts),
            f"{OF_CLASSES}precision": precision,
            f"{OF_CLASSES}recall": recall,
            f"{OF_CLASSES}f1": f1,
            f"{OF_CLASSES}auroc": np.stack(areas, axis=1),
            f"{OF_CLASSES}average_precision": np.stack(averages, axis=1),
        }

    def baseline(self, fit: FitBaseline, parts: Sequence[Any], *, classes: int) -> dict[str, NDArray[np.float64]]:
        """Logits [rows, labels] of a model of its own for each label."""
        fitted = [
            fit(*(replace(part, targets=part.targets[:, label]) for part in parts), classes=2)
            for label in range(classes)
        ]
        return {
            name: np.stack([outputs[name][:, 1] - outputs[name][:, 0] for outputs in fitted], axis=1)
            for name in ("validation", "test")
        }

    def leakage(self, values: NDArray[np.float32], targets: Targets) -> float | None:
        """The largest AUROC of a label, by one tree for the shares of all labels."""
        folds = KFold(TREE_FOLDS, shuffle=True, random_state=0)
        shares = cross_val_predict(DecisionTreeRegressor(**SMALL_TREE), values, targets, cv=folds)
        shares = shares.reshape(targets.shape)
        both = (targets.min(axis=0) == 0) & (targets.max(axis=0) == 1)
        areas = [roc_auc_score(targets[:, label], shares[:, label]) for label in np.flatnonzero(both)]
        return float(max(areas)) if areas else None

    def headline(
        self, test: Mapping[str, Any], labels: Sequence[str], target_name: str, counted: str
    ) -> tuple[str, str, str]:
        return (
            f"to give any of {len(labels)} labels. On {test[counted]:,} test {counted} it is right about",
            f"{100 - 100 * test['hamming_loss']:.1f} %",
            f" of all labels, and about every label of {100 * test['subset_accuracy']:.1f} % of the {counted}; giving "
            f"each label its more frequent answer would be right about {100 - 100 * test['majority_hamming_loss']:.1f} "
            "% of all labels.",
        )

    def drawings(self, test: Evaluation, labels: Sequence[str], target_name: str, *, counted: str) -> list[Drawing]:
        """How well each label is told, at every threshold."""
        scores = self.scores(test.outputs)
        ranked = {label: (scores[:, index], test.targets[:, index] == 1) for index, label in enumerate(labels)}
        own = [0.5] * len(labels) if self.rule is None else self.rule.thresholds.tolist()
        return [Drawing(figures.ranking_curves(ranked, thresholds=own), "ROC and precision-recall curves")]

    def scores(self, outputs: Outputs) -> NDArray[np.float64]:
        """Probabilities: the sigmoid of each label's logit."""
        return np.asarray(expit(outputs.astype(np.float64)))

    def mistakes(self, test: Evaluation, labels: Sequence[str]) -> Mistakes:
        """By the probability of the wrong answer about a label, the largest of each row."""
        given = self.decided(test.outputs)
        predicted, logits = given.astype(np.int64), test.outputs.astype(np.float64)
        sizes = np.where(predicted == test.targets, 0, expit(np.where(given, logits, -logits))).max(axis=1)

        def words(answers: NDArray[Any]) -> Words:
            return lambda row: self.words(tuple(labels[index] for index in np.flatnonzero(answers[row]).tolist()))

        return sizes, words(test.targets), words(predicted)


def _counts(labels: Sequence[LabelSet]) -> Counter[str]:
    return Counter(name for label in labels for name in label)


def _label_set(cell: Any, options: LabelledData) -> LabelSet | None:
    """Several labels, sorted, each once; an empty list is none of them, and so is an empty cell if wanted."""
    if isinstance(cell, list | tuple | np.ndarray):
        names = [class_name(one.item() if isinstance(one, np.generic) else one) for one in cell]
    else:
        name = class_name(cell)
        if name is None:
            return () if options.empty_label == "none" else None
        separator = options.label_separator
        names = [part.strip() for part in (name.split(separator) if separator else [name])]
        if not any(names):  # separators and nothing between them
            return _label_set(None, options)
    return tuple(sorted({name for name in names if name}))


def _flagged(names: Sequence[str], cells: Sequence[Any]) -> LabelSet | None:
    """The columns that say yes; None when one of them is missing."""
    words = [class_name(cell) for cell in cells]
    flagged = []
    for name, word in zip(names, words, strict=True):
        if word is None:
            return None
        if word.lower() not in (*_YES, *_NO):
            raise ValueError(f"the column {name!r} holds {word!r}, not 0 or 1")
        if word.lower() in _YES:
            flagged.append(name)
    return tuple(sorted(flagged))


def positive_weights(targets: NDArray[Any]) -> Tensor:
    """(n - count) / count of each label of int [rows, labels], float32 [labels]."""
    counts = targets.sum(axis=0)
    return torch.tensor((len(targets) - counts) / counts, dtype=torch.float32)


def _of_label(logits: Outputs, predicted: Targets, targets: Targets, counted: str) -> dict[str, Any]:
    precision, recall, f1, _ = precision_recall_fscore_support(
        targets, predicted, average="binary", pos_label=1, zero_division=0
    )
    both = 0 < targets.sum() < len(targets)
    probabilities = expit(logits.astype(np.float64))
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auroc": float(roc_auc_score(targets, probabilities)) if both else None,
        "average_precision": float(average_precision_score(targets, probabilities)) if both else None,
        counted: int(targets.sum()),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
