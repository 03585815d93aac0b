"""The parts that count most for an answer, or against it, as sentences for people without training.

A refused applicant is owed the principal reasons (for credit: Regulation B, 12 CFR 1002.9(b)(2), whose comment says
that more than four are not likely to help). A part whose interval holds 0 is no reason: nobody can tell its direction.
The words are those of `explicate.sentences`, of which the server's own sentences are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from explicate.errors import UsageError
from explicate.sentences.effects import Outcome, effect
from explicate.sentences.language import DEFAULT, Language, Title, begins, language, lookup, tags
from explicate.sentences.told_figures import Noun, Part, counted, thirds
from explicate.views import tables, wording
from explicate.views.added import change_words
from explicate.views.kinds import explained

if TYPE_CHECKING:
    from explicate.results import Contribution, ExplainResult, Feature

MOST = 4  # Regulation B, as above
_SIDES = {"toward": 1, "against": -1, "all": 0}
_NOTHING = {
    "toward": "nothing counts toward it for certain",
    "against": "nothing counts against it for certain",
    "all": "nothing counts for certain",
}


@dataclass(frozen=True)
class Reason:
    """One part of the input and what it does to the answer.

    contribution: its numbers, as the explanation has them. change: what it adds to `outcome`, below 0 where it counts
    against it. outcome: the class or target that is spoken of. sentence: all of it in words.
    """

    contribution: Contribution
    change: float
    outcome: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def reasons(
    result: ExplainResult,
    *,
    toward: str | None = None,
    against: str | None = None,
    top: int = MOST,
    names: Mapping[str, str] | None = None,
    language: str | None = None,
) -> tuple[Reason, ...]:
    """The reasons that weigh most, the strongest first; see `ExplainResult.reasons`."""
    if toward is not None and against is not None:
        raise UsageError("reasons() takes toward or against, not both")
    if top < 1:
        raise UsageError(f"top must be at least 1, not {top}")
    wanted = toward if against is None else against
    output, sign = _output(result, wanted)
    side = "all" if wanted is None else "toward" if against is None else "against"
    return of_output(result, output, side, top=top, names=names or {}, turned=sign < 0, tag=language)


def of_output(
    result: ExplainResult,
    output: int,
    side: str,
    *,
    top: int,
    names: Mapping[str, str],
    turned: bool = False,
    tag: str | None = None,
) -> tuple[Reason, ...]:
    """What counts "toward" one explained output, "against" it, or "all"; `turned`: of what it is set against."""
    sign = -1 if turned else 1
    outcome, spoken = _outcome(result, output, names, turned=turned), _language(result, tag)
    parts = dict(zip(map(id, result.explanation.features), _parts(result, names), strict=True))
    found = [
        (one, sign * one.value)
        for one in result.explanation.top(len(result.explanation.features), output)
        if _is_certain(one) and sign * one.value * _SIDES[side] >= 0
    ]
    told = " rather than ".join(filter(None, (outcome.label, outcome.reference)))
    noun = cast(Noun, explained(result).noun)
    return tuple(
        Reason(one, change, told, _sentence(spoken, parts[id(one.feature)], noun, outcome, one, change))
        for one, change in found[:top]
    )


def lines(result: ExplainResult, side: str, *, top: int, names: Mapping[str, str]) -> Iterator[str]:
    """The prediction, and the reasons of each output that is explained, numbered; `top` of 0 means all."""
    yield tables.printable(wording.prediction(result.prediction))
    if note := wording.unread(result):
        yield tables.printable(note)
    for output, attribution in enumerate(result.explanation.attributions):
        found = of_output(result, output, side, top=top or len(result.explanation.features), names=names)
        yield ""
        yield tables.printable(wording.outcome(attribution, result))
        if not found:
            yield _NOTHING[side]
        for number, reason in enumerate(found, start=1):
            yield tables.printable_sentence(f"{number}. {reason}")
    for number, line in enumerate(change_words.lines(result)):
        yield from [] if number else [""]
        yield tables.printable(line)


def _output(result: ExplainResult, label: str | None) -> tuple[int, int]:
    """Which attribution tells of a class or target, and whether as it is (1) or turned round (-1).

    What raises the probability of one of two classes takes as much from the other.
    """
    attributions = result.explanation.attributions
    if label is None:
        return 0, 1
    for place, each in enumerate(attributions):
        if each.class_label == label:
            return place, 1
    of_two = result.prediction.labels is None and len(result.prediction.scores) == 2
    sums_to_1 = of_two and result.explanation.options.output_space == "probability"
    others = {score.label for score in result.prediction.scores} if sums_to_1 else set()
    for place, each in enumerate(attributions):
        if label == each.reference_label or label in others:
            return place, -1
    told = ", ".join(each.name for each in attributions)
    raise UsageError(f"the explanation is of {told}, not of {label!r}: explain with target={label!r}")


def _outcome(result: ExplainResult, output: int, names: Mapping[str, str], *, turned: bool) -> Outcome:
    """What is spoken of, such as "good", or "good rather than bad" of a contrast."""
    attribution = result.explanation.attributions[output]
    label, reference = attribution.class_label, attribution.reference_label
    if turned and reference is not None:
        label, reference = reference, label
    elif turned:
        label = next(score.label for score in result.prediction.scores if score.label != label)
    told = None if reference is None else _called(reference, names)
    return Outcome(_called(label, names), told, result.explanation.options.output_space)


def _called(name: str, names: Mapping[str, str]) -> str:
    return Title(names[name]) if name in names else name


def _language(result: ExplainResult, tag: str | None) -> Language:
    """The one that was asked for, else that of the answer, where there is such a file here."""
    found = lookup(tag or result.explanation.options.language or DEFAULT)
    if found is None and tag is not None:
        raise UsageError(f"language {tag!r} is not one of sentences; there are {', '.join(tags())}")
    return language(found or DEFAULT)


def _parts(result: ExplainResult, names: Mapping[str, str]) -> Iterator[Part]:
    features, shape = result.explanation.features, result.explanation.segment_map
    size = (0, 0) if shape is None else (shape.width, shape.height)
    for feature, place in zip(features, counted([feature.name for feature in features]), strict=True):
        yield _part(feature, place, size, names)


def _part(feature: Feature, place: tuple[int, int], size: tuple[int, int], names: Mapping[str, str]) -> Part:
    name, values = _called(feature.name, names), tuple(feature.values.items())
    if (segment := feature.segment) is None:
        return Part(name, place, values, feature.in_pair)
    box = (segment.left, segment.top, segment.right, segment.bottom)
    return Part(str(segment.id), place, thirds=thirds(box, size))


def _is_certain(contribution: Contribution) -> bool:
    """Whether its direction is known; a method without intervals claims that it is."""
    value, low, high = contribution.value, contribution.lower, contribution.upper
    if math.isnan(low) or math.isnan(high):
        return bool(value) and not math.isnan(value)
    return low > 0 or high < 0


def _sentence(
    spoken: Language, part: Part, noun: Noun, outcome: Outcome, contribution: Contribution, change: float
) -> str:
    """Of a method without intervals, about how much."""
    low, high = contribution.lower, contribution.upper
    between = (change, change) if math.isnan(low) or math.isnan(high) else (low, high)
    done = effect(spoken, 1 if change > 0 else -1, outcome, between)
    clause = spoken.fill("clause", subject=spoken.parts((part,), noun), effect=done)
    return begins(spoken.fill("points_to.first", clauses=clause))
