"""What the scorer asks of its parts: where rows come from, and which of them are explained.

Rows are numbered from 0 over all inputs, in an order that never changes; a range of row numbers is all that a part of
the output is made of, so any part can be made at any time, by anyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from explicate.inputs import GivenValue, Input


@dataclass(frozen=True)
class InputOptions:
    """Which inputs are read, and how.

    paths: files, folders or globs, in the order given. columns: from what the model reads to the column of the input
    that has it, such as {"text": "review"}; what is not named has its own name. keep: columns that go along to the
    output, in this order; None for all.
    """

    paths: tuple[str, ...]
    columns: Mapping[str, str]
    keep: tuple[str, ...] | None = None


@dataclass(frozen=True)
class InputFile:
    """One file of the inputs, as the manifest has it: `sha256` tells whether it is still the same."""

    path: str
    size_bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Refusal:
    """Why a row does not have an answer.

    reason: a stable word, such as "INVALID_FIELD". field: the column or part that is wrong; empty for the whole row.
    message: a sentence for people.
    """

    reason: str
    field: str
    message: str


class Inputs(Protocol):
    """What the model reads, of consecutive rows."""

    def __len__(self) -> int: ...

    def value(self, place: int) -> Input:
        """One of them, as `AsyncClient.explain` takes it; raises an ExplicateError for a row that cannot be sent.

        What is large, such as the file of an image, is read here and not before.
        """

    def columns(self, places: Sequence[int]) -> Mapping[str, Iterable[GivenValue]] | None:
        """Some of them in packed form, as `AsyncClient.predict_table` takes it; None for what is not a table."""


@dataclass(frozen=True)
class RowBatch:
    """Consecutive rows.

    start: number of the first one. kept: the columns that go along, with the source's `kept` as schema. inputs: what
    the model reads. refused: rows that cannot even be sent, by their place in the batch; they are not asked about.
    """

    start: int
    kept: pa.RecordBatch
    inputs: Inputs
    refused: Mapping[int, Refusal]

    def __len__(self) -> int:
        return int(self.kept.num_rows)


class Source(Protocol):
    """The inputs of a run. To open one checks all files' schemas against the model, before any work."""

    @property
    def files(self) -> Sequence[InputFile]:
        """In the order of their rows."""

    @property
    def kept(self) -> pa.Schema:
        """The columns that go along to the output."""

    def batches(self, ranges: Iterable[range], *, batch_rows: int) -> Iterator[RowBatch]:
        """The rows of each range in turn, cut into batches that begin at the range's start and do not cross its end.

        Ranges ascend, and lie within the rows of `files`. All batches of a range but the last have `batch_rows` rows.
        Memory is bounded by a batch, not by a file. Raises UsageError, in one sentence with the file's name, for what
        cannot be read.
        """


class Condition(Protocol):
    """Which rows are explained, by `label`, `probability` or `value`, and the columns that go along."""

    def check(self, columns: pa.Schema) -> None:
        """Raise UsageError if it names a column that is not there, or compares what cannot be compared."""

    def __call__(self, columns: pa.RecordBatch) -> Sequence[bool]:
        """One truth value a row; a missing value makes a comparison false."""
