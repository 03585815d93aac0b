"""Masked fine-tuning: a share of the rows of each step is shown with a uniform share of its players removed.

Madsen, Reddy, Chandar: Faithfulness Measurable Masked Language Models (ICML 2024); Hase, Xie, Bansal: The
Out-of-Distribution Problem in Explainability (NeurIPS 2021). The label is kept, and the model learns what an answer is
worth when parts are absent, which is what explanations ask it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from explicate_training.config.sections import option
from explicate_training.interpretability.players import drawn
from explicate_training.interpretability.term import LossTerm, Prepared, Step, Term
from explicate_training.tasks.task import Loss


@dataclass(frozen=True)
class MaskedRows(Term):
    """Rows that are shown in part."""

    name = "masked_rows"
    title = "rows shown in part"
    about = "a share of the rows of each step is shown with some of their parts removed, as explanations do"

    masked_fraction: float = option(
        0.5,
        "share of the rows of a step shown with U(0,1) of their words, fields or columns removed, label kept",
        minimum=0,
        maximum=1,
        absent=0.0,
    )

    def start(self, run: Prepared, loss: Loss) -> LossTerm:  # noqa: ARG002
        return _Hiding(self.masked_fraction)


class _Hiding(LossTerm):
    def __init__(self, fraction: float) -> None:
        self._fraction = fraction

    def hide(self, counts: NDArray[np.intp], stream: np.random.Generator) -> NDArray[np.bool_]:
        """Of a fraction of the rows; where that is no whole number, of one more by chance."""
        present = drawn(counts, stream)
        hidden = stream.permutation(len(counts))[: int(self._fraction * len(counts) + stream.random())]
        whole = np.ones(len(counts), dtype=np.bool_)
        whole[hidden] = False
        present[whole] = True
        return present

    def loss(self, step: Step) -> Tensor | None:  # noqa: ARG002 - the objective's own loss sees the rows
        return None
