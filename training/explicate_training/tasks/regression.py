"""How good a regression is, from its values on rows with known targets."""

from typing import Any  # any float type; JSON values

import numpy as np
from numpy.typing import NDArray


def regression_metrics(
    predicted: NDArray[np.floating[Any]], targets: NDArray[np.floating[Any]], *, counted: str = "rows"
) -> dict[str, Any]:
    """All metrics as JSON values, from float [rows] each; R² is None when all targets are equal.

    R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)²: the part of the targets' variance that is explained. `counted` is the name
    under which their number stands.
    """
    targets = targets.astype(np.float64)
    errors = predicted.astype(np.float64) - targets
    spread = float(np.square(targets - targets.mean()).sum())
    return {
        counted: len(targets),
        "r2": 1 - float(np.square(errors).sum()) / spread if spread else None,
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt(np.square(errors).mean())),
        # What always answering the median would reach: the floor for mae.
        "median_mae": float(np.abs(targets - np.median(targets)).mean()),
    }
