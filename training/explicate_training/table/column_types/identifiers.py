"""Columns that name rows instead of telling something about them: row numbers, ids, codes of their own.

They are left out, with the reason, unless the config declares their type.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any  # cells as they were read

ROW_NUMBERS = "counts the rows"
ORDERED_IDS = "has a larger whole number in every row than in the one before, as ids have"
NAMED_IDS = "is an id by its name, with a number of its own in most rows"
CODES = "has a code of its own in every row, and the name of one"
UUIDS = "holds UUIDs"
OWN_VALUES = "nearly every row has a value of its own"

FEWEST_ROWS = 20  # with fewer, distinct values say little
_OWN_VALUE_SHARE = 0.5  # distinct values by rows, from which words are names or free text, and numbers ids
_UUID_SHARE = 0.1  # the same for UUIDs, which mean nothing but a key; some shops or wards may have one each
_UUID = re.compile(r"\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?", re.IGNORECASE)
_ID_WORDS = frozenset(
    ["id", "ids", "uuid", "guid", "pk", "idx", "index", "rowid", "rownum", "rownumber", "unnamed", "serial"]
)
_CODE_WORDS = frozenset(
    ["number", "no", "nr", "num", "code", "ref", "reference", "account", "phone", "ticket", "order", "invoice", "key"]
)
_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")  # of customer_id, customerId, CustomerID


def of_numbers(name: str, numbers: Sequence[float], segments: Sequence[Sequence[float]]) -> str:
    """Why a column of numbers, all known, is left out; "" if it is not. Segments: the same as each file has them."""
    if len(numbers) < FEWEST_ROWS or not all(float(number).is_integer() for number in numbers):
        return ""
    steps = {after - before for segment in segments for before, after in pairwise(segment)}
    if steps == {1}:
        return ROW_NUMBERS
    share = len(set(numbers)) / len(numbers)
    if steps and min(steps) > 0:
        return ORDERED_IDS
    words = {word.lower() for word in _NAME_WORDS.findall(name)}
    if (words & _ID_WORDS or not name.strip()) and share > _OWN_VALUE_SHARE:
        return NAMED_IDS
    return CODES if words & _CODE_WORDS and share == 1 else ""


def of_texts(texts: Sequence[Any]) -> str:
    """Why a column of texts, all known, is left out; "" if it is not."""
    if len(texts) < FEWEST_ROWS:
        return ""
    different = set(map(str, texts))
    share = len(different) / len(texts)
    if share > _UUID_SHARE and all(_UUID.fullmatch(text.strip()) for text in different):
        return UUIDS
    return OWN_VALUES if share > _OWN_VALUE_SHARE else ""
