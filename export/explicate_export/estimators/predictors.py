"""The last step of a fitted model as part of a graph: what it answers, on the scale that explanations are best made on.

Margins are kept as logits where the model has them; probabilities that are made otherwise become their logarithms. What
no rule here knows is left to scikit-learn's own converter.
"""

from typing import Any  # models of libraries without types

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from explicate_export.estimators.answered import Predicted, Setting, ask, is_classifier, own_rows, same
from explicate_export.estimators.column_uses import kind, refuse, unwrapped
from explicate_export.estimators.composed import COMPOSED
from explicate_export.estimators.features import Features
from explicate_export.estimators.foreign import embedded
from explicate_export.estimators.forest.tree_models import tree_answer
from explicate_export.estimators.transformers import transformed

_Floats = NDArray[np.float64]
_NO_LABELS = {"zipmap": False}  # probabilities as a tensor


def predicted(setting: Setting, name: str, model: Any, given: Features) -> Predicted:
    """What a fitted classifier or regressor answers for features; raises UsageError, naming the step."""
    model = unwrapped(model)
    if kind(model) == "Pipeline":
        for inner, step in model.steps[:-1]:
            given = transformed(setting.assembly, inner, step, given)
        return predicted(setting, model.steps[-1][0], model.steps[-1][1], given)
    if kind(model) in COMPOSED:
        return COMPOSED[kind(model)](setting, name, model, given, predicted)
    of_trees = tree_answer(setting, name, model, given)
    return of_trees or _linear(setting, model, given) or _foreign(setting, name, model, given)


# --- linear models, whatever their name ------------------------------------------------------------------------------


def _linear(setting: Setting, model: Any, given: Features) -> Predicted | None:
    """A model whose answers are those of a linear function by its coefficients, on the sample; None of another one."""
    if not (hasattr(model, "coef_") and hasattr(model, "intercept_")):
        return None
    rows = own_rows(setting, given)
    coefficients = np.asarray(model.coef_, dtype=np.float64)
    coefficients = coefficients.reshape(-1, coefficients.shape[-1])
    intercept = np.broadcast_to(np.ravel(model.intercept_).astype(np.float64), len(coefficients))
    if coefficients.shape[1] != rows.shape[1] or hasattr(model.coef_, "toarray"):
        return None
    margins = rows @ coefficients.T + intercept
    graph = setting.assembly.graph

    def tensor(weights: _Floats, bias: _Floats) -> str:
        told = graph.node("MatMul", setting.assembly.matrix(given.features), graph.constant(weights.T))
        return graph.node("Add", told, graph.constant(bias))

    if not is_classifier(model):
        answers = np.asarray(ask(model.predict, given.sample), dtype=np.float64).reshape(len(rows), -1)
        with np.errstate(over="ignore"):
            exponential = np.exp(margins)
        if same(answers, margins):
            return Predicted(tensor(coefficients, intercept), 1, "values", "It is a linear function of its features.")
        if same(answers, exponential):
            answer = graph.node("Exp", tensor(coefficients, intercept))
            return Predicted(answer, 1, "values", "It is the exponential of a linear function of its features.")
        return None
    if not hasattr(model, "predict_proba"):
        return None
    probabilities = ask(model.predict_proba, given.sample)
    if len(coefficients) == 1:
        halves = np.array([-0.5, 0.5])
        if not same(probabilities[:, 1:], expit(margins)):
            return None
        told = "Its log-odds are a linear function of its features."
        return Predicted(tensor(np.outer(halves, coefficients[0]), halves * intercept), 2, "logits", told)
    if not same(probabilities, softmax(margins, axis=1)):
        return None
    told = "Its logits are linear functions of its features."
    return Predicted(tensor(coefficients, intercept), len(coefficients), "logits", told)


# --- all others, by scikit-learn's converter -------------------------------------------------------------------------


def _foreign(setting: Setting, name: str, model: Any, given: Features) -> Predicted:
    classifier = is_classifier(model)
    if classifier and not hasattr(model, "predict_proba"):
        raise refuse(
            name,
            f"({kind(model)}) has no predict_proba: fit it inside CalibratedClassifierCV",
        )
    told = f"It is a {kind(model)}, converted by skl2onnx."
    rows = own_rows(setting, given)
    if not classifier:
        answers = np.asarray(ask(model.predict, given.sample), dtype=np.float64).reshape(len(rows), -1)
        tensor = embedded(
            setting.assembly, name, model, given, own_rows(setting, given), answers, output=0, options=None
        )
        return Predicted(tensor, 1, "values", told)
    answers = ask(model.predict_proba, given.sample)
    tensor = embedded(
        setting.assembly, name, model, given, own_rows(setting, given), answers, output=1, options={"zipmap": False}
    )
    return Predicted(tensor, answers.shape[1], "probabilities", told)
