"""How labels are spread over a split, as data.json holds it and as words for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any  # JSON values

import numpy as np

from explicate_training.data.labelled_text import Label
from explicate_training.data.labels import Task

_SHOWN_CLASSES = 8


def label_summary(task: Task, labels: Sequence[Label]) -> dict[str, Any]:
    """Counts by class or label, with those that have none; or mean, minimum and maximum of values."""
    if task == "regression":
        values = np.array(labels, dtype=np.float64)
        return {"mean": float(values.mean()), "minimum": float(values.min()), "maximum": float(values.max())}
    if task == "classification":
        return {"classes": dict(sorted(Counter(map(str, labels)).items()))}
    counts = Counter(name for label in labels for name in (label if isinstance(label, tuple) else ()))
    return {"classes": dict(sorted(counts.items())), "without_label": sum(label == () for label in labels)}


def summary_words(summary: Mapping[str, Any]) -> str:
    """The same in a line."""
    if "mean" in summary:
        return f"{summary['minimum']:.4g} to {summary['maximum']:.4g}, mean {summary['mean']:.4g}"
    counts = sorted(summary["classes"].items(), key=lambda one: -one[1])
    what = "labels" if "without_label" in summary else "classes"
    words = [f"{label} {count:,}" for label, count in counts[:_SHOWN_CLASSES]]
    if len(counts) > _SHOWN_CLASSES:
        words.append(f"{len(counts) - _SHOWN_CLASSES} {what} more")
    if summary.get("without_label"):
        words.append(f"none {summary['without_label']:,}")
    return ", ".join(words)
