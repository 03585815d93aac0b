"""What every result can be shown as: text, HTML, a frame, an object of shap.

Each is made by a module of its own, imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import pandas as pd
    import shap

    from explicate.results import ExplainResult, PackedResult, PredictResult
    from explicate.views.reasons import Reason

_TOP = 15  # features a text lists for each output, as the command line does


class Shown:
    """The views of an `ExplainResult`."""

    def __str__(self) -> str:
        """The text of `explicate explain`: the prediction, how far to trust the answer, the 15 strongest features."""
        from explicate.views.explanation_text import lines

        return "\n".join(lines(self._result, _TOP, more="explanation.top(n)"))

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame with a line for each feature of each explained output, in reading order.

        Columns: class (and against, of a contrast), feature, its place or value, then value, standard_error, lower,
        upper, baseline_value and instance_value. Raises UsageError where pandas is not installed.
        """
        from explicate.views.frames import explanation_frame

        return explanation_frame(self._result)

    def to_shap(self) -> shap.Explanation:
        """The same numbers as a `shap.Explanation`, which `shap.plots` draws; needs `explicate[shap]`.

        `explicate.rows_to_shap` puts many rows of a table into one. For an image each segment's value is spread over
        its pixels, as `shap.plots.image` has it.
        """
        from explicate.views.shap import to_shap

        return to_shap(self._result)

    def reasons(
        self,
        *,
        toward: str | None = None,
        against: str | None = None,
        top: int = 4,
        names: Mapping[str, str] | None = None,
        language: str | None = None,
    ) -> tuple[Reason, ...]:
        """What counts most, as sentences: `print(*result.reasons(against="granted"), sep="\\n")`.

        toward, against: a class, or the target of a regression: only what raises it, or only what lowers it. With
        neither: both, of the first output that was explained. top: at most so many; four are enough for a letter.
        names: what columns and classes are called in the sentences, where their own names are not for people.
        language: of the sentences, such as "de". Default: that of the answer.
        A part whose interval holds 0 is no reason, so there may be fewer. Raises UsageError if the explanation does not
        tell of that class: ask with `target=`.
        """
        from explicate.views.reasons import reasons

        return reasons(self._result, toward=toward, against=against, top=top, names=names, language=language)

    def to_html(self) -> str:
        """A fragment of HTML: the text, the table of columns or the image, coloured by what each part adds."""
        from explicate.views.html import fragment

        return fragment(self._result)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return self.to_html()

    @property
    def _result(self) -> ExplainResult:
        return cast("ExplainResult", self)


class ShownPredictions:
    """The views of a `PredictResult`."""

    def __str__(self) -> str:
        """What was predicted, a line for each input."""
        from explicate.views.wording import prediction

        return "\n".join(map(prediction, cast("PredictResult", self).predictions))

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame with a line for each input: what was predicted, and `probability_LABEL` for each label."""
        from explicate.views.frames import predictions_frame

        return predictions_frame(cast("PredictResult", self).predictions)


class ShownRows:
    """The views of a `PackedResult`."""

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame with a line for each row, as `PredictResult.to_frame` has it."""
        from explicate.views.frames import packed_frame

        return packed_frame(cast("PackedResult", self))
