"""What a study tells: report.html, study.json, the config to take, and a table for the terminal.

Made again after each trial, so that a long study can be looked at while it works.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any  # JSON values; matplotlib's axes

import matplotlib as mpl
import optuna
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial

from explicate.sentences.glossary import Term, glossary
from explicate.views.look.inlined import inlined
from explicate.views.look.palette import FIRST, QUIET, SECOND, THIRD
from explicate.views.look.sheets import page_style
from explicate_studies.choice import Goals, Measured, Tried, choose, pareto
from explicate_studies.space import told, with_point
from explicate_studies.study import Study
from explicate_training.config.config_file import format_config
from explicate_training.report.figures import STYLE, svg_of
from explicate_training.report.report import template_of
from explicate_training.run_directory import write_json

CHOSEN_CONFIG = "chosen.toml"
REPORT, SUMMARY = "report.html", "study.json"
_ALL, _KEPT, _TAKEN, _OUT = THIRD, FIRST, SECOND, QUIET
_RUNS_PER_DIMENSION = 2  # from which importance is told
_FEWEST_RUNS = 8


@dataclass(frozen=True)
class Findings:
    """What is known of a study so far."""

    tried: Sequence[Tried]
    kept: Sequence[Tried]  # the Pareto set
    chosen: Tried | None
    why: str


def findings(study: Study) -> Findings:
    """What the trials so far say."""
    tried, goals = study.tried(), study.subject.goals
    taken = choose(tried, goals)
    return Findings(tried, pareto(tried, goals), *(taken or (None, "")))


def write_report(study: Study, found: Findings) -> Path:
    """Writes the report, the summary and the config to take; returns the report's path."""
    folder, goals, options = study.subject.folder, study.subject.goals, study.options
    chosen_toml = folder / CHOSEN_CONFIG
    if found.chosen is not None:
        config = with_point(study.subject.config, dict(found.chosen.point))
        directory = f"{study.subject.config.output.directory}-chosen"
        config = replace(config, output=replace(config.output, directory=directory))
        chosen_toml.write_text(format_config(config), encoding="utf-8")
    write_json(folder / SUMMARY, _summary(study, found))
    importance_of, importance = _importance(study)
    page = template_of("tune_report.html.jinja", "explicate_studies").render(
        page_style=page_style(),
        title=Path(study.subject.config.data.origin).stem,
        sampler=options.sampler,
        seed=options.seed,
        counted=study.subject.config.data.counted,
        chosen=found.chosen,
        feasible=found.chosen is not None and found.chosen.feasible,
        why=found.why,
        test=_test(found.chosen, study.subject.metric, goals) if found.chosen else "",
        chosen_config=chosen_toml,
        curve=inlined(curve(found, goals), _about(goals)),
        curve_about=_about(goals),
        cost=goals.cost,
        metric=goals.metric,
        figures=_figure_names(found.tried),
        dimensions=[key.rpartition(".")[2] for key in study.space],
        rows=[_row(one, found, study) for one in found.tried],
        failures=study.failures(),
        importance_of=importance_of,
        importance=importance,
        space={key: told(one) for key, one in study.space.items()},
        floors=options.floors,
        config_toml=format_config(study.subject.config),
        words=_words(goals),
    )
    path = folder / REPORT
    path.write_text(page, encoding="utf-8", errors="replace")
    return path


def _words(goals: Goals) -> dict[str, Term]:
    """Those that the report uses; those of cost only where it is an aim."""
    told = glossary()
    of_cost = ("not_beaten",) if goals.cost else ()
    return {
        **{name: told["study"][name] for name in ("run", "best_of_many", *of_cost, "floor", "importance")},
        **{name: told["report"][name] for name in ("interval", "splits")},
    }


def table(study: Study, found: Findings) -> str:
    """The trials for the terminal, the one to take marked."""
    names = _figure_names(found.tried)
    head = ["trial", study.subject.goals.metric, *names, *(key.rpartition(".")[2] for key in study.space), ""]
    lines = [head]
    for one in found.tried:
        row = _row(one, found, study)
        measured = [" ".join(filter(None, figure)) for figure in (row["metric"], *row["figures"])]
        lines.append([str(one.number), *measured, *row["point"], row["note"]])
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def curve(found: Findings, goals: Goals) -> str:
    """An SVG drawing of all trials with intervals, the Pareto set joined and the chosen one ringed; "" without any."""
    if not found.tried:
        return ""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes: Any = figure.add_subplot()
        axes.set(xlabel="evaluations a player" if goals.cost else "trial", ylabel=f"{goals.metric}, validation")
        for one in found.tried:
            colour = _OUT if not one.feasible else _KEPT if one in found.kept else _ALL
            _point(axes, one, goals, colour)
        if goals.cost:
            places = [(goals.costs(one), one.metric.value) for one in found.kept]
            axes.step(*zip(*places, strict=True), where="post", color=_KEPT, linewidth=1) if places else None
        if found.chosen is not None:
            x = goals.costs(found.chosen) if goals.cost else found.chosen.number
            axes.plot([x], [found.chosen.metric.value], "o", markersize=13, fillstyle="none", color=_TAKEN)
        return svg_of(figure)


def _point(axes: Any, one: Tried, goals: Goals, colour: str) -> None:
    x = one.figures[goals.cost] if goals.cost else Measured(one.number)
    axes.errorbar(
        [x.value], [one.metric.value], xerr=_reach(x), yerr=_reach(one.metric), fmt="o", color=colour, elinewidth=0.8,
        alpha=0.9, markersize=5,
    )  # fmt: skip
    axes.annotate(str(one.number), (x.value, one.metric.value), xytext=(4, 4), textcoords="offset points", fontsize=8)


def _reach(one: Measured) -> list[list[float]] | None:
    if one.lower != one.lower:
        return None
    return [[max(0.0, one.value - one.lower)], [max(0.0, one.upper - one.value)]]


def _about(goals: Goals) -> str:
    if goals.cost:
        return (
            "Each point is a run with its number; up is more accurate, left is cheaper to explain. The line "
            "joins those that no other run beats in both, the ring is the one to take; grey runs miss a floor."
        )
    return "Each point is a run; the ring is the one to take; grey runs miss a floor."


def _row(one: Tried, found: Findings, study: Study) -> dict[str, Any]:
    notes = [
        "taken" if one is found.chosen else "",
        "Pareto" if study.subject.goals.cost and one in found.kept else "",
        *(f"misses {name}" for name, by in one.shortfalls.items() if by > 0),
    ]
    return {
        "number": one.number,
        "metric": _shown(one.metric, ".3f"),
        "figures": [_shown(one.figures[name], ".2f") for name in _figure_names(found.tried)],
        "point": [f"{value:.3g}" if isinstance(value, float) else str(value) for value in one.point.values()],
        "seconds": one.seconds,
        "note": ", ".join(filter(None, notes)),
    }


def _shown(one: Measured, form: str) -> tuple[str, str]:
    value, _, ends = one.told(form).partition(" ")
    return value, ends


def _figure_names(tried: Sequence[Tried]) -> list[str]:
    """What is told of all trials: main figures, and those that have a floor."""
    known = tried[0].figures if tried else ()
    told_of = [name for name in known if "." not in name or name in tried[0].shortfalls]
    return [name for name in told_of if all(name in one.figures for one in tried)]


def _test(chosen: Tried, metric: str, goals: Goals) -> str:
    """The test figure of the chosen run alone, read when all is chosen."""
    path = Path(chosen.run) / "metrics.json"
    if not path.is_file():
        return ""
    test: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["test"]
    value, ends = test.get(metric), test.get("intervals", {}).get(metric, ())
    return "" if value is None else f"{goals.metric} {Measured(value, *ends).told()}"


def _importance(study: Study) -> tuple[list[str], dict[str, list[float]]]:
    """The shares by option, of each objective; empty while runs are few, or all alike."""
    completed, goals = study.completed(), study.subject.goals
    if len(study.space) < 2 or len(completed) < max(_FEWEST_RUNS, _RUNS_PER_DIMENSION * len(study.space)):
        return [], {}
    titles = [goals.metric, *(["the cost"] if goals.cost else [])]
    shares: list[Mapping[str, float]] = []
    for place in range(len(titles)):
        if len({trial.values[place] for trial in completed}) < 2:
            return [], {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            shares.append(
                optuna.importance.get_param_importances(
                    study.of_optuna, evaluator=evaluator, target=partial(_value, place=place)
                )
            )
    order = sorted(study.space, key=lambda key: -shares[0].get(key, 0.0))
    return titles, {key: [share.get(key, 0.0) for share in shares] for key in order}


def _value(trial: FrozenTrial, *, place: int) -> float:
    return float(trial.values[place])


def _summary(study: Study, found: Findings) -> dict[str, Any]:
    return {
        "metric": study.subject.metric,
        "objectives": list(study.options.objectives),
        "chosen": None if found.chosen is None else found.chosen.number,
        "why": found.why,
        "pareto": [one.number for one in found.kept],
        "trials": [_plain(one) for one in found.tried],
        "failures": {str(number): why for number, why in study.failures().items()},
    }


def _plain(one: Tried) -> dict[str, Any]:
    def measured(figure: Measured) -> dict[str, Any]:
        return {name: None if value != value else value for name, value in vars(figure).items()}

    return {
        "number": one.number,
        "run": one.run,
        "point": dict(one.point),
        "metric": measured(one.metric),
        "figures": {name: measured(figure) for name, figure in one.figures.items()},
        "shortfalls": dict(one.shortfalls),
        "seconds": one.seconds,
    }
