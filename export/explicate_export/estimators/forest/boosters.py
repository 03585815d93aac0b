"""XGBoost's and LightGBM's models: their trees, the values of their categories, and how margins become answers."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, Protocol  # models of libraries without types

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explicate_export.errors import UsageError
from explicate_export.estimators.column_uses import kind
from explicate_export.estimators.features import Coded, Features
from explicate_export.estimators.forest.ensemble import Trees
from explicate_export.estimators.forest.tree_readers import lightgbm_trees, xgboost_trees

_Floats = NDArray[np.float64]
Link = Literal["identity", "exp", "sigmoid", "log-odds", "softmax", "probabilities"]
"""What the sum of the leaves is: the value, its logarithm, its log-odds; of classes log-odds, logits, probabilities."""

_XGBOOST_LINKS: dict[str, Link] = {
    "binary:logistic": "log-odds",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "reg:logistic": "sigmoid",
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox"), "exp"),
    **dict.fromkeys(
        (
            *("reg:squarederror", "reg:linear", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"),
            *("reg:squaredlogerror", "rank:pairwise", "rank:ndcg", "rank:map"),
        ),
        "identity",
    ),
}
_LIGHTGBM_LINKS: dict[str, Link] = {
    "binary": "log-odds",
    "multiclass": "softmax",
    "softmax": "softmax",
    "cross_entropy": "sigmoid",
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exp"),
    **dict.fromkeys(
        (
            *("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg"),
            *("l1", "l2", "mean_squared_error", "mean_absolute_error"),
        ),
        "identity",
    ),
}


@dataclass(frozen=True)
class BoosterTrees:
    """Trees, and the numbers that the model has for the values of features of codes, by place."""

    trees: Trees
    tables: dict[int, tuple[Any, ...]]


class Booster(Protocol):
    """A library of boosted trees."""

    single: bool
    """Whether it rounds its features to 32 bits."""

    def knows(self, model: Any) -> bool:
        """Whether a model is of it."""

    def link(self, model: Any) -> Link:
        """How its margins become answers; raises UsageError for an objective that cannot be exported."""

    def read(self, model: Any, given: Features, rows: _Floats) -> tuple[BoosterTrees, Link, str]:
        """The trees, the link and a sentence; raises UsageError.

        Args:
            model: fitted.
            given: its features with a sample of what it is asked.
            rows: the sample float64[rows, features].
        """


class _XGBoost:
    single = True

    def knows(self, model: Any) -> bool:
        return type(model).__module__.partition(".")[0] == "xgboost"

    def link(self, model: Any) -> Link:
        objective = _xgboost(model)["objective"]["name"]
        if objective not in _XGBOOST_LINKS:
            raise UsageError(f"the XGBoost model has the objective {objective!r}, which cannot be exported")
        return _XGBOOST_LINKS[objective]

    def read(self, model: Any, given: Features, rows: _Floats) -> tuple[BoosterTrees, Link, str]:
        link = self.link(model)
        booster = _best(model)
        encoded = _xgboost(model)["gradient_booster"].get("model", {}).get("cats", {}).get("enc", [])
        trees = xgboost_trees(booster)
        if trees.features != len(given):
            raise UsageError(f"the model reads {trees.features} columns, and X has {len(given)}")
        tables = {
            place: _category_codes(one, _names_of(encoded[place]) if place < len(encoded) else None)
            for place, one in enumerate(given.features)
            if isinstance(one, Coded) and isinstance(one.column.dtype, pd.CategoricalDtype)
        }
        # What is added to the trees is told in another way by every version (a probability, a margin, one a class).
        asked = given.sample[:_BASE_ROWS]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            margins = _xgboost_margins(model, booster, asked)
        own = rows[: len(margins)].astype(np.float32).astype(np.float64)
        for place, values in tables.items():
            feature = given.features[place]
            assert isinstance(feature, Coded)
            own[:, place] = np.array(values)[rows[: len(margins), place].astype(np.int64)]
        added = margins - trees.leaves(own)
        base = np.median(added, axis=0)
        return BoosterTrees(replace(trees, base=base), tables), link, "Its trees, of XGBoost, are part of the graph."


_BASE_ROWS = 64


def _xgboost(model: Any) -> Any:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    return json.loads(bytes(booster.save_raw("json")))["learner"]


def _best(model: Any) -> Any:
    """The booster with the trees that predict: up to the best iteration, if it was stopped early."""
    if not hasattr(model, "get_booster"):
        return model
    booster = model.get_booster()
    try:
        best = model.best_iteration
    except AttributeError:
        return booster
    return booster if best is None else booster[: best + 1]


def _xgboost_margins(model: Any, booster: Any, asked: Any) -> _Floats:
    if hasattr(model, "get_booster"):
        margins = model.predict(asked, output_margin=True)
    else:
        import xgboost

        names = booster.feature_names
        data = asked if hasattr(asked, "columns") or names is None else pd.DataFrame(asked, columns=names)
        types = booster.feature_types if not hasattr(data, "columns") else None
        margins = booster.predict(
            xgboost.DMatrix(data, enable_categorical=True, feature_types=types), output_margin=True
        )
    return np.asarray(margins, dtype=np.float64).reshape(len(asked), -1)


def _names_of(encoded: Any) -> list[str] | None:
    """The categories that a booster knows of a column, if it says so as texts."""
    offsets, values = encoded.get("offsets"), encoded.get("values")
    if not offsets:
        return None
    told = bytes(value % 256 for value in values)
    return [told[start:end].decode() for start, end in pairwise(offsets)]


def _category_codes(feature: Coded, names: Sequence[Any] | None) -> tuple[float, ...]:
    """The place of each value among the categories of a model, NaN where it has none."""
    known = list(feature.column.dtype.categories) if names is None else list(names)
    places = {value: float(place) for place, value in enumerate(known)}
    return tuple(places.get(value, np.nan) for value in feature.values)


class _LightGBM:
    single = False

    def knows(self, model: Any) -> bool:
        return type(model).__module__.partition(".")[0] == "lightgbm"

    def link(self, model: Any) -> Link:
        booster = getattr(model, "booster_", model)
        told = (booster.dump_model(num_iteration=1).get("objective") or "none").split()
        if told[0] not in _LIGHTGBM_LINKS or "sqrt" in told:
            raise UsageError(f"the LightGBM model has the objective {' '.join(told)!r}, which cannot be exported")
        return _LIGHTGBM_LINKS[told[0]]

    def read(self, model: Any, given: Features, rows: _Floats) -> tuple[BoosterTrees, Link, str]:  # noqa: ARG002
        booster = getattr(model, "booster_", model)
        link, trees = self.link(model), lightgbm_trees(booster)
        if trees.features != len(given):
            raise UsageError(f"the model reads {trees.features} columns, and X has {len(given)}")
        objective = booster.dump_model(num_iteration=1)["objective"].split()
        steepness = float(next((word[8:] for word in objective if word.startswith("sigmoid:")), 1.0))
        if link in ("log-odds", "sigmoid") and steepness != 1.0:
            trees = replace(trees, value=trees.value * steepness, base=trees.base * steepness)
        categorical = [
            place
            for place, one in enumerate(given.features)
            if isinstance(one, Coded) and isinstance(one.column.dtype, pd.CategoricalDtype)
        ]
        listed = booster.pandas_categorical or [None] * len(categorical)
        if len(listed) != len(categorical):
            raise UsageError(f"the model knows {len(listed)} columns of categories, and X has {len(categorical)}")
        tables = {}
        for place, known in zip(categorical, listed, strict=True):
            feature = given.features[place]
            assert isinstance(feature, Coded)
            tables[place] = _category_codes(feature, known)
        return BoosterTrees(trees, tables), link, "Its trees, of LightGBM, are part of the graph."


BOOSTERS: tuple[Booster, ...] = (_XGBoost(), _LightGBM())
"""A new library of boosted trees is one entry."""


def categories_of(booster: Any, features: int) -> dict[int, list[Any] | None]:
    """The features that a booster reads as pandas' categories, with these; None where it does not tell them."""
    if hasattr(booster, "save_raw"):
        types = booster.feature_types or []
        encoded = _xgboost(booster)["gradient_booster"].get("model", {}).get("cats", {}).get("enc", [])
        places = [place for place, one in enumerate(types) if one == "c"]
        return {place: _names_of(encoded[place]) if place < len(encoded) else None for place in places}
    listed = booster.pandas_categorical or []
    infos = list(booster.dump_model(num_iteration=1)["feature_infos"].values())
    places = [place for place, info in enumerate(infos) if info.get("values")] if len(infos) == features else []
    if len(places) != len(listed) and listed:
        raise UsageError(
            f"the model knows {len(listed)} columns of categories, and its file tells {len(places)} of them: export it "
            "with explicate_export.from_sklearn(model, X, ...)"
        )
    return dict(zip(places, listed, strict=True)) if listed else {}


def is_booster(model: Any) -> bool:
    """Whether a model is of one of these libraries, and not of scikit-learn's interface to it."""
    return kind(model) == "Booster" and any(one.knows(model) for one in BOOSTERS)


def xgboost_outputs(booster: Any) -> int:
    """How many margins an XGBoost booster has."""
    return max(1, int(_xgboost(booster)["learner_model_param"]["num_class"]))
