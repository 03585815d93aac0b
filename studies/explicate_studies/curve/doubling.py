"""What twice the labels buy: a line through the scores over log2 of the labels, with its interval.

Learning curves follow a power law over a wide range (Hestness and others 2017, "Deep Learning Scaling is Predictable,
Empirically"); over a few doublings a line in log2 is near enough, and its slope is a figure that people can use. Its
95 % interval is that of ordinary least squares over the draws of labels; the test rows are the same for all, so what
another test set would change is not in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from explicate_studies.choice import Measured
from explicate_studies.curve.points import RECIPES, Plan, Point

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean(Measured):
    """Mean over so many draws, with its 95 % t interval; NaN ends of one draw."""

    count: int = 1


@dataclass(frozen=True)
class Doubling:
    """The line of a recipe.

    Attributes:
        gain: by which the score rises with twice the labels.
        last: the same between the two largest sizes alone, paired by draws; None where no draw has both.
        at: the largest size.
        reached: the mean score there.
        promised: what the line has at twice that size.
    """

    recipe: str
    gain: Mean
    last: Mean | None
    at: int
    reached: Mean
    promised: float


def mean_of(values: Sequence[float]) -> Mean:
    """Student's t interval of a mean; one without ends of fewer than two values."""
    mean, count = float(np.mean(values)), len(values)
    half = float("nan")
    if count > 1:
        half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return Mean(mean, mean - half, mean + half, count)


def doubling(points: Sequence[Point], recipe: str) -> Doubling | None:
    """The line of a recipe's points; None of fewer than three, or of one size."""
    own = [one for one in points if one.recipe == recipe]
    sizes = sorted({one.labels for one in own})
    if len(own) < 3 or len(sizes) < 2:
        return None
    x, y = np.log2([one.labels for one in own]), np.array([one.score for one in own])
    line = stats.linregress(x, y)
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(own) - 2) * line.stderr)
    gain = Mean(float(line.slope), float(line.slope) - half, float(line.slope) + half, len(own))
    at = sizes[-1]
    promised = float(line.intercept + line.slope * (math.log2(at) + 1))
    reached = mean_of([one.score for one in own if one.labels == at])
    return Doubling(recipe, gain, _last(own, sizes[-2], at), at, reached, promised)


def _last(own: Sequence[Point], before: int, at: int) -> Mean | None:
    scores = {(one.labels, one.seed): one.score for one in own}
    seeds = sorted({one.seed for one in own if (before, one.seed) in scores and (at, one.seed) in scores})
    if not seeds:
        return None
    doublings = math.log2(at / before)
    return mean_of([(scores[at, seed] - scores[before, seed]) / doublings for seed in seeds])


def sentences(points: Sequence[Point], plan: Plan) -> list[str]:
    """What more labels would buy, a sentence or two for each recipe; then which recipe is ahead where."""
    found = [line for recipe in plan.recipes if (line := doubling(points, recipe))]
    told = [_sentence(one, plan) for one in found]
    if len(plan.recipes) == 2:
        told += [one for size in plan.labels if (one := _ahead(points, size, plan))]
    return told


def _sentence(one: Doubling, plan: Plan) -> str:
    gain = (
        f"{RECIPES[one.recipe]}: twice the labels ≈ {one.gain.value:+.3f} {plan.title} "
        f"[{one.gain.lower:+.3f}, {one.gain.upper:+.3f}]; {one.at} labels {plan.of} reach {one.reached.told()}"
    )
    if one.gain.lower <= 0:
        return f"{gain}; more labels are not shown to buy anything"
    last = one.last
    if last is not None and last.upper < one.gain.lower:
        return (
            f"{gain}; the curve flattens: the last step brought {last.value:+.3f} "
            f"[{last.lower:+.3f}, {last.upper:+.3f}] a doubling, so expect no more than that of {2 * one.at}"
        )
    return f"{gain}, and {2 * one.at} would reach about {one.promised:.3f} if the line went on"


def _ahead(points: Sequence[Point], size: int, plan: Plan) -> str:
    """The paired difference between the two recipes at a size; empty where no draw has both."""
    scores = {one.key: one.score for one in points}
    first, second = plan.recipes
    both = [s for s in range(plan.seeds) if (size, s, first) in scores and (size, s, second) in scores]
    if len(both) < 2:
        return ""
    difference = mean_of([scores[size, seed, second] - scores[size, seed, first] for seed in both])
    words = "is ahead of" if difference.lower > 0 else "is behind" if difference.upper < 0 else "is not told apart from"
    return (
        f"at {size} labels {plan.of} the recipe for few labels {words} full training: {difference.value:+.3f} "
        f"[{difference.lower:+.3f}, {difference.upper:+.3f}] {plan.title}"
    )
