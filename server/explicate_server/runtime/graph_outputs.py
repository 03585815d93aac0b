"""Any outputs of a small graph, on the CPU and in the thread that asks: for checks, and for what only some rows need.

What a server answers comes from the batcher; this is for outputs that predictions do not ask for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from explicate_server.runtime.model_runtime import Feeds

_FATAL_ONLY = 4


class GraphOutputs:
    """One graph. Safe to use from several threads."""

    def __init__(self, graph: Path | bytes) -> None:
        """Load the graph from a file or its bytes; raises what ONNX Runtime raises for one that it cannot load."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        source = graph if isinstance(graph, bytes) else str(graph)
        self._session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        outputs = self._session.get_outputs()
        self.names: Sequence[str] = [output.name for output in outputs]
        self.types: Mapping[str, str] = {output.name: output.type for output in outputs}

    def run(self, feeds: Feeds, names: Sequence[str]) -> list[NDArray[np.float64]]:
        """The outputs of these names."""
        return [np.asarray(output, dtype=np.float64) for output in self._session.run(list(names), dict(feeds))]
