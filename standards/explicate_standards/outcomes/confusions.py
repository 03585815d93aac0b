"""What is taken for what: in all rows and in each slice, and in which slices otherwise than in the rest, beyond chance.

A slice is compared with the rows outside it, class by class of what is right: so a slice in which one class is more
frequent does not differ by that alone. Under the hypothesis that answers do not depend on the slice, how often each
class is answered in it is drawn from the answers to all rows of the class without replacement. The p of the sum of
squared, scaled gaps (Pearson's χ² over all classes) is counted over such draws, so few rows make it no less valid. More
are drawn as long as few are as far (Besag and Clifford, Biometrika 78, 1991). Of many slices some differ by chance: p
is adjusted over all comparisons that were made (Holm 1979).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explicate_standards.outcomes.measures import decisions
from explicate_standards.outcomes.outcomes import Outcomes
from explicate_standards.outcomes.slice_rules import Masks

ALPHA = 0.05
ALL_ROWS = ""
_DRAWS = (999, 9_000, 90_000)  # added as long as no more than `_FEW` draws are as far
_FEW = 20
_SEED = 13
_MOST_CELLS = 20_000_000  # drawn numbers held at a time: 160 MB
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Confusion:
    """What is taken for what.

    Attributes:
        slice: its name; empty for all rows.
        about: of a model of labels, the one that it is about; else empty.
        names: of what is right and what is answered.
        counts: rows that are one and answered as another, int64[right, answered].
        p, adjusted: that the slice is like the rest, and the same for all comparisons together; None where that was not
            tested.
        note: why not, or the largest difference.
    """

    slice: str
    about: str
    names: tuple[str, ...]
    counts: Counts
    p: float | None = None
    adjusted: float | None = None
    note: str = ""

    @property
    def rows(self) -> int:
        """In it."""
        return int(self.counts.sum())

    @property
    def wrong(self) -> int:
        """Rows that are not answered rightly."""
        return self.rows - int(np.trace(self.counts))

    @property
    def differs(self) -> bool:
        """Whether it is unlike the rest beyond chance."""
        return self.adjusted is not None and self.adjusted < ALPHA


def confusions(outcomes: Outcomes, slices: Masks, minimum_rows: int) -> list[Confusion]:
    """Of all rows, then of each slice; none for a model of numbers. Slices of fewer rows are counted, not tested."""
    if outcomes.objective.decisions is None:
        return []
    found = []
    for about, names, right, answered in _questions(outcomes):
        whole = _counted(right, answered, len(names))
        found.append(Confusion(ALL_ROWS, about, names, whole))
        for name, rows in slices.items():
            counts = _counted(right[rows], answered[rows], len(names))
            found.append(_compared(Confusion(name, about, names, counts), whole, minimum_rows))
    return _adjusted(found)


def _questions(outcomes: Outcomes) -> Iterator[tuple[str, tuple[str, ...], NDArray[np.intp], NDArray[np.intp]]]:
    """One about classes, or one for each label: what it is about, names, what is right, what is answered."""
    if outcomes.objective.answer == "class":
        yield "", outcomes.labels, outcomes.targets, outcomes.decided
        return
    answered, right = decisions(outcomes)
    for place, label in enumerate(outcomes.labels):
        yield label, (f"not {label}", label), right[:, place].astype(np.intp), answered[:, place].astype(np.intp)


def _counted(right: NDArray[np.intp], answered: NDArray[np.intp], classes: int) -> Counts:
    return np.bincount(right * classes + answered, minlength=classes * classes).reshape(classes, classes)


def _compared(one: Confusion, whole: Counts, minimum_rows: int) -> Confusion:
    rest = int(whole.sum()) - one.rows
    if min(one.rows, rest) < minimum_rows:
        return replace(one, note=f"{min(one.rows, rest):,} rows {'in' if one.rows <= rest else 'outside'} it: too few")
    classes = np.flatnonzero((one.counts.sum(axis=1) > 0) & (one.counts.sum(axis=1) < whole.sum(axis=1)))
    if not len(classes):
        return replace(one, note="no class has rows both in it and outside")
    return replace(one, p=_probability(one.counts[classes], whole[classes]), note=_largest(one, whole, classes))


def _probability(inside: Counts, whole: Counts) -> float:
    """That a slice of rows of these classes, int64[classes, answers] each, is as far from the rest by chance."""
    stream = np.random.Generator(np.random.Philox(_SEED))
    expected, scale = _scaled(inside.sum(axis=1), whole)
    found = (np.square(inside - expected) * scale).sum()
    as_far, drawn = 0, 0
    for draws in _DRAWS:
        while draws:
            block = min(draws, max(1, _MOST_CELLS // whole.size))
            as_far += int((_distances(stream, inside, whole, block) >= found * (1 - 1e-9)).sum())
            drawn, draws = drawn + block, draws - block
        if as_far >= _FEW:
            break
    return (as_far + 1) / (drawn + 1)


def _distances(stream: np.random.Generator, inside: Counts, whole: Counts, draws: int) -> NDArray[np.float64]:
    """Pearson's χ² of slices drawn from the rows of each class, float64[draws]."""
    expected, scale = _scaled(inside.sum(axis=1), whole)
    total = np.zeros(draws)
    for place, answers in enumerate(whole):
        drawn = stream.multivariate_hypergeometric(answers, int(inside[place].sum()), size=draws, method="marginals")
        total += (np.square(drawn - expected[place]) * scale[place]).sum(axis=1)
    return total


def _scaled(rows: NDArray[np.int64], whole: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected answers in a slice, and what takes squared gaps to those of χ², float64[classes, answers] each.

    The gap is the same in the slice and in the rest: 1 / e_slice + 1 / e_rest.
    """
    of_class = whole.sum(axis=1, keepdims=True)
    expected = rows[:, np.newaxis] * whole / of_class
    outside = whole - expected
    scale = np.zeros(whole.shape)
    there = whole > 0
    scale[there] = 1 / expected[there] + 1 / outside[there]
    return expected, scale


def _largest(one: Confusion, whole: Counts, classes: NDArray[np.intp]) -> str:
    """The answer that is given most unlike in the slice and in the rest, in words."""
    inside, outside = one.counts[classes], whole[classes] - one.counts[classes]
    gaps = _shares(inside) - _shares(outside)
    row, answer = np.unravel_index(int(np.abs(gaps).argmax()), gaps.shape)
    ours, theirs = (
        f"{inside[row, answer]:,} of {inside[row].sum():,}",
        f"{outside[row, answer]:,} of {outside[row].sum():,}",
    )
    return f"{one.names[classes[row]]} answered as {one.names[answer]}: {ours} in it, {theirs} outside"


def _shares(counts: Counts) -> NDArray[np.float64]:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _adjusted(found: Sequence[Confusion]) -> list[Confusion]:
    """With p for all comparisons together: the k-th smallest times how many are not smaller, never falling."""
    tested = sorted(
        (place for place, one in enumerate(found) if one.p is not None), key=lambda place: found[place].p or 0.0
    )
    told, least = list(found), 0.0
    for number, place in enumerate(tested):
        least = max(least, min(1.0, (found[place].p or 0.0) * (len(tested) - number)))
        told[place] = replace(found[place], adjusted=least)
    return told
