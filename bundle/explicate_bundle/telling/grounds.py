"""What moves a model's answers most over many rows, with the direction: recorded by a training, told by cards.

A run keeps them in metrics.json under "grounds": `rows`, how many test rows were explained, and `parts`, the strongest
first: a part's name, its mean strength with an interval, and `says`: when it speaks for which answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal  # JSON values

from explicate_bundle.telling.in_words import listed, quoted

GROUNDS_KEY = "grounds"
"""Of metrics.json."""

When = Literal["there", "higher", "value"]
"""A part speaks for an answer where it is there (a word), the higher it is (a number), or where it has a value."""


@dataclass(frozen=True)
class Saying:
    """When a part speaks for an answer, or against it.

    Attributes:
        when: see `When`.
        value: of "value": which one.
        label: which answer; empty of a number, which is raised or lowered.
        raises: whether it speaks for it, or raises it.
    """

    when: When
    label: str
    raises: bool
    value: str = ""


@dataclass(frozen=True)
class Ground:
    """A part of inputs: a word, a column, or a place in a picture. `says` is empty where it has no one direction."""

    name: str
    strength: float
    lower: float
    upper: float
    says: tuple[Saying, ...] = field(default=())


@dataclass(frozen=True)
class Grounds:
    """The strongest parts, of so many explained test rows."""

    rows: int
    parts: tuple[Ground, ...]

    def document(self) -> dict[str, Any]:
        """As metrics.json has it."""
        return {"rows": self.rows, "parts": [_part(one) for one in self.parts]}


def read_grounds(told: object) -> Grounds | None:
    """Grounds of metrics.json; None where there are none, or they have another form."""
    try:
        assert isinstance(told, Mapping)
        parts = tuple(_ground(one) for one in told["parts"])
        return Grounds(int(told["rows"]), parts) if parts else None
    except (AssertionError, KeyError, TypeError, ValueError):
        return None


def sentences(grounds: Grounds, most: int) -> list[str]:
    """What the strongest parts say, a sentence each."""
    return [_sentence(one) for one in grounds.parts[:most]]


def _part(one: Ground) -> dict[str, Any]:
    says = [
        {"when": each.when, "label": each.label, "raises": each.raises} | ({"value": each.value} if each.value else {})
        for each in one.says
    ]
    return {"name": one.name, "strength": one.strength, "interval": [one.lower, one.upper], "says": says}


def _ground(told: Mapping[str, Any]) -> Ground:
    lower, upper = told["interval"]
    says = tuple(
        Saying(each["when"], str(each["label"]), bool(each["raises"]), str(each.get("value", "")))
        for each in told["says"]
    )
    return Ground(str(told["name"]), float(told["strength"]), float(lower), float(upper), says)


def _sentence(one: Ground) -> str:
    name = quoted(one.name)
    if not one.says:
        return f"{name}: not always in the same direction."
    first = one.says[0]
    if first.when == "higher":
        if first.label:
            return f"{name}: the higher it is, the more speaks {_for(first)}."
        return f"{name}: the higher it is, the {'higher' if first.raises else 'lower'} is the answer."
    if first.when == "there":
        return f"{name} speaks {_for(first)}." if first.label else f"{name} {_moves(first)} the answer."
    told = [f"{quoted(each.value)} {_moved(each)}" for each in one.says]
    return f"{name}: {listed(told)}."


def _moved(one: Saying) -> str:
    return f"speaks {_for(one)}" if one.label else f"{_moves(one)} the answer"


def _moves(one: Saying) -> str:
    return "raises" if one.raises else "lowers"


def _for(one: Saying) -> str:
    return f"{'for' if one.raises else 'against'} {quoted(one.label)}"


def strongest(parts: Sequence[Ground], most: int) -> list[Ground]:
    """Parts whose strength is not 0 by its interval, the strongest first."""
    known = [one for one in parts if one.lower > 0]
    return sorted(known, key=lambda one: (-one.strength, one.name))[:most]
