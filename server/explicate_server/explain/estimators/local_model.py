"""LIME's local model: a ridge regression on the presence of players, rows weighted by their likeness to the input.

Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016, with the constants of lime 0.2.0.1 (lime/lime_text.py,
lime/lime_image.py, lime/lime_tabular.py, lime/lime_base.py). For a text or an image, a row with k of n players present
is at cosine distance 100·(1 − √(k/n)) and weighs √exp(−distance²/25²); for a table, it is at Euclidean distance
√(n − k) and weighs √exp(−distance²/(¾√n)²). Standard errors and held-out R² are not lime's.
"""

from dataclasses import dataclass

import numpy as np

from explicate_server.explain.attribution import Attribution, Floats
from explicate_server.explain.game import GameInfo
from explicate_server.explain.statistics.least_squares import Design, r_squared, sandwich_variances

# All from lime 0.2.0.1: LimeTextExplainer(kernel_width=25), distances in percent, Ridge(alpha=1).
KERNEL_WIDTH = 25.0
DISTANCE_SCALE = 100.0
RIDGE_PENALTY = 1.0
# From the same: LimeTabularExplainer(kernel_width=None), times the root of the number of columns.
TABLE_KERNEL_WIDTH = 0.75

# With two coalitions, leaving one out leaves a constant.
LEAST_HELD_OUT_COALITIONS = 3


@dataclass(frozen=True)
class LocalModel:
    """The fit of several outputs.

    Attributes:
        values: float64[outputs, n], the coefficients.
        intercepts: float64[outputs].
        standard_errors: float64[outputs, n], HC3. They say how far another draw's answer may lie, not how far the
            penalty shrinks the coefficients.
        degrees_of_freedom: rows minus the parameters used.
        held_out_r_squared: float64[outputs], with each row left out once; NaN where undefined.
    """

    values: Floats
    intercepts: Floats
    standard_errors: Floats
    degrees_of_freedom: float
    held_out_r_squared: Floats

    def attribution(self, confidence: float) -> Attribution:
        """The model as an answer, with intervals of this confidence."""
        return Attribution.sampled(
            self.values,
            self.standard_errors,
            degrees_of_freedom=self.degrees_of_freedom,
            confidence=confidence,
            baseline=self.intercepts,
            held_out_r_squared=self.held_out_r_squared,
            additive=False,
        )


def fit_local_model(
    presence: Floats, targets: Floats, weights: Floats, unseen_shares: Floats | None = None
) -> LocalModel:
    """Fit the local model.

    Args:
        presence: float64[rows, n], 1 where a player is present; at least two rows.
        targets: float64[rows, outputs].
        weights: float64[rows], in lime's scale: the penalty is 1 beside them.
        unseen_shares: float64[rows], of the coalitions that the row was drawn from, those that were not drawn: the
            finite-population correction. None where rows are drawn with replacement.
    """
    roots = np.sqrt(weights)[:, None]
    mean_presence = np.average(presence, axis=0, weights=weights)
    mean_targets = np.average(targets, axis=0, weights=weights)
    # Centring takes the intercept out, which carries no penalty.
    # The penalty is large beside the rounding of any direction, so that none is left out, as none is in lime's fit.
    design = Design(roots * (presence - mean_presence), rank_tolerance=0.0)
    fit = design.fit(roots * (targets - mean_targets), RIDGE_PENALTY, offset_leverages=weights / weights.sum())
    if len(presence) < LEAST_HELD_OUT_COALITIONS:
        held_out = np.full(targets.shape[1], np.nan)
    else:
        held_out = r_squared(targets, (fit.left_out_residuals**2).sum(axis=0), weights)
    return LocalModel(
        values=fit.coefficients.T,
        intercepts=mean_targets - mean_presence @ fit.coefficients,
        standard_errors=np.sqrt(sandwich_variances(fit, unseen_shares)).T,
        degrees_of_freedom=len(presence) - 1 - design.degrees_of_freedom(RIDGE_PENALTY),
        held_out_r_squared=held_out,
    )


def constant_model(game: GameInfo) -> Attribution:
    """What the input alone says: nothing depends on any player. Exact if there are no players."""
    zeros = np.zeros((game.n_outputs, game.n_players))
    return Attribution.certain(zeros, game.n_players == 0, baseline=game.full, additive=False)


def distances(presence: Floats) -> Floats:
    """The distance of each row of float64[rows, n] to the input, float64[rows]."""
    return np.asarray(DISTANCE_SCALE * (1 - np.sqrt(presence.mean(axis=1))))


def kernel(distances: Floats) -> Floats:
    """The weight at each distance, float64[rows]."""
    return np.asarray(np.sqrt(np.exp(-(distances**2) / KERNEL_WIDTH**2)))


def kernel_weights(presence: Floats) -> Floats:
    """lime's weight of each row of float64[rows, n], float64[rows]."""
    return kernel(distances(presence))


def euclidean_kernel_weights(presence: Floats) -> Floats:
    """lime's weight of each row of a table's float64[rows, n], float64[rows]."""
    squares = (1 - presence).sum(axis=1)
    return np.asarray(np.sqrt(np.exp(-squares / (TABLE_KERNEL_WIDTH**2 * presence.shape[1]))))
