"""Random figures of explanations, and what sentences may claim of them, worked out apart from the code that claims."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from explicate.sentences.told_figures import NOISE, Answer, Changed, Cut, Figures, Output, Part

CLASSES = ("yes", "no", "maybe", "never")
TARGET = "price"
_STOPS = ("tolerance", "budget", "deadline", "exact", "top-k", "complete")


def random_figures(seed: int) -> Figures:
    """Any figures: ties, zeros, unknown intervals, no part or one, a class, all of them, a contrast, a number."""
    random = np.random.default_rng(seed)
    kind = random.choice(["class", "contrast", "all", "value", "labels"])
    count = int(random.choice([0, 1, 2, 3, 5, 8]))
    scores = dict(zip(CLASSES, random.dirichlet(np.full(4, 0.5)).tolist(), strict=True))
    space = "value" if kind == "value" else str(random.choice(["probability", "logit"]))
    noun = str(random.choice(["word", "token", "sentence", "phrase", "column", "feature", "segment", "patch"]))
    told = {"class": CLASSES[:1], "contrast": CLASSES[:1], "all": CLASSES, "value": (TARGET,), "labels": CLASSES[1:2]}
    reference = CLASSES[1] if kind == "contrast" else None
    names = [f"p{part}" for part in range(count)]
    return Figures(
        answer=_answer(random, kind, scores),
        outputs=[_output(random, count, label, reference, space) for label in told[kind]],
        parts=[_part(random, name, noun) for name in names],
        noun=noun,  # type: ignore[arg-type]  # one of them
        space=space,
        compared=bool(random.random() < 0.8),
        baseline_name=str(random.choice(["", "last year"])),
        other_input=bool(random.random() < 0.2),
        kept=bool(random.random() < 0.2),
        stop_reason=str(random.choice(_STOPS)),
        held_out_r_squared=None if random.random() < 0.2 else float(random.uniform(-0.5, 1)),
        rows_per_part=float(random.uniform(1, 32)),
        copies={"p0": ("p1",), "p1": ("p0", "p2"), "p2": ("p1",)} if random.random() < 0.5 else {},
        unknown_columns=tuple(names[: int(random.integers(0, 3))]),
        cut=Cut((480,), (1200,)) if random.random() < 0.2 else None,
        change=_changed(random, names) if random.random() < 0.3 else None,
    )


def _changed(random: np.random.Generator, names: Sequence[str]) -> Changed:
    absent = tuple(part for part in range(len(names)) if random.random() < 0.3)
    columns = [] if absent else [(name, 3.5) for name in names[:2]]
    return Changed(absent, columns, str(random.choice(CLASSES)), float(random.random()), bool(random.random() < 0.5))


def _answer(random: np.random.Generator, kind: str, scores: dict[str, float]) -> Answer:
    if kind == "value":
        return Answer(target=TARGET, value=float(random.normal() * 10.0 ** random.integers(-3, 7)))
    if kind == "labels":
        return Answer(scores=scores, labels=[label for label, score in scores.items() if score >= 0.5])
    by_rule = random.random() < 0.2
    label = str(random.choice(CLASSES)) if by_rule else max(scores, key=scores.__getitem__)
    return Answer(scores=scores, label=label, threshold=scores[label] / 2 if by_rule else None)


def _part(random: np.random.Generator, name: str, noun: str) -> Part:
    if noun in ("column", "feature"):
        value = [None, 12.5, "red", True][int(random.integers(4))]
        return Part(name, columns=((name, value),) if noun == "column" else ((name, value), (f"{name}b", 1.0)))
    if noun in ("segment", "patch"):
        return Part(name, thirds=(int(random.integers(3)), int(random.integers(3))))
    return Part(name, in_pair=bool(random.random() < 0.1))


def _output(random: np.random.Generator, count: int, label: str, reference: str | None, space: str) -> Output:
    scale = {"probability": 0.2, "logit": 1.0, "value": 10.0 ** random.integers(-2, 6)}[space]
    values = random.normal(size=count) * scale * random.choice([1.0, 0.1], size=count)
    if random.random() < 0.3:  # ties, in size at least
        values = np.round(values / scale) * scale
    values[random.random(count) < 0.1] = 0.0
    widths = np.abs(random.normal(size=count)) * scale * random.choice([0.0, 0.01, 0.1, 1.0])
    certain = widths * random.uniform(1, 2)
    if random.random() < 0.25:
        widths[random.random(count) < random.choice([0.3, 1.0])] = np.nan
        certain = np.where(np.isnan(widths), np.nan, certain)
    if random.random() < 0.05:
        values[random.random(count) < 0.5] = np.nan
    if random.random() < 0.05:
        values, widths = values * 0, np.where(np.isnan(widths), np.nan, 0.0)
        certain = widths
    lower, upper, baseline = values - widths, values + widths, float(random.uniform(0, 1) * scale)
    return Output(
        label=label,
        reference=reference,
        baseline=baseline,
        instance=baseline + float(np.nansum(values)),
        values=values.tolist(),
        lower=lower.tolist(),
        upper=upper.tolist(),
        certain=certain.tolist(),
    )


@dataclass(frozen=True)
class Allowed:
    """What the figures of an output allow, by the plain definitions: a part by its number."""

    output: Output

    @property
    def parts(self) -> range:
        return range(len(self.output.values))

    @property
    def noise(self) -> float:
        """A millionth of the largest figure."""
        figures = (self.output.baseline, self.output.instance, *self.output.values)
        return NOISE * max((abs(each) for each in figures if math.isfinite(each)), default=0.0)

    def ranges(self, part: int) -> Iterator[tuple[float, float]]:
        """From where to where the size of a part is, by each of its intervals; unknown ones reach from 0 on."""
        value, certain = self.output.values[part], self.output.certain[part]
        for low, high in ((self.output.lower[part], self.output.upper[part]), (value - certain, value + certain)):
            if math.isnan(low) or math.isnan(high):
                yield 0.0, math.inf
            else:
                yield (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))

    def is_clear(self, first: int, second: int) -> bool:
        """Whether one part certainly weighs more than another: all their intervals are apart."""
        least = min(low for low, _ in self.ranges(first))
        return least > max(high for _, high in self.ranges(second)) + self.noise

    def weigh_most(self, chosen: Sequence[int]) -> bool:
        """Whether these weigh more than all others, of which there are some."""
        rest = set(self.parts) - set(chosen)
        return bool(rest) and all(self.is_clear(first, second) for first in chosen for second in rest)

    def direction(self, part: int) -> int:
        """By an interval that does not hold 0."""
        low, high = self.output.lower[part], self.output.upper[part]
        return int(low > self.noise) - int(high < -self.noise)


_NAME = re.compile(r"“?(p\d+)”?")
_VERBS = {"speaks for": 1, "speak for": 1, "raises": 1, "raise": 1, "speaks against": -1, "speak against": -1}
_VERBS |= {"lowers": -1, "lower": -1}
_VERB = re.compile(rf" ({'|'.join(sorted(_VERBS, key=len, reverse=True))}) (.*)$")
_RANGE = re.compile(r" by (?:about )?([\d,.]+)(?: to ([\d,.]+))?(?: percentage points?)?$")


@dataclass
class Said:
    """What a sentence says, read out of its English words: who weighs most, and who raises (1) or lowers (-1) what."""

    most: frozenset[int]
    directions: dict[int, int]
    outcome: str
    between: tuple[float, float] | None = None


def read_sentence(sentence: str) -> Said | None:
    """A sentence on what parts do; None for others."""
    told = sentence.removesuffix(".").split(". It is not certain which")[0]
    told = re.sub("^For “[^”]*”, ", "", told)
    one = re.fullmatch(r"(.*) weighs? most: (?:it|they)( .*)", told)
    if one:
        return _said([one[1] + one[2]], is_most=True)
    these = told.removeprefix("These weigh most: ")
    rest = these.removeprefix("Also, ")
    if not _VERB.search(rest) or rest.startswith(("The model ", "Nothing ", "This ", "In the data")):
        return None
    cut = re.search(r", and (?=(?:the |“|segment|patch).* (?:speaks?|raises?|lowers?) (?:against )?it$)", rest)
    clauses = [rest] if cut is None else [rest[: cut.start()], rest[cut.end() :]]
    return _said(clauses, is_most=these != told)


def _said(clauses: Sequence[str], *, is_most: bool) -> Said:
    directions: dict[int, int] = {}
    outcome, between = "", None
    for clause in clauses:
        verb = _VERB.search(clause)
        assert verb, clause
        sign, done = _VERBS[verb[1]], verb[2]
        if size := _RANGE.search(done):
            ends = [float(each.replace(",", "")) for each in size.groups() if each]
            between = (ends[0], ends[-1])
        if done != "it":
            outcome = _RANGE.sub("", done).removeprefix("the probability of ")
        directions |= {int(name[1:]): sign for name in _NAME.findall(clause[: verb.start()])}
    return Said(frozenset(directions) if is_most else frozenset(), directions, outcome, between)
