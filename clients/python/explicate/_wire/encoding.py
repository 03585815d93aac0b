"""Texts, pairs of texts, rows, tables and images as protobuf messages.

A row's cells and a table's columns are typed by the Python values: the client does not know the model's schema, and the
server says so when a value does not fit its column.

Values set into protobuf fields, and refused with the field's path when they do not fit.

What protobuf itself would refuse with an error of its own kind (a lone surrogate, a number beyond its field) is
refused here in the form in which the server refuses everything else.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Protocol, TypeAlias

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE

from explicate.errors import UsageError, invalid_argument
from explicate.inputs import GivenValue, Image, Input, TableRow, category, kind_of, plain_input
from explicate.v1 import inference_service_pb2 as inference_pb
from explicate.v1 import table_pb2 as table_pb
from explicate.v1.baseline_pb2 import Baseline

BASELINE_PATH = "options.baseline"


def set_field(message: Message, field: str, value: object, path: str) -> None:
    """Set one field to a string or a number; raises InvalidArgument for what it cannot hold."""
    if isinstance(value, str):
        value = unicode_text(value, path)
    try:
        setattr(message, field, value)
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid_argument(path, f"cannot be {value!r}") from error


def set_choice(message: Message, field: str, names: Mapping[str, int], value: object, path: str) -> None:
    """Set one enum field by name; raises InvalidArgument with the names there are."""
    number = names.get(value) if isinstance(value, str) else None
    if number is None:
        raise invalid_argument(path, f"must be one of {', '.join(names)}, not {value!r}")
    setattr(message, field, number)


def check_names(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise UsageError for names that are not known, with those that were meant perhaps."""
    known = list(known)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            raise UsageError(f"{what}: there is no option {name!r}; {hint}")


def unicode_text(text: object, path: str) -> str:
    """`text`, once it is known to be a string that UTF-8 can hold; raises InvalidArgument."""
    if not isinstance(text, str):
        raise invalid_argument(path, f"must be a string, not {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        problem = f"has a lone surrogate at character {error.start}, which is not valid Unicode"
        raise invalid_argument(path, problem) from error
    return text


class Frame(Protocol):
    """A table with columns by name: a pandas or polars DataFrame, a pyarrow Table, or what is used like one."""

    @property
    def columns(self) -> Iterable[Any]: ...  # Any: pandas has an Index, polars a list

    def __getitem__(self, name: str, /) -> Iterable[Any]: ...


TableColumns: TypeAlias = Mapping[str, Iterable[GivenValue]] | Frame
"""Columns of equal length by name. In a column, None and NaN are missing."""


def input_message(value: Input, path: str) -> inference_pb.Input:
    """A text, a pair of texts, a row or an image; raises InvalidArgument for what cannot be sent."""
    if isinstance(value, Mapping):
        cells = _cells(value, f"{path}.tabular.cells")
        return inference_pb.Input(tabular=inference_pb.TabularInput(cells=cells))
    if isinstance(value, Image):
        return inference_pb.Input(image=inference_pb.ImageInput(content=_content(value, f"{path}.image.content")))
    if isinstance(value, tuple):
        return inference_pb.Input(text=_pair(value, path))
    if isinstance(value, str):
        return inference_pb.Input(text=inference_pb.TextInput(text=unicode_text(value, f"{path}.text")))
    raise invalid_argument(path, _form_of(value))


_SAID = {"text": "text", "tabular": "name", "image": "colour"}
"""What a string means as a baseline, by the kind of input that is explained: the field of it in `Baseline`."""


def set_baseline(message: Baseline, given: Any, explained: str) -> None:  # Any: see `plain_input`
    """Say what stands in for absent players. explained: the kind of input that is explained, a field of `Input`.

    Raises InvalidArgument for what cannot be sent.
    """
    if isinstance(given, str):
        said = unicode_text(given, f"{BASELINE_PATH}.{_SAID[explained]}")
        if explained == "text":
            message.text.text = said
        else:
            setattr(message, _SAID[explained], said)
        return
    other = input_message(plain_input(given), BASELINE_PATH)
    kind = str(other.WhichOneof("kind"))
    getattr(message, kind).MergeFromString(getattr(other, kind).SerializeToString())  # they are formed alike


def _form_of(value: object) -> str:
    """What to give in place of a value that is not an input."""
    if isinstance(value, bytes | os.PathLike):
        return "an image is explicate.Image(bytes) or explicate.Image.open(path), a text a string"
    if isinstance(value, list):
        return "one input is not a list; a pair of texts is a tuple, a row a dict from column to value"
    if hasattr(value, "shape"):
        return (
            f"one input is not an array ({type(value).__name__}); a row is a dict from column to value, "
            "an image PIL.Image.fromarray(pixels)"
        )
    return (
        "must be a string, a tuple of two, a dict from column to value or an explicate.Image, "
        f"not {type(value).__name__}"
    )


def table_message(columns: TableColumns) -> table_pb.Table:
    """A packed table; raises InvalidArgument for a column that cannot be sent, UsageError for one of another length."""
    lists = plain_columns(columns)
    messages = [_column(name, values, f"table.columns[{name}]") for name, values in lists.items()]
    return table_pb.Table(rows=max(map(len, lists.values()), default=0), columns=messages)


def plain_columns(columns: TableColumns) -> dict[str, list[Any]]:
    """The columns of a table as lists of one length, by name; raises UsageError where they are not.

    Any: what a column holds, which is looked at when it is sent.
    """
    names = list(columns) if isinstance(columns, Mapping) else list(_names(columns))
    if len(set(names)) < len(names):
        raise UsageError(
            f"two columns have the same name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
        )
    lists = {name: _plain_list(columns[name]) for name in names}
    lengths = {len(values) for values in lists.values()}
    if len(lengths) > 1:
        told = ", ".join(f"{name} {len(values):,}" for name, values in lists.items())
        raise UsageError(f"the columns have different lengths: {told}")
    return lists


def _names(frame: Frame) -> Iterable[Any]:
    """The names of a frame's columns; pyarrow has them elsewhere."""
    return getattr(frame, "column_names", None) or frame.columns


def _content(image: Image, path: str) -> bytes:
    if not isinstance(image.content, bytes):
        raise invalid_argument(path, f"must be the bytes of an image file, not {type(image.content).__name__}")
    return image.content


def _pair(texts: tuple[object, ...], path: str) -> inference_pb.TextInput:
    if len(texts) != 2:
        raise invalid_argument(f"{path}.text", f"must be a string or a pair of them, not {len(texts)} values")
    text, text_pair = texts
    return inference_pb.TextInput(
        text=unicode_text(text, f"{path}.text"), text_pair=unicode_text(text_pair, f"{path}.text.text_pair")
    )


def _cells(row: TableRow, path: str) -> dict[str, table_pb.Cell]:
    return {unicode_text(name, f"{path} key"): _cell(value, name, f"{path}[{name}]") for name, value in row.items()}


def _cell(value: object, name: str, path: str) -> table_pb.Cell:
    cell = table_pb.Cell()
    match kind_of(type(value)):
        case "missing":
            cell.missing = NULL_VALUE
        case "category":
            cell.category = unicode_text(category(value), path)
        case "number":
            set_field(cell, "number", value, path)
        case _:
            raise invalid_argument(path, f"column {name}: {_what_it_may_be(type(value))}")
    return cell


def _plain_list(values: Iterable[Any]) -> list[Any]:
    """The values as a list; NumPy and pandas make their numbers plain ones on the way, in no time."""
    to_list = getattr(values, "to_pylist", None) or getattr(values, "tolist", None)
    listed = to_list() if to_list else list(values)
    return listed if isinstance(listed, list) else [listed]


def _column(name: str, values: list[Any], path: str) -> table_pb.TableColumn:
    column = table_pb.TableColumn(name=unicode_text(name, f"{path}.name"))
    types = {cell_type: kind_of(cell_type) for cell_type in set(map(type, values))}  # types are few, values many
    kinds = set(types.values())
    if None in kinds:
        wrong = next(cell_type for cell_type, kind in types.items() if kind is None)
        raise invalid_argument(path, f"column {name}: {_what_it_may_be(wrong)}")
    if "category" in kinds:
        _set_categories(column.categories, name, values, path)
    else:
        _set_numbers(column.numbers, name, values, path, complete="missing" not in kinds)
    return column


def _set_numbers(message: table_pb.NumberValues, name: str, values: list[Any], path: str, *, complete: bool) -> None:
    if not complete:
        values = [math.nan if kind_of(type(value)) == "missing" else value for value in values]
    try:
        message.values.extend(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid_argument(f"{path}.numbers", f"column {name}: holds a number that cannot be sent") from error
    message.SetInParent()  # a column without rows is one of numbers too


def _set_categories(message: table_pb.CategoryValues, name: str, values: list[Any], path: str) -> None:
    names = values
    if not {str, type(None)}.issuperset(map(type, values)):
        names = [_category_or_missing(value, name, path) for value in values]
    told = [category_name for category_name in dict.fromkeys(names) if category_name is not None]
    codes = {None: -1, **{category_name: code for code, category_name in enumerate(told)}}
    message.names.extend(unicode_text(category_name, f"{path}.categories") for category_name in told)
    message.codes.extend(codes[category_name] for category_name in names)


def _category_or_missing(value: object, name: str, path: str) -> str | None:
    match kind_of(type(value)):
        case "category":
            return category(value)
        case "number" if value == value:
            raise invalid_argument(path, f"column {name}: mixes categories with numbers such as {value!r}")
        case _:
            return None  # pandas has NaN where a string is missing


def _what_it_may_be(cell_type: type) -> str:
    return (
        f"must be numbers, strings, dates, true and false, or None where a value is missing, not {cell_type.__name__}"
    )
