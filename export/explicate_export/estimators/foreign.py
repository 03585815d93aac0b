"""What scikit-learn's own converter to ONNX makes of a step or an estimator, as part of our graph."""

import logging
import warnings
from dataclasses import dataclass
from typing import Any  # onnx has no types

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, version_converter

from explicate_export.errors import UsageError, first_line
from explicate_export.estimators.column_uses import kind, refuse
from explicate_export.estimators.features import Assembly, Features
from explicate_export.estimators.graph_builder import ML_DOMAIN, ML_OPSET, OPSET
from explicate_export.parity import Graph


def onnx_of(name: str, step: Any, width: int, *, double: bool, options: dict[str, Any] | None = None) -> Any:
    """The ONNX model of a fitted step with one input "rows" [batch, width]; raises UsageError, naming the step."""
    from skl2onnx import convert_sklearn  # takes a second to import
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    rows = (DoubleTensorType if double else FloatTensorType)([None, width])
    known = {id(step): options} if options else None
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = convert_sklearn(
                step, initial_types=[("rows", rows)], target_opset={"": OPSET, ML_DOMAIN: ML_OPSET}, options=known
            )
    except Exception as error:  # the converter raises whatever its parts raise
        raise refuse(name, f"({kind(step)}) cannot be expressed in ONNX ({first_line(error)})") from error
    finally:
        logging.disable(disabled)
    has = next((one.version for one in model.opset_import if one.domain == ""), OPSET)
    return model if has == OPSET else version_converter.convert_version(model, OPSET)


@dataclass(frozen=True)
class Converted:
    """The ONNX model of a step whose input has 64 bits, or 32."""

    model: Any
    double: bool


_COMPARED_ROWS = 256


def closest(
    name: str, step: Any, rows: NDArray[np.float64], answers: NDArray[np.float64], *, output: int, options: Any = None
) -> Converted:
    """The converter's graph in 64 bits or in 32: the one whose output is closer to the step's answers for some rows.

    Args:
        name: of the step, for messages.
        step: fitted.
        rows: what it is given, float64[rows, features].
        answers: what it answers, float64[rows, outputs].
        output: which of the graph's outputs is compared.
        options: of the converter.

    Raises UsageError, naming the step, if there is no graph.
    """
    rows, answers = rows[:_COMPARED_ROWS], answers[:_COMPARED_ROWS]
    best: tuple[float, Converted] | None = None
    refused: UsageError | None = None
    for double in (True, False):
        try:
            made = onnx_of(name, step, rows.shape[1], double=double, options=options)
            graph = Graph(made.SerializeToString())
            found = graph.answers(rows.astype(np.float64 if double else np.float32), output).reshape(len(rows), -1)
        except UsageError as error:
            refused = error
            continue
        except Exception as error:  # ONNX Runtime raises classes of its own; not every operator exists for 64 bits
            refused = refuse(name, f"({kind(step)}) cannot run in ONNX Runtime ({first_line(error)})")
            continue
        if found.shape[1] < answers.shape[1]:
            refused = refuse(name, f"({kind(step)}) has {found.shape[1]} outputs in ONNX, not {answers.shape[1]}")
            continue
        difference = np.abs(found[:, -answers.shape[1] :] - answers)
        off = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
        if best is None or off < best[0]:
            best = off, Converted(made, double)
        if off <= _ENOUGH * max(1.0, float(np.abs(answers).max(initial=0.0))):
            break
    if best is None:
        assert refused is not None
        raise refused
    return best[1]


_ENOUGH = 1e-7


def converted(assembly: Assembly, name: str, step: Any, given: Features, sample: NDArray[np.float64]) -> str:
    """What a transformer makes of features, float64 [batch, features]; raises UsageError.

    `sample` is what it makes of the sample, float64[rows, features].
    """
    made = closest(name, step, given.rows, sample, output=0)
    rows = assembly.matrix(given.features, single=not made.double)
    return assembly.graph.cast(assembly.graph.embed(made.model, {"rows": rows})[0], TensorProto.DOUBLE)


def embedded(
    assembly: Assembly,
    name: str,
    model: Any,
    given: Features,
    rows: NDArray[np.float64],
    answers: NDArray[np.float64],
    *,
    output: int,
    options: Any = None,
) -> str:
    """What an estimator answers for features, [batch, outputs]; see `closest`. Raises UsageError."""
    made = closest(name, model, rows, answers, output=output, options=options)
    tensor = assembly.matrix(given.features, single=not made.double)
    found = assembly.graph.embed(made.model, {"rows": tensor})[output]
    shape = np.array([-1, answers.shape[1]]) if output == 0 else None
    return found if shape is None else assembly.graph.node("Reshape", found, assembly.graph.constant(shape))
