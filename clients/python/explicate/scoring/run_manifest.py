"""The manifest of a run: everything that its output depends on, written before the first part.

Whoever goes on with a run, after a kill or as another shard, must find the same; `differences` names what is not. It
does not hold times, so that two runs of the same work leave the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import pyarrow as pa

from explicate.errors import UsageError
from explicate.model_info import ModelDescription
from explicate.scoring.interfaces import InputFile

MANIFEST = "_manifest.json"
_FORMAT = 1


@dataclass(frozen=True)
class PinnedModel:
    """The version that answers every call of a run."""

    name: str
    version: int
    bundle_digest: str
    kind: str
    class_labels: tuple[str, ...]

    @classmethod
    def of(cls, description: ModelDescription) -> PinnedModel:
        """The version that a server described."""
        status = description.status
        return cls(status.model, status.version, status.bundle_digest, status.kind, description.class_labels)


@dataclass(frozen=True)
class Plan:
    """How the rows are cut: into parts, files of the output, and these into calls."""

    rows: int
    part_rows: int
    call_rows: int

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.rows // self.part_rows)

    def rows_of(self, part: int) -> range:
        """The numbers of a part's rows."""
        return range(part * self.part_rows, min((part + 1) * self.part_rows, self.rows))

    def part_of(self, row: int) -> int:
        """The part that a row belongs to."""
        return row // self.part_rows


def _programs() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("explicate", "pyarrow")}


@dataclass(frozen=True)
class RunManifest:
    """What a run's output depends on.

    options: of the inputs, the explanations and the columns, as JSON has them. wide: names of the features that have a
    column each, else None. schema: the columns of the output, by their types. programs: versions of what writes it.
    """

    model: PinnedModel
    inputs: tuple[InputFile, ...]
    options: Mapping[str, Any]  # Any: whatever JSON holds
    plan: Plan
    wide: tuple[str, ...] | None
    schema: Mapping[str, str]
    programs: Mapping[str, str] = field(default_factory=_programs)

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> RunManifest:
        """The manifest in a file; raises UsageError for a file that is not one."""
        try:
            told = json.loads(text)
            if told.pop("format") != _FORMAT:
                raise UsageError(f"{where} is of another version of this program: go on with that, or choose --output")
            return cls(
                model=PinnedModel(**{**told["model"], "class_labels": tuple(told["model"]["class_labels"])}),
                inputs=tuple(InputFile(**each) for each in told["inputs"]),
                options=told["options"],
                plan=Plan(**told["plan"]),
                wide=None if told["wide"] is None else tuple(told["wide"]),
                schema=told["schema"],
                programs=told["programs"],
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(
                f"{where} is not the manifest of a run of `explicate score`: choose another --output"
            ) from None

    def differences(self, other: RunManifest) -> list[str]:
        """What `other`, of the run at hand, has otherwise than this one, each as "NAME is A here and was B"."""
        found = list(_input_differences(self.inputs, other.inputs))
        mine, others = (dict(_flat("", json.loads(each.to_json()))) for each in (self, other))
        names = [name for name in dict.fromkeys([*mine, *others]) if mine.get(name) != others.get(name)]
        told = [name for name in names if not name.startswith(_CONSEQUENCES)]
        for name in told or ([] if found else names):
            found.append(f"{_heading(name)} is {_shown(others.get(name))} now and was {_shown(mine.get(name))}")
        return found


def schema_document(schema: pa.Schema) -> dict[str, str]:
    """The columns of a schema by their types, as the manifest has them."""
    return {field.name: str(field.type) for field in schema}


def _input_differences(before: Sequence[InputFile], now: Sequence[InputFile]) -> Iterator[str]:
    old, new = ({each.path: each for each in files} for files in (before, now))
    yield from (f"the input {path} was not there" for path in new if path not in old)
    yield from (f"the input {path} is gone" for path in old if path not in new)
    changed = [path for path in new if path in old and new[path] != old[path]]
    yield from (f"the input {path} was changed" for path in changed)
    if not changed and set(old) == set(new) and list(old) != list(new):
        yield "the inputs come in another order"


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    """The leaves of JSON objects by their dotted names; a list is a leaf."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(f"{name}.{key}" if name else key, item)
    else:
        yield name, value


# What differs because something else does, which is told: the inputs in words of their own.
_CONSEQUENCES = ("inputs", "schema.", "plan.rows", "plan.call_rows", "wide")
_HEADINGS = {
    "plan.part_rows": "--part-rows",
    "model.name": "the model",
    "model.version": "the model's version",
    "model.bundle_digest": "the model's bundle",
    "options.explain.method": "--explain",
}
_FLAGS = (
    ("options.explain.", "--"),
    ("options.columns.", "--column "),
    ("options.", "--"),
    ("programs.", "the version of "),
)


def _heading(name: str) -> str:
    """What a user calls it: the flag, where there is one."""
    if name in _HEADINGS:
        return _HEADINGS[name]
    for start, flag in _FLAGS:
        if name.startswith(start):
            own = name.removeprefix(start)
            return f"{flag}{own.replace('_', '-') if flag == '--' else own}"
    return name


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
