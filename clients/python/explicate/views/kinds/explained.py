"""What differs between explanations of one kind of input and another, for all views, and what most kinds share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from explicate.views import amounts
from explicate.views.amounts import translucent

if TYPE_CHECKING:
    import shap

    from explicate.results import Contribution, ExplainResult, Feature, Prediction


class Explained(ABC):
    """An explanation of one kind of input.

    figures_heading: the heading of the attributions. has_figures: whether HTML shows all figures without hovering.
    end: what the output with every feature is called. csv_columns: those that CSV has for this kind alone.
    says_unread: whether an answer's sentences say what the model did not read.
    """

    figures_heading: ClassVar[str] = "value"
    has_figures: ClassVar[bool] = False
    end: ClassVar[str]
    csv_columns: ClassVar[tuple[str, ...]] = ()
    says_unread: ClassVar[bool] = True

    def __init__(self, result: ExplainResult) -> None:
        self.result = result
        self.explanation = result.explanation
        self.decimals = amounts.decimals(result)

    @classmethod
    @abstractmethod
    def explains(cls, result: ExplainResult) -> bool:
        """Whether the result is of this kind."""

    @property
    @abstractmethod
    def noun(self) -> str:
        """What one feature is called, such as "word"."""

    @property
    def nouns(self) -> str:
        """What several features are called."""
        return f"{self.noun}es" if self.noun.endswith("ch") else f"{self.noun}s"

    def counted(self, count: int) -> str:
        """A number of features, such as "1 word" or "3 phrases"."""
        return f"{count:,} {self.noun if count == 1 else self.nouns}"

    @property
    def start(self) -> str:
        """What the output without any feature is called."""
        return f"without {self.nouns}"

    @property
    def beside_heading(self) -> str:
        """The heading of what is shown beside the names of features; empty when there is no more to say."""
        return ""

    def beside(self, feature: Feature) -> str:  # noqa: ARG002
        """What is shown beside the name of a feature, where there is a `beside_heading`."""
        return ""

    def written(self, feature: Feature) -> str:
        """A feature in a list of parts."""
        return feature.name

    @property
    def unread(self) -> str:
        """What of its input the model did not read; empty when it read all."""
        return ""

    @property
    def not_words(self) -> str:
        """Which features are not what they are called, and why; empty when all are."""
        return ""

    @staticmethod
    def not_as_given(answer: Prediction) -> str:  # noqa: ARG004 - most kinds are taken as they are
        """What the model could not take as it was given, by an answer of any kind; empty when it took all."""
        return ""

    def csv_cells(self, feature: Feature) -> tuple[object, ...]:  # noqa: ARG002 - most kinds add nothing
        """What CSV has for a feature in `csv_columns`."""
        return tuple(None for _ in self.csv_columns)

    @abstractmethod
    def drawer(self) -> Callable[[int], str]:
        """What gives the HTML of an output, by its index among the attributions."""

    def to_shap(self, shap: Any, np: Any) -> shap.Explanation | None:  # noqa: ARG002
        """The `shap.Explanation` of a kind that has one of its own; else None. shap, np: the modules."""
        return None

    @abstractmethod
    def shap_data(self, np: Any) -> dict[str, Any]:  # Any: the module numpy and its arrays
        """`data`, and where plots need it `display_data`, of a `shap.Explanation`: one entry for each feature."""

    def tooltip(self, contribution: Contribution) -> str:
        """What is shown of a feature that is hovered."""
        text = f"{contribution.feature.name}: {amounts.number(contribution.value, self.decimals)}"
        if not math.isnan(contribution.half_width):
            confidence = f"{self.explanation.options.confidence:.3g}"
            text += f" ({confidence} interval {amounts.interval(contribution, self.decimals)})"
        return text

    def table(self, output: int, *, most: int | None = None) -> str:
        """One output's features as an HTML table, the strongest first; at most `most`, else all."""
        figures = '<th class="figure">adds</th>'
        if any(contribution.half_width > 0 for contribution in self.explanation.contributions(output)):
            figures += f'<th class="figure">{self.explanation.options.confidence:.3g} interval</th>'
        head = f"<th>{escape(self.noun)}</th><th>{self.beside_heading}</th><th></th><th></th>{figures}"
        scale = amounts.largest(self.explanation.attributions[output])
        shown = self.explanation.top(len(self.explanation.features) if most is None else most, output)
        lines = [self._table_line(c, c.value / scale) for c in shown]
        return f"<table><tr>{head}</tr>{''.join(lines)}</table>"

    def _table_line(self, contribution: Contribution, strength: float) -> str:
        unsure = ' class="unsure"' if contribution.lower <= 0 <= contribution.upper else ""
        interval = amounts.half_width(contribution)
        if contribution.half_width > 0:
            interval = amounts.interval(contribution, self.decimals)
        return (
            f'<tr><td dir="auto">{escape(contribution.feature.name)}</td>'
            f'<td dir="auto">{escape(self.beside(contribution.feature))}</td>'
            f'<td class="side lowers">{_bar(strength) if strength < 0 else ""}</td>'
            f'<td class="side">{_bar(strength) if strength > 0 else ""}</td>'
            f'<td class="figure"><span{unsure}>{amounts.number(contribution.value, self.decimals)}</span></td>'
            f'<td class="figure">{interval}</td></tr>'
        )


def _bar(strength: float) -> str:
    colour = translucent(math.copysign(1, strength), most=1)
    return f'<span class="bar" style="width:{abs(strength):.1%};background:{colour}"></span>'
