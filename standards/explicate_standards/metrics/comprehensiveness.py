"""`comprehensiveness` and `sufficiency`: whether the parts that an explanation names first carry the answer.

DeYoung et al., ERASER, ACL 2020, section 4: the fall of the explained output without the top players
(comprehensiveness), and with them alone (sufficiency), averaged over the top 1, 5, 10, 20 and 50 %. Both also follow
from how the model reacts to any removal, so neither is told raw: the same for five random rankings is taken off. A
faithful explanation of a model that reads evidence has a comprehensiveness well above 0, and a sufficiency well below.

Between models even that is not comparable: a model with flatter answers has less to fall. Edin et al., Normalized AOPC,
ACL 2025: the area over the whole removal order is put between the least and the greatest that any order of removal
gives that model on that input. All orders are searched exactly up to 10 players, by the lattice of coalitions, else by
a beam of 5. 1 is the most that removal can do, 0 the least.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.quality import SHARES
from explicate_standards.metric import Floats, Measured, Metric, Statistic, Told, said
from explicate_standards.subject import Subject

RANKINGS = 5
EXACT_PLAYERS = 10
BEAM = 5
SHORT_INPUTS = 25
_FEWEST_PLAYERS = 2
_STREAM = 2


def measure(subject: Subject, *, alone: bool) -> Measured:
    """Falls by the explanation's ranking and by random ones, averaged over SHARES, and at each of them.

    `alone`: with the top players alone, else without them.
    """
    n = subject.n
    if n < _FEWEST_PLAYERS:
        return {}
    generator = subject.generator(_STREAM)
    rankings = [ranking(subject), *(generator.permutation(n) for _ in range(RANKINGS))]
    tops = np.concatenate([top_players(order, n) for order in rankings])
    full = subject.values(np.ones((1, n), np.bool_))
    falls = (full - subject.values(tops if alone else ~tops)).reshape(len(rankings), len(SHARES))
    ours, random = falls[0], falls[1:].mean(axis=0)
    return {
        "value": float(ours.mean()),
        "random": float(random.mean()),
        "gain": float(ours.mean() - random.mean()),
        "curve": ours.tolist(),
        "random_curve": random.tolist(),
    }


def ranking(subject: Subject) -> NDArray[np.intp]:
    """Players from the one that raises the output most."""
    return np.argsort(-subject.attributions, kind="stable")


def top_players(order: NDArray[np.intp], n: int) -> NDArray[np.bool_]:
    """The first of an order for each of SHARES, at least one, bool[shares, n]."""
    ranks = np.empty(n, np.intp)
    ranks[order] = np.arange(n)
    tops: NDArray[np.bool_] = ranks < np.ceil(np.array(SHARES)[:, None] * n)
    return tops


def measure_normalised(subject: Subject) -> Measured:
    """Both areas between the least and the greatest of any removal order; nothing where all orders are alike."""
    n = subject.n
    if n < _FEWEST_PLAYERS:
        return {}
    order = ranking(subject)
    lower, upper = bounds(subject)
    if not upper > lower:
        return {}
    falls = {"comprehensiveness": area(subject, order), "sufficiency": area(subject, order[::-1])}
    # A beam may miss the best order, and the explanation's own be it.
    lower, upper = min(lower, *falls.values()), max(upper, *falls.values())
    return {name: float((fall - lower) / (upper - lower)) for name, fall in falls.items()}


def area(subject: Subject, order: NDArray[np.intp]) -> float:
    """Mean fall of the output while players are removed in an order, one after the other, until none is left."""
    removed = np.tri(subject.n, dtype=np.bool_)  # [steps, places]
    coalitions = np.ones((subject.n, subject.n), np.bool_)
    coalitions[:, order] = ~removed
    full = subject.values(np.ones((1, subject.n), np.bool_))[0]
    return float((full - subject.values(coalitions)).mean())


def bounds(subject: Subject) -> tuple[float, float]:
    """The least and the greatest area of any removal order, exact or by a beam."""
    if subject.n <= EXACT_PLAYERS:
        return _exact(subject)
    lower, upper = _beam(subject, sign=-1.0), _beam(subject, sign=1.0)
    return -lower, upper


def _exact(subject: Subject) -> tuple[float, float]:
    """Over the lattice of coalitions: the best way to one leads through a best way to one of its supersets."""
    n = subject.n
    numbers = np.arange(2**n)
    coalitions = (numbers[:, np.newaxis] >> np.arange(n)) & 1 == 1  # row k is the coalition of the bits of k
    values = subject.values(coalitions)
    falls = values[-1] - values
    least, most = np.full(2**n, np.inf), np.full(2**n, -np.inf)
    least[-1] = most[-1] = 0.0
    for number in range(2**n - 2, -1, -1):
        before = [number | 1 << player for player in range(n) if not number >> player & 1]
        least[number] = falls[number] + least[before].min()
        most[number] = falls[number] + most[before].max()
    return float(least[0] / n), float(most[0] / n)


def _beam(subject: Subject, *, sign: float) -> float:
    """The greatest sum of sign · fall that a beam of BEAM removal orders finds, over n."""
    n = subject.n
    full = subject.values(np.ones((1, n), np.bool_))[0]
    kept, sums = np.ones((1, n), np.bool_), np.zeros(1)
    for _ in range(n):
        following, parents = _one_removed(kept)
        totals = sums[parents] + sign * (full - subject.values(following))
        chosen = list(_best_distinct(following, totals))
        kept, sums = following[chosen], totals[chosen]
    return float(sums.max() / n)


def _one_removed(kept: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Each coalition of bool[k, n] without each of its players, and the coalition that each came from."""
    parents, players = np.nonzero(kept)
    following = kept[parents].copy()
    following[np.arange(len(players)), players] = False
    return following, parents


def _best_distinct(coalitions: NDArray[np.bool_], totals: Floats) -> Iterator[int]:
    """Places of the BEAM largest totals, of equal coalitions one."""
    seen: set[bytes] = set()
    for place in np.argsort(-totals, kind="stable").tolist():
        key = coalitions[place].tobytes()
        if key not in seen and len(seen) < BEAM:
            seen.add(key)
            yield place


def _comprehensiveness_sentence(told: Told) -> str:
    return (
        f"Without the parts that the explanation names first the answer falls by {said(told, decimals=3)} more than "
        "without as many parts drawn at random."
    )


def _sufficiency_sentence(told: Told) -> str:
    return (
        f"With only the parts left that the explanation names first the answer falls by {said(told, decimals=3)} more "
        "than with as many random ones left; below 0 it falls less, so they carry more of it."
    )


def _normalised_sentence(told: Told) -> str:
    return (
        f"Between the least and the most that removal can do to this model, removing the named parts first does "
        f"{said(told)}, and removing them last {said(told, 'sufficiency')}."
    )


_ROWS = 2.0 * len(SHARES) * (1 + RANKINGS)


def _of_removal(
    name: str, definition: str, *, alone: bool, better: Literal["higher", "lower"], sentence: Callable[[Told], str]
) -> Metric:
    """One of the two: what happens without the named parts, or with them `alone`."""
    return Metric(
        id=name,
        title=name.capitalize(),
        definition=definition,
        measure=lambda subject: measure(subject, alone=alone),
        statistics=(
            Statistic(key="gain", better=better),
            Statistic(name="value", key="value"),
            Statistic(name="random", key="random"),
        ),
        rows=lambda _n: _ROWS / 2,
        sentence=sentence,
    )


COMPREHENSIVENESS = _of_removal(
    "comprehensiveness",
    "how much more the answer falls without the named parts than without random ones",
    alone=False,
    better="higher",
    sentence=_comprehensiveness_sentence,
)
SUFFICIENCY = _of_removal(
    "sufficiency",
    "how much more the answer falls with the named parts alone than with random ones alone; less is better",
    alone=True,
    better="lower",
    sentence=_sufficiency_sentence,
)
NORMALISED = Metric(
    id="normalised_faithfulness",
    title="Normalised faithfulness",
    definition="both, between the least and the most that any order of removal does to this model",
    measure=measure_normalised,
    statistics=(
        Statistic(key="comprehensiveness", better="higher"),
        Statistic(name="sufficiency", key="sufficiency", better="lower"),
    ),
    rows=lambda n: 2.0**n if n <= EXACT_PLAYERS else 2.0 * n + 1.0 * BEAM * n * n,
    sentence=_normalised_sentence,
    most_inputs=SHORT_INPUTS,
    short_inputs=True,
    undefined="no input has 3 to 20 parts, or the model answers alike whatever is removed",
)
