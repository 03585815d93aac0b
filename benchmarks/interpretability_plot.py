"""The pictures of `benchmarks.interpretability`: accuracy against the cost of an explanation, light and dark."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any  # matplotlib's settings and axes

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.interpretability_lines import Records, figures_of, right
from explicate.views.look.palette import DARK, LIGHT
from explicate_standards.bootstrap import draws

_TEXT = "reviews"
THEMES: Mapping[str, Mapping[str, str]] = {
    "light": {"ink": LIGHT.ink, "ground": LIGHT.paper, "points": LIGHT.edge, "ours": LIGHT.first},
    "dark": {"ink": DARK.ink, "ground": DARK.paper, "points": DARK.edge, "ours": DARK.first},
}
_HIGHLIGHTED = "defaults"


def settings(theme: str) -> dict[Any, Any]:
    """Matplotlib's, for a theme."""
    ink, ground = THEMES[theme]["ink"], THEMES[theme]["ground"]
    return {
        "svg.fonttype": "none", "svg.hashsalt": "explicate", "font.size": 10, "axes.spines.top": False,
        "axes.spines.right": False, "figure.facecolor": ground, "axes.facecolor": ground, "savefig.facecolor": ground,
        "text.color": ink, "axes.labelcolor": ink, "axes.edgecolor": ink, "xtick.color": ink, "ytick.color": ink,
    }  # fmt: skip


def draw(records: Records, folder: Path) -> list[Path]:
    """Writes interpretability-light.svg and -dark.svg; nothing where there is no run of texts."""
    points = {name: _point(records, name) for name in records.names(_TEXT)}
    written = []
    for theme, colours in THEMES.items() if points else ():
        with mpl.rc_context(settings(theme)):
            figure = Figure(figsize=(7, 4.2), layout="constrained")
            axes: Any = figure.add_subplot()
            axes.set(xlabel="evaluations a word to tolerance .1, median", ylabel="accuracy on the test reviews")
            for name, (cost, accuracy) in points.items():
                colour = colours["ours" if name == _HIGHLIGHTED else "points"]
                axes.errorbar([cost[0]], [accuracy[0]], xerr=_reach(cost), yerr=_reach(accuracy), fmt="o", color=colour,
                              elinewidth=0.8)  # fmt: skip
                axes.annotate(name, (cost[0], accuracy[0]), xytext=(5, 5), textcoords="offset points", color=colour)
            path = folder / f"interpretability-{theme}.svg"
            figure.savefig(path, metadata={"Date": None})
            written.append(path)
    return written


def _point(records: Records, name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    found = records.of(_TEXT, name)
    cost = np.stack([figures_of(one, "evaluations_per_player", "per_player") for one in found])
    return _with_interval(cost, np.nanmedian), _with_interval(np.stack([right(one) for one in found]), np.nanmean)


def _with_interval(values: Any, reduce: Any) -> tuple[float, float, float]:
    """Of values [seeds, inputs]: the mean over seeds of a statistic, and its interval over inputs."""
    resampled = reduce(values[:, draws(values.shape[1])], axis=-1).mean(axis=0)
    lower, upper = np.quantile(resampled, [0.025, 0.975]).tolist()
    return float(reduce(values, axis=-1).mean()), lower, upper


def _reach(one: tuple[float, float, float]) -> list[list[float]]:
    value, lower, upper = one
    return [[max(0.0, value - lower)], [max(0.0, upper - value)]]
