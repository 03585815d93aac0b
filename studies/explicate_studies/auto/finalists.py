"""Which candidate wins: the best on the validation rows, or of those that chance does not tell from it the easiest one
to explain.

Chance is rows drawn anew, the same for both models: one is as good as the best if it is behind by no more than one
standard error of the difference (the rule of one standard error, Breiman and others 1984, with paired rows). Of those
the price of an explanation decides, in rows that the model answers for a part of its input; where intervals of prices
overlap, what kind of model it is.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.errors import ExplicateError
from explicate_bundle.outcomes.resampling import interval, resampled
from explicate_bundle.standard.verdicts import Verdict
from explicate_export.export import ExportOptions
from explicate_standards.evaluated_model import EvaluatedModel, open_published
from explicate_standards.evaluation import evaluate, plan
from explicate_standards.held_out_rows import HeldOutRows, read_rows
from explicate_standards.metrics.interpretability import METRICS
from explicate_standards.standard.check import judge
from explicate_standards.standard.standard import Standard
from explicate_studies.auto.candidates import Candidate, Finished, Shared
from explicate_studies.choice import Measured
from explicate_studies.measure import figures_of
from explicate_studies.trial import BUNDLES
from explicate_studies.tune_options import EVALUATIONS
from explicate_training.data.header import quietly
from explicate_training.loop.progress import duration

Samples = NDArray[np.float64]
_INPUTS = (40, 20, 10, 5)  # that a finalist explains: as many as the time allows
_COMPARED_INPUTS = 32  # a graph is compared with its own library on few; the winner's again on many
MOST_FINALISTS = 4
LATE_S = 30.0
"""For measuring the winner's explanations after all, beyond the given time."""
_FIGURES = (EVALUATIONS, "additive_r2", "masked_accuracy")


@dataclass(frozen=True)
class Compared:
    """A candidate beside the best one, on validation rows.

    Attributes:
        metric: with its interval.
        behind: by how much the best one is better, with its interval; 0 of the best one itself.
        error: the standard error of that.
        figures: of its explanations, where they were measured, by name.
        unmet: why it is not expected to meet the standard; empty if it is, or nothing was asked.
        found_s: seconds that exporting and measuring took; 0 where that was not done.
    """

    finished: Finished
    metric: Measured
    behind: Measured
    error: float
    figures: Mapping[str, Measured] = field(default_factory=dict)
    unmet: str = ""
    found_s: float = 0.0

    @property
    def tied(self) -> bool:
        """Whether chance explains that it is behind."""
        return self.behind.value <= self.error

    @property
    def price(self) -> Measured | None:
        """Rows that its model answers for a part of an input; None where it was not measured."""
        return self.figures.get(EVALUATIONS)


def compared(shared: Shared, finished: Sequence[Finished]) -> list[Compared]:
    """All candidates beside the best servable one, the best first."""
    samples = {one.name: _samples(shared, one) for one in finished}
    values = {one.name: shared.value(shared.answers(one)) for one in finished}
    sign = -1.0 if shared.smaller_is_better else 1.0
    best = max((one for one in finished if one.servable), key=lambda one: sign * values[one.name], default=None)
    if best is None:
        return []
    found = []
    for one in sorted(finished, key=lambda one: -sign * values[one.name]):
        apart = sign * (samples[best.name] - samples[one.name])
        known = apart[np.isfinite(apart)]
        behind = Measured(sign * (values[best.name] - values[one.name]), *(interval(apart) or ()))
        metric = Measured(values[one.name], *(interval(samples[one.name]) or ()))
        found.append(Compared(one, metric, behind, float(known.std()) if len(known) else 0.0))
    return found


def _samples(shared: Shared, finished: Finished) -> Samples:
    """The metric on draws of the validation rows, the same ones for all candidates, float64 [draws]."""
    run, outputs = shared.run, shared.answers(finished)
    targets = run.targets["validation"]
    found = resampled(lambda counts: run.task.resampled(outputs, targets, run.labels, counts), len(targets))
    return found[shared.metric]


def measure_finalists(
    shared: Shared, candidates: Sequence[Candidate], ranked: Sequence[Compared], standard: Standard | None
) -> list[Compared]:
    """With what the explanations of those that are not told apart cost, as far as the time allows."""
    tied = [one for one in ranked if one.tied and one.finished.servable]
    tied.sort(key=lambda one: one.behind.value)
    known: dict[str, Compared] = {}
    try:
        for place, one in enumerate(tied[:MOST_FINALISTS]):
            left = shared.budget.left_s
            if left <= 0 or (known and left < max(other.found_s for other in known.values()) / 2):
                shared.say(f"explanations of {one.finished.name}: not measured, the time is over")
                continue
            seconds = left / (min(len(tied), MOST_FINALISTS) - place)
            known[one.finished.name] = _measured(shared, candidates, one, seconds, standard)
    except KeyboardInterrupt:
        shared.say("interrupted: explanations are not measured further")
    return [known.get(one.finished.name, one) for one in ranked]


def with_price(shared: Shared, candidates: Sequence[Candidate], won: Compared) -> Compared:
    """The winner with what its explanations cost, which is measured now if there was no time for it."""
    return won if won.figures else _measured(shared, candidates, won, LATE_S, None)


def _measured(
    shared: Shared, candidates: Sequence[Candidate], one: Compared, seconds: float, standard: Standard | None
) -> Compared:
    begin_s, clock = shared.budget.clock(), shared.budget.clock
    finished = one.finished
    shared.say(f"explanations of {finished.name}: what they cost, at most {duration(seconds)}")
    try:
        with tempfile.TemporaryDirectory(prefix=BUNDLES, dir=shared.folder) as repository:
            exporting = ExportOptions("candidate", compared_inputs=_COMPARED_INPUTS, allow_trivial=True, variants=())
            folder = exporter(candidates, finished).export(shared, finished, Path(repository), exporting, quietly)
            model = open_published(folder)
            figures = _explained(shared, model, begin_s + seconds, Path(repository))
            unmet = _unmet(standard, model, shared.rows, shared.say) if standard is not None else ""
    except ExplicateError as error:
        shared.say(f"explanations of {finished.name}: {error}")
        return replace(one, unmet=f"it cannot be exported ({error})", found_s=clock() - begin_s)
    price = figures.get(EVALUATIONS)
    told = f"{price.told('.1f')} rows a part of an input" if price else "no figure"
    shared.say(f"explanations of {finished.name}: {told}, in {duration(clock() - begin_s)}")
    return replace(one, figures=figures, unmet=unmet or one.unmet, found_s=clock() - begin_s)


def exporter(candidates: Sequence[Candidate], finished: Finished) -> Candidate:
    """What exports a finished candidate: itself, or for a tuned network any network."""
    from explicate_studies.auto.candidates import Network

    named = {one.name: one for one in candidates}
    return named.get(finished.name) or next(one for one in candidates if isinstance(one, Network))


def _explained(shared: Shared, model: EvaluatedModel, until_s: float, folder: Path) -> dict[str, Measured]:
    metrics = [METRICS[name] for name in _FIGURES]
    rows: HeldOutRows | None = None
    for count in _INPUTS:
        rows = read_rows(shared.rows, model, count=count)
        planned = plan(model, rows, metrics)
        if planned.seconds <= until_s - shared.budget.clock():
            break
    else:
        return {}
    found = evaluate(model, rows, planned, folder=folder)
    return {name: one for result in found.results for name, one in figures_of(result).items()}


def _unmet(standard: Standard, model: EvaluatedModel, rows: Path, say: Callable[[str], None]) -> str:
    """What of a standard a model does not meet on the validation rows, in words; empty if it may meet all."""
    try:
        checked = judge(standard, model, rows, live=None, say=quietly)
    except ExplicateError as error:  # such as a slice or a suite that needs what validation rows do not have
        say(f"the standard cannot be judged on validation rows ({error})")
        return ""
    missed = [one.requirement for one in checked.judgements if one.verdict is Verdict.NOT_MET]
    return f"on the validation rows it misses {', '.join(dict.fromkeys(missed))}" if missed else ""


def winner_of(ranked: Sequence[Compared]) -> Compared | None:
    """The one to take; None if nothing can be served."""
    servable = [one for one in ranked if one.finished.servable]
    tied = [one for one in servable if one.tied]
    fit = [one for one in tied if not one.unmet] or tied
    if not fit:
        return None
    if all(one.price for one in fit):
        cheapest = min((one.price for one in fit if one.price), key=lambda price: price.value)
        fit = [one for one in fit if one.price and not _dearer(one.price, cheapest)]
    return min(fit, key=lambda one: (one.finished.simplicity, one.behind.value))


def _dearer(price: Measured, cheapest: Measured) -> bool:
    """Whether the intervals of two prices are apart."""
    return price.lower > cheapest.upper
