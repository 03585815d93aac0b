"""What may be said of the model's answer itself, of how sure it is, and of what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from explicate.inputs import GivenValue
from explicate.sentences.claim import Claim
from explicate.sentences.language import Language
from explicate.sentences.told_figures import Figures, Noun, Part

CLOSE_CALL = 0.1  # of probability
_HALF = 0.5


@dataclass(frozen=True)
class Answered(Claim):
    """Which class the model answers, and how probable it finds it; threshold: where that is why, not that it is the
    most probable.
    """

    label: str
    probability: float
    threshold: float | None

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        answer = figures.answer
        if answer.label is not None and answer.labels is None and answer.value is None:
            probability = answer.scores[answer.label]
            by_rule = answer.threshold is not None and probability < max(answer.scores.values())
            yield cls(answer.label, probability, answer.threshold if by_rule else None)

    def sentence(self, language: Language) -> str:
        blanks = {"label": language.quoted(self.label), "probability": language.percent(self.probability)}
        if self.threshold is None:
            return language.fill("answer.class", **blanks)
        return language.fill("answer.threshold", threshold=language.percent(self.threshold), **blanks)


@dataclass(frozen=True)
class Unsure(Claim):
    """That the answer might nearly as well be another: `other` is close behind, or, where it is None, that even what is
    most probable has less than half.
    """

    other: str | None
    probability: float

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        answer = figures.answer
        if answer.label is None or answer.labels is not None or len(answer.scores) < 2:
            return
        first, second = sorted(answer.scores, key=lambda label: -answer.scores[label])[:2]
        best, next_best = answer.scores[first], answer.scores[second]
        if first != answer.label:
            return
        if best - next_best < CLOSE_CALL:
            yield cls(second, next_best)
        elif best < _HALF:
            yield cls(None, best)

    def sentence(self, language: Language) -> str:
        if self.other is None:
            return language.fill("unsure.all", half=language.percent(_HALF))
        probability = language.percent(self.probability)
        return language.fill("unsure.close", other=language.quoted(self.other), probability=probability)


@dataclass(frozen=True)
class Labelled(Claim):
    """Which labels the model gives, with their probabilities; of none, which is nearest."""

    labels: tuple[tuple[str, float], ...]
    nearest: tuple[str, float] | None

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        answer = figures.answer
        if answer.labels is None:
            return
        nearest = max(answer.scores.items(), key=lambda each: each[1], default=None)
        given = tuple((label, answer.scores[label]) for label in answer.labels)
        if given or nearest is not None:
            yield cls(given, None if given else nearest)

    def sentence(self, language: Language) -> str:
        if self.nearest is not None:
            label, probability = self.nearest
            return language.fill(
                "answer.no_label", label=language.quoted(label), probability=language.percent(probability)
            )
        told = [
            language.fill("answer.of_labels", label=language.quoted(label), probability=language.percent(probability))
            for label, probability in self.labels
        ]
        return language.fill_counted("answer.labels", len(told), labels=language.listed(told))


@dataclass(frozen=True)
class Predicted(Claim):
    """The number that a regression predicts."""

    target: str
    value: float

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        if figures.answer.value is not None:
            yield cls(figures.answer.target, figures.answer.value)

    def sentence(self, language: Language) -> str:
        return language.fill("answer.value", target=language.quoted(self.target), value=language.number(self.value))


@dataclass(frozen=True)
class WouldChange(Claim):
    """What the model would answer without these parts, or with these values; `kind` is that of the answer: "class",
    "label", "no_label" or "value".
    """

    absent: tuple[Part, ...]
    columns: tuple[tuple[str, GivenValue], ...]
    noun: Noun
    kind: str
    label: str
    score: float

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        change = figures.change
        if change is None or not (change.absent or change.columns):
            return
        absent = tuple(figures.parts[part] for part in change.absent)
        kind = "class" if figures.answer.labels is None else "label" if change.given else "no_label"
        if figures.answer.value is not None:
            kind = "value"
        yield cls(absent, tuple(change.columns), figures.noun, kind, change.label, change.score)

    def sentence(self, language: Language) -> str:
        told = language.number(self.score) if self.kind == "value" else language.percent(self.score)
        answer = language.fill(f"change.{self.kind}", label=language.quoted(self.label), score=told)
        if self.absent:
            parts = language.parts(self.absent, self.noun, bare=True)
            return language.fill("change.without", parts=parts, answer=answer)
        cells = [
            language.fill("change.cell", name=language.quoted(name), value=language.cell(value))
            for name, value in self.columns
        ]
        return language.fill("change.with", cells=language.listed(cells), answer=answer)
