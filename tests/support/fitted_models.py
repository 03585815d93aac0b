"""Small models of scikit-learn, XGBoost and LightGBM, fitted as people fit them, with their rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any  # models of libraries without types

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

ROWS = 240


@cache
def people() -> tuple[pd.DataFrame, dict[str, np.ndarray[Any, Any]]]:
    """Rows with numbers, categories, a flag, an order and missing values; and targets of three kinds."""
    stream = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": stream.integers(18, 80, ROWS).astype(float),
            "income in €": stream.lognormal(10, 1, ROWS),
            "city 🏙": stream.choice(["Paris", "Rome", "Oslo", "Bern"], ROWS, p=[0.5, 0.3, 0.15, 0.05]),
            "member": stream.random(ROWS) < 0.5,
            "grade": stream.choice(["low", "mid", "high"], ROWS),
            "rooms": stream.integers(1, 6, ROWS),
        }
    )
    frame.loc[::9, "age"] = np.nan
    frame.loc[5::11, "city 🏙"] = None
    score = (frame["age"].fillna(40) - 45) / 10 + np.log(frame["income in €"]) - 10
    score += (frame["city 🏙"] == "Rome") * 1.5 - frame["member"] * 0.7 + (frame["grade"] == "high")
    noisy = score + stream.normal(size=ROWS)
    targets = {
        "two": np.where(noisy > 0, "yes", "no"),
        "three": np.digitize(noisy, [-0.7, 0.9]),
        "number": score * 10 + stream.normal(size=ROWS),
        "count": np.exp(score / 2),
    }
    return frame, targets


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with pandas' own categories."""
    return frame.astype({"city 🏙": "category", "grade": "category"})


def prepared(*, scaled: bool = True) -> ColumnTransformer:
    """The steps that most pipelines begin with."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    names = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    order = OrdinalEncoder(categories=[["low", "mid", "high"]], handle_unknown="use_encoded_value", unknown_value=-1)
    return ColumnTransformer(
        [
            ("numbers", numbers if scaled else SimpleImputer(), ["age", "income in €"]),
            ("names", names, ["city 🏙"]),
            ("order", order, ["grade"]),
            ("flags", "passthrough", ["member"]),
            ("rooms", OneHotEncoder(min_frequency=0.05, handle_unknown="infrequent_if_exist"), ["rooms"]),
        ]
    )


@dataclass(frozen=True)
class Fitted:
    """A fitted model and the rows that it takes."""

    model: Any
    rows: Any
    target: Any

    @property
    def answers(self) -> np.ndarray[Any, Any]:
        """Probabilities, or values, float64[rows, outputs], by the model's own library."""
        classes = hasattr(self.model, "predict_proba")
        told = self.model.predict_proba(self.rows) if classes else self.model.predict(self.rows)
        return np.asarray(told, dtype=np.float64).reshape(len(self.rows), -1)


def _of(model: Any, target: str, *, categories: bool = False) -> Fitted:
    frame, targets = people()
    rows, y = as_categories(frame) if categories else frame, targets[target]
    return Fitted(model.fit(rows, y), rows, y)


def _piped(model: Any, target: str, *, scaled: bool = True) -> Fitted:
    return _of(make_pipeline(prepared(scaled=scaled), model), target)


def _xgboost(target: str, **options: Any) -> Fitted:
    frame, targets = people()
    y = pd.factorize(targets[target], sort=True)[0] if target in ("two", "three") else targets[target]
    kind = xgboost.XGBClassifier if target in ("two", "three") else xgboost.XGBRegressor
    model = kind(n_estimators=8, max_depth=3, enable_categorical=True, n_jobs=1, **options)
    return Fitted(model.fit(as_categories(frame), y), as_categories(frame), y)


def _lightgbm(target: str, **options: Any) -> Fitted:
    kind = lightgbm.LGBMClassifier if target in ("two", "three") else lightgbm.LGBMRegressor
    # LightGBM's names of columns are ASCII words.
    frame, targets = people()
    rows = as_categories(frame).set_axis(["age", "income", "city", "member", "grade", "rooms"], axis=1)
    model = kind(n_estimators=8, verbose=-1, min_data_per_group=5, cat_smooth=1, n_jobs=1, **options)
    return Fitted(model.fit(rows, targets[target]), rows, targets[target])


def _shipped(load: Callable[..., Any], model: Any, *, array: bool = False) -> Fitted:
    rows, y = load(return_X_y=True, as_frame=True)
    if array:
        rows = rows.to_numpy()
    return Fitted(model.fit(rows, y), rows, y)


def _wine() -> Any:
    rows, y = load_wine(return_X_y=True, as_frame=True)
    return pd.concat([rows, rows * 1.01], ignore_index=True), np.concatenate((y, y))


def _search() -> Fitted:
    rows, y = _wine()
    search = GridSearchCV(make_pipeline(RobustScaler(), SVC(probability=True, random_state=0)), {"svc__C": [1.0]}, cv=2)
    return Fitted(search.fit(rows, y), rows, y)


def _encoded() -> Fitted:
    encode = ColumnTransformer([("city", TargetEncoder(random_state=0), ["city 🏙"])], remainder=SimpleImputer())
    frame, targets = people()
    rows = frame.drop(columns="grade")
    return Fitted(make_pipeline(encode, LogisticRegression()).fit(rows, targets["two"]), rows, targets["two"])


def _early() -> Fitted:
    rows, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = xgboost.XGBClassifier(n_estimators=40, max_depth=2, early_stopping_rounds=2, learning_rate=1.0, n_jobs=1)
    return Fitted(model.fit(rows[:300], y[:300], eval_set=[(rows[300:], y[300:])], verbose=False), rows, y)


_CALIBRATED_FOREST = CalibratedClassifierCV(
    make_pipeline(prepared(), RandomForestClassifier(8, random_state=0)), method="isotonic", cv=2
)
_VOTES = VotingClassifier(
    [
        ("line", make_pipeline(prepared(), LogisticRegression())),
        ("trees", make_pipeline(prepared(), RandomForestClassifier(5))),
    ],
    voting="soft",
    weights=[1, 2],
)
_UNION = make_pipeline(
    SimpleImputer(),
    FeatureUnion([("bins", KBinsDiscretizer(4, encode="onehot-dense")), ("powers", PolynomialFeatures(2))]),
    MinMaxScaler(clip=True),
)

FITTED: dict[str, Callable[[], Fitted]] = {
    "logistic": lambda: _piped(LogisticRegression(), "two"),
    "logistic, three classes": lambda: _piped(LogisticRegression(), "three"),
    "ridge": lambda: _piped(Ridge(), "number"),
    "poisson": lambda: _piped(PoissonRegressor(), "count"),
    "forest": lambda: _piped(RandomForestClassifier(12, random_state=0), "two"),
    "extra trees, three classes": lambda: _piped(ExtraTreesClassifier(12, random_state=0), "three", scaled=False),
    "forest of numbers": lambda: _piped(RandomForestRegressor(12, random_state=0), "number"),
    "gradient boosting": lambda: _piped(GradientBoostingClassifier(n_estimators=8), "two", scaled=False),
    "gradient boosting, exponential": lambda: _piped(
        GradientBoostingClassifier(n_estimators=8, loss="exponential"), "two"
    ),
    "gradient boosting, three classes": lambda: _piped(GradientBoostingClassifier(n_estimators=5), "three"),
    "gradient boosting of numbers": lambda: _piped(GradientBoostingRegressor(n_estimators=8), "number"),
    "histogram boosting with categories": lambda: _of(
        HistGradientBoostingClassifier(max_iter=8, categorical_features="from_dtype"), "two", categories=True
    ),
    "histogram boosting of names": lambda: _of(
        HistGradientBoostingClassifier(max_iter=5, categorical_features=["city 🏙", "grade"]), "three"
    ),
    "histogram boosting of counts": lambda: _piped(HistGradientBoostingRegressor(loss="poisson", max_iter=8), "count"),
    "xgboost": lambda: _xgboost("two"),
    "xgboost, three classes": lambda: _xgboost("three", max_cat_to_onehot=1),
    "xgboost of numbers": lambda: _xgboost("number"),
    "xgboost of counts": lambda: _xgboost("count", objective="count:poisson"),
    "xgboost, dropped trees": lambda: _xgboost("number", booster="dart", rate_drop=0.3),
    "xgboost, stopped early": _early,
    "lightgbm": lambda: _lightgbm("two"),
    "lightgbm, three classes": lambda: _lightgbm("three"),
    "lightgbm of numbers": lambda: _lightgbm("number"),
    "lightgbm of counts": lambda: _lightgbm("count", objective="poisson"),
    "lightgbm forest": lambda: _lightgbm("two", boosting_type="rf", bagging_freq=1, bagging_fraction=0.6),
    "calibrated": lambda: _of(CalibratedClassifierCV(make_pipeline(prepared(), LinearSVC()), cv=2), "two"),
    "calibrated forest": lambda: _of(_CALIBRATED_FOREST, "three"),
    "calibrated inside": lambda: _piped(CalibratedClassifierCV(SVC(), cv=2), "three"),
    "support vectors": lambda: _piped(SVC(probability=True, random_state=0), "two"),
    "support vectors, searched": _search,
    "support vectors of numbers": lambda: _piped(SVR(), "number"),
    "network": lambda: _piped(MLPClassifier((6,), max_iter=400, random_state=0), "three"),
    "neighbours": lambda: _piped(KNeighborsClassifier(), "two"),
    "stochastic": lambda: _piped(SGDClassifier(loss="log_loss", random_state=0), "two"),
    "votes": lambda: _of(_VOTES, "three"),
    "bags": lambda: _piped(BaggingClassifier(n_estimators=4, random_state=0), "three"),
    "stacked": lambda: _piped(
        StackingClassifier([("line", LogisticRegression()), ("tree", DecisionTreeClassifier(max_depth=3))], cv=2), "two"
    ),
    "an array": lambda: _shipped(load_breast_cancer, make_pipeline(StandardScaler(), LogisticRegression()), array=True),
    "a union": lambda: _shipped(load_diabetes, make_pipeline(_UNION, Ridge(alpha=0.1)), array=True),
    "target encoding": _encoded,
}
"""By what people call them; each is fitted when it is asked for."""


@cache
def fitted(name: str) -> Fitted:
    """One of the models. For reading only."""
    return FITTED[name]()
