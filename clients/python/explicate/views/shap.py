"""Explanations as the `shap` library's own object, so that whatever takes a `shap.Explanation` takes ours.

shap and numpy are imported here only, when asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from explicate.errors import UsageError
from explicate.views.kinds import explained

if TYPE_CHECKING:
    import shap

    from explicate.results import ExplainResult


def to_shap(result: ExplainResult) -> shap.Explanation:
    """The `shap.Explanation` of one input: n features, or n features by m outputs when several were explained.

    `values`, `lower_bounds`, `upper_bounds` and `error_std` are float64 [n] or [n, m], `base_values` float64 scalar
    or [m]. `data` holds for a text the features with what follows them, so that joined they are the text; for a row of
    a table its values, NaN where one is missing; `display_data` has them as plots write them. A "$" in names and
    `display_data` is written as "\\$", since plots would read what two of them enclose as a formula. `kinds` say what
    others give. Raises UsageError when shap is not installed.
    """
    shap, np = _libraries()
    told = explained(result)
    if (own := told.to_shap(shap, np)) is not None:
        return own
    explanation = result.explanation
    outputs = explanation.attributions
    # Of an invisible text there is nothing; shap 0.51 looks at the first item of each array below.
    data = _shown(told.shap_data(np)) if explanation.features else {"data": []}
    one = len(outputs) == 1

    def columns(field: str) -> Any:
        table = np.array([getattr(output, field) for output in outputs], dtype=np.float64).T  # [n, m]
        return table if not one else table[:, 0] if len(table) else []

    names: list[str] | None = [_plottable(feature.name) for feature in explanation.features]
    if not one and len(explanation.features) == len(outputs):
        # shap 0.51 tells the axes of the names by their length, and would give output i the name of feature i; the
        # words are still in `data`.
        names = None
    converted = shap.Explanation(
        values=np.asarray(columns("values")),
        base_values=outputs[0].baseline_value if one else np.array([output.baseline_value for output in outputs]),
        **data,
        feature_names=names,
        output_names=None if one else [_plottable(output.name) for output in outputs],
        lower_bounds=columns("lower"),
        upper_bounds=columns("upper"),
        error_std=columns("standard_errors"),
    )
    if one:  # the constructor of shap 0.51 takes a list of names only, while its plots expect a string here
        converted.output_names = _plottable(outputs[0].name)
    return converted


def rows_to_shap(results: Sequence[ExplainResult], output: int = 0) -> shap.Explanation:
    """Many rows of one table as one `shap.Explanation`, for `shap.plots.beeswarm` and its like.

    For r rows and n features `values`, `lower_bounds`, `upper_bounds`, `error_std`, `data` and `display_data` are
    [r, n], and `base_values` is float64 [r]. output: which of the explained outputs. Raises UsageError when the results
    do not have the same features, or shap is not installed.
    """
    shap, np = _libraries()
    if not results:
        raise UsageError("rows_to_shap() needs at least one explanation")
    names = [feature.name for feature in results[0].explanation.features]
    if any(result.row is None or [f.name for f in result.explanation.features] != names for result in results):
        raise UsageError("rows_to_shap() needs explanations of rows that have the same columns")
    attributions = [result.explanation.attributions[output] for result in results]
    classes = {attribution.name for attribution in attributions}
    if len(classes) > 1:
        what = ", ".join(sorted(classes))
        raise UsageError(f"rows_to_shap() needs one class explained for all rows, not {what}: give explain() a target")

    def table(field: str) -> Any:
        return np.array([getattr(attribution, field) for attribution in attributions], dtype=np.float64)

    rows = [_shown(explained(result).shap_data(np)) for result in results]
    data = {field: np.stack([row[field] for row in rows]) for field in ("data", "display_data")}
    for values, shown in zip(data["data"].T, data["display_data"].T, strict=True):
        if all(value != value for value in values):  # NaN in every row leaves a plot nothing to colour by
            values[:] = shown
    converted = shap.Explanation(
        values=table("values"),
        base_values=table("baseline_value"),
        **data,
        feature_names=list(map(_plottable, names)),
        lower_bounds=table("lower"),
        upper_bounds=table("upper"),
        error_std=table("standard_errors"),
    )
    converted.output_names = _plottable(attributions[0].name)
    return converted


def _plottable(text: str) -> str:
    """`text` as matplotlib takes it for plain text, also with two "$" in it."""
    return text.replace("$", r"\$")


def _shown(data: dict[str, Any]) -> dict[str, Any]:
    """`data` as it is, and `display_data` as plots can write it."""
    shown = data.get("display_data", data["data"]).copy()
    shown[:] = [_plottable(str(each)) for each in shown]
    return {**data, "display_data": shown}


def _libraries() -> tuple[Any, Any]:  # Any: the modules shap and numpy
    try:
        import numpy as np
        import shap
    except ImportError as error:
        raise UsageError("to_shap() needs the shap package: pip install 'explicate[shap]'") from error
    return shap, np
