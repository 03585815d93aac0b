"""What a model decides about an input or a changed one, and how far it is from deciding otherwise.

A flip is told by the decision itself, as a prediction has it: by the bundle's rule, or else the most probable class,
the labels from one half on. Where a coalition's value is the mean over background rows, the rule decides by the mean
probabilities. The margin only guides the search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol  # Any: JSON values

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.objective import Answer
from explicate_bundle.outcomes.decision_rule import HALF, Decision
from explicate_server.explain.changes.flip_search import FoundFlip
from explicate_server.inference.asking.change_wish import ChangeWish
from explicate_server.inference.asking.targets import Outputs, class_index
from explicate_server.modalities.rows.cell_changes import CellMove
from explicate_server.registry.records import Scales

_Floats = NDArray[np.float64]
# Odds of probabilities nearer to 0 or 1 are no better a guide.
_NEAREST = 1e-12


@dataclass(frozen=True)
class ChangedAnswer:
    """What is decided: of which class, label or value, its probability or the value, and whether a label is given."""

    index: int
    score: float
    given: bool = True


@dataclass(frozen=True, kw_only=True)
class ChangeFound:
    """What would change the answer, or that nothing was found.

    Attributes:
        absent: the attributed players that are absent, by their places.
        cells: columns with other values, in the schema's order.
        before, after: what is decided about the input and the changed one; ``after`` is None where nothing was found.
        flip: what the search says of itself.
        evaluations: changes that were tried; ``reused`` of them were known already.
    """

    absent: Sequence[int]
    cells: Sequence[CellMove]
    before: ChangedAnswer
    after: ChangedAnswer | None
    flip: FoundFlip
    evaluations: int
    reused: int

    @property
    def document(self) -> dict[str, Any]:
        """What the audit log keeps of it."""
        return {
            "found": self.after is not None,
            "absent": list(self.absent),
            "columns": {move.column.name: move.value for move in self.cells},
            "none_smaller": self.flip.none_smaller,
            "end": self.flip.end.value,
        }


class Decided(Protocol):
    """Decisions about what was kept of inputs, float64[m, width] (see `Scales`)."""

    def margins(self, kept: _Floats) -> _Floats:
        """How far each is from a flip, float64[m]; about 0 where it is near."""

    def flips(self, kept: _Floats) -> NDArray[np.bool_]:
        """Whether each is decided as it is to be, bool[m]."""

    def answer(self, kept: _Floats) -> ChangedAnswer:
        """What is decided about the first."""

    def guide(self, values: _Floats, explained: Sequence[int]) -> _Floats:
        """About what each player adds to the margin, float64[n], on any scale.

        By attributions ``values`` float64[outputs, n] of the outputs ``explained``.
        """


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to change.

    Attributes:
        whole: float64[1, width], what is kept of the input itself.
        averaged: whether changed inputs are told by means over background rows.
    """

    wish: ChangeWish
    scales: Scales
    labels: Sequence[str]
    outputs: Outputs
    whole: _Floats
    averaged: bool


def decided(question: Question) -> Decided:
    """By the kind of answer."""
    return _KINDS[question.scales.objective.answer](question)


class _OfClass:
    """Another class, or a certain one."""

    def __init__(self, question: Question) -> None:
        self._scales = question.scales
        self._averaged = False
        self._before = int(self._classes(question.whole)[0])
        self._averaged = question.averaged
        self._to = None if question.wish.to_class is None else class_index(question.wish.to_class, question.labels)

    def _classes(self, kept: _Floats) -> NDArray[np.intp]:
        rule = self._scales.objective.rule
        if rule is not None:
            return np.asarray(rule.decide(self._probabilities(kept)))
        return np.asarray((self._probabilities(kept) if self._averaged else self._scales.raw(kept)).argmax(axis=1))

    def _probabilities(self, kept: _Floats) -> _Floats:
        return self._scales.of(kept, self._scales.spaces[0])

    def margins(self, kept: _Floats) -> _Floats:
        """Between the strength of the class as it is and the best other one, or between the best and the wanted one."""
        rule = self._scales.objective.rule
        if rule is not None:
            strengths = _strengths(rule, self._probabilities(kept))
        else:
            strengths = np.log(self._probabilities(kept) + _NEAREST) if self._averaged else self._scales.raw(kept)
        one = self._before if self._to is None else self._to
        best_other = np.delete(strengths, one, axis=1).max(axis=1)
        difference = strengths[:, one] - best_other
        return np.asarray(difference if self._to is None else -difference)

    def flips(self, kept: _Floats) -> NDArray[np.bool_]:
        """Whether the class is another, or the wanted one."""
        classes = self._classes(kept)
        return np.asarray(classes != self._before if self._to is None else classes == self._to)

    def answer(self, kept: _Floats) -> ChangedAnswer:
        """The class and its probability."""
        index = int(self._classes(kept[:1])[0])
        return ChangedAnswer(index, float(self._probabilities(kept)[0, index]))

    def guide(self, values: _Floats, explained: Sequence[int]) -> _Floats:
        """What raises the class as it is, or lowers another."""
        return np.asarray(values[explained.index(self._before)] if self._before in explained else -values[0])


def _strengths(rule: Decision, probabilities: _Floats) -> _Floats:
    """Numbers float64[m, classes] of which the class that a rule decides for has about the largest."""
    if rule.costs is not None:
        return np.asarray(-(probabilities @ rule.costs))
    odds, own = _odds(probabilities), ~np.isnan(rule.thresholds)
    above = odds[:, own] - _odds(rule.thresholds[own])
    strengths = np.empty_like(odds)
    strengths[:, own] = above
    if not own.all():  # they are for where no class with a threshold has reached it, the most probable of them
        rest = odds[:, ~own]
        strengths[:, ~own] = rest - rest.max(axis=1, keepdims=True) - above.max(axis=1, keepdims=True)
    return strengths


def _odds(probabilities: _Floats) -> _Floats:
    """Their logits, float64 of the same shape."""
    inside = np.clip(probabilities, _NEAREST, 1 - _NEAREST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


class _OfLabel:
    """The other answer about one label."""

    def __init__(self, question: Question) -> None:
        self._scales = question.scales
        self._label = question.outputs.class_indices[0]
        rule = self._scales.objective.rule
        self._threshold = HALF if rule is None else float(rule.thresholds[self._label])
        self._averaged = False
        self._before = bool(self._given(question.whole)[0])
        self._averaged = question.averaged

    def _given(self, kept: _Floats) -> NDArray[np.bool_]:
        if self._scales.objective.rule is None and not self._averaged:
            return np.asarray(self._scales.raw(kept)[:, self._label] >= 0)  # as a prediction, without rounding
        return np.asarray(self._probability(kept) >= self._threshold)

    def _probability(self, kept: _Floats) -> _Floats:
        return self._scales.of(kept, self._scales.spaces[0])[:, self._label]

    def margins(self, kept: _Floats) -> _Floats:
        """Of the label's odds from those of its threshold."""
        odds = _odds(self._probability(kept)) if self._averaged else self._scales.raw(kept)[:, self._label]
        difference = odds - _odds(np.array(self._threshold))
        return np.asarray(difference if self._before else -difference)

    def flips(self, kept: _Floats) -> NDArray[np.bool_]:
        """Whether the label is given where it was not, or not where it was."""
        return np.asarray(self._given(kept) != self._before)

    def answer(self, kept: _Floats) -> ChangedAnswer:
        """Whether the label is given."""
        return ChangedAnswer(self._label, float(self._probability(kept)[0]), bool(self._given(kept[:1])[0]))

    def guide(self, values: _Floats, explained: Sequence[int]) -> _Floats:  # noqa: ARG002 - it is the first
        """What raises the label where it is given, else what lowers it."""
        return np.asarray(values[0] if self._before else -values[0])


class _OfValue:
    """A value that is reached, or fallen below."""

    def __init__(self, question: Question) -> None:
        assert question.wish.to_value is not None, "a regression without a value is refused"
        self._scales = question.scales
        self._to = question.wish.to_value
        self._before = bool(self._values(question.whole)[0] >= self._to)

    def _values(self, kept: _Floats) -> _Floats:
        return self._scales.raw(kept)[:, 0]

    def margins(self, kept: _Floats) -> _Floats:
        """From the value that is wanted."""
        difference = self._values(kept) - self._to
        return np.asarray(difference if self._before else -difference)

    def flips(self, kept: _Floats) -> NDArray[np.bool_]:
        """Whether it is on the other side."""
        return np.asarray((self._values(kept) >= self._to) != self._before)

    def answer(self, kept: _Floats) -> ChangedAnswer:
        """The value."""
        return ChangedAnswer(0, float(self._values(kept)[0]))

    def guide(self, values: _Floats, explained: Sequence[int]) -> _Floats:  # noqa: ARG002 - there is one
        """What raises a value that is above, else what lowers it."""
        return np.asarray(values[0] if self._before else -values[0])


_KINDS: Mapping[Answer, type[_OfClass] | type[_OfLabel] | type[_OfValue]] = {
    "class": _OfClass,
    "labels": _OfLabel,
    "value": _OfValue,
}
