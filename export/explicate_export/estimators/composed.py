"""Models that are made of others: votes, and probabilities that were calibrated."""

from collections.abc import Callable, Sequence
from typing import Any  # models of libraries without types

import numpy as np
from onnx import TensorProto

from explicate_export.estimators.answered import Form, Predicted, Setting, ask, is_classifier, own_rows, same
from explicate_export.estimators.column_uses import kind, refuse, unwrapped
from explicate_export.estimators.features import Features
from explicate_export.estimators.foreign import embedded
from explicate_export.estimators.transformers import transformed

Predict = Callable[[Setting, str, Any, Features], Predicted]
"""Makes the answer of a member."""


def _probabilities_of(setting: Setting, answer: Predicted) -> str:
    """The probabilities float64 [batch, classes] of an answer."""
    graph = setting.assembly.graph
    wide = graph.cast(answer.tensor, TensorProto.DOUBLE)
    return graph.node("Softmax", wide, axis=1) if answer.form == "logits" else wide


def _mean(setting: Setting, tensors: Sequence[str], weights: Sequence[float]) -> str:
    graph = setting.assembly.graph
    shares = np.array(weights, dtype=np.float64) / np.sum(weights)
    scaled = [graph.node("Mul", one, graph.constant(share)) for one, share in zip(tensors, shares, strict=True)]
    return scaled[0] if len(scaled) == 1 else graph.node("Sum", *scaled)


def _together(answers: Sequence[Predicted], tensor: str, form: Form, told: str, width: int) -> Predicted:
    torn = [one.torn for one in answers if one.torn is not None]
    return Predicted(
        tensor, width, form, told, sum(one.moved for one in answers), np.any(torn, axis=0) if torn else None
    )


def _voting(setting: Setting, name: str, model: Any, given: Features, predict: Predict) -> Predicted:
    weights = model._weights_not_none or [1.0] * len(model.estimators_)
    answers = [predict(setting, name, one, given) for one in model.estimators_]
    told = f"It is the mean of {len(answers)} models."
    if not is_classifier(model):
        wide = [setting.assembly.graph.cast(one.tensor, TensorProto.DOUBLE) for one in answers]
        return _together(answers, _mean(setting, wide, weights), "values", told, 1)
    if model.voting != "soft":
        raise refuse(name, "(VotingClassifier) counts votes and has no probabilities: fit it with voting='soft'")
    tensors = [_probabilities_of(setting, one) for one in answers]
    return _together(answers, _mean(setting, tensors, weights), "probabilities", told, answers[0].width)


def _calibrated(setting: Setting, name: str, model: Any, given: Features, predict: Predict) -> Predicted:
    """scikit-learn's calibration.py, _CalibratedClassifier.predict_proba: each class's score through its calibrator."""
    graph, members, answers, tensors = setting.assembly.graph, model.calibrated_classifiers_, [], []
    classes = len(model.classes_)
    for member in members:
        if member.method not in ("sigmoid", "isotonic"):
            raise refuse(name, f"(CalibratedClassifierCV) has the method {member.method!r}, which cannot be exported")
        if len(member.estimator.classes_) < classes:
            raise refuse(name, "(CalibratedClassifierCV) has a member that does not know all classes")
        scores, answer = _scores(setting, name, member.estimator, given, predict)
        answers += [answer] if answer else []
        columns = [
            _CALIBRATORS[member.method](setting, graph.columns(scores, [place]), calibrator)
            for place, calibrator in enumerate(member.calibrators)
        ]
        if classes == 2:
            columns.insert(0, graph.node("Sub", graph.constant(np.array(1.0)), columns[0]))
        told = graph.node("Concat", *columns, axis=1)
        if classes > 2:
            total = graph.node("ReduceSum", told, graph.constant(np.array([1])), keepdims=1)
            none = graph.node("Equal", total, graph.constant(np.array(0.0)))
            divided = graph.node("Div", told, graph.node("Where", none, graph.constant(np.array(1.0)), total))
            told = graph.node("Where", none, graph.constant(np.array(1 / classes)), divided)
        tensors.append(told)
    mean = _mean(setting, tensors, [1.0] * len(tensors))
    told = f"It is the mean of {len(members)} models with calibrated probabilities."
    return _together(answers, mean, "probabilities", told, classes)


def _scores(setting: Setting, name: str, model: Any, given: Features, predict: Predict) -> tuple[str, Predicted | None]:
    """What a model calls decision_function, or its probabilities where it has none; float64 [batch, classes or 1]."""
    graph, last = setting.assembly.graph, unwrapped(model)
    features = given
    while kind(last) == "Pipeline":
        for inner, step in last.steps[:-1]:
            features = transformed(setting.assembly, inner, step, features)
        last = unwrapped(last.steps[-1][1])
    if hasattr(last, "decision_function") and hasattr(last, "coef_") and getattr(last, "kernel", "linear") == "linear":
        weights = np.asarray(last.coef_.toarray() if hasattr(last.coef_, "toarray") else last.coef_, dtype=np.float64)
        rows = own_rows(setting, features)
        scores = np.asarray(ask(last.decision_function, features.sample)).reshape(len(rows), -1)
        if same(scores, rows @ weights.T + last.intercept_):
            product = graph.node("MatMul", setting.assembly.matrix(features.features), graph.constant(weights.T))
            return graph.node("Add", product, graph.constant(np.asarray(last.intercept_, dtype=np.float64))), None
    if hasattr(last, "decision_function") and hasattr(last, "dual_coef_"):
        return _foreign_scores(setting, name, last, features), None
    answer = predict(setting, name, last, features)
    if hasattr(last, "decision_function"):
        if answer.form != "logits":
            raise refuse(name, f"calibrates a {kind(last)}, whose scores cannot be exported")
        wide = graph.cast(answer.tensor, TensorProto.DOUBLE)
        if answer.width == 2:  # half of the log-odds below and above 0
            wide = graph.node("Sub", graph.columns(wide, [1]), graph.columns(wide, [0]))
        return wide, answer
    told = _probabilities_of(setting, answer)
    return (graph.columns(told, [1]) if answer.width == 2 else told), answer


def _sigmoid(setting: Setting, scores: str, calibrator: Any) -> str:
    """1 / (1 + exp(a·score + b)), calibration.py, _SigmoidCalibration.predict."""
    graph = setting.assembly.graph
    scaled = graph.node("Mul", scores, graph.constant(np.array(-float(calibrator.a_))))
    return graph.node("Sigmoid", graph.node("Add", scaled, graph.constant(np.array(-float(calibrator.b_)))))


def _isotonic(setting: Setting, scores: str, calibrator: Any) -> str:
    """Linear between thresholds, and as at the nearest one beyond them: a sum of one ramp for each part.

    y = y₀ + Σ clip((x − xᵢ) / (xᵢ₊₁ − xᵢ), 0, 1) · (yᵢ₊₁ − yᵢ)
    """
    graph = setting.assembly.graph
    x, y = (np.asarray(values, dtype=np.float64) for values in (calibrator.X_thresholds_, calibrator.y_thresholds_))
    widths, heights = np.diff(x), np.diff(y)
    ramps = graph.node("Div", graph.node("Sub", scores, graph.constant(x[:-1])), graph.constant(widths))
    ends = (graph.constant(np.array(end)) for end in (0.0, 1.0))
    clipped = graph.node("Clip", ramps, *ends)
    risen = graph.node("MatMul", clipped, graph.constant(heights[:, np.newaxis]))
    return graph.node("Add", risen, graph.constant(y[:1]))


_CALIBRATORS = {"sigmoid": _sigmoid, "isotonic": _isotonic}


def _bagging(setting: Setting, name: str, model: Any, given: Features, predict: Predict) -> Predicted:
    members = zip(model.estimators_, model.estimators_features_, strict=True)
    answers = [predict(setting, name, one, given.chosen(list(places))) for one, places in members]
    told = f"It is the mean of {len(answers)} models."
    classes = len(model.classes_) if is_classifier(model) else 1
    if any(one.width != classes for one in answers):
        raise refuse(name, f"({kind(model)}) has a member that does not know all classes")
    if classes > 1:
        tensors = [_probabilities_of(setting, one) for one in answers]
    else:
        tensors = [setting.assembly.graph.cast(one.tensor, TensorProto.DOUBLE) for one in answers]
    mean = _mean(setting, tensors, [1.0] * len(tensors))
    return _together(answers, mean, "probabilities" if classes > 1 else "values", told, classes)


COMPOSED: dict[str, Callable[[Setting, str, Any, Features, Predict], Predicted]] = {
    "CalibratedClassifierCV": _calibrated,
    "VotingClassifier": _voting,
    "VotingRegressor": _voting,
    "BaggingClassifier": _bagging,
    "BaggingRegressor": _bagging,
}


def _foreign_scores(setting: Setting, name: str, model: Any, given: Features) -> str:
    scores = np.asarray(ask(model.decision_function, given.sample), dtype=np.float64).reshape(len(setting.rows), -1)
    options = {"zipmap": False, "raw_scores": True}
    tensor = embedded(setting.assembly, name, model, given, own_rows(setting, given), scores, output=1, options=options)
    return setting.assembly.graph.cast(tensor, TensorProto.DOUBLE)
