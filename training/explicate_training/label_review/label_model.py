"""The simple model by which labels are doubted: fitted to some rows, asked about others, and able to say why.

A kind of data has one in the file of its baseline. Rows are places in all the rows that are looked at, from 0.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # targets of any number type

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
_MOST_REASONS = 6


@dataclass(frozen=True)
class Reason:
    """What of a row speaks for another label than its own, or against it.

    amount: by how much it moves the logarithm of the odds of the suggested label against the given one; None of what
    is told in words alone.
    """

    what: str
    amount: float | None = None

    def __str__(self) -> str:
        return self.what if self.amount is None else f"{self.what} {self.amount:+.2f}"


def strongest(names: Sequence[str], amounts: NDArray[np.floating[Any]]) -> list[Reason]:
    """The parts that move the odds most, in either direction."""
    order = np.argsort(-np.abs(amounts), kind="stable")[:_MOST_REASONS]
    return [Reason(names[place], float(amounts[place])) for place in order.tolist() if abs(amounts[place]) >= 0.005]


class FittedLabels(ABC):
    """The model fitted to one fold's training rows."""

    @abstractmethod
    def probabilities(self, rows: Rows) -> NDArray[np.float64]:
        """Of each class, float64 [rows, classes]."""

    @abstractmethod
    def reasons(self, row: int, given: int, suggested: int) -> list[Reason]:
        """Why it thinks that a row is of the suggested class rather than the given one."""


class LabelModel(ABC):
    """The model before it is fitted. `name` is what people are told."""

    name: str

    @abstractmethod
    def fit(self, rows: Rows) -> FittedLabels:
        """The model fitted to some rows."""


def spread(shares: NDArray[np.floating[Any]], known: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Probabilities float64 [rows, classes] of those float [rows, known] of the classes that a fold's rows have."""
    found = np.zeros((len(shares), classes))
    found[:, np.asarray(known, dtype=int)] = shares
    return found
