"""A waiver: somebody answers for a model that does not meet one requirement, for a reason and until a day.

It is on record in standard.json. A server counts it only where its operator's own file says `waivers = true`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any  # JSON values

_MOST_WAIVERS = 1_000
_MOST_CHARACTERS = 1_000


@dataclass(frozen=True)
class Waiver:
    """Of a requirement, by its id. It counts up to the end of the day `until` in UTC."""

    requirement: str
    who: str
    why: str
    until: date

    def __str__(self) -> str:
        return f"waived until {self.until} by {self.who}: {self.why}"

    def counts(self, today: date) -> bool:
        """Whether it has not expired."""
        return today <= self.until

    def document(self) -> dict[str, str]:
        """As JSON has it; `waiver_of` is the other way."""
        return {"requirement": self.requirement, "who": self.who, "why": self.why, "until": self.until.isoformat()}


def today() -> date:
    """The day in UTC, by which waivers expire everywhere at once."""
    return datetime.now(UTC).date()


def waivers_of(documents: Any) -> tuple[Waiver, ...]:
    """The waivers of a record.

    Raises:
        ValueError, KeyError, TypeError: they are not in the format.
    """
    if not isinstance(documents, list) or len(documents) > _MOST_WAIVERS:
        raise TypeError("waivers")
    return tuple(map(_waiver, documents))


def waiver_for(waivers: Iterable[Waiver], requirement: str, day: date) -> Waiver | None:
    """The one of a requirement that counts on a day, and for the longest."""
    found = [one for one in waivers if one.requirement == requirement and one.counts(day)]
    return max(found, key=lambda one: one.until, default=None)


def _waiver(document: Mapping[str, Any]) -> Waiver:
    texts = [document[name] for name in ("requirement", "who", "why")]
    if not all(isinstance(text, str) and 0 < len(text) <= _MOST_CHARACTERS for text in texts):
        raise TypeError("waiver")
    requirement, who, why = texts
    return Waiver(requirement, who, why, date.fromisoformat(document["until"]))
