"""Who is ahead, and whether that is more than chance.

A recipe's figure is the mean over its seeds. What chance does to it is drawn: rows with replacement, the same for all
recipes, and seeds with replacement (a bootstrap in two steps, Davison and Hinkley 1997, chapter 3.8). One recipe is
ahead of another if the 95 % interval of their difference says so. Its rank is a range: from one below those that are
ahead of it, to the number of recipes less those behind it. Fewer than three seeds do not show what another seed would
do, so they give no rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explicate.errors import UsageError
from explicate_bundle.outcomes.resampling import draws, interval
from explicate_standards.leaderboard.runs import Run
from explicate_standards.outcomes.measures import MEASURES, Measure, measures_of
from explicate_standards.outcomes.outcomes import Floats

LEAST_SEEDS = 3
PRICE = "evaluations_per_player.median"
"""Model rows a part of an explanation: what an explanation costs."""
DEFAULT_MEASURES = {"class": "accuracy", "labels": "f1_macro", "value": "r2"}


@dataclass(frozen=True)
class Standing:
    """One recipe among those that it can be compared with.

    Attributes:
        runs: one a seed.
        value, lower, upper: the metric and its 95 % interval.
        rank: the best and the worst that chance leaves open; None with fewer than three seeds.
        pareto: whether no other recipe is better in the metric and as cheap to explain, or cheaper and as good; None if
            it does not say what an explanation costs.
    """

    runs: tuple[Run, ...]
    value: float
    lower: float
    upper: float
    rank: tuple[int, int] | None
    pareto: bool | None

    @property
    def name(self) -> str:
        """The name of its first run's folder."""
        return self.runs[0].directory.name

    def mean(self, figure: str) -> float | None:
        """The mean over its runs of a figure of how well they can be explained; None unless all have it."""
        known = [run.explained.get(figure) for run in self.runs]
        return float(np.mean([one for one in known if one is not None])) if None not in known else None


@dataclass(frozen=True)
class Group:
    """Recipes that answered the same rows, the best first."""

    measure: Measure
    rows: int
    standings: tuple[Standing, ...]


def ranked(runs: Sequence[Run], metric: str | None = None) -> list[Group]:
    """The runs in groups that can be compared, in the order in which they were given.

    Raises:
        UsageError: there is no such metric, or not for what the runs predict.
    """
    groups: dict[tuple[str, str, tuple[str, ...]], list[Run]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return [_group(of_group, metric) for of_group in groups.values()]


def _group(runs: Sequence[Run], metric: str | None) -> Group:
    answer = runs[0].outcomes.objective.answer
    measure = _measure(metric or DEFAULT_MEASURES[answer], answer)
    recipes: dict[str, list[Run]] = {}
    for run in runs:
        recipes.setdefault(run.recipe, []).append(run)
    samples = {recipe: _samples(measure, of_recipe) for recipe, of_recipe in recipes.items()}
    sign = 1.0 if measure.better == "higher" else -1.0
    ranks = _ranks({recipe: sign * each for recipe, each in samples.items()})
    standings = []
    for recipe, of_recipe in recipes.items():
        lower, upper = interval(samples[recipe]) or (float("nan"), float("nan"))
        value = float(np.mean([measure.value(run.outcomes) for run in of_recipe]))
        rank = ranks[recipe] if len(of_recipe) >= LEAST_SEEDS else None
        standings.append(Standing(tuple(of_recipe), value, lower, upper, rank, None))
    standings.sort(key=lambda one: (-sign * one.value, one.name))
    return Group(measure, len(runs[0].outcomes), tuple(_marked(standings, sign)))


def _measure(metric: str, answer: str) -> Measure:
    known = [name for name, measure in measures_of(answer).items() if not measure.of_class]
    if metric not in known:
        problem = "is not of what these runs predict" if metric in MEASURES else "is not a metric"
        raise UsageError(f"--metric {metric} {problem}; there are {', '.join(known)}")
    return MEASURES[metric]


def _samples(measure: Measure, runs: Sequence[Run]) -> Floats:
    """What the metric, the mean over seeds, is on draws of rows and seeds, float64[draws]."""
    rows = len(runs[0].outcomes)
    each = np.stack(
        [np.concatenate([measure.samples(run.outcomes, counts, None) for counts in draws(rows)]) for run in runs]
    )
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
    places = [(sign * one.value, price) if (price := one.mean(PRICE)) is not None else None for one in standings]
    marked = []
    for one, place in zip(standings, places, strict=True):
        others = [other for other in places if other is not None and other != place]
        best = place is not None and not any(value >= place[0] and price <= place[1] for value, price in others)
        marked.append(Standing(one.runs, one.value, one.lower, one.upper, one.rank, None if place is None else best))
    return marked
