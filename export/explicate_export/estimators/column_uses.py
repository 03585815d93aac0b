"""What a fitted model does with each column of its rows: whether it reads it, and whether as a category."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any  # scikit-learn has no types

import numpy as np

from explicate_export.errors import UsageError

ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
"""Transformers that read values as names."""
_SCALERS_OF_ONE = ("SimpleImputer",)


@dataclass(frozen=True)
class Use:
    """How a column is read."""

    encoded: bool = False
    categories: tuple[Any, ...] = ()  # that an encoder knows


def kind(estimator: Any) -> str:
    """The name of its class."""
    return type(estimator).__name__


def unwrapped(model: Any) -> Any:
    """The fitted estimator inside of searches and frozen estimators."""
    while True:
        name = "best_estimator_" if hasattr(model, "best_estimator_") else "estimator"
        if not (hasattr(model, "best_estimator_") or kind(model) == "FrozenEstimator"):
            return model
        model = getattr(model, name)


def column_uses(model: Any, columns: int) -> dict[int, Use]:
    """The columns that are read, by position, among so many."""
    found: dict[int, Use] = {}
    _walk(model, list(range(columns)), found)
    return found


def chosen(columns: Any, names: Sequence[Any]) -> list[int]:
    """The positions that a ColumnTransformer's columns mean among columns of these names."""
    if isinstance(columns, str):
        return [list(names).index(columns)]
    if isinstance(columns, slice):
        return _sliced(columns, list(names))
    listed = [columns] if isinstance(columns, int | np.integer) else list(columns)
    if listed and all(isinstance(one, bool | np.bool_) for one in listed):
        return [place for place, one in enumerate(listed) if one]
    return [list(names).index(one) if isinstance(one, str) else range(len(names))[int(one)] for one in listed]


def _sliced(columns: Any, names: list[Any]) -> list[int]:
    """The positions of a slice, whose ends may be names; names are inclusive."""
    start = names.index(columns.start) if isinstance(columns.start, str) else columns.start
    stop = names.index(columns.stop) + 1 if isinstance(columns.stop, str) else columns.stop
    return list(range(len(names))[start : stop : columns.step])


def parts_of(transformer: Any, width: int) -> Iterable[tuple[str, Any, list[int]]]:
    """The name, transformer and columns of each part of a ColumnTransformer, but for those that are dropped."""
    names = list(getattr(transformer, "feature_names_in_", range(width)))
    for name, part, columns in transformer.transformers_:
        if not (isinstance(part, str) and part == "drop"):
            yield name, part, chosen(columns, names)


def _walk(step: Any, positions: list[int], found: dict[int, Use]) -> list[int] | None:
    """Notes what a step does with columns; returns them if they are as they were, perhaps in another order."""
    step = unwrapped(step)
    name = kind(step)
    if isinstance(step, str) or step is None:  # "passthrough"
        return _read(positions, found)
    if name == "Pipeline":
        current: list[int] | None = positions
        for _, inner in step.steps:
            current = None if current is None else _walk(inner, current, found)
        return current
    if name == "ColumnTransformer":
        walked = [
            _walk(part, [positions[place] for place in places], found)
            for _, part, places in parts_of(step, len(positions))
        ]
        return None if any(one is None for one in walked) else [place for one in walked if one for place in one]
    if name == "FeatureUnion":
        for _, inner in step.transformer_list:
            _walk(inner, positions, found)
        return None
    if name in ENCODERS:
        _encoded(positions, step.categories_, found)
        return None
    if name in _SCALERS_OF_ONE and not step.add_indicator and len(_kept(step)) == len(positions):
        return _read(positions, found)
    for inner in _inside(step):
        _walk(inner, positions, found)
    _encoded(*_native(step, positions), found)
    _read(positions, found)
    return None


def _inside(step: Any) -> list[Any]:
    """Estimators that read the same columns."""
    if kind(step) == "CalibratedClassifierCV":
        return [one.estimator for one in step.calibrated_classifiers_]
    if kind(step) in ("VotingClassifier", "VotingRegressor", "StackingClassifier", "StackingRegressor"):
        return list(step.estimators_)
    return [step.regressor_] if kind(step) == "TransformedTargetRegressor" else []


def _kept(imputer: Any) -> list[int]:
    """The columns that an imputer keeps."""
    if imputer.keep_empty_features:
        return list(range(len(imputer.statistics_)))
    return [place for place, value in enumerate(imputer.statistics_) if value == value]


def _native(step: Any, positions: list[int]) -> tuple[list[int], list[Sequence[Any]]]:
    """The columns that an estimator reads as categories itself, with the categories that it knows."""
    mask = getattr(step, "is_categorical_", None)
    if mask is not None:
        encoder = step._preprocessor.named_transformers_["encoder"]
        return [positions[place] for place in np.flatnonzero(mask)], list(encoder.categories_)
    types = getattr(step, "feature_types", None)
    booster = step.get_booster() if hasattr(step, "get_booster") else step
    if hasattr(booster, "feature_types") and booster.feature_types:
        types = booster.feature_types
        places = [place for place, one in zip(positions, types, strict=True) if one == "c"]
        return places, [()] * len(places)
    booster = getattr(step, "booster_", step)
    if hasattr(booster, "dump_model"):
        places = sorted(set(_category_splits(booster)))
        return [positions[place] for place in places], [()] * len(places)
    return [], []


def _category_splits(booster: Any) -> Iterable[int]:
    """The features that a LightGBM model splits by category."""
    stack = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while stack:
        node = stack.pop()
        if "split_feature" in node:
            if node["decision_type"] == "==":
                yield node["split_feature"]
            stack += [node["left_child"], node["right_child"]]


def _encoded(positions: Sequence[int], categories: Sequence[Sequence[Any]], found: dict[int, Use]) -> None:
    for position, known in zip(positions, categories, strict=True):
        both = (*found.get(position, Use()).categories, *known)
        found[position] = Use(encoded=True, categories=tuple(dict.fromkeys(both)))


def _read(positions: list[int], found: dict[int, Use]) -> list[int]:
    for position in positions:
        found.setdefault(position, Use())
    return positions


def refuse(name: str, why: str) -> UsageError:
    """What to raise for a step that cannot become part of a graph."""
    return UsageError(f"the step {name!r} {why}")
