"""bundle.toml: what a bare ONNX file reads and predicts. Every mistake is named by its line or its key."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal  # Any: TOML values

from explicate_bundle.objective import OBJECTIVES
from explicate_export.errors import UsageError

NAME = "bundle.toml"
Output = Literal["logits", "probabilities", "log-odds", "value"]
_OUTPUTS: Mapping[str, Sequence[Output]] = {
    "classification": ("logits", "probabilities", "log-odds"),
    "regression": ("value",),
}
_TYPES = ("number", "boolean", "category", "ordinal")
_KEYS = ("kind", "objective", "labels", "target", "output", "output_name", "columns")
_COLUMN_KEYS = ("name", "type", "categories", "values", "missing", "unknown", "input")

EXAMPLE = """\
kind = "table"
objective = "classification"       # or "regression"
labels = ["stays", "leaves"]       # by output; of a regression: target = "price in €"
output = "probabilities"           # what the output is: "logits", "probabilities", "log-odds" of the second label
output_name = "probabilities"      # where the graph has several outputs

[[columns]]                        # of a table, in the order in which an input with several columns has them
name = "age"
type = "number"                    # or "boolean", "category", "ordinal"
input = "features"                 # of the graph; default: the one with the column's name, or the only one

[[columns]]
name = "city"
type = "category"
categories = ["Bern", "Oslo"]
values = [0, 1]                    # numbers that the graph has for them; left out where it reads texts
unknown = -1                       # what it gets for a category that it does not know, and where one is missing
missing = -1
"""


@dataclass(frozen=True)
class ColumnText:
    """A column as bundle.toml says it."""

    name: str
    type: str
    categories: tuple[str, ...]
    values: tuple[Any, ...]  # for the graph, by category
    unknown: Any
    missing: Any
    input: str | None


@dataclass(frozen=True)
class Description:
    """A whole bundle.toml."""

    path: Path
    objective: str
    labels: tuple[str, ...]
    target: str
    output: Output
    output_name: str | None
    columns: tuple[ColumnText, ...]

    def wrong(self, key: str, why: str) -> UsageError:
        """What to raise for a key."""
        return UsageError(f"{self.path}: {key} {why}")


def read_description(path: Path) -> Description:
    """Reads and checks the file; raises UsageError, naming the line or the key."""
    if not path.is_file():
        raise UsageError(f"{path} is not there: it says what the graph reads and predicts, for example\n\n{EXAMPLE}")
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML ({error})") from None
    read = _Reader(path)
    read.known(told, _KEYS, "")
    if told.get("kind", "table") != "table":
        others = "models of other kinds are bundled from Hugging Face directories"
        raise read.wrong("kind", f"is {told['kind']!r}; it must be 'table': {others}")
    objective = read.choice(told, "objective", tuple(_OUTPUTS), default="classification")
    output = read.choice(told, "output", _OUTPUTS[objective], default=_OUTPUTS[objective][0])
    labels = read.texts(told, "labels")
    least = OBJECTIVES[objective].least_labels
    if least and len(labels) < least:
        raise read.wrong("labels", f"are {list(labels)}; give the name of each output, at least {least}")
    if not least and labels:
        raise read.wrong("labels", "are given, and a regression has none: leave them out")
    if len(set(labels)) < len(labels):
        raise read.wrong("labels", "repeat")
    columns = tuple(read.column(one, f"columns[{place}]") for place, one in enumerate(read.tables(told, "columns")))
    if not columns:
        raise read.wrong("columns", "are missing")
    names = [column.name for column in columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise read.wrong("columns", f"have the name {twice[0]!r} twice")
    return Description(
        path,
        objective,
        labels,
        read.text(told, "target", default="value"),
        output,  # type: ignore[arg-type]  # one of them, as was checked
        read.text(told, "output_name", default="") or None,
        columns,
    )


@dataclass(frozen=True)
class _Reader:
    path: Path

    def wrong(self, key: str, why: str) -> UsageError:
        return UsageError(f"{self.path}: {key} {why}")

    def known(self, told: Mapping[str, Any], keys: Sequence[str], place: str) -> None:
        for key in told:
            if key not in keys:
                raise self.wrong(f"{place}{key}", f"is not known; there are {', '.join(keys)}")

    def text(self, told: Mapping[str, Any], key: str, *, place: str = "", default: str | None = None) -> str:
        value = told.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.wrong(place + key, "is missing" if value is None else f"is {value!r}, not a text")
        return value

    def choice(
        self, told: Mapping[str, Any], key: str, known: Sequence[str], *, place: str = "", default: str = ""
    ) -> str:
        value = told.get(key, default)
        if value not in known:
            found = "is missing" if value == "" else f"is {value!r}"
            raise self.wrong(place + key, f"{found}; it must be {', '.join(map(repr, known))}")
        return str(value)

    def texts(self, told: Mapping[str, Any], key: str, *, place: str = "") -> tuple[str, ...]:
        value = told.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self.wrong(place + key, "must be a list of texts")
        return tuple(value)

    def tables(self, told: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        value = told.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.wrong(key, f"must be tables, each below a line [[{key}]]")
        return value

    def column(self, told: Mapping[str, Any], place: str) -> ColumnText:
        self.known(told, _COLUMN_KEYS, f"{place}.")
        name = self.text(told, "name", place=f"{place}.")
        place = f"{place} ({name!r})."
        kind = self.choice(told, "type", _TYPES, place=place, default="number")
        categories = self.texts(told, "categories", place=place)
        named = kind in ("category", "ordinal")
        if named != bool(categories):
            raise self.wrong(place + "categories", "are missing" if named else f"are not for a column of type {kind!r}")
        if kind == "boolean":
            categories = ("false", "true")
        values = told.get("values", [0, 1] if kind == "boolean" else list(categories))
        if not isinstance(values, list) or len(values) != len(categories):
            raise self.wrong(place + "values", f"must be a list of {len(categories)}, one for each category")
        if len({type(value) is str for value in values}) > 1:
            raise self.wrong(place + "values", "must be all numbers or all texts")
        usual: Any = "" if values and isinstance(values[0], str) else float("nan")
        missing, unknown = told.get("missing", usual), told.get("unknown", told.get("missing", usual))
        return ColumnText(
            name, kind, categories, tuple(values), unknown, missing, self.text(told, "input", default="") or None
        )
