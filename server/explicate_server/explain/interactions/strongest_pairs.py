"""The strongest interactions of an explanation, from the coalitions that were evaluated for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from explicate_server.explain.attribution import ROUNDING, Attribution, Booleans, Floats, Indices
from explicate_server.explain.game import GameInfo
from explicate_server.explain.groups import gathered
from explicate_server.explain.interactions.cut_regression import pair_estimates
from explicate_server.explain.interactions.faith_shap import exact_interactions, pairs_of
from explicate_server.explain.interactions.shrinkage import shrunk
from explicate_server.explain.statistics.least_squares import VALUE_ROUNDING

# Fewer pairs of coalitions than this say nothing of pairs of players.
LEAST_PAIRS = 8
# The strongest pairs are those that are hardest to know, and of few rows it is not known how large interactions are: so
# their intervals miss this part as often as was asked for, and less with fewer pairs of coalitions than pairs of
# players, down to a fifth of that. Measured at .95 in benchmarks/interactions.py.
TOLD_MISSES, LEAST_SHARE_OF_ROWS = 0.8, 0.2


@dataclass(frozen=True)
class StrongestPairs:
    """Pairs of players of one output, the largest interaction by size first.

    Attributes:
        first, second: intp[k], the attributed players of each pair, the first one before the second.
        values: float64[k], a_ij, see `faith_shap`.
        standard_errors: float64[k]; 0 where all coalitions were evaluated.
        lower, upper: float64[k], the ends of the confidence intervals.
    """

    first: Indices
    second: Indices
    values: Floats
    standard_errors: Floats
    lower: Floats
    upper: Floats


def strongest_pairs(
    rows: tuple[Booleans, Floats] | None, attribution: Attribution, game: GameInfo, *, count: int
) -> Sequence[StrongestPairs] | None:
    """The `count` strongest pairs of each output, or as many as there are; None if too little was evaluated.

    Args:
        rows: coalitions bool[m, players of the game], each once, neither ∅ nor N, and their values float64[m, outputs].
        attribution: of these rows; where players are grouped, the pairs are of its groups, and rows that are no
            coalitions of groups are left out.
        game: whose v(∅) and v(N) are known.
        count: k, from 1.
    """
    n = attribution.values.shape[1]
    coalitions, values = np.zeros((0, n), np.bool_), np.zeros((0, game.n_outputs))
    if rows is not None:
        coalitions, whole = gathered(rows[0], attribution.groups)
        coalitions, values = coalitions[whole], rows[1][whole]
    if n < 2:
        return [_exactly(np.zeros((0, 2), np.intp), np.zeros(0), count)] * game.n_outputs
    if len(coalitions) == 2**n - 2:
        interactions = exact_interactions(coalitions, values, empty=game.empty, full=game.full)
        pairs = np.stack(pairs_of(np.arange(n)), axis=1)
        return [_exactly(pairs, of_output, count) for of_output in interactions]
    cut, targets = _cuts(coalitions, values, game)
    return None if len(cut) < LEAST_PAIRS else _sampled(cut, targets, attribution, game, count)


def _exactly(pairs: Indices, values: Floats, count: int) -> StrongestPairs:
    told = np.argsort(-np.abs(values), kind="stable")[:count]
    first, second = pairs[told].T
    return StrongestPairs(first, second, values[told], np.zeros(len(told)), values[told], values[told])


def _sampled(
    cut: Booleans, targets: Floats, attribution: Attribution, game: GameInfo, count: int
) -> Sequence[StrongestPairs]:
    estimates = pair_estimates(cut, targets, attribution.values)
    n = cut.shape[1]
    rows_per_unknown = min(max(len(cut) / comb(n, 2), LEAST_SHARE_OF_ROWS), 1.0)
    missed = TOLD_MISSES * rows_per_unknown * (1 - game.confidence) / 2
    # Differences of four values are known to their rounding.
    rounding = (2 * VALUE_ROUNDING * np.maximum(np.abs(game.empty), np.abs(game.full)) + ROUNDING) ** 2
    strongest = []
    for values, variances, least in zip(estimates.values, estimates.variances, rounding, strict=True):
        known = shrunk(values, np.maximum(variances, least), estimates.scales)
        told = np.argsort(-np.abs(known.values), kind="stable")[:count]
        known = known.of(told)
        lower, upper = known.quantiles(missed), known.quantiles(1 - missed)
        players = estimates.first[told], estimates.second[told]
        strongest.append(StrongestPairs(*players, known.values, known.standard_errors, lower, upper))
    return strongest


def _cuts(coalitions: Booleans, values: Floats, game: GameInfo) -> tuple[Booleans, Floats]:
    """One coalition of each pair S, N∖S of which both are known, bool[pairs, n], and what is lost by cutting the
    players in two like that, float64[pairs, outputs].
    """
    places: dict[bytes, int] = {}
    first, second = [], []
    keys, others = np.packbits(coalitions, axis=1), np.packbits(~coalitions, axis=1)
    for row, (key, other) in enumerate(zip(keys, others, strict=True)):
        if (place := places.get(other.tobytes())) is not None:
            first.append(place)
            second.append(row)
        places[key.tobytes()] = row
    return coalitions[first], game.empty + game.full - values[first] - values[second]
