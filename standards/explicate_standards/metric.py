"""What a metric of a model's interpretability is: figures of each input, and statistics of these over the inputs.

A metric is measured input by input, so that it can be resumed, and told by statistics, each with a bootstrap interval
over the inputs. A new one is one file in metrics/ with a `METRIC`, and one line in metrics/interpretability.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from explicate_standards.evaluated_model import EvaluatedModel
    from explicate_standards.subject import Subject

Floats = NDArray[np.float64]
Measured = Mapping[str, "float | list[float]"]
"""Finite figures of one input by name; one that is not defined for the input is left out."""
Reduce = Callable[[Floats], Floats]
"""From figures float64[…, inputs] to a statistic of them, float64[…]."""


def mean(figures: Floats) -> Floats:
    """Of the last axis."""
    return np.asarray(figures.mean(axis=-1))


def quantile(share: float) -> Reduce:
    """A quantile of the last axis, linear between the figures next to it (Hyndman & Fan's type 7)."""
    return lambda figures: np.asarray(np.quantile(figures, share, axis=-1))


median = quantile(0.5)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """A number that is told of a metric.

    Attributes:
        name: after the metric's id and a dot, such as "median"; empty for the metric's main one.
        key: the figure of the inputs that it is made of.
        reduce: how.
        better: which end is better; None where neither is by itself.
    """

    name: str = ""
    key: str
    reduce: Reduce = mean
    better: Literal["higher", "lower"] | None = None


@dataclass(frozen=True)
class Figure:
    """A statistic over the inputs, with its 95 % bootstrap interval.

    Attributes:
        name: such as "additive_r2.median".
        lower, upper: ends of the interval.
        inputs: how many it rests on.
    """

    name: str
    value: float
    lower: float
    upper: float
    inputs: int


Told = Mapping[str, Figure]
"""Figures of one metric by the statistics' own names, in their order; those that no input defines are left out."""


def _nothing_missing(_model: "EvaluatedModel") -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        id: in snake_case, as standards and reports name it.
        title: the same for people.
        definition: what the number is, in a sentence that a reader without training understands.
        measure: the figures of an input; at most as many rows through the model as `rows` says, about.
        statistics: what is told of them, the main one first.
        rows: about how many coalitions an input of n players takes beside those that all metrics share.
        sentence: what the figures say, in one sentence; there is at least one.
        other_games: how many explanations of other games it takes, such as of a changed input.
        most_inputs: on how many inputs it is measured at most; None: on all.
        short_inputs: whether these are the shortest ones, of 20 players at most.
        lacks: why a model cannot be measured by it; empty where it can.
        undefined: why it says nothing where it is not defined on any of the inputs.
    """

    id: str
    title: str
    definition: str
    measure: Callable[["Subject"], Measured]
    statistics: tuple[Statistic, ...]
    rows: Callable[[int], float]
    sentence: Callable[[Told], str]
    other_games: int = 0
    most_inputs: int | None = None
    short_inputs: bool = False
    lacks: Callable[["EvaluatedModel"], str] = _nothing_missing
    undefined: str = "it is not defined on any of these inputs"

    @property
    def figure_names(self) -> tuple[str, ...]:
        """Of its statistics, the main one first, such as "additive_r2.median"."""
        return tuple(f"{self.id}.{one.name}" if one.name else self.id for one in self.statistics)


def said(told: Told, name: str = "", decimals: int = 2) -> str:
    """A figure with its interval, as sentences have it, such as "0.84 [0.81, 0.87]"; a dash where it is not known."""
    figure = told.get(name)
    if figure is None:
        return "–"
    value, lower, upper = (f"{number:.{decimals}f}" for number in (figure.value, figure.lower, figure.upper))
    return f"{value} [{lower}, {upper}]"
