"""Tiny bundles of models that are sums over columns, with a known formula and with `contributions`, as onnx alone.

number column j: tanh(slope_j · imputed_j) · weights_j;  other column j: embedding_j[code_j];  answers: sum + bias
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import TableColumns
from support.tiny_table_bundle import COLUMNS, LABELS, Floats, TinyTable, tiny_table


@dataclass(frozen=True, kw_only=True)
class AdditiveTable(TinyTable):
    """A sum over columns; `number_weights` [number columns, outputs], `embeddings` [2 + categories, outputs] each.

    Attributes:
        slopes: [number columns].
        bias: [outputs].
        leak: how much of the product of the first two numbers the graph adds to its answers and its contributions.
        monotone: claims by column.
        forbidden: columns that the schema lists as such.
    """

    slopes: Floats
    bias: Floats
    leak: float = 0.0
    monotone: tuple[tuple[str, bundle_pb2.Monotone], ...] = ()
    forbidden: tuple[str, ...] = ()

    def answers(self, numbers: Floats, codes: NDArray[np.int64]) -> Floats:
        """What the model gives, float64[n, outputs]."""
        answers = np.tanh(np.where(np.isnan(numbers), self.imputed, numbers) * self.slopes) @ self.number_weights
        for place, embedding in enumerate(self.embeddings):
            answers = answers + embedding[codes[:, place]]
        return np.asarray(answers + self.bias)

    def schema(self) -> bundle_pb2.TabularSchema:
        """Of an additive form."""
        schema = super().schema()
        schema.form = bundle_pb2.TABULAR_FORM_ADDITIVE
        schema.contributions = True
        claims = dict(self.monotone)
        for column in schema.columns:
            if column.name in claims:
                column.monotone.CopyFrom(claims[column.name])
        for name in self.forbidden:
            schema.left_out.add(name=name, reason="is forbidden", forbidden=True)
        return schema

    def _graph(self) -> onnx.ModelProto:
        columns = TableColumns(self.schema())
        sizes = [len(embedding) for embedding in self.embeddings]
        outputs = len(self.bias)
        constants: dict[str, NDArray[np.generic]] = {
            "imputed": self.imputed.astype(np.float32),
            "slopes": self.slopes.astype(np.float32),
            "weights": self.number_weights.astype(np.float32),
            "embeddings": np.concatenate(self.embeddings).astype(np.float32),
            "offsets": np.cumsum([0, *sizes[:-1]]).astype(np.int64),
            "owners": np.eye(len(columns.players), dtype=np.float32)[columns.owners].T.copy(),
            "bias": self.bias.astype(np.float32),
            "last": np.array([-1], dtype=np.int64),
            "first": np.array([0], dtype=np.int64),
            "second": np.array([1], dtype=np.int64),
            "leak": np.full((1, 1, 1), self.leak / len(columns.players), dtype=np.float32),
        }
        node = helper.make_node
        nodes = [
            node("IsNaN", ["numbers"], ["is_missing"]),
            node("Where", ["is_missing", "imputed", "numbers"], ["whole"]),
            node("Mul", ["whole", "slopes"], ["sloped"]),
            node("Tanh", ["sloped"], ["bent"]),
            node("Unsqueeze", ["bent", "last"], ["bent_columns"]),
            node("Mul", ["bent_columns", "weights"], ["of_numbers"]),
            node("Add", ["codes", "offsets"], ["places"]),
            node("Gather", ["embeddings", "places"], ["of_codes"]),
            node("Concat", ["of_numbers", "of_codes"], ["of_columns"], axis=1),
            node("MatMul", ["owners", "of_columns"], ["added"]),
            node("Gather", ["bent", "first"], ["one"], axis=1),
            node("Gather", ["bent", "second"], ["other"], axis=1),
            node("Mul", ["one", "other"], ["product"]),
            node("Unsqueeze", ["product", "last"], ["products"]),
            node("Mul", ["products", "leak"], ["leaked"]),
            node("Add", ["added", "leaked"], ["contributions"]),
            node("ReduceSum", ["contributions", "second"], ["summed"], keepdims=0),
            node("Add", ["summed", "bias"], ["logits" if self.labels else "values"]),
        ]
        information = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "additive-table",
            [
                information("numbers", TensorProto.FLOAT, ["batch", len(self.numbers)]),
                information("codes", TensorProto.INT64, ["batch", len(self.others)]),
            ],
            [
                information("logits" if self.labels else "values", TensorProto.FLOAT, ["batch", outputs]),
                information("contributions", TensorProto.FLOAT, ["batch", len(columns.players), outputs]),
            ],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return model


def additive_table(
    columns: Sequence[bundle_pb2.ColumnSchema] = COLUMNS,
    *,
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    multi_label: bool = False,
    **more: object,
) -> AdditiveTable:
    """A model with random weights; without labels it is a regression. `more`: attributes of AdditiveTable."""
    plain = tiny_table(columns, labels=labels, seed=seed, multi_label=multi_label)
    stream = np.random.Generator(np.random.Philox(seed + 100))
    outputs = len(labels) or 1

    def draw(*shape: int) -> Floats:
        return np.asarray(stream.normal(size=shape).astype(np.float32), dtype=np.float64)

    own = {
        "number_weights": 2 * draw(len(plain.numbers), outputs),
        "embeddings": tuple(draw(len(embedding), outputs) for embedding in plain.embeddings),
        "output_weights": np.zeros((1, outputs)),  # of which the enumeration takes the number of outputs
        "slopes": draw(len(plain.numbers)),
        "bias": draw(outputs),
    }
    return AdditiveTable(**{**vars(plain), **own, **more})


def build_additive_repository(directory: Path) -> Path:
    """A repository with "loans" (three classes), "risks" (two), "tags" (three labels) and "losses" (a regression)."""
    additive_table().publish(directory, "loans")
    additive_table(labels=LABELS[:2], seed=2, forbidden=("sex",)).publish(directory, "risks")
    additive_table(seed=3, multi_label=True).publish(directory, "tags")
    additive_table(labels=(), seed=1).publish(directory, "losses")
    return directory
