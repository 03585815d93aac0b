"""The names that callers use for the values of the contract's enums, derived from the descriptors.

A name is the value's without the enum's prefix, in lower case, with dashes: MASKING_MASK_TOKEN is "mask-token".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any  # an enum's stub is a type of its own

from google.protobuf.descriptor import EnumDescriptor

# Of grpc.health.v1, which the client speaks without its package.
HEALTH_STATES: dict[int, str] = {0: "", 1: "serving", 2: "not-serving", 3: "service-unknown"}


def numbers_of(enum: Any) -> Mapping[str, int]:
    """The numbers of an enum's values by their names; 0, which is unspecified, has none."""
    return _numbers(enum.DESCRIPTOR)


def name_of(enum: Any, number: int) -> str:
    """The name of `number`; empty for 0, which is unspecified, and the number itself when this client has no name."""
    return _names(enum.DESCRIPTOR).get(number, str(number))


@cache
def _names(enum: EnumDescriptor) -> Mapping[int, str]:
    return {0: "", **{number: name for name, number in _numbers(enum).items()}}


@cache
def _numbers(enum: EnumDescriptor) -> Mapping[str, int]:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower().replace("_", "-"): value.number for value in enum.values[1:]}
