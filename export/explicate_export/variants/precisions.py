"""How model.onnx becomes a graph of another precision, with the same inputs and the same output.

A precision has one way or several; the first whose graph holds is taken. A new precision is one entry of WAYS.

bf16 is not among them: ONNX Runtime 1.31 has no MatMul, Gemm or Conv in bf16 on a CPU ("Could not find an
implementation for MatMul(13)"), so export could not verify such a graph. OpenVINO computes in bf16 by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # onnx's messages

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from explicate_server.runtime.model_runtime import Feeds

# What fp16 holds is 65504 at most. The golden inputs are a few of many, so a node that comes within an eighth of it is
# kept in fp32. Masks are as low as fp32 goes, and need not be held: they are cut to what fp16 has.
_MOST_HALF = 65504 / 8
_MASK = 1e30
# Cells of a table can be this many times what golden rows have, and must not become infinite before they are scaled.
_OUTLYING = np.float32(1000)
# How the converter names what a node writes that it keeps in fp32, and what it casts to fp32 for one.
_KEPT_SUFFIX, _WIDE_SUFFIX = "_cast_to_fp16", "_cast_to_fp32"
# Weights of 8 bits, one scale for each so many in a row of a matrix. MiniLM-L6's probabilities are off by the size of a
# weight's rounding: see docs/log.md, 2026-11-26, for what larger blocks and one scale a column did.
_BLOCK = 32
_LEAST_TABLE = 4096  # numbers of an embedding that are worth a node more
_PREFIX = "fp16_"


@dataclass(frozen=True)
class Way:
    """One way to write a graph in another precision."""

    how: str
    """In words, for messages and the model card."""

    write: Callable[[Any, Path, Sequence[Feeds]], None]
    """Writes a graph, given as onnx's ModelProto which it may change, to a file; raises whatever onnx's tools raise.

    The feeds are inputs to try it on.
    """


def write_variant(graph: Path, way: Way, path: Path, feeds: Sequence[Feeds]) -> None:
    """Write `path` with all weights inside; raises whatever onnx's tools raise where they cannot."""
    model = onnx.load(graph)
    del model.graph.value_info[:]  # quantisation fails on the shapes that torch's exporter leaves
    way.write(model, path, feeds)


def _half(model: Any, path: Path, feeds: Sequence[Feeds]) -> None:
    """In fp16 but for inputs, output and the nodes whose numbers fp16 may not hold."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    half = convert_float_to_float16(model, keep_io_types=True, node_block_list=nodes_beyond_half(model, feeds))
    del half.graph.value_info[:]
    _join_casts(half.graph)
    OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)  # the converter adds its casts at the end
    _save(half, path)


def _join_casts(graph: Any) -> None:
    """Let nodes that are kept in fp32 read each other's numbers as they are, not cast to fp16 and back."""
    nodes = {tuple(node.output): node for node in graph.node}  # the converter casts what two of them read twice
    wide = {value.name for value in graph.input if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    halves = {
        node.output[0]: node.input[0]
        for node in nodes.values()
        if node.op_type == "Cast" and (node.input[0] in wide or node.input[0].endswith(_KEPT_SUFFIX))
    }
    joined = {
        node.output[0]: halves[node.input[0]]
        for node in nodes.values()
        if node.op_type == "Cast" and node.input[0] in halves and node.output[0].endswith(_WIDE_SUFFIX)
    }
    del graph.node[:]
    graph.node.extend(node for outputs, node in nodes.items() if outputs[0] not in joined)
    for node in graph.node:
        node.input[:] = [joined.get(name, name) for name in node.input]


def nodes_beyond_half(model: Any, feeds: Sequence[Feeds]) -> list[str]:
    """Names of the nodes that read or write numbers which fp16 may not hold, measured in fp32.

    A CPU cannot tell by itself: ONNX Runtime computes a graph in fp16 there in fp32, from node to node.
    """
    told = onnx.ModelProto()
    told.CopyFrom(model)
    written = [name for node in model.graph.node for name in node.output if name]
    del told.graph.output[:]
    told.graph.output.extend(onnx.ValueInfoProto(name=name) for name in written)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(told.SerializeToString(), options, providers=["CPUExecutionProvider"])
    beyond: set[str] = set()
    for feed in [*feeds, *filter(None, map(_outlying, feeds))]:
        values = {**feed, **dict(zip(written, session.run(None, dict(feed)), strict=True))}
        beyond |= {name for name, value in values.items() if _is_beyond_half(value)}
    return [node.name for node in model.graph.node if beyond & {*node.input, *node.output}]


def _outlying(feed: Feeds) -> Feeds | None:
    """An input with numbers as no golden one has them; None if it has pixels or ids, which are bounded."""
    numbers = {name: value * _OUTLYING for name, value in feed.items() if value.dtype == np.float32}
    return {**feed, **numbers} if numbers else None


def _is_beyond_half(values: NDArray[Any]) -> bool:
    if values.dtype != np.float32:
        return False
    sizes = np.abs(values)
    return bool(((sizes > _MOST_HALF) & (sizes < _MASK)).any())


def _dynamic(model: Any, path: Path, feeds: Sequence[Feeds]) -> None:  # noqa: ARG001
    """Products of matrices in int8: weights with a scale a column, activations with one found in each run."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    operators = ["MatMul", "Gemm", "Gather"]  # convolutions of int8 weights do not run on a CPU
    quantize_dynamic(model, path, op_types_to_quantize=operators, per_channel=True, weight_type=QuantType.QInt8)


def _weights_only(model: Any, path: Path, feeds: Sequence[Feeds]) -> None:  # noqa: ARG001
    """The weights of products of matrices in int8, by blocks, and embeddings in fp16; all is computed in fp32."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(model, bits=8, block_size=_BLOCK, is_symmetric=True)
    quantizer.process()
    _halve_embeddings(quantizer.model.model.graph)
    _save(quantizer.model.model, path)


def _save(model: Any, path: Path) -> None:
    path.write_bytes(model.SerializeToString(deterministic=True))


def _halve_embeddings(graph: Any) -> None:
    """Keep the tables that rows are gathered from in fp16, and make the rows fp32 again."""
    tables = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.append(node)
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or table.data_type != onnx.TensorProto.FLOAT or np.prod(table.dims) < _LEAST_TABLE:
            continue
        values = numpy_helper.to_array(table).astype(np.float16)
        table.CopyFrom(numpy_helper.from_array(values, table.name))
        (rows,) = node.output
        graph.node[-1].output[0] = _PREFIX + rows
        graph.node.append(helper.make_node("Cast", [_PREFIX + rows], [rows], to=onnx.TensorProto.FLOAT))


WAYS: Mapping[str, Sequence[Way]] = {
    "fp16": (Way("all but inputs, output and what fp16 may not hold", _half),),
    "int8": (
        Way("products of matrices, activations scaled in each run", _dynamic),
        Way("weights in blocks of 32, embeddings in fp16, computed in fp32", _weights_only),
    ),
}
"""By precision; the graph of the first that holds is kept."""
