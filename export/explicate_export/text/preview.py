"""The preview explainer of a text model as a graph of its own, explainer.onnx, which is compared with torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # onnxruntime has no types

import numpy as np
import torch
from numpy.typing import NDArray

from explicate_export.errors import ParityError, UsageError, first_line
from explicate_export.onnx_graph import TorchGraph, write_graph
from explicate_export.parity import MAX_DIFFERENCE, Graph, largest
from explicate_export.training_run import FinishedRun
from explicate_training.interpretability.texts.explainer_network import ExplainerNetwork, load_explainer

OUTPUT_NAME = "attributions"
_SAMPLE = (2, 7)  # rows and tokens; any sizes above 1 will do


@dataclass(frozen=True)
class Preview:
    """The network that training left, and its graph."""

    network: ExplainerNetwork
    graph: Path

    @torch.no_grad()
    def check(self, token_ids: Sequence[NDArray[np.int64]]) -> float:
        """The largest difference of the graph from torch on some texts; raises ParityError if it is too large."""
        graph, differences = Graph(self.graph), []
        for ids in token_ids:
            feeds: dict[str, NDArray[Any]] = {"input_ids": ids[None], "attention_mask": np.ones_like(ids[None])}
            told = self.network(*map(torch.from_numpy, feeds.values())).numpy()
            differences.append(largest(graph.run(feeds) - told))
        found = max(differences)
        if not found <= MAX_DIFFERENCE:
            raise ParityError(
                f"explainer.onnx and torch differ by up to {found:.2g}, above {MAX_DIFFERENCE:g}: nothing was published"
            )
        return found


def write_preview(run: FinishedRun, path: Path) -> Preview | None:
    """Writes explainer.onnx; None if the run has none. Raises UsageError if its files cannot be read."""
    try:
        network = load_explainer(run.model_directory)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UsageError(
            f"the explainer of {run.model_directory} cannot be loaded ({first_line(error)}): train again"
        ) from error
    if network is None:
        return None
    if network.config.outputs != run.outputs:
        raise UsageError(f"the explainer of {run.model_directory} is of a model with other outputs: train again")
    samples = {"input_ids": torch.zeros(_SAMPLE, dtype=torch.int64)}
    samples["attention_mask"] = torch.ones_like(samples["input_ids"])
    write_graph(
        TorchGraph(
            module=_Guesses(network),
            name="the preview explainer",
            samples=samples,
            dynamic_axes={0: "batch", 1: "length"},
            output_name=OUTPUT_NAME,
            advice="leave interpretability.explainer out",
        ),
        path,
    )
    return Preview(network, path)


class _Guesses(torch.nn.Module):
    """The network with its inputs in the order of the samples."""

    def __init__(self, network: ExplainerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        guesses: torch.Tensor = self.network(*inputs)
        return guesses
