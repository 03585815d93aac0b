"""`randomisation`: whether explanations are of this model at all.

Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018: an explanation that stays when the model's weights are
replaced by random ones is not an explanation of the model. |Spearman| of the attributions with those of the same graph
with its last layer re-drawn, and with all its weights re-drawn, for the same class. Near 0: as far apart as strangers;
near 1: the explanation does not depend on what was learnt.

A matrix, or a tensor of more dimensions, is drawn from N(0, its own mean square), a vector (biases, gains) from a
normal distribution with its own mean and deviation, so that the graph's answers keep about their size. Scalars and
whole numbers stay, for they are shapes and constants.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any  # onnx has no types

import numpy as np

from explicate_server.explain.quality import spearman
from explicate_standards.evaluated_model import EvaluatedModel, NotFinite
from explicate_standards.metric import Measured, Metric, Statistic, Told, said
from explicate_standards.subject import Subject

INPUTS = 30
SEED = 0
_FEWEST_PLAYERS = 3
# Operators of ONNX that multiply what comes in by weights, among their first two inputs, or choose weights by it.
_PRODUCTS = frozenset({"MatMul", "Gemm", "Einsum", "Conv", "Gather"})
_RESHAPES = frozenset({"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Cast"})


def measure(subject: Subject) -> Measured:
    """|Spearman| against both random models, where it is defined."""
    if subject.n < _FEWEST_PLAYERS:
        return {}
    strangers = {"last_layer": True, "all_weights": False}
    found = {name: _likeness(subject, last_layer=last) for name, last in strangers.items()}
    return {name: value for name, value in found.items() if value is not None}


def _likeness(subject: Subject, *, last_layer: bool) -> float | None:
    stranger = random_model(subject.model, last_layer=last_layer)
    if stranger is None:
        return None
    ours = subject.attributions
    try:
        theirs = subject.under(stranger).attributions
    except NotFinite:  # a vector that the graph divides by may be drawn near 0
        return None
    correlation = float(spearman(ours[np.newaxis], theirs[np.newaxis])[0])
    return abs(correlation) if np.isfinite(correlation) else None


def random_model(model: EvaluatedModel, *, last_layer: bool) -> EvaluatedModel | None:
    """The model with random weights, or a random last layer, made once; None where the graph has no such weights."""
    name = "random last layer" if last_layer else "random weights"
    if name not in model.others:
        model.others[name] = _random_model(model, last_layer=last_layer)
    return model.others[name]


def _random_model(model: EvaluatedModel, *, last_layer: bool) -> EvaluatedModel | None:
    import onnx  # of the extra `standards`; what else is measured does without

    graph = onnx.load(model.bundle.model_path)
    names = list(last_weights(graph) if last_layer else all_weights(graph))
    if not names:
        return None
    redraw(graph, names)
    with tempfile.TemporaryDirectory(prefix="explicate-") as folder:
        path = Path(folder) / "random.onnx"
        onnx.save(graph, path)
        return model.with_graph(path)


def redraw(model: Any, names: list[str]) -> None:
    """Replace the initialisers with these names by random ones."""
    from onnx import numpy_helper

    stream = np.random.Generator(np.random.Philox(SEED))
    for tensor in model.graph.initializer:
        if tensor.name in names:
            values = numpy_helper.to_array(tensor)
            mean, spread = (0.0, np.sqrt((values.astype(np.float64) ** 2).mean()))
            if values.ndim == 1:
                mean, spread = values.mean(), values.astype(np.float64).std()
            drawn = stream.normal(mean, spread, values.shape).astype(values.dtype)
            tensor.CopyFrom(numpy_helper.from_array(drawn, tensor.name))


def all_weights(model: Any) -> Iterator[str]:
    """Names of the float initialisers with a dimension or more."""
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    return (tensor.name for tensor in model.graph.initializer if tensor.data_type in floats and len(tensor.dims))


def last_weights(model: Any) -> Iterator[str]:
    """Names of the weights of the products nearest to the graph's output, on each way to it against the arrows.

    A model whose output is a sum of two layers has two last ones.
    """
    weights = set(all_weights(model))
    makers = {output: node for node in model.graph.node for output in node.output}
    seen, ahead = set(), [model.graph.output[0].name]
    while ahead:
        node = makers.get(ahead.pop())
        if node is None or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        factors = {_source(name, makers) for name in node.input[:2]} if node.op_type in _PRODUCTS else set()
        yield from sorted(factors & weights)
        if not factors & weights:
            ahead += [name for name in node.input if name]


def _source(name: str, makers: Mapping[str, Any]) -> str:
    """What a value is the same numbers as, in another shape."""
    while name in makers and makers[name].op_type in _RESHAPES:
        name = makers[name].input[0]
    return name


def _sentence(told: Told) -> str:
    return (
        f"Explanations resemble those of the same model with a random last layer by "
        f"{said(told, 'last_layer')} and with random weights throughout by {said(told, 'all_weights')}; 1 would mean "
        "that they do not depend on what was learnt."
    )


METRIC = Metric(
    id="randomisation",
    title="Likeness to a random model",
    definition="rank correlation, without its sign, with explanations of the model with random weights",
    measure=measure,
    statistics=(
        Statistic(name="last_layer", key="last_layer", better="lower"),
        Statistic(name="all_weights", key="all_weights", better="lower"),
    ),
    undefined="the graph has no weights to draw anew, or all attributions of a model are 0",
    rows=lambda _n: 0.0,
    other_games=2,
    sentence=_sentence,
    most_inputs=INPUTS,
)
