"""What a finished run's explanations are worth, on the validation rows: a bundle of it, measured as a server serves it.

The bundle goes into a repository of the study that is removed afterwards: a trial's run can be exported again.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from explicate_export.export import ExportOptions, export_run
from explicate_standards.evaluated_model import open_published
from explicate_standards.evaluation import MetricResult, evaluate, plan
from explicate_standards.held_out_rows import read_rows
from explicate_standards.metric import Figure
from explicate_standards.metrics.interpretability import METRICS
from explicate_studies.choice import Measured
from explicate_studies.trial import BUNDLES
from explicate_studies.tune_options import EVALUATIONS, TuneOptions

_COMPARED_INPUTS = 32  # a trial's graph is compared with torch on few
_ALWAYS = ("masked_accuracy", "additive_r2", EVALUATIONS)
"""Measured of every trial: what the others take lets these cost little more."""

KNOWN_FIGURES = {
    **{name: metric.title for name, metric in METRICS.items()},
    **{f"{name}.{one.name}": metric.title for name, metric in METRICS.items() for one in metric.statistics if one.name},
}
"""Titles of what may be a floor: a metric, which is its main figure, or one of its figures, such as
"evaluations_per_player.p90"."""


def measure(run: Path, rows: Path, options: TuneOptions) -> Mapping[str, Measured]:
    """Exports a run and measures its model; what cannot be measured of such a model is left out.

    Raises UsageError or ConversionError if the run cannot be exported or measured.
    """
    wanted = {name.partition(".")[0] for name in options.floors if name in KNOWN_FIGURES} | set(_ALWAYS)
    metrics = [metric for name, metric in METRICS.items() if name in wanted]
    with tempfile.TemporaryDirectory(prefix=BUNDLES, dir=run.parent) as repository:
        exporting = ExportOptions("trial", compared_inputs=_COMPARED_INPUTS, allow_trivial=True)
        model = open_published(export_run(run, Path(repository), exporting))
        inputs = read_rows(rows, model, count=options.inputs)
        found = evaluate(model, inputs, plan(model, inputs, metrics), folder=Path(repository))
    return {name: one for result in found.results for name, one in figures_of(result).items()}


def figures_of(result: MetricResult) -> dict[str, Measured]:
    """The main figure by the metric's id, the others by the id and their own names."""
    known = [figure for figure in result.figures.values() if figure.value is not None]
    measured = {figure.name: _measured(figure) for figure in known}
    return {**({result.metric.id: _measured(known[0])} if known else {}), **measured}


def _measured(figure: Figure) -> Measured:
    ends = () if figure.lower is None or figure.upper is None else (figure.lower, figure.upper)
    return Measured(figure.value or 0.0, *ends)
