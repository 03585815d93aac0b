"""`python -m benchmarks.accuracy --stops`: whether explanations that stop by themselves keep what they say.

A run that looks at its intervals after each round and stops when they are narrow stops the sooner, the luckier they
are. So coverage is counted at the stop, and for the players with the largest values, which a reader looks at first:
those with the largest estimates, and those with the largest true values. A TOP_K stop is wrong when the k players it is
certain of are not the k with the largest true values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.accuracy_methods import Floats, Game
from explicate_server.explain import METHODS, GameExplanation, StopReason, explain_game

SAMPLING = ("kernel-shap", "permutation-shap")
TOP_KS = (1, 2, 3)
CONFIDENCES = (0.5, 0.95)


@dataclass(frozen=True)
class ToleranceStops:
    """What holds of the explanations of one method that stopped for the default tolerance; means.

    Attributes:
        floor: rows a player before the tolerance might stop; None for the method's own.
        share: of all explanations.
        coverage: of all intervals.
        top_one, top_three: of the players with the largest estimates by size.
        true_top_one, true_top_three: of those with the largest true values.
        half_width: over the range of the true values.
        evaluations: rows.
    """

    games: str
    method: str
    floor: int | None
    share: float
    coverage: float
    top_one: float
    top_three: float
    true_top_one: float
    true_top_three: float
    half_width: float
    evaluations: float


@dataclass(frozen=True)
class TopKStops:
    """How many explanations of one method stopped as certain of their top k, and how many of these were wrong."""

    games: str
    method: str
    confidence: float
    stops: int
    wrong: int


def measure_tolerance(
    games: str, played: Sequence[Game], truths: Sequence[Floats], seeds: int, floors: Sequence[int]
) -> list[ToleranceStops]:
    """Both sampling methods at their own defaults, or with each of the floors in rows a player."""
    return [
        _tolerance_stops(games, method, floor, played, truths, seeds)
        for method, floor in product(SAMPLING, floors or [None])
    ]


def measure_top_k(games: str, played: Sequence[Game], truths: Sequence[Floats], seeds: int) -> list[TopKStops]:
    """Both sampling methods, over all of `TOP_KS`, with as many rows as they take by default."""
    return [
        _top_k_stops(games, method, confidence, played, truths, seeds)
        for method, confidence in product(SAMPLING, CONFIDENCES)
    ]


def _tolerance_stops(
    games: str, method: str, floor: int | None, played: Sequence[Game], truths: Sequence[Floats], seeds: int
) -> ToleranceStops:
    tolerance, rows = METHODS[method].default_tolerance, []
    for game, truth, seed in _cases(played, truths, seeds):
        n = len(truth)
        least = None if floor is None else floor * n
        explanation = explain_game(game, n, method=method, seed=seed, tolerance=tolerance, min_evaluations=least)
        if explanation.stop_reason is StopReason.TOLERANCE:
            rows.append(_figures(explanation, truth))
    means = np.mean(rows, axis=0).tolist()
    return ToleranceStops(games, method, floor, len(rows) / (len(truths) * seeds), *means)


def _figures(explanation: GameExplanation, truth: Floats) -> tuple[float, ...]:
    covered = (explanation.lower <= truth) & (truth <= explanation.upper)
    estimated, true = (np.argsort(-np.abs(values)) for values in (explanation.values, truth))
    half_width = (explanation.upper - explanation.lower).mean() / 2 / np.ptp(truth)
    tops = (covered[ranking[:k]].mean() for ranking in (estimated, true) for k in (1, 3))
    return (covered.mean(), *tops, half_width, explanation.evaluations)


def _top_k_stops(
    games: str, method: str, confidence: float, played: Sequence[Game], truths: Sequence[Floats], seeds: int
) -> TopKStops:
    stops = wrong = 0
    for (game, truth, seed), k in product(_cases(played, truths, seeds), TOP_KS):
        explanation = explain_game(game, len(truth), method=method, seed=seed, confidence=confidence, top_k=k)
        if explanation.stop_reason is StopReason.TOP_K:
            named, true = (set(np.argsort(-np.abs(values))[:k].tolist()) for values in (explanation.values, truth))
            stops, wrong = stops + 1, wrong + (named != true)
    return TopKStops(games, method, confidence, stops, wrong)


def _cases(played: Sequence[Game], truths: Sequence[Floats], seeds: int) -> Iterator[tuple[Game, Floats, int]]:
    for (game, truth), seed in product(zip(played, truths, strict=True), range(seeds)):
        yield game, truth, seed


def print_stops(tolerance: Sequence[ToleranceStops], top_k: Sequence[TopKStops]) -> None:
    """One table for each kind of stop."""
    print(
        f"\n{'stops by tolerance':<25}{'share':>8}{'covered':>9}{'top 1':>8}{'top 3':>8}{'true 1':>8}{'true 3':>8}",
        end="",
    )
    print(f"{'± of range':>12}{'rows':>7}")
    for one in tolerance:
        method = one.method if one.floor is None else f"{one.method.removesuffix('-shap')} from {one.floor}n"
        print(f"{one.games:<6} {method:<18}{one.share:>8.3f}{one.coverage:>8.3f}{one.top_one:>8.3f}", end="")
        print(f"{one.top_three:>8.3f}{one.true_top_one:>8.3f}{one.true_top_three:>8.3f}", end="")
        print(f"{one.half_width:>12.3f}{one.evaluations:>7.0f}")
    print(f"\n{'stops by top_k 1, 2, 3':<25}{'confidence':>12}{'stops':>8}{'wrong':>8}{'share':>8}")
    for each in top_k:
        print(f"{each.games:<6} {each.method:<18}{each.confidence:>12}{each.stops:>8}{each.wrong:>8}", end="")
        print(f"{each.wrong / max(each.stops, 1):>8.3f}")
