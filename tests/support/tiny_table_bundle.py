"""Small tabular bundles with a known formula, written with the onnx package alone: no torch, no training.

    hidden = tanh(imputed numbers @ number_weights + Σ_j embedding_j[code_j] + bias);  answers = hidden @ output_weights

so that what a server answers can be computed in numpy, and Shapley values by enumeration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import comb
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.special import expit, softmax

from explicate.v1 import bundle_pb2
from explicate.v1.bundle_pb2 import (
    COLUMN_TYPE_BOOLEAN,
    COLUMN_TYPE_CATEGORY,
    COLUMN_TYPE_NUMBER,
    COLUMN_TYPE_ORDINAL,
    ColumnSchema,
)
from explicate_bundle.columns import TableColumns, TableRows
from explicate_bundle.files.baseline_rows import write_baselines
from explicate_bundle.golden import Golden, write_golden
from explicate_bundle.table_arrays import Background, LimeStatistics, write_background, write_lime_statistics
from explicate_bundle.writing import describe_files
from explicate_server.explain.methods import METHODS
from explicate_training.table.background import lime_statistics

LABELS = ("paid", "default", "late")
TARGET_NAME = "loss in euros"
BACKGROUND_ROWS = 5
_HIDDEN = 8
_GOLDEN_ROWS = 12
_TRAINING_ROWS = 300

COLUMNS = (
    ColumnSchema(name="income", type=COLUMN_TYPE_NUMBER, may_be_missing=True),
    ColumnSchema(name="purpose", type=COLUMN_TYPE_CATEGORY, categories=["car", "home", "study"]),
    ColumnSchema(name="debt_short", type=COLUMN_TYPE_NUMBER, group="debts"),
    ColumnSchema(name="owner", type=COLUMN_TYPE_BOOLEAN, categories=["false", "true"]),
    ColumnSchema(name="age", type=COLUMN_TYPE_NUMBER),
    ColumnSchema(name="rating", type=COLUMN_TYPE_ORDINAL, categories=["low", "middle", "high"]),
    ColumnSchema(name="debt_long", type=COLUMN_TYPE_NUMBER, group="debts"),
)

Cell = float | str | None
Floats = NDArray[np.float64]
T = TypeVar("T", bound="TinyTable")


@dataclass(frozen=True)
class TinyTable:
    """A schema, a model's weights, a background. Rows are float64[n, number columns] and int64[n, other columns]."""

    columns: tuple[ColumnSchema, ...]
    labels: tuple[str, ...]
    number_weights: Floats  # [number columns, hidden]
    imputed: Floats  # [number columns]
    embeddings: tuple[Floats, ...]  # each [2 + categories, hidden]
    output_weights: Floats  # [hidden, outputs]
    background: Background
    multi_label: bool = False
    # What lime.npz describes: training rows with this share of missing numbers; None leaves it out.
    lime_missing: float | None = 0.1
    # Groups that explanations may be set against, by name.
    baselines: tuple[tuple[str, Background], ...] = ()

    @property
    def numbers(self) -> list[str]:
        """Names of the number columns, in the schema's order."""
        return [column.name for column in self.columns if column.type == COLUMN_TYPE_NUMBER]

    @property
    def others(self) -> list[ColumnSchema]:
        """The other columns, in the schema's order."""
        return [column for column in self.columns if column.type != COLUMN_TYPE_NUMBER]

    def rows(self, count: int, *, seed: int = 0, missing: float = 0.1) -> tuple[Floats, NDArray[np.int64]]:
        """Random rows, exact in float32, with some values missing and some categories unknown."""
        stream = np.random.Generator(np.random.Philox(seed))
        numbers = stream.normal(size=(count, len(self.numbers))).astype(np.float32).astype(np.float64)
        numbers[stream.random(numbers.shape) < missing] = np.nan
        first = 0 if missing else 2
        codes = [stream.integers(first, 2 + len(column.categories), count) for column in self.others]
        return numbers, np.array(codes, dtype=np.int64).reshape(-1, count).T

    def cells(self, numbers: Sequence[float], codes: Sequence[int]) -> dict[str, Cell]:
        """One row as it is asked; code 0 becomes a category that the model does not know."""
        cells: dict[str, Cell] = {}
        for name, number in zip(self.numbers, numbers, strict=True):
            cells[name] = None if np.isnan(number) else float(number)
        for column, code in zip(self.others, codes, strict=True):
            cells[column.name] = ["never seen", None, *column.categories][int(code)]
        return cells

    def answers(self, numbers: Floats, codes: NDArray[np.int64]) -> Floats:
        """What the model gives, float64[n, outputs]: logits, or the value."""
        hidden = np.where(np.isnan(numbers), self.imputed, numbers) @ self.number_weights
        for place, embedding in enumerate(self.embeddings):
            hidden = hidden + embedding[codes[:, place]]
        return np.asarray(np.tanh(hidden) @ self.output_weights)

    def players(self) -> dict[str, list[str]]:
        """Names of players with their columns, in the order of their first column."""
        members: dict[str, list[str]] = {}
        for column in self.columns:
            members.setdefault(column.group or column.name, []).append(column.name)
        return members

    def value(self, numbers: Floats, codes: NDArray[np.int64], present: Sequence[str], *, probability: bool) -> Floats:
        """v(S) float64[outputs] of one row, by its definition: the weighted mean over the background."""
        background = self.background
        mixed_numbers, mixed_codes = background.numbers.astype(np.float64), background.codes.copy()
        for name in present:
            if name in self.numbers:
                mixed_numbers[:, self.numbers.index(name)] = numbers[self.numbers.index(name)]
            else:
                place = [column.name for column in self.others].index(name)
                mixed_codes[:, place] = codes[place]
        answers = self.answers(mixed_numbers, mixed_codes)
        return np.asarray(background.weights @ (self.probabilities(answers) if probability else answers))

    def probabilities(self, logits: Floats) -> Floats:
        """Softmax of classes; of several labels the sigmoid of each."""
        return np.asarray(expit(logits) if self.multi_label else softmax(logits, axis=-1))

    def shapley_values(self, numbers: Floats, codes: NDArray[np.int64], *, probability: bool = False) -> Floats:
        """Shapley values float64[outputs, players] of one row, by enumeration of all coalitions."""
        players = list(self.players().values())
        n = len(players)
        values = {
            coalition: self.value(
                numbers,
                codes,
                [name for present, columns in zip(coalition, players, strict=True) if present for name in columns],
                probability=probability,
            )
            for coalition in product((False, True), repeat=n)
        }
        shapley = np.zeros((self.output_weights.shape[1], n))
        for coalition, value in values.items():
            for player in range(n):
                if not coalition[player]:
                    joined = (*coalition[:player], True, *coalition[player + 1 :])
                    shapley[:, player] += (values[joined] - value) / (n * comb(n - 1, sum(coalition)))
        return shapley

    def schema(self) -> bundle_pb2.TabularSchema:
        """The manifest's part."""
        return bundle_pb2.TabularSchema(
            columns=self.columns,
            background_rows=len(self.background.weights),
            lime_statistics=self.lime_missing is not None,
            baselines=[
                bundle_pb2.BaselineGroup(name=name, of=f"{name}=yes", summarised_rows=40, rows=len(group))
                for name, group in self.baselines
            ],
        )

    def training_rows(self) -> tuple[Floats, NDArray[np.int64]]:
        """The rows that lime.npz describes."""
        assert self.lime_missing is not None
        return self.rows(_TRAINING_ROWS, seed=77, missing=self.lime_missing)

    def lime_statistics(self) -> LimeStatistics:
        """What lime.npz says of them."""
        numbers, codes = self.training_rows()
        counts = [2 + len(column.categories) for column in self.others]
        return lime_statistics(numbers.astype(np.float32), codes, counts)

    def publish(self, repository: Path, model: str, *, version: int = 1) -> Path:
        """Writes the bundle; returns its folder."""
        folder = repository / model / str(version)
        folder.mkdir(parents=True)
        onnx.save(self._graph(), folder / "model.onnx")
        write_background(folder / "background.npz", self.background)
        if self.lime_missing is not None:
            write_lime_statistics(folder / "lime.npz", self.lime_statistics())
        if self.baselines:
            write_baselines(folder / "baselines.npz", [group for _, group in self.baselines])
        (folder / "MODEL_CARD.md").write_text(f"# {model}\n", encoding="utf-8")
        manifest = bundle_pb2.Bundle(
            format_version=1,
            model=model,
            version=version,
            input_kind="INPUT_KIND_TABULAR",
            objective=f"OBJECTIVE_{self._predicts()}",
            class_labels=self.labels,
            target_name=None if self.labels else TARGET_NAME,
            tabular=self.schema(),
            precision="fp32",
            golden_tolerance=1e-4,
            golden_reduced_tolerance=0.05,
            golden_attributions=bundle_pb2.GoldenAttributions(
                method="permutation-shap",
                method_version=METHODS["permutation-shap"].version,
                evaluations_per_player=64,
                tolerance=0.01,
            ),
        )
        if not self._golden().attributions:
            manifest.ClearField("golden_attributions")
        write_golden(folder / "golden.npz", self._golden(), manifest)
        manifest.files.extend(describe_files(folder, sorted(path.name for path in folder.iterdir())))
        text = json_format.MessageToJson(manifest, preserving_proto_field_name=True)
        (folder / "manifest.json").write_text(text, encoding="utf-8")
        return folder

    def _predicts(self) -> str:
        if not self.labels:
            return "REGRESSION"
        return "MULTI_LABEL" if self.multi_label else "CLASSIFICATION"

    def _golden(self) -> Golden:
        numbers, codes = self.rows(_GOLDEN_ROWS, seed=99)
        answers = self.answers(numbers, codes)
        # All coalitions fit 64 evaluations a player, where permutation-shap is exact.
        rows = (0, 1) if len(self.players()) <= 7 else ()
        attributions = {row: self.shapley_values(numbers[row], codes[row])[answers[row].argmax()] for row in rows}
        inputs = TableColumns(self.schema()).inputs_of(TableRows(numbers.astype(np.float32), codes))
        return Golden(inputs, answers.astype(np.float32), attributions)

    def _graph(self) -> onnx.ModelProto:
        constants: dict[str, NDArray[np.generic]] = {"output_weights": self.output_weights.astype(np.float32)}
        inputs, nodes, terms = [], [], []
        if self.numbers:
            inputs.append(helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["batch", len(self.numbers)]))
            constants["imputed"] = self.imputed.astype(np.float32)
            constants["number_weights"] = self.number_weights.astype(np.float32)
            nodes += [
                helper.make_node("IsNaN", ["numbers"], ["is_missing"]),
                helper.make_node("Where", ["is_missing", "imputed", "numbers"], ["whole"]),
                helper.make_node("MatMul", ["whole", "number_weights"], ["from_numbers"]),
            ]
            terms.append("from_numbers")
        if self.others:
            inputs.append(helper.make_tensor_value_info("codes", TensorProto.INT64, ["batch", len(self.others)]))
            constants["embeddings"] = np.concatenate(self.embeddings).astype(np.float32)
            sizes = [len(embedding) for embedding in self.embeddings]
            constants["offsets"] = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
            constants["axis"] = np.array([1], dtype=np.int64)
            nodes += [
                helper.make_node("Add", ["codes", "offsets"], ["places"]),
                helper.make_node("Gather", ["embeddings", "places"], ["embedded"]),
                helper.make_node("ReduceSum", ["embedded", "axis"], ["from_codes"], keepdims=0),
            ]
            terms.append("from_codes")
        name = "logits" if self.labels else "values"
        nodes += [
            helper.make_node("Sum", terms, ["sum"]),
            helper.make_node("Tanh", ["sum"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "output_weights"], [name]),
        ]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", self.output_weights.shape[1]])]
        initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "tiny-table", inputs, outputs, initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return model


def tiny_table(
    columns: Sequence[ColumnSchema] = COLUMNS,
    *,
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    equal_weights: bool = False,
    background_rows: int = BACKGROUND_ROWS,
    multi_label: bool = False,
) -> TinyTable:
    """A model with random weights; without labels it is a regression."""
    stream = np.random.Generator(np.random.Philox(seed))

    def draw(*shape: int) -> Floats:
        return np.asarray(stream.normal(size=shape).astype(np.float32), dtype=np.float64)

    outputs = len(labels) or 1
    n_numbers = sum(column.type == COLUMN_TYPE_NUMBER for column in columns)
    scale = 1 / np.sqrt(len(columns))
    sizes = [2 + len(column.categories) for column in columns if column.type != COLUMN_TYPE_NUMBER]
    table = TinyTable(
        columns=tuple(columns),
        labels=tuple(labels),
        number_weights=2 * scale * draw(n_numbers, _HIDDEN),
        imputed=draw(n_numbers),
        embeddings=tuple(2 * scale * draw(size, _HIDDEN) for size in sizes),
        output_weights=draw(_HIDDEN, outputs),
        background=Background(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.int64), np.zeros(0)),
        multi_label=multi_label,
    )
    numbers, codes = table.rows(background_rows, seed=seed + 1, missing=0.0)
    weights = np.ones(background_rows) if equal_weights else stream.uniform(0.5, 2.0, background_rows)
    return replace(table, background=Background(numbers.astype(np.float32), codes, weights / weights.sum()))


def with_baselines(table: T) -> T:
    """The same model with the groups "good" and "bad" of three and two rows, in which values are missing."""
    groups = []
    for name, rows in (("good", 3), ("bad", 2)):
        numbers, codes = table.rows(rows, seed=len(name), missing=0.2)
        weights = np.arange(1.0, rows + 1)
        groups.append((name, Background(numbers.astype(np.float32), codes, weights / weights.sum())))
    return replace(table, baselines=tuple(groups))


def wide_columns(count: int) -> list[ColumnSchema]:
    """Four numbers, then a category, and so on."""
    return [
        ColumnSchema(name=f"category_{index}", type=COLUMN_TYPE_CATEGORY, categories=["a", "b", "c"])
        if index % 5 == 4
        else ColumnSchema(name=f"number_{index}", type=COLUMN_TYPE_NUMBER)
        for index in range(count)
    ]


def build_table_repository(directory: Path) -> Path:
    """A repository with the classifier "loans" and the regressor "losses"."""
    tiny_table().publish(directory, "loans")
    tiny_table(labels=(), seed=1).publish(directory, "losses")
    return directory
