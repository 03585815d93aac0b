"""A table model for the benchmarks: the size of a trained one, with random weights, for as many columns as asked.

Two hidden layers of 256 and 128 on numbers with missing indicators and embeddings of eight numbers a category; every
fifth column is a category of ten names.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from explicate.v1 import bundle_pb2, table_pb2
from explicate.v1 import inference_service_pb2 as messages
from explicate_bundle.columns import TableColumns, TableRows
from explicate_bundle.golden import Golden, write_golden
from explicate_bundle.table_arrays import Background, write_background
from explicate_bundle.writing import describe_files

MODEL = "table"
_CATEGORIES = [f"name {index}" for index in range(10)]
_EMBEDDING = 8
_HIDDEN = (256, 128)
_BACKGROUND_ROWS = 20
_GOLDEN_ROWS = 16


class TableSubject:
    """A bundle of ``columns`` columns in a repository of its own, and requests for it."""

    def __init__(self, directory: Path, columns: int) -> None:
        self.repository = directory / f"{columns}-columns"
        self._stream = np.random.Generator(np.random.Philox(columns))
        self._names = [f"column_{index}" for index in range(columns)]
        self._is_number = [index % 5 != 4 for index in range(columns)]
        self._write(self.repository / MODEL / "1")

    def input_requests(self, count: int, rows: int) -> list[messages.PredictRequest]:
        """Requests of so many rows, each row a message."""
        return [self._request(inputs=self._inputs(*self._rows(rows))) for _ in range(count)]

    def packed_requests(self, count: int, rows: int) -> list[messages.PredictRequest]:
        """Requests of so many rows in one packed table."""
        return [self._request(table=self._table(*self._rows(rows))) for _ in range(count)]

    def _request(self, **content: object) -> messages.PredictRequest:
        return messages.PredictRequest(model=messages.ModelRef(model=MODEL), **content)  # type: ignore[arg-type]

    def _rows(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        numbers = self._stream.normal(size=(count, sum(self._is_number))).astype(np.float32)
        others = len(self._names) - sum(self._is_number)
        return numbers, self._stream.integers(2, 2 + len(_CATEGORIES), (count, others))

    def _inputs(self, numbers: NDArray[np.float32], codes: NDArray[np.int64]) -> list[messages.Input]:
        inputs = []
        for row_numbers, row_codes in zip(numbers.tolist(), codes.tolist(), strict=True):
            left, right = iter(row_numbers), iter(row_codes)
            cells = {
                name: table_pb2.Cell(number=next(left))
                if is_number
                else table_pb2.Cell(category=_CATEGORIES[next(right) - 2])
                for name, is_number in zip(self._names, self._is_number, strict=True)
            }
            inputs.append(messages.Input(tabular=messages.TabularInput(cells=cells)))
        return inputs

    def _table(self, numbers: NDArray[np.float32], codes: NDArray[np.int64]) -> table_pb2.Table:
        table = table_pb2.Table(rows=len(numbers))
        left, right = iter(numbers.T), iter(codes.T)
        for name, is_number in zip(self._names, self._is_number, strict=True):
            if is_number:
                table.columns.add(name=name).numbers.values.extend(next(left))
            else:
                values = table.columns.add(name=name).categories
                values.names.extend(_CATEGORIES)
                values.codes.extend((next(right) - 2).tolist())
        return table

    def _write(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        onnx.save(self._graph(), folder / "model.onnx")
        schema = bundle_pb2.TabularSchema(
            background_rows=_BACKGROUND_ROWS,
            columns=[
                bundle_pb2.ColumnSchema(name=name, type=bundle_pb2.COLUMN_TYPE_NUMBER)
                if is_number
                else bundle_pb2.ColumnSchema(name=name, type=bundle_pb2.COLUMN_TYPE_CATEGORY, categories=_CATEGORIES)
                for name, is_number in zip(self._names, self._is_number, strict=True)
            ],
        )
        weights = np.full(_BACKGROUND_ROWS, 1 / _BACKGROUND_ROWS)
        write_background(folder / "background.npz", Background(*self._rows(_BACKGROUND_ROWS), weights))
        numbers, codes = self._rows(_GOLDEN_ROWS)
        session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        (outputs,) = session.run(None, {"numbers": numbers, "codes": codes})
        manifest = bundle_pb2.Bundle(
            format_version=1,
            model=MODEL,
            version=1,
            input_kind="INPUT_KIND_TABULAR",
            objective="OBJECTIVE_CLASSIFICATION",
            class_labels=["no", "yes"],
            tabular=schema,
            precision="fp32",
            golden_tolerance=1e-3,
        )
        golden = Golden(TableColumns(schema).inputs_of(TableRows(numbers, codes)), outputs)
        write_golden(folder / "golden.npz", golden, manifest)
        manifest.files.extend(describe_files(folder, sorted(path.name for path in folder.iterdir())))
        text = json_format.MessageToJson(manifest, preserving_proto_field_name=True)
        (folder / "manifest.json").write_text(text, encoding="utf-8")

    def _graph(self) -> onnx.ModelProto:
        n_numbers = sum(self._is_number)
        others = len(self._names) - n_numbers
        sizes = (2 * n_numbers + others * _EMBEDDING, *_HIDDEN, 2)
        constants: dict[str, NDArray[np.generic]] = {
            "means": np.zeros(n_numbers, np.float32),
            "embeddings": self._draw(others * (2 + len(_CATEGORIES)), _EMBEDDING),
            "offsets": (2 + len(_CATEGORIES)) * np.arange(others),
            "flat": np.array([0, others * _EMBEDDING]),
        }
        nodes = [
            helper.make_node("IsNaN", ["numbers"], ["missing"]),
            helper.make_node("Where", ["missing", "means", "numbers"], ["whole"]),
            helper.make_node("Cast", ["missing"], ["indicators"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["codes", "offsets"], ["places"]),
            helper.make_node("Gather", ["embeddings", "places"], ["embedded"]),
            helper.make_node("Reshape", ["embedded", "flat"], ["flattened"]),
            helper.make_node("Concat", ["whole", "indicators", "flattened"], ["layer_0"], axis=1),
        ]
        for layer, (width, height) in enumerate(pairwise(sizes)):
            constants[f"weights_{layer}"] = self._draw(width, height)
            last = layer == len(sizes) - 2
            product = "logits" if last else f"product_{layer}"
            nodes.append(helper.make_node("MatMul", [f"layer_{layer}", f"weights_{layer}"], [product]))
            if not last:
                nodes.append(helper.make_node("Relu", [product], [f"layer_{layer + 1}"]))
        graph = helper.make_graph(
            nodes,
            MODEL,
            [
                helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["batch", n_numbers]),
                helper.make_tensor_value_info("codes", TensorProto.INT64, ["batch", others]),
            ],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    def _draw(self, rows: int, columns: int) -> NDArray[np.float32]:
        return (self._stream.normal(size=(rows, columns)) / np.sqrt(rows)).astype(np.float32)
