"""Draws what `benchmarks.accuracy` measured: relative L2 error against rows per player, a panel per set of games."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from explicate.views.look.palette import LIGHT, QUIET, SERIES

TITLES = {
    "text": "Text: DistilBERT on film reviews, 14 tokens",
    "image": "Images: ResNet18 on ImageNet, 14 superpixels",
}
# Ours in colour, the libraries grey and dashed. The lime library gives the numbers of lime, occlusion has one budget.
COLOURS = {
    name: SERIES[place]
    for place, name in enumerate(("kernel-shap", "permutation-shap", "partition-shap", "lime", "lime-stratified"))
}
LIBRARY_COLOUR = QUIET
LIBRARY_STYLES = {
    "shap kernel": (0, (5, 2)),
    "shap kernel, l1_reg=False": (0, (2, 1.5)),
    "shap permutation": (0, (6, 2, 1, 2)),
    "shap partition": (0, (1, 1.5)),
}
# Least distance between two labels, as a share of the axis.
LABEL_STEP = 0.048


class Measured(Protocol):
    """The part of a measurement that is drawn."""

    @property
    def games(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def evaluations_per_player(self) -> int: ...
    @property
    def relative_l2(self) -> float: ...


def plot(figures: Sequence[Measured], path: Path) -> None:
    """Write an SVG, the same one for the same figures."""
    games = list(dict.fromkeys(figure.games for figure in figures))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "explicate", "font.size": 10}):
        drawing = Figure(figsize=(6.6 * len(games), 5.2), facecolor="white", layout="constrained")
        panels = drawing.subplots(1, len(games), squeeze=False)[0]
        for panel, name in zip(panels, games, strict=True):
            _scale(panel, figures)
            _draw(panel, name, [figure for figure in figures if figure.games == name])
        panels[0].set_ylabel("median relative L2 error to exact Shapley values")
        drawing.savefig(path, format="svg", metadata={"Date": None})


def _scale(panel: Axes, figures: Sequence[Measured]) -> None:
    """The same axes for every panel."""
    budgets = sorted({figure.evaluations_per_player for figure in figures})
    panel.set_xscale("log", base=2)
    panel.set_xlabel("rows through the model per player")
    panel.set_xticks(budgets, [str(budget) for budget in budgets])
    panel.set_xlim(budgets[0] * 0.9, budgets[-1] * 1.1)
    errors = [figure.relative_l2 for figure in figures]
    low, high = min(errors) * 0.8, max(errors) * 1.2
    ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if low < tick < high]
    panel.set_yscale("log")
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_ylim(low, high)
    panel.yaxis.set_minor_locator(NullLocator())


def _draw(panel: Axes, games: str, figures: Sequence[Measured]) -> None:
    panel.set_title(TITLES.get(games, games), loc="left", fontsize=11)
    panel.grid(axis="y", color=LIGHT.soft, linewidth=0.8)
    panel.spines[["top", "right"]].set_visible(False)
    ends = {}
    for method in (*LIBRARY_STYLES, *COLOURS):
        line = sorted((f.evaluations_per_player, f.relative_l2) for f in figures if f.method == method)
        if line:
            ends[method] = line[-1][1]
            _line(panel, method, line)
    _label(panel, ends)


def _line(panel: Axes, method: str, points: Sequence[tuple[int, float]]) -> None:
    rows, errors = zip(*points, strict=True)
    if method in COLOURS:
        width = 2.6 if method == "kernel-shap" else 1.7
        panel.plot(rows, errors, color=COLOURS[method], linewidth=width, marker="o", markersize=3.5)
    else:
        panel.plot(rows, errors, color=LIBRARY_COLOUR, linewidth=1.3, linestyle=LIBRARY_STYLES[method])


def _label(panel: Axes, ends: dict[str, float]) -> None:
    """Names beside the ends of their lines, pushed apart where they would overlap."""
    low, high = np.log(panel.get_ylim())
    methods = sorted(ends, key=lambda method: ends[method])
    wanted = [(float(np.log(ends[method])) - low) / (high - low) for method in methods]
    for method, place in zip(methods, _spread(wanted), strict=True):
        panel.annotate(
            method,
            xy=(1.0, (float(np.log(ends[method])) - low) / (high - low)),
            xytext=(1.04, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=COLOURS.get(method, LIBRARY_COLOUR),
            fontweight="bold" if method == "kernel-shap" else "normal",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": LIGHT.line, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0},
        )


def _spread(places: Sequence[float]) -> list[float]:
    """Ascending places moved apart to LABEL_STEP, those that clash around their common middle."""
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _start(groups[-1]) < _start(groups[-2]) + LABEL_STEP * len(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_start(group) + LABEL_STEP * index for group in groups for index in range(len(group))]


def _start(group: Sequence[float]) -> float:
    return float(np.mean(group)) - LABEL_STEP * (len(group) - 1) / 2
