"""The metrics of a model's interpretability by id, in the order in which they are told: a file each, a line here."""

from collections.abc import Mapping
from types import MappingProxyType

from explicate_standards.metric import Metric
from explicate_standards.metrics import (
    additive_r2,
    agreement,
    comprehensiveness,
    contradictions,
    effective_players,
    evaluations_per_player,
    masked_accuracy,
    plausibility,
    randomisation,
    stability,
)

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.id: metric
        for metric in (
            masked_accuracy.METRIC,
            additive_r2.METRIC,
            evaluations_per_player.METRIC,
            comprehensiveness.COMPREHENSIVENESS,
            comprehensiveness.SUFFICIENCY,
            comprehensiveness.NORMALISED,
            stability.METRIC,
            effective_players.METRIC,
            plausibility.METRIC,
            randomisation.METRIC,
            contradictions.METRIC,
            agreement.METRIC,
        )
    }
)
EVALUATOR_VERSION = "1"
"""Of all metrics together; it changes whenever the same bundle and rows would get other figures."""
