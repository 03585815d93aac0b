"""The inputs of a Parquet or an Arrow file, read as `explicate score` reads them, with pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explicate.cli.inputs.asked import Asked, InputKind
from explicate.errors import InvalidArgument, UsageError, invalid_argument

if TYPE_CHECKING:
    from explicate.inputs import Input
    from explicate.model_info import ModelDescription
    from explicate.scoring.interfaces import RowBatch

_SUFFIXES = frozenset({".parquet", ".pq", ".arrow", ".arrows", ".feather", ".ipc"})
_MARKS = (b"PAR1", b"ARROW1", b"FEA1")  # what the files begin with, whatever their names
_ROWS_AT_ONCE = 1024


def is_of_columns(path: Path) -> bool:
    """Whether a file is one of these, by its name or by how it begins."""
    if path.suffix.lower() in _SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(6).startswith(_MARKS)
    except OSError:  # whoever reads it says why
        return False


def read(path: Path, columns: Sequence[str], model: ModelDescription, kind: InputKind) -> Iterator[Asked]:
    """The inputs that a model reads of the rows of a file; one that cannot be sent has its refusal.

    columns: "text=review" for each thing that the model reads in a column of another name.
    Raises UsageError for a file that cannot be read or lacks a column, and where pyarrow is missing, at once.
    """
    try:
        from explicate.scoring.interfaces import InputOptions
        from explicate.scoring.rows.source import open_source
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pyarrow":
            raise
        raise UsageError(f"reading {path} needs pyarrow: pip install 'explicate[batch]'") from None
    source = open_source(InputOptions((str(path),), _named(columns), ()), model)
    batches = source.batches([range(source.rows)], batch_rows=_ROWS_AT_ONCE)
    return (asked for batch in batches for asked in _asked(batch, kind))


def _named(columns: Sequence[str]) -> Mapping[str, str]:
    pairs = [each.partition("=") for each in columns]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise UsageError(f"--column {name}{equals}{column}: write NAME=COLUMN, such as text=review")
    return {name: column for name, _, column in pairs}


def _asked(batch: RowBatch, kind: InputKind) -> Iterator[Asked]:
    for place in range(len(batch)):
        value: Input | None = None
        refusal: InvalidArgument | None = None
        if refused := batch.refused.get(place):
            refusal = invalid_argument(refused.field or "row", refused.message)
        else:
            try:
                value = batch.inputs.value(place)
            except InvalidArgument as error:
                refusal = error
        yield kind.asked(batch.start + place + 1, value, refusal)
