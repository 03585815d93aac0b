"""What may be said of a change of the input that changes the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from explicate.inputs import GivenValue
from explicate.sentences.claim import Claim
from explicate.sentences.language import Language
from explicate.sentences.told_figures import Figures, Noun, Part


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
