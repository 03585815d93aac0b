"""What the figures of a model's interpretability look like over the held-out inputs, as numbers to draw.

A plot has either lines or a histogram, and nothing of any single input.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlotPoint:
    """A point of a line: a statistic over the inputs.

    interval: where y lies, with the confidence of the metrics' intervals.
    """

    x: float
    y: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class PlotLine:
    """A line, its points from left to right.

    dashed: whether it is what the others are compared with, such as what random parts would do.
    """

    name: str
    points: tuple[PlotPoint, ...]
    dashed: bool


@dataclass(frozen=True)
class PlotBin:
    """How many of the inputs fall into a step of a histogram; the last step has its end, the others do not."""

    lower: float
    upper: float
    count: int


@dataclass(frozen=True)
class PlotMark:
    """A value that stands out on the horizontal axis, such as the median."""

    name: str
    value: float


@dataclass(frozen=True)
class InterpretabilityPlot:
    """A plot of a metric: what it shows, what its axes count, and either lines or bins with marks."""

    title: str
    x: str
    y: str
    lines: tuple[PlotLine, ...]
    bins: tuple[PlotBin, ...]
    marks: tuple[PlotMark, ...]
