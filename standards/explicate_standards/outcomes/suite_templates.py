"""Cases of a suite from templates and lists of words: a TOML file instead of a line for each case.

    [lists]
    thing = ["soup", "tea"]
    name = ["Ann", "Bob"]

    [[case]]
    suite = "plain"
    text = "The {thing} is great."
    label = "great"

    [[case]]
    suite = "names"
    same = "{name} likes the {thing}."     # one case for each thing, with an input for each name
    vary = "name"

A case has the keys of a line of JSONL, and is made once for each combination of the words of the lists that it names.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import product
from math import prod
from pathlib import Path
from typing import Any  # TOML values

from explicate.errors import UsageError

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_MOST_CASES = 10_000
_VARY = "vary"
STARTERS = ("sentiment",)


def starter(name: str, *, positive: str, negative: str) -> str:
    """The TOML of a starter suite with the labels of a model.

    Raises:
        UsageError: there is no such suite.
    """
    if name not in STARTERS:
        raise UsageError(f"there is no starter suite {name!r}; there are {', '.join(STARTERS)}")
    text = (files("explicate_standards.suites") / f"{name}.toml").read_text(encoding="utf-8")
    for word, label in (("POSITIVE", positive), ("NEGATIVE", negative)):
        text = text.replace(f'"{word}"', _toml_text(label))
    return text


def template_cases(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The cases of a file as lines of JSONL have them, each with the number of its [[case]].

    Raises:
        UsageError: the file is not one of templates; it names the case.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML that can be read: {error}") from None
    lists, cases = document.get("lists", {}), document.get("case", [])
    for name, words in lists.items():
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise UsageError(f"{path}: [lists] {name} is not a list of words in quotes")
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise UsageError(f"{path}: cases are written as [[case]]")
    for number, case in enumerate(cases, start=1):
        try:
            yield from ((number, made) for made in _made(case, lists))
        except UsageError as error:
            raise UsageError(f"{path}, case {number}: {error}") from None


def _made(case: Mapping[str, Any], lists: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    varied = case.get(_VARY)
    rest = {key: value for key, value in case.items() if key != _VARY}
    names = list(dict.fromkeys(_names(rest)))
    for name in [*names, *([varied] if varied is not None else [])]:
        if name not in lists:
            raise UsageError(f"there is no list {name!r}; [lists] has {', '.join(lists) or 'none'}")
    free = [name for name in names if name != varied]
    count = prod(len(lists[name]) for name in free)
    if count > _MOST_CASES:
        raise UsageError(f"it makes {count:,} cases; at most {_MOST_CASES:,} are taken: shorten its lists")
    several = {} if varied is None else {varied: lists[varied]}
    for words in product(*(lists[name] for name in free)):
        chosen = dict(zip(free, words, strict=True))
        yield {key: _filled(value, chosen, several) for key, value in rest.items()}


def _filled(value: Any, chosen: Mapping[str, str], varied: Mapping[str, Sequence[str]]) -> Any:
    """A value with words for its placeholders; the texts of a list, and those of a varied text, are inputs each."""
    if isinstance(value, list):
        return [{"text": _words(one, chosen)} if isinstance(one, str) else one for one in value]
    if not isinstance(value, str):
        return value
    for name, words in varied.items():
        if f"{{{name}}}" in value:
            return [{"text": _words(value, {**chosen, name: word})} for word in words]
    return _words(value, chosen)


def _words(text: str, chosen: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: chosen[match[1]], text)


def _names(value: Any) -> Iterator[str]:
    """The placeholders of all texts in a value, in their order."""
    match value:
        case str():
            yield from _PLACEHOLDER.findall(value)
        case list():
            for one in value:
                yield from _names(one)
        case dict():
            for one in value.values():
                yield from _names(one)


def _toml_text(text: str) -> str:
    """A text as TOML has it in quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in escaped) + '"'
