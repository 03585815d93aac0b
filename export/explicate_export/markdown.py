"""Markdown of values that come from files and people: each in one line, none of them able to become markup."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any  # JSON values


def plain(value: object) -> str:
    """A value in one line; JSON unless it is a string."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


# What would become markup in a text; words with underscores inside are left as they are.
_MARKUP = re.compile(
    r"[\\`*<\[~$]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)|(?<=http):(?=//)|(?<=https):(?=//)|(?<=\bwww)\.|(?<=\w)@(?=\w)"
)
# And what would make a heading, a quotation or a list item of a line that begins with it.
_AT_THE_BEGINNING = re.compile(r"^(\d{0,9})(?=(?:[#+=>-]|(?<=\d)[.)])(?:\s|$)|>)")


def escaped(value: object) -> str:
    """A value in one line that is shown letter by letter: no emphasis, link, HTML or picture comes of it."""
    text = _MARKUP.sub(r"\\\g<0>", plain(value))
    return _AT_THE_BEGINNING.sub(r"\1\\", text)


def code(text: str) -> str:
    """A text in code quotes."""
    return f"`{plain(text).replace('`', chr(39))}`"


def number(value: object) -> str:
    """Four digits of a number, more only of a whole part, which has commas; nothing for None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


_ABBREVIATIONS = {"auroc": "AUROC", "f1": "F1", "mae": "mean absolute error", "rmse": "RMSE", "sha256": "SHA-256"}


def words(key: str) -> str:
    """The key of a JSON file as people would write it: "f1_macro" is "F1 macro"."""
    return " ".join(_ABBREVIATIONS.get(word, word) for word in key.split("_"))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(plain(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def as_list(value: Mapping[str, Any], indent: str = "") -> Iterable[str]:
    """The lines of a list; mappings become lists inside it, and lists of mappings have a line for each.

    Keys are written as words at the top only: further in they may be labels or names of columns.
    """
    for name, entry in value.items():
        key = escaped(name) if indent else words(escaped(name))
        if isinstance(entry, Mapping | list) and not entry:
            yield f"{indent}- {key}: none"
        elif isinstance(entry, Mapping):
            yield f"{indent}- {key}:"
            yield from as_list(entry, indent + "  ")
        elif isinstance(entry, list) and entry and all(isinstance(one, Mapping) for one in entry):
            yield f"{indent}- {key}:"
            for one in entry:
                yield f"{indent}  - " + ", ".join(f"{escaped(part)} {escaped(told)}" for part, told in one.items())
        else:
            is_number = isinstance(entry, int | float) and not isinstance(entry, bool)
            yield f"{indent}- {key}: {number(entry) if is_number else escaped(entry)}"
