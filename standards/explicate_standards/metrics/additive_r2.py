"""`additive_r2`: how much of what the model does on an input a sum of the parts' own effects says.

R² of the additive model (the attributions, which sum to the answer) on coalitions that it was not fitted to, as the
engine measures it beside every explanation (`Quality.held_out_r_squared`); after ExpO (Plumb et al., NeurIPS 2020) and
the interaction loss (Zhang et al., ICLR 2021). 1: no interactions, the explanation is the model; 0: it says no more
than a constant. On the default scale, probabilities, and on the graph's own, logits; a regression has one scale.
The 10th percentile tells of the inputs where explanations say least.
"""

from explicate_standards.metric import Measured, Metric, Statistic, Told, median, quantile, said
from explicate_standards.subject import Subject

_LOW = 0.1
_FEWEST_PLAYERS = 2


def measure(subject: Subject) -> Measured:
    """R² on the default scale, and on the graph's own; left out where all coalitions have one value."""
    if subject.n < _FEWEST_PLAYERS:
        return {}
    first, last = subject.model.scales.spaces[0], subject.model.scales.spaces[-1]
    found = {"default": additive_r2(subject, first), "graph": additive_r2(subject, last)}
    return {name: value for name, value in found.items() if value is not None}


def additive_r2(subject: Subject, space: str) -> float | None:
    """Held-out R² of the explanation on a scale; 1 where all coalitions were asked and the values met them."""
    explanation = subject.explained(space=space)
    known = explanation.quality.held_out_r_squared
    return None if known is None else float(known)


def _sentence(told: Told) -> str:
    return (
        f"For half of the inputs adding up the parts' effects explains at least {said(told, 'median')} of what the "
        f"model does with any of them missing, for nine in ten at least {said(told, 'p10')}."
    )


METRIC = Metric(
    id="additive_r2",
    title="Additive R²",
    definition="how much of the model's behaviour around an input a sum of the parts' effects says; 1 is all of it",
    measure=measure,
    statistics=(
        Statistic(name="median", key="default", reduce=median, better="higher"),
        Statistic(name="p10", key="default", reduce=quantile(_LOW), better="higher"),
        Statistic(name="logit_median", key="graph", reduce=median, better="higher"),
        Statistic(name="logit_p10", key="graph", reduce=quantile(_LOW), better="higher"),
    ),
    rows=lambda _n: 0.0,
    sentence=_sentence,
)
