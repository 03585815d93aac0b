"""`masked_accuracy`: how often the model is right when parts of its input are missing.

Madsen, Chandar & Reddy, Faithfulness Measurable Masked Language Models, ICML 2024 (arXiv 2310.07819): explanations by
removal ask a model about inputs with holes, so a model that falls apart there cannot be explained by it. Of each input
.1, .3, .5, .7 and .9 of the players are removed at random, as explanations remove them; the accuracy is the mean over
the five. Of several labels it is the share of the labels that are right. A regression has no accuracy.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import Label
from explicate_standards.metric import Measured, Metric, Statistic, Told, said
from explicate_standards.subject import Subject

RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
DRAWS = 4  # of each ratio
_STREAM = 1


def measure(subject: Subject) -> Measured:
    """The share of right answers at each ratio, their mean, and whether the whole input was answered rightly."""
    decide, label, n = subject.model.kind.predicts.decisions, subject.row.label, subject.n
    if decide is None or label is None or n < 2:
        return {}
    draws = removals(n, subject.generator(_STREAM).permuted)
    whole = np.ones((1, n), np.bool_)
    right = right_share(decide(subject.scores(np.concatenate([draws, whole]))), label)
    of_ratio = right[:-1].reshape(len(RATIOS), DRAWS).mean(axis=1)
    told = {_name(ratio): float(share) for ratio, share in zip(RATIOS, of_ratio, strict=True)}
    return {**told, "mean": float(of_ratio.mean()), "none_removed": float(right[-1])}


def removals(n: int, permuted: Callable[..., NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Coalitions bool[ratios · draws, n]; at least one player is removed, and one stays."""
    removed = [min(max(round(ratio * n), 1), n - 1) for ratio in RATIOS for _ in range(DRAWS)]
    coalitions = np.arange(n) >= np.array(removed)[:, np.newaxis]
    return permuted(coalitions, axis=1)


def right_share(decisions: NDArray[np.generic], label: Label) -> NDArray[np.float64]:
    """How right decisions are, float64[m] from 0 to 1: those of classes int[m], of labels bool[m, labels]."""
    if decisions.ndim == 1:
        return np.asarray(decisions == label, dtype=np.float64)
    meant = np.zeros(decisions.shape[1], np.bool_)
    meant[list(label) if isinstance(label, tuple) else [int(label)]] = True
    return np.asarray((decisions == meant).mean(axis=1))


def _name(ratio: float) -> str:
    return f"removed_{round(100 * ratio)}"


def _lacks(model: EvaluatedModel) -> str:
    return "" if model.kind.predicts.decisions else "a regression decides nothing, so it has no accuracy"


def _sentence(told: Told) -> str:
    return (
        f"With a tenth to nine tenths of its input removed at random the model is right {said(told)} of the time, "
        f"and {said(told, 'none_removed')} with nothing removed."
    )


METRIC = Metric(
    id="masked_accuracy",
    title="Accuracy with parts removed",
    definition="share of right answers with 10 to 90 % of the input's parts removed at random",
    measure=measure,
    statistics=(
        Statistic(key="mean", better="higher"),
        *(Statistic(name=_name(ratio), key=_name(ratio), better="higher") for ratio in RATIOS),
        Statistic(name="none_removed", key="none_removed", better="higher"),
    ),
    rows=lambda _n: len(RATIOS) * DRAWS,
    sentence=_sentence,
    lacks=_lacks,
    undefined="no row has a label and two parts",
)
