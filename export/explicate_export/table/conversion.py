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
from explicate_bundle.cells.date_notation import DateNotation
from explicate_bundle.cells.number_notation import NumberNotation
from explicate_bundle.columns import (
    CODES_NAME,
    MISSING_CODE,
    NUMBERS_NAME,
    UNKNOWN_CODE,
    TableColumns,
    TableRows,
)
from explicate_bundle.errors import BundleError
from explicate_bundle.model_inputs import ModelInput, TabularInput
from explicate_bundle.table_arrays import Background, LimeStatistics, read_background, read_lime_statistics
from explicate_bundle.writing import BACKGROUND_NAME, GRAPH_NAME, LIME_NAME
from explicate_export.conversion import AnswerRows, CardText, ModelExport, Say
from explicate_export.described import HeldOut
from explicate_export.errors import ParityError, UsageError
from explicate_export.golden_inputs import Compared, GoldenChoice, spread_evenly
from explicate_export.markdown import code, plain, table
from explicate_export.objectives import InputWords
from explicate_export.onnx_graph import TorchGraph, cannot_load
from explicate_export.parity import MAX_DIFFERENCE, Scale, largest
from explicate_export.training_run import UNFINISHED, FinishedRun, check_files, read_held_out
from explicate_server.modalities.modality import EncodedInput, Modality
from explicate_server.modalities.table import TabularModality
from explicate_server.modalities.table_claims import CONTRIBUTIONS, TableGraph, check_claims, claims
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


GOLDEN_ROWS = 32
# Rows of the model that the attributions of a bundle may take at every load: 0.1 s or so. How many rows are attributed
# and with how many evaluations per player is the first of these that fits; 2 is one order of the players.
MOST_MODEL_ROWS = 20_000
_CHOICES = ((4, 8), (4, 2), (1, 2))
_EDGE_ROWS = 6
_MISSING_FRACTION, _UNKNOWN_FRACTION = 0.3, 0.2
_NAMED_CATEGORIES = 8


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
        self.words = _words(run, len(self._columns.all))
        self.held_out = held_out_rows(run)
        say(f"loading {run.model_directory}")
        self._trained = load(run, self._columns)

    def prepare(self, folder: Path, values: Sequence[ModelInput]) -> Modality:  # noqa: ARG002
        """Copies background.npz, and lime.npz if the run has it."""
        self._graph_path = folder / GRAPH_NAME
        for name in (BACKGROUND_NAME, *([LIME_NAME] if self._lime else [])):
            shutil.copyfile(self._directory / name, folder / name)
        return TabularModality(self.schema, self._background, self._lime)

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
        by_output = np.argsort(compared.reference[: compared.held_out, 0], kind="stable")
        whole = spread_evenly(by_output.tolist(), GOLDEN_ROWS)
        chosen = [*whole, *range(compared.held_out, len(compared.values))]
        cost = len(self._columns.players) * len(self._background.weights)
        for rows, evaluations_per_player in _CHOICES:
            if rows * evaluations_per_player * cost <= MOST_MODEL_ROWS:
                return GoldenChoice(chosen, spread_evenly(whole, rows), evaluations_per_player)
        return GoldenChoice(chosen, ())

    def card(self, scale: Scale) -> CardText:  # noqa: ARG002
        """The columns, and the background that absent ones take their values from."""
        return CardText(
            words=self.words,
            inputs="rows",
            origin=f"A network for tables, trained from nothing; imputing, scaling and encoding are part of the graph."
            f"{_form_sentence(self.schema)}",
            absence=_absence(self.schema),
            sections=(_columns_section(self.schema),),
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


def edge_rows(rows: TableRows) -> TableRows:
    """A row with everything missing, one whose categories are all unknown, and a few of `rows` with some of both."""
    stream = np.random.Generator(np.random.Philox(0))
    first = rows[[0, 0]]
    numbers, codes = np.full_like(first.numbers, np.nan), np.full_like(first.codes, MISSING_CODE)
    numbers[1], codes[1] = first.numbers[1], UNKNOWN_CODE
    holed = rows[np.linspace(0, len(rows) - 1, _EDGE_ROWS).round().astype(np.intp)]
    missing = stream.random(holed.numbers.shape) < _MISSING_FRACTION
    draws = stream.random(holed.codes.shape)
    holed_codes = np.where(draws < _MISSING_FRACTION + _UNKNOWN_FRACTION, UNKNOWN_CODE, holed.codes)
    holed_codes = np.where(draws < _MISSING_FRACTION, MISSING_CODE, holed_codes)
    holes = TableRows(np.where(missing, np.float32(np.nan), holed.numbers), holed_codes)
    return TableRows.concatenated([TableRows(numbers, codes), holes])


def _words(run: FinishedRun, columns: int) -> InputWords:
    target = run.record.target_name
    return InputWords(
        one="row",
        many="rows",
        source=f"{columns} columns of a table",
        judged=f"by {columns} columns of a table row",
        classifier=f"A classifier of table rows that predicts {code(target)} from {columns} columns,",
        alike="same source, columns and units",
        of_no_class="for rows that belong to none",
        of_no_value="far from the rows it was trained on, where nothing is known of it",
        probabilities_fade=False,
        edge_cases="with holes",
        limits=(
            "Every column takes missing values, and a category that is not among those above is answered as unknown, "
            'which the answer says. Where a column was never missing in training ("no" above), or a category never '
            "unknown, nothing was learnt of it.",
        ),
    )


def _columns_section(schema: bundle_pb2.TabularSchema) -> str:
    promises = any(column.HasField("monotone") for column in schema.columns)
    rows = [
        (
            column.name,
            bundle_pb2.ColumnType.Name(column.type).removeprefix("COLUMN_TYPE_").lower(),
            _written(column) or _categories(column),
            column.group,
            "yes" if column.may_be_missing else "no",
            *((_promise(column),) if promises else ()),
        )
        for column in schema.columns
    ]
    head = ["column", "type", "categories, or how it is written", "group", "missing in training"]
    head += ["promised"] if promises else []
    lines = ["## Columns", "", *table(head, rows)]
    if schema.left_out:
        lines += ["", "Not read:", "", *table(("column", "why"), [(one.name, one.reason) for one in schema.left_out])]
    return "\n".join(lines)


def _written(column: bundle_pb2.ColumnSchema) -> str:
    """How texts of a number or date column are read, by an example; "" for another column or a plain number."""
    notation: NumberNotation | DateNotation | None = None
    if column.HasField("number_notation"):
        notation = NumberNotation.of(column.number_notation)
    elif column.HasField("date_notation"):
        notation = DateNotation.of(column.date_notation)
    marks = [f"{plain(word)} is missing" for word in column.missing_words]
    return "; ".join([*([plain(notation.example)] if notation else []), *marks])


def _categories(column: bundle_pb2.ColumnSchema) -> str:
    named = ", ".join(map(plain, column.categories[:_NAMED_CATEGORIES]))
    more = len(column.categories) > _NAMED_CATEGORIES
    return f"{named}, … ({len(column.categories)} in all)" if more else named


def _absence(schema: bundle_pb2.TabularSchema) -> str:
    lime = (
        " `lime.npz` says of each column how the training values are spread: quartiles, least and largest value, means "
        "and deviations of a number, frequencies of categories. The method lime draws its rows from it."
        if schema.lime_statistics
        else ""
    )
    return (
        f"A column, or a group of columns, is absent when it takes the values of the {schema.background_rows} "
        "background rows in `background.npz`, one after the other; the outputs are averaged with the rows' weights "
        "(interventional). The background summarises the training rows and holds none of them. Where columns depend on "
        f"each other this asks the model about rows that do not occur: give such columns a group.{lime}"
    )


def _form_sentence(schema: bundle_pb2.TabularSchema) -> str:
    """What the network lets work together; empty where that is everything."""
    if schema.form == bundle_pb2.TABULAR_FORM_ADDITIVE:
        return (
            " It is a sum of one function for each column or group of columns, which never work together: what a "
            "column adds depends on that column alone. So its explanations are exact."
        )
    if schema.form == bundle_pb2.TABULAR_FORM_PAIRS:
        pairs = ", ".join(f"{code(pair.first)} with {code(pair.second)}" for pair in schema.pairs)
        return (
            " It is a sum of one function for each column or group of columns and one for each of some pairs "
            f"({pairs or 'none was above chance'}), which the training rows chose."
        )
    return ""


def _promise(column: bundle_pb2.ColumnSchema) -> str:
    """What the network promises of a column, such as "raises good"; empty for nothing."""
    if not column.HasField("monotone"):
        return ""
    claim = column.monotone
    what = f"the probability of {claim.label}" if claim.HasField("label") else "the answer"
    return f"as it rises, {what} never {'rises' if claim.decreasing else 'falls'}"
