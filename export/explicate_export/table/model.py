"""The trained network in torch: loading it, checking that it fits the run, and its answers as the reference."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from explicate_bundle.columns import CODES_NAME, NUMBERS_NAME, TableColumns, TableRows
from explicate_export.errors import UsageError
from explicate_export.onnx_graph import GraphSource
from explicate_export.pretrained import cannot_load
from explicate_export.training_run import FinishedRun
from explicate_training.table.network import TabularNetwork, load_network

_SAMPLE_ROWS = 2  # any number above 1 will do


@dataclass(frozen=True)
class TableModel:
    """A network of ours in float32."""

    network: TabularNetwork

    @torch.no_grad()
    def outputs(self, rows: TableRows) -> NDArray[np.float32]:
        """float32 [rows, outputs], as the network answers in training."""
        answers: torch.Tensor = self.network(torch.from_numpy(rows.numbers), torch.from_numpy(rows.codes))
        return np.asarray(answers.numpy(), dtype=np.float32)

    def graph_source(self, output_name: str) -> GraphSource:
        """The network as a graph with dynamic batch; an input without columns does not exist."""
        config = self.network.config
        samples = {
            NUMBERS_NAME: torch.zeros(_SAMPLE_ROWS, config.number_columns),
            CODES_NAME: torch.zeros(_SAMPLE_ROWS, len(config.category_counts), dtype=torch.int64),
        }
        present = {name: sample for name, sample in samples.items() if sample.shape[1]}
        return GraphSource(
            module=_Rows(self.network, tuple(present)),
            name=type(self.network).__name__,
            samples=present,
            dynamic_axes={0: "batch"},
            output_name=output_name,
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

    def __init__(self, network: TabularNetwork, input_names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.input_names = input_names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        given = dict(zip(self.input_names, inputs, strict=True))
        rows = inputs[0].shape[0]
        numbers = given.get(NUMBERS_NAME, torch.zeros(rows, 0))
        codes = given.get(CODES_NAME, torch.zeros(rows, 0, dtype=torch.int64))
        answers: torch.Tensor = self.network(numbers, codes)
        return answers
