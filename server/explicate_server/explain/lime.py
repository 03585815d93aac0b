"""LIME for texts, replaying the sample and the fit of lime 0.2.0.1 to the last digits.

Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016; lime/lime_text.py and lime/lime_base.py. The sample has
`max_evaluations` rows. Row 0 is the text itself; every other row takes out a uniform number 1 … n of players. A row
with k of n players present stands at cosine distance 100·(1 − √(k/n)) and weighs √exp(−distance²/25²). The fit is
Ridge(alpha=1) with intercept on the presence of players, done by `lime.lime_base.LimeBase` itself.

Rows that repeat are asked once. Stopped early, the fit takes the prefix of the sample that was reached. Standard
errors and held-out R² are not lime's: they come from the same ridge regression, solved again with leverages.
"""

import numpy as np

from explicate_server.explain.arrays import Booleans, Floats, Indices
from explicate_server.explain.game import GameInfo
from explicate_server.explain.regression import Design, LinearFit, sandwich_variances
from explicate_server.explain.result import Attribution, confidence_interval

# All from lime 0.2.0.1: LimeTextExplainer(kernel_width=25), distances in percent, Ridge(alpha=1).
KERNEL_WIDTH = 25.0
DISTANCE_SCALE = 100.0
RIDGE_PENALTY = 1.0

# With two coalitions, leaving one out leaves a constant.
LEAST_HELD_OUT_COALITIONS = 3


class Lime:
    """The estimator `lime`; see `Estimator` for what its methods promise. It asks for ∅ where lime draws it."""

    def __init__(self, game: GameInfo, max_evaluations: int) -> None:
        self._game = game
        self._sample = lime_sample(game.n_players, max_evaluations, game.seed)
        # The sample's rows name coalitions by their place in the order of first appearance; place 0 is the text itself.
        self._coalitions, self._row_coalitions = _distinct(self._sample)
        self._values = np.full((len(self._coalitions), game.n_outputs), np.nan)
        self._values[0] = game.full
        self._known = np.zeros(len(self._coalitions), dtype=np.bool_)
        self._known[0] = True
        self._asked = 1
        self._told = 1

    def ask(self, count: int) -> Booleans | None:
        """The next `count` different coalitions of the sample."""
        if self._asked == len(self._coalitions):
            return None
        start, self._asked = self._asked, min(self._asked + count, len(self._coalitions))
        return self._coalitions[start : self._asked]

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """Take in the values of the coalitions asked last."""
        if self._told == self._asked:
            raise ValueError("There is nothing to tell: ask for coalitions first.")
        rows = slice(self._told, self._asked)
        self._told = self._asked
        self._values[rows] = values
        self._known[rows] = True if evaluated is None else evaluated

    def estimate(self) -> Attribution:
        """The local ridge model on the rows told so far."""
        game = self._game
        reached = np.flatnonzero(self._row_coalitions >= self._told)
        prefix = self._row_coalitions[: reached[0] if len(reached) else None]
        rows = prefix[self._known[prefix]]
        if game.n_players == 0 or len(rows) < 2:
            return self._without_rows()
        presence = self._coalitions[rows].astype(np.float64)  # [rows, n]
        targets = self._values[rows]  # [rows, outputs]
        values, intercepts = _library_fit(presence, targets, game.seed)
        errors, free = _standard_errors(presence, targets)
        lower, upper = confidence_interval(values, errors, degrees_of_freedom=free, confidence=game.confidence)
        return Attribution(
            values=values,
            standard_errors=errors,
            lower=lower,
            upper=upper,
            baseline=intercepts,
            held_out_r_squared=self._held_out_r_squared(rows),
            exact=False,
            additive=False,
        )

    def _without_rows(self) -> Attribution:
        """What a ridge fit to the text alone says: nothing depends on any player."""
        zeros = np.zeros((self._game.n_outputs, self._game.n_players))
        unknown = np.full_like(zeros, np.nan)
        return Attribution(
            values=zeros,
            standard_errors=unknown,
            lower=unknown,
            upper=unknown,
            baseline=self._game.full,
            held_out_r_squared=np.full(self._game.n_outputs, np.nan),
            exact=self._game.n_players == 0,
            additive=False,
        )

    def _held_out_r_squared(self, rows: Indices) -> Floats:
        """R² per output on coalitions left out of the fit one at a time, each with all its repetitions."""
        distinct, repetitions = np.unique(rows, return_counts=True)
        if len(distinct) < LEAST_HELD_OUT_COALITIONS:
            return np.full(self._game.n_outputs, np.nan)
        presence, targets = self._coalitions[distinct].astype(np.float64), self._values[distinct]
        weights = repetitions * kernel_weights(presence)
        fit = _ridge(presence, targets, weights)[1]
        centred = targets - np.average(targets, axis=0, weights=weights)
        spread = weights @ centred**2
        errors = (fit.left_out_residuals**2).sum(axis=0)
        rounding = (np.finfo(np.float64).eps * np.abs(targets).max(axis=0)) ** 2 * weights.sum()
        return np.where(spread > rounding, 1 - errors / np.where(spread > rounding, spread, 1.0), np.nan)


def lime_sample(n_players: int, n_rows: int, seed: int) -> Booleans:
    """The rows that `LimeTextExplainer(random_state=seed).explain_instance(num_samples=n_rows)` evaluates.

    Returns:
        bool[n_rows, n_players]; row 0 is the full coalition.
    """
    sample = np.ones((n_rows, n_players), dtype=np.bool_)
    if n_players == 0:
        return sample
    random = np.random.RandomState(seed)
    sizes = random.randint(1, n_players + 1, n_rows - 1)
    for row, size in enumerate(sizes, start=1):
        # The same stream as lime's choice(range(n), size, replace=False), ten times faster.
        sample[row, random.permutation(n_players)[:size]] = False
    return sample


def kernel_weights(presence: Floats) -> Floats:
    """lime's weight of each row of float64[rows, n] presence, float64[rows]."""
    distances = DISTANCE_SCALE * (1 - np.sqrt(presence.mean(axis=1)))
    return np.asarray(_kernel(distances))


def _kernel(distances: Floats) -> Floats:
    return np.asarray(np.sqrt(np.exp(-(distances**2) / KERNEL_WIDTH**2)))


def _distinct(sample: Booleans) -> tuple[Booleans, Indices]:
    """The different rows in the order of their first appearance, and for each row its place among them."""
    places: dict[bytes, int] = {}
    row_places = np.array([places.setdefault(row.tobytes(), len(places)) for row in sample], dtype=np.intp)
    first_rows = np.unique(row_places, return_index=True)[1]
    return sample[first_rows], row_places


def load_library() -> object:
    """The class that does lime's fit. It brings scikit-learn: a second that other methods need not pay."""
    from lime.lime_base import LimeBase

    return LimeBase


def _library_fit(presence: Floats, targets: Floats, seed: int) -> tuple[Floats, Floats]:
    """Coefficients float64[outputs, n] and intercepts float64[outputs] as lime itself fits them."""
    from lime.lime_base import LimeBase

    n_players = presence.shape[1]
    base = LimeBase(_kernel, random_state=np.random.RandomState(seed))
    distances = DISTANCE_SCALE * (1 - np.sqrt(presence.mean(axis=1)))
    values = np.empty((targets.shape[1], n_players))
    intercepts = np.empty(targets.shape[1])
    for output in range(targets.shape[1]):
        intercepts[output], coefficients, _, _ = base.explain_instance_with_data(
            presence, targets, distances, output, n_players, feature_selection="none"
        )
        players, weights = zip(*coefficients, strict=True)
        values[output, list(players)] = weights
    return values, intercepts


def _ridge(presence: Floats, targets: Floats, weights: Floats) -> tuple[Design, LinearFit]:
    """The weighted ridge fit of lime, with its leverages; the intercept is taken out by centring."""
    roots = np.sqrt(weights)[:, None]
    design = Design(roots * (presence - np.average(presence, axis=0, weights=weights)))
    centred = roots * (targets - np.average(targets, axis=0, weights=weights))
    return design, design.fit(centred, RIDGE_PENALTY, offset_leverages=weights / weights.sum())


def _standard_errors(presence: Floats, targets: Floats) -> tuple[Floats, float]:
    """HC3 standard errors float64[outputs, n] over lime's own sampling, and the degrees of freedom left.

    They say how far another seed's answer may lie, not how far lime's penalty shrinks the coefficients.
    """
    design, fit = _ridge(presence, targets, kernel_weights(presence))
    free = len(presence) - 1 - design.degrees_of_freedom(RIDGE_PENALTY)
    return np.sqrt(sandwich_variances(fit)).T, free
