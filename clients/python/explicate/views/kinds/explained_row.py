"""An explanation of a row of a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from explicate.views import amounts
from explicate.views.kinds.explained import Explained

if TYPE_CHECKING:
    from explicate.inputs import CellValue
    from explicate.results import ExplainResult, Feature, Prediction


class ExplainedRow(Explained):
    """Features are columns, or named groups of columns."""

    figures_heading = "adds"  # "value" is what a column holds
    has_figures = True
    start = "over the background"
    end = "for this row"
    beside_heading = "value"

    @classmethod
    def explains(cls, result: ExplainResult) -> bool:
        return result.row is not None

    @property
    def noun(self) -> str:
        """ "column", or "feature" when columns were grouped."""
        return "feature" if any(len(_held(feature)) > 1 for feature in self.explanation.features) else "column"

    def beside(self, feature: Feature) -> str:
        return values(feature)

    @staticmethod
    def not_as_given(answer: Prediction) -> str:
        columns = answer.unknown_category_columns
        what = "the category" if len(columns) == 1 else "the categories"
        told = f"the model does not know {what} in {', '.join(columns)}: it answered as for any unknown one"
        return told if columns else ""

    def drawer(self) -> Callable[[int], str]:
        return self.table

    def shap_data(self, np: Any) -> dict[str, Any]:
        features = self.explanation.features
        data, shown = np.empty(len(features), dtype=object), np.empty(len(features), dtype=object)
        data[:] = [_plotted(feature) for feature in features]
        shown[:] = [values(feature) for feature in features]
        return {"data": data, "display_data": shown}


def values(feature: Feature) -> str:
    """What a column holds, such as "34"; for a group of columns "street: Main St, city: Bonn"."""
    held = _held(feature)
    if len(held) == 1:
        return amounts.cell(*held.values())
    return ", ".join(f"{column}: {amounts.cell(value)}" for column, value in held.items())


def _held(feature: Feature) -> dict[str, CellValue]:
    """The columns of a feature, or of all members of a group, with their values."""
    return {column: value for part in feature.parts for column, value in part.values.items()}


def _plotted(feature: Feature) -> float | str:
    """A number where there is one, so that plots can colour by it; NaN is what they take for missing."""
    held = _held(feature)
    if len(held) != 1:
        return values(feature)
    (value,) = held.values()
    return math.nan if value is None else value
