"""Does the graph answer as torch does, and a row alone as in a batch? Measured on held-out inputs.

And does it answer as training's own model did, which read the same inputs with training's encoder?
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # onnxruntime has no types

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from explicate_bundle.objective import softmax
from explicate_export.errors import ParityError

MAX_DIFFERENCE = 1e-4
_SHUFFLED_BATCH_ROWS = 7

Answer = Callable[[NDArray[np.intp]], NDArray[np.float32]]


class Graph:
    """model.onnx on the CPU, from a file or its bytes."""

    def __init__(self, graph: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; warnings tell of graph clean-ups that are no concern of a user's
        source = graph if isinstance(graph, bytes) else str(graph)
        self._session: Any = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The first output float32 [rows, outputs], of one batch."""
        (answers,) = self._session.run([self._session.get_outputs()[0].name], dict(feeds))
        outputs: NDArray[np.float32] = answers
        return outputs

    def answers(self, rows: NDArray[Any], output: int) -> NDArray[np.floating[Any]]:
        """One of the outputs, of a graph with one input; all of them are computed."""
        answers: NDArray[np.floating[Any]] = self._session.run(None, {self._session.get_inputs()[0].name: rows})[output]
        return answers


@dataclass(frozen=True)
class Scale:
    """What a difference of outputs is measured in: 1 for logits; for a regression, the spread of its target."""

    unit: float
    words: str  # of "a difference of 1e-5 …"
    limit: float = MAX_DIFFERENCE  # the largest difference that is published


LOGITS = Scale(1.0, "in a logit")


@dataclass(frozen=True)
class Comparison:
    """In what form a graph's outputs are compared with the original's answers, and in what unit."""

    form: Callable[[NDArray[np.float32]], NDArray[np.float32]]  # of a graph's outputs [rows, outputs]
    scale: Scale | None  # None: the objective's


OUTPUTS = Comparison(lambda outputs: outputs, None)
"""As they are: the original answers logits or values."""


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return softmax(logits.astype(np.float64)).astype(np.float32)


PROBABILITIES = Comparison(_probabilities, Scale(1.0, "of a probability", 1e-5))
"""The original answers probabilities of classes, and where it has logits they may be others by a constant."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How sentences tell where a model comes from, and what its graph is compared with."""

    inputs: str
    """Whose inputs it is compared on: "held-out", or "given" where somebody handed them over."""

    library: str
    """What answers for the model as it is converted: "torch", "scikit-learn"."""

    original: str
    """Who answered first, through its own preprocessing: "training's own model", "transformers"."""

    encoder: str
    """What that preprocessing is: "training", "its own tokenizer"."""

    answers: str
    """The same answers, where the graph does not meet them: "those that training wrote into held_out.jsonl"."""

    difference: str
    """Why the graph may not meet these answers."""

    metrics_of: str
    """What metrics were measured on: "the held-out test split"."""

    no_verdict: str
    """What the card says where nothing is known of how the model compares with others; empty: no such section."""

    reproduction: str
    """How to make the bundle again, in a sentence that ends with a colon."""

    commands: Sequence[str]
    """The commands for that."""

    data: str = ""
    """What is known of the data, beside the digest and the report."""

    made: str = ""
    """How the model came about, in a sentence, where it was not fine-tuned from its `base_model` by us."""

    spread_of: str = "the target's spread"
    """What differences of a regression are measured in."""


@dataclass(frozen=True)
class Parity:
    """What was measured on the compared inputs; differences in the scale's unit."""

    inputs: int
    difference: float  # largest, of the graph from torch
    batch_difference: float  # largest, of one row's answers from each other: alone, in batches, in another order
    scale: Scale
    trained: int  # inputs for which is known what the original model answered: training's, or that of another library
    trained_difference: float  # largest, of the graph from those answers

    @property
    def absolute_difference(self) -> float:
        """Largest difference of the graph from torch, in the outputs' own unit."""
        return self.difference * self.scale.unit


def measure_parity(
    answer: Answer,
    reference: NDArray[np.float32],
    *,
    trained: NDArray[np.float32],
    order: Sequence[int],
    batch_rows: int,
    scale: Scale = LOGITS,
) -> Parity:
    """Asks for every row in several ways: in batches, shuffled in small batches, and alone.

    Args:
        answer: the graph's float32 [rows, outputs] of one batch of rows, given by index.
        reference: torch's, float32 [rows, outputs].
        trained: what the original model answered for the first of the rows, float32 [held-out rows, outputs].
        order: of the rows in batches and alone.
        batch_rows: rows of a batch.
        scale: of the differences; NaN counts as infinite.
    """
    shuffled = np.random.Generator(np.random.Philox(0)).permutation(len(reference))
    ways = np.stack(
        [
            _answers(answer, np.asarray(rows, dtype=np.intp), size)
            for rows, size in ((order, batch_rows), (shuffled, _SHUFFLED_BATCH_ROWS), (order, 1))
        ]
    ).astype(np.float64)
    return Parity(
        len(reference),
        largest(ways - reference) / scale.unit,
        largest(ways.max(axis=0) - ways.min(axis=0)) / scale.unit,
        scale,
        len(trained),
        largest(ways[:, : len(trained)] - trained) / scale.unit,
    )


def check_parity(parity: Parity, origin: Origin) -> None:
    """Raises ParityError when a difference is above the limit of its scale."""
    limit = parity.scale.limit
    if not parity.difference <= limit:
        raise ParityError(
            f"the ONNX graph and {origin.library} differ by up to {parity.difference:.2g} {parity.scale.words} on the "
            f"{origin.inputs} inputs, above {limit:g}: nothing was published"
        )
    if not parity.batch_difference <= limit:
        raise ParityError(
            f"the ONNX graph answers the same input alone and in a batch {parity.batch_difference:.2g} "
            f"{parity.scale.words} apart, above {limit:g}: nothing was published"
        )
    if not parity.trained_difference <= limit:
        raise ParityError(
            f"the graph's answers and {origin.answers} differ by up to {parity.trained_difference:.2g} "
            f"{parity.scale.words}, above {limit:g}: {origin.difference}, and nothing was published"
        )


def largest(difference: NDArray[np.floating[Any]]) -> float:
    """The largest absolute value; infinite when one is not finite."""
    found = float(np.abs(difference).max())
    return found if np.isfinite(found) else float("inf")


def _answers(answer: Answer, order: NDArray[np.intp], batch_rows: int) -> NDArray[np.float32]:
    """float32 [rows, outputs] in the rows' own order, asked for in another one."""
    batches = [answer(order[start : start + batch_rows]) for start in range(0, len(order), batch_rows)]
    answers = np.concatenate(batches)
    return answers[np.argsort(order)]
