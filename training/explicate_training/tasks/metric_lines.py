"""The metrics of a run as lines for the terminal."""

from collections.abc import Mapping
from typing import Any  # JSON values


def classification_lines(metrics: Mapping[str, Any], *, counted: str = "texts") -> list[str]:
    """The metrics of validation and test as a small table."""
    shown = {
        "accuracy": "accuracy",
        "majority_class_accuracy": "(always the largest class)",
        "precision_macro": "precision, macro",
        "recall_macro": "recall, macro",
        "f1_macro": "F1, macro",
        "auroc": "AUROC",
        "calibration_error": "calibration error",
    }
    lines = _table(metrics, shown)
    for label, values in list(metrics["test"]["per_class"].items())[:20]:
        lines.append(
            f"test, class {label}: precision {values['precision']:.3f}, recall {values['recall']:.3f}, "
            f"F1 {values['f1']:.3f}, {values[counted]:,} {counted}"
        )
    return lines


def multi_label_lines(metrics: Mapping[str, Any], *, counted: str = "texts") -> list[str]:
    """The metrics of validation and test as a small table."""
    shown = {
        "f1_micro": "F1, micro",
        "f1_macro": "F1, macro",
        "subset_accuracy": "all labels right",
        "hamming_loss": "labels wrong",
        "majority_hamming_loss": "(always the more frequent)",
        "auroc": "AUROC, mean",
        "average_precision": "average precision, mean",
    }
    lines = _table(metrics, shown)
    for label, values in list(metrics["test"]["per_class"].items())[:20]:
        area = "-" if values["auroc"] is None else f"{values['auroc']:.3f}"
        lines.append(
            f"test, label {label}: precision {values['precision']:.3f}, recall {values['recall']:.3f}, "
            f"F1 {values['f1']:.3f}, AUROC {area}, {values[counted]:,} {counted}"
        )
    return lines


def regression_lines(metrics: Mapping[str, Any]) -> list[str]:
    """The metrics of validation and test as a small table."""
    shown = {"r2": "R²", "mae": "mean absolute error", "median_mae": "(always the median)", "rmse": "root mean square"}
    return _table(metrics, shown, form=".4g")


def _table(metrics: Mapping[str, Any], shown: Mapping[str, str], *, form: str = ".3f") -> list[str]:
    lines = [f"{'':<28}{'validation':>12}{'test':>10}"]
    for name, title in shown.items():
        values = (metrics[split][name] for split in ("validation", "test"))
        cells = ["-" if value is None else format(value, form) for value in values]
        lines.append(f"{title:<28}{cells[0]:>12}{cells[1]:>10}")
    return lines
