"""`agreement`: whether lime and kernel-shap tell the same story of the model.

Krishna et al., The Disagreement Problem in Explainable Machine Learning, 2022 (TMLR 2024). Spearman correlation of the
attributions, and the share of kernel-shap's strongest three that are among lime's with the same sign. Both play the
same game, with the same players and the same masking; lime has no floor of its own, and gets at least 8 rows a player.
Reported only: methods may agree on a model that nobody should trust, and differ on a good one.
"""

import numpy as np

from explicate_server.explain import explain_game
from explicate_server.explain.estimators import lime
from explicate_server.explain.quality import spearman
from explicate_standards.metric import Floats, Measured, Metric, Statistic, Told, said
from explicate_standards.subject import SEED, Subject

INPUTS = 60
TOP = 3
_ROWS = 10.0  # a player, as many as kernel-shap takes at the server's defaults
_FEWEST_PLAYERS = 4
_LEAST_LIME_ROWS = 8  # a player: with fewer its ridge orders even the parts of an additive model by chance


def measure(subject: Subject) -> Measured:
    """Rank correlation, and the share of the strongest three with the same sign in both."""
    n = subject.n
    if n < _FEWEST_PLAYERS:
        return {}
    ours, theirs = subject.attributions, _by_lime(subject)
    correlation = float(spearman(ours[np.newaxis], theirs[np.newaxis])[0])
    if not np.isfinite(correlation):
        return {}
    return {"spearman": correlation, "top3": shared_top(ours, theirs)}


def _by_lime(subject: Subject) -> Floats:
    explanation = explain_game(
        lambda coalitions: subject.values(np.asarray(coalitions, np.bool_)),
        subject.n,
        method=lime.METHOD.name,
        seed=SEED,
        max_evaluations=max(subject.explained().evaluations, _LEAST_LIME_ROWS * subject.n),
    )
    return explanation.values


def shared_top(first: Floats, second: Floats) -> float:
    """The share of the TOP strongest of `first`, float64[n], that are among those of `second` with the same sign."""
    tops = [np.argsort(-np.abs(values), kind="stable")[:TOP].tolist() for values in (first, second)]
    shared = [player for player in tops[0] if player in tops[1] and np.sign(first[player]) == np.sign(second[player])]
    return len(shared) / TOP


def _sentence(told: Told) -> str:
    return (
        f"Lime orders the parts as kernel-shap does with a rank correlation of {said(told)}, and shares "
        f"{said(told, 'top3')} of its strongest three."
    )


METRIC = Metric(
    id="agreement",
    title="Agreement of methods",
    definition="rank correlation of lime's attributions with kernel-shap's; reported only, it proves nothing",
    measure=measure,
    statistics=(Statistic(key="spearman"), Statistic(name="top3", key="top3")),
    rows=lambda n: _ROWS * n,
    sentence=_sentence,
    most_inputs=INPUTS,
)
