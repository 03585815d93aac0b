"""`contradictions`: how often the model breaks what its bundle claims.

A bundle may claim that an answer only rises, or only falls, with a column (`monotone`), that it does not change when
one word of a list is put for another (`forbidden` words), or that columns have no influence at all (`forbidden`
columns). Each claim is tried on held-out inputs through the served graph: steps along a grid of the column's values,
swaps within the list, attributions that are not 0. Gupta et al., JMLR 2016, on monotone models; Garg et al., AIES 2019,
on swaps. Told is the share of trials that broke a claim: 0 where the claim is built into the model.
"""

import numpy as np

from explicate_standards.evaluated_model import EvaluatedModel
from explicate_standards.held_out_rows import kind_of
from explicate_standards.metric import Measured, Metric, Statistic, Told, said
from explicate_standards.subject import Subject

_KINDS = ("monotone", "forbidden", "forbidden_columns")
_GRID_ROWS = 40.0


def measure(subject: Subject) -> Measured:
    """The share of trials on this input that broke a claim, in all and by the kind of claim."""
    found = kind_of(subject.model).contradictions(subject)
    trials = {name: broken for name, broken in found.items() if len(broken)}
    if not trials:
        return {}
    everything = [each for broken in trials.values() for each in broken]
    shares = {name: float(np.mean(broken)) for name, broken in trials.items()}
    return {"all": float(np.mean(everything)), **shares}


def _lacks(model: EvaluatedModel) -> str:
    return "" if kind_of(model).claims(model) else "the bundle claims neither monotone columns nor forbidden ones"


def _sentence(told: Told) -> str:
    return f"Of the trials of what the bundle claims of the model {said(told, decimals=4)} break the claim."


METRIC = Metric(
    id="contradictions",
    title="Contradictions",
    definition="share of trials in which the model breaks a claim of its bundle: monotone columns, forbidden parts",
    measure=measure,
    statistics=(
        Statistic(key="all", better="lower"),
        *(Statistic(name=name, key=name, better="lower") for name in _KINDS),
    ),
    rows=lambda _n: _GRID_ROWS,
    sentence=_sentence,
    lacks=_lacks,
    undefined="no input has a part that the bundle claims anything of",
)
