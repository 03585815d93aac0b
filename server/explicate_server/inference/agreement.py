"""How the answers of two versions of a model to the same inputs agree, in running sums."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.quality import spearman
from explicate_server.registry.scales import Scales


@dataclass(frozen=True)
class Scored:
    """The graph's answers float64[inputs, outputs] of one version, and what they mean."""

    answers: NDArray[np.float64]
    labels: Sequence[str]
    scales: Scales


class Comparison:
    """One version's answers, which were given, against those of another.

    Attributes:
        predictions: inputs whose predictions were compared.
        attributions: rows of attributions that were compared.
        dropped: requests that were not compared because too many waited.
        failed: requests that could not be compared, the last for ``last_failure``.
    """

    def __init__(self, live_version: int, canary_version: int) -> None:
        self.live_version = live_version
        self.canary_version = canary_version
        self.predictions = 0
        self.attributions = 0
        self.dropped = 0
        self.failed = 0
        self.last_failure = ""
        self._decides = True
        self._same = 0
        self._differences = 0.0
        self._spearmans = 0.0

    @property
    def same_outcome(self) -> float | None:
        """Fraction of inputs with the same class, or the same set of labels; None for a regression."""
        return None if not (self._decides and self.predictions) else self._same / self.predictions

    @property
    def mean_absolute_difference(self) -> float | None:
        """Mean absolute difference of the values; for classes and labels, of the probabilities of all outputs."""
        return self._differences / self.predictions if self.predictions else None

    @property
    def mean_spearman(self) -> float | None:
        """Mean rank correlation of the attributions."""
        return self._spearmans / self.attributions if self.attributions else None

    def add_predictions(self, live: Scored, canary: Scored) -> None:
        """Count the answers to some inputs, row for row."""
        objective, other = live.scales.objective, canary.scales.objective
        if objective is not other:
            self.add_failure(f"one predicts a {objective.answer}, the other a {other.answer}")
            return
        decisions = objective.decisions
        self._decides = decisions is not None
        names = list(dict.fromkeys([*live.labels, *canary.labels])) if self._decides else [""]
        ours, theirs = (_by_name(scored, names) for scored in (live, canary))
        self.predictions += len(ours)
        self._differences += float(np.abs(ours - theirs).mean(axis=1).sum())
        if decisions is not None:
            same = decisions(ours) == decisions(theirs)
            self._same += int(same.reshape(len(ours), -1).all(axis=1).sum())

    def add_attributions(self, live: NDArray[np.float64], canary: NDArray[np.float64]) -> None:
        """Count attributions float64[outputs, features] of the same features; what cannot be ranked is passed over."""
        finite = (np.isfinite(live) & np.isfinite(canary)).all(axis=1)
        correlations = spearman(live[finite], canary[finite])
        defined = correlations[~np.isnan(correlations)]
        self.attributions += len(defined)
        self._spearmans += float(defined.sum())

    def add_failure(self, reason: str) -> None:
        """Count a request that could not be compared."""
        self.failed += 1
        self.last_failure = reason


def _by_name(scored: Scored, names: Sequence[str]) -> NDArray[np.float64]:
    """Probabilities float64[inputs, names], 0 for what a version does not know; the values of a regression."""
    scores = scored.scales.scores(scored.answers)
    if scored.scales.objective.decisions is None or list(scored.labels) == list(names):
        return scores
    aligned = np.zeros((len(scores), len(names)))
    aligned[:, [names.index(label) for label in scored.labels]] = scores
    return aligned
