"""A graph that grows node by node: constants, nodes, whole models of other converters."""

from collections.abc import Mapping, Sequence
from typing import Any  # onnx has no types

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

OPSET, ML_OPSET, IR_VERSION = 18, 3, 10
"""The newest that all runtimes of a server know, and what skl2onnx is asked for."""
ML_DOMAIN = "ai.onnx.ml"


class GraphBuilder:
    """Nodes and constants of a graph; every method returns the name of a tensor."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._names = 0

    def input(self, name: str, dtype: int, width: int) -> str:
        """An input [batch, width]."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, ["batch", width]))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        """A tensor that is the same for all rows."""
        name = self._name("constant")
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The output of a new node."""
        name = self._name(op)
        self._nodes.append(helper.make_node(op, list(inputs), [name], domain=domain, name=name, **attributes))
        return name

    def cast(self, tensor: str, dtype: int) -> str:
        """The tensor in another type."""
        return self.node("Cast", tensor, to=dtype)

    def columns(self, tensor: str, places: Sequence[int]) -> str:
        """These columns of a tensor [batch, columns]."""
        return self.node("Gather", tensor, self.constant(np.array(places, dtype=np.int64)), axis=1)

    def embed(self, model: Any, inputs: Mapping[str, str]) -> list[str]:
        """All of another model, its inputs being tensors of this graph; returns its outputs."""
        prefix = self._name("of") + "_"
        inside = compose.add_prefix(model, prefix).graph
        self._nodes += [
            helper.make_node("Identity", [outer], [prefix + name], name=f"{prefix}{name}_in")
            for name, outer in inputs.items()
        ]
        self._nodes += list(inside.node)
        self._constants += list(inside.initializer)
        return [output.name for output in inside.output]

    def model(self, output: str, name: str, width: int, *, like: Any = None) -> Any:
        """The graph that answers `output` [batch, width] under `name`; of its nodes those that this needs.

        `like`: a model whose operators have its versions."""
        final = helper.make_node("Identity", [output], [name], name=name)
        nodes = _needed([*self._nodes, final], name)
        used = {tensor for node in nodes for tensor in _read(node)}
        graph = helper.make_graph(
            nodes,
            "table",
            self._inputs,  # a server feeds them all
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])],
            [one for one in self._constants if one.name in used],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, ML_OPSET)]
        version = IR_VERSION
        if like is not None:
            opsets, version = list(like.opset_import), max(IR_VERSION, like.ir_version)
        return helper.make_model(graph, opset_imports=opsets, ir_version=version, producer_name="explicate")

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}_{self._names}"


def _needed(nodes: Sequence[Any], output: str) -> list[Any]:
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= _read(node)
    return kept[::-1]


def _read(node: Any) -> set[str]:
    """What a node reads, its subgraphs too."""
    inside = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return {*node.input, *(name for graph in inside for one in graph.node for name in _read(one))}
