"""Models that are sums of trees, as nodes of a graph: scikit-learn's, XGBoost's and LightGBM's."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any  # models of libraries without types

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from explicate_export.errors import UsageError
from explicate_export.estimators.answered import Form, Predicted, Setting, is_classifier, own_rows
from explicate_export.estimators.column_uses import kind
from explicate_export.estimators.features import Coded, Features
from explicate_export.estimators.forest.boosters import BOOSTERS, Link
from explicate_export.estimators.forest.ensemble import Trees, ensemble_node, settle
from explicate_export.estimators.forest.tree_readers import histogram_trees, sklearn_trees
from explicate_export.estimators.transformers import transformed

_Floats = NDArray[np.float64]
_TOLD = "Its trees are part of the graph."


def tree_answer(setting: Setting, name: str, model: Any, given: Features) -> Predicted | None:
    """What a model of trees answers; None of another model. Raises UsageError."""
    if (boosted := next((one for one in BOOSTERS if one.knows(model)), None)) is not None:
        read, link, told = boosted.read(model, given, own_rows(setting, given))
        return _of_trees(setting, read.trees, link, _with_tables(given, read.tables), told, single=boosted.single)
    if kind(model) in _TREES:
        trees, link = _TREES[kind(model)](model, len(given))
        return _of_trees(setting, trees, link, given, _TOLD, single=True)
    if kind(model).startswith("HistGradientBoosting"):
        if model._preprocessor is not None:
            given = transformed(setting.assembly, name, model._preprocessor, given)
        trees, link = histogram_trees(model, len(given)), _histogram_link(model)
        return _of_trees(setting, trees, link, given, _TOLD, single=False)
    return None


def _with_tables(given: Features, tables: dict[int, tuple[Any, ...]]) -> Features:
    """Features of codes with the values that a model has for them."""
    changed = list(given.features)
    for place, values in tables.items():
        feature = changed[place]
        assert isinstance(feature, Coded)
        changed[place] = replace(feature, values=values)
    return replace(given, features=tuple(changed))


def _of_trees(setting: Setting, trees: Trees, link: Link, given: Features, told: str, *, single: bool) -> Predicted:
    """Trees on features; `single` where the model itself rounds its features to 32 bits."""
    extra = []
    for split in trees.splits:
        feature = given.features[split.feature]
        if not isinstance(feature, Coded):
            raise UsageError("the model takes a computed number for a category, which cannot be exported")
        extra.append(replace(feature, values=tuple(split.sides(feature.numbers).tolist())))
    features = [*given.features, *extra]
    own = own_rows(setting, given)
    own = own.astype(np.float32).astype(np.float64) if single else own
    tensor = setting.assembly.matrix(features, single=True)
    found = setting.assembly.computed(tensor, len(features), setting.rows)[:, : trees.features]
    settled = settle(trees, own, found)
    summed = settled.trees.for_both_classes() if link == "log-odds" else settled.trees
    answer, width = ensemble_node(setting.assembly.graph, tensor, summed), summed.value.shape[1]
    form: Form = "values"
    if link in ("log-odds", "softmax"):
        form = "logits"
    elif link == "probabilities":
        form = "probabilities"
    elif link in ("exp", "sigmoid"):
        wide = setting.assembly.graph.cast(answer, TensorProto.DOUBLE)
        answer = setting.assembly.graph.node({"exp": "Exp", "sigmoid": "Sigmoid"}[link], wide)
    return Predicted(answer, width, form, told, settled.moved, settled.torn)


def _forest(model: Any, features: int) -> tuple[Trees, Link]:
    """The mean of trees: of the classes' shares in a leaf, or of its value."""
    members = getattr(model, "estimators_", [model])
    classes = len(model.classes_) if is_classifier(model) else 1

    def value(_: int, told: _Floats) -> _Floats:
        shares = told / told.sum(axis=1, keepdims=True) if classes > 1 else told
        return shares / len(members)

    trees = sklearn_trees([one.tree_ for one in members], features, value, np.zeros(classes))
    return trees, "probabilities" if classes > 1 else "identity"


def _gradient_boosting(model: Any, features: int) -> tuple[Trees, Link]:
    if not isinstance(model.init_, str) and kind(model.init_) not in ("DummyClassifier", "DummyRegressor"):
        raise UsageError(f"GradientBoosting begins with a {kind(model.init_)} (init), which cannot be exported")
    outputs = model.estimators_.shape[1]
    base = np.ravel(model._raw_predict_init(np.zeros((1, features), dtype=np.float32)))
    scale = 2.0 if model.loss == "exponential" else 1.0

    def value(index: int, told: _Floats) -> _Floats:
        added = np.zeros((len(told), outputs))
        added[:, index % outputs] = told[:, 0] * model.learning_rate * scale
        return added

    trees = sklearn_trees([one.tree_ for one in model.estimators_.ravel()], features, value, base * scale)
    if not is_classifier(model):
        return trees, "identity"
    return trees, "log-odds" if outputs == 1 else "softmax"


def _histogram_link(model: Any) -> Link:
    if is_classifier(model):
        return "log-odds" if len(model._predictors[0]) == 1 else "softmax"
    return "exp" if kind(model._loss.link) == "LogLink" else "identity"


_TREES: dict[str, Callable[[Any, int], tuple[Trees, Link]]] = {
    **dict.fromkeys(
        (
            *("DecisionTreeClassifier", "ExtraTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier"),
            *("DecisionTreeRegressor", "ExtraTreeRegressor", "RandomForestRegressor", "ExtraTreesRegressor"),
        ),
        _forest,
    ),
    "GradientBoostingClassifier": _gradient_boosting,
    "GradientBoostingRegressor": _gradient_boosting,
}
