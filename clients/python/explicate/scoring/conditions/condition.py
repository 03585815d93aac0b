"""What the parts of a condition are true of, for a whole batch of rows at a time.

A comparison with a missing value is neither true nor false, as in SQL: `not` leaves it so, `and` and `or` go by the
side that decides, and a row for which the whole is unknown is not chosen. NaN is missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from explicate.errors import UsageError
from explicate.reading.nearest import nearest

Values: TypeAlias = pa.Array | pa.Scalar
Literal: TypeAlias = str | float | int | bool

OPTION = "--explain-if"
NUMBER, TEXT, TRUTH, TIME, OTHER = "a number", "a text", "true or false", "a time", "something else"
COMPARISONS: dict[str, Callable[[Values, Values], Values]] = {
    "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
    "==": pc.equal, "=": pc.equal, "!=": pc.not_equal, "<>": pc.not_equal,
}  # fmt: skip
_EQUALITIES = frozenset({"==", "=", "!=", "<>"})
_PROBABILITIES = "probabilities"


class BadCondition(Exception):
    """What is wrong, and at which character of the condition."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True)
class Part(ABC):
    """A part of a condition; `at` is the character where it begins."""

    at: int

    @abstractmethod
    def kind(self, columns: pa.Schema) -> str:
        """What it is; raises BadCondition if it does not make sense of these columns."""

    @abstractmethod
    def values(self, rows: pa.RecordBatch) -> Values:
        """What it is for each row, or for all of them."""


@dataclass(frozen=True)
class Constant(Part):
    """A number, a text, or true or false."""

    value: Literal

    def kind(self, columns: pa.Schema) -> str:  # noqa: ARG002
        match self.value:
            case bool():
                return TRUTH
            case str():
                return TEXT
            case _:
                return NUMBER

    def values(self, rows: pa.RecordBatch) -> Values:  # noqa: ARG002
        return pa.scalar(self.value)


@dataclass(frozen=True)
class Named(Part):
    """A column by its name."""

    name: str

    def kind(self, columns: pa.Schema) -> str:
        if self.name not in columns.names:
            close = nearest(self.name, columns.names, most=1)
            hint = f" (did you mean {close[0]}?)" if close else f": there are {', '.join(columns.names)}"
            raise BadCondition(f"there is no column {self.name}{hint}", self.at)
        return _kind_of(columns.field(self.name).type)

    def values(self, rows: pa.RecordBatch) -> Values:
        return _plain(rows.column(self.name))


@dataclass(frozen=True)
class ClassProbability(Part):
    """The probability of one class, by its index."""

    index: int

    def kind(self, columns: pa.Schema) -> str:  # noqa: ARG002
        return NUMBER

    def values(self, rows: pa.RecordBatch) -> Values:
        return pc.list_element(rows.column(_PROBABILITIES), self.index)


@dataclass(frozen=True)
class Comparison(Part):
    """Two values side by side."""

    left: Part
    sign: str
    right: Part

    def kind(self, columns: pa.Schema) -> str:
        left, right = self.left.kind(columns), self.right.kind(columns)
        for part, own, other in ((self.left, left, right), (self.right, right, left)):
            if own == OTHER:
                raise _not_comparable(part, columns)
            if own == TEXT and other == TIME and isinstance(part, Constant):
                _moment(part)
                return TRUTH
        if left != right:
            raise BadCondition(f"{left} cannot be compared with {right}", self.at)
        if left == TRUTH and self.sign not in _EQUALITIES:
            raise BadCondition("true and false are not in an order: compare them with == or !=", self.at)
        return TRUTH

    def values(self, rows: pa.RecordBatch) -> Values:
        left, right = self.left.values(rows), self.right.values(rows)
        if pa.types.is_timestamp(left.type) and isinstance(self.right, Constant):
            right = _moment(self.right)
        if pa.types.is_timestamp(right.type) and isinstance(self.left, Constant):
            left = _moment(self.left)
        if pa.types.is_floating(left.type) or pa.types.is_floating(right.type):
            left, right = _as_float(left), _as_float(right)
        return COMPARISONS[self.sign](left, right)


@dataclass(frozen=True)
class OneOf(Part):
    """Whether a value is in a list."""

    value: Part
    listed: tuple[Constant, ...]

    def kind(self, columns: pa.Schema) -> str:
        for constant in self.listed:
            Comparison(constant.at, self.value, "==", constant).kind(columns)
        return TRUTH

    def values(self, rows: pa.RecordBatch) -> Values:
        found = [Comparison(one.at, self.value, "==", one).values(rows) for one in self.listed]
        return reduce(pc.or_kleene, found)


@dataclass(frozen=True)
class IsNull(Part):
    """Whether a value is missing."""

    value: Part

    def kind(self, columns: pa.Schema) -> str:
        self.value.kind(columns)
        return TRUTH

    def values(self, rows: pa.RecordBatch) -> Values:
        return pc.is_null(self.value.values(rows))


@dataclass(frozen=True)
class Not(Part):
    """The opposite."""

    part: Part

    def kind(self, columns: pa.Schema) -> str:
        return _truth(self.part, columns)

    def values(self, rows: pa.RecordBatch) -> Values:
        return pc.invert(self.part.values(rows))


@dataclass(frozen=True)
class All(Part):
    """Whether all parts are true."""

    parts: tuple[Part, ...]

    def kind(self, columns: pa.Schema) -> str:
        for part in self.parts:
            _truth(part, columns)
        return TRUTH

    def values(self, rows: pa.RecordBatch) -> Values:
        return reduce(pc.and_kleene, (part.values(rows) for part in self.parts))


@dataclass(frozen=True)
class Any(All):
    """Whether any part is true."""

    def values(self, rows: pa.RecordBatch) -> Values:
        return reduce(pc.or_kleene, (part.values(rows) for part in self.parts))


@dataclass(frozen=True)
class ExplainIf:
    """A whole condition. It is an `explicate.scoring.interfaces.Condition`; errors name the `option` that holds it."""

    text: str
    part: Part
    option: str = OPTION

    def check(self, columns: pa.Schema) -> None:
        """Raise UsageError if it names a column that is not there, or compares what cannot be compared."""
        try:
            _truth(self.part, columns)
        except BadCondition as error:
            raise shown(self.text, error, self.option) from None

    def __call__(self, columns: pa.RecordBatch) -> Sequence[bool]:
        """One truth value a row."""
        found = self.part.values(columns)
        if isinstance(found, pa.Scalar):
            return [found.as_py() is True] * columns.num_rows
        chosen: list[bool] = pc.fill_null(found, fill_value=False).to_pylist()
        return chosen


def shown(text: str, error: BadCondition, option: str = OPTION) -> UsageError:
    """The error with the condition below it, and a mark under the place."""
    line = "".join(" " if character.isspace() else character for character in text)
    return UsageError(f"{option}: {error}\n  {line}\n  {' ' * error.at}^")


def _truth(part: Part, columns: pa.Schema) -> str:
    kind = part.kind(columns)
    if kind != TRUTH:
        raise BadCondition(f"this is {kind}, where a comparison or true or false is wanted", part.at)
    return kind


def _kind_of(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return NUMBER
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return TEXT
    if pa.types.is_boolean(kind):
        return TRUTH
    return TIME if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else OTHER


def _plain(array: pa.Array) -> pa.Array:
    """A column as it is compared: numbers that are not decimal, moments as clock times, NaN as missing."""
    kind = array.type
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        array = array.cast(pa.float64())
    if pa.types.is_floating(array.type):
        return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    if pa.types.is_uint64(kind):
        return _as_float(array) if (pc.max(array).as_py() or 0) >= 2**63 else array.cast(pa.int64())
    if pa.types.is_null(kind):
        return array.cast(pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        local = pc.local_timestamp(array) if pa.types.is_timestamp(kind) and kind.tz else array
        return local.cast(pa.timestamp("us"), safe=False)
    return array


def _as_float(values: Values) -> Values:
    """Numbers as float64, to the nearest where they are larger than 2^53."""
    return values.cast(pa.float64(), safe=False) if pa.types.is_integer(values.type) else values


def _moment(constant: Constant) -> pa.Scalar:
    try:
        moment = datetime.fromisoformat(str(constant.value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None:
        raise BadCondition(f"{constant.value!r} is not a time such as 2020-12-31 or 2020-12-31T23:59", constant.at)
    return pa.scalar(moment, pa.timestamp("us"))


def _not_comparable(part: Part, columns: pa.Schema) -> BadCondition:
    name = part.name if isinstance(part, Named) else ""
    kind = columns.field(name).type if name else OTHER
    hint = ': ask for the probability of a class, such as p["spam"]' if name in ("labels", _PROBABILITIES) else ""
    return BadCondition(f"the column {name} holds {kind}, which cannot be compared{hint}", part.at)
