"""What parts do to an output: which of them may be spoken of, and how that is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explicate.sentences.language import Language
from explicate.sentences.told_figures import Figures, Noun, Output, Part

MOST_OUTPUTS = 3  # of all classes, those with the most probability; a sentence for each of a thousand is not read
MOST_LEADERS = 3
_SIDES = {1: "for", -1: "against"}


@dataclass(frozen=True)
class Directed:
    """A part by its index, and its direction: 1 raises, -1 lowers."""

    part: int
    direction: int


@dataclass(frozen=True)
class Outcome:
    """What a part raises or lowers: a class, one class rather than another (reference), or a regression's target."""

    label: str
    reference: str | None
    space: str

    @classmethod
    def of(cls, figures: Figures, output: Output) -> Outcome:
        """That of an output."""
        return cls(output.label, output.reference, figures.space)

    def told(self, language: Language) -> str:
        """Such as “good”, or “good” rather than “bad”."""
        label = language.quoted(self.label)
        if self.reference is None:
            return label
        return language.fill("contrast", label=label, reference=language.quoted(self.reference))

    @property
    def turned(self) -> Outcome:
        """Of a contrast, the other way round."""
        assert self.reference is not None
        return Outcome(self.reference, self.label, self.space)

    @property
    def voice(self) -> str:
        """By which templates it is spoken of: a value is raised; for a class speaks what raises its score."""
        return "value" if self.space == "value" else "class"


def spoken_of(figures: Figures) -> list[Output]:
    """The outputs that sentences are about: of many those that the model finds most probable."""
    if len(figures.outputs) <= MOST_OUTPUTS:
        return list(figures.outputs)
    return sorted(figures.outputs, key=lambda output: -figures.answer.scores.get(output.label, 0.0))[:MOST_OUTPUTS]


def leaders(output: Output) -> Sequence[int]:
    """The parts that certainly weigh most, where they are few enough to be named."""
    return output.leaders if len(output.leaders) <= MOST_LEADERS else ()


def directed(output: Output, parts: Sequence[int]) -> tuple[Directed, ...]:
    """Parts in reading order with their directions, without those that have none: the order is not one of weight."""
    return tuple(Directed(part, output.direction(part)) for part in sorted(parts) if output.direction(part))


def weighs_nothing(output: Output) -> bool:
    """Whether every part is known to add nothing but rounding."""
    return all(output.sizes(part)[1] <= output.noise for part in range(len(output.values)))


def effect(
    language: Language, direction: int, outcome: Outcome, between: tuple[float, float] | None = None, *, count: int = 1
) -> str:
    """What so many parts do, such as: speaks for “good”.

    between: the interval of what one part adds, to tell how much, where people know the scale.
    """
    if outcome.reference is not None:
        turned = outcome if direction > 0 else outcome.turned
        return language.fill_counted("effect.class.for", count, outcome=turned.told(language))
    told, side = outcome.told(language), _SIDES[direction]
    if between is None or outcome.space == "logit":
        return language.fill_counted(f"effect.{outcome.voice}.{side}", count, outcome=told)
    low, high = sorted(map(abs, between))
    size = language.points(low, high) if outcome.space == "probability" else language.between(low, high)
    return language.fill(f"effect.{outcome.space}_by.{side}", outcome=told, size=size)


def clauses(
    language: Language,
    parts: Sequence[Directed],
    names: Sequence[Part],
    noun: Noun,
    outcome: Outcome,
    *,
    bare: bool = True,
) -> str:
    """What parts do, those of one direction together, such as: “a” speaks for “good”, and “b” speaks against it.

    bare: names alone; what the parts are called was said before.
    """
    sides = {
        direction: [name for one, name in zip(parts, names, strict=True) if one.direction == direction]
        for direction in (1, -1)
    }
    told = []
    for direction, of_side in sides.items():
        if of_side:
            done = effect(language, direction, outcome, count=len(of_side))
            if told:
                done = language.fill_counted(f"effect.{outcome.voice}.opposite", len(of_side))
            subject = language.parts(of_side, noun, bare=bare)
            told.append(language.fill("clause", subject=subject, effect=done))
    return told[0] if len(told) == 1 else language.fill("clauses", first=told[0], second=told[1])
