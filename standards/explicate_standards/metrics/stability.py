"""`stability`: whether the explanation stays where the input hardly changes.

Alvarez-Melis & Jaakkola, On the Robustness of Interpretability Methods, 2018, with ranks instead of Lipschitz ratios,
which on texts mean little. Up to 5 edits leave the label of an input as it is (see `EvaluatedKind.edits`: a typo or
another word for the same in texts, noise of .02 standard deviations elsewhere) and its parts in their places; those
after which the model answers another class do not count, as another answer has other reasons. Told are the mean
Spearman correlation of the attributions with those of the input itself, and how often the strongest part stays the
strongest. Both include the sampling error of two explanations, as users see it.
"""

from itertools import islice

import numpy as np

from explicate_server.explain.quality import spearman
from explicate_standards.held_out_rows import kind_of
from explicate_standards.metric import Measured, Metric, Statistic, Told, said
from explicate_standards.subject import Subject

EDITS = 5
# An edit is explained as an input is: for 200 inputs that would be half a million rows of a model of texts.
INPUTS = 30
_TRIED = 4 * EDITS
_FEWEST_PLAYERS = 3
_STREAM = 3


def measure(subject: Subject) -> Measured:
    """Mean rank correlation over the edits, and the share that kept the strongest part."""
    kind = kind_of(subject.model)
    base = kind.base(subject)
    if base.n < _FEWEST_PLAYERS:
        return {}
    edited = map(base.like, islice(kind.edits(base, base.generator(_STREAM)), _TRIED))
    found = [_compared(base, one) for one in islice((one for one in edited if _same_answer(base, one)), EDITS)]
    correlations = [correlation for correlation, _ in found if np.isfinite(correlation)]
    if not correlations:
        return {}
    return {"spearman": float(np.mean(correlations)), "top1": float(np.mean([kept for _, kept in found]))}


def _same_answer(base: Subject, edited: Subject) -> bool:
    """Whether an edit has the same parts and the model's answer is the same, and the model sees a difference."""
    if edited.n != base.n:
        return False
    whole = np.ones((1, base.n), np.bool_)
    before, after = base.scores(whole), edited.scores(whole)
    decide = base.model.kind.predicts.decisions
    same = decide is None or bool(np.all(decide(before) == decide(after)))
    return same and not np.array_equal(before, after)


def _compared(base: Subject, edited: Subject) -> tuple[float, bool]:
    """Rank correlation of the attributions, NaN where undefined, and whether the strongest part is the same."""
    before, after = base.attributions, edited.attributions
    correlation = float(spearman(before[np.newaxis], after[np.newaxis])[0])
    return correlation, bool(np.abs(before).argmax() == np.abs(after).argmax())


def _sentence(told: Told) -> str:
    return (
        f"When an input changes so little that its label stays, the order of the parts correlates by {said(told)} "
        f"with what it was, and the strongest part stays the strongest in {said(told, 'top1_kept')} of the cases."
    )


METRIC = Metric(
    id="stability",
    title="Stability",
    definition="rank correlation of an explanation with that of a hardly changed input with the same answer",
    measure=measure,
    statistics=(
        Statistic(key="spearman", better="higher"),
        Statistic(name="top1_kept", key="top1", better="higher"),
    ),
    undefined="no edit keeps the parts of an input and changes what the model sees of it",
    rows=lambda _n: 0.0,
    other_games=EDITS,
    sentence=_sentence,
    most_inputs=INPUTS,
)
