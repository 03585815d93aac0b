"""Models of tables: background, golden rows, and rows with holes to compare on."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON values; model rows of any kind

import numpy as np
import torch
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.cell_readers import CellError, TooLargeError
from explicate_bundle.columns import (
    CODES_NAME,
    NUMBERS_NAME,
    TableColumns,
    TableRows,
)
from explicate_bundle.errors import BundleError
from explicate_bundle.kinds.table_kind import read_baselines_of
from explicate_bundle.model_inputs import ModelInput, TabularInput
from explicate_bundle.table_arrays import Background, LimeStatistics, read_background, read_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, BASELINES_NAME, GRAPH_NAME, LIME_NAME
from explicate_export.conversion import AnswerRows, CardText, ModelExport, Say
from explicate_export.described import HeldOut
from explicate_export.errors import ParityError, UsageError
from explicate_export.golden_inputs import Compared, GoldenChoice
from explicate_export.onnx_graph import TorchGraph, cannot_load
from explicate_export.parity import MAX_DIFFERENCE, Scale, largest
from explicate_export.table.golden_rows import edge_rows, golden_rows
from explicate_export.table.seen_rows import seen_rows
from explicate_export.table.table_card import absence, columns_section, form_sentence, words
from explicate_export.training_run import UNFINISHED, FinishedRun, check_files, read_held_out
from explicate_server.modalities.modality import EncodedInput, Modality
from explicate_server.modalities.rows.table_claims import CONTRIBUTIONS, TableGraph, check_claims, claims
from explicate_server.modalities.table import TabularModality
from explicate_server.runtime.graph_outputs import GraphOutputs
from explicate_training.table.forms.additive_network import AdditiveNetwork
from explicate_training.table.network import TableNetwork
from explicate_training.table.saved_network import load_network

_SAMPLE_ROWS = 2  # any number above 1 will do


@dataclass(frozen=True)
class TableModel:
    """A network of ours in float32."""

    network: TableNetwork

    @property
    def tells_contributions(self) -> bool:
        """Whether it is a sum over columns, and so tells what each adds."""
        return isinstance(self.network, AdditiveNetwork) and self.network.shape.additive

    @torch.no_grad()
    def contributions(self, rows: TableRows) -> NDArray[np.float32]:
        """What each player adds, float32 [rows, players, outputs]; of a network that tells it."""
        assert isinstance(self.network, AdditiveNetwork)
        told = self.network.with_contributions(torch.from_numpy(rows.numbers), torch.from_numpy(rows.codes))[1]
        return np.asarray(told.numpy(), dtype=np.float32)

    @torch.no_grad()
    def outputs(self, rows: TableRows) -> NDArray[np.float32]:
        """float32 [rows, outputs], as the network answers in training."""
        answers: torch.Tensor = self.network(torch.from_numpy(rows.numbers), torch.from_numpy(rows.codes))
        return np.asarray(answers.numpy(), dtype=np.float32)

    def graph_source(self, output_name: str) -> TorchGraph:
        """The network as a graph with dynamic batch; an input without columns does not exist."""
        config = self.network.config
        samples = {
            NUMBERS_NAME: torch.zeros(_SAMPLE_ROWS, config.number_columns),
            CODES_NAME: torch.zeros(_SAMPLE_ROWS, len(config.category_counts), dtype=torch.int64),
        }
        present = {name: sample for name, sample in samples.items() if sample.shape[1]}
        told = self.tells_contributions
        return TorchGraph(
            module=(_ToldRows if told else _Rows)(self.network, tuple(present)),
            name=type(self.network).__name__,
            samples=present,
            dynamic_axes={0: "batch"},
            output_name=output_name,
            more_outputs=(CONTRIBUTIONS,) if told else (),
            advice="say so, with the run's config.toml, where you have Explicate from",
        )


def load(run: FinishedRun, columns: TableColumns) -> TableModel:
    """Loads the run's network; raises UsageError when it does not fit what run.json says."""
    directory = run.model_directory
    try:
        network = load_network(directory)
    except Exception as error:  # a broken file raises whatever the reader of that part raises
        raise cannot_load(directory, error) from error
    config = network.config
    if (columns.numbers, columns.category_counts) != (config.number_columns, tuple(config.category_counts)):
        raise UsageError(
            f"{run.directory} is not consistent: run.json and the model differ in columns or categories, so train again"
        )
    run.check_outputs(config.outputs)
    return TableModel(network)


class _Rows(torch.nn.Module):
    """Calls the network with the inputs that exist."""

    def __init__(self, network: TableNetwork, input_names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.input_names = input_names

    def given(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Numbers and codes, empty where there are none."""
        given = dict(zip(self.input_names, inputs, strict=True))
        rows = inputs[0].shape[0]
        numbers = given.get(NUMBERS_NAME, torch.zeros(rows, 0))
        return numbers, given.get(CODES_NAME, torch.zeros(rows, 0, dtype=torch.int64))

    def forward(self, *inputs: torch.Tensor) -> Any:
        answers: torch.Tensor = self.network(*self.given(*inputs))
        return answers


class _ToldRows(_Rows):
    """With what each player adds, behind the answers."""

    def forward(self, *inputs: torch.Tensor) -> Any:
        assert isinstance(self.network, AdditiveNetwork)
        return self.network.with_contributions(*self.given(*inputs))


class TableExport(ModelExport):
    """A network for one table."""

    batch_rows = 4096
    architecture = "the network"
    # No lower precision: a number such as 12,345.6 loses what counts in it before the graph has scaled it.
    reduced_tolerance = 0.0
    auto_variants = ()
    schema: bundle_pb2.TabularSchema

    def __init__(self, run: FinishedRun, say: Say) -> None:
        """Reads the held-out rows and loads the network; raises UsageError if something does not fit run.json."""
        check_files(run.model_directory, ("config.json", "model.safetensors"))
        self.described = run
        self._directory = run.directory
        self.schema = run.record.tabular
        self._columns = TableColumns(self.schema)
        self._background, self._lime = read_arrays(run)
        self._baselines = baselines_of(run)
        self.words = words(run.record.target_name, len(self._columns.all))
        self.held_out = held_out_rows(run)
        say(f"loading {run.model_directory}")
        self._trained = load(run, self._columns)

    def prepare(self, folder: Path, values: Sequence[ModelInput]) -> Modality:  # noqa: ARG002
        """Copies background.npz, and lime.npz and baselines.npz if the run has them."""
        self._graph_path = folder / GRAPH_NAME
        more = {LIME_NAME: self._lime, BASELINES_NAME: self._baselines}
        for name in (BACKGROUND_NAME, *(name for name, there in more.items() if there)):
            shutil.copyfile(self._directory / name, folder / name)
        return TabularModality(self.schema, self._background, self._lime, baselines=self._baselines)

    def edge_cases(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> list[ModelInput]:  # noqa: ARG002
        """Rows with missing values and unknown categories."""
        return list(self._columns.inputs_of(edge_rows(self._rows(encoded))))

    def graph_source(self, output_name: str) -> TorchGraph:
        """The network, with imputing, scaling and encoding."""
        return self._trained.graph_source(output_name)

    def reference(self, values: Sequence[ModelInput], encoded: Sequence[EncodedInput]) -> NDArray[np.float32]:  # noqa: ARG002
        """As the network answers in training."""
        return self._trained.outputs(self._rows(encoded))

    def measure(self, answer: AnswerRows, compared: Compared, scale: Scale, say: Say) -> None:  # noqa: ARG002
        """Checks on the graph what the schema claims of it, as a server does at load."""
        if not claims(self.schema):
            return
        graph = TableGraph(GraphOutputs(self._graph_path), self._columns)
        rows = np.concatenate([one.row.values for one in compared.encoded])
        tolerance = MAX_DIFFERENCE * scale.unit
        try:
            check_claims(graph, self.schema, rows, labels=self.described.labels, tolerance=tolerance)
        except BundleError as error:
            raise ParityError(f"{error}: nothing was published") from None
        monotone = [column.name for column in self.schema.columns if column.HasField("monotone")]
        if monotone:
            say(f"monotone in {', '.join(monotone)}: checked on the graph")
        if self.schema.contributions:
            told = self._trained.contributions(self._rows(compared.encoded))
            difference = largest(graph.contributions(rows)[1] - told) / scale.unit
            if not difference <= MAX_DIFFERENCE:
                raise ParityError(
                    f"contributions of the ONNX graph and of torch differ by up to {difference:.2g} {scale.words}, "
                    f"above {MAX_DIFFERENCE:g}: nothing was published"
                )
            say(
                f"contributions of {len(self._columns.players)} columns and groups sum to the outputs; from torch's "
                f"they differ by {difference:.1e} {scale.words}"
            )

    def choose_golden(self, compared: Compared) -> GoldenChoice:
        """Rows spread evenly over the first output, the lowest and the highest among them, and the edge cases."""
        return golden_rows(compared, self._columns, self._background)

    def card(self, scale: Scale) -> CardText:  # noqa: ARG002
        """The columns, and the background that absent ones take their values from."""
        return CardText(
            words=self.words,
            inputs="rows",
            origin=f"A network for tables, trained from nothing; imputing, scaling and encoding are part of the graph."
            f"{form_sentence(self.schema)}",
            absence=absence(self.schema),
            sections=(columns_section(self.schema),),
            tested=tuple(seen_rows(self.schema, [one.value for one in self.held_out])),
        )

    def _rows(self, encoded: Iterable[EncodedInput]) -> TableRows:
        values: NDArray[Any] = np.concatenate([one.row.values for one in encoded])
        split = self._columns.numbers
        return TableRows(values[:, :split].astype(np.float32), values[:, split:].astype(np.int64))


def read_arrays(run: FinishedRun) -> tuple[Background, LimeStatistics | None]:
    """The background rows, and what lime draws its rows from; raises UsageError if one does not fit the columns."""
    schema = run.record.tabular
    check_files(run.directory, [BACKGROUND_NAME, *([LIME_NAME] if schema.lime_statistics else [])])
    try:
        background = read_background(run.directory / BACKGROUND_NAME, schema)
        lime = read_lime_statistics(run.directory / LIME_NAME, schema) if schema.lime_statistics else None
    except BundleError as error:
        raise UsageError(f"{run.directory}: {error}, so train again") from None
    return background, lime


def baselines_of(run: FinishedRun) -> Mapping[str, Background]:
    """The groups that explanations may be set against; raises UsageError if they do not fit the columns."""
    if run.record.tabular.baselines:
        check_files(run.directory, [BASELINES_NAME])
    try:
        return read_baselines_of(run.directory, run.record.tabular)
    except BundleError as error:
        raise UsageError(f"{run.directory}: {error}, so train again") from None


def held_out_rows(run: FinishedRun) -> list[HeldOut]:
    """The test split's rows."""
    columns = TableColumns(run.record.tabular)

    def read(line: Mapping[str, Any]) -> TabularInput | None:
        if not isinstance(line.get("row"), dict):
            raise UsageError(f'not an object with a "row": {UNFINISHED}')
        try:
            (row,) = columns.inputs_of(columns.encoded([line["row"]]))
        except TooLargeError:
            return None
        except CellError as error:
            raise UsageError(f"{error}, so train again") from None
        return row

    return read_held_out(run, read)
