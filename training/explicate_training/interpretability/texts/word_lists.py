"""Words that a config or a file lists: lexicons, and lists of words that may take each other's place."""

import re
from collections.abc import Sequence
from pathlib import Path

from explicate.errors import UsageError
from explicate_bundle.players.word_swaps import folded

_FILE = re.compile(r"[/\\]|\.(?:txt|tsv|csv|lst|words)$")


def names_file(entry: str) -> bool:
    """Whether an entry of a config is a file, or is written like one, and not a word or a column."""
    return Path(entry).is_file() or bool(_FILE.search(entry))


def read_lexicon(path: str, option: str) -> dict[str, float]:
    """Words with how much each counts, above 0 and 1 at most: |weight| / the largest; 1 of a word without a weight.

    The file has a word, or a word, a tab and a number, in each line. Raises UsageError, naming the option and the line.
    """
    weights: dict[str, float] = {}
    for number, line in _lines(path, option):
        word, _, weight = (cell.strip() for cell in line.partition("\t"))
        if not word:
            raise UsageError(f"{option}: {path} line {number} has no word: write a word, a tab and its weight")
        try:
            weights[folded(word)] = max(abs(float(weight or 1)), weights.get(folded(word), 0.0))
        except ValueError:
            raise UsageError(
                f"{option}: {path} line {number}: {weight!r} is not a number: write a word, a tab and its weight"
            ) from None
    largest = max(weights.values())
    if not 0 < largest < float("inf"):
        raise UsageError(
            f"{option}: {path} has no word of a finite weight that is not 0: give the words that count one"
        )
    return {word: weight / largest for word, weight in weights.items() if weight}


def read_word_lists(entries: Sequence[str], option: str) -> list[tuple[str, ...]]:
    """The lists within which words are swapped: the words among the entries are one, and each file has its own.

    The lines of a file with one word each are one list; a line with several words, with tabs between them, is a list.
    Raises UsageError when a file cannot be read, or a list has a single word.
    """
    words = [entry for entry in entries if not names_file(entry)]
    lists = [(tuple(dict.fromkeys(words)), option)] if words else []
    for path in (entry for entry in entries if names_file(entry)):
        alone: list[str] = []
        for number, line in _lines(path, option):
            cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
            if "\t" in line:
                lists.append((tuple(dict.fromkeys(cells)), f"{option}: {path} line {number}"))
            else:
                alone += cells
        if alone:
            lists.append((tuple(dict.fromkeys(alone)), f"{option}: {path}"))
    for list_of_words, where in lists:
        if len({folded(word) for word in list_of_words}) < 2:
            raise UsageError(
                f"{where} has a single word, {list_of_words[0]!r}, and nothing to swap it with: add words that may "
                "stand in its place"
            )
    return [list_of_words for list_of_words, _ in lists]


def _lines(path: str, option: str) -> list[tuple[int, str]]:
    """The lines of a file with something in them, with their numbers."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{option}: {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option}: {path} cannot be read as UTF-8 text: {error}") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise UsageError(f"{option}: {path} is empty: write a word in each line")
    return lines
