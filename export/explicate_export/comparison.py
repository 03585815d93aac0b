"""Does the graph answer as torch does, and does leaving tokens out equal masking them? Measured on held-out texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any  # onnxruntime has no types

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_export.errors import ParityError
from explicate_export.onnx_graph import OUTPUT_NAME
from explicate_export.token_rows import TokenRow, pad

MAX_LOGIT_DIFFERENCE = 1e-4
_DROPPING_TEXTS = 8
_DROPPED_FRACTION = 0.5


class GraphRunner:
    """model.onnx on the CPU, from a file or its bytes."""

    def __init__(self, graph: Path | bytes, schema: bundle_pb2.TextSchema) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; warnings tell of graph clean-ups that are no concern of a user's
        source = graph if isinstance(graph, bytes) else str(graph)
        self._session: Any = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._schema = schema

    def logits(self, rows: Sequence[TokenRow]) -> NDArray[np.float32]:
        """float32 [rows, classes], of one batch."""
        answers: NDArray[np.float32] = self._session.run([OUTPUT_NAME], pad(rows, self._schema))[0]
        return answers

    def logits_in_batches(self, rows: Sequence[TokenRow], batch_rows: int) -> NDArray[np.float32]:
        """float32 [rows, classes], of batches of so many rows in the given order."""
        starts = range(0, len(rows), batch_rows)
        return np.concatenate([self.logits(rows[start : start + batch_rows]) for start in starts])


def check_token_ids(rows: Sequence[TokenRow], expected_ids: Sequence[Sequence[int]]) -> None:
    """Raises ParityError when tokenizer.json alone tokenises differently from the training tokenizer."""
    for index, (row, expected) in enumerate(zip(rows, expected_ids, strict=True)):
        if row.ids.tolist() != list(expected):
            raise ParityError(
                f"tokenizer.json does not tokenise held-out text {index + 1} as training did "
                f"({len(row)} tokens against {len(expected)}): nothing was published"
            )


def measure_parity(runner: GraphRunner, rows: Sequence[TokenRow], reference: NDArray[np.float32]) -> float:
    """Largest absolute difference from the reference logits [rows, classes], over several ways of batching the rows.

    Sorted by length (little padding), shuffled (much padding), and each alone. NaN counts as infinite.
    """
    by_length = np.argsort([len(row) for row in rows], kind="stable")
    shuffled = np.random.Generator(np.random.Philox(0)).permutation(len(rows))
    differences = [
        runner.logits_in_batches([rows[index] for index in order], batch_rows) - reference[order]
        for order, batch_rows in ((by_length, 16), (shuffled, 7), (by_length, 1))
    ]
    return max(_largest(difference) for difference in differences)


def check_parity(difference: float) -> None:
    """Raises ParityError when the difference is above MAX_LOGIT_DIFFERENCE."""
    if not difference <= MAX_LOGIT_DIFFERENCE:
        raise ParityError(
            f"the ONNX graph and torch differ by up to {difference:.2g} in a logit on the held-out texts, "
            f"above {MAX_LOGIT_DIFFERENCE:g}: nothing was published"
        )


def measure_token_dropping(runner: GraphRunner, rows: Sequence[TokenRow]) -> float | None:
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
            differences.append(_largest(runner.logits([masked]) - runner.logits([dropped])))
    return max(differences, default=None)


def _largest(difference: NDArray[np.float32]) -> float:
    largest = float(np.abs(difference).max())
    return largest if np.isfinite(largest) else float("inf")
