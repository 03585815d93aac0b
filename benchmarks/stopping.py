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
# Rows a player that a run may take until it is certain of its top k; with the default of 32 few are ever certain of 3.
TOP_K_ROWS_PER_PLAYER = 256


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
    """What holds of the explanations of one method that were to stop when certain of their top k.

    Attributes:
        stops: how many did.
        wrong: how many of these named other players than the true ones.
        evaluations: mean rows of all, those among them that were never certain.
        median: of the same.
    """

    games: str
    method: str
    k: int
    stops: int
    wrong: int
    evaluations: float
    median: float


def measure_tolerance(
    games: str, played: Sequence[Game], truths: Sequence[Floats], seeds: int, floors: Sequence[int]
) -> list[ToleranceStops]:
    """Both sampling methods at their own defaults, or with each of the floors in rows a player."""
    return [
        _tolerance_stops(games, method, floor, played, truths, seeds)
        for method, floor in product(SAMPLING, floors or [None])
    ]


def measure_top_k(games: str, played: Sequence[Game], truths: Sequence[Floats], seeds: int) -> list[TopKStops]:
    """Both sampling methods, with each of `TOP_KS`."""
    return [_top_k_stops(games, method, k, played, truths, seeds) for method, k in product(SAMPLING, TOP_KS)]


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
    games: str, method: str, k: int, played: Sequence[Game], truths: Sequence[Floats], seeds: int
) -> TopKStops:
    stops, wrong, rows = 0, 0, []
    for game, truth, seed in _cases(played, truths, seeds):
        most = TOP_K_ROWS_PER_PLAYER * len(truth)
        explanation = explain_game(game, len(truth), method=method, seed=seed, top_k=k, max_evaluations=most)
        rows.append(explanation.evaluations)
        if explanation.stop_reason is StopReason.TOP_K:
            named, true = (set(np.argsort(-np.abs(values))[:k].tolist()) for values in (explanation.values, truth))
            stops, wrong = stops + 1, wrong + (named != true)
    return TopKStops(games, method, k, stops, wrong, float(np.mean(rows)), float(np.median(rows)))


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
    print(f"\n{'stops by top_k':<25}{'k':>4}{'stops':>8}{'wrong':>8}{'share':>8}{'rows':>8}{'median':>8}")
    for each in top_k:
        print(f"{each.games:<6} {each.method:<18}{each.k:>4}{each.stops:>8}{each.wrong:>8}", end="")
        print(f"{each.wrong / max(each.stops, 1):>8.3f}{each.evaluations:>8.0f}{each.median:>8.0f}")
