"""An ONNX file that somebody exported: its inputs, the output that counts, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any  # onnx and onnxruntime have no types

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, inliner

from explicate_export.errors import ConversionError, UsageError, first_line
from explicate_export.onnx_models.description import Description
from explicate_export.ready_graph import read_graph, refuse_unknown_operators

_LEAST_OPSET = 13
_NUMBERS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)


@dataclass(frozen=True)
class BareGraph:
    """A graph with one output that counts.

    Attributes:
        model: onnx's ModelProto.
        place: of that output among all.
        output: what it is: "logits", "probabilities", "log-odds" or "value".
        outputs: how many numbers it has for a row.
    """

    model: Any
    place: int
    output: str
    outputs: int

    @property
    def inputs(self) -> list[str]:
        """The names of its inputs."""
        weights = {one.name for one in self.model.graph.initializer}
        return [one.name for one in self.model.graph.input if one.name not in weights]

    def type(self, name: str) -> int:
        """The type of an input's elements."""
        return int(self._input(name).type.tensor_type.elem_type)

    def reads_texts(self, name: str) -> bool:
        """Whether an input is of texts."""
        return self.type(name) == TensorProto.STRING

    def rank(self, name: str) -> int:
        """How many dimensions an input has."""
        return len(self._input(name).type.tensor_type.shape.dim)

    def width(self, name: str) -> int | None:
        """How many columns an input has; None if it does not say."""
        shape = self._input(name).type.tensor_type.shape.dim
        return 1 if len(shape) == 1 else (shape[1].dim_value or None)

    def fed(self, name: str, columns: Sequence[Sequence[Any]]) -> NDArray[Any]:
        """Columns as an input takes them."""
        if self.reads_texts(name):
            values = np.array(columns, dtype=object).T
        else:
            numbers = np.array(columns, dtype=np.float64).T
            with np.errstate(invalid="ignore"):
                values = numbers.astype(helper.tensor_dtype_to_np_dtype(self.type(name)))
        return values if self.rank(name) == 2 else values[:, 0]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """The output float64 [rows, outputs]; raises UsageError if it has another shape."""
        rows = len(next(iter(feeds.values())))
        name = self.model.graph.output[self.place].name
        try:
            told = np.asarray(self._session.run([name], dict(feeds))[0], dtype=np.float64)
        except Exception as error:  # ONNX Runtime raises classes of its own
            raise UsageError(f"the graph does not answer {rows} rows at once: {first_line(error)}") from None
        if told.size != rows * self.outputs:
            raise UsageError(
                f"the graph's output {name!r} has the shape {told.shape} for {rows} rows; {self.outputs} numbers a row "
                "are wanted, see labels and output"
            )
        return told.reshape(rows, self.outputs)

    def _input(self, name: str) -> Any:
        return next(one for one in self.model.graph.input if one.name == name)

    @cached_property
    def _session(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(self.model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def read_bare(path: Path, description: Description) -> BareGraph:
    """Reads and checks a file; raises UsageError or ConversionError in one sentence."""
    model = read_graph(path)
    refuse_unknown_operators(model)
    if model.functions:
        model = inliner.inline_local_functions(model)
    version = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), _LEAST_OPSET)
    if version < _LEAST_OPSET:
        raise ConversionError(f"{path} has operators of opset {version}: export it with {_LEAST_OPSET} or newer")
    labels = len(description.labels)
    outputs = 1 if description.output == "log-odds" else max(1, labels)
    if description.output == "log-odds" and labels != 2:
        raise description.wrong("output", f"is 'log-odds', which is for two labels, not {labels}")
    graph = BareGraph(model, _output(model, path, description), description.output, outputs)
    for one in graph.inputs:
        if graph.type(one) not in (*_NUMBERS, TensorProto.STRING) or graph.rank(one) not in (1, 2):
            raise UsageError(f"{path}: the input {one!r} is not a matrix of numbers or texts with a row for each input")
    return graph


def _output(model: Any, path: Path, description: Description) -> int:
    names = [one.name for one in model.graph.output]
    if description.output_name is not None:
        if description.output_name not in names:
            raise description.wrong("output_name", f"is {description.output_name!r}; the graph has {', '.join(names)}")
        place = names.index(description.output_name)
    elif len(names) == 1:
        place = 0
    else:
        raise description.wrong("output_name", f"is missing, and the graph has several outputs: {', '.join(names)}")
    kind = model.graph.output[place].type
    if not kind.HasField("tensor_type"):
        raise UsageError(
            f"{path}: the output {names[place]!r} is a list of dictionaries (ZipMap): convert the model with "
            "options={'zipmap': False}"
        )
    if kind.tensor_type.elem_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise UsageError(f"{path}: the output {names[place]!r} is not of numbers with a fraction; name another one")
    return place
