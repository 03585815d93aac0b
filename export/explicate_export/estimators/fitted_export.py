"""A fitted model as what export takes: its graph, its rows, and all that a bundle of a table holds besides."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # metrics of JSON

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate.v1.training_run_pb2 import TrainingRun
from explicate_bundle.columns import TableColumns
from explicate_bundle.model_inputs import ModelInput
from explicate_bundle.table_arrays import write_background, write_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, GRAPH_NAME, LIME_NAME
from explicate_export.conversion import AnswerRows, CardText, ModelExport, Say
from explicate_export.described import DescribedModel, HeldOut
from explicate_export.errors import ParityError, UsageError
from explicate_export.estimators.fitted_model import FittedModel
from explicate_export.estimators.frame import FrameColumns
from explicate_export.estimators.table_graph import TableGraphParts
from explicate_export.golden_inputs import Compared, GoldenChoice, spread_evenly
from explicate_export.parity import MAX_DIFFERENCE, OUTPUTS, PROBABILITIES, Comparison, Graph, Origin, Scale, largest
from explicate_export.ready_graph import ReadyGraph
from explicate_export.table.golden_rows import edge_places, edge_rows, golden_rows
from explicate_export.table.seen_rows import seen_rows
from explicate_export.table.table_card import absence, columns_section, words
from explicate_export.trees import add_trees
from explicate_server.modalities.modality import EncodedInput, Modality
from explicate_server.modalities.table import TabularModality
from explicate_training.table.background import lime_statistics, summarise

BACKGROUND_ROWS = 32
_MOST_TORN = 0.01
"""Of the rows; with more of them the graph is another model."""
_BLOCK = 8192
_MOST_HELD = 5000
"""Rows that are kept as inputs, to compare one by one and to evaluate on; all rows are compared as blocks."""
_TOOLS = ("scikit-learn", "skl2onnx", "xgboost", "xgboost-cpu", "lightgbm", "pandas")


class FittedExport(ModelExport):
    """A model of scikit-learn, XGBoost or LightGBM with rows that it takes."""

    batch_rows = 4096
    reduced_tolerance = 0.0  # see TableExport
    auto_variants = ()
    schema: bundle_pb2.TabularSchema

    def __init__(
        self,
        fitted: FittedModel,
        parts: TableGraphParts,
        frame: pd.DataFrame,
        *,
        target_name: str,
        metrics: Mapping[str, Any],
        background_rows: int,
        seed: int,
    ) -> None:
        """With the rows that the graph was made on.

        Raises ParityError if the graph does not answer as the model does on all of them.
        """
        self._fitted, self._parts, self._frame = fitted, parts, frame
        self.schema = parts.columns.schema()
        self._table = TableColumns(self.schema)
        self._background = summarise(parts.rows, background_rows, seed=seed)
        self.schema.background_rows = len(self._background)
        self.schema.lime_statistics = True
        self.architecture = f"the {fitted.name}"
        self._torn = parts.predicted.torn if parts.predicted.torn is not None else np.zeros(len(frame), dtype=np.bool_)
        self.words = words(target_name, len(self.schema.columns))
        self.described = DescribedModel(
            record=self._record(target_name), origin=_origin(fitted), test_metrics=metrics, data_report=self._data()
        )
        if problem := self.described.draft_problem():
            raise UsageError(f"a server would not take this model: {problem}")
        self._untorn = np.flatnonzero(~self._torn)
        self._kept = np.array(spread_evenly(self._untorn.tolist(), _MOST_HELD))
        self.off = self._check_all_rows()
        self.held_out = self._held_out()

    @property
    def comparison(self) -> Comparison:  # type: ignore[override]  # by what it predicts
        """Probabilities of classes; their logits may be others by a constant."""
        return PROBABILITIES if self._fitted.classes else OUTPUTS

    def choose(self, count: int) -> list[HeldOut]:
        """Rows spread evenly over the frame."""
        self._chosen = np.array(spread_evenly(self._kept.tolist(), count))
        return [self.held_out[index] for index in np.searchsorted(self._kept, self._chosen)]

    def prepare(self, folder: Path, values: Sequence[ModelInput]) -> Modality:  # noqa: ARG002
        """Writes the background, and what lime draws its rows from."""
        self._graph_path = folder / GRAPH_NAME
        rows, counts = self._parts.rows, [2 + count for count in self._table.category_counts]
        statistics = lime_statistics(rows.numbers, rows.codes, counts)
        write_background(folder / BACKGROUND_NAME, self._background)
        write_lime_statistics(folder / LIME_NAME, statistics)
        return TabularModality(self.schema, self._background, statistics)

    def edge_cases(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> list[ModelInput]:  # noqa: ARG002
        """Rows with missing values and unknown categories."""
        self._edges = edge_rows(self._parts.rows[self._chosen])
        return list(self._table.inputs_of(self._edges))

    def graph_source(self, output_name: str) -> ReadyGraph:  # noqa: ARG002 - it has the name already
        """The graph that was made."""
        return ReadyGraph(self._parts.model)

    def reference(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> NDArray[np.float32]:  # noqa: ARG002
        """What the model answers, and for rows with holes what it answers where it takes them."""
        edges = self._fitted.answers(self._edge_frame())
        return np.concatenate((self._parts.answers[self._chosen], edges)).astype(np.float32)

    def measure(self, answer: AnswerRows, compared: Compared, scale: Scale, say: Say) -> None:  # noqa: ARG002
        """Tells the trees of the graph, where its answers are a sum of them."""
        rows = np.concatenate([one.row.values for one in compared.encoded])
        tolerance = MAX_DIFFERENCE * scale.unit
        objective = self.described.kind.predicts
        add_trees(self._graph_path, self.schema, rows=rows, objective=objective, tolerance=tolerance, say=say)

    def choose_golden(self, compared: Compared) -> GoldenChoice:
        """As of every table."""
        return golden_rows(compared, self._table, self._background)

    def card(self, scale: Scale) -> CardText:  # noqa: ARG002
        """How the model was made, and what its graph does otherwise."""
        return CardText(
            words=self.words,
            inputs="rows",
            origin=f"A {self._fitted.name} of {self._fitted.library} that was fitted elsewhere; imputing, scaling and "
            f"encoding are part of the graph. {self._parts.predicted.told}{self._logits()}",
            absence=absence(self.schema, rows="given rows"),
            sections=(columns_section(self.schema, "the given rows"), *self._differences()),
            tested=tuple(seen_rows(self.schema, [one.value for one in self.held_out])),
        )

    @property
    def substituted(self) -> Sequence[str]:
        """Sentences on what the bundle answers otherwise than the model, but for rounding."""
        told = list(self._parts.substitutes.told)
        if count := self._parts.otherwise:
            told.append(
                f"The bundle answers the class with the highest probability. For {count:,} of the {len(self._frame):,} "
                "rows the model's own `predict` is another one."
            )
        return told

    @property
    def kept(self) -> list[int]:
        """The rows that are held-out inputs: of all but torn ones, spread evenly."""
        return [int(row) for row in self._kept]

    def notes(self) -> list[str]:
        """Sentences on how closely the graph answers, and where it differs from the model on purpose."""
        scale = "of a probability" if self._fitted.classes else "of the answers' spread"
        rows = f"{self._fitted.library} does on {len(self._untorn):,} rows"
        close = f"the graph answers as {rows}, off by {self.off:.1e} {scale}"
        rounding = self.rounding()
        return [close, *self.substituted, *([rounding] if rounding else [])]

    def rounding(self) -> str:
        """What reading numbers with 32 bits did to the conditions of trees; empty where nothing."""
        moved, torn = self._parts.predicted.moved, int(self._torn.sum())
        if not (moved or torn):
            return ""
        apart = (
            f"{torn:,} of the {len(self._torn):,} rows lie so close to a condition that 32 bits cannot tell them "
            "from a row on its other side; they were not compared."
            if torn
            else f"All {len(self._torn):,} rows still go their own way."
        )
        return f"A server reads numbers with 32 bits. {moved:,} conditions of the trees moved by a rounding. {apart}"

    def _logits(self) -> str:
        told = self._parts.predicted
        if told.form == "probabilities":
            return " It has no logits of its own: they are logarithms of its probabilities, 1e-7 at least."
        if told.form == "logits" and told.width == 2:
            return " Its two logits are half of its log-odds, below and above 0."
        return ""

    def _differences(self) -> list[str]:
        sentences = [*self.substituted, *([self.rounding()] if self.rounding() else [])]
        return ["\n\n".join(["## Where the bundle differs from the model", *sentences])] if sentences else []

    def _edge_frame(self) -> Any:
        """The rows with holes as the model takes them, their numbers as they were before 32 bits."""
        columns: FrameColumns = self._parts.substitutes.columns
        places = self._chosen[edge_places(len(self._chosen))]
        numbers = columns.wide_numbers(self._frame.iloc[places])
        filled = np.array(self._parts.substitutes.missing_numbers).reshape(1, -1)
        numbers = np.where(np.isnan(self._edges.numbers), filled, numbers)
        return columns.asked(columns.decoded(numbers, self._edges.codes))

    def _record(self, target_name: str) -> TrainingRun:
        versions = {}
        for name in _TOOLS:
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        return TrainingRun(
            objective="classification" if self._fitted.classes else "regression",
            labels=self._fitted.labels,
            target_name=target_name,
            tabular=self.schema,
            base_model=f"{self._fitted.library} {self._fitted.name}",
            tool_versions=versions,
        )

    def _data(self) -> dict[str, Any]:
        return {"rows given": len(self._frame), "columns": self._frame.shape[1]}

    def _held_out(self) -> list[HeldOut]:
        rows = self._parts.rows[self._kept]
        answers = self._parts.answers[self._kept]
        values = self._table.inputs_of(rows)
        # A regression's differences are measured in the spread of what it answers: targets may not be known.
        targets = [None] * len(values) if self._fitted.classes else answers[:, 0].tolist()
        return [HeldOut(*one) for one in zip(values, answers.tolist(), targets, strict=True)]

    def _check_all_rows(self) -> float:
        """The largest difference of the graph from the model on all rows but torn ones; raises ParityError."""
        if self._torn.mean() > _MOST_TORN:
            raise ParityError(
                f"{int(self._torn.sum()):,} of {len(self._torn):,} rows of X lie so close to a condition of the trees "
                "that 32 bits cannot tell on which side: make the numbers smaller (subtract a constant, or scale them) "
                "and fit the model again; nothing was published"
            )
        graph = Graph(self._parts.model.SerializeToString())
        blocks = [self._untorn[start : start + _BLOCK] for start in range(0, len(self._untorn), _BLOCK)]
        found = np.concatenate([graph.run(self._parts.rows[block].feeds()) for block in blocks])
        answers = self._parts.answers[self._untorn]
        scale = self.comparison.scale or Scale(float(answers.std()) or 1.0, "of the answers' spread")
        off = largest(self.comparison.form(found).astype(np.float64) - answers) / scale.unit
        if not off <= scale.limit:
            raise ParityError(
                f"the ONNX graph and {self._fitted.library} differ by up to {off:.2g} {scale.words} on the rows of X, "
                f"above {scale.limit:g}: nothing was published"
            )
        return off


def _origin(fitted: FittedModel) -> Origin:
    return Origin(
        inputs="given",
        library=fitted.library,
        original=f"the {fitted.name}",
        encoder="its own steps",
        answers=f"those of {fitted.library}",
        difference="32 bits do not hold what the model computes with 64",
        metrics_of="the given rows",
        no_verdict="",
        reproduction="In the process that fitted the model:",
        commands=(
            "import explicate_export",
            "explicate_export.from_sklearn(model, X, repository=DIR, name=NAME)",
        ),
        made="It was fitted elsewhere.",
        data="The rows were given by whoever exported the model; whether it was fitted on them is not known.",
        spread_of="the answers' spread",
    )
