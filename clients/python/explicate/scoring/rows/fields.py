"""What the model reads, and from which column of the files; and the columns that go along to the output.

All of it is checked before any row is read: a column that is not there or cannot be what is asked for is told at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from explicate.errors import UsageError
from explicate.inputs import MAX_IMAGE_BYTES
from explicate.model_info import ModelDescription
from explicate.reading.nearest import nearest
from explicate.scoring.interfaces import Inputs, Refusal
from explicate.scoring.rows.image_files import ImageBytes, ImageFiles, is_bytes
from explicate.scoring.rows.row_files import AS_JSON
from explicate.scoring.rows.table_rows import TableRows
from explicate.scoring.rows.texts import Texts

_NAMED = 12  # columns in a message
Refusals = dict[int, Refusal]


@dataclass(frozen=True)
class Fields(ABC):
    """What one kind of model reads: `columns` has for each field the column of the files that it is read from.

    as_json: columns whose texts are JSON.
    """

    model: ModelDescription
    columns: Mapping[str, str]
    as_json: frozenset[str]

    @abstractmethod
    def unfit(self, field: str, kind: pa.DataType) -> str:
        """Why a column of this type cannot be the field; empty if it can."""

    @abstractmethod
    def inputs(self, rows: pa.Table, folders: Callable[[int], Path]) -> tuple[Inputs, Refusals]:
        """The inputs of some rows, whose files lie in `folders`, and those rows that cannot be sent."""


class TextFields(Fields):
    """A text, or a pair of texts."""

    def unfit(self, field: str, kind: pa.DataType) -> str:  # noqa: ARG002
        return "" if pa.types.is_string(kind) or pa.types.is_null(kind) else "texts are wanted"

    def inputs(self, rows: pa.Table, folders: Callable[[int], Path]) -> tuple[Inputs, Refusals]:  # noqa: ARG002
        return Texts.of([(column, _array(rows, column), column in self.as_json) for column in self.columns.values()])


class ImageFields(Fields):
    """An image, by the path of its file or as the bytes of one."""

    def unfit(self, field: str, kind: pa.DataType) -> str:  # noqa: ARG002
        if pa.types.is_string(kind) or pa.types.is_null(kind) or is_bytes(kind):
            return ""
        return "paths of image files, or their bytes, are wanted"

    def inputs(self, rows: pa.Table, folders: Callable[[int], Path]) -> tuple[Inputs, Refusals]:
        column = self.columns["image"]
        if is_bytes(rows.schema.field(column).type):
            return ImageBytes.of(column, _array(rows, column))
        most = self.model.limits.max_image_bytes or MAX_IMAGE_BYTES
        return ImageFiles.of(column, _array(rows, column), folders, max_bytes=most)


class TableFields(Fields):
    """The columns of a row."""

    def unfit(self, field: str, kind: pa.DataType) -> str:
        wanted = next(column.type for column in self.model.columns if column.name == field)
        return TableRows.unfit(kind, wanted)

    def inputs(self, rows: pa.Table, folders: Callable[[int], Path]) -> tuple[Inputs, Refusals]:  # noqa: ARG002
        columns = [
            (column, _array(rows, name := self.columns[column.name]), name in self.as_json)
            for column in self.model.columns
        ]
        return TableRows.of(columns, rows.num_rows)


_KINDS: dict[str, type[Fields]] = {"text": TextFields, "tabular": TableFields, "image": ImageFields}


def fields_of(model: ModelDescription, columns: Mapping[str, str], schema: pa.Schema, path: str) -> Fields:
    """What `model` reads of files that have the columns of `schema`, the first of them at `path`.

    columns: from a field of the model to a column of the files, where its name is another.
    Raises UsageError for a column that is missing or cannot be what the model reads.
    """
    kind = _KINDS.get(model.status.kind.partition("-")[0])
    if kind is None:
        raise UsageError(f"{model.status.model} is a model of {model.status.kind}, which is not known here")
    names = field_names(model)
    if unknown := sorted(set(columns) - set(names)):
        raise UsageError(f"the model does not read {unknown[0]}{_meant(unknown[0], names)}: it reads {_some(names)}")
    places = {name: columns.get(name, name) for name in names}
    _check_names(places, schema.names, path)
    fields = kind(model, places, frozenset(field.name for field in schema if field.metadata == AS_JSON))
    for name, column in places.items():
        held = schema.field(column).type
        if why := fields.unfit(name, held):
            raise UsageError(f"the column {column} of {path} holds {held}, where {why}")
    return fields


def field_names(model: ModelDescription) -> tuple[str, ...]:
    """What a model reads, as `--column FIELD=COLUMN` names it."""
    match model.status.kind.partition("-")[0]:
        case "tabular":
            return tuple(column.name for column in model.columns)
        case "image":
            return ("image",)
        case _:
            return ("text", "text_pair") if model.pairs else ("text",)


def kept_schema(keep: Sequence[str] | None, schema: pa.Schema, path: str) -> pa.Schema:
    """The columns that go along, in the order asked for; raises UsageError for one that the files do not have."""
    if keep is None:
        return schema
    for name in keep:
        if name not in schema.names:
            raise UsageError(f"--keep {name}: {path} does not have this column{_meant(name, schema.names)}")
        if list(keep).count(name) > 1:
            raise UsageError(f"--keep {name}: the column is named twice")
    return pa.schema([schema.field(name) for name in keep])


def _check_names(places: Mapping[str, str], names: Sequence[str], path: str) -> None:
    lacking = [(field, column) for field, column in places.items() if column not in names]
    if lacking:
        field, column = lacking[0]
        them = f"the column {column}" if len(lacking) == 1 else f"the columns {_some([one for _, one in lacking])}"
        hint = (
            f"; say where it is with --column {field}=COLUMN"
            if len(lacking) == 1
            else "; --column FIELD=COLUMN maps one"
        )
        raise UsageError(f"{path} lacks {them}{_meant(column, names)}: it has {_some(names)}{hint}")


def _array(rows: pa.Table, column: str) -> pa.Array:
    return rows[column].combine_chunks()


def _meant(name: str, names: Sequence[str]) -> str:
    close = nearest(name, names, most=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more if names else "no columns"
