"""One class of several: cross-entropy over the classes, and how good a classifier is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any  # JSON values; numbers of any type

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor
from torch.nn import functional

from explicate.errors import UsageError
from explicate_bundle.outcomes.resampling import (
    Counts,
    Samples,
    area_under_roc,
    mean,
    mean_of_defined,
    scores_of_decisions,
)
from explicate_training.config.sections import LabelledData, TrainingOptions
from explicate_training.data.labels import class_name, parse_number, sorted_labels
from explicate_training.report import figures
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
    check_known,
)

CALIBRATION_BINS = 15  # as in Guo et al. 2017
_SHOWN_CLASSES = 10  # of a message

Targets = NDArray[np.integer[Any]]


class Classification(Task):
    """A row has one class."""

    name = "classification"
    losses = ("cross-entropy",)
    checkpoint_metrics = ("accuracy", "f1_macro", "auroc")
    default_metric = "f1_macro"
    # F1 is that of the majority answer until a rare class wins somewhere; how rows are ranked shows sooner and surer.
    imbalanced_metric = "auroc"
    decided_metrics = ("accuracy", "f1_macro")
    decides = True
    weighs_rows = True
    one_of_classes = True
    decision_metric = "f1_macro"
    imbalances = ("none", "class-weights", "over-sampling", "under-sampling")
    problem_type = "single_label_classification"
    score = ("auroc", "AUROC")
    spare_score = ("accuracy", "accuracy")
    curves = {"accuracy": "accuracy", "f1_macro": "macro F1"}
    table_curves = {"accuracy": "accuracy", "auroc": "AUROC"}
    shown = {
        "accuracy": "accuracy",
        "majority_class_accuracy": "(always the largest class)",
        "precision_macro": "precision, macro",
        "recall_macro": "recall, macro",
        "f1_macro": "F1, macro",
        "auroc": "AUROC",
        "calibration_error": "calibration error",
    }
    titles = {
        "accuracy": "accuracy",
        "precision_macro": "precision, mean of classes",
        "recall_macro": "recall, mean of classes",
        "f1_macro": "F1, mean of classes",
        "auroc": "AUROC",
        "calibration_error": "expected calibration error, 15 bins",
        "log_loss": "log loss",
    }
    class_titles = {"precision": "precision", "recall": "recall", "f1": "F1"}
    caption = (
        "The matrix has counts, shaded by the share of the true class. In the reliability diagram a calibrated model's "
        "bars end on the dashed line. The curves show every threshold; the dot is where the model answers now."
    )

    def label(self, cells: Sequence[Any], options: LabelledData) -> str | None:
        return class_name(cells[0])

    def plain(self, label: str) -> str:
        return label

    def words(self, label: str) -> str:
        return label

    def names(self, labels: Sequence[str]) -> list[str]:
        return sorted_labels(set(labels))

    def targets(self, labels: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
        index_of = {name: index for index, name in enumerate(names)}
        return np.array([index_of[label] for label in labels], dtype=np.int64)

    def strata(self, labels: Sequence[str]) -> list[str]:
        return list(labels)

    def check_labels(self, labels: Mapping[str, Sequence[str]], rules: LabelRules) -> None:
        """There must be two classes, each often enough, and no others in a given split."""
        counts = Counter(labels["train"])
        if len(counts) < 2:
            dropped = ", ".join(f"{count:,} {reason}" for reason, count in rules.dropped.items() if count)
            raise UsageError(
                f"the training {rules.counted} have {len(counts)} class(es) after cleaning "
                f"({dropped or 'which dropped nothing'}), and a classifier needs two: check the data and "
                "data.label_column"
            )
        rare = {label: count for label, count in sorted(counts.items()) if count < rules.minimum_count}
        if rare:
            listed = ", ".join(f"{label!r} ({count})" for label, count in list(rare.items())[:_SHOWN_CLASSES])
            more = f" and {len(rare) - _SHOWN_CLASSES} more" if len(rare) > _SHOWN_CLASSES else ""
            numbers = all(parse_number(label) is not None for label in counts)
            raise UsageError(
                f"too few {rules.counted} of class {listed}{more} after cleaning: each class needs "
                f"{rules.minimum_count}; add {rules.counted}, merge or leave out the class, "
                f"{'' if numbers else 'or '}lower data.minimum_class_count"
                f"{', or set data.task to regression' if numbers else ''}"
            )
        check_known({split: set(found) for split, found in labels.items()}, "classes")

    def check_split(self, labels: Mapping[str, Sequence[str]], *, counted: str) -> None:
        """Groups that stay whole may have taken a class away."""
        lacking = {label for found in labels.values() for label in found} - set(labels["train"])
        if lacking:
            raise UsageError(
                f"data.group_column: no training group has the class {min(lacking)!r}: add groups with it, or split "
                "without groups"
            )

    def summary(self, labels: Sequence[str]) -> dict[str, Any]:
        return {"classes": dict(sorted(Counter(labels).items()))}

    def prior_logits(self, targets: NDArray[Any], outputs: int) -> NDArray[np.float64]:
        """log(share) of each class, less that of the rarest."""
        logits = _log_shares(targets, outputs)
        return np.asarray(logits - logits.min())

    def loss(self, targets: NDArray[Any], outputs: int, training: TrainingOptions) -> Loss:
        """Cross-entropy; balanced, with weights n / (classes * count)."""
        balance = class_weights(targets.tolist(), outputs) if training.rebalancing == "class-weights" else None

        def loss(outputs: Any, labels: Tensor, weights: Tensor | None = None, **_: Any) -> Tensor:
            logits = outputs["logits"].float()
            members = logits.shape[1] if logits.dim() == 3 else 1
            wanted = labels.repeat_interleave(members)
            of_classes = None if balance is None else balance.to(logits.device)
            losses: Tensor = functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]),
                wanted,
                weight=of_classes,
                label_smoothing=training.label_smoothing,
                reduction="mean" if weights is None else "none",
            )
            if weights is None:
                return losses
            total = len(wanted) if of_classes is None else of_classes[wanted].sum()
            return (losses * weights.repeat_interleave(members)).sum() / total

        return loss

    def centred(self, logits: Tensor) -> Tensor:
        """Their mean is 0: the same number added to all logits changes no probability."""
        return logits - logits.mean(dim=1, keepdim=True)

    def divergence(self, whole: Tensor, masked: Tensor) -> Tensor:
        """KL(p ‖ q) of the classes."""
        own, other = functional.log_softmax(whole, dim=1), functional.log_softmax(masked, dim=1)
        return functional.kl_div(other, own, log_target=True, reduction="batchmean")

    def metrics(self, outputs: Outputs, targets: Targets, labels: Sequence[str], *, counted: str) -> Metrics:
        """Of logits float [rows, classes] and class indices; the AUROC of an absent class is None."""
        predicted = self.decided(outputs)
        classes = np.arange(len(labels))
        precision, recall, f1, support = precision_recall_fscore_support(
            targets, predicted, labels=classes, average=None, zero_division=0
        )
        return {
            counted: len(targets),
            "accuracy": float(np.mean(predicted == targets)),
            # What always answering the most frequent class would reach: the floor for accuracy.
            "majority_class_accuracy": float(np.bincount(targets, minlength=len(labels)).max() / len(targets)),
            "precision_macro": float(precision.mean()),
            "recall_macro": float(recall.mean()),
            "f1_macro": float(f1.mean()),
            "auroc": auroc(softmax(outputs, axis=1), targets),
            "calibration_error": expected_calibration_error(outputs, targets),
            "log_loss": float(-log_softmax(outputs, axis=1)[np.arange(len(targets)), targets].mean()),
            "per_class": {
                label: {
                    "precision": float(precision[index]),
                    "recall": float(recall[index]),
                    "f1": float(f1[index]),
                    counted: int(support[index]),
                }
                for index, label in enumerate(labels)
            },
            "confusion_matrix": confusion_matrix(targets, predicted, labels=classes).tolist(),  # [true][predicted]
        }

    def decided(self, outputs: Outputs) -> NDArray[Any]:
        """The class with the highest logit, or the one that the rule decides for."""
        return np.asarray(outputs.argmax(axis=1) if self.rule is None else self.rule.decide(self.scores(outputs)))

    def one_answer(self, outputs: Outputs) -> bool:
        return len(np.unique(self.decided(outputs))) == 1

    def constant(self, targets: Targets, labels: Sequence[str]) -> tuple[NDArray[np.float64], str]:
        """Each class as probable as it is frequent."""
        logits = _log_shares(targets, len(labels))
        return logits, f"always answering {labels[int(logits.argmax())]!r}"

    def resampled(self, outputs: Outputs, targets: Targets, labels: Sequence[str], counts: Counts) -> Samples:
        """As `metrics`, on draws of the rows."""
        classes = np.arange(len(labels))
        predicted, probabilities = self.decided(outputs), softmax(outputs.astype(np.float64), axis=1)
        true = targets[:, np.newaxis] == classes
        precision, recall, f1 = scores_of_decisions(predicted[:, np.newaxis] == classes, true, counts)
        confidence, right = probabilities.max(axis=1), outputs.argmax(axis=1) == targets
        in_bin = reliability_places(confidence)[:, np.newaxis] == np.arange(CALIBRATION_BINS)
        gaps = counts @ (in_bin * (right - confidence)[:, np.newaxis]).astype(np.float32)  # [draws, bins]
        ranked = classes[1:] if len(labels) == 2 else classes
        return {
            "accuracy": mean(predicted == targets, counts),
            "precision_macro": precision.mean(axis=1),
            "recall_macro": recall.mean(axis=1),
            "f1_macro": f1.mean(axis=1),
            "auroc": mean_of_defined([area_under_roc(probabilities[:, k], true[:, k], counts) for k in ranked]),
            "calibration_error": np.abs(gaps).sum(axis=1, dtype=np.float64) / len(targets),
            "log_loss": mean(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-300)), counts),
            f"{OF_CLASSES}precision": precision,
            f"{OF_CLASSES}recall": recall,
            f"{OF_CLASSES}f1": f1,
        }

    def baseline(self, fit: FitBaseline, parts: Sequence[Any], *, classes: int) -> dict[str, NDArray[np.float64]]:
        return fit(*parts, classes=classes)

    def leakage(self, values: NDArray[np.float32], targets: Targets) -> float | None:
        """AUROC; None when a class has too few rows."""
        if np.bincount(targets).min() < TREE_FOLDS:
            return None
        folds = StratifiedKFold(TREE_FOLDS, shuffle=True, random_state=0)
        tree = DecisionTreeClassifier(**SMALL_TREE)
        return auroc(cross_val_predict(tree, values, targets, cv=folds, method="predict_proba"), targets)

    def headline(
        self, test: Mapping[str, Any], labels: Sequence[str], target_name: str, counted: str
    ) -> tuple[str, str, str]:
        return (
            f"to tell {len(labels)} classes apart. On {test[counted]:,} test {counted} it is right in",
            f"{100 * test['accuracy']:.1f} %",
            "; always answering the most frequent class would be right in "
            f"{100 * test['majority_class_accuracy']:.1f} %.",
        )

    def note(self, labels: Sequence[str]) -> str:
        return "AUROC is the mean of each class against the rest." if len(labels) > 2 else ""

    def drawings(self, test: Evaluation, labels: Sequence[str], target_name: str, *, counted: str) -> list[Drawing]:
        """Which classes are taken for which, and how sure of it the model is."""
        bins = reliability_bins(test.outputs, test.targets)
        scores, first = self.scores(test.outputs), 1 if len(labels) == 2 else 0
        ranked = {label: (scores[:, index], test.targets == index) for index, label in enumerate(labels)}
        own = [self._threshold(k) if first else None for k in range(len(labels))]
        curves = figures.ranking_curves(dict(list(ranked.items())[first:]), thresholds=own[first:])
        return [
            Drawing(figures.confusion_matrix(test.metrics["confusion_matrix"], labels), "Confusion matrix"),
            Drawing(figures.reliability_diagram(bins, counted=counted), "Reliability diagram"),
            Drawing(curves, "ROC and precision-recall curves"),
        ]

    def _threshold(self, output: int) -> float:
        """Of two classes: from which probability on one of them is answered."""
        if self.rule is None:
            return 0.5
        own, other = (self.rule.threshold_of(one) for one in (output, 1 - output))
        return own if own is not None else 1 - (other if other is not None else 0.5)

    def scores(self, outputs: Outputs) -> NDArray[np.float64]:
        """Probabilities of the classes."""
        return np.asarray(softmax(outputs.astype(np.float64), axis=1))

    def thresholds(self, test: Evaluation, labels: Sequence[str]) -> list[dict[str, float]]:
        """Of two classes: when the second one is answered from each of nine probabilities on."""
        if len(labels) != 2:
            return []
        scores, positive = self.scores(test.outputs)[:, 1], test.targets == 1
        found = []
        for threshold in np.linspace(0.1, 0.9, 9).tolist():
            answered = scores >= threshold
            both = int((answered & positive).sum())
            precision, recall = both / max(int(answered.sum()), 1), both / max(int(positive.sum()), 1)
            f1 = 2 * precision * recall / max(precision + recall, 1e-12)
            share = float(answered.mean())
            found.append(
                {"threshold": threshold, "answered": share, "precision": precision, "recall": recall, "f1": f1}
            )
        return found

    def mistakes(self, test: Evaluation, labels: Sequence[str]) -> Mistakes:
        """By the probability of the wrong class."""
        probabilities, predicted = softmax(test.outputs, axis=1), self.decided(test.outputs)
        sizes = np.where(predicted == test.targets, 0, probabilities[np.arange(len(predicted)), predicted])
        return sizes, lambda row: labels[int(test.targets[row])], lambda row: labels[int(predicted[row])]


def _log_shares(targets: Targets, classes: int) -> NDArray[np.float64]:
    counts = np.bincount(targets, minlength=classes)
    return np.asarray(np.log(np.maximum(counts, 0.5) / len(targets)))


def class_weights(targets: Sequence[int], classes: int) -> Tensor:
    """n / (classes * count) of each class, float32 [classes]: rare ones weigh more."""
    return torch.tensor(len(targets) / (classes * np.bincount(targets, minlength=classes)), dtype=torch.float32)


def auroc(probabilities: NDArray[np.floating[Any]], targets: Targets) -> float | None:
    """Area under the ROC curve; with more than two classes the mean of each class against the rest.

    None when some class has no text, or every text: its curve is then undefined.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(targets, minlength=classes)
    if (counts == 0).any():
        return None
    if classes == 2:
        return float(roc_auc_score(targets, probabilities[:, 1]))
    return float(np.mean([roc_auc_score(targets == index, probabilities[:, index]) for index in range(classes)]))


def expected_calibration_error(logits: Outputs, targets: Targets) -> float:
    """Mean distance between confidence and accuracy over equal-width bins, weighted by their texts; in [0, 1].

    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks (ICML 2017), equation 3, with M = 15.
    """
    bins = [one for one in reliability_bins(logits, targets) if one.count]
    return float(sum(one.count / len(targets) * abs(one.accuracy - one.confidence) for one in bins))


def reliability_bins(logits: Outputs, targets: Targets) -> list[figures.ReliabilityBin]:
    """The bins of the reliability diagram: `CALIBRATION_BINS` of equal width over [0, 1], by confidence."""
    probabilities = softmax(logits, axis=1)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    places = reliability_places(confidence)
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bins = []
    for index in range(CALIBRATION_BINS):
        inside = places == index
        count = int(inside.sum())
        bins.append(
            figures.ReliabilityBin(
                lower=float(edges[index]),
                upper=float(edges[index + 1]),
                count=count,
                confidence=float(confidence[inside].mean()) if count else float("nan"),
                accuracy=float(right[inside].mean()) if count else float("nan"),
            )
        )
    return bins


def reliability_places(confidence: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """The bin of each row; intervals are open below and closed above, as in the paper."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
