"""How far probabilities are from how often they are right: the expected calibration error, and its bins."""

from typing import Any  # numbers of any type

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.outcomes.resampling import Counts

CALIBRATION_BINS = 15
Floats = NDArray[np.float64]


def equal_mass_bins(probabilities: Floats) -> NDArray[np.intp]:
    """The bin of each probability, intp of the same shape: 15 bins with as many of them each, by rank."""
    flat = probabilities.ravel()
    places = np.empty(len(flat), np.intp)
    places[np.argsort(flat, kind="stable")] = np.arange(len(flat)) * CALIBRATION_BINS // max(1, len(flat))
    return places.reshape(probabilities.shape)


def brier_scores(probabilities: Floats, true: NDArray[Any], *, several: bool) -> Floats:
    """Σ (p − y)² of each row over classes, halved for two of them: then it is (p − y)² (Brier 1950; Murphy 1973).

    Of several labels it is their mean. Probabilities float64[rows, outputs], and which are true, bool of that shape.
    """
    errors = np.square(probabilities - true)
    if several:
        return np.asarray(errors.mean(axis=1))
    return np.asarray(errors.sum(axis=1) / (2 if probabilities.shape[1] == 2 else 1))


def calibration_errors(probabilities: Floats, right: NDArray[Any], counts: Counts) -> Floats:
    """Expected calibration error in 15 bins of equal mass, less what a perfectly calibrated model shows of it.

    Σ_b (n_b / n) |accuracy_b − confidence_b| (Naeini, Cooper, Hauskrecht 2015, with the bins of Nguyen and O'Connor
    2015). Of a perfect model a bin's gap is about normal with the variance Σ p(1 − p) / n_b², so that its mean size is
    √(2/π) of the deviation (Bröcker and Smith 2007 show how large that is). Drawing rows anew adds as much variance
    again, so that of a draw twice of it is expected. The difference may be below 0.

    Args:
        probabilities: of what is answered, float64[rows], or of each label, float64[rows, labels].
        right: whether it is so, of the same shape.
        counts: how often each draw has each row, [draws, rows].
    """
    rows = len(probabilities)
    in_bin = equal_mass_bins(probabilities)[..., np.newaxis] == np.arange(CALIBRATION_BINS)

    def by_row(values: NDArray[Any]) -> NDArray[np.float32]:
        """Sums float32[rows, bins] of values of the shape of the probabilities."""
        return np.asarray(
            (in_bin * values[..., np.newaxis]).reshape(rows, -1, CALIBRATION_BINS).sum(axis=1), np.float32
        )

    gaps = np.abs(counts @ by_row(right - probabilities))
    spread = counts @ by_row(probabilities * (1 - probabilities))
    drawn_anew = 1 + (counts != 1).any(axis=1, keepdims=True)
    expected = np.sqrt(2 / np.pi * drawn_anew * np.maximum(spread, 0))
    return np.asarray((gaps - expected).sum(axis=1, dtype=np.float64) / probabilities.size)
