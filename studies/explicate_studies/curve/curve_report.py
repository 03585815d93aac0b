"""What `explicate curve` tells: a table, curve.json, and report.html with a drawing. Made again after each run."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any  # JSON values; matplotlib's axes

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from explicate.sentences.glossary import glossary
from explicate.views import tables
from explicate.views.look.inlined import inlined
from explicate.views.look.palette import FIRST, QUIET, SECOND
from explicate.views.look.sheets import page_style
from explicate_studies.curve.doubling import Mean, doubling, mean_of, sentences
from explicate_studies.curve.points import RECIPES, Plan, Point
from explicate_training.config.config_file import format_config
from explicate_training.report.figures import STYLE, svg_of
from explicate_training.report.report import template_of
from explicate_training.run_directory import write_json

REPORT, SUMMARY = "report.html", "curve.json"
_COLOURS = {"full": FIRST, "few-shot": SECOND}
_SIMPLE = QUIET
_WORDS = ("draw", "twice", "simple_model", "not_told_apart")


def _rows(points: Sequence[Point], plan: Plan) -> list[tuple[int, str, Mean, Mean]]:
    """Of each size and recipe the mean score and that of the simple model."""
    found = []
    for size in plan.labels:
        for recipe in plan.recipes:
            own = [one for one in points if (one.labels, one.recipe) == (size, recipe)]
            if own:
                found.append((size, recipe, mean_of([one.score for one in own]), mean_of([one.simple for one in own])))
    return found


def table(points: Sequence[Point], plan: Plan) -> str:
    """Means with 95 % intervals over draws, for the terminal."""
    head = [f"labels {plan.of}", "recipe", f"{plan.title}, test", "simple model", "draws"]
    body = (
        (str(size), RECIPES[how], mean.told(), simple.told(), str(mean.count))
        for size, how, mean, simple in _rows(points, plan)
    )
    return tables.table(head, body)


def write_report(points: Sequence[Point], plan: Plan) -> Path:
    """Writes the report and the summary; returns the report's path."""
    told = sentences(points, plan)
    write_json(plan.folder / SUMMARY, summary(points, plan))
    page = template_of("curve_report.html.jinja", "explicate_studies").render(
        page_style=page_style(),
        title=Path(plan.config.data.origin).stem,
        plan=plan,
        drawing=inlined(drawn(points, plan), _about(plan)) if points else "",
        told=told,
        rows=[
            (size, RECIPES[how], mean.told(), simple.told(), mean.count)
            for size, how, mean, simple in _rows(points, plan)
        ],
        done=len(points),
        wanted=len(plan.runs()),
        counted=plan.config.data.counted,
        config_toml=format_config(plan.config),
        words={name: glossary()["study"][name] for name in _WORDS},
    )
    path = plan.folder / REPORT
    path.write_text(page, encoding="utf-8", errors="replace")
    return path


def summary(points: Sequence[Point], plan: Plan) -> dict[str, Any]:
    """The same for programs."""
    lines = [line for recipe in plan.recipes if (line := doubling(points, recipe))]
    return {
        "metric": plan.metric,
        "runs": len(plan.runs()),
        "points": [_plain(asdict(one)) for one in points],
        "means": [
            {"labels": size, "recipe": how, "score": _plain(asdict(mean)), "simple": _plain(asdict(simple))}
            for size, how, mean, simple in _rows(points, plan)
        ],
        "twice_the_labels": [_plain(asdict(one)) for one in lines],
        "told": sentences(points, plan),
    }


def _plain(values: Any) -> Any:
    """With None for what is not a number."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items()}
    return None if isinstance(values, float) and values != values else values


def drawn(points: Sequence[Point], plan: Plan) -> str:
    """An SVG drawing: scores of runs, their means with intervals, and the fitted lines."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes: Any = figure.add_subplot()
        axes.set(xlabel=f"labels {plan.of}", ylabel=f"{plan.title}, test", xscale="log")
        rows = _rows(points, plan)
        for place, recipe in enumerate(plan.recipes):
            _draw_recipe(axes, points, recipe, rows, shift=1.03 ** (2 * place - len(plan.recipes) + 1))
        simple = [(size, simple.value) for size, how, _, simple in rows if how == plan.recipes[0]]
        axes.plot(*zip(*simple, strict=True), ":", color=_SIMPLE, marker=".", label="simple model")
        axes.set_xticks(plan.labels, [str(size) for size in plan.labels])
        axes.minorticks_off()
        axes.legend(frameon=False)
        return svg_of(figure)


def _about(plan: Plan) -> str:
    return f"{plan.title} by labels {plan.of}, with intervals and lines"


def _draw_recipe(
    axes: Any, points: Sequence[Point], recipe: str, rows: Sequence[tuple[int, str, Mean, Mean]], *, shift: float
) -> None:
    colour = _COLOURS[recipe]
    own = [(size, mean) for size, how, mean, _ in rows if how == recipe]
    if not own:
        return
    sizes = np.array([size for size, _ in own])
    reach = [0.0 if mean.lower != mean.lower else mean.value - mean.lower for _, mean in own]
    axes.errorbar(sizes * shift, [mean.value for _, mean in own], yerr=reach, fmt="o", color=colour, capsize=3,
                  label=RECIPES[recipe])  # fmt: skip
    scattered = [(one.labels * shift, one.score) for one in points if one.recipe == recipe]
    axes.plot(*zip(*scattered, strict=True), ".", color=colour, alpha=0.35, markersize=4)
    if line := doubling(points, recipe):
        ends = np.array([sizes.min(), 2 * sizes.max()])
        heights = line.promised + line.gain.value * (np.log2(ends) - np.log2(2 * line.at))
        axes.plot(ends, heights, "--", color=colour, linewidth=1)
