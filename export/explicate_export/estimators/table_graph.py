"""From a fitted model and rows to the graph of a bundle, with all that is known of how it was made."""

from dataclasses import dataclass
from typing import Any  # onnx has no types

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from explicate_bundle.columns import TableRows
from explicate_export.errors import UsageError, first_line
from explicate_export.estimators.answered import LEAST_PROBABILITY, Predicted, Setting
from explicate_export.estimators.column_uses import Use, column_uses, unwrapped
from explicate_export.estimators.features import Assembly
from explicate_export.estimators.fitted_model import FittedModel, Substitutes, substitutes
from explicate_export.estimators.frame import FrameColumns, frame_columns
from explicate_export.estimators.predictors import predicted


@dataclass(frozen=True)
class TableGraphParts:
    """A graph and what it was made of."""

    model: Any  # onnx's ModelProto
    columns: FrameColumns
    rows: TableRows  # X in the graph's form
    answers: NDArray[np.float64]  # what the model answers for X: probabilities, or values
    predicted: Predicted
    substitutes: Substitutes
    otherwise: int  # rows of X for which the model does not predict the class with the highest probability


def table_graph(fitted: FittedModel, frame: pd.DataFrame, *, as_array: bool, output_name: str) -> TableGraphParts:
    """The graph of a fitted model; raises UsageError where it cannot be made."""
    asked = frame.to_numpy() if as_array else frame
    answers = _answers(fitted, asked)
    columns = frame_columns(frame, _uses(fitted, frame), as_array=as_array)
    rows = columns.encoded(frame)
    chosen = substitutes(fitted, columns, frame)
    assembly = Assembly(chosen.columns, chosen.missing_numbers)
    told = predicted(Setting(assembly, rows), "model", unwrapped(fitted.model), assembly.features(frame))
    graph = assembly.graph
    answer = told.tensor
    if told.form == "probabilities":
        wide = graph.cast(answer, TensorProto.DOUBLE)
        ends = (graph.constant(np.array(end)) for end in (LEAST_PROBABILITY, 1.0))
        answer = graph.node("Log", graph.node("Clip", wide, *ends))
    answer = graph.cast(answer, TensorProto.FLOAT)
    if told.width != max(1, len(fitted.classes)):
        raise UsageError(f"the model has {len(fitted.classes)} classes and {told.width} outputs")
    model = graph.model(answer, output_name, told.width)
    otherwise = fitted.otherwise(asked, answers)
    return TableGraphParts(model, columns, rows, answers, told, chosen, otherwise)


def _answers(fitted: FittedModel, rows: Any) -> NDArray[np.float64]:
    try:
        answers = fitted.answers(rows)
    except Exception as error:  # whatever its parts raise
        raise UsageError(f"the model does not take the rows of X: {first_line(error)}") from error
    if answers.shape[1] != max(1, len(fitted.classes)):
        raise UsageError(f"the model answers {answers.shape[1]} numbers for a row: export a model of each")
    if not np.isfinite(answers).all():
        raise UsageError("the model answers NaN or infinity for some rows of X")
    return answers


def _uses(fitted: FittedModel, frame: pd.DataFrame) -> dict[int, Use]:
    found = column_uses(fitted.model, frame.shape[1])
    if found and max(found) >= frame.shape[1]:
        raise UsageError(f"the model reads {max(found) + 1} columns, and X has {frame.shape[1]}")
    return found
