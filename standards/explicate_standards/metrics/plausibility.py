"""`plausibility`: whether the model rests on what people gave as the grounds.

The area under the precision-recall curve of the attributions against rationales (DeYoung et al., ERASER, ACL 2020),
freed of chance: (AUPRC − prevalence) / (1 − prevalence) is 0 for a random order and 1 where every part that people
named comes before every other. Attributions are Shapley values of the exported model, never a head that was trained to
name rationales, and the order is that of support for the explained class (Ferreira et al., COLING 2025: guidance can be
gamed). It says that model and people agree, not that the explanation is faithful.

AUPRC is average precision as scikit-learn defines it, Σ (R_k − R_{k−1}) P_k over the distinct thresholds.
"""

import numpy as np
from numpy.typing import NDArray

from explicate_standards.held_out_rows import kind_of
from explicate_standards.metric import Floats, Measured, Metric, Statistic, Told, said
from explicate_standards.subject import Subject


def measure(subject: Subject) -> Measured:
    """The share of what is above chance; nothing where no rationale, or the whole input, is given."""
    named = kind_of(subject.model).rationale(subject)
    if named is None or not named.any() or named.all():
        return {}
    prevalence = float(named.mean())
    area = average_precision(_support(subject), named)
    return {"above_chance": (area - prevalence) / (1 - prevalence)}


def _support(subject: Subject) -> Floats:
    """How much each player speaks for the right answer, float64[n]: for the explained class if that is the right one,
    else against it.
    """
    label, values = subject.row.label, subject.attributions
    wrong = isinstance(label, int) and label != subject.output
    return -values if wrong else values


def average_precision(scores: Floats, named: NDArray[np.bool_]) -> float:
    """Of float64[n] scores against bool[n], equal scores counted as one threshold."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(named[order])[ends]
    precision, recall = hits / (ends + 1), hits / named.sum()
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _sentence(told: Told) -> str:
    return (
        f"Of the way from a random order to the one that puts everything first that people named, the explanations go "
        f"{said(told)}."
    )


METRIC = Metric(
    id="plausibility",
    title="Plausibility",
    definition="how far explanations put first what people named as grounds; 0 is chance, 1 is all of it",
    measure=measure,
    statistics=(Statistic(key="above_chance", better="higher"),),
    rows=lambda _n: 0.0,
    undefined="no row has a rationale that leaves a part out",
    sentence=_sentence,
)
