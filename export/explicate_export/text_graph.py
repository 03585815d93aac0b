"""The graph of a text model asked with rows of tokens; and whether leaving tokens out equals masking them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_export.comparison import Graph, largest
from explicate_export.token_rows import TokenRow, pad

_DROPPING_TEXTS = 8
_DROPPED_FRACTION = 0.5


class TextGraph:
    """model.onnx of a text model on the CPU, from a file or its bytes."""

    def __init__(self, graph: Path | bytes, schema: bundle_pb2.TextSchema) -> None:
        self._graph = Graph(graph)
        self._schema = schema

    def logits(self, rows: Sequence[TokenRow]) -> NDArray[np.float32]:
        """float32 [rows, classes], of one batch."""
        return self._graph.run(pad(rows, self._schema))


def measure_token_dropping(graph: TextGraph, rows: Sequence[TokenRow]) -> float | None:
    """Largest logit difference between masking tokens in place and leaving them out with the others' positions kept.

    On the longest of the rows, half of the tokens that are not special; None when no row has two of those.
    """
    stream = np.random.Generator(np.random.Philox(0))
    longest = sorted(rows, key=len, reverse=True)[:_DROPPING_TEXTS]
    differences = []
    for row in longest:
        absent = ~row.special & (stream.random(len(row)) < _DROPPED_FRACTION)
        if 0 < absent.sum() < (~row.special).sum():
            masked = TokenRow(row.ids, np.where(absent, 0, row.attention), row.positions, row.special)
            dropped = TokenRow(row.ids[~absent], row.attention[~absent], row.positions[~absent], row.special[~absent])
            differences.append(largest(graph.logits([masked]) - graph.logits([dropped])))
    return max(differences, default=None)
