"""What the plots of an evaluation are, as numbers: a run's report draws them, and a manifest carries them.

Curves have a point for each share of the parts, the mean over the inputs with its bootstrap interval; a histogram has
how many inputs fall into each of equal steps. So a plot has nothing of any single input.
"""

from collections.abc import Iterator, Sequence
from typing import Any  # JSON values

import numpy as np

from explicate.v1 import bundle_pb2
from explicate_server.explain.quality import SHARES
from explicate_standards import bootstrap
from explicate_standards.evaluation import Evaluation
from explicate_standards.metric import Floats, mean
from explicate_standards.metrics import comprehensiveness, evaluations_per_player

Plot = bundle_pb2.InterpretabilityPlot
BINS = 20
_BEYOND = 1.02  # of the greatest value, so that it lies inside the last step


def plots(evaluation: Evaluation) -> dict[str, list[Plot]]:
    """By metric: deletion curves beside random ones, what explanations cost, and how wide their intervals are."""
    found: dict[str, list[Plot]] = {}
    for metric_id, plot in _plots(evaluation):
        found.setdefault(metric_id, []).append(plot)
    return found


def _plots(evaluation: Evaluation) -> Iterator[tuple[str, Plot]]:
    for metric, title, x in (
        (comprehensiveness.COMPREHENSIVENESS, "Without the parts named first", "share of the parts removed"),
        (comprehensiveness.SUFFICIENCY, "With these parts alone", "share of the parts kept"),
    ):
        falls, random = [_numbers(evaluation, metric.id, key) for key in ("curve", "random_curve")]
        if len(falls):
            lines = [_line("by the explanation", falls), _line("at random", random, dashed=True)]
            yield metric.id, Plot(title=title, x=x, y="fall of the answer", lines=lines)
    id_, what = evaluations_per_player.METRIC.id, f"held-out {evaluation.model.kind.reads.plural}"
    rows = _numbers(evaluation, id_, "per_player")
    if len(rows):
        marks = [_mark("median", rows, 0.5), _mark("90th percentile", rows, 0.9)]
        yield id_, histogram("Model rows to intervals of a tenth", rows, x="rows for each part", y=what, marks=marks)
    widths = _numbers(evaluation, id_, "served_interval")
    if len(widths):
        marks = [_mark("median", widths, 0.5)]
        yield id_, histogram("Widest interval as served", widths, x="share of the range", y=what, marks=marks)


def histogram(title: str, values: Floats, *, x: str, y: str, marks: Sequence[bundle_pb2.PlotMark]) -> Plot:
    """How often values float64[k] fall into equal steps from 0 to the greatest of them and of the marks."""
    last = max([float(values.max(initial=0.0)), *(mark.value for mark in marks)]) or 1.0
    counts, edges = np.histogram(values, bins=BINS, range=(0.0, last * _BEYOND))
    steps = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    bins = [bundle_pb2.PlotBin(lower=lower, upper=upper, count=count) for lower, upper, count in steps]
    return Plot(title=title, x=x, y=y, bins=bins, marks=marks)


def _line(name: str, curves: Floats, *, dashed: bool = False) -> bundle_pb2.PlotLine:
    """The means of curves float64[inputs, SHARES]."""
    points = []
    for share, falls in zip(SHARES, curves.T, strict=True):
        if point := bootstrap.figure(name, falls, mean):
            interval = bundle_pb2.Interval(lower=point.lower, upper=point.upper)
            points.append(bundle_pb2.PlotPoint(x=share, y=point.value, interval=interval))
    return bundle_pb2.PlotLine(name=name, points=points, dashed=dashed)


def _mark(name: str, values: Floats, share: float) -> bundle_pb2.PlotMark:
    return bundle_pb2.PlotMark(name=name, value=float(np.quantile(values, share)))


def _numbers(evaluation: Evaluation, metric_id: str, key: str) -> Floats:
    """What was measured of the inputs that have it, float64[inputs, …]."""
    found: list[Any] = [of_input[metric_id].get(key) for of_input in evaluation.measured if metric_id in of_input]
    return np.array([one for one in found if one is not None], dtype=np.float64)
