"""Rules of slices, such as `words < 12 and any_word(not, never)`: conditions that may ask for words of a text, too.

A rule is a condition of the grammar on what rows have. `any_word(...)` is true of rows whose `text` or `text_pair` has
one of the words, with no letter or digit beside it; n't is the end of a word, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from explicate.errors import UsageError
from explicate.scoring.conditions.grammar import condition_of

_ANY_WORD = re.compile(r"\bany_word\s*\(([^()]*)\)")
_PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")
_WORDS_OF_THE_GRAMMAR = frozenset({"and", "or", "not", "in", "is", "null", "true", "false", "p", "any_word"})


def rows_of(rule: str, known: Mapping[str, Sequence[Any]]) -> list[bool]:
    """Which rows a rule is true of.

    Args:
        rule: the condition.
        known: what it may name, by column: the value of each row, None where it has none.

    Raises:
        UsageError: the rule cannot be read, names what is not there, or compares what cannot be compared.
    """
    columns = dict(known)

    def named(match: re.Match[str]) -> str:
        words = [word.strip().strip("\"'").casefold() for word in match[1].split(",")]
        if not all(words):
            raise UsageError(f"{match[0]!r} lacks a word: write any_word(not, never)")
        name = f"any_word {len(columns)}"
        columns[name] = with_a_word(words, known)
        return f"`{name}`"

    condition = condition_of(_ANY_WORD.sub(named, rule), (), option="the rule")
    table = pa.RecordBatch.from_pydict({name: _array(values) for name, values in columns.items()})
    condition.check(table.schema)
    return list(condition(table))


def with_a_word(words: Sequence[str], known: Mapping[str, Sequence[Any]]) -> list[bool]:
    """Which rows have one of the words, in lower case, in their texts. Raises UsageError where rows have no texts."""
    texts = [known[name] for name in ("text", "text_pair") if name in known]
    if not texts:
        raise UsageError("any_word is of texts, and these rows have none")
    one_of = "|".join((r"" if "'" in word[1:] else r"(?<!\w)") + re.escape(word) + r"(?!\w)" for word in words)
    wanted = re.compile(one_of)
    return [any(wanted.search(str(text).casefold()) for text in of_row) for of_row in zip(*texts, strict=True)]


def quoted_name(name: str) -> str:
    """A column as a rule names it."""
    if _PLAIN_NAME.fullmatch(name) and name.casefold() not in _WORDS_OF_THE_GRAMMAR:
        return name
    return f"`{name.replace('`', '``')}`"


def quoted_text(text: str) -> str:
    """A text as a rule has it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _array(values: Sequence[Any]) -> pa.Array:
    """A column as it is compared; one with values of several types as texts."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])
