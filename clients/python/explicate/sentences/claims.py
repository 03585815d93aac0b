"""What may be said of an explanation: each claim an object with what it claims, found in the figures alone.

A claim that is new is a class with `found`, which gives those that the figures allow, and `sentence`, a line in
`CLAIMS`, and its templates in each file of `languages/`. The order of `CLAIMS` is that of the sentences. Nothing says
"because": attributions tell what the model does with its input, not why the world is as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from explicate.sentences.answer_claims import Answered, Labelled, Predicted, Unsure, WouldChange
from explicate.sentences.claim import Claim
from explicate.sentences.effects import Directed, Outcome, clauses, directed, effect, leaders, spoken_of, weighs_nothing
from explicate.sentences.language import Language, begins
from explicate.sentences.told_figures import Cut, Figures, Noun, Part

MOST_OTHERS = 3
# Leave-one-out R² below which a sum of single numbers leaves out a good part of what the model does: a third of the
# variance. From 4 rows a part on least squares finds an additive game exactly, so that it is not for want of rows.
ADDITIVE_R_SQUARED = 0.67
ROWS_THAT_FIT = 4.0
_MOST_COPIES = 2


@dataclass(frozen=True)
class WeighMost(Claim):
    """That these parts weigh more than all others, without an order among them, and what each does.

    between: for one part, the interval of what it adds.
    """

    parts: tuple[Directed, ...]
    names: tuple[Part, ...]
    noun: Noun
    outcome: Outcome
    between: tuple[float, float] | None = None

    @classmethod
    def found(cls, figures: Figures) -> Iterator[WeighMost]:
        for output in spoken_of(figures):
            if parts := directed(output, leaders(output)):
                first = parts[0].part
                between = (output.lower[first], output.upper[first]) if len(parts) == 1 else None
                yield cls(parts, _names(figures, parts), figures.noun, Outcome.of(figures, output), between)

    def sentence(self, language: Language) -> str:
        return self.outcome.named_first(language, self._told(language))

    def _told(self, language: Language) -> str:
        names = language.parts(self.names, self.noun)
        directions = {each.direction for each in self.parts}
        if self.between is not None:
            done = effect(language, self.parts[0].direction, self.outcome, self.between)
            return language.fill("weighs.one", parts=names, it=language.text(f"part.{self.noun}.it"), effect=done)
        if len(directions) == 1:
            done = effect(language, directions.pop(), self.outcome, None, count=len(self.parts))
            return language.fill("weighs.same", parts=names, effect=done)
        told = clauses(language, self.parts, self.names, self.noun, self.outcome, bare=False)
        return language.fill("weighs.mixed", clauses=told)


@dataclass(frozen=True)
class Point(Claim):
    """What parts do whose direction is certain.

    also: parts that weigh more were named before. in_doubt: it is not certain which part weighs most.
    """

    parts: tuple[Directed, ...]
    names: tuple[Part, ...]
    noun: Noun
    outcome: Outcome
    also: bool
    in_doubt: bool

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Point]:
        for output in spoken_of(figures):
            first = leaders(output)
            known = [part for part in output.strongest if output.direction(part) and part not in first]
            if known and (len(figures.outputs) == 1 or not first):
                parts = directed(output, known[:MOST_OTHERS])
                names, outcome = _names(figures, parts), Outcome.of(figures, output)
                yield cls(parts, names, figures.noun, outcome, bool(first), output.is_in_doubt)

    def sentence(self, language: Language) -> str:
        told = clauses(language, self.parts, self.names, self.noun, self.outcome, bare=self.also)
        if self.also:
            return language.fill("points_to.also", clauses=told)
        in_doubt = language.text(f"part.{self.noun}.in_doubt") if self.in_doubt else ""
        told = f"{language.fill('points_to.first', clauses=told)} {in_doubt}".rstrip()
        return self.outcome.named_first(language, told)


@dataclass(frozen=True)
class Uncertain(Claim):
    """That no part has a direction yet, as every interval that is known holds 0."""

    noun: Noun
    outcome: Outcome

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        for output in spoken_of(figures):
            parts = range(len(figures.parts))
            if output.is_measured and not any(map(output.direction, parts)) and not weighs_nothing(output):
                yield cls(figures.noun, Outcome.of(figures, output))

    def sentence(self, language: Language) -> str:
        nobody = language.text(f"part.{self.noun}.no_one")
        if self.outcome.reference is not None:
            return language.fill("uncertain.contrast", nobody=nobody, outcome=self.outcome.told(language))
        return language.fill(f"uncertain.{self.outcome.voice}", nobody=nobody, outcome=self.outcome.told(language))


@dataclass(frozen=True)
class NothingWeighs(Claim):
    """That it is certain of every part that it adds nothing."""

    noun: Noun
    outcome: Outcome

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        for output in spoken_of(figures):
            if figures.parts and weighs_nothing(output):
                yield cls(figures.noun, Outcome.of(figures, output))

    def sentence(self, language: Language) -> str:
        outcome = self.outcome.told(language)
        return language.fill("nothing", nobody=language.text(f"part.{self.noun}.no_one"), outcome=outcome)


@dataclass(frozen=True)
class NoParts(Claim):
    """That the input has no parts to tell of."""

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        if not figures.parts:
            yield cls()

    def sentence(self, language: Language) -> str:
        return language.fill("no_parts")


@dataclass(frozen=True)
class Unmeasured(Claim):
    """That nothing is known of how sure the figures are; and which part has the largest, if one has."""

    largest: Part | None
    noun: Noun

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        for output in spoken_of(figures)[:1]:
            if figures.parts and not output.is_measured:
                first, *others = (abs(output.values[part]) for part in output.strongest)
                alone = math.isfinite(first) and first > max((each for each in others if each == each), default=0.0)
                largest = output.strongest[0] if alone and first > output.noise else None
                yield cls(None if largest is None else figures.parts[largest], figures.noun)

    def sentence(self, language: Language) -> str:
        if self.largest is None:
            return language.fill("unmeasured.none")
        return language.fill("unmeasured.largest", part=language.parts((self.largest,), self.noun))


@dataclass(frozen=True)
class Compared(Claim):
    """What the figures are a comparison with, and the output there, where people know its scale."""

    noun: Noun
    name: str
    other_input: bool
    kept: bool
    outcome: Outcome | None
    value: float

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        if not figures.compared or not figures.parts:
            return
        (first, *others) = figures.outputs
        known = not others and first.reference is None and figures.space != "logit" and math.isfinite(first.baseline)
        outcome = Outcome.of(figures, first) if known else None
        yield cls(figures.noun, figures.baseline_name, figures.other_input, figures.kept, outcome, first.baseline)

    def sentence(self, language: Language) -> str:
        own = language.text(f"part.{self.noun}.{'other_input' if self.other_input else 'baseline'}")
        told = language.quoted(self.name) if self.name else own
        if self.kept:
            told = language.fill("compared.kept", baseline=told)
        if self.outcome is None:
            return language.fill("compared.only", baseline=told)
        shown = language.number(self.value) if self.outcome.space == "value" else language.percent(self.value)
        key = f"compared.{self.outcome.space}"
        return language.fill(key, baseline=told, outcome=self.outcome.told(language), value=shown)


@dataclass(frozen=True)
class WorkTogether(Claim):
    """That parts work together, so that one number for each tells only part of what the model does."""

    noun: Noun
    held_out_r_squared: float

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        fit, parts = figures.held_out_r_squared, len(figures.parts)
        enough = figures.rows_per_part >= ROWS_THAT_FIT or figures.stop_reason == "exact"
        if fit is not None and fit < ADDITIVE_R_SQUARED and parts > 1 and enough:
            yield cls(figures.noun, fit)

    def sentence(self, language: Language) -> str:
        return language.fill("together", all=language.text(f"part.{self.noun}.all"))


@dataclass(frozen=True)
class MoveTogether(Claim):
    """That a column which was named goes along with others in the data."""

    column: str
    others: tuple[str, ...]

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        told: set[str] = set()
        spoken = [*WeighMost.found(figures), *Point.found(figures)]
        parts = (part for claim in spoken if isinstance(claim, WeighMost | Point) for part in claim.names)
        named = (name for part in parts for name, _ in part.columns)
        for column in dict.fromkeys(named):
            others = tuple(figures.copies.get(column, ()))
            if others and column not in told and len(told) < _MOST_COPIES:
                told |= {column, *others}
                yield cls(column, others)

    def sentence(self, language: Language) -> str:
        quoted = [language.quoted(name) for name in self.others]
        column = language.quoted(self.column)
        return language.fill_counted("copies", len(quoted), column=column, others=language.listed(quoted))


@dataclass(frozen=True)
class OutOfTime(Claim):
    """That the work was ended by the clock."""

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        if figures.stop_reason == "deadline":
            yield cls()

    def sentence(self, language: Language) -> str:
        return language.fill("out_of_time")


@dataclass(frozen=True)
class TooLong(Claim):
    """That the model read only the beginning of a text, or of one of two."""

    cut: Cut

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        if figures.cut is not None and figures.cut.read != figures.cut.whole:
            yield cls(figures.cut)

    def sentence(self, language: Language) -> str:
        cut = self.cut
        read, whole = (list(map(language.count, counts)) for counts in (cut.read, cut.whole))
        if len(read) == 1:
            return language.fill("too_long.text", read=read[0], whole=whole[0])
        return language.fill("too_long.pair", read=read[0], whole=whole[0], read_2=read[1], whole_2=whole[1])


@dataclass(frozen=True)
class UnknownCategory(Claim):
    """That the model does not know the categories in these columns."""

    columns: tuple[str, ...]

    @classmethod
    def found(cls, figures: Figures) -> Iterator[Claim]:
        if figures.unknown_columns:
            yield cls(tuple(figures.unknown_columns))

    def sentence(self, language: Language) -> str:
        quoted = [language.quoted(name) for name in self.columns]
        return language.fill_counted("unknown_category", len(quoted), columns=language.listed(quoted))


CLAIMS: tuple[type[Claim], ...] = (
    *(Answered, Unsure, Labelled, Predicted),
    *(WeighMost, Point, Uncertain, NothingWeighs, NoParts, Unmeasured),
    *(Compared, WorkTogether, MoveTogether, WouldChange),
    *(OutOfTime, TooLong, UnknownCategory),
)


def _names(figures: Figures, parts: tuple[Directed, ...]) -> tuple[Part, ...]:
    return tuple(figures.parts[each.part] for each in parts)


def claims(figures: Figures) -> list[Claim]:
    """All that may be said, in order."""
    return [claim for kind in CLAIMS for claim in kind.found(figures)]


def sentences(figures: Figures, language: Language) -> tuple[str, ...]:
    """The same in words."""
    return tuple(begins(claim.sentence(language)) for claim in claims(figures))
