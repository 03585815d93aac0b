"""How good a model of several labels is, from its logits on texts, rows or images with known labels."""

from collections.abc import Sequence
from typing import Any  # JSON values

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support, roc_auc_score

from explicate_training.tasks.classification import Logits, Targets


def multi_label_metrics(logits: Logits, targets: Targets, labels: Sequence[str], *, counted: str) -> dict[str, Any]:
    """All metrics as JSON values; what is undefined, such as the AUROC of a label that no row has, is None.

    A label is predicted from a probability of one half on. Means over labels leave out those where they are undefined.

    Args:
        logits: float [rows, labels].
        targets: int [rows, labels], 1 where the row has the label.
        labels: names by index.
        counted: what is labelled, the name under which counts stand.
    """
    predicted = (logits >= 0).astype(np.int64)
    positives = targets.sum(axis=0)
    per_label = {label: _of_label(logits[:, k], targets[:, k], counted) for k, label in enumerate(labels)}
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
        "log_loss": float(np.logaddexp(0, np.where(targets == 1, -logits, logits).astype(np.float64)).mean()),
        "per_class": per_label,
    }


def _of_label(logits: Logits, targets: Targets, counted: str) -> dict[str, Any]:
    precision, recall, f1, _ = precision_recall_fscore_support(
        targets, logits >= 0, average="binary", pos_label=1, zero_division=0
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
