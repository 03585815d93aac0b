"""Kernel SHAP by paired leverage-score sampling: Shapley values from a regression on pairs of coalitions.

Musco & Witter, Provably Accurate Shapley Value Estimation via Leverage Score Sampling, ICLR 2025; Covert & Lee,
Improving KernelSHAP, AISTATS 2021. Coalitions come from coalitions.py. Of a pair S, N∖S the regression
(pair_regression.py) sees only the difference v(S) − v(N∖S), in which half of all interactions cancel. With enough
pairs a model of the other half (surrogate.py) takes part of their noise away. With all coalitions the values are exact.
"""

from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.game import GameInfo
from explicate_server.explain.method import LEAST_EVALUATIONS, Method
from explicate_server.explain.statistics.coalitions import PairSampler, with_complements
from explicate_server.explain.statistics.least_squares import VALUE_ROUNDING
from explicate_server.explain.statistics.pair_regression import PairFit, PairRegression
from explicate_server.explain.statistics.section_pairs import SectionPairs
from explicate_server.explain.statistics.surrogate import fit_surrogates

# Below this many evaluations per player a penalty helps. Measured on the DistilBERT games, median relative L2 error
# with and without: 2n 0.82 and 1.38 (plain least squares interpolates there), 6n 0.42 and 0.49, 8n 0.37 and 0.39,
# 12n 0.27 and 0.27.
PENALISED_BELOW_EVALUATIONS_PER_PLAYER = 10
# From this many on the surrogate is tried; with fewer pairs than 2n their left-out errors say too little.
SURROGATE_FROM_EVALUATIONS_PER_PLAYER = 4
# It is used if it takes this share off the squared left-out errors. Measured: 0 to 0.15 make no difference.
SURROGATE_LEAST_GAIN = 0.05
# Beyond this many players its coalitions are too far apart to tell it anything.
SURROGATE_MAX_PLAYERS = 64
# Beyond this many outputs, which share one kernel, it would cost more than all the rest of the fit.
SURROGATE_MAX_OUTPUTS = 64
# Beyond this many, players squared times outputs, correlations of errors would cost more than all the rest of the fit.
MAX_CORRELATIONS = 2**20
# Fewer pairs than this have no halves worth a fit.
LEAST_PAIRS_TO_HALVE = 4
# Without the only pair there is nothing to fit.
LEAST_HELD_OUT_PAIRS = 2
# Left-out errors below this fraction of the differences are rounding; there is nothing left to model.
ROUNDING = 1e-10


@dataclass(frozen=True)
class Pairs:
    """Evaluated pairs: one coalition of each, its level, v(S) − v(N∖S) and v(S) + v(N∖S)."""

    coalitions: Booleans  # [pairs, n]
    levels: Indices  # [pairs]
    differences: Floats  # [pairs, outputs]
    sums: Floats  # [pairs, outputs]

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, rows: Indices) -> "Pairs":
        return Pairs(self.coalitions[rows], self.levels[rows], self.differences[rows], self.sums[rows])

    def __add__(self, more: "Pairs") -> "Pairs":
        return Pairs(
            np.concatenate((self.coalitions, more.coalitions)),
            np.concatenate((self.levels, more.levels)),
            np.concatenate((self.differences, more.differences)),
            np.concatenate((self.sums, more.sums)),
        )


class KernelShap:
    """The estimator `kernel-shap`; see `Estimator` for what its methods promise."""

    def __init__(self, game: GameInfo) -> None:
        self._game = game
        self._sampler = PairSampler(game.n_players, game.seed)
        self._source: PairSampler | SectionPairs = self._sampler
        nothing = np.zeros((0, game.n_outputs))
        self._pairs = Pairs(np.zeros((0, game.n_players), np.bool_), np.zeros(0, np.intp), nothing, nothing)
        self._asked: tuple[Booleans, Indices] | None = None

    @property
    def rows_left(self) -> int:
        """Both coalitions of every pair not asked yet."""
        return 2 * self._source.pairs_left

    def ask(self, count: int) -> Booleans | None:
        """Up to `count` rows, each coalition followed by its complement."""
        if not self._source.pairs_left:
            return None
        self._asked = self._source.draw(count // 2)
        return with_complements(self._asked[0])

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """Take in the pairs whose halves were both evaluated."""
        if self._asked is None:
            raise ValueError("There is nothing to tell: ask for coalitions first.")
        coalitions, levels = self._asked
        self._asked = None
        halves = values.reshape(len(levels), 2, self._game.n_outputs)
        whole = np.ones(len(levels), np.bool_) if evaluated is None else evaluated.reshape(-1, 2).all(axis=1)
        first, second = halves[whole, 0], halves[whole, 1]
        self._pairs += Pairs(coalitions[whole], levels[whole], first - second, first + second)

    def estimate(self) -> Attribution:
        """Shapley values as far as the evaluated pairs tell them."""
        game, exact = self._game, self._complete
        fit, held_out = self._fitted(game.full - game.empty, exact=exact)
        return Attribution.sampled(
            fit.values,
            np.zeros_like(fit.values) if exact else fit.standard_errors,
            degrees_of_freedom=fit.degrees_of_freedom[:, None],
            confidence=game.confidence,
            baseline=game.empty,
            held_out_r_squared=held_out,
            additive=True,
            exact=exact,
            correlations=fit.correlations,
        )

    def halves(self) -> tuple[Floats, Floats] | None:
        """Regressions on every other pair of each level, and on the rest; without the surrogate, which would cost more
        than the answer itself and only bring the halves closer to each other.
        """
        if len(self._pairs) < LEAST_PAIRS_TO_HALVE or self._complete:
            return None
        by_level = np.argsort(self._pairs.levels, kind="stable")
        return self._half(self._pairs[by_level[::2]]), self._half(self._pairs[by_level[1::2]])

    def of(self, games: Indices) -> "KernelShap":
        """The same with some of the games; the pairs still come from the one sampler."""
        part, outputs, pairs = copy(self), self._game.outputs_of(games), self._pairs
        part._game = self._game.of(games)
        part._pairs = replace(pairs, differences=pairs.differences[:, outputs], sums=pairs.sums[:, outputs])
        return part

    def _half(self, pairs: Pairs) -> Floats:
        regression = PairRegression(pairs.coalitions, pairs.levels, self._sampler)
        delta = self._game.full - self._game.empty
        return regression.fit(pairs.differences, delta, penalised=self._penalised(pairs)).values

    @property
    def _complete(self) -> bool:
        return len(self._pairs) == sum(self._sampler.total_pairs)

    def _penalised(self, pairs: Pairs) -> bool:
        return (2 * len(pairs) + 2) / self._game.n_players < PENALISED_BELOW_EVALUATIONS_PER_PLAYER

    def _fitted(self, delta: Floats, *, exact: bool) -> tuple[PairFit, Floats]:
        """The fit, with a surrogate where that helps, and the held-out R² of the fit without, float64[outputs]."""
        pairs, n = self._pairs, self._game.n_players
        if not len(pairs):
            return _nothing_known(delta, n), np.full(len(delta), np.nan)
        regression = PairRegression(pairs.coalitions, pairs.levels, self._sampler)
        per_player = (2 * len(pairs) + 2) / n
        penalised = not exact and self._penalised(pairs)
        fit = regression.fit(pairs.differences, delta, penalised=penalised)
        held_out = self._held_out_r_squared(regression.weights, fit)
        small = n <= SURROGATE_MAX_PLAYERS and self._game.outputs_each <= SURROGATE_MAX_OUTPUTS
        if not exact and small and per_player >= SURROGATE_FROM_EVALUATIONS_PER_PLAYER:
            games = np.repeat(np.arange(self._game.games), self._game.outputs_each)
            fit = _with_surrogates(regression, fit, pairs.differences, delta, games, penalised=penalised)
        if not exact and n * n * self._game.outputs_each <= MAX_CORRELATIONS:
            # With a penalty the variances are the largest of several; how their errors go together is not known.
            apart = np.zeros((len(delta), n, n))
            together = apart if penalised else regression.correlations(fit.left_out_residuals)
            fit = replace(fit, correlations=together)
        return fit, held_out

    def _held_out_r_squared(self, weights: Floats, fit: PairFit) -> Floats:
        """R² of the additive model on both coalitions of each pair, fitted without the pair, float64[outputs].

        With e the left-out error of v(S) − v(N∖S) and s that of v(S) + v(N∖S), the two coalitions' squared errors sum
        to (e² + s²) / 2. Additive models all say v(∅) + v(N) for the sum, so s shows what pairing hides from the fit.
        The ends, a pair that the model meets, count as much as the pairs of single players: where any one player
        upholds the output alone, all other values are nearly equal, and their spread is nothing to hold errors against.
        `weights` float64[pairs] are the regression's.
        """
        game, pairs = self._game, self._pairs
        if len(pairs) < LEAST_HELD_OUT_PAIRS:
            return np.full(game.n_outputs, np.nan)
        ends_sum, ends_difference = game.full + game.empty, game.full - game.empty
        ends_weight = float(weights[pairs.levels == 0].sum())
        total = weights.sum() + ends_weight
        mean_sum = (weights @ pairs.sums + ends_weight * ends_sum) / total
        errors = (fit.left_out_residuals**2).sum(axis=0) + weights @ (pairs.sums - ends_sum) ** 2
        spread = weights @ pairs.differences**2 + weights @ (pairs.sums - mean_sum) ** 2
        spread += ends_weight * (ends_difference**2 + (ends_sum - mean_sum) ** 2)
        scale = np.maximum(np.abs(pairs.sums).max(axis=0), np.abs(ends_sum))
        defined = spread > total * (VALUE_ROUNDING * scale) ** 2
        return np.where(defined, 1 - errors / np.where(defined, spread, 1.0), np.nan)


def _nothing_known(delta: Floats, n_players: int) -> PairFit:
    """Before the first pair: all players are alike."""
    values = np.repeat(delta[:, None] / max(n_players, 1), n_players, axis=1)
    return PairFit(values, np.full_like(values, np.nan), np.zeros((0, len(delta))), np.ones(len(delta)))


def _with_surrogates(
    regression: PairRegression, fit: PairFit, differences: Floats, deltas: Floats, games: Indices, *, penalised: bool
) -> PairFit:
    """The fit, with a surrogate plus the regression on what it misses for each output where that leaves less error.

    The outputs of each game, intp[outputs], share a surrogate.

    The misses of all pairs have two parts: on the share p of the pairs that was evaluated they are known, on the rest
    they are like the left-out errors. The errors of the result, and the choice, come from left-out errors alone; those
    in the sample are too small, and intervals from them cover 0.54 to 0.88 instead of 0.95 (measured).
    """
    squared_errors = (fit.left_out_residuals**2).sum(axis=0)
    worth = np.flatnonzero(squared_errors > ROUNDING**2 * (regression.weights @ differences**2))
    if not len(worth):
        return fit
    starts = np.flatnonzero(np.diff(games[worth], prepend=-1))
    of_games = np.split(np.arange(len(worth)), starts[1:])
    surrogate = fit_surrogates(regression.signs, differences[:, worth], regression.weights, fit.values[worth], of_games)
    unseen = regression.unseen_shares[:, None]
    missed = unseen * surrogate.left_out_errors + (1 - unseen) * surrogate.errors
    rest = deltas[worth] - surrogate.shapley_values.sum(axis=1)
    both = np.concatenate((missed, surrogate.left_out_errors), axis=1)
    corrections = regression.fit(both, np.tile(rest, 2), penalised=penalised)
    errors_left = (corrections.left_out_residuals[:, len(worth) :] ** 2).sum(axis=0)
    used = errors_left <= (1 - SURROGATE_LEAST_GAIN) * squared_errors[worth]
    corrected = surrogate.shapley_values + corrections.values[: len(worth)]
    corrected += (deltas[worth] - corrected.sum(axis=1))[:, None] / corrected.shape[1]  # the rounding of larger numbers
    values, standard_errors, left_out = fit.values.copy(), fit.standard_errors.copy(), fit.left_out_residuals.copy()
    values[worth[used]] = corrected[used]
    standard_errors[worth[used]] = corrections.standard_errors[len(worth) :][used]
    left_out[:, worth[used]] = corrections.left_out_residuals[:, len(worth) :][:, used]
    return replace(fit, values=values, standard_errors=standard_errors, left_out_residuals=left_out)


# Rows a player before the tolerance may stop. Coverage at the stop (`python -m benchmarks.accuracy --stops --floors`)
# is as good from 3 on as from 8: .960 of all intervals of the text games, .967 of the images', and .954 and .958 of the
# player with the largest estimate. These games need 10 rows a player and more; those of a model that was fine-tuned for
# interpretability stop before 8.
_FLOOR = 3

METHOD = Method(
    name="kernel-shap",
    version="4",
    build=lambda game, _max_evaluations: KernelShap(game),
    default_max_evaluations=lambda n: max(32 * n, LEAST_EVALUATIONS),
    default_min_evaluations=lambda n: max(_FLOOR * n, LEAST_EVALUATIONS),
    default_tolerance=0.2,
    refines=True,
    long_texts_from=150,
    previews=True,
    interacts=True,
    shared=True,
)
