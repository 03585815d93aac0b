"""standard.toml: its frame, checked with errors that name the line. What a requirement may say is the caller's.

`explicate check` reads all of it so; a server reads what it must know to judge the record of a bundle.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar  # Any: TOML values

from explicate_bundle.errors import StandardError

HELD_OUT = "held_out"
_MAX_BYTES = 1 << 20
_TABLES = ("standard", "slices")
_KEYS = ("name", "version", "confidence", "minimum_rows", "cannot_tell", "waivers", "test", "suite", "require")
_NAME = re.compile(r"\w[\w .:-]{0,99}")
_Read = TypeVar("_Read")
ReadRequirement = Callable[[Mapping[str, Any], Sequence[str], bool], _Read]
"""From the table of a requirement, the names of slices, and whether there is a suite; raises StandardError."""


@dataclass(frozen=True)
class StandardFile(Generic[_Read]):
    """A standard.

    Attributes:
        path: of its file; other files that it names are beside it.
        text, sha256: what it says, and the digest of its bytes.
        confidence: of the one bound of a figure that must clear the line.
        minimum_rows: fewer rows than these tell nothing.
        refuses_unknown: whether "cannot tell" is as bad as "not met".
        takes_waivers: whether a server that holds bundles to it counts their waivers.
        test: the rows: `HELD_OUT`, the run's own, or a file.
        suite: the file with the cases; None without one.
        slices: rules by name.
    """

    path: Path
    text: str
    sha256: str
    name: str
    version: str
    confidence: float
    minimum_rows: int
    refuses_unknown: bool
    takes_waivers: bool
    test: str
    suite: Path | None
    requirements: tuple[_Read, ...]
    slices: Mapping[str, str]


def read_standard_file(path: Path, requirement: ReadRequirement[_Read]) -> StandardFile[_Read]:
    """Read a standard.

    Raises:
        StandardError: the file cannot be read or is not a standard; it names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StandardError(f"{path} cannot be read ({error.strerror}): give a standard.toml") from None
    if len(content) > _MAX_BYTES:
        raise StandardError(f"{path} has {len(content):,} bytes, and a standard has at most {_MAX_BYTES:,}")
    try:
        text = content.decode("utf-8")
        return _Reader(path, text, requirement).standard(tomllib.loads(text), sha256(content).hexdigest())
    except UnicodeDecodeError:
        raise StandardError(f"{path} is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise StandardError(f"{path} is not TOML: {error}") from None


class _Reader(Generic[_Read]):
    """Makes a standard of TOML; knows where in the text things are, for messages."""

    def __init__(self, path: Path, text: str, requirement: ReadRequirement[_Read]) -> None:
        self._path = path
        self._text_of_file = text
        self._lines = text.splitlines()
        self._requirement = requirement

    def standard(self, document: Mapping[str, Any], digest: str) -> StandardFile[_Read]:
        """The standard that a document says."""
        for name in document:
            if name not in _TABLES:
                raise self._wrong(f"[{name}] is not a table of a standard{hint(name, _TABLES)}", _table(name))
        head = document.get("standard")
        if not isinstance(head, dict):
            raise self._wrong("[standard] is missing: it has name, version and require")
        for name in head:
            if name not in _KEYS:
                raise self._wrong(f"{name} is not a key of [standard]{hint(name, _KEYS)}", _key(name))
        slices = self._slices(document.get("slices", {}))
        return StandardFile(
            self._path,
            self._text_of_file,
            digest,
            self._text(head, "name"),
            self._text(head, "version"),
            self._number(head, "confidence", 0.95, least=0.5, most=0.9999),
            int(self._number(head, "minimum_rows", 50, least=1, most=1e9)),
            self._one_of(head, "cannot_tell", ("refuse", "warn")) == "refuse",
            self._switch(head, "waivers"),
            self._text(head, "test", HELD_OUT),
            self._path.parent / self._text(head, "suite") if "suite" in head else None,
            tuple(self._requirements(head, list(slices))),
            slices,
        )

    def _slices(self, table: object) -> dict[str, str]:
        if not isinstance(table, dict):
            raise self._wrong("[slices] is not a table of names and rules", _key("slices"))
        for name, rule in table.items():
            if name == "all" or not _NAME.fullmatch(name):
                raise self._wrong(
                    f"[slices] {name!r} cannot be the name of a slice", _key(name), after=_table("slices")
                )
            if not isinstance(rule, str) or not rule.strip():
                problem = f'[slices] {name} is not a rule in quotes, such as "words < 12"'
                raise self._wrong(problem, _key(name), after=_table("slices"))
        return {name: rule.strip() for name, rule in table.items()}

    def _requirements(self, head: Mapping[str, Any], slices: Sequence[str]) -> Iterator[_Read]:
        listed = head.get("require")
        if not isinstance(listed, list) or not listed:
            raise self._wrong("require is not a list with at least one requirement, such as { id = …, metric = … }")
        seen: set[str] = set()
        for number, given in enumerate(listed, start=1):
            if not isinstance(given, dict) or not isinstance(given.get("id"), str) or not given["id"]:
                raise self._wrong(
                    f'requirement {number} of require has no id, such as id = "accuracy"', _key("require")
                )
            name = given["id"]
            if name in seen:
                raise self._wrong(f"two requirements have the id {name!r}", _id(name))
            seen.add(name)
            try:
                yield self._requirement(given, slices, "suite" in head)
            except StandardError as error:
                raise self._wrong(f"requirement {name!r}: {error}", _id(name)) from None

    def _text(self, table: Mapping[str, Any], name: str, default: str | None = None) -> str:
        value = table.get(name, default)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(f"{name} is not a text in quotes" if name in table else f"{name} is missing", _key(name))
        return value

    def _number(self, table: Mapping[str, Any], name: str, default: float, *, least: float, most: float) -> float:
        value = table.get(name, default)
        if not is_number(value) or not least <= value <= most:
            raise self._wrong(f"{name} is {value!r}, not a number from {least:g} to {most:g}", _key(name))
        return float(value)

    def _one_of(self, table: Mapping[str, Any], name: str, known: Sequence[str]) -> str:
        value = table.get(name, known[0])
        if value not in known:
            raise self._wrong(f"{name} is {value!r}, not one of {', '.join(known)}", _key(name))
        return str(value)

    def _switch(self, table: Mapping[str, Any], name: str) -> bool:
        value = table.get(name, False)
        if not isinstance(value, bool):
            raise self._wrong(f"{name} is {value!r}, not true or false", _key(name))
        return value

    def _wrong(self, problem: str, place: str = "", *, after: str = "") -> StandardError:
        """The error, with the first line that a pattern finds; `after` is of a line that comes before it."""
        first = self._found(after, 0) if after else 0
        line = self._found(place, first or 0) if place else None
        return StandardError(f"{self._path}{'' if line is None else f', line {line + 1}'}: {problem}")

    def _found(self, pattern: str, first: int) -> int | None:
        numbers = range(first, len(self._lines))
        return next((number for number in numbers if re.search(pattern, self._lines[number])), None)


def _key(name: str) -> str:
    """A pattern of a line that sets a key."""
    return rf"(?:^|[{{,])\s*[\"']?{re.escape(name)}[\"']?\s*="


def _table(name: str) -> str:
    """A pattern of a line that begins a table."""
    return rf"^\s*\[+\s*{re.escape(name)}\b"


def _id(name: str) -> str:
    """A pattern of a line with the id of a requirement."""
    return rf"\bid\s*=\s*[\"']{re.escape(name)}[\"']"


def is_number(value: Any) -> bool:
    """Whether a TOML value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def hint(name: str, known: Sequence[str]) -> str:
    """What may have been meant, or what there is, for the end of a message."""
    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else f": there are {', '.join(known)}"
