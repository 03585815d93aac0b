"""The graph of a text model asked with rows of tokens; and whether leaving tokens out equals masking them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_export.parity import Graph, largest
from explicate_export.text.token_rows import TokenRow, pad

_DROPPING_TEXTS = 8
_DROPPED_FRACTION = 0.5


class TextGraph:
    """model.onnx of a text model on the CPU, from a file or its bytes."""

    def __init__(self, graph: Path | bytes, schema: bundle_pb2.TextSchema) -> None:
        self._graph = Graph(graph)
        self._schema = schema

    def outputs(self, rows: Sequence[TokenRow]) -> NDArray[np.float32]:
        """float32 [rows, outputs], of one batch."""
        return self._graph.run(pad(rows, self._schema))


def measure_token_dropping(graph: TextGraph, rows: Sequence[TokenRow]) -> float | None:
    """Largest output difference between masking tokens in place and leaving them out with the others' positions kept.

    On the longest of the rows, half of the tokens that are not special; None when no row has two of those.
    """
    stream = np.random.Generator(np.random.Philox(0))
    longest = sorted(rows, key=len, reverse=True)[:_DROPPING_TEXTS]
    differences = []
    for row in longest:
        absent = ~row.special & (stream.random(len(row)) < _DROPPED_FRACTION)
        if 0 < absent.sum() < (~row.special).sum():
            masked = replace(row, attention=np.where(absent, 0, row.attention))
            dropped = TokenRow(**{name: values[~absent] for name, values in vars(row).items()})
            differences.append(largest(graph.outputs([masked]) - graph.outputs([dropped])))
    return max(differences, default=None)
