"""How differently a model treats groups of rows: gaps of how often it answers a class, or is right about it.

The definitions are those of Hardt, Price and Srebro (NeurIPS 2016) and Dwork et al. (ITCS 2012), as fairlearn has them.
The largest gap over small groups is large by chance, so groups with too few rows are left out, and told.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.outcomes.resampling import Counts
from explicate_standards.outcomes.outcomes import Floats, Outcomes

Groups = NDArray[np.bool_]
"""Which rows each group has, bool[groups, rows]."""
Gap = Callable[[NDArray[np.bool_], NDArray[np.bool_], Groups, Counts], Floats]
"""Of whether the class is answered and whether it is right, bool[rows] each: a gap on draws, float64[draws]."""


def _rates(answered: NDArray[np.bool_], of: NDArray[np.bool_], groups: Groups, counts: Counts) -> Floats:
    """How often the class is answered to some of the rows of each group, float64[draws, groups]; NaN without any."""
    rows = (groups & of).astype(counts.dtype).T
    with np.errstate(invalid="ignore"):
        return (counts @ (rows * answered[:, np.newaxis])).astype(np.float64) / (counts @ rows)


def _widest(rates: Floats) -> Floats:
    """Between the highest and the lowest group; NaN where a draw leaves one of them without rows."""
    return np.asarray(rates.max(axis=1) - rates.min(axis=1))


def demographic_parity_gap(
    answered: NDArray[np.bool_], true: NDArray[np.bool_], groups: Groups, counts: Counts
) -> Floats:
    """Between groups: how often the class is answered."""
    return _widest(_rates(answered, np.ones_like(true), groups, counts))


def equalised_odds_gap(answered: NDArray[np.bool_], true: NDArray[np.bool_], groups: Groups, counts: Counts) -> Floats:
    """The larger of two gaps between groups: how often the class is answered where it is right, and where it is not."""
    return np.maximum(_widest(_rates(answered, true, groups, counts)), _widest(_rates(answered, ~true, groups, counts)))


def equal_opportunity_gap(
    answered: NDArray[np.bool_], true: NDArray[np.bool_], groups: Groups, counts: Counts
) -> Floats:
    """Between groups: how often the class is answered where it is right."""
    return _widest(_rates(answered, true, groups, counts))


def selection_ratio(answered: NDArray[np.bool_], true: NDArray[np.bool_], groups: Groups, counts: Counts) -> Floats:
    """How often the class is answered in the group with the lowest rate, by that in the one with the highest.

    Below .8 is the "four-fifths rule" of the US Uniform Guidelines on Employee Selection Procedures (1978).
    """
    rates = _rates(answered, np.ones_like(true), groups, counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rates.min(axis=1) / rates.max(axis=1))


SELECTION_RATIO = "selection_ratio"
GAPS: Mapping[str, Gap] = MappingProxyType(
    {
        "demographic_parity_gap": demographic_parity_gap,
        "equalised_odds_gap": equalised_odds_gap,
        "equal_opportunity_gap": equal_opportunity_gap,
        SELECTION_RATIO: selection_ratio,
    }
)
"""By name, as standards have it."""

RATES_OF: Mapping[str, Callable[[NDArray[np.bool_]], Sequence[NDArray[np.bool_]]]] = MappingProxyType(
    {
        "demographic_parity_gap": lambda true: (np.ones_like(true),),
        "equalised_odds_gap": lambda true: (true, ~true),
        "equal_opportunity_gap": lambda true: (true,),
        SELECTION_RATIO: lambda true: (np.ones_like(true),),
    }
)
"""The rows among which each asks how often the class is answered, from those of which the class is right."""


def answers_of(outcomes: Outcomes, label: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a class is answered, and whether it is right, bool[rows] each."""
    if outcomes.objective.answer == "labels":
        return outcomes.decided[:, label], outcomes.targets[:, label]
    return outcomes.decided == label, outcomes.targets == label
