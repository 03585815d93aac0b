"""LIME for texts, replaying the sample and the fit of lime 0.2.0.1 to the last digits.

Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016; lime/lime_text.py and lime/lime_base.py. The sample has
`max_evaluations` rows. Row 0 is the text itself; every other row takes out a uniform number 1 … n of players. The fit
(see local_model.py) is done by `lime.lime_base.LimeBase` itself.

Rows that repeat are asked once. Stopped early, the fit takes the prefix of the sample that was reached. Standard
errors and held-out R² are not lime's: they come from the same ridge regression, solved again with leverages.
"""

import numpy as np

from explicate_server.explain.arrays import Booleans, Floats, Indices
from explicate_server.explain.fixed_sample import FixedSample
from explicate_server.explain.game import GameInfo
from explicate_server.explain.local_model import constant_model, distances, fit_local_model, kernel, kernel_weights
from explicate_server.explain.result import Attribution, confidence_interval


class Lime:
    """The estimator `lime`; see `Estimator` for what its methods promise. It asks for ∅ where lime draws it."""

    def __init__(self, game: GameInfo, max_evaluations: int) -> None:
        self._game = game
        # The sample's rows name coalitions by their place in the order of first appearance; place 0 is the text itself.
        coalitions, self._row_places = _distinct(lime_sample(game.n_players, max_evaluations, game.seed))
        self._distinct = FixedSample(coalitions, game.n_outputs)
        self._distinct.set_first(game.full)

    def ask(self, count: int) -> Booleans | None:
        """The next `count` different coalitions of the sample."""
        return self._distinct.ask(count)

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """Take in the values of the coalitions asked last."""
        self._distinct.tell(values, evaluated)

    def estimate(self) -> Attribution:
        """The local ridge model on the rows told so far."""
        game, rows = self._game, self._known_rows()
        if game.n_players == 0 or len(rows) < 2:
            return constant_model(game)
        presence, targets = self._presence_and_targets(rows)
        values, intercepts = _library_fit(presence, targets, game.seed)
        model = fit_local_model(presence, targets, kernel_weights(presence))
        lower, upper = confidence_interval(
            values,
            model.standard_errors,
            degrees_of_freedom=model.degrees_of_freedom,
            confidence=game.confidence,
        )
        return Attribution(
            values=values,
            standard_errors=model.standard_errors,
            lower=lower,
            upper=upper,
            baseline=intercepts,
            held_out_r_squared=self._held_out_r_squared(rows),
            exact=False,
            additive=False,
        )

    def halves(self) -> tuple[Floats, Floats] | None:
        """Local models on every other coalition, each with all its repetitions, and on the rest; on both the text."""
        rows = self._known_rows()
        parts = [rows[(rows == 0) | (rows % 2 == half)] for half in (0, 1)]
        if min(len(np.unique(part)) for part in parts) < 3:
            return None
        first, second = (self._presence_and_targets(part) for part in parts)
        return (
            fit_local_model(*first, kernel_weights(first[0])).values,
            fit_local_model(*second, kernel_weights(second[0])).values,
        )

    def _known_rows(self) -> Indices:
        """The rows of the sample up to the first one not told, as places, without those that were not evaluated."""
        reached = np.flatnonzero(self._row_places >= self._distinct.told)
        prefix = self._row_places[: reached[0] if len(reached) else None]
        return prefix[self._distinct.known[prefix]]

    def _presence_and_targets(self, rows: Indices) -> tuple[Floats, Floats]:
        return self._distinct.coalitions[rows].astype(np.float64), self._distinct.values[rows]

    def _held_out_r_squared(self, rows: Indices) -> Floats:
        """R² per output on coalitions left out of the fit one at a time, each with all its repetitions."""
        distinct, repetitions = np.unique(rows, return_counts=True)
        if len(distinct) < 2:
            return np.full(self._game.n_outputs, np.nan)
        presence, targets = self._presence_and_targets(distinct)
        return fit_local_model(presence, targets, repetitions * kernel_weights(presence)).held_out_r_squared


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
    base = LimeBase(kernel, random_state=np.random.RandomState(seed))
    values = np.empty((targets.shape[1], n_players))
    intercepts = np.empty(targets.shape[1])
    for output in range(targets.shape[1]):
        intercepts[output], coefficients, _, _ = base.explain_instance_with_data(
            presence, targets, distances(presence), output, n_players, feature_selection="none"
        )
        players, weights = zip(*coefficients, strict=True)
        values[output, list(players)] = weights
    return values, intercepts
