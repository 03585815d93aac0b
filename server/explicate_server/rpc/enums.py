"""Names of the values of the API's enums, as the rest of the server uses them: derived from their descriptors.

A name is the value's without the enum's prefix, in lower case, with dashes: MASKING_MASK_TOKEN is "mask-token". The
value 0 of every enum, such as MASKING_UNSPECIFIED, says nothing and has no name.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any  # an enum's stub is a type of its own, and its values are of another

from google.protobuf.descriptor import EnumDescriptor


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


@cache
def _names(enum: EnumDescriptor) -> Mapping[int, str | None]:
    prefix = _prefix(enum)
    return {
        number: value.name.removeprefix(prefix).lower().replace("_", "-") if number else None
        for number, value in enum.values_by_number.items()
    }


def is_known(enum: Any, number: int) -> bool:
    """Whether an enum has a value of this number; a field can hold any."""
    return number in _names(enum.DESCRIPTOR)


def name_of(enum: Any, number: int) -> str | None:
    """The name of a value of an enum; None of the unspecified one.

    Raises:
        KeyError: the enum does not have it.
    """
    return _names(enum.DESCRIPTOR)[number]


def number_of(enum: Any, name: str | None) -> Any:
    """The value of an enum by its name; None of None, which leaves a field unset.

    Raises:
        ValueError: the enum does not have it.
    """
    if name is None:
        return None
    prefix = _prefix(enum.DESCRIPTOR)
    return enum.Value(prefix + name.upper().replace("-", "_"))
