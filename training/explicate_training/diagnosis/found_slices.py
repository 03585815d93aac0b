"""The worst slices, found by a shallow tree on the validation rows and confirmed on the test rows.

The leaves of a tree that was fitted to errors are where the errors are, by chance, too: of many questions one always
looks bad on the rows that chose it. So each is written as a rule in the language of slices, and measured anew on the
test rows, which had no say; what does not stay worse than the rest there is told apart.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any  # scikit-learn's trees; JSON values

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from explicate.scoring.conditions.row_rules import rows_of
from explicate_bundle.outcomes.resampling import draws, interval
from explicate_training.diagnosis.row_questions import Feature, Fields, features_of

_DEPTH, _MOST_SLICES = 3, 5
_FEWEST_ROWS, _LEAST_SHARE = 20, 0.03
_MISTAKES = 0.05  # of a false confirmation among all that are told


@dataclass(frozen=True)
class FoundSlice:
    """A slice and what was measured on it; bounds are 95 % of the bootstrap over the test rows.

    rest: the same figure of all other test rows. confirmed: whether the slice is worse than these by more than chance,
    with all slices that are told taken together. why_not: where it is not.
    """

    rule: str
    validation_rows: int
    validation_value: float
    test_rows: int
    value: float | None
    lower: float | None
    upper: float | None
    rest: float | None
    confirmed: bool
    why_not: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def find_slices(
    validation: Fields,
    validation_measured: NDArray[np.float64],
    test: Fields,
    test_measured: NDArray[np.float64],
    *,
    large_is_bad: bool,
) -> list[FoundSlice]:
    """The slices with the most errors, the worst first, confirmed ones before the others.

    Args:
        validation: what the validation rows tell of themselves.
        validation_measured: of each row, such as 1 for a right answer, float64 [rows]; a slice has its mean.
        test: the same of the test rows.
        test_measured: the same.
        large_is_bad: whether it is an error.
    """
    sign = 1.0 if large_is_bad else -1.0
    errors = sign * validation_measured
    fewest = max(_FEWEST_ROWS, int(np.ceil(_LEAST_SHARE * len(errors))))
    if len(errors) < 2 * fewest or errors.min() == errors.max():
        return []
    features = features_of(validation, errors, fewest=fewest)
    if not features:
        return []
    tree = DecisionTreeRegressor(max_depth=_DEPTH, min_samples_leaf=fewest, random_state=0)
    tree.fit(np.stack([feature.values for feature in features], axis=1), errors)
    rules = [rule for rule, error in _leaves(tree.tree_, features) if error > errors.mean()][:_MOST_SLICES]
    found = [
        _measured(
            rule,
            validation_measured[np.array(rows_of(rule, validation), dtype=bool)],
            np.array(rows_of(rule, test), dtype=bool),
            test_measured,
            sign=sign,
            told=len(rules),
        )
        for rule in rules
    ]
    return sorted(found, key=lambda one: (not one.confirmed, -sign * one.validation_value))


def _leaves(tree: Any, features: Sequence[Feature]) -> list[tuple[str, float]]:
    """The rule of each leaf and its mean error, the worst first; a tree without a split has none."""
    found: list[tuple[str, float]] = []

    def walk(node: int, bounds: dict[int, tuple[float, float]]) -> None:
        if tree.children_left[node] < 0:
            if bounds:
                parts = [part for place, ends in bounds.items() for part in _conditions(features[place], *ends)]
                found.append((" and ".join(parts), float(tree.value[node][0, 0])))
            return
        place, threshold = int(tree.feature[node]), float(tree.threshold[node])
        low, high = bounds.get(place, (-np.inf, np.inf))
        walk(tree.children_left[node], {**bounds, place: (low, min(high, threshold))})
        walk(tree.children_right[node], {**bounds, place: (max(low, threshold), high)})

    walk(0, {})
    return sorted(found, key=lambda one: -one[1])


def _conditions(feature: Feature, low: float, high: float) -> list[str]:
    """That a feature is above `low` and at most `high`, as rules have it."""
    if not feature.number:
        return [feature.condition if low >= 0 else feature.opposite]
    name, least = feature.condition, float(np.min(feature.values))
    if feature.missing and high < least + 1:  # missing ones are one below all others
        return [f"{name} is null"]
    if feature.missing and low >= least and low < least + 1:
        low = -np.inf
        known = [f"{name} is not null"] if high == np.inf else []
        return [*known, *([] if high == np.inf else [f"{name} <= {_number(high, feature)}"])]
    above = [] if low == -np.inf else [f"{name} > {_number(low, feature)}"]
    if high == np.inf:
        return above
    below = f"{name} <= {_number(high, feature)}"
    return [*above, f"({below} or {name} is null)" if feature.missing and not above else below]


def _number(threshold: float, feature: Feature) -> str:
    """A threshold with as few digits as leave every row of the tree where it is."""
    if feature.whole:
        return f"{int(np.floor(threshold))}"
    right = feature.values <= threshold
    for digits in range(2, 17):
        written = f"{threshold:.{digits}g}"
        if np.array_equal(feature.values <= float(written), right):
            return written
    return repr(threshold)


def _measured(
    rule: str,
    validation: NDArray[np.float64],
    inside: NDArray[np.bool_],
    measured: NDArray[np.float64],
    *,
    sign: float,
    told: int,
) -> FoundSlice:
    """A slice on the test rows, beside all the others."""
    own, others = measured[inside], measured[~inside]
    figures: dict[str, Any] = {
        "rule": rule,
        "validation_rows": len(validation),
        "validation_value": float(validation.mean()),
    }
    if not len(own) or not len(others):
        return FoundSlice(
            **figures, test_rows=len(own), value=None, lower=None, upper=None, rest=None, confirmed=False,
            why_not="no test row is in it" if not len(own) else "every test row is in it",
        )  # fmt: skip
    means, differences = _drawn(inside, measured)
    lower, upper = interval(means) or (float(own.mean()), float(own.mean()))
    least = float(np.quantile(sign * differences, _MISTAKES / told))
    few = len(own) < _FEWEST_ROWS
    return FoundSlice(
        **figures,
        test_rows=len(own),
        value=float(own.mean()),
        lower=lower,
        upper=upper,
        rest=float(others.mean()),
        confirmed=not few and least > 0,
        why_not=f"fewer than {_FEWEST_ROWS} test rows" if few else "" if least > 0 else "may be chance",
    )


def _drawn(inside: NDArray[np.bool_], measured: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The slice's means, and by how much they are above the others', over draws of the test rows."""
    means: list[NDArray[np.float64]] = []
    rests: list[NDArray[np.float64]] = []
    for counts in draws(len(measured)):
        for rows, into in ((inside, means), (~inside, rests)):
            sizes = counts[:, rows].sum(axis=1)
            sums = counts[:, rows] @ measured[rows]
            into.append(np.divide(sums, sizes, out=np.full(len(sums), np.nan), where=sizes > 0))
    own, other = np.concatenate(means), np.concatenate(rests)
    known = np.isfinite(own) & np.isfinite(other)
    return own[known], own[known] - other[known]
