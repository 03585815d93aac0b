"""Who is ahead, and whether that is more than chance.

A recipe's figure is the mean over its seeds. What chance does to it is drawn: rows with replacement, the same for all
recipes, and seeds with replacement (a bootstrap in two steps, Davison and Hinkley 1997, chapter 3.8). One recipe is
ahead of another if the 95 % interval of their difference says so. Its rank is a range: from one below those that are
ahead of it, to the number of recipes less those behind it. Fewer than three seeds do not show what another seed would
do, so they give no rank.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.outcomes.resampling import draws, interval
from explicate_standards.leaderboard.runs import Group as GroupKey
from explicate_standards.leaderboard.runs import Run
from explicate_standards.outcomes.measures import MEASURES, Measure, measures_of
from explicate_standards.outcomes.outcomes import Floats

LEAST_SEEDS = 3
PRICE = "evaluations_per_player.median"
"""Model rows a part of an explanation: what an explanation costs."""
DEFAULT_MEASURES = {"class": "accuracy", "labels": "f1_macro", "value": "r2"}


@dataclass(frozen=True)
class Standing:
    """One recipe, or bundle, among those that it can be compared with. What is None was not measured.

    Attributes:
        runs: one a seed.
        value, lower, upper: the metric and its 95 % interval.
        rank: the best and the worst that chance leaves open; None with fewer than three seeds.
        pareto: whether no other one is better in the metric and as cheap to explain, or cheaper and as good; None if
            it does not say what an explanation costs, or how good it is.
        worst: the slice on which the metric is worst, and its value there, the mean over runs.
    """

    runs: tuple[Run, ...]
    value: float | None
    lower: float | None
    upper: float | None
    rank: tuple[int, int] | None
    pareto: bool | None = None
    worst: tuple[str, float] | None = None

    @property
    def name(self) -> str:
        """The name of its first run's folder, or of the bundle."""
        return self.runs[0].name

    @property
    def seeds(self) -> int | None:
        """How many seeds it was trained with; None of a bundle."""
        return len(self.runs) if self.runs[0].outcomes is not None else None

    @property
    def verdict(self) -> str | None:
        """Of the standard that it was held to."""
        return self.runs[0].verdict or None

    def mean(self, figure: str) -> float | None:
        """The mean over its runs of a figure of how well they can be explained; None unless all have it."""
        return _mean([run.explained.get(figure) for run in self.runs])

    def measured(self, figure: str) -> float | None:
        """The mean over its runs of another figure, see `Run.figures`; None unless all have it."""
        return _mean([run.figures.get(figure) for run in self.runs])

    @property
    def train_s(self) -> float | None:
        """Seconds of a training, the mean over its runs."""
        return _mean([run.train_s for run in self.runs])

    @property
    def size_bytes(self) -> int | None:
        """Of the weights of its largest run."""
        return max(run.size_bytes for run in self.runs) or None


def _mean(found: Sequence[float | None]) -> float | None:
    known = [one for one in found if one is not None]
    return float(np.mean(known)) if len(known) == len(found) else None


@dataclass(frozen=True)
class Group:
    """Recipes and bundles that were tested on the same rows, the best first; `standard` is the digest of theirs."""

    measure: Measure
    rows: int
    standings: tuple[Standing, ...]
    standard: str = ""


def ranked(runs: Sequence[Run], metric: str | None = None) -> list[Group]:
    """The runs in groups that can be compared, in the order in which they were given.

    Raises:
        UsageError: there is no such metric, or not for what the runs predict.
    """
    groups: dict[GroupKey, list[Run]] = {}
    for run in _told_apart(runs):
        groups.setdefault(run.group, []).append(run)
    return [_group(of_group, metric) for of_group in groups.values()]


def _told_apart(runs: Sequence[Run]) -> Iterator[Run]:
    """Runs of the same name get as much of the way to their folder as tells them apart."""
    for run in runs:
        others = [
            other.directory.parts for other in runs if other.name == run.name and other.directory != run.directory
        ]
        parts = run.directory.parts
        depth = next((k for k in range(1, len(parts)) if all(parts[-k:] != other[-k:] for other in others)), len(parts))
        yield replace(run, name="/".join(parts[-depth:])) if others else run


def _group(runs: Sequence[Run], metric: str | None) -> Group:
    answer = runs[0].objective.answer
    measure = _measure(metric or DEFAULT_MEASURES[answer], answer)
    recipes: dict[str, list[Run]] = {}
    for run in runs:
        recipes.setdefault(run.recipe if run.outcomes is not None else f"bundle {run.directory}", []).append(run)
    answered = {recipe: of_recipe for recipe, of_recipe in recipes.items() if of_recipe[0].outcomes is not None}
    samples = {recipe: _samples(measure, of_recipe) for recipe, of_recipe in answered.items()}
    sign = 1.0 if measure.better == "higher" else -1.0
    ranks = _ranks({recipe: sign * each for recipe, each in samples.items()})
    standings = []
    for recipe, of_recipe in recipes.items():
        found = _found(measure, of_recipe, samples.get(recipe))
        rank = ranks[recipe] if recipe in answered and len(of_recipe) >= LEAST_SEEDS else None
        standings.append(Standing(tuple(of_recipe), *found, rank, worst=_worst(measure, of_recipe, sign)))
    standings.sort(key=lambda one: (one.value is None, -sign * (one.value or 0.0), one.name))
    return Group(measure, max(run.rows for run in runs), tuple(_marked(standings, sign)), runs[0].group[-1])


def _found(
    measure: Measure, runs: Sequence[Run], samples: Floats | None
) -> tuple[float | None, float | None, float | None]:
    """The metric and its interval: of answers the mean over seeds, of a bundle what is on record."""
    if samples is None:
        return runs[0].recorded.get(measure.id, (None, None, None))
    value = _mean([measure.value(run.outcomes) for run in runs if run.outcomes is not None])
    return value, *(interval(samples) or (None, None))


def _worst(measure: Measure, runs: Sequence[Run], sign: float) -> tuple[str, float] | None:
    """Each run's own worst slice by the metric, told by the name of the first one's."""
    worst = [
        min(known, key=lambda one: sign * one.value)
        for run in runs
        if (known := [one for one in run.slices if one.metric == measure.id])
    ]
    if len(worst) < len(runs):
        return None
    return worst[0].slice, float(np.mean([one.value for one in worst]))


def _measure(metric: str, answer: str) -> Measure:
    known = [name for name, measure in measures_of(answer).items() if not measure.of_class]
    if metric not in known:
        problem = "is not of what these runs predict" if metric in MEASURES else "is not a metric"
        raise UsageError(f"--metric {metric} {problem}; there are {', '.join(known)}")
    return MEASURES[metric]


def _samples(measure: Measure, runs: Sequence[Run]) -> Floats:
    """What the metric, the mean over seeds, is on draws of rows and seeds, float64[draws]."""
    answers = [run.outcomes for run in runs if run.outcomes is not None]
    rows = len(answers[0])
    each = np.stack([np.concatenate([measure.samples(one, counts, None) for counts in draws(rows)]) for one in answers])
    chosen = np.random.Generator(np.random.Philox(len(runs))).integers(0, len(runs), each.T.shape)
    return np.asarray(np.take_along_axis(each.T, chosen, axis=1).mean(axis=1))


def _ranks(samples: Mapping[str, Floats]) -> dict[str, tuple[int, int]]:
    """The best and the worst rank of each; larger is better."""
    ahead = {
        (one, other): (ends := interval(samples[one] - samples[other])) is not None and ends[0] > 0
        for one in samples
        for other in samples
        if one != other
    }
    return {
        one: (
            1 + sum(ahead[other, one] for other in samples if other != one),
            len(samples) - sum(ahead[one, other] for other in samples if other != one),
        )
        for one in samples
    }


def _marked(standings: Sequence[Standing], sign: float) -> list[Standing]:
    """With the mark of those that no other one beats in both the metric and the price of an explanation."""
    places = [
        (sign * one.value, price) if one.value is not None and (price := one.mean(PRICE)) is not None else None
        for one in standings
    ]
    marked = []
    for one, place in zip(standings, places, strict=True):
        others = [other for other in places if other is not None and other != place]
        best = place is not None and not any(value >= place[0] and price <= place[1] for value, price in others)
        marked.append(replace(one, pareto=None if place is None else best))
    return marked
