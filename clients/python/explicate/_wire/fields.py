"""Values set into protobuf fields, and refused with the field's path when they do not fit.

What protobuf itself would refuse with an error of its own kind (a lone surrogate, a number beyond its field) is
refused here in the form in which the server refuses everything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from explicate.errors import invalid_argument


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
