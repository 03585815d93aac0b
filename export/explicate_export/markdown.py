"""Markdown of values that come from files and people: each in one line, none of them able to become markup."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any  # JSON values


def plain(value: object) -> str:
    """A value in one line; JSON unless it is a string."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def code(text: str) -> str:
    """A text in code quotes."""
    return f"`{plain(text).replace('`', chr(39))}`"


def number(value: object) -> str:
    """Four digits of a number, nothing for None."""
    return f"{value:.4g}" if isinstance(value, int | float) else "" if value is None else str(value)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(plain(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def as_list(value: Mapping[str, Any], indent: str = "") -> Iterable[str]:
    """The lines of a list; mappings become lists inside it, and lists of mappings have a line for each."""
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            yield f"{indent}- {plain(name)}:"
            yield from as_list(entry, indent + "  ")
        elif isinstance(entry, list) and entry and all(isinstance(one, Mapping) for one in entry):
            yield f"{indent}- {plain(name)}:"
            for one in entry:
                yield f"{indent}  - " + ", ".join(f"{plain(key)} {plain(value)}" for key, value in one.items())
        else:
            yield f"{indent}- {plain(name)}: {plain(entry)}"
