"""LIME with a steadier sample: the same local model, its rows spread over coalition sizes by weight, each once.

lime takes every number of absent players equally often, so that a third of its rows weigh next to nothing, some come
twice, and their mix differs from seed to seed. Here each number of absent players gets rows in proportion to the
kernel weight of its rows, drawn without replacement, with all players absent about equally often; a number that has no
rows left passes its share on. The rows of a number share among them the weight that lime's sample of `max_evaluations`
rows gives to it on average, so that the fit estimates what lime's answers scatter around. With all coalitions it is
that answer exactly.

That is said of lime's sample of texts. Images and tables are explained by the same rule, though lime samples them
otherwise: a table's players are present or absent as for the other methods, over the background.
"""

from collections.abc import Iterator
from itertools import islice
from math import comb

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.estimators.local_model import LocalModel, constant_model, fit_local_model, kernel_weights
from explicate_server.explain.game import GameInfo
from explicate_server.explain.method import Method
from explicate_server.explain.statistics.coalitions import FixedSample, coalitions_of_size, stream, turns

# The text itself and some other rows; fewer have no halves worth a fit.
LEAST_ROWS_TO_HALVE = 8


class LimeStratified(FixedSample):
    """The estimator `lime-stratified`; see `Estimator` for what its methods promise. It asks for ∅ when nothing else
    is left.
    """

    def __init__(self, game: GameInfo, max_evaluations: int) -> None:
        n = game.n_players
        absent = np.arange(n + 1)
        weights = kernel_weights((n - absent[:, None]) / max(n, 1))
        # By the number of absent players: what lime's sample weighs on average, and how many coalitions there are.
        self._total_weights = np.concatenate(([1.0], (max_evaluations - 1) / max(n, 1) * weights[1:]))
        self._totals = [comb(n, size) for size in range(n + 1)]
        self._coalitions = _sample(game, weights, max_evaluations)
        super().__init__(game, self._coalitions, first_value=game.full)

    def estimate(self) -> Attribution:
        """The local model on the rows told so far; exact once these are all coalitions."""
        game, rows = self._game, np.flatnonzero(self._known)
        if game.n_players == 0 or len(rows) < 2:
            return constant_model(game)
        attribution = self._fit(rows).attribution(game.confidence)
        return attribution.exactly(attribution.values) if len(rows) == sum(self._totals) else attribution

    def halves(self) -> tuple[Floats, Floats] | None:
        """Local models on every other row of each size, and on the rest; on both the text itself."""
        rows = np.flatnonzero(self._known)
        if len(rows) < LEAST_ROWS_TO_HALVE or len(rows) == sum(self._totals):
            return None
        drawn = rows[1:]
        by_size = drawn[np.argsort(self._absent(drawn), kind="stable")]
        first, second = (np.concatenate(([0], half)) for half in (by_size[::2], by_size[1::2]))
        return self._fit(first).values, self._fit(second).values

    def _absent(self, rows: Indices) -> Indices:
        """How many players each row lacks, intp[rows]."""
        return np.asarray(self._game.n_players - self._coalitions[rows].sum(axis=1), dtype=np.intp)

    def _fit(self, rows: Indices) -> LocalModel:
        """Each row with its part of the weight of all rows that lack as many players.

        Numbers that no row has yet leave their weight to the others: the penalty must count for as much beside it.
        """
        absent = self._absent(rows)
        counts = np.bincount(absent, minlength=len(self._totals))
        shares = np.array([count / total for count, total in zip(counts.tolist(), self._totals, strict=True)])
        scale = self._total_weights.sum() / self._total_weights[counts > 0].sum()
        return fit_local_model(
            self._coalitions[rows].astype(np.float64),
            self._values[rows],
            scale * (self._total_weights / np.maximum(counts, 1))[absent],
            1 - shares[absent],
        )


def _sample(game: GameInfo, weights: Floats, n_rows: int) -> Booleans:
    """The text itself and up to `n_rows` − 1 other coalitions, bool[rows, n]; `weights` by number of absent players."""
    n = game.n_players
    rows = [np.ones(n, np.bool_)]
    coalitions = [_lacking(n, absent, game.seed) for absent in range(1, n + 1)]
    order = turns(weights[1:], [comb(n, absent) for absent in range(1, n + 1)])
    rows += [next(coalitions[place]) for place in islice(order, n_rows - 1)]
    return np.array(rows)


def _lacking(n_players: int, absent: int, seed: int) -> Iterator[Booleans]:
    """All coalitions that lack this many players, in random order, each bool[n]."""
    if absent == n_players:
        return iter(np.zeros((1, n_players), np.bool_))
    present = n_players - absent
    generator = stream(seed, absent)
    if absent <= present:
        return (~lacking for lacking in coalitions_of_size(n_players, absent, generator))
    return coalitions_of_size(n_players, present, generator)


METHOD = Method(
    name="lime-stratified",
    version="2",
    build=LimeStratified,
    default_max_evaluations=lambda _n: 1000,
    additive=False,
    needs_empty=False,
    takes_baseline=False,
    round_rows=250,
    differs={"text": {"players": "distinct-words", "default_masking": "delete"}},
)
