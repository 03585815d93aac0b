"""Shapley values of a model that tells what each player adds: exact on both scales, and without a row of the model.

On the model's own scale they are differences of what it tells. On the scale of probabilities every coalition's value
follows by additions (`added_game`): few players are enumerated; of more, the games of a sigmoid (two classes, several
labels) have a polynomial formula (`sigmoid_sums`). What is left, three and more classes of many players, is sampled as
`kernel-shap` does, but of sums that cost no row of the model: those values have intervals, and say so.
"""

from functools import lru_cache
from math import comb

import numpy as np

from explicate_server.explain.added_game import AddedGame, LinkKind
from explicate_server.explain.attribution import Attribution, Floats
from explicate_server.explain.estimators.asks_nothing import AsksNothing, method
from explicate_server.explain.estimators.exact_shap import shapley_values
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.game import Estimator, GameInfo
from explicate_server.explain.statistics.sigmoid_sums import sigmoid_shapley_values

# Sums that are made to enumerate: 2^n coalitions, times background rows and parts. 2^18 take 2 to 4 ms on one core.
_MOST_SUMS = 1 << 22
# Of a sigmoid the formula is quicker with more players than these: of 20 background rows it takes 5, 10 and 18 ms for
# 13, 14 and 20 players, enumeration 1.2, 3.9 and 250 ms.
_MOST_ENUMERATED_SIGMOIDS = 14
# And its work, players² times background rows and parts, is a second with this much.
_MOST_SIGMOID_WORK = 1 << 18
# Sums held at a time.
_CHUNK_SUMS = 1 << 20
# Numbers of players whose coefficients are kept, up to 4 MB each: those of the models that are served.
_COEFFICIENTS_KEPT = 8
_MOST_TABULATED = 15
# Axes of what the players of one game add; several games have one more.
_ONE_GAME = 2
# Coalitions that are sampled for each player where nothing exact is left.
_SAMPLES_PER_PLAYER = 256


def _built(game: GameInfo, _max_evaluations: int) -> Estimator:
    if not isinstance(game.told, AddedGame):
        raise TypeError("additive-exact explains games of models that tell what each player adds; this is none.")
    return AsksNothing(game, _attribution(game, game.told))


def _attribution(game: GameInfo, added: AddedGame) -> Attribution:
    if added.link.kind is LinkKind.IDENTITY:
        of_parts = added.row - np.einsum("b,bnp->np", added.weights, added.background)  # [games, n, parts], or one
        values = np.swapaxes(of_parts @ added.mix.T, -1, -2).reshape(game.n_outputs, game.n_players)
        return Attribution.certain(values, True, baseline=game.empty, additive=True)
    if added.row.ndim == _ONE_GAME:
        return _of_one(game, added)
    return Attribution.joined([_of_one(game.of(np.array([number])), added.of(number)) for number in range(game.games)])


def _of_one(game: GameInfo, added: AddedGame) -> Attribution:
    kind, n, width = added.link.kind, game.n_players, len(added.weights) * len(added.bias)
    by_formula = kind is LinkKind.SIGMOID and n * n * width <= _MOST_SIGMOID_WORK
    if by_formula and n > _MOST_ENUMERATED_SIGMOIDS:
        of_parts = _of_sigmoids(added)
    elif width << min(n, 64) <= _MOST_SUMS:
        of_parts = _enumerated(added, n)
    elif by_formula:
        of_parts = _of_sigmoids(added)
    else:
        return _sampled(game, added)
    return Attribution.certain(added.mix @ of_parts, True, baseline=game.empty, additive=True)


def _enumerated(added: AddedGame, n: int) -> Floats:
    """Shapley values float64[parts, n] from all coalitions."""
    rows = max(1, _CHUNK_SUMS // (len(added.bias) << n))
    parts = [added.table(slice(first, first + rows)) for first in range(0, len(added.weights), rows)]
    table = np.sum(parts, axis=0)
    if n > _MOST_TABULATED:
        return shapley_values(table)
    return np.asarray((_coefficients(n) @ table).T)


@lru_cache(maxsize=_COEFFICIENTS_KEPT)
def _coefficients(n: int) -> Floats:
    """What the value of each coalition counts in each player's Shapley value, float64[n, 2^n]."""
    places = np.arange(1 << n)
    present = (places >> np.arange(n)[:, np.newaxis] & 1).astype(np.bool_)  # [n, 2^n]
    sizes = present.sum(axis=0)
    # w(s) = s! (n − 1 − s)! / n! for a player that joins s others.
    weights = np.array([1 / (n * comb(n - 1, size)) for size in range(n)])
    joined, missed = weights[np.maximum(sizes - 1, 0)], weights[np.minimum(sizes, n - 1)]
    return np.asarray(np.where(present, joined, -missed), dtype=np.float64)


def _of_sigmoids(added: AddedGame) -> Floats:
    """Shapley values float64[parts, n] from the formula, part by part."""
    games = zip(added.absent.T, np.moveaxis(added.changes, 2, 0), strict=True)
    return np.stack([sigmoid_shapley_values(absent, changes, added.weights) for absent, changes in games])


def _sampled(game: GameInfo, added: AddedGame) -> Attribution:
    """What `kernel-shap` says of many coalitions."""
    sampled = KernelShap(game)
    coalitions = sampled.ask(_SAMPLES_PER_PLAYER * game.n_players)
    if coalitions is not None:
        sampled.tell(added.values(coalitions))
    return sampled.estimate()


METHOD = method(
    name="additive-exact",
    build=_built,
    needs="contributions",
    lacks="needs a model that tells what each column adds, which this one does not; train it with "
    '[interpretability] form = "additive"',
)
