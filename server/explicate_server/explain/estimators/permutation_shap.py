"""Permutation SHAP: players join one by one in random orders, and leave one by one in the same orders.

Castro, Gómez & Tejada, Computers & Operations Research 2009; Mitchell et al., Sampling Permutations for Shapley Value
Estimation, JMLR 2022. With P_k the first k players of an order and d(S) = v(S) − v(N∖S), joining and leaving give the
k-th player the mean contribution (d(P_k) − d(P_{k−1})) / 2. The contributions of an order sum to v(N) − v(∅), and
interactions of two players are split exactly. An order takes 2 (n − 1) rows, fewer when others have met some of them.

Standard errors come from the spread between orders. A player that matters in few orders often has about the same
contribution in the handful that was drawn, so that its own spread says too little: Student's t on it covers 0.80 to
0.90 at nominal 0.95 (4 to 32 orders of the DistilBERT games). Here each player's variance is drawn towards what its
value lets expect (Smyth, Statistical Applications in Genetics and Molecular Biology 2004): half the mean variance of
all players, and half of it in proportion to the size of the value, because a player that matters more also varies more.
Drawn towards the mean alone, the intervals cover as often taken together, but at a stop by `tolerance` those of the
player with the largest value only .87 to .90 (golden games), and now .94 to .97.
"""

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.estimators.exact_shap import shapley_values, table_index
from explicate_server.explain.game import GameInfo
from explicate_server.explain.method import LEAST_EVALUATIONS, Method
from explicate_server.explain.statistics.coalitions import stream, with_complements
from explicate_server.explain.statistics.least_squares import r_squared

# How many orders the expected variance counts for beside a player's own. With 4 the intervals keep what they promise
# from 2 to 32 orders, on the DistilBERT and on the ResNet18 games.
SHARED_DEGREES_OF_FREEDOM = 4
# The part of the mean variance that is shared out by the size of the values. At a stop by the default tolerance the
# player with the largest value is covered .866/.897 (text/image) with 0, .936/.943 with 0.4, .968/.943 with 0.5; with
# all of it, all players together only .88 (text, tolerance 0.4).
SHARE_BY_SIZE = 0.5


# Steps of the orders at most for each row of the budget. With few players orders meet known coalitions only, in the end
# thousands of orders for the last few coalitions. These are then asked without an order if the budget reaches for all.
MOST_STEPS_PER_ROW = 2


class PermutationShap:
    """The estimator `permutation-shap`; see `Estimator` for what its methods promise."""

    def __init__(self, game: GameInfo, max_evaluations: int) -> None:
        """Take the budget too: an order that it could not finish is not begun."""
        self._game = game
        self._max_evaluations = max_evaluations
        self._generator = stream(game.seed, 0)
        # None once an order did not fit: later ones are not tried instead.
        self._rows_left = max(max_evaluations - 2, 0)
        self._unmet: int = max(2**game.n_players - 2, 0)  # coalitions in no order yet
        self._places: dict[bytes, int] = {}  # of coalitions met, in the order in which they are asked
        self._orders: list[Indices] = []  # each [n]
        self._steps: list[Indices] = []  # of each order, the places of P_1 … P_{n−1} and of N∖P_1 … [2, n − 1]
        self._asked = 0
        self._coalitions: Booleans = np.zeros((0, game.n_players), np.bool_)
        self._values: Floats = np.zeros((0, game.n_outputs))  # of the coalitions told, 0 where not evaluated
        self._known: Booleans = np.zeros(0, np.bool_)  # which of them were

    @property
    def rows_left(self) -> int:
        """All coalitions not asked yet; the orders meet every one of them in the end."""
        return self._unmet + len(self._coalitions) - self._asked

    def ask(self, count: int) -> Booleans | None:
        """The next `count` new coalitions of the orders; an order may reach over several rounds."""
        if not self.rows_left:
            return None
        while len(self._coalitions) < self._asked + count and self._add_order():
            pass
        start, self._asked = self._asked, min(self._asked + count, len(self._coalitions))
        # None where rows are left, but not enough of them for another order.
        return self._coalitions[start : self._asked] if self._asked > start else None

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """Take in the values of the coalitions asked last."""
        if len(self._values) == self._asked:
            raise ValueError("There is nothing to tell: ask for coalitions first.")
        known = np.ones(len(values), np.bool_) if evaluated is None else evaluated
        self._values = np.concatenate((self._values, np.where(known[:, None], values, 0.0)))
        self._known = np.concatenate((self._known, known))

    def estimate(self) -> Attribution:
        """The mean over the orders that are complete; exact once every coalition is known."""
        game = self._game
        orders, steps = self._complete_orders()
        contributions = self._contributions(orders, steps)
        if len(orders):
            mean = contributions.mean(axis=0).T
        else:
            mean = np.repeat((game.full - game.empty)[:, None] / max(game.n_players, 1), game.n_players, axis=1)
        errors, degrees_of_freedom = _standard_errors(contributions)
        attribution = Attribution.sampled(
            mean,
            errors,
            degrees_of_freedom=degrees_of_freedom,
            confidence=game.confidence,
            baseline=game.empty,
            held_out_r_squared=self._held_out_r_squared(orders, steps, contributions),
            additive=True,
        )
        return attribution.exactly(shapley_values(self._table())) if self._complete else attribution

    def halves(self) -> tuple[Floats, Floats] | None:
        """Means over every other order, and over the rest."""
        contributions = self._contributions(*self._complete_orders())
        if len(contributions) < 2 or self._complete:
            return None
        return contributions[::2].mean(axis=0).T, contributions[1::2].mean(axis=0).T

    @property
    def _complete(self) -> bool:
        told = len(self._values) == len(self._coalitions)
        return self._unmet == 0 and told and bool(self._known.all())

    def _add_order(self) -> bool:
        """Draw an order; False when no coalition is left to meet, or when the budget ends within the order."""
        if not self._unmet or not self._rows_left:
            return False
        n = self._game.n_players
        if (len(self._orders) + 1) * 2 * (n - 1) > MOST_STEPS_PER_ROW * self._max_evaluations:
            return self._add_rest()
        order = self._generator.permutation(n)
        joined = np.argsort(order) <= np.arange(n - 1)[:, None]
        rows = with_complements(joined)
        keys = [row.tobytes() for row in rows]
        new = np.array([key not in self._places for key in keys])
        n_new = int(new.sum())
        if n_new > self._rows_left:
            self._rows_left = 0
            return False
        self._rows_left -= n_new
        self._unmet -= n_new
        self._coalitions = np.concatenate((self._coalitions, rows[new]))
        places = [self._places.setdefault(key, len(self._places)) for key in keys]
        self._orders.append(order)
        self._steps.append(np.array(places, dtype=np.intp).reshape(-1, 2).T)
        return True

    def _add_rest(self) -> bool:
        """Add the coalitions that no order has met, outside any order; False if the budget does not reach for them."""
        if self._unmet > self._rows_left:
            self._rows_left = 0
            return False
        n = self._game.n_players
        unmet = np.setdiff1d(np.arange(1, 2**n - 1), table_index(self._coalitions))
        self._coalitions = np.concatenate((self._coalitions, (unmet[:, None] >> np.arange(n)) & 1 == 1))
        self._rows_left -= self._unmet
        self._unmet = 0
        return True

    def _complete_orders(self) -> tuple[Indices, Indices]:
        """The orders whose values are all known, intp[orders, n], and the places of their coalitions,
        intp[orders, 2, n − 1].
        """
        n, told = self._game.n_players, len(self._values)
        orders = np.array(self._orders, dtype=np.intp).reshape(len(self._orders), n)
        steps = np.array(self._steps, dtype=np.intp).reshape(len(self._orders), 2, max(n - 1, 0))
        known = np.append(self._known, np.zeros(len(self._coalitions) - told, np.bool_))
        complete = known[steps].all(axis=(1, 2))
        return orders[complete], steps[complete]

    def _contributions(self, orders: Indices, steps: Indices) -> Floats:
        """What each player contributes in each order, float64[orders, n, outputs]."""
        delta = np.broadcast_to(self._game.full - self._game.empty, (len(orders), 1, self._game.n_outputs))
        joined, left = self._values[steps[:, 0]], self._values[steps[:, 1]]
        differences = np.concatenate((-delta, joined - left, delta), axis=1)  # d(P_0) … d(P_n)
        contributions = np.empty((len(orders), self._game.n_players, self._game.n_outputs))
        contributions[_each(orders), orders] = np.diff(differences, axis=1) / 2
        return contributions

    def _held_out_r_squared(self, orders: Indices, steps: Indices, contributions: Floats) -> Floats:
        """R² on the coalitions of each order, its ends among them, of the additive model from all other orders,
        float64[outputs].

        With e the model's error of v(P_k) − v(N∖P_k) and s that of v(P_k) + v(N∖P_k), which all additive models say is
        v(∅) + v(N), the squared errors of the two coalitions sum to (e² + s²) / 2.
        """
        n_orders = len(orders)
        if n_orders < 2:
            return np.full(self._game.n_outputs, np.nan)
        game, values = self._game, self._values
        apart = (contributions - contributions.mean(axis=0)) * (2 * n_orders / (n_orders - 1))  # from all others' mean
        missed = apart[_each(orders), orders].cumsum(axis=1)[:, :-1]  # e [orders, n − 1, outputs]
        _, first, counts = np.unique(steps[:, 0], return_index=True, return_counts=True)
        joined, left = (steps[:, side].ravel()[first] for side in (0, 1))
        squared_errors = np.einsum("kso,kso->o", missed, missed)
        squared_errors += counts @ (values[joined] + values[left] - game.empty - game.full) ** 2
        visits = np.bincount(steps.ravel(), minlength=len(values)).astype(np.float64)
        # An order goes from one end to the other and back.
        return r_squared(values, squared_errors / 2, visits, met=(game.empty, game.full), met_weight=2.0 * n_orders)

    def _table(self) -> Floats:
        """All values of the game by coalition, float64[2^n, outputs]."""
        table = np.empty((2**self._game.n_players, self._game.n_outputs))
        table[0], table[-1] = self._game.empty, self._game.full
        table[table_index(self._coalitions)] = self._values
        return table


def _each(orders: Indices) -> Indices:
    """The number of each order, intp[orders, 1], to index with beside the players in it."""
    return np.arange(len(orders))[:, None]


def _standard_errors(contributions: Floats) -> tuple[Floats, float]:
    """Standard errors float64[outputs, n] of the mean of float64[orders, n, outputs], and their degrees of freedom.

    NaN below two orders.
    """
    n_orders = len(contributions)
    if n_orders < 2:
        return np.full(contributions.shape[:0:-1], np.nan), 1.0
    own, shared = n_orders - 1, SHARED_DEGREES_OF_FREEDOM
    variances = contributions.var(axis=0, ddof=1)
    sizes = np.abs(contributions.mean(axis=0))
    means = sizes.mean(axis=0)
    relative = np.divide(sizes, means, out=np.ones_like(sizes), where=means > 0)
    expected = variances.mean(axis=0) * (1 - SHARE_BY_SIZE + SHARE_BY_SIZE * relative)
    drawn = (own * variances + shared * expected) / (own + shared)
    return np.sqrt(drawn / n_orders).T, float(own + shared)


METHOD = Method(
    name="permutation-shap",
    version="2",
    build=PermutationShap,
    default_max_evaluations=lambda n: max(32 * n, LEAST_EVALUATIONS),
    default_tolerance=0.2,
    refines=True,
    previews=True,
)
