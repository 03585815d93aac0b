"""How good a classifier is, from its logits on texts or rows with known classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # JSON values

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

CALIBRATION_BINS = 15  # as in Guo et al. 2017

Logits = NDArray[np.floating[Any]]
Targets = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence lies in (lower, upper]."""

    lower: float
    upper: float
    count: int
    confidence: float  # mean probability of the predicted class; NaN when count is 0
    accuracy: float  # share that is right; NaN when count is 0


def classification_metrics(
    logits: Logits, targets: Targets, labels: Sequence[str], *, counted: str = "texts"
) -> dict[str, Any]:
    """All metrics as JSON values; what is undefined, such as the AUROC of an absent class, is None.

    Args:
        logits: float [texts, classes].
        targets: int [texts], true class indices.
        labels: class names by index.
        counted: what is classified, the name under which counts stand.
    """
    predicted = logits.argmax(axis=1)
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
        "auroc": auroc(softmax(logits, axis=1), targets),
        "calibration_error": expected_calibration_error(logits, targets),
        "log_loss": float(-log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean()),
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


def expected_calibration_error(logits: Logits, targets: Targets) -> float:
    """Mean distance between confidence and accuracy over equal-width bins, weighted by their texts; in [0, 1].

    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks (ICML 2017), equation 3, with M = 15.
    """
    bins = [one for one in reliability_bins(logits, targets) if one.count]
    return float(sum(one.count / len(targets) * abs(one.accuracy - one.confidence) for one in bins))


def reliability_bins(logits: Logits, targets: Targets) -> list[ReliabilityBin]:
    """The bins of the reliability diagram: `CALIBRATION_BINS` of equal width over [0, 1], by confidence."""
    probabilities = softmax(logits, axis=1)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    # Intervals are open below and closed above, as in the paper.
    places = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    bins = []
    for index in range(CALIBRATION_BINS):
        inside = places == index
        count = int(inside.sum())
        bins.append(
            ReliabilityBin(
                lower=float(edges[index]),
                upper=float(edges[index + 1]),
                count=count,
                confidence=float(confidence[inside].mean()) if count else float("nan"),
                accuracy=float(right[inside].mean()) if count else float("nan"),
            )
        )
    return bins
