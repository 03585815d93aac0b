"""What a model may be asked about: texts, pairs of texts, rows of tables and images, as plain Python values."""

from __future__ import annotations

import io
import numbers
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple, Self, TypeAlias

from explicate.errors import UsageError

MAX_IMAGE_BYTES: Final = 8 * 1024 * 1024
"""Bytes of an image file that a server takes unless it was set otherwise."""

CellValue: TypeAlias = float | int | str | bool | None
"""A value of a column: a number, a category by its name, true or false, or None for missing; also NumPy's numbers, and
numbers and dates as text, as the model's training file writes them."""

GivenValue: TypeAlias = CellValue | date
"""The same, or a date with or without a time, which is sent as text."""

TableRow: TypeAlias = Mapping[str, GivenValue]
"""A row of a table: every column of the model by name, and no other."""


class TextPair(NamedTuple):
    """Two texts that a model reads together, such as a question and a passage; a plain tuple of two is one too."""

    text: str
    text_pair: str


@dataclass(frozen=True)
class File:
    """An input as the bytes of its file.

    name: what messages and views call it, such as the file's path; it is not sent. noun: what such an input is called.
    """

    noun: ClassVar[str] = "file"

    content: bytes = field(repr=False)
    name: str = field(default="", compare=False)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, max_bytes: int = MAX_IMAGE_BYTES) -> Self:
        """What a file holds; its size is looked at before it is read.

        Raises UsageError for a file that cannot be read, is empty, or has more than `max_bytes` bytes.
        """
        name = os.fspath(path)
        try:
            with Path(path).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                content = b"" if size > max_bytes else file.read(max_bytes + 1)
        except OSError as error:
            raise UsageError(f"cannot read {name}: {error.strerror}") from error
        if max(size, len(content)) > max_bytes:  # a pipe does not have a size
            raise UsageError(f"{name} is larger than the limit of {max_bytes:,} bytes: send a smaller {cls.noun}")
        if not content:
            raise UsageError(f"{name} is empty")
        return cls(content, name)


class Image(File):
    """A picture: PNG, JPEG, WebP, GIF, BMP or TIFF."""

    noun = "image"


_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})

Input: TypeAlias = str | TextPair | tuple[str, str] | TableRow | Image
"""What a model reads, by its kind: a string; for pairs of texts a `TextPair` or a tuple of two; for tables a mapping
from every column to its value, or a pandas Series; for images an `Image`, or one of PIL's."""


def plain_input(value: Any) -> Any:  # Any: a type that is not imported, and an Input or what is refused later
    """`value` as an `Input` if it is another library's form of one: a pandas Series as a row, a PIL image as an Image.

    Anything else is returned as it is. Neither library is imported. Raises UsageError for a DataFrame, and for a Series
    two of whose columns have the same name.
    """
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        raise UsageError("one input is a row, not a table; for a whole table write explain_table(model, table)")
    if hasattr(value, "to_dict") and hasattr(value, "index"):
        if len(row := value.to_dict()) < len(value.index):
            raise UsageError("two columns of the row have the same name")
        return row
    if hasattr(value, "save") and hasattr(value, "mode") and hasattr(value, "size"):
        content = io.BytesIO()
        value.save(content, "PNG" if value.mode in _PNG_MODES else "TIFF")
        return Image(content.getvalue(), str(getattr(value, "filename", "") or ""))
    return value


def noun_of(value: Input) -> str:
    """What an input is called: "text", "pair", "row", or what its file is."""
    match value:
        case str():
            return "text"
        case File():
            return value.noun
        case tuple():
            return "pair"
        case _:
            return "row"


ONLY_SOME_KINDS: Final = {"only_some_kinds": True}
"""Metadata of a dataclass's field that only some kinds of models fill; JSON leaves it out if it is empty."""

UNLESS_NONE: Final = {"unless_none": True}
"""The same for a field whose emptiness means something: JSON leaves it out only if it is None."""

MAY_BE_ALL: Final = {"may_be_all": True}
"""Metadata of a field for a class or `ALL`: in JSON `ALL` is "all", and a class of that name {"label": "all"}."""

# pandas' own missing values, by name: pandas need not be installed.
_MISSING_TYPES = frozenset({"NAType", "NaTType"})


def kind_of(cell_type: type) -> Literal["number", "category", "missing"] | None:
    """How a value of this type is sent; None if it cannot be a cell. A NaN has the type of a number."""
    if cell_type is type(None) or cell_type.__name__ in _MISSING_TYPES:
        return "missing"
    if issubclass(cell_type, str | bool | date) or cell_type.__name__ in ("bool", "bool_"):  # the last two are NumPy's
        return "category"
    return "number" if issubclass(cell_type, numbers.Real) else None


def category(value: object) -> str:
    """The name of a category; a truth value is "true" or "false", a date "2020-12-31" or "2020-12-31T23:59:00"."""
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str) else str(bool(value)).lower()
