"""R² of a model on values that it was not fitted to."""

import numpy as np

from explicate_server.explain.arrays import Floats


def r_squared(values: Floats, errors: Floats, weights: Floats) -> Floats:
    """1 − Σ w e² / Σ w (v − v̄)² per output, float64[outputs]; NaN where all values are equal but for rounding.

    Args:
        values: float64[m, outputs], v.
        errors: float64[m, outputs], e, of the model's predictions.
        weights: float64[m], w.
    """
    spread = weights @ (values - np.average(values, axis=0, weights=weights)) ** 2
    rounding = (np.finfo(np.float64).eps * np.abs(values).max(axis=0)) ** 2 * weights.sum()
    defined = spread > rounding
    return np.where(defined, 1 - (weights @ errors**2) / np.where(defined, spread, 1.0), np.nan)
