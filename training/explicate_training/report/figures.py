"""The figures of a run's report, each as an SVG drawing in the light colours, which a page changes for its own."""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # matplotlib's settings

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from explicate.views.look.palette import AREA, BEHIND, FIRST, LIGHT, QUIET, SECOND, SERIES, THIRD

_TRAIN, _VALIDATION, _BEST, _GREY = FIRST, SECOND, THIRD, QUIET
_SHADES = 20  # of a confusion matrix
_DARK_SHADE = 0.65  # from which on letters of the paper's colour are seen better than ink, on light and dark pages
_MOST_CURVES = 8
_MOST_LEVEL = 8  # characters of a class's name below its column, before names are slanted
_MAX_NAMED_CLASSES = 30  # beyond that a confusion matrix has no room for names and numbers
# Letters stay letters, drawn by the browser, which has fonts for every script that a label may be in. The salt makes
# the drawing's ids the same in every run.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "explicate",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=SERIES),
    "figure.facecolor": LIGHT.paper,
    "axes.facecolor": LIGHT.paper,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": LIGHT.ink,
    "text.color": LIGHT.ink,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": LIGHT.ink,
    "ytick.labelcolor": LIGHT.ink,
}


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence lies in (lower, upper]."""

    lower: float
    upper: float
    count: int
    confidence: float  # mean probability of the predicted class; NaN when count is 0
    accuracy: float  # share that is right; NaN when count is 0


def loss_curves(history: Sequence[Mapping[str, float]], best_step: int) -> str:
    """Training and validation loss by step."""
    figure, axes = _new("step", "loss")
    _curve(axes, history, "loss", "training", color=_TRAIN, linewidth=1)
    _curve(axes, history, "validation_loss", "validation", color=_VALIDATION, marker="o")
    return _with_best(figure, best_step)


def metric_curves(history: Sequence[Mapping[str, float]], best_step: int, titles: Mapping[str, str]) -> str:
    """Two validation metrics by step; `titles` by name, such as "accuracy"."""
    figure, axes = _new("step", "validation")
    styles = ({"color": _VALIDATION, "marker": "o"}, {"color": _TRAIN, "marker": "s"})
    for (name, title), style in zip(titles.items(), styles, strict=True):
        _curve(axes, history, f"validation_{name}", title, **style)
    return _with_best(figure, best_step)


def masked_curve(points: Sequence[tuple[float, float, tuple[float, float] | None]], metric: str) -> str:
    """A metric by the share of the parts that is removed: shares, values, and where there are some their intervals."""
    figure, axes = _new("share of the parts that is removed", metric)
    axes.plot([share for share, _, _ in points], [value for _, value, _ in points], color=_TRAIN, marker="o")
    known = np.array([(share, *ends) for share, _, ends in points if ends]).reshape(-1, 3)
    axes.fill_between(known[:, 0], known[:, 1], known[:, 2], color=_TRAIN, alpha=0.2, linewidth=0)
    axes.set(xlim=(-0.02, 0.92))
    return svg_of(figure)


def confusion_matrix(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Counts by true class (down) and predicted class (across), coloured by the share of the true class."""
    matrix = np.asarray(counts)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    named = len(labels) <= _MAX_NAMED_CLASSES
    side = min(max(3.6, 0.55 * len(labels) + 1.6), 11)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.add_subplot()
        _shade(axes, shares)
        axes.set(xlabel="predicted", ylabel="true")
        if named:
            short = [_plain(label) for label in labels]
            slanted: dict[str, Any] = (
                {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
                if len(labels) > 4 or max(map(len, short)) > _MOST_LEVEL
                else {}
            )
            axes.set_xticks(range(len(labels)), short, **slanted)
            axes.set_yticks(range(len(labels)), short)
            for (true, predicted), count in np.ndenumerate(matrix):
                color = LIGHT.paper if shares[true, predicted] > _DARK_SHADE else LIGHT.ink
                axes.text(predicted, true, f"{count:,}", ha="center", va="center", color=color)
        return svg_of(figure)


def _shade(axes: mpl.axes.Axes, shares: NDArray[np.float64]) -> None:
    """A square for each share, the less see-through the larger: a path for each shade, not a picture with colours."""
    shades = np.ceil(shares * _SHADES)
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)])
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    for shade in range(1, _SHADES + 1):
        places = np.argwhere(shades == shade)[:, ::-1]
        if len(places):
            squares = Path((places[:, None] + corners).reshape(-1, 2), codes * len(places))
            axes.add_patch(PathPatch(squares, facecolor=FIRST, alpha=shade / _SHADES, linewidth=0))
    axes.set(xlim=(-0.5, len(shares) - 0.5), ylim=(len(shares) - 0.5, -0.5), aspect="equal")


def reliability_diagram(bins: Sequence[ReliabilityBin], *, counted: str = "texts") -> str:
    """Accuracy by confidence against the diagonal, and below it how many texts or rows each bin has."""
    filled = [one for one in bins if one.count]
    width = 0.92 / len(bins)
    middles = [(one.lower + one.upper) / 2 for one in filled]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4, 4.8), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.bar(middles, [one.accuracy for one in filled], width, color=AREA, label="accuracy")
        upper.plot(
            [one.confidence for one in filled], [one.accuracy for one in filled], "o", color=_VALIDATION, markersize=4,
            label="at mean confidence",
        )  # fmt: skip
        upper.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1, label="calibrated")
        upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        upper.legend(frameon=False, loc="upper left", fontsize=9)
        lower.bar(middles, [one.count for one in filled], width, color=_GREY)
        lower.set(xlabel="confidence (probability of the predicted class)", ylabel=counted)
        return svg_of(figure)


def ranking_curves(
    ranked: Mapping[str, tuple[NDArray[np.float64], NDArray[np.bool_]]], *, thresholds: Sequence[float | None]
) -> str:
    """ROC and precision-recall curves of scores float64 [rows] against which rows are positive, by name.

    Those of at most eight names, with the area under each curve. thresholds: where each has a dot; None for no dot.
    Fawcett, An introduction to ROC analysis (2006); average precision as scikit-learn defines it.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        named = zip(ranked.items(), thresholds, strict=True)
        drawn = [(name, *pair, dot) for (name, pair), dot in named if 0 < pair[1].sum() < len(pair[1])][:_MOST_CURVES]
        for name, scores, positive, threshold in drawn:
            _ranking(left, right, _plain(name) if len(drawn) > 1 else "", scores, positive, threshold)
        left.plot([0, 1], [0, 1], "--", color=_GREY, linewidth=1)
        left.set(xlabel="false positive rate", ylabel="true positive rate (recall)", xlim=(-0.01, 1), ylim=(0, 1.01))
        right.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1), ylim=(0, 1.02))
        for axes in (left, right):
            if drawn:
                axes.legend(frameon=False, fontsize=8)
        return svg_of(figure)


def _ranking(
    left: mpl.axes.Axes,
    right: mpl.axes.Axes,
    name: str,
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    threshold: float | None,
) -> None:
    false_rate, true_rate, _ = roc_curve(positive, scores)
    precision, recall, _ = precision_recall_curve(positive, scores)
    (line,) = left.plot(false_rate, true_rate, label=f"{name} area {auc(false_rate, true_rate):.3f}".strip())
    average = average_precision_score(positive, scores)
    right.plot(recall, precision, label=f"{name} average precision {average:.3f}".strip(), color=line.get_color())
    if threshold is not None:
        answered = scores >= threshold
        hit = (answered & positive).sum()
        left.plot(
            [(answered & ~positive).sum() / (~positive).sum()], [hit / positive.sum()], "o", color=line.get_color()
        )
        right.plot([hit / positive.sum()], [hit / max(answered.sum(), 1)], "o", color=line.get_color())


def importance_bars(named: Sequence[tuple[str, float, float, float]], *, axis: str) -> str:
    """Means with their intervals (name, value, lower, upper) as bars, the first on top. axis: means of what."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.28 * len(named)), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(named))
        values = np.array([value for _, value, _, _ in named])
        ends = np.array([[value - lower, upper - value] for _, value, lower, upper in named]).T
        axes.barh(places, values, color=AREA, height=0.65)
        axes.errorbar(values, places, xerr=np.maximum(ends, 0), fmt="none", ecolor=LIGHT.ink, elinewidth=1, capsize=2)
        axes.set_yticks(places, [_plain(name) for name, *_ in named])
        axes.invert_yaxis()
        axes.set(xlabel=axis, xlim=(0, None))
        return svg_of(figure)


@dataclass(frozen=True)
class ShapePanel:
    """What one column adds.

    Attributes:
        name: of the column.
        note: what is promised of it.
        values: numbers in ascending order; None of categories.
        ticks: names of the categories; of dates the first and the last one; empty of plain numbers.
        added: by the output that it is added to, float [values].
        training: the training values; of categories how many rows each has.
    """

    name: str
    note: str
    values: NDArray[np.float64] | None
    ticks: Sequence[str]
    added: Mapping[str, NDArray[np.float64]]
    training: NDArray[Any]


_PANELS_A_ROW, _MOST_PANELS = 3, 30


def shape_functions(panels: Sequence[ShapePanel], *, axis: str) -> str:
    """What columns add, a panel each on one scale, over their training values in grey. axis: what it is added to."""
    shown = panels[:_MOST_PANELS]
    rows = -(-len(shown) // _PANELS_A_ROW)
    ends = [float(end) for panel in shown for one in panel.added.values() for end in (one.min(), one.max())]
    margin = 0.06 * (max(ends) - min(ends) or 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 2.5 * rows), layout="constrained")
        for place, panel in enumerate(shown):
            axes = figure.add_subplot(rows, _PANELS_A_ROW, place + 1)
            (_category_panel if panel.values is None else _number_panel)(axes, panel)
            axes.axhline(0, color=_GREY, linewidth=0.6)
            axes.set_ylim(min(ends) - margin, max(ends) + margin)
            axes.set_title(_plain(panel.name) + (f"\n{_plain(panel.note, 34)}" if panel.note else ""), fontsize=9)
            if not place % _PANELS_A_ROW:
                axes.set_ylabel(_plain(axis, 34), fontsize=8)
            if not place and len(panel.added) > 1:
                axes.legend(frameon=False, fontsize=8)
        return svg_of(figure)


def _number_panel(axes: mpl.axes.Axes, panel: ShapePanel) -> None:
    assert panel.values is not None
    behind = axes.twinx()
    behind.hist(panel.training, bins=30, range=(panel.values[0], panel.values[-1] + 1e-9), color=BEHIND)
    behind.set_axis_off()
    axes.set_zorder(1)
    axes.patch.set_visible(False)
    for name, added in list(panel.added.items())[:_MOST_CURVES]:
        axes.plot(panel.values, added, label=_plain(name), color=_TRAIN if len(panel.added) == 1 else None)
    if panel.ticks:
        axes.set_xticks([panel.values[0], panel.values[-1]], panel.ticks)


def _category_panel(axes: mpl.axes.Axes, panel: ShapePanel) -> None:
    places = np.arange(len(panel.ticks))
    share = panel.training / max(float(panel.training.max()), 1.0)
    behind = axes.twinx()
    behind.bar(places, share, color=BEHIND, width=0.9)
    behind.set_axis_off()
    axes.set_zorder(1)
    axes.patch.set_visible(False)
    for name, added in list(panel.added.items())[:_MOST_CURVES]:
        axes.plot(places, added, "o", label=_plain(name), color=_TRAIN if len(panel.added) == 1 else None)
    axes.set_xticks(places, [_plain(name) for name in panel.ticks], rotation=30, ha="right", fontsize=8)


def residuals(predicted: NDArray[np.floating[Any]], targets: NDArray[Any], name: str, *, counted: str = "rows") -> str:
    """Predicted against true values, float [rows] each, and a histogram of the errors."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        ends = [min(predicted.min(), targets.min()), max(predicted.max(), targets.max())]
        left.plot(targets, predicted, "o", color=_TRAIN, markersize=3, alpha=0.6)
        left.plot(ends, ends, "--", color=_GREY, linewidth=1)
        left.set(xlabel=f"true {_plain(name)}", ylabel="predicted")
        right.hist(predicted - targets, bins=30, color=AREA)
        right.axvline(0, color=_GREY, linestyle="--", linewidth=1)
        right.set(xlabel="predicted - true", ylabel=counted)
        return svg_of(figure)


def _new(xlabel: str, ylabel: str) -> tuple[Figure, mpl.axes.Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.7, 3.1), layout="constrained")
        axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if xlabel == "step":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes


def _curve(axes: mpl.axes.Axes, history: Sequence[Mapping[str, float]], name: str, title: str, **style: Any) -> None:
    points = [(entry["step"], entry[name]) for entry in history if name in entry]
    axes.plot([step for step, _ in points], [value for _, value in points], label=title, **style)


def _with_best(figure: Figure, best_step: int) -> str:
    axes = figure.axes[0]
    axes.axvline(best_step, color=_BEST, linestyle=":", label="chosen checkpoint")
    axes.legend(frameon=False, fontsize=9)
    return svg_of(figure)


def _plain(label: str, longest: int = 18) -> str:
    """A label cut to size, its dollars kept from being read as mathematics."""
    return (label if len(label) <= longest else label[: longest - 1] + "…").replace("$", r"\$")


def svg_of(figure: Figure) -> str:
    """A drawing, its letters kept as letters."""
    drawing = io.StringIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # matplotlib measures letters with its own font and warns of those that it lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(drawing, format="svg", metadata={"Date": None})
    return drawing.getvalue()
