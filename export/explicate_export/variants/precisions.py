"""How model.onnx becomes a graph of another precision, with the same inputs and the same output.

A precision has one way or several; the first whose graph holds is taken. A new precision is one entry of WAYS.

bf16 is not among them: ONNX Runtime 1.31 has no MatMul, Gemm or Conv in bf16 on a CPU ("Could not find an
implementation for MatMul(13)"), so export could not verify such a graph. OpenVINO computes in bf16 by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any  # onnx's messages

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Where numbers are squared, summed or raised: what fp16 cannot hold is there if anywhere.
_DELICATE = ("LayerNormalization", "ReduceMean", "ReduceSum", "Pow", "Sqrt", "Exp", "Erf", "Softmax")
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

    write: Callable[[Any, Path], None]
    """Writes a graph, given as onnx's ModelProto which it may change, to a file; raises whatever onnx's tools raise."""


def write_variant(graph: Path, way: Way, path: Path) -> None:
    """Write `path` with all weights inside; raises whatever onnx's tools raise where they cannot."""
    model = onnx.load(graph)
    del model.graph.value_info[:]  # quantisation fails on the shapes that torch's exporter leaves
    way.write(model, path)


def _half(model: Any, path: Path, *, kept: Sequence[str] = ()) -> None:
    """In fp16 but for inputs, output and the operators `kept`."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    blocked = [*DEFAULT_OP_BLOCK_LIST, *kept]
    half = convert_float_to_float16(model, keep_io_types=True, op_block_list=blocked)
    del half.graph.value_info[:]
    nodes = {tuple(node.output): node for node in half.graph.node}  # a weight that two operators keep is cast twice
    del half.graph.node[:]
    half.graph.node.extend(nodes.values())
    _save(half, path)


def _dynamic(model: Any, path: Path) -> None:
    """Products of matrices in int8: weights with a scale a column, activations with one found in each run."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    operators = ["MatMul", "Gemm", "Gather"]  # convolutions of int8 weights do not run on a CPU
    quantize_dynamic(model, path, op_types_to_quantize=operators, per_channel=True, weight_type=QuantType.QInt8)


def _weights_only(model: Any, path: Path) -> None:
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
    "fp16": (
        Way("all but inputs and output", _half),
        Way("all but inputs, output, normalisations and softmax", partial(_half, kept=_DELICATE)),
    ),
    "int8": (
        Way("products of matrices, activations scaled in each run", _dynamic),
        Way("weights in blocks of 32, embeddings in fp16, computed in fp32", _weights_only),
    ),
}
"""By precision; the graph of the first that holds is kept."""
