"""An explanation as the `shap` library's own object, so that everything that takes a `shap.Explanation` takes ours.

shap and numpy are imported here only, when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from explicate.errors import UsageError
from explicate.results import ExplainResult
from explicate.segments import feature_texts

if TYPE_CHECKING:
    import shap


def to_shap(result: ExplainResult) -> shap.Explanation:
    """The `shap.Explanation` of one row: n features, or n features by m outputs when several were explained.

    `values`, `lower_bounds`, `upper_bounds` and `error_std` are float64 [n] or [n, m], `base_values` float64 scalar
    or [m]; `data` holds the features with what follows them, so that joined they are the text. Raises UsageError
    when shap is not installed.
    """
    try:
        import numpy as np
        import shap
    except ImportError as error:
        raise UsageError("to_shap() needs the shap package: pip install 'explicate[shap]'") from error
    explanation = result.explanation
    outputs = explanation.attributions
    one = len(outputs) == 1

    def columns(field: str) -> np.ndarray:
        table = np.array([getattr(output, field) for output in outputs], dtype=np.float64).T  # [n, m]
        return table[:, 0] if one else table

    names: list[str] | None = [feature.text for feature in explanation.features]
    if not one and len(explanation.features) == len(outputs):
        # shap 0.51 tells the axes of the names by their length, and would give output i the name of word i; `data`
        # still has the words.
        names = None

    converted = shap.Explanation(
        values=columns("values"),
        base_values=outputs[0].baseline_value if one else np.array([output.baseline_value for output in outputs]),
        data=np.array(feature_texts(result.text, explanation.features), dtype=object),
        feature_names=names,
        output_names=None if one else [output.name for output in outputs],
        lower_bounds=columns("lower"),
        upper_bounds=columns("upper"),
        error_std=columns("standard_errors"),
    )
    if one:  # the constructor of shap 0.51 takes a list of names only, while its plots expect a string here
        converted.output_names = outputs[0].name
    return converted
