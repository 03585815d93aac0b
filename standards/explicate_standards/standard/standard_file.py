"""standard.toml: what a model must reach, read and checked as a whole before anything is measured."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any  # TOML values

from explicate.errors import UsageError
from explicate_standards.metrics.interpretability import METRICS
from explicate_standards.outcomes.fairness import GAPS
from explicate_standards.outcomes.measures import MEASURES
from explicate_standards.outcomes.slice_rules import SliceRule
from explicate_standards.standard.requirement import Line, Requirement
from explicate_standards.standard.requirements import (
    AgainstRequirement,
    FairnessRequirement,
    FlipsRequirement,
    MetricRequirement,
    PriceRequirement,
    RobustnessRequirement,
    SuiteRequirement,
)

HELD_OUT = "held_out"
_MAX_BYTES = 1 << 20
_FLIPS = "negative_flips"
_ROBUSTNESS = "robustness."
_TABLES = ("standard", "slices")
_KEYS = ("name", "version", "confidence", "minimum_rows", "cannot_tell", "test", "suite", "require")
_NAME = re.compile(r"\w[\w .:-]{0,99}")


@dataclass(frozen=True)
class Standard:
    """A standard.

    Attributes:
        path: of its file; other files that it names are beside it.
        sha256: of its bytes.
        confidence: of the one bound of a figure that must clear the line.
        minimum_rows: fewer rows than these tell nothing.
        refuses_unknown: whether "cannot tell" is as bad as "not met".
        test: the rows: `HELD_OUT`, the run's own, or a file.
        suite: the file with the cases; None without one.
    """

    path: Path
    sha256: str
    name: str
    version: str
    confidence: float
    minimum_rows: int
    refuses_unknown: bool
    test: str
    suite: Path | None
    requirements: tuple[Requirement, ...]
    slices: tuple[SliceRule, ...]


def read_standard(path: Path) -> Standard:
    """Read a standard.

    Raises:
        UsageError: the file cannot be read or is not a standard; it names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): give a standard.toml") from None
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path} has {len(content):,} bytes, and a standard has at most {_MAX_BYTES:,}")
    try:
        text = content.decode("utf-8")
        return _Reader(path, text).standard(tomllib.loads(text), sha256(content).hexdigest())
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None


class _Reader:
    """Makes a standard of TOML; knows where in the text things are, for messages."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def standard(self, document: Mapping[str, Any], digest: str) -> Standard:
        """The standard that a document says."""
        for name in document:
            if name not in _TABLES:
                raise self._wrong(f"[{name}] is not a table of a standard{_hint(name, _TABLES)}", _table(name))
        head = document.get("standard")
        if not isinstance(head, dict):
            raise self._wrong("[standard] is missing: it has name, version and require")
        for name in head:
            if name not in _KEYS:
                raise self._wrong(f"{name} is not a key of [standard]{_hint(name, _KEYS)}", _key(name))
        slices = self._slices(document.get("slices", {}))
        return Standard(
            self._path,
            digest,
            self._text(head, "name"),
            self._text(head, "version"),
            self._number(head, "confidence", 0.95, least=0.5, most=0.9999),
            int(self._number(head, "minimum_rows", 50, least=1, most=1e9)),
            self._one_of(head, "cannot_tell", ("refuse", "warn")) == "refuse",
            self._text(head, "test", HELD_OUT),
            self._path.parent / self._text(head, "suite") if "suite" in head else None,
            tuple(self._requirements(head, [rule.name for rule in slices])),
            slices,
        )

    def _slices(self, table: object) -> tuple[SliceRule, ...]:
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
        return tuple(SliceRule(name, rule.strip()) for name, rule in table.items())

    def _requirements(self, head: Mapping[str, Any], slices: Sequence[str]) -> Iterator[Requirement]:
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
                yield _requirement(given, slices, has_suite="suite" in head)
            except UsageError as error:
                raise self._wrong(f"requirement {name!r}: {error}", _id(name)) from None

    def _text(self, table: Mapping[str, Any], name: str, default: str | None = None) -> str:
        value = table.get(name, default)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(f"{name} is not a text in quotes" if name in table else f"{name} is missing", _key(name))
        return value

    def _number(self, table: Mapping[str, Any], name: str, default: float, *, least: float, most: float) -> float:
        value = table.get(name, default)
        if not _is_number(value) or not least <= value <= most:
            raise self._wrong(f"{name} is {value!r}, not a number from {least:g} to {most:g}", _key(name))
        return float(value)

    def _one_of(self, table: Mapping[str, Any], name: str, known: Sequence[str]) -> str:
        value = table.get(name, known[0])
        if value not in known:
            raise self._wrong(f"{name} is {value!r}, not one of {', '.join(known)}", _key(name))
        return str(value)

    def _wrong(self, problem: str, place: str = "", *, after: str = "") -> UsageError:
        """The error, with the first line that a pattern finds; `after` is of a line that comes before it."""
        first = self._found(after, 0) if after else 0
        line = self._found(place, first or 0) if place else None
        return UsageError(f"{self._path}{'' if line is None else f', line {line + 1}'}: {problem}")

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


def _requirement(given: Mapping[str, Any], slices: Sequence[str], *, has_suite: bool) -> Requirement:
    """One requirement, by the keys that it has."""
    keys = set(given) - {"id"}
    if "suite" in keys:
        if not has_suite:
            raise UsageError('it is of a suite, and [standard] has no suite = "FILE.jsonl"')
        _only(keys, ("suite", "failures_at_most"))
        return SuiteRequirement(given["id"], _string(given, "suite"), _share(given, "failures_at_most"))
    metric = _string(given, "metric")
    if metric == _FLIPS:
        _only(keys, ("metric", "against", "at_most"))
        return FlipsRequirement(given["id"], _string(given, "against"), _share(given, "at_most"))
    if metric.partition(".")[0] in METRICS:
        _only(keys, ("metric", "at_least", "at_most"))
        figures = METRICS[metric.partition(".")[0]].figure_names
        if metric not in figures:
            raise UsageError(f"there is no figure {metric!r}: there are {', '.join(figures)}")
        return PriceRequirement(given["id"], metric, _line(given))
    if metric.startswith(_ROBUSTNESS):
        return _robustness(given, metric.removeprefix(_ROBUSTNESS))
    if metric in GAPS:
        _only(keys, ("metric", "class", "over", "at_least", "at_most"))
        return FairnessRequirement(given["id"], metric, _string(given, "class"), _string(given, "over"), _line(given))
    if metric not in MEASURES:
        known = (*MEASURES, *METRICS, *GAPS, _FLIPS)
        raise UsageError(f"there is no metric {metric!r}{_hint(metric, known)}")
    label = _class_of(given, metric)
    if "against" in keys:
        _only(keys, ("metric", "class", "against", "margin", "ratio"))
        return AgainstRequirement(given["id"], metric, label, _string(given, "against"), *_gap(given, metric))
    _only(keys, ("metric", "class", "slices", "at_least", "at_most"))
    return MetricRequirement(given["id"], metric, label, _slices_of(given, slices), _line(given))


def _robustness(given: Mapping[str, Any], disturbance: str) -> Requirement:
    _only(set(given) - {"id"}, ("metric", "ratio", "at_least"))
    found = [name for name in ("ratio", "at_least") if name in given]
    if len(found) != 1:
        raise UsageError("it has one of ratio and at_least")
    share = _share(given, found[0])
    ratio, at_least = (share, None) if found == ["ratio"] else (None, share)
    return RobustnessRequirement(given["id"], disturbance, ratio, at_least)


def _class_of(given: Mapping[str, Any], metric: str) -> str | None:
    if MEASURES[metric].of_class:
        if "class" not in given:
            raise UsageError(f'{metric} is of one class: name it, such as class = "bad", or take {metric}_macro')
        return _string(given, "class")
    if "class" in given:
        raise UsageError(f"{metric} is not of one class: leave class out")
    return None


def _slices_of(given: Mapping[str, Any], known: Sequence[str]) -> tuple[str, ...] | None:
    """Names of slices; None for the rows as a whole. The slices of a column have its rule's name before theirs."""
    if "slices" not in given:
        return None
    names = [given["slices"]] if isinstance(given["slices"], str) else given["slices"]
    if not isinstance(names, list) or not names or not known:
        raise UsageError('slices is "all", or a list of names of [slices]')
    for name in names:
        if name != "all" and name not in known:
            raise UsageError(f"there is no slice {name!r}{_hint(str(name), known)}")
    return tuple(known if "all" in names else names)


def _line(given: Mapping[str, Any]) -> Line:
    found = [name for name in ("at_least", "at_most") if name in given]
    if len(found) != 1:
        raise UsageError("it has one of at_least and at_most")
    return Line(_finite(given, found[0]), at_least=found == ["at_least"])


def _gap(given: Mapping[str, Any], metric: str) -> tuple[float, float]:
    """Margin and ratio; one of them is given."""
    found = [name for name in ("margin", "ratio") if name in given]
    if len(found) != 1:
        raise UsageError("it has one of margin and ratio")
    if found == ["margin"]:
        return _at_least_0(given, "margin"), 1.0
    if MEASURES[metric].better == "lower":
        raise UsageError(f"ratio is of metrics that are better when larger, and {metric} is not: give a margin")
    return 0.0, _share(given, "ratio")


def _only(keys: set[str], allowed: Sequence[str]) -> None:
    for key in sorted(keys):
        if key not in allowed:
            raise UsageError(f"{key} does not go with it{_hint(key, allowed)}")


def _string(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} is not a text in quotes" if name in given else f"{name} is missing")
    return value


def _finite(given: Mapping[str, Any], name: str) -> float:
    value: Any = given.get(name)
    if not _is_number(value) or not isfinite(value):
        raise UsageError(f"{name} is {value!r}, not a number" if name in given else f"{name} is missing")
    return float(value)


def _share(given: Mapping[str, Any], name: str) -> float:
    value = _finite(given, name)
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is {value:g}, not a share from 0 to 1")
    return value


def _at_least_0(given: Mapping[str, Any], name: str) -> float:
    value = _finite(given, name)
    if value < 0:
        raise UsageError(f"{name} is {value:g}; it says how much worse is allowed, so it is not below 0")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _hint(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else f": there are {', '.join(known)}"
