"""The steps of a fitted pipeline, one after the other, as parts of a graph."""

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any  # scikit-learn has no types

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from explicate_export.errors import first_line
from explicate_export.estimators.column_uses import ENCODERS, kind, parts_of, refuse, unwrapped
from explicate_export.estimators.features import Assembly, Coded, Dense, Feature, Features
from explicate_export.estimators.foreign import converted

_TEXTS = (
    "CountVectorizer",
    "TfidfVectorizer",
    "HashingVectorizer",
    "DictVectorizer",
    "FeatureHasher",
    "TfidfTransformer",
)
_Floats = NDArray[np.float64]


def transformed(assembly: Assembly, name: str, step: Any, given: Features) -> Features:
    """What a fitted transformer makes of features; `name` is that of the step, for messages.

    Raises UsageError if it cannot become part of a graph.
    """
    step = unwrapped(step)
    if step is None or isinstance(step, str):  # "passthrough"
        return given
    if kind(step) == "Pipeline":
        for inner_name, inner in step.steps:
            given = transformed(assembly, inner_name, inner, given)
        return given
    if kind(step) == "ColumnTransformer":
        return _by_columns(assembly, step, given)
    if kind(step) == "FeatureUnion":
        parts = [transformed(assembly, part, inner, given) for part, inner in step.transformer_list if inner != "drop"]
        return Features(tuple(one for part in parts for one in part.features), _after(name, step, given))
    sample = _after(name, step, given)
    return Features(_converted(assembly, name, step, given, sample), sample)


def _after(name: str, step: Any, given: Features) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return step.transform(given.sample)
        except Exception as error:  # whatever a step raises
            raise refuse(name, f"({kind(step)}) cannot transform the rows of X: {first_line(error)}") from error


def _by_columns(assembly: Assembly, step: Any, given: Features) -> Features:
    """The parts in the order of the transformer's output, each for its columns."""
    parts = []
    for name, part, places in parts_of(step, len(given)):
        if not places:
            continue
        if kind(part) == "FunctionTransformer" and name == "numerical" and part.func.__class__.__name__ == "partial":
            part = None  # of HistGradientBoosting: it checks, and changes nothing
        parts.append(transformed(assembly, name, part, given.chosen(places)))
    return Features(tuple(one for part in parts for one in part.features), _after("columns", step, given))


def _converted(assembly: Assembly, name: str, step: Any, given: Features, sample: Any) -> tuple[Feature, ...]:
    width = sample.shape[1]
    if kind(step) in _TEXTS:
        raise refuse(name, f"({kind(step)}) reads the words of texts: a table's model has numbers and categories only")
    if kind(step) == "FunctionTransformer":
        if step.func is None:
            return given.features
        raise refuse(
            name,
            "(FunctionTransformer) calls a function of yours, which no graph holds: compute such columns before the "
            "pipeline, and fit it without the step",
        )
    if all(isinstance(one, Coded) for one in given.features):
        found = _tabulated(name, step, given)
        if found is not None and len(found) == width:
            return found
    if kind(step) in ENCODERS:
        raise refuse(name, f"({kind(step)}) encodes what was computed of numbers, which cannot be exported")
    if kind(step) in _ELEMENTWISE:
        found = _elementwise(assembly, step, given)
        if len(found) == width:
            return found
    return assembly.dense(converted(assembly, name, step, given, Features((), sample).rows), width)


# --- features of codes, by asking the step ----------------------------------------------------------------------------


def _tabulated(name: str, step: Any, given: Features) -> tuple[Feature, ...] | None:
    """The outputs as tables, asked of the step for every code of every column; None if one depends on two columns.

    For each column there is a block of rows, in which it goes through its codes while the others stay.
    """
    features = [one for one in given.features if isinstance(one, Coded)]
    base = [_steady(one) for one in features]
    columns: list[list[Any]] = [[] for _ in features]
    for place, one in enumerate(features):
        for other, values in enumerate(columns):
            values += one.values if other == place else [base[other]] * len(one.values)
    asked = _as_sample(columns, features, given.sample)
    answers = _dense_rows(_after(name, step, Features(given.features, asked)))
    starts = np.cumsum([0, *(len(one.values) for one in features)])
    blocks = [answers[start:end] for start, end in pairwise(starts)]
    varies = np.array([_changes(block) for block in blocks])  # [features, outputs]
    if (varies.sum(axis=0) > 1).any():
        return None
    owners = varies.argmax(axis=0)
    return tuple(
        Coded(features[owner].column, tuple(blocks[owner][:, output].tolist())) for output, owner in enumerate(owners)
    )


def _steady(feature: Coded) -> Any:
    """A value of the feature that every step takes: that of a category."""
    return feature.values[2]


def _as_sample(columns: Sequence[Sequence[Any]], features: Sequence[Coded], sample: Any) -> Any:
    """Values as the step is given them: in a frame of the same columns, or in an array."""
    if isinstance(sample, pd.DataFrame):
        cells = [
            one.column.cells(values) if sample.dtypes.iloc[place] == one.column.dtype else pd.Series(values)
            for place, (values, one) in enumerate(zip(columns, features, strict=True))
        ]
        frame = pd.concat(cells, axis=1)
        frame.columns = sample.columns
        return frame
    values = np.empty((len(columns[0]), len(columns)), dtype=object)
    for place, one in enumerate(columns):
        values[:, place] = one
    return values if sample.dtype == object or sample.dtype.kind in "US" else values.astype(np.float64)


def _dense_rows(rows: Any) -> NDArray[Any]:
    if hasattr(rows, "toarray"):
        rows = rows.toarray()
    return rows.to_numpy() if isinstance(rows, pd.DataFrame) else np.asarray(rows)


def _changes(block: NDArray[Any]) -> NDArray[np.bool_]:
    """Which columns of a block are not the same in all rows; a missing value equals another one."""
    first = block[:1]
    with np.errstate(invalid="ignore"):
        same = (block == first) | (pd.isna(block) & pd.isna(first))
    return np.asarray(~same.astype(np.bool_).all(axis=0))


# --- features of numbers, by the formulas of scikit-learn -------------------------------------------------------------


def _elementwise(assembly: Assembly, step: Any, given: Features) -> tuple[Feature, ...]:
    """Outputs that depend on one feature each: of codes by asking, of numbers by the formula."""
    coded = [place for place, one in enumerate(given.features) if isinstance(one, Coded)]
    numbers = [place for place, one in enumerate(given.features) if isinstance(one, Dense)]
    if not numbers:
        return ()
    if coded:
        values = [feature.numbers for feature in given.features if isinstance(feature, Coded)]
        mixed: list[Feature] = list(given.features)
        for place, told in zip(coded, values, strict=True):
            feature = given.features[place]
            assert isinstance(feature, Coded)
            mixed[place] = Coded(feature.column, tuple(told.tolist()))
        tensor = assembly.matrix(mixed)
        numbers = list(range(len(given)))
    else:
        tensor = assembly.matrix(given.features)
    formula = _ELEMENTWISE[kind(step)]
    answer, width = formula(assembly, tensor, step, numbers)
    return assembly.dense(answer, width)


def _affine(assembly: Assembly, tensor: str, subtract: _Floats | None, divide: _Floats | None) -> str:
    graph = assembly.graph
    if subtract is not None:
        tensor = graph.node("Sub", tensor, graph.constant(subtract.astype(np.float64)))
    return tensor if divide is None else graph.node("Div", tensor, graph.constant(divide.astype(np.float64)))


def _standard(assembly: Assembly, tensor: str, step: Any, places: Sequence[int]) -> tuple[str, int]:
    mean, scale = (step.mean_ if step.with_mean else None), (step.scale_ if step.with_std else None)
    return _affine(assembly, tensor, mean, scale), len(places)


def _robust(assembly: Assembly, tensor: str, step: Any, places: Sequence[int]) -> tuple[str, int]:
    centre, scale = (step.center_ if step.with_centering else None), (step.scale_ if step.with_scaling else None)
    return _affine(assembly, tensor, centre, scale), len(places)


def _largest(assembly: Assembly, tensor: str, step: Any, places: Sequence[int]) -> tuple[str, int]:
    return _clipped(assembly, _affine(assembly, tensor, None, step.scale_), step, (-1.0, 1.0)), len(places)


def _range(assembly: Assembly, tensor: str, step: Any, places: Sequence[int]) -> tuple[str, int]:
    graph = assembly.graph
    scaled = graph.node("Mul", tensor, graph.constant(step.scale_.astype(np.float64)))
    moved = graph.node("Add", scaled, graph.constant(step.min_.astype(np.float64)))
    return _clipped(assembly, moved, step, step.feature_range), len(places)


def _clipped(assembly: Assembly, tensor: str, step: Any, ends: tuple[float, float]) -> str:
    if not getattr(step, "clip", False):
        return tensor
    return assembly.graph.node("Clip", tensor, *(assembly.graph.constant(np.array(float(end))) for end in ends))


def _imputed(assembly: Assembly, tensor: str, step: Any, places: Sequence[int]) -> tuple[str, int]:
    graph, wanted = assembly.graph, step.missing_values
    is_nan = wanted is None or wanted is pd.NA or wanted != wanted
    missing = (
        graph.node("IsNaN", tensor) if is_nan else graph.node("Equal", tensor, graph.constant(np.array(float(wanted))))
    )
    statistics = np.array([np.nan if pd.isna(value) else float(value) for value in step.statistics_])
    filled = graph.node("Where", missing, graph.constant(statistics), tensor)
    kept = [place for place in places if step.keep_empty_features or statistics[place] == statistics[place]]
    filled = filled if len(kept) == len(places) else graph.columns(filled, kept)
    if not step.add_indicator:
        return filled, len(kept)
    told = [int(place) for place in step.indicator_.features_]
    shown = graph.cast(graph.columns(missing, told), TensorProto.DOUBLE)
    return graph.node("Concat", filled, shown, axis=1), len(kept) + len(told)


_ELEMENTWISE: dict[str, Callable[[Assembly, str, Any, Sequence[int]], tuple[str, int]]] = {
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MaxAbsScaler": _largest,
    "MinMaxScaler": _range,
    "SimpleImputer": _imputed,
}
